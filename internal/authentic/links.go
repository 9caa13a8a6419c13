// SPDX-License-Identifier: Apache-2.0

package authentic

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// maxLink is the longest link that is looked at, in bytes.
const maxLink = 1000

// Domains finds the domains in a text and in URLs, also those that were written so as to be no link: hxxps://bad[.]example. It
// returns at most as many as it is asked for.
func Domains(text string, urls []string, most int) []string {
	var out []string
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`<>"'(),;`, r) })
	for _, w := range append(slices.Clone(urls), words...) {
		if len(out) == most {
			break
		}
		if h := HostOf(w); h != "" && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// HostOf is the domain of a link or of an address, in ASCII; empty for what is neither.
func HostOf(w string) string {
	if len(w) > maxLink {
		return ""
	}
	w = strings.NewReplacer("[.]", ".", "(.)", ".", "hxxp", "http").Replace(strings.ToLower(w))
	_, rest, linked := strings.Cut(w, "://")
	if !linked {
		rest = w
	}
	if i := strings.IndexAny(rest, "/?#\\"); i >= 0 {
		rest, linked = rest[:i], true
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	rest, _, _ = strings.Cut(rest, ":")
	rest = strings.Trim(rest, ".!?")
	if !strings.Contains(rest, ".") || strings.ContainsFunc(rest, func(r rune) bool { return r != '.' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		return ""
	}
	if ip, err := netip.ParseAddr(rest); err == nil {
		if linked {
			return ip.String()
		}
		return ""
	}
	host, err := idna.Lookup.ToASCII(rest)
	if err != nil || len(host) > 253 {
		return ""
	}
	suffix, known := publicsuffix.PublicSuffix(host)
	if suffix == host || !known && !linked { // two sentences without a space between them are no domain
		return ""
	}
	return host
}

// Registrable is the part of a domain that somebody registered (by the public suffix list), or all of it.
func Registrable(host string) string {
	if r, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return r
	}
	return host
}
