// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/store"
	"github.com/countersign/countersign/internal/verification"
)

// However many events one batch has, a reader who takes them page by page gets each.
func TestTheFeedHasNoGapAfterALargeBatch(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		b := batcher(t, s)
		for _, n := range []int{3, 1000, 5} {
			err := b.Do(t.Context(), ledger.Op{Apply: func(tx *ledger.Tx) error {
				for range n {
					tx.Event(ledger.Event{Service: 1, Kind: 1, At: tx.Now()})
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.NumberEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := readFeed(t, s, 100)
		if after != 1008 {
			t.Fatalf("%d events were read, want 1008", after)
		}
	})
}

// Two nodes that change different things of a service at once undo nothing of each other's; and a new key is used only once every
// node had time to learn of it.
func TestServicesChangedOnTwoNodes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		master, err := secret.GenerateMaster(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		var nodes []*service.Registry
		for range 2 {
			reg, err := service.NewRegistry(t.Context(), open(t, url, store.Options{MaxConns: 2}), master)
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, reg)
		}
		svc, err := nodes[0].Create(t.Context(), service.Row{Slug: "acme", Name: "Acme", Locale: "en", Policy: service.DefaultPolicy()}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i, reg := range nodes {
			for n := range 10 {
				wg.Go(func() {
					if err := reg.Update(t.Context(), svc.ID, func(row *service.Row) error {
						if i == 0 {
							row.Policy.ContactSends.Day++
						} else {
							row.Policy.ContactGuesses.Day++
						}
						return nil
					}); err != nil {
						t.Error(n, err)
					}
				})
			}
		}
		rotated := make(chan error, 1)
		go func() {
			_, err := nodes[0].Rotate(t.Context(), svc, time.Now())
			rotated <- err
		}()
		wg.Wait()
		was := service.DefaultPolicy()
		for _, reg := range nodes {
			if err := reg.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			row, _ := reg.Row(svc.ID)
			if row.Policy.ContactSends.Day != was.ContactSends.Day+10 || row.Policy.ContactGuesses.Day != was.ContactGuesses.Day+10 {
				t.Fatalf("changes were lost: %+v, %+v", row.Policy.ContactSends, row.Policy.ContactGuesses)
			}
		}
		if err := <-rotated; err != nil {
			t.Fatal(err)
		}
		now, _ := nodes[1].ByID(svc.ID)
		if now.Ring.Current().ID() != 1 {
			t.Fatal("a node makes codes with a key that it has not read about")
		}
		if err := nodes[1].Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now, _ = nodes[1].ByID(svc.ID); now.Ring.Current().ID() != 2 {
			t.Fatalf("after the rotation key %d makes codes", now.Ring.Current().ID())
		}
	})
}

// What a provider means by its own ids is forgotten with the verifications, and nothing younger.
func TestLinksAreSwept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		now := time.Now()
		for i, age := range []time.Duration{48 * time.Hour, time.Hour} {
			id := verification.FirstID(now.Add(-age))
			id[15] = 1
			ref := message.Ref{Row: ledger.Key{Kind: ledger.KindVerification, Service: 1, ID: id}}
			if err := s.LinkMessage(t.Context(), "p", string(rune('a'+i)), ref); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.SweepLinks(t.Context(), verification.FirstID(now.Add(-24*time.Hour))); n != 1 || err != nil {
			t.Fatalf("swept %d, %v", n, err)
		}
		for reference, want := range map[string]bool{"a": false, "b": true} {
			if _, found, err := s.FindMessage(t.Context(), "p", reference); found != want || err != nil {
				t.Errorf("%s: found %v, %v", reference, found, err)
			}
		}
	})
}

// Each kind of row is written, changed, read and, where it wakes, found when it is due, on both engines.
func TestEveryKindOfRow(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		b := batcher(t, open(t, url, store.Options{}))
		for kind := ledger.Kind(1); kind < ledger.Kinds; kind++ {
			k := key(kind, byte(kind))
			for want := uint64(1); want <= 3; want++ {
				op := increment(k)
				inner := op.Apply
				op.Apply = func(tx *ledger.Tx) error {
					if err := inner(tx); err != nil {
						return err
					}
					v, _ := tx.Get(k).(*number)
					v.wake = int64(kind) // long ago
					tx.Put(k, v)
					return nil
				}
				if err := b.Do(t.Context(), op); err != nil {
					t.Fatal(kind.Table(), err)
				}
				if got := numberOf(t, b, k); got != want {
					t.Fatalf("%s counts %d, want %d", kind.Table(), got, want)
				}
			}
			if !kind.Wakes() {
				continue
			}
			due, err := b.Due(t.Context(), kind, 10)
			if err != nil || len(due) != 1 || due[0] != k {
				t.Fatalf("due in %s: %v, %v", kind.Table(), due, err)
			}
		}
	})
}
