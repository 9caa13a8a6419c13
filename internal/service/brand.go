// SPDX-License-Identifier: Apache-2.0

package service

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strings"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
)

// Brand is how a service looks on its pages and how its support is reached. Every field may be empty.
type Brand struct {
	AccentLight  string `json:"accent_light" doc:"Colour of buttons and links on light pages, #rrggbb; empty: #0b5f73."`
	AccentDark   string `json:"accent_dark" doc:"The same on dark pages; empty: #6cc3d8."`
	SupportEmail string `json:"support_email" doc:"Where people write to when they need help."`
	SupportPhone string `json:"support_phone" doc:"What they call: with + and country."`
	SupportURL   string `json:"support_url" doc:"The page that helps them: https only."`
	Logo         Logo   `json:"-"` // has requests of its own

	// What is the service's own; see Ours.
	Senders         []string `json:"senders,omitempty" doc:"Names and numbers that its texts and calls come from, beside those of the configuration; at most 20."`
	CallbackNumbers []string `json:"callback_numbers,omitempty" doc:"Numbers to call it back, E.164; at most 20."`
	Domains         []string `json:"domains,omitempty" doc:"Hosts that are its own, beside the one of its pages: lower case, without https://; at most 20."`
}

// The colours that accents are used with: the pages' backgrounds and the two texts on a button.
const (
	PageLight = "#ffffff"
	PageDark  = "#14191c"
)

const (
	defaultAccentLight = "#0b5f73"
	defaultAccentDark  = "#6cc3d8"
)

// minContrast is what text of normal size needs (WCAG 2.2, 1.4.3, level AA).
const minContrast = 4.5

// Accents are the colours for light and for dark pages: the brand's own or the defaults.
func (b *Brand) Accents() (light, dark string) {
	light, dark = b.AccentLight, b.AccentDark
	if light == "" {
		light = defaultAccentLight
	}
	if dark == "" {
		dark = defaultAccentDark
	}
	return light, dark
}

// TextOn is the colour of text on a button in the accent: PageLight or PageDark, whichever contrasts more. An accent that
// Validate took has at least 4.5:1 with it: with one of the two, because it has that with its page.
func TextOn(accent string) string {
	l, ok := luminance(accent)
	if !ok {
		return PageDark
	}
	white, _ := luminance(PageLight)
	black, _ := luminance(PageDark)
	if contrast(l, white) >= contrast(l, black) {
		return PageLight
	}
	return PageDark
}

// luminance is the relative luminance of a colour #rrggbb (WCAG 2.2, definitions); false if it isn't one.
func luminance(color string) (float64, bool) {
	digits, ok := strings.CutPrefix(color, "#")
	rgb, err := hex.DecodeString(digits)
	if !ok || err != nil || len(rgb) != 3 {
		return 0, false
	}
	linear := func(b byte) float64 {
		c := float64(b) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(rgb[0]) + 0.7152*linear(rgb[1]) + 0.0722*linear(rgb[2]), true
}

// contrast is the contrast ratio of two luminances: 1 to 21.
func contrast(a, b float64) float64 { return (max(a, b) + 0.05) / (min(a, b) + 0.05) }

const (
	maxSupportEmail = 254
	maxSupportURL   = 200
)

var phoneForm = regexp.MustCompile(`^\+[1-9][0-9 ()-]{5,30}$`)

// Validate tells every problem of the brand at once; nil if there is none.
func (b *Brand) Validate() error {
	var problems []*fault.Error
	add := func(field, code, message string) {
		problems = append(problems, fault.New(fault.Invalid, code, message).WithField("brand."+field))
	}
	accent := func(field, color, page, name string) {
		if color == "" {
			return
		}
		l, ok := luminance(color)
		if !ok {
			add(field, "invalid_accent", field+" must be # and six hexadecimal digits, such as "+defaultAccentLight+".")
			return
		}
		ground, _ := luminance(page)
		if ratio := contrast(l, ground); ratio < minContrast {
			// Rounded down, so that what falls short never reads as if it were enough.
			add(field, "low_contrast", fmt.Sprintf("%s has a contrast of %.2f to 1 with the %s page (%s); it needs %.1f to 1.",
				field, math.Floor(ratio*100)/100, name, page, minContrast))
		}
	}
	accent("accent_light", b.AccentLight, PageLight, "light")
	accent("accent_dark", b.AccentDark, PageDark, "dark")
	if b.SupportEmail != "" {
		// A mailto link shows it as it stands, so nothing around the address is taken.
		if _, err := contact.ParseEmail(b.SupportEmail); err != nil || len(b.SupportEmail) > maxSupportEmail || !printable(b.SupportEmail) {
			add("support_email", "invalid_support", "support_email must be an email address such as help@acme.example.")
		}
	}
	if b.SupportPhone != "" && (!phoneForm.MatchString(b.SupportPhone) || !phoneLength(b.SupportPhone)) {
		add("support_phone", "invalid_support", "support_phone must be a number with + and country, such as +1 415 555 0100.")
	}
	if b.SupportURL != "" && !isPage(b.SupportURL) {
		add("support_url", "invalid_support", fmt.Sprintf("support_url must be an https address such as https://acme.example/help, of at most %d characters.", maxSupportURL))
	}
	b.validateLists(add)
	return fault.Join(problems...)
}

// phoneLength tells whether a number has as many digits as numbers have (ITU-T E.164).
func phoneLength(number string) bool {
	n := 0
	for _, r := range number {
		if r >= '0' && r <= '9' {
			n++
		}
	}
	return n >= 7 && n <= 15
}

// isPage tells whether text is the https address of a page, with nothing in it that deceives or breaks out of an attribute.
func isPage(text string) bool {
	if len(text) > maxSupportURL || !printable(text) || strings.ContainsAny(text, "\"'<>\\`") {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.User == nil && u.Opaque == "" && domainForm.MatchString(u.Hostname()) && u.Hostname() != "localhost"
}

// printable tells whether text is visible ASCII without spaces.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
