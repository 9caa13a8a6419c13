// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/countersign/countersign/internal/fault"
)

// DataKey is one service's key of one key id, unwrapped: 32 uniform bytes, from which [NewKeys]
// derives. It prints as "[secret]"; keep it no longer than it takes to call NewKeys, and in no field.
type DataKey [32]byte

// NewDataKey makes a data key from 32 bytes of random, which is [crypto/rand.Reader] outside tests.
func NewDataKey(random io.Reader) (DataKey, error) {
	var k DataKey
	if _, err := io.ReadFull(random, k[:]); err != nil {
		return DataKey{}, fault.As(fmt.Errorf("make a data key: %w", err))
	}
	return k, nil
}

// WrapData wraps a data key for storage, bound to its service and key id: in another row it can't
// be unwrapped.
func WrapData(ctx context.Context, m Master, service uint32, id uint8, key DataKey) ([]byte, error) {
	return m.Wrap(ctx, key[:], dataAssociated(service, id))
}

// UnwrapData reverses WrapData.
func UnwrapData(ctx context.Context, m Master, service uint32, id uint8, wrapped []byte) (DataKey, error) {
	plain, err := m.Unwrap(ctx, wrapped, dataAssociated(service, id))
	if err != nil {
		return DataKey{}, err
	}
	if len(plain) != len(DataKey{}) {
		return DataKey{}, errUnwrap().WithCause(errors.New("an unwrapped data key has another length"))
	}
	return DataKey(plain), nil
}

func dataAssociated(service uint32, id uint8) []byte {
	out := appendPart(nil, []byte("countersign data key v1"))
	out = appendPart(out, binary.BigEndian.AppendUint32(nil, service))
	return appendPart(out, []byte{id})
}

// String returns "[secret]".
func (DataKey) String() string { return redacted }

// Format prints "[secret]" for every verb and flag.
func (DataKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue is "[secret]".
func (DataKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails.
func (DataKey) MarshalText() ([]byte, error) { return nil, errMarshal }

// MarshalBinary always fails.
func (DataKey) MarshalBinary() ([]byte, error) { return nil, errMarshal }
