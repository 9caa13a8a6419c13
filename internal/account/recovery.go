// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"slices"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/service"
)

// Recovery (S20): two independent proofs of password, each proven contact, recovery code and trusted device, and a waiting time that every
// contact is told of at its start, in its middle and at its end. With one proof alone two agents decide, and it takes a week. At
// the end the same proofs are given again: nothing has to be kept for three days.
const (
	proofsNeeded = 2
	aloneWait    = 7 * day
	agentsNeeded = 2
	readyLife    = 7 * day // how long a recovery that is ready waits for its owner
)

// recoveryRun is a recovery under way.
type recoveryRun struct {
	ID        uint32      `cbor:"1,keyasint"`
	StartedAt int64       `cbor:"2,keyasint"`
	ReadyAt   int64       `cbor:"3,keyasint"`
	Proofs    []string    `cbor:"4,keyasint"` // the things of the account that were proven
	Told      uint8       `cbor:"5,keyasint"` // how many of start, middle and end
	Alone     bool        `cbor:"6,keyasint,omitempty"`
	Agents    []ledger.ID `cbor:"7,keyasint,omitempty"` // who approved
	Asked     string      `cbor:"8,keyasint,omitempty"`
}

// over tells whether nobody came for it.
func (r *recoveryRun) over(at int64) bool { return at > r.ReadyAt+readyLife }

// ready tells whether the waiting is over and everybody who has to agree has.
func (r *recoveryRun) ready(at int64) bool {
	return at >= r.ReadyAt && (!r.Alone || len(r.Agents) >= agentsNeeded)
}

func (r *recoveryRun) stages() [3]int64 {
	return [3]int64{r.StartedAt, r.StartedAt + (r.ReadyAt-r.StartedAt)/2, r.ReadyAt}
}

func (r *recoveryRun) wakeAt() int64 {
	if s := r.stages(); int(r.Told) < len(s) {
		return s[r.Told]
	}
	return r.ReadyAt + readyLife + 1
}

// runOn tells every contact what stage a recovery has come to.
func (d *decision) runOn() {
	r := d.b.Run
	kinds := [...]message.NoticeKind{message.RecoveryStarted, message.RecoveryWaiting, message.RecoveryWaiting}
	for stages := r.stages(); int(r.Told) < len(stages) && stages[r.Told] <= d.at; r.Told++ {
		d.queueAll(d.b.Contacts, notice{Kind: kinds[r.Told], Asked: r.Asked, Until: r.ReadyAt, Undo: r.ID, Page: pageStop})
	}
}

// Forgot begins a new password for somebody who names a contact. Nothing is sent yet. Whether there is an account is not told.
//
// Faults: Invalid (channel), Unavailable.
func (a *Accounts) Forgot(ctx context.Context, svc *service.Service, named contact.Contact, v *Visitor) (*Step, error) {
	return a.lost(ctx, svc, FlowForgot, named, v)
}

// Recover begins the recovery of an account for somebody who has lost too much to sign in. Nothing is sent yet, and whether there is an account
// is not told. A trusted device counts as a proof by itself.
//
// Faults: Invalid (channel), Unavailable.
func (a *Accounts) Recover(ctx context.Context, svc *service.Service, named contact.Contact, v *Visitor) (*Step, error) {
	return a.lost(ctx, svc, FlowRecover, named, v)
}

func (a *Accounts) lost(ctx context.Context, svc *service.Service, kind Flow, named contact.Contact, v *Visitor) (*Step, error) {
	who, err := a.find(ctx, svc, named)
	if err != nil {
		return nil, err
	}
	f := a.begin(kind, who.key.ID, who.b, v)
	f.Contact, f.Decoy = named.Reveal(), !who.exists() || who.b.State == Locked
	if dev := current(svc, who.key.ID, who.b, v.Devices, a.now()); dev != nil {
		f.Device = dev.ID
		if kind == FlowRecover && dev.Trusted > a.now() {
			f.Proofs = []string{wayDevice}
		}
	}
	ways := f.named(svc)
	if len(ways) == 0 {
		return nil, errChannel
	}
	if kind == FlowForgot {
		f.Way = ways[0].ID
	}
	return a.step(ctx, svc, f, who.b)
}

// proofs are the ways in which somebody who recovers can prove themselves. Before the first of them they are the same for everybody: what an account
// has is shown to nobody who has proven nothing.
func (f *flow) proofs(svc *service.Service, b *body) []Way {
	all := append(f.named(svc), Way{ID: wayPassword, Method: MethodPassword}, Way{ID: wayRecovery, Method: MethodRecovery})
	if len(f.Proofs) > 0 && !f.Decoy {
		for i := range b.Contacts {
			if c := &b.Contacts[i]; c.ProvenAt > 0 && foldedText(c.Value) != foldedText(f.Contact) {
				all = append(all, c.ways(svc)...)
			}
		}
	}
	return slices.DeleteFunc(all, func(w Way) bool {
		return slices.ContainsFunc(f.Proofs, func(p string) bool { return sameTarget(p, w.ID) })
	})
}

// forgotProven goes on after a proof of a forgotten password: with the second step, if the account has one, then with the new password.
// A mailbox alone never passes by the second step, and the contact that was proven is not asked a second time.
func (a *Accounts) forgotProven(d *decision, f *flow, out *outcome) error {
	next := *f
	next.Proofs = append(slices.Clone(f.Proofs), f.Way)
	next.Way, next.Code, next.CodeWay, next.Challenge = "", ledger.ID{}, "", nil
	if len(f.Proofs) == 0 {
		d.proveNamed(f)
	}
	if !d.b.needsSecond() || len(next.Proofs) >= proofsNeeded {
		next.Rung = rungNewPassword
	} else if ways := a.ways(d.svc, &next, d.b); len(ways) > 0 {
		next.Way = ways[0].ID
	}
	out.flow = &next
	return nil
}

// proveNamed notes that the named contact has been proven: staff who were invited prove theirs by setting their first password.
func (d *decision) proveNamed(f *flow) {
	for i := range d.b.Contacts {
		if c := &d.b.Contacts[i]; foldedText(c.Value) == foldedText(f.Contact) {
			if c.ProvenAt == 0 {
				c.ProvenAt = d.at
			}
			c.ConfirmedAt, c.BouncedAt = d.at, 0
		}
	}
}

// recoverProven counts a proof. With two of them the recovery starts, or, when its time has come, the person goes on to a new
// password.
func (a *Accounts) recoverProven(d *decision, f *flow, ans *Answer, out *outcome) error {
	next := *f
	next.Proofs = append(slices.Clone(f.Proofs), f.Way)
	next.Way, next.Code, next.CodeWay, next.Challenge = "", ledger.ID{}, "", nil
	out.flow = &next
	r, given := d.b.Run, next.given(d.b)
	switch {
	case r != nil && r.ready(d.at) && r.repeated(given, d):
		next.Rung = rungNewPassword
	case len(given) < proofsNeeded:
	case r == nil || r.Alone && !r.ready(d.at): // a stronger one takes its place
		d.startRun(&recoveryRun{ReadyAt: d.at + int64(d.svc.Policy.Recovery)*hour, Proofs: given, Asked: ans.Visitor.words()}, &ans.Visitor)
		next.Rung = rungWait
	case r.ready(d.at) && len(next.proofs(d.svc, d.b)) > 0: // it is asked for those of the start
	case r.repeated(given, d):
		next.Rung = rungWait
	default:
		return errOtherRecovery
	}
	return nil
}

// given are a flow's proofs by what they prove, whatever way led there: "x" is another contact for each who is named.
func (f *flow) given(b *body) []string {
	all := make([]string, len(f.Proofs))
	for i, p := range f.Proofs {
		switch {
		case p == wayDevice:
			p = thing('d', f.Device)
		case sameTarget(p, wayNamed):
			for j := range b.Contacts {
				if c := &b.Contacts[j]; foldedText(c.Value) == foldedText(f.Contact) {
					p = thing('c', c.ID)
				}
			}
		}
		all[i] = p
	}
	return all
}

// errOtherRecovery keeps one recovery's waiting from being another's.
var errOtherRecovery = fault.New(fault.Conflict, "recovery_under_way",
	"A recovery with other proofs is under way. If it isn't yours, stop it by the link in the message about it; then begin again.")

// repeated tells whether the proofs of the start have been given again. One that can't be given any more (the last recovery code, a device whose trust is
// over) is made up for by another. A recovery that agents started has none: they have seen who it is, and a code to a proven contact shows
// that it is the same person still. A password alone never does: it may be what was stolen.
func (r *recoveryRun) repeated(given []string, d *decision) bool {
	for _, p := range r.Proofs {
		if !slices.ContainsFunc(given, func(g string) bool { return sameTarget(g, p) }) && !d.lost(p) {
			return false
		}
	}
	if len(r.Proofs) == 0 {
		return slices.ContainsFunc(given, func(g string) bool { _, ok := thingID('c', g); return ok })
	}
	return len(given) >= len(r.Proofs)
}

// lost tells whether a proof can't be given any more.
func (d *decision) lost(proof string) bool {
	if id, ok := thingID('d', proof); ok {
		dev := d.device(id)
		return dev == nil || dev.Trusted <= d.at
	}
	return proof == wayRecovery && len(d.b.Recovery.Hashes) == 0
}

func (d *decision) startRun(r *recoveryRun, v *Visitor) {
	r.ID, r.StartedAt = d.b.next(), d.at
	d.b.Run = r
	d.runOn()
	d.note(entry{Kind: ActRecoveryStarted}, v)
}

// RecoverAlone starts the recovery of somebody who has one proof and no more: it takes a week, and two agents have to approve it.
//
// Faults: as Look; Conflict (there is no proof yet, or a stronger recovery is under way), Unavailable.
func (a *Accounts) RecoverAlone(ctx context.Context, svc *service.Service, text string, v *Visitor) (*Step, error) {
	f, b, err := a.resume(ctx, svc, text)
	if err != nil {
		return nil, err
	}
	if f.Kind != FlowRecover || len(f.Proofs) == 0 || f.Decoy {
		return nil, fault.New(fault.Conflict, "proof_needed", "Give one proof first: a code to your phone or address, your password or a recovery code.")
	}
	err = a.existing(ctx, svc, f.Account, nil, func(d *decision) error {
		if err := f.current(d.b); err != nil {
			return err
		}
		switch given := f.given(d.b); {
		case d.b.Run == nil:
			d.startRun(&recoveryRun{ReadyAt: d.at + aloneWait, Proofs: given, Alone: true, Asked: v.words()}, v)
		case !d.b.Run.repeated(given, d):
			return errOtherRecovery
		}
		b = d.b
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.Rung = rungWait
	return a.step(ctx, svc, f, b)
}

// describe adds what only some flows show.
func (f *flow) describe(b *body, s *Step) {
	if r := b.Run; r != nil && f.Rung == rungWait {
		s.Until = moment(r.ReadyAt)
	}
	if u := f.undo(b); u != nil {
		s.Change, s.Until = u.change(), moment(u.Until)
	}
}

// newPassword sets the password at the end of FlowForgot and FlowRecover.
func (a *Accounts) newPassword(ctx context.Context, svc *service.Service, f *flow, b *body, ans *Answer) (*Step, error) {
	p := password.Normalise(ans.Password.Reveal())
	r := rules(svc, b)
	if f.Kind == FlowRecover {
		r.Min = password.MinAlone // the lost second steps are gone
	}
	if err := password.Check(p, r); err != nil {
		return nil, err
	}
	if b.Frozen > a.now() {
		return nil, errFrozen
	}
	sum, err := a.Hasher.Hash(ctx, p)
	if err != nil {
		return nil, err
	}
	var out outcome
	err = a.existing(ctx, svc, f.Account, nil, func(d *decision) error {
		out = outcome{}
		if err := f.current(d.b); err != nil {
			return err
		}
		if d.b.Frozen > d.at { // whoever undoes something decides first
			return errFrozen
		}
		if err := d.spend(f); err != nil {
			return err
		}
		if len(d.b.Undos) >= maxUndos && d.young(f) {
			return errChanges
		}
		set := passwordOf{Hash: sum, ChangedAt: d.at, Length: lengthOf(p)}
		if f.Kind == FlowRecover {
			return d.recovered(f, set, ans, &out)
		}
		if err := d.changing(message.PasswordReset, "", &ans.Visitor, func() { d.b.Password = set }); err != nil {
			return err
		}
		d.b.Sessions, d.b.Tries = nil, tries{Second: d.b.Tries.Second}
		d.b.Epoch++
		d.note(entry{Kind: ActPasswordReset}, &ans.Visitor)
		second := len(f.Proofs) >= proofsNeeded
		out.done = d.startSession(f, &ans.Visitor, entrance{dev: d.device(f.Device), second: second, fresh: true, quiet: true})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Step{Kind: f.Kind, Next: StepDone, Done: out.done}, nil
}

// young tells whether the contact that a flow names is so new that the change that brought it can still be undone: what is kept for the owner isn't for
// whoever has just added a contact.
func (d *decision) young(f *flow) bool {
	return slices.ContainsFunc(d.b.Contacts, func(c contactOf) bool {
		return foldedText(c.Value) == foldedText(f.Contact) && c.AddedAt+undoLife > d.at && c.AddedAt > d.b.CreatedAt
	})
}

func (d *decision) device(id uint32) *device {
	for i := range d.b.Devices {
		if d.b.Devices[i].ID == id && id != 0 {
			return &d.b.Devices[i]
		}
	}
	return nil
}

// recovered ends a recovery: a new password, and none of the methods that were lost. Every contact is told and can undo it.
func (d *decision) recovered(f *flow, set passwordOf, ans *Answer, out *outcome) error {
	if r := d.b.Run; r == nil || !r.ready(d.at) {
		return ErrFlow // stopped meanwhile
	}
	err := d.changing(message.RecoveryDone, "", &ans.Visitor, func() {
		b := d.b
		b.Password, b.TwoStepAt, b.Default, b.Apps, b.Passkeys, b.Recovery = set, 0, "", nil, nil, recoveryCodes{}
		for i := range b.Contacts {
			b.Contacts[i].Codes = false
		}
		b.Devices, b.Sessions, b.Run, b.Tries = nil, nil, nil, tries{}
		b.Epoch++
	})
	if err != nil {
		return err
	}
	d.note(entry{Kind: ActRecoveryDone}, &ans.Visitor)
	out.done = d.startSession(f, &ans.Visitor, entrance{fresh: true, quiet: true})
	return nil
}

// StopRecovery stops a recovery for somebody who has the token of a notice. That doesn't keep anybody from beginning another.
//
// Faults: Ended (no such recovery), Unavailable.
func (a *Accounts) StopRecovery(ctx context.Context, svc *service.Service, text string, v *Visitor) error {
	o, err := a.open(ctx, svc, text)
	if err != nil {
		return err
	}
	return a.existing(ctx, svc, o.account, nil, func(d *decision) error {
		if d.b.Run == nil || d.b.Run.ID != o.thing {
			return errLink
		}
		d.stopRun(v)
		return nil
	})
}

// StopOwnRecovery stops a recovery for somebody who is signed in.
//
// Faults: Unauthorized, Forbidden (ErrStepUp), NotFound, Unavailable.
func (a *Accounts) StopOwnRecovery(ctx context.Context, s *Signed, v *Visitor) error {
	if s.session.SteppedAt+stepLife(s.Service) <= a.now() { // a stolen session alone must not keep the owner from coming back (S20)
		return ErrStepUp
	}
	return a.own(ctx, s, false, nil, func(d *decision) error {
		if d.b.Run == nil {
			return errNoThing
		}
		d.stopRun(v)
		return nil
	})
}

func (d *decision) stopRun(v *Visitor) {
	d.b.Run = nil // without it what had been proven for it leads nowhere
	d.note(entry{Kind: ActRecoveryStopped}, v)
	d.tell(message.RecoveryStopped, v, "")
}
