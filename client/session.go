// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Session asks for a signed-in person, with their session beside the API key. The *Problem step_up_needed asks for StepUp before a sensitive
// change, and signed_out says that the session is over.
type Session struct{ c *Client }

// Session makes requests for the person whose session token this is.
func (c *Client) Session(token string) *Session {
	s := c.once()
	s.session = token
	return &Session{s}
}

func (s *Session) step(ctx context.Context, path string, in any) (*Step, error) {
	return call[Step](ctx, s.c, http.MethodPost, "/v1/session/"+path, in, "")
}

func (s *Session) do(ctx context.Context, method, path string, in any) error {
	_, err := call[nothing](ctx, s.c, method, "/v1/session"+path, in, "")
	return err
}

// asker is the body of a request that says at most who asks.
type asker struct {
	ID      string  `json:"id,omitempty"`
	Visitor Visitor `json:"visitor,omitzero"`
}

// Account is the person's account.
func (s *Session) Account(ctx context.Context) (*Account, error) {
	return call[Account](ctx, s.c, http.MethodGet, "/v1/session", nil, "")
}

// StepUp begins a proof that it is still the same person. Its end gives the session a new token.
func (s *Session) StepUp(ctx context.Context, v Visitor) (*Step, error) {
	return s.step(ctx, "step-up", asker{Visitor: v})
}

// Answer judges what the person gave to a step of a flow that began with a session.
func (s *Session) Answer(ctx context.Context, req FlowRequest) (*Step, error) {
	return s.c.Flow(ctx, "answer", req)
}

// SignOut ends a session: this one (id empty), another one by its id, or all others ("others").
func (s *Session) SignOut(ctx context.Context, id string, v Visitor) error {
	return s.do(ctx, http.MethodPost, "/sign-out", asker{id, v})
}

// Activity lists the person's activity, the latest first; before is that of the page before, 0 for the first.
func (s *Session) Activity(ctx context.Context, before uint32) (*Activity, error) {
	return call[Activity](ctx, s.c, http.MethodGet, fmt.Sprintf("/v1/session/activity%s", from(before)), nil, "")
}

func from(before uint32) string {
	if before == 0 {
		return ""
	}
	return fmt.Sprintf("?before=%d", before)
}

// NotMe says that an entry wasn't this person. Everything else is signed out.
func (s *Session) NotMe(ctx context.Context, entry uint32, v Visitor) error {
	return s.do(ctx, http.MethodPost, fmt.Sprintf("/activity/%d/not-me", entry), asker{Visitor: v})
}

// method is the body that begins a method.
type method struct {
	Name    string  `json:"name,omitempty"`
	Contact string  `json:"contact_id,omitempty"`
	TurnOn  bool    `json:"turn_on,omitempty"`
	Visitor Visitor `json:"visitor,omitzero"`
}

// AddApp begins to add an authenticator app; turnOn turns two-step verification on with it.
func (s *Session) AddApp(ctx context.Context, name string, turnOn bool, v Visitor) (*Step, error) {
	return s.step(ctx, "methods/app", method{Name: name, TurnOn: turnOn, Visitor: v})
}

// AddPasskey begins to add a passkey or security key; turnOn as for AddApp.
func (s *Session) AddPasskey(ctx context.Context, name string, turnOn bool, v Visitor) (*Step, error) {
	return s.step(ctx, "methods/passkey", method{Name: name, TurnOn: turnOn, Visitor: v})
}

// AddCodes begins to take codes at one of the account's contacts as a second step, and turns two-step verification on.
func (s *Session) AddCodes(ctx context.Context, contact string, v Visitor) (*Step, error) {
	return s.step(ctx, "methods/codes", method{Contact: contact, Visitor: v})
}

// Rename names a method, a contact or a device.
func (s *Session) Rename(ctx context.Context, id, name string) error {
	return s.do(ctx, http.MethodPatch, "/methods/"+url.PathEscape(id), map[string]string{"name": name})
}

// SetDefault makes a way the one that is asked for first.
func (s *Session) SetDefault(ctx context.Context, way string) error {
	return s.do(ctx, http.MethodPatch, "/methods/"+url.PathEscape(way), map[string]bool{"default": true})
}

// Remove takes a method or a contact away.
func (s *Session) Remove(ctx context.Context, id string, v Visitor) error {
	return s.do(ctx, http.MethodDelete, "/methods/"+url.PathEscape(id), asker{Visitor: v})
}

// StopCodes makes a contact take no more codes as a second step.
func (s *Session) StopCodes(ctx context.Context, id string, v Visitor) error {
	return s.do(ctx, http.MethodPost, "/methods/"+url.PathEscape(id)+"/stop", asker{Visitor: v})
}

// TurnOff turns two-step verification off. Behind a short password it is refused: password_stands_alone.
func (s *Session) TurnOff(ctx context.Context, v Visitor) error {
	return s.do(ctx, http.MethodPost, "/two-step/off", asker{Visitor: v})
}

// NewRecoveryCodes replaces the recovery codes and returns the new ones, this once.
func (s *Session) NewRecoveryCodes(ctx context.Context, v Visitor) ([]string, error) {
	out, err := call[struct {
		Codes []string `json:"recovery_codes"`
	}](ctx, s.c, http.MethodPost, "/v1/session/recovery-codes", asker{Visitor: v}, "")
	if err != nil {
		return nil, err
	}
	return out.Codes, nil
}

// ChangePassword sets a new password. The other sessions end.
func (s *Session) ChangePassword(ctx context.Context, password string, v Visitor) error {
	return s.do(ctx, http.MethodPost, "/password", FlowRequest{Password: password, Visitor: v})
}

// AddContact begins to add a contact; replaces is the id of the one whose place it takes, empty for none. Nothing is sent yet.
func (s *Session) AddContact(ctx context.Context, contact, replaces string, v Visitor) (*Step, error) {
	return s.step(ctx, "contacts", struct {
		Contact  string  `json:"contact"`
		Replaces string  `json:"replaces,omitempty"`
		Visitor  Visitor `json:"visitor,omitzero"`
	}{contact, replaces, v})
}

// ConfirmContact begins the proof that a contact is still theirs. Nothing is sent yet.
func (s *Session) ConfirmContact(ctx context.Context, id string, v Visitor) (*Step, error) {
	return s.step(ctx, "contacts/"+url.PathEscape(id)+"/confirm", asker{Visitor: v})
}

// ForgetDevice makes a device unknown and ends its sessions; "all": every device but this one.
func (s *Session) ForgetDevice(ctx context.Context, id string, v Visitor) error {
	return s.do(ctx, http.MethodDelete, "/devices/"+url.PathEscape(id), asker{Visitor: v})
}

// StopRecovery stops a recovery of the account.
func (s *Session) StopRecovery(ctx context.Context, v Visitor) error {
	return s.do(ctx, http.MethodPost, "/recovery/stop", asker{Visitor: v})
}

// SetLocale chooses the language of messages and pages.
func (s *Session) SetLocale(ctx context.Context, locale string) error {
	return s.do(ctx, http.MethodPatch, "", map[string]string{"locale": locale})
}

// Export is everything that is kept of the person, as JSON.
func (s *Session) Export(ctx context.Context) (json.RawMessage, error) {
	return rawOf(call[json.RawMessage](ctx, s.c, http.MethodGet, "/v1/session/export", nil, ""))
}

// Close closes the account. It can be undone for 72 hours.
func (s *Session) Close(ctx context.Context, v Visitor) error {
	return s.do(ctx, http.MethodPost, "/close", asker{Visitor: v})
}
