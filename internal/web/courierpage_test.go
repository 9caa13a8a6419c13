// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/testkit/peers"
)

// phone is a courier's browser before the page and the fake depot.
type phone struct {
	*testing.T
	ctx    context.Context
	depot  *depot
	camera *peers.Camera
	url    string
	shots  int
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	p, d := courierPages(t)
	svc, _ := p.ByHost("acme.example")
	p.ByHost = func(string) (*service.Service, bool) { return svc, true }
	p.Secure = false
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	camera, flags := peers.NewCamera(t)
	tab := peers.Browser(t, append(flags, "--accept-lang=en", "--autoplay-policy=user-gesture-required")...)
	must(t, chromedp.Do(tab, chromedp.EmulateViewport(360, 740))) // the first call starts the browser and must have no time limit
	ctx, cancel := context.WithTimeout(tab, 2*time.Minute)
	t.Cleanup(cancel)
	return &phone{T: t, ctx: ctx, depot: d, camera: camera, url: strings.Replace(server.URL, "127.0.0.1", "localhost", 1)}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eval[T any](p *phone, script string) T {
	p.Helper()
	got, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	must(p.T, err)
	return got
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always can be
	return string(b)
}

// until waits for something that the page can tell.
func (p *phone) until(what string) {
	p.Helper()
	for deadline := time.Now().Add(25 * time.Second); ; {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("{ const is = ("+what+"); !!is }"))
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("not so: %s (%v); the page says: %s", what, err, eval[string](p, "document.body.innerText"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// sees waits until what is on top of the screen says something.
func (p *phone) sees(words ...string) {
	p.Helper()
	for _, w := range words {
		p.until("(document.querySelector('dialog[open]') || document.body).innerText.replaceAll('\\u00a0', ' ').includes(" + quote(w) + ")")
	}
	p.shot()
}

func (p *phone) press(selector string) {
	p.Helper()
	p.until("!document.querySelector(" + quote(selector) + ")?.disabled && !!document.querySelector(" + quote(selector) + ")")
	eval[bool](p, "{ const e = document.querySelector("+quote(selector)+"); for (let d = e; d; d = d.parentElement) if (d.tagName === 'DETAILS') d.open = true; e.click(); true }")
}

// touch presses as a finger does: what browsers allow only then is allowed.
func (p *phone) touch(selector string) {
	p.Helper()
	p.until("!!document.querySelector(" + quote(selector) + ") && !document.querySelector(" + quote(selector) + ").disabled")
	must(p.T, chromedp.Do(p.ctx, chromedp.Click(chromedp.CSS(selector))))
}

func (p *phone) typed(code string) {
	p.Helper()
	p.until("document.getElementById('code') && !app.busy")
	eval[bool](p, "document.getElementById('code').value = "+quote(code)+"; true")
	p.touch("#check")
}

// answered reads the answer that fills the screen, and goes on.
func (p *phone) answered(kind string, words ...string) {
	p.Helper()
	p.until("document.getElementById('answer').open")
	p.sees(words...)
	if got := eval[string](p, "document.getElementById('answer').dataset.kind"); got != kind {
		p.Errorf("the answer is of the kind %q, want %q", got, kind)
	}
	if eval[int](p, "document.querySelectorAll('#answer svg path').length") == 0 || eval[string](p, "document.activeElement.id") != "answer-word" {
		p.Error("the answer has no shape, or isn't what is read out")
	}
	p.touch("#answer button")
	p.until("!document.getElementById('answer').open && !app.busy")
}

func (p *phone) online(on bool) {
	p.Helper()
	_, err := chromedp.Call(p.ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: !on, DownloadThroughput: -1, UploadThroughput: -1})
	must(p.T, err)
	p.until("navigator.onLine === " + fmt.Sprint(on))
}

func (p *phone) open(path string) {
	p.Helper()
	must(p.T, chromedp.Do(p.ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(p.url+path)))
	p.until("document.body.dataset.ready === '1'")
}

// begin enrols the phone and waits until the page is kept.
func (p *phone) begin() {
	p.Helper()
	p.open("/courier#" + depotToken)
	p.until("navigator.serviceWorker.controller !== null")
	p.sees("6 parcels to deliver", "Kim", "Lyon 3", "M. B.")
	if at := eval[string](p, "location.href"); strings.Contains(at, "crt_") {
		p.Errorf("the link is still in the address: %s", at)
	}
}

// full makes the phone's storage take nothing more.
func (p *phone) full() {
	p.Helper()
	p.run("for (const name of ['put', 'add']) IDBObjectStore.prototype[name] = () => { throw new DOMException('full', 'QuotaExceededError'); }")
}

func (p *phone) parcel(n int) string { return p.depot.round.Parcels[n].ID }

func (p *phone) choose(n int) {
	p.Helper()
	p.press("#p-" + p.parcel(n))
	p.until("main.dataset.shown === 'parcel " + p.parcel(n) + "'")
}

func (p *phone) arrive() {
	p.Helper()
	p.touch("#arrive")
	p.until("document.getElementById('answer').open")
	p.touch("#answer button")
	p.until("!document.getElementById('answer').open && !document.getElementById('arrive')")
}

// judged waits until the depot has judged n entries, and returns them.
func (p *phone) judged(n int) []entryJSON {
	p.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		p.depot.mu.Lock()
		all := append([]entryJSON(nil), p.depot.judged...)
		p.depot.mu.Unlock()
		if len(all) >= n {
			return all
		}
		if time.Now().After(deadline) {
			p.Fatalf("%d entries, want %d", len(all), n)
		}
	}
}

func (p *phone) shot() {
	folder := os.Getenv("COUNTERSIGN_TEST_SHOTS")
	wide := eval[int64](p, "document.documentElement.scrollWidth - innerWidth")
	if wide > 0 {
		p.Errorf("the page is %d pixels wider than the screen: %s", wide, eval[string](p, "main.innerText"))
	}
	if folder == "" {
		return
	}
	p.shots++
	for _, width := range []int64{1280, 360} {
		must(p.T, chromedp.Do(p.ctx, chromedp.EmulateViewport(width, 740)))
		for _, scheme := range []string{"dark", "light"} {
			_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			must(p.T, err)
			png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
			must(p.T, err)
			must(p.T, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%02d-%d-%s.png", p.Name(), p.shots, width, scheme)), png, 0o600))
		}
	}
}

// The ordinary hand-over: at the door, a wrong code, a code for signing in, the right one, pasted. Then the round goes on.
// Keeps: H.3, S29, S30
func TestCourierHandsOver(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	_, err := chromedp.Call(p.ctx, browser.SetPermission, browser.SetPermissionParams{Permission: &browser.PermissionDescriptor{Name: "geolocation"}, Setting: browser.PermissionSettingGranted})
	must(t, err)
	_, err = chromedp.Call(p.ctx, emulation.SetGeolocationOverride, emulation.SetGeolocationOverrideParams{Latitude: new(48.853412), Longitude: new(2.348811), Accuracy: new(12.0)})
	must(t, err)
	p.begin()
	p.run("window.heard = []; const make = AudioContext.prototype.createOscillator; AudioContext.prototype.createOscillator = function() { const o = make.call(this); heard.push(o.frequency); return o; }")
	tune := func() string {
		defer p.run("heard.length = 0")
		return eval[string](p, "heard.map((f) => f.value).join(' ')")
	}
	p.choose(0)
	p.sees("I'm at the door", "2nd floor, blue door")
	p.typed("48213")
	p.answered("wait", "Not yet: say you're at the door first")
	p.touch("#arrive")
	p.answered("done", "You're at the door")
	p.sees("Never ask for it on the phone", "6 tries left")
	tune()
	p.typed("D-11111")
	p.answered("no", "Wrong code, 5 tries left")
	no := tune()
	p.typed("4821")
	p.answered("wait", "That's not a delivery code. It's D and 5 digits.")
	p.typed("482 135")
	p.answered("stop", "That looks like a code for signing in. Don't take it.")
	p.sees("5 tries left")
	tune()
	p.typed("D-48213 is your delivery code.")
	p.answered("yes", "Confirmed", "Hand over the parcel.")
	if yes := tune(); yes == "" || no == "" || yes == no {
		t.Errorf("yes sounds like %q and no like %q", yes, no)
	}
	p.until("main.dataset.shown === 'list'")
	p.sees("5 parcels to deliver", "Confirmed")
	all := p.judged(4)
	if at := all[0].Position; all[0].Do != "arrive" || at == nil || *at != (positionJSON{48.85, 2.35, leastAccuracy}) || !all[0].Steady {
		t.Errorf("the arrival is %+v", all[0])
	}
	if all[1].Code != "D-11111" || all[1].Offline || all[2].Do != "sign_in_code" || all[2].Code+all[2].Sealed != "" || all[3].Code != "D-48213" || len(all) != 4 {
		t.Errorf("%+v", all)
	}
	if kept := eval[string](p, "store.read((s) => store.got(s.queue.getAll())).then(JSON.stringify)"); kept != "[]" {
		t.Errorf("still kept: %s", kept)
	}
	p.choose(1) // and what else can become of a parcel
	p.press("#refuse button")
	p.answered("done", "Noted: refused")
	p.choose(2)
	p.press("#give-up form button")
	p.sees("Choose a reason.")
	p.press("#reason-no_access")
	p.press("#give-up form button")
	p.answered("done", "Noted: not handed over")
	p.choose(3)
	p.arrive()
	p.press("#send-voice")
	p.answered("done", "It's on its way")
	p.press("#weak-photo")
	p.press("#weaker button")
	p.sees("Say what you checked")
	eval[bool](p, "document.getElementById('note').value = 'her phone is broken'; true")
	p.press("#weaker button")
	p.answered("done", "Handed over, with a weaker proof")
	p.sees("2 parcels to deliver", "Weaker proof", "Refused", "Not handed over")
}

// Six wrong codes block the attempt; a page that is loaded anew knows it.
// Keeps: S29
func TestCourierTriesOutliveThePage(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	for range 4 {
		p.typed("11111")
		p.answered("later", "Will be checked")
		p.choose(0)
	}
	p.sees("2 tries left")
	p.run("location.reload()")
	p.until("document.body.dataset.ready === '1' && main.dataset.shown.startsWith('parcel')")
	p.sees("2 tries left")
	p.typed("11111")
	p.answered("later", "Will be checked")
	p.choose(0)
	p.typed("11111")
	p.answered("later", "Will be checked")
	p.choose(0)
	p.sees("Too many wrong codes", "0 tries left")
	p.typed("48213")
	p.answered("stop", "Too many wrong codes")
	p.online(true)
	p.judged(7)
	p.until("app.queue.length === 0")
	p.press("#back")
	p.sees("The code that was kept is wrong.", "Ask your depot what to do.")
	p.choose(0)
	p.sees("Too many wrong codes", "0 tries left")
}

func (p *phone) run(script string) {
	p.Helper()
	eval[bool](p, script+"; true")
}

// Without signal: the page opens, a ticket is verified on the phone and a typed code is sealed; with signal both are settled in order, and a
// contradiction says whom to ask.
// Keeps: H.3, S31
func TestCourierWithoutSignal(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.online(false)
	p.open("/courier")
	p.sees("No signal", "6 parcels to deliver", "M. B.")
	p.choose(0)
	p.touch("#arrive")
	p.answered("later", "Kept: you're at the door", "There's no signal.")
	p.camera.Shows(p.depot.ticket(t, p.parcel(1), nil))
	p.touch("#scan-button")
	p.answered("no", "That's the code of another parcel")
	p.camera.Shows("https://evil.example/")
	p.touch("#scan-button")
	p.sees("That's another QR code.")
	p.touch("#scan button")
	p.until("!document.getElementById('scan').open && !app.busy")
	good := p.depot.ticket(t, p.parcel(0), nil)
	p.camera.Shows(good)
	p.touch("#scan-button")
	p.answered("offline", "Confirmed offline", "What can't be known without signal")
	p.sees("5 parcels to deliver", "Confirmed offline", "2 entries not sent yet")

	p.choose(1) // typed right, and typed wrong
	p.arrive()
	p.typed("٤٨٢١٤")
	p.answered("later", "Will be checked", "only the server can read it")
	p.choose(2)
	p.arrive()
	p.typed("99999")
	p.answered("later", "Will be checked")
	p.sees("6 entries not sent yet", "3 parcels to deliver")
	if kept := eval[string](p, "store.read((s) => store.got(s.queue.getAll())).then(JSON.stringify)"); strings.Contains(kept, "48214") || strings.Contains(kept, "99999") {
		t.Errorf("a code is kept in clear: %s", kept)
	}
	p.run("location.reload()")
	p.until("document.body.dataset.ready === '1'")
	p.sees("6 entries not sent yet")
	p.online(true)
	all := p.judged(6)
	p.until("app.queue.length === 0")
	p.sees("The code was right. Confirmed.", "The code that was kept is wrong.", "Ask your depot what to do.", "4 parcels to deliver", "Confirmed offline")
	for i, do := range strings.Fields("arrive ticket arrive code arrive code") {
		if e := all[i]; e.Do != do || !e.Offline || e.Code != "" || do == "ticket" && e.Ticket != good {
			t.Errorf("entry %d is %+v", i, e)
		}
	}
	p.press(".note button")
	p.until("app.notices.length === 1")
	p.choose(0)
	p.sees("Confirmed offline")
	if eval[bool](p, "!!document.getElementById('code')") {
		t.Error("what is handed over can be handed over again")
	}
}

// What the phone says of a ticket that isn't right, by itself.
// Keeps: S31
func TestCourierJudgesTickets(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.online(false)
	p.choose(0)
	p.arrive()
	id := p.parcel(0)
	good := p.depot.ticket(t, id, nil)
	spoilt := []byte(good)
	spoilt[40] ^= 1
	for name, c := range map[string]struct{ ticket, want string }{
		"good":                       {good, "confirmed_offline"},
		"changed":                    {string(spoilt), "bad_ticket"},
		"cut":                        {good[:len(good)-1], "bad_ticket"},
		"not ours":                   {newDepot(t).ticket(t, id, nil), "bad_ticket"},
		"a newer key's, or nobody's": {p.depot.ticket(t, id, func(b []byte) { b[38]++ }), "ticket_later"},
		"another version":            {p.depot.ticket(t, id, func(b []byte) { b[0] = 2 }), "bad_ticket"},
		"another parcel":             {p.depot.ticket(t, p.parcel(1), nil), "other_parcel"},
		"another attempt":            {p.depot.ticket(t, id, func(b []byte) { b[17] = 2 }), "ticket_later"},
		"another generation":         {p.depot.ticket(t, id, func(b []byte) { b[18] = 2 }), "ticket_later"},
		"an older attempt":           {p.depot.ticket(t, id, func(b []byte) { b[17] = 0 }), "old_ticket"},
		"an older code":              {p.depot.ticket(t, id, func(b []byte) { b[18] = 0 }), "old_ticket"},
		"a neighbour's":              {p.depot.ticket(t, id, func(b []byte) { b[18], b[19] = 7, 1 }), "confirmed_offline"},
		"another phone":              {p.depot.ticket(t, id, func(b []byte) { b[20]++ }), "other_device"},
		"too late":                   {p.depot.ticket(t, id, func(b []byte) { copy(b[28:36], []byte{0, 0, 0, 0, 0x60, 0, 0, 0}) }), "expired"},
	} {
		if got := eval[string](p, "judged(current({id: "+quote(id)+"}), "+quote(c.ticket)+")"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for typed, want := range map[string]string{
		"48213": "D-48213", "d 48 213": "D-48213", "D-48213": "D-48213", "Ｄ－４８２１３": "D-48213", "४८२१३": "D-48213", "D-48213 is your delivery code. Say it at the door.": "D-48213",
		"": "unclear", "4821": "unclear", "X-48213": "unclear", "D-4821": "unclear", "D-482135": "unclear", "4821355": "unclear",
		"482135": "sign_in_code", "482-135": "sign_in_code", "482135 is your Acme code to sign in.": "sign_in_code",
	} {
		if got := eval[string](p, "((r) => r.code || r.wrong)(typedCode("+quote(typed)+", 'D', 5, 6))"); got != want {
			t.Errorf("%q is %s, want %s", typed, got, want)
		}
	}
}

// What the page seals, Go's own HPKE opens; for another entry it doesn't.
// Keeps: S31
func TestCourierSeals(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	for i := range 20 {
		e := entryJSON{Key: fmt.Sprintf("%032x", i), Handover: p.parcel(0), Attempt: 1 + i}
		typed := strings.Repeat("D-48213 é", i)
		e.Sealed = eval[string](p, fmt.Sprintf("sealTyped(app.round.box, {key: %q, handover: %q, attempt: %d}, %s)", e.Key, e.Handover, e.Attempt, quote(typed)))
		if got := p.depot.open(&e); got != typed {
			t.Fatalf("%q comes out as %q", typed, got)
		}
		for _, other := range []entryJSON{{Key: fmt.Sprintf("%032x", i+1), Handover: e.Handover, Attempt: e.Attempt, Sealed: e.Sealed}, {Key: e.Key, Handover: p.parcel(1), Attempt: e.Attempt, Sealed: e.Sealed}, {Key: e.Key, Handover: e.Handover, Attempt: e.Attempt + 1, Sealed: e.Sealed}} {
			if got := p.depot.open(&other); i > 0 && got == typed {
				t.Error("it opens for another entry")
			}
		}
	}
}

// The server does it and its answer is lost: the phone says what it knows, asks again by itself, and gets the same yes.
// Keeps: S31
func TestCourierLosesTheAnswer(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.depot.mu.Lock()
	p.depot.silent = true
	p.depot.mu.Unlock()
	p.typed("48213")
	p.answered("later", "Will be checked")
	first := p.judged(2)[1]
	p.depot.mu.Lock()
	p.depot.silent = false
	p.depot.mu.Unlock()
	p.run("sync()")
	p.sees("The code was right. Confirmed.", "5 parcels to deliver")
	if all := p.judged(2); len(all) != 2 || first.Code != "D-48213" || first.Sealed != "" {
		t.Errorf("%+v", all)
	}
}

// The answer to the link is lost at the depot's gate: the same phone can use it again, also when the page was closed meanwhile; then it is used up.
// Keeps: H.3
func TestCourierLinkIsLostAndFound(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	silent := func(is bool) {
		p.depot.mu.Lock()
		defer p.depot.mu.Unlock()
		p.depot.silent = is
	}
	silent(true)
	p.open("/courier#" + depotToken)
	p.sees("Your shift hasn't begun", "Try again")
	p.press("button.primary")
	p.until("!app.busy")
	p.sees("Your shift hasn't begun")
	silent(false)
	p.open("/courier") // from the home screen, without the link
	p.sees("6 parcels to deliver")
	if kept := eval[string](p, "store.read((s) => store.got(s.kept.getAllKeys())).then(JSON.stringify)"); strings.Contains(kept, "link") {
		t.Errorf("a link that has worked is kept: %s", kept)
	}
	p.depot.mu.Lock()
	defer p.depot.mu.Unlock()
	if len(p.depot.nonce) != 32 {
		t.Errorf("the page made up %q", p.depot.nonce)
	}
}

// A phone whose storage is full, or that keeps nothing at all: with signal everything works, and without it nothing is claimed.
// Keeps: H.3
func TestCourierKeepsNothing(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.full()
	p.choose(0)
	p.touch("#arrive")
	p.answered("done", "You're at the door")
	p.typed("11111")
	p.answered("no", "Wrong code, 5 tries left")
	p.sees("5 tries left")
	p.online(false)
	p.typed("48213")
	p.answered("no", "Can't be kept on this phone", "Nothing was confirmed.")
	p.camera.Shows(p.depot.ticket(t, p.parcel(0), nil))
	p.touch("#scan-button")
	p.answered("no", "Can't be kept on this phone")
	p.press("#back")
	p.sees("6 parcels to deliver", "This phone can't keep anything")
	p.online(true)
	p.choose(0)
	p.typed("48213")
	p.answered("yes", "Confirmed")
	p.sees("5 parcels to deliver")
}

// The depot ends the shift, or takes the phone's right: the parcels are gone from it; what it hasn't sent stays, and it says so.
// Keeps: H.3
func TestCourierShiftEnds(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.open("/courier#crt_of-another-day")
	p.sees("Your shift hasn't begun", "This link doesn't work")
	p.open("/courier")
	p.sees("Open the link from your depot")
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.typed("48213")
	p.answered("later", "Will be checked")
	p.depot.mu.Lock()
	p.depot.over = true
	p.depot.mu.Unlock()
	p.online(true)
	p.sees("This shift is over", "1 entry couldn't be sent yet.")
	p.run("location.reload()")
	p.until("document.body.dataset.ready === '1'")
	p.sees("This shift is over", "1 entry couldn't be sent yet.")
	if all := eval[string](p, "store.read(async (s) => JSON.stringify([await store.got(s.kept.getAll()), await store.got(s.notices.getAll()), await store.got(s.queue.getAll())]))"); strings.Contains(all, "M. B.") || strings.Contains(all, "door") || !strings.Contains(all, p.parcel(0)) {
		t.Errorf("kept: %s", all)
	}
	p.depot.mu.Lock()
	p.depot.over, p.depot.device = false, ""
	p.depot.mu.Unlock()
	p.open("/courier")
	p.begin2()
	p.until("app.queue.length === 0")
	p.sees("The code was right. Confirmed.")
}

func (p *phone) begin2() {
	p.Helper()
	p.run("location.hash = '#" + depotToken + "'") // a link that is followed while the page is open
	p.until("document.body.dataset.ready === '1' && !!app.round")
}

// The phone's clock is a day wrong, is set while the page is open, or the page is loaded anew: the server's time counts, and what isn't sure is
// marked.
// Keeps: S31
func TestCourierClock(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	type at struct {
		Off    float64 `json:"off"`
		Steady bool    `json:"steady"`
	}
	now := func() at {
		return eval[at](p, "((c) => ({off: (c.at - realNow()) / 1000, steady: c.steady}))(clock.now())")
	}
	p.run("window.realNow = Date.now.bind(Date)")
	shift := func(by string) { p.run("Date.now = () => realNow() + " + by) }
	near := func(what string, got at, steady bool) {
		t.Helper()
		if got.Off < -5 || got.Off > 5 || got.Steady != steady {
			t.Errorf("%s: %+v", what, got)
		}
	}
	near("as it is", now(), true)
	shift("86400000 * 2")
	near("set forward", now(), false)
	shift("-86400000")
	near("set back", now(), false)
	p.run("clock.set(new Date(realNow()).toISOString())")
	near("wrong by a day from the start", now(), true)
	shift("-86400000 - 3600000")
	near("and set back by an hour", now(), false)
	shift("-86400000 + 3600000")
	if got := now(); got.Off < 3500 || got.Off > 3700 || got.Steady {
		t.Errorf("after an hour's sleep: %+v", got)
	}
	p.open("/courier")
	p.run("window.realNow = Date.now.bind(Date)")
	near("after the server was asked again", now(), true)
	p.online(false)
	p.open("/courier")
	p.run("window.realNow = Date.now.bind(Date)")
	near("loaded anew without signal", now(), false)
	p.run("Date.now = () => realNow() - 86400000")
	if got := now(); got.Off > 1 || got.Off < -60 || got.Steady {
		t.Errorf("loaded anew, then set back: %+v", got)
	}
}

// The page in every language, at 360 pixels, in its direction.
func TestCourierInEveryLanguage(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	for _, tag := range []string{"de", "fr", "es", "pt", "hi", "ar", "ja", "zh-Hans", "en"} {
		p.run("document.getElementById('language').value = " + quote(tag) + "; document.querySelector('footer form').submit()")
		p.until("document.documentElement.lang === " + quote(tag) + " && document.body.dataset.ready === '1'")
		p.choose(0)
		p.sees("D-")
		if dir := eval[string](p, "document.dir"); (dir == "rtl") != (tag == "ar") {
			t.Errorf("%s is written %s", tag, dir)
		}
		p.run("[...document.querySelectorAll('details')].forEach((d) => { d.open = true; })")
		p.shot()
		if left := eval[string](p, "(document.body.innerText.match(/[{}]|[a-z_]+\\.[a-z_]{3,}/) || [''])[0]"); left != "" {
			t.Errorf("%s: %s", tag, left)
		}
		p.press("#back")
		p.until("main.dataset.shown === 'list'")
		p.shot()
		p.run("answers.show('offline', wordOf({result: 'confirmed_offline'}, {}), textsOf({result: 'confirmed_offline'}), t('answer.to_list'))")
		p.shot()
		p.run("document.getElementById('answer').close()")
	}
	res, err := http.Get(p.url + "/courier")
	must(t, err)
	defer res.Body.Close()
	if !regexp.MustCompile("camera=.self.").MatchString(res.Header.Get("Permissions-Policy")) {
		t.Error("no camera")
	}
}

// axe-core finds nothing on the page's screens.
// Keeps: F.3
func TestCourierIsAccessible(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("..", "..", "e2e", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		if os.Getenv("COUNTERSIGN_TEST_REQUIRE") != "" {
			t.Fatal("axe-core is missing: ./test gets it")
		}
		t.Skip("axe-core is missing")
	}
	p := newPhone(t)
	p.begin()
	p.run(string(source))
	axe := func(where string) {
		t.Helper()
		for _, scheme := range []string{"dark", "light"} {
			_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			must(t, err)
			if got := eval[string](p, `axe.run().then((r) => r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html).join(" | ")).join("\n"))`); got != "" {
				t.Errorf("%s, %s: %s", where, scheme, got)
			}
		}
		small := eval[string](p, `[...document.querySelectorAll("dialog[open] button, main button, main summary, main input:not([type=radio]), footer button, footer select")].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 44).map((e) => e.outerHTML).join("\n")`)
		if small != "" {
			t.Errorf("%s: too small for a finger: %s", where, small)
		}
	}
	axe("the list")
	p.choose(0)
	axe("a parcel")
	p.arrive()
	p.run("[...document.querySelectorAll('details')].forEach((d) => { d.open = true; })")
	axe("a parcel with everything open")
	for _, kind := range []string{"yes", "offline", "later", "no", "stop", "wait", "done"} {
		p.run("answers.show(" + quote(kind) + ", 'Word', ['Text'], 'Go on')")
		axe("the answer " + kind)
		p.run("document.getElementById('answer').close()")
	}
	p.camera.Shows("")
	p.touch("#scan-button")
	p.until("document.getElementById('scan').open")
	p.sees("Hold the camera")
	axe("the camera")
}

// The server is down for a while, and the page is open twice: each entry is sent once, in order.
// Keeps: S31
func TestCourierInTwoTabs(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	down := func(is bool) {
		p.depot.mu.Lock()
		p.depot.down = is
		p.depot.mu.Unlock()
	}
	down(true)
	p.typed("48213")
	p.answered("later", "Will be checked")
	for n := range 4 {
		p.choose(1 + n)
		p.touch("#arrive")
		p.answered("later", "Kept: you're at the door")
		p.run("leave()")
		p.until("main.dataset.shown === 'list'")
	}
	tab, closeTab := chromedp.NewContext(p.ctx)
	defer closeTab()
	other := *p
	other.ctx = tab
	other.open("/courier")
	other.sees("5 entries not sent yet", "Will be checked")
	down(false)
	for _, one := range []*phone{p, &other} {
		one.run("setTimeout(sync)")
	}
	for _, one := range []*phone{p, &other} {
		one.until("app.queue.length === 0")
	}
	p.depot.mu.Lock()
	defer p.depot.mu.Unlock()
	var done []string
	for _, e := range p.depot.judged {
		done = append(done, e.Do)
	}
	if got := strings.Join(done, " "); got != "arrive code arrive arrive arrive arrive" || p.depot.told != len(done) {
		t.Errorf("the depot was told %d entries: %s", p.depot.told, got)
	}
}
