// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"

	"github.com/countersign/countersign/internal/ledger"
)

// sweepAtOnce is how many rows one step of a sweep looks at.
const sweepAtOnce = 500

// Sweep looks at the rows of a kind after the id from and before the id until, in order, and removes those that stale says nobody needs.
// It returns where the next step goes on; zero when it has come to the end. Small steps keep it
// from being noticed, and no index has to be kept for it. A row that changes meanwhile stays, and so does one that can't be read.
func (s *Store) Sweep(ctx context.Context, kind ledger.Kind, from, until ledger.ID, stale func(ledger.Value) bool, decode ledger.Decode) (ledger.ID, int, error) {
	table := kind.Table()
	column := "id"
	if s.postgres {
		column = "uuid_send(id)"
	}
	type row struct {
		id      ledger.ID
		version int32
	}
	var (
		doomed []row
		last   ledger.ID
		seen   int
	)
	err := s.each(ctx, "SELECT "+column+", version, record FROM "+table+" WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3", func(rows *sql.Rows) error {
		var (
			r          row
			id, record []byte
		)
		if err := rows.Scan(&id, &r.version, &record); err != nil {
			return err
		}
		copy(r.id[:], id)
		last, seen = r.id, seen+1
		if v, err := decode(kind, record); err == nil && stale(v) {
			doomed = append(doomed, r)
		}
		return nil
	}, s.id(from), s.id(until), sweepAtOnce)
	if err != nil {
		return from, 0, err
	}
	if len(doomed) > 0 {
		err = s.write(ctx, func(tx *sql.Tx) error {
			for _, r := range doomed {
				if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE id = $1 AND version = $2", s.id(r.id), r.version); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if seen < sweepAtOnce {
		last = ledger.ID{}
	}
	return last, len(doomed), err
}

// SweepLinks forgets which messages providers mean of verifications whose ids are less than until. It removes a bounded number and
// returns how many.
func (s *Store) SweepLinks(ctx context.Context, until ledger.ID) (int64, error) {
	return s.affected(ctx, `DELETE FROM provider_message WHERE (provider, reference) IN
		(SELECT provider, reference FROM provider_message WHERE id < $1 ORDER BY id LIMIT $2)`, s.id(until), sweepAtOnce)
}

// SweepCounters removes counters whose window nobody asks for any more, and returns how many.
func (s *Store) SweepCounters(ctx context.Context, now int64) (int64, error) {
	return s.affected(ctx, "DELETE FROM counter WHERE ends < $1", now)
}
