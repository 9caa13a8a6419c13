// SPDX-License-Identifier: Apache-2.0

package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/place"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// still is a ledger that knows the time and nothing else.
type still struct{ ledger.Ledger }

func (still) Now() time.Time { return time.Now() }

// pages are those of one service, as under TLS.
func pages(t *testing.T) *Pages {
	t.Helper()
	ring, err := secret.NewRing([]*secret.Keys{secret.NewKeys(1, 1, secret.DataKey{1})}, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	svc := service.New(service.Service{ID: 1, Slug: "acme", Name: "Acme", Domain: "acme.example", Locale: "en", Policy: service.DefaultPolicy()}, ring)
	places, err := place.Open("")
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Options{
		Accounts: account.New(account.Options{Ledger: still{}, Hasher: password.NewHasher(1), Origin: func(*service.Service) string { return "https://acme.example" }}),
		ByHost:   func(host string) (*service.Service, bool) { return svc, host == "acme.example" },
		Places:   places, Now: time.Now, Log: slog.New(slog.DiscardHandler), Secure: true, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ask(p *Pages, method, target string, change func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, "https://acme.example"+target, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result()
}

// The host's name chooses the service and is believed for nothing else.
func TestHosts(t *testing.T) {
	t.Parallel()
	p := pages(t)
	for host, want := range map[string]int{"acme.example": 200, "ACME.example:443": 200, "evil.example": 421, "acme.example.evil.example": 421, "": 421, "acme.example@evil.example": 421} {
		res := ask(p, "GET", "/signin", func(r *http.Request) { r.Host = host; r.Header.Set("X-Forwarded-Host", "evil.example") })
		if res.StatusCode != want {
			t.Errorf("%q: %d, want %d", host, res.StatusCode, want)
		}
		if strings.Contains(res.Header.Get("Location"), "evil") {
			t.Errorf("%q leads to %s", host, res.Header.Get("Location"))
		}
	}
	if at := ask(p, "GET", "/security", nil).Header.Get("Location"); at != "/signin" {
		t.Errorf("who is not signed in is led to %q", at)
	}
}

// Cookies that prove something are bound to this host over TLS, and out of reach of scripts.
// Keeps: S21
func TestCookies(t *testing.T) {
	t.Parallel()
	res := ask(pages(t), "GET", "/security", nil)
	if len(res.Cookies()) == 0 {
		t.Fatal("no cookie")
	}
	for _, c := range res.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%v", c)
		}
	}
	if res.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS under TLS")
	}
}

// A visitor's address is the last one that isn't a proxy's: what stands before it was written by anybody.
func TestAddresses(t *testing.T) {
	t.Parallel()
	p := pages(t)
	for _, c := range []struct{ from, forwarded, want string }{
		{"192.0.2.1:9", "", "192.0.2.1"},
		{"192.0.2.1:9", "198.51.100.7", "192.0.2.1"},
		{"10.0.0.2:9", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.2:9", "203.0.113.1, 198.51.100.7, 10.0.0.9", "198.51.100.7"},
		{"10.0.0.2:9", "nonsense", "10.0.0.2"},
		{"[2001:db8::1]:9", "", "2001:db8::1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.from
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := p.address(r); got != c.want {
			t.Errorf("from %s, forwarded %q: %s, want %s", c.from, c.forwarded, got, c.want)
		}
	}
}
