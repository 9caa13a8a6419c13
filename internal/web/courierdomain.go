// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/service"
)

// rounds does the couriers' calls with the hand-overs of package handover.
type rounds struct {
	handovers *handover.Handovers
	now       func() time.Time
}

// Enrol implements couriers.
func (c *rounds) Enrol(ctx context.Context, svc *service.Service, token, nonce string, v *account.Visitor) (*shift, error) {
	text, dev, err := c.handovers.Enrol(ctx, svc, token, nonce, v.Device)
	if err != nil {
		return nil, err
	}
	round, err := c.round(ctx, svc, dev)
	if err != nil {
		return nil, err
	}
	return &shift{Device: text.Reveal(), Until: dev.Until, Round: round}, nil // to the phone that it is made for
}

// Round implements couriers.
func (c *rounds) Round(ctx context.Context, svc *service.Service, device string, _ *account.Visitor) (*roundJSON, error) {
	dev, err := c.handovers.DeviceBy(ctx, svc, device)
	if err != nil {
		return nil, err
	}
	if dev.Over {
		return nil, fault.New(fault.Unauthorized, "shift_over", "This shift is over. Ask the depot for a new link.")
	}
	return c.round(ctx, svc, dev)
}

func (c *rounds) round(ctx context.Context, svc *service.Service, dev *handover.Device) (*roundJSON, error) {
	id, public := svc.BoxKey()
	out := &roundJSON{
		Service: svc.Name, Courier: dev.Name, CourierID: handover.FormatCourier(dev.Courier), Depot: dev.Depot, Until: dev.Until, Now: c.now().UTC(), Device: dev.BindingText(),
		Letter: svc.Policy.DeliveryLetter, Digits: svc.Policy.DeliveryDigits, SignInDigits: svc.Policy.CodeLength,
		Box: boxJSON{int(id), base64.RawURLEncoding.EncodeToString(public)}, Weak: weakWords(svc.Policy.DeliveryWeak), Parcels: []parcelJSON{},
	}
	for _, k := range svc.Signer().Set().Keys {
		out.Keys = append(out.Keys, k)
	}
	r, err := c.handovers.Round(ctx, svc, dev.Round)
	if err != nil {
		return nil, err
	}
	views, err := c.handovers.Parcels(ctx, svc, r)
	if err != nil {
		return nil, err
	}
	for _, view := range views {
		out.Parcels = append(out.Parcels, *parcelOf(view))
	}
	return out, nil
}

// weakWords are the weaker proofs that a courier can give alone.
func weakWords(all []service.WeakProof) []string {
	words := []string{}
	for _, w := range all {
		if w != service.WeakSecondPerson {
			words = append(words, string(w))
		}
	}
	return words
}

// parcelOf is what a courier may see of a hand-over: neither name nor contact nor order.
func parcelOf(v *handover.View) *parcelJSON {
	p := &parcelJSON{
		ID: handover.FormatID(v.ID), State: v.State.String(), Attempt: v.Attempt, Generation: v.Code, Initials: v.Initials, Hint: v.Hint, Items: v.Items,
		From: v.From, Until: v.Until, Zone: v.Zone.String(), TriesLeft: v.TriesLeft, Blocked: v.Blocked, Stopped: !v.StoppedAt.IsZero(), Neighbour: v.Neighbour,
		ArrivedAt: v.ArrivedAt, Means: v.Means.String(), Certainty: v.Certainty.String(), Weak: weakWords(v.Weak), Channels: []string{},
	}
	for _, ch := range v.Channels {
		p.Channels = append(p.Channels, string(ch))
	}
	return p
}

// Act implements couriers.
func (c *rounds) Act(ctx context.Context, svc *service.Service, device, by string, entries []entryJSON, _ *account.Visitor) ([]resultJSON, error) {
	dev, err := c.handovers.DeviceBy(ctx, svc, device)
	if err != nil {
		return nil, err
	}
	if by != "" && by != handover.FormatCourier(dev.Courier) {
		return nil, errAnotherCourier
	}
	results := make([]resultJSON, 0, len(entries))
	for i := range entries {
		r, err := c.act(ctx, svc, handover.Who{Courier: dev.Courier, Device: dev}, &entries[i])
		if err != nil {
			return nil, err
		}
		results = append(results, *r)
	}
	return results, nil
}

var errAnotherCourier = fault.New(fault.Conflict, "another_courier", "This phone belongs to another courier now. What was done on it before is kept until it is theirs again.")

// act is one entry. What is wrong with it is its result; an error is what the others would meet, too.
func (c *rounds) act(ctx context.Context, svc *service.Service, who handover.Who, e *entryJSON) (*resultJSON, error) {
	out := &resultJSON{Key: e.Key, Handover: e.Handover}
	id, err := handover.ParseID(e.Handover)
	if err != nil {
		out.Result = handover.NotYours.String()
		return out, nil //nolint:nilerr // the result says it
	}
	a := handover.Act{
		Key: e.Key, Handover: id, Attempt: e.Attempt, Typed: e.Code, Ticket: e.Ticket, Channel: service.Channel(e.Channel), Note: e.Note, Offline: e.Offline, SaidAt: e.At,
	}
	if !wordsOf(e, &a) {
		out.Result = handover.NotAllowed.String()
		return out, nil
	}
	if e.Position != nil {
		a.Position = &handover.Position{Lat: e.Position.Lat, Lon: e.Position.Lon}
	}
	if e.Sealed != "" {
		typed, err := svc.OpenBox(e.Sealed, fmt.Appendf(nil, "%s.%s.%d", e.Key, e.Handover, e.Attempt))
		if err != nil {
			a.Typed = "" // it is judged as what it is for us: no code, and where that was without signal, the depot hears of it
		} else {
			a.Typed = string(typed)
		}
	}
	acted, err := c.handovers.Act(ctx, svc, who, a)
	if err != nil {
		return refused(out, err)
	}
	out.Result = acted.Result.String()
	if acted.Conflict && acted.Result == handover.Over {
		out.Result = "conflict"
	}
	if acted.Result == handover.Wrong {
		out.TriesLeft = &acted.TriesLeft
	}
	if acted.RetryAfter > 0 {
		out.RetryAfter = int((acted.RetryAfter + time.Second - 1) / time.Second)
	}
	if acted.Result != handover.NotYours && acted.View != nil {
		out.Parcel = parcelOf(acted.View)
	}
	return out, nil
}

// refused is the result of an entry that the domain doesn't take at all.
func refused(out *resultJSON, err error) (*resultJSON, error) {
	f := fault.As(err)
	switch f.Kind {
	case fault.NotFound:
		out.Result = handover.NotYours.String()
	case fault.TooMany: // wrong codes are results; what else there can be too many of is sends
		out.Result = "sends_used_up"
	case fault.Invalid, fault.Unprocessable, fault.Conflict, fault.Ended:
		out.Result = handover.NotAllowed.String()
	default:
		return nil, err
	}
	return out, nil
}

var (
	doWords = map[string]handover.Do{
		"arrive": handover.DoArrive, "code": handover.DoCode, "ticket": handover.DoTicket, "give_up": handover.DoGiveUp, "refuse": handover.DoRefuse,
		"send": handover.DoSend, "weak": handover.DoWeak, "sign_in_code": handover.DoSignIn,
	}
	reasonWords = []handover.Reason{handover.NobodyHome, handover.NoAccess, handover.WrongAddress, handover.OtherReason}
	meansWords  = []handover.Means{handover.ByIdentity, handover.ByPhoto}
)

// wordsOf reads those of an entry; false: one of them is none.
func wordsOf(e *entryJSON, a *handover.Act) bool {
	a.Do = doWords[e.Do]
	switch a.Do {
	case handover.DoGiveUp:
		i := slices.IndexFunc(reasonWords, func(r handover.Reason) bool { return r.String() == e.Reason })
		if i < 0 {
			return false
		}
		a.Reason = reasonWords[i]
	case handover.DoWeak:
		i := slices.IndexFunc(meansWords, func(m handover.Means) bool { return m.String() == e.Weak })
		if i < 0 {
			return false
		}
		a.Means = meansWords[i]
	}
	return true
}
