// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/locale"
)

// Every route answers with all defences, whatever became of the request: a page, a redirect, a refusal, a failure inside.
// Keeps: S22
func TestDefencesOnEveryRoute(t *testing.T) {
	t.Parallel()
	p := pages(t)
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
	}
	check := func(what string, res *http.Response) {
		t.Helper()
		courier := strings.Contains(what, " /courier") // which has a camera, a position, a service worker and a manifest
		for name, value := range want {
			if courier && name == "Content-Security-Policy" {
				value += "; worker-src 'self'; manifest-src 'self'"
			}
			kept := strings.Contains(what, "/icon/") || strings.Contains(what, "/proof-keys.json") // for a while, by anybody
			if got := res.Header.Get(name); got != value && (name != "Cache-Control" || !kept) {
				t.Errorf("%s: %s is %q", what, name, got)
			}
		}
		camera := map[bool]string{true: "camera=(self), geolocation=(self), microphone=()", false: "camera=(), geolocation=(), microphone=()"}[courier]
		if !strings.HasPrefix(res.Header.Get("Permissions-Policy"), camera) {
			t.Errorf("%s: no Permissions-Policy", what)
		}
	}
	for _, r := range p.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		path = strings.NewReplacer("{$}", "", "{hash}", "x", "{name}", "x", "{colours}", "x.css", "{topic}", "turn-it-off", "{size}", "192").Replace(path)
		res := ask(p, method, path, nil)
		check(r.pattern, res)
		if method == http.MethodPost {
			for _, header := range []string{"Sec-Fetch-Site", "Origin"} {
				value := map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}[header]
				res := ask(p, method, path, func(r *http.Request) { r.Header.Set(header, value) })
				if check(r.pattern+" from elsewhere", res); res.StatusCode != http.StatusForbidden {
					t.Errorf("%s from another site: %d", r.pattern, res.StatusCode)
				}
			}
		}
		if r.need == session && (res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/signin") {
			t.Errorf("%s without a session: %d to %q", r.pattern, res.StatusCode, res.Header.Get("Location"))
		}
	}
	check("nowhere", ask(p, "GET", "/nowhere", nil))
	check("PUT", ask(p, "PUT", "/signin", nil))
	check("another host", ask(p, "GET", "/signin", func(r *http.Request) { r.Host = "evil.example" }))
}

// What is kept for good is kept under its own name only.
func TestKeptForGood(t *testing.T) {
	t.Parallel()
	p := pages(t)
	kept := func(path string) string {
		res := ask(p, "GET", path, nil)
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
		return res.Header.Get("Cache-Control")
	}
	for name, a := range p.assets {
		if got := kept("/static/" + a.hash + "/" + name); got != forever[0] {
			t.Errorf("%s: %s", name, got)
		}
		if got := kept("/static/000000000000/" + name); got != "no-store" {
			t.Errorf("%s of another version: %s", name, got)
		}
	}
	svc, _ := p.ByHost("acme.example")
	if got := kept(brandPath(svc)); got != forever[0] {
		t.Errorf("the colours: %s", got)
	}
	if got := kept("/brand/000000ffffff.css"); got != "no-store" {
		t.Errorf("other colours: %s", got)
	}
}

// The choice of a language leads back to a page, also from the answer to a form.
func TestWhereALanguageLeadsBack(t *testing.T) {
	t.Parallel()
	p := pages(t)
	for at, want := range map[string]string{
		"/signin": "/signin", "/signin/passkey": "/signin", "/step/answer": "/step", "/step/alone": "/step", "/undo/key": "/undo", "/security/two-step/off": "/security/two-step/off",
		"/security/methods/codes": "/security", "/security/devices/revoke": "/security/devices", "/": "/security", "/nothing/here": "/security",
	} {
		if got := p.shown(at); got != want {
			t.Errorf("%s leads back to %s, want %s", at, got, want)
		}
	}
	res := ask(p, "POST", "/language", func(r *http.Request) {
		r.PostForm = url.Values{"language": {"de"}, "back": {"//evil.example"}}
		r.Form = r.PostForm
	})
	if at := res.Header.Get("Location"); at != "/signin" {
		t.Errorf("it leads to %q", at)
	}
}

// Times are said in the visitor's zone and language; who hasn't told a zone reads which one it is.
func TestTimes(t *testing.T) {
	t.Parallel()
	p := pages(t)
	now := time.Date(2026, 11, 25, 13, 2, 0, 0, time.UTC)
	p.Now = func() time.Time { return now }
	svc, _ := p.ByHost("acme.example")
	say := func(tag, zone string, d time.Duration, how func(*page, time.Time) string) string {
		v := &visit{svc: svc, zone: zoneOf(zone), lang: locale.Match(tag)}
		return how(&page{pages: p, visit: v, Service: svc, Lang: v.lang}, now.Add(d))
	}
	const hour = time.Hour
	for _, c := range []struct {
		tag, zone string
		d         time.Duration
		how       func(*page, time.Time) string
		want      string
	}{
		{"en", "", 10 * time.Minute, (*page).Clock, "13:12 UTC"},
		{"en", "Europe/Paris", 10 * time.Minute, (*page).Clock, "14:12"},
		{"en", "America/Port-au-Prince", 0, (*page).Clock, "08:02"},
		{"en", "Etc/GMT-3", 0, (*page).Clock, "16:02"},
		{"en", "Asia/Kolkata", 72 * hour, (*page).Clock, "Saturday 28 November, 18:32"},
		{"en", "Asia/Kolkata", 72 * hour, (*page).Day, "Saturday 28 November, 18:32"},
		{"de", "Europe/Berlin", 72 * hour, (*page).Day, "Samstag, 28. November, 14:02"},
		{"fr", "Europe/Paris", 72 * hour, (*page).Day, "samedi 28 novembre, 14:02"},
		{"es", "Europe/Madrid", 72 * hour, (*page).Day, "sábado 28 de noviembre, 14:02"},
		{"pt", "America/Sao_Paulo", 72 * hour, (*page).Day, "sábado, 28 de novembro, 10:02"},
		{"hi", "Asia/Kolkata", 72 * hour, (*page).Day, "शनिवार, 28 नवंबर, 18:32"},
		{"ar", "Africa/Cairo", 72 * hour, (*page).Day, "السبت 28 نوفمبر، 15:02"},
		{"ja", "Asia/Tokyo", 72 * hour, (*page).Day, "11月28日（土）22:02"},
		{"zh-Hans", "Asia/Shanghai", 72 * hour, (*page).Day, "11月28日（星期六）21:02"},
		{"en", "", 60 * 24 * hour, (*page).Day, "24 January 2027, 13:02 UTC"},
		{"en", "Europe/Paris", -3 * 24 * hour, (*page).Ago, "3 days ago, Sunday 22 November, 14:02"},
	} {
		if got := say(c.tag, c.zone, c.d, c.how); got != c.want {
			t.Errorf("%s in %s: %q, want %q", c.tag, c.zone, got, c.want)
		}
	}
	for _, name := range []string{"", "Local", "../../etc/passwd", "/etc/passwd", "Nowhere/Here", strings.Repeat("a/", 60)} {
		if zoneOf(name) != nil {
			t.Errorf("%q is a zone", name)
		}
	}
	w, err := readWords()
	if err != nil {
		t.Fatal(err)
	}
	for tag, all := range w.byTag {
		if d, m := strings.Count(all["date.weekdays"], "|"), strings.Count(all["date.months"], "|"); d != 6 || m != 11 {
			t.Errorf("%s has %d weekdays and %d months", tag, d+1, m+1)
		}
	}
}
