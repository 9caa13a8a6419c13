// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

var encoder, decoder = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.EncOptions{}.EncMode()
	if err != nil {
		panic(err)
	}
	dec, err := cbor.DecOptions{
		UTF8: cbor.UTF8DecodeInvalid, // a row that was written must be readable, whatever somebody put into it
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return enc, dec
}

// Pack appends v in CBOR (RFC 8949). The types of records have numbered fields, so that a name can change and a row stays short. A type that can't be
// encoded is a fault of the program, and panics.
func Pack(dst []byte, v any) []byte {
	b, err := encoder.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a record that can't be encoded: %v", err))
	}
	return append(dst, b...)
}

// Unpack reads what Pack wrote into v, a pointer. Fields that v doesn't have are left out.
func Unpack(record []byte, v any) error { return decoder.Unmarshal(record, v) }
