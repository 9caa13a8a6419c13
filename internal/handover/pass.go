// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// Pass is a pass for a neighbour as its recipient sees it.
type Pass struct {
	Number int // from 1
	Name   string
	At     time.Time
	Gone   bool // withdrawn, or its attempt is over
	Used   bool
	Token  string // what its page's link carries; empty when it is gone
}

var errPass = fault.New(fault.NotFound, "pass_over", "This pass doesn't work any more. Ask whoever gave it to you.")

// Share makes a pass in a neighbour's name, for this attempt: a code of its own, which hands the parcel over once.
//
// Faults: Invalid, NotFound, Conflict (pass_not_allowed, too_many_passes, wrong_state), Unavailable.
func (h *Handovers) Share(ctx context.Context, svc *service.Service, id ledger.ID, name string) (*Pass, error) {
	name, err := line(name, "name", MaxName)
	if err == nil && name == "" {
		err = fault.New(fault.Invalid, "name_missing", "Whose pass is it? Their name tells the courier, and you, who has the parcel.").WithField("name")
	}
	if err != nil {
		return nil, err
	}
	var out *Pass
	err = h.change(ctx, svc, id, nil, func(d *decision) error {
		b, err := d.body()
		if err != nil {
			return err
		}
		switch r := d.r; {
		case b.NoPass:
			return fault.New(fault.Conflict, "pass_not_allowed", "This parcel can't be given to a neighbour.")
		case r.State != Out && r.State != Arrived:
			return errState(r.State, r.State)
		case len(r.Passes) >= MaxPasses:
			return fault.New(fault.Conflict, "too_many_passes", fmt.Sprintf("A parcel has at most %d passes.", MaxPasses))
		default:
			r.Passes = append(r.Passes, pass{At: d.at, Code: uint8(len(r.Passes) + 1)}) //nolint:gosec // at most MaxPasses
			b.Passes = append(b.Passes, name)
		}
		d.keep()
		d.say = EventPassGiven
		out = passOf(svc, d.key.ID, d.r, b, len(d.r.Passes)-1)
		return nil
	})
	return out, err
}

func passOf(svc *service.Service, id ledger.ID, r *Record, b *body, i int) *Pass {
	p := &Pass{Number: i + 1, At: moment(r.Passes[i].At), Used: int(r.Pass) == i+1}
	if i < len(b.Passes) {
		p.Name = b.Passes[i]
	}
	if p.Gone = r.Passes[i].GoneAt > 0 || r.State != Out && r.State != Arrived; !p.Gone {
		p.Token = passToken(svc, id, uint8(i+1)) //nolint:gosec // at most MaxPasses
	}
	return p
}

func passToken(svc *service.Service, id ledger.ID, n uint8) string {
	return pageToken(svc, id, "pass", n)
}

// Passes lists the passes of a hand-over.
//
// Faults: NotFound, Unavailable.
func (h *Handovers) Passes(ctx context.Context, svc *service.Service, id ledger.ID) ([]*Pass, error) {
	r, b, err := h.read(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	var all []*Pass
	for i := range r.Passes {
		all = append(all, passOf(svc, id, r, b, i))
	}
	return all, nil
}

// Withdraw takes a pass back. Whichever is first decides: the press, or the code at the door.
//
// Faults: NotFound (also of a pass that isn't there), Conflict, Unavailable.
func (h *Handovers) Withdraw(ctx context.Context, svc *service.Service, id ledger.ID, number int) (*View, error) {
	return h.changed(ctx, svc, id, nil, func(d *decision) error {
		switch {
		case number < 1 || number > len(d.r.Passes):
			return errPass
		case d.r.State == HandedOver:
			return errState(d.r.State, d.r.State)
		case d.r.Passes[number-1].GoneAt > 0:
			d.still = true
			return nil
		}
		d.r.Passes[number-1].GoneAt, d.say = d.at, EventPassGone
		return nil
	})
}

// PassShown is a pass as its holder's page shows it.
type PassShown struct {
	*View
	Name   string
	Number int
}

// PassBy finds the pass of a link. The link is all that it takes: whoever has it can take the parcel in, until it is withdrawn or the
// attempt is over; and it shows no more than that.
//
// Faults: NotFound (pass_over), Unavailable.
func (h *Handovers) PassBy(ctx context.Context, svc *service.Service, token string) (*PassShown, error) {
	raw, err := secret.DecodeToken("", token)
	if err != nil || len(raw) != 16+trackMAC+1 {
		return nil, errPass
	}
	id, n := ledger.ID(raw[:16]), raw[len(raw)-1]
	if want := passToken(svc, id, n); n == 0 || subtle.ConstantTimeCompare([]byte(want), []byte(token)) != 1 {
		return nil, errPass
	}
	r, b, err := h.read(ctx, svc, id)
	if err != nil {
		return nil, orElse(err, errNotFound, errPass)
	}
	if int(n) > len(r.Passes) || r.Passes[n-1].GoneAt > 0 && int(r.Pass) != int(n) || r.EndedAt > 0 && h.Ledger.Now().UnixMilli() > r.EndedAt+shownFor {
		return nil, errPass
	}
	return &PassShown{View: viewOf(svc, keyOf(svc, id), r, b), Name: passOf(svc, id, r, b, int(n)-1).Name, Number: int(n)}, nil
}

// ShowPass gives a pass's code and ticket, on a press, from when on the recipient's own page shows theirs (S28).
//
// Faults: NotFound (pass_over), Conflict (code_not_yet), Unavailable.
func (h *Handovers) ShowPass(ctx context.Context, svc *service.Service, id ledger.ID, number int) (*Shown, error) {
	r, _, err := h.read(ctx, svc, id)
	if err != nil {
		return nil, orElse(err, errNotFound, errPass)
	}
	switch {
	case number < 1 || number > len(r.Passes) || r.Passes[number-1].GoneAt > 0:
		return nil, errPass
	case !r.showable(h.Ledger.Now().UnixMilli()):
		return nil, errNotYet
	}
	return h.shown(ctx, svc, id, r, otp.SpacePass, r.Passes[number-1].Code, uint8(number)) //nolint:gosec // at most MaxPasses
}
