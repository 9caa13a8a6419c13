// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/proof"
	"github.com/countersign/countersign/internal/secret"
)

// SigningKeyRow is a signing key of a service as it is stored. Both halves are sealed with the service's data key: the private one is secret, and the
// public one must be ours.
type SigningKeyRow struct {
	Service uint32
	KID     string
	Public  []byte
	Sealed  []byte // nil when it is retired
	Makes   bool   // new signatures are made with it
}

// SigningStore keeps signing keys.
type SigningStore interface {
	// SigningKeys lists all of them, of each service the latest first.
	SigningKeys(ctx context.Context) ([]SigningKeyRow, error)
	// AddSigningKey adds a key. One that makes signatures is added only if the service has none that does.
	AddSigningKey(ctx context.Context, k SigningKeyRow, at time.Time) error
	// UseSigningKey has signatures made with a key that was added, and retires all others: their private halves are erased. It is ErrRotated when the
	// key was retired meanwhile.
	UseSigningKey(ctx context.Context, service uint32, kid string, at time.Time) error
}

// ErrRotated is the fault of a rotation during which another one ended.
var ErrRotated = fault.New(fault.Conflict, "rotated_meanwhile",
	"Somebody else gave this service a new signing key at the same time, which is in use now. Do it again only if you need another one.")

// Signer signs the service's proofs and tickets, and knows all keys that it ever signed with.
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

const (
	signingTable  = "signing_key"
	signingPublic = "public"
	signingSealed = "sealed"
)

// signingPlace is what a key's row is called in its seals.
func signingPlace(kid string) [16]byte {
	sum := sha256.Sum256([]byte(kid))
	return [16]byte(sum[:16])
}

// newSigningKey makes a key and seals it with a service's ring.
func newSigningKey(svc *Service, makes bool) (SigningKeyRow, error) {
	k, err := proof.NewKey()
	if err != nil {
		return SigningKeyRow{}, err
	}
	public, err := json.Marshal(k.Public())
	if err != nil {
		return SigningKeyRow{}, fault.As(fmt.Errorf("encode a signing key: %w", err))
	}
	private := k.Private() // to be sealed
	defer clear(private)
	keys, place := svc.Ring.Current(), signingPlace(k.KID())
	return SigningKeyRow{
		Service: svc.ID, KID: k.KID(), Makes: makes,
		Public: keys.Seal(signingTable, signingPublic, place, public), Sealed: keys.Seal(signingTable, signingSealed, place, private),
	}, nil
}

// openSigner opens the signing keys of a service. Without one that makes signatures the signer has none to sign with.
func openSigner(id uint32, ring *secret.Ring, rows []SigningKeyRow) (*proof.Signer, error) {
	var current *proof.Key
	var others []proof.JWK
	for i := range rows {
		row := &rows[i]
		if row.Service != id {
			continue
		}
		place := signingPlace(row.KID)
		if row.Makes {
			private, err := ring.Open(signingTable, signingSealed, place, row.Sealed)
			if err != nil {
				return nil, err
			}
			if current, err = proof.ParseKey(private); err != nil {
				return nil, err
			}
			clear(private)
			continue
		}
		public, err := ring.Open(signingTable, signingPublic, place, row.Public)
		if err != nil {
			return nil, err
		}
		k, err := proof.ParseJWK(public)
		if err != nil {
			return nil, err
		}
		others = append(others, k)
	}
	return proof.NewSigner(current, others...), nil
}

// addSigningKeys gives a key to every service that has none: services of versions before, and new ones. Of several nodes that do so at once one wins. It
// tells whether there is anything new to read. Whatever fails is left for the next time: a node whose database can't be written does all else that it can.
func (r *Registry) addSigningKeys(ctx context.Context) (added bool) {
	for _, svc := range r.state.Load().byID {
		if svc.signer.Ready() {
			continue
		}
		row, err := newSigningKey(svc, true)
		if err != nil {
			return added
		}
		if err := r.store.AddSigningKey(ctx, row, time.Now()); err != nil {
			return added
		}
		added = true
	}
	return added
}

// RotateSigning gives a service a new signing key, and after RotationPause has everything signed with it: by then every node knows it, so no node meets
// a ticket under a key that it doesn't know. The private halves of the older keys are erased; what they signed stays valid. When ctx ends in between, the
// key stays unused until the next rotation retires it. It returns the id of the new key.
//
// Faults: Conflict (rotated_meanwhile, keys_exhausted), Unavailable.
func (r *Registry) RotateSigning(ctx context.Context, svc *Service, now time.Time) (string, error) {
	if len(svc.Signer().Set().Keys) >= proof.MaxKeys {
		return "", fault.New(fault.Conflict, "keys_exhausted", fmt.Sprintf("This service has had all %d signing keys that it can have.", proof.MaxKeys))
	}
	row, err := newSigningKey(svc, false)
	if err != nil {
		return "", err
	}
	if err := r.store.AddSigningKey(ctx, row, now); err != nil {
		return "", err
	}
	if err := pause(ctx); err != nil {
		return "", err
	}
	if err := r.store.UseSigningKey(ctx, svc.ID, row.KID, now); err != nil {
		return "", err
	}
	return row.KID, r.Reload(ctx)
}

// pause waits for RotationPause.
func pause(ctx context.Context) error {
	t := time.NewTimer(RotationPause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fault.As(ctx.Err())
	}
}
