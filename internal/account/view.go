// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/service"
)

// View is an account as its owner sees it; for others contacts are masked.
type View struct {
	ID             string
	CreatedAt      time.Time
	Locale         string
	Role           Role
	State          State
	Reference      string
	TwoStep        bool
	TwoStepAt      time.Time
	MustTurnOn     bool // the service, or the role, asks for a second step, and there is none
	Password       PasswordView
	Contacts       []ContactView
	Apps           []ThingView
	Passkeys       []ThingView
	RecoveryLeft   int
	RecoveryMadeAt time.Time
	Ways           []Way // second steps, the default first
	Devices        []DeviceView
	Sessions       []SessionView
	Undos          []Change
	FrozenUntil    time.Time
	Reviewing      bool // a review of codes that nobody here asked for is under way
	Recovery       *RecoveryView
	SteppedUntil   time.Time // until when this session's proof counts for sensitive changes; zero: it doesn't
}

// PasswordView is what may be known of a password.
type PasswordView struct {
	Set       bool
	ChangedAt time.Time
	Alone     bool // long enough to protect the account alone
}

// ContactView is a contact.
type ContactView struct {
	ID          string
	Kind        contact.Kind
	Value       string // in full, for its owner only
	Masked      string
	Digits      string // the last two of a phone
	AddedAt     time.Time
	Proven      bool
	ConfirmedAt time.Time
	Bounced     bool
	Codes       bool // it takes codes as a second step
	CanCode     bool // the service would count that
	Name        string
	UsedAt      time.Time
}

// ThingView is an authenticator app or a passkey.
type ThingView struct {
	ID, Name        string
	AddedAt, UsedAt time.Time
}

// DeviceView is a browser or app that has signed in.
type DeviceView struct {
	ID, Name, Words, Place        string
	AddedAt, SeenAt, TrustedUntil time.Time
	Current                       bool
}

// SessionView is a place where somebody is signed in.
type SessionView struct {
	ID, Words, Place string
	AddedAt, SeenAt  time.Time
	Current, Second  bool
}

// RecoveryView is a recovery under way.
type RecoveryView struct {
	StartedAt, ReadyAt time.Time
	Weak               bool // with one proof: agents decide
	Approvals          int
	Proofs             []string // what it began with, which agents weigh: email, phone, password, recovery_code or device
}

// methodsOf names what was proven.
func (b *body) methodsOf(proofs []string) []string {
	all := make([]string, len(proofs))
	for i, p := range proofs {
		all[i] = "email"
		switch {
		case p == wayPassword:
			all[i] = string(MethodPassword)
		case p == wayRecovery:
			all[i] = string(MethodRecovery)
		case p[0] == wayDevice[0]:
			all[i] = "device"
		case slices.ContainsFunc(b.Contacts, func(c contactOf) bool { return sameTarget(p, thing('c', c.ID)) && c.Kind == contact.Phone }):
			all[i] = "phone"
		}
	}
	return all
}

// View shows an account to its owner.
func (a *Accounts) View(s *Signed) *View {
	return viewOf(s.Service, s.ID, s.b, &s.session, a.Ledger.Now(), true)
}

// viewOf shows an account. session is the one of the request; nil: none.
func viewOf(svc *service.Service, id ledger.ID, b *body, current *session, now time.Time, own bool) *View {
	v := &View{
		ID: FormatID(id), CreatedAt: moment(b.CreatedAt), Locale: b.Locale, Role: b.Role, State: b.State, Reference: b.Reference,
		TwoStep: b.TwoStepAt > 0, TwoStepAt: moment(b.TwoStepAt),
		MustTurnOn:   b.TwoStepAt == 0 && (svc.Policy.SecondStep == service.SecondStepRequired || b.Role != Customer),
		Password:     PasswordView{Set: b.Password.Hash != "", ChangedAt: moment(b.Password.ChangedAt), Alone: b.Password.Length >= password.MinAlone},
		RecoveryLeft: len(b.Recovery.Hashes), RecoveryMadeAt: moment(b.Recovery.MadeAt), Ways: seconds(svc, b), FrozenUntil: moment(b.Frozen),
		Reviewing: b.Review != nil,
	}
	for i := range b.Contacts {
		v.Contacts = append(v.Contacts, b.Contacts[i].view(svc, own))
	}
	for i := range b.Apps {
		p := &b.Apps[i]
		v.Apps = append(v.Apps, ThingView{thing('a', p.ID), p.Name, moment(p.AddedAt), moment(p.UsedAt)})
	}
	for i := range b.Passkeys {
		p := &b.Passkeys[i]
		v.Passkeys = append(v.Passkeys, ThingView{thing('p', p.ID), p.Name, moment(p.AddedAt), moment(p.UsedAt)})
	}
	b.placesOf(v, current, now)
	for i := range b.Undos {
		if b.Undos[i].Until > now.UnixMilli() {
			v.Undos = append(v.Undos, *b.Undos[i].change())
		}
	}
	if r := b.Run; r != nil && !r.over(now.UnixMilli()) {
		v.Recovery = &RecoveryView{StartedAt: moment(r.StartedAt), ReadyAt: moment(r.ReadyAt), Weak: r.Alone, Approvals: len(r.Agents), Proofs: b.methodsOf(r.Proofs)}
	}
	if current != nil {
		v.SteppedUntil = current.steppedUntil(svc, now)
	}
	return v
}

// placesOf adds devices and sessions, the latest first.
func (b *body) placesOf(v *View, current *session, now time.Time) {
	for _, d := range slices.Backward(b.Devices) {
		one := DeviceView{
			ID: thing('d', d.ID), Name: d.Name, Words: d.Words, Place: d.Place, AddedAt: moment(d.AddedAt), SeenAt: moment(d.SeenAt),
			Current: current != nil && current.Device == d.ID,
		}
		if d.Trusted > now.UnixMilli() {
			one.TrustedUntil = moment(d.Trusted)
		}
		v.Devices = append(v.Devices, one)
	}
	for _, s := range slices.Backward(b.Sessions) {
		if s.ExpiresAt > now.UnixMilli() {
			v.Sessions = append(v.Sessions, SessionView{
				ID: thing('s', s.ID), Words: s.Words, Place: s.Place, AddedAt: moment(s.AddedAt), SeenAt: moment(s.SeenAt),
				Current: current != nil && current.ID == s.ID, Second: s.Second,
			})
		}
	}
}

func (c *contactOf) view(svc *service.Service, own bool) ContactView {
	v := ContactView{
		ID: thing('c', c.ID), Kind: c.Kind, AddedAt: moment(c.AddedAt), Proven: c.ProvenAt > 0, ConfirmedAt: moment(c.ConfirmedAt),
		Bounced: c.BouncedAt > 0, Codes: c.Codes, CanCode: c.Kind == contact.Phone || svc.Policy.EmailIsSecondStep, Name: c.Name, UsedAt: moment(c.UsedAt),
	}
	to, err := c.contact()
	if err != nil {
		return v
	}
	v.Masked = to.MaskedShort()
	if c.Kind == contact.Phone {
		v.Digits = c.Value[len(c.Value)-2:]
	}
	if own {
		v.Value = c.Value
	}
	return v
}

// Export is everything that is kept of a person, for its owner. Secrets stay out: they would be worth stealing and tell nothing.
type Export struct {
	Account  *View   `json:"account"`
	Activity []Entry `json:"activity"`
}

// Export gives a person their data.
//
// Faults: Unavailable.
func (a *Accounts) Export(ctx context.Context, s *Signed) (*Export, error) {
	e := &Export{Account: a.View(s)}
	for before := uint32(0); ; {
		entries, older, err := a.Activity(ctx, s, before)
		if err != nil {
			return nil, err
		}
		e.Activity = append(e.Activity, entries...)
		if older == 0 {
			return e, nil
		}
		before = older
	}
}
