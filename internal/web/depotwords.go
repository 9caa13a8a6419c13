// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// HandoverID is the public id of a hand-over.
func (*page) HandoverID(h *handover.View) string { return handover.FormatID(h.ID) }

// RoundID is the public id of a round.
func (*page) RoundID(r roundData) string { return handover.FormatRound(r.ID) }

// CourierID is the public id of a round's courier.
func (*page) CourierID(r roundData) string { return handover.FormatCourier(r.Courier) }

// CourierName is a courier as the depot knows them, or the opaque id of one that no depot has named.
func (d *depotData) CourierName(id ledger.ID) string {
	return cmp.Or(d.Names[id], handover.FormatCourier(id))
}

// Carrier is who carries a parcel; empty: nobody yet.
func (d *depotData) Carrier(h *handover.View) string {
	id, err := handover.ParseCourier(h.Courier)
	if err != nil {
		return ""
	}
	return d.CourierName(id)
}

// WhoDid is who did something: whoever reads it, a courier as the depot knows them, or the opaque name of staff or of an API key.
func (pg *page) WhoDid(by string) string {
	d := pg.Data.(*depotData) //nolint:forcetypeassert // of the depot's pages
	if by == d.Me {
		return pg.T("depot.you")
	}
	if id, err := handover.ParseCourier(by); err == nil {
		return d.CourierName(id)
	}
	return by
}

// roundData is a round as the depot's pages show it.
type roundData struct {
	*handover.RoundView
	Shown []*handover.View // of its parcels; those with exceptions first
	Sum   string           // how many are in which state
	More  bool             // not all are shown
}

const (
	shownOfDay   = 200 // parcels of a day that are shown all; of more, each round has a page of its own
	shownOfRound = 10  // parcels of one of its rounds with exceptions, then
)

// roundsOf are the rounds of a depot's page; all: each with all of its parcels.
func (pg *page) roundsOf(all bool, rounds ...*handover.RoundView) []roundData {
	var out []roundData
	for _, r := range rounds {
		d := roundData{RoundView: r, Shown: slices.Clone(r.Parcels), Sum: pg.sumOf(r.Parcels)}
		slices.SortStableFunc(d.Shown, func(a, b *handover.View) int { return cmp.Compare(len(b.Exceptions()), len(a.Exceptions())) })
		if !all {
			quiet := slices.IndexFunc(d.Shown, func(h *handover.View) bool { return len(h.Exceptions()) == 0 })
			if quiet < 0 {
				quiet = len(d.Shown)
			}
			d.Shown, d.More = d.Shown[:min(quiet, shownOfRound)], true
		}
		out = append(out, d)
	}
	return out
}

// sumOf says how many parcels are in which state.
func (pg *page) sumOf(all []*handover.View) string {
	n := map[handover.State]int{}
	for _, h := range all {
		n[h.State]++
	}
	var parts []string
	for s := handover.Created; s <= handover.Canceled; s++ {
		if n[s] > 0 {
			parts = append(parts, pg.T("depot.state."+s.String())+": "+strconv.Itoa(n[s]))
		}
	}
	return strings.Join(parts, " \u00b7 ")
}

// AtDoor is a hand-over's window by the clock at the door; the date is left out where it is the page's own.
func (*page) AtDoor(h *handover.View, shown string) string {
	from, until := h.From.In(h.Zone), h.Until.In(h.Zone)
	first, last := "2006-01-02 15:04", "15:04"
	if from.Format(time.DateOnly) != until.Format(time.DateOnly) {
		last = "2006-01-02 15:04"
	} else if from.Format(time.DateOnly) == shown {
		first = "15:04"
	}
	return "\u2068" + from.Format(first) + "\u2013" + until.Format(last) + "\u2069"
}

// StateOf is where a hand-over stands, in words.
func (pg *page) StateOf(h *handover.View) string { return pg.T("depot.state." + h.State.String()) }

// Reason is why an attempt ended, in words; empty for none.
func (pg *page) Reason(r handover.Reason) string {
	if r.String() == "" {
		return ""
	}
	return pg.T("depot.reason_" + r.String())
}

// MilliAgo is a time in Unix milliseconds, relative and absolute.
func (pg *page) MilliAgo(at int64) string { return pg.Ago(time.UnixMilli(at)) }

// outcomes says why a message didn't arrive.
var outcomes = map[message.Outcome]string{
	message.TryLater: "try_later", message.TryOther: "try_other", message.Unreachable: "unreachable", message.ContactKind: "contact_kind", message.Blocked: "blocked",
	message.Misconfigured: "misconfigured", message.Overdue: "overdue", message.Absent: "absent",
}

// OutcomeOf is why a message didn't arrive, in words; empty when nothing is known against it.
func (pg *page) OutcomeOf(m handover.MessageView) string {
	name, ok := outcomes[m.Outcome]
	if !ok {
		return ""
	}
	return pg.T("depot.outcome." + name)
}

// CanRelease tells whether the depot may hand a parcel over without its code.
func (*page) CanRelease(h *handover.View) bool {
	return slices.Contains(h.Weak, service.WeakSecondPerson) && (h.State == handover.Out || h.State == handover.Arrived || h.State == handover.Attempted)
}

// CanEnd tells whether an attempt can be ended.
func (*page) CanEnd(h *handover.View) bool {
	return h.State == handover.Out || h.State == handover.Arrived
}

// CanReturn tells whether a parcel can go back.
func (*page) CanReturn(h *handover.View) bool { return !h.State.Final() && h.State != handover.Arrived }

// Unsettled tells whether the depot has conflicts to deal with.
func (*page) Unsettled(h *handover.View) bool {
	return slices.ContainsFunc(h.Conflicts, func(c handover.Conflict) bool { return c.Settled == 0 })
}

// figure is one number of a day.
type figure struct {
	Label string
	N     int
}

// FiguresOf are the numbers of a day in words, those of hand-overs first.
func (pg *page) FiguresOf(f handover.Figures) []figure {
	var all []figure
	for _, one := range []struct {
		key string
		n   int
	}{
		{"code", f.Code}, {"qr", f.Ticket}, {"weaker", f.Weak}, {"neighbour", f.Pass}, {"offline", f.Offline}, {"attempted", f.Attempted}, {"refused", f.Refused},
		{"missing", f.Missing}, {"wrong", f.Wrong}, {"stopped", f.Stopped}, {"arrived", f.Arrived}, {"unseen", f.Unseen}, {"conflicts", f.Conflicts},
	} {
		all = append(all, figure{pg.T("depot.figure." + one.key), one.n})
	}
	return all
}
