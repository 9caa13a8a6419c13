// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strings"
	"unicode"
)

// Limits of what a provider says about itself and its messages, in bytes.
const (
	MaxWord      = 32  // an error code, a network's name
	MaxReference = 128 // its id of a message
)

// Word makes what a provider sent fit to be kept: valid UTF-8 without control characters, of at most limit bytes. A cut never falls
// inside a character.
func Word(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
