// SPDX-License-Identifier: Apache-2.0

package otp

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"math/bits"
	"sync"
)

// Bounds of a code's length in digits, and of the codes of one verification.
const (
	MinDigits      = 4
	MaxDigits      = 10
	MaxGenerations = 5
)

// Code is a one-time code in ASCII digits. It can't be printed, logged, encoded or compared with == by
// accident. The zero Code has no digits and equals nothing, itself included.
type Code struct {
	_ [0]func()
	// A pointer, because fmt prints the fields of what is held in an unexported field without asking any
	// method, but shows of a pointer only where it points.
	p *digits
}

type digits struct {
	n uint8
	d [MaxDigits]byte
}

// NewCode wraps ASCII digits that are known to be a code. What has other characters, none or more than
// MaxDigits gives the zero Code.
func NewCode(text string) Code {
	if text == "" || len(text) > MaxDigits {
		return Code{}
	}
	p := &digits{n: uint8(len(text))} //nolint:gosec // at most MaxDigits
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return Code{}
		}
		p.d[i] = text[i]
	}
	return Code{p: p}
}

// Reveal returns the digits: for the message that carries them and for nothing else.
func (c Code) Reveal() string { return string(c.bytes()) }

// Equal compares in time that depends on nothing but the lengths.
func (c Code) Equal(o Code) bool {
	return subtle.ConstantTimeCompare(c.bytes(), o.bytes()) == 1 && c.Len() > 0
}

// Len is the number of digits.
func (c Code) Len() int { return len(c.bytes()) }

func (c Code) bytes() []byte {
	if c.p == nil {
		return nil
	}
	return c.p.d[:c.p.n]
}

const redacted = "[code]"

var errMarshal = errors.New("otp: codes and secrets can't be encoded")

// String gives a fixed word.
func (Code) String() string { return redacted }

// GoString gives a fixed word.
func (Code) GoString() string { return redacted }

// Format gives a fixed word for every verb.
func (Code) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue gives a fixed word.
func (Code) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON always fails.
func (Code) MarshalJSON() ([]byte, error) { return nil, errMarshal }

// MarshalText always fails.
func (Code) MarshalText() ([]byte, error) { return nil, errMarshal }

// MarshalBinary always fails.
func (Code) MarshalBinary() ([]byte, error) { return nil, errMarshal }

// Space separates the codes of different things: those of one space say nothing about another's.
type Space uint8

// The spaces. Four bits, stored in ids; the numbers never change.
const (
	SpaceVerification Space = 1
	SpaceDelivery     Space = 2 // of hand-overs
	SpacePass         Space = 3 // of the passes that a recipient gives to a neighbour
)

// Input is what a code is derived from.
type Input struct {
	Space      Space
	Service    uint32
	ID         [16]byte
	Generation uint8 // from 1; of a verification at most MaxGenerations
	Digits     int   // MinDigits to MaxDigits
}

// Deriver makes codes under one key. It may be used concurrently.
type Deriver struct{ pool sync.Pool }

// work is what one derivation needs; pooled, so that the key's two hash blocks are computed once
// and nothing but the code is allocated.
type work struct {
	mac hash.Hash
	in  [inputSize]byte
	sum [sha256.Size]byte
}

// NewDeriver returns a Deriver for a key of at least 32 bytes, which it copies.
func NewDeriver(key []byte) *Deriver {
	k := append([]byte(nil), key...)
	d := &Deriver{}
	d.pool.New = func() any { return &work{mac: hmac.New(sha256.New, k)} }
	return d
}

const (
	inputVersion = 1
	inputSize    = 2 + 2 + 5 + 17 + 2 + 2
)

// encode writes each field after its length in bytes, so that no two inputs have the same encoding.
func (in *Input) encode(b *[inputSize]byte) {
	b[0], b[1] = 1, inputVersion
	b[2], b[3] = 1, byte(in.Space)
	b[4] = 4
	binary.BigEndian.PutUint32(b[5:], in.Service)
	b[9] = 16
	copy(b[10:], in.ID[:])
	b[26], b[27] = 1, in.Generation
	b[28], b[29] = 1, byte(in.Digits) //nolint:gosec // at most MaxDigits
}

// Code derives the code of in: HMAC-SHA-256 over the length-prefixed version, space, service, id, generation and digits,
// of which the first 128 bits, big-endian, are reduced modulo 10^digits. The bias of that is below 2^-90.
//
// It panics when in.Digits is out of bounds: that is a mistake in the program, not in what somebody typed.
func (d *Deriver) Code(in Input) Code {
	if in.Digits < MinDigits || in.Digits > MaxDigits {
		panic(fmt.Sprintf("otp: a code of %d digits", in.Digits))
	}
	w, _ := d.pool.Get().(*work)
	in.encode(&w.in)
	w.mac.Reset()
	w.mac.Write(w.in[:])
	w.mac.Sum(w.sum[:0])
	c := decimal(binary.BigEndian.Uint64(w.sum[:8]), binary.BigEndian.Uint64(w.sum[8:16]), in.Digits)
	clear(w.sum[:])
	d.pool.Put(w)
	return c
}

// Derive is NewDeriver(key).Code(in), for callers that make one code.
func Derive(key []byte, in Input) Code { return NewDeriver(key).Code(in) }

// decimal is hi*2^64+lo modulo 10^n, n at most MaxDigits, with leading zeros.
func decimal(hi, lo uint64, n int) Code {
	mod := uint64(1)
	for range n {
		mod *= 10
	}
	_, rest := bits.Div64(hi%mod, lo, mod)
	p := &digits{n: uint8(n)} //nolint:gosec // at most MaxDigits
	for i := n - 1; i >= 0; i-- {
		p.d[i] = '0' + byte(rest%10)
		rest /= 10
	}
	return Code{p: p}
}
