// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Fact is something that an application knows of what a case is about. Never a code.
type Fact struct {
	Key   string `json:"key"` // 1 to 40 lower-case letters, digits and _
	Value string `json:"value"`
}

// Case is what a customer and support settle together.
type Case struct {
	ID        string        `json:"id"`
	Account   string        `json:"account"`
	Subject   string        `json:"subject"`
	State     string        `json:"state"` // open: it is support's turn; answered: the customer's; closed
	OpenedAt  time.Time     `json:"opened_at"`
	UpdatedAt time.Time     `json:"updated_at"`
	ClosedAt  time.Time     `json:"closed_at"`
	Unread    int           `json:"unread"` // messages of support that the customer has not seen
	Facts     []Fact        `json:"facts"`
	Messages  []CaseMessage `json:"messages"` // the oldest first
}

// CaseMessage is one message of a case.
type CaseMessage struct {
	From   string    `json:"from"` // customer or staff
	At     time.Time `json:"at"`
	Text   string    `json:"text"` // codes and long numbers are blanked
	ReadAt time.Time `json:"read_at"`
}

// NewCase opens a case. Subject is unrequested_code, code_not_working, suspicious_call, suspicious_message or other.
type NewCase struct {
	Account string `json:"account"`
	Subject string `json:"subject"`
	Text    string `json:"text,omitempty"`
	Facts   []Fact `json:"facts,omitempty"`
}

type casesReply struct {
	Cases []Case `json:"cases"`
}

// inCase is what an application says in a case for its owner.
type inCase struct {
	Account string `json:"account"`
	Text    string `json:"text,omitempty"`
}

// OpenCase opens a case with support for an account.
func (c *Client) OpenCase(ctx context.Context, n NewCase) (*Case, error) {
	return call[Case](ctx, c.once(), http.MethodPost, "/v1/cases", n, "")
}

// Cases are an account's cases, the latest opened first.
func (c *Client) Cases(ctx context.Context, account string) ([]Case, error) {
	out, err := call[casesReply](ctx, c, http.MethodGet, accountPath(account, "/cases"), nil, "")
	if err != nil {
		return nil, err
	}
	return out.Cases, nil
}

// ReadCase is a case as its owner sees it; what support wrote is read then.
func (c *Client) ReadCase(ctx context.Context, account, id string) (*Case, error) {
	return call[Case](ctx, c, http.MethodPost, casePath(id)+"/read", inCase{Account: account}, "")
}

// SayInCase writes to support for an account. A case that was closed opens again.
func (c *Client) SayInCase(ctx context.Context, account, id, text string) (*Case, error) {
	return call[Case](ctx, c.once(), http.MethodPost, casePath(id)+"/messages", inCase{account, text}, "")
}

// CloseCase closes a case for its owner.
func (c *Client) CloseCase(ctx context.Context, account, id string) (*Case, error) {
	return call[Case](ctx, c, http.MethodPost, casePath(id)+"/close", inCase{Account: account}, "")
}

func casePath(id string) string { return "/v1/cases/" + url.PathEscape(id) }

// OpenCase opens a case of the person's with support.
func (s *Session) OpenCase(ctx context.Context, subject, text string) (*Case, error) {
	return call[Case](ctx, s.c, http.MethodPost, "/v1/session/cases", map[string]string{"subject": subject, "text": text}, "")
}

// Cases are the person's cases, the latest opened first.
func (s *Session) Cases(ctx context.Context) ([]Case, error) {
	out, err := call[casesReply](ctx, s.c, http.MethodGet, "/v1/session/cases", nil, "")
	if err != nil {
		return nil, err
	}
	return out.Cases, nil
}

// ReadCase is one of the person's cases; what support wrote is read then.
func (s *Session) ReadCase(ctx context.Context, id string) (*Case, error) {
	return call[Case](ctx, s.c, http.MethodGet, "/v1/session/cases/"+url.PathEscape(id), nil, "")
}

// SayInCase writes to support. A case that was closed opens again.
func (s *Session) SayInCase(ctx context.Context, id, text string) (*Case, error) {
	return call[Case](ctx, s.c, http.MethodPost, "/v1/session/cases/"+url.PathEscape(id)+"/messages", map[string]string{"text": text}, "")
}

// CloseCase closes one of the person's cases.
func (s *Session) CloseCase(ctx context.Context, id string) (*Case, error) {
	return call[Case](ctx, s.c, http.MethodPost, "/v1/session/cases/"+url.PathEscape(id)+"/close", nil, "")
}

// NewReport reports a suspicious message, call or page. Kind is message, call or page; Channel sms, email, call or web.
type NewReport struct {
	Kind       string    `json:"kind"`
	Channel    string    `json:"channel"`
	Sender     string    `json:"sender,omitempty"`
	Text       string    `json:"text,omitempty"` // codes and long numbers are blanked before it is stored
	URLs       []string  `json:"urls,omitempty"` // only their domains are kept
	Country    string    `json:"country,omitempty"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	Account    string    `json:"account,omitempty"` // of the reporter; empty: a token is given. Not with a session
	Visitor    Visitor   `json:"visitor,omitzero"`
}

// Report is a report as its reporter sees it.
type Report struct {
	ID         string        `json:"id"`
	Token      string        `json:"token"` // of a report without an account, once: with it the reporter asks what became of it
	Kind       string        `json:"kind"`
	Channel    string        `json:"channel"`
	Sender     string        `json:"sender"`
	Text       string        `json:"text"`
	ReportedAt time.Time     `json:"reported_at"`
	Status     string        `json:"status"` // received, confirmed, harmless, duplicate or closed
	StatusAt   time.Time     `json:"status_at"`
	Note       string        `json:"note"` // of support to the reporter
	Screenshot bool          `json:"screenshot"`
	Elsewhere  []ReportPlace `json:"report_elsewhere"`
}

// ReportPlace is who else takes reports in a country.
type ReportPlace struct {
	Country string   `json:"country"`
	Takes   []string `json:"takes"`
	Name    string   `json:"name"`
	How     string   `json:"how"`
	Number  string   `json:"number"`
	Email   string   `json:"email"`
	URL     string   `json:"url"`
}

type reportsReply struct {
	Reports []Report `json:"reports"`
}

// Report reports something suspicious, for an account or for somebody who has none.
func (c *Client) Report(ctx context.Context, n NewReport) (*Report, error) {
	return call[Report](ctx, c.once(), http.MethodPost, "/v1/reports", n, "")
}

// AddScreenshot adds a picture to a report: a PNG or JPEG of at most 2 MB. Its metadata is removed.
func (c *Client) AddScreenshot(ctx context.Context, report string, picture []byte) (*Report, error) {
	return send[Report](ctx, c, http.MethodPut, reportPath(report)+"/screenshot", http.DetectContentType(picture), picture, "")
}

// ReportOf tells what became of a report.
func (c *Client) ReportOf(ctx context.Context, id string) (*Report, error) {
	return call[Report](ctx, c, http.MethodGet, reportPath(id), nil, "")
}

// ReportStatus tells what became of a report to whoever shows the token that its reporter was given.
func (c *Client) ReportStatus(ctx context.Context, id, token string) (*Report, error) {
	return call[Report](ctx, c, http.MethodPost, reportPath(id)+"/status", map[string]string{"token": token}, "")
}

// Reports are an account's reports.
func (c *Client) Reports(ctx context.Context, account string) ([]Report, error) {
	out, err := call[reportsReply](ctx, c, http.MethodGet, accountPath(account, "/reports"), nil, "")
	if err != nil {
		return nil, err
	}
	return out.Reports, nil
}

// ReportPlaces are who else takes reports in a country (two capital letters).
func (c *Client) ReportPlaces(ctx context.Context, country string) ([]ReportPlace, error) {
	out, err := call[struct {
		Places []ReportPlace `json:"places"`
	}](ctx, c, http.MethodGet, "/v1/report-places?country="+url.QueryEscape(country), nil, "")
	if err != nil {
		return nil, err
	}
	return out.Places, nil
}

func reportPath(id string) string { return "/v1/reports/" + url.PathEscape(id) }

// Report reports something suspicious as the person. NewReport's Account is left empty.
func (s *Session) Report(ctx context.Context, n NewReport) (*Report, error) {
	return call[Report](ctx, s.c, http.MethodPost, "/v1/session/reports", n, "")
}

// AddScreenshot adds a picture to one of the person's reports, as the method of Client does.
func (s *Session) AddScreenshot(ctx context.Context, report string, picture []byte) (*Report, error) {
	return send[Report](ctx, s.c, http.MethodPut, "/v1/session/reports/"+url.PathEscape(report)+"/screenshot", http.DetectContentType(picture), picture, "")
}

// Reports are the person's reports.
func (s *Session) Reports(ctx context.Context) ([]Report, error) {
	out, err := call[reportsReply](ctx, s.c, http.MethodGet, "/v1/session/reports", nil, "")
	if err != nil {
		return nil, err
	}
	return out.Reports, nil
}
