// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The texts of the help are written in a small part of Markdown (CommonMark 0.31.2): headings with #, ## and ###, paragraphs, lists with
// "- " or "1. ", **strong** and [links](/to/here). All else is text. What comes of it is no HTML but a tree that the templates
// write, so that nothing in a text can become markup.

// block is a paragraph, a heading or a list.
type block struct {
	Kind  blockKind
	Items []spans // a list's items; of the others one
}

// blockKind is the element that a block becomes.
type blockKind string

const (
	paragraph blockKind = "p"
	heading1  blockKind = "h1"
	heading2  blockKind = "h2"
	heading3  blockKind = "h3"
	bullets   blockKind = "ul"
	numbers   blockKind = "ol"
)

// span is a stretch of text in one style.
type span struct {
	Text   string
	Strong bool
	Link   string // empty: none
}

type spans []span

// Bounds of a text, above all help texts that a person reads to the end.
const (
	maxText  = 16 << 10 // bytes
	maxLink  = 300
	maxSpans = 2000 // of a text
)

var numbered = regexp.MustCompile(`^[0-9]{1,3}\. `)

// readMarkdown reads a text. The error says in which line something is that isn't taken, and why: a picture, a link that leads neither to
// one of our pages nor to https, characters that can't be seen.
func readMarkdown(text string) ([]block, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("has %d bytes, more than %d", len(text), maxText)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("is not UTF-8")
	}
	var (
		blocks []block
		open   bool // the last block goes on in the next line
		count  int
	)
	for i, line := range strings.Split(strings.TrimPrefix(text, "\uFEFF"), "\n") {
		line = strings.TrimSpace(strings.ReplaceAll(line, "\t", " "))
		if strings.ContainsFunc(line, hidden) {
			return nil, fmt.Errorf("line %d has a character that can't be seen", i+1)
		}
		if line == "" {
			open = false
			continue
		}
		kind, rest := kindOf(line)
		content, err := readSpans(rest)
		if err != nil {
			return nil, fmt.Errorf("line %d %w", i+1, err)
		}
		if count += len(content); count > maxSpans {
			return nil, fmt.Errorf("line %d: there are too many changes of style", i+1)
		}
		last := len(blocks) - 1
		switch {
		case kind == paragraph && open: // the same paragraph or item goes on
			items := blocks[last].Items
			items[len(items)-1] = append(append(items[len(items)-1], span{Text: " "}), content...)
		case (kind == bullets || kind == numbers) && last >= 0 && blocks[last].Kind == kind:
			blocks[last].Items = append(blocks[last].Items, content)
		default:
			blocks = append(blocks, block{kind, []spans{content}})
		}
		open = kind != heading1 && kind != heading2 && kind != heading3
	}
	return blocks, nil
}

// hidden finds what could make a text look like another: controls and the marks that turn its direction; the joiners of scripts stay.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' || r == '\u2028' || r == '\u2029'
}

func kindOf(line string) (kind blockKind, rest string) {
	for prefix, kind := range map[string]blockKind{"# ": heading1, "## ": heading2, "### ": heading3, "- ": bullets, "* ": bullets} {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return kind, strings.TrimSpace(rest)
		}
	}
	if mark := numbered.FindString(line); mark != "" {
		return numbers, line[len(mark):]
	}
	return paragraph, line
}

// readSpans reads a line's styles. A mark that has no counterpart is text, as in Markdown.
func readSpans(line string) (spans, error) {
	var (
		out    spans
		plain  strings.Builder
		strong bool
	)
	flush := func() {
		if plain.Len() > 0 {
			out = append(out, span{Text: plain.String(), Strong: strong})
			plain.Reset()
		}
	}
	for line != "" {
		switch {
		case len(line) > 1 && line[0] == '\\' && strings.IndexByte(`\*[]()#-!.{}`, line[1]) >= 0:
			plain.WriteByte(line[1])
			line = line[2:]
		case strings.HasPrefix(line, "**") && (strong || strings.Contains(line[2:], "**")):
			flush()
			strong, line = !strong, line[2:]
		case strings.HasPrefix(line, "!["):
			return nil, fmt.Errorf("has a picture; only text can be shown")
		case line[0] == '[':
			words, to, rest, ok := cutLink(line)
			if !ok {
				plain.WriteByte('[')
				line = line[1:]
				continue
			}
			if !leadsWell(to) {
				return nil, fmt.Errorf("has a link that leads neither to https:// nor to one of our own pages, such as /signin")
			}
			flush()
			out, line = append(out, span{Text: words, Strong: strong, Link: to}), rest
		default:
			n := strings.IndexAny(line[1:], `\*![`)
			if n < 0 {
				n = len(line) - 1
			}
			plain.WriteString(line[:n+1])
			line = line[n+1:]
		}
	}
	flush()
	return out, nil
}

// cutLink cuts "[words](to)" off.
func cutLink(line string) (words, to, rest string, ok bool) {
	words, rest, ok = strings.Cut(line[1:], "](")
	if !ok || words == "" || strings.ContainsAny(words, "[]") {
		return "", "", "", false
	}
	to, rest, ok = strings.Cut(rest, ")")
	return words, to, rest, ok
}

// leadsWell tells whether a link may stand on our pages.
func leadsWell(to string) bool {
	if ours(to) {
		return true
	}
	if len(to) > maxLink || strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'<>\\`", r) }) {
		return false
	}
	u, err := url.Parse(to)
	return err == nil && strings.HasPrefix(to, "https://") && u.User == nil && u.Opaque == "" && u.Hostname() != ""
}

// words is the text of some spans.
func (s spans) words() string {
	var b strings.Builder
	for _, part := range s {
		b.WriteString(part.Text)
	}
	return strings.TrimSpace(b.String())
}

// fill puts values into a text's places; a block in which nothing is left is left out.
func fill(blocks []block, values func(string) string) []block {
	var out []block
	for _, b := range blocks {
		filled := block{Kind: b.Kind}
		for _, item := range b.Items {
			fresh := make(spans, len(item))
			for i, s := range item {
				s.Text = values(s.Text)
				fresh[i] = s
			}
			if fresh.words() != "" {
				filled.Items = append(filled.Items, fresh)
			}
		}
		if len(filled.Items) > 0 {
			out = append(out, filled)
		}
	}
	return out
}
