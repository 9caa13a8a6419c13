// SPDX-License-Identifier: Apache-2.0

package otp

import (
	"testing"

	"pgregory.net/rapid"
)

var door = DeliveryShape{Letter: 'D', Digits: 5, SignIn: 6}

// A delivery code is read as people say and type it, and a code for signing in is told from it.
//
// Keeps: S27, A.3, H.2
func TestParseDelivery(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		kind   TypedKind
		digits string
	}{
		"D-48213":                               {TypedCode, "48213"},
		"d 48 213":                              {TypedCode, "48213"},
		"48213":                                 {TypedCode, "48213"},
		"48-213":                                {TypedCode, "48213"},
		"\u0414-48213":                          {TypedCode, "48213"}, // a keyboard of another script
		"D\u2013\uff14\uff18\uff12\uff11\uff13": {TypedCode, "48213"},
		"\u0664\u0668\u0662\u0661\u0663":        {TypedCode, "48213"},
		"D-48213 is your Acme delivery code. Say it at the door, never on the phone.": {TypedCode, "48213"},
		"Your NEW code: d-48213.": {TypedCode, "48213"},
		"D-48213 or D-48214":      {TypedSeveral, ""},
		"D-48213 D-48213 ok":      {TypedCode, "48213"},
		"482135":                  {TypedSignIn, ""},
		"482 135":                 {TypedSignIn, ""},
		"482135 is your Acme code to sign in. We never ask for it.": {TypedSignIn, ""},
		"D-482135":                {TypedTooLong, ""},
		"D-4821":                  {TypedTooShort, ""},
		"4821":                    {TypedTooShort, ""},
		"4821356":                 {TypedTooLong, ""},
		"X-48213":                 {TypedNotDigits, ""},
		"":                        {TypedEmpty, ""},
		"  ":                      {TypedEmpty, ""},
		"hello":                   {TypedNoCandidate, ""},
		"ID-48213 is your number": {TypedNoCandidate, ""},
	} {
		got := ParseDelivery(text, door)
		if got.Kind != want.kind || got.Code.Reveal() != want.digits {
			t.Errorf("%q: %v %q", text, got.Kind, got.Code.Reveal())
		}
	}
}

// Whatever lengths a service chooses, a delivery code is never taken for one to sign in, nor the other way round.
//
// Keeps: S27
func TestTheTwoKindsOfCodeNeverMeet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		signIn := rapid.IntRange(MinDigits, MaxDigits).Draw(t, "signIn")
		digits := rapid.IntRange(MinDeliveryDigits, MaxDeliveryDigits).Filter(func(n int) bool { return n != signIn }).Draw(t, "digits")
		letter := byte(rapid.IntRange('A', 'Z').Draw(t, "letter"))
		key := make([]byte, 32)
		delivery := Derive(key, Input{Space: SpaceDelivery, Generation: 1, Digits: digits}).Reveal()
		code := Derive(key, Input{Space: SpaceVerification, Generation: 1, Digits: signIn}).Reveal()
		shape := DeliveryShape{Letter: letter, Digits: digits, SignIn: signIn}
		gap := rapid.SampledFrom([]string{"", "-", " "}).Draw(t, "gap")
		if got := Parse(string(letter)+gap+delivery, Shape{Digits: signIn}); got.Kind != TypedDelivery {
			t.Fatalf("%s%s%s at sign-in is %v", string(letter), gap, delivery, got.Kind)
		}
		if got := ParseDelivery(code, shape); got.Kind != TypedSignIn {
			t.Fatalf("%s at the door is %v", code, got.Kind)
		}
		if got := ParseDelivery(string(letter)+gap+delivery, shape); got.Kind != TypedCode || got.Code.Reveal() != delivery {
			t.Fatalf("%s%s%s at the door is %v", string(letter), gap, delivery, got.Kind)
		}
	})
}

func FuzzParseDelivery(f *testing.F) {
	for _, s := range []string{"D-48213", "482135", "D 48 213 is your code", "\u0664\u0668", "D", "D-", "DD-48213D"} {
		f.Add(s, byte('D'), 5, 6)
	}
	f.Fuzz(func(t *testing.T, text string, letter byte, digits, signIn int) {
		if letter < 'A' || letter > 'Z' || digits < MinDeliveryDigits || digits > MaxDeliveryDigits || signIn < MinDigits || signIn > MaxDigits || digits == signIn {
			t.Skip()
		}
		got := ParseDelivery(text, DeliveryShape{Letter: letter, Digits: digits, SignIn: signIn})
		if (got.Kind == TypedCode) != (got.Code.Len() == digits) {
			t.Fatalf("%q: %v with %d digits", text, got.Kind, got.Code.Len())
		}
	})
}
