// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/countersign/countersign/internal/fault"
)

// Ring holds all keys of one service. It is never changed after it was made, can't be printed or
// marshaled, and is safe for concurrent use.
type Ring struct {
	current *Keys
	index   []*Keys
	all     []*Keys
}

// NewRing makes a ring. current is the key id that makes what is new. index is the key id of the
// blind indexes; while they rotate there are two: the one that rows are found by, then the one
// that they are going to be found by. It fails when a key id is missing or given twice, or when
// the keys belong to several services.
func NewRing(keys []*Keys, current uint8, index ...uint8) (*Ring, error) {
	r := &Ring{all: slices.Clone(keys)}
	for i, k := range keys {
		if k.service != keys[0].service {
			return nil, errRing("keys of several services")
		}
		for _, other := range keys[:i] {
			if other.id == k.id {
				return nil, errRing(fmt.Sprintf("key %d twice", k.id))
			}
		}
	}
	var ok bool
	if r.current, ok = r.ByID(current); !ok {
		return nil, errRing(fmt.Sprintf("no key %d, which is the current one", current))
	}
	if len(index) < 1 || len(index) > 2 || len(index) == 2 && index[0] == index[1] {
		return nil, errRing("not one or two index keys")
	}
	for _, id := range index {
		k, ok := r.ByID(id)
		if !ok {
			return nil, errRing(fmt.Sprintf("no key %d, which makes blind indexes", id))
		}
		r.index = append(r.index, k)
	}
	return r, nil
}

func errRing(what string) *fault.Error {
	return fault.New(fault.Internal, "keys_incomplete",
		"The keys of this service aren't whole. Restore the database's key rows from a backup.").
		WithCause(fmt.Errorf("a key ring has %s", what))
}

// Current are the keys for what is new.
func (r *Ring) Current() *Keys { return r.current }

// ByID returns the keys with the given key id.
func (r *Ring) ByID(id uint8) (*Keys, bool) {
	for _, k := range r.all {
		if k.id == id {
			return k, true
		}
	}
	return nil, false
}

// All returns every key, in the order given to NewRing. The slice must not be changed.
func (r *Ring) All() []*Keys { return r.all }

// IndexKeys returns the keys whose blind indexes are to be written: one, or two while they rotate;
// rows are found by the first. The slice must not be changed.
func (r *Ring) IndexKeys() []*Keys { return r.index }

// Open opens what the keys that sealed names have sealed; see [Keys.Open].
func (r *Ring) Open(table, column string, row [16]byte, sealed []byte) ([]byte, error) {
	if len(sealed) < sealOverhead {
		return nil, errOpen(table, column)
	}
	k, ok := r.ByID(sealed[1])
	if !ok {
		return nil, errOpen(table, column)
	}
	return k.Open(table, column, row, sealed)
}

// String returns "[secret]".
func (*Ring) String() string { return redacted }

// Format prints "[secret]" for every verb and flag.
func (*Ring) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue is "[secret]".
func (*Ring) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails.
func (*Ring) MarshalText() ([]byte, error) { return nil, errMarshal }
