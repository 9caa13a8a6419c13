// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/countersign/countersign/internal/service"
)

// One file a language, named by its BCP 47 tag. Sentences stay whole, because languages order words
// differently.
//
//go:embed catalog/*.json
var catalogFiles embed.FS

// defaultLocale is what is spoken to people whose language there is no catalogue for.
const defaultLocale = "en"

// catalogFile is a catalogue as it is written. Keys of the inner maps are purposes, or "any" for those
// that aren't named.
type catalogFile struct {
	SMS      map[string]string   `json:"sms"`
	SMSShort map[string]string   `json:"sms_short"`
	Voice    map[string]string   `json:"voice"`
	Subject  map[string]string   `json:"subject"`
	Mail     map[string]string   `json:"mail"`
	Lines    map[string]string   `json:"mail_lines"`
	Reply    map[string][]string `json:"reply"` // words that people answer with, in lower case
}

// catalog is one language's sentences.
type catalog struct {
	name                              string
	full, short, voice, subject, mail sentences
	lines                             map[string]sentence
	no                                []string
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
		text, ok := texts[string(p)]
		if !ok {
			text, ok = texts["any"]
		}
		if !ok {
			return nil, fmt.Errorf("no sentence for %s", p)
		}
		s, err := compile(text)
		if err != nil {
			return nil, err
		}
		all[p] = s
	}
	return all, nil
}

// mailLines are the lines that every catalogue has to have.
func mailLines() []string {
	return []string{"lifetime", "lifetime_one", "asked", "asked_when", "never", "not_you", "not_you_at", "not_paying"}
}

func readCatalog(name string, content []byte) (*catalog, error) {
	var f catalogFile
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	c := &catalog{name: name, lines: map[string]sentence{}, no: f.Reply["no"]}
	if len(c.no) == 0 {
		return nil, errors.New("no word for no")
	}
	for _, part := range []struct {
		to    *sentences
		texts map[string]string
	}{{&c.full, f.SMS}, {&c.short, f.SMSShort}, {&c.voice, f.Voice}, {&c.subject, f.Subject}, {&c.mail, f.Mail}} {
		all, err := compileAll(part.texts)
		if err != nil {
			return nil, err
		}
		*part.to = all
	}
	for _, line := range mailLines() {
		s, err := compile(f.Lines[line])
		if err != nil {
			return nil, err
		}
		if f.Lines[line] == "" {
			return nil, fmt.Errorf("no line %s", line)
		}
		c.lines[line] = s
	}
	return c, nil
}

// catalogs is all languages.
type catalogs struct {
	names   []string // the default first
	byName  map[string]*catalog
	matcher language.Matcher
}

func readCatalogs() (*catalogs, error) {
	files, err := fs.Glob(catalogFiles, "catalog/*.json")
	if err != nil {
		return nil, err
	}
	all := &catalogs{byName: map[string]*catalog{}}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "catalog/"), ".json")
		content, err := catalogFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		c, err := readCatalog(name, content)
		if err != nil {
			return nil, fmt.Errorf("message: catalogue %s: %w", name, err)
		}
		all.byName[name] = c
		all.names = append(all.names, name)
	}
	slices.SortStableFunc(all.names, func(a, b string) int {
		return strings.Compare(strings.TrimPrefix(a, defaultLocale), strings.TrimPrefix(b, defaultLocale))
	})
	var tags []language.Tag
	for _, name := range all.names {
		tag, err := language.Parse(name)
		if err != nil {
			return nil, fmt.Errorf("message: catalogue %s: %w", name, err)
		}
		tags = append(tags, tag)
	}
	all.matcher = language.NewMatcher(tags)
	return all, nil
}

// match finds the catalogue for the first wish that one fits (RFC 4647 with the distances of CLDR). Text that is no
// language tag is passed over.
func (c *catalogs) match(wishes ...string) *catalog {
	var tags []language.Tag
	for _, wish := range wishes {
		if found, ok := c.byName[wish]; ok && len(tags) == 0 {
			return found
		}
		if tag, err := language.Parse(wish); err == nil && wish != "" {
			tags = append(tags, tag)
		}
	}
	_, index, _ := c.matcher.Match(tags...)
	return c.byName[c.names[index]]
}
