// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"fmt"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

// ResendRequest asks for the code once more, over the same channel or another to the same contact.
type ResendRequest struct {
	Service *service.Service
	ID      ledger.ID
	Channel service.Channel // empty: the latest message's
	Caller  Caller
	Idempotency
}

// Resend sends the code again: the same code while enough of its life is left, so that the text that
// arrives late still works; near its end a new one, a new generation under the same id with a lifetime
// of its own. It never extends the life of a code.
//
// Faults: NotFound, Ended (the verification is over), Invalid (the channel), TooMany (the wait isn't
// over, or sends or a budget are used up; a zero RetryAfter: begin a new one), Unavailable.
func (e *Engine) Resend(ctx context.Context, req ResendRequest) (*View, error) {
	svc := req.Service
	if _, err := keysOf(svc, req.ID); err != nil {
		return nil, err
	}
	var out answer
	refund, err := e.callers.charge(svc, req.Caller, spendSend, e.ledger.Now())
	if err != nil {
		if err := e.again(ctx, svc, req.Idempotency, err, &out); err != nil {
			return nil, err
		}
		return &out.View, nil
	}
	var (
		next *message.Outgoing // nil: the contact's owner wants no codes
		key  = rowKey(svc.ID, req.ID)
	)
	op := ledger.Op{Keys: []ledger.Key{key}, Apply: func(tx *ledger.Tx) error {
		var err error
		next, err = req.decide(tx, key, &out)
		return err
	}}
	if err := e.do(ctx, svc, req.Idempotency, op, &out); err != nil {
		if notDone(err) && fault.As(err).Kind != fault.TooMany {
			refund()
		}
		return nil, err
	}
	switch {
	case out.replayed:
		refund()
	case next != nil:
		e.sender.Enqueue(*next)
	}
	return &out.View, nil
}

// decide adds the message on the locked rows and returns it.
func (req *ResendRequest) decide(tx *ledger.Tx, key ledger.Key, out *answer) (*message.Outgoing, error) {
	r, c, ok := load(tx, key)
	if !ok {
		return nil, errNotFound
	}
	at := max(r.clock(tx.Now()), c.UpdatedAt)
	to, err := openContact(req.Service, key.ID, r)
	if err != nil {
		return nil, err
	}
	channel, err := req.allowed(r, to, at)
	if err != nil {
		return nil, err
	}
	share := shareOf(known(req.Service, &req.Caller, r.ContactID, c.Epoch))
	if err := c.spendSend(share, &req.Service.Policy, at); err != nil {
		return nil, err
	}
	if err := renew(req.Service, r, channel, at); err != nil {
		return nil, err
	}
	c.extend(key.ID, r.ExpiresAt)
	r.queue(channel, &req.Service.Policy, at)
	blocked := r.blocked(c, exactly(req.Service, to), false, at)
	save(tx, key, r, c, at)
	tx.Event(event(EventResent, key, r, -1, at))
	out.View = viewOf(key.ID, r, to.Masked(), at)
	if blocked {
		tx.Event(event(EventMessageFailed, key, r, len(r.Messages)-1, at))
		return nil, nil
	}
	o, err := outgoingOf(req.Service, key, r, len(r.Messages)-1, to)
	return &o, err
}

// allowed tells over which channel the code may be sent again now, or why not.
func (req *ResendRequest) allowed(r *Record, to contact.Contact, at int64) (service.Channel, error) {
	if r.Status != Pending || at >= r.ExpiresAt {
		return "", errEnded(r, at)
	}
	channel := req.Channel
	if channel == "" {
		channel = service.Channels()[r.Messages[len(r.Messages)-1].Channel-1]
	}
	if err := CheckChannel(&req.Service.Policy, channel, to); err != nil {
		return "", err
	}
	if r.sendsLeft() == 0 {
		return "", fault.New(fault.TooMany, "sends_exhausted", "This code has been sent as often as it may be. Begin a new verification.")
	}
	if at < r.NextSendAt {
		return "", tooMany("send_too_soon", "The code was sent a moment ago.", r.NextSendAt-at)
	}
	return channel, nil
}

// renew begins a new generation when the code is near its end. A code that the application
// supplied has no other after it.
func renew(svc *service.Service, r *Record, channel service.Channel, at int64) error {
	life := svc.Policy.LifetimeFor(r.purpose(), channel)
	window := min(service.RenewWindow, life/2)
	if r.SuppliedMAC != nil || r.ExpiresAt-at >= window.Milliseconds() {
		return nil
	}
	if int(r.generation()) >= otp.MaxGenerations {
		return fault.New(fault.TooMany, "generations_exhausted", "There have been enough codes for this verification. Begin a new one.")
	}
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Status == Queued {
			m.Status, m.WakeAt = MessageVoid, 0 // it would carry a code that no longer works
		}
	}
	r.Renewed = append(r.Renewed, at)
	r.ExpiresAt = at + life.Milliseconds()
	return nil
}

func errEnded(r *Record, at int64) error {
	status := viewOf(ledger.ID{}, r, "", at).Status
	return fault.New(fault.Ended, "verification_ended", fmt.Sprintf("This verification has ended: it is %s. Begin a new one.", status))
}

// outgoingOf is message number n of a row, ready for the sender.
func outgoingOf(svc *service.Service, key ledger.Key, r *Record, n int, to contact.Contact) (message.Outgoing, error) {
	code, err := codeOf(svc, key.ID, r)
	if err != nil {
		return message.Outgoing{}, err
	}
	m := &r.Messages[n]
	o := message.Outgoing{
		Ref: message.Ref{Row: key, Number: n}, Service: svc, Channel: service.Channels()[m.Channel-1], Purpose: r.purpose(),
		To: to, Code: code, Locale: r.Locale, Passes: int(m.Passes),
		QueuedAt: moment(m.QueuedAt), Deadline: moment(r.ExpiresAt).Add(-SendMargin), Decoy: r.Decoy,
	}
	var d Detail
	if err := openCBOR(svc, key.ID, columnDetails, r.Details, &d); err != nil {
		return o, err
	}
	o.Amount, o.Payee = d.Amount, d.Payee
	var rc RequestContext
	if err := openCBOR(svc, key.ID, columnContext, r.Context, &rc); err != nil {
		return o, err
	}
	o.Asked = rc.words()
	return o, nil
}

// openCBOR reads a sealed column into v; an empty one leaves it as it is.
func openCBOR(svc *service.Service, id ledger.ID, column string, sealed []byte, v any) error {
	if sealed == nil {
		return nil
	}
	plain, err := svc.Ring.Open(tableVerification, column, id, sealed)
	if err != nil {
		return fault.As(err)
	}
	if err := ledger.Unpack(plain, v); err != nil {
		return fault.As(fmt.Errorf("decode %s: %w", column, err))
	}
	return nil
}
