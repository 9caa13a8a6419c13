// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"strings"
	"testing"
)

// A QR code that is signed by a key which the phone doesn't have yet (keys were rotated after the shift began), without signal: the phone can't know, so it
// keeps it, and says that it will be checked.
// Keeps: S31
func TestCourierTicketOfANewerKey(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.online(false)
	p.choose(0)
	p.arrive()
	p.camera.Shows(p.depot.ticket(t, p.parcel(0), func(b []byte) { b[38]++ }))
	p.touch("#scan-button")
	p.answered("later", "Will be checked", "This phone can't check that QR code.")
	p.sees("Will be checked", "2 entries not sent yet")
	if n := eval[int](p, "store.read((s) => store.got(s.queue.getAll())).then((q) => q.filter((e) => e.do === 'ticket').length)"); n != 1 {
		t.Errorf("%d tickets are kept", n)
	}
	p.choose(0)
	p.sees("6 tries left") // a QR code is no guess
	p.online(true)
	p.press("#back")
	p.sees("The code was right. Confirmed.", "5 parcels to deliver")
}

// The phone wakes up, asks for the round over a slow network, and the courier types the code at once. The round that comes after the "Confirmed" is from
// before it, and is asked for once more.
// Keeps: H.3
func TestCourierOldRoundAfterConfirmed(t *testing.T) {
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

// The phone's clock jumps twenty hours ahead while there is no signal. The page knows that its time isn't sure (steady is false), and keeps a good QR code.
// Keeps: S31
func TestCourierClockAhead(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.online(false)
	p.choose(0)
	p.arrive()
	p.run("{ const real = Date.now.bind(Date); Date.now = () => real() + 20 * 3600000; }")
	p.camera.Shows(p.depot.ticket(t, p.parcel(0), nil))
	p.touch("#scan-button")
	p.answered("later", "Will be checked")
}

// A code that was kept turns out to be wrong, and then the shift ends: the courier still hears of it, without anything that says whose it was.
// Keeps: S31
func TestCourierNoticesOfAnEndedShift(t *testing.T) {
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
	p.sees("This shift is over", "The code that was kept is wrong.", "Ask your depot what to do.")
	if text := eval[string](p, "document.body.innerText"); strings.Contains(text, "M. B.") {
		t.Errorf("after the shift the phone says: %s", text)
	}
	p.press(".summary button")
	p.until("!document.querySelector('.summary')")
}

// The answer to "text it again" is lost: the page doesn't say that nothing was sent.
// Keeps: H.5
func TestCourierSentOrNot(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.loses(true)
	p.press("#send-sms")
	p.answered("wait", "No answer came", "Nobody knows whether it was sent.")
	p.online(false)
	p.press("#send-sms")
	p.answered("wait", "No signal", "Nothing was sent.")
	if !p.did("send") {
		t.Error("the depot has never heard of it")
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

// A phone whose storage is full: the server takes the code, its answer is lost. Told again it is the same entry, and gets the same answer.
// Keeps: H.3, S31
func TestCourierFullPhoneLosesTheAnswer(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.full()
	p.choose(0)
	p.touch("#arrive")
	p.answered("done", "You're at the door")
	p.loses(true)
	p.typed("48213")
	p.answered("no", "Can't be kept on this phone", "nobody knows whether it got there")
	p.loses(false)
	p.typed("48213")
	p.answered("yes", "Confirmed")
}

// Something between phone and server answers with a page of its own, once: that is no answer, and what was kept stays. Nor is a 401 of its own the end of
// the shift, nor a page that comes with 200 the depot's word.
// Keeps: H.3
func TestCourierAnswerOfSomethingBetween(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.typed("48213")
	p.answered("later", "Will be checked")
	p.run(`{ const real = fetch, answers = [[400, "text/html"], [401, "text/html"], [200, "text/html"], [409, "application/json"], [401, "application/problem+json"]]; window.times = 0;
		window.fetch = async (path, about) => path.startsWith("/courier/") && answers[times] ? new Response("{}", {status: answers[times][0], headers: {"Content-Type": answers[times++][1]}}) : real(path, about); }`)
	p.online(true)
	for n := 1; n < 5; n++ {
		p.run("sync()")
		p.until("times > " + fmt.Sprint(n))
	}
	p.run("sync()")
	p.sees("The code was right. Confirmed.", "5 parcels to deliver")
	if !p.did("code") {
		t.Error("the entry never came to the depot")
	}
}
