// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"

	"github.com/countersign/countersign/internal/fault"
)

// A box is HPKE (RFC 9180) in base mode, for one message: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM. Its text is base64url of the key's id (1),
// the encapsulated key (65) and the ciphertext with its tag.
const (
	boxInfo    = "countersign courier box v1"
	boxPoint   = 65
	boxTag     = 16
	maxBox     = 1024 // bytes of text
	boxMinimum = 1 + boxPoint + boxTag
)

var (
	errBox = fault.New(fault.Invalid, "box_unreadable",
		"What was kept on the phone can't be read: it was changed, belongs to another entry, or was sealed for another service. Have the depot record it.")
	errBoxKey = fault.New(fault.Invalid, "box_key_unknown",
		"What was kept on the phone was sealed with a key that this service doesn't have. Load the round again and have the depot record it.")
)

// OpenBox opens a box. key finds the private key by its id; aad is what the box was sealed for.
//
// Faults: Invalid (box_unreadable, box_key_unknown).
func OpenBox(text string, aad []byte, key func(id uint8) (hpke.PrivateKey, bool)) ([]byte, error) {
	if len(text) > maxBox {
		return nil, errBox
	}
	raw, ok := decode(text)
	if !ok || len(raw) < boxMinimum {
		return nil, errBox
	}
	private, ok := key(raw[0])
	if !ok {
		return nil, errBoxKey
	}
	plain, err := open(private, raw[1:1+boxPoint], []byte(boxInfo), aad, raw[1+boxPoint:])
	if err != nil {
		return nil, errBox.WithCause(err)
	}
	return plain, nil
}

func open(private hpke.PrivateKey, enc, info, aad, sealed []byte) ([]byte, error) {
	r, err := hpke.NewRecipient(enc, private, hpke.HKDFSHA256(), hpke.AES128GCM(), info)
	if err != nil {
		return nil, err
	}
	return r.Open(aad, sealed)
}

// SealBox makes a box as a courier's phone does: for the public key (a point of 65 bytes) with this id.
//
// Faults: Invalid (box_unreadable: that is no key).
func SealBox(id uint8, public, aad, plain []byte) (string, error) {
	key, err := hpke.DHKEM(ecdh.P256()).NewPublicKey(public)
	if err != nil {
		return "", errBox.WithCause(err)
	}
	enc, s, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.AES128GCM(), []byte(boxInfo))
	if err != nil {
		return "", fault.As(fmt.Errorf("seal a box: %w", err))
	}
	sealed, err := s.Seal(aad, plain)
	if err != nil {
		return "", fault.As(fmt.Errorf("seal a box: %w", err))
	}
	return encode(append(append([]byte{id}, enc...), sealed...)), nil
}
