// SPDX-License-Identifier: Apache-2.0

package contact

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"github.com/countersign/countersign/internal/fault"
)

// Type is what kind of line a phone number is on, as far as the number tells.
type Type uint8

// The types. In countries where the number doesn't tell a mobile from a landline it's unknown.
const (
	TypeUnknown Type = iota + 1
	TypeMobile
	TypeLandline
	TypeVoIP
)

// String is "unknown", "mobile", "landline" or "voip".
func (t Type) String() string {
	switch t {
	case TypeMobile:
		return "mobile"
	case TypeLandline:
		return "landline"
	case TypeVoIP:
		return "voip"
	}
	return "unknown"
}

const (
	maxPhoneText = 128 // bytes: 15 digits of four bytes each and their separators
	minE164      = 6   // digits; the shortest assigned numbers with their country code have 6
	maxE164      = 15  // digits (ITU-T E.164, 6.2.1)
)

// ParsePhone reads a phone number as a person types it: with a country code ("+33 6 12 34 56 78"),
// as a tel: URI (RFC 3966, without parameters), or in national form when defaultRegion names an ISO
// 3166 country ("FR"; "" for none). Every Unicode decimal digit counts as a digit.
//
// Refused with a fault of kind Invalid: what is no number (invalid_phone_number), a national form
// without a region (phone_country_missing), an extension (phone_extension_refused), a number that
// no operator was given (phone_number_unassigned), and numbers that no person has on a phone:
// premium and shared-cost, toll-free, pagers, voicemail, personal and company access numbers,
// satellite and other networks without a country, emergency and short numbers (number_type_refused
// or invalid_phone_number). Most of them pay whoever gets calls sent to them.
//
// It takes 2 to 6 µs for a number in E.164, by country, and about 5 µs more for other forms.
func ParsePhone(text, defaultRegion string) (Contact, error) {
	if isE164(text) {
		if number, ok := splitE164(text); ok {
			if typ := phonenumbers.GetNumberType(number); typ != phonenumbers.UNKNOWN {
				return acceptType(text, number, typ)
			}
		}
	}
	plain, err := plainPhone(text)
	if err != nil {
		return Contact{}, err
	}
	region := strings.ToUpper(defaultRegion)
	if plain[0] != '+' && region == "" {
		return Contact{}, fault.New(fault.Invalid, "phone_country_missing",
			"This phone number has no country code. Write it like +33 6 12 34 56 78.")
	}
	number, err := phonenumbers.Parse(plain, region)
	if err != nil {
		return Contact{}, errPhone() // the library's error adds nothing for anybody
	}
	if number.GetExtension() != "" {
		return Contact{}, errExtension()
	}
	typ := phonenumbers.GetNumberType(number)
	if typ == phonenumbers.UNKNOWN {
		if phonenumbers.IsPossibleNumber(number) {
			return Contact{}, fault.New(fault.Invalid, "phone_number_unassigned",
				"No phone has a number like this. Check its digits and its country code.")
		}
		return Contact{}, errPhone()
	}
	return acceptType(phonenumbers.Format(number, phonenumbers.E164), number, typ)
}

// acceptType refuses the numbers that no person has on a phone.
func acceptType(e164 string, number *phonenumbers.PhoneNumber, typ phonenumbers.PhoneNumberType) (Contact, error) {
	ours, ok := typeOf(typ)
	if !ok || isWorldwide(number.GetCountryCode()) || !isE164(e164) {
		return Contact{}, fault.New(fault.Invalid, "number_type_refused",
			"Codes can't be sent to this type of number. Use the number of a mobile phone or a landline.")
	}
	return keep(Phone, ours, e164), nil
}

func typeOf(typ phonenumbers.PhoneNumberType) (t Type, ok bool) {
	switch typ {
	case phonenumbers.MOBILE:
		return TypeMobile, true
	case phonenumbers.FIXED_LINE:
		return TypeLandline, true
	case phonenumbers.VOIP:
		return TypeVoIP, true
	case phonenumbers.FIXED_LINE_OR_MOBILE:
		return TypeUnknown, true
	}
	return TypeUnknown, false
}

// isWorldwide tells whether a country code belongs to no country (+800, +870, +881, +882, ...).
func isWorldwide(countryCode int32) bool {
	return phonenumbers.GetSupportedGlobalNetworkCallingCodes()[int(countryCode)]
}

// plainPhone returns the number with ASCII digits and without what is not its own: "tel:", spaces
// of all kinds, invisible marks. It lets through only what belongs in a number, because the library
// would look for one inside any text and read letters as digits.
func plainPhone(text string) (string, error) {
	text = trim(text)
	if len(text) >= 4 && strings.EqualFold(text[:4], "tel:") {
		text = trim(text[4:])
	}
	if text == "" || len(text) > maxPhoneText || !utf8.ValidString(text) {
		return "", errPhone()
	}
	var out strings.Builder
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Nd, r):
			out.WriteByte('0' + digitValue(r))
		case r == '+' || r == '＋':
			if out.Len() > 0 {
				return "", errPhone()
			}
			out.WriteByte('+')
		case isInvisible(r), unicode.Is(unicode.Zs, r), unicode.Is(unicode.Pd, r), strings.ContainsRune("./()（）", r):
			// how people group digits; the groups mean nothing
		case strings.ContainsRune("xX#,;", r) && out.Len() > 0:
			return "", errExtension()
		case (r == 'e' || r == 'E') && out.Len() > 0 && strings.Contains(strings.ToLower(text), "ext"):
			return "", errExtension()
		default:
			return "", errPhone()
		}
	}
	if strings.TrimPrefix(out.String(), "+") == "" {
		return "", errPhone()
	}
	return out.String(), nil
}

// digitValue is the value of a Unicode decimal digit. Each script has its ten in a row, from zero,
// and every range of the table is a whole number of such rows (checked by a test).
func digitValue(r rune) byte {
	for _, rg := range unicode.Nd.R16 {
		if r >= rune(rg.Lo) && r <= rune(rg.Hi) {
			return byte((r - rune(rg.Lo)) % 10) //nolint:gosec // below ten
		}
	}
	for _, rg := range unicode.Nd.R32 {
		if r >= rune(rg.Lo) && r <= rune(rg.Hi) { //nolint:gosec // code points fit
			return byte((r - rune(rg.Lo)) % 10) //nolint:gosec // below ten
		}
	}
	return 0
}

func errPhone() *fault.Error {
	return fault.New(fault.Invalid, "invalid_phone_number",
		"This is not a whole phone number. Write it with its country code, like +33 6 12 34 56 78.")
}

func errExtension() *fault.Error {
	return fault.New(fault.Invalid, "phone_extension_refused",
		"Codes can't be sent to an extension. Use a number that rings or takes texts directly.")
}

// isE164 tells whether text has the form of E.164: a plus sign and 6 to 15 digits, the first not 0.
func isE164(text string) bool {
	if len(text) < 1+minE164 || len(text) > 1+maxE164 || text[0] != '+' || text[1] == '0' {
		return false
	}
	for i := 1; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// splitE164 splits a number in E.164 form without the library's parser, which costs more than all
// the rest because it's ready for any text. Country codes are prefix-free (E.164, 6.1), so there is
// one way to split. That both agree on every number that is valid as it stands is tested.
func splitE164(text string) (*phonenumbers.PhoneNumber, bool) {
	codes := phonenumbers.GetSupportedCallingCodes()
	for n := 1; n <= 3; n++ {
		code, _ := strconv.ParseInt(text[1:1+n], 10, 32) // isE164 has seen the digits
		if !codes[int(code)] {
			continue
		}
		national := text[1+n:]
		value, err := strconv.ParseUint(national, 10, 64)
		if err != nil {
			return nil, false
		}
		cc := int32(code)
		number := &phonenumbers.PhoneNumber{CountryCode: &cc, NationalNumber: &value}
		zeros := len(national) - len(strings.TrimLeft(national[:len(national)-1], "0")) - 1
		if zeros > 0 { // Italian numbers, for one, begin with zeros of their own
			leading, count := true, int32(zeros) //nolint:gosec // at most 14
			number.ItalianLeadingZero, number.NumberOfLeadingZeros = &leading, &count
		}
		return number, true
	}
	return nil, false
}

// CountryCode is the E.164 country code of a phone (33 for France); 0 for anything else.
func (c Contact) CountryCode() int {
	if c.kind != Phone {
		return 0
	}
	number, ok := splitE164(c.Reveal())
	if !ok {
		return 0
	}
	return int(number.GetCountryCode())
}

// Region is the ISO 3166 country of a phone ("FR"), found by its country code and, where several
// countries share one, by its digits; "" for anything else. It takes up to 5 µs.
func (c Contact) Region() string {
	if c.kind != Phone {
		return ""
	}
	number, ok := splitE164(c.Reveal())
	if !ok {
		return ""
	}
	return phonenumbers.GetRegionCodeForNumber(number)
}

// Type is the type of a phone's line, [TypeUnknown] for anything else.
func (c Contact) Type() Type {
	if c.kind != Phone {
		return TypeUnknown
	}
	if c.typ != 0 {
		return c.typ
	}
	number, ok := splitE164(c.Reveal())
	if !ok {
		return TypeUnknown
	}
	t, _ := typeOf(phonenumbers.GetNumberType(number))
	return t
}
