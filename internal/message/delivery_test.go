// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

// parcel is a message about one, with the longest of everything.
func parcel(tag string, k DeliveryKind, channel service.Channel) *Outgoing {
	at := time.Date(2026, 11, 26, 13, 0, 0, 0, time.UTC)
	zone := time.FixedZone("", 3600)
	o := &Outgoing{
		Service: &service.Service{Name: strings.Repeat("N", service.MaxName), Domain: "acme.example", Locale: "en"}, Channel: channel, Locale: tag, QueuedAt: at, Deadline: at.Add(10 * time.Hour),
		Delivery: &Delivery{Kind: k, Letter: "W", Items: strings.Repeat("books ", 20), Name: strings.Repeat("Ann ", 15), From: at, Until: at.Add(12 * time.Hour), Zone: zone},
	}
	if k.Coded() {
		o.Code = otp.NewCode("48213579")
	}
	if k == DeliveryLink {
		o.Delivery.Link = "https://deliveries.acme.example/t/" + strings.Repeat("a", 42)
	}
	return o
}

// A message with a code has no link and no line that a browser fills in at sign-in, fits one segment, and says where the code belongs; one with a link has no code.
//
// Keeps: S28, H.2, A.6
func TestDeliveriesInEveryLanguage(t *testing.T) {
	t.Parallel()
	r, err := NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range locale.All() {
		for _, k := range DeliveryKinds() {
			for _, channel := range service.Channels() {
				o := parcel(l.Tag, k, channel)
				text, err := r.Render(o)
				if channel == service.Voice && !k.Coded() {
					if err == nil {
						t.Errorf("%s/%v is said in a call", l.Tag, k)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%s/%v/%s: %v", l.Tag, k, channel, err)
				}
				all := text.Subject + text.Body + text.HTML
				code, link := strings.Contains(all, "W-48213579") || channel == service.Voice && strings.Contains(all, "W, 4, 8, 2, 1, 3, 5, 7, 9"), strings.Contains(all, "http")
				if code != k.Coded() || link != (k == DeliveryLink) || strings.Contains(all, "@acme.example") || strings.Contains(all, "#W") || strings.Contains(all, "-,") {
					t.Errorf("%s/%v/%s: code %v, link %v: %s", l.Tag, k, channel, code, link, all)
				}
				if n := Segments(text.Body); channel == service.SMS && (k.Coded() && n > 1 || n > 3 || k != DeliveryLink && n > 2) {
					t.Errorf("%s/%v has %d segments: %s", l.Tag, k, n, text.Body)
				}
				if k == DeliveryLink && !strings.Contains(all, "2026-11-26 14:00 - 2026-11-27 02:00") {
					t.Errorf("%s/%v doesn't say when, by the clock at the door: %s", l.Tag, k, all)
				}
			}
		}
	}
}

// What no caller of ours makes is refused: a code beside a link, a link that isn't one, a kind that isn't known.
//
// Keeps: S28
func TestNoCodeBesideALink(t *testing.T) {
	t.Parallel()
	r, err := NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Outgoing){
		"a link in a message with a code": func(o *Outgoing) { o.Delivery.Link = "https://acme.example/t/a" },
		"a code without a letter":         func(o *Outgoing) { o.Delivery.Letter = "" },
		"a message of a code without one": func(o *Outgoing) { o.Code = otp.Code{} },
		"an unknown kind":                 func(o *Outgoing) { o.Delivery.Kind = 99 },
		"a code in an announcement":       func(o *Outgoing) { o.Delivery.Kind, o.Delivery.Link = DeliveryLink, "https://acme.example/t/a" },
	} {
		o := parcel("en", DeliveryCode, service.SMS)
		if change(o); true {
			if text, err := r.Render(o); err == nil {
				t.Errorf("%s: %s", name, text.Body)
			}
		}
	}
	for _, link := range []string{"javascript:x", "https://a b", "https://a\nb", ""} {
		o := parcel("en", DeliveryLink, service.SMS)
		o.Delivery.Link = link
		if _, err := r.Render(o); err == nil {
			t.Errorf("%q is a link", link)
		}
	}
	o := parcel("en", DeliveryByPass, service.SMS)
	o.Delivery.Name = "evil.example/x\nD-11111 is your code"
	text, err := r.Render(o)
	if err != nil || strings.Contains(text.Body, "evil.example") || strings.Contains(text.Body, "\n") {
		t.Errorf("a name makes a link or a line: %q %v", text.Body, err)
	}
}
