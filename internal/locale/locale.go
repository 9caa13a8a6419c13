// SPDX-License-Identifier: Apache-2.0

// Package locale owns which languages Countersign speaks, and finds the one that fits a person's wishes best.
//
// It leaves to others what is said in them: the messages and the pages have their own words.
package locale

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// Locale is a language that there are words in.
type Locale struct {
	Tag  string // BCP 47
	Name string // in the language itself, as a menu of languages shows it
	Dir  string // "ltr" or "rtl", as HTML has it
}

// Bounds on what Match reads: the wishes are a stranger's text.
const (
	maxWishes = 16   // languages looked at, of all wishes together
	maxWish   = 1024 // bytes of one wish
)

// all is every language, the one for everybody else first. The order is that of matcher's tags.
var all = []Locale{
	{"en", "English", "ltr"},
	{"de", "Deutsch", "ltr"},
	{"es", "Español", "ltr"},
	{"fr", "Français", "ltr"},
	{"pt", "Português", "ltr"},
	{"hi", "हिन्दी", "ltr"},
	{"ar", "العربية", "rtl"},
	{"ja", "日本語", "ltr"},
	{"zh-Hans", "简体中文", "ltr"},
}

var matcher = func() language.Matcher {
	tags := make([]language.Tag, len(all))
	for i, l := range all {
		tags[i] = language.MustParse(l.Tag)
	}
	return language.NewMatcher(tags)
}()

// All lists the languages; the first is the one for people whose language isn't there.
func All() []Locale { return slices.Clone(all) }

// Match finds the language that fits best (RFC 4647 with the distances of CLDR). A wish is a tag such as "pt-BR" or the value
// of an Accept-Language header (RFC 9110, 12.5.4); earlier wishes come first. What is neither is passed over; when
// nothing fits it is the first of All.
func Match(wishes ...string) Locale {
	var tags []language.Tag
	for _, wish := range wishes {
		if i := slices.IndexFunc(all, func(l Locale) bool { return l.Tag == wish }); i >= 0 && len(tags) == 0 {
			return all[i]
		}
		tags = append(tags, read(wish, maxWishes-len(tags))...)
	}
	_, index, _ := matcher.Match(tags...)
	return all[index]
}

// read gives at most most tags of a wish, the most wanted first.
func read(wish string, most int) []language.Tag {
	type wanted struct {
		tag    language.Tag
		weight float32
	}
	var found []wanted
	wish = wish[:min(len(wish), maxWish)]
	for entry := range strings.SplitSeq(wish, ",") {
		if len(found) == most {
			break
		}
		// One by one: a whole header is refused for a single bad entry.
		tags, weights, err := language.ParseAcceptLanguage(strings.TrimSpace(entry))
		if err == nil && len(tags) == 1 && tags[0] != anyLanguage {
			found = append(found, wanted{tags[0], weights[0]})
		}
	}
	slices.SortStableFunc(found, func(a, b wanted) int { return cmp.Compare(b.weight, a.weight) })
	tags := make([]language.Tag, len(found))
	for i, w := range found {
		tags[i] = w.tag
	}
	return tags
}

// anyLanguage is what "*" is read as.
var anyLanguage = language.Make("mul")
