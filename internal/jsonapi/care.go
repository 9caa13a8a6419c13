// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"bytes"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// careRoutes are cases and reports: for applications, for signed-in people, and for staff.
func careRoutes() []route {
	verify, own := []service.Scope{service.ScopeVerify}, []service.Scope{service.ScopeAccount}
	return []route{
		{"POST", "/v1/cases", byKey, own, "Open a case with support for an account", CaseBody{}, Case{}, 201, (*API).openCase},
		{"GET", "/v1/accounts/{id}/cases", byKey, own, "An account's cases", nil, Cases{}, 200, (*API).casesOf},
		{"POST", "/v1/cases/{id}/read", byKey, own, "A case as its owner sees it; what support wrote is read then", CaseRef{}, Case{}, 200, (*API).readCase},
		{"POST", "/v1/cases/{id}/messages", byKey, own, "Write to support in a case; it opens one again that was closed", SayBody{}, Case{}, 200, (*API).sayInCase},
		{"POST", "/v1/cases/{id}/close", byKey, own, "Close a case for its owner", CaseRef{}, Case{}, 200, (*API).closeCase},
		{"POST", "/v1/reports", byKey, own, "Report a suspicious message, call or page", ReportBody{}, OwnReport{}, 201, (*API).report},
		{"PUT", "/v1/reports/{id}/screenshot", byKey, own, "Its screenshot: a PNG or JPEG of at most 2 MB and 20 million pixels; metadata is removed", screenshot{}, OwnReport{}, 200, (*API).putScreenshot},
		{"GET", "/v1/reports/{id}", byKey, own, "What became of a report", nil, OwnReport{}, 200, (*API).ownReport},
		{"GET", "/v1/accounts/{id}/reports", byKey, own, "An account's reports", nil, OwnReports{}, 200, (*API).reportsOf},
		{"POST", "/v1/reports/{id}/status", byKey, verify, "What became of a report, by the token that its reporter was given", TokenBody{}, OwnReport{}, 200, (*API).reportStatus},
		{"GET", "/v1/report-places", byKey, verify, "Who else takes reports in a country", nil, Places{}, 200, (*API).reportPlaces},

		{"GET", "/v1/session/cases", byPerson, verify, "The person's cases", nil, Cases{}, 200, (*API).myCases},
		{"POST", "/v1/session/cases", byPerson, verify, "Open a case with support", OwnCaseBody{}, Case{}, 201, (*API).openMine},
		{"GET", "/v1/session/cases/{id}", byPerson, verify, "A case; what support wrote is read then", nil, Case{}, 200, (*API).myCase},
		{"POST", "/v1/session/cases/{id}/messages", byPerson, verify, "Write to support in a case; it opens one again that was closed", TextBody{}, Case{}, 200, (*API).sayInMine},
		{"POST", "/v1/session/cases/{id}/close", byPerson, verify, "Close a case", nil, Case{}, 200, (*API).closeMine},
		{"GET", "/v1/session/reports", byPerson, verify, "The person's reports", nil, OwnReports{}, 200, (*API).myReports},
		{"POST", "/v1/session/reports", byPerson, verify, "Report a suspicious message, call or page", ReportBody{}, OwnReport{}, 201, (*API).reportMine},
		{"PUT", "/v1/session/reports/{id}/screenshot", byPerson, verify, "The screenshot of a report: a PNG or JPEG", screenshot{}, OwnReport{}, 200, (*API).putMyScreenshot},

		{"GET", "/v1/support/cases", byStaff, nil, "Cases, the latest first, without what was written", nil, Cases{}, 200, (*API).staffCases},
		{"GET", "/v1/support/cases/{id}", byStaff, nil, "A case; its owner sees the look", nil, Case{}, 200, (*API).staffCase},
		{"POST", "/v1/support/cases/{id}/messages", byStaff, nil, "Answer; the customer is told that there is an answer", TextBody{}, Case{}, 200, (*API).staffAnswer},
		{"POST", "/v1/support/cases/{id}/close", byStaff, nil, "Close a case", nil, Case{}, 200, (*API).staffClose},
		{"GET", "/v1/support/reports", byStaff, nil, "Reports, the latest first", nil, Reports{}, 200, (*API).staffReports},
		{"GET", "/v1/support/reports/{id}", byStaff, nil, "A report", nil, Report{}, 200, (*API).staffReport},
		{"GET", "/v1/support/reports/{id}/screenshot", byStaff, nil, "Its screenshot", nil, screenshot{}, 200, (*API).staffScreenshot},
		{"DELETE", "/v1/support/reports/{id}/screenshot", byStaff, nil, "Remove a screenshot that must not be kept", nil, nil, 204, (*API).staffRemoveScreenshot},
		{"POST", "/v1/support/reports/{id}/status", byStaff, nil, "Say what became of a report, with a note to its reporter", StatusBody{}, Report{}, 200, (*API).staffSettle},
		{"GET", "/v1/support/report-clusters", byStaff, nil, "Like reports of the last 48 hours, those that rise first", nil, Clusters{}, 200, (*API).staffClusters},
		{"GET", "/v1/support/report-export", byStaff, nil, "Reports for carriers and authorities, without who reported", nil, export{}, 200, (*API).staffExport},
	}
}

// shownCase shows a case to its owner, or to support.
func shownCase(c *care.Case, staff bool) Case {
	out := Case{
		ID: care.FormatCase(c.ID), Account: account.FormatID(c.Account), Subject: string(c.Subject), State: string(c.State),
		OpenedAt: c.OpenedAt, UpdatedAt: c.UpdatedAt, ClosedAt: c.ClosedAt, Unread: c.Unread(staff),
	}
	for _, f := range c.Facts {
		out.Facts = append(out.Facts, Fact(f))
	}
	for _, m := range c.Messages {
		one := CaseMessage{From: "customer", At: m.At, Text: m.Text, ReadAt: m.ReadAt}
		if m.Staff != "" {
			one.From = "staff"
			if staff {
				one.Staff = m.Staff
			}
		}
		out.Messages = append(out.Messages, one)
	}
	return out
}

// caseDone writes what a case became.
func caseDone(c *call, status int, staff bool, v *care.Case, err error) error {
	if err != nil {
		return err
	}
	return write(c, status, shownCase(v, staff))
}

func casesDone(c *call, all []*care.Case, err error) error {
	if err != nil {
		return err
	}
	out := Cases{Cases: []Case{}}
	for _, one := range all {
		out.Cases = append(out.Cases, shownCase(one, false))
	}
	return write(c, 200, out)
}

// ofAccount is an account that a body or a path names and that this key may touch.
func (a *API) ofAccount(c *call, text string) (ledger.ID, error) {
	id, err := account.ParseID(text)
	if err == nil {
		_, err = a.Accounts.Get(c.context(), c.svc, id, c.byApplication())
	}
	if err != nil {
		return id, fault.As(err).WithField("account")
	}
	return id, nil
}

func onCase(c *call, fn func(id ledger.ID) (*care.Case, error)) (*care.Case, error) {
	id, err := care.ParseCase(c.Request.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return fn(id)
}

func (a *API) openCase(c *call) error {
	var in CaseBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	owner, err := a.ofAccount(c, in.Account)
	if err != nil {
		return err
	}
	n := care.NewCase{Subject: care.Subject(in.Subject), Text: in.Text}
	for _, f := range in.Facts {
		n.Facts = append(n.Facts, care.Fact(f))
	}
	v, err := a.Care.Open(c.context(), c.svc, owner, n)
	return caseDone(c, 201, false, v, err)
}

func (a *API) casesOf(c *call) error {
	owner, err := a.ofAccount(c, c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	all, err := a.Care.ListOf(c.context(), c.svc, owner)
	return casesDone(c, all, err)
}

// onCaseOf reads a body that names an account, and runs fn on its case.
func (a *API) onCaseOf(c *call, in any, named *string, fn func(id, owner ledger.ID) (*care.Case, error)) error {
	if _, err := httpx.ReadJSON(c.Exchange, in); err != nil {
		return err
	}
	owner, err := a.ofAccount(c, *named)
	if err != nil {
		return err
	}
	v, err := onCase(c, func(id ledger.ID) (*care.Case, error) { return fn(id, owner) })
	return caseDone(c, 200, false, v, err)
}

func (a *API) readCase(c *call) error {
	var in CaseRef
	return a.onCaseOf(c, &in, &in.Account, func(id, owner ledger.ID) (*care.Case, error) { return a.Care.Get(c.context(), c.svc, id, owner) })
}

func (a *API) sayInCase(c *call) error {
	var in SayBody
	return a.onCaseOf(c, &in, &in.Account, func(id, owner ledger.ID) (*care.Case, error) {
		return a.Care.Say(c.context(), c.svc, id, owner, in.Text)
	})
}

func (a *API) closeCase(c *call) error {
	var in CaseRef
	return a.onCaseOf(c, &in, &in.Account, func(id, owner ledger.ID) (*care.Case, error) { return a.Care.Close(c.context(), c.svc, id, owner) })
}

func (a *API) myCases(c *call) error {
	all, err := a.Care.ListOf(c.context(), c.svc, c.who.ID)
	return casesDone(c, all, err)
}

func (a *API) openMine(c *call) error {
	var in OwnCaseBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	v, err := a.Care.Open(c.context(), c.svc, c.who.ID, care.NewCase{Subject: care.Subject(in.Subject), Text: in.Text})
	return caseDone(c, 201, false, v, err)
}

func (a *API) myCase(c *call) error {
	v, err := onCase(c, func(id ledger.ID) (*care.Case, error) { return a.Care.Get(c.context(), c.svc, id, c.who.ID) })
	return caseDone(c, 200, false, v, err)
}

func (a *API) sayInMine(c *call) error {
	var in TextBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	v, err := onCase(c, func(id ledger.ID) (*care.Case, error) { return a.Care.Say(c.context(), c.svc, id, c.who.ID, in.Text) })
	return caseDone(c, 200, false, v, err)
}

func (a *API) closeMine(c *call) error {
	v, err := onCase(c, func(id ledger.ID) (*care.Case, error) { return a.Care.Close(c.context(), c.svc, id, c.who.ID) })
	return caseDone(c, 200, false, v, err)
}

// defaultPage is how many cases or reports a list has if nothing is said.
const defaultPage = 50

// pageOf reads what chooses a page of cases or reports.
func pageOf(c *call, parse func(string) (ledger.ID, error)) (before ledger.ID, limit int, err error) {
	q := c.Request.URL.Query()
	if text := q.Get("before"); text != "" {
		if before, err = parse(text); err != nil {
			return before, 0, fault.New(fault.Invalid, "invalid_before", "before must be the one of the page before.").WithField("before")
		}
	}
	n, err := whole(q, "limit", defaultPage, 1, 100)
	return before, int(n), err
}

func (a *API) staffCases(c *call) error {
	return a.onStaff(c, func(account.By) error {
		before, limit, err := pageOf(c, care.ParseCase)
		if err != nil {
			return err
		}
		all, next, err := a.Care.List(c.context(), c.svc, care.State(c.Request.URL.Query().Get("status")), before, limit)
		if err != nil {
			return err
		}
		out := Cases{Cases: []Case{}}
		for _, one := range all {
			shown := shownCase(one, true)
			shown.Messages = nil
			out.Cases = append(out.Cases, shown)
		}
		if !next.IsZero() {
			out.Before = care.FormatCase(next)
		}
		return write(c, 200, out)
	})
}

// staffOn runs fn for somebody of the staff on the case that the path names.
func (a *API) staffOn(c *call, fn func(id ledger.ID, by account.By) (*care.Case, error)) error {
	return a.onStaff(c, func(by account.By) error {
		v, err := onCase(c, func(id ledger.ID) (*care.Case, error) { return fn(id, by) })
		return caseDone(c, 200, true, v, err)
	})
}

func (a *API) staffCase(c *call) error {
	return a.staffOn(c, func(id ledger.ID, by account.By) (*care.Case, error) { return a.Care.Look(c.context(), c.svc, id, by) })
}

func (a *API) staffAnswer(c *call) error {
	return a.staffOn(c, func(id ledger.ID, by account.By) (*care.Case, error) {
		var in TextBody
		if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
			return nil, err
		}
		return a.Care.Answer(c.context(), c.svc, id, by, in.Text)
	})
}

func (a *API) staffClose(c *call) error {
	return a.staffOn(c, func(id ledger.ID, by account.By) (*care.Case, error) {
		return a.Care.CloseBy(c.context(), c.svc, id, by)
	})
}

// shownOwn shows a report to its reporter.
func (a *API) shownOwn(r *care.Report) OwnReport {
	out := OwnReport{
		ID: care.FormatReport(r.ID), Kind: r.Kind, Channel: r.Channel, Sender: r.Sender, Text: r.Text, ReportedAt: r.ReportedAt,
		Status: string(r.Status), StatusAt: r.StatusAt, Note: r.Note, Screenshot: r.Screenshot != "",
	}
	for _, p := range a.Care.Places.In(r.Country) {
		for _, takes := range p.Takes {
			if takes == r.Channel {
				out.Elsewhere = append(out.Elsewhere, Place(p))
			}
		}
	}
	return out
}

func shownReport(r *care.Report) Report {
	out := Report{
		ID: care.FormatReport(r.ID), Kind: r.Kind, Channel: r.Channel, Sender: r.Sender, Text: r.Text, Domains: r.Domains, Country: r.Country,
		ReceivedAt: r.ReceivedAt, ReportedAt: r.ReportedAt, Status: string(r.Status), StatusAt: r.StatusAt, Note: r.Note, By: r.By, Screenshot: r.Screenshot,
	}
	if !r.Account.IsZero() {
		out.Account = account.FormatID(r.Account)
	}
	for _, id := range r.Clusters {
		out.Clusters = append(out.Clusters, care.FormatCluster(id))
	}
	return out
}

// file takes a report of an account, or of nobody.
func (a *API) file(c *call, in *ReportBody, owner ledger.ID) error {
	v, err := a.visitor(in.Visitor)
	if err != nil {
		return err
	}
	r, token, err := a.Care.File(c.context(), c.svc, care.NewReport{
		Kind: in.Kind, Channel: in.Channel, Sender: in.Sender, Text: in.Text, URLs: in.URLs, Country: in.Country, Received: in.ReceivedAt,
		Account: owner, Caller: verification.Caller{IP: v.IP},
	})
	if err != nil {
		return err
	}
	out := a.shownOwn(r)
	out.Token = token.Reveal() // to its reporter, once
	return write(c, 201, out)
}

func (a *API) report(c *call) error {
	var in ReportBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	var owner ledger.ID
	if in.Account != "" {
		var err error
		if owner, err = a.ofAccount(c, in.Account); err != nil {
			return err
		}
	}
	return a.file(c, &in, owner)
}

func (a *API) reportMine(c *call) error {
	var in ReportBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	if in.Account != "" {
		return fault.New(fault.Invalid, "unknown_field", "Leave account out: the session says who reports.").WithField("account")
	}
	return a.file(c, &in, c.who.ID)
}

// reportDone writes a report for its reporter.
func (a *API) reportDone(c *call, r *care.Report, err error) error {
	if err != nil {
		return err
	}
	return write(c, 200, a.shownOwn(r))
}

// addScreenshot takes a picture as the body.
func (a *API) addScreenshot(c *call, owner ledger.ID) error {
	kind, _, err := mime.ParseMediaType(c.Request.Header.Get("Content-Type"))
	if err != nil || kind != care.PNG && kind != care.JPEG {
		return fault.New(fault.Unsupported, "not_a_screenshot", "Send the picture itself as the body, with the header Content-Type: image/png or image/jpeg.").WithField("Content-Type")
	}
	id, err := care.ParseReport(c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	raw, err := httpx.ReadUpTo(c.Exchange, care.MaxScreenshot)
	if err != nil {
		return err
	}
	r, err := a.Care.AddScreenshot(c.context(), c.svc, id, owner, raw)
	return a.reportDone(c, r, err)
}

func (a *API) putScreenshot(c *call) error   { return a.addScreenshot(c, ledger.ID{}) }
func (a *API) putMyScreenshot(c *call) error { return a.addScreenshot(c, c.who.ID) }

func (a *API) ownReport(c *call) error {
	id, err := care.ParseReport(c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	r, err := a.Care.Find(c.context(), c.svc, id)
	return a.reportDone(c, r, err)
}

func (a *API) reportStatus(c *call) error {
	var in TokenBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	id, err := care.ParseReport(c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	r, err := a.Care.StatusOf(c.context(), c.svc, id, secret.NewText(in.Token))
	return a.reportDone(c, r, err)
}

func (a *API) reportsOf(c *call) error {
	owner, err := a.ofAccount(c, c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	return a.reportsBy(c, owner)
}

func (a *API) myReports(c *call) error { return a.reportsBy(c, c.who.ID) }

func (a *API) reportsBy(c *call, owner ledger.ID) error {
	all, err := a.Care.ReportsOf(c.context(), c.svc, owner)
	if err != nil {
		return err
	}
	out := OwnReports{Reports: []OwnReport{}}
	for _, r := range all {
		out.Reports = append(out.Reports, a.shownOwn(r))
	}
	return write(c, 200, out)
}

func (a *API) reportPlaces(c *call) error {
	out := Places{Places: []Place{}}
	for _, p := range a.Care.Places.In(c.Request.URL.Query().Get("country")) {
		out.Places = append(out.Places, Place(p))
	}
	return write(c, 200, out)
}

// filter reads what chooses reports.
func filter(c *call) (f care.Filter, err error) {
	q := c.Request.URL.Query()
	f.Status = care.Status(q.Get("status"))
	for name, to := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := q.Get(name); text != "" {
			if *to, err = time.Parse(time.RFC3339, text); err != nil {
				return f, fault.New(fault.Invalid, "invalid_parameter", name+" must be a time such as 2026-01-31T00:00:00Z.").WithField(name)
			}
		}
	}
	if text := q.Get("cluster"); text != "" {
		f.Cluster, err = care.ParseCluster(text)
	}
	return f, err
}

func (a *API) staffReports(c *call) error {
	return a.onStaff(c, func(account.By) error {
		before, limit, err := pageOf(c, care.ParseReport)
		if err != nil {
			return err
		}
		f, err := filter(c)
		if err != nil {
			return err
		}
		all, next, err := a.Care.Reports(c.context(), c.svc, f, before, limit)
		if err != nil {
			return err
		}
		out := Reports{Reports: []Report{}}
		for _, r := range all {
			out.Reports = append(out.Reports, shownReport(r))
		}
		if !next.IsZero() {
			out.Before = care.FormatReport(next)
		}
		return write(c, 200, out)
	})
}

// staffOnReport runs fn for somebody of the staff on the report that the path names.
func (a *API) staffOnReport(c *call, fn func(id ledger.ID, by account.By) error) error {
	return a.onStaff(c, func(by account.By) error {
		id, err := care.ParseReport(c.Request.PathValue("id"))
		if err != nil {
			return err
		}
		return fn(id, by)
	})
}

func (a *API) staffReport(c *call) error {
	return a.staffOnReport(c, func(id ledger.ID, _ account.By) error {
		r, err := a.Care.Find(c.context(), c.svc, id)
		if err != nil {
			return err
		}
		return write(c, 200, shownReport(r))
	})
}

// staffScreenshot gives the picture. What opens it as a page of its own runs and loads nothing.
func (a *API) staffScreenshot(c *call) error {
	return a.staffOnReport(c, func(id ledger.ID, _ account.By) error {
		content, kind, err := a.Care.Screenshot(c.context(), c.svc, id)
		if err != nil {
			return err
		}
		return attached(c, kind, "screenshot", content)
	})
}

// attached writes a file that is to be kept and not to be shown as a page.
func attached(c *call, kind, name string, content []byte) error {
	h := c.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	c.WriteHeader(http.StatusOK)
	_, _ = c.Write(content) // the client may have left
	return nil
}

func (a *API) staffRemoveScreenshot(c *call) error {
	return a.staffOnReport(c, func(id ledger.ID, _ account.By) error {
		return nothing(c, a.Care.RemoveScreenshot(c.context(), c.svc, id))
	})
}

func (a *API) staffSettle(c *call) error {
	return a.staffOnReport(c, func(id ledger.ID, by account.By) error {
		var in StatusBody
		if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
			return err
		}
		r, err := a.Care.Settle(c.context(), c.svc, id, by, care.Status(in.Status), in.Note)
		if err != nil {
			return err
		}
		return write(c, 200, shownReport(r))
	})
}

func (a *API) staffClusters(c *call) error {
	return a.onStaff(c, func(account.By) error {
		all, err := a.Care.Clusters(c.context(), c.svc)
		if err != nil {
			return err
		}
		out := Clusters{Clusters: []Cluster{}}
		for _, one := range all {
			out.Clusters = append(out.Clusters, Cluster{
				care.FormatCluster(one.ID), one.Kind, one.Label, one.FirstAt, one.LastAt, one.Total, one.Recent, one.Rising,
			})
		}
		return write(c, 200, out)
	})
}

var exportTypes = map[string]struct{ kind, name string }{
	care.FormatJSON: {"application/jsonl", "reports.jsonl"},
	care.FormatCSV:  {"text/csv; charset=utf-8; header=present", "reports.csv"},
	care.FormatARF:  {"application/mbox", "reports.mbox"},
}

func (a *API) staffExport(c *call) error {
	return a.onStaff(c, func(account.By) error {
		format := c.Request.URL.Query().Get("format")
		f, err := filter(c)
		if err != nil {
			return err
		}
		var out bytes.Buffer // an export that fails half-way must not look whole
		if err := a.Care.Export(c.context(), c.svc, &out, format, f); err != nil {
			return err
		}
		t := exportTypes[format]
		return attached(c, t.kind, t.name, out.Bytes())
	})
}
