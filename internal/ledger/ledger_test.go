// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
)

// value is a row that counts.
type value byte

func (v value) AppendRecord(dst []byte) []byte { return append(dst, byte(v)) }
func (v value) Copy() ledger.Value             { return v }
func (v value) Owner() ledger.ID               { return ledger.ID{} }
func (v value) WakeAt() int64                  { return 0 }

// memory is a backend whose failures are told beforehand, one a run.
type memory struct {
	mu    sync.Mutex
	rows  map[ledger.Key]ledger.Stored
	fails []func() *ledger.RunError // nil: this run works
	runs  []int                     // how many rows each run wanted
	clock time.Time
}

func (m *memory) Run(_ context.Context, want []ledger.Want, decide ledger.Decide) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runs = append(m.runs, len(want))
	var rows []ledger.Stored
	for _, w := range want {
		if s, ok := m.rows[w.Key]; ok {
			rows = append(rows, s)
		}
	}
	writes, err := decide(m.clock, rows)
	if err != nil {
		return err
	}
	if n := len(m.runs) - 1; n < len(m.fails) && m.fails[n] != nil {
		if e := m.fails[n](); e != nil {
			return e
		}
	}
	for _, c := range writes.Changes {
		m.rows[c.Key] = ledger.Stored{Key: c.Key, Version: c.Version + 1, Record: c.Record}
	}
	return nil
}

func (m *memory) ReadLogin(context.Context, ledger.Key, ledger.Key) (ledger.Stored, ledger.Stored, error) {
	return ledger.Stored{}, ledger.Stored{}, errors.ErrUnsupported
}

func (m *memory) Read(_ context.Context, key ledger.Key) (ledger.Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows[key], nil
}

func (m *memory) Due(context.Context, ledger.Kind, int64, int) ([]ledger.Key, error) { return nil, nil }

func start(t *testing.T, m *memory) *ledger.Batcher {
	t.Helper()
	m.rows = map[ledger.Key]ledger.Stored{}
	if m.clock.IsZero() {
		m.clock = time.Now()
	}
	b := ledger.New(m, ledger.Options{Decode: func(_ ledger.Kind, r []byte) (ledger.Value, error) { return value(r[0]), nil }})
	t.Cleanup(b.Close)
	return b
}

func rowKey(n byte) ledger.Key {
	return ledger.Key{Kind: ledger.KindContact, Service: 1, ID: ledger.ID{n}}
}

func add(n byte) ledger.Op {
	k := rowKey(n)
	return ledger.Op{Keys: []ledger.Key{k}, Apply: func(tx *ledger.Tx) error {
		v, _ := tx.Get(k).(value)
		tx.Put(k, v+1)
		return nil
	}}
}

func always(o ledger.Outcome) func() *ledger.RunError {
	return func() *ledger.RunError { return &ledger.RunError{Outcome: o, Err: errors.New("the driver's words")} }
}

// A lost race runs again; what the database refuses together is tried one by one; when it is down nothing more is
// tried; and after a commit of unknown outcome nothing is ever tried again.
// Keeps: S3
func TestWhatFollowsAFailedBatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fails []func() *ledger.RunError
		runs  int
		code  string // of the fault; empty: it works in the end
		rows  value
	}{
		"works":            {nil, 1, "", 1},
		"a lost race":      {[]func() *ledger.RunError{always(ledger.LostRace), always(ledger.LostRace)}, 3, "", 1},
		"down":             {[]func() *ledger.RunError{always(ledger.Down)}, 1, "database_unavailable", 0},
		"unknown outcome":  {[]func() *ledger.RunError{always(ledger.Unknown)}, 1, "outcome_unknown", 0},
		"refused for good": {[]func() *ledger.RunError{always(ledger.Refused)}, 1, "database_unavailable", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &memory{fails: c.fails}
			b := start(t, m)
			err := b.Do(t.Context(), add(1))
			var f *fault.Error
			if errors.As(err, &f) != (c.code != "") || f != nil && (f.Code != c.code || f.Kind != fault.Unavailable || f.RetryAfter == 0) {
				t.Fatalf("the caller is told %v", err)
			}
			v, err := b.Read(t.Context(), rowKey(1))
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := v.(value); got != c.rows || len(m.runs) != c.runs {
				t.Fatalf("after %d runs the row is %d", len(m.runs), got)
			}
		})
	}
}

// One operation that the database can't take doesn't take its neighbours with it.
// Keeps: S3
func TestNeighboursOfARefusedOperation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		refuse := always(ledger.Refused)
		// The first run is the one that lets the others queue up; the second is theirs together; then one by one.
		m := &memory{fails: []func() *ledger.RunError{nil, refuse, nil, refuse, nil}}
		b := start(t, m)
		hold := add(9)
		inner := hold.Apply
		hold.Apply = func(tx *ledger.Tx) error { <-release; return inner(tx) }
		var wg sync.WaitGroup
		wg.Go(func() { _ = b.Do(t.Context(), hold) })
		synctest.Wait()
		errs := make([]error, 3)
		for i := range errs {
			wg.Go(func() { errs[i] = b.Do(t.Context(), add(byte(i+1))) })
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if fmt.Sprint(m.runs) != "[1 3 1 1 1]" {
			t.Fatalf("rows of each run: %v", m.runs)
		}
		failed := 0
		for _, err := range errs {
			if err != nil {
				failed++
			}
		}
		if failed != 1 {
			t.Fatalf("%d of three failed, want the one that was refused: %v", failed, errs)
		}
	})
}

// Time never goes back, whatever the database's clock does.
// Keeps: S10
func TestTimeOnlyGoesForward(t *testing.T) {
	t.Parallel()
	m := &memory{clock: time.Now().Add(time.Hour)}
	b := start(t, m)
	var seen []time.Time
	look := ledger.Op{Apply: func(tx *ledger.Tx) error { seen = append(seen, tx.Now()); return nil }}
	for range 3 {
		if err := b.Do(t.Context(), look); err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		m.clock = m.clock.Add(-30 * time.Minute)
		m.mu.Unlock()
	}
	if seen[1].Before(seen[0]) || seen[2].Before(seen[1]) || b.Now().Before(seen[2]) {
		t.Fatalf("times: %v", seen)
	}
}

// A node whose own clock is off goes by the database's, once it has read it.
// Keeps: S10
func TestTheDatabasesClockCounts(t *testing.T) {
	t.Parallel()
	behind := time.Now().Add(-time.Hour)
	b := start(t, &memory{clock: behind})
	if err := b.Do(t.Context(), add(1)); err != nil {
		t.Fatal(err)
	}
	if off := b.Now().Sub(behind); off < -time.Millisecond || off > time.Minute { // times are cut to milliseconds
		t.Fatalf("the node is %v away from the database's clock", off)
	}
}

// What is packed is unpacked; a changed entry has another commitment, and an erased one keeps its own.
func TestEventsArePackedAndCommittedTo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ledger.Event {
			e := ledger.Event{
				Service: 7, Kind: ledger.EventKind(rapid.IntRange(1, 255).Draw(t, "kind")),
				At:   time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(t, "at")).UTC(),
				Data: rapid.SliceOfN(rapid.Byte(), 0, ledger.MaxEventData).Draw(t, "data"),
			}
			copy(e.Subject[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "subject"))
			copy(e.Salt[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "salt"))
			return e
		}), 1, 20).Draw(t, "events")
		packed := ledger.PackEvents(events)
		out, err := ledger.UnpackEvents(7, 100, packed)
		if err != nil || len(out) != len(events) {
			t.Fatalf("%d of %d events, %v", len(out), len(events), err)
		}
		for i, e := range out {
			if e.Seq != 100+int64(i) || e.Commitment() != events[i].Commitment() {
				t.Fatalf("event %d came back as %+v", i, e)
			}
		}
		changed := events[0]
		changed.Kind ^= 1
		if changed.Commitment() == events[0].Commitment() {
			t.Fatal("a changed event has the same commitment")
		}
		cut := rapid.IntRange(0, len(packed)-1).Draw(t, "cut")
		if rest, err := ledger.UnpackEvents(7, 100, packed[:cut]); err == nil && len(rest) == len(events) {
			t.Fatal("a cut-off row reads as whole")
		}
	})
}

func FuzzUnpackEvents(f *testing.F) {
	f.Add(ledger.PackEvents([]ledger.Event{{Kind: 1, At: time.UnixMilli(1), Data: []byte("x")}}))
	f.Fuzz(func(t *testing.T, packed []byte) {
		events, err := ledger.UnpackEvents(1, 1, packed)
		if err == nil && string(ledger.PackEvents(events)) != string(packed) {
			t.Fatalf("%x is read as %x", packed, ledger.PackEvents(events))
		}
	})
}
