// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

var (
	_ service.Store             = (*Store)(nil)
	_ verification.CounterStore = (*Store)(nil)
)

// Fact returns the value of a single fact; empty if it isn't set.
func (s *Store) Fact(ctx context.Context, name string) (string, error) {
	var v string
	err := s.SQL().QueryRowContext(ctx, "SELECT value FROM fact WHERE name = $1", name).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, unavailable(err)
}

// SetFactOnce sets a fact that isn't set and returns the value that it has then.
func (s *Store) SetFactOnce(ctx context.Context, name, value string) (string, error) {
	err := s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO fact (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", name, value)
		return err
	})
	if err != nil {
		return "", err
	}
	return s.Fact(ctx, name)
}

const (
	factClock    = "latest_time" // Unix milliseconds
	factRevision = "registry_revision"
)

// LatestTime is the latest time that any node wrote down; the zero time if none has.
func (s *Store) LatestTime(ctx context.Context) (time.Time, error) {
	v, err := s.Fact(ctx, factClock)
	if err != nil || v == "" {
		return time.Time{}, err
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the latest time: %w", err)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// SaveLatestTime writes down the latest time; an earlier one changes nothing.
func (s *Store) SaveLatestTime(ctx context.Context, t time.Time) error {
	// Times have thirteen digits until the year 2286, so that texts compare as numbers do.
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO fact (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > fact.value`,
			factClock, fmt.Sprintf("%013d", t.UnixMilli()))
		return err
	})
}

// Revision changes whenever a service or an API key does.
func (s *Store) Revision(ctx context.Context) (string, error) { return s.Fact(ctx, factRevision) }

func revise(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO fact (name, value) VALUES ($1, '1')
		ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(fact.value AS BIGINT) + 1 AS TEXT)`, factRevision)
	return err
}

// CreateService implements service.Store.
func (s *Store) CreateService(ctx context.Context, row service.Row, key service.KeyRow) (uint32, error) {
	policy, brand, err := encodeService(&row)
	if err != nil {
		return 0, err
	}
	var id uint32
	err = s.write(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), 0) + 1 FROM service").Scan(&id); err != nil {
			return err
		}
		var taken int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM service WHERE slug = $1", row.Slug).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			return service.ErrSlugTaken
		}
		wrapped, err := key.Wrap(id)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO service (id, slug, name, domain, locale, policy, brand, logo, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
			id, row.Slug, row.Name, row.Domain, row.Locale, policy, brand, row.Brand.Logo.Bytes(), row.CreatedAt.UnixMilli()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO service_key (service, id, wrapped, makes, indexes, created_at) VALUES ($1, $2, $3, 1, 1, $4)",
			id, key.ID, wrapped, row.CreatedAt.UnixMilli()); err != nil {
			return err
		}
		return revise(ctx, tx)
	})
	return id, err
}

// UpdateService implements service.Store.
func (s *Store) UpdateService(ctx context.Context, id uint32, change func(*service.Row) error) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		// This locks the row on both engines, so that what is read stays so until it is written.
		res, err := tx.ExecContext(ctx, "UPDATE service SET name = name WHERE id = $1", id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return cmp.Or(err, error(service.ErrNoService))
		}
		row, err := scanService(tx.QueryRowContext(ctx, selectService+" WHERE id = $1", id))
		if err != nil {
			return err
		}
		if err := change(&row); err != nil {
			return err
		}
		policy, brand, err := encodeService(&row)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE service SET name = $1, domain = $2, locale = $3, policy = $4, brand = $5, logo = $6 WHERE id = $7",
			row.Name, row.Domain, row.Locale, policy, brand, row.Brand.Logo.Bytes(), id); err != nil {
			return err
		}
		return revise(ctx, tx)
	})
}

// encodeService writes what is kept of a service as JSON.
func encodeService(row *service.Row) (policy, brand string, err error) {
	p, err := json.Marshal(row.Policy)
	if err != nil {
		return "", "", fmt.Errorf("encode a policy: %w", err)
	}
	b, err := json.Marshal(row.Brand)
	if err != nil {
		return "", "", fmt.Errorf("encode a brand: %w", err)
	}
	return string(p), string(b), nil
}

const selectService = "SELECT id, slug, name, domain, locale, policy, brand, logo, created_at FROM service"

func scanService(from interface{ Scan(...any) error }) (service.Row, error) {
	var (
		r             service.Row
		policy, brand string
		logo          []byte
		at            int64
	)
	if err := from.Scan(&r.ID, &r.Slug, &r.Name, &r.Domain, &r.Locale, &policy, &brand, &logo, &at); err != nil {
		return r, err
	}
	r.CreatedAt = time.UnixMilli(at).UTC()
	r.Policy = service.DefaultPolicy() // what a newer version added has its default
	if err := json.Unmarshal([]byte(policy), &r.Policy); err != nil {
		return r, fmt.Errorf("decode a policy: %w", err)
	}
	r.Policy.Complete()
	if err := json.Unmarshal([]byte(brand), &r.Brand); err != nil {
		return r, fmt.Errorf("decode a brand: %w", err)
	}
	r.Brand.Logo = service.LogoFrom(logo)
	return r, nil
}

// Services implements service.Store.
func (s *Store) Services(ctx context.Context) ([]service.Row, []service.KeyRow, error) {
	var services []service.Row
	err := s.each(ctx, selectService+" ORDER BY id", func(rows *sql.Rows) error {
		r, err := scanService(rows)
		services = append(services, r)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	var keys []service.KeyRow
	err = s.each(ctx, "SELECT service, id, wrapped, makes, indexes FROM service_key ORDER BY service, id", func(rows *sql.Rows) error {
		var k service.KeyRow
		var makes, indexes int
		if err := rows.Scan(&k.Service, &k.ID, &k.Wrapped, &makes, &indexes); err != nil {
			return err
		}
		k.Makes, k.Indexes = makes == 1, indexes == 1
		keys = append(keys, k)
		return nil
	})
	return services, keys, err
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// scanAll runs a query and hands over each row.
func scanAll(ctx context.Context, on querier, query string, scan func(*sql.Rows) error, args ...any) error {
	rows, err := on.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *Store) each(ctx context.Context, query string, scan func(*sql.Rows) error, args ...any) error {
	return unavailable(scanAll(ctx, s.SQL(), query, scan, args...))
}

// affected runs a statement and tells how many rows it changed.
func (s *Store) affected(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// AddServiceKey implements service.Store.
func (s *Store) AddServiceKey(ctx context.Context, k service.KeyRow, at time.Time) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO service_key (service, id, wrapped, makes, indexes, created_at) VALUES ($1, $2, $3, 0, 0, $4)",
			k.Service, k.ID, k.Wrapped, at.UnixMilli()); err != nil {
			return err
		}
		return revise(ctx, tx)
	})
}

// UseServiceKey implements service.Store.
func (s *Store) UseServiceKey(ctx context.Context, svc uint32, id uint8) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE service_key SET makes = CASE WHEN id = $1 THEN 1 ELSE 0 END WHERE service = $2", id, svc); err != nil {
			return err
		}
		return revise(ctx, tx)
	})
}

// CreateAPIKey implements service.Store.
func (s *Store) CreateAPIKey(ctx context.Context, k service.APIKey) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO api_key (id, service, name, hash, scopes, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6, 0)",
			k.ID, k.Service, k.Name, k.Hash[:], joinScopes(k.Scopes), k.CreatedAt.UnixMilli()); err != nil {
			return err
		}
		return revise(ctx, tx)
	})
}

func joinScopes(scopes []service.Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, " ")
}

// RevokeAPIKey implements service.Store.
func (s *Store) RevokeAPIKey(ctx context.Context, svc uint32, id string, at time.Time) (bool, error) {
	var n int64
	err := s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "UPDATE api_key SET revoked_at = $1 WHERE id = $2 AND service = $3 AND revoked_at = 0", at.UnixMilli(), id, svc)
		if err != nil {
			return err
		}
		if n, err = res.RowsAffected(); err != nil {
			return err
		}
		return revise(ctx, tx)
	})
	return n == 1, err
}

// APIKeys implements service.Store.
func (s *Store) APIKeys(ctx context.Context) ([]service.APIKey, error) {
	var keys []service.APIKey
	err := s.each(ctx, "SELECT id, service, name, hash, scopes, created_at, revoked_at FROM api_key ORDER BY created_at, id", func(rows *sql.Rows) error {
		var (
			k                service.APIKey
			hash             []byte
			scopes           string
			created, revoked int64
		)
		if err := rows.Scan(&k.ID, &k.Service, &k.Name, &hash, &scopes, &created, &revoked); err != nil {
			return err
		}
		copy(k.Hash[:], hash)
		for _, w := range strings.Fields(scopes) {
			k.Scopes = append(k.Scopes, service.Scope(w))
		}
		k.CreatedAt = time.UnixMilli(created).UTC()
		if revoked > 0 {
			k.RevokedAt = time.UnixMilli(revoked).UTC()
		}
		keys = append(keys, k)
		return nil
	})
	return keys, err
}

// AddCounters implements verification.CounterStore. Counters are added in the order of their keys, so that two nodes
// never wait for each other.
func (s *Store) AddCounters(ctx context.Context, counters []verification.Counter) ([]int64, error) {
	order := make([]int, len(counters))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := &counters[a], &counters[b]
		if c := strings.Compare(string(x.Caller[:]), string(y.Caller[:])); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(x.Window, y.Window), cmp.Compare(x.Bucket, y.Bucket), cmp.Compare(x.Service, y.Service))
	})
	sums := make([]int64, len(counters))
	err := s.write(ctx, func(tx *sql.Tx) error {
		stmt, err := tx.PrepareContext(ctx, `INSERT INTO counter (caller, counted, bucket, service, count, ends) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (caller, counted, bucket, service) DO UPDATE SET count = counter.count + excluded.count RETURNING count`)
		if err != nil {
			return err
		}
		defer stmt.Close()
		for _, i := range order {
			c := &counters[i]
			if err := stmt.QueryRowContext(ctx, s.id(c.Caller), c.Window, c.Bucket, c.Service, c.Count, c.Ends).Scan(&sums[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return sums, err
}

// id is a 128-bit id as the engine stores it.
func (s *Store) id(id ledger.ID) any {
	if s.postgres {
		h := hex.EncodeToString(id[:])
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	}
	return id[:]
}

// LinkMessage remembers which message a provider means by its reference.
func (s *Store) LinkMessage(ctx context.Context, provider, reference string, ref message.Ref) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO provider_message (provider, reference, kind, service, shard, id, number) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (provider, reference) DO NOTHING`, provider, reference, ref.Row.Kind, ref.Row.Service, ref.Row.Shard, s.id(ref.Row.ID), ref.Number)
		return err
	})
}

// FindMessage returns the message that a provider means, and whether there is one.
func (s *Store) FindMessage(ctx context.Context, provider, reference string) (message.Ref, bool, error) {
	column := "id"
	if s.postgres {
		column = "uuid_send(id)"
	}
	var ref message.Ref
	var id []byte
	err := s.SQL().QueryRowContext(ctx, "SELECT kind, service, shard, "+column+", number FROM provider_message WHERE provider = $1 AND reference = $2", provider, reference).
		Scan(&ref.Row.Kind, &ref.Row.Service, &ref.Row.Shard, &id, &ref.Number)
	if errors.Is(err, sql.ErrNoRows) {
		return ref, false, nil
	}
	copy(ref.Row.ID[:], id)
	return ref, err == nil, unavailable(err)
}
