// SPDX-License-Identifier: Apache-2.0

// Package e2e plays whole stories against the true program.
package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	neturl "net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/internal/app"
	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/testkit/peers"
)

// start runs the true program as `dev` does, and returns its URL and the text of an API key of its demo service.
func start(t *testing.T, database string) (url, key string) { return startAt(t, database, nil) }

// startAt is start with a clock that the test moves.
func startAt(t *testing.T, database string, offset func() time.Duration) (url, key string) {
	t.Helper()
	cfg, err := config.Load("", nil, map[string]string{"database": database, "listen": "127.0.0.1:0"})
	must(t, err)
	master, err := secret.GenerateMaster(rand.Reader)
	must(t, err)
	a, err := app.New(t.Context(), app.Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Master: master, Dev: true, Offset: offset})
	must(t, err)
	svc, err := a.Registry().Create(t.Context(), service.Row{
		Slug: app.DemoSlug, Name: "Demo", Domain: "localhost", Locale: "en", Policy: service.DefaultPolicy(),
	}, time.Now())
	must(t, err)
	text, _, err := a.Registry().CreateKey(t.Context(), svc, "test", service.Scopes(), time.Now())
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error("stopping:", err)
		}
	})
	return "http://" + a.Addr(), text.Reveal()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shots keeps screenshots of the page as it is, at 360 and 1280 pixels, light and dark, when COUNTERSIGN_TEST_SHOTS names a
// folder; and says when something is wider than the screen.
func shots(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	folder := os.Getenv("COUNTERSIGN_TEST_SHOTS")
	for _, width := range []int64{360, 1280} {
		must(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 800)))
		wide, err := chromedp.Run(ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
		must(t, err)
		if wide > width {
			t.Errorf("%s is %d pixels wide on a screen of %d", name, wide, width)
		}
		if folder == "" {
			continue
		}
		for _, scheme := range []string{"light", "dark"} {
			_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			must(t, err)
			png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), png, 0o600))
		}
	}
}

// Keeps: A.3, A.4, A.5
func TestTheFirstThingAVisitorTries(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	tab := peers.Browser(t)
	must(t, chromedp.Do(tab, chromedp.EmulateViewport(1280, 800))) // the first call starts the browser and must have no time limit
	ctx, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	must(t, chromedp.Do(ctx, chromedp.Navigate(url+"/")))
	shots(t, ctx, "home")
	must(t, chromedp.Do(ctx,
		chromedp.SendKeys(chromedp.CSS("#field"), "1234"),
		chromedp.Click(chromedp.CSS("button.primary")),
		chromedp.WaitVisible(chromedp.CSS(".summary")),
	))
	shots(t, ctx, "home-error")
	must(t, chromedp.Do(ctx,
		chromedp.Clear(chromedp.CSS("#field")),
		chromedp.SendKeys(chromedp.CSS("#field"), "+1 415 555 0121"),
		chromedp.Click(chromedp.CSS("button.primary")),
		chromedp.WaitVisible(chromedp.CSS("input.code")),
		chromedp.WaitVisible(chromedp.CSS(".phone .copy")), // live, by server-sent events
	))
	code, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".phone .copy b")))
	must(t, err)
	shots(t, ctx, "code")
	must(t, chromedp.Do(ctx,
		chromedp.SendKeys(chromedp.CSS("input.code"), "000000"),
		chromedp.Click(chromedp.CSS("main form button.primary")),
		chromedp.WaitVisible(chromedp.CSS(".summary")),
	))
	said, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".summary")))
	must(t, err)
	if !strings.Contains(said, "4 tries left") && code != "000000" {
		t.Fatalf("a wrong code: %q", said)
	}
	shots(t, ctx, "wrong")
	must(t, chromedp.Do(ctx,
		chromedp.Clear(chromedp.CSS("input.code")),
		chromedp.SendKeys(chromedp.CSS("input.code"), code[:3]+" "+code[3:]),
		chromedp.Click(chromedp.CSS("main form button.primary")),
		chromedp.WaitVisible(chromedp.CSS(".good")),
	))
	shots(t, ctx, "approved")
	must(t, chromedp.Do(ctx,
		chromedp.SendKeys(chromedp.CSS("input.code"), code),
		chromedp.Click(chromedp.CSS("main form button")),
		chromedp.WaitVisible(chromedp.CSS(".summary")),
	))
	if said, err = chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".summary"))); err != nil || !strings.Contains(said, "already been used") {
		t.Fatalf("the second time the page says %q, %v", said, err)
	}
	shots(t, ctx, "used")
	must(t, chromedp.Do(ctx, chromedp.Navigate(url+"/inbox")))
	shots(t, ctx, "inbox")
	must(t, chromedp.Do(ctx, chromedp.Navigate(url+"/docs")))
	shots(t, ctx, "docs")
}

// The same without JavaScript: forms and redirects alone. Every answer carries the defences.
func TestDemoWithoutJavaScript(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	jar, err := cookiejar.New(nil)
	must(t, err)
	browser := &http.Client{Jar: jar}
	page := func(res *http.Response, err error) string {
		t.Helper()
		must(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		must(t, err)
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Fatalf("%s has no defences: %v", res.Request.URL, res.Header)
		}
		return string(b)
	}
	if got := page(browser.Get(url + "/code")); !strings.Contains(got, "<h1>Try a code</h1>") {
		t.Fatal("the code page is there for somebody who began nothing")
	}
	got := page(browser.PostForm(url+"/", neturl.Values{"contact": {"ann@mail.example"}}))
	if !strings.Contains(got, "Enter the code we sent") || !strings.Contains(got, "We mailed it to a...@mail.example") {
		t.Fatal(got)
	}
	if got = page(browser.PostForm(url+"/code/again", nil)); !strings.Contains(got, "Try again in") {
		t.Fatal("a code was sent again at once")
	}
	code := await(t, url, 1).Code
	if got = page(browser.PostForm(url+"/code", neturl.Values{"code": {"12"}})); !strings.Contains(got, "you typed 2") || !strings.Contains(got, "value=\"12\"") {
		t.Fatal(got)
	}
	if got = page(browser.PostForm(url+"/code", neturl.Values{"code": {code}})); !strings.Contains(got, "That&#39;s right") && !strings.Contains(got, "That's right") {
		t.Fatal(got)
	}
	// The phone of the inbox answers NO: the code ends, and the answer stands below it.
	page(browser.PostForm(url+"/", neturl.Values{"contact": {"+14155550121"}}))
	await(t, url, 2)
	form := regexp.MustCompile(`action="(/inbox/[0-9a-f]+/answer)"`).FindStringSubmatch(page(browser.Get(url + "/inbox")))
	if form == nil {
		t.Fatal("a text in the inbox can't be answered")
	}
	if got = page(browser.PostForm(url+form[1], neturl.Values{"text": {" "}})); !strings.Contains(got, "Type what the phone answers") {
		t.Fatal(got)
	}
	if got = page(browser.PostForm(url+form[1], neturl.Values{"text": {"No."}})); !strings.Contains(got, `<p class="answer">No.</p>`) {
		t.Fatal(got)
	}
	if got = page(browser.Get(url + "/code")); !strings.Contains(got, "This code was canceled.") {
		t.Fatal(got)
	}
	req, err := http.NewRequest(http.MethodPost, url+"/code", strings.NewReader("code="+code))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := browser.Do(req)
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusForbidden {
		t.Fatalf("a post from another site: %d", res.StatusCode)
	}
}
