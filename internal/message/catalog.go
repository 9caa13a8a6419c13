// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/service"
)

// One file a language, named by its BCP 47 tag. Sentences stay whole, because languages order words
// differently. docs/messages.md shows what becomes of them.
//
//go:embed catalog/*.json
var catalogFiles embed.FS

//go:generate go run ../tools/messages ../../docs/messages.md

// catalogFile is a catalogue as it is written. Keys of the inner maps are purposes, or "any" for those
// that aren't named; of a notice's events and more, its kinds.
type catalogFile struct {
	Reviewed bool              `json:"reviewed"` // by a native speaker
	Never    string            `json:"never"`    // that we never ask for a code; stands for {never}
	Between  string            `json:"between"`  // what stands between two sentences
	SMS      map[string]string `json:"sms"`
	SMSShort map[string]string `json:"sms_short"`
	Voice    map[string]string `json:"voice"`
	Subject  map[string]string `json:"subject"`
	Mail     map[string]string `json:"mail"`
	Lines    map[string]string `json:"mail_lines"`
	Notice   struct {
		Events  map[string]string `json:"events"`
		More    map[string]string `json:"more"`
		Deeds   map[string]string `json:"deeds"`
		Lines   map[string]string `json:"lines"`
		Account string            `json:"account"`
	} `json:"notice"`
	Delivery deliverySection     `json:"delivery"`
	Reply    map[string][]string `json:"reply"` // words that people answer with, in lower case
}

// catalog is one language's sentences.
type catalog struct {
	locale                            locale.Locale
	between                           string
	full, short, voice, subject, mail sentences
	lines                             map[string]sentence
	notices                           noticeWords
	deliveries                        deliveryWords
	replies                           map[string][]string // by the names of wishes
}

// sentences has a sentence for each purpose.
type sentences map[service.Purpose]sentence

func (s sentences) of(p service.Purpose) sentence { return s[p] }

// sentence is literal text and gaps in turn, starting with text.
type sentence []string

// fill puts the values into the gaps.
func (s sentence) fill(v *values) string {
	dst := make([]byte, 0, 192)
	for i, part := range s {
		if i%2 == 0 {
			dst = append(dst, part...)
		} else {
			dst, _ = v.appendTo(dst, part) // compile has checked that it is known
		}
	}
	return string(dst)
}

// compile reads a sentence with gaps in braces.
func compile(text string) (sentence, error) {
	var s sentence
	for rest := text; ; {
		literal, more, found := strings.Cut(rest, "{")
		s = append(s, literal)
		if !found {
			return s, nil
		}
		gap, after, closed := strings.Cut(more, "}")
		if _, known := new(values).appendTo(nil, gap); !known || !closed {
			return nil, fmt.Errorf("%q has no value for {%s}", text, gap)
		}
		s, rest = append(s, gap), after
	}
}

// compileAll fills all purposes; "any" stands for those without a sentence of their own.
func compileAll(texts map[string]string) (sentences, error) {
	all := sentences{}
	for _, p := range service.Purposes() {
		name := string(p)
		if texts[name] == "" {
			name = "any"
		}
		s, err := compileOne(texts, name)
		if err != nil {
			return nil, err
		}
		all[p] = s
	}
	return all, nil
}

func compileOne(texts map[string]string, name string) (sentence, error) {
	if texts[name] == "" {
		return nil, fmt.Errorf("no sentence %s", name)
	}
	return compile(texts[name])
}

// compileLines fills the lines with these names.
func compileLines(texts map[string]string, names []string) (map[string]sentence, error) {
	lines := map[string]sentence{}
	for _, name := range names {
		s, err := compileOne(texts, name)
		if err != nil {
			return nil, err
		}
		lines[name] = s
	}
	return lines, nil
}

// mailLines are the lines that every catalogue has to have.
func mailLines() []string {
	return []string{"lifetime", "lifetime_one", "asked", "asked_when", "never", "not_you", "not_you_at", "not_paying"}
}

func decodeCatalog(content []byte) (f catalogFile, err error) {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, err
	}
	if f.Never == "" || f.Notice.Account == "" {
		return f, errors.New("never or notice.account is missing")
	}
	for _, wish := range wishes {
		if len(f.Reply[wish]) == 0 {
			return f, fmt.Errorf("reply.%s is missing", wish)
		}
	}
	for _, texts := range []map[string]string{f.SMS, f.SMSShort, f.Voice, f.Lines} {
		for name, text := range texts {
			texts[name] = strings.ReplaceAll(text, "{never}", f.Never)
		}
	}
	return f, nil
}

func readCatalog(l locale.Locale, content []byte) (*catalog, error) {
	f, err := decodeCatalog(content)
	if err != nil {
		return nil, err
	}
	c := &catalog{locale: l, between: f.Between, replies: f.Reply}
	for _, part := range []struct {
		to    *sentences
		texts map[string]string
	}{{&c.full, f.SMS}, {&c.short, f.SMSShort}, {&c.voice, f.Voice}, {&c.subject, f.Subject}, {&c.mail, f.Mail}} {
		if *part.to, err = compileAll(part.texts); err != nil {
			return nil, err
		}
	}
	if c.lines, err = compileLines(f.Lines, mailLines()); err != nil {
		return nil, err
	}
	if c.notices, err = readNotices(&f); err != nil {
		return nil, err
	}
	c.deliveries, err = readDeliveries(&f.Delivery)
	return c, err
}

func readNotices(f *catalogFile) (noticeWords, error) {
	w := noticeWords{events: map[NoticeKind]sentence{}, more: map[NoticeKind]sentence{}, deeds: f.Notice.Deeds, account: f.Notice.Account}
	for _, k := range NoticeKinds() {
		var err error
		if w.events[k], err = compileOne(f.Notice.Events, k.String()); err != nil {
			return w, err
		}
		if w.more[k], err = compileOne(f.Notice.More, k.String()); err != nil {
			return w, err
		}
		if w.deeds[notices[k].do] == "" {
			return w, fmt.Errorf("no deed %s", notices[k].do)
		}
	}
	var err error
	w.lines, err = compileLines(f.Notice.Lines, noticeLines())
	return w, err
}

// catalogs is all languages, by their tags.
type catalogs map[string]*catalog

func readCatalogs() (catalogs, error) {
	all := catalogs{}
	for _, l := range locale.All() {
		content, err := catalogFiles.ReadFile("catalog/" + l.Tag + ".json")
		if err != nil {
			return nil, err
		}
		c, err := readCatalog(l, content)
		if err != nil {
			return nil, fmt.Errorf("message: catalogue %s: %w", l.Tag, err)
		}
		all[l.Tag] = c
	}
	return all, nil
}
