// SPDX-License-Identifier: Apache-2.0

package contact

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/countersign/countersign/internal/fault"
)

const (
	maxEmail  = 254 // bytes: a path has 256 with its angle brackets (RFC 5321, 4.5.3.1.3)
	maxLocal  = 64  // RFC 5321, 4.5.3.1.1
	maxDomain = 253 // RFC 1035, 2.3.4, as text without the root's dot
	maxLabel  = 63
)

// domains maps an international domain to its ASCII form (RFC 5891 with the mapping of UTS #46), as
// browsers and mail clients do.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true),
	idna.VerifyDNSLength(true), idna.Transitional(false))

// ParseEmail reads one bare address: local part, '@', domain. The local part is a dot-atom (RFC
// 5322, 3.2.3) and kept as typed, for its case may matter; the domain is a public host name, which
// becomes lower-case ASCII (Punycode for international ones).
//
// Refused with invalid_email_address, kind Invalid: display names, comments, quoted local parts,
// address literals, single-label domains, control characters, and anything longer than 254 bytes
// (64 before the '@'). A local part with characters beyond ASCII is refused with
// email_characters_refused: few servers take such mail (RFC 6531), and a code that can't arrive is
// worse than a clear no.
func ParseEmail(text string) (Contact, error) {
	text = trim(text)
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return Contact{}, errEmail("It has no @.")
	}
	local, domain := text[:at], text[at+1:]
	if err := checkLocal(local); err != nil {
		return Contact{}, err
	}
	domain, err := asciiDomain(domain)
	if err != nil {
		return Contact{}, err
	}
	if len(local)+1+len(domain) > maxEmail {
		return Contact{}, errEmail("It is too long.")
	}
	return keep(Email, 0, local+"@"+domain), nil
}

func errEmail(why string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_email_address",
		"This is not an email address that mail can be sent to. "+why+" Write it like name@example.com.")
}

// checkLocal tells why local is no dot-atom; nil if it is one.
func checkLocal(local string) error {
	switch {
	case local == "":
		return errEmail("There is nothing before the @.")
	case len(local) > maxLocal:
		return errEmail("The part before the @ is too long.")
	case local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, ".."):
		return errEmail("A dot in it is misplaced.")
	}
	for i := range len(local) {
		switch c := local[i]; {
		case c >= 0x80:
			return fault.New(fault.Invalid, "email_characters_refused",
				"The part before the @ has characters beyond a to z. Many mail servers don't take them; use another address.")
		case !isAtom(c) && c != '.':
			return errEmail("The part before the @ has a character that doesn't belong there.")
		}
	}
	return nil
}

// isAtom tells whether c is atext of RFC 5322, 3.2.3.
func isAtom(c byte) bool {
	return isLetterDigit(c) || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isLetterDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func asciiDomain(domain string) (string, error) {
	if len(domain) > 4*maxDomain {
		return "", errEmail("The part after the @ is too long.")
	}
	if !utf8.ValidString(domain) { // idna would replace the broken bytes
		return "", errEmail("It is not proper text.")
	}
	lower := strings.ToLower(domain)
	if isHostname(lower) && !strings.Contains(lower, "xn--") {
		return lower, nil // as nearly all are; nothing for the tables of Unicode to say
	}
	ascii, err := domains.ToASCII(domain)
	if err != nil || !isHostname(ascii) {
		return "", errEmail("The part after the @ is not the name of a mail server.")
	}
	return ascii, nil
}

// isHostname tells whether s is a host name of two or more labels in lower-case ASCII (RFC 1123,
// 2.1), whose last is no number, so that it can't be taken for an address.
func isHostname(s string) bool {
	if len(s) > maxDomain || !strings.Contains(s, ".") {
		return false
	}
	var last string
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !isLetterDigit(label[i]) && label[i] != '-' {
				return false
			}
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != ""
}

// strictEmail is the form that limits count by. It folds only what providers document, besides the
// plus-tag: few mailboxes have a plus sign of their own, and for a limit it's enough that two
// owners who share one form are rare.
func strictEmail(address string) string {
	local, domain, _ := strings.Cut(strings.ToLower(address), "@")
	local = cutTag(local, "+")
	switch {
	case domain == "gmail.com" || domain == "googlemail.com":
		// Google: dots don't matter; googlemail.com is the same mailbox.
		local, domain = remove(local, "."), "gmail.com"
	case domain == "proton.me" || domain == "protonmail.com" || domain == "pm.me":
		// Proton: one user has the name on all three; dots, hyphens and underscores don't matter.
		local, domain = remove(local, ".-_"), "proton.me"
	case domain == "icloud.com" || domain == "me.com" || domain == "mac.com":
		// Apple: older accounts have their name on all three, and nobody else gets it.
		domain = "icloud.com"
	case domain == "ymail.com" || domain == "rocketmail.com" || strings.HasPrefix(domain, "yahoo."):
		// Yahoo: disposable addresses are a base name, a hyphen and a keyword; names have no hyphen.
		local = cutTag(local, "-")
	case strings.HasSuffix(domain, ".fastmail.com"):
		// Fastmail: anything@user.fastmail.com reaches user@fastmail.com.
		user := strings.TrimSuffix(domain, ".fastmail.com")
		local, domain = user[strings.LastIndexByte(user, '.')+1:], "fastmail.com"
	}
	return local + "@" + domain
}

// cutTag cuts local at the first separator, unless nothing would be left.
func cutTag(local, separator string) string {
	if base, _, found := strings.Cut(local, separator); found && base != "" {
		return base
	}
	return local
}

// remove removes the characters, unless nothing would be left.
func remove(local, characters string) string {
	out := strings.Map(func(r rune) rune {
		if strings.ContainsRune(characters, r) {
			return -1
		}
		return r
	}, local)
	if out == "" {
		return local
	}
	return out
}
