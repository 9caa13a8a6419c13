// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/go-json-experiment/json"

	"github.com/countersign/countersign/internal/fault"
)

// JWK is a public key for ES256 (RFC 7517, RFC 7518 6.2.1).
type JWK struct {
	KeyType   string `json:"kty"` // EC
	Curve     string `json:"crv"` // P-256
	X         string `json:"x"`
	Y         string `json:"y"`
	KID       string `json:"kid"` // the thumbprint (RFC 7638)
	Algorithm string `json:"alg"` // ES256
	Use       string `json:"use"` // sig
}

// Set is all the public keys of a service, those of before included: none is ever taken out, so that what they signed can be checked for good.
type Set struct {
	Keys []JWK `json:"keys"`
}

const (
	// MaxSet is the largest set that is read, in bytes.
	MaxSet = 512 << 10
	// MaxKeys is how many keys a set has at most.
	MaxKeys = 2048

	coordinate = 32
)

// newJWK makes the public key of a point in its uncompressed form.
func newJWK(point []byte) (JWK, [sha256.Size]byte) {
	k := JWK{
		KeyType: "EC", Curve: "P-256", X: encode(point[1 : 1+coordinate]), Y: encode(point[1+coordinate:]), Algorithm: algorithm, Use: "sig",
	}
	thumb := k.thumbprint()
	k.KID = encode(thumb[:])
	return k, thumb
}

// thumbprint is the SHA-256 of the required members in their order, without space (RFC 7638 3).
func (k *JWK) thumbprint() [sha256.Size]byte {
	return sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`))
}

// public reads the key itself and checks everything that is said of it.
func (k *JWK) public() (*ecdsa.PublicKey, error) {
	if k.KeyType != "EC" || k.Curve != "P-256" || k.Algorithm != algorithm || k.Use != "sig" {
		return nil, errSet("a key isn't for ES256 signatures")
	}
	x, okX := decode(k.X)
	y, okY := decode(k.Y)
	if !okX || !okY || len(x) != coordinate || len(y) != coordinate {
		return nil, errSet("a key's coordinates aren't 32 bytes in base64url")
	}
	if thumb := k.thumbprint(); k.KID != encode(thumb[:]) {
		return nil, errSet("a key's id isn't its thumbprint")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, errSet("a key isn't a point of the curve")
	}
	return public, nil
}

// verify tells whether signature is the key's over message.
func (k *JWK) verify(message, signature []byte) bool {
	public, err := k.public()
	if err != nil || len(signature) != signatureSize {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:signatureSize/2]), new(big.Int).SetBytes(signature[signatureSize/2:])
	sum := sha256.Sum256(message)
	return ecdsa.Verify(public, sum[:], r, s)
}

// ParseJWK reads one public key, strictly.
//
// Faults: Invalid (invalid_key_set).
func ParseJWK(text []byte) (JWK, error) {
	var k JWK
	if len(text) > MaxSet {
		return JWK{}, errSet("it has more than 512 KB")
	}
	if err := json.Unmarshal(text, &k, json.RejectUnknownMembers(true)); err != nil {
		return JWK{}, errSet("it isn't JSON of the right form").WithCause(err)
	}
	if _, err := k.public(); err != nil {
		return JWK{}, err
	}
	return k, nil
}

// ParseSet reads a set of keys as it is published. Whatever isn't a key for ES256 signatures under its thumbprint is refused, and so is a private one.
//
// Faults: Invalid (invalid_key_set).
func ParseSet(text []byte) (Set, error) {
	if len(text) > MaxSet {
		return Set{}, errSet("it has more than 512 KB")
	}
	var s Set
	if err := json.Unmarshal(text, &s, json.RejectUnknownMembers(true)); err != nil {
		return Set{}, errSet("it isn't JSON of the right form").WithCause(err)
	}
	if len(s.Keys) > MaxKeys {
		return Set{}, errSet("it has too many keys")
	}
	seen := map[string]bool{}
	for i := range s.Keys {
		k := &s.Keys[i]
		if _, err := k.public(); err != nil {
			return Set{}, err
		}
		if seen[k.KID] {
			return Set{}, errSet("a key is there twice")
		}
		seen[k.KID] = true
	}
	return s, nil
}

func errSet(what string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_key_set",
		fmt.Sprintf("This is not a set of keys that proofs are signed with: %s. Get it anew from the service, at /proof-keys.json on its host.", what))
}

// find returns the key with an id.
func (s *Set) find(kid string) *JWK {
	for i := range s.Keys {
		if s.Keys[i].KID == kid {
			return &s.Keys[i]
		}
	}
	return nil
}
