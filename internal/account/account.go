// SPDX-License-Identifier: Apache-2.0

// Package account owns the customers of a service: who they are, how they prove it, and what happened to their account.
//
// Everything that takes more than one request is a flow: signing up and in, a second step, a forgotten password, recovery, an undo,
// a new contact or method. A flow is a sealed text that the person's browser keeps; nothing of it is stored. Each call takes the
// flow and gives back a [Step]: what the person has to do next, with the flow to bring along then. So a surface needs five calls
// ([Accounts.Look], [Accounts.Choose], [Accounts.Send], [Accounts.Answer] and what begins the flow) whatever the person is doing.
//
// An account is one row: contacts, password, methods, devices, sessions, the latest activity, notices that wait. So a decision about
// it is one operation of the ledger, and single use of codes and counted tries hold whatever comes at once. A contact nobody
// signs in with has such a row, too, as soon as somebody tries: the same path, the same statements, whoever exists.
//
// It leaves codes and their budgets to the verification engine, words to message and to the surfaces, and what a service is to service.
package account

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// Codes is what accounts need of the verification engine.
type Codes interface {
	Begin(ctx context.Context, req verification.BeginRequest) (*verification.Begun, error)
	Check(ctx context.Context, req verification.CheckRequest) (*verification.Checked, error)
	Resend(ctx context.Context, req verification.ResendRequest) (*verification.View, error)
	Cancel(ctx context.Context, svc *service.Service, id ledger.ID) (*verification.View, error)
	Facts(ctx context.Context, svc *service.Service, id ledger.ID) (*verification.Facts, error)
	Disown(ctx context.Context, svc *service.Service, to contact.Contact) (int, error)
	Block(ctx context.Context, svc *service.Service, to contact.Contact, lasts time.Duration) error
	BlockedUntil(ctx context.Context, svc *service.Service, to contact.Contact) (time.Time, error)
	Sent(ctx context.Context, svc *service.Service, to contact.Contact, since time.Time, limit int) ([]verification.SentCode, error)
}

// Callers is what they need of the budgets of callers.
type Callers interface {
	Guess(svc *service.Service, caller verification.Caller, now time.Time) (func(), error)
	Send(svc *service.Service, caller verification.Caller, now time.Time) error
	Wrong(svc *service.Service, now time.Time)
}

// Hasher is what [password.Hasher] does. It is an interface so that a test can count the hashes that an answer costs.
type Hasher interface {
	Hash(ctx context.Context, p secret.Text) (string, error)
	Verify(ctx context.Context, hash string, p secret.Text) (right, outdated bool, err error)
}

// Options of New. All are needed.
type Options struct {
	Ledger   ledger.Ledger
	Codes    Codes
	Callers  Callers
	Services verification.Services
	Sender   verification.Sender // of notices
	Hasher   Hasher
	Origin   func(*service.Service) string                                      // of a service's pages: "https://acme.example"
	Erase    func(ctx context.Context, service uint32, subject ledger.ID) error // removes from the log what is said of somebody
}

// Accounts are the accounts of all services. All methods may be called concurrently, on any number of nodes.
type Accounts struct {
	Options
	turns  turns
	phrase func() string // draws the words of a call
}

// New returns the accounts.
func New(opt Options) *Accounts { return &Accounts{Options: opt, phrase: newPhrase} }

// Visitor is who asks, as a surface saw it. What it holds is stored sealed and told to the account's owner.
type Visitor struct {
	IP        string
	UserAgent string
	Device    string   // in words: "Chrome on Windows"
	Place     string   // in words: "near Lyon, France", or a network
	Language  string   // BCP 47
	Devices   []string // device tokens that the browser brought
}

func (v *Visitor) caller(proven bool) verification.Caller {
	return verification.Caller{IP: v.IP, Proven: proven}
}

func (v *Visitor) context() verification.RequestContext {
	return verification.RequestContext{IP: v.IP, UserAgent: clip(v.UserAgent, maxAgent), Device: clip(v.Device, maxWords), Place: clip(v.Place, maxWords)}
}

// Bounds of what an account holds. Who comes to one is told.
const (
	maxContacts = 8
	maxApps     = 5
	maxPasskeys = 20
	maxDevices  = 20  // the longest unseen gives way
	maxSessions = 50  // likewise
	maxUndos    = 12  // sensitive changes by a signed-in person that can still be undone; none gives way to a later one
	maxResets   = 4   // and as many more by a forgotten password or a recovery, so that a thief who is signed in can't use up the owner's
	maxRecent   = 24  // entries of activity in the row; half of them go to a page of their own when it is full
	maxNotices  = 160 // more than all contacts are told of all undos
	maxSpent    = 32
	maxName     = 60 // characters of what people call their things
	maxWords    = 80
	maxAgent    = 400
)

const (
	minute = int64(time.Minute / time.Millisecond)
	hour   = 60 * minute
	day    = 24 * hour
)

// flowLife is how long a flow may take; recovery has its own waiting time, which no flow spans.
const flowLife = 30 * minute

// IDPrefix starts the text of an account's id.
const IDPrefix = "acc_"

// FormatID is the public text of an account's id.
func FormatID(id ledger.ID) string { return IDPrefix + id.String() }

// ParseID reads what FormatID wrote. Anything else is the same fault as an id that nobody has.
func ParseID(text string) (ledger.ID, error) {
	var id ledger.ID
	if len(text) != len(IDPrefix)+32 || text[:len(IDPrefix)] != IDPrefix {
		return id, errNoAccount
	}
	if _, err := hex.Decode(id[:], []byte(text[len(IDPrefix):])); err != nil || FormatID(id) != text {
		return ledger.ID{}, errNoAccount
	}
	return id, nil
}

// The faults that surfaces tell apart.
var (
	errNoAccount = fault.New(fault.NotFound, "account_not_found", "There is no such account.")
	// ErrSignedOut is the fault of a session that isn't there (any more).
	ErrSignedOut = fault.New(fault.Unauthorized, "signed_out", "You are signed out. Sign in again.")
	// ErrStepUp asks for a proof before a sensitive change.
	ErrStepUp = fault.New(fault.Forbidden, "step_up_needed", "Prove that it is you before you change this.")
	// ErrFlow is the fault of a flow that can't go on: too old, changed, or overtaken.
	ErrFlow = fault.New(fault.Ended, "flow_ended", "This took too long or was overtaken by something else. Begin again.")
	// ErrSpent is the fault of a flow that has reached its end, perhaps in another tab.
	ErrSpent   = fault.New(fault.Ended, "flow_spent", "This has been done already, perhaps in another tab.")
	errFrozen  = fault.New(fault.Conflict, "changes_frozen", "An undo of a recent change is under way. Until it is settled nothing else can be changed here.")
	errLocked  = fault.New(fault.Forbidden, "account_locked", "This account is locked. Contact support.")
	errTooMany = fault.New(fault.Conflict, "too_many", "There are as many of these as an account can have. Remove one first.")
	errChanges = fault.New(fault.Conflict, "too_many_changes",
		"So much was changed in the last three days that no more can be kept for an undo. Undo a change that wasn't you, or come back later.")
)

// decision is what happens to one account in one operation.
type decision struct {
	tx  *ledger.Tx
	svc *service.Service
	key ledger.Key
	b   *body
	at  int64  // Unix milliseconds
	by  uint32 // the session that asks; 0: none
}

// change runs fn on an account's locked row and writes what it became. Keys names further rows that fn reads. When fn fails, nothing
// is written. fn may run more than once.
func (a *Accounts) change(ctx context.Context, svc *service.Service, key ledger.Key, keys []ledger.Key, fn func(*decision) error) error {
	var due []message.Outgoing
	err := a.Ledger.Do(ctx, ledger.Op{Keys: append([]ledger.Key{key}, keys...), Apply: func(tx *ledger.Tx) error {
		due = due[:0]
		b, updated, err := openRow(svc, key.ID, tx.Get(key))
		if err != nil {
			return err
		}
		d := &decision{tx: tx, svc: svc, key: key, b: b, at: max(tx.Now().UnixMilli(), updated)}
		if err := fn(d); err != nil {
			return err
		}
		d.tidy()
		if due, err = a.lease(d); err != nil {
			return err
		}
		tx.Put(key, sealRow(svc, key.ID, d.b, d.at))
		return nil
	}})
	if err != nil {
		return err
	}
	for i := range due {
		a.Sender.Enqueue(due[i]) // if it is full, the notice is found again when its lease has run out
	}
	return nil
}

// existing is change for an account that has to be there and open.
func (a *Accounts) existing(ctx context.Context, svc *service.Service, id ledger.ID, keys []ledger.Key, fn func(*decision) error) error {
	return a.change(ctx, svc, ledger.AccountOf(svc.ID, id), keys, func(d *decision) error {
		if !d.b.exists() || d.b.State == Closed {
			return errNoAccount
		}
		return fn(d)
	})
}

// read returns an account as it was last committed.
func (a *Accounts) read(ctx context.Context, svc *service.Service, id ledger.ID) (*body, error) {
	v, err := a.Ledger.Read(ctx, ledger.AccountOf(svc.ID, id))
	if err != nil {
		return nil, err
	}
	b, _, err := openRow(svc, id, v)
	return b, err
}

// found is what is known of somebody who named a contact.
type found struct {
	contact contact.Contact
	login   ledger.Key
	key     ledger.Key // of the account's row, or of the one that only counts
	former  ledger.ID  // whose contact it was until it was removed; zero: nobody's
	b       *body
}

// find reads the account that a contact signs in to, in one statement whether there is one or not.
func (a *Accounts) find(ctx context.Context, svc *service.Service, c contact.Contact) (*found, error) {
	f := &found{contact: c, login: loginKey(svc, c)}
	f.key = decoyKey(svc, f.login)
	l, row, err := a.Ledger.ReadLogin(ctx, f.login, f.key)
	if err != nil {
		return nil, err
	}
	if l, ok := l.(*Login); ok {
		f.key, f.former = ledger.AccountOf(svc.ID, l.Account), l.Former
	}
	f.b, _, err = openRow(svc, f.key.ID, row)
	return f, err
}

// exists tells whether the contact signs in to somebody's account.
func (f *found) exists() bool { return f.b.exists() }

// tidy forgets what is over.
func (d *decision) tidy() {
	b := d.b
	b.Spent = keep(b.Spent, func(s spent) bool { return s.Until > d.at })
	b.Sessions = keep(b.Sessions, func(s session) bool { return s.ExpiresAt > d.at })
	b.Undos = keep(b.Undos, func(u undo) bool { return u.Until > d.at })
	b.Mailed = keep(b.Mailed, func(m mailed) bool { return m.At+mailedLife > d.at })
	b.Mailed = b.Mailed[max(0, len(b.Mailed)-maxMailed):]
	if b.Run != nil && b.Run.over(d.at) {
		b.Run = nil
	}
	if b.Frozen <= d.at {
		b.Frozen = 0
	}
	if b.Call.stage(d.at) == CallNone {
		b.Call = nil
	}
	d.page()
}

// keep filters in place what a decision owns.
func keep[T any](all []T, wanted func(T) bool) []T {
	kept := all[:0]
	for _, v := range all {
		if wanted(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// clip bounds text that others supply, whole characters only.
func clip(s string, most int) string { return message.Word(s, most) }
