// SPDX-License-Identifier: Apache-2.0

package web

import (
	"strconv"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// How a delivery is said in words. Its times are by the clock at the door, whatever the visitor's own says: the parcel comes by that one.

// dayWords is a day at the door: "today", "tomorrow", or "Friday 28 November"; long: with its date in any case.
func (pg *page) dayWords(v *handover.View, t time.Time, long bool) string {
	t, now := t.In(v.Zone), pg.pages.Now().In(v.Zone)
	date := pg.T("track.date", "weekday", strings.Split(pg.T("date.weekdays"), "|")[int(t.Weekday())],
		"day", strconv.Itoa(t.Day()), "month", strings.Split(pg.T("date.months"), "|")[int(t.Month())-1])
	near := ""
	switch y, m, d := now.Date(); t.Format(time.DateOnly) {
	case time.Date(y, m, d, 12, 0, 0, 0, v.Zone).Format(time.DateOnly):
		near = pg.T("track.today")
	case time.Date(y, m, d+1, 12, 0, 0, 0, v.Zone).Format(time.DateOnly):
		near = pg.T("track.tomorrow")
	case time.Date(y, m, d-1, 12, 0, 0, 0, v.Zone).Format(time.DateOnly):
		near = pg.T("track.yesterday")
	}
	switch {
	case near == "":
		return date
	case long:
		return pg.T("track.day_date", "day", near, "date", date)
	}
	return near
}

// doorClock is the time on a clock at the door.
func doorClock(v *handover.View, t time.Time) string { return t.In(v.Zone).Format("15:04") }

// Window is a delivery's window: "today 14:00 to 16:00".
func (pg *page) Window(v *handover.View) string {
	from, until := pg.dayWords(v, v.From, false), pg.dayWords(v, v.Until, false)
	if from == until {
		return pg.T("track.window", "day", from, "from", doorClock(v, v.From), "until", doorClock(v, v.Until))
	}
	return pg.T("track.window_two", "day", from, "from", doorClock(v, v.From), "last", until, "until", doorClock(v, v.Until))
}

// Planned is the window, where the title doesn't say it and it still matters.
func (pg *page) Planned(v *handover.View) string {
	if v.State != handover.Out && v.State != handover.Arrived && v.State != handover.Attempted || strings.Contains(pg.Title, pg.Window(v)) {
		return ""
	}
	return pg.T("track.was", "window", pg.Window(v))
}

// Hours are a window's, for a day that is said beside them.
func (pg *page) Hours(v *handover.View) string {
	return pg.T("track.hours", "from", doorClock(v, v.From), "until", doorClock(v, v.Until))
}

// At is a moment at the door: its clock alone if it is today's.
func (pg *page) At(v *handover.View, t time.Time) string {
	day := pg.dayWords(v, t, false)
	if day == pg.T("track.today") {
		return doorClock(v, t)
	}
	return pg.T("track.when", "day", day, "time", doorClock(v, t))
}

// Elsewhere tells whether the visitor's clock shows another time than the one at the door.
func (pg *page) Elsewhere(v *handover.View) bool {
	if pg.visit.zone == nil {
		return false
	}
	_, here := v.From.In(pg.visit.zone).Zone()
	_, there := v.From.In(v.Zone).Zone()
	return here != there
}

// reason is why the latest attempt is over.
func reason(v *handover.View) handover.Reason {
	if n := len(v.Steps); n > 0 {
		return v.Steps[n-1].Reason
	}
	return 0
}

// deliveryTitle is where a delivery stands.
func (pg *page) deliveryTitle(v *handover.View) string {
	switch v.State {
	case handover.Created:
		return pg.T("track.created", "window", pg.Window(v))
	case handover.Out:
		switch {
		case !v.StoppedAt.IsZero():
			return pg.T("track.stopped")
		case pg.pages.Now().After(v.Until):
			return pg.T("track.late")
		}
		return pg.T("track.out", "window", pg.Window(v))
	case handover.Arrived:
		return pg.T("track.arrived")
	case handover.HandedOver:
		return pg.T("track.delivered", "time", pg.At(v, v.HandedAt))
	case handover.Attempted:
		if reason(v) == handover.AnotherDay || v.GoodUntil.After(pg.pages.Now()) && v.From.After(pg.pages.Now()) {
			return pg.T("track.planned", "window", pg.Window(v))
		}
		return pg.T("track.attempted")
	case handover.Refused:
		return pg.T("track.refused")
	case handover.Returned:
		return pg.T("track.returned")
	case handover.Canceled:
		return pg.T("track.canceled")
	}
	return pg.T("track.expired")
}

// deliverySays is what there is to say about where it stands: on the recipient's own device, also what they can do.
func (pg *page) deliverySays(d *parcel) []string {
	switch d.State {
	case handover.Created:
		return []string{pg.T("track.created_text")}
	case handover.Out, handover.Arrived:
		return pg.underWaySays(d)
	case handover.HandedOver:
		return pg.handedTo(d)
	case handover.Attempted:
		return pg.attemptOver(d)
	case handover.Refused, handover.Returned:
		return []string{pg.T("track.back_text")}
	}
	return nil
}

func (pg *page) underWaySays(d *parcel) (says []string) {
	now := pg.pages.Now()
	if !d.StoppedAt.IsZero() {
		if d.Proven {
			says = append(says, pg.T("track.stopped_text"))
		}
		return says
	}
	if d.State == handover.Arrived {
		says = append(says, pg.T("track.look_first"))
	}
	switch {
	case d.Blocked:
		says = append(says, pg.T("track.blocked"))
	case d.Proven && d.State == handover.Out && now.Before(d.From):
		says = append(says, pg.T("track.code_from", "time", pg.At(d.View, d.From)))
	}
	return says
}

// handedTo is who has it: who they are is for the recipient alone.
func (pg *page) handedTo(d *parcel) []string {
	said := pg.T("track.to_recipient")
	switch d.Means {
	case handover.ByPass, handover.ByPassTicket:
		said = pg.T("track.to_neighbour")
		for _, o := range d.Passes {
			if d.Proven && o.Used {
				said = pg.T("track.to_named", "name", pg.Isolated(o.Name))
			}
		}
	case handover.BySecondPerson, handover.ByIdentity, handover.ByPhoto:
		said = pg.T("track.to_weaker")
	}
	if d.Proven {
		return []string{said, pg.T("track.not_here")}
	}
	return []string{said}
}

// attemptOver says why, and whether there is another.
func (pg *page) attemptOver(d *parcel) (says []string) {
	switch reason(d.View) {
	case handover.NobodyHome:
		says = append(says, pg.T("track.why_nobody"))
	case handover.NoAccess:
		says = append(says, pg.T("track.why_access"))
	case handover.WrongAddress:
		says = append(says, pg.T("track.why_address"))
	case handover.DayOver:
		says = append(says, pg.T("track.why_day"))
	case handover.AnotherDay:
		return []string{pg.T("track.planned_text")}
	}
	if d.Attempt >= d.Attempts {
		return append(says, pg.T("track.no_more"))
	}
	return append(says, pg.T("track.comes_again"))
}

// codeSent is how the code went to the recipient the last time; empty: it isn't known, or doesn't matter any more.
func (pg *page) codeSent(d *parcel) string {
	if !d.UnderWay() {
		return ""
	}
	for i := len(d.Messages) - 1; i >= 0; i-- {
		m := &d.Messages[i]
		if m.Kind != message.DeliveryCode && m.Kind != message.DeliveryNewCode {
			continue
		}
		c, _ := d.byChannel(m.Channel)
		to, at := pg.Told(c), pg.At(d.View, m.QueuedAt)
		switch {
		case m.Status == handover.NotSent || m.Status == handover.Undelivered:
			return pg.T("track.sent_failed", "contact", to)
		case m.Channel == service.Voice:
			return pg.T("track.sent_voice", "contact", to, "time", at)
		case m.Channel == service.Email:
			return pg.T("track.sent_email", "contact", to, "time", at)
		}
		return pg.T("track.sent_sms", "contact", to, "time", at)
	}
	return ""
}

// stepWords is an entry of a delivery's history.
type stepWords struct{ When, What string }

// Steps is a delivery's history in words, the latest first.
func (pg *page) Steps(v *handover.View) (all []stepWords) {
	var before handover.State
	for _, s := range v.Steps {
		what := ""
		switch s.State {
		case handover.Created:
			what = pg.T("track.step_created")
		case handover.Out:
			switch before {
			case handover.Arrived:
				what = pg.T("track.step_stopped")
			case handover.Out: // another courier has it now
			default:
				what = pg.T("track.step_out")
			}
		case handover.Arrived:
			what = pg.T("track.step_arrived")
		case handover.HandedOver:
			what = pg.T("track.step_delivered")
		case handover.Attempted:
			what = pg.T("track.step_attempted")
			if s.Reason == handover.AnotherDay {
				what = pg.T("track.step_another")
			}
		case handover.Refused:
			what = pg.T("track.refused")
		case handover.Returned:
			what = pg.T("track.returned")
		case handover.Expired:
			what = pg.T("track.expired")
		case handover.Canceled:
			what = pg.T("track.canceled")
		}
		if before = s.State; what != "" {
			all = append([]stepWords{{pg.At(v, time.UnixMilli(s.At)), what}}, all...)
		}
	}
	return all
}
