// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/store"
	"github.com/countersign/countersign/internal/store/sqlite"
	"github.com/countersign/countersign/internal/testkit/peers"
	"github.com/countersign/countersign/internal/verification"
)

// number is a row that is nothing but a number.
type number struct {
	n     uint64
	owner ledger.ID
	wake  int64
}

func (v *number) AppendRecord(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, v.n)
	dst = binary.BigEndian.AppendUint64(dst, uint64(v.wake))
	return append(dst, v.owner[:]...)
}
func (v *number) Copy() ledger.Value { c := *v; return &c }
func (v *number) Owner() ledger.ID   { return v.owner }
func (v *number) WakeAt() int64      { return v.wake }

func decode(_ ledger.Kind, b []byte) (ledger.Value, error) {
	if len(b) != 32 {
		return nil, fmt.Errorf("a record of %d bytes", len(b))
	}
	v := &number{n: binary.BigEndian.Uint64(b), wake: int64(binary.BigEndian.Uint64(b[8:]))}
	copy(v.owner[:], b[16:])
	return v, nil
}

func key(kind ledger.Kind, n byte) ledger.Key {
	return ledger.Key{Kind: kind, Service: 1, Shard: 7, ID: ledger.ID{1, n}}
}

func open(t *testing.T, url string, opt store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func batcher(t *testing.T, s *store.Store) *ledger.Batcher {
	b := ledger.New(s, ledger.Options{Decode: decode})
	t.Cleanup(b.Close)
	return b
}

// onBoth runs a test of the suite on both engines, each with a fresh database that is up to date.
func onBoth(t *testing.T, run func(t *testing.T, url string)) {
	t.Helper()
	ready := func(t *testing.T, url string) {
		if err := open(t, url, store.Options{}).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		run(t, url)
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		ready(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		ready(t, peers.Postgres(t))
	})
}

// increment adds one to a row.
func increment(k ledger.Key) ledger.Op {
	return ledger.Op{Keys: []ledger.Key{k}, Apply: func(tx *ledger.Tx) error {
		v, ok := tx.Get(k).(*number)
		if !ok {
			v = &number{}
		}
		v.n++
		tx.Put(k, v)
		tx.Event(ledger.Event{Service: 1, Kind: 1, At: tx.Now(), Subject: k.ID})
		return nil
	}}
}

func numberOf(t *testing.T, b *ledger.Batcher, k ledger.Key) uint64 {
	t.Helper()
	v, err := b.Read(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if v == nil {
		return 0
	}
	return v.(*number).n
}

// Keeps: S3
func TestIncrementsAreNeverLost(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		nodes := []*ledger.Batcher{batcher(t, open(t, url, store.Options{MaxConns: 3}))}
		if nodes[0] != nil && url[:6] != "sqlite" {
			nodes = append(nodes, batcher(t, open(t, url, store.Options{MaxConns: 3})), batcher(t, open(t, url, store.Options{MaxConns: 3})))
		}
		const workers, each = 30, 20
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range each {
					op := increment(key(ledger.Kind(1+i%3), byte(i%2)))
					if err := nodes[w%len(nodes)].Do(t.Context(), op); err != nil {
						t.Errorf("increment: %v (%v)", err, errors.Unwrap(err))
						return
					}
				}
			})
		}
		wg.Wait()
		var sum uint64
		for kind := ledger.KindReply; kind <= ledger.KindContact; kind++ {
			sum += numberOf(t, nodes[0], key(kind, 0)) + numberOf(t, nodes[0], key(kind, 1))
		}
		if sum != workers*each {
			t.Fatalf("%d increments are there, want %d", sum, workers*each)
		}
	})
}

// With the smallest pool and many clients nothing hangs, whatever is asked at once.
func TestSmallestPool(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{MaxConns: 1})
		b := batcher(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				k := key(ledger.KindVerification, byte(i))
				if err := errors.Join(b.Do(ctx, increment(k)), s.Ping(ctx)); err != nil {
					t.Error(err)
				}
				if _, err := b.Read(ctx, k); err != nil {
					t.Error(err)
				}
				if _, err := s.AddCounters(ctx, []verification.Counter{{Service: 1, Bucket: int64(i % 5), Count: 1, Ends: 9}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestAnOperationThatFailsChangesNothingAndHarmsNobody(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		b := batcher(t, open(t, url, store.Options{}))
		var wg sync.WaitGroup
		var failed, panicked atomic.Int64
		k := key(ledger.KindVerification, 1)
		for i := range 90 {
			wg.Go(func() {
				op := increment(k)
				good := op.Apply
				switch i % 3 {
				case 1:
					op.Apply = func(tx *ledger.Tx) error { _ = good(tx); return fault.New(fault.Conflict, "no", "No.") }
				case 2:
					op.Apply = func(tx *ledger.Tx) error { _ = good(tx); panic("on purpose") }
				}
				switch err := b.Do(t.Context(), op); {
				case err == nil:
				case fault.As(err).Code == "no":
					failed.Add(1)
				case fault.As(err).Kind == fault.Internal:
					panicked.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := numberOf(t, b, k); n != 30 || failed.Load() != 30 || panicked.Load() != 30 {
			t.Fatalf("%d done, %d failed, %d panicked; want 30 each", n, failed.Load(), panicked.Load())
		}
	})
}

// An owner comes along with the row that it owns.
func TestOwnersAndDue(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		b := batcher(t, open(t, url, store.Options{}))
		child, parent := key(ledger.KindVerification, 1), key(ledger.KindContact, 2)
		if err := b.Do(t.Context(), ledger.Op{Keys: []ledger.Key{child, parent}, Apply: func(tx *ledger.Tx) error {
			tx.Put(child, &number{n: 1, owner: parent.ID, wake: tx.Now().Add(-time.Second).UnixMilli()})
			tx.Put(parent, &number{n: 40})
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
		if err := b.Do(t.Context(), ledger.Op{Keys: []ledger.Key{child}, Apply: func(tx *ledger.Tx) error {
			p, ok := tx.Get(parent).(*number)
			if !ok {
				return errors.New("the owner didn't come along")
			}
			p.n += 2
			tx.Put(parent, p)
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
		if n := numberOf(t, b, parent); n != 42 {
			t.Fatalf("the owner has %d", n)
		}
		due, err := b.Due(t.Context(), ledger.KindVerification, 10)
		if err != nil || len(due) != 1 || due[0] != child {
			t.Fatalf("due: %v, %v", due, err)
		}
	})
}

// readFeed reads the events of service 1 page by page, each the next, and returns how many there are.
func readFeed(t *testing.T, s *store.Store, limit int) (seen int64) {
	t.Helper()
	for {
		page, err := s.Events(t.Context(), 1, seen, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return seen
		}
		for _, e := range page {
			if seen++; e.Seq != seen {
				t.Fatalf("event %d follows %d", e.Seq, seen-1)
			}
		}
	}
}

// Events are numbered without gaps, whoever numbers them, and read page by page.
func TestEventsAreNumberedOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		b := batcher(t, s)
		var writers, numberers sync.WaitGroup
		stop := make(chan struct{})
		for range 3 {
			numberers.Go(func() {
				for {
					if _, err := s.NumberEvents(t.Context()); err != nil {
						t.Error(err)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		for i := range 10 {
			writers.Go(func() {
				for range 20 {
					if err := b.Do(t.Context(), increment(key(ledger.KindContact, byte(i)))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		close(stop)
		numberers.Wait()
		if _, err := s.NumberEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		seen := readFeed(t, s, 7)
		if seen != 200 {
			t.Fatalf("%d events, want 200", seen)
		}
	})
}

// Several nodes start at once: each finds the schema up to date.
func TestMigrationsOfSeveralNodes(t *testing.T) {
	t.Parallel()
	url := peers.Postgres(t)
	var wg sync.WaitGroup
	for range 4 {
		s := open(t, url, store.Options{MaxConns: 2})
		wg.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
			if ok, err := s.Migrated(t.Context()); !ok || err != nil {
				t.Error("not up to date", err)
			}
		})
	}
	wg.Wait()
}

func TestCountersFactsAndMessages(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		ctx := t.Context()
		c := []verification.Counter{{Service: 1, Caller: ledger.ID{9}, Window: 2, Bucket: 5, Count: 3, Ends: 100}, {Service: 1, Caller: ledger.ID{1}, Bucket: 5, Count: 1, Ends: 300}}
		for want := int64(3); want <= 9; want += 3 {
			sums, err := s.AddCounters(ctx, c)
			if err != nil || sums[0] != want {
				t.Fatalf("sums %v, %v; want %d first", sums, err, want)
			}
		}
		if n, err := s.SweepCounters(ctx, 200); n != 1 || err != nil {
			t.Fatalf("swept %d, %v", n, err)
		}
		late := time.UnixMilli(1_800_000_000_123).UTC()
		for _, at := range []time.Time{late, late.Add(-time.Hour)} {
			if err := s.SaveLatestTime(ctx, at); err != nil {
				t.Fatal(err)
			}
		}
		if at, err := s.LatestTime(ctx); !at.Equal(late) || err != nil {
			t.Fatalf("latest time %v, %v", at, err)
		}
		first, err := s.SetFactOnce(ctx, "x", "a")
		second, err2 := s.SetFactOnce(ctx, "x", "b")
		if first != "a" || second != "a" || err != nil || err2 != nil {
			t.Fatal("a fact was set twice", first, second, err, err2)
		}
		ref := message.Ref{Row: key(ledger.KindVerification, 3), Number: 2}
		if err := s.LinkMessage(ctx, "p", "abc", ref); err != nil {
			t.Fatal(err)
		}
		got, ok, err := s.FindMessage(ctx, "p", "abc")
		if got != ref || !ok || err != nil {
			t.Fatalf("found %v, %v, %v", got, ok, err)
		}
		if _, ok, err = s.FindMessage(ctx, "q", "abc"); ok || err != nil {
			t.Fatal("another provider's reference was found", err)
		}
	})
}

func TestSweepRemovesOnlyWhatIsStale(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		b := batcher(t, s)
		for i := range 40 {
			if err := b.Do(t.Context(), increment(key(ledger.KindReply, byte(i)))); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				_ = b.Do(t.Context(), increment(key(ledger.KindReply, byte(i))))
			}
		}
		_, n, err := s.Sweep(t.Context(), ledger.KindReply, ledger.ID{}, ledger.ID{0xff}, func(v ledger.Value) bool { return v.(*number).n == 2 }, decode)
		if n != 20 || err != nil {
			t.Fatalf("removed %d, %v", n, err)
		}
		if numberOf(t, b, key(ledger.KindReply, 0)) != 0 || numberOf(t, b, key(ledger.KindReply, 1)) != 1 {
			t.Fatal("the wrong rows were removed")
		}
	})
}

// A full disk and a read-only file are a clear 503, nothing is half done, and it recovers alone.
func TestSQLiteFullAndReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "full.db")
	if err := open(t, "sqlite:"+path, store.Options{}).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	full := batcher(t, open(t, "sqlite:"+path, store.Options{SQLite: sqlite.Options{MaxPages: 40}}))
	var done, refused int
	for i := range 2000 {
		k := ledger.Key{Kind: ledger.KindContact, Service: 1, ID: ledger.ID{byte(i >> 8), byte(i)}}
		switch err := full.Do(t.Context(), increment(k)); {
		case err == nil:
			done++
		case fault.As(err).Code == "database_unavailable" && fault.As(err).RetryAfter > 0:
			refused++
		default:
			t.Fatalf("after %d: %v", i, err)
		}
		if refused > 3 {
			break
		}
	}
	if done == 0 || refused == 0 {
		t.Fatalf("%d done, %d refused", done, refused)
	}
	spare := ledger.Key{Kind: ledger.KindContact, Service: 1, ID: ledger.ID{200}}
	again := batcher(t, open(t, "sqlite:"+path, store.Options{}))
	if err := again.Do(t.Context(), increment(spare)); err != nil {
		t.Fatalf("with room again: %v (%v)", err, errors.Unwrap(err))
	}
	read := batcher(t, open(t, "sqlite:"+path, store.Options{SQLite: sqlite.Options{ReadOnly: true}}))
	if err := read.Do(t.Context(), increment(spare)); fault.As(err).Code != "database_unavailable" {
		t.Fatalf("a read-only database: %v", err)
	}
	if numberOf(t, read, spare) != 1 {
		t.Fatal("a read-only database can't be read")
	}
}

// A login and its account come in one statement, and so does what there is without a login.
// Keeps: S16
func TestReadLogin(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		b := batcher(t, open(t, url, store.Options{}))
		id := ledger.ID{3, 1, 4, 1, 5}
		login, other := key(ledger.KindLogin, 1), key(ledger.KindLogin, 2)
		mine, decoy := ledger.AccountOf(1, id), ledger.AccountOf(1, ledger.ID{9, 9})
		named := &number{} // its record begins with 16 bytes that are the account's id
		named.n, named.wake = binary.BigEndian.Uint64(id[:8]), int64(binary.BigEndian.Uint64(id[8:]))
		must(t, b.Do(t.Context(), ledger.Op{Keys: []ledger.Key{login, mine, decoy}, Apply: func(tx *ledger.Tx) error {
			tx.Put(login, named)
			tx.Put(mine, &number{n: 1})
			tx.Put(decoy, &number{n: 2})
			return nil
		}}))
		for _, c := range []struct {
			login ledger.Key
			found bool
			n     uint64
		}{{login, true, 1}, {other, false, 2}} {
			l, a, err := b.ReadLogin(t.Context(), c.login, decoy)
			must(t, err)
			if row, ok := a.(*number); (l != nil) != c.found || !ok || row.n != c.n {
				t.Fatalf("%v: login %v, account %v", c.login.ID, l, a)
			}
		}
		if l, a, err := b.ReadLogin(t.Context(), other, ledger.AccountOf(1, ledger.ID{8})); l != nil || a != nil || err != nil {
			t.Fatalf("nothing: %v, %v, %v", l, a, err)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
