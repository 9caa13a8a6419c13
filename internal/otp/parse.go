// SPDX-License-Identifier: Apache-2.0

package otp

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTyped is the longest text in bytes that Parse reads.
const MaxTyped = 2000

// TypedKind says what a typed text is. Only TypedCode is worth judging; the others cost no try.
// The numbers are stored.
type TypedKind uint8

// The kinds.
const (
	TypedCode        TypedKind = iota + 1 // one candidate of the right length
	TypedEmpty                            // nothing
	TypedTooShort                         // fewer digits than the code has
	TypedTooLong                          // more
	TypedNotDigits                        // letters where digits belong
	TypedNoCandidate                      // a message without a code of this length
	TypedSeveral                          // a message with two or more different ones
	TypedDelivery                         // looks like a delivery code: a letter and five digits
	TypedTooBig                           // longer than MaxTyped
	TypedSignIn                           // where a delivery code is expected: looks like a sign-in code
)

var typedNames = [...]string{"", "code", "empty", "too_short", "too_long", "not_digits", "no_candidate", "several", "delivery_code", "too_big", "sign_in_code"}

// String is the stable name.
func (k TypedKind) String() string { return typedNames[k] }

// Typed is what a person typed, understood.
type Typed struct {
	Kind   TypedKind
	Code   Code // of TypedCode
	Digits int  // how many digits were typed, for TypedTooShort and TypedTooLong
}

// Shape is what Parse looks for.
type Shape struct {
	Digits int    // of the code
	Host   string // of the service's pages, for the origin-bound line; may be empty
	Amount string // of our own message, as it stands there; never a code
}

// DeliveryDigits is how many digits follow the letter of a delivery code, unless the service says otherwise.
const DeliveryDigits = 5

// Bounds of how many digits a delivery code has.
const (
	MinDeliveryDigits = 4
	MaxDeliveryDigits = 8
)

// Parse reads a code as people type it: with spaces, dashes and dots between groups, in the digits of
// any script, or inside the whole message that carried it. Of a message, the line
// "@host #code" of the service's own host wins (WICG, Origin-bound one-time codes, 3.2); otherwise the one
// distinct run of exactly shape.Digits digits that is joined to no letter and part of no amount,
// phone number, date or time.
func Parse(text string, shape Shape) Typed {
	if len(text) > MaxTyped {
		return Typed{Kind: TypedTooBig}
	}
	s := plain(text)
	bare, digits, letters := bareDigits(s)
	switch {
	case len(s) == 0:
		return Typed{Kind: TypedEmpty}
	case bare && len(digits) == shape.Digits:
		return Typed{Kind: TypedCode, Code: NewCode(digits)}
	case !bare && isDelivery(s, shape.Digits):
		return Typed{Kind: TypedDelivery}
	}
	found := candidates(s, shape)
	switch {
	case len(found) == 1:
		return Typed{Kind: TypedCode, Code: NewCode(found[0])}
	case len(found) > 1:
		return Typed{Kind: TypedSeveral}
	case bare && len(digits) < shape.Digits:
		return Typed{Kind: TypedTooShort, Digits: len(digits)}
	case bare:
		return Typed{Kind: TypedTooLong, Digits: len(digits)}
	case letters && !slices.ContainsFunc(s, unicode.IsSpace):
		return Typed{Kind: TypedNotDigits, Digits: len(digits)}
	default:
		return Typed{Kind: TypedNoCandidate}
	}
}

// plain maps the digits of every script to ASCII, all dashes and spaces to one of each, and drops
// what can't be seen.
func plain(text string) []rune {
	out := make([]rune, 0, len(text))
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf:
			if r == '\t' || r == '\r' {
				r = ' '
			}
			if r >= ' ' || r == '\n' {
				out = append(out, r)
			}
		case unicode.Is(unicode.Nd, r):
			out = append(out, '0'+digitValue(r))
		case unicode.Is(unicode.Pd, r) || r == '\u2212':
			out = append(out, '-')
		case unicode.Is(unicode.Cf, r):
		case r == '\u2028' || r == '\u2029' || r == '\u0085':
			out = append(out, '\n')
		case unicode.IsSpace(r):
			out = append(out, ' ')
		case r == '\uff20':
			out = append(out, '@')
		default:
			out = append(out, r)
		}
	}
	return []rune(strings.TrimSpace(string(out)))
}

// digitValue is the value of a decimal digit of any script: each script's ten are contiguous.
func digitValue(r rune) rune {
	for _, t := range unicode.Nd.R16 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	return 0
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// bareDigits tells whether s is nothing but digits and what people put between them.
func bareDigits(s []rune) (bare bool, digits string, letters bool) {
	var b strings.Builder
	bare = true
	for _, r := range s {
		switch {
		case isDigit(r):
			b.WriteRune(r)
		case r == ' ' || r == '-' || r == '.' || r == '\n' || r == '\u00b7' || r == '_':
		default:
			bare = false
			letters = letters || unicode.IsLetter(r)
		}
	}
	return bare && b.Len() > 0, b.String(), letters
}

// lettered reads one letter and then digits, however spaced.
func lettered(s []rune) (letter rune, digits string, ok bool) {
	var b strings.Builder
	for _, r := range s {
		switch {
		case isDigit(r) && letter != 0:
			b.WriteRune(r)
		case unicode.IsLetter(r) && letter == 0:
			letter = unicode.ToUpper(r)
		case r == ' ' || r == '-':
		default:
			return 0, "", false
		}
	}
	return letter, b.String(), letter != 0 && b.Len() > 0
}

// isDelivery tells a delivery code's look: one letter and digits, but as many as a sign-in code never has.
func isDelivery(s []rune, signIn int) bool {
	_, digits, ok := lettered(s)
	return ok && len(digits) >= MinDeliveryDigits && len(digits) <= MaxDeliveryDigits && len(digits) != signIn
}

// DeliveryShape is what ParseDelivery looks for.
type DeliveryShape struct {
	Letter byte // an upper-case ASCII letter, before the digits
	Digits int  // of the code
	SignIn int  // of the service's codes for signing in: never as many
}

// ParseDelivery reads a delivery code as it is typed at the door: with its letter or without, spaced as people do, in the digits of
// any script, or inside the whole message that carried it. A bare number of as many digits as codes for signing in have is
// TypedSignIn: it belongs to somebody's account and not to a parcel.
func ParseDelivery(text string, shape DeliveryShape) Typed {
	if len(text) > MaxTyped {
		return Typed{Kind: TypedTooBig}
	}
	s := plain(text)
	letter, digits, ok := lettered(s)
	bare, numbers, _ := bareDigits(s)
	switch {
	case len(s) == 0:
		return Typed{Kind: TypedEmpty}
	case ok && letter != rune(shape.Letter) && letter < unicode.MaxASCII:
		return Typed{Kind: TypedNotDigits, Digits: len(digits)}
	case bare:
		digits = numbers
	case !ok:
		return inMessage(s, shape)
	}
	switch {
	case len(digits) == shape.Digits:
		return Typed{Kind: TypedCode, Code: NewCode(digits)}
	case bare && len(digits) == shape.SignIn:
		return Typed{Kind: TypedSignIn}
	case len(digits) < shape.Digits:
		return Typed{Kind: TypedTooShort, Digits: len(digits)}
	default:
		return Typed{Kind: TypedTooLong, Digits: len(digits)}
	}
}

// inMessage finds the delivery code in a text that is more than a code: the one run of letter, dash or space, and digits; and else
// a code for signing in.
func inMessage(s []rune, shape DeliveryShape) Typed {
	var found []string
	for i, r := range s {
		if unicode.ToUpper(r) != rune(shape.Letter) || i > 0 && (unicode.IsLetter(s[i-1]) || isDigit(s[i-1])) {
			continue
		}
		j := i + 1
		for j < len(s) && (s[j] == '-' || s[j] == ' ') && j < i+3 {
			j++
		}
		from := j
		for j < len(s) && isDigit(s[j]) {
			j++
		}
		if code := string(s[from:j]); len(code) == shape.Digits && (j == len(s) || !unicode.IsLetter(s[j])) && !slices.Contains(found, code) {
			found = append(found, code)
		}
	}
	switch {
	case len(found) == 1:
		return Typed{Kind: TypedCode, Code: NewCode(found[0])}
	case len(found) > 1:
		return Typed{Kind: TypedSeveral}
	case len(candidates(s, Shape{Digits: shape.SignIn})) > 0:
		return Typed{Kind: TypedSignIn}
	}
	return Typed{Kind: TypedNoCandidate}
}

// candidates are the distinct runs in s that may be the code.
func candidates(s []rune, shape Shape) []string {
	text := string(s)
	if code, ok := originBound(text, shape); ok {
		return []string{code}
	}
	lines := strings.Split(text, "\n")
	kept := lines[:0]
	for _, l := range lines {
		if !strings.HasPrefix(strings.TrimSpace(l), "@") { // another host's line is for another site
			kept = append(kept, l)
		}
	}
	text = strings.Join(kept, "\n")
	text = withoutAmount(text, strings.TrimSpace(string(plain(shape.Amount))))
	var found []string
	for _, c := range chains([]rune(text)) {
		if code, ok := c.candidate(shape.Digits); ok && !slices.Contains(found, code) {
			found = append(found, code)
		}
	}
	return found
}

// withoutAmount blanks an amount where it stands by itself: "12" in "481213" is part of a code.
func withoutAmount(text, amount string) string {
	if amount == "" {
		return text
	}
	var b strings.Builder
	for {
		i := strings.Index(text, amount)
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		end := i + len(amount)
		inside := i > 0 && isDigit(rune(text[i-1])) && isDigit(rune(amount[0])) ||
			end < len(text) && isDigit(rune(text[end])) && isDigit(rune(amount[len(amount)-1]))
		if inside {
			b.WriteString(text[:i+1])
			text = text[i+1:]
			continue
		}
		b.WriteString(text[:i] + " $ ")
		text = text[end:]
	}
}

// originBound finds the service's own "@host #code" line, which must be the last one.
func originBound(text string, shape Shape) (string, bool) {
	if shape.Host == "" {
		return "", false
	}
	last := strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
	host, rest, ok := strings.Cut(last, " #")
	if !ok || !strings.EqualFold(host, "@"+shape.Host) {
		return "", false
	}
	code, _, _ := strings.Cut(rest, " ")
	if len(code) != shape.Digits || strings.ContainsFunc(code, func(r rune) bool { return !isDigit(r) }) {
		return "", false
	}
	return code, true
}

// chain is a run of digit groups with one space or dash between each two.
type chain struct {
	groups []string
	joined bool // to a letter, a decimal point, a currency: not a code
}

// chains splits text into its chains.
func chains(s []rune) []chain {
	var all []chain
	for i := 0; i < len(s); {
		if !isDigit(s[i]) {
			i++
			continue
		}
		start := i
		var c chain
		for {
			from := i
			for i < len(s) && isDigit(s[i]) {
				i++
			}
			c.groups = append(c.groups, string(s[from:i]))
			if i+1 < len(s) && (s[i] == ' ' || s[i] == '-') && isDigit(s[i+1]) {
				i++
				continue
			}
			break
		}
		c.joined = joinedBefore(s, start) || joinedAfter(s, i) || len(strings.Join(c.groups, "")) == DeliveryDigits && loneLetter(s, start)
		all = append(all, c)
	}
	return all
}

// loneLetter tells whether a capital letter by itself and a space stand before position i, as in "D 48213".
func loneLetter(s []rune, i int) bool {
	return i >= 2 && s[i-1] == ' ' && unicode.IsUpper(s[i-2]) && (i == 2 || !unicode.IsLetter(s[i-3]) && !isDigit(s[i-3]))
}

// joinedBefore tells whether what stands before position i makes the digits there part of something else.
func joinedBefore(s []rune, i int) bool {
	if i == 0 {
		return false
	}
	p := s[i-1]
	if unicode.IsLetter(p) || p == '+' || p == '_' || p == '/' || unicode.Is(unicode.Sc, p) || unicode.IsMark(p) {
		return true
	}
	if i >= 2 && strings.ContainsRune(".,:-'", p) && (isDigit(s[i-2]) || unicode.IsLetter(s[i-2])) {
		// "1.5", "1,234", "14:02", "A-123": but "code:123456" and "code-123456" introduce it
		return isDigit(s[i-2]) || p != ':' && shortWord(s, i-2)
	}
	return p == ' ' && i >= 2 && (unicode.Is(unicode.Sc, s[i-2]) || currency(word(s, i-1)))
}

func joinedAfter(s []rune, i int) bool {
	if i >= len(s) {
		return false
	}
	n := s[i]
	if unicode.IsLetter(n) || n == '_' || n == '/' || n == '%' || unicode.Is(unicode.Sc, n) {
		return true
	}
	if i+1 < len(s) && strings.ContainsRune(".,:-'", n) && (isDigit(s[i+1]) || n == '-' && unicode.IsLetter(s[i+1])) {
		return true
	}
	if n != ' ' || i+1 >= len(s) {
		return false
	}
	if unicode.Is(unicode.Sc, s[i+1]) {
		return true
	}
	j := i + 1
	for j < len(s) && unicode.IsLetter(s[j]) {
		j++
	}
	return currency(string(s[i+1 : j]))
}

// word is the letters that end before position end.
func word(s []rune, end int) string {
	from := end
	for from > 0 && unicode.IsLetter(s[from-1]) {
		from--
	}
	return string(s[from:end])
}

// shortWord tells whether the word that ends at position i is one or two letters, as in "D-48213".
func shortWord(s []rune, i int) bool { return len([]rune(word(s, i+1))) <= 2 }

// currency tells the ISO 4217 codes and short names that amounts in messages carry.
func currency(w string) bool {
	switch w {
	case "EUR", "USD", "GBP", "CHF", "JPY", "CNY", "INR", "BRL", "MXN", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF",
		"RON", "BGN", "TRY", "RUB", "UAH", "ZAR", "NGN", "KES", "EGP", "AED", "SAR", "QAR", "KWD", "ILS", "SGD", "HKD", "TWD", "KRW",
		"THB", "MYR", "IDR", "PHP", "VND", "PKR", "BDT", "LKR", "ARS", "CLP", "COP", "PEN", "Rs", "Fr", "kr", "euro", "euros", "dollars", "pounds":
		return true
	}
	return false
}

// candidate is the code that a chain may be.
func (c chain) candidate(digits int) (string, bool) {
	all := strings.Join(c.groups, "")
	if c.joined || len(all) != digits {
		return "", false
	}
	if len(c.groups) == 3 && (len(c.groups[0]) == 4 && len(c.groups[1]) == 2 || len(c.groups[2]) == 4 && len(c.groups[1]) == 2) {
		return "", false // a date
	}
	return all, true
}
