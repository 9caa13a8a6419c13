// SPDX-License-Identifier: Apache-2.0

package otp

import (
	"crypto/subtle"
	"math/bits"
)

// Wrong says how a wrong code was wrong. It is recorded instead of what was typed. The numbers are
// stored; new ones go at the end.
type Wrong uint8

// The ways to be wrong.
const (
	WrongNone     Wrong = iota // it wasn't
	WrongOther                 // nothing in common worth telling
	WrongOneDigit              // one digit differs
	WrongSwapped               // two neighbours are swapped
	WrongOlder                 // a code of the same verification that was replaced; the caller finds that out
	WrongMissing               // one digit is missing, the others are right
	WrongExtra                 // one digit is too many, the others are right
	WrongShifted               // one digit is missing in one place and one too many in another
	WrongLast                  // the code of an earlier verification of the same contact; the caller finds that out
)

var wrongNames = [...]string{"none", "other", "one_digit", "swapped", "older", "missing", "extra", "shifted", "last_time"}

// String is the stable name; that of a number from a newer version is "other".
func (w Wrong) String() string {
	if int(w) < len(wrongNames) {
		return wrongNames[w]
	}
	return wrongNames[WrongOther]
}

// Compare says how typed differs from live, of which neither is a dead generation's. It does the same work whatever the
// digits are; what it returns is for the record, not for somebody who is still guessing.
func Compare(typed, live Code) Wrong {
	t, l := typed.bytes(), live.bytes()
	switch {
	case len(t) == 0 || len(l) == 0:
		return WrongOther
	case len(t) == len(l):
		return compareEven(t, l)
	case len(t)+1 == len(l):
		return oneOff(t, l, WrongMissing)
	case len(t) == len(l)+1:
		return oneOff(l, t, WrongExtra)
	default:
		return WrongOther
	}
}

// same has bit i set where short[i] and long[i+by] are the same digit.
func same(short, long []byte, by int) (mask uint) {
	for i := range short {
		if j := i + by; j >= 0 && j < len(long) {
			mask |= uint(subtle.ConstantTimeByteEq(short[i], long[j])) << i //nolint:gosec // 0 or 1
		}
	}
	return mask
}

// compareEven compares codes of one length. Of the digits between the first and the last difference, those
// of one code are the other's moved by one place when a digit was left out and another put in.
func compareEven(t, l []byte) Wrong {
	differ := ^same(t, l, 0) & (1<<len(t) - 1)
	right, left := same(t, l, 1), same(t, l, -1)
	first, last := bits.TrailingZeros(differ), bits.Len(differ)-1
	if differ == 0 {
		return WrongNone
	}
	window := uint(1)<<(last+1) - 1<<first
	toRight := window &^ (1 << last) // t[i] == l[i+1] for first <= i < last
	toLeft := window &^ (1 << first) // t[i] == l[i-1] for first < i <= last
	movedRight, movedLeft := right&toRight == toRight, left&toLeft == toLeft
	switch {
	case first == last:
		return WrongOneDigit
	case last == first+1 && movedRight && movedLeft:
		return WrongSwapped
	case movedRight || movedLeft:
		return WrongShifted
	default:
		return WrongOther
	}
}

// oneOff is how when long is short with one digit put in somewhere: short's first digits match long's
// in place and the rest one place on.
func oneOff(short, long []byte, how Wrong) Wrong {
	start := bits.TrailingZeros(^same(short, long, 0))
	moved := ^same(short, long, 1) & (1<<len(short) - 1)
	if bits.Len(moved) <= start {
		return how
	}
	return WrongOther
}
