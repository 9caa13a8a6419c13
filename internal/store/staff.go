// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/ledger"
)

// AddStaff adds somebody to the list of a service's staff.
func (s *Store) AddStaff(ctx context.Context, m account.StaffMember) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO staff (service, account, role, since) VALUES ($1, $2, $3, $4)",
			m.Service, s.id(m.Account), m.Role, m.Since.UnixMilli())
		return err
	})
}

// RemoveStaff takes somebody off the list, and tells whether they were on it.
func (s *Store) RemoveStaff(ctx context.Context, service uint32, id ledger.ID) (bool, error) {
	n, err := s.affected(ctx, "DELETE FROM staff WHERE service = $1 AND account = $2", service, s.id(id))
	return n > 0, err
}

// Staff lists who works for a service, who has been there longest first.
func (s *Store) Staff(ctx context.Context, service uint32) ([]account.StaffMember, error) {
	column := "account"
	if s.postgres {
		column = "uuid_send(account)"
	}
	var all []account.StaffMember
	err := s.each(ctx, "SELECT "+column+", role, since FROM staff WHERE service = $1 ORDER BY since, account", func(rows *sql.Rows) error {
		m := account.StaffMember{Service: service}
		var id []byte
		var since int64
		if err := rows.Scan(&id, &m.Role, &since); err != nil {
			return err
		}
		copy(m.Account[:], id)
		m.Since = time.UnixMilli(since).UTC()
		all = append(all, m)
		return nil
	}, service)
	return all, err
}
