// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"fmt"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// State is where a hand-over stands. The numbers are stored.
type State uint8

// The states; docs/handover.md draws what leads from one to another.
const (
	Created    State = iota + 1 // known; its code isn't made yet
	Out                         // out for delivery: the code was sent
	Arrived                     // the courier says that they are at the door
	HandedOver                  // it has changed hands
	Attempted                   // an attempt is over without success; another may follow
	Refused                     // the recipient doesn't want it
	Returned                    // it went back
	Expired                     // nobody did anything about it any more
	Canceled                    // by the application
)

var stateNames = [...]string{"", "created", "out_for_delivery", "arrived", "handed_over", "attempted", "refused", "returned", "expired", "canceled"}

// String is the state as the API says it.
func (s State) String() string { return stateNames[s] }

// Final tells whether nothing more can happen.
func (s State) Final() bool { return s == HandedOver || s == Returned || s == Expired || s == Canceled }

// next are the legal changes of state. A refused parcel can still be returned; one whose attempt is over can turn out to have been handed
// over, when the courier's phone has signal again.
var next = map[State][]State{
	Created:   {Out, Refused, Returned, Expired, Canceled},
	Out:       {Out, Arrived, HandedOver, Attempted, Refused, Returned, Canceled},
	Arrived:   {Out, HandedOver, Attempted, Refused, Returned, Canceled},
	Attempted: {Out, HandedOver, Attempted, Refused, Returned, Expired, Canceled},
	Refused:   {Returned, Expired},
}

// Means is by which means a parcel changed hands. The numbers are stored.
type Means uint8

// The means.
const (
	ByCode         Means = iota + 1 // the recipient's code, typed
	ByTicket                        // the QR code of the recipient's page
	ByPass                          // a neighbour's code, typed
	ByPassTicket                    // the QR code of a neighbour's page
	BySecondPerson                  // released by a second person at the depot
	ByIdentity                      // the courier has seen an identity document
	ByPhoto                         // the courier has taken a photograph
)

var meansNames = [...]string{"", "code", "qr", "pass_code", "pass_qr", "second_person", "identity", "photo"}

// String is the means as the API says it; empty for none.
func (m Means) String() string { return meansNames[m] }

// Weak tells whether the means is a weaker proof than a code.
func (m Means) Weak() bool { return m >= BySecondPerson }

// Certainty is how certain it is that the right person has the parcel. The numbers are stored.
type Certainty uint8

// The certainties.
const (
	Confirmed        Certainty = iota + 1 // we judged it at the door
	ConfirmedOffline                      // the courier's phone judged it at the door, and we afterwards
	SettledLater                          // we judged a code afterwards that was typed at the door
	Weaker                                // no code was given
)

var certaintyNames = [...]string{"", "confirmed", "confirmed_offline", "settled_later", "weaker"}

// String is the certainty as the API says it; empty for none.
func (c Certainty) String() string { return certaintyNames[c] }

// Reason says why an attempt ended without success, or why a hand-over is over. The numbers are stored.
type Reason uint8

// The reasons.
const (
	NobodyHome Reason = iota + 1
	NoAccess
	WrongAddress
	OtherReason
	DayOver         // the delivery day ended
	AnotherDay      // the recipient chose another day
	ByRecipient     // they refused it, on their page
	AtDoor          // they refused it at the door
	ByDepot         // by somebody at the depot
	ByApplication   // by the application
	SettledConflict // what was typed without signal was wrong, or used twice
)

var reasonNames = [...]string{
	"", "nobody_home", "no_access", "wrong_address", "other", "day_over", "another_day", "by_recipient", "at_the_door", "by_depot", "by_application", "conflict",
}

// String is the reason as the API says it; empty for none.
func (r Reason) String() string { return reasonNames[r] }

// Record is a hand-over as it is stored. Times are Unix milliseconds, 0 for never. What may be personal is sealed.
type Record struct {
	State      State      `cbor:"1,keyasint"`
	CreatedAt  int64      `cbor:"2,keyasint"`
	UpdatedAt  int64      `cbor:"3,keyasint"`
	EndedAt    int64      `cbor:"4,keyasint,omitempty"`
	From       int64      `cbor:"5,keyasint"`           // of the window of this attempt, or of the next one
	Until      int64      `cbor:"6,keyasint"`           //
	GoodUntil  int64      `cbor:"7,keyasint"`           // the end of the delivery day, and of the code
	Letter     byte       `cbor:"8,keyasint"`           // before the code's digits; how many there are is in the id
	Attempt    uint8      `cbor:"9,keyasint,omitempty"` // from 1; 0: not yet
	Code       uint8      `cbor:"10,keyasint,omitempty"`
	FirstCode  uint8      `cbor:"11,keyasint,omitempty"` // of this attempt: earlier ones belong to earlier attempts
	Courier    ledger.ID  `cbor:"12,keyasint,omitzero"`  // of this attempt
	Mail       bool       `cbor:"13,keyasint,omitempty"` // the recipient is written to by mail, which costs nothing
	ArrivedAt  int64      `cbor:"14,keyasint,omitempty"`
	Unseen     bool       `cbor:"15,keyasint,omitempty"` // the arrival came without a position
	StoppedAt  int64      `cbor:"16,keyasint,omitempty"` // the recipient said that nobody is there
	Wrong      uint8      `cbor:"17,keyasint,omitempty"` // tries of this attempt
	AllWrong   uint8      `cbor:"18,keyasint,omitempty"` // of all
	Judged     []judged   `cbor:"19,keyasint,omitempty"` // what came, so that a repeat gets the same answer
	Passes     []pass     `cbor:"20,keyasint,omitempty"`
	Messages   []Message  `cbor:"21,keyasint,omitempty"`
	Steps      []Step     `cbor:"22,keyasint,omitempty"`
	Means      Means      `cbor:"23,keyasint,omitempty"`
	Certainty  Certainty  `cbor:"24,keyasint,omitempty"`
	HandedAt   int64      `cbor:"25,keyasint,omitempty"` // when it changed hands: offline, before we heard of it
	Pass       uint8      `cbor:"26,keyasint,omitempty"` // whose; 0: the recipient's own code
	Body       []byte     `cbor:"27,keyasint,omitempty"` // sealed
	Where      []byte     `cbor:"28,keyasint,omitempty"` // where it changed hands, sealed
	Sends      uint8      `cbor:"29,keyasint,omitempty"` // of the code, in this attempt
	NextSendAt int64      `cbor:"30,keyasint,omitempty"` //
	Content    [16]byte   `cbor:"31,keyasint"`           // keyed hash of what it was made of, for repeats
	Conflicts  []Conflict `cbor:"32,keyasint,omitempty"` // what came from a phone without signal and doesn't fit
	Digits     uint8      `cbor:"33,keyasint"`           // of codes for signing in, when it was made: never those of its own
	DayUntil   int64      `cbor:"34,keyasint,omitempty"` // the end of the delivery day of this attempt: the window may be the next one's already
	Asked      uint8      `cbor:"35,keyasint,omitempty"` // how often the code was changed in this attempt because somebody asked for it
}

// judged is an act that was judged.
type judged struct {
	Key      actKey `cbor:"1,keyasint"`
	Result   Result `cbor:"2,keyasint"`
	Conflict bool   `cbor:"3,keyasint,omitempty"`
}

type actKey [8]byte

// maxJudged acts of one hand-over are kept; of too many, the oldest that decided nothing give way first. More than these can't be judged as wrong.
const maxJudged = 24

// remember keeps what became of an act, for when it is told again.
func (r *Record) remember(o judged) {
	r.Judged = append(r.Judged, o)
	if len(r.Judged) > maxJudged {
		i := max(0, slices.IndexFunc(r.Judged, func(o judged) bool { return o.Result != Done && o.Result != Handed && o.Result != Wrong }))
		r.Judged = slices.Delete(r.Judged, i, i+1)
	}
}

// pass is what a recipient gives to a neighbour. The name is in the body.
type pass struct {
	At     int64 `cbor:"1,keyasint"`
	GoneAt int64 `cbor:"2,keyasint,omitempty"` // withdrawn
	Code   uint8 `cbor:"3,keyasint"`           // generation in the passes' key space
}

// Step is one entry of a hand-over's history.
type Step struct {
	State   State     `cbor:"1,keyasint"`
	At      int64     `cbor:"2,keyasint"`
	Attempt uint8     `cbor:"3,keyasint,omitempty"`
	Reason  Reason    `cbor:"4,keyasint,omitempty"`
	Courier ledger.ID `cbor:"5,keyasint,omitzero"`
}

const maxSteps = 60

// Conflict is what came from a courier's phone without signal and can't be.
type Conflict struct {
	At      int64     `cbor:"1,keyasint"` // when we heard of it
	SaidAt  int64     `cbor:"2,keyasint"` // when it happened, by the phone's estimate
	Result  Result    `cbor:"3,keyasint"`
	Attempt uint8     `cbor:"4,keyasint"`
	Courier ledger.ID `cbor:"5,keyasint"`
	Settled int64     `cbor:"6,keyasint,omitempty"` // the depot has dealt with it
}

const maxConflicts = 20

// Message is one message about a hand-over.
type Message struct {
	Kind      message.DeliveryKind `cbor:"1,keyasint"`
	Contact   uint8                `cbor:"2,keyasint"` // index into the body's contacts; from formerContact on, into the former ones
	Channel   uint8                `cbor:"3,keyasint"` // index into service.Channels, from 1
	Code      uint8                `cbor:"4,keyasint,omitempty"`
	Status    MessageStatus        `cbor:"5,keyasint"`
	QueuedAt  int64                `cbor:"6,keyasint"`
	WakeAt    int64                `cbor:"7,keyasint,omitempty"`
	Passes    uint8                `cbor:"8,keyasint,omitempty"` // over all providers
	SentAt    int64                `cbor:"9,keyasint,omitempty"`
	ReceiptAt int64                `cbor:"10,keyasint,omitempty"`
	Outcome   message.Outcome      `cbor:"11,keyasint,omitempty"` // of the latest attempt
	Provider  string               `cbor:"12,keyasint,omitempty"`
	Number    uint16               `cbor:"13,keyasint"` // of all messages of this hand-over, from 1
	Pass      uint8                `cbor:"14,keyasint,omitempty"`
}

// formerContact is the index of the first former contact.
const formerContact = 128

// MessageStatus is where one message stands. The numbers are stored.
type MessageStatus uint8

// The message statuses.
const (
	Queued      MessageStatus = iota + 1
	Sent                      // a provider has taken it
	Delivered                 // the provider says that it arrived
	Undelivered               // the provider says that it will not arrive
	NotSent                   // no provider took it
	Void                      // it was over before it was sent
)

var messageNames = [...]string{"", "queued", "sent", "delivered", "undelivered", "failed", "canceled"}

// String is the status as the API says it.
func (s MessageStatus) String() string { return messageNames[s] }

// maxMessages of one hand-over are kept; the oldest that are settled give way.
const maxMessages = 40

// AppendRecord implements ledger.Value.
func (r *Record) AppendRecord(dst []byte) []byte { return ledger.Pack(dst, r) }

// Copy implements ledger.Value. Sealed values are replaced and never written to.
func (r *Record) Copy() ledger.Value {
	c := *r
	c.Judged, c.Passes, c.Messages = slices.Clone(r.Judged), slices.Clone(r.Passes), slices.Clone(r.Messages)
	c.Steps, c.Conflicts = slices.Clone(r.Steps), slices.Clone(r.Conflicts)
	return &c
}

// Owner implements ledger.Value.
func (*Record) Owner() ledger.ID { return ledger.ID{} }

// keepOpen is how long after its delivery day a hand-over waits for somebody to do something about it.
const keepOpen = 14 * day

// WakeAt implements ledger.Value: messages that are due, the end of the delivery day, and the end of all waiting.
func (r *Record) WakeAt() int64 {
	at := int64(0)
	sooner := func(t int64) {
		if t > 0 && (at == 0 || t < at) {
			at = t
		}
	}
	for i := range r.Messages {
		if r.Messages[i].Status == Queued {
			sooner(r.Messages[i].WakeAt)
		}
	}
	switch r.State {
	case Out, Arrived:
		sooner(r.GoodUntil)
	case Created, Attempted, Refused:
		sooner(r.GoodUntil + keepOpen)
	}
	return at
}

// move changes the state, if that is legal, and writes it into the history.
func (r *Record) move(to State, reason Reason, at int64) error {
	if !slices.Contains(next[r.State], to) {
		return errState(r.State, to)
	}
	r.State = to
	if to.Final() {
		r.EndedAt = at
	}
	r.Steps = append(r.Steps, Step{State: to, At: at, Attempt: r.Attempt, Reason: reason, Courier: r.Courier})
	r.Steps = r.Steps[max(0, len(r.Steps)-maxSteps):]
	return nil
}

func errState(from, to State) error {
	what := "This hand-over is " + from.String() + " and can't become " + to.String() + ". Look at its state again."
	if from.Final() {
		return fault.New(fault.Conflict, "hand_over_over", what)
	}
	return fault.New(fault.Conflict, "wrong_state", what)
}

// clock is the time of a decision: never before an earlier one on the same row (S10).
func (r *Record) clock(now time.Time) int64 { return max(now.UnixMilli(), r.UpdatedAt) }

// Row is any other row of this package: sealed, but for what the sweep needs.
type Row struct {
	UpdatedAt int64  `cbor:"1,keyasint"`
	Sealed    []byte `cbor:"2,keyasint"`
}

// AppendRecord implements ledger.Value.
func (r *Row) AppendRecord(dst []byte) []byte { return ledger.Pack(dst, r) }

// Copy implements ledger.Value.
func (r *Row) Copy() ledger.Value { c := *r; return &c }

// Owner implements ledger.Value.
func (*Row) Owner() ledger.ID { return ledger.ID{} }

// WakeAt implements ledger.Value.
func (*Row) WakeAt() int64 { return 0 }

// DecodeRow is the ledger's Decode for the rows of this package.
func DecodeRow(kind ledger.Kind, record []byte) (ledger.Value, error) {
	var v ledger.Value
	switch kind {
	case ledger.KindHandover:
		v = new(Record)
	case ledger.KindCourier:
		v = new(Courier)
	case ledger.KindOrder, ledger.KindRound:
		v = new(Row)
	default:
		return nil, fmt.Errorf("rows of kind %d belong to somebody else", kind)
	}
	if err := ledger.Unpack(record, v); err != nil {
		return nil, fmt.Errorf("decode a row of kind %d: %w", kind, err)
	}
	return v, nil
}

// Stale tells whether a row can be removed: a hand-over that has been over for long, whatever else hasn't changed for longer than any
// hand-over is kept.
func Stale(v ledger.Value, now time.Time, keep time.Duration) bool {
	at := now.UnixMilli()
	switch r := v.(type) {
	case *Record:
		return r.State.Final() && at > r.EndedAt+keep.Milliseconds()
	case *Row:
		return at > r.UpdatedAt+keep.Milliseconds()+maxAhead+10*keepOpen
	case *Courier:
		return at > r.UpdatedAt+keep.Milliseconds()+40*day
	}
	return false
}

func openRow(svc *service.Service, key ledger.Key, v ledger.Value, b any) (bool, error) {
	r, ok := v.(*Row)
	if !ok {
		return false, nil
	}
	return true, unseal(svc, key, columnBody, r.Sealed, b)
}

func sealRow(svc *service.Service, key ledger.Key, b any, at int64) *Row {
	return &Row{UpdatedAt: at, Sealed: seal(svc, key, columnBody, b)}
}

// The sealing names of columns; the table is the kind's.
const (
	columnBody  = "body"
	columnWhere = "where"
)

func seal(svc *service.Service, key ledger.Key, column string, b any) []byte {
	return svc.Ring.Current().Seal(key.Kind.Table(), column, key.ID, ledger.Pack(nil, b))
}

func unseal(svc *service.Service, key ledger.Key, column string, sealed []byte, b any) error {
	plain, err := svc.Ring.Open(key.Kind.Table(), column, key.ID, sealed)
	if err != nil {
		return fault.As(err)
	}
	if err := ledger.Unpack(plain, b); err != nil {
		return fault.As(fmt.Errorf("decode a row of %s: %w", key.Kind.Table(), err))
	}
	return nil
}
