// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/countersign/countersign/client"
)

// The shift ends while the courier types: the page says "This shift is over. Nothing was confirmed.", so the parcel goes back. What was typed isn't told later
// as something that happened without signal, and hands nothing over.
// Keeps: H.3, S31
func TestCourierShiftOverIsNoLaterYes(t *testing.T) {
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
	c.until("app.queue.length === 0")
	h, err := c.api.Handover(t.Context(), c.parcels[0].ID)
	must(t, err)
	if h.State == "handed_over" {
		t.Errorf("the courier was told that nothing was confirmed, and kept the parcel; now it is %s by %s, %s", h.State, h.Means, h.Certainty)
	}
}

// The recipient changes the code because somebody asked for it on the phone; the courier has no signal. The recipient's page shows a genuine, newer QR
// code: the courier's phone can't know it, keeps it, and says that it will be checked.
// Keeps: H.2, S31
func TestCourierNewerCodeWithoutSignal(t *testing.T) {
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
	c.answered("Will be checked", "This phone can't check that QR code.")
	c.says("2 entries not sent yet")
	c.online(true)
	c.says("The code was right. Confirmed.")
	if h := c.is(0, "handed_over"); h.Means != "qr" || len(h.Conflicts) > 0 {
		t.Errorf("%+v", h)
	}
}

// The right code is typed twice without signal (the form stays open after "Will be checked"), or the QR code is scanned after it. Both say the same, and
// the depot isn't told of a conflict.
// Keeps: S31
func TestCourierTheSameTwiceWithoutSignal(t *testing.T) {
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
// not sent under the second one's name, and the page says that they are there; when the phone is the first one's again, they are sent.
// Keeps: H.3, S31
func TestCourierEntriesOfAnother(t *testing.T) {
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
	c.says("Li", "2 entries couldn't be sent yet. They stay on this phone.")
	c.run("window.sent = sync().then(() => { window.sent = true; })")
	c.until("window.sent === true")
	if h := c.is(0, "out_for_delivery"); len(h.Conflicts) > 0 {
		t.Errorf("what Kim did was told as Li's: %+v", h.Conflicts)
	}
	c.run("{ const {courier, ...e} = entryOf(app.round.parcels[0], {do: 'arrive'}); window.answered = ''; sender.post(" + quote(kim.Round.Courier) + ", [e]).then((r) => { window.answered = r.status + r.code; }); }")
	c.until("window.answered === '409another_courier'") // nor does the server take it

	link, err = c.api.InviteCourier(t.Context(), kim.Round.Courier)
	must(t, err)
	c.visit(link)
	c.says("The code was right. Confirmed.")
	if h := c.is(0, "handed_over"); len(h.Conflicts) > 0 {
		t.Errorf("%+v", h.Conflicts)
	}
}

// The recipient says "nobody is here", looks again, and says that they are here after all. The courier's page has signal, so it asks rather than going by
// what it remembers.
// Keeps: S30
func TestCourierHereAfterAll(t *testing.T) {
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
	c.answered("Not yet: say you're at the door first")
	c.arrive("You're at the door")
	c.types(code)
	c.answered("Confirmed")
}
