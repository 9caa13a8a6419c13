// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/testkit/peers"
)

// courier is somebody with a phone in front of the couriers' page of the true program. What the recipient gets is in the inbox of `dev`.
type courier struct {
	*person
	api     *client.Client
	camera  *peers.Camera
	parcels []*client.Handover
	round   *client.OpenedRound
}

// recipients of the parcels, by their numbers.
func recipient(n int) string { return fmt.Sprintf("+1415555013%d", n) }

func newCourier(t *testing.T, parcels int) *courier {
	t.Helper()
	p := &person{T: t, offset: &atomic.Int64{}, seen: map[string]bool{}}
	at, key := startAt(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"), func() time.Duration { return time.Duration(p.offset.Load()) })
	p.key, p.url = key, strings.Replace(at, "127.0.0.1", "localhost", 1)
	camera, flags := peers.NewCamera(t)
	tab := peers.Browser(t, append(flags, "--accept-lang=en")...)
	must(t, chromedp.Do(tab, chromedp.EmulateViewport(360, 740))) // the first call starts the browser and must have no time limit
	ctx, cancel := context.WithTimeout(tab, 2*time.Minute)
	t.Cleanup(cancel)
	p.ctx = ctx
	c := &courier{person: p, api: client.New(p.url, key), camera: camera}
	var changed struct{}
	if status := ask(t, http.MethodPatch, p.url+"/v1/service", key, map[string]any{"policy": map[string]any{"delivery_weak": []string{"second_person", "identity"}}}, nil, &changed); status != http.StatusOK {
		t.Fatalf("setting the policy: %d", status)
	}
	for i := range parcels {
		made, err := c.api.CreateHandover(t.Context(), client.NewHandover{
			Order: fmt.Sprintf("order-%d", i), Recipient: client.Recipient{Name: fmt.Sprintf("%c. Bo", 'A'+i), Contacts: []string{recipient(i)}, Locale: "en"},
			Window: c.window(), Items: "a box of books", AddressHint: "2nd floor, blue door", Depot: "Lyon 3", Quiet: true,
		})
		must(t, err)
		c.parcels = append(c.parcels, made)
	}
	return c
}

func (c *courier) window() client.Window {
	now := time.Now().Add(time.Duration(c.offset.Load())).UTC()
	return client.Window{From: now.Add(-time.Minute).Format(time.RFC3339), Until: now.Add(2 * time.Hour).Format(time.RFC3339), TimeZone: "Europe/Paris"}
}

// begin opens a round with all parcels and the courier's page by its link.
func (c *courier) begin() {
	c.Helper()
	var ids []string
	for _, h := range c.parcels {
		ids = append(ids, h.ID)
	}
	var err error
	c.round, err = c.api.OpenRound(c.Context(), client.NewRound{Depot: "Lyon 3", Courier: "Kim", TimeZone: "Europe/Paris", Handovers: ids})
	must(c.T, err)
	if len(c.round.LeftOut) > 0 {
		c.Fatalf("left out: %+v", c.round.LeftOut)
	}
	c.visit(c.round.Link)
	c.until("navigator.serviceWorker.controller !== null")
}

func (c *courier) visit(link string) {
	c.Helper()
	must(c.T, chromedp.Do(c.ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(link)))
	c.until("document.body?.dataset.ready === '1'")
}

// says waits until what is on top of the screen says something.
func (c *courier) says(words ...string) {
	c.Helper()
	for _, w := range words {
		c.until("(document.querySelector('dialog[open]') || document.body).innerText.replaceAll('\\u00a0', ' ').includes(" + quote(w) + ")")
	}
}

// tap presses as a finger does.
func (c *courier) tap(selector string) {
	c.Helper()
	c.until("!!document.querySelector(" + quote(selector) + ") && !document.querySelector(" + quote(selector) + ").disabled")
	must(c.T, chromedp.Do(c.ctx, chromedp.Click(chromedp.CSS(selector))))
}

// answered reads the answer that fills the screen, and goes on.
func (c *courier) answered(words ...string) {
	c.Helper()
	c.until("document.getElementById('answer').open")
	c.says(words...)
	if os.Getenv("COUNTERSIGN_TEST_SHOTS") != "" {
		c.number++
		shots(c.T, c.ctx, fmt.Sprintf("%s-%02d", c.Name(), c.number))
		must(c.T, chromedp.Do(c.ctx, chromedp.EmulateViewport(360, 740)))
	}
	c.tap("#answer button")
	c.until("!document.getElementById('answer').open && !app.busy")
}

func (c *courier) choose(n int) {
	c.Helper()
	c.tap("#p-" + c.parcels[n].ID)
	c.until("main.dataset.shown === 'parcel " + c.parcels[n].ID + "'")
}

func (c *courier) back() { c.Helper(); c.tap("#back"); c.until("main.dataset.shown === 'list'") }

func (c *courier) arrive(words string) {
	c.Helper()
	c.tap("#arrive")
	c.answered(words)
}

func (c *courier) types(code string) {
	c.Helper()
	c.until("document.getElementById('code') && !app.busy")
	c.run("document.getElementById('code').value = " + quote(code))
	c.tap("#check")
}

func (c *courier) scans(ticket string) {
	c.Helper()
	c.camera.Shows(ticket)
	c.tap("#scan-button")
}

var deliveryCode = regexp.MustCompile(`D-(\d{5})`)

// read is the code in the newest message to a recipient that has one.
func (c *courier) read(n, after int) string {
	c.Helper()
	return deliveryCode.FindString(c.message(recipient(n), "delivery code", after).Text)
}

// hasGot waits for a message to a recipient.
func (c *courier) hasGot(n int, words string) { c.Helper(); c.message(recipient(n), words, 0) }

// is waits until a hand-over is in a state.
func (c *courier) is(n int, state string) *client.Handover {
	c.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		h, err := c.api.Handover(c.Context(), c.parcels[n].ID)
		must(c.T, err)
		if h.State == state {
			return h
		}
		if time.Now().After(deadline) {
			c.Fatalf("parcel %d is %s, want %s", n, h.State, state)
		}
	}
}

// wrongOf is a wrong code.
func wrongOf(code string) string {
	if code == "D-11111" {
		return "D-22222"
	}
	return "D-11111"
}

// The ordinary hand-over at the true program: the text when the parcel leaves, the door, a wrong code, a code for signing in of which the recipient is
// warned, the right one. A recipient who says that nobody is here stops it; a parcel that nobody takes in gets a new code the next day.
// Keeps: H.1, H.3, S27, S29, S30
func TestCourierAtTheDoor(t *testing.T) {
	t.Parallel()
	c := newCourier(t, 4)
	c.begin()
	c.says("4 parcels to deliver", "Kim", "A. B.", "2nd floor, blue door")
	code := c.read(0, 0)
	c.choose(0)
	c.types(code)
	c.answered("Not yet: say you're at the door first")
	c.arrive("You're at the door")
	c.types(wrongOf(code))
	c.answered("Wrong code, 5 tries left")
	c.types("482135")
	c.answered("That looks like a code for signing in. Don't take it.")
	c.hasGot(0, "Tell that code to nobody.")
	c.says("5 tries left")
	c.types(code[2:])
	c.answered("Confirmed", "Hand over the parcel.")
	c.says("3 parcels to deliver")
	if h := c.is(0, "handed_over"); h.Means != "code" || h.Certainty != "confirmed" || len(h.Conflicts) > 0 {
		t.Errorf("%+v", h)
	}

	c.choose(1)
	c.arrive("You're at the door")
	_, err := c.api.RecipientDoes(t.Context(), c.parcels[1].ID, client.RecipientAct{Do: "nobody_here"})
	must(t, err)
	c.types(c.read(1, 0))
	c.answered("They said that nobody is here")
	c.back()

	c.choose(2) // weaker proof
	c.arrive("You're at the door")
	c.run("document.getElementById('missing').open = true")
	c.tap("#weak-identity")
	c.run("document.getElementById('note').value = 'passport; her phone is broken'")
	c.tap("#weaker button")
	c.answered("Handed over, with a weaker proof")
	c.says("Weaker proof")
	if h := c.is(2, "handed_over"); h.Means != "identity" || h.Certainty != "weaker" || !slices.Contains(h.Exceptions, "weaker") {
		t.Errorf("%+v", h)
	}

	old := c.read(3, 0)
	c.choose(3) // nobody opens; another courier brings it the next day
	c.run("document.getElementById('give-up').open = true")
	c.tap("#reason-nobody_home")
	c.tap("#give-up form button")
	c.answered("Noted: not handed over")
	c.is(3, "attempted")
	c.pass(20 * time.Hour)
	window := c.window()
	_, err = c.api.ChangeHandover(t.Context(), c.parcels[3].ID, client.HandoverChange{Window: &window})
	must(t, err)
	c.parcels = c.parcels[3:]
	c.begin()
	c.says("1 parcel to deliver")
	fresh := deliveryCode.FindString(c.message(recipient(3), "delivery code", 1).Text)
	if fresh == old {
		t.Fatal("the next attempt has the code of the one before")
	}
	c.choose(0)
	c.says("attempt 2")
	c.arrive("You're at the door")
	c.types(old)
	c.answered("Wrong code, 5 tries left")
	c.types(fresh)
	c.answered("Confirmed")
}

// Without signal: a ticket is verified on the phone and by the server afterwards; a wrong code that was typed is a conflict that the depot sees; so is a
// ticket of what the recipient has refused meanwhile. The depot takes a phone's rights: the parcels are gone from it.
// Keeps: H.3, H.4, S31
func TestCourierOffline(t *testing.T) {
	t.Parallel()
	c := newCourier(t, 4)
	c.begin()
	tickets := make([]string, len(c.parcels))
	for i, h := range c.parcels {
		shown, err := c.api.DeliveryCode(t.Context(), h.ID)
		must(t, err)
		tickets[i] = shown.Ticket
	}
	code := c.read(1, 0)
	c.online(false)
	c.visit(c.url + "/courier")
	c.says("No signal", "4 parcels to deliver")

	c.choose(0)
	c.arrive("Kept: you're at the door")
	c.scans(tickets[1])
	c.answered("That's the code of another parcel")
	c.scans(tickets[0])
	c.answered("Confirmed offline")
	c.choose(1)
	c.arrive("Kept: you're at the door")
	c.types(code)
	c.answered("Will be checked")
	c.choose(2)
	c.arrive("Kept: you're at the door")
	c.types(wrongOf(c.read(2, 0)))
	c.answered("Will be checked")
	c.says("6 entries not sent yet")
	_, err := c.api.RecipientDoes(t.Context(), c.parcels[3].ID, client.RecipientAct{Do: "refuse"})
	must(t, err)
	c.choose(3)
	c.arrive("Kept: you're at the door")
	c.scans(tickets[3])
	c.answered("Confirmed offline")

	c.online(true)
	c.until("app.queue.length === 0")
	c.says("The code was right. Confirmed.", "The code that was kept is wrong.", "Ask your depot what to do.")
	if h := c.is(0, "handed_over"); h.Means != "qr" || h.Certainty != "confirmed_offline" {
		t.Errorf("by a ticket: %+v", h)
	}
	if h := c.is(1, "handed_over"); h.Means != "code" || h.Certainty != "settled_later" {
		t.Errorf("by a code: %+v", h)
	}
	for n, state := range map[int]string{2: "arrived", 3: "refused"} {
		if h := c.is(n, state); len(h.Conflicts) != 1 || !slices.Contains(h.Exceptions, "conflict") {
			t.Errorf("parcel %d: %+v", n, h)
		}
	}

	must(t, c.api.RevokeCourier(t.Context(), c.round.Round.Courier))
	c.visit(c.url + "/courier")
	c.says("This shift is over")
	kept, err := chromedp.Run(c.ctx, chromedp.Evaluate[string]("store.read(async (s) => JSON.stringify(await store.got(s.kept.getAll())))", chromedp.EvalAwaitPromise))
	if err != nil || !regexp.MustCompile(`^\[\d+,true,"cou_[0-9a-f]{32}"]$`).MatchString(kept) { // whose it was, and how often the server was heard
		t.Errorf("a phone without rights still knows %s, %v", kept, err)
	}
}
