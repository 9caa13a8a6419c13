// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/client"
)

// signInAs gives this browser the session of somebody of the staff.
func (p *person) signInAs(session string) {
	p.Helper()
	_, err := chromedp.Call(p.ctx, network.SetCookie, network.SetCookieParams{Name: "session", Value: session, URL: p.url, HTTPOnly: new(true)})
	must(p.T, err)
}

// A depot's day: a courier is sent out with a link that works once, a parcel with six wrong codes is seen and released by a second person, the proof is downloaded, a
// phone that was stolen is signed out. Orders are found by their exact reference only.
//
// Keeps: H.5, H.6, S29, S31
func TestDepot(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.phone()
	d := &desk{T: t, url: p.url, key: p.key, Client: client.New(p.url, p.key), mails: map[string]int{}}
	if code := ask(t, "POST", p.url+"/v1/staff", p.key, map[string]any{"contact": "dora@acme.example", "role": "depot"}, nil, nil); code != 201 {
		t.Fatalf("the invitation: %d", code)
	}
	p.signUp()
	p.open("/depot") // a customer isn't staff
	p.sees("Your role may not do that")
	p.signInAs(d.agent("dora@acme.example").session)
	now := time.Now().Add(time.Duration(p.offset.Load())).UTC()
	made := map[string]*client.Handover{}
	for _, order := range []string{"1182", "1183"} {
		var err error
		made[order], err = d.CreateHandover(t.Context(), client.NewHandover{
			Order: order, Recipient: client.Recipient{Name: "Maria Bell", Contacts: []string{"+14155550142"}, Locale: "en"}, Items: "a box of books", AddressHint: "2nd floor, blue door",
			Window: client.Window{From: now.Format(time.RFC3339), Until: now.Add(2 * time.Hour).Format(time.RFC3339), TimeZone: "UTC"}, Depot: "Lyon 3",
		})
		must(t, err)
	}

	p.open("/depot")
	p.sees("Which depot is this?", "Time zone")
	p.press("main form button.primary")
	p.sees("Say which depot this is.")
	p.fill("#depot", "Lyon 3")
	p.fill("#zone", "Mars/Olympus")
	p.press("main form button.primary")
	p.sees("Give a name such as Europe/Berlin.")
	p.fill("#zone", "UTC")
	p.press("main form button.primary")
	p.sees("Lyon 3, 20", "No rounds on this day.")
	p.press("a[href='/depot/round']")
	p.fill("#courier", "Kim 17")
	p.run(`document.querySelector("#orders").value = "1182\n118"`)
	p.press("main form button.primary")
	p.sees("We have nothing for this order", "118")
	p.run(`document.querySelector("#orders").value = "1182\n1183\n1182"`)
	p.press("main form button.primary")
	p.sees("Let the courier scan this", "/courier#crt_")
	link := p.text(".secret")
	p.open("/depot")
	p.sees("Kim 17", "No phone is signed in yet", "1182", "M. B.", "On its way", "Handed over by code")

	phone := p.stranger()
	token := link[strings.Index(link, "#")+1:]
	if code := ask(t, "POST", p.url+"/courier/enrol", "", map[string]any{"token": token}, nil, nil); code != 200 {
		t.Fatalf("the courier's phone: %d", code)
	}
	if code := ask(t, "POST", p.url+"/courier/enrol", "", map[string]any{"token": token}, nil, nil); code != 401 {
		t.Fatalf("the link works twice: %d", code)
	}
	p.open("/depot")
	p.sees("Signed in")
	act := func(in client.Act) {
		in.Courier = "Kim 17"
		_, err := d.Act(t.Context(), made["1182"].ID, in)
		must(t, err)
	}
	act(client.Act{Do: "arrive"})
	for range 6 {
		act(client.Act{Do: "code", Code: "D-00000"})
	}
	clear(p.seen) // the day is another page now that there is something on it
	p.open("/depot")
	p.sees("At the door", "six wrong codes", "no position")
	p.press("a[href='/depot/order?order=1182']")
	p.sees("Order 1182", "Maria", "2nd floor, blue door", "Kim 17", "six wrong codes", "What happened", "Messages")
	p.run("document.querySelectorAll('details')[2].open = true")
	p.sees("Warning: six wrong codes")
	p.press("button[value=release]")
	p.sees("Say what was checked, and why there is no code.")
	p.fill("input[name=note]", "called the number of the order, passport seen")
	p.press("button[value=release]")
	p.sees("Handed over", "released by the depot, weaker proof", "without a code", "Download the proof", "Who did what")
	p.run("document.querySelectorAll('details')[1].open = true")
	clear(p.seen)
	p.sees("Looked up", "Handed over without a code: called the number of the order, passport seen", "you · ")
	p.open("/depot/order")
	p.fill("#order", "11")
	p.press("main form button.primary")
	p.sees("We have nothing for this order")
	p.open("/depot")
	p.press("a[href^='/depot/courier/']")
	p.sees("Sign this courier's phone out?", "Kim 17", "Keep it")
	p.press("button[value=revoke]")
	p.sees("No phone is signed in yet", "Who did what")
	p.run("document.querySelector('section details').open = true")
	clear(p.seen)
	p.sees("Opened by you", "Phone signed out")
	p.press("button[value=invite]")
	p.sees("Let the courier scan this")
	if phone.open("/depot"); strings.Contains(phone.last, "Kim 17") {
		t.Fatal("a stranger sees the depot")
	}
}

// A day of many parcels is summed up: of each round those that somebody has to look at, and a page with the others.
//
// Keeps: H.5
func TestDepotOfManyParcels(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.phone()
	d := &desk{T: t, url: p.url, key: p.key, Client: client.New(p.url, p.key), mails: map[string]int{}}
	if code := ask(t, "POST", p.url+"/v1/staff", p.key, map[string]any{"contact": "dora@acme.example", "role": "depot"}, nil, nil); code != 201 {
		t.Fatalf("the invitation: %d", code)
	}
	now := time.Now().UTC()
	const each = 110
	for _, courier := range []string{"Kim", "Lou"} {
		made, err := d.CreateHandovers(t.Context(), func(yield func(client.NewHandover) bool) {
			for i := range each {
				if !yield(client.NewHandover{
					Order: fmt.Sprintf("%s-%03d", courier, i), Recipient: client.Recipient{Name: "Maria Bell", Contacts: []string{"maria@mail.example"}}, Quiet: true, Depot: "Lyon 3",
					Window: client.Window{From: now.Format(time.RFC3339), Until: now.Add(2 * time.Hour).Format(time.RFC3339), TimeZone: "UTC"},
				}) {
					return
				}
			}
		})
		must(t, err)
		var ids []string
		for _, line := range made.Lines {
			ids = append(ids, line.ID)
		}
		r, err := d.OpenRound(t.Context(), client.NewRound{Depot: "Lyon 3", Courier: courier, TimeZone: "UTC", Handovers: ids})
		must(t, err)
		if len(ids) != each || len(r.LeftOut) > 0 {
			t.Fatalf("%d parcels, left out: %v", len(ids), r.LeftOut)
		}
		_, err = d.Act(t.Context(), ids[7], client.Act{Courier: courier, Do: "arrive"}) // without a position
		must(t, err)
	}
	p.signInAs(d.agent("dora@acme.example").session)
	p.open("/depot")
	p.fill("#depot", "Lyon 3")
	p.fill("#zone", "UTC")
	p.press("main form button.primary")
	p.sees("On its way: 109 · At the door: 1", "Kim-007", "Lou-007", "no position")
	if strings.Contains(p.text("main"), "-008") {
		t.Fatal("a parcel that nobody has to look at is on the page of a day of many")
	}
	p.press("a[href^='/depot/round/rnd_']")
	p.sees("Lou-007", "Lou-008", "Back to the depot")
	if strings.Contains(p.text("main"), "Kim-") {
		t.Fatal("another courier's parcel is on the page of a round")
	}
	p.press("p.ways a")
	p.sees("Figures of the day")
	p.open("/depot?date=tomorrow")
	p.sees("Give a date such as")
	p.open("/depot/round/rnd_" + strings.Repeat("0", 32))
	p.sees("There is no such round.")
	p.open("/depot/round/1")
	p.sees("There is no such round.")
}

// With `dev` alone one person plays the shopper, the courier and the depot: a parcel is made, leaves, is shown on its tracking page, and the courier's link works.
//
// Keeps: H.1
func TestParcelsOfDev(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	p.phone()
	p.open("/parcels")
	p.sees("Send a parcel", "The depot's day")
	p.fill("#field", "no number")
	p.press("form[action='/parcels'] button")
	p.sees("There is a problem")
	p.fill("#field", annPhone)
	p.press("form[action='/parcels'] button")
	p.sees("a box of books for Maria: created", "The shopper's tracking page")
	p.message(annPhone, "your parcel", 0)
	p.press("form[action='/parcels/out'] button")
	p.sees("out for delivery", "The courier's link")
	p.message(annPhone, "delivery code", 0)
	p.press("button[value=release]")
	p.sees("handed over", "second person, weaker")
}
