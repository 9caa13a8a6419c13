// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"fmt"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// Status is where a verification stands. The numbers are stored.
type Status uint8

// The statuses: pending, then exactly one of the others.
const (
	Pending            Status = iota + 1
	Approved                  // the right code was given, once
	Canceled                  // by the application, the person, or a changed transaction
	Expired                   // the time ran out
	MaxAttemptsReached        // too many wrong tries
	Failed                    // it ended without any message handed to a provider
)

var statusNames = [...]string{"", "pending", "approved", "canceled", "expired", "max_attempts_reached", "failed"}

// String is the status as the API says it.
func (s Status) String() string { return statusNames[s] }

// Reason says why a verification was canceled. The numbers are stored.
type Reason uint8

// The reasons.
const (
	ReasonNone               Reason = iota
	ReasonByApplication             // the application asked
	ReasonTransactionChanged        // a check named another amount or payee
	ReasonDisowned                  // the contact's owner answered that they had not asked for it
)

var reasonNames = [...]string{"", "by_application", "transaction_changed", "disowned"}

// String is the reason as the API says it; empty for none.
func (r Reason) String() string { return reasonNames[r] }

// MessageStatus is where one message stands. The numbers are stored.
type MessageStatus uint8

// The message statuses.
const (
	Queued      MessageStatus = iota + 1
	Sent                      // a provider has taken it
	Delivered                 // the provider says that it arrived
	Undelivered               // the provider says that it will not arrive
	MessageFail               // no provider took it
	MessageVoid               // the verification ended before it was sent
)

var messageNames = [...]string{"", "queued", "sent", "delivered", "undelivered", "failed", "canceled"}

// String is the status as the API says it.
func (s MessageStatus) String() string { return messageNames[s] }

// Record is a verification as it is stored: one row with its messages and the times of its
// events. Times are Unix milliseconds, 0 for never. What may be personal is sealed.
type Record struct {
	ContactID   ledger.ID `cbor:"1,keyasint"`            // the contact's row: its budgets are shared by all its verifications
	Status      Status    `cbor:"2,keyasint"`            //
	Purpose     uint8     `cbor:"3,keyasint"`            // index into service.Purposes, from 1
	CreatedAt   int64     `cbor:"4,keyasint"`            //
	UpdatedAt   int64     `cbor:"5,keyasint"`            // no later decision is made at an earlier time
	ExpiresAt   int64     `cbor:"6,keyasint"`            // of the current generation
	EndedAt     int64     `cbor:"7,keyasint,omitempty"`  //
	Reason      Reason    `cbor:"8,keyasint,omitempty"`  //
	Renewed     []int64   `cbor:"9,keyasint,omitempty"`  // when generations 2, 3, ... began
	MaxTries    uint8     `cbor:"10,keyasint"`           // the policy's, frozen when it began
	MaxSends    uint8     `cbor:"11,keyasint"`           // likewise
	Wrong       []byte    `cbor:"12,keyasint,omitempty"` // how each wrong try was wrong (otp.Wrong), never the digits
	NextSendAt  int64     `cbor:"13,keyasint,omitempty"` //
	Contact     []byte    `cbor:"14,keyasint"`           // sealed
	Binding     []byte    `cbor:"15,keyasint,omitempty"` // MAC of amount and payee
	Details     []byte    `cbor:"16,keyasint,omitempty"` // amount and payee, sealed
	SuppliedMAC []byte    `cbor:"17,keyasint,omitempty"` // of a code that the application supplied
	Supplied    []byte    `cbor:"18,keyasint,omitempty"` // that code, sealed; erased when the verification ends
	Context     []byte    `cbor:"19,keyasint,omitempty"` // of the request, sealed
	Account     ledger.ID `cbor:"20,keyasint,omitzero"`  // zero: none
	Decoy       bool      `cbor:"21,keyasint,omitempty"` // looks and waits like any other, sends nothing, is never approved
	Locale      string    `cbor:"22,keyasint,omitempty"` //
	Messages    []Message `cbor:"23,keyasint,omitempty"` //
	CodeLength  uint8     `cbor:"24,keyasint,omitempty"` // of a supplied code; a derived one's is in the id
	Unclear     []byte    `cbor:"25,keyasint,omitempty"` // what was typed that couldn't be the code (otp.TypedKind), the latest last
	TriedAt     int64     `cbor:"26,keyasint,omitempty"` // the latest try, also one that couldn't be the code
	Clear       bool      `cbor:"27,keyasint,omitempty"` // it was one of Wrong, not of Unclear
}

// Message is one send of the code.
type Message struct {
	Channel    uint8         `cbor:"1,keyasint"` // index into service.Channels, from 1
	Generation uint8         `cbor:"2,keyasint"`
	Status     MessageStatus `cbor:"3,keyasint"`
	QueuedAt   int64         `cbor:"4,keyasint"`
	WakeAt     int64         `cbor:"5,keyasint,omitempty"` // queued: when somebody must look at it again
	Passes     uint8         `cbor:"6,keyasint,omitempty"` // over all providers
	SentAt     int64         `cbor:"7,keyasint,omitempty"`
	ReceiptAt  int64         `cbor:"8,keyasint,omitempty"` // when the provider said what became of it
	Attempts   []Attempt     `cbor:"9,keyasint,omitempty"`
	Receipts   bool          `cbor:"10,keyasint,omitempty"` // the provider will say what becomes of it
}

// Attempt is one try to hand a message to one provider.
type Attempt struct {
	Provider  string          `cbor:"1,keyasint,omitempty"`
	Reference string          `cbor:"2,keyasint,omitempty"`
	Network   string          `cbor:"3,keyasint,omitempty"`
	Code      string          `cbor:"4,keyasint,omitempty"`
	StartedAt int64           `cbor:"5,keyasint"`
	Millis    uint32          `cbor:"6,keyasint,omitempty"` // how long it took
	Outcome   message.Outcome `cbor:"7,keyasint"`
}

// maxAttempts of one message are kept; of more, the latest.
const maxAttempts = 8

// DecodeRow is the ledger's Decode for the rows of this package.
func DecodeRow(kind ledger.Kind, record []byte) (ledger.Value, error) {
	var v ledger.Value
	switch kind {
	case ledger.KindVerification:
		v = new(Record)
	case ledger.KindContact:
		v = new(Contact)
	case ledger.KindReply:
		v = new(Reply)
	default:
		return nil, fmt.Errorf("rows of kind %d belong to somebody else", kind)
	}
	if err := ledger.Unpack(record, v); err != nil {
		return nil, fmt.Errorf("decode a row of kind %d: %w", kind, err)
	}
	return v, nil
}

// AppendRecord implements ledger.Value.
func (r *Record) AppendRecord(dst []byte) []byte { return ledger.Pack(dst, r) }

// Copy implements ledger.Value. Byte strings are replaced and never written to, so they are shared.
func (r *Record) Copy() ledger.Value {
	c := *r
	c.Renewed = slices.Clone(r.Renewed)
	c.Wrong, c.Unclear = slices.Clone(r.Wrong), slices.Clone(r.Unclear)
	c.Messages = slices.Clone(r.Messages)
	for i := range c.Messages {
		c.Messages[i].Attempts = slices.Clone(c.Messages[i].Attempts)
	}
	return &c
}

// Owner implements ledger.Value.
func (r *Record) Owner() ledger.ID { return r.ContactID }

// WakeAt implements ledger.Value: the earliest of a queued message's lease and the expiry.
func (r *Record) WakeAt() int64 {
	if r.Status != Pending {
		return 0
	}
	at := r.ExpiresAt
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Status == Queued && m.WakeAt < at {
			at = m.WakeAt
		}
	}
	return at
}

func (r *Record) generation() uint8 { return uint8(1 + len(r.Renewed)) }

func (r *Record) purpose() service.Purpose { return service.Purposes()[r.Purpose-1] }

func (r *Record) codeLength(id ledger.ID) int {
	if r.CodeLength != 0 {
		return int(r.CodeLength)
	}
	return digitsOf(id)
}

func (r *Record) handed() bool {
	return slices.ContainsFunc(r.Messages, func(m Message) bool { return m.SentAt > 0 })
}

func (r *Record) triesLeft() int { return max(0, int(r.MaxTries)-len(r.Wrong)) }

func (r *Record) sendsLeft() int { return max(0, int(r.MaxSends)-len(r.Messages)) }

// clock is the time of a decision about this row: never before an earlier decision.
func (r *Record) clock(now time.Time) int64 { return max(now.UnixMilli(), r.UpdatedAt) }

// end moves a pending verification to its last status and erases what was only needed until then.
func (r *Record) end(s Status, at int64) {
	r.Status, r.EndedAt, r.UpdatedAt = s, at, at
	r.Supplied = nil
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Status == Queued {
			m.Status, m.WakeAt = MessageVoid, 0
		}
	}
}

// overdue ends a pending verification whose time has run out, and tells whether it did.
func (r *Record) overdue(at int64) bool {
	if r.Status != Pending || at < r.ExpiresAt {
		return false
	}
	if r.handed() {
		r.end(Expired, at)
	} else {
		r.end(Failed, at)
	}
	return true
}

// Reply is what was answered under an idempotency key.
type Reply struct {
	At      int64    `cbor:"1,keyasint"` // Unix milliseconds
	BodyMAC [16]byte `cbor:"2,keyasint"`
	Answer  []byte   `cbor:"3,keyasint"` // sealed
}

// replyLife is how long a reply is given again.
const replyLife = 24 * time.Hour

// AppendRecord implements ledger.Value.
func (r *Reply) AppendRecord(dst []byte) []byte { return ledger.Pack(dst, r) }

// Copy implements ledger.Value.
func (r *Reply) Copy() ledger.Value { c := *r; return &c }

// Owner implements ledger.Value.
func (r *Reply) Owner() ledger.ID { return ledger.ID{} }

// WakeAt implements ledger.Value.
func (r *Reply) WakeAt() int64 { return 0 }

// Stale tells whether a row can be removed: nothing that anybody may still ask depends on it. Ended verifications
// are kept for keep.
func Stale(v ledger.Value, now time.Time, keep time.Duration) bool {
	switch r := v.(type) {
	case *Reply:
		return now.UnixMilli() > r.At+replyLife.Milliseconds()
	case *Contact:
		// A row that has had its device tokens made void must stay, or they would work again.
		return r.Epoch == 0 && !slices.ContainsFunc(r.Blocks, func(b Block) bool { return b.Until >= now.UnixMilli() }) && now.UnixMilli() > r.UpdatedAt+2*day*1000
	case *Record:
		return r.Status != Pending && now.UnixMilli() > r.EndedAt+keep.Milliseconds()
	}
	return false
}
