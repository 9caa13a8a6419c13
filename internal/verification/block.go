// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// BlockedByOwner is the code of the attempt at a message that wasn't sent because the contact's owner wants no codes.
const BlockedByOwner = "blocked_by_owner"

// MaxBlock bounds how long a contact can be blocked: a block ends by itself, because numbers are given to others.
const MaxBlock = 365 * 24 * time.Hour

// Block is the wish of a contact's owner.
type Block struct {
	Contact ledger.ID `cbor:"1,keyasint"` // exactly: not of its stricter form, which other addresses may share
	Until   int64     `cbor:"2,keyasint"` // Unix milliseconds
}

// maxBlocks of one row are kept; of more, the latest.
const maxBlocks = 8

// exactly is the keyed index of a contact as it is written.
func exactly(svc *service.Service, c contact.Contact) ledger.ID {
	return ledger.ID(svc.Ring.IndexKeys()[0].Index(byte(c.Kind())|0x20, c.Reveal()))
}

// blocked is until when the owner of a contact wants no codes; 0: they do.
func (c *Contact) blocked(who ledger.ID) int64 {
	for _, b := range c.Blocks {
		if b.Contact == who {
			return b.Until
		}
	}
	return 0
}

// Block has no code sent to a contact of a service until a time has passed, because its owner says so: whoever asks for one is told that it wasn't
// sent, and why. Zero lifts the block. Pending verifications go on. Longer than MaxBlock is MaxBlock.
//
// Faults: Unavailable.
func (e *Engine) Block(ctx context.Context, svc *service.Service, to contact.Contact, lasts time.Duration) error {
	key := contactKey(svc.ID, indexOf(svc, to))
	return e.ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key}, Apply: func(tx *ledger.Tx) error {
		c := loadContact(tx, key)
		at := max(tx.Now().UnixMilli(), c.UpdatedAt)
		who := exactly(svc, to)
		c.UpdatedAt = at
		c.Blocks = slices.DeleteFunc(c.Blocks, func(b Block) bool { return b.Contact == who || b.Until <= at })
		if lasts > 0 {
			c.Blocks = append(c.Blocks[max(0, len(c.Blocks)-maxBlocks+1):], Block{who, at + min(lasts, MaxBlock).Milliseconds()})
		}
		tx.Put(key, c)
		return nil
	}})
}

// BlockedUntil is until when a contact is blocked; zero: it isn't.
//
// Faults: Unavailable.
func (e *Engine) BlockedUntil(ctx context.Context, svc *service.Service, to contact.Contact) (time.Time, error) {
	v, err := e.ledger.Read(ctx, contactKey(svc.ID, indexOf(svc, to)))
	if c, ok := v.(*Contact); err == nil && ok {
		if until := c.blocked(exactly(svc, to)); until > e.ledger.Now().UnixMilli() {
			return moment(until), nil
		}
	}
	return time.Time{}, err
}

// liftEvery is how often a code goes through a block: its owner has no other way to lift it at an address, and to strangers it is no way around.
const liftEvery = day * 1000

// blocked fails the message that was queued last if the contact's owner wants no codes. One that lifts the block goes through once a day.
func (r *Record) blocked(c *Contact, who ledger.ID, lifts bool, at int64) bool {
	switch {
	case c.blocked(who) <= at:
		return false
	case lifts && at >= c.Through+liftEvery:
		c.Through = at
		return false
	}
	m := &r.Messages[len(r.Messages)-1]
	m.Status, m.WakeAt = MessageFail, 0
	m.Attempts = append(m.Attempts, Attempt{Code: BlockedByOwner, StartedAt: at, Outcome: message.Blocked})
	return true
}
