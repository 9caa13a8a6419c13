// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"time"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// The events of a verification. The numbers are stored; new ones go at the end.
const (
	EventBegun ledger.EventKind = iota + 1
	EventResent
	EventSent
	EventDelivered
	EventUndelivered
	EventMessageFailed
	EventWrong
	EventApproved
	EventCanceled
	EventExpired
	EventMaxAttempts
	EventFailed
)

var eventNames = [...]string{
	"", "verification.begun", "message.queued", "message.sent", "message.delivered", "message.undelivered", "message.failed",
	"check.wrong", "verification.approved", "verification.canceled", "verification.expired",
	"verification.max_attempts_reached", "verification.failed",
}

// EventName is the event as the feed says it; empty for a kind that isn't a verification's.
func EventName(k ledger.EventKind) string {
	if int(k) >= len(eventNames) {
		return ""
	}
	return eventNames[k]
}

// EventData is what an event of a verification tells beside its time and subject.
type EventData struct {
	Purpose    service.Purpose
	Channel    service.Channel // of the message concerned, or of the latest
	Generation int
	Decoy      bool // for our own eyes: the feed leaves decoys out
}

// event builds an entry about message number n (or the latest, for -1). How a wrong try was wrong is
// not in it: that would help whoever guesses while the verification is pending.
func event(kind ledger.EventKind, key ledger.Key, r *Record, n int, at int64) ledger.Event {
	if n < 0 {
		n = len(r.Messages) - 1
	}
	data := []byte{r.Purpose, r.Messages[n].Channel, r.Messages[n].Generation, 0}
	if r.Decoy {
		data[3] = 1
	}
	return ledger.Event{Service: key.Service, Kind: kind, At: time.UnixMilli(at).UTC(), Subject: key.ID, Data: data}
}

// ReadEvent is the inverse of event; false for an entry that isn't a verification's.
func ReadEvent(e ledger.Event) (EventData, bool) {
	if EventName(e.Kind) == "" || len(e.Data) != 4 || int(e.Data[0]) > len(service.Purposes()) || int(e.Data[1]) > len(service.Channels()) || e.Data[0] == 0 || e.Data[1] == 0 {
		return EventData{}, false
	}
	return EventData{
		Purpose: service.Purposes()[e.Data[0]-1], Channel: service.Channels()[e.Data[1]-1],
		Generation: int(e.Data[2]), Decoy: e.Data[3] == 1,
	}, true
}
