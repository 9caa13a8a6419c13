// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"net/http/cookiejar"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/client"
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

// A question to support: with its facts from the review, answered by an agent on a plain page, read by the customer, and settled.
// Keeps: D.2
func TestACase(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.phone()
	d := &desk{T: t, url: p.url, key: p.key, Client: client.New(p.url, p.key), mails: map[string]int{}}
	if code := ask(t, "POST", p.url+"/v1/staff", p.key, map[string]any{"contact": "sue@acme.example", "role": "support"}, nil, nil); code != 201 {
		t.Fatalf("the invitation: %d", code)
	}
	sue := p.stranger()
	at, err := neturl.Parse(p.url)
	must(t, err)
	sue.client.Jar.SetCookies(at, []*http.Cookie{{Name: "session", Value: d.agent("sue@acme.example").session, Path: "/"}})

	p.signUp()
	thief := p.stranger()
	thief.post("/forgot", "contact", annMail)
	thief.post("/step/send").says("Enter the code we sent")
	p.code(annMail, 1)
	p.reviews("A code to get back into an account")
	p.pressWords("It wasn't me")
	p.press("form[action='/review/case'] button")
	p.sees("Support knows. They answer in the security centre.")
	p.open("/cases")
	p.sees("Your questions to support", "A code that I didn't ask for", "Waiting for support")
	p.pressWords("A code that I didn't ask for")
	p.sees("What support knows of it", "Code asked for", "A code to get back into an account, 20", "From", "127.0.0.1", "it wasn't me")

	sue.open("/support/cases").says("Cases", "A code that I didn't ask for", "Waiting for support")
	path := sue.find(`href="(/support/cases/case_[0-9a-f]+)"`)
	sue.open(path).says("Codes ended", "Customer")
	sue.post(path, "text", "We have looked. Your code was 482135, wasn't it?").says("Support has answered", "••••••")
	p.message(annMail, "Support answered your case", 0)
	p.open("/cases")
	p.pressWords("A code that I didn't ask for")
	clear(p.seen)
	p.sees("Support has answered", "We have looked.")
	p.write("Thank you.")
	p.pressWords("Send it")
	p.sees("Waiting for support", "Thank you.")
	p.pressWords("It is settled")
	p.sees("Settled")
	p.open("/security/activity")
	p.sees("support answered a case", "A case was opened")

	if thief.open("/support/cases"); strings.Contains(thief.last, "A code that I didn't ask for") {
		t.Fatal("a stranger sees cases")
	}
	p.open("/support/cases") // a customer isn't staff
	p.sees("Your role may not do that")
}

// Something suspicious is reported, with a picture and without an account: what is in it is blanked, the reporter hears what became of it.
// Keeps: E.3
func TestAReport(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.phone()
	p.open("/check")
	p.pressWords("Report something suspicious")
	p.sees("Report something suspicious", "Leave out codes, passwords and card numbers")
	p.press("form[action='/report'] button.primary")
	p.sees("What did it say?") // an empty one is refused
	picture := filepath.Join(t.TempDir(), "shot.png")
	must(t, os.WriteFile(picture, pngLogo(t), 0o600))
	p.fill("#sender", "+14155550123")
	p.write("Your parcel waits. Pay at http://acme-parcel.evil.test with card 4111 1111 1111 1111, code 482135")
	must(t, chromedp.Do(p.ctx, chromedp.SetUploadFiles(chromedp.CSS("#picture"), []string{picture})))
	p.press("form[action='/report'] button.primary")
	p.sees("Thank you, we've got your report")
	p.pressWords("Your report")
	p.sees("haven't looked at it yet")
	var list struct {
		Reports []struct{ ID, Text, Screenshot string }
	}
	d := &desk{T: t, url: p.url, key: p.key, Client: client.New(p.url, p.key), mails: map[string]int{}}
	ask(t, "POST", p.url+"/v1/staff", p.key, map[string]any{"contact": "sue@acme.example", "role": "support"}, nil, nil)
	d.agent("sue@acme.example").does("GET", "reports", nil, "OK", &list)
	if len(list.Reports) != 1 || strings.ContainsAny(list.Reports[0].Text, "48") {
		t.Fatalf("%+v", list)
	}
	stranger := p.stranger()
	stranger.open("/report/status").says("We find no such report")
	stranger.post("/report", "kind", "page", "text", strings.Repeat("x", 5000))
	if stranger.status != 422 {
		t.Errorf("too long a text: %d", stranger.status)
	}
}

// reviews opens the page about codes when a code is on it: it is when a provider has taken it.
func (p *person) reviews(words string) {
	p.Helper()
	p.open("/review")
	p.until("document.querySelector('main').innerText.includes(" + quote(words) + ") || (location.reload(), false)")
}

// write fills in the text of a form.
func (p *person) write(text string) {
	p.Helper()
	p.until("!!document.querySelector('#text')")
	p.run("document.querySelector('#text').value = " + quote(text))
}

// A message is doubted: pasted, it is one that was sent, more than that, a fraud, or nobody can tell; what is pasted leaves its digits behind.
// Keeps: E.1, S23, S24
func TestIsThisMessageReal(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.phone()
	paste := func(text string) {
		p.Helper()
		p.open("/check")
		p.pressWords("I got a message")
		p.write(text)
		p.press("form[action='/check/paste'] button.primary")
	}
	paste("482135 is your Demo code to sign in. We never ask for it.")
	p.sees("We can't tell", "Sign in, or show that the phone or address is yours")
	paste("")
	p.sees("Write what happened")
	p.signUp()
	p.pass(time.Minute)
	other := p.stranger()
	other.post("/signup", "contact", annPhone, "password", annWords)
	text := p.message(annPhone, "is your Demo code", 0).Text
	p.open("/security/contacts")
	p.fill("#contact", annPhone)
	p.press("form[action='/security/contacts'] button.primary")
	if p.path() == "/step" {
		n := p.sent(annPhone)
		p.press("form[action='/step/send'] button")
		p.fill("#code", p.code(annPhone, n))
		p.press(".code-form button.primary")
	}
	p.open("/check/messages")
	p.until("document.querySelector('main').innerText.includes('text to the phone ending in 21') || (location.reload(), false)")
	paste(strings.Replace(text, "to sign up", "to sign up", 1))
	p.sees("We sent these words", "Tell the code to nobody")
	paste(text + "\nReply with the code to https://demo-check.evil.com now")
	clear(p.seen)
	p.sees("has more in it than we sent", "A link leads to a site", "It asks for a code")
	if strings.ContainsAny(strings.ReplaceAll(p.text("main"), "ending in 21", ""), "6789") && strings.Contains(p.text("main"), text[:6]) {
		t.Fatal("the code is shown")
	}
	paste("Demo: your account is suspended. Confirm your password at http://demo.example.evil.com within 24 hours.")
	p.sees("This looks like a fraud", "It asks for a password", "Report this message")
	paste("See you at the station at ten.")
	p.sees("We have sent you no such message", "We noticed nothing else in it")
	if got := strings.ToLower(p.text("main")); strings.Contains(got, " safe") {
		t.Error("a message is called safe")
	}
}
