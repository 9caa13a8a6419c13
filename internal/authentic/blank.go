// SPDX-License-Identifier: Apache-2.0

package authentic

import (
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/countersign/countersign/internal/contact"
)

// Blanked stands for a digit that nobody needs.
const Blanked = '\u2022'

// BlankDigits masks every run of four digits or more, however they are grouped: codes and the numbers of cards, accounts and phones.
// Digits of all scripts count.
func BlankDigits(text string) string {
	out := []rune(text)
	for i := 0; i < len(out); {
		if !unicode.IsDigit(out[i]) {
			i++
			continue
		}
		end, digits := i, 0
		for j := i; j < len(out) && j-end <= 2; j++ { // up to two characters may part a group from the next
			if unicode.IsDigit(out[j]) {
				end, digits = j, digits+1
			} else if out[j] == '\n' || !unicode.IsSpace(out[j]) && !strings.ContainsRune("-.\u2010\u2011\u2013/", out[j]) {
				break
			}
		}
		if digits >= 4 {
			for j := i; j <= end; j++ {
				if unicode.IsDigit(out[j]) {
					out[j] = Blanked
				}
			}
		}
		i = end + 1
	}
	return string(out)
}

// keptForm is what Blank looks at before it blanks: the name in a link, and what may be a phone number.
var keptForm = regexp.MustCompile(`(?i)(?:https?|hxxps?)://[^\s/?#@]{1,253}|` + phoneForm.String())

// phoneForm is what may be a phone number as people and messages write it: with its country, or as the numbers of North America are written.
var phoneForm = regexp.MustCompile(`(?:\+|\b00)[1-9][0-9 ().\-/]{6,20}[0-9]|\([2-9][0-9]{2}\) ?[0-9]{3}-[0-9]{4}`)

// Blank blanks a text that somebody pasted, before anything else sees it (S24): runs of four digits and more, however they are grouped, so codes
// and the numbers of cards and accounts. Phone numbers that are written as such and the names in links are kept: they are compared. To blank twice is to
// blank once.
func Blank(text string) string {
	var out strings.Builder
	text = norm.NFKC.String(text)
	for {
		at := keptForm.FindStringIndex(text)
		if at == nil {
			break
		}
		found := text[at[0]:at[1]]
		out.WriteString(BlankDigits(text[:at[0]]))
		if !strings.Contains(found, "://") && phone(found) == "" {
			found = BlankDigits(found)
		}
		out.WriteString(found)
		text = text[at[1]:]
	}
	out.WriteString(BlankDigits(text))
	return out.String()
}

// phone is a number in its international form; empty: it is none that can be dialled.
func phone(text string) string {
	if strings.HasPrefix(text, "00") {
		text = "+" + text[2:]
	}
	region := ""
	if strings.HasPrefix(text, "(") {
		region = "US"
	}
	c, err := contact.ParsePhone(text, region)
	if err != nil {
		return ""
	}
	return c.Reveal() // of a message, and compared with those of the service
}
