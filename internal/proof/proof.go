// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/countersign/countersign/internal/fault"
)

const (
	algorithm = "ES256"

	// MaxText is the longest proof that is read, in bytes.
	MaxText = 16 << 10
)

// Signer signs for a service and knows all the keys it ever signed with. It is never changed after it was made, and safe for concurrent use.
type Signer struct {
	current *Key
	set     Set
}

// NewSigner makes a signer. current may be nil: then there is nothing to sign with. Retired are the public keys of before.
func NewSigner(current *Key, retired ...JWK) *Signer {
	s := &Signer{current: current, set: Set{Keys: []JWK{}}}
	if current != nil {
		s.set.Keys = append(s.set.Keys, current.Public())
	}
	s.set.Keys = append(s.set.Keys, retired...)
	return s
}

// Ready tells whether there is a key to sign with.
func (s *Signer) Ready() bool { return s.current != nil }

// Set is all public keys, the current one first. It must not be changed.
func (s *Signer) Set() Set { return s.set }

// header is the whole of a proof's protected header. Nothing else is written, and nothing else is read: no key or link to one, no extension.
type header struct {
	Algorithm string `json:"alg"`
	KID       string `json:"kid"`
	Type      string `json:"typ"`
}

// Sign makes a JWS in its compact form (RFC 7515 3.1) with the current key. typ says what the payload is.
//
// Faults: Unavailable (no_signing_key), TooLarge.
func (s *Signer) Sign(typ string, payload []byte) (string, error) {
	if s.current == nil {
		return "", errNoKey
	}
	head, err := json.Marshal(header{algorithm, s.current.KID(), typ})
	if err != nil {
		return "", fault.As(fmt.Errorf("encode a proof's header: %w", err))
	}
	signed := encode(head) + "." + encode(payload)
	signature, err := s.current.sign([]byte(signed))
	if err != nil {
		return "", err
	}
	text := signed + "." + encode(signature)
	if len(text) > MaxText {
		return "", errLong
	}
	return text, nil
}

var (
	errNoKey = fault.New(fault.Unavailable, "no_signing_key",
		"This service has no key to sign with yet. It gets one as soon as the database can be written; try again in a moment.")
	errLong      = fault.New(fault.TooLarge, "proof_too_large", "A proof has at most 16 KB.")
	errMalformed = fault.New(fault.Invalid, "proof_malformed",
		"This is not a whole proof: three parts of letters, digits, - and _, with dots between them. Copy the whole of it, and nothing else.")
	errAlgorithm = fault.New(fault.Invalid, "proof_unsupported",
		"This is signed in a way in which proofs never are. Don't trust it; ask the service for the proof again.")
	errType = fault.New(fault.Invalid, "proof_of_another_kind",
		"This is signed, but it is something else than a proof of a hand-over. Ask the service for the proof.")
	errUnknownKey = fault.New(fault.Invalid, "proof_key_unknown",
		"The key that this names is none of the service's. Get the service's keys anew; if it is still unknown, the proof is not theirs.")
	errChanged = fault.New(fault.Invalid, "proof_changed",
		"The signature is wrong: this was changed after it was signed, or somebody else made it. Don't trust it; ask the service for the proof again.")
)

// Verify checks a JWS in its compact form against a set of keys and returns its payload and the key that signed it. Only ES256 under one of the keys
// counts, and the header must be exactly as [Signer.Sign] writes it, with this typ.
//
// Faults: TooLarge, Invalid with a code for each reason.
func Verify(text string, set Set, typ string) (payload []byte, kid string, err error) {
	if len(text) > MaxText {
		return nil, "", errLong
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, "", errMalformed
	}
	head, ok1 := decode(parts[0])
	payload, ok2 := decode(parts[1])
	signature, ok3 := decode(parts[2])
	if !ok1 || !ok2 || !ok3 {
		return nil, "", errMalformed
	}
	// Members that are there twice, are spelled otherwise or aren't UTF-8 are refused by the decoder.
	var h header
	if err := json.Unmarshal(head, &h, json.RejectUnknownMembers(true)); err != nil {
		return nil, "", errAlgorithm.WithCause(err)
	}
	if h.Algorithm != algorithm || len(signature) != signatureSize {
		return nil, "", errAlgorithm
	}
	if h.Type != typ {
		return nil, "", errType
	}
	key := set.find(h.KID)
	if key == nil {
		return nil, "", errUnknownKey
	}
	if !key.verify([]byte(parts[0]+"."+parts[1]), signature) {
		return nil, "", errChanged
	}
	return payload, h.KID, nil
}
