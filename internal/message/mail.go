// SPDX-License-Identifier: Apache-2.0

package message

import (
	"html"
	"strings"

	"github.com/countersign/countersign/internal/service"
)

// mail is the plain and the HTML part of a mail, written side by side so that both say the same. Nothing is loaded.
type mail struct {
	v             *values
	plain, markup strings.Builder
}

func (c *catalog) newMail(title string, v *values) *mail {
	m := &mail{v: v}
	m.markup.WriteString(`<!DOCTYPE html><html lang="` + c.locale.Tag + `" dir="` + c.locale.Dir + `"><head><meta charset="utf-8"><title>` +
		html.EscapeString(title) + `</title></head><body style="font-family:sans-serif;font-size:16px;line-height:1.5">` + "\n")
	return m
}

// say adds a paragraph.
func (m *mail) say(s sentence) {
	m.gap()
	m.plain.WriteString(s.fill(m.v) + "\n")
	m.markup.WriteString("<p>" + s.markup(m.v) + "</p>\n")
}

// code adds the code on a line of its own, read from left to right in every language.
func (m *mail) code() {
	m.gap()
	m.plain.WriteString(m.v.code + "\n")
	m.markup.WriteString(`<p dir="ltr" style="font-size:32px;letter-spacing:4px;font-weight:bold">` + m.v.code + "</p>\n")
}

// link adds what is to be done and the link to it: only a notice has one.
func (m *mail) link(label sentence) {
	m.gap()
	m.plain.WriteString(label.fill(m.v) + "\n" + m.v.link + "\n")
	m.markup.WriteString("<p>" + label.markup(m.v) + `<br><a dir="ltr" href="` + html.EscapeString(m.v.link) + `">` + html.EscapeString(m.v.link) + "</a></p>\n")
}

func (m *mail) gap() {
	if m.plain.Len() > 0 {
		m.plain.WriteByte('\n')
	}
}

func (m *mail) done() (plain, markup string) {
	m.markup.WriteString("</body></html>\n")
	return m.plain.String(), m.markup.String()
}

// codeMail writes both parts of a mail with a code. Neither has a link.
func (c *catalog) codeMail(o *Outgoing, v *values, title string) (plain, markup string) {
	m := c.newMail(title, v)
	m.say(c.mail.of(o.Purpose))
	m.code()
	lines := []string{"lifetime", "asked", "never", "not_you"}
	if v.minutes == 1 {
		lines[0] = "lifetime_one"
	}
	if v.asked == "" {
		lines[1] = "asked_when"
	}
	if v.domain != "" {
		lines[3] = "not_you_at"
	}
	if o.Purpose == service.Transaction {
		lines[3] = "not_paying"
	}
	for _, name := range lines {
		m.say(c.lines[name])
	}
	return m.done()
}

// markup fills the gaps of a sentence for HTML. What stands in a gap keeps its own direction and doesn't turn what is
// around it.
func (s sentence) markup(v *values) string {
	var b strings.Builder
	for i, part := range s {
		if i%2 == 0 {
			b.WriteString(html.EscapeString(part))
			continue
		}
		value, _ := v.appendTo(nil, part)
		text := html.EscapeString(string(value))
		if part == "domain" || part == "place" {
			text = unlinked(text)
		}
		if part != "event" && part != "do" { // our own words, in the language of the rest
			text = "<bdi>" + text + "</bdi>"
		}
		b.WriteString(text)
	}
	return b.String()
}

// unlinked keeps mail programs from making a link of a domain: one that people learn to press is
// one that can be forged. The text stays as it is when copied.
func unlinked(markup string) string { return strings.ReplaceAll(markup, ".", "<span>.</span>") }
