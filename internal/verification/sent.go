// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// Lister gives the verifications of one shard whose ids are at least since and before an id (zero: from the latest on), the latest first.
type Lister func(ctx context.Context, service uint32, shard uint16, since, before ledger.ID, limit int) (map[ledger.ID]*Record, []ledger.ID, error)

// UseLister gives the engine the list of past verifications, before the first question for it.
func (e *Engine) UseLister(list Lister) { e.list = list }

// SentCode is a code that was sent to a contact, as its owner may know it: never the code.
type SentCode struct {
	ID       ledger.ID
	At       time.Time // when the message was asked for
	Channel  service.Channel
	Status   MessageStatus
	Purpose  service.Purpose
	Pending  bool           // the code still works
	Disowned bool           // its owner has said that they didn't ask for it
	Asked    RequestContext // from what device and where it was asked for
	Detail   Detail         // of a transaction
	Locale   string
	Account  ledger.ID
}

// maxSent bounds how many rows of a shard are looked at for one list.
const maxSent = 2000

// Sent lists the codes that were sent to exactly this contact since a time, the latest first, at most limit messages.
//
// Faults: Unavailable.
func (e *Engine) Sent(ctx context.Context, svc *service.Service, to contact.Contact, since time.Time, limit int) ([]SentCode, error) {
	owner := indexOf(svc, to)
	rows, order, err := e.list(ctx, svc.ID, contactShard(owner), FirstID(since), ledger.ID{}, maxSent)
	if err != nil {
		return nil, err
	}
	var all []SentCode
	for _, id := range order {
		r := rows[id]
		if r.ContactID != owner || r.Decoy {
			continue
		}
		// The row is of the contact's stricter form, which several addresses may share; each sees its own.
		if c, err := openContact(svc, id, r); err != nil || c.Reveal() != to.Reveal() {
			continue
		}
		one := SentCode{ID: id, Purpose: r.purpose(), Disowned: r.Reason == ReasonDisowned, Locale: r.Locale, Account: r.Account}
		one.Pending = r.Status == Pending && e.ledger.Now().UnixMilli() < r.ExpiresAt
		if err := openCBOR(svc, id, columnContext, r.Context, &one.Asked); err != nil {
			return nil, err
		}
		if err := openCBOR(svc, id, columnDetails, r.Details, &one.Detail); err != nil {
			return nil, err
		}
		for i := len(r.Messages) - 1; i >= 0; i-- {
			m := &r.Messages[i]
			if m.SentAt == 0 {
				continue // it reached nobody
			}
			if len(all) >= limit {
				return all, nil
			}
			one.At, one.Channel, one.Status = moment(m.QueuedAt), service.Channels()[m.Channel-1], m.Status
			all = append(all, one)
		}
	}
	return all, nil
}
