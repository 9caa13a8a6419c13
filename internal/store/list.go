// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"database/sql"

	"github.com/countersign/countersign/internal/ledger"
)

// Listed is a row of a list, as its domain decodes it.
type Listed struct {
	Key   ledger.Key
	Value ledger.Value
}

// List gives the rows of a kind whose ids sort by time, of one service, the latest first: those before an id (zero: from the latest on), at
// most limit. A row that can't be read is left out. It is for kinds whose table has an index by service: cases and reports.
func (s *Store) List(ctx context.Context, kind ledger.Kind, service uint32, before ledger.ID, limit int, decode ledger.Decode) ([]Listed, error) {
	return s.listed(ctx, kind, service, decode, "service = $1 AND id < $2 ORDER BY id DESC LIMIT $3", service, s.id(orLast(before)), limit)
}

// OfShard gives verifications of one shard and service whose ids are at least since and before an id (zero: from the latest on), the latest first, at most
// limit. A shard is 16 bits of a contact's index, so rows of a few other contacts are among them.
func (s *Store) OfShard(
	ctx context.Context, service uint32, shard uint16, since, before ledger.ID, limit int, decode ledger.Decode,
) ([]Listed, error) {
	return s.listed(ctx, ledger.KindVerification, service, decode, "shard = $1 AND id >= $2 AND id < $3 AND service = $4 ORDER BY id DESC LIMIT $5",
		shard, s.id(since), s.id(orLast(before)), service, limit)
}

func orLast(id ledger.ID) ledger.ID {
	if id.IsZero() {
		return ledger.ID(bytes.Repeat([]byte{0xff}, len(id)))
	}
	return id
}

func (s *Store) listed(ctx context.Context, kind ledger.Kind, service uint32, decode ledger.Decode, where string, args ...any) ([]Listed, error) {
	column := "id"
	if s.postgres {
		column = "uuid_send(id)"
	}
	var all []Listed
	err := s.each(ctx, "SELECT "+column+", shard, record FROM "+kind.Table()+" WHERE "+where, func(rows *sql.Rows) error {
		one := Listed{Key: ledger.Key{Kind: kind, Service: service}}
		var id, record []byte
		if err := rows.Scan(&id, &one.Key.Shard, &record); err != nil {
			return err
		}
		copy(one.Key.ID[:], id)
		if v, err := decode(kind, record); err == nil {
			one.Value = v
			all = append(all, one)
		}
		return nil
	}, args...)
	return all, err
}
