// SPDX-License-Identifier: Apache-2.0

package otp_test

import (
	"testing"

	"github.com/countersign/countersign/internal/otp"
)

// An amount of bare digits is an amount where it stands by itself and not inside the code; a delivery code in a sentence is
// no sign-in code of five digits.
// Keeps: A.3, S27
func TestAmountsAndDeliveryCodesInsideMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, amount string
		digits       int
		want         string // empty: none
	}{
		{"150012 confirms 500 to Acme. Tell nobody the code.", "500", 6, "150012"},
		{"481213 confirms 12 to Acme.", "12", 6, "481213"},
		{"481213 confirms EUR 12 to Acme.", "EUR 12", 6, "481213"},
		{"481213 confirms 500000 to Acme.", "500000", 6, "481213"},
		{"481213 confirms $481.21 to Acme.", "$481.21", 6, "481213"},
		{"481213", "\u200b", 6, "481213"},
		{"K 48213 is your delivery code", "", 5, ""},
		{"Your code is 48213", "", 5, "48213"},
	} {
		got := otp.Parse(c.text, otp.Shape{Digits: c.digits, Amount: c.amount})
		if (got.Kind == otp.TypedCode) != (c.want != "") || got.Kind == otp.TypedCode && got.Code.Reveal() != c.want {
			t.Errorf("%q with the amount %q: kind %v", c.text, c.amount, got.Kind)
		}
	}
}
