// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/countersign/countersign/internal/fault"
)

// Label is one use of [Keys.MAC]; each has a key of its own. The numbers are not stored.
type Label uint8

// The labels.
const (
	LabelFlow        Label = iota // flow secrets
	LabelSupplied                 // codes that the application supplied
	LabelBinding                  // the details that a transaction's code is bound to
	LabelDevice                   // device tokens
	LabelIdempotency              // idempotency keys and bodies
	LabelCaller                   // IP, device and session of a caller, for its budgets
	LabelCommitment               // commitments of events
	LabelAccount                  // secrets of accounts that are stored as hashes, ids that are derived
	LabelReturn                   // return addresses of mails
	LabelHandover                 // ids that are derived for hand-overs, and the tokens of their pages
	labels
)

// labelNames go into the derivation of the keys and never change.
var labelNames = [labels]string{"flow", "supplied", "binding", "device", "idempotency", "caller", "commitment", "account", "return", "handover"}

// Keys are the sub-keys of one data key of one service. They can't be printed or marshaled, and
// are safe for concurrent use.
//
// Every sub-key is 32 bytes of HKDF-SHA-256 over the data key, with service, key id and the name
// of the use as info. They live in closures and pools only; see [Text].
type Keys struct {
	service uint32
	id      uint8
	sub     func(path ...string) []byte
	code    func() []byte
	macs    [labels]*macer
	index   [256]atomic.Pointer[macer] // by kind, made at first use
	aead    func() cipher.AEAD
	box     func() hpke.PrivateKey // derived at first use
}

// NewKeys derives the sub-keys of service's data key with the given key id.
func NewKeys(service uint32, id uint8, data DataKey) *Keys {
	owner := []string{"service", strconv.FormatUint(uint64(service), 10), "key", strconv.Itoa(int(id))}
	sub := func(path ...string) []byte { return derive(data[:], append(owner[:len(owner):len(owner)], path...)...) }
	code := sub("code")
	aead, err := chacha20poly1305.NewX(sub("seal"))
	if err != nil {
		panic(err) // the length of the key is a constant
	}
	k := &Keys{
		service: service, id: id, sub: sub,
		code: func() []byte { return code },
		aead: func() cipher.AEAD { return aead },
	}
	k.box = sync.OnceValue(func() hpke.PrivateKey {
		private, err := hpke.DHKEM(ecdh.P256()).DeriveKeyPair(sub("box"))
		if err != nil {
			panic(err) // fails for one input of 2^8192, and this one is a hash
		}
		return private
	})
	for l, name := range labelNames {
		k.macs[l] = newMacer(sub("mac", name))
	}
	return k
}

// ID is the key id, which everything made with these keys carries.
func (k *Keys) ID() uint8 { return k.id }

// Service is the service that the keys belong to.
func (k *Keys) Service() uint32 { return k.service }

// CodeKey returns a copy of the 32-byte key that codes are derived under.
func (k *Keys) CodeKey() []byte { return append([]byte(nil), k.code()...) }

// Box is the key pair for which others seal what only this service opens: HPKE, DHKEM(P-256, HKDF-SHA256), DeriveKeyPair (RFC 9180 7.1.3) of a sub-key.
// Each call is a place to look at in a review: the value isn't one that refuses to be printed.
func (k *Keys) Box() hpke.PrivateKey { return k.box() }

// MAC is HMAC-SHA-256 over the parts, each prefixed with its length, under the label's own key.
// Cut it to no fewer than 16 bytes, or 10 where the text has no room and each guess has to ask us; compare it in constant
// time. label is one of the constants.
func (k *Keys) MAC(label Label, parts ...[]byte) [32]byte { return k.macs[label].sum(parts) }

// Index is the blind index of a contact: equal for equal kind and value, and without the key no
// guess at the value can be tried against it. Each kind has a key of its own.
func (k *Keys) Index(kind byte, value string) [16]byte {
	m := k.index[kind].Load()
	if m == nil {
		m = newMacer(k.sub("index", strconv.Itoa(int(kind))))
		k.index[kind].Store(m) // two at once store equals
	}
	full := m.sumString(value)
	return [16]byte(full[:16])
}

const (
	sealVersion  = 1
	sealHeader   = 2 // version, key id
	sealPrefix   = sealHeader + chacha20poly1305.NonceSizeX
	sealOverhead = sealPrefix + chacha20poly1305.Overhead
)

// Seal encrypts a column's value with XChaCha20-Poly1305 under a random 192-bit nonce: version (1),
// key id (1), nonce (24), ciphertext (as long as plaintext), tag (16). Version, service, key id,
// table, column and row are authenticated with it, so it opens in its own place only.
func (k *Keys) Seal(table, column string, row [16]byte, plaintext []byte) []byte {
	var nonce [chacha20poly1305.NonceSizeX]byte
	_, _ = rand.Read(nonce[:]) // never fails: it ends the program instead
	return k.seal(nonce, table, column, row, plaintext)
}

func (k *Keys) seal(nonce [chacha20poly1305.NonceSizeX]byte, table, column string, row [16]byte, plaintext []byte) []byte {
	out := make([]byte, sealPrefix, sealOverhead+len(plaintext))
	out[0], out[1] = sealVersion, k.id
	copy(out[sealHeader:], nonce[:])
	return k.aead().Seal(out, out[sealHeader:sealPrefix], plaintext, k.associated(table, column, row))
}

// Open reverses Seal. Anything that was changed, belongs to another place or was sealed by other
// keys is the same fault, of kind Internal: the database isn't what this server wrote.
func (k *Keys) Open(table, column string, row [16]byte, sealed []byte) ([]byte, error) {
	if len(sealed) < sealOverhead || sealed[0] != sealVersion || sealed[1] != k.id {
		return nil, errOpen(table, column)
	}
	plain, err := k.aead().Open(nil, sealed[sealHeader:sealPrefix], sealed[sealPrefix:], k.associated(table, column, row))
	if err != nil {
		return nil, errOpen(table, column)
	}
	return plain, nil
}

func (k *Keys) associated(table, column string, row [16]byte) []byte {
	const name = "countersign seal"
	out := make([]byte, 0, 6*4+len(name)+6+len(table)+len(column)+len(row))
	out = appendPart(out, []byte(name))
	out = appendPart(out, []byte{sealVersion, k.id})
	out = appendPart(out, binary.BigEndian.AppendUint32(make([]byte, 0, 4), k.service))
	out = appendPart(out, []byte(table))
	out = appendPart(out, []byte(column))
	return appendPart(out, row[:])
}

func errOpen(table, column string) *fault.Error {
	return fault.New(fault.Internal, "sealed_value_unreadable",
		"Something stored here can't be read. It has been reported; try again or begin anew.").
		WithCause(fmt.Errorf("%s.%s: changed, moved, or sealed by other keys", table, column))
}

// String returns "[secret]".
func (*Keys) String() string { return redacted }

// Format prints "[secret]" for every verb and flag.
func (*Keys) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue is "[secret]".
func (*Keys) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails.
func (*Keys) MarshalText() ([]byte, error) { return nil, errMarshal }

// macer makes HMACs under one key. Its states are keyed once and used again, which saves two of
// four compressions and all allocations.
type macer struct{ pool sync.Pool }

type macState struct {
	hash hash.Hash
	buf  []byte
	out  [sha256.Size]byte
}

func newMacer(key []byte) *macer {
	m := &macer{}
	m.pool.New = func() any { return &macState{hash: hmac.New(sha256.New, key)} }
	return m
}

func (m *macer) sum(parts [][]byte) [32]byte {
	s := m.pool.Get().(*macState) //nolint:forcetypeassert // nothing else is put there
	for _, p := range parts {
		s.buf = appendPart(s.buf, p)
	}
	return m.finish(s)
}

func (m *macer) sumString(value string) [32]byte {
	s := m.pool.Get().(*macState) //nolint:forcetypeassert // nothing else is put there
	n := uint32(len(value))       //nolint:gosec // no value is near 4 GB
	s.buf = append(binary.BigEndian.AppendUint32(s.buf, n), value...)
	return m.finish(s)
}

// finish sums what is in the state's buffer. The buffer may hold a contact or a code, so it is
// cleared before the state goes back to the pool.
func (m *macer) finish(s *macState) [32]byte {
	s.hash.Reset()
	s.hash.Write(s.buf)
	s.hash.Sum(s.out[:0])
	out := s.out
	clear(s.buf)
	clear(s.out[:])
	s.buf = s.buf[:0]
	m.pool.Put(s)
	return out
}
