// SPDX-License-Identifier: Apache-2.0

// Package contact owns what a phone number and an email address are: reading what a person typed,
// the one form that is stored and sent to, the forms that may be shown, and the stricter form that
// limits count by.
//
// It leaves to others how contacts are sealed and found (secret) and which countries a service
// sends to (its policy). Whether a number is possible and what kind it is comes from libphonenumber's
// metadata; nothing here looks anything up on a network.
package contact

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/fault"
)

// Kind is what a contact is. The numbers go into blind indexes and never change.
type Kind uint8

// The kinds.
const (
	Phone Kind = 1
	Email Kind = 2
)

// String is "phone", "email" or, for no contact, "contact".
func (k Kind) String() string {
	switch k {
	case Phone:
		return "phone"
	case Email:
		return "email"
	}
	return "contact"
}

// Contact is a phone number or an email address, in its one canonical form. It prints, logs and
// marshals as "[phone]" or "[email]", and can't be compared with ==. The value sits in a closure,
// because fmt and encoders reach unexported fields by reflection but see into no function.
// The zero Contact is none. A Contact is safe for concurrent use.
type Contact struct {
	kind   Kind
	typ    Type // 0 when made by FromCanonical
	reveal func() string
}

func keep(kind Kind, typ Type, canonical string) Contact {
	return Contact{kind: kind, typ: typ, reveal: func() string { return canonical }}
}

// Parse reads what a person typed: with an '@' it's an email address, else a phone number.
// defaultRegion is for numbers without a country code; see [ParsePhone]. The faults are of kind
// Invalid and never hold the text.
func Parse(text, defaultRegion string) (Contact, error) {
	if strings.TrimSpace(text) == "" {
		return Contact{}, fault.New(fault.Invalid, "contact_missing", "Enter a phone number or an email address.")
	}
	if strings.Contains(text, "@") {
		return ParseEmail(text)
	}
	return ParsePhone(text, defaultRegion)
}

// FromCanonical makes a contact of what Reveal returned earlier, without judging it anew: rules and
// numbering plans change, and what was accepted once must stay readable. Anything that can't have
// come from Reveal is a fault of kind Internal.
func FromCanonical(text string) (Contact, error) {
	if isE164(text) {
		return keep(Phone, 0, text), nil
	}
	local, domain, ok := strings.Cut(text, "@")
	if ok && len(text) <= maxEmail && checkLocal(local) == nil && isHostname(domain) {
		return keep(Email, 0, text), nil
	}
	return Contact{}, fault.New(fault.Internal, "contact_unreadable",
		"A stored contact can't be read. It has been reported; try again or begin anew.")
}

// Kind tells what the contact is; 0 for the zero Contact.
func (c Contact) Kind() Kind { return c.kind }

// Reveal returns the canonical form: E.164 ("+33612345678"), or the address with its local part as
// typed and its domain in lower-case ASCII. Each call is a place to look at in a review.
func (c Contact) Reveal() string {
	if c.reveal == nil {
		return ""
	}
	return c.reveal()
}

// Masked is the form for people, as it stands in a sentence: "the phone ending in 21",
// "m...@example.com". Of a number two digits are shown, of an address the first character, unless it's
// the only one, and the domain.
func (c Contact) Masked() string {
	if c.kind == Phone {
		return "the phone ending in " + c.lastTwo()
	}
	return c.MaskedShort()
}

// MaskedShort is the form for tables and programs: "+33 •••• 21", "m...@example.com".
func (c Contact) MaskedShort() string {
	switch c.kind {
	case Phone:
		return fmt.Sprintf("+%d •••• %s", c.CountryCode(), c.lastTwo())
	case Email:
		local, domain, _ := strings.Cut(c.Reveal(), "@")
		if len(local) == 1 {
			local = ""
		}
		return local[:min(1, len(local))] + "...@" + domain
	}
	return ""
}

func (c Contact) lastTwo() string {
	number := c.Reveal()
	return number[len(number)-2:]
}

// Strict is the form that limits count by: equal for contacts that reach one mailbox. Of a phone it is
// E.164. Nothing is ever sent to it.
func (c Contact) Strict() string {
	if c.kind == Email {
		return strictEmail(c.Reveal())
	}
	return c.Reveal()
}

// String returns "[phone]" or "[email]".
func (c Contact) String() string { return "[" + c.kind.String() + "]" }

// Format prints String for every verb and flag.
func (c Contact) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// LogValue is String.
func (c Contact) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText is String, also in JSON.
func (c Contact) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// trim removes what pasting leaves around a contact: spaces and invisible marks of direction.
func trim(text string) string {
	return strings.TrimFunc(text, func(r rune) bool { return unicode.IsSpace(r) || isInvisible(r) })
}

// isInvisible tells whether r shows nothing: the marks of direction, joiners and byte order marks
// that address books and messengers put around numbers.
func isInvisible(r rune) bool { return unicode.Is(unicode.Cf, r) && r != utf8.RuneError }
