// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Chromium returns the path of the browser and the command line that makes it quiet, headless and
// without memory: its profile is a fresh folder that ends with the test.
func Chromium(tb testing.TB) (path string, flags []string) {
	tb.Helper()
	path, err := look("chromium", "chromium-browser", "google-chrome")
	if err != nil {
		giveUp(tb, err)
	}
	profile, err := os.MkdirTemp("", "countersign-chromium-")
	if err != nil {
		tb.Fatal(err)
	}
	// Not tb.TempDir: the browser's last process may still write when the test ends, and that a
	// left-over file could not be removed is no failure of the test.
	tb.Cleanup(func() { _ = os.RemoveAll(profile) })
	flags = []string{
		"--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--user-data-dir=" + profile,
	}
	if os.Getuid() == 0 { // the sandbox refuses root
		flags = append(flags, "--no-sandbox")
	}
	return path, flags
}

// Browser starts Chromium and returns the context of one empty tab, for chromedp.Run and chromedp.Do. The browser is
// closed when the test ends. More tabs come from chromedp.NewContext on the returned context. More is added to its command line.
func Browser(tb testing.TB, more ...string) context.Context {
	tb.Helper()
	path, flags := Chromium(tb)
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path)}
	for _, flag := range append(flags, more...) {
		name, value, ok := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		if name == "user-data-dir" { // what the browser would leave in the temporary folder goes there, too
			options = append(options, chromedp.Env("TMPDIR="+value))
		}
		if ok {
			options = append(options, chromedp.Flag(name, value))
		} else {
			options = append(options, chromedp.Flag(name, true))
		}
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	tb.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(allocator)
	tb.Cleanup(closeTab)
	_, err := chromedp.Run(tab, chromedp.Title()) // the first action starts the browser
	if err != nil {
		tb.Fatalf("chromium: %v", err)
	}
	return tab
}
