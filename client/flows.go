// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Visitor is the person at the browser or app, as the application sees them. What is left empty of device and place is made of the
// user agent and the address.
type Visitor struct {
	IP        string   `json:"ip,omitempty"`
	UserAgent string   `json:"user_agent,omitempty"`
	Device    string   `json:"device,omitempty"`        // in words
	Place     string   `json:"place,omitempty"`         // in words
	Language  string   `json:"language,omitempty"`      // BCP 47
	Devices   []string `json:"device_tokens,omitempty"` // what finished sign-ins left with this browser
}

// FlowRequest begins a flow or goes on with one; each wants some of these. Flow is that of the step before.
type FlowRequest struct {
	Flow          string          `json:"flow,omitempty"`
	Contact       string          `json:"contact,omitempty"`
	DefaultRegion string          `json:"default_region,omitempty"` // of a number without a country
	Password      string          `json:"password,omitempty"`
	Way           string          `json:"way,omitempty"`
	Code          string          `json:"code,omitempty"`
	Passkey       json.RawMessage `json:"passkey,omitempty"`
	Trust         bool            `json:"trust_device,omitempty"`
	Repeat        string          `json:"repeat_key,omitempty"` // of an answer: a repeat with the same key is the same answer
	Token         string          `json:"token,omitempty"`      // of a notice's link
	Key           string          `json:"key,omitempty"`        // of a notice by text, with Contact
	Name          string          `json:"name,omitempty"`
	Visitor       Visitor         `json:"visitor,omitzero"`
}

// Step is where a flow stands: what the person has to do next.
type Step struct {
	Flow         string          `json:"flow"`
	Kind         string          `json:"kind"`
	Next         string          `json:"next"` // code, send, app, passkey, recovery_code, password, new_password, choose, wait or done
	Way          *Way            `json:"way"`
	Ways         []Way           `json:"ways"`
	Verification *Verification   `json:"verification"`
	Passkey      json.RawMessage `json:"passkey"` // for navigator.credentials
	Problem      *StepProblem    `json:"problem"` // nil: the last answer was right, or there was none
	Setup        *AppSetup       `json:"setup"`
	Proven       int             `json:"proven"`
	Until        time.Time       `json:"until"`
	Change       *Change         `json:"change"`
	Minimum      int             `json:"minimum_length"`
	Done         *Done           `json:"done"`
	ExpiresAt    time.Time       `json:"expires_at"`
}

// Way is a method that may be used now.
type Way struct {
	ID      string    `json:"id"`
	Method  string    `json:"method"` // sms, voice, email, app, passkey, recovery_code or password
	Name    string    `json:"name"`
	To      string    `json:"to"` // masked
	Default bool      `json:"default"`
	UsedAt  time.Time `json:"used_at"`
	Bounced bool      `json:"bounced"`
}

// StepProblem says why an answer didn't do.
type StepProblem struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	TriesLeft int    `json:"tries_left"`
}

// AppSetup is what an authenticator app needs. It is shown once.
type AppSetup struct {
	Secret string `json:"secret"`
	URI    string `json:"uri"` // to show as a QR code
}

// Change is a sensitive change that can be undone.
type Change struct {
	Kind  string    `json:"kind"`
	What  string    `json:"what"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
	Asked string    `json:"asked"` // from what device, about where
}

// Done is what a flow has reached.
type Done struct {
	Account       string   `json:"account"`
	Session       string   `json:"session_token"` // the person is signed in
	SessionLife   int      `json:"session_expires_in_seconds"`
	Device        string   `json:"device_token"` // for their browser
	RecoveryCodes []string `json:"recovery_codes"`
	ID            string   `json:"id"` // of what was added
}

// SignUp sends a code to somebody who wants an account.
func (c *Client) SignUp(ctx context.Context, contact, password string, v Visitor) (*Step, error) {
	return c.Flow(ctx, "sign-up", FlowRequest{Contact: contact, Password: password, Visitor: v})
}

// SignUpPasskey makes an account of a passkey alone.
func (c *Client) SignUpPasskey(ctx context.Context, name string, v Visitor) (*Step, error) {
	return c.Flow(ctx, "sign-up-passkey", FlowRequest{Name: name, Visitor: v})
}

// SignIn judges a password. A wrong one, and a contact that nobody signs in with, is the *Problem wrong_password.
func (c *Client) SignIn(ctx context.Context, contact, password string, v Visitor) (*Step, error) {
	return c.Flow(ctx, "sign-in", FlowRequest{Contact: contact, Password: password, Visitor: v})
}

// SignInPasskey signs in by a passkey alone.
func (c *Client) SignInPasskey(ctx context.Context, v Visitor) (*Step, error) {
	return c.Flow(ctx, "sign-in-passkey", FlowRequest{Visitor: v})
}

// Forgot begins a new password. Nothing is sent yet.
func (c *Client) Forgot(ctx context.Context, contact string, v Visitor) (*Step, error) {
	return c.Flow(ctx, "forgot", FlowRequest{Contact: contact, Visitor: v})
}

// Recover begins the recovery of an account. Nothing is sent yet.
func (c *Client) Recover(ctx context.Context, contact string, v Visitor) (*Step, error) {
	return c.Flow(ctx, "recover", FlowRequest{Contact: contact, Visitor: v})
}

// RecoverAlone goes on with a recovery for which there is one proof only: it takes a week, and two agents decide.
func (c *Client) RecoverAlone(ctx context.Context, flow string, v Visitor) (*Step, error) {
	return c.Flow(ctx, "recover-alone", FlowRequest{Flow: flow, Visitor: v})
}

// LookLink tells what the token of a notice's link would undo or stop. It changes nothing.
func (c *Client) LookLink(ctx context.Context, token string) (*Change, error) {
	return call[Change](ctx, c, http.MethodPost, "/v1/flows/link", FlowRequest{Token: token}, "")
}

// Undo begins to undo a change by the token of its notice. It freezes further changes: ask the person before.
func (c *Client) Undo(ctx context.Context, token string, v Visitor) (*Step, error) {
	return c.Flow(ctx, "undo", FlowRequest{Token: token, Visitor: v})
}

// StopRecovery stops a recovery by the token of its notice.
func (c *Client) StopRecovery(ctx context.Context, token string, v Visitor) error {
	_, err := call[nothing](ctx, c.once(), http.MethodPost, "/v1/flows/stop", FlowRequest{Token: token, Visitor: v}, "")
	return err
}

// Look tells where a flow stands. It changes nothing.
func (c *Client) Look(ctx context.Context, flow string) (*Step, error) {
	return call[Step](ctx, c, http.MethodPost, "/v1/flows/look", FlowRequest{Flow: flow}, "")
}

// Choose goes on by another way. Nothing is sent.
func (c *Client) Choose(ctx context.Context, flow, way string) (*Step, error) {
	return call[Step](ctx, c, http.MethodPost, "/v1/flows/choose", FlowRequest{Flow: flow, Way: way}, "")
}

// Send sends the flow's code, or sends it again; an empty way is the one that is being used.
func (c *Client) Send(ctx context.Context, flow, way string, v Visitor) (*Step, error) {
	return c.Flow(ctx, "send", FlowRequest{Flow: flow, Way: way, Visitor: v})
}

// Answer judges what the person gave: Code, Password or Passkey. A wrong answer is a Step with a Problem. Flows that began with a
// [Session] are answered there.
func (c *Client) Answer(ctx context.Context, req FlowRequest) (*Step, error) {
	return c.Flow(ctx, "answer", req)
}

// Flow is what the methods above call: step is the last part of the path. It is asked once, for a second time could count or send twice;
// an answer with Repeat is asked again like other requests.
func (c *Client) Flow(ctx context.Context, step string, req FlowRequest) (*Step, error) {
	if req.Repeat == "" {
		c = c.once()
	}
	return call[Step](ctx, c, http.MethodPost, "/v1/flows/"+step, req, "")
}

// once is a client that asks once.
func (c *Client) once() *Client {
	again := *c
	again.Tries = 1
	return &again
}

// nothing is an answer without a body.
type nothing struct{}
