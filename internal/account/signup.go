// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// folded is the form of a contact that people sign in with: case makes no difference.
func folded(c contact.Contact) string { return foldedText(c.Reveal()) }

func foldedText(canonical string) string { return strings.ToLower(canonical) }

// lengthOf is what is remembered of a password's length: no more than whether it stands alone (S19).
func lengthOf(p secret.Text) uint16 {
	return uint16(min(utf8.RuneCountInString(p.Reveal()), password.MinAlone))
}

// minimum is how long a new password must be: shorter ones only beside a second step.
func minimum(svc *service.Service, b *body) int {
	if b.needsSecond() || svc.Policy.SecondStep == service.SecondStepRequired {
		return password.MinSecond
	}
	return password.MinAlone
}

// rules are the password rules for an account.
func rules(svc *service.Service, b *body, more ...string) password.Rules {
	r := password.Rules{Min: minimum(svc, b), Context: []string{svc.Name, svc.Domain}}
	for i := range b.Contacts {
		more = append(more, b.Contacts[i].Value)
	}
	for _, c := range more {
		local, _, _ := strings.Cut(c, "@")
		r.Context = append(r.Context, c, local)
	}
	return r
}

// Strength is a hint from 0 to 4 for somebody who chooses a password, and the fault if it wouldn't do.
func Strength(svc *service.Service, typed secret.Text) (int, error) {
	p := password.Normalise(typed.Reveal())
	r := rules(svc, &body{})
	return password.Strength(p, r), password.Check(p, r)
}

var errNoSignUp = fault.New(fault.Forbidden, "sign_up_closed", "This service makes its accounts itself.")

// SignUp sends a code to the contact of somebody who wants an account. Whether there is an account already is not told here: its owner
// is.
//
// Faults: Forbidden (the service makes its accounts itself), Invalid (password, contact, channel), TooMany, Unavailable.
func (a *Accounts) SignUp(ctx context.Context, svc *service.Service, named contact.Contact, typed secret.Text, v *Visitor) (*Step, error) {
	if !svc.Policy.SignUp {
		return nil, errNoSignUp
	}
	p := password.Normalise(typed.Reveal())
	if err := password.Check(p, rules(svc, &body{}, named.Reveal())); err != nil {
		return nil, err
	}
	who, err := a.find(ctx, svc, named)
	if err != nil {
		return nil, err
	}
	sum, err := a.Hasher.Hash(ctx, p)
	if err != nil {
		return nil, err
	}
	decoy := decoyKey(svc, who.login)
	f := a.begin(FlowSignUp, decoy.ID, nil, v)
	f.Contact, f.Hash, f.Length, f.Decoy = named.Reveal(), sum, lengthOf(p), who.exists()
	ways := f.named(svc)
	if len(ways) == 0 {
		return nil, errChannel
	}
	f.Way = ways[0].ID
	// The owner of a taken address is told, and a row is written whoever exists.
	err = a.change(ctx, svc, who.key, nil, func(d *decision) error {
		if !d.b.exists() {
			return nil
		}
		if at := d.lastNotice(message.SignUpTaken); d.at-at > hour {
			d.tellTo(message.SignUpTaken, v, named.Reveal())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a.send(ctx, svc, f, &body{}, v)
}

var errChannel = fault.New(fault.Invalid, "channel_disabled", "This service doesn't send codes to this kind of contact. Use another.").WithField("contact")

// newAccount makes the account of a sign-up that has proven its contact.
func (a *Accounts) newAccount(d *decision, f *flow, ans *Answer, out *outcome) error {
	c, err := contact.FromCanonical(f.Contact)
	if err != nil {
		return err
	}
	login := loginKey(d.svc, c)
	n := d.founded(f)
	if n.taken(login) {
		return errTaken // somebody was faster
	}
	n.b.Locale = f.Locale
	n.b.Password = passwordOf{Hash: f.Hash, ChangedAt: d.at, Length: f.Length}
	n.b.Contacts = []contactOf{{ID: n.b.next(), Value: f.Contact, Kind: c.Kind(), AddedAt: d.at, ProvenAt: d.at, ConfirmedAt: d.at}}
	n.note(entry{Kind: ActSignUp}, &ans.Visitor)
	out.done = n.startSession(f, &ans.Visitor, entrance{fresh: true, quiet: true, with: wayMethod(c.Kind())})
	d.tx.Put(login, &Login{Account: n.key.ID})
	d.tx.Put(n.key, sealRow(d.svc, n.key.ID, n.b, n.at))
	return nil
}

func wayMethod(k contact.Kind) Method {
	if k == contact.Email {
		return MethodEmail
	}
	return MethodSMS
}

var errTaken = fault.New(fault.Conflict, "contact_taken", "This contact belongs to an account already. Sign in, or use another.").WithField("contact")

// taken tells whether a contact's login, whose row is locked, is another account's, or still reserved for one.
func (d *decision) taken(login ledger.Key) bool {
	l, ok := d.tx.Get(login).(*Login)
	return ok && l.Account != d.key.ID && l.Former != d.key.ID && (l.Account != decoyKey(d.svc, login).ID || l.Until > d.at)
}

// founded begins the row of a new account, in the operation of d.
func (d *decision) founded(f *flow) *decision {
	return &decision{tx: d.tx, svc: d.svc, key: ledger.AccountOf(d.svc.ID, newAccountID(d.svc, f)), b: &body{CreatedAt: d.at, NextID: 1}, at: d.at}
}
