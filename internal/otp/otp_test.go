// SPDX-License-Identifier: Apache-2.0

package otp_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/testkit/peers"
)

// Keeps: A.3, S27
func TestParse(t *testing.T) {
	t.Parallel()
	shape := otp.Shape{Digits: 6, Host: "acme.example", Amount: "EUR 123456"}
	for typed, want := range map[string]string{
		"482135": "482135", " 482 135 ": "482135", "482-135": "482135", "4 8 2 1 3 5": "482135", "482.135": "482135",
		"４８２１３５": "482135", "٤٨٢١٣٥": "482135", "४८२१३५": "482135", "48\u200b2135\u200f": "482135", "482\u2011135": "482135", "482\u00a0135": "482135",
		"Your code is 123 456": "123456", "Your code is 123-456.": "123456", "code:482135": "482135", "code: 482135.": "482135",
		"482135 is your Acme code to sign in. We never ask for it.\n@acme.example #482135": "482135",
		"111111 222222 whatever\n@acme.example #482135":                                    "482135",
		"482135 is your code\n@evil.example #999999":                                       "482135",
		"482135 is your code. Again: 482135":                                               "482135",
		"482135 confirms EUR 39.99 to Rad & Tat":                                           "482135",
		"482135 confirms EUR 123456 to Rad & Tat":                                          "482135",
		"Call +1 555 123 4567, code 482135":                                                "482135",
		"At 14:02 on 2026-11-24: 482135":                                                   "482135",
		"":                                                                                 "empty",
		"   ":                                                                              "empty",
		"12 34":                                                                            "too_short",
		"1234567":                                                                          "too_long",
		"abcdef":                                                                           "not_digits",
		"A123456":                                                                          "not_digits",
		"123456B":                                                                          "not_digits",
		"D-48213":                                                                          "delivery_code",
		"d 48 213":                                                                         "delivery_code",
		"hello there":                                                                      "no_candidate",
		"pay $123456":                                                                      "no_candidate",
		"123456 EUR":                                                                       "no_candidate",
		"111111 or 222222":                                                                 "several",
		"code 111111, code 222222":                                                         "several",
		strings.Repeat("1", 2001):                                                          "too_big",
		"\xff\xfe482135":                                                                   "482135?",
	} {
		got := otp.Parse(typed, shape)
		said := got.Kind.String()
		if got.Kind == otp.TypedCode {
			said = got.Code.Reveal()
		}
		if strings.HasSuffix(want, "?") { // whatever it is, it is no panic
			continue
		}
		if said != want {
			t.Errorf("%q: %s, want %s", typed, said, want)
		}
	}
	if got := otp.Parse("12 34", shape); got.Digits != 4 {
		t.Errorf("too short: %d digits typed, want 4", got.Digits)
	}
}

// Keeps: A.3
func TestAnyScriptAndSpacing(t *testing.T) {
	t.Parallel()
	var zeros []rune
	for _, r := range unicode.Nd.R16 {
		zeros = append(zeros, rune(r.Lo))
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(otp.MinDigits, otp.MaxDigits).Draw(t, "digits")
		code := rapid.StringOfN(rapid.RuneFrom([]rune("0123456789")), n, n, -1).Draw(t, "code")
		zero := rapid.SampledFrom(zeros).Draw(t, "zero")
		var typed strings.Builder
		for i, d := range code {
			if i > 0 {
				typed.WriteString(rapid.SampledFrom([]string{"", "", " ", "-", "\u00a0", "\u200b", "\u2013"}).Draw(t, "gap"))
			}
			typed.WriteRune(zero + d - '0')
		}
		got := otp.Parse(typed.String(), otp.Shape{Digits: n})
		if got.Kind != otp.TypedCode || got.Code.Reveal() != code {
			t.Fatalf("%q was read as %v %s", typed.String(), got.Kind, got.Code.Reveal())
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"482135", "Your code is 123 456", "@acme.example #482135", "D-48213", "EUR 1,234.56", "\xff"} {
		f.Add(s, 6)
	}
	f.Fuzz(func(t *testing.T, s string, digits int) {
		digits = otp.MinDigits + abs(digits)%(otp.MaxDigits-otp.MinDigits+1)
		got := otp.Parse(s, otp.Shape{Digits: digits, Host: "acme.example", Amount: "EUR 39.99"})
		if got.Kind == otp.TypedCode && got.Code.Len() != digits {
			t.Fatalf("a code of %d digits, want %d", got.Code.Len(), digits)
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

// Keeps: S4
func TestDerivedCodesAreApartAndEven(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdef0123456789abcdef")
	base := otp.Input{Space: otp.SpaceVerification, Service: 7, ID: [16]byte{1}, Generation: 1, Digits: 10}
	others := []otp.Input{base, base, base, base}
	others[0].Space, others[1].Service, others[2].ID[15], others[3].Generation = otp.SpaceDelivery, 8, 1, 2
	for i, in := range others {
		if otp.Derive(key, in).Equal(otp.Derive(key, base)) {
			t.Errorf("input %d makes the same code", i)
		}
	}
	if otp.Derive([]byte("another key, another key, another"), base).Equal(otp.Derive(key, base)) {
		t.Error("another key makes the same code")
	}
	// Chi-square over the last and the first digit of 100,000 codes: 9 degrees of freedom, 99.99 % below 33.7.
	var first, last [10]float64
	d := otp.NewDeriver(key)
	in := base
	in.Digits = 6
	const n = 100_000
	for i := range n {
		in.ID[0], in.ID[1], in.ID[2] = byte(i), byte(i>>8), byte(i>>16)
		c := d.Code(in).Reveal()
		first[c[0]-'0']++
		last[c[5]-'0']++
	}
	for _, seen := range [][10]float64{first, last} {
		chi := 0.0
		for _, s := range seen {
			chi += (s - n/10) * (s - n/10) / (n / 10)
		}
		if chi > 33.7 {
			t.Errorf("uneven digits: chi-square %.1f, %v", chi, seen)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{"482135": "none", "482136": "one_digit", "481235": "swapped", "111111": "other"} {
		if got := otp.Compare(otp.NewCode(typed), otp.NewCode("482135")); got.String() != want {
			t.Errorf("%s: %s, want %s", typed, got, want)
		}
	}
}

// Keeps: A.7
func TestACodeCannotBePrinted(t *testing.T) {
	t.Parallel()
	c := otp.NewCode("482135")
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "code", c, "in", struct{ C otp.Code }{c})
	text := b.String() + fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, c, c, c, c) + fmt.Sprintf("%v %+v", struct{ c otp.Code }{c}, []otp.Code{c})
	if j, err := json.Marshal(c); err == nil {
		text += string(j)
	}
	if strings.Contains(text, "482135") || strings.Contains(text, hex.EncodeToString([]byte("482135"))) {
		t.Fatal("printed: " + text)
	}
}

// RFC 4226, appendix D.
func TestHOTPVectors(t *testing.T) {
	t.Parallel()
	secret := []byte("12345678901234567890")
	for i, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := otp.HOTP(secret, uint64(i), 6, otp.SHA1).Reveal(); got != want {
			t.Errorf("counter %d: %s, want %s", i, got, want)
		}
	}
	if at, ok := otp.MatchHOTP(secret, otp.NewCode("520489"), 3, 10, 6, otp.SHA1); !ok || at != 9 {
		t.Errorf("found at %d, %v", at, ok)
	}
	if _, ok := otp.MatchHOTP(secret, otp.NewCode("520489"), 3, 5, 6, otp.SHA1); ok {
		t.Error("found beyond the look-ahead")
	}
}

// RFC 6238, appendix B, with the seeds of its erratum 2866.
func TestTOTPVectors(t *testing.T) {
	t.Parallel()
	seed := strings.Repeat("1234567890", 7)
	for _, v := range []struct {
		at                   int64
		sha1, sha256, sha512 string
	}{
		{59, "94287082", "46119246", "90693936"}, {1111111109, "07081804", "68084774", "25091201"}, {1111111111, "14050471", "67062674", "99943326"},
		{1234567890, "89005924", "91819424", "93441116"}, {2000000000, "69279037", "90698825", "38618901"}, {20000000000, "65353130", "77737706", "47863826"},
	} {
		for h, want := range map[otp.Hash]string{otp.SHA1: v.sha1, otp.SHA256: v.sha256, otp.SHA512: v.sha512} {
			totp := otp.TOTP{Secret: []byte(seed[:map[otp.Hash]int{otp.SHA1: 20, otp.SHA256: 32, otp.SHA512: 64}[h]]), Digits: 8, Hash: h}
			if got := totp.At(time.Unix(v.at, 0)).Reveal(); got != want {
				t.Errorf("%s at %d: %s, want %s", h, v.at, got, want)
			}
		}
	}
}

func TestTOTPStepsAreAcceptedOnceAndDriftIsLearnt(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	totp := otp.TOTP{Secret: []byte("12345678901234567890"), Window: 1}
	late := totp.At(now.Add(-30 * time.Second)) // an app whose clock is a step behind
	step, drift, ok := totp.Match(late, now, 0, 0)
	if !ok || drift != -1 || step != totp.Step(now)-1 {
		t.Fatalf("step %d, drift %d, %v", step, drift, ok)
	}
	if _, _, again := totp.Match(late, now, step, drift); again {
		t.Fatal("a time step was accepted twice")
	}
	if _, _, far := totp.Match(totp.At(now.Add(-60*time.Second)), now, 0, 0); far {
		t.Fatal("two steps of drift were accepted")
	}
	if _, _, learnt := totp.Match(totp.At(now.Add(-60*time.Second)), now, 0, drift); !learnt {
		t.Fatal("the learnt drift is not used")
	}
}

func TestTOTPAgainstOathtool(t *testing.T) {
	t.Parallel()
	tool := peers.Oathtool(t)
	secret := []byte("a secret of some length")
	for _, h := range []otp.Hash{otp.SHA1, otp.SHA256, otp.SHA512} {
		out, err := exec.Command(tool, "--totp="+h.String(), "-N", "2026-11-24 12:00:00 UTC", "-d", "6", hex.EncodeToString(secret)).Output()
		if err != nil {
			t.Fatal(err)
		}
		totp := otp.TOTP{Secret: secret, Hash: h}
		if got := totp.At(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)).Reveal(); got != strings.TrimSpace(string(out)) {
			t.Errorf("%s: %s, oathtool says %s", h, got, out)
		}
	}
}

func TestSecretsAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	secret, err := otp.NewSecret(strings.NewReader("01234567890123456789"))
	if err != nil {
		t.Fatal(err)
	}
	text := otp.FormatSecret(secret)
	for _, typed := range []string{text, strings.ToLower(text), text[:4] + " " + text[4:8] + "-" + text[8:] + "====", "  " + text + "\n"} {
		if got, err := otp.ParseSecret(typed); err != nil || string(got) != string(secret) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	for _, bad := range []string{"", "abc", "0189018901890189", strings.Repeat("A", 300)} {
		if _, err := otp.ParseSecret(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	totp := otp.TOTP{Secret: secret}
	if got, want := totp.URI("Rad & Tat", "ann@mail.example"), "otpauth://totp/Rad%20&%20Tat:ann@mail.example?algorithm=SHA1&digits=6&issuer=Rad%20%26%20Tat&period=30&secret="+text; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add("GEZDGNBVGY3TQOJQ")
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := otp.ParseSecret(s); err == nil {
			if again, err := otp.ParseSecret(otp.FormatSecret(b)); err != nil || string(again) != string(b) {
				t.Fatal("a secret isn't read back")
			}
		}
	})
}

func BenchmarkDerive(b *testing.B) {
	d := otp.NewDeriver(make([]byte, 32))
	for b.Loop() {
		_ = d.Code(otp.Input{Space: 1, Service: 1, Generation: 1, Digits: 6})
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		_ = otp.Parse("482 135", otp.Shape{Digits: 6, Host: "acme.example"})
	}
}
