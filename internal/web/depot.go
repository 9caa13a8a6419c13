// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
)

// depotRoutes are the pages of a depot's staff.
func depotRoutes() []route {
	return []route{
		{"GET /depot", session, (*Pages).depot},
		{"POST /depot", session, (*Pages).doDepot},
		{"GET /depot/round", session, (*Pages).depotRound},
		{"POST /depot/round", session, (*Pages).doDepotRound},
		{"GET /depot/round/{id}", session, (*Pages).depotOneRound},
		{"GET /depot/order", session, (*Pages).depotOrder},
		{"POST /depot/order/{id}", session, (*Pages).doDepotOrder},
		{"GET /depot/proof/{id}", session, (*Pages).depotProof},
		{"GET /depot/courier/{id}", session, (*Pages).depotCourier},
		{"POST /depot/courier/{id}", session, (*Pages).doDepotCourier},
	}
}

// depotTime is how long a browser remembers which depot it stands in.
const depotTime = 400 * 24 * time.Hour

// depotStaff lets only those in who work at a depot, or run the service, and have passed a second step.
func (v *visit) depotStaff() (account.By, error) {
	return v.signed.Staff(account.Depot, account.Operator)
}

// whichDepot is where this browser stands: the depot's name and time zone; empty: nobody has said so yet.
func (p *Pages) whichDepot(v *visit) (name, zone string) {
	q, err := url.ParseQuery(p.cookie(v, cookieDepot))
	if err != nil {
		return "", ""
	}
	return q.Get("name"), q.Get("zone")
}

// depotData is what the pages of a depot show.
type depotData struct {
	Me           string // as in notes
	Name, Zone   string
	Day          *handover.DepotDay // nil on the page of one round
	Date         string
	Rounds       []roundData
	Before, Next string // days
	Found        []*handover.View
	Order        string
	Link         string // of a courier, once
	Left         []leftData
	Courier      string               // opaque
	Names        map[ledger.ID]string // of couriers, where a depot wrote one
	Texts        map[string]string    // what was typed, by field
	Note         string
	At           string // the hand-over that a problem is about
}

// leftData is a parcel that didn't go out, and why.
type leftData struct{ Order, Why string }

// depot shows a day's rounds, or asks which depot it is.
func (p *Pages) depot(v *visit) error {
	by, err := v.depotStaff()
	if err != nil {
		return err
	}
	d := &depotData{Me: by.Name}
	d.Name, d.Zone = p.whichDepot(v)
	pg := p.center(v, "depot.title")
	pg.Data = d
	if d.Name == "" {
		d.Zone = "UTC"
		if v.zone != nil {
			d.Zone = v.zone.String()
		}
		pg.Title = pg.T("depot.which")
		return p.show(v, http.StatusOK, "depotwhich.html", pg)
	}
	if d.Day, err = p.Handovers.Depot(v.Request.Context(), v.svc, d.Name, v.Request.URL.Query().Get("date"), d.Zone); err != nil {
		return err
	}
	pg.Title, d.Date = pg.T("depot.day", "depot", d.Name, "date", d.Day.Date), d.Day.Date
	parcels := 0
	for _, r := range d.Day.Rounds {
		parcels += len(r.Parcels)
	}
	d.Rounds = pg.roundsOf(parcels <= shownOfDay, d.Day.Rounds...)
	if at, err := time.Parse(time.DateOnly, d.Day.Date); err == nil {
		d.Before, d.Next = at.AddDate(0, 0, -1).Format(time.DateOnly), at.AddDate(0, 0, 1).Format(time.DateOnly)
	}
	pg.Refresh = 60
	return p.show(v, http.StatusOK, "depot.html", pg)
}

// depotOneRound shows a round with all of its parcels.
func (p *Pages) depotOneRound(v *visit) error {
	by, err := v.depotStaff()
	if err != nil {
		return err
	}
	id, err := handover.ParseRound(v.Request.PathValue("id"))
	if err != nil {
		return err
	}
	r, err := p.Handovers.DepotRound(v.Request.Context(), v.svc, id)
	if err != nil {
		return err
	}
	pg := p.center(v, "depot.parcels")
	pg.Title, pg.Refresh = pg.T("depot.day", "depot", r.Depot, "date", r.Date), 60
	pg.Data = &depotData{Me: by.Name, Date: r.Date, Rounds: pg.roundsOf(true, r)}
	return p.show(v, http.StatusOK, "depot.html", pg)
}

// doDepot remembers which depot this browser stands in; without a name, it asks again.
func (p *Pages) doDepot(v *visit) error {
	if _, err := v.depotStaff(); err != nil {
		return err
	}
	name, zone := strings.TrimSpace(v.form("depot")), strings.TrimSpace(v.form("zone"))
	if v.form("do") == "leave" {
		p.clear(v, cookieDepot)
		return see(v, "/depot")
	}
	_, err := p.Handovers.Depot(v.Request.Context(), v.svc, name, "", zone)
	if err == nil && name == "" {
		err = fault.New(fault.Invalid, "depot_missing", "Say which depot this is.").WithField("depot")
	}
	if err != nil {
		pg := p.center(v, "depot.which")
		pg.Data = &depotData{Name: name, Zone: zone}
		field := "depot"
		if fault.As(err).Code == "invalid_time_zone" {
			field = "zone"
		}
		return p.again(v, err, "depotwhich.html", pg, field)
	}
	p.set(v, cookieDepot, url.Values{"name": {name}, "zone": {zone}}.Encode(), depotTime)
	return see(v, "/depot")
}

// depotRound is the form for a courier's round.
func (p *Pages) depotRound(v *visit) error {
	if _, err := v.depotStaff(); err != nil {
		return err
	}
	if name, _ := p.whichDepot(v); name == "" {
		return see(v, "/depot")
	}
	pg := p.center(v, "depot.open_round")
	pg.Data = &depotData{Texts: map[string]string{"hours": "12"}}
	return p.show(v, http.StatusOK, "depotround.html", pg)
}

// doDepotRound opens a round of orders that are named by their exact references, and shows the courier's link, once.
func (p *Pages) doDepotRound(v *visit) error {
	by, err := v.depotStaff()
	if err != nil {
		return err
	}
	name, zone := p.whichDepot(v)
	if name == "" {
		return see(v, "/depot")
	}
	d := &depotData{Name: name, Zone: zone, Texts: map[string]string{"courier": v.form("courier"), "hours": v.form("hours"), "orders": v.form("orders")}}
	again := func(err error, field string) error {
		pg := p.center(v, "depot.open_round")
		pg.Data = d
		return p.again(v, err, "depotround.html", pg, field)
	}
	hours, err := strconv.Atoi(v.form("hours"))
	if err != nil || hours < 1 {
		return again(fault.New(fault.Invalid, "invalid_hours", "hours must be from 1 to 24."), "hours")
	}
	ids, orders, err := p.ordersOf(v, d)
	if err != nil {
		return again(err, "orders")
	}
	_, token, left, err := p.Handovers.OpenRound(v.Request.Context(), v.svc, handover.NewRound{Depot: name, Zone: zone, Courier: v.form("courier"), Hours: hours, Parcels: ids, By: by.Name})
	if err != nil {
		field := map[string]string{"invalid_hours": "hours", "round_incomplete": "courier", "text_too_long": "courier"}[fault.As(err).Code]
		return again(err, field)
	}
	pg := p.center(v, "depot.link_title")
	for _, l := range left {
		d.Left = append(d.Left, leftData{orders[l.ID], pg.problem(fault.As(l.Err))})
	}
	d.Courier = v.form("courier")
	return p.showLink(v, pg, d, token)
}

// ordersOf finds the parcels of the orders that were typed, one a line.
func (p *Pages) ordersOf(v *visit, d *depotData) (ids []ledger.ID, orders map[ledger.ID]string, err error) {
	orders = map[ledger.ID]string{}
	var missing []string
	for line := range strings.Lines(v.form("orders")) {
		order := strings.TrimSpace(line)
		if order == "" {
			continue
		}
		found, err := p.Handovers.Find(v.Request.Context(), v.svc, order)
		if err != nil && fault.As(err).Kind != fault.NotFound {
			return nil, nil, err
		}
		if err != nil {
			missing = append(missing, order)
		}
		for _, f := range found {
			if _, twice := orders[f.ID]; !twice && !f.State.Final() {
				ids, orders[f.ID] = append(ids, f.ID), order
			}
		}
		if len(ids) > handover.MaxRound || len(missing) > handover.MaxRound {
			return nil, nil, fault.New(fault.Invalid, "too_many_parcels", "A round has at most "+strconv.Itoa(handover.MaxRound)+" parcels.")
		}
	}
	switch {
	case len(missing) > 0:
		d.Note = strings.Join(missing, ", ")
		return nil, nil, fault.New(fault.Invalid, "order_not_found", "There is no hand-over for some of these orders.")
	case len(ids) == 0:
		return nil, nil, fault.New(fault.Invalid, "orders_missing", "Name at least one order.")
	}
	return ids, orders, nil
}

// showLink shows a courier's link: as a QR code and in words, once.
func (p *Pages) showLink(v *visit, pg *page, d *depotData, token secret.Text) error {
	d.Link = p.Handovers.Origin(v.svc) + "/courier#" + token.Reveal() // to whoever gives it to the courier; it works once
	pg.Data, pg.Once = d, true
	v.Header()["Cache-Control"] = []string{"no-store"}
	return p.show(v, http.StatusOK, "depotlink.html", pg)
}

// depotOrder finds hand-overs by an exact order; there is no browsing.
func (p *Pages) depotOrder(v *visit) error {
	by, err := v.depotStaff()
	if err != nil {
		return err
	}
	return p.showOrder(v, by.Name, v.Request.URL.Query().Get("order"), ledger.ID{}, nil)
}

func (p *Pages) showOrder(v *visit, by, order string, at ledger.ID, refused error) error {
	pg := p.center(v, "depot.find")
	d := &depotData{Me: by, Order: strings.TrimSpace(order), Note: v.form("note")}
	pg.Data = d
	if d.Order == "" {
		return p.show(v, http.StatusOK, "depotorder.html", pg)
	}
	found, err := p.Handovers.LookUp(v.Request.Context(), v.svc, d.Order, by)
	if err != nil {
		return p.again(v, err, "depotorder.html", pg, "order")
	}
	d.Found = found
	if d.Names, err = p.Handovers.Names(v.Request.Context(), v.svc, couriersOf(found)...); err != nil {
		return err
	}
	pg.Title = pg.T("depot.order", "order", d.Order)
	if refused != nil {
		d.At = handover.FormatID(at)
		field := ""
		if fault.As(refused).Field == "note" {
			field = "note-" + d.At
		}
		return p.again(v, refused, "depotorder.html", pg, field)
	}
	return p.show(v, http.StatusOK, "depotorder.html", pg)
}

// doDepotOrder does what the depot can do about one hand-over. Who did it is in its history.
func (p *Pages) doDepotOrder(v *visit) error {
	by, err := v.depotStaff()
	if err != nil {
		return err
	}
	id, err := handover.ParseID(v.Request.PathValue("id"))
	if err != nil {
		return err
	}
	ctx := v.Request.Context()
	switch v.form("do") {
	case "release":
		_, err = p.Handovers.Release(ctx, v.svc, id, by.Name, v.form("note"))
	case "settle":
		_, err = p.Handovers.SettleConflicts(ctx, v.svc, id, by.Name)
	case "end":
		_, err = p.Handovers.EndAttempt(ctx, v.svc, id, by.Name)
	case "return":
		_, err = p.Handovers.Return(ctx, v.svc, id, by.Name)
	default:
		return errGone
	}
	h, e := p.Handovers.Get(ctx, v.svc, id)
	if e != nil {
		return e
	}
	if err != nil {
		return p.showOrder(v, by.Name, h.Order, id, err)
	}
	return see(v, "/depot/order?order="+url.QueryEscape(h.Order))
}

// depotProof gives the signed record of a hand-over as a file.
func (p *Pages) depotProof(v *visit) error {
	if _, err := v.depotStaff(); err != nil {
		return err
	}
	id, err := handover.ParseID(v.Request.PathValue("id"))
	if err != nil {
		return err
	}
	proof, err := p.Handovers.Proof(v.Request.Context(), v.svc, id)
	if err != nil {
		return err
	}
	v.Header()["Content-Type"] = []string{"application/jose"}
	v.Header()["Content-Disposition"] = []string{"attachment; filename=\"" + handover.FormatID(id) + ".jws\""}
	return send(v, http.StatusOK, []byte(proof+"\n"))
}

// couriersOf are those who carried or carry parcels, and whose phones told what doesn't fit.
func couriersOf(all []*handover.View) []ledger.ID {
	var ids []ledger.ID
	for _, h := range all {
		if id, err := handover.ParseCourier(h.Courier); err == nil {
			ids = append(ids, id)
		}
		for _, c := range h.Conflicts {
			ids = append(ids, c.Courier)
		}
	}
	return ids
}

// depotCourier asks before a courier's phone is signed out.
func (p *Pages) depotCourier(v *visit) error {
	if _, err := v.depotStaff(); err != nil {
		return err
	}
	id, err := handover.ParseCourier(v.Request.PathValue("id"))
	if err != nil {
		return err
	}
	names, err := p.Handovers.Names(v.Request.Context(), v.svc, id)
	if err != nil {
		return err
	}
	pg := p.center(v, "depot.revoke_title")
	pg.Data = &depotData{Courier: handover.FormatCourier(id), Note: names[id]}
	return p.show(v, http.StatusOK, "depotrevoke.html", pg)
}

// doDepotCourier signs a courier's phone out, or makes a new link for another one.
func (p *Pages) doDepotCourier(v *visit) error {
	by, err := v.depotStaff()
	if err != nil {
		return err
	}
	id, err := handover.ParseCourier(v.Request.PathValue("id"))
	if err != nil {
		return err
	}
	switch v.form("do") {
	case "revoke":
		if err := p.Handovers.Revoke(v.Request.Context(), v.svc, id, by.Name); err != nil {
			return err
		}
		return see(v, "/depot")
	case "invite":
		token, err := p.Handovers.Invite(v.Request.Context(), v.svc, id, by.Name)
		if err != nil {
			return err
		}
		return p.showLink(v, p.center(v, "depot.link_title"), &depotData{Courier: handover.FormatCourier(id)}, token)
	}
	return errGone
}
