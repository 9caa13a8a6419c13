// SPDX-License-Identifier: Apache-2.0

// Package postgres keeps the ledger's rows in a database that speaks PostgreSQL's protocol, for
// any number of nodes.
//
// A batch is two round trips on one connection: begin, lock, read the clock; then write and commit. The
// number of statements does not depend on how many operations are in it.
//
// It owns the connections, statements and migrations of this engine, and what its errors mean
// to the ledger. It leaves batching to the ledger and the cold tables to package store.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/countersign/countersign/internal/ledger"
)

// Migrations are this engine's schema changes.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// DB is a pool of connections. It implements ledger.Backend. No method holds one connection
// while it waits for another.
type DB struct {
	pool *pgxpool.Pool
	cold *sql.DB
}

// settings of every connection. The statements join short lists with large tables by their keys;
// a plan made while the tables were empty must not scan them when they are full, so there is one
// generic plan and it uses the index. A node that dies must not keep its locks.
func settings() map[string]string {
	return map[string]string{
		"application_name": "countersign",
		"plan_cache_mode":  "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off",
		"statement_timeout": "8000", "idle_in_transaction_session_timeout": "8000",
		"timezone": "UTC",
	}
}

// Open connects to the database at url. maxConns bounds the pool; 0 takes the url's pool_max_conns or
// pgx's default.
func Open(ctx context.Context, url string, maxConns int) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the database URL can't be read; it looks like postgres://user:password@host:5432/name") // err may quote the password
	}
	if maxConns > 0 {
		cfg.MaxConns = int32(min(maxConns, 10_000))
	}
	for k, v := range settings() {
		if _, set := cfg.ConnConfig.RuntimeParams[k]; !set {
			cfg.ConnConfig.RuntimeParams[k] = v
		}
	}
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return &DB{pool: pool, cold: stdlib.OpenDBFromPool(pool)}, nil
}

// Close closes all connections.
func (db *DB) Close() error {
	err := db.cold.Close()
	db.pool.Close()
	return err
}

// SQL gives the cold tables' connections, from the same pool.
func (db *DB) SQL() *sql.DB { return db.cold }

// MaxConns is the size of the pool.
func (db *DB) MaxConns() int { return int(db.pool.Config().MaxConns) }

// Lock does nothing: the database's own locks do it.
func (db *DB) Lock() func() { return func() {} }

// Read implements ledger.Backend.
func (db *DB) Read(ctx context.Context, key ledger.Key) (ledger.Stored, error) {
	s := ledger.Stored{Key: key}
	err := db.pool.QueryRow(ctx, "SELECT version, record FROM "+key.Kind.Table()+" WHERE id = $1 AND service = $2 AND shard = $3",
		uuid(key.ID), int32(key.Service), int32(key.Shard)).Scan(&s.Version, &s.Record)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return s, &ledger.RunError{Outcome: ledger.Down, Err: err}
	}
	return s, nil
}

// readLogin finds a login's account by the id that its record begins with.
const readLogin = `SELECT COALESCE(l.version, 0), l.record, COALESCE(a.version, 0), a.record
	FROM (SELECT 1) one
	LEFT JOIN login l ON l.id = $1 AND l.service = $2 AND l.shard = $3
	LEFT JOIN account a ON a.id = COALESCE(encode(substring(l.record FROM 1 FOR 16), 'hex')::uuid, $4) AND a.service = $2
		AND a.shard = COALESCE(get_byte(l.record, 0) * 256 + get_byte(l.record, 1), $5)`

// ReadLogin implements ledger.Backend.
func (db *DB) ReadLogin(ctx context.Context, login, otherwise ledger.Key) (ledger.Stored, ledger.Stored, error) {
	l, a := ledger.Stored{Key: login}, ledger.Stored{Key: otherwise}
	err := db.pool.QueryRow(ctx, readLogin, uuid(login.ID), int32(login.Service), int32(login.Shard), uuid(otherwise.ID), int32(otherwise.Shard)).
		Scan(&l.Version, &l.Record, &a.Version, &a.Record)
	if err != nil {
		return l, a, &ledger.RunError{Outcome: ledger.Down, Err: err}
	}
	return l, a, nil
}

// Due implements ledger.Backend.
func (db *DB) Due(ctx context.Context, kind ledger.Kind, now int64, limit int) ([]ledger.Key, error) {
	rows, err := db.pool.Query(ctx, "SELECT id, service, shard FROM "+kind.Table()+" WHERE wake_at <= $1 ORDER BY wake_at LIMIT $2", now, limit)
	if err != nil {
		return nil, &ledger.RunError{Outcome: ledger.Down, Err: err}
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ledger.Key, error) {
		var id pgtype.UUID
		var service, shard int32
		err := row.Scan(&id, &service, &shard)
		return ledger.Key{Kind: kind, Service: uint32(service), Shard: uint16(shard), ID: id.Bytes}, err
	})
	if err != nil {
		return nil, &ledger.RunError{Outcome: ledger.Down, Err: err}
	}
	return keys, nil
}

func uuid(id ledger.ID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// Run implements ledger.Backend.
func (db *DB) Run(ctx context.Context, want []ledger.Want, decide ledger.Decide) error {
	c, err := db.pool.Acquire(ctx)
	if err != nil {
		return &ledger.RunError{Outcome: ledger.Down, Err: err}
	}
	defer c.Release() // a connection whose transaction is still open is closed by the pool
	clock, rows, err := lock(ctx, c.Conn(), want)
	if err != nil {
		return failed(ctx, c.Conn(), err, ledger.Down)
	}
	writes, err := decide(clock, rows)
	if err != nil {
		return errors.Join(err, rollback(ctx, c.Conn()))
	}
	if len(writes.Changes) == 0 && len(writes.Journal) == 0 {
		return rollback(ctx, c.Conn())
	}
	if err := write(ctx, c.Conn(), writes); err != nil {
		return failed(ctx, c.Conn(), err, ledger.Unknown)
	}
	return nil
}

func rollback(ctx context.Context, c *pgx.Conn) error {
	if _, err := c.Exec(ctx, "ROLLBACK"); err != nil {
		return &ledger.RunError{Outcome: ledger.Down, Err: err}
	}
	return nil
}

// failed ends the transaction and says what its failure left behind. An error that the database sent
// means that nothing was written; lost is what it means when no answer came.
func failed(ctx context.Context, c *pgx.Conn, err error, lost ledger.Outcome) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return &ledger.RunError{Outcome: lost, Err: err}
	}
	outcome := ledger.Refused
	switch {
	case pg.Code == "22012", // division_by_zero: our own way to say that a row had changed
		pg.Code == "23505",                     // unique_violation
		pg.Code == "40001", pg.Code == "40P01": // serialization_failure, deadlock_detected
		outcome = ledger.LostRace
	case pg.Code == "55P03", pg.Code[:2] == "57", // lock_not_available; operator intervention
		pg.Code[:2] == "08", pg.Code[:2] == "53", pg.Code == "25006", pg.Code[:2] == "58": // connection; out of disk, memory, connections; read-only; system error
		outcome = ledger.Down
	}
	_ = rollback(ctx, c) // if that fails, the pool closes the connection
	return &ledger.RunError{Outcome: outcome, Err: err}
}

// columns are keys, one array a column.
type columns struct {
	ids      []pgtype.UUID
	services []int32
	shards   []int32
}

func (k *columns) add(key ledger.Key) {
	k.ids = append(k.ids, uuid(key.ID))
	k.services = append(k.services, int32(key.Service))
	k.shards = append(k.shards, int32(key.Shard))
}

// byKind sorts what is wanted by table, and returns apart the rows whose owners are wanted.
func byKind(want []ledger.Want) (kinds [ledger.Kinds]columns, owned columns) {
	for _, w := range want {
		kinds[w.Kind].add(w.Key)
		if w.Owner && w.Kind.Owned() {
			owned.add(w.Key)
		}
	}
	return kinds, owned
}

// texts are the statements of each kind of row.
var texts = func() (all [ledger.Kinds]struct{ lock, write string }) {
	for k := ledger.Kind(1); k < ledger.Kinds; k++ {
		all[k].lock, all[k].write = lockRows(k), writeRows(k)
	}
	return all
}()

// lockRows locks the rows of one kind in the order of their keys.
func lockRows(kind ledger.Kind) string {
	return `SELECT t.id, t.service, t.shard, t.version, t.record
		FROM unnest($1::uuid[], $2::int[], $3::int[]) k(id, service, shard)
		CROSS JOIN LATERAL (SELECT * FROM ` + kind.Table() + ` t WHERE t.id = k.id AND t.service = k.service AND t.shard = k.shard FOR UPDATE) t`
}

const (
	// Contacts are those named and the owners of the verifications named, in the order of their keys.
	lockContacts = `SELECT t.id, t.service, t.shard, t.version, t.record
		FROM (SELECT id, service, shard FROM unnest($1::uuid[], $2::int[], $3::int[]) k(id, service, shard)
		      UNION SELECT o.contact, o.service, o.shard FROM unnest($4::uuid[], $5::int[], $6::int[]) v(id, service, shard)
		      CROSS JOIN LATERAL (SELECT contact, service, shard FROM verification o WHERE o.id = v.id AND o.service = v.service AND o.shard = v.shard OFFSET 0) o
		      ORDER BY id, service, shard OFFSET 0) k
		CROSS JOIN LATERAL (SELECT * FROM contact t WHERE t.id = k.id AND t.service = k.service AND t.shard = k.shard FOR UPDATE) t`
	readClock = `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint`
)

// lock begins, locks in the order of kinds and keys, and reads the clock after the last lock.
func lock(ctx context.Context, c *pgx.Conn, want []ledger.Want) (time.Time, []ledger.Stored, error) {
	k, owned := byKind(want)
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	var kinds []ledger.Kind
	for kind := ledger.Kind(1); kind < ledger.Kinds; kind++ {
		rows := k[kind]
		switch {
		case kind == ledger.KindContact && len(rows.ids)+len(owned.ids) > 0:
			b.Queue(lockContacts, rows.ids, rows.services, rows.shards, owned.ids, owned.services, owned.shards)
		case len(rows.ids) > 0:
			b.Queue(texts[kind].lock, rows.ids, rows.services, rows.shards)
		default:
			continue
		}
		kinds = append(kinds, kind)
	}
	b.Queue(readClock)

	res := c.SendBatch(ctx, b)
	defer res.Close()
	if _, err := res.Exec(); err != nil {
		return time.Time{}, nil, err
	}
	stored := make([]ledger.Stored, 0, 2*len(want))
	for _, kind := range kinds {
		rows, err := res.Query()
		if err != nil {
			return time.Time{}, nil, err
		}
		if stored, err = collect(stored, kind, rows); err != nil {
			return time.Time{}, nil, err
		}
	}
	var ms int64
	if err := res.QueryRow().Scan(&ms); err != nil {
		return time.Time{}, nil, err
	}
	return time.UnixMilli(ms), stored, res.Close()
}

func collect(to []ledger.Stored, kind ledger.Kind, rows pgx.Rows) ([]ledger.Stored, error) {
	defer rows.Close()
	for rows.Next() {
		var (
			id             pgtype.UUID
			service, shard int32
			s              ledger.Stored
		)
		if err := rows.Scan(&id, &service, &shard, &s.Version, &s.Record); err != nil {
			return nil, err
		}
		s.Key = ledger.Key{Kind: kind, Service: uint32(service), Shard: uint16(shard), ID: id.Bytes}
		to = append(to, s)
	}
	return to, rows.Err()
}

// Every write of rows ends in 1/0 when a row had changed since it was read or is there already: that
// undoes the transaction before its COMMIT, which is already on its way.
//
// $1 to $3 are the key, $4 version, $5 record, $6 how many rows; then wake_at and contact of the kinds that have them.
func writeRows(kind ledger.Kind) string {
	columns, values, set := "id, service, shard, version, record", "$1::uuid[], $2::int[], $3::int[], $4::int[], $5::bytea[]", "version = excluded.version, record = excluded.record"
	if kind.Wakes() {
		columns, values, set = columns+", wake_at", values+", $7::bigint[]", set+", wake_at = excluded.wake_at"
	}
	if kind.Owned() {
		columns, values = columns+", contact", values+", $8::uuid[]"
	}
	return `WITH w AS (INSERT INTO ` + kind.Table() + ` AS t (` + columns + `) SELECT * FROM unnest(` + values + `)
		ON CONFLICT (id, service, shard) DO UPDATE SET ` + set + `
		WHERE t.version = excluded.version - 1 RETURNING 1)
		SELECT 1 / (CASE WHEN count(*) = $6 THEN 1 ELSE 0 END) FROM w`
}

const writeJournal = `INSERT INTO journal (service, at, count, events) SELECT * FROM unnest($1::int[], $2::bigint[], $3::int[], $4::bytea[])`

type batchRows struct {
	columns
	owners   []pgtype.UUID
	wakes    []pgtype.Int8
	versions []int32
	records  [][]byte
}

// write sends all changes and the commit in one round trip.
func write(ctx context.Context, c *pgx.Conn, w ledger.Writes) error {
	var kinds [ledger.Kinds]batchRows
	for i := range w.Changes {
		ch := &w.Changes[i]
		k := &kinds[ch.Key.Kind]
		k.add(ch.Key)
		k.owners = append(k.owners, uuid(ch.Owner))
		k.wakes = append(k.wakes, pgtype.Int8{Int64: ch.WakeAt, Valid: ch.WakeAt != 0})
		k.versions = append(k.versions, ch.Version+1)
		k.records = append(k.records, ch.Record)
	}
	b := &pgx.Batch{}
	for i, k := range kinds {
		if len(k.ids) == 0 {
			continue
		}
		kind := ledger.Kind(i)
		args := []any{k.ids, k.services, k.shards, k.versions, k.records, len(k.ids)}
		if kind.Wakes() {
			args = append(args, k.wakes)
		}
		if kind.Owned() {
			args = append(args, k.owners)
		}
		b.Queue(texts[kind].write, args...)
	}
	if len(w.Journal) > 0 {
		queueJournal(b, w.Journal)
	}
	b.Queue("COMMIT")
	return c.SendBatch(ctx, b).Close()
}

func queueJournal(b *pgx.Batch, journal []ledger.Journal) {
	var (
		services, counts []int32
		times            []int64
		packed           [][]byte
	)
	for i := range journal {
		j := &journal[i]
		services = append(services, int32(j.Service))
		counts = append(counts, int32(j.Count))
		times = append(times, j.At)
		packed = append(packed, j.Packed)
	}
	b.Queue(writeJournal, services, times, counts, packed)
}
