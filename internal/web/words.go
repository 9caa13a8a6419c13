// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"github.com/countersign/countersign/internal/locale"
)

// words are the sentences of all pages in all languages. Sentences stay whole, because languages order words differently; what
// depends on a number has a form for each of the language's plural categories (CLDR), as key.one, key.other, ...
type words struct {
	byTag    map[string]map[string]string
	reviewed map[string]bool // by a native speaker
}

func readWords() (*words, error) {
	w := &words{byTag: map[string]map[string]string{}, reviewed: map[string]bool{}}
	for _, l := range locale.All() {
		// catalog/TAG.json and, for what belongs together, catalog/PART/TAG.json.
		all, seen := map[string]string{}, 0
		parts, err := fs.Glob(files, "catalog/*/"+l.Tag+".json")
		if err != nil {
			return nil, fmt.Errorf("web: words of %s: %w", l.Tag, err)
		}
		for _, name := range append(parts, "catalog/"+l.Tag+".json") {
			content, err := files.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("web: words of %s: %w", l.Tag, err)
			}
			part := map[string]string{}
			if err := json.Unmarshal(content, &part); err != nil {
				return nil, fmt.Errorf("web: %s: %w", name, err)
			}
			maps.Copy(all, part)
			if seen += len(part); len(all) != seen {
				return nil, fmt.Errorf("web: %s has a key that another file has, too", name)
			}
		}
		w.reviewed[l.Tag] = all["reviewed"] == "yes"
		delete(all, "reviewed")
		w.byTag[l.Tag] = all
	}
	return w, nil
}

// say fills a sentence. A key that isn't there shows itself: a test finds it before anybody sees it.
func (w *words) say(tag, key string, values ...any) string {
	text, ok := w.byTag[tag][key]
	if !ok {
		if text, ok = w.byTag[locale.All()[0].Tag][key]; !ok {
			return key
		}
	}
	for i := 0; i+1 < len(values); i += 2 {
		text = strings.ReplaceAll(text, "{"+fmt.Sprint(values[i])+"}", fmt.Sprint(values[i+1]))
	}
	return text
}

func (w *words) has(key string) bool {
	_, ok := w.byTag[locale.All()[0].Tag][key]
	return ok
}

var forms = map[plural.Form]string{plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many", plural.Other: "other"}

// count fills the sentence for a number; {n} is the number.
func (w *words) count(tag, key string, n int, values ...any) string {
	form := forms[plural.Cardinal.MatchPlural(language.MustParse(tag), n, 0, 0, 0, 0)]
	if _, ok := w.byTag[tag][key+"."+form]; !ok {
		form = "other"
	}
	return w.say(tag, key+"."+form, append([]any{"n", strconv.Itoa(n)}, values...)...)
}

// wait says a duration in words, rounded up.
func (w *words) wait(tag string, d time.Duration) string {
	switch s := int((d + time.Second - 1) / time.Second); {
	case s < 120:
		return w.count(tag, "time.seconds", max(1, s))
	case s < 7200:
		return w.count(tag, "time.minutes", (s+59)/60)
	case s < 48*3600:
		return w.count(tag, "time.hours", (s+3599)/3600)
	default:
		return w.count(tag, "time.days", (s+86399)/86400)
	}
}

// ago says how long ago something was.
func (w *words) ago(tag string, d time.Duration) string {
	switch m := int(d / time.Minute); {
	case m < 1:
		return w.say(tag, "ago.now")
	case m < 60:
		return w.count(tag, "ago.minutes", m)
	case m < 24*60:
		return w.count(tag, "ago.hours", m/60)
	case m < 60*24*60:
		return w.count(tag, "ago.days", m/(24*60))
	default:
		return w.count(tag, "ago.months", m/(30*24*60))
	}
}
