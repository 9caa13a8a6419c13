// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

var _ message.Outbox = (*Handovers)(nil)

// carriesCode tells whether a kind of message has a code in it.
func carriesCode(k message.DeliveryKind) bool {
	return k == message.DeliveryCode || k == message.DeliveryNewCode
}

// noticeLife is how long it is tried to send a message that carries no code.
const noticeLife = 6 * hour

// queue writes a message down for one of the recipient's contacts, by the way that the contact is written to.
func (d *decision) queue(kind message.DeliveryKind, to uint8) {
	c, err := d.b.contact(to)
	if err != nil {
		return
	}
	d.queueBy(kind, to, channelOf(c))
}

func (d *decision) queueBy(kind message.DeliveryKind, to uint8, channel service.Channel) {
	number := uint16(1)
	if n := len(d.r.Messages); n > 0 {
		number = d.r.Messages[n-1].Number + 1
	}
	m := Message{Kind: kind, Contact: to, Channel: uint8(1 + slices.Index(service.Channels(), channel)), Status: Queued, QueuedAt: d.at, WakeAt: d.at, Number: number} //nolint:gosec // few
	if carriesCode(kind) {
		m.Code = d.r.Code
		d.r.Sends++
		d.r.NextSendAt = d.at + d.svc.Policy.WaitAfter(int(d.r.Sends)).Milliseconds()
	}
	if len(d.r.Messages) >= maxMessages {
		i := max(0, slices.IndexFunc(d.r.Messages, func(m Message) bool { return m.Status != Queued }))
		d.r.Messages = slices.Delete(d.r.Messages, i, i+1)
	}
	d.r.Messages = append(d.r.Messages, m)
}

// tell writes a message down for the recipient's first contact.
func (d *decision) tell(kind message.DeliveryKind) error {
	if _, err := d.body(); err != nil {
		return err
	}
	d.queue(kind, 0)
	return nil
}

// lease takes the messages that are due for this node. They are sent once the decision is durable. One whose time is over, or whose code is not
// the current one any more, is void.
func (d *decision) lease() ([]message.Outgoing, error) {
	var due []message.Outgoing
	for i := range d.r.Messages {
		m := &d.r.Messages[i]
		if m.Status != Queued || m.WakeAt > d.at {
			continue
		}
		if m.pointless(d.r, d.at) || m.Contact >= formerContact {
			m.Status, m.WakeAt = Void, 0
			continue
		}
		m.WakeAt = d.at + verification.Lease.Milliseconds()
		b, err := d.body()
		if err != nil {
			return nil, err
		}
		o, err := d.outgoing(b, m)
		if err != nil {
			return nil, err
		}
		due = append(due, o)
	}
	return due, nil
}

// pointless tells whether a message need not be sent any more.
func (m *Message) pointless(r *Record, at int64) bool {
	if carriesCode(m.Kind) {
		return m.Code != r.Code || r.State != Out && r.State != Arrived || at > r.GoodUntil
	}
	return at > m.QueuedAt+noticeLife || m.Kind == message.DeliveryArrived && r.State != Arrived
}

func (d *decision) outgoing(b *body, m *Message) (message.Outgoing, error) {
	to, err := b.contact(m.Contact)
	if err != nil {
		return message.Outgoing{}, err
	}
	o := message.Outgoing{
		Ref: message.Ref{Row: d.key, Number: int(m.Number)}, Service: d.svc, Channel: service.Channels()[m.Channel-1], Purpose: service.Custom, To: to, Locale: b.Locale,
		Passes: int(m.Passes), QueuedAt: moment(m.QueuedAt), Deadline: moment(min(m.QueuedAt+noticeLife, max(d.r.GoodUntil, m.QueuedAt+hour))),
		Delivery: &message.Delivery{Kind: m.Kind, Letter: string(rune(d.r.Letter)), Items: b.Items, From: moment(d.r.From), Until: moment(d.r.Until), Zone: b.zone()},
	}
	switch {
	case carriesCode(m.Kind):
		o.Code = deriveCode(d.svc, d.key.ID, otp.SpaceDelivery, m.Code)
		o.Deadline = moment(d.r.GoodUntil)
	case m.Kind == message.DeliveryLink:
		o.Delivery.Link = d.h.Origin(d.svc) + "/t/" + TrackToken(d.svc, d.key.ID)
	case m.Kind == message.DeliveryByPass && m.Pass > 0 && int(m.Pass) <= len(b.Passes):
		o.Delivery.Name = b.Passes[m.Pass-1]
	}
	return o, nil
}

// Report implements message.Outbox: it writes down what became of a message.
func (h *Handovers) Report(ctx context.Context, rep message.Report) error {
	return h.onMessage(ctx, rep.Ref, func(d *decision, m *Message) {
		if m.SentAt > 0 || m.Status != Queued && m.Status != Void {
			d.still = true // reported before
			return
		}
		for _, a := range rep.Attempts {
			m.Outcome, m.Provider = a.Outcome, a.Provider
		}
		switch {
		case rep.Sent:
			m.Status, m.SentAt, m.WakeAt = Sent, d.at, 0
		case m.Status == Void:
		case rep.Final:
			m.Status, m.WakeAt = NotSent, 0
		default:
			m.Passes = min(m.Passes, 254) + 1
			m.WakeAt = d.at + max(rep.RetryIn.Milliseconds(), 1)
		}
	})
}

// Receive writes down a provider's later word on a message. One that comes twice changes nothing.
func (h *Handovers) Receive(ctx context.Context, ref message.Ref, rec message.Receipt) error {
	return h.onMessage(ctx, ref, func(d *decision, m *Message) {
		if m.Status == Delivered || m.Status == Undelivered && !rec.Delivered {
			d.still = true
			return
		}
		m.Status, m.ReceiptAt, m.WakeAt, m.Outcome = Undelivered, d.at, 0, rec.Outcome
		if rec.Delivered {
			m.Status, m.Outcome = Delivered, message.Accepted
		}
		if m.SentAt == 0 {
			m.SentAt = d.at // the receipt overtook our own note
		}
	})
}

// onMessage changes one message of a hand-over; nothing happens if either isn't there any more.
func (h *Handovers) onMessage(ctx context.Context, ref message.Ref, fn func(d *decision, m *Message)) error {
	svc, ok := h.Services.ByID(ref.Row.Service)
	if !ok {
		return nil
	}
	err := h.change(ctx, svc, ref.Row.ID, nil, func(d *decision) error {
		for i := range d.r.Messages {
			if int(d.r.Messages[i].Number) == ref.Number {
				fn(d, &d.r.Messages[i])
				return nil
			}
		}
		d.still = true
		return nil
	})
	return unless(err, errNotFound)
}

const wakeTogether = 64

// Wake does what has come due: messages whose lease ran out or that are to be tried again, the end of delivery days, the end of all
// waiting. It returns how many hand-overs it looked at. Any number of nodes may do so at once.
func (h *Handovers) Wake(ctx context.Context, limit int) (int, error) {
	keys, err := h.Ledger.Due(ctx, ledger.KindHandover, limit)
	if err != nil {
		return 0, err
	}
	var group errgroup.Group // the failure of one must not cut off the others
	group.SetLimit(wakeTogether)
	for _, key := range keys {
		if svc, ok := h.Services.ByID(key.Service); ok {
			group.Go(func() error { return unless(h.change(ctx, svc, key.ID, nil, (*decision).due), errNotFound) })
		}
	}
	return len(keys), group.Wait()
}

// due ends what is over. Messages that are due are leased by whoever calls.
func (d *decision) due() error {
	switch {
	case (d.r.State == Out || d.r.State == Arrived) && d.at >= d.r.GoodUntil:
		if err := d.r.move(Attempted, DayOver, d.at); err != nil {
			return err
		}
		return d.tell(message.DeliveryMissed)
	case (d.r.State == Created || d.r.State == Attempted || d.r.State == Refused) && d.at >= d.r.GoodUntil+keepOpen:
		return d.r.move(Expired, 0, d.at)
	}
	return nil
}
