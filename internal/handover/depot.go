// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// Cancel ends a hand-over by the application's wish. By is who asked for it, here and below: "api:ID of the key" or "staff:acc_..."; it is noted.
//
// Faults: NotFound, Conflict (hand_over_over), Unavailable.
func (h *Handovers) Cancel(ctx context.Context, svc *service.Service, id ledger.ID, by string) (*View, error) {
	return h.ended(ctx, svc, id, Canceled, ByApplication, by, DidCancel)
}

// Return says that a parcel went back to its sender.
//
// Faults: NotFound, Conflict, Unavailable.
func (h *Handovers) Return(ctx context.Context, svc *service.Service, id ledger.ID, by string) (*View, error) {
	return h.ended(ctx, svc, id, Returned, ByDepot, by, DidReturn)
}

func (h *Handovers) ended(ctx context.Context, svc *service.Service, id ledger.ID, to State, reason Reason, by string, did Did) (*View, error) {
	return h.changed(ctx, svc, id, nil, func(d *decision) error {
		if d.r.State == to {
			return d.look(by) // again
		}
		if err := d.r.move(to, reason, d.at); err != nil {
			return err
		}
		return d.note(by, did, "")
	})
}

// EndAttempt ends the attempt that is under way, at the depot's word.
//
// Faults: NotFound, Conflict, Unavailable.
func (h *Handovers) EndAttempt(ctx context.Context, svc *service.Service, id ledger.ID, by string) (*View, error) {
	return h.changed(ctx, svc, id, nil, func(d *decision) error {
		if d.r.State == Attempted {
			return d.look(by) // again
		}
		if err := d.r.move(Attempted, ByDepot, d.at); err != nil {
			return err
		}
		if err := d.note(by, DidEndAttempt, ""); err != nil {
			return err
		}
		return d.tell(message.DeliveryMissed)
	})
}

// Release hands a parcel over without a code, by the word of a second person at the depot who has checked who takes it. It is always marked as weaker proof. By
// is who released it; the note says what they checked.
//
// Faults: Invalid (note_missing), NotFound, Conflict (weak_proof_not_allowed, wrong_state), Unavailable.
func (h *Handovers) Release(ctx context.Context, svc *service.Service, id ledger.ID, by, note string) (*View, error) {
	note, err := line(note, "note", MaxHint)
	if err == nil && note == "" {
		err = fault.New(fault.Invalid, "note_missing", "Say what was checked, and why there is no code.").WithField("note")
	}
	if err != nil {
		return nil, err
	}
	r, _, err := h.read(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	ckey := courierByID(svc, r.Courier)
	var more []ledger.Key
	if !r.Courier.IsZero() {
		more = []ledger.Key{ckey}
	}
	alarm := false
	v, err := h.changed(ctx, svc, id, more, func(d *decision) error {
		alarm = false
		b, err := d.body()
		if err != nil {
			return err
		}
		switch {
		case !b.allows(BySecondPerson):
			return fault.New(fault.Conflict, "weak_proof_not_allowed", "This hand-over doesn't allow a release without its code.")
		case d.r.Courier != ckey.ID && len(more) > 0:
			return errRetry
		case d.r.StoppedAt > 0:
			return fault.New(fault.Conflict, "stopped", "The recipient says that nobody is at their door. Speak with them before anything is released.")
		}
		if d.r.State == Created {
			return errState(d.r.State, HandedOver)
		}
		if err := d.r.move(HandedOver, 0, d.at); err != nil {
			return err
		}
		d.r.Means, d.r.Certainty, d.r.HandedAt, d.r.Where = BySecondPerson, Weaker, d.at, nil // it isn't known where
		if err := d.note(by, DidRelease, note); err != nil {
			return err
		}
		if len(more) > 0 {
			c := loadCourier(d.tx, ckey)
			c.count(countWeak, d.at)
			alarm = d.weaker(ckey, c)
			saveCourier(d.tx, ckey, c, d.at)
		}
		return d.tell(message.DeliveryReleased)
	})
	if err == nil && alarm {
		h.warnOfWeaker(svc, ckey.ID)
	}
	return v, err
}

// errRetry is what somebody meets whose read was overtaken.
var errRetry = fault.New(fault.Unavailable, "changed_meanwhile", "This changed meanwhile. Ask again.").WithRetry(time.Second)

// SettleConflicts says that the depot has dealt with what came from phones without signal and didn't fit.
//
// Faults: NotFound, Unavailable.
func (h *Handovers) SettleConflicts(ctx context.Context, svc *service.Service, id ledger.ID, by string) (*View, error) {
	return h.changed(ctx, svc, id, nil, func(d *decision) error {
		some := false
		for i := range d.r.Conflicts {
			if c := &d.r.Conflicts[i]; c.Settled == 0 {
				c.Settled, some = d.at, true
			}
		}
		if !some {
			return d.look(by)
		}
		d.say = EventSettled
		return d.note(by, DidSettle, "")
	})
}

// Exception is why somebody at the depot should look at a hand-over.
type Exception string

// The exceptions. The names never change.
const (
	ExceptionConflict    Exception = "conflict"    // what came from a phone without signal doesn't fit
	ExceptionStopped     Exception = "stopped"     // the recipient says that nobody is there
	ExceptionBlocked     Exception = "blocked"     // six wrong codes
	ExceptionUndelivered Exception = "undelivered" // the code didn't reach the recipient
	ExceptionWeaker      Exception = "weaker"      // handed over without a code
	ExceptionUnseen      Exception = "unseen"      // the courier arrived without a position
)

// Exceptions of a hand-over, the most urgent first.
func (v *View) Exceptions() []Exception {
	var all []Exception
	add := func(is bool, e Exception) {
		if is {
			all = append(all, e)
		}
	}
	add(slices.ContainsFunc(v.Conflicts, func(c Conflict) bool { return c.Settled == 0 }), ExceptionConflict)
	add(!v.StoppedAt.IsZero() && !v.State.Final(), ExceptionStopped)
	add(v.Blocked && !v.State.Final() && v.State != Created, ExceptionBlocked)
	failed := false
	for i := len(v.Messages) - 1; i >= 0; i-- {
		if m := &v.Messages[i]; carriesCode(m.Kind) {
			failed = m.Status == Undelivered || m.Status == NotSent
			break
		}
	}
	add(failed && (v.State == Out || v.State == Arrived), ExceptionUndelivered)
	add(v.Certainty == Weaker, ExceptionWeaker)
	add(v.Unseen && v.State == Arrived, ExceptionUnseen)
	return all
}

// Figures are what was done on one day.
type Figures struct {
	Code, Ticket, Pass, Weak, Offline int
	Attempted, Refused                int
	Arrived, Unseen, Stopped          int
	Missing                           int // codes asked for again at the door
	Wrong, Conflicts                  int
}

func (f *Figures) add(n [counted]uint32) {
	for i, to := range []*int{
		&f.Code, &f.Ticket, &f.Pass, &f.Weak, &f.Offline, &f.Attempted, &f.Refused, &f.Arrived, &f.Unseen, &f.Stopped, &f.Missing, &f.Wrong, &f.Conflicts,
	} {
		*to += int(n[i])
	}
}

// RoundView is a round with its parcels, as the depot sees it.
type RoundView struct {
	*Round
	Device  string    // of the courier's phone, in words; empty: none is bound
	BoundAt time.Time // likewise
	Current bool      // it is the courier's latest
	Alarm   bool      // weaker proofs unusually often
	Notes   []Note    // who did something about the courier's phones, whatever the round
	Parcels []*View
	Figures Figures
}

// DepotDay is what a depot sees of one day.
type DepotDay struct {
	Depot, Date string
	Rounds      []*RoundView
	Figures     Figures // of all couriers
}

// Depot gives a depot's rounds of one day ("2026-11-26"; empty: today in the zone), with states, exceptions and figures.
//
// Faults: Invalid, Unavailable.
func (h *Handovers) Depot(ctx context.Context, svc *service.Service, depot, date, zone string) (*DepotDay, error) {
	depot, err := line(depot, "depot", MaxName)
	if err != nil {
		return nil, err
	}
	if date == "" {
		z, err := zoneOf(zone)
		if err != nil {
			return nil, err
		}
		date = dateOf(h.Ledger.Now().UnixMilli(), z)
	}
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return nil, fault.New(fault.Invalid, "invalid_date", "date must be such as 2026-11-26.").WithField("date")
	}
	key := dayKey(svc, depot, date)
	v, err := h.Ledger.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	var d dayBody
	if _, err := openRow(svc, key, v, &d); err != nil {
		return nil, err
	}
	out := &DepotDay{Depot: depot, Date: date}
	counted := map[ledger.ID]bool{}
	for _, id := range slices.Backward(d.Rounds) {
		r, err := h.DepotRound(ctx, svc, id)
		if err != nil {
			return nil, err
		}
		out.Rounds = append(out.Rounds, r)
		if !counted[r.Courier] { // a courier's figures are the day's, whatever rounds they had
			counted[r.Courier] = true
			out.Figures.sum(&r.Figures)
		}
	}
	return out, nil
}

func (f *Figures) sum(o *Figures) {
	f.add([counted]uint32{
		uint32(o.Code), uint32(o.Ticket), uint32(o.Pass), uint32(o.Weak), uint32(o.Offline), uint32(o.Attempted), uint32(o.Refused), //nolint:gosec // counts
		uint32(o.Arrived), uint32(o.Unseen), uint32(o.Stopped), uint32(o.Missing), uint32(o.Wrong), uint32(o.Conflicts), //nolint:gosec // likewise
	})
}

// DepotRound gives one round with its parcels and its courier's figures of the day.
//
// Faults: NotFound, Unavailable.
func (h *Handovers) DepotRound(ctx context.Context, svc *service.Service, id ledger.ID) (*RoundView, error) {
	r, err := h.Round(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	out := &RoundView{Round: r}
	if out.Parcels, err = h.all(ctx, svc, r.Parcels); err != nil {
		return nil, err
	}
	key := courierByID(svc, r.Courier)
	v, err := h.Ledger.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	c, ok := v.(*Courier)
	if !ok {
		return out, nil
	}
	for _, f := range c.Days {
		if f.Date == dateNumber(r.Date) {
			out.Figures.add(f.N)
		}
	}
	out.Current = c.Round == id
	out.Alarm = len(lately(slices.Clone(c.Weak), h.Ledger.Now().UnixMilli())) >= svc.Policy.CourierWeak
	b, err := c.open(svc, key)
	if err != nil {
		return nil, err
	}
	out.Notes = b.Notes
	if !c.Device.IsZero() && out.Current {
		out.Device, out.BoundAt = b.Device, moment(c.BoundAt)
		if out.Device == "" {
			out.Device = "phone"
		}
	}
	return out, nil
}
