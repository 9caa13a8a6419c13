// SPDX-License-Identifier: Apache-2.0

// Package sqlite keeps the ledger's rows in one SQLite file: one writer that commits with a real
// sync, and readers beside it. It builds without cgo.
//
// It owns the connections, pragmas, statements and migrations of this engine, and what its errors
// mean to the ledger. It leaves batching to the ledger and the cold tables to package store.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	sqlite3 "github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/countersign/countersign/internal/ledger"
)

// Migrations are this engine's schema changes.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Options of a database.
type Options struct {
	ReadOnly bool // open a database that nobody can write to (tests of bad days)
	MaxPages int  // 0: as many as the disk holds; a limit makes a disk that is full
	VFS      string
}

const (
	readers     = 4
	busyTimeout = 5 * time.Second
	// pragmas of every connection. synchronous=FULL: in WAL mode each commit syncs the log
	// before it is answered (https://www.sqlite.org/pragma.html#pragma_synchronous).
	pragmas = `PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768;
		PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=ON`
	checkpointPages = 4000 // of 4 KiB in the log before it is moved to the database
)

// DB is one SQLite database. It implements ledger.Backend.
type DB struct {
	mu     sync.Mutex // held by whoever writes, so that this process never waits for its own lock
	writer *conn
	reads  chan *conn
	cold   *sql.DB
}

// conn is a connection with its prepared statements.
type conn struct {
	*sqlite3.Conn
	get    [ledger.Kinds]*sqlite3.Stmt
	put    [ledger.Kinds]*sqlite3.Stmt
	change [ledger.Kinds]*sqlite3.Stmt
	due    [ledger.Kinds]*sqlite3.Stmt
	note   *sqlite3.Stmt
	login  *sqlite3.Stmt
}

// Open opens or makes the database file at path.
func Open(path string, opt Options) (*DB, error) {
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: path}).String()
	if opt.VFS != "" {
		dsn += "?vfs=" + url.QueryEscape(opt.VFS)
	}
	flags := sqlite3.OPEN_READWRITE | sqlite3.OPEN_CREATE | sqlite3.OPEN_URI
	if opt.ReadOnly {
		flags = sqlite3.OPEN_READONLY | sqlite3.OPEN_URI
	}
	db := &DB{reads: make(chan *conn, readers)}
	var err error
	if db.writer, err = dial(dsn, flags, opt); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.cold, err = driver.Open(dsn, func(c *sqlite3.Conn) error { return prepare(c, opt) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.writer.Close())
	}
	db.cold.SetMaxOpenConns(2)
	for range readers {
		c, err := dial(dsn, flags, opt)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
		}
		db.reads <- c
	}
	return db, nil
}

func dial(dsn string, flags sqlite3.OpenFlag, opt Options) (*conn, error) {
	c, err := sqlite3.OpenFlags(dsn, flags)
	if err != nil {
		return nil, err
	}
	if err := prepare(c, opt); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &conn{Conn: c}, nil
}

func prepare(c *sqlite3.Conn, opt Options) error {
	if err := c.BusyTimeout(busyTimeout); err != nil {
		return err
	}
	if opt.ReadOnly {
		return c.Exec("PRAGMA query_only=ON")
	}
	if err := c.Exec(pragmas); err != nil {
		return err
	}
	if opt.MaxPages > 0 {
		if err := c.Exec(fmt.Sprintf("PRAGMA max_page_count=%d", opt.MaxPages)); err != nil {
			return err
		}
	}
	return c.WALAutoCheckpoint(checkpointPages)
}

// Close closes all connections.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	errs := []error{db.cold.Close()}
	for range readers {
		select {
		case c := <-db.reads:
			errs = append(errs, c.close())
		case <-time.After(busyTimeout):
			errs = append(errs, errors.New("a reader did not come back"))
		}
	}
	return errors.Join(append(errs, db.writer.close())...)
}

func (c *conn) close() error {
	for _, s := range c.statements() {
		if *s != nil {
			_ = (*s).Close()
		}
	}
	return c.Close()
}

func (c *conn) statements() []**sqlite3.Stmt {
	all := []**sqlite3.Stmt{&c.note, &c.login}
	for i := range c.get {
		all = append(all, &c.get[i], &c.put[i], &c.change[i], &c.due[i])
	}
	return all
}

// SQL gives the cold tables' connections; writes must be made under Lock.
func (db *DB) SQL() *sql.DB { return db.cold }

// Lock waits until no other part of this process writes.
func (db *DB) Lock() func() {
	db.mu.Lock()
	return db.mu.Unlock
}

// stmt prepares a statement once for its connection. It is prepared on first use because the
// tables may not be there when the database is opened.
func (c *conn) stmt(slot **sqlite3.Stmt, sql string) (*sqlite3.Stmt, error) {
	if *slot == nil {
		s, _, err := c.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
		if err != nil {
			return nil, err
		}
		*slot = s
	}
	return *slot, nil
}

// Read implements ledger.Backend.
func (db *DB) Read(ctx context.Context, key ledger.Key) (ledger.Stored, error) {
	c, err := db.reader(ctx)
	if err != nil {
		return ledger.Stored{}, err
	}
	defer func() { db.reads <- c }()
	s, _, err := c.read(key)
	if err != nil {
		return ledger.Stored{}, down(err)
	}
	return s, nil
}

// readLogin finds a login's account by the id that its record begins with.
const readLogin = `SELECT COALESCE(l.version, 0), l.record, COALESCE(a.version, 0), a.record
	FROM (SELECT 1) LEFT JOIN login l ON l.id = ?1 AND l.service = ?2 AND l.shard = ?3
	LEFT JOIN account a ON a.id = COALESCE(substr(l.record, 1, 16), ?4) AND a.service = ?2`

// ReadLogin implements ledger.Backend.
func (db *DB) ReadLogin(ctx context.Context, login, otherwise ledger.Key) (ledger.Stored, ledger.Stored, error) {
	l, a := ledger.Stored{Key: login}, ledger.Stored{Key: otherwise}
	c, err := db.reader(ctx)
	if err != nil {
		return l, a, err
	}
	defer func() { db.reads <- c }()
	s, err := c.stmt(&c.login, readLogin)
	if err != nil {
		return l, a, down(err)
	}
	if err := errors.Join(bindKey(s, 1, login), s.BindBlob(4, otherwise.ID[:])); err != nil {
		return l, a, down(err)
	}
	if s.Step() {
		l.Version, a.Version = int32(s.ColumnInt64(0)), int32(s.ColumnInt64(2))
		l.Record, a.Record = s.ColumnBlob(1, nil), s.ColumnBlob(3, nil)
	}
	if err := s.Reset(); err != nil {
		return l, a, down(err)
	}
	return l, a, nil
}

func (db *DB) reader(ctx context.Context) (*conn, error) {
	select {
	case c := <-db.reads:
		return c, nil
	case <-ctx.Done():
		return nil, down(ctx.Err())
	}
}

// read returns a row and its owner; a row that isn't there has version 0.
func (c *conn) read(key ledger.Key) (row ledger.Stored, owner ledger.ID, err error) {
	s, err := c.stmt(&c.get[key.Kind], texts[key.Kind].get)
	if err != nil {
		return row, owner, err
	}
	row.Key = key
	if err := bindKey(s, 1, key); err != nil {
		return row, owner, err
	}
	if s.Step() {
		row.Version = int32(s.ColumnInt64(0))
		row.Record = s.ColumnBlob(1, nil)
		if key.Kind.Owned() {
			copy(owner[:], s.ColumnRawBlob(2))
		}
	}
	return row, owner, s.Reset()
}

func bindKey(s *sqlite3.Stmt, at int, key ledger.Key) error {
	return errors.Join(s.BindBlob(at, key.ID[:]), s.BindInt64(at+1, int64(key.Service)), s.BindInt64(at+2, int64(key.Shard)))
}

// Due implements ledger.Backend.
func (db *DB) Due(ctx context.Context, kind ledger.Kind, now int64, limit int) ([]ledger.Key, error) {
	c, err := db.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { db.reads <- c }()
	s, err := c.stmt(&c.due[kind], texts[kind].due)
	if err != nil {
		return nil, down(err)
	}
	if err := errors.Join(s.BindInt64(1, now), s.BindInt64(2, int64(limit))); err != nil {
		return nil, down(err)
	}
	var keys []ledger.Key
	for s.Step() {
		k := ledger.Key{Kind: kind, Service: uint32(s.ColumnInt64(1)), Shard: uint16(s.ColumnInt64(2))}
		copy(k.ID[:], s.ColumnRawBlob(0))
		keys = append(keys, k)
	}
	if err := s.Reset(); err != nil {
		return nil, down(err)
	}
	return keys, nil
}

// Run implements ledger.Backend. The one writer's transaction is the lock of every row.
func (db *DB) Run(_ context.Context, want []ledger.Want, decide ledger.Decide) (err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	c := db.writer
	tx, err := c.BeginImmediate()
	if err != nil {
		return down(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	rows, err := c.readAll(want)
	if err != nil {
		return down(err)
	}
	writes, err := decide(time.Now(), rows)
	if err != nil {
		return err
	}
	if err := c.write(writes); err != nil {
		return err
	}
	// A commit that SQLite reports as failed is rolled back: nothing of it will be there.
	if err := tx.Commit(); err != nil {
		return down(err)
	}
	return nil
}

// readAll returns the rows that are wanted and their owners, each once.
func (c *conn) readAll(want []ledger.Want) ([]ledger.Stored, error) {
	rows := make([]ledger.Stored, 0, 2*len(want))
	asked := make(map[ledger.Key]bool, 2*len(want))
	for _, k := range want {
		asked[k.Key] = true
	}
	for _, k := range want {
		row, owner, err := c.read(k.Key)
		if err != nil {
			return nil, err
		}
		if row.Version == 0 {
			continue
		}
		rows = append(rows, row)
		ok := ledger.Key{Kind: ledger.KindContact, Service: k.Service, Shard: k.Shard, ID: owner}
		if !k.Owner || owner.IsZero() || asked[ok] {
			continue
		}
		asked[ok] = true
		if row, _, err = c.read(ok); err != nil {
			return nil, err
		}
		if row.Version > 0 {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func (c *conn) write(w ledger.Writes) error {
	for i := range w.Changes {
		if err := c.apply(&w.Changes[i]); err != nil {
			return refused(err)
		}
	}
	for i := range w.Journal {
		j := &w.Journal[i]
		s, err := c.stmt(&c.note, "INSERT INTO journal (service, at, count, events) VALUES (?, ?, ?, ?)")
		if err != nil {
			return refused(err)
		}
		if err := errors.Join(s.BindInt64(1, int64(j.Service)), s.BindInt64(2, j.At), s.BindInt64(3, int64(j.Count)),
			s.BindBlob(4, j.Packed), run(s)); err != nil {
			return refused(err)
		}
	}
	return nil
}

func run(s *sqlite3.Stmt) error {
	s.Step()
	return s.Reset()
}

// apply inserts or updates one row. The writer holds the only lock, so versions can't have changed.
func (c *conn) apply(ch *ledger.Change) error {
	k := ch.Key.Kind
	var s *sqlite3.Stmt
	var err error
	if ch.Version == 0 {
		s, err = c.stmt(&c.put[k], texts[k].put)
	} else {
		s, err = c.stmt(&c.change[k], texts[k].change)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(s.BindInt64(1, int64(ch.Version)+1), s.BindBlob(2, ch.Record), bindKey(s, 3, ch.Key)); err != nil {
		return err
	}
	at := 6
	if k.Wakes() {
		if ch.WakeAt == 0 {
			err = s.BindNull(at)
		} else {
			err = s.BindInt64(at, ch.WakeAt)
		}
		at++
	}
	if k.Owned() && ch.Version == 0 {
		err = errors.Join(err, s.BindBlob(at, ch.Owner[:]))
	}
	if err != nil {
		return err
	}
	return run(s)
}

// texts are the statements of each kind of row.
var texts = func() (all [ledger.Kinds]struct{ get, put, change, due string }) {
	for k := ledger.Kind(1); k < ledger.Kinds; k++ {
		t, table := &all[k], k.Table()
		get, set, columns, values := "version, record", "version = ?1, record = ?2", "version, record, id, service, shard", "?, ?, ?, ?, ?"
		if k.Wakes() {
			set, columns, values = set+", wake_at = ?6", columns+", wake_at", values+", ?"
		}
		if k.Owned() {
			get, columns, values = get+", contact", columns+", contact", values+", ?"
		}
		t.get = "SELECT " + get + " FROM " + table + " WHERE id = ? AND service = ? AND shard = ?"
		t.put = "INSERT INTO " + table + " (" + columns + ") VALUES (" + values + ")"
		t.change = "UPDATE " + table + " SET " + set + " WHERE id = ?3 AND service = ?4 AND shard = ?5"
		t.due = "SELECT id, service, shard FROM " + table + " WHERE wake_at <= ? ORDER BY wake_at LIMIT ?"
	}
	return all
}()

func down(err error) error { return &ledger.RunError{Outcome: ledger.Down, Err: err} }

// refused sorts an error of a write: a full disk or a read-only file refuses every operation, so
// trying them one by one is no use.
func refused(err error) error {
	for _, code := range []sqlite3.ErrorCode{sqlite3.FULL, sqlite3.READONLY, sqlite3.IOERR, sqlite3.CANTOPEN, sqlite3.CORRUPT, sqlite3.NOTADB} {
		if errors.Is(err, code) {
			return down(err)
		}
	}
	return &ledger.RunError{Outcome: ledger.Refused, Err: err}
}
