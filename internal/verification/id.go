// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/otp"
)

// Prefix starts the text of a verification's id.
const Prefix = "vrf_"

// An id holds what a check needs before it knows the row, in 128 bits, big-endian:
//
//	48  milliseconds since 1970: ids sort by time, so that old rows leave together
//	16  shard: the first bits of the keyed contact index
//	 8  id of the service key that the codes are derived under
//	 4  purpose space
//	 4  code length; 0: the application supplied the code
//	48  random
//
// The row is matched on all of it, so a forged id finds nothing; and nothing is decided by the
// time in it.
func newID(now time.Time, shard uint16, key uint8, space otp.Space, digits int) (ledger.ID, error) {
	id := FirstID(now)
	if _, err := rand.Read(id[10:]); err != nil {
		return id, fmt.Errorf("make an id: %w", err)
	}
	binary.BigEndian.PutUint16(id[6:8], shard)
	id[8] = key
	id[9] = byte(space)<<4 | byte(digits)&0x0f
	return id, nil
}

// FirstID is the least id of a verification that begins at a time: all that began earlier are less.
func FirstID(at time.Time) (id ledger.ID) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(0, at.UnixMilli())))
	copy(id[:6], ms[2:])
	return id
}

func shardOf(id ledger.ID) uint16    { return binary.BigEndian.Uint16(id[6:8]) }
func keyOf(id ledger.ID) uint8       { return id[8] }
func spaceOf(id ledger.ID) otp.Space { return otp.Space(id[9] >> 4) }
func digitsOf(id ledger.ID) int      { return int(id[9] & 0x0f) }

// contactShard is the shard of a contact's rows and of everything that belongs to it.
func contactShard(index ledger.ID) uint16 { return binary.BigEndian.Uint16(index[:2]) }

func rowKey(service uint32, id ledger.ID) ledger.Key {
	return ledger.Key{Kind: ledger.KindVerification, Service: service, Shard: shardOf(id), ID: id}
}

func contactKey(service uint32, index ledger.ID) ledger.Key {
	return ledger.Key{Kind: ledger.KindContact, Service: service, Shard: contactShard(index), ID: index}
}

// FormatID is the public text of a verification's id.
func FormatID(id ledger.ID) string { return Prefix + id.String() }

// ParseID reads what FormatID wrote: the prefix and 32 lower-case hexadecimal digits. Anything else
// is the same fault as an id that nobody has.
func ParseID(text string) (ledger.ID, error) {
	var id ledger.ID
	if len(text) != len(Prefix)+32 || text[:len(Prefix)] != Prefix {
		return id, errNotFound
	}
	if _, err := hex.Decode(id[:], []byte(text[len(Prefix):])); err != nil || FormatID(id) != text {
		return ledger.ID{}, errNotFound
	}
	return id, nil
}

var errNotFound = fault.New(fault.NotFound, "verification_not_found",
	"There is no such verification. It may have been removed after its time; begin a new one.")
