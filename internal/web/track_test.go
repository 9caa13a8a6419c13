// SPDX-License-Identifier: Apache-2.0

package web

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/secret"
)

// A delivery is said by the clock at the door: today there may be tomorrow here; windows across midnight name both days.
// Keeps: H.1
func TestDeliveriesInWords(t *testing.T) {
	t.Parallel()
	p := pages(t)
	now := time.Date(2026, 11, 26, 22, 30, 0, 0, time.UTC) // half past eleven at night in Berlin
	p.Now = func() time.Time { return now }
	svc, _ := p.ByHost("acme.example")
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		when, err := time.ParseInLocation("2006-01-02 15:04", "2026-"+text, zone)
		if err != nil {
			t.Fatal(err)
		}
		return when.UTC()
	}
	for _, c := range []struct {
		tag  string
		view handover.View
		want string
	}{
		{"en", handover.View{State: handover.Created, From: at("11-28 14:00"), Until: at("11-28 16:00")}, "Expected Saturday 28 November 14:00 to 16:00"},
		{"en", handover.View{State: handover.Out, From: at("11-26 23:00"), Until: at("11-27 01:00")}, "On its way, today 23:00 to tomorrow 01:00"},
		{"en", handover.View{State: handover.Out, From: at("11-27 00:15"), Until: at("11-27 02:00")}, "On its way, tomorrow 00:15 to 02:00"},
		{"en", handover.View{State: handover.Out, From: at("11-26 14:00"), Until: at("11-26 16:00")}, "Late, but still on its way"},
		{"en", handover.View{State: handover.Out, StoppedAt: now, Until: now.Add(time.Hour)}, "Stopped: nobody is at the door"},
		{"en", handover.View{State: handover.Arrived}, "The courier says they're at your door"},
		{"en", handover.View{State: handover.HandedOver, HandedAt: at("11-26 14:31")}, "Delivered 14:31"},
		{"en", handover.View{State: handover.HandedOver, HandedAt: at("11-25 14:31")}, "Delivered yesterday 14:31"},
		{"en", handover.View{State: handover.Attempted, Steps: []handover.Step{{Reason: handover.NobodyHome}}, Until: at("11-26 16:00"), GoodUntil: at("11-27 00:00")}, "It couldn't be handed over"},
		{"en", handover.View{State: handover.Attempted, Steps: []handover.Step{{Reason: handover.AnotherDay}}, From: at("11-27 14:00"), Until: at("11-27 16:00")}, "Planned for tomorrow 14:00 to 16:00"},
		{"en", handover.View{State: handover.Refused}, "Refused"},
		{"en", handover.View{State: handover.Returned}, "It went back"},
		{"en", handover.View{State: handover.Canceled}, "Canceled by Acme"},
		{"en", handover.View{State: handover.Expired}, "This delivery is over"},
		{"de", handover.View{State: handover.Out, From: at("11-27 14:00"), Until: at("11-27 16:00")}, "Unterwegs: morgen, 14:00 bis 16:00 Uhr"},
		{"fr", handover.View{State: handover.Created, From: at("11-26 23:00"), Until: at("11-26 23:45")}, "Prévu aujourd'hui de 23:00 à 23:45"},
		{"ja", handover.View{State: handover.Created, From: at("11-28 14:00"), Until: at("11-28 16:00")}, "お届け予定：11月28日（土） 14:00～16:00"},
	} {
		v := &visit{svc: svc, zone: zoneOf("Asia/Tokyo"), lang: locale.Match(c.tag)}
		pg := &page{pages: p, visit: v, Service: svc, Lang: v.lang}
		c.view.Zone = zone
		if got := pg.deliveryTitle(&c.view); got != c.want {
			t.Errorf("%s: %q, want %q", c.tag, got, c.want)
		}
		if !pg.Elsewhere(&c.view) {
			t.Error("the visitor's clock shows another time, and isn't told so")
		}
	}
}

// The history says who did what: a stop after an arrival isn't another departure, and another courier isn't news.
func TestTheHistoryOfADelivery(t *testing.T) {
	t.Parallel()
	p := pages(t)
	svc, _ := p.ByHost("acme.example")
	pg := &page{pages: p, visit: &visit{svc: svc}, Service: svc, Lang: locale.Match("en")}
	v := &handover.View{Zone: time.UTC}
	for i, s := range []handover.State{handover.Created, handover.Out, handover.Out, handover.Arrived, handover.Out, handover.Arrived, handover.HandedOver} {
		v.Steps = append(v.Steps, handover.Step{State: s, At: time.Now().UnixMilli() + int64(i)})
	}
	var got []string
	for _, s := range pg.Steps(v) {
		got = append(got, s.What)
	}
	want := "Delivered|The courier said they were at the door|The recipient said that nobody was there|The courier said they were at the door|Left with the courier|Announced"
	if strings.Join(got, "|") != want {
		t.Errorf("the history says %q", got)
	}
}

// Digits are written in groups that can be read out, and never one alone.
func TestGroups(t *testing.T) {
	t.Parallel()
	for digits, want := range map[string]string{"": "", "4821": "48 21", "48213": "48 213", "482135": "482 135", "4821357": "48 21 357", "48213579": "48 213 579"} {
		if got := grouped(digits); got != want {
			t.Errorf("%s: %q, want %q", digits, got, want)
		}
	}
}

// A link's secret is in no log, whatever became of the request, and opens nothing that it isn't for.
// Keeps: S22
func TestLinksOfDeliveriesStayOutOfLogs(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	p := pages(t)
	p.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p, err := New(p.Options)
	if err != nil {
		t.Fatal(err)
	}
	token := secret.EncodeToken("", []byte("0123456789abcdef0123456789"))
	for _, r := range p.routes() {
		if method, path, _ := strings.Cut(r.pattern, " "); strings.Contains(path, "{token}") {
			if res := ask(p, method, strings.Replace(path, "{token}", token, 1)+"?code="+token, nil); res.StatusCode != http.StatusNotFound || res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("X-Robots-Tag") != "noindex" {
				t.Errorf("%s with a link that nobody made: %d", r.pattern, res.StatusCode)
			}
		}
	}
	if got := log.String(); strings.Contains(got, token) || !strings.Contains(got, "/t/{token}/code") || !strings.Contains(got, "/p/{token}") {
		t.Errorf("the log says %s", got)
	}
}
