// SPDX-License-Identifier: Apache-2.0

// Package proof owns what is signed and what is sealed for hand-overs: a service's signing keys and their published set, proofs that anybody checks
// (JWS, ES256), tickets that a courier's phone checks without signal, and the boxes in which a phone keeps what was typed until the server reads it.
//
// It leaves to others what a proof says, what a ticket lets somebody do, and where keys are kept.
package proof

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/countersign/countersign/internal/fault"
)

const redacted = "[secret]"

var errMarshal = errors.New("a secret can't be marshaled")

// Key is a private signing key: ECDSA on P-256 (ES256). It can't be printed or marshaled, and is safe for concurrent use.
type Key struct {
	private func() *ecdsa.PrivateKey // functions, so that reflection doesn't reach the key
	der     func() []byte
	jwk     JWK
	thumb   [sha256.Size]byte
}

// NewKey makes a key.
func NewKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fault.As(fmt.Errorf("make a signing key: %w", err))
	}
	return newKey(private)
}

// ParseKey reads what [Key.Private] gave.
//
// Faults: Internal (signing_key_unreadable).
func ParseKey(der []byte) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errKey.WithCause(err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, errKey
	}
	return newKey(private)
}

var errKey = fault.New(fault.Internal, "signing_key_unreadable",
	"A signing key of this service can't be read. Give the service a new one with `countersign proof rotate`.")

func newKey(private *ecdsa.PrivateKey) (*Key, error) {
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, errKey.WithCause(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, errKey.WithCause(err)
	}
	k := &Key{private: func() *ecdsa.PrivateKey { return private }, der: func() []byte { return der }}
	k.jwk, k.thumb = newJWK(point)
	return k, nil
}

// Private is the key itself in PKCS #8, to be sealed and stored. Each call is a place to look at in a review.
func (k *Key) Private() []byte { return bytes.Clone(k.der()) }

// KID is the key's id: its thumbprint (RFC 7638).
func (k *Key) KID() string { return k.jwk.KID }

// Public is the public half.
func (k *Key) Public() JWK { return k.jwk }

// sign is the signature of SHA-256 over message: r and s, 32 bytes each (IEEE P1363, RFC 7518 3.4).
func (k *Key) sign(message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, k.private(), sum[:])
	if err != nil {
		return nil, fault.As(fmt.Errorf("sign: %w", err))
	}
	out := make([]byte, signatureSize)
	r.FillBytes(out[:signatureSize/2])
	s.FillBytes(out[signatureSize/2:])
	return out, nil
}

// String returns "[secret]".
func (*Key) String() string { return redacted }

// Format prints "[secret]" for every verb and flag.
func (*Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue is "[secret]".
func (*Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails: a key is written by a line that says Private.
func (*Key) MarshalText() ([]byte, error) { return nil, errMarshal }

const signatureSize = 64

// decode reads base64url without padding, in the one form that encode writes.
func decode(text string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	return raw, err == nil && encode(raw) == text
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
