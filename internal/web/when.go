// SPDX-License-Identifier: Apache-2.0

package web

import (
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a visitor's time zone is known whatever the server's system brings
)

// near is how far a time may be for its clock alone to say which one is meant.
const near = 12 * time.Hour

// inZone moves a time to the visitor's time zone, which the page's script tells us; until then it is UTC, and says so.
func (v *visit) inZone(t time.Time) (local time.Time, clock string) {
	if v.zone == nil {
		t = t.UTC()
		return t, t.Format("15:04") + " UTC"
	}
	t = t.In(v.zone)
	return t, t.Format("15:04")
}

// zoneOf reads the name that a script has written into a cookie; nil when it is none.
func zoneOf(name string) *time.Location {
	if len(name) == 0 || len(name) > 64 || name == "Local" {
		return nil
	}
	zone, err := time.LoadLocation(name) // which reads nothing outside the time zones
	if err != nil {
		return nil
	}
	return zone
}

// Clock is a time in minutes or hours; one that is further away has its day in front.
func (pg *page) Clock(t time.Time) string {
	if d := t.Sub(pg.pages.Now()); d > near || d < -near {
		return pg.Day(t)
	}
	_, clock := pg.visit.inZone(t)
	return clock
}

// Day is a day and a time, in the visitor's language: "Friday 28 November, 14:02"; the weekday makes room for another year.
func (pg *page) Day(t time.Time) string {
	t, clock := pg.visit.inZone(t)
	now, _ := pg.visit.inZone(pg.pages.Now())
	name := func(key string, i int) string {
		names := strings.Split(pg.T(key), "|")
		return names[min(i, len(names)-1)]
	}
	key := "date.day"
	if t.Year() != now.Year() {
		key = "date.year"
	}
	return pg.T(key, "weekday", name("date.weekdays", int(t.Weekday())), "day", strconv.Itoa(t.Day()),
		"month", name("date.months", int(t.Month())-1), "year", strconv.Itoa(t.Year()), "clock", clock)
}

// Ago is a time, relative and absolute.
func (pg *page) Ago(t time.Time) string {
	return pg.T("ago.at", "ago", pg.pages.words.ago(pg.Lang.Tag, pg.pages.Now().Sub(t)), "time", pg.Clock(t))
}

// yearly is how long a contact counts as confirmed before its owner is asked.
const yearly = 365 * 24 * time.Hour

// Old tells whether something was last confirmed so long ago that it may no longer be so.
func (pg *page) Old(confirmed time.Time) bool { return pg.pages.Now().Sub(confirmed) > yearly }
