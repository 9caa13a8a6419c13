// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
)

const (
	// growAtOnce bounds how many rows one step of catching up reads.
	growAtOnce = 500
	// eraseAtOnce bounds how many rows one step of erasing looks at.
	eraseAtOnce = 200
)

const selectHead = "SELECT service, last, size, tree FROM journal_head"

func scanHead(rows *sql.Rows) (h ledger.Head, err error) {
	err = rows.Scan(&h.Service, &h.Last, &h.Size, &h.Hashes)
	return h, err
}

// growing is a head whose tree grows.
type growing struct {
	ledger.Head
	tree   ledger.Tree
	broken error // why the tree can't be read
	leaves [][32]byte
}

func newGrowing(h ledger.Head) *growing {
	if h.Hashes == nil {
		h.Hashes = []byte{} // nil would be NULL
	}
	g := &growing{Head: h}
	g.tree, g.broken = h.Tree()
	return g
}

// grow adds a row's events to the tree. If that fails, nothing has changed.
func (g *growing) grow(row ledger.LogRow) error {
	err := g.broken
	if err == nil && row.First != g.Size+1 {
		err = fmt.Errorf("entry %d is wanted, the next one is %d", g.Size+1, row.First)
	}
	if err == nil {
		g.leaves, _, err = ledger.AppendLeaves(g.leaves[:0], g.Service, row.Packed)
	}
	if err == nil && len(g.leaves) != row.Count {
		err = fmt.Errorf("the row of entry %d has %d entries instead of %d", row.First, len(g.leaves), row.Count)
	}
	if err != nil {
		return fault.New(fault.Internal, "log_unreadable",
			fmt.Sprintf("The event log of service %d can't be read after entry %d. `countersign log verify` says more.", g.Service, g.Size)).WithCause(err)
	}
	g.tree.Append(g.leaves...)
	g.Size = g.tree.Size()
	return nil
}

// hashes are the tree as it is stored. One that can't be read stays as it was.
func (g *growing) hashes() []byte {
	if g.broken != nil {
		return g.Hashes
	}
	return g.tree.Bytes()
}

// growTrees is one step of catching up for each tree that is behind the numbers, as all are in a database that is older than the trees.
// Numbers don't change any more, so it reads and hashes without a lock, and writes if no other node was faster.
func (s *Store) growTrees(ctx context.Context) error {
	var heads []*growing
	if err := s.each(ctx, selectHead+" WHERE size < last ORDER BY service", func(rows *sql.Rows) error {
		h, err := scanHead(rows)
		heads = append(heads, newGrowing(h))
		return err
	}); err != nil {
		return err
	}
	var failed error // the first: another service's tree goes on
	for _, h := range heads {
		was := h.Size
		rows, err := s.LogRows(ctx, h.Service, ledger.LogRow{First: h.Size + 1}, growAtOnce)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			err = h.grow(ledger.LogRow{})
		}
		for i := 0; i < len(rows) && err == nil; i++ {
			err = h.grow(rows[i])
		}
		if failed == nil {
			failed = err
		}
		if h.Size == was {
			continue
		}
		if err := s.write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE journal_head SET size = $1, tree = $2 WHERE service = $3 AND size = $4", h.Size, h.hashes(), h.Service, was)
			return err
		}); err != nil {
			return err
		}
	}
	return failed
}

// LogHeads returns the heads of all services that have one, as they were at one instant.
func (s *Store) LogHeads(ctx context.Context) ([]ledger.Head, error) {
	var heads []ledger.Head
	err := s.each(ctx, selectHead+" WHERE service <> 0 ORDER BY service", func(rows *sql.Rows) error {
		h, err := scanHead(rows)
		heads = append(heads, h)
		return err
	})
	return heads, err
}

// LogRows returns up to limit rows of a service's log in order, as they stand: those whose First is greater than that of after, or the
// same and whose Position is greater. What is wrong with them is the reader's to find.
func (s *Store) LogRows(ctx context.Context, service uint32, after ledger.LogRow, limit int) ([]ledger.LogRow, error) {
	var found []ledger.LogRow
	err := s.each(ctx, `SELECT position, first, count, events FROM journal WHERE service = $1 AND first >= $2 AND (first > $2 OR position > $3)
		ORDER BY first, position LIMIT $4`, func(rows *sql.Rows) error {
		var r ledger.LogRow
		err := rows.Scan(&r.Position, &r.First, &r.Count, &r.Packed)
		found = append(found, r)
		return err
	}, service, after.First, after.Position, limit)
	return found, err
}

// EraseEvents looks at the next entries of a service's log after the place after, and replaces content and salt of those that erase
// chooses by their commitment: the log's tree stays as it is, and nobody can tell any more what they said. It is one small
// step; next is where the following one goes on, 0 after the last. Begin with the place before the first entry that may be
// meant, at worst with 0. Entries that had no place yet get one first, so they are seen; what is appended meanwhile may not be.
// Other nodes may append, number and erase at the same time.
func (s *Store) EraseEvents(ctx context.Context, service uint32, after int64, erase func(*ledger.Event) bool) (next int64, erased int, err error) {
	for {
		waiting, err := s.any(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM journal WHERE first IS NULL LIMIT 1) AS waiting")
		if err != nil {
			return after, 0, err
		}
		if !waiting {
			break
		}
		if _, err := s.number(ctx); err != nil {
			return after, 0, err
		}
	}
	for {
		rows, err := s.rowsFrom(ctx, service, after+1, eraseAtOnce)
		if err != nil {
			return after, erased, err
		}
		n, lost, err := s.eraseIn(ctx, service, after, rows, erase)
		if erased += n; err != nil {
			return after, erased, err
		}
		if lost { // somebody else erased in one of these rows: what they hold is read again
			continue
		}
		if len(rows) < eraseAtOnce {
			return 0, erased, nil
		}
		last := rows[len(rows)-1]
		return last.First + int64(last.Count) - 1, erased, nil
	}
}

// rowsFrom returns rows from the one on in which the entry seq stands.
func (s *Store) rowsFrom(ctx context.Context, service uint32, seq int64, limit int) ([]ledger.LogRow, error) {
	first := seq
	err := s.each(ctx, "SELECT COALESCE(MAX(first), 0) FROM journal WHERE service = $1 AND first <= $2", func(rows *sql.Rows) error {
		return rows.Scan(&first)
	}, service, seq)
	if err != nil {
		return nil, err
	}
	return s.LogRows(ctx, service, ledger.LogRow{First: first}, limit)
}

// eraseIn erases in rows, and tells whether one of them had changed since it was read.
func (s *Store) eraseIn(ctx context.Context, service uint32, after int64, rows []ledger.LogRow, erase func(*ledger.Event) bool) (erased int, lost bool, err error) {
	type change struct {
		position int64
		was, is  []byte
		erased   int
	}
	var changes []change
	for _, r := range rows {
		events, err := ledger.UnpackEvents(service, r.First, r.Packed)
		if err != nil {
			return 0, false, fault.New(fault.Internal, "log_unreadable",
				fmt.Sprintf("The entries from %d on in the event log of service %d can't be read, so nothing is erased there.", r.First, service)).WithCause(err)
		}
		c := change{position: r.Position, was: r.Packed}
		for i := range events {
			if e := &events[i]; e.Seq > after && e.Erased == nil && erase(e) {
				commitment := e.Commitment()
				*e = ledger.Event{Service: service, Seq: e.Seq, Erased: &commitment}
				c.erased++
			}
		}
		if c.erased > 0 {
			c.is = ledger.PackEvents(events)
			changes = append(changes, c)
		}
	}
	if len(changes) == 0 {
		return 0, false, nil
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		erased, lost = 0, false
		for _, c := range changes {
			// The condition keeps what another node erased in the row meanwhile.
			res, err := tx.ExecContext(ctx, "UPDATE journal SET events = $1 WHERE position = $2 AND events = $3", c.is, c.position, c.was)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			if n == 1 {
				erased += c.erased
			} else {
				lost = true
			}
		}
		return nil
	})
	return erased, lost, err
}
