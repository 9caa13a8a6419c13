// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"image"
	_ "image/png" // what the browser takes pictures in
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/locale"
)

// door is a time zone in which it is about ten in the morning now, so that a window some hours away is today's whenever the test runs.
func door(now time.Time) string {
	east := max(-12, 10-now.UTC().Hour()) // what is west of Greenwich has a plus in these names
	return fmt.Sprintf("Etc/GMT%+d", -east)
}

// trackedParcel is a parcel for Maria, of which the test plays depot and courier by the API.
type trackedParcel struct {
	testing.TB
	api  *client.Client
	id   string
	path string // of the recipient's page
}

// deliver announces a parcel whose window begins in an hour and lasts for two.
func deliver(t testing.TB, url, key string, now time.Time, change func(*client.NewHandover)) *trackedParcel {
	t.Helper()
	api := client.New(url, key)
	n := client.NewHandover{
		Order: "order 1182", Recipient: client.Recipient{Name: "Maria Bell-Ortega", Contacts: []string{annPhone}, Locale: "en"},
		Window: client.Window{From: now.Add(time.Hour).Format(time.RFC3339), Until: now.Add(3 * time.Hour).Format(time.RFC3339), TimeZone: door(now)},
		Items:  "a box of books", AddressHint: "2nd floor, blue door", Depot: "Lyon 3",
	}
	if change != nil {
		change(&n)
	}
	h, err := api.CreateHandover(t.Context(), n)
	must(t, err)
	_, path, _ := strings.Cut(h.Tracking, "/t/")
	return &trackedParcel{t, api, h.ID, "/t/" + path}
}

func (d *trackedParcel) leaves() {
	d.Helper()
	_, err := d.api.OutForDelivery(d.Context(), d.id, "Kim")
	must(d.TB, err)
}

func (d *trackedParcel) act(a client.Act, want string) {
	d.Helper()
	got, err := d.api.Act(d.Context(), d.id, a)
	must(d.TB, err)
	if got.Result != want {
		d.Fatalf("%s: %s, want %s", a.Do, got.Result, want)
	}
}

func (d *trackedParcel) arrives() {
	d.Helper()
	d.act(client.Act{Do: "arrive", Courier: "Kim", Position: &client.Position{Lat: 45.76, Lon: 4.83}}, "done")
}

func (d *trackedParcel) types(code, want string) {
	d.Helper()
	d.act(client.Act{Do: "code", Courier: "Kim", Code: code}, want)
}

func (p *person) now() time.Time { return time.Now().Add(time.Duration(p.offset.Load())) }

// tracked is a person with a phone, and a parcel for them.
func tracked(t *testing.T, change func(*client.NewHandover)) (*person, *trackedParcel) {
	t.Helper()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.phone()
	return p, deliver(t, p.url, p.key, p.now(), change)
}

// proves shows that the parcel is theirs.
func (p *person) proves(d *trackedParcel) {
	p.Helper()
	p.open(d.path)
	p.codeBy(annPhone, func() { p.pressWords("Show that it's yours") })
	p.sees("Choose another day")
	p.phone()
}

// deliveryCode waits for the newest delivery code; not is the one before.
func (p *person) deliveryCode(not string) string {
	p.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for _, m := range p.inbox() {
			if m.To == annPhone && strings.HasPrefix(m.Code, "D-") {
				if m.Code != not {
					return m.Code
				}
				break
			}
		}
		if time.Now().After(deadline) {
			p.Fatal("no delivery code")
		}
	}
}

// unlike is a code of the same look that isn't this one.
func unlike(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

// apart is a delivery code as a page writes it.
func apart(code string) string { return code[:1] + " " + code[2:4] + " " + code[4:] }

func (p *person) title(begins string) {
	p.Helper()
	p.until("document.querySelector('h1').textContent.startsWith(" + quote(begins) + ")")
}

// The ordinary delivery, as its recipient sees it on a phone: announced, proven, under way, shown on a press from the window's beginning, at the
// door, handed over. The page follows by itself.
// Keeps: H.1, H.4, S22, S28
func TestTrackingADelivery(t *testing.T) {
	t.Parallel()
	p, d := tracked(t, nil)
	link := p.message(annPhone, "/t/", 0)
	if link.Code != "" || !strings.Contains(link.Text, d.path) {
		t.Fatalf("the link's message: %+v", link)
	}
	p.open(d.path)
	p.sees("Expected today", "For \u2068Maria\u2069", "Is this parcel for you?", "Announced")
	for _, secret := range []string{"Bell", "Ortega", "1182", "books", "blue door", "Lyon", "0121", "ending in"} {
		if strings.Contains(p.text("main"), secret) {
			t.Errorf("who has only the link sees %q", secret)
		}
	}
	p.proves(d)
	p.run("window.same = true")
	d.leaves()
	code := p.deliveryCode("")
	p.title("On its way, today")
	p.phone()
	clear(p.seen)
	p.sees("You can see your code here from", "We texted the code to the phone ending in 21")
	if strings.Contains(p.text("main"), "Show the code") {
		t.Error("the code can be shown before its time")
	}
	p.pass(61 * time.Minute)
	p.until("[...document.querySelectorAll('button')].some((b) => b.textContent === 'Show the code')")
	p.until("window.same")
	p.pressWords("Show the code")
	p.sees("Your delivery code", apart(code), "Say it only to the person at your door, when you see your parcel. Not on the phone. Not afterwards.", "The courier isn't at your door yet")
	p.until("document.querySelector('.ticket').naturalWidth > 100")
	p.phone()
	p.until("document.documentElement.scrollWidth <= 360 && document.querySelector('.ticket').getBoundingClientRect().width > 280")
	p.printed(code)
	p.run("window.same = true")
	d.arrives()
	p.until("document.querySelector('#live').innerText.includes('says they')")
	clear(p.seen)
	p.sees("The courier says they're at your door.", "Open the door and look first", "Nobody is here")
	p.open(d.path + "/code") // loaded anew, there is no code
	p.sees("The courier says they're at your door")
	if strings.Contains(p.text("body"), apart(code)) {
		t.Error("a page that is loaded anew shows the code")
	}
	p.pressWords("Show the code")
	p.sees(apart(code))
	d.types(unlike(code), "wrong")
	d.types(code, "handed_over")
	p.until("!document.getElementById('shown')") // what was shown doesn't count any more
	p.title("This code doesn't count any more")
	p.pressWords("Back to the delivery")
	p.sees("Delivered", "It was handed over with the recipient's code.", "If you don't have it")
	p.pass(8 * 24 * time.Hour)
	p.open(d.path)
	p.sees("This link doesn't work any more", "Deliveries are shown until some days after they are over.")
}

// printed looks at the page on paper: the code and the picture are on it, and no buttons.
func (p *person) printed(code string) {
	p.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	must(p.T, err)
	defer p.scheme("light")
	p.until("getComputedStyle(document.querySelector('header')).display === 'none' && getComputedStyle(document.querySelector('.delivery')).display !== 'none'")
	if got := p.text("main"); !strings.Contains(got, apart(code)) || strings.Contains(got, "Back to") {
		p.Errorf("on paper: %s", got)
	}
}

// Somebody claims to be at the door and isn't; a caller asks for the code. The acceptance stops and goes on, the code changes, support knows.
// Keeps: H.4, S30
func TestNobodyAtTheDoor(t *testing.T) {
	t.Parallel()
	p, d := tracked(t, nil)
	p.proves(d)
	d.leaves()
	code := p.deliveryCode("")
	p.pass(61 * time.Minute)
	d.arrives()
	p.title("The courier says they're at your door")
	p.phone()
	p.sees("Nobody is here", "Open the door and look first. Say the code when you see your parcel.")
	p.pressWords("Nobody is here")
	p.sees("Stopped: nobody is at the door", "tell them nothing", "They are here after all")
	if strings.Contains(p.text("main"), "Show the code") {
		t.Error("a code that isn't taken can be shown")
	}
	d.types(code, "stopped")
	p.pressWords("They are here after all")
	p.sees("On its way")
	d.types(code, "not_arrived")
	d.arrives()
	p.title("The courier says they're at your door")

	p.pressWords("Somebody asked me for this code on the phone")
	p.sees("Hang up.", "What did they say?")
	p.run("document.querySelector('#text').value = 'It was number 48213, they said: tell me the code D-48213'")
	p.pressWords("Change the code and tell support")
	p.sees("Thank you. This is done", "The old code doesn't work any more", "Our support knows of the call", "If you told them a code")
	fresh := p.deliveryCode(code)
	d.types(code, "wrong")
	heard := map[string]bool{}
	for after, more := int64(0), true; more; {
		events, next, err := d.api.Events(t.Context(), after, time.Second)
		must(t, err)
		for _, e := range events {
			heard[e.Type] = true
		}
		after, more = next, len(events) > 0
	}
	if !heard["handover.asked_by_phone"] || !heard["report.received"] {
		t.Errorf("support and the application hear %v", heard)
	}
	p.pressWords("Back to the delivery")
	p.sees("The courier says they're at your door")
	d.types(fresh, "handed_over")
	p.title("Delivered")
}

// A neighbour gets a pass: their own page, with a code of its own; it can be taken back.
// Keeps: H.4
func TestSharingWithANeighbour(t *testing.T) {
	t.Parallel()
	p, d := tracked(t, nil)
	p.proves(d)
	d.leaves()
	p.title("On its way")
	p.pressWords("Share with a neighbour")
	p.sees("Neighbour's name", "You can take it back")
	p.press("main form button.primary")
	p.sees("There is a problem", "Type the name of your neighbour.")
	p.fill("#name", "Jo from no. 12")
	p.press("main form button.primary")
	clear(p.seen)
	p.sees("Jo from no. 12", "Send them this link", "Copy the link", "Take it back")
	first := regexp.MustCompile(`/p/[a-z0-9]+`).FindString(p.text(".address"))
	p.fill("#name", "Li")
	p.press("main form button.primary")
	p.until("document.querySelectorAll('.address').length === 2")
	second := regexp.MustCompile(`/p/[a-z0-9]+`).FindString(p.text(".cards li:last-child .address"))
	p.press(".cards li:first-child form button")
	p.sees("It doesn't work any more.")

	jo, li := p.stranger(), p.stranger()
	if jo.open(first).says("This link doesn", "taken it back"); jo.status != http.StatusNotFound {
		t.Errorf("a pass that was withdrawn: %d", jo.status)
	}
	li.open(second).says("On its way, today", "For \u2068Maria\u2069", "\u2068Li\u2069, you can take this parcel in", "You can see your code here from")
	if strings.Contains(li.last, "Show the code") {
		t.Error("before the window the pass offers its code")
	}
	if li.post(second + "/code"); strings.Contains(li.last, "<b>D</b>") {
		t.Error("before the window the pass shows its code")
	}
	p.pass(61 * time.Minute)
	li.open(second).says("Show the code")
	if strings.Contains(li.last, "Bell") || strings.Contains(li.last, "1182") {
		t.Error("a neighbour sees more than the first name")
	}
	li.post(second+"/code").says("Say it only to the person at your door", "data:image/svg")
	code := li.find(`<b>(D)</b> `) + "-" + strings.ReplaceAll(li.find(`<b>D</b> ([0-9 ]+)<`), " ", "")
	if li.open(second + "/code"); strings.Contains(li.last, "<b>D</b>") {
		t.Error("a page that is loaded anew shows the code")
	}
	p.open(second) // in a true browser, for axe and the pictures
	p.phone()
	p.sees("On its way", "you can take this parcel in")
	p.pressWords("Show the code")
	p.sees("Your delivery code")
	d.arrives()
	p.until("document.querySelector('#live').innerText.includes('says they')")
	d.types(code, "handed_over")
	p.until("!document.getElementById('shown')")
	li.open(second).says("Delivered")
	p.open(d.path)
	p.sees("Delivered", "\u2068Li\u2069 took it in with your pass.")
}

// Another day, and no more: the choice is the recipient's.
// Keeps: H.4
func TestAnotherDayAndRefusal(t *testing.T) {
	t.Parallel()
	p, d := tracked(t, nil)
	p.proves(d)
	d.leaves()
	code := p.deliveryCode("")
	p.title("On its way")
	p.pressWords("Choose another day")
	p.sees("Choose another day", "Today's code then no longer works.", "Tomorrow, ")
	p.run("document.querySelector('form[action$=day]').noValidate = true")
	p.press("main form button.primary")
	p.sees("There is a problem", "Choose one of these days.")
	p.run("document.querySelector('input[name=day]').checked = true")
	p.press("main form button.primary")
	clear(p.seen)
	p.sees("Planned for tomorrow", "It comes with a new code.", "Another day chosen")
	p.pass(24 * time.Hour)
	d.leaves()
	if next := p.deliveryCode(code); next == code {
		t.Error("the next attempt has the same code")
	}
	p.open(d.path)
	p.sees("On its way, today")
	p.pressWords("I refuse it")
	p.sees("Refuse this parcel?", "You can't undo this here.")
	p.pressWords("I want it")
	p.sees("On its way, today")
	p.pressWords("I refuse it")
	d.arrives()
	p.press("form[action$='/refuse'] button")
	p.sees("Refused", "The parcel goes back to Demo.")
	_, err := d.api.ReturnHandover(t.Context(), d.id)
	must(t, err)
	p.title("It went back")
}

// The recipient's number changes on the day: the old device sees the state and no more, the code that it was shown is gone, and the new number proves itself.
// Keeps: H.4, S28
func TestANumberThatChangesOnTheDay(t *testing.T) {
	t.Parallel()
	p, d := tracked(t, nil)
	p.proves(d)
	d.leaves()
	old := p.deliveryCode("")
	p.pass(61 * time.Minute)
	p.until("[...document.querySelectorAll('button')].some((b) => b.textContent === 'Show the code')")
	p.pressWords("Show the code")
	p.sees(apart(old))
	_, err := d.api.ChangeHandover(t.Context(), d.id, client.HandoverChange{Recipient: &client.Recipient{Contacts: []string{newPhone, annMail}}})
	must(t, err)
	p.until("!document.getElementById('shown')")
	p.open(d.path)
	p.sees("On its way", "Is this parcel for you?")
	p.pressWords("Show that it's yours")
	p.sees("Where to?", "A text to the phone on file", "An email to the email address on file")
	p.codeBy(annMail, func() {
		p.run("document.querySelector('#contact1').checked = true")
		p.press("main form button.primary")
	})
	p.sees("On its way", "Show the code", "Send the code again")
	p.pressWords("Show the code")
	if strings.Contains(p.text("main"), apart(old)) {
		t.Error("the code is the old one")
	}
	p.pressWords("Back to the delivery")
	p.pressWords("Send the code again")
	p.sees("Send the code again", "A text to the phone ending in 77", "An email to a...@mail.example")
	p.pass(10 * time.Minute)
	p.run("document.querySelector('#by-email').checked = true; document.querySelector('main form').submit()")
	p.until("location.pathname === " + quote(d.path))
	p.sees("We mailed the code to a...@mail.example")
	p.pressWords("Send the code again")
	p.until("!document.getElementById('wait').hidden && document.querySelector('main form button').hidden")
}

// Who has only the link, or an old form, can do nothing; who has proven it can do everything without JavaScript, too.
// Keeps: H.4, S22, S28
func TestTrackingWithoutJavaScript(t *testing.T) {
	t.Parallel()
	p := newPlain(t, "en")
	d := deliver(t, p.url, p.key, time.Now(), func(n *client.NewHandover) {
		n.Window.From = time.Now().Add(-time.Minute).Format(time.RFC3339)
	})
	d.leaves()
	p.open(d.path).says("On its way", `<noscript><meta http-equiv="refresh" content="15"></noscript>`, "Show that it's yours")
	before := p.mails()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(before, "Follow it") || !strings.Contains(before, "delivery code"); before = p.mails() {
		if time.Now().After(deadline) {
			t.Fatalf("link and code don't come: %s", before)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, path := range []string{"code", "nobody", "here", "send", "share", "withdraw", "day", "refuse", "asked"} {
		for _, method := range []string{"GET", "POST"} {
			p.do(method, d.path+"/"+path, form([]string{"name", "Eve", "number", "1", "day", "2026-11-27", "text", "x"}))
			if p.status == http.StatusNotFound && method == "GET" {
				continue // it only acts
			}
			if p.says(`action="`+d.path+`/prove"`, "Show first that this parcel is yours."); p.status != http.StatusForbidden {
				t.Errorf("%s %s without a proof: %d", method, path, p.status)
			}
		}
	}
	if p.post(d.path + "/forget"); p.status != http.StatusOK {
		t.Errorf("forgetting what there isn't: %d", p.status)
	}
	if h, err := d.api.Handover(t.Context(), d.id); err != nil || h.State != "out_for_delivery" || h.Code != 1 || h.Neighbour || p.mails() != before {
		t.Fatalf("without a proof something was done: %+v, %v", h, err)
	}
	p.post(d.path+"/prove").says("Enter the code we sent", "the phone on file")
	p.post("/step/answer", "code", regexp.MustCompile(`[0-9]{6}`).FindString(newest(t, p, "sign in", "confirm")))
	p.says("Show the code", "Send the code again").find(`action="(` + d.path + `)/code"`)
	p.post(d.path+"/code").says("<b>D</b>", "Say it only to the person")
	p.post(d.path+"/nobody").says("There is a problem", "things have changed meanwhile", "On its way")
	d.arrives()
	p.post(d.path + "/nobody").says("Stopped: nobody is at the door")
	p.post(d.path+"/code").says("There is a problem", "There is no code to show now.")
	p.post(d.path + "/here").says("On its way")
	p.post(d.path+"/send", "channel", "carrier pigeon").says("can't go out that way")
	p.post(d.path+"/send", "channel", "sms").says("Try again in")
	p.post(d.path+"/share", "name", strings.Repeat("x", 80)).says("too long")
	p.post(d.path+"/share", "name", "<i>Jo</i>").says("&lt;i&gt;Jo&lt;/i&gt;", "/p/")
	p.post(d.path+"/withdraw", "number", "7").says("&lt;i&gt;Jo&lt;/i&gt;")
	p.post(d.path+"/withdraw", "number", "x").says("&lt;i&gt;Jo&lt;/i&gt;")
	p.post(d.path+"/withdraw", "number", "1").says("It doesn't work any more.")
	p.post(d.path+"/day", "day", "1999-01-01").says("Choose one of these days.")
	if p.do("POST", d.path+"/refuse", form(nil), "Sec-Fetch-Site", "cross-site"); p.status != http.StatusForbidden {
		t.Errorf("from another site: %d", p.status)
	}
	p.post(d.path+"/asked", "text", strings.Repeat("x ", 300)).says("too long")
	p.post(d.path+"/asked", "text", "").says("This is done")
	p.post(d.path+"/refuse").says("Refused", "goes back to Demo")
	p.post(d.path + "/refuse").says("things have changed meanwhile")
	_, err := d.api.ReturnHandover(t.Context(), d.id)
	must(t, err)
	p.post(d.path+"/day", "day", "2026-11-27").says("this delivery is over")
	p.post("/language", "language", "ar", "back", p.find(`name="back" value="([^"]+)"`)).says(`dir="rtl"`, d.path)

	// Another parcel for the same number needs no other proof; one for somebody else does.
	same := deliver(t, p.url, p.key, time.Now(), func(n *client.NewHandover) { n.Order = "order 1183" })
	p.post("/language", "language", "en", "back", same.path).says("Choose another day")
	other := deliver(t, p.url, p.key, time.Now(), func(n *client.NewHandover) {
		n.Order, n.Recipient.Contacts = "order 1184", []string{newPhone}
	})
	p.open(other.path).says("Show that it's yours")
	if strings.Contains(p.last, "Forget me") {
		t.Error("what isn't kept can be forgotten")
	}
	p.post(same.path + "/forget").says("Show that it's yours")
	if strings.Contains(p.open(same.path).last, "Choose another day") {
		t.Error("a device that was told to forget hasn't")
	}
	for _, path := range []string{d.path + "a", d.path[:len(d.path)-1], "/t/x", "/p/x", "/p/" + d.path[3:], "/t/" + strings.Repeat("a", 42)} {
		if p.open(path).says("This link doesn"); p.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, p.status)
		}
	}
}

// newest is the text of the newest message that has one of these words.
func newest(t *testing.T, p *plain, words ...string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for _, m := range (&person{T: t, url: p.url}).inbox() {
			if len(m.Code) == 6 {
				return m.Code
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no message with %v", words)
		}
	}
}

// Somebody who is signed in with the recipient's number needs no other proof.
// Keeps: S28
func TestASignedInRecipient(t *testing.T) {
	t.Parallel()
	p := newPlain(t, "en")
	d := deliver(t, p.url, p.key, time.Now(), func(n *client.NewHandover) { n.Recipient.Contacts = []string{"ann@mail.example"} })
	p.post("/signup", "contact", "Ann@mail.example", "password", "kelp roof lantern river")
	p.open(d.path).says("Show that it's yours")
	p.post("/step/answer", "code", newest(t, p)).says("Security")
	p.open(d.path).says("Choose another day")
	// A delivery code is told apart at sign-in by its look, whatever its letter and length.
	p.post("/signout")
	p.post("/forgot", "contact", "ann@mail.example")
	p.post("/step/send").says("Enter the code we sent")
	for _, code := range []string{"D-48213", "d 48 213", "K-4821", "Z 4821355"} {
		p.post("/step/answer", "code", code).says("That's a delivery code. Give it only to the person at your door.", "5 tries left")
	}
}

// The picture is a QR code of the ticket: it is looked at as a camera does, from the page as it is drawn, in the dark.
// Keeps: S31
func TestTheQRCodeOfADelivery(t *testing.T) {
	t.Parallel()
	p, d := tracked(t, func(n *client.NewHandover) { n.Window.From = time.Now().Add(-time.Minute).Format(time.RFC3339) })
	p.proves(d)
	d.leaves()
	p.title("On its way")
	p.pressWords("Show the code")
	p.phone()
	p.scheme("dark")
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	must(t, err)
	picture, _, err := image.Decode(bytes.NewReader(png))
	must(t, err)
	box, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]float64]("{ const b = document.querySelector('.ticket').getBoundingClientRect(); [b.x + scrollX, b.y + scrollY, b.width, b.height] }"))
	must(t, err)
	x, y, w, h := int(box[0]), int(box[1]), int(box[2]), int(box[3])
	var pixels strings.Builder
	for j := range h {
		for i := range w {
			r, _, _, _ := picture.At(x+i, y+j).RGBA()
			pixels.WriteByte("01"[min(1, r>>15)])
		}
	}
	got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`import("/static/any/qr.js").then((qr) => {
		const bits = `+quote(pixels.String())+`, data = new Uint8ClampedArray(4 * bits.length).fill(255);
		for (let i = 0; i < bits.length; i++) if (bits[i] === "0") data.fill(0, 4 * i, 4 * i + 3);
		return qr.default({ width: `+fmt.Sprint(w)+`, height: `+fmt.Sprint(h)+`, data });
	})`, chromedp.EvalAwaitPromise))
	must(t, err)
	d.arrives()
	d.act(client.Act{Do: "ticket", Courier: "Kim", Ticket: got}, "handed_over")
}

// The pages fit a small phone in every language, and have the right direction.
func TestTrackingInEveryLanguage(t *testing.T) {
	t.Parallel()
	p, d := tracked(t, func(n *client.NewHandover) {
		n.Window.From, n.Recipient.Contacts = time.Now().Add(-time.Minute).Format(time.RFC3339), []string{annPhone, annMail}
	})
	p.open(d.path)
	p.pressWords("Show that it's yours")
	p.codeBy(annPhone, func() { p.press("main form button.primary") })
	d.leaves()
	d.arrives()
	pass, err := d.api.Share(t.Context(), d.id, "Jo from no. 12")
	must(t, err)
	for _, l := range locale.All() {
		p.run("document.cookie = 'language=" + l.Tag + "; path=/'")
		for _, at := range []string{d.path, d.path + "/send", d.path + "/share", d.path + "/refuse", d.path + "/asked", strings.TrimPrefix(pass.Link, p.url), "code"} {
			if at == "code" {
				p.open(d.path)
				p.press("form[action$='/code'] button")
			} else {
				p.open(at)
			}
			p.phone()
			p.until("document.documentElement.lang === " + quote(l.Tag) + " && document.documentElement.dir === " + quote(l.Dir) + " && document.documentElement.scrollWidth <= 360")
		}
	}
}
