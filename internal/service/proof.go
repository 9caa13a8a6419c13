// SPDX-License-Identifier: Apache-2.0

package service

import (
	"crypto/hpke"

	"github.com/countersign/countersign/internal/proof"
)

// Signer signs the service's proofs and tickets.
func (s *Service) Signer() *proof.Signer { return s.signer }

// BoxKey is the key, and its id, for which a courier's phone seals what it keeps.
func (s *Service) BoxKey() (id uint8, public []byte) {
	k := s.Ring.Current()
	return k.ID(), k.Box().PublicKey().Bytes()
}

// OpenBox opens what was sealed for one of the service's keys; aad is what it was sealed for.
//
// Faults: Invalid (box_unreadable, box_key_unknown).
func (s *Service) OpenBox(text string, aad []byte) ([]byte, error) {
	return proof.OpenBox(text, aad, func(id uint8) (hpke.PrivateKey, bool) {
		k, ok := s.Ring.ByID(id)
		if !ok {
			return nil, false
		}
		return k.Box(), true
	})
}
