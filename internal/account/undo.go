// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// undoLife is how long a sensitive change can be undone.
const undoLife = 72 * hour

// undo is a sensitive change that can still be undone.
type undo struct {
	ID     uint32             `cbor:"1,keyasint"`
	At     int64              `cbor:"2,keyasint"`
	Until  int64              `cbor:"3,keyasint"`
	Kind   message.NoticeKind `cbor:"4,keyasint"`
	What   string             `cbor:"5,keyasint,omitempty"`
	Asked  string             `cbor:"6,keyasint,omitempty"`
	Before before             `cbor:"7,keyasint"`
	By     uint32             `cbor:"8,keyasint,omitempty"` // the session that made it
}

// before is what an undo restores.
type before struct {
	Password  passwordOf    `cbor:"1,keyasint"`
	Contacts  []contactOf   `cbor:"2,keyasint,omitempty"`
	TwoStepAt int64         `cbor:"3,keyasint,omitempty"`
	Default   string        `cbor:"4,keyasint,omitempty"`
	Apps      []app         `cbor:"5,keyasint,omitempty"`
	Passkeys  []passkey     `cbor:"6,keyasint,omitempty"`
	Recovery  recoveryCodes `cbor:"7,keyasint"`
}

// Change is a sensitive change as its undo shows it.
type Change struct {
	Kind  message.NoticeKind
	What  string
	At    time.Time
	Until time.Time
	Asked string // from what device, about where
}

// changing makes a sensitive change that every contact of before is told of and can undo. An undo that still counts is never dropped for it:
// otherwise a thief would make the owner's link void by changing more. So the change is refused when there are too many.
func (d *decision) changing(kind message.NoticeKind, what string, v *Visitor, fn func()) error {
	b := d.b
	most := maxUndos
	if d.by == 0 || kind == message.AccountClosed {
		most += maxResets
	}
	b.Undos = keep(b.Undos, func(u undo) bool { return u.Until > d.at })
	if len(b.Undos) >= most {
		return errChanges
	}
	u := undo{
		ID: b.next(), At: d.at, Until: d.at + undoLife, Kind: kind, What: what, Asked: v.words(), By: d.by,
		Before: before{
			Password: b.Password, Contacts: slices.Clone(b.Contacts), TwoStepAt: b.TwoStepAt, Default: b.Default,
			Apps: slices.Clone(b.Apps), Passkeys: slices.Clone(b.Passkeys), Recovery: b.Recovery,
		},
	}
	fn()
	b.Undos = append(b.Undos, u)
	d.queueAll(u.Before.Contacts, notice{Kind: kind, What: what, Asked: u.Asked, Until: u.Until, Undo: u.ID, Page: pageUndo})
	return nil
}

// Where a notice's token is typed or pressed.
const (
	pageUndo = "undo"
	pageStop = "stop"
)

// linkToken is what a notice's link carries: account, undo or recovery, contact, secret.
func linkToken(svc *service.Service, account ledger.ID, u, c uint32) secret.Text {
	value := binary.BigEndian.AppendUint32(nil, c)
	return token(undoPrefix, account, u, append(value, undoSecret(svc, account, u, c)...))
}

// typedKey is the same secret as people type it, together with the contact.
func typedKey(svc *service.Service, account ledger.ID, u, c uint32) string {
	text := strings.ToUpper(secret.EncodeToken("", undoSecret(svc, account, u, c)))
	return text[:4] + "-" + text[4:8] + "-" + text[8:]
}

// opened is a notice's token that was found good.
type opened struct {
	account ledger.ID
	thing   uint32 // the undo or recovery
	contact uint32 // whose token it is
	b       *body
}

var errLink = fault.New(fault.Ended, "link_ended", "This can no longer be done: it is too late, or it has been done already.")

// open reads a link's token.
func (a *Accounts) open(ctx context.Context, svc *service.Service, text string) (*opened, error) {
	p, ok := parseToken(undoPrefix, text, 4+undoSize)
	if !ok {
		return nil, errLink
	}
	c := binary.BigEndian.Uint32(p.value)
	if !sameBytes(undoSecret(svc, p.account, p.thing, c), p.value[4:]) {
		return nil, errLink
	}
	b, err := a.read(ctx, svc, p.account)
	if err != nil {
		return nil, err
	}
	return &opened{p.account, p.thing, c, b}, nil
}

// LinkToken finds the token of a link for somebody who types the key of a text and the contact that got it. Guessing is counted
// for the caller.
//
// Faults: Ended (no such key: the same fault whether there is such an account), TooMany, Unavailable.
func (a *Accounts) LinkToken(ctx context.Context, svc *service.Service, named contact.Contact, typed string, v *Visitor) (secret.Text, error) {
	refund, err := a.Callers.Guess(svc, v.caller(false), a.Ledger.Now())
	if err != nil {
		return secret.Text{}, err
	}
	who, err := a.find(ctx, svc, named)
	if err != nil {
		return secret.Text{}, err
	}
	id, b := who.key.ID, who.b
	if !who.former.IsZero() {
		id = who.former
		if b, err = a.read(ctx, svc, id); err != nil {
			return secret.Text{}, err
		}
	}
	key := plainKey(typed)
	for _, t := range b.links(folded(named)) {
		if sameBytes([]byte(plainKey(typedKey(svc, id, t.thing, t.contact))), []byte(key)) {
			refund()
			return linkToken(svc, id, t.thing, t.contact), nil
		}
	}
	a.Callers.Wrong(svc, a.Ledger.Now())
	return secret.Text{}, errLink
}

func plainKey(typed string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToUpper(clip(typed, 100)))
}

// links are the undos and the recovery that a contact has a token for.
func (b *body) links(named string) (all []opened) {
	for i := range b.Undos {
		for _, c := range b.Undos[i].Before.Contacts {
			if foldedText(c.Value) == named {
				all = append(all, opened{thing: b.Undos[i].ID, contact: c.ID})
			}
		}
	}
	for _, c := range b.Contacts {
		if b.Run != nil && foldedText(c.Value) == named {
			all = append(all, opened{thing: b.Run.ID, contact: c.ID})
		}
	}
	return all
}

// LookLink tells what a link's token would undo or stop. It changes nothing: mail scanners open links.
//
// Faults: Ended, Unavailable.
func (a *Accounts) LookLink(ctx context.Context, svc *service.Service, text string) (*Change, error) {
	o, err := a.open(ctx, svc, text)
	if err != nil {
		return nil, err
	}
	if r := o.b.Run; r != nil && r.ID == o.thing {
		return &Change{Kind: message.RecoveryStarted, At: moment(r.StartedAt), Until: moment(r.ReadyAt), Asked: r.Asked}, nil
	}
	if u := o.b.undo(o.thing, a.now()); u != nil {
		return u.change(), nil
	}
	return nil, errLink
}

func (u *undo) change() *Change {
	return &Change{Kind: u.Kind, What: u.What, At: moment(u.At), Until: moment(u.Until), Asked: u.Asked}
}

func (b *body) undo(id uint32, at int64) *undo {
	for i := range b.Undos {
		if b.Undos[i].ID == id && b.Undos[i].Until > at {
			return &b.Undos[i]
		}
	}
	return nil
}

func (f *flow) undo(b *body) *undo {
	for i := range b.Undos {
		if f.Kind == FlowUndo && b.Undos[i].ID == f.Undo {
			return &b.Undos[i]
		}
	}
	return nil
}

// Undo begins an undo: changes are frozen, and the session that made the change and those begun since are ended at once; what was before comes
// back with a proof that is older than the change and isn't the contact whose token this is (the old phone may be the thief's).
//
// Faults: Ended, Unavailable.
func (a *Accounts) Undo(ctx context.Context, svc *service.Service, text string, v *Visitor) (*Step, error) {
	o, err := a.open(ctx, svc, text)
	if err != nil {
		return nil, err
	}
	f := a.begin(FlowUndo, o.account, o.b, v)
	f.Undo, f.By = o.thing, o.contact
	var b *body
	err = a.change(ctx, svc, ledger.AccountOf(svc.ID, o.account), nil, func(d *decision) error {
		u := d.b.undo(o.thing, d.at)
		if u == nil {
			return errLink
		}
		d.b.Frozen = max(d.b.Frozen, u.Until)
		d.b.Sessions = keep(d.b.Sessions, func(s session) bool { return s.AddedAt < u.At && s.ID != u.By })
		d.note(entry{Kind: ActUndoBegun, What: u.What}, v)
		f.Epoch = d.b.Epoch
		b = d.b
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a.step(ctx, svc, f, b)
}

// older are the proofs that are older than the change.
func (f *flow) older(svc *service.Service, b *body) []Way {
	u := f.undo(b)
	if u == nil {
		return nil
	}
	then := &body{
		Password: u.Before.Password, Contacts: slices.Clone(u.Before.Contacts), Default: u.Before.Default, Apps: u.Before.Apps,
		Passkeys: u.Before.Passkeys, Recovery: u.Before.Recovery, TwoStepAt: 1,
	}
	then.Contacts = slices.DeleteFunc(then.Contacts, func(c contactOf) bool { return c.ID == f.By })
	for i := range then.Contacts {
		then.Contacts[i].Codes = true // any contact that was proven then
	}
	all := seconds(svc, then)
	if len(u.Before.Apps)+len(u.Before.Passkeys) == 0 && u.Before.TwoStepAt == 0 && then.Password.Hash != "" {
		// Where there were second steps, somebody with the old phone and the old password could otherwise take back what
		// its owner did against them.
		all = append(all, Way{ID: wayPassword, Method: MethodPassword})
	}
	return all
}

// former is what an undo would restore; of other flows nothing.
func (f *flow) former(b *body) *before {
	if u := f.undo(b); u != nil {
		return &u.Before
	}
	return &before{}
}

// oldHash is the password that counts for a flow: an undo asks for the one of before.
func (f *flow) oldHash(b *body) string {
	if u := f.undo(b); u != nil {
		return u.Before.Password.Hash
	}
	return b.Password.Hash
}

// undone restores what was before the change, and with it before all later ones.
func (a *Accounts) undone(d *decision, f *flow, ans *Answer, out *outcome) error {
	u := f.undo(d.b)
	if u == nil {
		return errLink
	}
	if err := d.spend(f); err != nil {
		return err
	}
	what, was, b := u.Kind, u.Before, d.b
	// Those of earlier changes stay: else a thief would make the owner's link void by undoing a later change of their own.
	b.Undos = keep(b.Undos, func(o undo) bool { return o.ID < f.Undo })
	if err := d.moveLogins(b.Contacts, was.Contacts); err != nil {
		return err
	}
	since := u.At
	b.Password, b.Contacts, b.TwoStepAt, b.Default = was.Password, was.Contacts, was.TwoStepAt, was.Default
	b.Apps, b.Passkeys, b.Recovery = was.Apps, was.Passkeys, was.Recovery
	b.Frozen, b.Run = 0, nil
	if b.State == Closed {
		b.State, b.ClosedAt = Open, 0
	}
	// Somebody who shouldn't has been signed in, and since when isn't known: everybody proves themselves once more, on every device.
	b.Sessions = nil
	b.Devices = keep(b.Devices, func(o device) bool { return o.AddedAt < since })
	for i := range b.Devices {
		b.Devices[i].Trusted, b.Devices[i].Step2 = 0, false
	}
	b.Epoch++
	d.right(nil)
	d.note(entry{Kind: ActUndone, What: what.String()}, &ans.Visitor)
	d.tell(message.Undone, &ans.Visitor, "")
	out.done = d.startSession(f, &ans.Visitor, entrance{second: b.TwoStepAt > 0, fresh: true, quiet: true})
	return nil
}

// moveLogins makes the logins of an account those of other contacts. The rows are locked.
func (d *decision) moveLogins(from, to []contactOf) error {
	has := func(all []contactOf, value string) bool {
		return slices.ContainsFunc(all, func(c contactOf) bool { return foldedText(c.Value) == foldedText(value) })
	}
	for i := range from {
		if c := &from[i]; !has(to, c.Value) {
			if err := d.freeLogin(c, max(d.at, d.b.undoableWith(c))); err != nil {
				return err
			}
		}
	}
	for i := range to {
		c, err := to[i].contact()
		if err != nil {
			return err
		}
		key := loginKey(d.svc, c)
		if l, ok := d.tx.Get(key).(*Login); ok && l.Account != d.key.ID && l.Former != d.key.ID {
			return errTaken
		}
		d.tx.Put(key, &Login{Account: d.key.ID})
	}
	return nil
}

// undoableWith is until when an undo could bring a contact back; 0: none could.
func (b *body) undoableWith(c *contactOf) (until int64) {
	for i := range b.Undos {
		if slices.ContainsFunc(b.Undos[i].Before.Contacts, func(o contactOf) bool { return foldedText(o.Value) == foldedText(c.Value) }) {
			until = max(until, b.Undos[i].Until)
		}
	}
	return until
}

// freeLogin takes a contact's login away. Until a time it stays reserved, so that an undo can bring it back. One that has become another account's since
// stays theirs.
func (d *decision) freeLogin(c *contactOf, until int64) error {
	to, err := c.contact()
	if err != nil {
		return err
	}
	key := loginKey(d.svc, to)
	if l, ok := d.tx.Get(key).(*Login); ok && l.Account != d.key.ID && l.Former != d.key.ID {
		return nil
	}
	d.tx.Put(key, &Login{Account: decoyKey(d.svc, key).ID, Former: d.key.ID, Until: until})
	return nil
}

func sameBytes(a, b []byte) bool { return secret.NewBytes(a).Equal(secret.NewBytes(b)) }
