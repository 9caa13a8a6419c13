// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/ledger"
)

// fullTree keeps every hash, as tlog has it: what a frontier must agree with.
type fullTree struct {
	n      int64
	hashes []tlog.Hash
}

func (f *fullTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, f.hashes[i])
	}
	return out, nil
}

func (f *fullTree) append(t interface{ Fatal(...any) }, leaf [32]byte) tlog.Hash {
	more, err := tlog.StoredHashesForRecordHash(f.n, leaf, f)
	if err != nil {
		t.Fatal(err)
	}
	f.hashes = append(f.hashes, more...)
	f.n++
	root, err := tlog.TreeHash(f.n, f)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// Keeps: S15
func TestTheFrontierIsTheTreeOfRFC6962(t *testing.T) {
	t.Parallel()
	var full fullTree
	var tree ledger.Tree
	if empty, err := tlog.TreeHash(0, &full); err != nil || tree.Root() != empty {
		t.Fatal("the empty tree has another root", err)
	}
	for n := int64(1); n <= 1100; n++ {
		leaf := [32]byte(tlog.RecordHash([]byte{byte(n), byte(n >> 8)}))
		root := full.append(t, leaf)
		tree.Append(leaf)
		if tree.Root() != root || tree.Size() != n {
			t.Fatalf("the root of %d entries differs", n)
		}
		// A frontier that was written down and read again is the same.
		read, err := ledger.ParseTree(n, tree.Bytes())
		if err != nil || read.Root() != root {
			t.Fatal(n, err)
		}
		tree = read
		if _, err := ledger.ParseTree(n, append(tree.Bytes(), 0)); err == nil {
			t.Fatal("a frontier with a byte too much was read")
		}
	}
}

// Where two trees begin to differ is told as a range that holds the first leaf that does.
//
// Keeps: S15
func TestDiffersFindsTheChangedLeaf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 300).Draw(t, "n")
		changed := rapid.Int64Range(0, n).Draw(t, "changed")
		var a, b ledger.Tree
		for i := int64(1); i <= n; i++ {
			leaf := [32]byte{byte(i), byte(i >> 8)}
			a.Append(leaf)
			if i == changed {
				leaf[31]++
			}
			b.Append(leaf)
		}
		first, last := a.Differs(&b)
		if changed == 0 && (first != 0 || last != 0) || changed > 0 && (changed < first || changed > last || last > n) {
			t.Fatalf("of %d leaves %d was changed; found %d to %d", n, changed, first, last)
		}
	})
}

func drawEvents(t *rapid.T, service uint32) []ledger.Event {
	events := make([]ledger.Event, rapid.IntRange(0, 20).Draw(t, "count"))
	for i := range events {
		e := &events[i]
		*e = ledger.Event{
			Service: service, Kind: ledger.EventKind(rapid.IntRange(1, 255).Draw(t, "kind")),
			At:   time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "at")).UTC(),
			Data: rapid.SliceOfN(rapid.Byte(), 0, ledger.MaxEventData).Draw(t, "data"),
		}
		copy(e.Subject[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "subject"))
		copy(e.Salt[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "salt"))
	}
	return events
}

// The leaves that the sequencer hashes from packed events are the commitments of the events, erased or not.
//
// Keeps: S15
func TestLeavesAreCommitmentsAndSurviveErasing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		service := rapid.Uint32().Draw(t, "service")
		events := drawEvents(t, service)
		var want [][32]byte
		erased := 0
		for i := range events {
			commitment := events[i].Commitment()
			want = append(want, commitment)
			if rapid.Bool().Draw(t, "erase") {
				events[i] = ledger.Event{Service: service, Erased: &commitment}
				erased++
			}
		}
		packed := ledger.PackEvents(events)
		got, n, err := ledger.AppendLeaves(nil, service, packed)
		if err != nil || n != erased || len(got) != len(want) {
			t.Fatalf("%d leaves, %d erased, %v; want %d, %d", len(got), n, err, len(want), erased)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("leaf %d differs", i)
			}
		}
		if len(packed) > 0 {
			if cut, _, err := ledger.AppendLeaves(nil, service, packed[:len(packed)-1]); err == nil || len(cut) != len(want)-1 {
				t.Fatalf("of cut events %d leaves were read, %v", len(cut), err)
			}
		}
	})
}

// What an entry adds to the sequencer's work.
func BenchmarkTreeOf1000Events(b *testing.B) {
	events := make([]ledger.Event, 1000)
	for i := range events {
		events[i] = ledger.Event{Service: 1, Kind: 1, At: time.UnixMilli(1), Subject: ledger.ID{byte(i)}, Data: []byte{1, 2, 3, 4}}
	}
	packed := ledger.PackEvents(events)
	var tree ledger.Tree
	var leaves [][32]byte
	for b.Loop() {
		var err error
		if leaves, _, err = ledger.AppendLeaves(leaves[:0], 1, packed); err != nil {
			b.Fatal(err)
		}
		tree.Append(leaves...)
	}
}
