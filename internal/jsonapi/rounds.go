// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"fmt"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
)

// parcels reads the ids of hand-overs. What is none is left out, as if nobody had it.
func parcels(texts []string) (ids []ledger.ID, out []LeftOut, err error) {
	out = []LeftOut{}
	if len(texts) > handover.MaxRound {
		return nil, nil, fault.New(fault.Invalid, "too_many_parcels", fmt.Sprintf("A round has at most %d parcels.", handover.MaxRound)).WithField("handovers")
	}
	for _, text := range texts {
		id, err := handover.ParseID(text)
		if err != nil {
			out = append(out, LeftOut{text, lineProblem(err)})
			continue
		}
		ids = append(ids, id)
	}
	return ids, out, nil
}

// lineProblem is a fault as one line of many tells it: the first, if there are several.
func lineProblem(err error) LineProblem {
	f := fault.As(err)
	for len(f.Problems) > 0 {
		f = f.Problems[0]
	}
	out := LineProblem{Code: f.Code, Detail: f.Message, Field: f.Field}
	if f.RetryAfter > 0 {
		out.RetryAfter = seconds(f.RetryAfter)
	}
	return out
}

func leftOut(out []LeftOut, not []handover.LeftOut) []LeftOut {
	for _, l := range not {
		out = append(out, LeftOut{handover.FormatID(l.ID), lineProblem(l.Err)})
	}
	return out
}

func shownRound(r *handover.Round) Round {
	out := Round{
		ID: handover.FormatRound(r.ID), Courier: handover.FormatCourier(r.Courier), Name: r.Name, Depot: r.Depot, Date: r.Date, OpenedAt: r.OpenedAt, Until: r.Until,
		Handovers: make([]string, 0, len(r.Parcels)), By: r.By,
	}
	for _, id := range r.Parcels {
		out.Handovers = append(out.Handovers, handover.FormatID(id))
	}
	return out
}

// courierLink is what binds a courier's phone. The token is in the fragment: no server's log sees it.
func (a *API) courierLink(c *call, token secret.Text) string {
	return a.Handovers.Origin(c.svc) + "/courier#" + token.Reveal() // the one time that it is shown
}

func (a *API) openRound(c *call, by string) error {
	var in RoundBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	ids, out, err := parcels(in.Handovers)
	if err != nil {
		return err
	}
	r, token, not, err := a.Handovers.OpenRound(c.context(), c.svc, handover.NewRound{
		Depot: in.Depot, Courier: in.Courier, Zone: in.TimeZone, Hours: in.Hours, Parcels: ids, By: by,
	})
	if err != nil {
		return err
	}
	return write(c, 201, NewRound{shownRound(r), a.courierLink(c, token), leftOut(out, not)})
}

// onRound runs fn on the round that the path names.
func onRound(c *call, fn func(id ledger.ID) error) error {
	id, err := handover.ParseRound(c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	return fn(id)
}

func (a *API) addToRound(c *call) error {
	var in ParcelsBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	ids, out, err := parcels(in.Handovers)
	if err != nil {
		return err
	}
	return onRound(c, func(id ledger.ID) error {
		r, not, err := a.Handovers.AddToRound(c.context(), c.svc, id, ids)
		if err != nil {
			return err
		}
		return write(c, 200, ChangedRound{shownRound(r), leftOut(out, not)})
	})
}

func (a *API) round(c *call) error {
	return onRound(c, func(id ledger.ID) error {
		r, err := a.Handovers.Round(c.context(), c.svc, id)
		if err != nil {
			return err
		}
		all, err := a.Handovers.Parcels(c.context(), c.svc, r)
		if err != nil {
			return err
		}
		return write(c, 200, FullRound{shownRound(r), depotParcels(all)})
	})
}

func depotParcels(all []*handover.View) []DepotParcel {
	out := make([]DepotParcel, 0, len(all))
	for _, v := range all {
		out = append(out, DepotParcel{
			ID: handover.FormatID(v.ID), Order: v.Order, Parcel: v.Parcel, State: v.State.String(), Attempt: v.Attempt, Until: v.Until, ArrivedAt: v.ArrivedAt,
			HandedAt: v.HandedAt, Means: v.Means.String(), Certainty: v.Certainty.String(), Exceptions: exceptions(v),
		})
	}
	return out
}

func (a *API) depotDay(c *call, _ string) error {
	depot, err := needed(c, "depot")
	if err != nil {
		return err
	}
	q := c.Request.URL.Query()
	if q.Get("date") == "" && q.Get("time_zone") == "" {
		return fault.New(fault.Invalid, "parameter_missing", "Give date, or time_zone for today's.").WithField("date")
	}
	d, err := a.Handovers.Depot(c.context(), c.svc, depot, q.Get("date"), q.Get("time_zone"))
	if err != nil {
		return err
	}
	out := DepotDay{Depot: d.Depot, Date: d.Date, Rounds: make([]DepotRound, 0, len(d.Rounds)), Figures: Figures(d.Figures)}
	for _, r := range d.Rounds {
		out.Rounds = append(out.Rounds, DepotRound{shownRound(r.Round), r.Device, r.BoundAt, r.Current, r.Alarm, depotParcels(r.Parcels), Figures(r.Figures), notes(r.Notes)})
	}
	return write(c, 200, out)
}

// onCourier runs fn on the courier that the path names.
func onCourier(c *call, fn func(id ledger.ID) error) error {
	id, err := handover.ParseCourier(c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	return fn(id)
}

func (a *API) revokeCourier(c *call, by string) error {
	return onCourier(c, func(id ledger.ID) error { return nothing(c, a.Handovers.Revoke(c.context(), c.svc, id, by)) })
}

func (a *API) inviteCourier(c *call, by string) error {
	return onCourier(c, func(id ledger.ID) error {
		token, err := a.Handovers.Invite(c.context(), c.svc, id, by)
		if err != nil {
			return err
		}
		return write(c, 200, CourierLink{a.courierLink(c, token)})
	})
}
