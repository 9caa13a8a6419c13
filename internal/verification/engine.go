// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// Sender takes messages that are written down and due. It must not block; false means that it is
// full, and the message will be offered again when its lease has run out.
type Sender interface {
	Enqueue(m message.Outgoing) bool
}

// Services finds the service of a row that woke by itself.
type Services interface {
	ByID(id uint32) (*service.Service, bool)
}

// Engine runs verifications. All methods may be called concurrently, on any number of nodes.
type Engine struct {
	ledger   ledger.Ledger
	services Services
	sender   Sender
	callers  *Callers
	arrivals arrivals
	list     Lister
	bounced  func(ctx context.Context, svc *service.Service, account ledger.ID, to contact.Contact)
}

// OnBounce has fn told when a code can't reach a contact of an account: no such number or mailbox, or one that refuses us. Call it before the
// first message.
func (e *Engine) OnBounce(fn func(ctx context.Context, svc *service.Service, account ledger.ID, to contact.Contact)) {
	e.bounced = fn
}

// unreachable tells whoever asked that a row's contact can't be reached.
func (e *Engine) unreachable(ctx context.Context, key ledger.Key, r *Record) {
	if e.bounced == nil || r == nil || r.Account.IsZero() {
		return
	}
	svc, ok := e.services.ByID(key.Service)
	if !ok {
		return
	}
	if to, err := openContact(svc, key.ID, r); err == nil {
		e.bounced(ctx, svc, r.Account, to)
	}
}

// hopeless tells whether an outcome says that the contact itself is the trouble.
func hopeless(o message.Outcome) bool {
	return o == message.Unreachable || o == message.ContactKind || o == message.Blocked
}

// New returns an engine. The sender reports back to it (it is a message.Outbox).
func New(l ledger.Ledger, services Services, sender Sender, callers *Callers) *Engine {
	return &Engine{ledger: l, services: services, sender: sender, callers: callers}
}

// Lease is how long a message belongs to the node that wrote it down; then any node sends it.
const Lease = 20 * time.Second

// SendMargin is how long before the code's own end a message is no longer worth sending.
const SendMargin = 30 * time.Second

// Caller is who asks, as the application reports it. All fields may be empty.
type Caller struct {
	IP          string // of the person, not of the application
	Device      string // an id that the application gives a browser or app
	Session     string // likewise for a session
	DeviceToken string // what an earlier approval left with this caller
	Proven      bool   // the account's own device, as the accounts found out: as good as a device token
}

// RequestContext is what the person is told, and support sees, of the request that made a code.
// It is kept sealed.
type RequestContext struct {
	IP        string `cbor:"1,keyasint,omitempty"`
	UserAgent string `cbor:"2,keyasint,omitempty"`
	Device    string `cbor:"3,keyasint,omitempty"` // in words: "Chrome on Windows"
	Place     string `cbor:"4,keyasint,omitempty"` // in words: "near Lyon"
	Note      string `cbor:"5,keyasint,omitempty"` // of the application
}

// Detail is what a transaction's code is bound to. Both are compared to the letter.
type Detail struct {
	Amount string `cbor:"1,keyasint"` // as the person reads it: "EUR 39.99"
	Payee  string `cbor:"2,keyasint"`
}

// Idempotency makes a repeated request the same request. The zero value means no key.
type Idempotency struct {
	APIKey string // keys of one API key are apart from all others'
	Route  string
	Key    string
	Body   []byte // canonical: equal for equal requests
}

// sealing names of the columns that hold sealed values.
const (
	tableVerification = "verification"
	tableReply        = "idempotency"
	columnContact     = "contact"
	columnDetails     = "details"
	columnSupplied    = "supplied"
	columnContext     = "context"
	columnAnswer      = "answer"
)

// known tells whether the caller was approved for this contact before.
func known(svc *service.Service, caller *Caller, owner ledger.ID, epoch uint32) bool {
	token := caller.DeviceToken
	if caller.Proven {
		return true
	}
	if token == "" {
		return false
	}
	raw, err := secret.DecodeToken(devicePrefix, token)
	if err != nil || len(raw) != 1+tokenMAC {
		return false
	}
	keys, ok := svc.Ring.ByID(raw[0])
	if !ok {
		return false
	}
	mac := deviceMAC(keys, owner, epoch)
	return subtle.ConstantTimeCompare(mac[:], raw[1:]) == 1
}

const (
	devicePrefix = "device_"
	flowPrefix   = "flow_"
	tokenMAC     = 20 // bytes of a MAC in a token: 160 bits
)

// deviceToken is what an approval leaves with a caller: it has no row of its own and ends with the
// contact's epoch.
func deviceToken(svc *service.Service, owner ledger.ID, epoch uint32) string {
	keys := svc.Ring.Current()
	mac := deviceMAC(keys, owner, epoch)
	return secret.EncodeToken(devicePrefix, append([]byte{keys.ID()}, mac[:]...))
}

func deviceMAC(keys *secret.Keys, owner ledger.ID, epoch uint32) (out [tokenMAC]byte) {
	e := [4]byte{byte(epoch >> 24), byte(epoch >> 16), byte(epoch >> 8), byte(epoch)}
	mac := keys.MAC(secret.LabelDevice, owner[:], e[:])
	copy(out[:], mac[:])
	return out
}

// flowSecret is what shows that somebody is the one who began the verification. It is derived, so
// checking it needs no read.
func flowSecret(svc *service.Service, id ledger.ID) (string, bool) {
	keys, ok := svc.Ring.ByID(keyOf(id))
	if !ok {
		return "", false
	}
	mac := keys.MAC(secret.LabelFlow, id[:])
	return secret.EncodeToken(flowPrefix, mac[:tokenMAC]), true
}

// VerifyFlow tells whether text is the flow secret of the verification, in constant time.
func VerifyFlow(svc *service.Service, id ledger.ID, text string) bool {
	want, ok := flowSecret(svc, id)
	return ok && subtle.ConstantTimeCompare([]byte(want), []byte(text)) == 1
}

// indexOf is the contact's blind index: of its stricter form, so that aliases of one mailbox share
// one row and one budget.
func indexOf(svc *service.Service, c contact.Contact) ledger.ID {
	return ledger.ID(svc.Ring.IndexKeys()[0].Index(byte(c.Kind()), c.Strict()))
}

// openContact reads the sealed contact of a row.
func openContact(svc *service.Service, id ledger.ID, r *Record) (contact.Contact, error) {
	plain, err := svc.Ring.Open(tableVerification, columnContact, id, r.Contact)
	if err != nil {
		return contact.Contact{}, fault.As(err)
	}
	return contact.FromCanonical(string(plain))
}

// bindingMAC is what a check's details are compared by.
func bindingMAC(keys *secret.Keys, id ledger.ID, d Detail) []byte {
	mac := keys.MAC(secret.LabelBinding, id[:], []byte(d.Amount), []byte(d.Payee))
	return mac[:16]
}

func suppliedMAC(keys *secret.Keys, id ledger.ID, code otp.Code) []byte {
	mac := keys.MAC(secret.LabelSupplied, id[:], []byte(code.Reveal()))
	return mac[:16]
}

// load returns the row of a verification and of its contact as the operations before left them.
// A missing contact row is a fresh one: rows whose windows have all passed are removed.
func load(tx *ledger.Tx, key ledger.Key) (*Record, *Contact, bool) {
	r, ok := tx.Get(key).(*Record)
	if !ok {
		return nil, nil, false
	}
	return r, loadContact(tx, contactKey(key.Service, r.ContactID)), true
}

func loadContact(tx *ledger.Tx, key ledger.Key) *Contact {
	if c, ok := tx.Get(key).(*Contact); ok {
		return c
	}
	return &Contact{}
}

// save writes both rows back at the time at.
func save(tx *ledger.Tx, key ledger.Key, r *Record, c *Contact, at int64) {
	r.UpdatedAt = max(r.UpdatedAt, at)
	tx.Put(key, r)
	if c != nil {
		c.UpdatedAt = max(c.UpdatedAt, at)
		tx.Put(contactKey(key.Service, r.ContactID), c)
	}
}

// concluded writes down that r has ended: its place is free, its event is told.
func concluded(tx *ledger.Tx, key ledger.Key, r *Record, c *Contact, at int64) {
	c.leave(key.ID)
	c.remember(key.ID)
	save(tx, key, r, c, at)
	tx.Event(event(endEvent(r.Status), key, r, -1, at))
}

// do runs one operation with its idempotency key, if it has one.
func (e *Engine) do(ctx context.Context, svc *service.Service, idem Idempotency, op ledger.Op, out *answer) error {
	if idem.Key == "" {
		return e.ledger.Do(ctx, op)
	}
	return e.ledger.Do(ctx, replayable(svc, idem, op, out))
}
