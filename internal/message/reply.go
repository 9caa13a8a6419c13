// SPDX-License-Identifier: Apache-2.0

package message

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Inbound is a text that somebody sent to us. From is as the gateway gave it.
type Inbound struct{ From, Text string }

// Wish is what a text that came in asks for.
type Wish uint8

// The wishes.
const (
	WishNone  Wish = iota
	WishNo         // "I didn't ask for this"
	WishStop       // no more codes to this number
	WishStart      // codes again
	WishHelp       // what is this?
)

// maxReply is how many bytes of a text that came in are read: its first word decides.
const maxReply = 256

// Wish reads a text that came in: its first word is one of those that people say no, stop, start or help with, in any of the languages that codes are sent
// in, whatever the case, the width and the punctuation. Where languages share a word, "no" comes first, then stop: both protect whoever wrote it.
func (r *Renderer) Wish(text string) Wish {
	text = norm.NFKC.String(text[:min(len(text), maxReply)])
	words := strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsMark(c) })
	if len(words) == 0 {
		return WishNone
	}
	for i, name := range wishes {
		for _, c := range r.catalogs {
			if slices.Contains(c.replies[name], words[0]) {
				return WishNo + Wish(i)
			}
		}
	}
	return WishNone
}

// wishes are the names of the lists of words, in the order of the wishes.
var wishes = [...]string{"no", "stop", "start", "help"}
