// SPDX-License-Identifier: Apache-2.0

package web

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/authentic"
	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/message"
)

var (
	pluralForm  = regexp.MustCompile(`\.(zero|one|two|few|many|other)$`)
	placeholder = regexp.MustCompile(`\{\w+\}`)
	keyInText   = regexp.MustCompile(`(?:\.T|\.N|\.Forms|T\(|page\(v,|center\(v,|fresh\(v,) ?\(?"([a-z_.]+[a-z_])"`)
)

func base(key string) string { return pluralForm.ReplaceAllString(key, "") }

// Every language has every sentence, with the same values in it and the plural forms that its numbers need.
func TestWordsAreComplete(t *testing.T) {
	t.Parallel()
	w, err := readWords()
	if err != nil {
		t.Fatal(err)
	}
	english := w.byTag["en"]
	for _, l := range locale.All() {
		all := w.byTag[l.Tag]
		have := map[string]bool{}
		for key, text := range all {
			have[base(key)] = true
			origin, ok := english[key]
			if !ok {
				origin = english[base(key)+".other"]
			}
			if got, want := values(text), values(origin); !slices.Equal(got, want) {
				t.Errorf("%s: %s has %v, English has %v", l.Tag, key, got, want)
			}
			if strings.TrimSpace(text) == "" || strings.Contains(text, "<") {
				t.Errorf("%s: %s is %q", l.Tag, key, text)
			}
		}
		for key := range english {
			if !have[base(key)] {
				t.Errorf("%s lacks %s", l.Tag, key)
			}
		}
		for key := range have {
			if base := key; english[base] == "" {
				for n := range 200 {
					form := forms[plural.Cardinal.MatchPlural(language.MustParse(l.Tag), n, 0, 0, 0, 0)]
					if _, ok := all[base+"."+form]; !ok && english[base+".other"] != "" {
						t.Errorf("%s: %s has no form for %d (%s)", l.Tag, base, n, form)
						break
					}
				}
			}
		}
	}
}

func values(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// The words are not English in other languages, but for names and the like.
func TestWordsAreTranslated(t *testing.T) {
	t.Parallel()
	w, err := readWords()
	if err != nil {
		t.Fatal(err)
	}
	if !w.reviewed["en"] {
		t.Error("English is what the others are made of")
	}
	for _, l := range locale.All()[1:] {
		// Who has read the words of a language as a native speaker sets "reviewed" in its file, and takes it out here.
		if w.reviewed[l.Tag] {
			t.Errorf("%s is marked as reviewed", l.Tag)
		}
		same := 0
		for key, text := range w.byTag[l.Tag] {
			if text == w.byTag["en"][key] {
				same++
			}
		}
		if same > 12 {
			t.Errorf("%s says %d sentences in English", l.Tag, same)
		}
	}
}

// Every sentence that a page or a line of code asks for is there, and none is there that nobody asks for.
func TestEveryKeyIsThere(t *testing.T) {
	t.Parallel()
	w, err := readWords()
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	sources, _ := filepath.Glob("*.go")
	templates, _ := filepath.Glob("templates/*.html")
	for _, path := range append(sources, templates...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range keyInText.FindAllStringSubmatch(string(text), -1) {
			asked[m[1]] = true
		}
	}
	english := w.byTag["en"]
	for key := range asked {
		if english[key] == "" && english[key+".other"] == "" && !strings.HasSuffix(key, ".") && !strings.HasSuffix(key, "_") && strings.Contains(key, ".") {
			t.Errorf("no word for %q", key)
		}
	}
	for _, rule := range authentic.Rules() {
		if english["authentic.rule."+string(rule)] == "" {
			t.Errorf("no word for the rule %s", rule)
		}
	}
	for kind := account.ActSignIn; kind.String() != ""; kind++ {
		if english["act."+kind.String()] == "" && kind != account.ActApplication {
			t.Errorf("no word for the activity %s", kind)
		}
	}
	for _, kind := range message.NoticeKinds() {
		switch kind {
		case message.TwoStepOn, message.TwoStepOff, message.FactorAdded, message.FactorRemoved, message.RecoveryCodesNew, message.PasswordChanged,
			message.PasswordReset, message.ContactAdded, message.ContactChanged, message.ContactRemoved, message.RecoveryStarted, message.RecoveryDone, message.AccountClosed:
			if english["change."+kind.String()] == "" {
				t.Errorf("no word for the change %s", kind)
			}
		}
	}
	made := []string{"act.", "change.", "date.", "fault.", "problem.", "way.", "method.", "worth.", "strength.", "step.", "code.over_", "code.sent_", "send.to_", "ago.", "time.", "code.failed", "code.arrived", "forgot.", "recover.", "undo.title", "stop.title", "error.", "signin.", "off.", "code.wait", "why.", "review.step.", "sent.code.", "sent.by.", "review.closed_", "report.kind.", "report.state.", "cases.kind_", "cases.state.", "cases.fact.", "authentic.rule.", "paste.ours_", "help.", "ours.asks.", "courier.", "depot.figure.", "depot.state.", "depot.reason_", "depot.means.", "depot.certainty.", "depot.exception.", "depot.message.", "depot.channel.", "depot.sent.", "depot.outcome.", "depot.result.", "depot.did."}
	for key := range maps.Keys(english) {
		if !asked[base(key)] && !slices.ContainsFunc(made, func(p string) bool { return strings.HasPrefix(key, p) }) {
			t.Errorf("nobody says %s", key)
		}
	}
}

// A path that leads on is one of ours, whatever a cookie or a form says.
// Keeps: S22
func TestOurs(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/": true, "/security": true, "/security/two-step/off": true, "": false, "//evil.example": false, "/\\evil.example": false, "https://evil.example": false,
		"/a\r\nSet-Cookie: x=y": false, "/%2f%2fevil": false, "/a?b=//evil": false, "security": false, "/" + strings.Repeat("a", 300): false, "/@evil.example": false,
	} {
		if ours(path) != want {
			t.Errorf("ours(%q) = %v", path, !want)
		}
	}
}

func FuzzOurs(f *testing.F) {
	f.Add("//evil.example")
	f.Fuzz(func(t *testing.T, path string) {
		if ours(path) && (strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n:?#@%. ")) {
			t.Fatalf("%q", path)
		}
	})
}
