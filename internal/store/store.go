// SPDX-License-Identifier: Apache-2.0

// Package store opens the database that a URL names and keeps everything in it that is not on the
// hot path: services, API keys, counters of callers, the numbering of the journal and its feed.
//
// The cold tables have one SQL text that both engines understand. The hot rows are the ledger's; each
// engine has a package of its own for them.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/store/postgres"
	"github.com/countersign/countersign/internal/store/sqlite"
)

// engine is what both databases offer.
type engine interface {
	ledger.Backend
	SQL() *sql.DB
	Lock() (unlock func()) // to be held while writing to the cold tables
	Close() error
}

// Store is an open database. All methods may be called concurrently.
type Store struct {
	engine
	postgres bool
}

// Options of Open.
type Options struct {
	MaxConns int            // of a PostgreSQL pool; 0: the driver's default
	SQLite   sqlite.Options //
}

// Open opens the database at url: "sqlite:PATH" or "postgres://...". It changes nothing in it.
//
// Faults: Invalid when the URL names no database that we know.
func Open(ctx context.Context, url string, opt Options) (*Store, error) {
	switch scheme, rest, _ := strings.Cut(url, ":"); scheme {
	case "sqlite":
		db, err := sqlite.Open(strings.TrimPrefix(rest, "//"), opt.SQLite)
		if err != nil {
			return nil, err
		}
		return &Store{engine: db}, nil
	case "postgres", "postgresql":
		db, err := postgres.Open(ctx, url, opt.MaxConns)
		if err != nil {
			return nil, err
		}
		return &Store{engine: db, postgres: true}, nil
	default:
		return nil, fault.New(fault.Invalid, "invalid_database_url", "The database is named by sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME.").WithField("database")
	}
}

// Migrate brings the schema up to date. Several nodes may start at once: one does it, the others
// wait.
func (s *Store) Migrate(ctx context.Context) error {
	p, err := s.provider()
	if err != nil {
		return err
	}
	defer s.Lock()()
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}

// Fresh tells whether nobody has used this database yet. It writes nothing.
func (s *Store) Fresh(ctx context.Context) (bool, error) {
	query := "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'fact'"
	if s.postgres {
		query = "SELECT COUNT(to_regclass('fact'))"
	}
	var n int
	err := s.SQL().QueryRowContext(ctx, query).Scan(&n)
	return n == 0, unavailable(err)
}

// Migrated tells whether the schema is up to date.
func (s *Store) Migrated(ctx context.Context) (bool, error) {
	p, err := s.provider()
	if err != nil {
		return false, err
	}
	pending, err := p.HasPending(ctx)
	return !pending, err
}

func (s *Store) provider() (*goose.Provider, error) {
	dialect, files := goose.DialectSQLite3, fs.FS(sqlite.Migrations)
	var opts []goose.ProviderOption
	if s.postgres {
		dialect, files = goose.DialectPostgres, postgres.Migrations
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, fmt.Errorf("prepare migrations: %w", err)
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, s.SQL(), files, opts...)
	if err != nil {
		return nil, fmt.Errorf("prepare migrations: %w", err)
	}
	return p, nil
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return unavailable(s.SQL().QueryRowContext(ctx, "SELECT 1").Scan(&one))
}

// unavailable is the fault of a cold path whose database can't be used.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Unavailable, "database_unavailable", "The database can't be used right now. Nothing was changed; ask again in a moment.").
		WithRetry(2 * time.Second).WithCause(err)
}

// write runs fn in one transaction.
func (s *Store) write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	defer s.Lock()()
	tx, err := s.SQL().BeginTx(ctx, nil)
	if err != nil {
		return unavailable(err)
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback()
		var f *fault.Error
		if errors.As(err, &f) {
			return err
		}
		return unavailable(err)
	}
	return unavailable(tx.Commit())
}
