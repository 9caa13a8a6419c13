// SPDX-License-Identifier: Apache-2.0

package web

import (
	"strings"
	"testing"
	"time"
)

// Without signal a weaker proof isn't taken where the phone itself knows that the server won't: before "I'm at the door", and after the recipient has said
// that nobody is here.
// Keeps: H.5, S30
func TestCourierWeakerProofWithoutSignal(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.depot.round.Parcels[1].ArrivedAt, p.depot.round.Parcels[1].Stopped = time.Now(), true
	p.begin()
	p.online(false)
	for n, want := range []string{"Not yet: say you're at the door first", "They said that nobody is here"} {
		p.choose(n)
		p.press("#weak-photo")
		p.run("document.getElementById('note').value = 'her phone is broken'")
		p.press("#weaker button")
		p.until("document.getElementById('answer').open")
		if word := eval[string](p, "document.getElementById('answer-word').textContent"); word != want {
			t.Errorf("the page says %q, want %q", word, want)
		}
		p.touch("#answer button")
		p.until("!document.getElementById('answer').open && !app.busy")
		p.run("leave()")
		p.until("main.dataset.shown === 'list'")
	}
}

// Somebody reads out a code for signing in while there is no signal: it isn't kept, but that it happened is, and costs no try. With signal the recipient is warned.
// Keeps: S27
func TestCourierSignInCodeWithoutSignal(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.typed("482135")
	p.answered("stop", "That looks like a code for signing in. Don't take it.", "With signal the recipient is warned.")
	p.sees("6 tries left", "1 entry not sent yet")
	p.online(true)
	if e := p.judged(2)[1]; e.Do != "sign_in_code" || e.Code+e.Sealed != "" {
		t.Errorf("the depot hears of %+v", e)
	}
	p.until("app.queue.length === 0")
	if n := eval[int](p, "app.notices.length"); n != 0 {
		t.Errorf("%d notices of what the courier knows", n)
	}
}

// A new link is opened while a shift is on, and it doesn't work: not now, or not at all. The list stays, and the page says so.
// Keeps: H.3
func TestCourierLinkThatFailsDuringAShift(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.run("location.hash = '#crt_of-another-day'")
	p.sees("This link doesn't work", "6 parcels to deliver")
	p.press("#understood")
	p.until("!document.querySelector('.summary')")
	p.loses(true)
	p.depot.mu.Lock()
	p.depot.device = "" // another link
	p.depot.mu.Unlock()
	p.run("location.hash = '#" + depotToken + "'")
	p.sees("The server can't do it right now.", "6 parcels to deliver")
	p.loses(false)
	p.press("#again")
	p.until("!document.querySelector('.summary')")
	p.sees("6 parcels to deliver")
}

// The phone is stolen and kept without signal. The shift ended hours ago: the list isn't shown when the page is opened.
// Keeps: H.3
func TestCourierShiftThatEndedWithoutSignal(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.online(false)
	p.run(`window.moved = store.write(async (s) => { const r = await store.got(s.kept.get('round')), back = 10 * 3600000;
		s.kept.put({...r, until: new Date(Date.parse(r.until) - back).toISOString()}, 'round'); })`)
	eval[bool](p, "moved.then(() => true)")
	p.run("location.reload()")
	p.sees("This shift is over")
	if text := eval[string](p, "document.body.innerText"); strings.Contains(text, "blue door") {
		t.Error("hours after the end of the shift the phone shows initials and address hints")
	}
	p.online(true) // it was the phone's idea of the time: the depot says that it is on
	p.sees("6 parcels to deliver")
}

// What is in a parcel may be one long reference.
// Keeps: F.3
func TestCourierLongItems(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.depot.round.Parcels[0].Items = strings.Repeat("0123456789abcdef", 3)
	p.begin()
	p.choose(0)
	p.sees("0123456789abcdef")
}
