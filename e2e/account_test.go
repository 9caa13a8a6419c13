// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/internal/testkit/peers"
)

// person is somebody at a browser in front of the true program, with the inbox of `dev` for a phone and a mailbox.
type person struct {
	*testing.T
	ctx    context.Context
	url    string
	number int // of screenshots
}

func newPerson(t *testing.T, database string) *person {
	t.Helper()
	at, _ := start(t, database)
	at = strings.Replace(at, "127.0.0.1", "localhost", 1)
	tab := peers.Browser(t)
	must(t, chromedp.Do(tab, chromedp.EmulateViewport(1280, 800))) // the first call starts the browser and must have no time limit
	ctx, cancel := context.WithTimeout(tab, 3*time.Minute)
	t.Cleanup(cancel)
	return &person{T: t, ctx: ctx, url: at}
}

func (p *person) open(path string) {
	p.Helper()
	must(p.T, chromedp.Do(p.ctx, chromedp.Navigate(p.url+path)))
}

// fill types into a field in place of what is there.
func (p *person) fill(field, text string) {
	p.Helper()
	must(p.T, chromedp.Do(p.ctx, chromedp.WaitVisible(chromedp.CSS(field)), chromedp.Clear(chromedp.CSS(field)), chromedp.SendKeys(chromedp.CSS(field), text)))
}

// press presses a button that is there now and waits for the page that it leads to.
func (p *person) press(button string) {
	p.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("window.stale = true"))
	must(p.T, err)
	must(p.T, chromedp.Do(p.ctx, chromedp.Click(chromedp.CSS(button))))
	p.until("!window.stale && document.readyState === 'complete'")
}

// until waits for something that the page can tell.
func (p *person) until(what string) {
	p.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](what))
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("not so: %s; the page at %s says: %s", what, p.path(), p.text("body"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *person) text(part string) string {
	p.Helper()
	s, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.querySelector('"+part+"')?.innerText || ''"))
	must(p.T, err)
	return s
}

func (p *person) path() string {
	s, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("location.pathname"))
	must(p.T, err)
	return s
}

// sees fails unless the page's title and main part say something.
func (p *person) sees(words ...string) {
	p.Helper()
	got := p.text("main")
	for _, w := range words {
		if !strings.Contains(got, w) {
			p.Fatalf("%s doesn't say %q but: %s", p.path(), w, got)
		}
	}
	p.shot()
}

// shot keeps screenshots, each page once, and checks the page with axe-core.
func (p *person) shot() {
	p.Helper()
	p.axe()
	if os.Getenv("COUNTERSIGN_TEST_SHOTS") != "" {
		p.number++
		shots(p.T, p.ctx, strings.NewReplacer("/", "_", " ", "_").Replace(p.Name())+"-"+twoDigits(p.number)+strings.ReplaceAll(p.path(), "/", "-"))
		must(p.T, chromedp.Do(p.ctx, chromedp.EmulateViewport(1280, 800)))
	}
}

func twoDigits(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }

// axe fails when the page has what axe-core calls a violation (WCAG 2.2 A and AA, and its own best practices).
func (p *person) axe() {
	p.Helper()
	source, err := os.ReadFile(filepath.Join("node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		if os.Getenv("COUNTERSIGN_TEST_REQUIRE") != "" {
			p.Fatal("axe-core is missing: ./test gets it")
		}
		return
	}
	_, err = chromedp.Run(p.ctx, chromedp.Evaluate[bool](string(source)+"; true"))
	must(p.T, err)
	_, err = chromedp.Run(p.ctx, chromedp.Evaluate[bool](`window.axed = undefined;
		axe.run({exclude: ["aside"]}).then((r) => { window.axed = r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html).join(" | ")).join("\n") || "clean" }); true`))
	must(p.T, err)
	p.until("window.axed !== undefined")
	got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("window.axed"))
	must(p.T, err)
	if got != "clean" {
		p.Errorf("axe-core at %s: %s", p.path(), got)
	}
}

// code is the newest code in the inbox for a contact, after the n-th message.
func (p *person) code(n int) string {
	p.Helper()
	return await(p.T, p.url, n).Code
}

// A person makes an account and protects it: the first page of the story.
// Keeps: B.1
func TestSignUpInABrowser(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.open("/signin")
	p.sees("Sign in", "Forgot your password?")
	p.open("/signup")
	p.sees("Make an account")
	p.fill("#contact", "ann@mail.example")
	p.fill("#password", "short")
	p.press("main form button.primary")
	p.sees("Use at least 15 characters")
	p.fill("#password", "kelp roof lantern river")
	p.press("main form button.primary")
	p.sees("Enter the code we sent", "a...@mail.example", "Nobody from Demo will ever ask you for this code.")
	code := p.code(1)
	p.fill("#code", "000000")
	p.press(".code-form button.primary")
	p.sees("4 tries left")
	p.fill("#code", code[:3]+" "+code[3:])
	p.press(".code-form button.primary")
	p.sees("Login & Security", "Off. Your password alone")
	_ = url.URL{}
}
