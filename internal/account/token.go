// SPDX-License-Identifier: Apache-2.0

package account

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// What tokens begin with, so that people and scanners for leaked secrets recognise them.
const (
	sessionPrefix = "session_"
	devicePrefix  = "known_"
	flowPrefix    = "flow_"
	undoPrefix    = "undo_"
)

const secretSize = 16 // bytes: 128 random bits

// token is an account, one of its things and a secret, as one text.
func token(prefix string, account ledger.ID, thing uint32, value []byte) secret.Text {
	b := binary.BigEndian.AppendUint32(append(make([]byte, 0, 16+4+secretSize), account[:]...), thing)
	return secret.NewText(secret.EncodeToken(prefix, append(b, value...)))
}

// parsed is a token taken apart. Nothing of it is proven yet.
type parsed struct {
	account ledger.ID
	thing   uint32
	value   []byte
}

func parseToken(prefix, text string, size int) (p parsed, ok bool) {
	raw, err := secret.DecodeToken(prefix, text)
	if err != nil || len(raw) != len(p.account)+4+size {
		return p, false
	}
	copy(p.account[:], raw)
	p.thing, p.value = binary.BigEndian.Uint32(raw[16:]), raw[20:]
	return p, true
}

func newSecret() []byte {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return b
}

func sameHash(a, b [16]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

func sessionHash(svc *service.Service, account ledger.ID, value []byte) [16]byte {
	return hash(svc, "session", account, value)
}

func deviceHash(svc *service.Service, account ledger.ID, value []byte) [16]byte {
	return hash(svc, "device", account, value)
}

// undoSecret is what an undo's notice carries to one contact. It is derived, so it is stored nowhere, and void when the undo is.
func undoSecret(svc *service.Service, account ledger.ID, u, c uint32) []byte {
	var n [8]byte
	binary.BigEndian.PutUint32(n[:4], u)
	binary.BigEndian.PutUint32(n[4:], c)
	mac := hash(svc, "undo", account, n[:])
	return mac[:undoSize]
}

// undoSize is 60 bits as 12 characters that people type, rounded up to whole bytes.
const undoSize = 8
