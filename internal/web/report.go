// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/secret"
)

// reportData is the form of a report, what became of one, and where else it can be reported.
type reportData struct {
	Kind, Sender string // as typed
	Report       *care.Report
	Fresh        bool // it was sent just now
	Places       []care.Place
}

// reportTime is how long a browser remembers a report that was made without an account.
const reportTime = 90 * 24 * time.Hour

// reportKinds are what can be reported, with how it comes where the form doesn't say more.
var reportKinds = map[string]string{"message": "sms", "call": "call", "page": "web"}

func (p *Pages) report(v *visit) error {
	pg := p.page(v, "report.title")
	kind := v.Request.URL.Query().Get("kind")
	if reportKinds[kind] == "" {
		kind = "message"
	}
	pg.Data = &reportData{Kind: kind}
	return p.show(v, http.StatusOK, "report.html", pg)
}

func (p *Pages) doReport(v *visit) error {
	kind := v.form("kind")
	n := care.NewReport{
		Kind: kind, Channel: reportKinds[kind], Sender: v.form("sender"), Text: v.form("text"), Country: p.Region,
	}
	n.Caller.IP = v.visitor.IP
	if kind == "message" && strings.Contains(n.Sender, "@") {
		n.Channel = "email"
	}
	if v.signed != nil {
		n.Account = v.signed.ID
	}
	picture, err := pictureOf(v)
	field := "picture"
	var r *care.Report
	var key secret.Text
	if err == nil {
		if r, key, err = p.Care.File(v.Request.Context(), v.svc, n); err != nil {
			field = fault.As(err).Field
		}
	}
	if err == nil && len(picture) > 0 {
		if _, err := p.Care.AddScreenshot(v.Request.Context(), v.svc, r.ID, n.Account, picture); err != nil && fault.As(err).Kind == fault.Unavailable {
			return err // what is no picture was refused before the report was taken
		}
	}
	if err != nil {
		pg := p.page(v, "report.title")
		pg.Typed = n.Text
		pg.Data = &reportData{Kind: kind, Sender: n.Sender}
		return p.again(v, err, "report.html", pg, field)
	}
	if text := key.Reveal(); text != "" { // to the reporter's own browser
		p.set(v, cookieReport, care.FormatReport(r.ID)+"."+text, reportTime)
	}
	pg := p.page(v, "report.thanks")
	pg.Data = &reportData{Report: r, Fresh: true, Places: p.Care.Places.In(n.Country)}
	return p.show(v, http.StatusOK, "reported.html", pg)
}

// pictureOf reads the picture of a form, if there is one, and refuses what is none before anything is written.
func pictureOf(v *visit) ([]byte, error) {
	file, header, err := v.Request.FormFile("picture")
	if err != nil {
		if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
			return nil, nil
		}
		return nil, fault.New(fault.Invalid, "form_unreadable", "The form can't be read. Go back and send it again.")
	}
	defer file.Close()
	if header.Size == 0 {
		return nil, nil
	}
	raw, err := io.ReadAll(io.LimitReader(file, care.MaxScreenshot+1))
	if err != nil {
		return nil, fault.New(fault.Invalid, "form_unreadable", "The form can't be read. Go back and send it again.")
	}
	return raw, care.CheckScreenshot(raw)
}

// ReportKinds are what can be reported.
func (pg *page) ReportKinds() []string { return []string{"message", "call", "page"} }

// reportStatus tells what became of the report that this browser made, or of the latest of a signed-in person.
func (p *Pages) reportStatus(v *visit) error {
	pg := p.page(v, "report.status")
	d := &reportData{}
	pg.Data = d
	if v.signed != nil {
		all, err := p.Care.ReportsOf(v.Request.Context(), v.svc, v.signed.ID)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			d.Report = all[0]
		}
	}
	if id, key, ok := strings.Cut(p.cookie(v, cookieReport), "."); ok && d.Report == nil {
		if n, err := care.ParseReport(id); err == nil {
			r, err := p.Care.StatusOf(v.Request.Context(), v.svc, n, secret.NewText(key))
			if err != nil && fault.As(err).Kind != fault.NotFound {
				return err
			}
			d.Report = r
		}
	}
	return p.show(v, http.StatusOK, "reported.html", pg)
}
