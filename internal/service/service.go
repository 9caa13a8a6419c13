// SPDX-License-Identifier: Apache-2.0

// Package service owns what a brand that sends codes is: its name and domain, its policy, its keys
// and its API keys, and the registry from which every request takes them.
//
// It leaves to others how they are stored (a [Store]) and what is done with them (the
// verification engine, the surfaces).
package service

import (
	"time"

	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/proof"
	"github.com/countersign/countersign/internal/secret"
)

// Channel is the way in which a message travels.
type Channel string

// The channels. The names are stored and never change.
const (
	SMS   Channel = "sms"
	Email Channel = "email"
	Voice Channel = "voice"
)

// Purpose is what a verification is for.
type Purpose string

// The purposes. The names are stored and never change.
const (
	SignUp        Purpose = "sign_up"
	SignIn        Purpose = "sign_in"
	Transaction   Purpose = "transaction"
	ContactChange Purpose = "contact_change"
	Recovery      Purpose = "recovery"
	Custom        Purpose = "custom"
)

// Purposes lists all purposes in the order of their stored numbers, from 1.
func Purposes() []Purpose {
	return []Purpose{SignUp, SignIn, Transaction, ContactChange, Recovery, Custom}
}

// Channels lists all channels in the order of their stored numbers, from 1.
func Channels() []Channel { return []Channel{SMS, Email, Voice} }

// NeedsSixDigits tells whether a code for this purpose must have at least six digits (NIST SP
// 800-63B-4, out-of-band verifiers).
func (p Purpose) NeedsSixDigits() bool { return p == SignIn || p == Recovery || p == Transaction }

// Service is a brand that sends codes. It is a snapshot: never changed after it was made, so that
// a request sees one policy from start to end.
type Service struct {
	ID     uint32
	Slug   string // its name in URLs, configuration and commands: letters, digits and dashes
	Name   string // its name in messages: at most MaxName characters
	Domain string // the host its pages are on, for the origin-bound last line; may be empty
	Locale string // BCP 47, of its messages when the caller names none
	Policy Policy
	Brand  Brand
	Ring   *secret.Ring

	derivers map[uint8]*otp.Deriver
	signer   *proof.Signer
	senders  []Sender // of the installation
}

// MaxName is the longest Service.Name in characters: it has to leave room in one SMS segment.
const MaxName = 11

// New completes a service from its stored form and its unwrapped keys.
func New(s Service, ring *secret.Ring) *Service {
	s.Ring = ring
	s.derivers = make(map[uint8]*otp.Deriver)
	if s.signer == nil {
		s.signer = proof.NewSigner(nil)
	}
	for _, k := range ring.All() {
		s.derivers[k.ID()] = otp.NewDeriver(k.CodeKey())
	}
	return &s
}

// Deriver makes the codes of ids that carry keyID; nil if the service has no such key.
func (s *Service) Deriver(keyID uint8) *otp.Deriver { return s.derivers[keyID] }

// Scope is what an API key may do. A scope includes none of the others.
type Scope string

// The scopes.
const (
	ScopeVerify  Scope = "verify"  // begin, check, resend, cancel, read verifications
	ScopeManage  Scope = "manage"  // the service's settings and API keys
	ScopeSupport Scope = "support" // what support needs: status with messages, cancel
	ScopeRead    Scope = "read"    // read verifications and the events feed
	ScopeAccount Scope = "account" // make, read, lock and close accounts, add to their activity

	ScopeHandover Scope = "handover" // make hand-overs and rounds, act for couriers, read proofs
)

// Scopes lists all scopes.
func Scopes() []Scope {
	return []Scope{ScopeVerify, ScopeManage, ScopeSupport, ScopeRead, ScopeAccount, ScopeHandover}
}

// APIKey is a key as it is stored: never the key, only its hash.
type APIKey struct {
	ID        string // public; part of the key's text
	Service   uint32
	Name      string // what its owner calls it
	Hash      [32]byte
	Scopes    []Scope
	CreatedAt time.Time
	RevokedAt time.Time // zero: it works
}

// Has tells whether the key carries one of the scopes.
func (k *APIKey) Has(any ...Scope) bool {
	for _, have := range k.Scopes {
		for _, want := range any {
			if have == want {
				return true
			}
		}
	}
	return false
}
