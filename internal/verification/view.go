// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"time"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// View is what an application and the person may know of a verification. It holds no code, no
// secret and no full contact. Reading Approved here grants nothing: the grant goes to the request
// that gave the right code.
type View struct {
	ID         ledger.ID       `cbor:"1,keyasint"`
	Status     Status          `cbor:"2,keyasint"`
	Reason     Reason          `cbor:"3,keyasint,omitempty"`
	Purpose    service.Purpose `cbor:"4,keyasint"`
	Channel    service.Channel `cbor:"5,keyasint"` // of the latest message
	Contact    string          `cbor:"6,keyasint"` // masked
	Generation int             `cbor:"7,keyasint"` // of the code: 1, then 2 after a new one, ...
	CodeLength int             `cbor:"8,keyasint"`
	CreatedAt  time.Time       `cbor:"9,keyasint"`
	ExpiresAt  time.Time       `cbor:"10,keyasint"` // of the current code
	EndedAt    time.Time       `cbor:"11,keyasint,omitzero"`
	TriesLeft  int             `cbor:"12,keyasint"`
	SendsLeft  int             `cbor:"13,keyasint"`
	NextSendAt time.Time       `cbor:"14,keyasint,omitzero"` // zero: no further message
	RenewedAt  time.Time       `cbor:"15,keyasint,omitzero"` // when the current code replaced an older one
	Messages   []MessageView   `cbor:"16,keyasint,omitempty"`
}

// MessageView is what may be known of one message.
type MessageView struct {
	Channel    service.Channel `cbor:"1,keyasint"`
	Status     MessageStatus   `cbor:"2,keyasint"`
	Generation int             `cbor:"3,keyasint"`
	QueuedAt   time.Time       `cbor:"4,keyasint"`
	SentAt     time.Time       `cbor:"5,keyasint,omitzero"`
	ReceiptAt  time.Time       `cbor:"6,keyasint,omitzero"`
	Attempts   []Attempt       `cbor:"7,keyasint,omitempty"`
}

// moment is a stored time for people; zero stays zero.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// viewOf shows a record at the time at (Unix milliseconds), masked being its contact's masked form.
func viewOf(id ledger.ID, r *Record, masked string, at int64) View {
	v := View{
		ID: id, Status: r.Status, Reason: r.Reason, Purpose: r.purpose(), Contact: masked,
		Generation: int(r.generation()), CodeLength: r.codeLength(id),
		CreatedAt: moment(r.CreatedAt), ExpiresAt: moment(r.ExpiresAt), EndedAt: moment(r.EndedAt),
		TriesLeft: r.triesLeft(), SendsLeft: r.sendsLeft(),
	}
	if n := len(r.Renewed); n > 0 {
		v.RenewedAt = moment(r.Renewed[n-1])
	}
	if r.Status == Pending && at >= r.ExpiresAt {
		// The job that ends it hasn't come by yet. That changes nothing for anybody.
		v.Status, v.EndedAt = Expired, moment(r.ExpiresAt)
		if !r.handed() {
			v.Status = Failed
		}
	}
	if v.Status != Pending {
		v.TriesLeft, v.SendsLeft = 0, 0
	}
	if v.SendsLeft > 0 {
		v.NextSendAt = moment(r.NextSendAt)
	}
	for i := range r.Messages {
		m := &r.Messages[i]
		v.Channel = service.Channels()[m.Channel-1]
		v.Messages = append(v.Messages, MessageView{
			Channel: v.Channel, Status: m.Status, Generation: int(m.Generation),
			QueuedAt: moment(m.QueuedAt), SentAt: moment(m.SentAt), ReceiptAt: moment(m.ReceiptAt), Attempts: m.Attempts,
		})
	}
	return v
}
