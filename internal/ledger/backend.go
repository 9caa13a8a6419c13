// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"fmt"
	"time"
)

// Stored is a row as a backend read it.
type Stored struct {
	Key     Key
	Version int32 // at least 1
	Record  []byte
}

// Change is a row as a backend must write it.
type Change struct {
	Key     Key
	Version int32 // the version that was read; 0: there was no such row
	Owner   ID
	WakeAt  int64 // Unix milliseconds, 0: never
	Record  []byte
}

// Want is a row to be locked and read, and whether its owner is wanted, too.
type Want struct {
	Key
	Owner bool
}

// Journal is the events of one service in one batch, as they are stored: one row a batch, not one
// an event.
type Journal struct {
	Service uint32
	At      int64 // Unix milliseconds of the batch
	Count   int
	Packed  []byte // see PackEvents
}

// Writes is all that a batch changes. It may be empty.
type Writes struct {
	Changes []Change // in lock order, each key once
	Journal []Journal
}

// Decide is called once by Backend.Run when the rows are locked. clock is the database's, read
// after the last lock; rows are those that exist, owners included.
type Decide func(clock time.Time, rows []Stored) (Writes, error)

// Backend is a database that can run a batch.
type Backend interface {
	// Run locks the rows that are wanted (sorted by key, each once) in that order, then the
	// owners that are wanted of the rows that it found, in theirs; calls decide; writes what it returns; commits with a
	// sync; all in one transaction on one connection. A change whose version is no longer
	// the stored one, or an insert of a row that exists by now, undoes the transaction.
	//
	// Its errors are *RunError.
	Run(ctx context.Context, want []Want, decide Decide) error
	// Read returns one row without locking it. A row that isn't there has version 0.
	Read(ctx context.Context, key Key) (Stored, error)
	// ReadLogin returns a login row and the account row whose id its record begins with (16 bytes), or, without
	// a login row, the one at otherwise. Their keys are those that were asked for. A row that isn't there has version 0. It locks nothing.
	ReadLogin(ctx context.Context, login, otherwise Key) (Stored, Stored, error)
	// Due returns keys of rows of a kind that woke before now (Unix milliseconds).
	Due(ctx context.Context, kind Kind, now int64, limit int) ([]Key, error)
}

// Outcome says what a failed Run left behind.
type Outcome uint8

// The outcomes of a failed Run.
const (
	// LostRace: nothing was written because another node changed a row first. Run again.
	LostRace Outcome = iota + 1
	// Refused: nothing was written because the database refused something in this batch.
	// The operations may succeed one by one.
	Refused
	// Down: nothing was written because the database can't be used now.
	Down
	// Unknown: the commit was sent and its answer never came. Nothing may be retried.
	Unknown
)

// RunError is how a Backend reports a failed Run.
type RunError struct {
	Outcome Outcome
	Err     error
}

// Error implements error. It is for logs, not for people.
func (e *RunError) Error() string {
	return fmt.Sprintf("batch %s: %v", [...]string{"", "lost a race", "refused", "not run: database down", "of unknown outcome"}[e.Outcome], e.Err)
}

// Unwrap returns the driver's error.
func (e *RunError) Unwrap() error { return e.Err }
