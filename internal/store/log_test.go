// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/store"
)

// appendEvents appends events of service 1, one row each size, whose subjects are their numbers modulo subjects.
func appendEvents(t testing.TB, b *ledger.Batcher, subjects int, sizes ...int) {
	t.Helper()
	for _, n := range sizes {
		if err := b.Do(context.Background(), ledger.Op{Apply: func(tx *ledger.Tx) error {
			for i := range n {
				tx.Event(ledger.Event{Service: 1, Kind: 1, At: tx.Now(), Subject: ledger.ID{9, byte(i % subjects)}, Data: []byte{byte(i)}})
			}
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
	}
}

func numberAll(t testing.TB, s *store.Store) {
	t.Helper()
	for {
		waiting, err := s.Unnumbered(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !waiting {
			return
		}
		if _, err := s.NumberEvents(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// wantTree computes the tree of service 1 from the feed and compares it with the head's.
func wantTree(t *testing.T, s *store.Store, size int64) [32]byte {
	t.Helper()
	var want ledger.Tree
	for {
		page, err := s.Events(t.Context(), 1, want.Size(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for i := range page {
			want.Append(page[i].Commitment())
		}
	}
	heads, err := s.LogHeads(t.Context())
	if err != nil || len(heads) != 1 || heads[0].Service != 1 {
		t.Fatalf("heads %v, %v", heads, err)
	}
	got, err := heads[0].Tree()
	if err != nil || got.Size() != size || heads[0].Last != size || want.Size() != size || got.Root() != want.Root() {
		t.Fatalf("tree of %d entries (head says %d, feed %d, want %d), %v", got.Size(), heads[0].Last, want.Size(), size, err)
	}
	return got.Root()
}

func exec(t *testing.T, s *store.Store, query string, args ...any) {
	t.Helper()
	defer s.Lock()()
	if _, err := s.SQL().ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// Whoever numbers, the tree is that of the entries in the order of their numbers.
//
// Keeps: S15
func TestTheTreeGrowsWithTheNumbers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		b := batcher(t, s)
		var size int64
		for _, n := range []int{1, 3, 700, 2} {
			appendEvents(t, b, 5, n)
			numberAll(t, s)
			size += int64(n)
			wantTree(t, s, size)
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for range 30 {
					if _, err := s.NumberEvents(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
			all.Go(func() { appendEvents(t, b, 5, 1, 2, 3, 4, 5, 6, 7, 8) })
		}
		all.Wait()
		numberAll(t, s)
		wantTree(t, s, size+3*36)
	})
}

// A database from before the trees, or one whose events an older node numbers, catches up while it goes on.
//
// Keeps: S15
func TestATreeThatIsBehindCatchesUp(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		b := batcher(t, s)
		for range 120 {
			appendEvents(t, b, 5, 1, 2, 1, 3, 1)
		}
		numberAll(t, s)
		root := wantTree(t, s, 960)
		exec(t, s, "UPDATE journal_head SET size = 0, tree = $1", []byte{})
		appendEvents(t, b, 5, 4)
		if waiting, err := s.Unnumbered(t.Context()); !waiting || err != nil {
			t.Fatal("a tree that is behind is no work", err)
		}
		numberAll(t, s)
		if wantTree(t, s, 964) == root {
			t.Fatal("the tree did not grow")
		}
	})
}

// What can't be read stops the tree of its service and says so, and nothing else.
//
// Keeps: S15
func TestAnUnreadableRowStopsOneTreeOnly(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		b := batcher(t, s)
		exec(t, s, "INSERT INTO journal (service, at, count, events) VALUES (2, 1, 1, $1)", []byte{7, 7})
		appendEvents(t, b, 5, 3)
		for range 2 {
			if _, err := s.NumberEvents(t.Context()); fault.As(err).Code != "log_unreadable" {
				t.Fatalf("numbering said %v", err)
			}
			appendEvents(t, b, 5, 2)
		}
		_, _ = s.NumberEvents(t.Context())
		if n := readFeed(t, s, 100); n != 7 {
			t.Fatalf("%d entries of the other service", n)
		}
		heads, err := s.LogHeads(t.Context())
		if err != nil || len(heads) != 2 || heads[0].Size != 7 || heads[1].Last != 1 || heads[1].Size != 0 {
			t.Fatalf("heads %+v, %v", heads, err)
		}
	})
}

// eraseSubject erases all entries about one subject, step by step.
func eraseSubject(t *testing.T, s *store.Store, subject ledger.ID) (erased int) {
	for next := int64(0); ; {
		var n int
		var err error
		next, n, err = s.EraseEvents(t.Context(), 1, next, func(e *ledger.Event) bool { return e.Subject == subject })
		if err != nil {
			t.Error(err)
			return erased
		}
		if erased += n; next == 0 {
			return erased
		}
	}
}

// People are erased, two by two at the same time and while others append and number: nothing of theirs is left, all else
// is, and the tree is the same.
//
// Keeps: S15
func TestErasingLeavesTheTree(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, other := open(t, url, store.Options{}), open(t, url, store.Options{})
		if url[:6] == "sqlite" {
			other = s // one process writes
		}
		b := batcher(t, s)
		var sizes []int
		for range 300 {
			sizes = append(sizes, 1+rand.IntN(3))
		}
		appendEvents(t, b, 5, sizes...)
		numberAll(t, s)
		appendEvents(t, b, 5, 1000) // not numbered yet, and one row in which all are erased
		var all sync.WaitGroup
		var erased [2]int
		for i, node := range []*store.Store{s, other} {
			all.Go(func() { erased[i] = eraseSubject(t, node, ledger.ID{9, byte(i)}) })
		}
		all.Go(func() { appendEvents(t, b, 5, 2, 2, 2) })
		all.Go(func() {
			for range 10 {
				if _, err := s.NumberEvents(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		all.Wait()
		for i := range erased {
			erased[i] += eraseSubject(t, s, ledger.ID{9, byte(i)}) // what came meanwhile
		}
		numberAll(t, s)
		total := readFeed(t, s, 100)
		var gone, rest int64
		if err := s.SQL().QueryRowContext(t.Context(), "SELECT SUM(count) FROM journal").Scan(&rest); err != nil || rest != total {
			t.Fatal(rest, total, err)
		}
		events, err := s.Events(t.Context(), 1, 0, int(total))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			switch {
			case e.Erased != nil:
				gone++
			case e.Subject[1] < 2:
				t.Fatalf("entry %d still tells whom it is about", e.Seq)
			}
		}
		if want := int64(erased[0] + erased[1]); gone != want || gone == 0 {
			t.Fatalf("%d entries are erased, %d were reported", gone, want)
		}
		wantTree(t, s, total)
	})
}

// Erasing keeps the tree of before, and can begin and end anywhere.
//
// Keeps: S15
func TestErasingByPlace(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		appendEvents(t, batcher(t, s), 5, 3, 10, 2)
		numberAll(t, s)
		root := wantTree(t, s, 15)
		next, n, err := s.EraseEvents(t.Context(), 1, 6, func(e *ledger.Event) bool { return e.Seq <= 8 })
		if next != 0 || n != 2 || err != nil {
			t.Fatal(next, n, err)
		}
		if wantTree(t, s, 15) != root {
			t.Fatal("erasing changed the tree")
		}
		events, err := s.Events(t.Context(), 1, 0, 15)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if (e.Erased != nil) != (e.Seq == 7 || e.Seq == 8) {
				t.Fatalf("entry %d: erased %v", e.Seq, e.Erased != nil)
			}
		}
		if _, n, err := s.EraseEvents(t.Context(), 2, 0, func(*ledger.Event) bool { return true }); n != 0 || err != nil {
			t.Fatal("another service's entries were erased", n, err)
		}
	})
}

// What the sequencer costs per 1,000 events, which came in batches of the given size.
func BenchmarkNumber1000Events(b *testing.B) {
	for _, size := range []int{1, 50} {
		b.Run(fmt.Sprintf("batches of %d", size), func(b *testing.B) {
			s, err := store.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "bench.db"), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if err := s.Migrate(b.Context()); err != nil {
				b.Fatal(err)
			}
			l := ledger.New(s, ledger.Options{Decode: decode})
			defer l.Close()
			sizes := make([]int, 1000/size)
			for i := range sizes {
				sizes[i] = size
			}
			for b.Loop() {
				b.StopTimer()
				appendEvents(b, l, 5, sizes...)
				b.StartTimer()
				numberAll(b, s)
			}
		})
	}
}
