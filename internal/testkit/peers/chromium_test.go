// SPDX-License-Identifier: Apache-2.0

package peers_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/internal/testkit/peers"
)

func TestBrowserRunsAPage(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<title>before</title><script>document.title = "after"</script>`))
	}))
	t.Cleanup(server.Close)
	tab := peers.Browser(t)
	err := chromedp.Do(tab, chromedp.Navigate(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	title, err := chromedp.Run(tab, chromedp.Title())
	if err != nil {
		t.Fatal(err)
	}
	if title != "after" {
		t.Errorf("title = %q, want what the page's script made of it", title)
	}
}

func TestOathtoolMakesCodes(t *testing.T) {
	t.Parallel()
	// The secret and the first value of RFC 4226, appendix D.
	out, err := exec.CommandContext(t.Context(), peers.Oathtool(t), "3132333435363738393031323334353637383930").Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != "755224" {
		t.Errorf("code = %q (%v), want 755224", got, err)
	}
}
