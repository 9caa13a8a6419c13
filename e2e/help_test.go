// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Every question has its page, on a small phone, left to right and right to left, and its button does what it says.
// Keeps: E.1
func TestHelpCentre(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.signUp()
	p.open("/help")
	links, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll("main li a")].map((a) => a.getAttribute("href"))`))
	must(t, err)
	if len(links) != 12 {
		t.Fatalf("the list has %d questions: %v", len(links), links)
	}
	for _, tag := range []string{"en", "ar", "de"} {
		p.open("/help")
		p.run("document.querySelector('#language').value = " + quote(tag))
		p.press("footer form button")
		for _, path := range append([]string{"/help", "/ours"}, links...) {
			p.open(path)
			must(t, chromedp.Do(p.ctx, chromedp.EmulateViewport(360, 800)))
			p.until("document.documentElement.lang === " + quote(tag))
			p.until("document.querySelectorAll('h1').length === 1 && document.querySelector('h1').innerText.length > 3")
			if path != "/help" {
				p.until("document.querySelector('main a.primary').offsetHeight >= 44")
			}
			p.sees()
			shots(t, p.ctx, t.Name()+"-"+tag+strings.ReplaceAll(path, "/", "-"))
		}
	}
	must(t, chromedp.Do(p.ctx, chromedp.EmulateViewport(360, 800)))
	p.open("/help")
	p.run("document.querySelector('#language').value = 'en'")
	p.press("footer form button")
	p.click("[...document.querySelectorAll('footer a')].find((a) => a.textContent === 'Is it really us?')")
	p.sees("What is ours", "localhost", "To tell a code that we sent you")
	p.open("/help")
	p.pressWords("Can I turn off two-step verification?")
	p.sees("Without it, your password alone lets anyone in who knows it.")
	p.pressWords("Turn it off")
	p.sees("Turn off two-step verification?", "Keep it on")
	p.run("document.querySelector('nav button').click()")
	p.until("location.pathname === '/signin'")
	p.open("/help/lost-everything")
	p.sees("you have to wait for 3 days")
	p.pressWords("Get back into your account")
	p.sees("Get back into your account", "Email address or phone number")

	// Who is typing a code is led back to it.
	p.open("/signup")
	p.fill("#contact", "bob@mail.example")
	p.fill("#password", annWords)
	p.press("main form button.primary")
	p.sees("Enter the code we sent")
	p.open("/help/code-not-working")
	p.pressWords("Go to your code")
	p.sees("Enter the code we sent")
}

// The public page names what the configuration and the service's operator name, and an operator's own topics are there.
// Keeps: E.1
func TestOursOfAService(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "sqlite:"+filepath.Join(t.TempDir(), "ours.db"), newGateway(t))
	text, err := os.ReadFile(p.config)
	must(t, err)
	topics := filepath.Join(t.TempDir(), "help")
	must(t, os.MkdirAll(filepath.Join(topics, "acme"), 0o700))
	must(t, os.WriteFile(filepath.Join(topics, "acme", "returns.en.md"), []byte("# How do I return something to {service}?\n\nBring it back.\n"), 0o600))
	changed := strings.Replace(string(text), "name = \"main\"\n", "name = \"main\"\nfrom = \"ACME 1\"\n", 1)
	must(t, os.WriteFile(p.config, []byte("help-folder = "+quote(topics)+"\nsmtp-host = \"localhost\"\nmail-from = \"Acme <codes@mail.acme.example>\"\n"+changed), 0o600))
	p.run("", "service", "set", "acme", "--senders", "ACME 2, 72000", "--callback-numbers", "+18005550199", "--domains", "shop.acme.example,acme.test", "--config", p.config)
	cmd, url := p.serve()
	defer stopAll(t, []*exec.Cmd{cmd})
	get := func(path string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", url+path, nil)
		must(t, err)
		req.Host = "acme.example"
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		must(t, err)
		return strings.ReplaceAll(string(body), "&#43;", "+")
	}
	ours := get("/ours")
	for _, want := range []string{">ACME 1<", ">ACME 2<", ">72000<", ">codes@mail.acme.example<", ">acme.example<", ">shop.acme.example<", ">acme.test<", ">+18005550199<"} {
		if !strings.Contains(ours, want) {
			t.Errorf("it doesn't name %s:\n%s", want, ours)
		}
	}
	if page := get("/help/returns"); !strings.Contains(page, "<h1>How do I return something to Acme?</h1>") {
		t.Errorf("the operator's topic:\n%s", page)
	}
	// What is taken back is gone within a second or so, without a start.
	p.run("", "service", "set", "acme", "--senders", "", "--config", p.config)
	p.run("", "service", "set", "acme", "--name", "Acme 2", "--config", p.config)
	for page := get("/ours"); strings.Contains(page, ">72000<") || !strings.Contains(page, ">ACME 1<") || !strings.Contains(page, "acme.test"); page = get("/ours") {
		if t.Context().Err() != nil {
			t.Fatal("a sender that was taken back is still there")
		}
	}
	must(t, os.WriteFile(filepath.Join(topics, "acme", "returns.en.md"), []byte("# How?\n\n[x](javascript:x)\n"), 0o600))
	wrong := exec.CommandContext(t.Context(), p.path, "serve", "--config", p.config)
	wrong.Env = p.env
	if out, err := wrong.CombinedOutput(); err == nil || wrong.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "acme/returns.en.md line 3") {
		t.Errorf("a text that can't be shown: %v\n%s", err, out)
	}
}
