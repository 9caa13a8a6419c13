// SPDX-License-Identifier: Apache-2.0

package account

import (
	"cmp"
	"context"
	"slices"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// The faults of settings.
var (
	errLastMethod = fault.New(fault.Conflict, "last_method",
		"This is the last way to get a second step. Add another first, or turn two-step verification off.")
	errLastContact = fault.New(fault.Conflict, "last_contact", "This is the last contact that has been proven. Add another first.")
	// ErrStandsAlone is the fault of turning two-step verification off behind a short password (S19).
	ErrStandsAlone = fault.New(fault.Conflict, "password_stands_alone",
		"Without the second step your password has to stand alone. Choose one of at least 15 characters first.")
	errRequired = fault.New(fault.Conflict, "second_step_required", "This service asks for a second step, so it can't be turned off.")
)

// Enable begins two-step verification by codes to a contact of the account (or the adding of such a contact's codes to it): the code has
// to arrive before it counts.
//
// Faults: Unauthorized, Forbidden (ErrStepUp), NotFound (no such contact), Conflict (the service doesn't count it), Unavailable.
func (a *Accounts) Enable(ctx context.Context, s *Signed, id string, v *Visitor) (*Step, error) {
	if err := s.sensitive(a.now()); err != nil {
		return nil, err
	}
	c, err := s.provenContact(id)
	if err != nil {
		return nil, err
	}
	if c.Kind == contact.Email && !s.Service.Policy.EmailIsSecondStep {
		return nil, fault.New(fault.Conflict, "email_not_counted", "This service doesn't count codes by email as a second step. Use a phone, an app or a passkey.")
	}
	return a.onContact(ctx, s, FlowEnable, c, v)
}

// ConfirmContact begins the proof that a contact is still its owner's.
//
// Faults: Unauthorized, NotFound, Unavailable.
func (a *Accounts) ConfirmContact(ctx context.Context, s *Signed, id string, v *Visitor) (*Step, error) {
	c, err := s.provenContact(id)
	if err != nil {
		return nil, err
	}
	return a.onContact(ctx, s, FlowConfirmContact, c, v)
}

func (s *Signed) provenContact(id string) (*contactOf, error) {
	n, ok := thingID('c', id)
	i := slices.IndexFunc(s.b.Contacts, func(c contactOf) bool { return c.ID == n && c.ProvenAt > 0 })
	if !ok || i < 0 {
		return nil, errNoThing
	}
	return &s.b.Contacts[i], nil
}

func (a *Accounts) onContact(ctx context.Context, s *Signed, kind Flow, c *contactOf, v *Visitor) (*Step, error) {
	f := a.begin(kind, s.ID, s.b, v)
	f.Session, f.Contact, f.Way, f.TurnOn = s.session.ID, c.Value, wayNamed, kind == FlowEnable
	return a.step(ctx, s.Service, f, s.b)
}

// enabled makes a proven contact take codes and turns two-step verification on if it was off.
func (d *decision) enabled(f *flow, ans *Answer, out *outcome) error {
	i := slices.IndexFunc(d.b.Contacts, func(c contactOf) bool { return c.Value == f.Contact })
	if i < 0 {
		return errNoThing
	}
	c := &d.b.Contacts[i]
	to, err := c.contact()
	if err != nil {
		return err
	}
	out.done = &Done{Account: d.key.ID, Thing: thing('c', c.ID)}
	turned := d.b.TwoStepAt == 0
	err = d.changing(kindAdded(d, f), to.MaskedShort(), &ans.Visitor, func() {
		c.Codes, c.ConfirmedAt, c.BouncedAt = true, d.at, 0
		d.factorAdded(f, thing('c', c.ID), out)
	})
	if err != nil {
		return err
	}
	kind := ActFactorAdded
	if turned {
		kind = ActTwoStepOn
	}
	d.note(entry{Kind: kind, What: to.MaskedShort()}, &ans.Visitor)
	return nil
}

func (d *decision) contactConfirmed(f *flow, ans *Answer, out *outcome) error {
	for i := range d.b.Contacts {
		if c := &d.b.Contacts[i]; c.Value == f.Contact {
			c.ConfirmedAt, c.BouncedAt = d.at, 0
			to, err := c.contact()
			if err != nil {
				return err
			}
			d.note(entry{Kind: ActContactConfirmed, What: to.MaskedShort()}, &ans.Visitor)
		}
	}
	out.done = &Done{Account: d.key.ID}
	return nil
}

// TurnOff turns two-step verification off. Methods stay as they are, for when it is turned on again.
//
// Faults: Unauthorized, Forbidden (ErrStepUp), Conflict (ErrStandsAlone, the service requires it, changes are frozen), Unavailable.
func (a *Accounts) TurnOff(ctx context.Context, s *Signed, v *Visitor) error {
	return a.own(ctx, s, true, nil, func(d *decision) error {
		switch {
		case d.b.TwoStepAt == 0:
			return nil
		case d.b.Role != Customer || d.svc.Policy.SecondStep == service.SecondStepRequired:
			return errRequired
		case d.b.Password.Length < password.MinAlone: // an imported one's is unknown
			return ErrStandsAlone
		}
		d.note(entry{Kind: ActTwoStepOff}, v)
		return d.changing(message.TwoStepOff, "", v, func() {
			d.b.TwoStepAt = 0
			d.b.Epoch++
		})
	})
}

// SetDefault chooses the second step that is asked for first.
//
// Faults: Unauthorized, NotFound, Unavailable.
func (a *Accounts) SetDefault(ctx context.Context, s *Signed, way string) error {
	return a.own(ctx, s, false, nil, func(d *decision) error {
		if way == wayRecovery || !slices.ContainsFunc(seconds(d.svc, d.b), func(w Way) bool { return w.ID == way }) {
			return errNoThing
		}
		d.b.Default = way
		return nil
	})
}

// Rename names a contact, app, passkey or device.
//
// Faults: Unauthorized, NotFound, Invalid (the name), Unavailable.
func (a *Accounts) Rename(ctx context.Context, s *Signed, id, name string) error {
	if utf8.RuneCountInString(name) > maxName || clip(name, 4*maxName) != name {
		return fault.New(fault.Invalid, "invalid_name", "A name has at most 60 characters on one line.").WithField("name")
	}
	return a.own(ctx, s, false, nil, func(d *decision) error {
		if to := d.b.nameOf(id); to != nil {
			*to = name
			return nil
		}
		return errNoThing
	})
}

// nameOf is where the name of a thing is kept; nil: there is no such thing.
func (b *body) nameOf(id string) *string {
	for i := range b.Contacts {
		if id == thing('c', b.Contacts[i].ID) {
			return &b.Contacts[i].Name
		}
	}
	for i := range b.Apps {
		if id == thing('a', b.Apps[i].ID) {
			return &b.Apps[i].Name
		}
	}
	for i := range b.Passkeys {
		if id == thing('p', b.Passkeys[i].ID) {
			return &b.Passkeys[i].Name
		}
	}
	for i := range b.Devices {
		if id == thing('d', b.Devices[i].ID) {
			return &b.Devices[i].Name
		}
	}
	return nil
}

// Remove takes a method or a contact away. The last second step stays while two-step verification is on, and so does the last
// proven contact. Every contact is told, a removed one too, and it can be undone.
//
// Faults: Unauthorized, Forbidden (ErrStepUp), NotFound, Conflict (last_method, last_contact, frozen), Unavailable.
func (a *Accounts) Remove(ctx context.Context, s *Signed, id string, v *Visitor) error {
	var keys []ledger.Key
	if n, ok := thingID('c', id); ok {
		for i := range s.b.Contacts {
			if s.b.Contacts[i].ID == n {
				var err error
				if keys, err = loginKeys(s.Service, s.b.Contacts[i:i+1]); err != nil {
					return err
				}
			}
		}
	}
	return a.own(ctx, s, true, keys, func(d *decision) error {
		if n, ok := thingID('c', id); ok {
			return d.removeContact(n, v)
		}
		return d.removeMethod(id, v)
	})
}

// StopCodes makes a contact take no more codes as a second step; it stays a contact.
//
// Faults: as Remove.
func (a *Accounts) StopCodes(ctx context.Context, s *Signed, id string, v *Visitor) error {
	return a.own(ctx, s, true, nil, func(d *decision) error {
		n, ok := thingID('c', id)
		i := slices.IndexFunc(d.b.Contacts, func(c contactOf) bool { return c.ID == n && c.Codes })
		if !ok || i < 0 {
			return errNoThing
		}
		to, err := d.b.Contacts[i].contact()
		if err != nil {
			return err
		}
		if err := d.changing(message.FactorRemoved, to.MaskedShort(), v, func() { d.b.Contacts[i].Codes = false }); err != nil {
			return err
		}
		d.note(entry{Kind: ActFactorRemoved, What: to.MaskedShort()}, v)
		return d.stillSecond()
	})
}

// stillSecond refuses what would leave two-step verification on without a method.
func (d *decision) stillSecond() error {
	if d.b.TwoStepAt > 0 && !secondLeft(d.svc, d.b) {
		return errLastMethod
	}
	return nil
}

func (d *decision) removeMethod(id string, v *Visitor) error {
	apps, passkeys := len(d.b.Apps), len(d.b.Passkeys)
	what := ""
	if name := d.b.nameOf(id); name != nil {
		what = *name
	}
	err := d.changing(message.FactorRemoved, what, v, func() {
		d.b.Apps = slices.DeleteFunc(slices.Clone(d.b.Apps), func(p app) bool { return thing('a', p.ID) == id })
		d.b.Passkeys = slices.DeleteFunc(slices.Clone(d.b.Passkeys), func(p passkey) bool { return thing('p', p.ID) == id })
	})
	if err != nil {
		return err
	}
	if apps == len(d.b.Apps) && passkeys == len(d.b.Passkeys) {
		return errNoThing // nothing is written of an operation that fails
	}
	d.note(entry{Kind: ActFactorRemoved, What: what}, v)
	if d.b.Password.Hash == "" && len(d.b.Passkeys) == 0 {
		return errLastMethod
	}
	return d.stillSecond()
}

func (d *decision) removeContact(n uint32, v *Visitor) error {
	i := slices.IndexFunc(d.b.Contacts, func(c contactOf) bool { return c.ID == n })
	if i < 0 {
		return errNoThing
	}
	c := d.b.Contacts[i]
	to, err := c.contact()
	if err != nil {
		return err
	}
	err = d.changing(message.ContactRemoved, to.MaskedShort(), v, func() {
		d.b.Contacts = slices.Delete(slices.Clone(d.b.Contacts), i, i+1)
	})
	if err != nil {
		return err
	}
	if c.ProvenAt > 0 && !slices.ContainsFunc(d.b.Contacts, func(o contactOf) bool { return o.ProvenAt > 0 }) {
		return errLastContact
	}
	if err := d.freeLogin(&c, d.at+undoLife); err != nil {
		return err
	}
	d.note(entry{Kind: ActContactRemoved, What: to.MaskedShort()}, v)
	return d.stillSecond()
}

// AddContact begins the adding of a contact. It counts when its code has been typed. replaces is the contact whose place it takes; empty:
// none.
//
// Faults: Unauthorized, Forbidden (ErrStepUp), NotFound, Conflict (as many as an account can have, frozen), Invalid (channel).
func (a *Accounts) AddContact(ctx context.Context, s *Signed, named contact.Contact, replaces string, v *Visitor) (*Step, error) {
	if err := s.sensitive(a.now()); err != nil {
		return nil, err
	}
	f := a.begin(FlowAddContact, s.ID, s.b, v)
	f.Session, f.Contact, f.Name = s.session.ID, named.Reveal(), replaces
	if replaces == "" && len(s.b.Contacts) >= maxContacts {
		return nil, errTooMany
	}
	if n, ok := thingID('c', replaces); replaces != "" && (!ok || !slices.ContainsFunc(s.b.Contacts, func(c contactOf) bool { return c.ID == n })) {
		return nil, errNoThing
	}
	ways := f.named(s.Service)
	if len(ways) == 0 {
		return nil, errChannel
	}
	f.Way = ways[0].ID
	return a.step(ctx, s.Service, f, s.b)
}

// contactAdded adds a contact that has been proven; one that it replaces keeps its login for as long as that can be undone.
func (a *Accounts) contactAdded(d *decision, f *flow, ans *Answer, out *outcome) error {
	to, err := contact.FromCanonical(f.Contact)
	if err != nil {
		return err
	}
	key := loginKey(d.svc, to)
	if d.taken(key) {
		return errTaken
	}
	if slices.ContainsFunc(d.b.Contacts, func(c contactOf) bool {
		return foldedText(c.Value) == foldedText(f.Contact) && c.ProvenAt > 0
	}) {
		return errTaken
	}
	fresh := contactOf{ID: d.b.next(), Value: f.Contact, Kind: to.Kind(), AddedAt: d.at, ProvenAt: d.at, ConfirmedAt: d.at}
	replaced := slices.IndexFunc(d.b.Contacts, func(c contactOf) bool { return f.Name == thing('c', c.ID) })
	if replaced < 0 && len(d.b.Contacts) >= maxContacts {
		return errTooMany
	}
	kind := message.ContactAdded
	if replaced >= 0 {
		kind = message.ContactChanged
		fresh.Codes = d.b.Contacts[replaced].Codes && fresh.Kind == d.b.Contacts[replaced].Kind
	}
	var freed error
	err = d.changing(kind, to.MaskedShort(), &ans.Visitor, func() {
		if replaced >= 0 {
			old := d.b.Contacts[replaced]
			if d.b.Default == thing('c', old.ID) {
				d.b.Default = thing('c', fresh.ID)
			}
			d.b.Contacts = slices.Delete(slices.Clone(d.b.Contacts), replaced, replaced+1)
			freed = d.freeLogin(&old, d.at+undoLife)
		}
		// One that was named before and never proven is the same contact.
		d.b.Contacts = slices.DeleteFunc(slices.Clone(d.b.Contacts), func(c contactOf) bool { return foldedText(c.Value) == foldedText(f.Contact) })
		d.b.Contacts = append(d.b.Contacts, fresh)
	})
	if err = cmp.Or(err, freed); err != nil {
		return err
	}
	d.tx.Put(key, &Login{Account: d.key.ID})
	d.note(entry{Kind: ActContactAdded, What: to.MaskedShort()}, &ans.Visitor)
	out.done = &Done{Account: d.key.ID, Thing: thing('c', fresh.ID)}
	return d.stillSecond()
}

// NewRecoveryCodes replaces the recovery codes and returns the new ones, which are shown this once.
//
// Faults: Unauthorized, Forbidden (ErrStepUp), Conflict (frozen), Unavailable.
func (a *Accounts) NewRecoveryCodes(ctx context.Context, s *Signed, v *Visitor) ([]string, error) {
	var codes []string
	err := a.own(ctx, s, true, nil, func(d *decision) error {
		d.note(entry{Kind: ActRecoveryCodesNew}, v)
		return d.changing(message.RecoveryCodesNew, "", v, func() { codes = d.newRecoveryCodes() })
	})
	return codes, err
}

// ChangePassword sets a new password. All other sessions end.
//
// Faults: Unauthorized, Forbidden (ErrStepUp), Invalid (not good enough), Conflict (frozen), Unavailable.
func (a *Accounts) ChangePassword(ctx context.Context, s *Signed, typed secret.Text, v *Visitor) error {
	if err := s.sensitive(a.now()); err != nil {
		return err
	}
	p := password.Normalise(typed.Reveal())
	r := rules(s.Service, s.b)
	r.Min = password.MinSecond // whoever turns two-step verification off later is asked for a longer one then
	if !s.b.needsSecond() {
		r.Min = minimum(s.Service, s.b)
	}
	if err := password.Check(p, r); err != nil {
		return err
	}
	sum, err := a.Hasher.Hash(ctx, p)
	if err != nil {
		return err
	}
	return a.own(ctx, s, true, nil, func(d *decision) error {
		d.b.Sessions = keep(d.b.Sessions, func(o session) bool { return o.ID == s.session.ID })
		d.note(entry{Kind: ActPasswordChanged}, v)
		return d.changing(message.PasswordChanged, "", v, func() {
			d.b.Password = passwordOf{Hash: sum, ChangedAt: d.at, Length: lengthOf(p)}
			d.b.Epoch++
		})
	})
}

// SetLocale chooses the language of messages and pages.
//
// Faults: Unauthorized, Invalid (no language of ours), Unavailable.
func (a *Accounts) SetLocale(ctx context.Context, s *Signed, tag string) error {
	if !slices.ContainsFunc(locale.All(), func(l locale.Locale) bool { return l.Tag == tag }) {
		return fault.New(fault.Invalid, "invalid_locale", "This language isn't spoken here yet.").WithField("locale")
	}
	return a.own(ctx, s, false, nil, func(d *decision) error {
		d.b.Locale = tag
		return nil
	})
}
