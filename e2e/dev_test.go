// SPDX-License-Identifier: Apache-2.0

// Package e2e plays whole stories against the true program.
package e2e

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/internal/app"
	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/testkit/peers"
)

// start runs the true program as `dev` does, and returns its URL and the text of an API key of its demo service.
func start(t *testing.T, database string) (url, key string) {
	t.Helper()
	cfg, err := config.Load("", nil, map[string]string{"database": database, "listen": "127.0.0.1:0"})
	must(t, err)
	master, err := secret.GenerateMaster(rand.Reader)
	must(t, err)
	a, err := app.New(t.Context(), app.Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Master: master, Dev: true})
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

// shot keeps a screenshot when COUNTERSIGN_TEST_SHOTS names a folder.
func shot(t *testing.T, ctx context.Context, name string) {
	folder := os.Getenv("COUNTERSIGN_TEST_SHOTS")
	if folder == "" {
		return
	}
	var png []byte
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600))
}

// Keeps: A.3, A.4
func TestTheFirstThingAVisitorTries(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	tab := peers.Browser(t)
	must(t, chromedp.Do(tab, chromedp.EmulateViewport(1280, 800))) // the first call starts the browser and must have no time limit
	ctx, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	must(t, chromedp.Do(ctx,
		chromedp.Navigate(url+"/"),
		chromedp.SendKeys(chromedp.CSS("#field"), "+1 415 555 0121"),
		chromedp.Click(chromedp.CSS("button.primary")),
		chromedp.WaitVisible(chromedp.CSS("input.code")),
		chromedp.WaitVisible(chromedp.CSS(".phone .copy")),
	))
	code, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".phone .copy b")))
	must(t, err)
	shot(t, ctx, "code-1280")
	must(t, chromedp.Do(ctx,
		chromedp.SendKeys(chromedp.CSS("input.code"), code[:3]+" "+code[3:]),
		chromedp.Click(chromedp.CSS("button.primary")),
		chromedp.WaitVisible(chromedp.CSS(".good")),
	))
	shot(t, ctx, "approved-1280")
	must(t, chromedp.Do(ctx,
		chromedp.SendKeys(chromedp.CSS("input.code"), code),
		chromedp.Click(chromedp.CSS("main form button")),
		chromedp.WaitVisible(chromedp.CSS(".summary")),
	))
	said, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".summary")))
	must(t, err)
	if !strings.Contains(said, "already been used") {
		t.Fatalf("the second time the page says %q", said)
	}
	shot(t, ctx, "used-1280")
}
