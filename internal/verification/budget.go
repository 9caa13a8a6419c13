// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"slices"
	"time"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// Contact is what is counted for one contact of one service over all its verifications, where no
// new code and no other flow's success resets it. Callers with a device token have a
// share of their own, so that strangers can't use up the owner's.
type Contact struct {
	UpdatedAt int64       `cbor:"1,keyasint"`           // Unix milliseconds
	Epoch     uint32      `cbor:"2,keyasint,omitempty"` // device tokens of another epoch are void
	Alive     []Place     `cbor:"3,keyasint,omitempty"` // pending verifications
	Sends     [2]Spending `cbor:"4,keyasint"`           // strangers', then known callers'
	Guesses   [2]Spending `cbor:"5,keyasint"`           // likewise
	Last      []ledger.ID `cbor:"6,keyasint,omitempty"` // the verifications that ended last, for who types last time's code
	Blocks    []Block     `cbor:"7,keyasint,omitempty"` // whose owners want no codes: several addresses may share this row
	Through   int64       `cbor:"8,keyasint,omitempty"` // when a code that lifts the block was sent last, likewise
}

// Place is one pending verification of a contact.
type Place struct {
	ID        ledger.ID `cbor:"1,keyasint"`
	ExpiresAt int64     `cbor:"2,keyasint"` // Unix milliseconds
	Known     bool      `cbor:"3,keyasint,omitempty"`
}

// AppendRecord implements ledger.Value.
func (c *Contact) AppendRecord(dst []byte) []byte { return ledger.Pack(dst, c) }

// Copy implements ledger.Value.
func (c *Contact) Copy() ledger.Value {
	d := *c
	d.Alive, d.Last, d.Blocks = slices.Clone(c.Alive), slices.Clone(c.Last), slices.Clone(c.Blocks)
	for i := range d.Sends {
		d.Sends[i] = slices.Clone(c.Sends[i])
		d.Guesses[i] = slices.Clone(c.Guesses[i])
	}
	return &d
}

// Owner implements ledger.Value.
func (c *Contact) Owner() ledger.ID { return ledger.ID{} }

// WakeAt implements ledger.Value.
func (c *Contact) WakeAt() int64 { return 0 }

// leave frees the place of a verification that ended and tells whether it had one.
func (c *Contact) leave(id ledger.ID) bool {
	n := len(c.Alive)
	c.Alive = slices.DeleteFunc(c.Alive, func(p Place) bool { return p.ID == id })
	return len(c.Alive) < n
}

// maxLast is how many ended verifications are remembered of a contact.
const maxLast = 2

// remember notes a verification that has ended.
func (c *Contact) remember(id ledger.ID) {
	c.Last = append(slices.Clone(c.Last[max(0, len(c.Last)-maxLast+1):]), id)
}

// extend moves the end of a verification's place.
func (c *Contact) extend(id ledger.ID, until int64) {
	for i := range c.Alive {
		if c.Alive[i].ID == id {
			c.Alive[i].ExpiresAt = until
		}
	}
}

// place takes a place for a new verification. Without one it returns when the next
// is free, in Unix milliseconds.
func (c *Contact) place(p Place, policy *service.Policy, at int64) (until int64, ok bool) {
	c.Alive = slices.DeleteFunc(c.Alive, func(p Place) bool { return p.ExpiresAt <= at })
	allowed, taken, next := policy.ContactAlive, len(c.Alive), int64(0)
	if !p.Known {
		// What strangers hold is counted alone, so that the owner's own don't crowd them out
		// nor they the owner.
		allowed, taken = allowed-policy.ContactReserved, 0
	}
	for _, q := range c.Alive {
		if !p.Known && !q.Known {
			taken++
		}
		if next == 0 || q.ExpiresAt < next {
			next = q.ExpiresAt
		}
	}
	if taken >= allowed || len(c.Alive) >= policy.ContactAlive {
		return next, false
	}
	c.Alive = append(c.Alive, p)
	return 0, true
}

// Spending is when something was spent, as Unix seconds, oldest first, of the last day: an
// exact sliding window. A policy's largest budget bounds its length.
type Spending []int64

const (
	hour = int64(time.Hour / time.Second)
	day  = 24 * hour
)

// Until tells whether limit is used up at the time at (Unix seconds), and when it no longer is; 0
// if there is something left.
func (s Spending) Until(limit service.Limit, at int64) int64 {
	return max(s.window(limit.Hour, hour, at), s.window(limit.Day, day, at))
}

func (s Spending) window(limit int, length, at int64) int64 {
	if len(s) < limit {
		return 0
	}
	// The limit-th latest must have left the window.
	if free := s[len(s)-limit] + length; free > at {
		return free
	}
	return 0
}

// Add spends one at the time at (Unix seconds) and forgets what is older than a day.
func (s Spending) Add(at int64) Spending {
	old := 0
	for old < len(s) && s[old] <= at-day {
		old++
	}
	s = append(s[old:], at)
	return s[max(0, len(s)-service.MaxBudget):]
}
