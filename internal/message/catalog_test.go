// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/countersign/countersign/internal/locale"
)

// flat gives every sentence of a catalogue by its path, and the words of replies.
func flat(t *testing.T, tag string) (sentences map[string]string, words map[string][]string, reviewed bool) {
	t.Helper()
	content, err := catalogFiles.ReadFile("catalog/" + tag + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(content, &doc); err != nil {
		t.Fatal(err)
	}
	sentences, words = map[string]string{}, map[string][]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case string:
			sentences[path] = v
		case bool:
			reviewed = v
		case map[string]any:
			for k, inner := range v {
				walk(path+"/"+k, inner)
			}
		case []any:
			for _, w := range v {
				word, ok := w.(string)
				if !ok {
					t.Fatalf("%s%s: %v is no word", tag, path, w)
				}
				words[path] = append(words[path], word)
			}
		default:
			t.Fatalf("%s%s is a %T", tag, path, v)
		}
	}
	walk("", doc)
	return sentences, words, reviewed
}

// gaps are the values that a sentence has places for.
func gaps(t *testing.T, text string) []string {
	t.Helper()
	s, err := compile(strings.ReplaceAll(text, "{never}", ""))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := 1; i < len(s); i += 2 {
		all = append(all, s[i])
	}
	slices.Sort(all)
	return all
}

// literals is a sentence without its values.
func literals(t *testing.T, text string) string {
	t.Helper()
	s, err := compile(strings.ReplaceAll(text, "{never}", ""))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := 0; i < len(s); i += 2 {
		b.WriteString(s[i])
	}
	return b.String()
}

// Every language says everything that English says, with the same values in it.
// Keeps: A.6
func TestCataloguesHaveNoGaps(t *testing.T) {
	t.Parallel()
	english, _, _ := flat(t, "en")
	for _, l := range locale.All() {
		texts, words, reviewed := flat(t, l.Tag)
		if reviewed != (l.Tag == "en") {
			t.Errorf("%s: reviewed is %v; when a native speaker has read it, say so here, too", l.Tag, reviewed)
		}
		for path, text := range english {
			own := texts[path]
			if own == "" {
				if path != "/between" {
					t.Errorf("%s%s is missing", l.Tag, path)
				}
				continue
			}
			if got, want := gaps(t, own), gaps(t, text); !slices.Equal(got, want) {
				t.Errorf("%s%s has the values %v, not %v: %q", l.Tag, path, got, want, own)
			}
			if strings.Contains(own, "{never}") != strings.Contains(text, "{never}") {
				t.Errorf("%s%s: the sentence that we never ask for the code is where it isn't in English, or isn't where it is: %q", l.Tag, path, own)
			}
			if l.Tag != "en" && own == text && strings.ContainsFunc(literals(t, text), unicode.IsLetter) {
				t.Errorf("%s%s is still English: %q", l.Tag, path, own)
			}
		}
		for path := range texts {
			if english[path] == "" {
				t.Errorf("%s%s is not in English", l.Tag, path)
			}
		}
		if !slices.Equal(slices.Sorted(maps.Keys(words)), []string{"/reply/help", "/reply/no", "/reply/start", "/reply/stop"}) {
			t.Errorf("%s answers with %v", l.Tag, words)
		}
	}
	files, err := fs.Glob(catalogFiles, "catalog/*")
	if err != nil || len(files) != len(locale.All()) {
		t.Errorf("%v are not the catalogues of %v", files, locale.All())
	}
}

// What is written in a catalogue can't be taken for a code, and is no link.
// Keeps: A.6
func TestCatalogueWords(t *testing.T) {
	t.Parallel()
	for _, l := range locale.All() {
		texts, _, _ := flat(t, l.Tag)
		for path, text := range texts {
			odd := func(r rune) bool {
				return unicode.IsDigit(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '<' || r == '>' || r == '\uFFFD'
			}
			if strings.ContainsFunc(text, odd) || strings.Contains(text, "://") || strings.Contains(text, "  ") ||
				noLink(text) != text || path != "/between" && strings.TrimSpace(text) != text {
				t.Errorf("%s%s: %q has a digit, a mark that can't be seen, a link, or spaces too many", l.Tag, path, text)
			}
		}
		for _, must := range []string{"sms", "sms_short", "voice"} {
			for path, text := range texts {
				if strings.HasPrefix(path, "/"+must+"/") && !strings.Contains(text, "{never}") {
					t.Errorf("%s%s doesn't say that we never ask: %q", l.Tag, path, text)
				}
			}
		}
		if !strings.Contains(texts["/mail_lines/never"], "{never}") {
			t.Errorf("%s: mails don't say that we never ask", l.Tag)
		}
	}
}

// Whatever language somebody answers in, it is understood; a word that says no in one language says yes in none, and no word has two meanings.
// Keeps: D.1, S26
func TestWordsOfAnswers(t *testing.T) {
	t.Parallel()
	r, err := NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range locale.All() {
		_, words, _ := flat(t, l.Tag)
		for i, name := range wishes {
			for _, w := range words["/reply/"+name] {
				for _, typed := range []string{w, strings.ToUpper(w), " " + w + "!", "\u200f" + w + ". ?"} {
					if got := r.Wish(typed); got != WishNo+Wish(i) {
						t.Errorf("%s: %q is %d, not %s", l.Tag, typed, got, name)
					}
				}
			}
		}
	}
	for wish, all := range map[Wish][]string{
		WishNo:    {"NO", "No, it wasn't me", "¡No!", "Nein danke", "ＮＯ", "Na\u0303o", "NÃO", "non", "नहीं", "لا", "لا، لست أنا", "いいえ。", "不是", "不是我！", "nahi"},
		WishStop:  {"STOP", "stop please", "ＳＴＯＰ", "Stopp!", "ARRÊT", "arret", "alto", "parar", "توقف", "停止", "बंद", "TD"},
		WishStart: {"START", "Unstop", "empezar", "開始", "开始", "ابدأ"},
		WishHelp:  {"help", "HELP!", "info", "ayuda", "ajuda", "hilfe", "aide", "ヘルプ", "帮助", "मदद", "مساعدة"},
		WishNone: {
			"", "?", "482135", "yes", "y", "ok", "ja", "oui", "sí", "si", "sim", "हाँ", "हां", "haan", "نعم", "はい", "hai", "是", "是的", "对", "好",
			"la", "लا", "now", "nobody", "para que", strings.Repeat("x", 5000) + " no", strings.Repeat("\u0301", 1000),
		},
	} {
		for _, typed := range all {
			if got := r.Wish(typed); got != wish {
				t.Errorf("%.40q is %d, not %d", typed, got, wish)
			}
		}
	}
}

func TestBrokenCatalogues(t *testing.T) {
	t.Parallel()
	content, err := catalogFiles.ReadFile("catalog/en.json")
	if err != nil {
		t.Fatal(err)
	}
	for broken, instead := range map[string]string{
		`"We never ask for it."`: `""`, `"{service}: {event}"`: `"{service}: {evnt}"`, `"{event}."`: `"{event."`, `"undo": "Undo it",`: ``, `"between"`: `"betwixt"`,
		`"undone": "A change was undone",`: ``, `"not_you"`: `"nt_you"`, `"any": "{code} is your {service} code"`: `"some": "x"`,
		`"Nobody can sign in any more."`: `""`,
	} {
		if _, err := readCatalog(locale.Match(), []byte(strings.Replace(string(content), broken, instead, 1))); err == nil {
			t.Errorf("taken with %s instead of %s", instead, broken)
		}
	}
	if _, err := readCatalog(locale.Match(), content); err != nil {
		t.Error(err)
	}
}
