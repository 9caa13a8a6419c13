// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// View is a hand-over as the application and the depot see it: never a code, contacts masked.
type View struct {
	ID          ledger.ID
	Order       string
	Parcel      int
	State       State
	Recipient   string   // first name
	Initials    string   // for the courier
	Contacts    []string // masked
	Locale      string
	Items, Hint string
	Depot       string
	From, Until time.Time
	GoodUntil   time.Time // the end of the delivery day
	Zone        *time.Location
	Attempt     int
	Attempts    int    // that it may have
	Code        int    // generation; 0: none yet
	Courier     string // opaque id; empty: none
	ArrivedAt   time.Time
	Unseen      bool      // the arrival came without a position
	StoppedAt   time.Time // the recipient said that nobody is there
	TriesLeft   int
	Blocked     bool // no code is taken any more in this attempt
	Spent       bool // nor in any other
	Neighbour   bool // there is a pass that works
	PassAllowed bool
	Weak        []service.WeakProof
	Means       Means
	Certainty   Certainty
	HandedAt    time.Time
	CreatedAt   time.Time
	EndedAt     time.Time
	Steps       []Step
	Messages    []MessageView
	Conflicts   []Conflict
	Notes       []Note // who did something about it beside what codes did
	NextSendAt  time.Time
	SendsLeft   int
	Channels    []service.Channel // by which the code can be sent again; none while there is no code to send
}

// MessageView is one message of a hand-over.
type MessageView struct {
	Kind      message.DeliveryKind
	Channel   service.Channel
	To        string // masked
	Status    MessageStatus
	QueuedAt  time.Time
	SentAt    time.Time
	ReceiptAt time.Time
	Outcome   message.Outcome
}

func moment(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMilli(at).UTC()
}

func viewOf(svc *service.Service, key ledger.Key, r *Record, b *body) *View {
	v := &View{
		ID: key.ID, Order: b.Order, Parcel: b.Parcel, State: r.State, Recipient: firstName(b.Name), Initials: initials(b.Name), Locale: b.Locale, Items: b.Items,
		Hint: b.Hint, Depot: b.Depot, From: moment(r.From), Until: moment(r.Until), GoodUntil: moment(r.GoodUntil), Zone: b.zone(), Attempt: int(r.Attempt),
		Attempts: b.Attempts, Code: int(r.Code), ArrivedAt: moment(r.ArrivedAt), Unseen: r.Unseen, StoppedAt: moment(r.StoppedAt), TriesLeft: r.triesLeft(), PassAllowed: !b.NoPass,
		Means: r.Means, Certainty: r.Certainty, HandedAt: moment(r.HandedAt), CreatedAt: moment(r.CreatedAt), EndedAt: moment(r.EndedAt),
		Steps: r.Steps, Conflicts: r.Conflicts, Notes: b.Notes, NextSendAt: moment(r.NextSendAt), SendsLeft: max(0, MaxSends-int(r.Sends)),
	}
	v.Blocked, v.Spent = v.TriesLeft == 0, r.AllWrong >= MaxAllWrong
	if !r.Courier.IsZero() {
		v.Courier = FormatCourier(r.Courier)
	}
	for _, p := range r.Passes {
		v.Neighbour = v.Neighbour || p.GoneAt == 0
	}
	if r.State == Out || r.State == Arrived {
		v.Channels, _ = b.canSend(svc)
	}
	for _, w := range b.Weak {
		v.Weak = append(v.Weak, service.WeakProof(w))
	}
	var masked []string
	for i := range b.Contacts {
		if c, err := b.contact(uint8(i)); err == nil { //nolint:gosec // at most MaxContacts
			masked = append(masked, c.MaskedShort())
		}
	}
	v.Contacts = masked
	for i := range r.Messages {
		m := &r.Messages[i]
		one := MessageView{
			Kind: m.Kind, Channel: service.Channels()[m.Channel-1], Status: m.Status, QueuedAt: moment(m.QueuedAt), SentAt: moment(m.SentAt),
			ReceiptAt: moment(m.ReceiptAt), Outcome: m.Outcome,
		}
		switch former := int(m.Contact) - formerContact; {
		case int(m.Contact) < len(masked):
			one.To = masked[m.Contact]
		case former >= 0 && former < len(b.Former):
			one.To = b.Former[former]
		}
		v.Messages = append(v.Messages, one)
	}
	return v
}

// read gives a hand-over as it was last committed.
func (h *Handovers) read(ctx context.Context, svc *service.Service, id ledger.ID) (*Record, *body, error) {
	key := keyOf(svc, id)
	v, err := h.Ledger.Read(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	r, ok := v.(*Record)
	if !ok {
		return nil, nil, errNotFound
	}
	b := new(body)
	return r, b, unseal(svc, key, columnBody, r.Body, b)
}

// Get gives one hand-over.
//
// Faults: NotFound, Unavailable.
func (h *Handovers) Get(ctx context.Context, svc *service.Service, id ledger.ID) (*View, error) {
	r, b, err := h.read(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	return viewOf(svc, keyOf(svc, id), r, b), nil
}

// readTogether is how many rows are read at once.
const readTogether = 16

// all gives several hand-overs, in order; those that aren't there any more are left out.
func (h *Handovers) all(ctx context.Context, svc *service.Service, ids []ledger.ID) ([]*View, error) {
	found := make([]*View, len(ids))
	var group errgroup.Group
	group.SetLimit(readTogether)
	for i, id := range ids {
		group.Go(func() error {
			v, err := h.Get(ctx, svc, id)
			if err != nil && fault.As(err).Kind == fault.NotFound {
				return nil
			}
			found[i] = v
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := found[:0]
	for _, v := range found {
		if v != nil {
			out = append(out, v)
		}
	}
	return out, nil
}

// Find gives the hand-overs of an order, found by its exact reference.
//
// Faults: NotFound (order_not_found), Unavailable.
func (h *Handovers) Find(ctx context.Context, svc *service.Service, order string) ([]*View, error) {
	order, err := line(order, "order", MaxOrder)
	if err != nil || order == "" {
		return nil, errNoOrder
	}
	key := orderKey(svc, order)
	v, err := h.Ledger.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	var o orderRow
	if _, err := openRow(svc, key, v, &o); err != nil {
		return nil, err
	}
	ids := make([]ledger.ID, 0, len(o.All))
	for _, e := range o.All {
		ids = append(ids, e.ID)
	}
	all, err := h.all(ctx, svc, ids)
	if err == nil && len(all) == 0 {
		return nil, errNoOrder
	}
	return all, err
}

// changed is change, and what the hand-over became. What people see of it is made after the batch, which others wait for.
func (h *Handovers) changed(ctx context.Context, svc *service.Service, id ledger.ID, more []ledger.Key, fn func(d *decision) error) (*View, error) {
	var last *decision
	err := h.change(ctx, svc, id, more, func(d *decision) error {
		last = d
		return fn(d)
	})
	if err != nil {
		return nil, err
	}
	b, err := last.body()
	if err != nil {
		return nil, err
	}
	return viewOf(svc, last.key, last.r, b), nil
}

// canSend are the channels by which a code can be sent again, and to which contact.
func (b *body) canSend(svc *service.Service) (channels []service.Channel, to []uint8) {
	for i := range b.Contacts {
		c, err := b.contact(uint8(i)) //nolint:gosec // at most MaxContacts
		if err != nil {
			continue
		}
		wanted := []service.Channel{service.SMS, service.Voice}
		if c.Kind() == contact.Email {
			wanted = []service.Channel{service.Email}
		}
		for _, ch := range wanted {
			if slices.Contains(svc.Policy.Channels, ch) && !slices.Contains(channels, ch) {
				channels, to = append(channels, ch), append(to, uint8(i)) //nolint:gosec // likewise
			}
		}
	}
	return channels, to
}
