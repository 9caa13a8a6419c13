// SPDX-License-Identifier: Apache-2.0

package web

import (
	"strings"
	"testing"

	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// depots changes what the fake depot knows.
func (p *phone) depots(change func(d *depot)) {
	p.depot.mu.Lock()
	defer p.depot.mu.Unlock()
	change(p.depot)
}

// A tab that the phone has put to sleep in the middle of sending doesn't keep another from it.
//
// Keeps: H.3
func TestCourierSleepingTab(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	tab, closeTab := chromedp.NewContext(p.ctx)
	defer closeTab()
	other := *p
	other.ctx = tab
	other.open("/courier")
	other.run("navigator.locks.request('courier-send', () => new Promise(() => {}))") // frozen in the middle of a fetch
	p.typed("48213")
	p.answered("yes", "Confirmed")
}

// A database that the browser has closed is opened anew.
//
// Keeps: H.3
func TestCourierDatabaseClosed(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	_, err := chromedp.Call(p.ctx, storage.ClearDataForOrigin, storage.ClearDataForOriginParams{Origin: eval[string](p, "location.origin"), StorageTypes: "indexeddb"})
	must(t, err)
	p.run("window.s = sync()")
	eval[bool](p, "s.then(() => true)")
	p.online(false)
	p.typed("48213")
	p.answered("later", "Will be checked")
}

// A list that is older than a confirmation isn't kept, however closely they meet.
//
// Keeps: H.3
func TestCourierOldRoundBetween(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.run(`{ const real = store.write; let n = 0; store.write = async (work) => { if (String(work).includes('"round")') && String(work).includes('"who")') && String(work).includes('s.kept.put(round, "round")') && !window.letgo) { window.held = true; await new Promise((r) => { window.letgo = r; }); } return real(work); }; }
		window.woken = sync();`)
	p.until("window.held === true")
	p.typed("48213")
	p.answered("yes", "Confirmed", "Hand over the parcel.")
	p.run("letgo()")
	eval[bool](p, "woken.then(() => true)")
	if n := eval[int](p, "app.round.parcels.filter((one) => !seen(one).outcome).length"); n != 5 {
		t.Errorf("%d parcels to deliver, want 5; the first is %q", n, eval[string](p, "app.round.parcels[0].state"))
	}
}

// A QR code of a newer attempt is told as one of that.
//
// Keeps: H.3
func TestCourierTicketOfANewerAttempt(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.camera.Shows(p.depot.ticket(t, p.parcel(0), func(b []byte) { b[17] = 2 }))
	p.touch("#scan-button")
	p.answered("later", "Will be checked")
	p.online(true)
	if e := p.judged(2)[1]; e.Attempt != 2 {
		t.Errorf("the ticket of attempt 2 is told as one of attempt %d: the server's answer is old_attempt, always", e.Attempt)
	}
}

// A camera that comes after its dialog was closed is switched off.
//
// Keeps: H.3
func TestCourierCameraStops(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.camera.Shows("")
	p.run(`{ const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices); navigator.mediaDevices.getUserMedia = async (c) => { await new Promise((r) => { window.allow = r; }); return (window.film = await real(c)); }; }`)
	p.touch("#scan-button")
	p.until("document.getElementById('scan').open && !!window.allow")
	p.touch("#scan button")
	p.until("!document.getElementById('scan').open && !app.busy")
	p.run("allow()")
	p.until("!!window.film")
	eval[bool](p, "new Promise((r) => setTimeout(() => r(true), 1500))")
	if eval[string](p, "film.getTracks()[0].readyState") == "live" {
		t.Error("the camera films on")
	}
}

// A code that couldn't be marked as typed without signal is still told as wrong when it is.
//
// Keeps: H.3
func TestCourierLateCantBeWritten(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.run("{ const put = IDBObjectStore.prototype.put; IDBObjectStore.prototype.put = function(v, k) { if (this.name === 'queue' && !window.room) throw new DOMException('full', 'QuotaExceededError'); return put.apply(this, arguments); }; }")
	p.loses(true)
	p.typed("11111")
	p.answered("later", "Will be checked")
	p.loses(false)
	p.run("window.room = true; window.s = sync()")
	eval[bool](p, "s.then(() => true)")
	p.until("app.queue.length === 0")
	if n := eval[int](p, "app.notices.length"); n != 1 {
		t.Errorf("%d notices: the courier never hears that the code was wrong", n)
	}
}

// Where nothing can be kept, nobody says that the recipient is warned later.
//
// Keeps: H.3
func TestCourierSignInCodeNotKept(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.full()
	p.typed("482135")
	p.until("document.getElementById('answer').open")
	if text := eval[string](p, "document.getElementById('answer').innerText"); strings.Contains(text, "the recipient is warned") {
		t.Errorf("nothing is kept, and the page says: %s", text)
	}
}

// With full storage two answers are lost: each is the same entry when it is told again.
//
// Keeps: H.3
func TestCourierTwoLostAnswers(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.full()
	p.choose(0)
	p.touch("#arrive")
	p.answered("done", "You're at the door")
	p.loses(true)
	p.typed("48213")
	p.answered("no", "nobody knows whether it got there")
	p.press("#send-sms") // something else at the same door
	p.answered("no", "nobody knows whether it got there")
	p.loses(false)
	p.typed("48213")
	p.answered("yes", "Confirmed")
}

// A shift that is over in one tab is over in the other.
//
// Keeps: H.3
func TestCourierOverInTwoTabs(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	tab, closeTab := chromedp.NewContext(p.ctx)
	defer closeTab()
	other := *p
	other.ctx = tab
	other.open("/courier")
	other.sees("6 parcels to deliver")
	p.depots(func(d *depot) { d.over = true })
	p.run("window.s = sync()")
	p.sees("This shift is over")
	other.run("document.dispatchEvent(new Event('visibilitychange'))")
	other.sees("This shift is over")
}

// A list that was asked for before the shift's end and comes after it isn't shown.
//
// Keeps: H.3
func TestCourierListAfterTheEnd(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.run(`{ const real = fetch; let n = 0; window.fetch = async (path, about) => { const res = await real(path, about); if (path === '/courier/round' && !n++) { window.held = true; await new Promise((r) => { window.letgo = r; }); } return res; }; }
		window.woken = refresh();`)
	p.until("window.held === true")
	p.depots(func(d *depot) { d.over = true })
	p.run("window.s = sync()")
	p.sees("This shift is over")
	eval[bool](p, "s.then(() => true)")
	p.online(false)
	p.run("letgo()")
	eval[bool](p, "woken.then(() => true)")
	if eval[bool](p, "!!app.round || main.innerText.includes('blue door')") {
		t.Error("the list is back after the shift was ended: " + eval[string](p, "main.innerText"))
	}
}

// What was answered with no isn't told again when the answer can't be written down.
//
// Keeps: H.3
func TestCourierNoIsntToldAgain(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.run(`{ const put = IDBObjectStore.prototype.put; IDBObjectStore.prototype.put = function(v, k) { if (k === 'round' && !window.room) throw new DOMException('full', 'QuotaExceededError'); return put.apply(this, arguments); };
		const real = fetch; let n = 0; window.fetch = async (path, about) => { if (path !== '/courier/act' || n++) return real(path, about);
			const results = JSON.parse(about.body).entries.map((e) => ({key: e.key, handover: e.handover, result: "stopped"})); return new Response(JSON.stringify({now: new Date().toISOString(), results}), {status: 200}); }; }`)
	p.typed("48213")
	p.answered("stop", "They said that nobody is here")
	p.run("window.room = true; window.s = sync()")
	eval[bool](p, "s.then(() => true)")
	if p.did("code") {
		t.Errorf("the code that was refused was told again and: %s", eval[string](p, "app.round.parcels[0].state"))
	}
}

// In another tab the phone has become another courier's: this one doesn't go on under the old name.
//
// Keeps: H.3
func TestCourierTwoCouriersTwoTabs(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	tab, closeTab := chromedp.NewContext(p.ctx)
	defer closeTab()
	other := *p
	other.ctx = tab
	p.depots(func(d *depot) { d.device, d.round.CourierID, d.round.Courier = "", "cou_lee", "Lee" })
	other.open("/courier#" + depotToken)
	other.sees("Lee")
	p.typed("48213")
	p.until("document.getElementById('answer').open")
	if eval[string](p, "document.getElementById('answer-word').textContent") == "Will be checked" {
		t.Error("with signal: it is said that the code will be checked; it is sent only when Kim gets the phone again")
	}
}

// The answer is lost, and then the phone's right is taken: nobody says that nothing was confirmed.
//
// Keeps: H.3
func TestCourierRevokedInTheMiddle(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(1)
	p.depots(func(d *depot) { d.down = true })
	p.touch("#arrive")
	p.answered("later", "Kept")
	p.run("leave()")
	p.until("main.dataset.shown === 'list'")
	p.depots(func(d *depot) { d.round.Parcels[0].State = "arrived"; d.down = false })
	p.run("window.r = refresh()")
	eval[bool](p, "r.then(() => true)")
	p.run(`{ const real = fetch; let n = 0; window.fetch = async (path, about) => { const first = path === '/courier/act' && !n++; const res = await real(path, about); if (first) { window.held = true; await new Promise((r) => { window.letgo = r; }); } return res; }; }
		window.woken = sync();`)
	p.until("window.held === true")
	p.choose(0)
	p.typed("48213")
	p.until("app.busy")
	eval[bool](p, "new Promise((r) => setTimeout(() => r(true), 500))") // it is in the queue
	p.loses(true)
	p.run("letgo()")
	p.judged(2)
	p.depots(func(d *depot) { d.over = true; t.Log(d.round.Parcels[0].State) })
	p.until("document.getElementById('answer').open")
	if eval[bool](p, "document.getElementById('answer').innerText.includes('Nothing was confirmed')") {
		t.Error("it was confirmed")
	}
}

// The keyboard's focus stays when a list comes by itself.
//
// Keeps: H.3
func TestCourierFocus(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.run("document.querySelector('#give-up summary').focus()")
	p.depots(func(d *depot) { d.round.Parcels[0].Neighbour = true })
	p.run("window.s = sync()")
	eval[bool](p, "s.then(() => true)")
	p.sees("A neighbour may take it")
	if at := eval[string](p, "document.activeElement.tagName"); at == "BODY" {
		t.Error("the focus is on the page's beginning again")
	}
}

// What is missing is said to who doesn't see it.
//
// Keeps: H.3
func TestCourierWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.press("#give-up form button")
	p.sees("Choose a reason.")
	if !eval[bool](p, `((e) => [e, e.closest("fieldset")].some((x) => (x.getAttribute("aria-describedby") || "").includes("reason-missing")) || !!document.getElementById("reason-missing").closest("[role=alert],[aria-live],fieldset"))(document.activeElement)`) {
		t.Error("nothing ties 'Choose a reason.' to where the focus is: " + eval[string](p, "document.activeElement.outerHTML"))
	}
}

// The camera is switched off when the shift ends.
//
// Keeps: H.3
func TestCourierScanWhenTheShiftEnds(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.camera.Shows("")
	p.touch("#scan-button")
	p.until("document.getElementById('scan').open")
	p.depots(func(d *depot) { d.over = true })
	p.run("sync()")
	p.until("!app.round")
	p.until("!document.getElementById('scan').open && !app.busy")
	p.sees("This shift is over")
}

// A stolen phone that is opened two days later shows nothing, though its page can't tell the time.
//
// Keeps: H.3
func TestCourierTwoDaysLater(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.online(false)
	p.run(`window.moved = store.write(async (s) => { const r = await store.got(s.kept.get('round')), c = await store.got(s.kept.get('clock')), back = 48 * 3600000;
		s.kept.put({...r, until: new Date(Date.parse(r.until) - back).toISOString()}, 'round'); s.kept.put({server: c.server - back, local: c.local - back}, 'clock'); })`)
	eval[bool](p, "moved.then(() => true)")
	p.run("location.reload()")
	p.until("document.body.dataset.ready === '1'")
	eval[bool](p, "new Promise((r) => setTimeout(() => r(true), 2000))")
	if text := eval[string](p, "document.body.innerText"); strings.Contains(text, "blue door") {
		t.Errorf("the shift ended forty hours ago: %s", text)
	}
}

// The browser's list of pages has no initials.
//
// Keeps: H.3
func TestCourierTitles(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.depots(func(d *depot) { d.over = true })
	p.run("window.s = sync()")
	p.sees("This shift is over")
	h, err := chromedp.Call(p.ctx, cdpage.GetNavigationHistory, struct{}{})
	must(t, err)
	for _, e := range h.Entries {
		if strings.Contains(e.Title, "M. B.") {
			t.Errorf("the browser's history says %q", e.Title)
		}
	}
}

// An earlier try that fails doesn't make a code that is typed with signal one without.
//
// Keeps: H.3
func TestCourierForeignFailure(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.run("leave()")
	p.until("main.dataset.shown === 'list'")
	p.choose(1)
	p.depots(func(d *depot) { d.down = true })
	p.touch("#arrive")
	p.answered("later", "Kept")
	p.depots(func(d *depot) { d.down = false })
	p.run("leave()")
	p.until("main.dataset.shown === 'list'")
	p.choose(0)
	p.run(`{ const real = fetch; let n = 0; window.fetch = async (path, about) => { if (path === '/courier/act' && !n++) { window.held = true; await new Promise((r) => { window.letgo = r; }); throw new TypeError('no signal'); } return real(path, about); }; }
		window.woken = sync();`)
	p.until("window.held === true")
	p.typed("11111")
	p.until("app.busy")
	eval[bool](p, "new Promise((r) => setTimeout(() => r(true), 500))") // it is in the queue
	p.run("letgo()")
	p.answered("no", "Wrong code, 5 tries left")
	for _, e := range p.judged(3) {
		if e.Do == "code" && e.Offline {
			t.Error("typed with signal, answered at the door, and told as without signal: a conflict")
		}
	}
}

// A new tab that is used at once hears the answer that another has fetched.
//
// Keeps: H.3
func TestCourierNewTabUsedAtOnce(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.run("leave()")
	p.until("main.dataset.shown === 'list'")
	p.choose(1)
	p.depots(func(d *depot) { d.down = true })
	p.touch("#arrive")
	p.answered("later", "Kept")
	p.depots(func(d *depot) { d.down = false })
	p.run(`{ const real = fetch; let n = 0; window.fetch = async (path, about) => { if (path === '/courier/act' && !n++) { window.held = true; await new Promise((r) => { window.letgo = r; }); } return real(path, about); }; }
		window.woken = sync();`)
	p.until("window.held === true")
	tab, closeTab := chromedp.NewContext(p.ctx)
	defer closeTab()
	other := *p
	other.ctx = tab
	must(t, chromedp.Do(tab, chromedp.Navigate(p.url+"/courier")))
	other.sees("6 parcels to deliver")
	other.choose(0)
	other.typed("11111")
	eval[bool](&other, "new Promise((r) => setTimeout(() => r(true), 700))") // it is in the queue
	p.run("letgo()")
	other.answered("no", "Wrong code, 5 tries left")
}

// Nor a new shift from beginning.
//
// Keeps: H.3
func TestCourierSleepingTabAtTheBeginning(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.open("/courier")
	tab, closeTab := chromedp.NewContext(p.ctx)
	defer closeTab()
	other := *p
	other.ctx = tab
	p.run("navigator.locks.request('courier-send', () => new Promise(() => {}))")
	must(t, chromedp.Do(tab, chromedp.Navigate(p.url+"/courier#"+depotToken)))
	other.sees("6 parcels to deliver")
}

// After thirty hours of sleep a phone doesn't confirm by itself.
//
// Keeps: H.3
func TestCourierTicketAfterALongSleep(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.run("{ const real = Date.now.bind(Date); Date.now = () => real() + 30 * 3600000; }") // it has slept for thirty hours
	if got := eval[string](p, "judged(current({id: "+quote(p.parcel(0))+"}), "+quote(p.depot.ticket(t, p.parcel(0), nil))+")"); got == "confirmed_offline" {
		t.Error("a QR code that ended 26 hours ago is confirmed offline")
	}
}

// A list that is hidden for the phone's clock isn't called gone.
//
// Keeps: H.3
func TestCourierHiddenIsntGone(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.online(false)
	p.choose(0)
	p.touch("#arrive")
	p.answered("later", "Kept")
	p.run("window.realNow = Date.now.bind(Date); Date.now = () => realNow() + 10 * 3600000")
	p.typed("48213")
	p.answered("later", "Will be checked")
	if eval[bool](p, "main.innerText.includes('gone from this phone')") && eval[bool](p, "store.read((s) => store.got(s.kept.get('round'))).then((r) => !!r)") {
		t.Error("the list isn't gone from this phone")
	}
}

// The answer to a new link is lost, and the old shift is over: the link still works on this phone.
//
// Keeps: H.3
func TestCourierLinkLostAndOldShiftOver(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.depots(func(d *depot) { d.device, d.over, d.silent = "", true, true }) // the old phone right is gone; the new link's answer gets lost
	p.run("location.hash = '#" + depotToken + "'")
	p.sees("The server can't do it right now.")
	p.run("sync()") // "online", or the page is looked at again
	p.sees("Your shift hasn't begun", "Try again")
	p.depots(func(d *depot) { d.over, d.silent = false, false })
	p.press("button.primary")
	p.sees("6 parcels to deliver")
}

// A refusal of the old right that comes late doesn't end the new shift.
//
// Keeps: H.3
func TestCourierOldRefusalAndNewShift(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.depots(func(d *depot) { d.over = true })
	p.run(`{ const real = fetch; window.fetch = async (path, about) => { const res = await real(path, about); if (path === '/courier/round' && !window.letgo) { window.held = true; await new Promise((r) => { window.letgo = r; }); } return res; }; }
		window.woken = refresh();`)
	p.until("window.held === true")
	p.depots(func(d *depot) { d.over, d.device = false, "" })
	p.run("app.token = '" + depotToken + "'; window.enrolled = enrol()") // "Try again"
	eval[bool](p, "enrolled.then(() => true)")
	p.sees("6 parcels to deliver")
	p.run("letgo()")
	eval[bool](p, "woken.then(() => true)")
	if text := eval[string](p, "main.innerText"); !strings.Contains(text, "6 parcels") {
		t.Errorf("the new shift is gone: %s", text)
	}
}

// A round may be too large for the room that there is: what is done is sent all the same.
//
// Keeps: H.3
func TestCourierRoundDoesntFit(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.open("/courier")
	p.run("{ const put = IDBObjectStore.prototype.put; IDBObjectStore.prototype.put = function(v, k) { if (k === 'round') throw new DOMException('full', 'QuotaExceededError'); return put.apply(this, arguments); }; }")
	p.run("app.token = '" + depotToken + "'; enrol()")
	p.sees("6 parcels to deliver", "This phone can't keep anything")
	p.choose(0)
	p.touch("#arrive")
	p.answered("done", "You're at the door")
	p.typed("48213")
	p.answered("yes", "Confirmed")
}

// Where nothing can be written, the shift's end still takes the list.
//
// Keeps: H.3
func TestCourierFullWhenShiftEnds(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.full()
	p.depots(func(d *depot) { d.over = true })
	p.run("window.s = sync()")
	p.sees("This shift is over")
	eval[bool](p, "s.then(() => true)")
	if kept := eval[string](p, "store.read(async (s) => JSON.stringify([await store.got(s.kept.getAll())]))"); strings.Contains(kept, "blue door") {
		t.Error("personal data stays on the phone after the shift")
	}
	p.online(false)
	p.run("window.s = sync()") // looked at again
	eval[bool](p, "s.then(() => true)")
	if text := eval[string](p, "main.innerText"); strings.Contains(text, "blue door") {
		t.Errorf("the list is shown again: %s", text)
	}
}

// With full storage the answer of a right code is lost, then the shift ends: nobody says that nothing was confirmed.
//
// Keeps: H.3
func TestCourierFullLostAndOver(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.full()
	p.choose(0)
	p.touch("#arrive")
	p.answered("done", "You're at the door")
	p.loses(true)
	p.typed("48213")
	p.answered("no", "nobody knows whether it got there")
	p.loses(false)
	p.depots(func(d *depot) {
		d.over = true
		if d.round.Parcels[0].State != "handed_over" {
			t.Error("the depot hasn't confirmed it")
		}
	})
	p.typed("48213")
	p.answered("wait", "No answer came", "Nobody knows whether it counted.")
	p.sees("This shift is over")
}

// What the phone remembers is older than what the server knows, and the answer is lost: the same again is the same entry.
//
// Keeps: H.3
func TestCourierGateAndLostAnswer(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.depot.round.Parcels[0].Stopped = true
	p.begin()
	p.choose(0)
	p.arrive()
	p.run("app.round.parcels[0].stopped = true")
	p.depots(func(d *depot) { d.round.Parcels[0].Stopped = false })
	p.loses(true)
	p.typed("48213")
	p.until("document.getElementById('answer').open")
	word := eval[string](p, "document.getElementById('answer').innerText")
	p.depots(func(d *depot) { t.Logf("depot: %s; page: %s", d.round.Parcels[0].State, word) })
	if strings.Contains(word, "They said that nobody is here") {
		t.Error("it was confirmed; the page says that the recipient has stopped it")
	}
	p.touch("#answer button")
	p.until("!app.busy")
	p.loses(false)
	p.typed("48213")
	p.answered("yes", "Confirmed")
}

// A parcel that allows no weaker proof has none, whatever the service allows.
//
// Keeps: H.3
func TestCourierNoWeakerProof(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.depot.round.Parcels[0].Weak = []string{}
	p.begin()
	p.choose(0)
	p.arrive()
	if eval[bool](p, "!!document.getElementById('weak-photo')") {
		t.Error("a weaker proof is offered for a parcel that allows none")
	}
}

// What is settled after the shift leaves nothing of the parcel on the phone.
//
// Keeps: H.3
func TestCourierAnswersAfterTheShift(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.typed("48213")
	p.answered("later", "Will be checked")
	p.run("window.o = over()") // what the page does when the shift's end comes without signal
	eval[bool](p, "o.then(() => true)")
	p.run(`{ const real = fetch; window.fetch = async (path, about) => path === '/courier/round' ? new Response('{"code":"shift_over"}', {status: 401, headers: {"Content-Type": "application/problem+json"}}) : real(path, about); }`)
	p.online(true)
	p.judged(2)
	p.until("app.queue.length === 0")
	p.run("window.s = sync()")
	eval[bool](p, "s.then(() => true)")
	if kept := eval[string](p, "store.read(async (s) => JSON.stringify([await store.got(s.answers.getAll())]))"); strings.Contains(kept, "blue door") {
		t.Errorf("kept after the shift: %s", kept)
	}
}

// What one courier hasn't read names no parcel to the next.
//
// Keeps: H.3
func TestCourierNoticesOfAnother(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.typed("11111")
	p.answered("later", "Will be checked")
	p.online(true)
	p.sees("The code that was kept is wrong.")
	p.depots(func(d *depot) {
		d.device, d.round.CourierID, d.round.Courier = "", "cou_lee", "Lee"
		d.round.Parcels = d.round.Parcels[3:]
	})
	p.run("location.hash = '#" + depotToken + "'")
	p.sees("3 parcels to deliver", "Lee")
	if text := eval[string](p, "main.innerText"); strings.Contains(text, "M. B.") {
		t.Errorf("Lee's phone says: %s", text)
	}
}
