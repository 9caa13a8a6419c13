// SPDX-License-Identifier: Apache-2.0

package contact

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/fault"
)

func TestParsePhone(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, region, want string }{
		{"E.164", "+33612345678", "", "+33612345678"},
		{"grouped", "+33 6 12 34 56 78", "", "+33612345678"},
		{"punctuated", " +1 (415) 555-2671\n", "", "+14155552671"},
		{"national", "06 12 34 56 78", "FR", "+33612345678"},
		{"national, region in lower case", "0612345678", "fr", "+33612345678"},
		{"international, region ignored", "+33612345678", "US", "+33612345678"},
		{"international prefix", "0033612345678", "DE", "+33612345678"},
		{"trunk zero in brackets", "+44 (0)7911 123456", "", "+447911123456"},
		{"tel URI", "tel:+44-7911-123456", "", "+447911123456"},
		{"tel URI in upper case", "TEL:+447911123456", "", "+447911123456"},
		{"zero of its own", "+39 06 698 12345", "", "+390669812345"},
		{"full-width", "＋３３６１２３４５６７８", "", "+33612345678"},
		{"Arabic-Indic", "+٣٣٦١٢٣٤٥٦٧٨", "", "+33612345678"},
		{"Devanagari, national", "०६१२३४५६७८", "FR", "+33612345678"},
		{"marks of direction", "\u202a+33 612\u00a0345\u2011678\u202c", "", "+33612345678"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := ParsePhone(tt.text, tt.region)
			if err != nil {
				t.Fatal(err)
			}
			if c.Reveal() != tt.want || c.Kind() != Phone {
				t.Errorf("got %s %s, want %s", c.Kind(), c.Reveal(), tt.want)
			}
		})
	}
}

func TestParsePhoneRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, region, code string }{
		{"nothing", "", "FR", "invalid_phone_number"},
		{"a plus", "+", "FR", "invalid_phone_number"},
		{"words", "call me", "FR", "invalid_phone_number"},
		{"a number inside words", "my number is 0612345678", "FR", "invalid_phone_number"},
		{"letters for digits", "+1 800 FLOWERS", "US", "invalid_phone_number"},
		{"plus inside", "06+12345678", "FR", "invalid_phone_number"},
		{"two numbers", "+33612345678+33612345679", "", "invalid_phone_number"},
		{"no such country", "+9991234567", "", "invalid_phone_number"},
		{"too short", "+3361234", "", "invalid_phone_number"},
		{"too long", "+336123456789012", "", "invalid_phone_number"},
		{"huge", "+" + strings.Repeat("3", 100_000), "", "invalid_phone_number"},
		{"not UTF-8", "+3361234\xff5678", "", "invalid_phone_number"},
		{"NUL", "+33612345678\x00", "", "invalid_phone_number"},
		{"national without region", "0612345678", "", "phone_country_missing"},
		{"unknown region", "0612345678", "XX", "invalid_phone_number"},
		{"possible, unassigned", "+1 415 155 2671", "", "phone_number_unassigned"},
		{"unassigned area", "+1 155 555 2671", "", "phone_number_unassigned"},
		{"extension", "+1 415 555 2671 ext. 12", "", "phone_extension_refused"},
		{"extension x", "+14155552671x12", "", "phone_extension_refused"},
		{"extension in a URI", "tel:+14155552671;ext=12", "", "phone_extension_refused"},
		{"dialled on", "+14155552671,,12#", "", "phone_extension_refused"},
		{"premium, US", "+1 900 555 2671", "", "number_type_refused"},
		{"premium, GB", "+44 909 879 0000", "", "number_type_refused"},
		{"premium, FR", "+33 899 12 34 56", "", "number_type_refused"},
		{"toll-free", "+1 800 555 2671", "", "number_type_refused"},
		{"shared cost", "+49 180 1 123456", "", "number_type_refused"},
		{"personal number", "+44 70 1234 5678", "", "number_type_refused"},
		{"satellite", "+881 612 345 678", "", "number_type_refused"},
		{"international network", "+882 16 1234 5678", "", "number_type_refused"},
		{"international premium", "+979 123 456 789", "", "number_type_refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParsePhone(tt.text, tt.region)
			if err == nil {
				t.Fatal("accepted")
			}
			if e := fault.As(err); e.Code != tt.code || e.Kind != fault.Invalid {
				t.Errorf("got %s %v, want %s", e.Kind, err, tt.code)
			}
		})
	}
	for _, short := range []string{"911", "112", "15", "17", "110", "116117", "3639", "81234"} {
		for _, region := range []string{"US", "FR", "DE", "GB", "IN"} {
			if c, err := ParsePhone(short, region); err == nil {
				t.Errorf("the short number %s is accepted in %s as %s", short, region, c.Reveal())
			}
		}
	}
}

func TestPhoneFacts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text, region, masked, short string
		code                        int
		typ                         Type
	}{
		{"+33612345678", "FR", "the phone ending in 78", "+33 •••• 78", 33, TypeMobile},
		{"+33142345678", "FR", "the phone ending in 78", "+33 •••• 78", 33, TypeLandline},
		{"+14155552671", "US", "the phone ending in 71", "+1 •••• 71", 1, TypeUnknown},
		{"+16135550123", "CA", "the phone ending in 23", "+1 •••• 23", 1, TypeUnknown},
		{"+12642351234", "AI", "the phone ending in 34", "+1 •••• 34", 1, TypeMobile},
		{"+447400123456", "GB", "the phone ending in 56", "+44 •••• 56", 44, TypeMobile},
		{"+390612312345", "IT", "the phone ending in 45", "+39 •••• 45", 39, TypeLandline},
		{"+355672123456", "AL", "the phone ending in 56", "+355 •••• 56", 355, TypeMobile},
		{"+445631234567", "GB", "the phone ending in 67", "+44 •••• 67", 44, TypeVoIP},
	}
	for _, tt := range tests {
		parsed, err := ParsePhone(tt.text, "")
		if err != nil {
			t.Fatalf("%s: %v", tt.text, err)
		}
		stored, err := FromCanonical(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []Contact{parsed, stored} {
			if c.Region() != tt.region || c.Masked() != tt.masked || c.MaskedShort() != tt.short ||
				c.CountryCode() != tt.code || c.Type() != tt.typ || c.Strict() != tt.text {
				t.Errorf("%s: got %s, %q, %q, %d, %s", tt.text, c.Region(), c.Masked(), c.MaskedShort(), c.CountryCode(), c.Type())
			}
		}
	}
}

// The short way and the library's parser agree on every number that is valid as it stands: examples
// of every type in every country, and random numbers under every country code.
func TestShortWayAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	agree := func(t testing.TB, text string) {
		number, ok := splitE164(text)
		if !ok || phonenumbers.GetNumberType(number) == phonenumbers.UNKNOWN {
			return // ParsePhone takes the long way then
		}
		want, err := phonenumbers.Parse(text, "")
		if err != nil {
			t.Errorf("%s is valid by the short way; the library says %v", text, err)
			return
		}
		if got := phonenumbers.Format(want, phonenumbers.E164); got != text {
			t.Errorf("%s is %s to the library", text, got)
		}
	}
	for region := range phonenumbers.GetSupportedRegions() {
		for typ := phonenumbers.FIXED_LINE; typ < phonenumbers.UNKNOWN; typ++ {
			if n := phonenumbers.GetExampleNumberForType(region, typ); n != nil {
				agree(t, phonenumbers.Format(n, phonenumbers.E164))
			}
		}
	}
	codes := phonenumbers.GetSupportedCallingCodes()
	var sorted []int
	for code := range 1000 {
		if codes[code] {
			sorted = append(sorted, code)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		code := rapid.SampledFrom(sorted).Draw(rt, "code")
		for range 20 {
			national := rapid.StringMatching(`[0-9]{6,12}`).Draw(rt, "national")
			if text := fmt.Sprintf("+%d%s", code, national); isE164(text) {
				agree(t, text)
			}
		}
	})
}

func TestEveryDigitOfUnicode(t *testing.T) {
	t.Parallel()
	for _, rg := range unicode.Nd.R16 {
		if rg.Stride != 1 || (rg.Hi-rg.Lo+1)%10 != 0 {
			t.Errorf("U+%04X to U+%04X is no whole rows of digits", rg.Lo, rg.Hi)
		}
	}
	for _, rg := range unicode.Nd.R32 {
		if rg.Stride != 1 || (rg.Hi-rg.Lo+1)%10 != 0 {
			t.Errorf("U+%04X to U+%04X is no whole rows of digits", rg.Lo, rg.Hi)
		}
	}
	for i, r := range []rune("0123456789٠١٢٣٤٥٦٧٨٩०१२३४५६७८९𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗") {
		if got := digitValue(r); got != byte(i%10) {
			t.Errorf("%c is %d", r, got)
		}
	}
}

func BenchmarkParsePhone(b *testing.B) {
	for name, text := range map[string]string{
		"FR": "+33612345678", "US": "+14155552671", "GB": "+447911123456", "FR-grouped": "+33 6 12 34 56 78",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParsePhone(text, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
