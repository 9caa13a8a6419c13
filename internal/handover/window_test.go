// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/fault"
)

// Windows across midnight, clocks that are changed, and time zones.
//
// Keeps: H.1
func TestWindows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, until, zone         string
		wantFrom, wantTo, wantEnd string
	}{
		"an afternoon":              {"2026-11-26T14:00", "2026-11-26T16:00", "Europe/Berlin", "2026-11-26T13:00:00Z", "2026-11-26T15:00:00Z", "2026-11-26T23:00:00Z"},
		"across midnight":           {"2026-11-26T22:00", "2026-11-27T02:00", "Europe/Berlin", "2026-11-26T21:00:00Z", "2026-11-27T01:00:00Z", "2026-11-27T03:00:00Z"},
		"late, but before midnight": {"2026-11-26T21:00", "2026-11-26T23:00", "Europe/Berlin", "2026-11-26T20:00:00Z", "2026-11-26T22:00:00Z", "2026-11-27T00:00:00Z"},
		"with offsets":              {"2026-11-26T14:00:00-05:00", "2026-11-26T16:00:00-05:00", "America/New_York", "2026-11-26T19:00:00Z", "2026-11-26T21:00:00Z", "2026-11-27T05:00:00Z"},
		"half an hour":              {"2026-11-26T09:00", "2026-11-26T12:00", "Asia/Kolkata", "2026-11-26T03:30:00Z", "2026-11-26T06:30:00Z", "2026-11-26T18:30:00Z"},
		// On 2027-03-28 clocks in Berlin go from 2:00 to 3:00: 2:30 isn't there and becomes 3:30.
		"in a gap":          {"2027-03-28T02:30", "2027-03-28T05:00", "Europe/Berlin", "2027-03-28T01:30:00Z", "2027-03-28T03:00:00Z", "2027-03-28T22:00:00Z"},
		"over a gap":        {"2027-03-28T01:00", "2027-03-28T04:00", "Europe/Berlin", "2027-03-28T00:00:00Z", "2027-03-28T02:00:00Z", "2027-03-28T22:00:00Z"},
		"a day of 23 hours": {"2027-03-28T14:00", "2027-03-28T16:00", "Europe/Berlin", "2027-03-28T12:00:00Z", "2027-03-28T14:00:00Z", "2027-03-28T22:00:00Z"},
		// On 2027-10-31 they go back from 3:00 to 2:00: 2:30 is there twice, and the first counts.
		"twice":                     {"2027-10-31T02:30", "2027-10-31T04:00", "Europe/Berlin", "2027-10-31T00:30:00Z", "2027-10-31T03:00:00Z", "2027-10-31T23:00:00Z"},
		"half an hour's change":     {"2027-04-04T01:45", "2027-04-04T05:00", "Australia/Lord_Howe", "2027-04-03T14:45:00Z", "2027-04-03T18:30:00Z", "2027-04-04T13:30:00Z"},
		"midnight that isn't there": {"2026-09-05T22:00", "2026-09-06T03:00", "America/Santiago", "2026-09-06T02:00:00Z", "2026-09-06T06:00:00Z", "2026-09-06T08:00:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.wantFrom)
		if err != nil {
			t.Fatal(err)
		}
		from, until, good, _, err := Window{c.from, c.until, c.zone}.read(now.Add(-3 * time.Hour))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, got := range []int64{from, until, good} {
			if want := []string{c.wantFrom, c.wantTo, c.wantEnd}[i]; moment(got).Format(time.RFC3339) != want {
				t.Errorf("%s: %d is %s, not %s", name, i, moment(got).Format(time.RFC3339), want)
			}
		}
	}
}

// What is no window is refused, with its field.
//
// Keeps: H.1
func TestNoWindows(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct{ from, until, zone, code string }{
		{"2026-11-26T14:00", "2026-11-26T14:00", "Europe/Berlin", "invalid_window"},
		{"2026-11-26T14:00", "2026-11-26T12:00", "Europe/Berlin", "invalid_window"},
		{"2026-11-26T14:00", "2026-11-27T14:01", "Europe/Berlin", "invalid_window"},
		{"2026-11-25T14:00", "2026-11-25T16:00", "Europe/Berlin", "window_over"},
		{"2027-02-26T14:00", "2027-02-26T16:00", "Europe/Berlin", "window_too_far"},
		{"2026-11-26T14:00", "2026-11-26T16:00", "Mars/Olympus", "invalid_time_zone"},
		{"2026-11-26T14:00", "2026-11-26T16:00", "", "invalid_time_zone"},
		{"2026-11-26T14:00", "2026-11-26T16:00", "Local", "invalid_time_zone"},
		{"2026-11-26T14:00", "2026-11-26T16:00", "../../etc/passwd", "invalid_time_zone"},
		{"today", "2026-11-26T16:00", "UTC", "invalid_time"},
		{"2026-02-30T14:00", "2026-02-30T16:00", "UTC", "invalid_time"},
	} {
		if _, _, _, _, err := (Window{c.from, c.until, c.zone}).read(now); err == nil || fault.As(err).Code != c.code || fault.As(err).Field == "" {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// Another day is the same window by the clock at the door, whatever clocks do in between.
//
// Keeps: H.4
func TestAnotherDayIsTheSameWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Apia", "UTC"}).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Date(2027, 1, 1+rapid.IntRange(0, 364).Draw(t, "day"), rapid.IntRange(4, 23).Draw(t, "hour"), 0, 0, 0, zone)
		end := start.Add(time.Duration(rapid.IntRange(1, 4).Draw(t, "long")) * time.Hour)
		to := time.Date(start.Year(), start.Month(), start.Day()+rapid.IntRange(1, 7).Draw(t, "later"), 12, 0, 0, 0, zone)
		w, err := moved(start.UnixMilli(), end.UnixMilli(), to.Format(time.DateOnly), zone)
		if err != nil {
			t.Fatal(err)
		}
		from, until, good, _, err := w.read(start)
		if err != nil {
			t.Fatal(err)
		}
		got := moment(from).In(zone)
		if got.Format("15:04") != start.Format("15:04") || got.Format(time.DateOnly) != to.Format(time.DateOnly) {
			t.Fatalf("%v became %v", start, got)
		}
		if moment(until).In(zone).Format("15:04") != end.Format("15:04") || good < until {
			t.Fatalf("%v became %v", end, moment(until).In(zone))
		}
	})
}
