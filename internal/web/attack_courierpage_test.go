// SPDX-License-Identifier: Apache-2.0

//go:build attack

package web

import (
	"testing"
)

// A QR code that is signed by a key which the phone doesn't have yet (keys were rotated after the shift began), without signal: the phone can't know, so it
// keeps it, and says that it will be checked.
// Keeps: S31
func TestAttackTicketOfANewerKeyIsKept(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.online(false)
	p.choose(0)
	p.arrive()
	p.camera.Shows(p.depot.ticket(t, p.parcel(0), func(b []byte) { b[38]++ }))
	p.touch("#scan-button")
	p.until("document.getElementById('answer').open")
	if word := eval[string](p, "document.getElementById('answer-word').textContent"); word != "Will be checked" {
		t.Errorf("the page says %q", word)
	}
	if n := eval[int](p, "store.read((s) => store.got(s.queue.getAll())).then((q) => q.filter((e) => e.do === 'ticket').length)"); n != 1 {
		t.Errorf("%d tickets are kept", n)
	}
}

// The phone wakes up, asks for the round over a slow network, and the courier types the code at once. The round that comes after the "Confirmed" is from
// before it, and makes the parcel one that is still to be delivered.
// Keeps: H.3
func TestAttackOldRoundAfterConfirmed(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.run(`{ const real = fetch; window.fetch = async (path, about) => { const res = await real(path, about); if (path === '/courier/round' && !window.letgo) { window.held = true; await new Promise((r) => { window.letgo = r; }); } return res; }; }
		window.woken = sync();`)
	p.until("window.held === true")
	p.typed("48213")
	p.answered("yes", "Confirmed", "Hand over the parcel.")
	p.sees("5 parcels to deliver")
	p.run("letgo()")
	eval[bool](p, "woken.then(() => true)")
	if n := eval[int](p, "app.round.parcels.filter((one) => !seen(one).outcome).length"); n != 5 {
		t.Errorf("after the older round came, %d parcels are to be delivered, want 5; the first is %q", n, eval[string](p, "app.round.parcels[0].state"))
	}
}

// The phone's clock jumps twenty hours ahead while there is no signal. The page knows that its time isn't sure (steady is false), and still refuses a good QR
// code for good, without keeping it.
// Keeps: S31
func TestAttackClockAheadRefusesAGoodTicket(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.online(false)
	p.choose(0)
	p.arrive()
	p.run("{ const real = Date.now.bind(Date); Date.now = () => real() + 20 * 3600000; }")
	p.camera.Shows(p.depot.ticket(t, p.parcel(0), nil))
	p.touch("#scan-button")
	p.until("document.getElementById('answer').open")
	if word := eval[string](p, "document.getElementById('answer-word').textContent"); word != "Will be checked" && word != "Confirmed offline" {
		t.Errorf("the page says %q, and keeps %s", word, eval[string](p, "JSON.stringify(app.queue.map((e) => e.do))"))
	}
}

// A code that was kept turns out to be wrong when the shift has ended: the courier never hears of it.
// Keeps: S31
func TestAttackNoticesOfAnEndedShift(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.typed("11111")
	p.answered("later", "Will be checked")
	p.online(true)
	p.sees("The code that was kept is wrong.", "Ask your depot what to do.")
	p.depot.mu.Lock()
	p.depot.over = true
	p.depot.mu.Unlock()
	p.run("sync()")
	p.sees("This shift is over")
	if text := eval[string](p, "document.body.innerText"); !containsAny(text, "wrong", "Ask your depot what to do.") {
		t.Errorf("a notice that nobody has read is gone: %s", text)
	}
}

func containsAny(text string, words ...string) bool {
	for _, w := range words {
		for i := 0; i+len(w) <= len(text); i++ {
			if text[i:i+len(w)] == w {
				return true
			}
		}
	}
	return false
}

// The answer to "text it again" is lost: the page says that nothing was sent, and it was.
// Keeps: H.5
func TestAttackSentAndSaidNotSent(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.loses(true)
	p.press("#send-sms")
	p.until("document.getElementById('answer').open")
	if text := eval[string](p, "document.getElementById('answer').innerText"); containsAny(text, "Nothing was sent") && p.did("send") {
		t.Errorf("the depot has sent it, and the page says %q", text)
	}
}

func (p *phone) loses(silent bool) {
	p.depot.mu.Lock()
	defer p.depot.mu.Unlock()
	p.depot.silent = silent
}

func (p *phone) did(what string) bool {
	p.depot.mu.Lock()
	defer p.depot.mu.Unlock()
	for _, e := range p.depot.judged {
		if e.Do == what {
			return true
		}
	}
	return false
}

// A phone whose storage is full: the server takes the code, its answer is lost. Told again it is another entry, and the courier hears that something else has
// settled the parcel.
// Keeps: H.3, S31
func TestAttackFullPhoneLosesTheAnswer(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.run("for (const name of ['put', 'add']) IDBObjectStore.prototype[name] = () => { throw new DOMException('full', 'QuotaExceededError'); }")
	p.choose(0)
	p.touch("#arrive")
	p.answered("done", "You're at the door")
	p.loses(true)
	p.typed("48213")
	p.answered("no", "Can't be kept on this phone")
	p.loses(false)
	p.typed("48213")
	p.until("document.getElementById('answer').open")
	if word := eval[string](p, "document.getElementById('answer-word').textContent"); word != "Confirmed" {
		t.Errorf("the code was right and is the first that the depot took; the page says %q", eval[string](p, "document.getElementById('answer').innerText"))
	}
}

// Something between phone and server answers 400 with a page of its own, once. The entry that was kept is thrown away as "not allowed".
// Keeps: H.3
func TestAttackAnswerOfSomethingBetween(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.typed("48213")
	p.answered("later", "Will be checked")
	p.run(`{ const real = fetch; let times = 0; window.fetch = async (path, about) => path === '/courier/act' && times++ < 1 ? new Response('<h1>Bad request</h1>', {status: 400, headers: {'Content-Type': 'text/html'}}) : real(path, about); }`)
	p.online(true)
	p.until("app.queue.length === 0 || app.notices.length > 0")
	if !p.did("code") {
		t.Errorf("the entry never came to the depot, and is gone from the phone: %s", eval[string](p, "JSON.stringify(app.notices)"))
	}
}
