// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// handoverRoutes are parcels that change hands: for applications, and for staff of a depot.
func handoverRoutes() []route {
	own := []service.Scope{service.ScopeHandover}
	look := []service.Scope{service.ScopeHandover, service.ScopeSupport, service.ScopeRead}
	return []route{
		{"POST", "/v1/handovers", byKey, own, "Make a hand-over; the same again is the same hand-over", HandoverBody{}, NewHandover{}, 201, (*API).createHandover},
		{"POST", "/v1/handovers/bulk", byKey, own, "Make up to 50,000 hand-overs: one JSON object a line, at most 8 KB each; a line of the answer for each, then the sums", jsonLines{}, jsonLines{}, 200, (*API).bulk},
		{"GET", "/v1/handovers", byKey, look, "The hand-overs of an order, by its exact reference", nil, Handovers{}, 200, asApplication((*API).ofOrder)},
		{"GET", "/v1/handovers/{id}", byKey, look, "Where a hand-over stands", nil, HandoverFull{}, 200, (*API).handover},
		{"PATCH", "/v1/handovers/{id}", byKey, own, "Change recipient, window, items or hint; what is left out stays", HandoverPatch{}, Handover{}, 200, (*API).changeHandover},
		{"POST", "/v1/handovers/{id}/out_for_delivery", byKey, own, "Send it out with a courier: its code goes to the recipient", OutBody{}, Handover{}, 200, (*API).outForDelivery},
		{"POST", "/v1/handovers/{id}/acts", byKey, own, "What a courier did at the door: arrive, a code, a QR code, giving up", ActBody{}, Acted{}, 200, (*API).act},
		{"POST", "/v1/handovers/{id}/end_attempt", byKey, own, "End the attempt that is under way", nil, Handover{}, 200, asApplication((*API).endAttempt)},
		{"POST", "/v1/handovers/{id}/return", byKey, own, "It went back", nil, Handover{}, 200, asApplication((*API).returned)},
		{"POST", "/v1/handovers/{id}/cancel", byKey, own, "End it for good", nil, Handover{}, 200, asApplication((*API).cancelHandover)},
		{"POST", "/v1/handovers/{id}/release", byKey, own, "Hand it over without a code, by a second person's word; always marked as weaker", ReleaseBody{}, Handover{}, 200, asApplication((*API).release)},
		{"POST", "/v1/handovers/{id}/conflicts/settle", byKey, own, "The depot has dealt with its conflicts", nil, Handover{}, 200, asApplication((*API).settleConflicts)},
		{"GET", "/v1/handovers/{id}/proof", byKey, look, "The signed record that it changed hands", nil, Proof{}, 200, (*API).proofOf},
		{"POST", "/v1/handovers/{id}/recipient", byKey, own, "What the recipient does on a page of yours, on which they have proven their contact", RecipientDoBody{}, Handover{}, 200, (*API).recipientDoes},
		{"POST", "/v1/handovers/{id}/code", byKey, own, "The code, for a page of yours: only to somebody who has proven the recipient's contact to you, and on a press", nil, DeliveryCode{}, 200, (*API).showCode},
		{"POST", "/v1/handovers/{id}/passes", byKey, own, "A one-time pass in a neighbour's name", PassBody{}, Pass{}, 201, (*API).share},
		{"GET", "/v1/handovers/{id}/passes", byKey, own, "Its passes", nil, Passes{}, 200, (*API).passes},
		{"DELETE", "/v1/handovers/{id}/passes/{number}", byKey, own, "Withdraw a pass", nil, nil, 204, (*API).withdraw},

		{"POST", "/v1/rounds", byKey, own, "Open a courier's round and send its parcels out; the link for the courier's phone is shown once", RoundBody{}, NewRound{}, 201, asApplication((*API).openRound)},
		{"POST", "/v1/rounds/{id}/handovers", byKey, own, "Send more parcels out with a round", ParcelsBody{}, ChangedRound{}, 200, (*API).addToRound},
		{"GET", "/v1/rounds/{id}", byKey, look, "A round with its parcels", nil, FullRound{}, 200, (*API).round},
		{"GET", "/v1/depots", byKey, look, "A depot's day: rounds, states, exceptions and figures", nil, DepotDay{}, 200, asApplication((*API).depotDay)},
		{"POST", "/v1/couriers/{id}/revoke", byKey, own, "Sign a courier's phone out at once", nil, nil, 204, asApplication((*API).revokeCourier)},
		{"POST", "/v1/couriers/{id}/invite", byKey, own, "A new link for a courier whose shift isn't over; shown once", nil, CourierLink{}, 200, asApplication((*API).inviteCourier)},

		{"GET", "/v1/depot/day", byStaff, nil, "A depot's day: rounds, states, exceptions and figures; for the roles depot and operator", nil, DepotDay{}, 200, asDepot((*API).depotDay)},
		{"GET", "/v1/depot/handovers", byStaff, nil, "The hand-overs of an order, by its exact reference; that you looked is noted", nil, Handovers{}, 200, asDepot((*API).lookUp)},
		{"POST", "/v1/depot/rounds", byStaff, nil, "Open a courier's round; the link for the courier's phone is shown once", RoundBody{}, NewRound{}, 201, asDepot((*API).openRound)},
		{"POST", "/v1/depot/couriers/{id}/revoke", byStaff, nil, "Sign a courier's phone out at once", nil, nil, 204, asDepot((*API).revokeCourier)},
		{"POST", "/v1/depot/couriers/{id}/invite", byStaff, nil, "A new link for a courier; shown once", nil, CourierLink{}, 200, asDepot((*API).inviteCourier)},
		{"POST", "/v1/depot/handovers/{id}/release", byStaff, nil, "Hand it over without a code, by your word; always marked as weaker", ReleaseBody{}, Handover{}, 200, asDepot((*API).release)},
		{"POST", "/v1/depot/handovers/{id}/settle", byStaff, nil, "Its conflicts are dealt with", nil, Handover{}, 200, asDepot((*API).settleConflicts)},
		{"POST", "/v1/depot/handovers/{id}/end_attempt", byStaff, nil, "End the attempt that is under way", nil, Handover{}, 200, asDepot((*API).endAttempt)},
		{"POST", "/v1/depot/handovers/{id}/return", byStaff, nil, "It went back", nil, Handover{}, 200, asDepot((*API).returned)},
	}
}

// shared is what both an application and somebody at the depot can do; by says who it is.
type shared func(a *API, c *call, by string) error

func asApplication(do shared) func(*API, *call) error {
	return func(a *API, c *call) error { return do(a, c, c.byApplication().Name) }
}

// asDepot is for staff of a depot, and operators, who have passed a second step.
func asDepot(do shared) func(*API, *call) error {
	return func(a *API, c *call) error {
		by, err := c.who.Staff(account.Depot, account.Operator)
		if err != nil {
			return err
		}
		return do(a, c, by.Name)
	}
}

// recipient reads who is to get a parcel.
func (a *API) recipient(in *RecipientBody, region string) (handover.Recipient, error) {
	out := handover.Recipient{Name: in.Name, Locale: in.Locale, Contacts: make([]contact.Contact, 0, len(in.Contacts))}
	for i, text := range in.Contacts {
		to, err := a.contact(text, region, fmt.Sprintf("recipient.contacts[%d]", i))
		if err != nil {
			return out, err
		}
		out.Contacts = append(out.Contacts, to)
	}
	return out, nil
}

func window(in *WindowBody) handover.Window {
	return handover.Window{From: in.From, Until: in.Until, Zone: in.TimeZone}
}

// newHandover reads what makes a hand-over.
func (a *API) newHandover(in *HandoverBody) (handover.NewHandover, error) {
	n := handover.NewHandover{
		Order: in.Order, Parcel: in.Parcel, Window: window(&in.Window), Items: in.Items, Hint: in.AddressHint, Depot: in.Depot, NoPass: in.NoPass, Attempts: in.Attempts, Quiet: in.Quiet,
	}
	if in.Weak != nil {
		n.Weak = make([]service.WeakProof, len(in.Weak))
		for i, w := range in.Weak {
			n.Weak[i] = service.WeakProof(w)
		}
	}
	var err error
	n.Recipient, err = a.recipient(&in.Recipient, in.DefaultRegion)
	return n, err
}

func (a *API) createHandover(c *call) error {
	var in HandoverBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	n, err := a.newHandover(&in)
	if err != nil {
		return err
	}
	v, again, err := a.Handovers.Create(c.context(), c.svc, n)
	if err != nil {
		return err
	}
	status := 201
	if again {
		status = 200
	}
	return write(c, status, NewHandover{a.shownHandover(c, v), again})
}

func (a *API) ofOrder(c *call, _ string) error {
	return a.byOrder(c, func(order string) ([]*handover.View, error) { return a.Handovers.Find(c.context(), c.svc, order) })
}

func (a *API) lookUp(c *call, by string) error {
	return a.byOrder(c, func(order string) ([]*handover.View, error) { return a.Handovers.LookUp(c.context(), c.svc, order, by) })
}

func (a *API) byOrder(c *call, find func(order string) ([]*handover.View, error)) error {
	order, err := needed(c, "order")
	if err != nil {
		return err
	}
	all, err := find(order)
	if err != nil {
		return err
	}
	out := Handovers{Handovers: []Handover{}}
	for _, v := range all {
		out.Handovers = append(out.Handovers, a.shownHandover(c, v))
	}
	return write(c, 200, out)
}

// needed is a parameter of the query that has to be there, once.
func needed(c *call, name string) (string, error) {
	all := c.Request.URL.Query()[name]
	if len(all) != 1 || all[0] == "" {
		return "", fault.New(fault.Invalid, "parameter_missing", "Give "+name+" once, after the question mark.").WithField(name)
	}
	return all[0], nil
}

// onHandover runs fn on the hand-over that the path names.
func onHandover(c *call, fn func(id ledger.ID) error) error {
	id, err := handover.ParseID(c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	return fn(id)
}

// becomes runs fn on the hand-over that the path names and writes what it became.
func (a *API) becomes(c *call, fn func(id ledger.ID) (*handover.View, error)) error {
	return onHandover(c, func(id ledger.ID) error {
		v, err := fn(id)
		if err != nil {
			return err
		}
		return write(c, 200, a.shownHandover(c, v))
	})
}

func (a *API) handover(c *call) error {
	return onHandover(c, func(id ledger.ID) error {
		v, err := a.Handovers.Get(c.context(), c.svc, id)
		if err != nil {
			return err
		}
		out := HandoverFull{Handover: a.shownHandover(c, v), Days: v.Days(a.Now()), Channels: []string{}}
		for _, ch := range v.Channels {
			out.Channels = append(out.Channels, string(ch))
		}
		return write(c, 200, out)
	})
}

func (a *API) changeHandover(c *call) error {
	var in HandoverPatch
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	if in.Recipient == nil && in.Window == nil && in.Items == nil && in.AddressHint == nil {
		return fault.New(fault.Invalid, "nothing_to_change", "Name what changes: recipient, window, items or address_hint.")
	}
	change := handover.Change{Items: in.Items, Hint: in.AddressHint}
	if in.Recipient != nil {
		to, err := a.recipient(in.Recipient, in.DefaultRegion)
		if err != nil {
			return err
		}
		change.Recipient = &to
	}
	if in.Window != nil {
		w := window(in.Window)
		change.Window = &w
	}
	return a.becomes(c, func(id ledger.ID) (*handover.View, error) { return a.Handovers.Change(c.context(), c.svc, id, change) })
}

func (a *API) outForDelivery(c *call) error {
	var in OutBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	return a.becomes(c, func(id ledger.ID) (*handover.View, error) {
		return a.Handovers.Dispatch(c.context(), c.svc, id, in.Courier)
	})
}

func (a *API) cancelHandover(c *call, by string) error {
	return a.becomes(c, func(id ledger.ID) (*handover.View, error) { return a.Handovers.Cancel(c.context(), c.svc, id, by) })
}

func (a *API) returned(c *call, by string) error {
	return a.becomes(c, func(id ledger.ID) (*handover.View, error) { return a.Handovers.Return(c.context(), c.svc, id, by) })
}

func (a *API) endAttempt(c *call, by string) error {
	return a.becomes(c, func(id ledger.ID) (*handover.View, error) { return a.Handovers.EndAttempt(c.context(), c.svc, id, by) })
}

func (a *API) settleConflicts(c *call, by string) error {
	return a.becomes(c, func(id ledger.ID) (*handover.View, error) {
		return a.Handovers.SettleConflicts(c.context(), c.svc, id, by)
	})
}

func (a *API) release(c *call, by string) error {
	var in ReleaseBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	return a.becomes(c, func(id ledger.ID) (*handover.View, error) {
		return a.Handovers.Release(c.context(), c.svc, id, by, in.Note)
	})
}

func (a *API) proofOf(c *call) error {
	return onHandover(c, func(id ledger.ID) error {
		text, err := a.Handovers.Proof(c.context(), c.svc, id)
		if err != nil {
			return err
		}
		return write(c, 200, Proof{text})
	})
}

// The words of the API for what a courier does, and why.
var (
	doings = map[string]handover.Do{
		"arrive": handover.DoArrive, "code": handover.DoCode, "ticket": handover.DoTicket, "give_up": handover.DoGiveUp, "refuse": handover.DoRefuse,
		"send": handover.DoSend, "weak": handover.DoWeak,
	}
	reasons = map[string]handover.Reason{
		"nobody_home": handover.NobodyHome, "no_access": handover.NoAccess, "wrong_address": handover.WrongAddress, "other": handover.OtherReason,
	}
	weaker = map[string]handover.Means{"identity": handover.ByIdentity, "photo": handover.ByPhoto}
)

// act reads an act: each thing that can be done has fields of its own, and takes no others.
func act(c *call, in *ActBody) (handover.Act, error) {
	out := handover.Act{
		Attempt: in.Attempt, Do: doings[in.Do], Typed: in.Code, Ticket: in.Ticket, Reason: reasons[in.Reason], Channel: service.Channel(in.Channel), Means: weaker[in.Weak],
		Note: in.Note, Offline: in.Offline, SaidAt: in.SaidAt,
	}
	bad := func(code, message, field string) (handover.Act, error) {
		return out, fault.New(fault.Invalid, code, message).WithField(field)
	}
	for _, f := range []struct {
		name, value string
		of          handover.Do
	}{
		{"code", in.Code, handover.DoCode}, {"ticket", in.Ticket, handover.DoTicket}, {"reason", in.Reason, handover.DoGiveUp}, {"channel", in.Channel, handover.DoSend},
		{"weak", in.Weak, handover.DoWeak}, {"note", in.Note, handover.DoWeak},
	} {
		switch {
		case f.value != "" && out.Do != f.of && out.Do != 0:
			return bad("unknown_field", "There is no field "+f.name+" when do is "+in.Do+".", f.name)
		case f.value == "" && out.Do == f.of && f.name != "channel":
			return bad(f.name+"_missing", "Give "+f.name+" when do is "+in.Do+".", f.name)
		}
	}
	var err error
	switch {
	case out.Do == 0:
		return bad("invalid_act", "do must be arrive, code, ticket, give_up, refuse, send or weak.", "do")
	case out.Do == handover.DoGiveUp && out.Reason == 0:
		return bad("invalid_reason", "reason must be nobody_home, no_access, wrong_address or other.", "reason")
	case out.Do == handover.DoWeak && out.Means == 0:
		return bad("invalid_weak_proof", "weak must be identity or photo.", "weak")
	case in.Attempt < 0 || in.Attempt > math.MaxUint8:
		return bad("invalid_attempt", "attempt is the number of one, from 1.", "attempt")
	case !in.SaidAt.IsZero() && !in.Offline:
		return bad("unknown_field", "There is no field said_at but of what happened offline.", "said_at")
	case in.Position != nil:
		if out.Position, err = position(in.Position); err != nil {
			return out, err
		}
	}
	out.Key, err = repeatKey(c)
	switch {
	case err != nil:
		return out, err
	case in.Key != "" && out.Key != "" && in.Key != out.Key:
		return bad("two_keys", "key and the header Idempotency-Key are the same thing: give one of them.", "key")
	case in.Key != "":
		out.Key, err = printable(in.Key, "key")
	}
	return out, err
}

func position(p *Position) (*handover.Position, error) {
	if p.Lat == nil || p.Lon == nil || math.Abs(*p.Lat) > 90 || math.Abs(*p.Lon) > 180 {
		return nil, fault.New(fault.Invalid, "invalid_position", "position has lat from -90 to 90 and lon from -180 to 180. Leave it out where the phone doesn't know.").WithField("position")
	}
	return &handover.Position{Lat: *p.Lat, Lon: *p.Lon}, nil
}

func (a *API) act(c *call) error {
	var in ActBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	one, err := act(c, &in)
	if err != nil {
		return err
	}
	return onHandover(c, func(id ledger.ID) error {
		who, err := a.Handovers.By(c.svc, in.Courier)
		if err != nil {
			return err
		}
		one.Handover = id
		got, err := a.Handovers.Act(c.context(), c.svc, who, one)
		if err != nil {
			return err
		}
		return write(c, 200, Acted{got.Result.String(), got.TriesLeft, got.Typed, seconds(got.RetryAfter), got.Conflict, a.shownHandover(c, got.View)})
	})
}

// recipientDoes is what a page of the application's own does for a recipient who has proven their contact there.
func (a *API) recipientDoes(c *call) error {
	var in RecipientDoBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	for _, f := range []struct{ name, value, of string }{
		{"day", in.Day, "another_day"}, {"channel", in.Channel, "send_again"}, {"text", in.Text, "asked_by_phone"}, {"ip", in.IP, "asked_by_phone"},
	} {
		if f.value != "" && in.Do != f.of {
			return fault.New(fault.Invalid, "unknown_field", f.name+" belongs to "+f.of+" alone.").WithField(f.name)
		}
	}
	if len(in.IP) > maxVisitorText {
		return fault.New(fault.Invalid, "text_too_long", fmt.Sprintf("ip may have at most %d bytes.", maxVisitorText)).WithField("ip")
	}
	h, ctx := a.Handovers, c.context()
	return a.becomes(c, func(id ledger.ID) (*handover.View, error) {
		switch in.Do {
		case "nobody_here":
			return h.NobodyHere(ctx, c.svc, id)
		case "here_after_all":
			return h.HereAfterAll(ctx, c.svc, id)
		case "another_day":
			return h.AnotherDay(ctx, c.svc, id, in.Day)
		case "refuse":
			return h.Refuse(ctx, c.svc, id)
		case "send_again":
			return h.SendAgain(ctx, c.svc, id, service.Channel(in.Channel))
		case "asked_by_phone":
			return h.AskedByPhone(ctx, c.svc, id, in.Text, in.IP)
		}
		return nil, fault.New(fault.Invalid, "invalid_act", "do must be nobody_here, here_after_all, another_day, refuse, send_again or asked_by_phone.").WithField("do")
	})
}

// showCode gives the code to a page of the application's own.
func (a *API) showCode(c *call) error {
	return onHandover(c, func(id ledger.ID) error {
		s, err := a.Handovers.ShowCode(c.context(), c.svc, id)
		if err != nil {
			return err
		}
		// To the recipient's eyes: the application has seen to it that it is them.
		return write(c, 200, DeliveryCode{Code: s.Letter + "-" + s.Code.Reveal(), Ticket: s.Ticket, GoodUntil: s.Until})
	})
}

func (a *API) share(c *call) error {
	var in PassBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	return onHandover(c, func(id ledger.ID) error {
		p, err := a.Handovers.Share(c.context(), c.svc, id, in.Name)
		if err != nil {
			return err
		}
		return write(c, 201, a.shownPass(c, p))
	})
}

func (a *API) shownPass(c *call, p *handover.Pass) Pass {
	out := Pass{Number: p.Number, Name: p.Name, At: p.At, Gone: p.Gone, Used: p.Used}
	if p.Token != "" {
		out.Link = a.Handovers.Origin(c.svc) + "/p/" + p.Token
	}
	return out
}

func (a *API) passes(c *call) error {
	return onHandover(c, func(id ledger.ID) error {
		all, err := a.Handovers.Passes(c.context(), c.svc, id)
		if err != nil {
			return err
		}
		out := Passes{Passes: []Pass{}}
		for _, p := range all {
			out.Passes = append(out.Passes, a.shownPass(c, p))
		}
		return write(c, 200, out)
	})
}

func (a *API) withdraw(c *call) error {
	return onHandover(c, func(id ledger.ID) error {
		n, err := strconv.ParseUint(c.Request.PathValue("number"), 10, 8)
		if err != nil {
			n = 0 // no pass has it
		}
		_, err = a.Handovers.Withdraw(c.context(), c.svc, id, int(n))
		return nothing(c, err)
	})
}

// deliveryKinds are the words of the API for messages.
var deliveryKinds = map[message.DeliveryKind]string{
	message.DeliveryLink: "link", message.DeliveryCode: "code", message.DeliveryArrived: "arrived", message.DeliveryNewCode: "new_code", message.DeliveryAsked: "asked",
	message.DeliveryBlocked: "blocked", message.DeliveryMissed: "missed", message.DeliveryReleased: "released", message.DeliveryByPass: "by_pass", message.DeliveryOver: "over",
}

// moment is a stored time; zero for none.
func moment(at int64) time.Time {
	if at <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(at).UTC()
}

func exceptions(v *handover.View) []string {
	out := []string{}
	for _, e := range v.Exceptions() {
		out = append(out, string(e))
	}
	return out
}

func notes(all []handover.Note) []Note {
	var out []Note
	for _, n := range all {
		out = append(out, Note{moment(n.At), n.By, n.Did.String(), n.Text})
	}
	return out
}

// shownHandover is a hand-over as the API gives it. The tracking link is for keys that make them.
func (a *API) shownHandover(c *call, v *handover.View) Handover {
	out := Handover{
		ID: handover.FormatID(v.ID), Order: v.Order, Parcel: v.Parcel, State: v.State.String(), Recipient: Recipient{v.Recipient, v.Initials, v.Contacts, v.Locale},
		Items: v.Items, AddressHint: v.Hint, Depot: v.Depot, Window: Window{v.From, v.Until, v.Zone.String(), v.GoodUntil}, Attempt: v.Attempt, Attempts: v.Attempts,
		Code: v.Code, Courier: v.Courier, ArrivedAt: v.ArrivedAt, StoppedAt: v.StoppedAt, TriesLeft: v.TriesLeft, Blocked: v.Blocked, Spent: v.Spent,
		Neighbour: v.Neighbour, PassAllowed: v.PassAllowed, Weak: make([]string, 0, len(v.Weak)), Means: v.Means.String(), Certainty: v.Certainty.String(), HandedAt: v.HandedAt,
		CreatedAt: v.CreatedAt, EndedAt: v.EndedAt, SendsLeft: v.SendsLeft, NextSendAt: v.NextSendAt, Exceptions: exceptions(v), Notes: notes(v.Notes),
		Steps: make([]HandoverStep, 0, len(v.Steps)), Messages: make([]HandoverMessage, 0, len(v.Messages)),
	}
	for _, w := range v.Weak {
		out.Weak = append(out.Weak, string(w))
	}
	for _, s := range v.Steps {
		one := HandoverStep{State: s.State.String(), At: moment(s.At), Attempt: int(s.Attempt), Reason: s.Reason.String()}
		if !s.Courier.IsZero() {
			one.Courier = handover.FormatCourier(s.Courier)
		}
		out.Steps = append(out.Steps, one)
	}
	for _, m := range v.Messages {
		out.Messages = append(out.Messages, HandoverMessage{deliveryKinds[m.Kind], string(m.Channel), m.To, m.Status.String(), m.QueuedAt, m.SentAt, m.ReceiptAt})
	}
	for _, k := range v.Conflicts {
		out.Conflicts = append(out.Conflicts, HandoverConflict{
			moment(k.At), moment(k.SaidAt), k.Result.String(), int(k.Attempt), handover.FormatCourier(k.Courier), moment(k.Settled),
		})
	}
	if c.key != nil && c.key.Has(service.ScopeHandover) {
		out.Tracking = a.Handovers.Origin(c.svc) + "/t/" + handover.TrackToken(c.svc, v.ID)
	}
	return out
}
