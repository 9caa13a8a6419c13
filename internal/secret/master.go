// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/countersign/countersign/internal/fault"
)

// Master wraps data keys. It is the seam behind which a KMS fits: the key itself may never leave
// another machine. Implementations are safe for concurrent use.
type Master interface {
	// Fingerprint is a public name of the key: equal for equal keys, useless for anything else. It
	// is stored with the database, so that a wrong master key is found before the first write.
	Fingerprint() string
	// Wrap encrypts plaintext (32 bytes, a data key). The associated data is public, is not stored
	// in the result, and has to be the same at Unwrap.
	Wrap(ctx context.Context, plaintext, associated []byte) ([]byte, error)
	// Unwrap reverses Wrap. It fails with a [fault.Error] when anything was changed or the key is
	// another one; of kind Unavailable when the keeper of the key can't be reached.
	Unwrap(ctx context.Context, wrapped, associated []byte) ([]byte, error)
}

// LocalMaster is a [Master] whose key is in this process: from a file or from the environment. It
// can't be printed, marshaled or compared with ==, and is safe for concurrent use.
type LocalMaster struct {
	text        Text
	fingerprint string
	aead        func() cipher.AEAD // a function, so that reflection doesn't reach the key
}

var _ Master = (*LocalMaster)(nil)

const (
	masterPrefix   = "csm1-" // the version of the text form
	masterKeySize  = 32
	masterSumSize  = 3 // 35 bytes are 56 characters without padding: 7 groups of 8
	masterGroup    = 8
	masterVersion  = 1 // first byte of what Wrap returns
	wrapOverhead   = 1 + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
	masterFileHelp = "Make one with `countersign keys init`, or restore yours from where you keep it."
)

// GenerateMaster makes a new master key from 32 bytes of random, which is [crypto/rand.Reader]
// outside tests.
func GenerateMaster(random io.Reader) (*LocalMaster, error) {
	var key [masterKeySize]byte
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return nil, fault.As(fmt.Errorf("make a master key: %w", err))
	}
	return newMaster(key), nil
}

func newMaster(key [masterKeySize]byte) *LocalMaster {
	sum := masterSum(key[:])
	body := tokenEncoding.EncodeToString(append(key[:], sum[:]...))
	var text strings.Builder
	text.WriteString(strings.TrimSuffix(masterPrefix, "-"))
	for i := 0; i < len(body); i += masterGroup {
		text.WriteString("-" + body[i:i+masterGroup])
	}
	aead, err := chacha20poly1305.NewX(derive(key[:], "master", "wrap"))
	if err != nil {
		panic(err) // the length of the key is a constant
	}
	return &LocalMaster{
		text:        NewText(text.String()),
		fingerprint: hex.EncodeToString(derive(key[:], "master", "fingerprint")[:16]),
		aead:        func() cipher.AEAD { return aead },
	}
}

// ParseMaster reads the text form of a master key: "csm1-" and seven groups of eight letters and
// digits. Space around it and upper case don't matter. The last characters are a checksum, so a
// typing error is told as such. The fault never holds the text.
func ParseMaster(text string) (*LocalMaster, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return nil, fault.New(fault.Invalid, "master_key_missing", "There is no master key here. "+masterFileHelp)
	}
	body, ok := strings.CutPrefix(text, masterPrefix)
	if !ok {
		return nil, errNotMaster()
	}
	raw, err := tokenEncoding.DecodeString(strings.ReplaceAll(body, "-", ""))
	if err != nil || len(raw) != masterKeySize+masterSumSize {
		return nil, errNotMaster()
	}
	key := [masterKeySize]byte(raw)
	m := newMaster(key)
	if sum := masterSum(key[:]); !bytes.Equal(sum[:], raw[masterKeySize:]) || m.text.Reveal() != text {
		return nil, errNotMaster()
	}
	return m, nil
}

func errNotMaster() *fault.Error {
	return fault.New(fault.Invalid, "master_key_malformed",
		"This is not a whole master key: it starts with csm1- and has seven groups of eight letters and digits after it. "+
			"A character may be missing or mistyped; copy it again.")
}

func masterSum(key []byte) (sum [masterSumSize]byte) {
	full := sha256.Sum256(append([]byte("countersign master key checksum"), key...))
	copy(sum[:], full[:])
	return sum
}

// Text is the text form that [ParseMaster] reads.
func (m *LocalMaster) Text() Text { return m.text }

// Fingerprint is 32 hexadecimal digits, derived from the key by HKDF under a label of its own.
func (m *LocalMaster) Fingerprint() string { return m.fingerprint }

// Wrap seals plaintext with XChaCha20-Poly1305 under a random nonce: version (1), nonce (24),
// ciphertext, tag (16).
func (m *LocalMaster) Wrap(_ context.Context, plaintext, associated []byte) ([]byte, error) {
	out := make([]byte, 1+chacha20poly1305.NonceSizeX, wrapOverhead+len(plaintext))
	out[0] = masterVersion
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, fault.As(fmt.Errorf("wrap a key: %w", err))
	}
	return m.aead().Seal(out, out[1:], plaintext, associated), nil
}

// Unwrap reverses Wrap.
func (m *LocalMaster) Unwrap(_ context.Context, wrapped, associated []byte) ([]byte, error) {
	if len(wrapped) < wrapOverhead || wrapped[0] != masterVersion {
		return nil, errUnwrap()
	}
	nonce, sealed := wrapped[1:1+chacha20poly1305.NonceSizeX], wrapped[1+chacha20poly1305.NonceSizeX:]
	plain, err := m.aead().Open(nil, nonce, sealed, associated)
	if err != nil {
		return nil, errUnwrap()
	}
	return plain, nil
}

func errUnwrap() *fault.Error {
	return fault.New(fault.Internal, "key_not_unwrapped",
		"A key of this database can't be opened with this master key. Start with the master key it was made with.")
}

// String returns "[secret]".
func (*LocalMaster) String() string { return redacted }

// Format prints "[secret]" for every verb and flag.
func (*LocalMaster) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue is "[secret]".
func (*LocalMaster) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails.
func (*LocalMaster) MarshalText() ([]byte, error) { return nil, errMarshal }

// derive is HKDF-SHA-256 (RFC 5869) without salt: the input is a uniform key already. The info is
// the length-prefixed path of labels under a name of our own, so that no two uses share a key.
func derive(key []byte, path ...string) []byte {
	info := appendPart(nil, []byte("countersign keys v1"))
	for _, label := range path {
		info = appendPart(info, []byte(label))
	}
	out, err := hkdf.Key(sha256.New, key, nil, string(info), sha256.Size)
	if err != nil {
		panic(err) // one block of output is never too much
	}
	return out
}

// appendPart appends the length of part (32 bits, big-endian) and part. Sequences of parts are
// read in one way only, so ("ab", "c") and ("a", "bc") differ.
func appendPart(dst, part []byte) []byte {
	n := uint32(len(part)) //nolint:gosec // no part is near 4 GB
	return append(append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), part...)
}
