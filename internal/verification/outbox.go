// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

var _ message.Outbox = (*Engine)(nil)

// Report implements message.Outbox: it writes down what became of a message.
func (e *Engine) Report(ctx context.Context, rep message.Report) error {
	key := rep.Ref.Row
	var bounced *Record
	err := e.ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key}, Alone: true, Apply: func(tx *ledger.Tx) error {
		bounced = nil
		r, ok := tx.Get(key).(*Record)
		if !ok || rep.Ref.Number >= len(r.Messages) {
			return nil // removed since: nobody is waiting for it
		}
		m := &r.Messages[rep.Ref.Number]
		at := r.clock(tx.Now())
		if early := slices.IndexFunc(m.Attempts, func(a Attempt) bool { return a.StartedAt == 0 }); early >= 0 {
			// The provider's receipt overtook this report: what is settled stays, but who carried it is still news.
			rec := m.Attempts[early].receipt(m.Status == Delivered)
			m.Attempts = slices.Delete(m.Attempts, early, early+1)
			m.note(rep.Attempts)
			m.receipt(rec, at)
			r.UpdatedAt = at
			tx.Put(key, r)
			return nil
		}
		if m.SentAt > 0 || m.Status == MessageFail {
			return nil // reported before
		}
		m.note(rep.Attempts)
		kind := m.settle(rep, at)
		r.UpdatedAt = at
		tx.Put(key, r)
		if kind != 0 {
			tx.Event(event(kind, key, r, rep.Ref.Number, at))
		}
		if kind == EventMessageFailed && slices.ContainsFunc(rep.Attempts, func(a message.Attempt) bool { return hopeless(a.Outcome) }) {
			bounced = r
		}
		return nil
	}})
	if err == nil {
		e.unreachable(ctx, key, bounced)
	}
	return err
}

// settle moves a message by a report and returns the event that this is, or 0.
func (m *Message) settle(rep message.Report, at int64) ledger.EventKind {
	switch {
	case rep.Sent:
		// Also when the verification ended in between: a provider has it, and that is the truth.
		m.Status, m.SentAt, m.WakeAt, m.Receipts = Sent, at, 0, rep.Receipts
		return EventSent
	case m.Status != Queued:
		return 0
	case rep.Final:
		m.Status, m.WakeAt = MessageFail, 0
		return EventMessageFailed
	default:
		m.Passes = min(m.Passes, 254) + 1
		m.WakeAt = at + rep.RetryIn.Milliseconds()
		return 0
	}
}

func (m *Message) note(attempts []message.Attempt) {
	for _, a := range attempts {
		m.Attempts = append(m.Attempts, Attempt{
			Provider: a.Provider, Reference: a.Reference, Network: a.Network, Code: a.Code, StartedAt: a.StartedAt.UnixMilli(),
			Millis: uint32(min(a.EndedAt.Sub(a.StartedAt).Milliseconds(), time.Hour.Milliseconds())), Outcome: a.Outcome,
		})
	}
	m.Attempts = slices.Clone(m.Attempts[max(0, len(m.Attempts)-maxAttempts):])
}

// Receive writes down a provider's receipt for the message that ref names. A receipt that comes
// twice or out of order (delivered, then sent) changes nothing.
func (e *Engine) Receive(ctx context.Context, ref message.Ref, rec message.Receipt) error {
	key := ref.Row
	var bounced *Record
	var took time.Duration
	var network string
	err := e.ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key}, Alone: true, Apply: func(tx *ledger.Tx) error {
		bounced, took = nil, 0
		r, ok := tx.Get(key).(*Record)
		if !ok || ref.Number >= len(r.Messages) {
			return nil
		}
		m := &r.Messages[ref.Number]
		if m.ReceiptAt > 0 && m.Status == Delivered || m.Status == Undelivered && !rec.Delivered {
			return nil
		}
		at := r.clock(tx.Now())
		kind := EventUndelivered
		m.Status, m.ReceiptAt, m.WakeAt = Undelivered, at, 0
		if rec.Delivered {
			kind, m.Status = EventDelivered, Delivered
		}
		begun := at
		if m.SentAt == 0 {
			m.SentAt, begun = at, 0 // the receipt overtook our own note
		}
		m.receipt(rec, begun)
		m.Receipts = true
		if rec.Delivered {
			took = max(time.Millisecond, time.Duration(at-m.QueuedAt)*time.Millisecond)
		}
		r.UpdatedAt = at
		tx.Put(key, r)
		tx.Event(event(kind, key, r, ref.Number, at))
		if !rec.Delivered && hopeless(rec.Outcome) && r.Status != Approved { // who brought the code has the contact
			bounced = r
		}
		if took > 0 {
			network = m.network(e, key, r)
		}
		return nil
	}})
	if err == nil {
		e.arrivals.note(network, took, e.ledger.Now())
		e.unreachable(ctx, key, bounced)
	}
	return err
}

// receipt adds to the attempt what the provider told later. What it tells of an attempt that isn't known is kept as one that began
// at begun (Unix milliseconds); 0: it is not yet known, and our own report will tell.
func (m *Message) receipt(rec message.Receipt, begun int64) {
	found := false
	for i := range m.Attempts {
		a := &m.Attempts[i]
		meant := a.Reference == rec.Reference
		if rec.Reference == "" {
			meant = a.Outcome == message.Accepted
		}
		if !meant || a.Provider != rec.Provider {
			continue
		}
		found = true
		if rec.Network != "" {
			a.Network = rec.Network
		}
		if !rec.Delivered {
			a.Outcome, a.Code = rec.Outcome, rec.Code
		}
	}
	if found {
		return
	}
	a := Attempt{Provider: rec.Provider, Reference: rec.Reference, Network: rec.Network, Code: rec.Code, StartedAt: begun, Outcome: rec.Outcome}
	if rec.Delivered {
		a.Code, a.Outcome = "", message.Accepted
	}
	m.Attempts = append(m.Attempts, a)
	m.Attempts = slices.Clone(m.Attempts[max(0, len(m.Attempts)-maxAttempts):])
}

// receipt is what an attempt was made of that only a receipt told of.
func (a *Attempt) receipt(delivered bool) message.Receipt {
	return message.Receipt{Provider: a.Provider, Reference: a.Reference, Network: a.Network, Code: a.Code, Outcome: a.Outcome, Delivered: delivered}
}

// Wake does what has come due: it ends verifications whose time has run out and offers messages whose
// lease ran out (their node died, or a provider asked to wait) to the sender again. It returns how many rows it
// looked at. Any number of nodes may do so at once: who comes second finds nothing to do.
func (e *Engine) Wake(ctx context.Context, limit int) (int, error) {
	keys, err := e.ledger.Due(ctx, ledger.KindVerification, limit)
	if err != nil {
		return 0, err
	}
	// Together, so that they share batches.
	var group errgroup.Group // the failure of one must not cut off the others
	group.SetLimit(wakeTogether)
	for _, key := range keys {
		group.Go(func() error { return e.wake(ctx, key) })
	}
	return len(keys), group.Wait()
}

const wakeTogether = 128

func (e *Engine) wake(ctx context.Context, key ledger.Key) error {
	svc, ok := e.services.ByID(key.Service)
	if !ok {
		return nil
	}
	var due []message.Outgoing
	unused := ""
	err := e.ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key}, Apply: func(tx *ledger.Tx) error {
		due, unused = due[:0], ""
		r, c, ok := load(tx, key)
		if !ok || r.Status != Pending {
			return nil
		}
		at := max(r.clock(tx.Now()), c.UpdatedAt)
		if r.overdue(at) {
			concluded(tx, key, r, c, at)
			if len(r.Wrong) == 0 {
				unused = asker(svc, key.ID, r)
			}
			return nil
		}
		var err error
		due, err = takeDue(svc, key, r, at)
		if err == nil && len(due) > 0 {
			save(tx, key, r, nil, at)
		}
		return err
	}})
	if err != nil {
		return err
	}
	e.callers.weigh(svc, unused, weightUnused, e.ledger.Now())
	for _, m := range due {
		e.sender.Enqueue(m)
	}
	return nil
}

// takeDue leases the queued messages whose time has come to this node.
func takeDue(svc *service.Service, key ledger.Key, r *Record, at int64) ([]message.Outgoing, error) {
	var due []message.Outgoing
	for n := range r.Messages {
		m := &r.Messages[n]
		if m.Status != Queued || m.WakeAt > at {
			continue
		}
		m.WakeAt = at + Lease.Milliseconds()
		to, err := openContact(svc, key.ID, r)
		if err != nil {
			return nil, fault.As(err)
		}
		o, err := outgoingOf(svc, key, r, n, to)
		if err != nil {
			return nil, err
		}
		due = append(due, o)
	}
	return due, nil
}
