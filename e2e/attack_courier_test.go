// SPDX-License-Identifier: Apache-2.0

//go:build attack

package e2e

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/client"
)

// The shift ends while the courier types: the page says "This shift is over. Nothing was confirmed.", so the parcel goes back. What was typed stays in the
// phone's queue, is turned into an entry "without signal", and later hands the parcel over.
// Keeps: H.3, S31
func TestAttackShiftOverIsNoLaterYes(t *testing.T) {
	t.Parallel()
	c := newCourier(t, 1)
	var err error
	c.round, err = c.api.OpenRound(t.Context(), client.NewRound{Depot: "Lyon 3", Courier: "Kim", TimeZone: "Europe/Paris", Hours: 1, Handovers: []string{c.parcels[0].ID}})
	must(t, err)
	c.visit(c.round.Link)
	code := c.read(0, 0)
	c.choose(0)
	c.arrive("You're at the door")
	c.pass(61 * time.Minute)
	c.types(code)
	c.answered("This shift is over", "Nothing was confirmed")
	c.visit(c.url + "/courier") // the phone is looked at again, hours later perhaps
	time.Sleep(2 * time.Second)
	h, err := c.api.Handover(t.Context(), c.parcels[0].ID)
	must(t, err)
	if h.State == "handed_over" {
		t.Errorf("the courier was told that nothing was confirmed, and kept the parcel; now it is %s by %s, %s", h.State, h.Means, h.Certainty)
	}
}

// The recipient changes the code because somebody asked for it on the phone; the courier has no signal. The recipient's page shows a genuine, newer QR
// code, and the courier's phone calls it an old one and keeps nothing.
// Keeps: H.2, S31
func TestAttackNewerCodeWithoutSignal(t *testing.T) {
	t.Parallel()
	c := newCourier(t, 1)
	c.begin()
	c.online(false)
	_, err := c.api.RecipientDoes(t.Context(), c.parcels[0].ID, client.RecipientAct{Do: "asked_by_phone"})
	must(t, err)
	shown, err := c.api.DeliveryCode(t.Context(), c.parcels[0].ID)
	must(t, err)
	c.choose(0)
	c.arrive("Kept: you're at the door")
	c.scans(shown.Ticket)
	c.until("document.getElementById('answer').open")
	says, err := chromedp.Run(c.ctx, chromedp.Evaluate[string]("document.getElementById('answer-word').textContent + ' / ' + app.queue.filter((e) => e.do === 'ticket').length"))
	must(t, err)
	if says == "That QR code is an old one / 0" {
		t.Errorf("the newest genuine QR code: %q (entries kept)", says)
	}
}

// The right code is typed twice without signal (the form stays open after "Will be checked"), or the QR code is scanned after it. Both say the same, and
// the depot is told of a conflict.
// Keeps: S31
func TestAttackTheSameTwiceWithoutSignal(t *testing.T) {
	t.Parallel()
	c := newCourier(t, 2)
	c.begin()
	shown, err := c.api.DeliveryCode(t.Context(), c.parcels[1].ID)
	must(t, err)
	codes := []string{c.read(0, 0), c.read(1, 0)}
	c.online(false)
	for n, code := range codes {
		c.choose(n)
		c.arrive("Kept: you're at the door")
		c.types(code)
		c.answered("Will be checked")
		c.choose(n)
		if n == 0 {
			c.types(code)
			c.answered("Will be checked")
		} else {
			c.scans(shown.Ticket)
			c.answered("Confirmed offline")
		}
	}
	c.online(true)
	c.until("app.queue.length === 0")
	for n := range codes {
		if h := c.is(n, "handed_over"); len(h.Conflicts) > 0 {
			t.Errorf("parcel %d was handed over by the right code, and the same said again is a conflict: %+v", n, h.Conflicts)
		}
	}
}

// A depot's phone goes from one courier to the next with entries on it that can't be sent any more by the first (they have another phone by now). They are
// sent under the second one's name.
// Keeps: H.3, S31
func TestAttackEntriesOfAnotherCourier(t *testing.T) {
	t.Parallel()
	c := newCourier(t, 2)
	first := c.parcels[0]
	open := func(courier, id string) *client.OpenedRound {
		r, err := c.api.OpenRound(t.Context(), client.NewRound{Depot: "Lyon 3", Courier: courier, TimeZone: "Europe/Paris", Handovers: []string{id}})
		must(t, err)
		return r
	}
	kim := open("Kim", first.ID)
	c.visit(kim.Link)
	c.until("navigator.serviceWorker.controller !== null")
	code := c.read(0, 0)
	c.choose(0)
	c.online(false)
	c.arrive("Kept: you're at the door")
	c.types(code)
	c.answered("Will be checked")
	link, err := c.api.InviteCourier(t.Context(), kim.Round.Courier) // Kim gets another phone
	must(t, err)
	token := link[len(c.url+"/courier#"):]
	if status := ask(t, "POST", c.url+"/courier/enrol", "", map[string]any{"token": token}, nil, nil); status != 200 {
		t.Fatalf("Kim's other phone: %d", status)
	}
	li := open("Li", c.parcels[1].ID)
	c.online(true)
	c.visit(li.Link)
	c.says("Li")
	c.until("app.queue.length === 0")
	h, err := c.api.Handover(t.Context(), first.ID)
	must(t, err)
	if len(h.Conflicts) > 0 && h.Conflicts[0].Result == "not_yours" {
		t.Errorf("what Kim typed, the right code, was told as Li's and isn't on the phone any more; the parcel is %s, with %+v", h.State, h.Conflicts)
	}
}

// The recipient says "nobody is here", looks again, and says that they are here after all. The courier's page has signal, and goes on refusing by what it
// remembers: it asks nobody, and offers no "I'm at the door".
// Keeps: S30
func TestAttackHereAfterAll(t *testing.T) {
	t.Parallel()
	c := newCourier(t, 1)
	c.begin()
	code := c.read(0, 0)
	c.choose(0)
	c.arrive("You're at the door")
	does := func(what string) {
		_, err := c.api.RecipientDoes(t.Context(), c.parcels[0].ID, client.RecipientAct{Do: what})
		must(t, err)
	}
	does("nobody_here")
	c.types(code)
	c.answered("They said that nobody is here")
	does("here_after_all")
	c.types(code)
	c.until("document.getElementById('answer').open")
	says, err := chromedp.Run(c.ctx, chromedp.Evaluate[string]("document.getElementById('answer-word').textContent"))
	must(t, err)
	c.tap("#answer button")
	c.until("!document.getElementById('answer').open && !app.busy")
	again, err := chromedp.Run(c.ctx, chromedp.Evaluate[bool]("!!document.getElementById('arrive')"))
	must(t, err)
	if says == "They said that nobody is here" && !again {
		t.Errorf("the recipient has resumed it; with signal the page says %q, without asking, and has no button for the door", says)
	}
}
