// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/countersign/countersign/internal/service"
)

// SigningKeys implements service.Store.
func (s *Store) SigningKeys(ctx context.Context) ([]service.SigningKeyRow, error) {
	var keys []service.SigningKeyRow
	err := s.each(ctx, "SELECT service, kid, public, sealed, makes FROM signing_key ORDER BY service, created_at DESC, kid", func(rows *sql.Rows) error {
		var k service.SigningKeyRow
		var makes int
		if err := rows.Scan(&k.Service, &k.KID, &k.Public, &k.Sealed, &makes); err != nil {
			return err
		}
		k.Makes = makes == 1
		keys = append(keys, k)
		return nil
	})
	return keys, err
}

// AddSigningKey implements service.Store.
func (s *Store) AddSigningKey(ctx context.Context, k service.SigningKeyRow, at time.Time) error {
	makes := 0
	if k.Makes {
		makes = 1
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		// A second first key meets the index of those that make signatures.
		res, err := tx.ExecContext(ctx, `INSERT INTO signing_key (service, kid, public, sealed, makes, created_at, retired_at) VALUES ($1, $2, $3, $4, $5, $6, 0)
			ON CONFLICT DO NOTHING`, k.Service, k.KID, k.Public, k.Sealed, makes, at.UnixMilli())
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return revise(ctx, tx)
	})
}

// UseSigningKey implements service.Store.
func (s *Store) UseSigningKey(ctx context.Context, svc uint32, kid string, at time.Time) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		// This locks the service, so that two rotations come one after the other.
		if _, err := tx.ExecContext(ctx, "UPDATE service SET name = name WHERE id = $1", svc); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE signing_key SET sealed = NULL, makes = 0, retired_at = $1 WHERE service = $2 AND kid <> $3 AND retired_at = 0",
			at.UnixMilli(), svc, kid); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, "UPDATE signing_key SET makes = 1 WHERE service = $1 AND kid = $2 AND retired_at = 0", svc, kid)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return service.ErrRotated
		}
		return revise(ctx, tx)
	})
}
