// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	neturl "net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/locale"
)

// The pages beside the main path, looked at by axe-core like the others; and a proof before each change that matters.
// Keeps: C.2, F.1, F.3
func TestTheOtherPages(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	for path, words := range map[string]string{
		"/forgot": "Forgot your password?", "/stop": "Stop this recovery", "/undo": "Undo a change", "/nothing": "There is no such page", "/step": "Begin again",
	} {
		p.open(path)
		p.sees(words)
	}
	p.signUp()

	// A change that matters asks for a proof, and leads back to where it was asked for.
	p.pass(time.Hour)
	p.open("/security/passkeys")
	p.sees("Passkeys", "None yet")
	p.authenticator()
	p.fill("#name", "my laptop")
	p.press("form[action='/security/methods/passkey'] button")
	p.sees("Enter your password", "Before you change something important")
	p.fill("#password", annWords)
	p.press("main form button.primary")
	p.sees("Passkeys", "None yet")
	p.fill("#name", "my laptop")
	p.press("form[action='/security/methods/passkey'] button")
	p.pressPasskey()
	p.sees("Passkeys", "my laptop")
	p.open("/security")
	p.sees("1 passkey", "Off. Your password alone")

	// Every page of the centre.
	p.open("/security/two-step")
	p.pressWords("Set up an app")
	p.fill("#code", p.oathtool(p.text(".secret")))
	p.press(".code-form button.primary")
	p.sees("Save your recovery codes")
	p.pressWords("I have saved them")
	p.open("/security/recovery-codes")
	p.sees("Recovery codes", "10 left")
	p.pressWords("Make new codes")
	p.sees("Save your recovery codes")
	p.open("/security/devices")
	p.sees("Devices that you have used")
	p.open("/security/sessions")
	p.sees("Where you're signed in", "Signed in 1 hour ago")
	p.open("/security/password")
	p.fill("#password", annWords)
	p.fill("#repeat", "something else")
	p.press("form[action='/security/password'] button.primary")
	p.sees("The two passwords differ")
	p.open("/security/activity")
	p.pressWords("This wasn't me")
	p.sees("We've signed out everybody else")
	p.open("/security/data")
	p.sees("Your data", "Get the file")
	p.pressWords("Close your account")
	p.sees("Close your account", "Keep it")
	p.pass(time.Hour)
	p.pressWords("Close it")
	p.sees("Enter the code from your app")
}

// An answer that a form was given can be read in another language; what is shown once stays.
func TestLanguageAfterAForm(t *testing.T) {
	t.Parallel()
	p := newPlain(t, "en")
	p.post("/signup", "contact", "ann@mail.example", "password", "kelp roof lantern river")
	p.post("/step/answer", "code", "000000").says("4 tries left")
	p.post("/language", "language", "fr", "back", p.find(`name="back" value="([^"]+)"`)).says(`lang="fr"`, `name="code"`)
	if p.status != http.StatusOK {
		t.Errorf("the page in French: %d", p.status)
	}
	p.post("/step/answer", "code", await(t, p.url, 1).Code)
	p.post("/security/methods/app", "name", "")
	p.post("/security/recovery-codes").says(`class="recovery"`)
	if strings.Contains(p.last, `action="/language"`) {
		t.Error("the page of new recovery codes leads away by a language")
	}
}

// Two tabs with the same code: the second finds out that it is done, and leads on; another browser is not let in by it.
// Keeps: B.3
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	p := newPlain(t, "en")
	at, err := neturl.Parse(p.url)
	must(t, err)
	p.post("/signup", "contact", "ann@mail.example", "password", "kelp roof lantern river")
	flow := ""
	for _, c := range p.client.Jar.Cookies(at) {
		if c.Name == "flow" {
			flow = c.Value
		}
	}
	code := await(t, p.url, 1).Code
	p.post("/step/answer", "code", code, "key", "0011223344556677").says("/security/two-step")
	other := func() { p.client.Jar.SetCookies(at, []*http.Cookie{{Name: "flow", Value: flow, Path: "/"}}) }
	other()
	p.open("/step").says("/security/two-step")
	other()
	p.post("/step/answer", "code", code, "key", "8899aabbccddeeff").says("/security/two-step")
	p.client.Jar.SetCookies(at, []*http.Cookie{{Name: "session", Value: "", Path: "/", MaxAge: -1}})
	other()
	p.post("/step/answer", "code", code, "key", "8899aabbccddeeff").says("This has been done already, perhaps in another tab.", "Begin again")
	if p.open("/security").says("Sign in"); strings.Contains(p.last, "/signout") {
		t.Error("a spent code lets another browser in")
	}
	other() // the answer to the request that ended it was lost: the same request brings it again
	p.post("/step/answer", "code", code, "key", "0011223344556677").says("/security/two-step")
}

func (p *person) online(on bool) {
	p.Helper()
	_, err := chromedp.Call(p.ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: !on, Latency: 0, DownloadThroughput: -1, UploadThroughput: -1})
	must(p.T, err)
	p.until("navigator.onLine === " + map[bool]string{true: "true", false: "false"}[on])
}

// A code that is typed without a network is kept, sent once when the network is back, and forgotten; also when the page was
// loaded anew in between.
// Keeps: A.3
func TestACodeTypedWithoutANetwork(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	begin := func(contact string) {
		p.open("/signup")
		p.fill("#contact", contact)
		p.fill("#password", annWords)
		p.press("main form button.primary")
		p.sees("Enter the code we sent")
	}
	submit := func(code string) {
		p.fill("#code", code)
		p.online(false)
		p.run("document.querySelector('.code-form button.primary').click(); document.querySelector('.code-form button.primary').click()")
		p.sees("You are offline. We keep your code")
	}
	begin(annMail)
	submit(p.code(annMail, 0))
	p.online(true)
	p.until("location.pathname === '/security'")
	p.signOut()

	begin("bob@mail.example")
	submit("000000")
	p.run("window.stop(); location.reload()")
	p.until("document.readyState === 'complete'")
	p.online(true)
	p.until("document.querySelector('main').innerText.includes('4 tries left')")
	p.sees("This page was offline")
	if kept, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("sessionStorage.getItem('kept') || ''")); err != nil || kept != "" {
		t.Errorf("a code is still kept: %q, %v", kept, err)
	}
	p.open("/step")
	p.sees("Enter the code we sent", "4 tries left")

	// Another verification forgets what was kept for the one before.
	submit("000000")
	p.run("window.keptBefore = sessionStorage.getItem('kept'); sessionStorage.removeItem('kept')")
	kept, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("window.keptBefore"))
	must(t, err)
	p.online(true)
	p.pass(time.Minute)
	begin("eve@mail.example")
	p.run("sessionStorage.setItem('kept', " + quote(kept) + ")")
	p.open("/step")
	p.sees("5 tries left")
	p.until("sessionStorage.getItem('kept') === null")
}

// The pages hold in every language, at every width.
func TestLooksInEveryLanguage(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.signUp()
	api := client.New(p.url, p.key)
	own, err := api.FindAccount(t.Context(), annMail)
	must(t, err)
	_, err = api.Announce(t.Context(), own.ID, "Sue", "your order 1182")
	must(t, err)
	for _, l := range locale.All()[1:] {
		p.run("document.querySelector('#language').value = " + quote(l.Tag))
		p.press("footer form button")
		for _, path := range []string{"/security", "/security/two-step", "/call"} {
			p.open(path)
			p.until("document.documentElement.lang === " + quote(l.Tag) + " && document.dir === " + quote(l.Dir))
			p.sees()
			shots(t, p.ctx, t.Name()+"-"+l.Tag+strings.ReplaceAll(path, "/", "-"))
		}
	}
}

// The code page says what became of a code and what helps, in the same place.
// Keeps: A.4, A.5
func TestWhatBecameOfACode(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.open("/signup")
	p.fill("#contact", annPhone)
	p.fill("#password", annWords)
	p.press("main form button.primary")
	p.sees("We texted it to the phone ending in 21", "5 tries left", "You can ask for it again in")
	p.fill("#code", "12345")
	p.press(".code-form button.primary")
	p.sees("The code has 6 digits; you typed 5.", "5 tries left") // costs no try
	p.fill("#code", "D-48213")
	p.press(".code-form button.primary")
	p.sees("That's a delivery code.", "5 tries left")

	// The phone is off: say so, and offer another try.
	p.code(annPhone, 0)
	p.open("/inbox")
	p.click("document.querySelector('button[value=unreachable]')")
	p.open("/step")
	clear(p.seen) // each state is looked at
	p.sees("We couldn't get the message to the phone ending in 21.")
	p.pass(time.Minute)
	p.open("/step")
	p.pressWords("Try again")
	p.sees("We texted it to the phone ending in 21")

	// Too old, too often.
	p.pass(11 * time.Minute)
	p.open("/step")
	clear(p.seen)
	p.sees("That code was good until")
	p.pressWords("Send a new code")
	p.sees("We texted it")
	for range 5 {
		p.fill("#code", "000000")
		p.press(".code-form button.primary")
	}
	clear(p.seen)
	p.sees("Too many tries, so this code no longer works. You can get a new one, or try another way now.")
	p.pressWords("I didn't ask for this")
	p.sees("That's settled", "Without the code nobody gets in.")
}

// A browser keeps one device token for each account that was used on it, and its session is new at each sign-in.
// Keeps: S21
func TestTwoAccountsInOneBrowser(t *testing.T) {
	t.Parallel()
	p := newPlain(t, "en")
	at, err := neturl.Parse(p.url)
	must(t, err)
	cookies := func() map[string]string {
		all := map[string]string{}
		for _, c := range p.client.Jar.Cookies(at) {
			all[c.Name] = c.Value
		}
		return all
	}
	sessions := map[string]bool{}
	for i, who := range []string{"ann@mail.example", "bob@mail.example"} {
		p.post("/signup", "contact", who, "password", annWords)
		p.post("/step/answer", "code", await(t, p.url, i+1).Code).says("/security/two-step")
		sessions[cookies()["session"]] = true
		p.post("/signout")
		if s := cookies()["session"]; s != "" {
			t.Errorf("a session cookie is left after signing out: %s", s)
		}
	}
	for _, who := range []string{"ann@mail.example", "bob@mail.example", "ann@mail.example"} {
		p.post("/signin", "contact", who, "password", annWords).says("/security/two-step")
		got := cookies()
		if n := len(strings.Split(got["device"], ".")); n != 2 {
			t.Errorf("%d device tokens for two accounts", n)
		}
		if sessions[got["session"]] {
			t.Error("a session began with the token of another")
		}
		sessions[got["session"]] = true
		p.post("/signout")
	}
}
