// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"errors"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
)

// The events of hand-overs: the states that they come to, and what else happens. The numbers are stored; new ones go at the end. What an
// event is about is its subject, the hand-over or the courier.
const (
	eventBase ledger.EventKind = 160 + iota
	EventCreated
	EventOut
	EventArrived
	EventHandedOver
	EventAttempted
	EventRefused
	EventReturned
	EventExpired
	EventCanceled
	EventWrong        // a wrong code
	EventBlocked      // six of them
	EventStopped      // the recipient says that nobody is there
	EventResumed      // and that somebody is, after all
	EventChanged      // recipient, window or items
	EventNewCode      // the code was changed
	EventSignInTyped  // what looked like a code for signing in was typed at the door
	EventAskedByPhone // somebody asked the recipient for the code on the phone
	EventPassGiven    // to a neighbour
	EventPassGone     // and withdrawn
	EventConflict     // what came from a phone without signal doesn't fit
	EventSettled      // and the depot has dealt with it
	EventWeakAlarm    // a courier uses weaker proofs unusually often
	EventDevice       // a courier's phone was bound
	EventRevoked      // and revoked
)

var eventNames = [...]string{
	"", "handover.created", "handover.out_for_delivery", "handover.arrived", "handover.handed_over", "handover.attempted", "handover.refused", "handover.returned",
	"handover.expired", "handover.canceled", "handover.wrong_code", "handover.blocked", "handover.stopped", "handover.resumed", "handover.changed", "handover.new_code",
	"handover.sign_in_code_typed", "handover.asked_by_phone", "handover.pass_given", "handover.pass_withdrawn", "handover.conflict", "handover.conflict_settled",
	"courier.weak_proof_alarm", "courier.device_bound", "courier.device_revoked",
}

// EventData is what an event tells beside its time and subject.
type EventData struct {
	Name      string
	Subject   string
	Attempt   int
	Reason    Reason
	Means     Means
	Certainty Certainty
}

// event builds an entry about a hand-over; of kind 0, about the state that it has come to.
func event(key ledger.Key, r *Record, kind ledger.EventKind, at int64) ledger.Event {
	if kind == 0 {
		kind = eventBase + ledger.EventKind(r.State)
	}
	reason := Reason(0)
	if n := len(r.Steps); n > 0 && kind == eventBase+ledger.EventKind(r.State) {
		reason = r.Steps[n-1].Reason
	}
	return ledger.Event{
		Service: key.Service, Kind: kind, At: time.UnixMilli(at).UTC(), Subject: key.ID,
		Data: []byte{r.Attempt, byte(reason), byte(r.Means), byte(r.Certainty)},
	}
}

func courierEvent(key ledger.Key, kind ledger.EventKind, at int64) ledger.Event {
	return ledger.Event{Service: key.Service, Kind: kind, At: time.UnixMilli(at).UTC(), Subject: key.ID}
}

// ReadEvent says of an entry of the log what happened and to what; false for one that isn't of this package.
func ReadEvent(e ledger.Event) (EventData, bool) {
	n := int(e.Kind) - int(eventBase)
	if e.Erased != nil || n <= 0 || n >= len(eventNames) {
		return EventData{}, false
	}
	out := EventData{Name: eventNames[n], Subject: FormatID(e.Subject)}
	if e.Kind >= EventWeakAlarm {
		out.Subject = FormatCourier(e.Subject)
	}
	if len(e.Data) == 4 {
		out.Attempt, out.Reason, out.Means, out.Certainty = int(e.Data[0]), Reason(e.Data[1]), Means(e.Data[2]), Certainty(e.Data[3])
	}
	return out, true
}

// unless is err, but nil where it is the one fault that doesn't matter.
func unless(err error, harmless *fault.Error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}
