// SPDX-License-Identifier: Apache-2.0

package message

import (
	"html"
	"strings"

	"github.com/countersign/countersign/internal/service"
)

// email is the plain and the HTML part of a mail. Both say the same; neither has a link or loads
// anything.
func (c *catalog) email(o *Outgoing, v *values) (plain, markup string) {
	paragraphs := c.paragraphs(o, v)
	var p, h strings.Builder
	p.WriteString(c.mail.of(o.Purpose).fill(v) + "\n\n" + v.code + "\n")
	h.WriteString(`<!DOCTYPE html><html lang="` + html.EscapeString(c.name) + `"><head><meta charset="utf-8"><title>` +
		html.EscapeString(c.subject.of(o.Purpose).fill(v)) + `</title></head><body style="font-family:sans-serif;font-size:16px;line-height:1.5">` + "\n" +
		"<p>" + html.EscapeString(c.mail.of(o.Purpose).fill(v)) + "</p>\n" +
		`<p style="font-size:32px;letter-spacing:4px;font-weight:bold">` + v.code + "</p>\n")
	for _, text := range paragraphs {
		p.WriteString("\n" + text + "\n")
		h.WriteString("<p>" + unlinked(html.EscapeString(text), v.domain) + "</p>\n")
	}
	h.WriteString("</body></html>\n")
	return p.String(), h.String()
}

// paragraphs is what follows the code.
func (c *catalog) paragraphs(o *Outgoing, v *values) []string {
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
	for i, name := range lines {
		lines[i] = c.lines[name].fill(v)
	}
	return lines
}

// unlinked keeps mail programs from making a link of the domain: one that people learn to press is
// one that can be forged. The text stays as it is when copied.
func unlinked(markup, domain string) string {
	if domain == "" {
		return markup
	}
	return strings.ReplaceAll(markup, domain, strings.ReplaceAll(domain, ".", "<span>.</span>"))
}
