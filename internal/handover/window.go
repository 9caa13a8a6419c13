// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"fmt"
	"time"

	"github.com/countersign/countersign/internal/fault"
)

// Window is when a parcel is to come, by the clock at the door.
type Window struct {
	From  string // "2026-11-26T14:00", without a zone, or a time as in RFC 3339
	Until string // likewise; at most 24 hours later
	Zone  string // IANA, such as Europe/Berlin
}

const (
	wallForm  = "2006-01-02T15:04"
	maxWindow = 24 * time.Hour
	// lateBy is how long after its window a code is good at least: who comes late is still let do their work.
	lateBy = 2 * time.Hour
)

// read gives the window's instants and the end of its delivery day: the midnight after it begins, or two hours after it ends, whichever is
// later, so that a window across midnight isn't cut in two. A local time that the clocks skip is taken as that much later, one
// that they show twice as the first of the two.
func (w Window) read(now time.Time) (from, until, good int64, zone *time.Location, err error) {
	if zone, err = zoneOf(w.Zone); err != nil {
		return 0, 0, 0, nil, fault.As(err).WithField("window.time_zone")
	}
	start, err := wall(w.From, zone, "window.from")
	if err != nil {
		return 0, 0, 0, nil, err
	}
	end, err := wall(w.Until, zone, "window.until")
	if err != nil {
		return 0, 0, 0, nil, err
	}
	last := endOfDay(start, end, zone)
	switch {
	case !end.After(start) || end.Sub(start) > maxWindow:
		return 0, 0, 0, nil, fault.New(fault.Invalid, "invalid_window", "A window ends after it begins, and at most 24 hours later.").WithField("window.until")
	case last.Before(now):
		return 0, 0, 0, nil, fault.New(fault.Invalid, "window_over", "This window's delivery day is over. Give one that isn't.").WithField("window.until")
	case start.Sub(now).Milliseconds() > maxAhead:
		return 0, 0, 0, nil, fault.New(fault.Invalid, "window_too_far", fmt.Sprintf("A window begins at most %d days from now.", maxAhead/day)).WithField("window.from")
	}
	return start.UnixMilli(), end.UnixMilli(), last.UnixMilli(), zone, nil
}

// endOfDay is the end of a window's delivery day.
func endOfDay(from, until time.Time, zone *time.Location) time.Time {
	y, m, d := from.In(zone).Date()
	midnight := time.Date(y, m, d+1, 0, 0, 0, 0, zone)
	if late := until.Add(lateBy); late.After(midnight) {
		return late
	}
	return midnight
}

// wall reads a time at the door.
func wall(text string, zone *time.Location, field string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	t, err := time.Parse(wallForm, text)
	if err != nil {
		return t, fault.New(fault.Invalid, "invalid_time", "Give a time such as 2026-11-26T14:00, or with its offset, such as 2026-11-26T14:00:00+01:00.").WithField(field)
	}
	return at(t, zone), nil
}

// at is the instant at which clocks in a zone show t's date and time: the first, if they do twice; if they never do, as long after the
// change as the time is after the gap's beginning (what [time.Date] gives isn't guaranteed for either).
func at(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.Date()
	out := time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, zone)
	for _, back := range []time.Duration{time.Hour, 30 * time.Minute} {
		if earlier := out.Add(-back); sameWall(earlier, t) {
			return earlier
		}
	}
	if !sameWall(out, t) {
		// In a gap: by the offset from before it, the time comes out later by the gap's length.
		_, before := out.Add(-24 * time.Hour).Zone()
		return time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, time.FixedZone("", before)).In(zone)
	}
	return out
}

func sameWall(a, b time.Time) bool {
	return a.Day() == b.Day() && a.Hour() == b.Hour() && a.Minute() == b.Minute()
}

// dateOf is the day of an instant at the door, as rounds and figures name it.
func dateOf(at int64, zone *time.Location) string {
	return time.UnixMilli(at).In(zone).Format(time.DateOnly)
}

// moved is the same window on another day, by the clock at the door.
func moved(from, until int64, to string, zone *time.Location) (Window, error) {
	day, err := time.Parse(time.DateOnly, to)
	if err != nil {
		return Window{}, fault.New(fault.Invalid, "invalid_day", "Choose one of the days.").WithField("day")
	}
	start, end := time.UnixMilli(from).In(zone), time.UnixMilli(until).In(zone)
	nights := int(wallDay(end).Sub(wallDay(start)) / (24 * time.Hour))
	first := time.Date(day.Year(), day.Month(), day.Day(), start.Hour(), start.Minute(), 0, 0, time.UTC)
	last := time.Date(day.Year(), day.Month(), day.Day()+nights, end.Hour(), end.Minute(), 0, 0, time.UTC)
	if longest := at(first, zone).Add(maxWindow); at(last, zone).After(longest) { // on the day of 25 hours
		y, m, d := longest.In(zone).Date()
		last = time.Date(y, m, d, longest.In(zone).Hour(), longest.In(zone).Minute(), 0, 0, time.UTC)
	}
	return Window{From: first.Format(wallForm), Until: last.Format(wallForm), Zone: zone.String()}, nil
}

func wallDay(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
