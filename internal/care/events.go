// SPDX-License-Identifier: Apache-2.0

package care

import (
	"time"

	"github.com/countersign/countersign/internal/ledger"
)

// The events of cases and reports. The numbers are stored; new ones go at the end. What an event is about is its subject: a case, a report
// or a cluster.
const (
	eventBase ledger.EventKind = 128 + iota
	EventOpened
	EventSaid
	EventAnswered
	EventClosed
	EventReported
	EventSettled
	EventRising
)

var eventNames = [...]struct{ name, prefix string }{
	{}, {"case.opened", CasePrefix}, {"case.said", CasePrefix}, {"case.answered", CasePrefix}, {"case.closed", CasePrefix},
	{"report.received", ReportPrefix}, {"report.settled", ReportPrefix}, {"report.rising", ClusterPrefix},
}

// ReadEvent says of an entry of the log what happened and to which case, report or cluster; false for one that isn't of this package.
func ReadEvent(e ledger.Event) (name, subject string, ok bool) {
	if e.Erased != nil || e.Kind <= eventBase || int(e.Kind-eventBase) >= len(eventNames) {
		return "", "", false
	}
	n := eventNames[e.Kind-eventBase]
	return n.name, n.prefix + e.Subject.String(), true
}

func event(key ledger.Key, kind ledger.EventKind, at int64) ledger.Event {
	return ledger.Event{Service: key.Service, Kind: kind, At: time.UnixMilli(at).UTC(), Subject: key.ID}
}
