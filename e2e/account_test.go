// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/internal/testkit/peers"
)

// person is somebody at a browser in front of the true program, with the inbox of `dev` for a phone and a mailbox.
type person struct {
	*testing.T
	ctx      context.Context
	url, key string
	offset   *atomic.Int64 // of the server's clock
	number   int           // of screenshots
	seen     map[string]bool
	passkeys webauthn.AuthenticatorID
}

func newPerson(t *testing.T, database string) *person {
	t.Helper()
	p := &person{T: t, offset: &atomic.Int64{}, seen: map[string]bool{}}
	at, key := startAt(t, database, func() time.Duration { return time.Duration(p.offset.Load()) })
	p.key = key
	p.url = strings.Replace(at, "127.0.0.1", "localhost", 1)
	tab := peers.Browser(t)
	must(t, chromedp.Do(tab, chromedp.EmulateViewport(1280, 800))) // the first call starts the browser and must have no time limit
	ctx, cancel := context.WithTimeout(tab, 90*time.Second)
	t.Cleanup(cancel)
	p.ctx = ctx
	return p
}

func (p *person) pass(d time.Duration) { p.offset.Add(int64(d)) }

func (p *person) open(path string) {
	p.Helper()
	must(p.T, chromedp.Do(p.ctx, chromedp.Navigate(p.url+path)))
}

// fill types into a field in place of what is there.
func (p *person) fill(field, text string) {
	p.Helper()
	p.until("!!document.querySelector('" + field + "')")
	must(p.T, chromedp.Do(p.ctx, chromedp.Clear(chromedp.CSS(field)), chromedp.SendKeys(chromedp.CSS(field), text)))
}

// press presses a button or link that is there now and waits for the page that it leads to.
func (p *person) press(button string) {
	p.Helper()
	p.click("document.querySelector(" + quote(button) + ")")
}

// pressWords presses the button or link with these words.
func (p *person) pressWords(words string) {
	p.Helper()
	p.click("[...document.querySelectorAll('main button, main a, main summary, nav button')].find((e) => e.textContent.trim().startsWith(" + quote(words) + "))")
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func (p *person) click(element string) {
	p.Helper()
	p.until("!!" + element)
	_, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("window.stale = true; const e = "+element+"; for (let d = e; d; d = d.parentElement) if (d.tagName === 'DETAILS') d.open = true; e.click(); true"))
	must(p.T, err)
	p.until("!window.stale && document.readyState === 'complete'")
}

// until waits for something that the page can tell.
func (p *person) until(what string) {
	p.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("{ const is = ("+what+"); !!is }"))
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("not so: %s (%v); the page at %s says: %s", what, err, p.path(), p.text("main"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *person) run(script string) {
	p.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](script+"; true"))
	must(p.T, err)
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

// sees fails unless the page's main part says something. Each page is looked at by axe-core and kept as a picture.
func (p *person) sees(words ...string) {
	p.Helper()
	got := strings.ReplaceAll(p.text("main"), "\u00a0", " ")
	for _, w := range words {
		if !strings.Contains(got, w) {
			p.Fatalf("%s doesn't say %q but: %s", p.path(), w, got)
		}
	}
	if key := p.path() + p.text("h1"); !p.seen[key] {
		p.seen[key] = true
		p.axe()
		if os.Getenv("COUNTERSIGN_TEST_SHOTS") != "" {
			p.number++
			name := strings.NewReplacer("/", "_", " ", "_").Replace(p.Name())
			shots(p.T, p.ctx, name+"-"+string([]byte{byte('0' + p.number/10), byte('0' + p.number%10)})+strings.ReplaceAll(p.path(), "/", "-"))
			must(p.T, chromedp.Do(p.ctx, chromedp.EmulateViewport(1280, 800)))
		}
	}
}

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
	for _, scheme := range []string{"dark", "light"} {
		p.scheme(scheme)
		_, err = chromedp.Run(p.ctx, chromedp.Evaluate[bool](`window.axed = undefined;
			axe.run({exclude: ["aside"]}).then((r) => { window.axed = r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html).join(" | ")).join("\n") || "clean" }); true`))
		must(p.T, err)
		p.until("window.axed !== undefined")
		got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("window.axed"))
		must(p.T, err)
		if got != "clean" {
			p.Errorf("axe-core at %s, %s: %s", p.path(), scheme, got)
		}
	}
}

func (p *person) scheme(name string) {
	p.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
	must(p.T, err)
}

// mail is a message in the inbox.
type mail struct {
	To, Channel, Subject, Text, Code, Link string
}

// message waits for the newest message to somebody that has something in its text; after is how many such there were before.
func (p *person) message(to, has string, after int) mail {
	p.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		var found []mail
		for _, m := range p.inbox() {
			if m.To == to && strings.Contains(m.Subject+m.Text, has) {
				found = append(found, m)
			}
		}
		if len(found) > after {
			return found[0]
		}
		if time.Now().After(deadline) {
			p.Fatalf("no message to %s with %q", to, has)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *person) inbox() []mail {
	res, err := http.Get(p.url + "/inbox/messages.json")
	must(p.T, err)
	defer res.Body.Close()
	var all []mail
	must(p.T, json.NewDecoder(res.Body).Decode(&all))
	return all
}

// sent counts the codes that somebody was sent.
func (p *person) sent(to string) (n int) {
	for _, m := range p.inbox() {
		if m.To == to && m.Code != "" {
			n++
		}
	}
	return n
}

// code is a code to somebody that is newer than the first n.
func (p *person) code(to string, n int) string {
	p.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if p.sent(to) > n {
			for _, m := range p.inbox() {
				if m.To == to && m.Code != "" {
					return m.Code
				}
			}
		}
		if time.Now().After(deadline) {
			p.Fatalf("no code to %s after %d", to, n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// codeBy asks for a code by a press and types it.
func (p *person) codeBy(to string, press func()) {
	p.Helper()
	n := p.sent(to)
	press()
	p.sees("Enter the code we sent")
	p.fill("#code", p.code(to, n))
	p.press(".code-form button.primary")
}

// oathtool is the code that an app of somebody else's making shows.
func (p *person) oathtool(secret string) string {
	p.Helper()
	now := time.Now().Add(time.Duration(p.offset.Load())).UTC().Format("2006-01-02 15:04:05 UTC")
	out, err := exec.CommandContext(p.ctx, "oathtool", "--totp", "-b", "--now", now, strings.ReplaceAll(secret, " ", "")).Output()
	if err != nil {
		if os.Getenv("COUNTERSIGN_TEST_REQUIRE") == "" {
			p.Skip("oathtool is missing")
		}
		p.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// authenticator gives the browser a passkey provider that says yes.
func (p *person) authenticator() {
	p.Helper()
	_, err := chromedp.Call(p.ctx, webauthn.Enable, webauthn.EnableParams{})
	must(p.T, err)
	made, err := chromedp.Call(p.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true,
	}})
	must(p.T, err)
	p.passkeys = made.AuthenticatorID
	p.touch(false)
}

// touch says whether a finger is on the authenticator. While one is, even the sign-in page's quiet offer signs in.
func (p *person) touch(on bool) {
	p.Helper()
	_, err := chromedp.Call(p.ctx, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: p.passkeys, Enabled: on})
	must(p.T, err)
}

// pressPasskey presses the passkey's button with a finger on the authenticator.
func (p *person) pressPasskey() {
	p.Helper()
	p.touch(true)
	p.press("form.passkey button")
	p.touch(false)
}

const (
	annMail  = "ann.lee@mail.example"
	annPhone = "+14155550121"
	newPhone = "+14155550177"
	annWords = "kelp roof lantern river"
)

// signUp makes an account on the pages.
func (p *person) signUp() {
	p.Helper()
	p.open("/signup")
	p.sees("Make an account")
	p.fill("#contact", annMail)
	p.fill("#password", "short")
	p.press("main form button.primary")
	p.sees("Use at least 15 characters")
	p.fill("#password", annWords)
	p.press("main form button.primary")
	p.sees("Enter the code we sent", "a...@mail.example", "Nobody from Demo will ever ask you for this code.")
	code := p.code(annMail, 0)
	p.fill("#code", "000000")
	p.press(".code-form button.primary")
	p.sees("4 tries left")
	p.fill("#code", "Your code is "+code[:3]+" "+code[3:])
	p.press(".code-form button.primary")
	p.sees("Login & Security", "Off. Your password alone")
}

func (p *person) signOut() {
	p.Helper()
	p.pressWords("Sign out")
	p.sees("Sign in")
}

// passwordOnly types contact and password on the sign-in page.
func (p *person) passwordOnly() {
	p.Helper()
	p.open("/signin")
	p.fill("#contact", annMail)
	p.fill("#password", annWords)
	p.press("form[action='/signin'] button.primary")
}

// otherDevice makes the browser one that nobody has seen.
func (p *person) otherDevice() {
	p.Helper()
	p.open("/signin")
	_, err := chromedp.Call(p.ctx, network.ClearBrowserCookies, cdp.Empty{})
	must(p.T, err)
}

// The whole story of an account, in a browser.
// Keeps: B.1, B.2, B.3, B.4, B.5, B.6, C.2, F.1, F.2, F.3, S14
func TestTheStoryOfAnAccount(t *testing.T) {
	t.Parallel()
	database := "sqlite:" + filepath.Join(t.TempDir(), "e2e.db")
	p := newPerson(t, database)
	p.open("/signin")
	p.sees("Sign in", "Forgot your password?")
	p.signUp()

	// Two-step verification by text: the number is proven, then the method is tried before it counts.
	p.open("/security/contacts")
	p.sees("Phones and email", annMail)
	p.fill("#contact", "+1 415 555 0121")
	p.press("form[action='/security/contacts'] button.primary")
	p.sees("We text a code to the phone ending in 21 when you press the button.")
	if p.sent(annPhone) != 0 {
		t.Fatal("a text was sent that nobody asked for")
	}
	p.codeBy(annPhone, func() { p.press("form[action='/step/send'] button.primary") })
	p.sees("Phones and email", annPhone)
	p.open("/security/two-step")
	p.sees("Turn on two-step verification", "Texts can be read by others")
	p.pressWords("Use it")
	p.pass(time.Minute)
	p.codeBy(annPhone, func() { p.press("form[action='/step/send'] button.primary") })
	p.sees("Save your recovery codes")
	recovery := strings.Fields(p.text("#recovery"))
	if len(recovery) != 10 {
		t.Fatalf("recovery codes: %v", recovery)
	}
	p.pressWords("I have saved them")
	p.sees("Two-step verification is on", "text to the phone ending in 21")

	// An authenticator app and a passkey.
	p.pressWords("Set up an app")
	p.sees("Set up your authenticator app", "Scan this picture")
	secret := p.text(".secret")
	p.fill("#code", "000000")
	p.press(".code-form button.primary")
	p.sees("That's not the code that your app shows now")
	p.fill("#code", p.oathtool(secret))
	p.press(".code-form button.primary")
	p.sees("Two-step verification is on", "our authenticator app")
	p.authenticator()
	p.pressWords("Make a passkey")
	p.sees("Make a passkey")
	p.pressPasskey()
	p.sees("Two-step verification is on", "passkey or security key")

	// Sign in by each, on a device that nobody has seen.
	p.signOut()
	p.otherDevice()
	p.pass(time.Minute)
	p.passwordOnly()
	p.sees("Enter the code we sent", "the phone ending in 21")
	p.fill("#code", p.code(annPhone, 2))
	p.press(".code-form button.primary")
	p.sees("Login & Security", "On, by a text to the phone ending in 21.")
	p.signOut()
	p.pass(time.Minute)
	p.passwordOnly()
	p.pressWords("your authenticator app")
	p.sees("Enter the code from your app")
	p.fill("#code", p.oathtool(secret))
	p.press(".code-form button.primary")
	p.sees("Login & Security")
	p.signOut()
	p.pass(time.Minute)
	p.passwordOnly()
	p.pressWords("a passkey or security key")
	p.sees("Use your passkey")
	p.pressPasskey()
	p.sees("Login & Security")
	p.signOut()
	p.touch(true) // as the whole sign-in, offered by the field itself
	p.run("location.href = '/signin'")
	p.until("location.pathname === '/security'")
	p.touch(false)
	p.sees("Login & Security")

	// Trust the device; a recovery code on another.
	p.signOut()
	p.pass(time.Minute)
	p.passwordOnly()
	p.pressWords("your authenticator app")
	p.fill("#code", p.oathtool(secret))
	p.run("document.querySelector('#trust').checked = true")
	p.press(".code-form button.primary")
	p.sees("Login & Security")
	p.signOut()
	p.passwordOnly()
	p.sees("Login & Security")
	p.open("/security/devices")
	p.sees("Devices that you have used", "Needs no second step until")
	p.open("/security/activity")
	p.sees("Recent activity", "Signed in", "This wasn't me")
	p.otherDevice()
	p.pass(10 * time.Minute)
	p.passwordOnly()
	p.pressWords("a recovery code")
	p.sees("Enter a recovery code")
	p.fill("#code", recovery[4])
	p.press("form[action='/step/answer'] button.primary")
	p.sees("Login & Security", "9 left")

	// Turn it off, and undo that by the mail: the link shows, a press acts, an older factor proves.
	p.open("/security/two-step")
	p.pressWords("Turn off two-step verification")
	p.sees("Turn off two-step verification?", "Keep it on")
	p.pressWords("Turn it off")
	p.sees("Two-step verification is off", "to undo this")
	link := p.message(annMail, "Two-step verification was turned off", 0).Link
	p.open(strings.TrimPrefix(link, p.url))
	p.sees("Undo a change", "Two-step verification was turned off.")
	p.press("form[action='/undo'] button.primary")
	p.sees("Show that it's you")
	p.pass(time.Minute)
	p.pressWords("your authenticator app")
	p.fill("#code", p.oathtool(secret))
	p.press(".code-form button.primary")
	p.sees("Change your password")
	p.open("/security")
	p.sees("Login & Security", "On, by")

	// Change the number: the new one is proven, the old one told.
	p.open("/security/contacts")
	p.fill("#contact", newPhone)
	p.run("document.querySelector('#replaces').value = [...document.querySelectorAll('#replaces option')].find((o) => o.text === '" + annPhone + "').value")
	p.press("form[action='/security/contacts'] button.primary")
	p.codeBy(newPhone, func() { p.press("form[action='/step/send'] button.primary") })
	p.sees("Phones and email", newPhone)
	p.message(annPhone, "undo", 0)

	p.loseEverything()
	dumped(t, database, annMail, annPhone, newPhone, "415-555-0177", annWords, "a new beginning for ann", secret, strings.ReplaceAll(secret, " ", ""), recovery[7])
}

// loseEverything recovers the account by two contacts and three days.
func (p *person) loseEverything() {
	p.Helper()
	prove := func() {
		p.open("/recover")
		p.sees("Get back into your account")
		p.fill("#contact", annMail)
		p.press("main form button.primary")
		p.sees("Show that it's you")
		p.pressWords("an email to a...@mail.example")
		p.sees("We mail a code")
		p.pass(time.Minute)
		p.codeBy(annMail, func() { p.press("form[action='/step/send'] button.primary") })
		p.sees("You have given 1 proof")
		p.pressWords("a text to the phone ending in 77")
		p.codeBy(newPhone, func() { p.press("form[action='/step/send'] button.primary") })
	}
	p.otherDevice()
	prove()
	p.sees("Now it takes some time")
	p.message(newPhone, "stop", 0)
	p.pass(73 * time.Hour)
	prove()
	p.sees("Choose a new password")
	p.fill("#password", "a new beginning for ann")
	p.fill("#repeat", "a new beginning for ann")
	p.press("main form button.primary")
	p.sees("Login & Security", "Off. Your password alone")
}

// dumped searches everything that was written for what must not be there, as TestDump does.
func dumped(t *testing.T, database string, secrets ...string) {
	t.Helper()
	dump := dumpOf(t, database)
	if len(dump) < 1000 || find(append(dump, "x"+secrets[0]...), secrets[0]) == "" {
		t.Fatal("the dump is not a dump, or the search doesn't find what was planted")
	}
	for _, s := range secrets {
		if how := find(dump, s); how != "" {
			t.Errorf("the database holds %q as %s", s, how)
		}
	}
}
