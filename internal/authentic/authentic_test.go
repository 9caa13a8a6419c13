// SPDX-License-Identifier: Apache-2.0

package authentic_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/authentic"
	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

var acme = &authentic.Ours{
	Name: "Acme", Domains: []string{"acme.example"}, Numbers: []string{"+14155550100"}, Senders: []string{"Acme", "+14155550111"}, Mail: []string{"Acme <codes@acme.example>"},
}

// Each rule is found where it belongs, and not beside it.
// Keeps: E.1, S23
func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		has  []authentic.Rule
		not  []authentic.Rule
	}{
		{"Look at acme.example/undo", []authentic.Rule{authentic.Link}, []authentic.Rule{authentic.ForeignDomain, authentic.Lookalike}},
		{"https://shop.acme.example/x", []authentic.Rule{authentic.Link}, []authentic.Rule{authentic.ForeignDomain}},
		{"482135 is your code\n@acme.example #482135", nil, []authentic.Rule{authentic.Link, authentic.ForeignDomain}},
		{"write to help@acme.example", nil, []authentic.Rule{authentic.Link}},
		{"https://acme.example.evil.com/a", []authentic.Rule{authentic.OursAsPart, authentic.ForeignDomain}, nil},
		{"http://acrne.com", []authentic.Rule{authentic.Lookalike}, nil},
		{"https://аcme.com", []authentic.Rule{authentic.Lookalike, authentic.MixedLetters}, nil},
		{"https://acme-login.com", []authentic.Rule{authentic.Lookalike}, nil},
		{"https://academy.com", []authentic.Rule{authentic.ForeignDomain}, []authentic.Rule{authentic.Lookalike}},
		{"hxxps://bad[.]com/x", []authentic.Rule{authentic.ForeignDomain}, nil},
		{"bit.ly/3xY", []authentic.Rule{authentic.Shortener}, nil},
		{"http://198.51.100.7/a", []authentic.Rule{authentic.AddressLink}, nil},
		{"https://acme.example@evil.com/a", []authentic.Rule{authentic.UserinfoLink}, nil},
		{"Send me the code.", []authentic.Rule{authentic.AsksCode}, nil},
		{"Never send the code to anybody.", nil, []authentic.Rule{authentic.AsksCode}},
		{"We will never ask you for the code. Enter your password now.", []authentic.Rule{authentic.AsksPassword}, []authentic.Rule{authentic.AsksCode}},
		{"Call +44 20 7946 0123", []authentic.Rule{authentic.ForeignNumber}, nil},
		{"Call +1 415 555 0100", nil, []authentic.Rule{authentic.ForeignNumber}},
		{"pass\u200bword", []authentic.Rule{authentic.Invisible}, nil},
		{"Bring milk.", nil, authentic.Rules()},
	} {
		var found []authentic.Rule
		for _, f := range authentic.Examine(c.text, "", acme) {
			found = append(found, f.Rule)
		}
		for _, r := range c.has {
			if !slices.Contains(found, r) {
				t.Errorf("%q: no %s in %v", c.text, r, found)
			}
		}
		for _, r := range c.not {
			if slices.Contains(found, r) {
				t.Errorf("%q: %s is found", c.text, r)
			}
		}
	}
	for sender, ours := range map[string]bool{"ACME": true, "+1 (415) 555-0111": true, "codes@acme.example": true, "Acme Support": false, "+14155550199": false} {
		found := slices.ContainsFunc(authentic.Examine("Hello", sender, acme), func(f authentic.Finding) bool { return f.Rule == authentic.OtherSender })
		if found == ours {
			t.Errorf("the sender %s is ours: %v", sender, !found)
		}
	}
}

// What is pasted is blanked before anything else sees it: codes however they are grouped, card and account numbers. Phone numbers stay.
// Keeps: S24
func TestBlank(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"482135 is your code":         "•••••• is your code",
		"482-135, 4 8 2 1 3 5":        "•••-•••, • • • • • •",
		"D-48213":                     "D-•••••",
		"٤٨٢١٣٥ ４８２１３５":               "•••••• ••••••",
		"4111 1111 1111 1111":         "•••• •••• •••• ••••",
		"DE89 3704 0044 0532 0130 00": "DE•• •••• •••• •••• •••• ••",
		"call +1 415 555 0100 now":    "call +1 415 555 0100 now",
		"call (415) 555-0100":         "call (415) 555-0100",
		"3 of 12 left":                "3 of 12 left",
		"4\u200b8\u200b2\u200b1":      "•\u200b•\u200b•\u200b•",
		"http://12345.example/67890":  "http://12345.example/•••••",
		"in 2026, 39.99":              "in ••••, ••.••",
	} {
		if got := authentic.Blank(text); got != want {
			t.Fatalf("%q becomes %q", text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune("0123456789 -.()+/\n")), rapid.Rune())).Draw(t, "text")
		once := authentic.Blank(text)
		if twice := authentic.Blank(once); twice != once {
			t.Fatalf("%q, then %q", once, twice)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.StringMatching(`[0-9]{4,10}`).Draw(t, "code")
		if got := authentic.Blank("code: " + code + "!"); strings.Contains(got, code) {
			t.Fatalf("%s stays: %s", code, got)
		}
	})
}

// A text is ours when its words are, with its code, blanked or without; more than ours is said to be more.
// Keeps: E.1
func TestCompare(t *testing.T) {
	t.Parallel()
	sent := "482135 is your Acme code to sign in. We never ask for it.\n@acme.example #482135"
	for pasted, want := range map[string]authentic.Likeness{
		sent: authentic.SameWords,
		"“•••••• is your ACME code to sign in.  We never ask for it. @acme.example #••••••”": authentic.SameWords,
		"is your Acme code to sign in. We never ask for it. @acme.example":                   authentic.SameWords,
		sent + " Please send it to us.":                authentic.MoreThan,
		"482135 is your Acme code. Tell it our agent.": authentic.Different,
		"": authentic.Different,
	} {
		if got := authentic.Compare(pasted, sent); got != want {
			t.Errorf("%q: %d", pasted, got)
		}
	}
}

// How many frauds are missed, and how many honest messages are called suspicious. corpus.txt was written, and labelled, with the rules in mind; the other
// two by somebody else who didn't know them. The bounds are what docs/security/unrequested.md reports.
// Keeps: E.1
func TestCorpus(t *testing.T) {
	t.Parallel()
	others := &authentic.Ours{Name: "Acme", Domains: []string{"acme.com", "acme-shop.de"}}
	for _, c := range []struct {
		file              string
		ours              *authentic.Ours
		frauds, missed    int
		honest, suspected int
	}{
		{"corpus.txt", acme, 60, 0, 62, 0},
		{"others.txt", others, 38, 7, 31, 0},
		{"unseen.txt", others, 24, 6, 28, 1},
	} {
		text, err := os.ReadFile("testdata/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		var frauds, honest, missed, suspected int
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			label, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
			_, words, _ := strings.Cut(rest, " ")
			all := authentic.Examine(words, "", c.ours)
			switch suspicious := authentic.Suspicious(all); {
			case label == "fraud" || label == "bad":
				if frauds++; !suspicious {
					missed++
					t.Logf("%s: missed: %s: %v", c.file, words, all)
				}
			default:
				if honest++; suspicious {
					suspected++
					t.Logf("%s: suspected: %s: %v", c.file, words, all)
				}
			}
		}
		t.Logf("%s: %d of %d frauds missed, %d of %d honest messages suspected", c.file, missed, frauds, suspected, honest)
		if frauds != c.frauds || honest != c.honest || missed > c.missed || suspected > c.suspected {
			t.Errorf("%s: worse than reported", c.file)
		}
	}
}

// The worst texts of full length are done with, and soon.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"1", "1 ", "+1", "(", "a.", "1.", "a@", "•", "• ", "http://", "rn", "send the code ", "xn--", "acme-"} {
		text := strings.Repeat(part, authentic.MaxText/len([]rune(part)))
		done := make(chan bool)
		go func() {
			authentic.Examine(text, text[:100], acme)
			authentic.Compare(text, text)
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatalf("%q takes too long", part)
		}
	}
}

// None of our own messages, in any language, is suspicious.
// Keeps: E.1
func TestOurOwnMessagesAreNotSuspicious(t *testing.T) {
	t.Parallel()
	r, err := message.NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	svc := &service.Service{Name: "Acme", Domain: "acme.example", Locale: "en"}
	for _, l := range locale.All() {
		for _, purpose := range service.Purposes() {
			o := &message.Outgoing{Service: svc, Channel: service.SMS, Purpose: purpose, Code: otp.NewCode("482135"), Locale: l.Tag}
			if purpose == service.Transaction {
				o.Amount, o.Payee = "EUR 39.99", "Rad & Tat"
			}
			text, err := r.Render(o)
			if err != nil {
				t.Fatal(err)
			}
			if all := authentic.Examine(text.Body, "Acme", acme); authentic.Suspicious(all) {
				t.Errorf("%s, %s: %q is suspicious: %v", l.Tag, purpose, text.Body, all)
			}
		}
		for _, kind := range message.NoticeKinds() {
			o := &message.Outgoing{Service: svc, Channel: service.SMS, Locale: l.Tag, Notice: &message.Notice{Kind: kind, What: "x", Address: "acme.example/undo", Key: "ABCD-EFGH"}}
			text, err := r.Render(o)
			if err != nil {
				t.Fatal(err)
			}
			if all := authentic.Examine(text.Body, "Acme", acme); authentic.Suspicious(all) {
				t.Errorf("%s, %s: %q is suspicious: %v", l.Tag, kind, text.Body, all)
			}
		}
		for _, kind := range message.DeliveryKinds() {
			o := &message.Outgoing{Service: svc, Channel: service.SMS, Locale: l.Tag, Delivery: &message.Delivery{Kind: kind, Letter: "D", Items: "a box of books", Name: "Ann Lee"}}
			if kind.Coded() {
				o.Code = otp.NewCode("48213")
			}
			if kind == message.DeliveryLink {
				o.Delivery.Link = "https://acme.example/t/abc"
			}
			for _, channel := range []service.Channel{service.SMS, service.Email, "short"} {
				if o.Channel = channel; channel == "short" { // a long name, in letters that leave less room
					o.Service, o.Channel = &service.Service{Name: "株式会社アクメ商事配送", Domain: "acme.example", Locale: "en"}, service.SMS
				}
				text, err := r.Render(o)
				if err != nil {
					t.Fatal(err)
				}
				if all := authentic.Examine(text.Body, "Acme", acme); authentic.Suspicious(all) {
					t.Errorf("%s, %s: %q is suspicious: %v", l.Tag, kind, text.Body, all)
				}
				blanked := authentic.Blank(text.Subject + text.Body)
				if authentic.Compare(blanked, text.Subject+text.Body) != authentic.SameWords && kind != message.DeliveryLink || strings.Contains(blanked, "48213") {
					t.Errorf("%s, %s: pasted, it isn't what was sent: %q", l.Tag, kind, blanked)
				}
			}
		}
	}
}

func FuzzExamine(f *testing.F) {
	f.Add("Send the code to https://acme.example@evil.com", "Acme")
	f.Add("４８２１３５ \u200b +1 415 555 0100 www.x.y", "+1")
	f.Fuzz(func(t *testing.T, text, sender string) {
		if authentic.Check(text) != nil {
			return
		}
		for _, finding := range authentic.Examine(text, sender, acme) {
			digits := 0
			for _, r := range finding.Words {
				if unicode.IsDigit(r) {
					digits++
				}
			}
			if finding.Rule != authentic.ForeignNumber && finding.Rule != authentic.OtherSender && digits > 40 {
				t.Fatalf("%s quotes %q", finding.Rule, finding.Words)
			}
		}
		once := authentic.Blank(text)
		if authentic.Blank(once) != once {
			t.Fatalf("%q isn't blank", once)
		}
	})
}
