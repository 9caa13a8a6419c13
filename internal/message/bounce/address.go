// SPDX-License-Identifier: Apache-2.0

package bounce

import (
	"crypto/subtle"
	"encoding/binary"
	"strings"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// addressPrefix starts the local part of every return address.
const addressPrefix = "b+"

// A token is 38 bytes, of which base32 makes 61 characters: with the prefix 63 of the 64 that a local part may have
// (RFC 5321 4.5.3.1.1). Big-endian:
//
//	 1  id of the service key
//	 4  service
//	10  tag: a keyed MAC over all the rest
//	23  which message (kind 1, shard 2, row 16, number 4), masked by a keyed function of the tag
//
// Tag and mask together are a deterministic authenticated encryption in the manner of RFC 5297: who sees return
// addresses can neither make one nor tell which belong to one account. 80 bits suffice because every guess has to
// be tried here.
const (
	tagSize   = 10
	refSize   = 1 + 2 + 16 + 4
	headSize  = 1 + 4
	tokenSize = headSize + tagSize + refSize
)

// Services finds the service that a return address names.
type Services interface {
	ByID(id uint32) (*service.Service, bool)
}

// Address is the return address of a message at domain. It is the same each time for the same message, and holds
// neither the contact nor, in the clear, an id.
func Address(svc *service.Service, ref message.Ref, domain string) string {
	keys := svc.Ring.Current()
	token := make([]byte, 0, tokenSize)
	token = append(token, keys.ID())
	token = binary.BigEndian.AppendUint32(token, svc.ID)
	var plain [refSize]byte
	plain[0] = byte(ref.Row.Kind)
	binary.BigEndian.PutUint16(plain[1:], ref.Row.Shard)
	copy(plain[3:], ref.Row.ID[:])
	binary.BigEndian.PutUint32(plain[19:], uint32(ref.Number)) //nolint:gosec // messages of one row are numbered with 32 bits at most
	tag := tagOf(keys, token[:headSize], plain[:])
	token = append(token, tag[:]...)
	masked := mask(keys, tag, plain)
	return secret.EncodeToken(addressPrefix, append(token, masked[:]...)) + "@" + domain
}

// ParseAddress returns the message whose return address this is; false for every text that [Address] didn't make with this
// domain and a key that the service still has. Case doesn't matter: some servers change it.
func ParseAddress(services Services, domain, address string) (message.Ref, bool) {
	local, at, _ := strings.Cut(strings.ToLower(address), "@")
	if !strings.EqualFold(strings.TrimSuffix(at, "."), domain) {
		return message.Ref{}, false
	}
	token, err := secret.DecodeToken(addressPrefix, local)
	if err != nil || len(token) != tokenSize {
		return message.Ref{}, false
	}
	svc, ok := services.ByID(binary.BigEndian.Uint32(token[1:]))
	if !ok {
		return message.Ref{}, false
	}
	keys, ok := svc.Ring.ByID(token[0])
	if !ok {
		return message.Ref{}, false
	}
	tag := [tagSize]byte(token[headSize:])
	plain := mask(keys, tag, [refSize]byte(token[headSize+tagSize:]))
	if want := tagOf(keys, token[:headSize], plain[:]); subtle.ConstantTimeCompare(tag[:], want[:]) != 1 {
		return message.Ref{}, false
	}
	return message.Ref{
		Row:    ledger.Key{Kind: ledger.Kind(plain[0]), Service: svc.ID, Shard: binary.BigEndian.Uint16(plain[1:]), ID: ledger.ID(plain[3:19])},
		Number: int(binary.BigEndian.Uint32(plain[19:])),
	}, true
}

func tagOf(keys *secret.Keys, head, plain []byte) [tagSize]byte {
	mac := keys.MAC(secret.LabelReturn, []byte("tag"), head, plain)
	return [tagSize]byte(mac[:tagSize])
}

// mask hides a reference, and shows it again.
func mask(keys *secret.Keys, tag [tagSize]byte, ref [refSize]byte) [refSize]byte {
	stream := keys.MAC(secret.LabelReturn, []byte("mask"), tag[:])
	subtle.XORBytes(ref[:], ref[:], stream[:])
	return ref
}
