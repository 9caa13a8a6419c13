// SPDX-License-Identifier: Apache-2.0

package jsonapi

import "time"

// CaseBody opens a case.
type CaseBody struct {
	Account string `json:"account,omitempty" doc:"Whose case it is; not with a person's session."`
	Subject string `json:"subject" enum:"unrequested_code,code_not_working,suspicious_call,suspicious_message,other"`
	Text    string `json:"text,omitempty" doc:"What the person wrote: at most 4,000 characters. Codes and long numbers are blanked."`
	Facts   []Fact `json:"facts,omitempty" doc:"What you know of it: at most 20. Never a code."`
}

// OwnCaseBody opens a case of the signed-in person.
type OwnCaseBody struct {
	Subject string `json:"subject" enum:"unrequested_code,code_not_working,suspicious_call,suspicious_message,other"`
	Text    string `json:"text" doc:"At most 4,000 characters. Codes and long numbers are blanked."`
}

// Fact is something that is known of what a case is about.
type Fact struct {
	Key   string `json:"key" doc:"1 to 40 lower-case letters, digits and _."`
	Value string `json:"value" doc:"At most 200 characters."`
}

// CaseRef names whose case is meant, for an application's key.
type CaseRef struct {
	Account string `json:"account" doc:"Whose case it is."`
}

// SayBody is a customer's message, given by an application's key.
type SayBody struct {
	Account string `json:"account" doc:"Whose case it is."`
	Text    string `json:"text" doc:"At most 4,000 characters."`
}

// TextBody is a message to a case.
type TextBody struct {
	Text string `json:"text" doc:"At most 4,000 characters. Codes and long numbers are blanked."`
}

// Case is what a customer and support settle together.
type Case struct {
	ID        string        `json:"id"`
	Account   string        `json:"account"`
	Subject   string        `json:"subject" enum:"unrequested_code,code_not_working,suspicious_call,suspicious_message,other"`
	State     string        `json:"state" enum:"open,answered,closed" doc:"open: it is support's turn; answered: the customer's. An answer of the customer opens a closed one again, for 30 days."`
	OpenedAt  time.Time     `json:"opened_at"`
	UpdatedAt time.Time     `json:"updated_at"`
	ClosedAt  time.Time     `json:"closed_at,omitzero"`
	Unread    int           `json:"unread" doc:"Messages that whoever asks has not seen."`
	Facts     []Fact        `json:"facts,omitempty"`
	Messages  []CaseMessage `json:"messages,omitempty" doc:"The oldest first; not in lists of support."`
}

// CaseMessage is one message of a case.
type CaseMessage struct {
	From   string    `json:"from" enum:"customer,staff"`
	Staff  string    `json:"staff,omitempty" doc:"Who of the staff; for support only."`
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
	ReadAt time.Time `json:"read_at,omitzero" doc:"When the other side saw it first."`
}

// Cases is a list of cases, the latest opened first.
type Cases struct {
	Cases  []Case `json:"cases"`
	Before string `json:"before,omitempty" doc:"Give it as before for older ones; absent: there are none."`
}

// ReportBody reports something suspicious.
type ReportBody struct {
	Kind       string    `json:"kind" enum:"message,call,page"`
	Channel    string    `json:"channel" enum:"sms,email,call,web"`
	Sender     string    `json:"sender,omitempty" doc:"Number, address or name as it was shown: at most 100 characters."`
	Text       string    `json:"text,omitempty" doc:"What it said: at most 4,000 characters. Codes and long numbers are blanked before it is stored."`
	URLs       []string  `json:"urls,omitempty" doc:"At most 10; only their domains are kept."`
	Country    string    `json:"country,omitempty" doc:"Where it was received: two capital letters."`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	Account    string    `json:"account,omitempty" doc:"Of the reporter; not with a person's session. Left out: a token is given."`
	Visitor    Visitor   `json:"visitor,omitzero" doc:"The reporter. Of an account's reports and of an address there is a limit."`
}

// OwnReport is a report as its reporter sees it.
type OwnReport struct {
	ID         string    `json:"id"`
	Token      string    `json:"token,omitempty" doc:"Of a report without an account: with it the reporter asks what became of it. It is shown once."`
	Kind       string    `json:"kind" enum:"message,call,page"`
	Channel    string    `json:"channel" enum:"sms,email,call,web"`
	Sender     string    `json:"sender,omitempty"`
	Text       string    `json:"text,omitempty" doc:"As it is stored: blanked."`
	ReportedAt time.Time `json:"reported_at"`
	Status     string    `json:"status" enum:"received,confirmed,harmless,duplicate,closed"`
	StatusAt   time.Time `json:"status_at,omitzero"`
	Note       string    `json:"note,omitempty" doc:"Of support to the reporter."`
	Screenshot bool      `json:"screenshot,omitzero"`
	Elsewhere  []Place   `json:"report_elsewhere,omitempty" doc:"Who else takes such reports in this country."`
}

// OwnReports are the reports of one person.
type OwnReports struct {
	Reports []OwnReport `json:"reports"`
}

// Report is a report as support sees it.
type Report struct {
	ID         string    `json:"id"`
	Account    string    `json:"account,omitempty" doc:"Of the reporter."`
	Kind       string    `json:"kind" enum:"message,call,page"`
	Channel    string    `json:"channel" enum:"sms,email,call,web"`
	Sender     string    `json:"sender,omitempty"`
	Text       string    `json:"text,omitempty"`
	Domains    []string  `json:"domains,omitempty"`
	Country    string    `json:"country,omitempty"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	ReportedAt time.Time `json:"reported_at"`
	Status     string    `json:"status" enum:"received,confirmed,harmless,duplicate,closed"`
	StatusAt   time.Time `json:"status_at,omitzero"`
	Note       string    `json:"note,omitempty"`
	By         string    `json:"status_by,omitempty"`
	Clusters   []string  `json:"clusters,omitempty"`
	Screenshot string    `json:"screenshot,omitempty" doc:"Its type."`
}

// Reports is a list of reports, the latest first.
type Reports struct {
	Reports []Report `json:"reports"`
	Before  string   `json:"before,omitempty" doc:"Give it as before for older ones; absent: there are none."`
}

// StatusBody says what has become of a report.
type StatusBody struct {
	Status string `json:"status" enum:"confirmed,harmless,duplicate,closed"`
	Note   string `json:"note,omitempty" doc:"To the reporter: at most 300 characters."`
}

// TokenBody is the token of a report.
type TokenBody struct {
	Token string `json:"token"`
}

// Clusters are like reports, those that rise first.
type Clusters struct {
	Clusters []Cluster `json:"clusters"`
}

// Cluster is what like reports have in common.
type Cluster struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind" enum:"sender,domain,text"`
	Label   string    `json:"label"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
	Total   int       `json:"total"`
	Recent  int       `json:"recent" doc:"Of different reporters, in the last six hours."`
	Rising  bool      `json:"rising"`
}

// Places are who else takes reports in a country.
type Places struct {
	Places []Place `json:"places"`
}

// Place is who else takes reports.
type Place struct {
	Country string   `json:"country"`
	Takes   []string `json:"takes"`
	Name    string   `json:"name"`
	How     string   `json:"how"`
	Number  string   `json:"number,omitempty"`
	Email   string   `json:"email,omitempty"`
	URL     string   `json:"url,omitempty"`
}
