// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
)

// triesLeft is how many wrong codes may still be judged in this attempt.
func (r *Record) triesLeft() int {
	return max(0, min(MaxWrong-int(r.Wrong), MaxAllWrong-int(r.AllWrong)))
}

// gate is what stands before a code is judged; 0: nothing.
func (j *judgment) gate(d *decision) Result {
	r := d.r
	switch {
	case r.StoppedAt > 0:
		return Stopped
	case r.ArrivedAt == 0:
		return NotArrived
	case !j.act.Offline && d.at >= r.GoodUntil:
		return Late
	}
	return 0
}

// code judges what was typed. What can't be a delivery code costs no try.
func (j *judgment) code(d *decision) (Result, error) {
	r, typed := d.r, j.typed(d)
	if typed.Kind != otp.TypedCode {
		j.out.Typed = typed.Kind.String()
		return Unclear, nil
	}
	if g := j.gate(d); g != 0 {
		return g, nil
	}
	if r.triesLeft() == 0 {
		if r.AllWrong >= MaxAllWrong {
			return Exhausted, nil
		}
		return Blocked, nil
	}
	j.c.Wrong = lately(j.c.Wrong, d.at)
	if len(j.c.Wrong) >= d.svc.Policy.CourierGuesses {
		return Exhausted, nil
	}
	means, pass := j.match(d, typed.Code)
	if means == 0 {
		return Wrong, j.wrong(d)
	}
	return Handed, j.hand(d, means, pass)
}

// typed reads what was typed.
func (j *judgment) typed(d *decision) otp.Typed {
	return otp.ParseDelivery(j.act.Typed, otp.DeliveryShape{Letter: d.r.Letter, Digits: digitsOf(d.key.ID), SignIn: int(d.r.Digits)})
}

// match finds whose code was typed: the recipient's, or that of a pass which wasn't withdrawn. It does the same work whatever was typed.
func (j *judgment) match(d *decision, typed otp.Code) (means Means, pass uint8) {
	id := d.key.ID
	if typed.Equal(deriveCode(d.svc, id, otp.SpaceDelivery, d.r.Code)) {
		means = ByCode
	}
	for i, p := range d.r.Passes {
		if typed.Equal(deriveCode(d.svc, id, otp.SpacePass, p.Code)) && p.GoneAt == 0 && means == 0 {
			means, pass = ByPass, uint8(i+1) //nolint:gosec // at most MaxPasses
		}
	}
	return means, pass
}

// wrong counts a wrong code where it can't be reset: on the attempt, on the hand-over and on the courier (S29).
func (j *judgment) wrong(d *decision) error {
	r := d.r
	r.Wrong++
	r.AllWrong++
	j.c.Wrong = append(j.c.Wrong, d.at)
	j.count(countWrong, d.at)
	d.tx.Event(event(d.key, r, EventWrong, d.at))
	if r.triesLeft() > 0 {
		return nil
	}
	d.tx.Event(event(d.key, r, EventBlocked, d.at))
	return d.tell(message.DeliveryBlocked)
}

// warn tells the recipient, once an attempt, that somebody typed what looks like their code for signing in.
func (j *judgment) warn(d *decision) error {
	for _, m := range d.r.Messages {
		if m.Kind == message.DeliveryAsked && m.QueuedAt >= d.begun() {
			return nil
		}
	}
	d.say = EventSignInTyped
	return d.tell(message.DeliveryAsked)
}

// begun is when this attempt began.
func (d *decision) begun() int64 {
	for _, s := range d.r.Steps {
		if s.State == Out && s.Attempt == d.r.Attempt {
			return s.At
		}
	}
	return d.r.CreatedAt
}

// scanned judges a QR code. Its signature was checked before the rows were locked; a forged one is no guess and costs no try, because there is
// nothing to be guessed in 256 bits.
func (j *judgment) scanned(d *decision) (Result, error) {
	r, t := d.r, &j.ticket
	if j.forged {
		return BadTicket, nil
	}
	if t.Handover != [16]byte(d.key.ID) {
		return OtherParcel, nil
	}
	if g := j.gate(d); g != 0 {
		return g, nil
	}
	if r.triesLeft() == 0 {
		return Blocked, nil
	}
	means := ByTicket
	if t.Pass > 0 {
		means = ByPassTicket
	}
	switch {
	case !j.fits(d):
		return OldTicket, nil
	case t.Device != j.c.binding(j.ckey.ID) && (!j.act.Offline || t.Device != j.c.Before):
		return OtherDevice, nil
	case !j.act.Offline && !t.Until.After(moment(d.at)):
		return Late, nil
	}
	return Handed, j.hand(d, means, t.Pass)
}

// fits tells whether a ticket is of this attempt, and of the code or the pass that counts now.
func (j *judgment) fits(d *decision) bool {
	r, t := d.r, &j.ticket
	switch {
	case t.Attempt != r.Attempt:
		return false
	case t.Pass == 0:
		return t.Generation == r.Code
	case int(t.Pass) > len(r.Passes):
		return false
	}
	pass := r.Passes[t.Pass-1]
	return pass.GoneAt == 0 && pass.Code == t.Generation
}
