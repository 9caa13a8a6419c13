// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// phone makes the browser as small as a phone.
func (p *person) phone() {
	p.Helper()
	must(p.T, chromedp.Do(p.ctx, chromedp.EmulateViewport(360, 740)))
}

// stranger is another browser at the same pages.
func (p *person) stranger() *plain {
	jar, err := cookiejar.New(nil)
	must(p.T, err)
	return &plain{T: p.T, url: p.url, client: &http.Client{Jar: jar}, lang: "en"}
}

// network plays the network's word about the latest message in the inbox.
func (p *person) network(receipt string) {
	p.Helper()
	p.open("/inbox")
	p.click("document.querySelector('button[value=" + receipt + "]')")
}

// Somebody gets a code that they didn't ask for: they see who asked, end it, and go through the list, on a phone; it can be left and gone on with.
// Keeps: D.1, D.2, E.1
func TestACodeNobodyAskedFor(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.phone()
	p.signUp()
	p.pass(time.Hour)
	thief := p.stranger()
	thief.post("/forgot", "contact", annMail)
	thief.post("/step/send").says("Enter the code we sent")
	code := p.code(annMail, 1)

	p.open("/check")
	p.sees("Is it really us?", "Someone is calling me now")
	p.pressWords("I got a code I didn't ask for")
	p.sees("About the code you got", "A code to get back into an account", "still works", "Asked for by")
	p.pressWords("It wasn't me")
	p.sees("It wasn't me: what to do now", "The codes no longer work")
	thief.post("/step/answer", "code", code).says("canceled")

	p.press("form[action='/review/step'] button[value=sessions]")
	p.open("/security")
	p.sees("A code that you didn't ask for", "Some steps are left")
	p.pressWords("Go on")
	p.press("a[href='/security/password']")
	p.fill("#password", "another good sentence")
	p.fill("#repeat", "another good sentence")
	p.press("form[action='/security/password'] button.primary")
	p.sees("Enter your password") // a change that matters asks for a proof
	p.fill("#password", annWords)
	p.press("main form button.primary")
	p.fill("#password", "another good sentence")
	p.fill("#repeat", "another good sentence")
	p.press("form[action='/security/password'] button.primary")
	p.open("/review")
	p.press("a[href='/security/two-step']")
	p.pressWords("Set up an app")
	p.fill("#code", p.oathtool(p.text(".secret")))
	p.press(".code-form button.primary")
	p.pressWords("I have saved them")
	p.open("/review")
	p.press("form[action='/review/step'] button[value=activity]")
	clear(p.seen)
	p.sees("Tell support")
	p.pressWords("Put this list away")
	p.sees("Login & Security")
	p.open("/check/messages")
	p.sees("What we sent you", "A code to get back into an account", "mail to a...@mail.example")
	p.open("/review")
	p.press("button[value=mistyped]")
	p.sees("those codes no longer work")
}

// Somebody without an account gets another's codes: they prove the number and have no more sent there.
// Keeps: D.2, S23
func TestSomebodyElsesCodes(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.phone()
	other := p.stranger()
	other.post("/signup", "contact", annPhone, "password", annWords)
	p.code(annPhone, 0)
	p.open("/review")
	p.sees("About the code you got", "Sign in to see who asked for it")
	p.pressWords("I have no account here")
	p.sees("Who are you?")
	p.fill("#contact", "not a number")
	p.press("form[action='/check/prove'] button")
	p.sees("That is no phone number")
	p.pass(time.Minute)
	p.fill("#contact", annPhone)
	p.codeBy(annPhone, func() { p.press("form[action='/check/prove'] button") })
	p.sees("What we sent you", "since yesterday", "A code\n")
	p.pressWords("Send no more codes there")
	clear(p.seen)
	p.sees("We send no codes there until")
	n := p.sent(annPhone)
	other.post("/step/drop")
	p.pass(time.Minute)
	other.post("/signup", "contact", annPhone, "password", annWords).says("We couldn't get the message")
	other.open("/step/why").says("wants no codes", "START")
	if p.sent(annPhone) != n {
		t.Fatal("a code was sent all the same")
	}
	p.pressWords("Send codes there again")
	p.sees("Send no more codes there")
}

// A code isn't working: the page says why, for this very code, with the button that solves it.
// Keeps: G.1
func TestWhyIsItNotWorking(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.phone()
	p.open("/signup")
	p.fill("#contact", annPhone)
	p.fill("#password", annWords)
	p.press("main form button.primary")
	why := func(words ...string) {
		p.Helper()
		p.open("/step")
		p.pressWords("It isn't arriving, or isn't working")
		p.sees(words...)
	}
	p.code(annPhone, 0)
	why("It's on its way", "We sent it at", "Wait about")
	p.network("off")
	why("The phone may be off or out of reach")
	p.network("landline")
	why("The phone may be off") // the network's first word stands
	p.pass(time.Minute)
	p.open("/step/why")
	n := p.sent(annPhone)
	p.pressWords("Send it again")
	p.code(annPhone, n)
	p.network("landline")
	why("This number takes no texts", "Use another number or address")
	p.pass(2 * time.Minute)
	p.open("/step")
	n = p.sent(annPhone)
	p.pressWords("Try again")
	code := p.code(annPhone, n)
	p.fill("#code", "D-48213")
	p.press(".code-form button.primary")
	why("That was a delivery code")
	wrong := code[1:2] + code[:1] + code[2:]
	if wrong == code {
		wrong = "000000"
	}
	p.types(wrong)
	why("That's not the code that we sent", "4 tries left")
	p.pressWords("Type the code")
	for range 4 {
		p.fill("#code", wrong)
		p.press(".code-form button.primary")
	}
	p.open("/step/why")
	clear(p.seen)
	p.sees("Send a new code")
	n = p.sent(annPhone)
	p.pass(5 * time.Minute)
	p.pressWords("Send a new code")
	p.code(annPhone, n)
	p.pass(11 * time.Minute)
	p.open("/step/why")
	p.sees("The code's time is over", "Get a new one")
}

// types opens the code page, types a code and sends it.
func (p *person) types(text string) {
	p.Helper()
	p.open("/step")
	p.fill("#code", text)
	p.press(".code-form button.primary")
}
