// SPDX-License-Identifier: Apache-2.0

// Package otp makes one-time codes, reads what people type, and compares the two.
//
// It owns derivation, the normalisation of typed and pasted text, HOTP (RFC 4226) and TOTP (RFC
// 6238). It is pure: it has no clock, no store and no policy, and leaves counting and expiry to who
// calls it.
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
// accident.
type Code struct {
	_ [0]func()
	s string
}

// NewCode wraps digits that are known to be a code.
func NewCode(digits string) Code { return Code{s: digits} }

// Reveal returns the digits: for the message that carries them and for nothing else.
func (c Code) Reveal() string { return c.s }

// Equal compares in time that depends on nothing but the lengths.
func (c Code) Equal(o Code) bool {
	return subtle.ConstantTimeCompare([]byte(c.s), []byte(o.s)) == 1
}

// Len is the number of digits.
func (c Code) Len() int { return len(c.s) }

const redacted = "[code]"

var errMarshal = errors.New("otp: a code can't be encoded")

// String gives a fixed word.
func (Code) String() string { return redacted }

// Format gives a fixed word for every verb.
func (Code) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue gives a fixed word.
func (Code) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails.
func (Code) MarshalText() ([]byte, error) { return nil, errMarshal }

// MarshalBinary always fails.
func (Code) MarshalBinary() ([]byte, error) { return nil, errMarshal }

// Space separates the codes of different things: those of one space say nothing about another's.
type Space uint8

// The spaces. Four bits, stored in ids; the numbers never change.
const (
	SpaceVerification Space = 1
	SpaceDelivery     Space = 2
)

// Input is what a code is derived from.
type Input struct {
	Space      Space
	Service    uint32
	ID         [16]byte
	Generation uint8 // 1 to MaxGenerations
	Digits     int   // MinDigits to MaxDigits
}

// Deriver makes codes under one key. It may be used concurrently.
type Deriver struct{ pool sync.Pool }

// NewDeriver returns a Deriver for a service key of at least 32 bytes.
func NewDeriver(key []byte) *Deriver {
	k := append([]byte(nil), key...)
	d := &Deriver{}
	d.pool.New = func() any { return hmac.New(sha256.New, k) }
	return d
}

const inputVersion = 1

// Code derives the code of in: HMAC-SHA-256 over the length-prefixed input, of which 128 bits are reduced modulo
// 10^digits. The bias of that is below 2^-90.
func (d *Deriver) Code(in Input) Code {
	if in.Digits < MinDigits || in.Digits > MaxDigits {
		panic(fmt.Sprintf("otp: a code of %d digits", in.Digits)) // every caller has checked
	}
	var b [6 + 6 + 17]byte
	b[0], b[1], b[2] = 1, inputVersion, 1
	b[3] = byte(in.Space)
	b[4] = 4
	binary.BigEndian.PutUint32(b[5:], in.Service)
	b[9] = 16
	copy(b[10:], in.ID[:])
	b[26] = in.Generation
	b[27] = byte(in.Digits) //nolint:gosec // at most 10
	b[28] = 0xff            // end of input; both before it are one byte by the version
	h, _ := d.pool.Get().(hash.Hash)
	h.Reset()
	h.Write(b[:])
	var sum [32]byte
	h.Sum(sum[:0])
	d.pool.Put(h)
	return decimal(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16]), in.Digits)
}

// decimal is hi*2^64+lo modulo 10^digits with leading zeros.
func decimal(hi, lo uint64, digits int) Code {
	mod := uint64(1)
	for range digits {
		mod *= 10
	}
	_, rest := bits.Div64(hi%mod, lo, mod)
	var out [MaxDigits]byte
	for i := digits - 1; i >= 0; i-- {
		out[i] = '0' + byte(rest%10)
		rest /= 10
	}
	return Code{s: string(out[:digits])}
}

// Derive is NewDeriver(key).Code(in), for callers that make one code.
func Derive(key []byte, in Input) Code { return NewDeriver(key).Code(in) }
