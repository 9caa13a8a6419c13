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

// maxReply is how many bytes of a text that came in are read: its first word decides.
const maxReply = 256

// Refuses tells whether a text that came in answers a code with "no": its first word is no in any of the languages
// that codes are sent in, whatever the case, the width and the punctuation.
func (r *Renderer) Refuses(text string) bool {
	text = norm.NFKC.String(text[:min(len(text), maxReply)])
	words := strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsMark(c) })
	if len(words) == 0 {
		return false
	}
	for _, c := range r.catalogs {
		if slices.Contains(c.no, words[0]) {
			return true
		}
	}
	return false
}
