// SPDX-License-Identifier: Apache-2.0

// Package client speaks Countersign's JSON API.
//
//	c := client.New("https://verify.acme.example", os.Getenv("COUNTERSIGN_API_KEY"))
//	v, err := c.Begin(ctx, client.BeginRequest{To: "+14155550121", Purpose: "sign_in"})
//	...
//	got, err := c.Check(ctx, v.ID, client.CheckRequest{Code: typed})
//	if err == nil && got.Approved { /* let them in */ }
//
// A request that the server could not carry out now (503), or whose answer was lost, is asked again with the same
// idempotency key, so that it happens once.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client calls one server with one API key. It may be used concurrently.
type Client struct {
	session string // of the person for whom it asks; empty: none
	base    string
	key     string
	// HTTP is used for every request; nil: http.DefaultClient.
	HTTP *http.Client
	// Tries is how often a request is made before its error is returned; 0: three times.
	Tries int
}

// New returns a client of the server at base (scheme and host) with an API key.
func New(base, key string) *Client { return &Client{base: strings.TrimRight(base, "/"), key: key} }

// Transaction is what a code is bound to.
type Transaction struct {
	Amount string `json:"amount"`
	Payee  string `json:"payee"`
}

// Caller is who asks, as the application sees them; budgets are counted by it.
type Caller struct {
	IP          string `json:"ip,omitempty"`
	Device      string `json:"device,omitempty"`
	Session     string `json:"session,omitempty"`
	DeviceToken string `json:"device_token,omitempty"`
}

// BeginRequest begins a verification. To and Purpose are needed.
type BeginRequest struct {
	To             string       `json:"to"`
	Purpose        string       `json:"purpose"`
	Channel        string       `json:"channel,omitempty"`
	Transaction    *Transaction `json:"transaction,omitempty"`
	Code           string       `json:"code,omitempty"`
	Locale         string       `json:"locale,omitempty"`
	Caller         *Caller      `json:"caller,omitempty"`
	IdempotencyKey string       `json:"-"` // empty: one of the client's own, for its repeats
}

// Verification is where a verification stands.
type Verification struct {
	ID         string    `json:"id"`
	Status     string    `json:"status"`
	Reason     string    `json:"reason"` // of a canceled one
	Purpose    string    `json:"purpose"`
	Channel    string    `json:"channel"`
	To         string    `json:"to"` // masked
	Generation int       `json:"generation"`
	CodeLength int       `json:"code_length"`
	ExpiresAt  time.Time `json:"expires_at"`
	TriesLeft  int       `json:"tries_left"`
	SendsLeft  int       `json:"sends_left"`
	NextSendAt time.Time `json:"next_send_at"`
	FlowSecret string    `json:"flow_secret"` // only from Begin
	Messages   []struct {
		Channel string `json:"channel"`
		Status  string `json:"status"`
	} `json:"messages"`
}

// CheckRequest is one try.
type CheckRequest struct {
	Code           string       `json:"code"`
	Transaction    *Transaction `json:"transaction,omitempty"`
	Caller         *Caller      `json:"caller,omitempty"`
	IdempotencyKey string       `json:"-"`
}

// CheckContactRequest is one try at the latest pending verification of a contact.
type CheckContactRequest struct {
	To             string       `json:"to"`
	Code           string       `json:"code"`
	DefaultRegion  string       `json:"default_region,omitempty"` // of a number without a country
	Transaction    *Transaction `json:"transaction,omitempty"`
	Caller         *Caller      `json:"caller,omitempty"`
	IdempotencyKey string       `json:"-"`
}

// Checked is what became of a try. Approved is true once.
type Checked struct {
	Result       string       `json:"result"`
	Approved     bool         `json:"approved"`
	Message      string       `json:"message"`
	Why          string       `json:"why"`
	DeviceToken  string       `json:"device_token"`
	Verification Verification `json:"verification"`
}

// Event is one entry of the activity log.
type Event struct {
	Seq          int64     `json:"seq"`
	Type         string    `json:"type"`
	At           time.Time `json:"at"`
	Verification string    `json:"verification"`
	Account      string    `json:"account"` // of account.*
	Entry        uint32    `json:"entry"`   // of the account's activity; of account.not_me: the one that was marked
	Subject      string    `json:"subject"` // of what isn't about a verification or an account: the case, report, hand-over or courier
	Attempt      int       `json:"attempt"` // of handover.*, like the rest
	Reason       string    `json:"reason"`
	Means        string    `json:"means"`
	Certainty    string    `json:"certainty"`
}

// Problem is the server's refusal (RFC 9457). Compare Code.
type Problem struct {
	Status     int    `json:"status"`
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Field      string `json:"field"`
	RetryAfter int    `json:"retry_after"` // seconds; 0: unknown
}

// Error implements error.
func (p *Problem) Error() string { return fmt.Sprintf("%s (%s, %d)", p.Detail, p.Code, p.Status) }

// Begin sends a code. Its error is a *Problem if the server answered.
func (c *Client) Begin(ctx context.Context, req BeginRequest) (*Verification, error) {
	return call[Verification](ctx, c, http.MethodPost, "/v1/verifications", req, req.IdempotencyKey)
}

// Check judges what the person typed.
func (c *Client) Check(ctx context.Context, id string, req CheckRequest) (*Checked, error) {
	return call[Checked](ctx, c, http.MethodPost, "/v1/verifications/"+url.PathEscape(id)+"/checks", req, req.IdempotencyKey)
}

// CheckContact judges a code of which only the contact is known, not the verification: the latest pending one is meant.
func (c *Client) CheckContact(ctx context.Context, req CheckContactRequest) (*Checked, error) {
	return call[Checked](ctx, c, http.MethodPost, "/v1/checks", req, req.IdempotencyKey)
}

// Resend sends the code again; an empty channel is the same as before.
func (c *Client) Resend(ctx context.Context, id, channel string) (*Verification, error) {
	body := struct {
		Channel string `json:"channel,omitempty"`
	}{channel}
	return call[Verification](ctx, c, http.MethodPost, "/v1/verifications/"+url.PathEscape(id)+"/messages", body, "")
}

// Cancel ends a verification.
func (c *Client) Cancel(ctx context.Context, id string) (*Verification, error) {
	return call[Verification](ctx, c, http.MethodPost, "/v1/verifications/"+url.PathEscape(id)+"/cancel", nil, "")
}

// Status tells where a verification stands. Approved there grants nothing.
func (c *Client) Status(ctx context.Context, id string) (*Verification, error) {
	return call[Verification](ctx, c, http.MethodGet, "/v1/verifications/"+url.PathEscape(id), nil, "")
}

// Events reads the feed after a cursor, waiting up to wait for the first new entry, and returns the next cursor.
func (c *Client) Events(ctx context.Context, after int64, wait time.Duration) ([]Event, int64, error) {
	path := fmt.Sprintf("/v1/events?after=%d&wait=%d", after, int(wait/time.Second))
	page, err := call[struct {
		Events []Event `json:"events"`
		Next   int64   `json:"next"`
	}](ctx, c, http.MethodGet, path, nil, "")
	if err != nil {
		return nil, after, err
	}
	return page.Events, page.Next, nil
}

// maxReply bounds what is read of a reply, in bytes.
const maxReply = 4 << 20

// jsonType is the type of what nearly every request carries.
const jsonType = "application/json"

func call[Out any](ctx context.Context, c *Client, method, path string, in any, key string) (*Out, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	return send[Out](ctx, c, method, path, jsonType, body, key)
}

// send makes a request, again when that is right.
func send[Out any](ctx context.Context, c *Client, method, path, kind string, body []byte, key string) (*Out, error) {
	if key == "" && method == http.MethodPost {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, err
		}
		key = hex.EncodeToString(b[:])
	}
	tries := c.Tries
	if tries == 0 {
		tries = 3
	}
	for try := 1; ; try++ {
		out, pause, err := once[Out](ctx, c, method, path, kind, body, key)
		if err == nil || pause == 0 || try >= tries {
			return out, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(err, ctx.Err())
		}
	}
}

// once makes a request; a pause means that asking again is right.
func once[Out any](ctx context.Context, c *Client, method, path, kind string, body []byte, key string) (*Out, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if c.session != "" {
		req.Header.Set("Countersign-Session", c.session)
	}
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	const again = 300 * time.Millisecond
	res, err := h.Do(req)
	if err != nil {
		return nil, again, err
	}
	defer func() { _ = res.Body.Close() }()
	reply, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return nil, again, err
	}
	if res.StatusCode >= 300 {
		p := &Problem{Status: res.StatusCode, Detail: http.StatusText(res.StatusCode)}
		_ = json.Unmarshal(reply, p) // an answer of something in between has no problem document
		pause := time.Duration(0)
		if res.StatusCode == http.StatusServiceUnavailable {
			pause = again
			if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
				pause = time.Duration(min(max(s, 0), 10)) * time.Second
			}
		}
		return nil, pause, p
	}
	out := new(Out)
	if res.StatusCode == http.StatusNoContent {
		return out, 0, nil
	}
	return out, 0, json.Unmarshal(reply, out)
}
