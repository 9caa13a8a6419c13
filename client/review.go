// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// SentMessage is one message that was sent to somebody: never the code.
type SentMessage struct {
	Verification string    `json:"verification"` // of a code
	Notice       string    `json:"notice"`       // of a notice: what it told
	SentAt       time.Time `json:"sent_at"`
	To           string    `json:"to"` // masked
	Channel      string    `json:"channel"`
	Status       string    `json:"status"`  // of a code's message: sent, delivered or undelivered
	Purpose      string    `json:"purpose"` // not told of a contact that is proven without an account
	Pending      bool      `json:"pending"` // the code still works
	Disowned     bool      `json:"disowned"`
	Device       string    `json:"device"` // who asked for it, in words
	Place        string    `json:"place"`
	IP           string    `json:"ip"`
	Amount       string    `json:"amount"`
	Payee        string    `json:"payee"`
}

// SentMessages are those of some time, the latest first.
type SentMessages struct {
	Messages     []SentMessage `json:"messages"`
	BlockedUntil time.Time     `json:"blocked_until"` // of a proven contact: its owner has codes stopped until then
}

// Review is what is done about a code that nobody here asked for. Its StartedAt is zero where there is none.
type Review struct {
	StartedAt    time.Time `json:"started_at"`
	Verification string    `json:"verification"`
	ByText       bool      `json:"by_text"` // it began by an answer of NO to a text
	CodesEnded   int       `json:"codes_ended"`
	Done         bool      `json:"done"`
	Case         string    `json:"case"`
	Steps        []struct {
		Name string `json:"name"` // codes, sessions, password, second_step, activity or case
		Done bool   `json:"done"`
		Way  *Way   `json:"way"` // of second_step: the strongest method, which isn't the default yet
	} `json:"steps"`
}

// Prove begins the proof of a contact without an account; nothing is sent yet. Finished, its flow is good for SentTo and StopCodesTo for half an hour.
func (c *Client) Prove(ctx context.Context, contact string, v Visitor) (*Step, error) {
	return c.once().Flow(ctx, "prove", FlowRequest{Contact: contact, Visitor: v})
}

// Drop ends a flow and its code: the person doesn't want it, or didn't ask for it.
func (c *Client) Drop(ctx context.Context, flow string, v Visitor) error {
	_, err := call[nothing](ctx, c, http.MethodPost, "/v1/flows/drop", FlowRequest{Flow: flow, Visitor: v}, "")
	return err
}

// provenContact asks for something about the contact of a finished flow of Prove.
type provenContact struct {
	Flow string `json:"flow"`
	Do   string `json:"do,omitempty"`
}

// SentTo is what was sent to a proven contact since yesterday, without what for.
func (c *Client) SentTo(ctx context.Context, flow string) (*SentMessages, error) {
	return call[SentMessages](ctx, c, http.MethodPost, "/v1/flows/prove/messages", provenContact{Flow: flow}, "")
}

// StopCodesTo has no codes sent to a proven contact for 90 days ("block"), has them sent again ("unblock"), or ends those that wait ("end").
func (c *Client) StopCodesTo(ctx context.Context, flow, do string) error {
	_, err := call[nothing](ctx, c, http.MethodPost, "/v1/flows/prove/contact", provenContact{flow, do}, "")
	return err
}

// Messages is what was sent to the person's contacts in the last 30 days.
func (s *Session) Messages(ctx context.Context) ([]SentMessage, error) {
	out, err := call[SentMessages](ctx, s.c, http.MethodGet, "/v1/session/messages", nil, "")
	if err != nil {
		return nil, err
	}
	return out.Messages, nil
}

// Review is what is done about a code that the person didn't ask for.
func (s *Session) Review(ctx context.Context) (*Review, error) {
	return call[Review](ctx, s.c, http.MethodGet, "/v1/session/review", nil, "")
}

// BeginReview says what the person says of a code that they got: mistyped (the codes that wait end, and nothing else happens) or not_me.
// Verification is which code, if it is about one alone.
func (s *Session) BeginReview(ctx context.Context, answer, verification string, v Visitor) (*Review, error) {
	return call[Review](ctx, s.c, http.MethodPost, "/v1/session/review", struct {
		Answer       string  `json:"answer"`
		Verification string  `json:"verification,omitempty"`
		Visitor      Visitor `json:"visitor,omitzero"`
	}{answer, verification, v}, "")
}

// ReviewStep does a step of the review: sessions, second_step or activity. The others are done where they belong: a password is changed, a case opened.
func (s *Session) ReviewStep(ctx context.Context, name string, v Visitor) (*Review, error) {
	return call[Review](ctx, s.c, http.MethodPost, "/v1/session/review/"+url.PathEscape(name), asker{Visitor: v}, "")
}

// EndReview puts the review away.
func (s *Session) EndReview(ctx context.Context, v Visitor) error {
	return s.do(ctx, http.MethodDelete, "/review", asker{Visitor: v})
}

// Unblock has codes sent again to a contact whose owner stopped them.
func (s *Session) Unblock(ctx context.Context, contact string, v Visitor) error {
	return s.do(ctx, http.MethodPost, "/contacts/"+url.PathEscape(contact)+"/unblock", asker{Visitor: v})
}

// Diagnosis is why a code isn't working. docs/diagnosis.md lists causes and actions.
type Diagnosis struct {
	Cause     string     `json:"cause"`
	Detail    string     `json:"detail"`
	Certainty string     `json:"certainty"` // certain, likely or cannot_tell
	Between   []string   `json:"between"`   // of cannot_tell: what it may be instead
	WaitFor   int        `json:"wait_seconds"`
	Usual     int        `json:"usual_seconds"` // nine in ten messages to this network arrive within; 0: not known
	Actions   []string   `json:"actions"`       // what helps, the best first
	Evidence  []Evidence `json:"evidence"`
}

// Evidence is one fact that a diagnosis rests on.
type Evidence struct {
	Fact    string    `json:"fact"`
	At      time.Time `json:"at"`
	Seconds int       `json:"seconds"`
	Count   int       `json:"count"`
}

// Diagnose tells why a verification's code isn't working. It changes nothing.
func (c *Client) Diagnose(ctx context.Context, verification string) (*Diagnosis, error) {
	return call[Diagnosis](ctx, c, http.MethodGet, "/v1/verifications/"+url.PathEscape(verification)+"/diagnosis", nil, "")
}
