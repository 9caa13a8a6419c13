// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net/http"
	"time"
)

// Call is a call that was announced before somebody dials, as one side sees it.
type Call struct {
	ID      string      `json:"id"`
	State   string      `json:"state"` // none, open, expired, ended, refused
	Prove   bool        `json:"prove"` // the person has to step up before more of it is told
	Caller  string      `json:"caller"`
	Reason  string      `json:"reason"`
	Phrase  string      `json:"phrase"` // three words that the caller has to say first
	At      time.Time   `json:"at"`
	Until   time.Time   `json:"until"`
	EndedAt time.Time   `json:"ended_at"`
	Shown   []CallShown `json:"shown"` // more than one is a warning: show it
}

// CallShown is a device on which the words of a call were shown.
type CallShown struct {
	Device  string    `json:"device"`
	Place   string    `json:"place"`
	At      time.Time `json:"at"`
	Current bool      `json:"current"` // the one that asks
}

// Announce opens a call to an account's owner for three minutes, and returns the words that the caller has to say first.
func (c *Client) Announce(ctx context.Context, account, caller, reason string) (*Call, error) {
	return call[Call](ctx, c.once(), http.MethodPost, accountPath(account, "/call"), map[string]string{"caller": caller, "reason": reason}, "")
}

// AnnouncedCall is the call that was announced: whether its words were shown, and for an hour how it ended.
func (c *Client) AnnouncedCall(ctx context.Context, account string) (*Call, error) {
	return call[Call](ctx, c, http.MethodGet, accountPath(account, "/call"), nil, "")
}

// EndCall ends the call that was announced.
func (c *Client) EndCall(ctx context.Context, account string) error {
	_, err := call[nothing](ctx, c, http.MethodDelete, accountPath(account, "/call"), nil, "")
	return err
}

// Call tells whether somebody from the service calls the person now.
func (s *Session) Call(ctx context.Context, v Visitor) (*Call, error) {
	return call[Call](ctx, s.c, http.MethodPost, "/v1/session/call", asker{Visitor: v}, "")
}

// RefuseCall says that the call that the person was shown isn't right: it ends, and who announced it sees that.
func (s *Session) RefuseCall(ctx context.Context, id string, v Visitor) error {
	return s.do(ctx, http.MethodDelete, "/call", asker{id, v})
}
