// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Account is an account, contacts masked but for its owner.
type Account struct {
	ID             string    `json:"id"`
	Reference      string    `json:"reference"` // the application's own id
	State          string    `json:"state"`     // open or locked
	Role           string    `json:"role"`      // customer, operator, support or depot
	CreatedAt      time.Time `json:"created_at"`
	Locale         string    `json:"locale"`
	TwoStep        bool      `json:"two_step"`
	MustTurnOn     bool      `json:"must_turn_on"` // a second step is asked for, and there is none
	PasswordSet    bool      `json:"password_set"`
	PasswordAlone  bool      `json:"password_stands_alone"`
	Contacts       []Contact `json:"contacts"`
	Apps           []Thing   `json:"apps"`
	Passkeys       []Thing   `json:"passkeys"`
	RecoveryLeft   int       `json:"recovery_codes_left"`
	Ways           []Way     `json:"ways"` // second steps, the default first
	Devices        []Device  `json:"devices"`
	Sessions       []Place   `json:"sessions"`
	Undos          []Change  `json:"undos"`
	Recovery       *Recovery `json:"recovery"`
	FrozenUntil    time.Time `json:"changes_frozen_until"`
	SteppedUpUntil time.Time `json:"stepped_up_until"`
}

// Contact is a contact of an account.
type Contact struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind"`  // phone or email
	Value       string    `json:"value"` // for its owner only
	Masked      string    `json:"masked"`
	Name        string    `json:"name"`
	Proven      bool      `json:"proven"`
	ConfirmedAt time.Time `json:"confirmed_at"`
	Bounced     bool      `json:"bounced"`
	Codes       bool      `json:"codes"` // it takes codes as a second step
	CanCode     bool      `json:"can_take_codes"`
}

// Thing is an authenticator app or a passkey.
type Thing struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	AddedAt time.Time `json:"added_at"`
	UsedAt  time.Time `json:"used_at"`
}

// Device is a browser or app that has signed in.
type Device struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Device       string    `json:"device"` // in words
	Place        string    `json:"place"`
	AddedAt      time.Time `json:"added_at"`
	SeenAt       time.Time `json:"seen_at"`
	TrustedUntil time.Time `json:"trusted_until"`
	Current      bool      `json:"current"`
}

// Place is a place where somebody is signed in.
type Place struct {
	ID      string    `json:"id"`
	Device  string    `json:"device"`
	Place   string    `json:"place"`
	Since   time.Time `json:"since"`
	SeenAt  time.Time `json:"seen_at"`
	Current bool      `json:"current"`
}

// Recovery is a recovery under way.
type Recovery struct {
	StartedAt    time.Time `json:"started_at"`
	ReadyAt      time.Time `json:"ready_at"`
	AgentsDecide bool      `json:"agents_decide"`
	Approvals    int       `json:"approvals"`
}

// Activity is a page of an account's activity, the latest first.
type Activity struct {
	Entries []Entry `json:"entries"`
	Before  uint32  `json:"before"` // for older ones; 0: there are none
}

// Entry is one line of an account's activity.
type Entry struct {
	ID       uint32    `json:"id"`
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"`
	Type     string    `json:"type"` // of an application's event; of a call: who announced it, or ended it
	What     string    `json:"what"`
	Device   string    `json:"device"`
	Place    string    `json:"place"`
	IP       string    `json:"ip"` // for its owner only
	NotMe    bool      `json:"not_me"`
	CanNotMe bool      `json:"can_be_marked"`
}

// NewAccount is an account that the application brings along: contacts that it has proven, and the hash of the password.
type NewAccount struct {
	Contacts      []string `json:"contacts"`
	DefaultRegion string   `json:"default_region,omitempty"` // of numbers without a country
	PasswordHash  string   `json:"password_hash,omitempty"`
	Locale        string   `json:"locale,omitempty"`
	Reference     string   `json:"reference,omitempty"`
}

// AppEvent is what an application tells of an account.
type AppEvent struct {
	Type   string `json:"type"` // order, payment, address, ...
	Text   string `json:"text"` // for the person, at most 200 characters
	IP     string `json:"ip,omitempty"`
	Device string `json:"device,omitempty"` // in words
	Place  string `json:"place,omitempty"`  // in words; empty: found by IP
}

// Staff is somebody who works for the service.
type Staff struct {
	Account string    `json:"account"`
	Role    string    `json:"role"`
	Since   time.Time `json:"since"`
	Contact string    `json:"contact"` // masked
	TwoStep bool      `json:"two_step"`
}

// CreateAccount brings an account along. A contact that an account has is refused with contact_taken.
func (c *Client) CreateAccount(ctx context.Context, n NewAccount) (*Account, error) {
	return call[Account](ctx, c.once(), http.MethodPost, "/v1/accounts", n, "")
}

// Account reads an account.
func (c *Client) Account(ctx context.Context, id string) (*Account, error) {
	return call[Account](ctx, c, http.MethodGet, accountPath(id, ""), nil, "")
}

func accountPath(id, more string) string { return "/v1/accounts/" + url.PathEscape(id) + more }

// FindAccount is the account that signs in with exactly this contact. Its owner sees that the application looked.
func (c *Client) FindAccount(ctx context.Context, contact string) (*Account, error) {
	return call[Account](ctx, c.once(), http.MethodPost, "/v1/accounts/find", map[string]string{"contact": contact}, "")
}

// LockAccount ends all sessions of an account and lets nobody in.
func (c *Client) LockAccount(ctx context.Context, id string) error {
	return c.onAccount(ctx, id, "/lock")
}

// UnlockAccount takes that back.
func (c *Client) UnlockAccount(ctx context.Context, id string) error {
	return c.onAccount(ctx, id, "/unlock")
}

// SignOutAccount ends all sessions of an account and the trust in its devices.
func (c *Client) SignOutAccount(ctx context.Context, id string) error {
	return c.onAccount(ctx, id, "/sign-out")
}

// CloseAccount closes an account and forgets it at once.
func (c *Client) CloseAccount(ctx context.Context, id string) error {
	return c.onAccount(ctx, id, "/close")
}

func (c *Client) onAccount(ctx context.Context, id, what string) error {
	_, err := call[nothing](ctx, c, http.MethodPost, accountPath(id, what), nil, "")
	return err
}

// AddActivity adds an event of the application to an account's activity and returns its entry. When its owner says that it wasn't they,
// the event account.not_me carries the entry.
func (c *Client) AddActivity(ctx context.Context, id string, e AppEvent) (uint32, error) {
	out, err := call[struct {
		Entry uint32 `json:"entry"`
	}](ctx, c.once(), http.MethodPost, accountPath(id, "/activity"), e, "")
	if err != nil {
		return 0, err
	}
	return out.Entry, nil
}

// AccountActivity lists an account's activity, the latest first; before is that of the page before, 0 for the first.
func (c *Client) AccountActivity(ctx context.Context, id string, before uint32) (*Activity, error) {
	return call[Activity](ctx, c, http.MethodGet, accountPath(id, "/activity"+from(before)), nil, "")
}

// InviteStaff invites somebody as operator, support or depot: they set their password by "forgot password", then a second step.
func (c *Client) InviteStaff(ctx context.Context, contact, role string) (*Staff, error) {
	return call[Staff](ctx, c.once(), http.MethodPost, "/v1/staff", map[string]string{"contact": contact, "role": role}, "")
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
	_, err := call[nothing](ctx, c, http.MethodDelete, "/v1/staff/"+url.PathEscape(account), nil, "")
	return err
}
