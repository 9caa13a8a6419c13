// SPDX-License-Identifier: Apache-2.0

package message

import "unicode/utf16"

// The sizes of text messages: in septets of the GSM 7-bit default alphabet, or in 16-bit units of
// UCS-2 as soon as one character isn't in it. A part of a longer message gives six octets
// to the header that joins the parts (3GPP TS 23.040, 9.2.3.24.1).
const (
	gsmSingle, gsmPart   = 160, 153
	ucs2Single, ucs2Part = 70, 67
)

// Alphabet is what a text message is written in.
type Alphabet string

// The alphabets.
const (
	GSM7 Alphabet = "GSM-7"
	UCS2 Alphabet = "UCS-2"
)

// Size is how long a text message is.
type Size struct {
	Alphabet Alphabet
	Units    int // septets or 16-bit units
	Segments int // parts in which it is sent and paid; 0 for the empty text
}

// Segments is how many parts a text message is sent and paid as.
func Segments(text string) int { return SizeOf(text).Segments }

// SizeOf measures a text message. A character of two units is never split over two parts.
func SizeOf(text string) Size {
	s := Size{Alphabet: GSM7}
	units, single, part := gsmSeptets, gsmSingle, gsmPart
	for _, r := range text {
		if gsmSeptets(r) == 0 {
			s.Alphabet = UCS2
			units, single, part = utf16Units, ucs2Single, ucs2Part
			break
		}
	}
	room := 0
	for _, r := range text {
		n := units(r)
		s.Units += n
		if n > room {
			s.Segments++
			room = part
		}
		room -= n
	}
	if s.Units > 0 && s.Units <= single {
		s.Segments = 1
	}
	return s
}

// utf16Units is 2 for what needs a surrogate pair: phones show it, though UCS-2 proper hasn't got it.
func utf16Units(r rune) int { return max(1, utf16.RuneLen(r)) }

// gsmSeptets is how many septets a character takes in the GSM 7-bit default alphabet (3GPP TS
// 23.038, 6.2.1) or its extension table (6.2.1.1); 0: it is in neither.
func gsmSeptets(r rune) int {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= ' ' && r <= '?' /* with all ASCII digits */ :
		return 1
	}
	switch r {
	case '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å',
		'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', 'Æ', 'æ', 'ß', 'É',
		'¤', '¡', 'Ä', 'Ö', 'Ñ', 'Ü', '§', '¿', 'ä', 'ö', 'ñ', 'ü', 'à':
		return 1
	case '\f', '^', '{', '}', '\\', '[', '~', ']', '|', '€':
		return 2
	}
	return 0
}
