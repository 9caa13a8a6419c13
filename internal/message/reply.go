// SPDX-License-Identifier: Apache-2.0

package message

import (
	"slices"
	"strings"
	"unicode"
)

// Inbound is a text that somebody sent to us. From is as the gateway gave it.
type Inbound struct{ From, Text string }

// Refuses tells whether a text that came in answers a code with "no": its first word is no in any of the languages
// that codes are sent in, whatever the case and the punctuation.
func (r *Renderer) Refuses(text string) bool {
	words := strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsMark(c) })
	if len(words) == 0 {
		return false
	}
	for _, name := range r.catalogs.names {
		if slices.Contains(r.catalogs.byName[name].no, words[0]) {
			return true
		}
	}
	return false
}
