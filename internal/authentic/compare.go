// SPDX-License-Identifier: Apache-2.0

package authentic

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Likeness is how a pasted text is like one that was sent.
type Likeness uint8

// The likenesses.
const (
	Different Likeness = iota
	SameWords          // but for the code, spaces and quotes
	MoreThan           // all of it, and something else
)

// Compare tells how a pasted text is like one that was sent. The code may be there, blanked or left out.
func Compare(pasted, sent string) Likeness {
	p, s := bare(pasted), bare(sent)
	switch {
	case s == "" || p == "":
		return Different
	case p == s:
		return SameWords
	case len(s) >= leastWords && strings.Contains(p, s):
		return MoreThan
	}
	return Different
}

// leastWords is how long, in bytes, a text must be to be looked for in another.
const leastWords = 20

// bare is a text without what may differ: digits, marks, spaces, quotes, case.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsMark(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFKC.String(strings.ToValidUTF8(s, "")))
}

// shorteners hide where a link leads.
var shorteners = []string{
	"bit.ly", "tinyurl.com", "t.co", "goo.gl", "ow.ly", "is.gd", "buff.ly", "rebrand.ly", "cutt.ly", "shorturl.at", "rb.gy", "t.ly", "tiny.cc", "v.gd", "s.id", "lnkd.in",
	"bl.ink", "soo.gd", "qrco.de", "clck.ru", "shorte.st", "adf.ly", "tr.im", "x.co", "u.to", "dwz.cn", "t.cn", "url.cn", "suo.im", "hyperurl.co", "me-qr.com",
}

func examineLinks(text string, ours *Ours, add func(Rule, string)) {
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`<>"'()（）「」،。，`, r) }) {
		host := HostOf(w)
		if host == "" || strings.HasPrefix(w, "@") { // "@acme.example #482135" ties a code to its page
			continue
		}
		linked := strings.Contains(w, "://") || strings.ContainsAny(w, "/") || strings.HasPrefix(strings.ToLower(w), "www.")
		if at := strings.LastIndexByte(w, '@'); at >= 0 && !linked {
			continue // an address
		}
		add(Link, host)
		if at := strings.IndexByte(w, '@'); at >= 0 && strings.Contains(w, "://") && at < strings.LastIndex(w, host)+1 {
			add(UserinfoLink, w)
		}
		if ours.owns(host) {
			continue
		}
		if _, err := netip.ParseAddr(host); err == nil {
			add(AddressLink, host)
			continue
		}
		add(ForeignDomain, host)
		if slices.Contains(shorteners, Registrable(host)) {
			add(Shortener, host)
		}
		switch {
		case ours.partOf(host):
			add(OursAsPart, host)
		case ours.like(host):
			add(Lookalike, host)
		}
	}
}

// owns tells whether a host is ours or lies below one of ours.
func (o *Ours) owns(host string) bool {
	return slices.ContainsFunc(o.Domains, func(d string) bool { return host == ascii(d) || strings.HasSuffix(host, "."+ascii(d)) })
}

func ascii(domain string) string {
	if a, err := idna.Lookup.ToASCII(domain); err == nil {
		return a
	}
	return strings.ToLower(domain)
}

// partOf tells whether one of our domains stands in a host that is somebody else's.
func (o *Ours) partOf(host string) bool {
	return slices.ContainsFunc(o.Domains, func(d string) bool { return strings.Contains("."+host, "."+ascii(d)+".") })
}

// like tells whether somebody else's host looks like ours: the same letters to the eye, one letter off, or our name with something else.
func (o *Ours) like(host string) bool {
	shown, err := idna.ToUnicode(host)
	if err != nil {
		shown = host
	}
	names := []string{o.Name}
	for _, d := range o.Domains {
		label, _, _ := strings.Cut(Registrable(ascii(d)), ".")
		names = append(names, label)
	}
	label, _, _ := strings.Cut(Registrable(host), ".")
	if u, err := idna.ToUnicode(label); err == nil {
		label = u
	}
	parts := append(strings.FieldsFunc(shown, func(r rune) bool { return r == '-' || r == '.' }), label)
	for _, name := range names {
		name = skeleton(name)
		if utf8.RuneCountInString(name) < 4 {
			continue // short names are parts of too many others
		}
		for _, p := range parts {
			if s := skeleton(p); s == name || utf8.RuneCountInString(name) >= 5 && oneOff(s, name) {
				return true
			}
		}
		if utf8.RuneCountInString(name) >= 5 && strings.Contains(skeleton(label), name) {
			return true
		}
	}
	return false
}

// looks are what letters look like.
var looks = strings.NewReplacer(
	"0", "o", "1", "l", "3", "e", "5", "s", "rn", "m", "vv", "w", "і", "l", "i", "l", "|", "l", "а", "a", "с", "c", "е", "e", "о", "o", "р", "p", "х", "x", "у", "y", "ѕ", "s", "ԁ", "d", "һ", "h",
	"α", "a", "ο", "o", "ρ", "p", "ν", "v", "ı", "l", "ł", "l", "ø", "o",
)

// skeleton is a name as the eye takes it: small letters without marks, those that look alike made one.
func skeleton(s string) string {
	var out strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(s)) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '|' {
			out.WriteRune(r)
		}
	}
	return looks.Replace(out.String())
}

// oneOff tells whether two names differ by one letter: another, one more, one less, or two that have changed places.
func oneOff(a, b string) bool {
	x, y := []rune(a), []rune(b)
	if len(x) > len(y) {
		x, y = y, x
	}
	if len(y)-len(x) > 1 {
		return false
	}
	i := 0
	for i < len(x) && x[i] == y[i] {
		i++
	}
	if len(x) < len(y) {
		return slices.Equal(x[i:], y[i+1:])
	}
	if i == len(x) {
		return false // the same
	}
	if slices.Equal(x[i+1:], y[i+1:]) {
		return true
	}
	return i+1 < len(x) && x[i] == y[i+1] && x[i+1] == y[i] && slices.Equal(x[i+2:], y[i+2:])
}
