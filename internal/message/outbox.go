// SPDX-License-Identifier: Apache-2.0

package message

import (
	"context"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

// Ref names one message: the row that keeps it and its number there, from 0.
type Ref struct {
	Row    ledger.Key
	Number int
}

// Outgoing is a message that has been written down and is to be handed to a provider now. It carries a code, or it is a notice
// and carries none. Code and To can't print themselves.
type Outgoing struct {
	Ref      Ref
	Service  *service.Service
	Channel  service.Channel
	Purpose  service.Purpose
	To       contact.Contact
	Code     otp.Code
	Notice   *Notice   // nil: a message with a code
	Delivery *Delivery // nil: it isn't about a parcel
	Amount   string    // of a transaction, as the person is to read it ("EUR 39.99"); else empty
	Payee    string    // likewise
	Locale   string    // BCP 47; empty: the service's
	Asked    string    // from what device and where it was asked for or done, in words; may be empty
	Passes   int       // how often all providers have been tried before
	QueuedAt time.Time
	Deadline time.Time // before the code's own end; after it the message is not worth sending
	Decoy    bool      // goes the same way and takes the same time, but reaches no provider
}

// Outcome is how one attempt to hand a message to a provider ended. The numbers are stored.
type Outcome uint8

// The outcomes.
const (
	Accepted      Outcome = iota + 1 // the provider has taken it
	TryLater                         // the provider can't now: busy, rate-limited, timed out, unreachable
	TryOther                         // this provider can't carry it; another may
	Unreachable                      // the contact can't be reached: no such number or mailbox
	ContactKind                      // the contact can't take this channel: a landline, say
	Blocked                          // the owner or the network refuses our messages
	Misconfigured                    // our account or configuration at the provider is wrong
	Overdue                          // the deadline passed before anybody took it
	Absent                           // the phone is off or out of reach; of receipts only
)

// Attempt is one try to hand a message to one provider.
type Attempt struct {
	Provider  string // its configured name; empty when none was asked
	Reference string // the provider's id for the message, where it gave one
	Network   string // the recipient's network, where the provider told
	Code      string // the provider's own error code, at most 32 bytes
	StartedAt time.Time
	EndedAt   time.Time
	Outcome   Outcome
}

// Report is what became of one pass over the providers.
type Report struct {
	Ref      Ref
	Attempts []Attempt
	Sent     bool          // a provider has it
	Final    bool          // not sent, and no further pass makes sense
	RetryIn  time.Duration // neither: when to try again
	Receipts bool          // the provider will report delivery, under Attempt.Reference or our own Ref
}

// Outbox keeps messages; the verification engine is one.
type Outbox interface {
	// Report writes down what became of a pass; it returns when that is durable. It may be called
	// twice for the same pass (a node that was thought dead) and then changes nothing.
	Report(ctx context.Context, r Report) error
}

// Receipt is a provider's later word on a message.
type Receipt struct {
	Provider  string
	Reference string    // the provider's id of the message; empty: whichever attempt the provider accepted
	Delivered bool      // it reached the phone or mailbox
	Outcome   Outcome   // when not delivered: why (Unreachable, ContactKind, Blocked, Absent or TryOther)
	Network   string    // where told
	Code      string    // the provider's own code, at most 32 bytes
	At        time.Time // when it happened, by the provider's clock
}
