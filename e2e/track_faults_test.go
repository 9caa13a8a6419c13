// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/client"
)

// Who has nothing but the link sees nothing of the recipient's contacts, not even masked: neither on the pages that ask for the proof nor on the one that
// asks for the code.
// Keeps: S28
func TestTrackContactsByTheLink(t *testing.T) {
	t.Parallel()
	p, d := tracked(t, func(n *client.NewHandover) {
		n.Recipient.Contacts = []string{annPhone, "maria.bell@clinic-for-hiv.example"}
	})
	s := p.stranger()
	for _, path := range []string{"", "/share", "/send", "/day", "/refuse", "/asked", "/code"} {
		s.open(d.path + path)
		for _, secret := range []string{"clinic", "ending in", "Bell", "1182"} {
			if strings.Contains(main(s.last), secret) {
				t.Errorf("GET %s shows %q", path, secret)
			}
		}
	}
	s.post(d.path + "/prove")
	if strings.Contains(s.last, "clinic") || strings.Contains(s.last, "ending in") {
		t.Error("POST /prove shows the recipient's contacts")
	}
	s.post(d.path+"/prove", "contact", "1").says("Enter the code we sent", "the email address on file")
	for _, path := range []string{"/step", "/step/why", "/step/send"} {
		if s.open(path); strings.Contains(main(s.last), "clinic") || strings.Contains(main(s.last), "...@") {
			t.Errorf("%s shows the recipient's contact", path)
		}
	}
}

func main(page string) string {
	_, page, _ = strings.Cut(page, "<main")
	page, _, _ = strings.Cut(page, "</main>")
	return page
}

// Long words at 360 pixels: of the recipient's page, a neighbour's, and the depot's.
// Keeps: F.3
func TestLongWordsOfDeliveries(t *testing.T) {
	t.Parallel()
	w, order := "Wolfeschlegelsteinhausenbergerdorff", strings.Repeat("0123456789abcdef", 2)
	p, d := tracked(t, func(n *client.NewHandover) {
		n.Order, n.Recipient.Name, n.Items, n.AddressHint = order, w, w, w
	})
	p.phone()
	wide := func(where string) {
		t.Helper()
		p.phone() // pictures are taken at other widths, too
		p.until("document.readyState === 'complete'")
		if n := p.width(); n > 360 {
			t.Errorf("%s is %d pixels wide on a screen of 360", where, n)
		}
	}
	p.proves(d)
	wide("the recipient's page")
	d.leaves()
	pass, err := d.api.Share(t.Context(), d.id, w)
	must(t, err)
	_, path, _ := strings.Cut(pass.Link, "/p/")
	p.open("/p/" + path)
	wide("the pass")
	p.open(d.path + "/share")
	wide("the passes")
	desk := &desk{T: t, url: p.url, key: p.key, Client: client.New(p.url, p.key), mails: map[string]int{}}
	if code := ask(t, "POST", p.url+"/v1/staff", p.key, map[string]any{"contact": "dora@acme.example", "role": "depot"}, nil, nil); code != 201 {
		t.Fatalf("the invitation: %d", code)
	}
	p.signInAs(desk.agent("dora@acme.example").session)
	p.open("/depot/order?order=" + order)
	wide("the depot's page of an order")
	p.press("button[value=release]") // without a note
	p.sees("Say what was checked")
	if at := p.text("#summary a"); at != "" {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("!!document.querySelector(document.querySelector('#summary a').getAttribute('href'))"))
		if must(t, err); !ok {
			t.Error("the link at the top of the page leads to no field")
		}
	}
	_, err = d.api.OpenRound(t.Context(), client.NewRound{Depot: "Lyon 3", Courier: w, TimeZone: "UTC"})
	must(t, err)
	p.open("/depot")
	p.fill("#depot", "Lyon 3")
	p.fill("#zone", "UTC")
	p.press("main form button.primary")
	wide("the depot's day")
}

func (p *person) width() int {
	p.Helper()
	n, err := chromedp.Run(p.ctx, chromedp.Evaluate[int]("document.documentElement.scrollWidth"))
	must(p.T, err)
	return n
}

// Whoever has a forwarded link, or a pass, keeps four pages open: the recipient's own page is still kept up to date.
// Keeps: S30
func TestTrackPlacesOfTheLink(t *testing.T) {
	t.Parallel()
	p, d := tracked(t, nil)
	p.proves(d)
	p.open("/help")
	for range 4 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+d.path+"/live", nil)
		must(t, err)
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer res.Body.Close()
	}
	p.open(d.path)
	d.leaves()
	d.arrives()
	p.until("document.querySelector('h1').textContent.includes('at your door') || !document.getElementById('unsure').hidden")
	if !strings.Contains(p.text("h1"), "at your door") {
		t.Errorf("the recipient isn't shown that the courier says they're at the door: %s", p.text("main"))
	}
}

// Who goes through the page by keyboard stands on a link when the state changes, and still does afterwards.
// Keeps: F.3
func TestTrackFocusWhenTheStateChanges(t *testing.T) {
	t.Parallel()
	p, d := tracked(t, nil)
	p.proves(d)
	p.run("document.querySelector('a[href$=refuse]').focus()")
	d.leaves()
	p.title("On its way")
	at, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.activeElement.outerHTML"))
	if must(t, err); !strings.Contains(at, "refuse") {
		t.Errorf("the focus is on %s", at)
	}
}
