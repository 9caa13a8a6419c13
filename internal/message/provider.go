// SPDX-License-Identifier: Apache-2.0

package message

import (
	"context"
	"fmt"
	"time"
)

// Sent is what a provider says when it has taken a message.
type Sent struct {
	Reference string // the provider's id of it; empty if it has none
	Network   string // the recipient's network, where told
	Named     bool   // later words on the message will name our own Ref, so that Reference needn't be remembered
}

// Provider hands messages to the world. Its methods may be called concurrently.
type Provider interface {
	// Name is the configured name, by which attempts and receipts are known.
	Name() string
	// Receipts tells whether the provider will report delivery.
	Receipts() bool
	// Send hands the message over or returns a *SendError; any other error counts as TryLater. It
	// returns soon after ctx is done. Errors hold no code and no contact.
	Send(ctx context.Context, o *Outgoing, t *Text) (Sent, error)
}

// SendError is why a provider did not take a message.
type SendError struct {
	Outcome Outcome
	Code    string        // the provider's own error code, at most 32 bytes
	RetryIn time.Duration // when the provider said so
	Err     error         // for logs
}

// Error implements error.
func (e *SendError) Error() string {
	return fmt.Sprintf("not sent: outcome %d, provider's code %q: %v", e.Outcome, e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }
