// SPDX-License-Identifier: Apache-2.0

//go:build attack

package web

import (
	"strings"
	"testing"
	"time"
)

// Without signal a weaker proof is taken where the phone itself knows that the server won't: before "I'm at the door", and after the recipient has said
// that nobody is here. The parcel is closed, and the depot gets a conflict.
// Keeps: H.5, S30
func TestAttackWeakerProofWithoutSignal(t *testing.T) {
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

// Somebody reads out a code for signing in while there is no signal. "With signal the recipient is warned", the page says; nothing is kept, and nobody ever is.
// Keeps: S27
func TestAttackSignInCodeWithoutSignal(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.choose(0)
	p.arrive()
	p.online(false)
	p.typed("482135")
	p.answered("stop", "That looks like a code for signing in. Don't take it.", "With signal the recipient is warned.")
	p.online(true)
	eval[bool](p, "sync().then(() => true)")
	if n := len(p.judged(1)); n < 2 {
		t.Error("with signal again, the depot doesn't hear of it")
	}
}

// A new link is opened while a shift is on, and it doesn't work: not now, or not at all. The page shows the old list and says nothing.
// Keeps: H.3
func TestAttackLinkThatFailsDuringAShift(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.run("location.hash = '#crt_of-another-day'")
	p.until("document.body.dataset.ready === '1' && app.problem !== ''")
	if text := eval[string](p, "document.body.innerText"); !strings.Contains(text, "This link doesn't work") {
		t.Errorf("a link that doesn't work: the page shows %q and no problem", eval[string](p, "document.querySelector('h1').textContent"))
	}
}

// The phone is stolen and kept without signal. The shift ended hours ago; the list is still shown when the page is opened.
// Keeps: H.3
func TestAttackShiftThatEndedWithoutSignal(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.begin()
	p.online(false)
	p.run(`window.moved = store.write(async (s) => { const r = await store.got(s.kept.get('round')), back = 10 * 3600000;
		s.kept.put({...r, until: new Date(Date.parse(r.until) - back).toISOString()}, 'round'); })`)
	eval[bool](p, "moved.then(() => true)")
	p.open("/courier")
	if text := eval[string](p, "document.body.innerText"); strings.Contains(text, "blue door") {
		t.Error("hours after the end of the shift the phone shows initials and address hints")
	}
}

// What is in a parcel may be one long reference.
// Keeps: F.3
func TestAttackLongItems(t *testing.T) {
	t.Parallel()
	p := newPhone(t)
	p.depot.round.Parcels[0].Items = strings.Repeat("0123456789abcdef", 3)
	p.begin()
	p.choose(0)
	p.sees("0123456789abcdef")
}
