// SPDX-License-Identifier: Apache-2.0

package authentic

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode"

	"github.com/countersign/countersign/internal/contact"
)

// Blanked stands for a digit that nobody needs.
const Blanked = '\u2022'

// minRun is how many digits make a code; fewer are kept.
const minRun = 4

// BlankAll blanks a text that is to be kept: every four digits and more with nothing but blanks, punctuation, keycaps and invisible characters between
// them, in any script, numbers of phones too.
func BlankAll(text string) string {
	return blankRuns(strings.ToValidUTF8(text, "\uFFFD"), func([]rune, int, int) bool { return false })
}

// hostForm is the name in a link: it is what a link is judged by, so its digits stay, unless they are as many as a card has.
var hostForm = regexp.MustCompile(`(?i)(?:https?|hxxps?)://[^\s/?#@]{1,253}`)

// phoneForm is what may be a phone number as messages write it: with its country, or with the area code in brackets.
var phoneForm = regexp.MustCompile(`(?:[+＋]|\b00)[1-9][0-9 ().\-/]{6,20}[0-9]|\([2-9][0-9]{1,4}\) ?[0-9]{3,4}[ -][0-9]{3,4}`)

// Blank blanks a text that somebody pasted or wrote, before anything else sees it (S24): every four digits and more with nothing but blanks, punctuation,
// keycaps and invisible characters between them, in any script. So codes go, and the numbers of cards and accounts; years, dates and amounts,
// too: in doubt it blanks. Phone numbers that are written as such, and the names in links, are kept: they are compared. To blank twice is to blank
// once.
func Blank(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	var out strings.Builder
	end := 0
	for _, at := range hostForm.FindAllStringIndex(text, -1) {
		out.WriteString(blankRuns(text[end:at[0]], isPhone))
		out.WriteString(blankRuns(text[at[0]:at[1]], ofHost))
		end = at[1]
	}
	out.WriteString(blankRuns(text[end:], isPhone))
	return out.String()
}

// ofHost tells whether the run of digits may stand in the name of a link: an address, or a few digits.
func ofHost(runes []rune, from, to int) bool {
	if _, err := netip.ParseAddr(string(runes[from:to])); err == nil {
		return true
	}
	return to-from <= maxHostRun
}

const maxHostRun = 8

// blankRuns blanks the runs of digits that keep doesn't want.
func blankRuns(text string, keep func(runes []rune, from, to int) bool) string {
	runes := []rune(text)
	for from := 0; from < len(runes); from++ {
		if !isDigit(runes[from]) {
			continue
		}
		to, digits := from, 0
		for i := from; i < len(runes) && (isDigit(runes[i]) || isBetween(runes[i])); i++ {
			if isDigit(runes[i]) {
				to, digits = i+1, digits+1
			}
		}
		if digits >= minRun && !keep(runes, from, to) {
			for i := from; i < to; i++ {
				if isDigit(runes[i]) {
					runes[i] = Blanked
				}
			}
		}
		from = to
	}
	return string(runes)
}

// isPhone tells whether the run of digits, with the sign before it, is a phone number.
func isPhone(runes []rune, from, to int) bool {
	run := string(runes[from:to])
	if from > 0 && strings.ContainsRune("(+＋", runes[from-1]) {
		run = string(runes[from-1]) + run
	}
	return phoneForm.FindString(run) == run && phone(run) != ""
}

// isDigit knows the decimal digits of all scripts, and the circled and raised ones.
func isDigit(r rune) bool { return unicode.In(r, unicode.Nd, unicode.No) }

// isBetween tells whether a character may stand between the digits of one code.
func isBetween(r rune) bool {
	return r != Blanked && (unicode.IsSpace(r) || unicode.In(r, unicode.P, unicode.Z, unicode.Mn, unicode.Me, unicode.Cf) || r == '+' || r == '|')
}

// phone is a number in its international form; empty: it is none that can be dialled.
func phone(text string) string {
	region := ""
	switch {
	case strings.HasPrefix(text, "00"):
		text = "+" + text[2:]
	case strings.HasPrefix(text, "＋"):
		text = "+" + strings.TrimPrefix(text, "＋")
	case strings.HasPrefix(text, "("):
		region = "US"
	}
	c, err := contact.ParsePhone(text, region)
	if err != nil {
		return ""
	}
	return c.Reveal() // of a message, and compared with those of the service
}
