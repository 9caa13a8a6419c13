// SPDX-License-Identifier: Apache-2.0

package contact

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/fault"
)

func TestParseDecidesByTheAt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		kind Kind
		code string
	}{
		{"+33612345678", Phone, ""},
		{"06 12 34 56 78", Phone, ""},
		{"ada@example.com", Email, ""},
		{"0612345678@", 0, "invalid_email_address"},
		{"ada", 0, "invalid_phone_number"},
		{"", 0, "contact_missing"},
		{" \n", 0, "contact_missing"},
	}
	for _, tt := range tests {
		c, err := Parse(tt.text, "FR")
		if c.Kind() != tt.kind || tt.code != "" && fault.As(err).Code != tt.code || tt.code == "" && err != nil {
			t.Errorf("%q: got %s, %v", tt.text, c.Kind(), err)
		}
	}
}

func TestFromCanonical(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"+33612345678", "Ada+x@example.com", "+19995550123" /* no longer valid, say */} {
		if c, err := FromCanonical(text); err != nil || c.Reveal() != text {
			t.Errorf("%s: got %s, %v", text, c.Reveal(), err)
		}
	}
	for _, text := range []string{"", "+", "33612345678", "+0123456789", "+336 12345678", "ada@", "ada@Example.com",
		"ada@example.com\r\n", "a@b@example.com", "ada"} {
		if _, err := FromCanonical(text); fault.As(err) == nil || fault.As(err).Kind != fault.Internal {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// holder has a contact where fmt calls no methods.
type holder struct{ hidden Contact }

// Keeps: A.7, S14
func TestNothingPrintsAContact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"+33612345678": "[phone]", "zq.lovelace@example.com": "[email]"} {
		c, err := Parse(text, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
			if got := fmt.Sprintf(verb, c); got != want {
				t.Errorf("%s prints %s", verb, got)
			}
			for _, value := range []any{&c, holder{c}, &holder{c}, []Contact{c}, map[string]Contact{"x": c}} {
				if got := fmt.Sprintf(verb, value); leaks(got, text) {
					t.Errorf("%s of %T prints %s", verb, value, got)
				}
			}
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "c", c, "p", &c, "h", holder{c})
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c, "p", &c, "h", holder{c})
		js, err := json.Marshal(map[string]any{"c": c, "h": holder{c}})
		if err != nil {
			t.Fatal(err)
		}
		x, err := xml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{log.String(), string(js), string(x), fmt.Sprint(c), c.String()} {
			if leaks(got, text) || !strings.Contains(got, want) {
				t.Errorf("got %s", got)
			}
		}
	}
	if reflect.TypeFor[Contact]().Comparable() {
		t.Error("contacts can be compared with ==")
	}
}

// leaks tells whether shown holds the value, plainly or as hexadecimal digits.
func leaks(shown, value string) bool {
	lower := strings.ToLower(shown)
	return strings.Contains(lower, value[1:8]) || strings.Contains(lower, fmt.Sprintf("%x", value[1:8]))
}

func TestZeroContact(t *testing.T) {
	t.Parallel()
	var c Contact
	if c.Reveal() != "" || c.Kind() != 0 || c.String() != "[contact]" || c.Masked() != "" || c.Strict() != "" ||
		c.Region() != "" || c.CountryCode() != 0 || c.Type() != TypeUnknown {
		t.Errorf("got %s", c)
	}
}

func TestMaskedEmail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"maria@example.com": "m...@example.com",
		"ma@example.com":    "m...@example.com",
		"m@example.com":     "...@example.com",
	} {
		c, err := ParseEmail(text)
		if err != nil || c.Masked() != want || c.MaskedShort() != want {
			t.Errorf("%s: got %q, %v", text, c.Masked(), err)
		}
	}
}

// Keeps: A.7
func TestFaultsDoNotHoldTheValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(
			rapid.StringMatching(`\+[0-9]{7,15}(x[0-9]+)?`),
			rapid.StringMatching(`zq[a-z.]{5,70}@[A-Z]{6,9}(\.example| x)?`),
		).Draw(rt, "text")
		_, err := Parse(text, "")
		if err == nil {
			return
		}
		e := fault.As(err)
		for _, shown := range []string{e.Message, e.Error(), fmt.Sprintf("%#v", e), fmt.Sprint(e.Cause)} {
			if strings.Contains(shown, text[1:7]) {
				rt.Errorf("the fault holds the value: %s", shown)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"+33612345678", "06 12 34 56 78", "tel:+1-415-555-2671;ext=1", "+٣٣٦١٢٣٤٥٦٧٨", "+390669812345",
		"+44 (0)7911 123456", "Ada.L+x@Bücher.example", "a@xn--bcher-kva.example", "a@b.c\r\nBcc: x@y.z", "@", "+", "\xff@\xff"} {
		f.Add(seed, "FR")
	}
	f.Fuzz(func(t *testing.T, text, region string) {
		c, err := Parse(text, region)
		if err != nil {
			if fault.As(err).Kind != fault.Invalid {
				t.Fatalf("not a fault of the input: %v", err)
			}
			return
		}
		value := c.Reveal()
		again, err := Parse(value, "")
		if err != nil || again.Reveal() != value || again.Kind() != c.Kind() || again.Type() != c.Type() {
			t.Fatalf("%q is read as %q, %v", value, again.Reveal(), err)
		}
		if stored, err := FromCanonical(value); err != nil || stored.Reveal() != value || stored.Type() != c.Type() {
			t.Fatalf("%q can't be read from the database: %v", value, err)
		}
		if strings.ContainsAny(value, "\r\n\x00 <>\",;:") {
			t.Fatalf("%q breaks headers", value)
		}
		checkMasks(t, c)
	})
}

// checkMasks: of a number the last two digits and the country code, of an address one character
// and the domain.
func checkMasks(t *testing.T, c Contact) {
	t.Helper()
	if c.Kind() == Phone {
		want := c.Reveal()[len(c.Reveal())-2:]
		if got := digitsOf(c.Masked()); got != want {
			t.Fatalf("the mask shows %s", got)
		}
		if got := digitsOf(c.MaskedShort()); got != fmt.Sprintf("%d%s", c.CountryCode(), want) {
			t.Fatalf("the short mask shows %s", got)
		}
		return
	}
	local, _, _ := strings.Cut(c.Masked(), "@")
	if len(strings.TrimSuffix(local, "...")) > 1 {
		t.Fatalf("the mask shows %s", local)
	}
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
