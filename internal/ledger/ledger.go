// SPDX-License-Identifier: Apache-2.0

// Package ledger makes decisions durable.
//
// The domain describes a change as an [Op]: the rows it needs and a pure function that looks at
// them and says what they become. The ledger takes whatever operations have queued up, locks all
// their rows in one order, reads the database's clock after the lock, lets every operation decide
// in turn on what the one before it left, writes what changed, commits with a real sync, and only
// then answers everyone. So operations that name the same row are folded inside a batch, the
// database judges the races between batches, and an answer that says yes survives a kill at any
// instant.
//
// It owns: keys, batches, folding, time, retries and the journal of events. It leaves to others
// what a row means (the domain's [Value] types) and how rows are stored (a [Backend]: SQLite or
// PostgreSQL).
package ledger

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// ID names a row: 128 bits, so that it is a uuid column, and 32 hexadecimal digits as text.
type ID [16]byte

// String gives the 32 lower-case hexadecimal digits of the id.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether the id is all zeros, which names no row.
func (id ID) IsZero() bool { return id == ID{} }

// AccountOf is the key of an account's row: it is spread by its own id.
func AccountOf(service uint32, id ID) Key {
	return Key{Kind: KindAccount, Service: service, Shard: binary.BigEndian.Uint16(id[:2]), ID: id}
}

// Kind says which table a row is in. The order of kinds is the order of locks: every batch on
// every node locks replies first, then verifications, then contacts, and so on.
type Kind uint8

// The kinds of rows, in the order in which they are locked.
const (
	KindReply        Kind = iota + 1 // what was answered under an idempotency key
	KindVerification                 // one proof under way, with its messages
	KindContact                      // a contact's budgets and places
	KindLogin                        // whose account a contact signs in to
	KindAccount                      // a customer, with factors, devices and sessions
	KindActivity                     // some entries of an account's recent activity
	KindCase                         // what a customer and support settle together
	KindReport                       // a suspicious message, call or page that somebody told us of
	KindPhrase                       // the words of a call that is announced now
	KindOrder                        // the hand-overs of an order
	KindHandover                     // a parcel that changes hands
	KindRound                        // a courier's parcels of one shift; a depot's day
	KindCourier                      // who carries parcels: their device, tries and figures
	Kinds                            // how many numbers of kinds there are, 0 included
)

// Table is the name of the kind's table.
func (k Kind) Table() string {
	return [Kinds]string{"", "idempotency", "verification", "contact", "login", "account", "activity", "support_case", "report", "phrase", "handover_order", "handover", "delivery_round", "courier"}[k]
}

// Owned tells whether rows of the kind belong to a contact row (Value.Owner).
func (k Kind) Owned() bool { return k == KindVerification }

// Wakes tells whether rows of the kind may want attention without being asked (Value.WakeAt).
func (k Kind) Wakes() bool { return k == KindVerification || k == KindAccount || k == KindHandover }

// Key names one row. Service and Shard are part of every key, so that a database that spreads
// rows over machines can keep everything of one contact together.
type Key struct {
	Kind    Kind
	Service uint32
	Shard   uint16 // 16 bits of the keyed contact index
	ID      ID
}

// Compare orders keys as they are locked.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		cmp.Compare(k.Kind, o.Kind),
		bytes.Compare(k.ID[:], o.ID[:]),
		cmp.Compare(k.Service, o.Service),
		cmp.Compare(k.Shard, o.Shard),
	)
}

// Value is a row's content as the domain sees it. A value that was put is never changed again: the
// ledger hands out copies.
type Value interface {
	// AppendRecord appends the row's encoding to dst. It holds nothing in the clear that
	// may be personal data.
	AppendRecord(dst []byte) []byte
	// Copy returns a value that shares no memory that either will change.
	Copy() Value
	// Owner is the id of the contact row that this row belongs to; zero if it has none. It
	// never changes. Whoever locks a row locks its owner, too.
	Owner() ID
	// WakeAt is when the row wants attention without being asked (a lease that runs out,
	// an expiry), in Unix milliseconds; 0 means never.
	WakeAt() int64
}

// Decode turns a stored record into a Value. It is called concurrently.
type Decode func(kind Kind, record []byte) (Value, error)

// Op is one change. Keys are the rows that it reads; their owners come along, unless it is Alone and does
// not need them. A row that it puts without having named it must be new: if it isn't, the batch is undone.
//
// Apply decides. It must be pure but for what it sets through its closure: it may run several
// times (a batch that lost a race runs again), and each run starts from nothing. When it returns
// an error, nothing of this operation is written and the error is the operation's answer.
type Op struct {
	Keys  []Key
	Alone bool
	Apply func(tx *Tx) error
}

// Tx is what an operation sees of its batch: the time, and the rows as the operations before it
// left them.
type Tx struct {
	now    time.Time
	rows   map[Key]*slot
	puts   map[Key]Value // of the operation that runs now
	events []Event
}

type slot struct {
	value   Value // nil: no such row
	version int32 // 0: not in the database
	dirty   bool
}

// Now is the time of the batch, in UTC with milliseconds: the greatest of the database's clock,
// read after the locks were taken, and the latest time this node has ever seen. Within a process
// it never goes back.
func (tx *Tx) Now() time.Time { return tx.now }

// Get returns a private copy of the row, or nil if there is none. The key must be one of the
// operation's keys or the owner of one of their rows.
func (tx *Tx) Get(key Key) Value {
	if v, ok := tx.puts[key]; ok {
		return v.Copy()
	}
	if s := tx.rows[key]; s != nil && s.value != nil {
		return s.value.Copy()
	}
	return nil
}

// Put makes value the row's content when the batch commits.
func (tx *Tx) Put(key Key, value Value) { tx.puts[key] = value }

// Event adds an entry to the activity log of service, written in the same transaction.
func (tx *Tx) Event(e Event) { tx.events = append(tx.events, e) }

// Ledger makes operations durable.
type Ledger interface {
	// Do runs op in the next batch and returns when it is durable, or with op's own
	// error, or with a fault of kind Unavailable. After such a fault the change may or may
	// not have happened only if its code is "outcome_unknown".
	Do(ctx context.Context, op Op) error
	// Read returns a row as it was last committed, without locking it; nil if there is none.
	Read(ctx context.Context, key Key) (Value, error)
	// ReadLogin returns a login row and the account row that it names, or the one at otherwise (also when there is no login row), as
	// they were last committed, in one statement: whether there is such a login must not be told by what is asked of
	// the database.
	ReadLogin(ctx context.Context, login, otherwise Key) (Value, Value, error)
	// Due returns up to limit keys of rows of a kind that wakes whose WakeAt has passed, the
	// longest due first.
	Due(ctx context.Context, kind Kind, limit int) ([]Key, error)
	// Now is the time that operations see, without asking the database.
	Now() time.Time
}
