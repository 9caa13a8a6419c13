// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// NewRound is what opens a courier's round: one shift with its parcels.
type NewRound struct {
	Depot   string
	Courier string // the depot's own name or number of them; the same text is the same courier
	Zone    string // IANA, of the depot: by it a day begins
	Hours   int    // of the shift; 0: 12; at most 24
	Parcels []ledger.ID
	By      string // who opens it: "staff:acc_..." or "api:ID of the key"
}

// Round is a courier's round.
type Round struct {
	ID       ledger.ID
	Courier  ledger.ID
	Name     string // of the courier
	Depot    string
	Date     string // 2026-11-26, at the depot
	OpenedAt time.Time
	Until    time.Time // the end of the shift
	Parcels  []ledger.ID
	By       string // who opened it
}

// LeftOut is a parcel that couldn't go out with a round.
type LeftOut struct {
	ID  ledger.ID
	Err error
}

type roundBody struct {
	Courier  ledger.ID   `cbor:"1,keyasint"`
	Name     string      `cbor:"2,keyasint"`
	Depot    string      `cbor:"3,keyasint"`
	Date     string      `cbor:"4,keyasint"`
	OpenedAt int64       `cbor:"5,keyasint"`
	Until    int64       `cbor:"6,keyasint"`
	Parcels  []ledger.ID `cbor:"7,keyasint"`
	By       string      `cbor:"8,keyasint,omitempty"`
}

func (b *roundBody) view(id ledger.ID) *Round {
	return &Round{id, b.Courier, b.Name, b.Depot, b.Date, moment(b.OpenedAt), moment(b.Until), b.Parcels, b.By}
}

// dayBody lists the rounds of a depot's day.
type dayBody struct {
	Rounds []ledger.ID `cbor:"1,keyasint"`
}

const (
	maxRounds    = 1000 // of a depot's day
	maxShift     = 24
	defaultShift = 12
	// roundPatience bounds one wait for a server that has too much to do; all of them together are twice as long.
	roundPatience = 3 * time.Second
)

// OpenRound opens a round, binds it to its courier (an earlier phone of theirs is signed out) and sends its parcels out: their codes go to
// the recipients now. The token is what the depot's link or QR code carries; it is shown once. Parcels that can't go out are named with
// their faults, and stay out of the round.
//
// Faults: Invalid, Unavailable.
func (h *Handovers) OpenRound(ctx context.Context, svc *service.Service, n NewRound) (*Round, secret.Text, []LeftOut, error) {
	none := secret.Text{}
	zone, err := n.check()
	if err != nil {
		return nil, none, nil, err
	}
	ckey := courierKey(svc, n.Courier)
	token, hash, err := newToken(enrolPrefix, ckey.ID)
	if err != nil {
		return nil, none, nil, err
	}
	id, err := newID(svc, h.Ledger.Now())
	if err != nil {
		return nil, none, nil, err
	}
	key := roundKey(svc, id)
	today := dayKey(svc, n.Depot, dateOf(h.Ledger.Now().UnixMilli(), zone))
	v, err := h.Ledger.Read(ctx, today)
	if err != nil {
		return nil, none, nil, err
	}
	var now dayBody
	if _, err := openRow(svc, today, v, &now); err != nil {
		return nil, none, nil, err
	}
	if len(now.Rounds) >= maxRounds { // before anything has left; those that are opened at this very moment may be a few more
		return nil, none, nil, fault.New(fault.Conflict, "too_many_rounds", fmt.Sprintf("A depot has at most %d rounds a day.", maxRounds))
	}
	sent, not := h.out(ctx, svc, ckey.ID, n.Parcels)
	var out *Round
	op := ledger.Op{Keys: []ledger.Key{today, ckey}, Apply: func(tx *ledger.Tx) error {
		at := tx.Now().UnixMilli()
		b := &roundBody{
			Courier: ckey.ID, Name: n.Courier, Depot: n.Depot, Date: dateOf(at, zone), OpenedAt: at, Until: at + int64(n.Hours)*hour, Parcels: sent, By: n.By,
		}
		var d dayBody
		if _, err := openRow(svc, today, tx.Get(today), &d); err != nil {
			return err
		}
		d.Rounds = append(d.Rounds, id)
		c := loadCourier(tx, ckey)
		c.Round, c.Date, c.Until, c.Enrol, c.EnrolUntil = id, dateNumber(b.Date), b.Until, hash, at+enrolLife
		c.unbind()
		before, err := c.open(svc, ckey)
		if err != nil {
			return err
		}
		c.Body = seal(svc, ckey, columnBody, &courierBody{Name: n.Courier, Depot: n.Depot, Notes: before.Notes})
		tx.Put(today, sealRow(svc, today, &d, at))
		tx.Put(key, sealRow(svc, key, b, at))
		saveCourier(tx, ckey, c, at)
		out = b.view(id)
		return nil
	}}
	err = patiently(ctx, func() error { return h.Ledger.Do(ctx, op) })
	return out, token, not, err
}

func (n *NewRound) check() (*time.Location, error) {
	var err error
	if n.Depot, err = line(n.Depot, "depot", MaxName); err != nil {
		return nil, err
	}
	if n.Courier, err = line(n.Courier, "courier", MaxName); err != nil {
		return nil, err
	}
	if n.Hours == 0 {
		n.Hours = defaultShift
	}
	zone, err := zoneOf(n.Zone)
	switch {
	case n.Depot == "" || n.Courier == "":
		return nil, fault.New(fault.Invalid, "round_incomplete", "A round has a depot and a courier.").WithField("courier")
	case err != nil:
		return nil, err
	case n.Hours < 1 || n.Hours > maxShift:
		return nil, fault.New(fault.Invalid, "invalid_hours", fmt.Sprintf("hours must be from 1 to %d.", maxShift)).WithField("hours")
	case len(n.Parcels) > MaxRound:
		return nil, fault.New(fault.Invalid, "too_many_parcels", fmt.Sprintf("A round has at most %d parcels.", MaxRound)).WithField("handovers")
	}
	for i, id := range n.Parcels {
		if slices.Contains(n.Parcels[:i], id) {
			return nil, fault.New(fault.Invalid, "parcel_twice", "A hand-over is in this list twice.").WithField(fmt.Sprintf("handovers[%d]", i))
		}
	}
	return zone, nil
}

// out sends parcels out with a courier, many at a time.
func (h *Handovers) out(ctx context.Context, svc *service.Service, courier ledger.ID, all []ledger.ID) (sent []ledger.ID, not []LeftOut) {
	errs := make([]error, len(all))
	var group errgroup.Group
	group.SetLimit(wakeTogether)
	for i, id := range all {
		group.Go(func() error {
			errs[i] = patiently(ctx, func() error {
				_, err := h.dispatch(ctx, svc, id, courier)
				return err
			})
			return nil
		})
	}
	_ = group.Wait() // its functions keep their errors
	for i, id := range all {
		if errs[i] != nil {
			not = append(not, LeftOut{id, errs[i]})
			continue
		}
		sent = append(sent, id)
	}
	return sent, not
}

// patiently does something also in the minute of the morning in which all depots open their rounds: where a person asks again for one request,
// a round would have to for each of its parcels, and one whose parcels have left must be there.
func patiently(ctx context.Context, do func() error) error {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		err := do()
		if err == nil || fault.As(err).Code != ledger.Overloaded || wait > roundPatience {
			return err
		}
		select {
		case <-time.After(wait/2 + mathrand.N(wait)):
		case <-ctx.Done():
			return err
		}
	}
}

// AddToRound sends more parcels out with a round whose shift isn't over. Parcels that are on it already stay as they are.
//
// Faults: NotFound, Invalid (too_many_parcels), Conflict (shift_over), Unavailable.
func (h *Handovers) AddToRound(ctx context.Context, svc *service.Service, id ledger.ID, parcels []ledger.ID) (*Round, []LeftOut, error) {
	r, err := h.Round(ctx, svc, id)
	if err != nil {
		return nil, nil, err
	}
	key, ckey := roundKey(svc, id), courierByID(svc, r.Courier)
	var fresh []ledger.ID // their places are taken before they leave, so that a round never has too many
	change := func(fn func(tx *ledger.Tx, b *roundBody) error) error {
		op := ledger.Op{Keys: []ledger.Key{key, ckey}, Apply: func(tx *ledger.Tx) error {
			var b roundBody
			if there, err := openRow(svc, key, tx.Get(key), &b); err != nil || !there {
				return either(err, errNoRound)
			}
			if err := fn(tx, &b); err != nil {
				return err
			}
			tx.Put(key, sealRow(svc, key, &b, tx.Now().UnixMilli()))
			r = b.view(id)
			return nil
		}}
		return patiently(ctx, func() error { return h.Ledger.Do(ctx, op) })
	}
	err = change(func(tx *ledger.Tx, b *roundBody) error {
		if loadCourier(tx, ckey).Round != id || tx.Now().UnixMilli() >= b.Until {
			return fault.New(fault.Conflict, errShift.Code, "This round's shift is over. Open a new round.")
		}
		fresh = fresh[:0]
		for _, p := range parcels {
			if !slices.Contains(b.Parcels, p) && !slices.Contains(fresh, p) {
				fresh = append(fresh, p)
			}
		}
		if len(b.Parcels)+len(fresh) > MaxRound {
			return fault.New(fault.Invalid, "too_many_parcels", fmt.Sprintf("A round has at most %d parcels.", MaxRound)).WithField("handovers")
		}
		b.Parcels = append(b.Parcels, fresh...)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	_, not := h.out(ctx, svc, r.Courier, parcels)
	if len(not) == 0 {
		return r, nil, nil
	}
	err = change(func(_ *ledger.Tx, b *roundBody) error {
		b.Parcels = slices.DeleteFunc(b.Parcels, func(p ledger.ID) bool {
			return slices.Contains(fresh, p) && slices.ContainsFunc(not, func(l LeftOut) bool { return l.ID == p })
		})
		return nil
	})
	return r, not, err
}

func either(err error, otherwise *fault.Error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// Round gives one round.
//
// Faults: NotFound, Unavailable.
func (h *Handovers) Round(ctx context.Context, svc *service.Service, id ledger.ID) (*Round, error) {
	key := roundKey(svc, id)
	v, err := h.Ledger.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	var b roundBody
	if there, err := openRow(svc, key, v, &b); err != nil || !there || b.Courier.IsZero() {
		return nil, either(err, errNoRound)
	}
	return b.view(id), nil
}

// Parcels gives the hand-overs of a round that are still this courier's, or were when they ended, in its order.
func (h *Handovers) Parcels(ctx context.Context, svc *service.Service, r *Round) ([]*View, error) {
	all, err := h.all(ctx, svc, r.Parcels)
	mine := FormatCourier(r.Courier)
	return slices.DeleteFunc(all, func(v *View) bool { return v.Courier != mine }), err
}

// Dispatch sends one parcel out with a courier, without a round: for applications that have couriers' pages of their own.
//
// Faults: Invalid, NotFound, Conflict, Unavailable.
func (h *Handovers) Dispatch(ctx context.Context, svc *service.Service, id ledger.ID, courier string) (*View, error) {
	courier, err := line(courier, "courier", MaxName)
	if err == nil && courier == "" {
		err = fault.New(fault.Invalid, "courier_missing", "Say who carries the parcel: the same text is the same courier.").WithField("courier")
	}
	if err != nil {
		return nil, err
	}
	return h.dispatch(ctx, svc, id, courierKey(svc, courier).ID)
}

// dispatch begins an attempt, or gives the one that is under way to another courier.
func (h *Handovers) dispatch(ctx context.Context, svc *service.Service, id, courier ledger.ID) (*View, error) {
	return h.changed(ctx, svc, id, nil, func(d *decision) error {
		r := d.r
		b, err := d.body()
		if err != nil {
			return err
		}
		if (r.State == Out || r.State == Arrived) && r.Courier == courier {
			d.still = true // again
			return nil
		}
		if r.State == Out {
			r.Courier = courier
			return r.move(Out, 0, d.at)
		}
		switch {
		case r.State != Created && r.State != Attempted:
			return errState(r.State, Out)
		case int(r.Attempt) >= b.Attempts:
			return fault.New(fault.Conflict, "attempts_used_up", "This hand-over has had all its attempts. Return it, or change what the service allows.")
		case r.AllWrong >= MaxAllWrong:
			return fault.New(fault.Conflict, "tries_used_up", fmt.Sprintf("%d wrong codes were typed for this hand-over. Only the depot can release it.", MaxAllWrong))
		case d.at >= r.GoodUntil:
			return fault.New(fault.Conflict, "window_over", "This hand-over's delivery day is over. Give it a new window first.").WithField("window")
		case r.From-d.at > day:
			return fault.New(fault.Conflict, "too_early", "This hand-over's window begins more than a day from now: its code would be too old.").WithField("window")
		}
		if err := r.move(Out, 0, d.at); err != nil {
			return err
		}
		r.Attempt++
		d.renew()
		r.FirstCode, r.Wrong, r.Sends, r.ArrivedAt, r.StoppedAt, r.Unseen, r.Courier = r.Code, 0, 0, 0, 0, false, courier
		r.Where, r.DayUntil, r.Asked = nil, r.GoodUntil, 0
		r.Steps[len(r.Steps)-1].Attempt, r.Steps[len(r.Steps)-1].Courier = r.Attempt, courier
		for i := range r.Passes { // they were for the attempt before
			if r.Passes[i].GoneAt == 0 {
				r.Passes[i].GoneAt = d.at
			}
		}
		c, err := b.contact(0)
		if err != nil {
			return err
		}
		r.Mail = channelOf(c) == service.Email
		d.queue(message.DeliveryCode, 0)
		return nil
	})
}
