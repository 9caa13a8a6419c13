// SPDX-License-Identifier: Apache-2.0

package otp

// Wrong says how a wrong code was wrong. It is recorded instead of what was typed. The numbers are
// stored; new ones go at the end.
type Wrong uint8

// The ways to be wrong.
const (
	WrongNone     Wrong = iota // it wasn't
	WrongOther                 // nothing in common worth telling
	WrongOneDigit              // one digit differs
	WrongSwapped               // two neighbours are swapped
	WrongOlder                 // a code of the same verification that was replaced
)

var wrongNames = [...]string{"none", "other", "one_digit", "swapped", "older"}

// String is the stable name.
func (w Wrong) String() string {
	if int(w) < len(wrongNames) {
		return wrongNames[w]
	}
	return "other"
}

// Compare says how typed differs from live; both have the same number of digits. It looks at every
// digit whatever it finds.
func Compare(typed, live Code) Wrong {
	if len(typed.s) != len(live.s) {
		return WrongOther
	}
	differ, first, last := 0, -1, -1
	for i := range len(live.s) {
		if typed.s[i] != live.s[i] {
			differ++
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	switch {
	case differ == 0:
		return WrongNone
	case differ == 1:
		return WrongOneDigit
	case differ == 2 && last == first+1 && typed.s[first] == live.s[last] && typed.s[last] == live.s[first]:
		return WrongSwapped
	default:
		return WrongOther
	}
}
