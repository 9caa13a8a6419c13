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
// commits late. In the same transaction the log's tree grows by them. It returns how many batches it numbered.
//
// Faults: Internal, code log_unreadable, when a tree can't grow because of what stands in the journal; the numbering goes on.
func (s *Store) NumberEvents(ctx context.Context) (int, error) {
	n, err := s.number(ctx)
	if err == nil {
		err = s.growTrees(ctx)
	}
	return n, err
}

// unnumbered is a row whose events have no numbers yet.
type unnumbered struct {
	ledger.LogRow
	service uint32
}

// number is one round of NumberEvents. A tree that is behind the numbers is left as it is.
func (s *Store) number(ctx context.Context) (n int, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		// The heads are locked before the unnumbered batches are read, so that two sequencers take turns.
		if _, err := tx.ExecContext(ctx, "INSERT INTO journal_head (service, last) VALUES (0, 0) ON CONFLICT (service) DO UPDATE SET last = 0"); err != nil {
			return err
		}
		var batches []unnumbered
		err := scanAll(ctx, tx, "SELECT position, service, count, events FROM journal WHERE first IS NULL ORDER BY position LIMIT $1", func(rows *sql.Rows) error {
			var b unnumbered
			err := rows.Scan(&b.Position, &b.service, &b.Count, &b.Packed)
			batches = append(batches, b)
			return err
		}, numberAtOnce)
		if n = len(batches); err != nil || n == 0 {
			return err
		}
		return place(ctx, tx, batches)
	})
	return n, err
}

// place writes the numbers of the batches, in order, and the heads.
func place(ctx context.Context, tx *sql.Tx, batches []unnumbered) error {
	heads := map[uint32]*growing{}
	for _, b := range batches {
		if heads[b.service] != nil {
			continue
		}
		head := ledger.Head{Service: b.service}
		if err := scanAll(ctx, tx, selectHead+" WHERE service = $1", func(rows *sql.Rows) (err error) {
			head, err = scanHead(rows)
			return err
		}, b.service); err != nil {
			return err
		}
		heads[b.service] = newGrowing(head)
	}
	number, err := tx.PrepareContext(ctx, "UPDATE journal SET first = $1 WHERE position = $2")
	if err != nil {
		return err
	}
	defer number.Close()
	for _, b := range batches {
		h := heads[b.service]
		b.First = h.Last + 1
		if _, err := number.ExecContext(ctx, b.First, b.Position); err != nil {
			return err
		}
		h.Last += int64(b.Count)
		_ = h.grow(b.LogRow) // what can't be read now is told by growTrees, which meets it again
	}
	for service, h := range heads {
		if _, err := tx.ExecContext(ctx, `INSERT INTO journal_head (service, last, size, tree) VALUES ($1, $2, $3, $4)
			ON CONFLICT (service) DO UPDATE SET last = excluded.last, size = excluded.size, tree = excluded.tree`, service, h.Last, h.Size, h.hashes()); err != nil {
			return err
		}
	}
	return nil
}

// Unnumbered tells whether NumberEvents has anything to do, without locking anything.
func (s *Store) Unnumbered(ctx context.Context) (bool, error) {
	return s.any(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM (SELECT 1 FROM journal WHERE first IS NULL LIMIT 1) AS waiting
		UNION ALL SELECT 1 FROM journal_head WHERE size < last) AS work`)
}

func (s *Store) any(ctx context.Context, count string) (bool, error) {
	var n int
	err := s.SQL().QueryRowContext(ctx, count).Scan(&n)
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
