// SPDX-License-Identifier: Apache-2.0

package care

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// The formats of an export.
const (
	FormatJSON = "json" // one object a line
	FormatCSV  = "csv"  // RFC 4180
	FormatARF  = "arf"  // mails only: RFC 5965, in a mailbox file (RFC 4155)
)

// maxExported is how many rows one export looks at; since and until divide larger ones.
const maxExported = 5_000

// exported is a report for carriers and authorities: nothing in it says who reported.
type exported struct {
	ID         string   `json:"id"`
	ReportedAt string   `json:"reported_at"`
	ReceivedAt string   `json:"received_at,omitempty"`
	Kind       string   `json:"kind"`
	Channel    string   `json:"channel"`
	Sender     string   `json:"sender,omitempty"`
	Country    string   `json:"country,omitempty"`
	Domains    []string `json:"domains,omitempty"`
	Text       string   `json:"text,omitempty"`
	Status     string   `json:"status"`
	Clusters   []string `json:"clusters,omitempty"`
}

func export(r *Report) exported {
	e := exported{
		ID: FormatReport(r.ID), ReportedAt: r.ReportedAt.Format(time.RFC3339), Kind: r.Kind, Channel: r.Channel, Sender: r.Sender, Country: r.Country,
		Domains: r.Domains, Text: r.Text, Status: string(r.Status),
	}
	if !r.ReceivedAt.IsZero() {
		e.ReceivedAt = r.ReceivedAt.Format(time.RFC3339)
	}
	for _, c := range r.Clusters {
		e.Clusters = append(e.Clusters, FormatCluster(c))
	}
	return e
}

// CheckFormat refuses a format that Export doesn't know, before anything is written.
//
// Faults: Invalid.
func CheckFormat(format string) error {
	if !slices.Contains([]string{FormatJSON, FormatCSV, FormatARF}, format) {
		return fault.New(fault.Invalid, "invalid_format", "format must be json, csv or arf.").WithField("format")
	}
	return nil
}

// Export writes the reports that a filter chooses, the latest first, for carriers and authorities, without who reported. ARF has those that came
// by mail only.
//
// Faults: Invalid (format), Unavailable; what w says.
func (c *Care) Export(ctx context.Context, svc *service.Service, w io.Writer, format string, f Filter) error {
	if err := CheckFormat(format); err != nil {
		return err
	}
	one, flush := writerOf(svc, w, format)
	var failed error
	_, err := c.reports(ctx, svc, f, ledger.ID{}, maxExported, func(r *Report) bool {
		failed = one(r)
		return failed != nil
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = flush()
	}
	return err
}

func writerOf(svc *service.Service, w io.Writer, format string) (one func(*Report) error, flush func() error) {
	flush = func() error { return nil }
	switch format {
	case FormatCSV:
		table := csv.NewWriter(w)
		table.UseCRLF = true // RFC 4180 2.1
		flush = func() error { table.Flush(); return table.Error() }
		_ = table.Write([]string{"id", "reported_at", "received_at", "kind", "channel", "sender", "country", "domains", "text", "status", "clusters"}) // flush tells
		one = func(r *Report) error {
			e := export(r)
			cells := []string{e.ID, e.ReportedAt, e.ReceivedAt, e.Kind, e.Channel, e.Sender, e.Country, strings.Join(e.Domains, " "), e.Text, e.Status, strings.Join(e.Clusters, " ")}
			for i := range cells {
				cells[i] = harmless(cells[i])
			}
			return table.Write(cells)
		}
	case FormatARF:
		one = func(r *Report) error {
			if r.Channel != "email" {
				return nil
			}
			m, err := arf(svc, r)
			if err != nil {
				return err
			}
			return toMailbox(w, m, r.ReportedAt)
		}
	default:
		lines := json.NewEncoder(w)
		one = func(r *Report) error { return lines.Encode(export(r)) }
	}
	return one, flush
}

// harmless keeps a cell from being run as a formula by a spreadsheet: where it begins like one, an apostrophe goes first (OWASP, CSV injection). A
// number's + is such a beginning, too.
func harmless(cell string) string {
	if strings.HasPrefix(strings.TrimLeft(cell, " \n"), "\t") || strings.IndexAny(strings.TrimLeft(cell, " \n"), "=+-@\uff1d\uff0b\uff0d\uff20|%") == 0 {
		return "'" + cell
	}
	return cell
}

// toMailbox appends a message to a mailbox file: a line From, the message, an empty line; lines of it that begin like that are quoted (RFC 4155, appendix A).
func toMailbox(w io.Writer, m []byte, at time.Time) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "From MAILER-DAEMON %s\n", at.UTC().Format(time.ANSIC))
	for line := range bytes.Lines(bytes.ReplaceAll(m, []byte("\r\n"), []byte("\n"))) {
		if bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			out.WriteByte('>')
		}
		out.Write(line)
	}
	out.WriteString("\n")
	_, err := w.Write(out.Bytes())
	return err
}

// arf writes one report as a mail in the Abuse Reporting Format: multipart/report with report-type feedback-report, whose parts are words for people,
// fields for programs, and the message that is reported (RFC 5965 2). We have no more of that than its sender, its time and its blanked text.
func arf(svc *service.Service, r *Report) ([]byte, error) {
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	put := func(kind, content string, quoted bool) error {
		h := textproto.MIMEHeader{"Content-Type": {kind}}
		if quoted {
			h.Set("Content-Transfer-Encoding", "quoted-printable")
		}
		p, err := parts.CreatePart(h)
		if err != nil || !quoted {
			if err == nil {
				_, err = io.WriteString(p, content)
			}
			return err
		}
		q := quotedprintable.NewWriter(p)
		if _, err := io.WriteString(q, content); err != nil {
			return err
		}
		return q.Close()
	}
	domain := domainOr(svc.Domain)
	err := put("text/plain; charset=utf-8", fmt.Sprintf("This is a report of a suspicious mail that was received on %s. %s. Codes and numbers are blanked.\r\n",
		date(r).Format(time.RFC1123Z), verdict(r)), true)
	if err == nil {
		err = put("message/feedback-report", feedback(r), false)
	}
	if err == nil {
		var original string
		if original, err = reported(r); err == nil {
			err = put("message/rfc822", original, false)
		}
	}
	if err == nil {
		err = parts.Close()
	}
	if err != nil {
		return nil, fault.As(fmt.Errorf("write a feedback report: %w", err))
	}
	var out bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&out, "%s: %s\r\n", name, value) }
	header("From", (&mail.Address{Name: svc.Name, Address: "reports@" + domain}).String())
	header("Date", r.ReportedAt.Format(time.RFC1123Z))
	header("Message-ID", "<"+FormatReport(r.ID)+"@"+domain+">")
	header("Subject", "Report of a suspicious mail")
	header("MIME-Version", "1.0")
	header("Content-Type", `multipart/report; report-type=feedback-report; boundary="`+parts.Boundary()+`"`)
	out.WriteString("\r\n")
	out.Write(body.Bytes())
	return out.Bytes(), nil
}

// verdict says what was found.
func verdict(r *Report) string {
	if r.Status == Confirmed {
		return "We found that it is a fraud"
	}
	return "We have not found out yet what it is"
}

// feedback are the fields for programs (RFC 5965 3). What was confirmed is fraud; all else is only reported as abuse (RFC 5965 7.3).
func feedback(r *Report) string {
	kind := "abuse"
	if r.Status == Confirmed {
		kind = "fraud"
	}
	var out strings.Builder
	field := func(name, value string) { fmt.Fprintf(&out, "%s: %s\r\n", name, value) }
	field("Feedback-Type", kind)
	field("User-Agent", "Countersign/1")
	field("Version", "1")
	field("Arrival-Date", date(r).Format(time.RFC1123Z))
	for _, d := range r.Domains {
		field("Reported-Domain", d)
	}
	return out.String()
}

func date(r *Report) time.Time {
	if r.ReceivedAt.IsZero() {
		return r.ReportedAt
	}
	return r.ReceivedAt
}

// reported is the mail that is reported, as far as we have it.
func reported(r *Report) (string, error) {
	var out strings.Builder
	from := (&mail.Address{Name: r.Sender, Address: "unknown@unknown.invalid"}).String()
	if a, err := mail.ParseAddress(r.Sender); err == nil {
		from = a.String()
	}
	fmt.Fprintf(&out, "From: %s\r\nDate: %s\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
		strings.NewReplacer("\r", "", "\n", "").Replace(from), date(r).Format(time.RFC1123Z), mime.QEncoding.Encode("utf-8", "(not given)"))
	q := quotedprintable.NewWriter(&out)
	if _, err := io.WriteString(q, r.Text); err != nil {
		return "", err
	}
	return out.String(), q.Close()
}

// domainOr is a service's domain, or one that can't exist (RFC 2606).
func domainOr(domain string) string {
	if domain == "" {
		return "countersign.invalid"
	}
	return domain
}
