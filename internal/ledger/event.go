// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// EventKind says what happened. The numbers are stored and never change their meaning.
type EventKind uint8

// Event is one entry of a service's activity log.
//
// What the log commits to is not the content but a salted hash of it ([Event.Commitment]): a person
// can be erased by removing salt and content, and a tree laid over the commitments stays whole.
type Event struct {
	Service uint32
	Kind    EventKind
	At      time.Time // UTC, milliseconds
	Subject ID        // the verification (later: account, hand-over) that it is about
	Data    []byte    // small, kind-specific, never personal data in the clear; at most MaxEventData bytes
	Salt    [16]byte  // random; set by the ledger
	Seq     int64     // place in the service's log, from 1, without gaps; 0 until it is numbered
	Erased  *[32]byte // the commitment of an entry whose content was erased; nil for all others
}

// MaxEventData is the largest Event.Data in bytes.
const MaxEventData = 255

const (
	eventFixed   = 1 + 8 + 16 + 16 + 1 // kind, time, subject, salt, length of data
	kindErased   = 0                   // stands where the kind would; the commitment follows
	commitPrefix = 0x00                // leaf prefix of RFC 6962 2.1, so that the commitment is a tree's leaf hash
)

// Commitment is the entry's leaf hash: SHA-256 over 0x00, the salt and the content (service,
// kind, time, subject, data). The salt has 128 random bits, so the hash tells nothing of the content.
func (e *Event) Commitment() [32]byte {
	if e.Erased != nil {
		return *e.Erased
	}
	b := make([]byte, 0, 1+4+eventFixed+len(e.Data))
	b = append(b, commitPrefix)
	b = binary.BigEndian.AppendUint32(b, e.Service)
	return sha256.Sum256(e.append(b))
}

func (e *Event) append(b []byte) []byte {
	b = append(b, byte(e.Kind))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMilli()))
	b = append(b, e.Subject[:]...)
	b = append(b, e.Salt[:]...)
	b = append(b, byte(len(e.Data)))
	return append(b, e.Data...)
}

// PackEvents encodes events of one service, which is kept beside them.
func PackEvents(events []Event) []byte {
	b := make([]byte, 0, len(events)*(eventFixed+8))
	for i := range events {
		e := &events[i]
		if e.Erased != nil {
			b = append(append(b, kindErased), e.Erased[:]...)
			continue
		}
		b = e.append(b)
	}
	return b
}

// UnpackEvents is the inverse of PackEvents; first is the Seq of the first event, 0 if they are
// not numbered yet.
func UnpackEvents(service uint32, first int64, packed []byte) ([]Event, error) {
	var events []Event
	for len(packed) > 0 {
		e := Event{Service: service}
		if first > 0 {
			e.Seq = first + int64(len(events))
		}
		n, err := e.parse(packed)
		if err != nil {
			return nil, err
		}
		packed = packed[n:]
		events = append(events, e)
	}
	return events, nil
}

// entryLength is the length of the packed entry that b begins with.
func entryLength(b []byte) (int, error) {
	n := 1 + sha256.Size
	if b[0] != kindErased {
		n = eventFixed
		if len(b) >= n {
			n += int(b[eventFixed-1])
		}
	}
	if len(b) < n {
		return 0, fmt.Errorf("journal: entry cut off at %d bytes", len(b))
	}
	return n, nil
}

// parse reads one entry and returns its length.
func (e *Event) parse(b []byte) (int, error) {
	n, err := entryLength(b)
	if err != nil {
		return 0, err
	}
	if b[0] == kindErased {
		e.Erased = (*[32]byte)(b[1:n])
		return n, nil
	}
	e.Kind = EventKind(b[0])
	e.At = time.UnixMilli(int64(binary.BigEndian.Uint64(b[1:9]))).UTC()
	copy(e.Subject[:], b[9:25])
	copy(e.Salt[:], b[25:41])
	e.Data = append([]byte(nil), b[eventFixed:n]...)
	return n, nil
}
