// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/countersign/countersign/internal/ledger"
)

// numberAtOnce bounds how many batches one round of numbering takes.
const numberAtOnce = 500

// NumberEvents gives the events of committed batches their places in their service's log: one
// sequencer at a time, over all nodes, after the commit. A number taken inside a transaction would
// not do: transactions commit out of order, and a reader's cursor would skip one that
// commits late. It returns how many batches it numbered.
func (s *Store) NumberEvents(ctx context.Context) (int, error) {
	var n int
	err := s.write(ctx, func(tx *sql.Tx) error {
		n = 0
		// The heads are locked before the unnumbered batches are read, so that two sequencers take turns.
		if _, err := tx.ExecContext(ctx, "INSERT INTO journal_head (service, last) VALUES (0, 0) ON CONFLICT (service) DO UPDATE SET last = 0"); err != nil {
			return err
		}
		type batch struct{ position, service, count int64 }
		var batches []batch
		rows, err := tx.QueryContext(ctx, "SELECT position, service, count FROM journal WHERE first IS NULL ORDER BY position LIMIT $1", numberAtOnce)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var b batch
			if err := rows.Scan(&b.position, &b.service, &b.count); err != nil {
				return err
			}
			batches = append(batches, b)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, b := range batches {
			var last int64
			if err := tx.QueryRowContext(ctx, `INSERT INTO journal_head (service, last) VALUES ($1, $2)
				ON CONFLICT (service) DO UPDATE SET last = journal_head.last + excluded.last RETURNING last`, b.service, b.count).Scan(&last); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "UPDATE journal SET first = $1 WHERE position = $2", last-b.count+1, b.position); err != nil {
				return err
			}
		}
		n = len(batches)
		return nil
	})
	return n, err
}

// Unnumbered tells whether there are events without a place, without locking anything.
func (s *Store) Unnumbered(ctx context.Context) (bool, error) {
	var n int
	err := s.SQL().QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM journal WHERE first IS NULL LIMIT 1) AS waiting").Scan(&n)
	return n > 0, unavailable(err)
}

// Events returns up to limit events of a service after the place after, in order, without gaps.
func (s *Store) Events(ctx context.Context, service uint32, after int64, limit int) ([]ledger.Event, error) {
	var events []ledger.Event
	// A row holds the events of a batch from first on: the one in which the next event stands begins at or before it.
	err := s.each(ctx, `SELECT first, events FROM journal WHERE service = $1
		AND first >= (SELECT COALESCE(MAX(first), 0) FROM journal WHERE service = $1 AND first <= $2) AND first <= $3 ORDER BY first`,
		func(rows *sql.Rows) error {
			var first int64
			var packed []byte
			if err := rows.Scan(&first, &packed); err != nil {
				return err
			}
			batch, err := ledger.UnpackEvents(service, first, packed)
			if err != nil {
				return fmt.Errorf("events from %d: %w", first, err)
			}
			for _, e := range batch {
				if e.Seq > after && len(events) < limit {
					events = append(events, e)
				}
			}
			return nil
		}, service, after+1, after+int64(limit))
	return events, err
}
