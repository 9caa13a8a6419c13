// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Visitor is the person at the browser or app, as the application sees them.
type Visitor struct {
	IP        string   `json:"ip,omitempty"`
	UserAgent string   `json:"user_agent,omitempty"`
	Language  string   `json:"language,omitempty"`      // BCP 47
	Devices   []string `json:"device_tokens,omitempty"` // what finished sign-ins left with this browser
}

// FlowRequest begins a flow or goes on with one; each wants some of these. Flow is that of the step before.
type FlowRequest struct {
	Flow     string          `json:"flow,omitempty"`
	Contact  string          `json:"contact,omitempty"`
	Password string          `json:"password,omitempty"`
	Way      string          `json:"way,omitempty"`
	Code     string          `json:"code,omitempty"`
	Passkey  json.RawMessage `json:"passkey,omitempty"`
	Trust    bool            `json:"trust_device,omitempty"`
	Repeat   string          `json:"repeat_key,omitempty"` // a repeat with the same key is the same answer
	Token    string          `json:"token,omitempty"`      // of a notice's link
	Key      string          `json:"key,omitempty"`        // of a notice by text, with Contact
	Name     string          `json:"name,omitempty"`
	Visitor  Visitor         `json:"visitor,omitzero"`
}

// Step is where a flow stands: what the person has to do next.
type Step struct {
	Flow         string          `json:"flow"`
	Kind         string          `json:"kind"`
	Next         string          `json:"next"` // code, send, app, passkey, recovery_code, password, new_password, choose, wait or done
	Way          *Way            `json:"way"`
	Ways         []Way           `json:"ways"`
	Verification *Verification   `json:"verification"`
	Passkey      json.RawMessage `json:"passkey"`
	Problem      *StepProblem    `json:"problem"` // nil: the last answer was right, or there was none
	Setup        *struct {
		Secret string `json:"secret"`
		URI    string `json:"uri"`
	} `json:"setup"`
	Proven int       `json:"proven"`
	Until  time.Time `json:"until"`
	Done   *Done     `json:"done"`
}

// Way is a method that may be used now.
type Way struct {
	ID     string `json:"id"`
	Method string `json:"method"`
	Name   string `json:"name"`
	To     string `json:"to"` // masked
}

// StepProblem says why an answer didn't do.
type StepProblem struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	TriesLeft int    `json:"tries_left"`
}

// Done is what a flow has reached.
type Done struct {
	Account       string   `json:"account"`
	Session       string   `json:"session_token"` // the person is signed in
	Device        string   `json:"device_token"`  // for their browser
	RecoveryCodes []string `json:"recovery_codes"`
	ID            string   `json:"id"` // of what was added
}

// Account is an account, contacts masked but for its owner.
type Account struct {
	ID         string `json:"id"`
	Reference  string `json:"reference"`
	State      string `json:"state"`
	Role       string `json:"role"`
	TwoStep    bool   `json:"two_step"`
	MustTurnOn bool   `json:"must_turn_on"`
	Contacts   []struct {
		ID, Kind, Value, Masked string
		Proven, Codes           bool
	} `json:"contacts"`
	Ways []Way `json:"ways"`
}

// NewAccount is an account that the application brings along: contacts that it has proven, and the hash of the password.
type NewAccount struct {
	Contacts     []string `json:"contacts"`
	PasswordHash string   `json:"password_hash,omitempty"`
	Locale       string   `json:"locale,omitempty"`
	Reference    string   `json:"reference,omitempty"`
}

// Staff is somebody who works for the service.
type Staff struct {
	Account string    `json:"account"`
	Role    string    `json:"role"`
	Since   time.Time `json:"since"`
	Contact string    `json:"contact"` // masked
	TwoStep bool      `json:"two_step"`
}

// Flow begins a flow (sign-up, sign-in, forgot, ...) or goes on with one (look, choose, send, answer): step is the last part of the path. It is asked
// once: what was lost on the way is looked at by "look", or repeated with Repeat.
func (c *Client) Flow(ctx context.Context, step string, req FlowRequest) (*Step, error) {
	return call[Step](ctx, c.asking(""), http.MethodPost, "/v1/flows/"+step, req, "")
}

// asking is a client that asks once, for a person's session if one is named.
func (c *Client) asking(session string) *Client {
	return &Client{HTTP: c.HTTP, Tries: 1, base: c.base, key: c.key, session: session}
}

// Session is the requests of a signed-in person.
type Session struct{ c *Client }

// Session makes requests for the person whose session token this is.
func (c *Client) Session(token string) *Session { return &Session{c.asking(token)} }

// Account is the person's account.
func (s *Session) Account(ctx context.Context) (*Account, error) {
	return call[Account](ctx, s.c, http.MethodGet, "/v1/session", nil, "")
}

// Begin begins a flow of a signed-in person: step-up, methods/app, methods/passkey, methods/codes, contacts, contacts/ID/confirm.
// in is the body; see the reference.
func (s *Session) Begin(ctx context.Context, path string, in any) (*Step, error) {
	return call[Step](ctx, s.c, http.MethodPost, "/v1/session/"+path, in, "")
}

// Do changes something: two-step/off, password, sign-out, activity/ID/not-me, close. in is the body; nil: none.
func (s *Session) Do(ctx context.Context, path string, in any) error {
	_, err := call[json.RawMessage](ctx, s.c, http.MethodPost, "/v1/session/"+path, in, "")
	return err
}

// Answer answers a flow of the signed-in person.
func (s *Session) Answer(ctx context.Context, req FlowRequest) (*Step, error) {
	return call[Step](ctx, s.c, http.MethodPost, "/v1/flows/answer", req, "")
}

// CreateAccount brings an account along. A contact that an account has is refused with contact_taken.
func (c *Client) CreateAccount(ctx context.Context, n NewAccount) (*Account, error) {
	return call[Account](ctx, c.asking(""), http.MethodPost, "/v1/accounts", n, "")
}

// FindAccount is the account that signs in with exactly this contact. Its owner sees that the application looked.
func (c *Client) FindAccount(ctx context.Context, contact string) (*Account, error) {
	return call[Account](ctx, c.asking(""), http.MethodPost, "/v1/accounts/find", map[string]string{"contact": contact}, "")
}

// AddActivity adds an event of the application to an account's activity and returns its entry. When its owner says that it wasn't they, the event
// account.not_me carries the entry.
func (c *Client) AddActivity(ctx context.Context, account, kind, text string) (uint32, error) {
	out, err := call[struct {
		Entry uint32 `json:"entry"`
	}](ctx, c.asking(""), http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/activity", map[string]string{"type": kind, "text": text}, "")
	if err != nil {
		return 0, err
	}
	return out.Entry, nil
}

// InviteStaff invites somebody as operator, support or depot: they set their password by "forgot password", then a second step.
func (c *Client) InviteStaff(ctx context.Context, contact, role string) (*Staff, error) {
	return call[Staff](ctx, c.asking(""), http.MethodPost, "/v1/staff", map[string]string{"contact": contact, "role": role}, "")
}

// Staff lists who works for the service.
func (c *Client) Staff(ctx context.Context) ([]Staff, error) {
	out, err := call[struct {
		Staff []Staff `json:"staff"`
	}](ctx, c, http.MethodGet, "/v1/staff", nil, "")
	if err != nil {
		return nil, err
	}
	return out.Staff, nil
}

// RemoveStaff removes somebody; their account is closed.
func (c *Client) RemoveStaff(ctx context.Context, account string) error {
	_, err := call[json.RawMessage](ctx, c, http.MethodDelete, "/v1/staff/"+url.PathEscape(account), nil, "")
	return err
}
