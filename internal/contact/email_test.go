// SPDX-License-Identifier: Apache-2.0

package contact

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/internal/fault"
)

func TestParseEmail(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("d", 63)
	tests := []struct{ name, text, want string }{
		{"plain", "ada@example.com", "ada@example.com"},
		{"spaces around", " \tada@example.com\r\n", "ada@example.com"},
		{"case", "Ada.Lovelace@Example.COM", "Ada.Lovelace@example.com"},
		{"tag", "ada+shop@example.com", "ada+shop@example.com"},
		{"all of atext", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		{"international domain", "ada@Bücher.example", "ada@xn--bcher-kva.example"},
		{"punycode", "ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
		{"full-width domain", "ada@ｅｘａｍｐｌｅ．com", "ada@example.com"},
		{"digits", "1@1.example", "1@1.example"},
		{"longest local part", strings.Repeat("a", 64) + "@example.com", strings.Repeat("a", 64) + "@example.com"},
		{"longest", strings.Repeat("a", 60) + "@" + label + "." + label + "." + label + ".c", strings.Repeat("a", 60) + "@" + label + "." + label + "." + label + ".c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := ParseEmail(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if c.Reveal() != tt.want || c.Kind() != Email {
				t.Errorf("got %s %s, want %s", c.Kind(), c.Reveal(), tt.want)
			}
		})
	}
}

func TestParseEmailRefuses(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("d", 63)
	for name, text := range map[string]string{
		"nothing":               "",
		"no at":                 "ada.example.com",
		"no local part":         "@example.com",
		"no domain":             "ada@",
		"two ats":               "ada@home@example.com",
		"display name":          "Ada <ada@example.com>",
		"angle brackets":        "<ada@example.com>",
		"comment":               "ada(work)@example.com",
		"quoted":                `"ada lovelace"@example.com`,
		"list":                  "ada@example.com,bob@example.com",
		"group":                 "all:ada@example.com;",
		"space":                 "ada lovelace@example.com",
		"header injection":      "ada@example.com\r\nBcc: bob@example.com",
		"header before the at":  "ada\r\nBcc:bob@example.com",
		"NUL":                   "ada\x00@example.com",
		"leading dot":           ".ada@example.com",
		"trailing dot":          "ada.@example.com",
		"double dot":            "a..da@example.com",
		"local part too long":   strings.Repeat("a", 65) + "@example.com",
		"too long":              strings.Repeat("a", 61) + "@" + label + "." + label + "." + label + ".c",
		"label too long":        "ada@" + label + "d.com",
		"huge":                  "ada@" + strings.Repeat("d.", 100_000) + "com",
		"single label":          "ada@localhost",
		"address literal":       "ada@[192.0.2.1]",
		"address":               "ada@192.0.2.1",
		"empty label":           "ada@example..com",
		"root dot":              "ada@example.com.",
		"underscore":            "ada@my_host.example",
		"hyphen first":          "ada@-host.example",
		"hyphen last":           "ada@host-.example",
		"space in the domain":   "ada@example .com",
		"broken punycode":       "ada@xn--a\x80.example",
		"false punycode":        "ada@xn--0.example",
		"domain not UTF-8":      "ada@ex\xffample.com",
		"invisible in a domain": "ada@exam\u2066ple.com",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := ParseEmail(text)
			if err == nil {
				t.Fatalf("accepted as %q", c.Reveal())
			}
			if e := fault.As(err); e.Code != "invalid_email_address" || e.Kind != fault.Invalid {
				t.Errorf("got %s %v", e.Kind, err)
			}
		})
	}
	if _, err := ParseEmail("адa@example.com"); fault.As(err).Code != "email_characters_refused" {
		t.Errorf("got %v", err)
	}
	// Only atext and dots pass, tried with every byte.
	for b := range 256 {
		c := byte(b)
		_, err := ParseEmail("a" + string([]byte{c}) + "a@example.com")
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if want := letter || c != 0 && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0; (err == nil) != want {
			t.Errorf("byte %#x: got %v", c, err)
		}
	}
}

// Keeps: S7
func TestStrictCountsAliasesAsOne(t *testing.T) {
	t.Parallel()
	same := [][]string{
		{"ada.lovelace+shop@gmail.com", "ADALOVELACE@googlemail.com", "a.d.a.lovelace@gmail.com"},
		{"ada+1@example.com", "Ada+2@example.com", "ada@EXAMPLE.com"},
		{"ada-shop@yahoo.com", "ada@yahoo.com", "ada-2+x@yahoo.com"},
		{"ada-shop@yahoo.co.uk", "ada@yahoo.co.uk"},
		{"ada@icloud.com", "ada@me.com", "ada+x@mac.com"},
		{"a.d_a-l@proton.me", "adal@protonmail.com", "adal@pm.me"},
		{"shop@ada.fastmail.com", "other@ada.fastmail.com", "ada+x@fastmail.com"},
	}
	forms := map[string]int{}
	for i, group := range same {
		for _, text := range group {
			c, err := ParseEmail(text)
			if err != nil {
				t.Fatal(err)
			}
			form := c.Strict()
			if first, seen := forms[form]; seen && first != i {
				t.Errorf("%s is counted with group %d", text, first)
			}
			forms[form] = i
			if strict, err := ParseEmail(form); err != nil || strict.Strict() != form {
				t.Errorf("the strict form %s isn't strict: %v", form, err)
			}
		}
	}
	if len(forms) != len(same) {
		t.Errorf("%d groups have %d forms: %v", len(same), len(forms), forms)
	}
	for _, apart := range [][2]string{
		{"a.da@example.com", "ada@example.com"},
		{"ada-x@example.com", "ada@example.com"},
		{"ada@gmail.com", "ada@example.com"},
		{"+x@example.com", "@example.com"},
		{"ada@notgmail.com", "ada@gmail.com"},
	} {
		if strictEmail(apart[0]) == strictEmail(apart[1]) {
			t.Errorf("%s and %s are counted as one", apart[0], apart[1])
		}
	}
}

func BenchmarkParseEmail(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEmail("Ada.Lovelace@Example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
