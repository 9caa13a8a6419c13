// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

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
				if n := Segments(text.Body); channel == service.SMS && (k.Coded() && n > 1 || n > 2) {
					t.Errorf("%s/%v has %d segments: %s", l.Tag, k, n, text.Body)
				}
				if window := "2026-11-26 14:00 - 2026-11-27 02:00"; k == DeliveryLink && !strings.Contains(all, window) &&
					(channel == service.Email || SizeOf(text.Body).Alphabet == GSM7 || !strings.Contains(all, "2026-11-26")) {
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
		"a digit for a letter":            func(o *Outgoing) { o.Delivery.Letter = "7" },
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

// saying is how a language names a delivery code, and how it says where it belongs and where it never does.
var saying = map[string][3]string{
	"en": {"delivery", "only at the door", "never "}, "de": {"zustell", "nur an der ", "nie am telefon"}, "es": {"entrega", "en la puerta", "nunca por teléfono"},
	"fr": {"livraison", "à la porte", "jamais au téléphone"}, "pt": {"entrega", "apenas na porta", "nunca por telefone"}, "hi": {"डिलीवरी", "केवल दरवाज़े पर", "कभी नहीं"},
	"ar": {"تسليم", "عند الباب فقط", "أبدًا"}, "ja": {"受け取りコード", "玄関でだけ", "電話では決して言わ"}, "zh-Hans": {"收货码", "只在门口说", "绝不在电话里说"},
}

// However short a message with a code gets, it says that the code is a delivery's, that it is said at the door only, and never on the phone; it is read
// back when it is pasted at the door, and is no code at the sign-in. Nothing of a message without a code is read as one.
//
// Keeps: S27, H.2
func TestDeliveryCodesSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	r, err := NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range locale.All() {
		for _, k := range DeliveryKinds() {
			for _, name := range []string{"Acme", strings.Repeat("N", service.MaxName), strings.Repeat("本", service.MaxName)} {
				for _, digits := range []string{"48213", "48213579"} {
					for _, channel := range service.Channels() {
						o := parcel(l.Tag, k, channel)
						if o.Service.Name = name; k.Coded() {
							o.Code = otp.NewCode(digits)
						} else if channel == service.Voice {
							continue
						}
						text, err := r.Render(o)
						if err != nil {
							t.Fatal(err)
						}
						if channel == service.SMS && k.Coded() && Segments(text.Body) != 1 {
							t.Errorf("%s/%v: %+v: %s", l.Tag, k, SizeOf(text.Body), text.Body)
						}
						if channel != service.Voice {
							readBack(t, k, text.Body, digits)
						}
						for _, must := range saying[l.Tag] {
							if k.Coded() && !strings.Contains(strings.ToLower(text.Body), must) {
								t.Errorf("%s/%v/%s doesn't say %q: %s", l.Tag, k, channel, must, text.Body)
							}
						}
						if first := strings.IndexFunc(text.Body, unicode.IsLetter); l.Dir == "rtl" && !strings.HasPrefix(text.Body, "W-") {
							if c, _ := utf8.DecodeRuneInString(text.Body[first:]); !unicode.Is(unicode.Arabic, c) {
								t.Errorf("%s/%v/%s would be laid out from left to right: %s", l.Tag, k, channel, text.Body)
							}
						} else if l.Dir == "rtl" {
							t.Errorf("%s/%v/%s begins with its code: %s", l.Tag, k, channel, text.Body)
						}
					}
				}
			}
		}
	}
}

// readBack pastes a message into both kinds of field.
func readBack(t *testing.T, k DeliveryKind, text, digits string) {
	t.Helper()
	got := otp.ParseDelivery(text, otp.DeliveryShape{Letter: 'W', Digits: len(digits), SignIn: 6})
	if (got.Kind == otp.TypedCode) != k.Coded() || k.Coded() && !got.Code.Equal(otp.NewCode(digits)) {
		t.Errorf("%v at the door is %s: %s", k, got.Kind, text)
	}
	for n := otp.MinDigits; n <= otp.MaxDigits; n++ {
		if n == len(digits) {
			continue // never as many as a delivery code's
		}
		if got := otp.Parse(text, otp.Shape{Digits: n, Host: "acme.example"}); got.Kind == otp.TypedCode {
			t.Errorf("%v at the sign-in is read as a code of %d digits: %s", k, n, text)
		}
	}
}

// A window within a day is said with one date, by the clock at the door.
func TestWindows(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 13, 0, 0, 0, time.UTC)
	for want, d := range map[string]*Delivery{
		"2026-11-26 14:00-16:00":              {From: at, Until: at.Add(2 * time.Hour), Zone: time.FixedZone("", 3600)},
		"2026-11-26 13:00-15:00":              {From: at, Until: at.Add(2 * time.Hour)},
		"2026-11-26 22:00 - 2026-11-27 02:00": {From: at, Until: at.Add(4 * time.Hour), Zone: time.FixedZone("", 9*3600)},
	} {
		if got := windowOf(d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
