// SPDX-License-Identifier: Apache-2.0

package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func answered(h http.Handler, from, host string) int {
	r := httptest.NewRequest(http.MethodGet, "/inbox", nil)
	r.RemoteAddr, r.Host = from, host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

// Behind a proxy that ends TLS, nobody but the proxy is answered in the clear.
func TestOnlyTheProxyIsServed(t *testing.T) {
	t.Parallel()
	h := onlyFrom([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, ok, slog.New(slog.DiscardHandler))
	for from, want := range map[string]int{
		"10.0.0.7:1": 204, "127.0.0.1:1": 204, "[::1]:1": 204, "[::ffff:10.0.0.7]:1": 204,
		"10.0.1.7:1": 403, "[2001:db8::1]:1": 403, "": 403,
	} {
		if got := answered(h, from, "x"); got != want {
			t.Errorf("from %q: %d, want %d", from, got, want)
		}
	}
}

// A name of somebody else's that points to this machine doesn't open the inbox of dev.
func TestDevAnswersToThisMachineOnly(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]int{
		"localhost:8080": 204, "localhost": 204, "127.0.0.1:8080": 204, "[::1]:8080": 204, "[::1]": 204,
		"evil.example:8080": 421, "127.0.0.1.evil.example": 421, "": 421, "192.0.2.1:8080": 421,
	} {
		if got := answered(onlyTo(ok), "127.0.0.1:1", host); got != want {
			t.Errorf("Host %q: %d, want %d", host, got, want)
		}
	}
}
