// SPDX-License-Identifier: Apache-2.0

package checkpoint_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/job/checkpoint"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
)

// memory is a log in memory. It implements checkpoint.Log and checkpoint.Facts.
type memory struct {
	mu    sync.Mutex
	facts map[string]string
	trees map[uint32]*ledger.Tree
	rows  map[uint32][]ledger.LogRow
}

func newMemory() *memory {
	return &memory{facts: map[string]string{}, trees: map[uint32]*ledger.Tree{}, rows: map[uint32][]ledger.LogRow{}}
}

func (m *memory) Fact(_ context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts[name], nil
}

func (m *memory) SetFactOnce(_ context.Context, name, value string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.facts[name] = cmp.Or(m.facts[name], value)
	return m.facts[name], nil
}

func (m *memory) LogHeads(context.Context) ([]ledger.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var heads []ledger.Head
	for service, t := range m.trees {
		heads = append(heads, ledger.Head{Service: service, Last: t.Size(), Size: t.Size(), Hashes: t.Bytes()})
	}
	slices.SortFunc(heads, func(a, b ledger.Head) int { return cmp.Compare(a.Service, b.Service) })
	return heads, nil
}

func (m *memory) LogRows(_ context.Context, service uint32, after ledger.LogRow, limit int) ([]ledger.LogRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []ledger.LogRow
	for _, r := range m.rows[service] {
		if len(out) < limit && (r.First > after.First || r.First == after.First && r.Position > after.Position) {
			out = append(out, r)
		}
	}
	return out, nil
}

// append appends a row of n entries.
func (m *memory) append(service uint32, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trees[service] == nil {
		m.trees[service] = &ledger.Tree{}
	}
	tree := m.trees[service]
	first := tree.Size() + 1
	events := make([]ledger.Event, n)
	for i := range events {
		events[i] = ledger.Event{Service: service, Kind: 1, Subject: ledger.ID{byte(first), byte(i)}, Data: []byte{1}}
		tree.Append(events[i].Commitment())
	}
	m.rows[service] = append(m.rows[service], ledger.LogRow{Position: first, First: first, Count: n, Packed: ledger.PackEvents(events)})
}

func newKey(t interface{ Fatal(...any) }, facts checkpoint.Facts) *checkpoint.Key {
	m, err := secret.GenerateMaster(bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	key, err := checkpoint.LoadKey(context.Background(), facts, m)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newWriter(t interface{ Fatal(...any) }, m *memory, folder string) *checkpoint.Writer {
	w, err := checkpoint.NewWriter(m, folder, newKey(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func write(t interface{ Fatal(...any) }, w *checkpoint.Writer) {
	if err := w.Write(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func verify(t interface{ Fatal(...any) }, m *memory, folder string) checkpoint.Report {
	reports, _, err := checkpoint.Verify(context.Background(), checkpoint.Check{Log: m, Folder: folder})
	if err != nil || len(reports) != 1 {
		t.Fatal(len(reports), err)
	}
	return reports[0]
}

// file is the text of service 1's checkpoints.
func file(t *testing.T, folder string) (path, text string) {
	t.Helper()
	path = filepath.Join(folder, "service-1.txt")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(b)
}

// A changed entry is found between the checkpoints around it, wherever they are, also by an attacker who rewrites the tree; and an
// untouched or erased one never.
//
// Keeps: S15
func TestAChangedEntryIsFoundBetweenCheckpoints(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		folder, err := os.MkdirTemp("", "checkpoints")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(folder)
		m := newMemory()
		w := newWriter(t, m, folder)
		var points []int64
		for range rapid.IntRange(1, 30).Draw(t, "rows") {
			m.append(1, rapid.IntRange(1, 9).Draw(t, "entries"))
			if rapid.Bool().Draw(t, "checkpoint") {
				write(t, w)
				points = append(points, m.trees[1].Size())
			}
		}
		if r := verify(t, m, folder); len(r.Problems) > 0 || r.Checkpoints != int64(len(points)) || r.Root != m.trees[1].Root() {
			t.Fatalf("an untouched log: %+v", r)
		}
		row := &m.rows[1][rapid.IntRange(0, len(m.rows[1])-1).Draw(t, "row")]
		at := rapid.IntRange(0, row.Count-1).Draw(t, "at")
		events, err := ledger.UnpackEvents(1, row.First, row.Packed)
		if err != nil {
			t.Fatal(err)
		}
		commitment := events[at].Commitment()
		erase := rapid.Bool().Draw(t, "erase")
		events[at].Data[0]++
		if erase {
			events[at] = ledger.Event{Service: 1, Erased: &commitment}
		}
		row.Packed = ledger.PackEvents(events)
		if rapid.Bool().Draw(t, "rewrite") {
			var tree ledger.Tree
			for _, r := range m.rows[1] {
				leaves, _, err := ledger.AppendLeaves(nil, 1, r.Packed)
				if err != nil {
					t.Fatal(err)
				}
				tree.Append(leaves...)
			}
			m.trees[1] = &tree
		}
		var before, after int64
		for _, p := range points {
			if after = p; p >= row.First+int64(at) {
				break
			}
			before, after = p, 0
		}
		r := verify(t, m, folder)
		want := fmt.Sprintf("something between entries %d and %d was changed: the checkpoint", before+1, after)
		if before+1 == after {
			want = fmt.Sprintf("entry %d was changed: the checkpoint", after)
		}
		found := slices.ContainsFunc(r.Problems, func(p string) bool { return strings.HasPrefix(p, want) })
		if erase && len(r.Problems) > 0 || !erase && after > 0 && !found {
			t.Fatalf("erased %v, want %q, got %q", erase, want, r.Problems)
		}
	})
}

// What is written is a checkpoint as others read it, and nothing is written twice.
//
// Keeps: S15
func TestCheckpointsAreSignedNotes(t *testing.T) {
	t.Parallel()
	m, folder := newMemory(), filepath.Join(t.TempDir(), "made", "by us")
	w := newWriter(t, m, folder)
	m.append(1, 3)
	write(t, w)
	write(t, w)
	write(t, newWriter(t, m, folder)) // after a restart
	_, text := file(t, folder)
	key, err := os.ReadFile(filepath.Join(folder, "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(strings.TrimSuffix(text, "\n")), note.VerifierList(v))
	if err != nil || !strings.HasPrefix(n.Text, v.Name()+"/1\n3\n") {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// What a full disk or a lost power supply left of a checkpoint is replaced by a whole one, at whatever byte it ends.
//
// Keeps: S15
func TestATornCheckpointIsWrittenAgain(t *testing.T) {
	t.Parallel()
	m, folder := newMemory(), t.TempDir()
	m.append(1, 3)
	write(t, newWriter(t, m, folder))
	path, one := file(t, folder)
	m.append(1, 4)
	write(t, newWriter(t, m, folder))
	_, two := file(t, folder)
	for cut := len(one); cut < len(two); cut++ {
		if err := os.WriteFile(path, []byte(two[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, m, folder); len(r.Problems) > 0 || r.Checkpoints != 1 {
			t.Fatalf("cut at %d: %+v", cut, r)
		}
		write(t, newWriter(t, m, folder))
		if _, text := file(t, folder); text != two {
			t.Fatalf("cut at %d, it became\n%s", cut, text)
		}
	}
}

// The writer signs nothing for a log that has become shorter or another one, and goes on with the others.
//
// Keeps: S15
func TestTheWriterRefusesARewrittenLog(t *testing.T) {
	t.Parallel()
	for name, rewrite := range map[string]func(*memory){
		"shorter": func(m *memory) { m.trees[1] = &ledger.Tree{}; m.trees[1].Append([32]byte{1}) },
		"another": func(m *memory) { m.trees[1] = &ledger.Tree{}; m.trees[1].Append([32]byte{1}, [32]byte{2}) },
	} {
		m, folder := newMemory(), t.TempDir()
		m.append(1, 2)
		write(t, newWriter(t, m, folder))
		_, before := file(t, folder)
		rewrite(m)
		m.append(2, 5)
		if err := newWriter(t, m, folder).Write(t.Context()); fault.As(err).Code != "log_rewritten" {
			t.Errorf("%s: %v", name, err)
		}
		if _, after := file(t, folder); after != before {
			t.Errorf("%s: a checkpoint was written", name)
		}
		if _, err := os.Stat(filepath.Join(folder, "service-2.txt")); err != nil {
			t.Errorf("%s: another service was left out: %v", name, err)
		}
	}
}

// A folder belongs to one deployment.
//
// Keeps: S15
func TestAFolderOfAnotherDeployment(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	newWriter(t, newMemory(), folder)
	m := newMemory()
	if _, err := checkpoint.NewWriter(m, folder, newKey(t, m)); fault.As(err).Code != "wrong_log_checkpoints" {
		t.Fatal(err)
	}
}

// A key belongs to its master key, and to the public key that stands beside it.
//
// Keeps: S15
func TestAKeyThatWasExchanged(t *testing.T) {
	t.Parallel()
	m, other := newMemory(), newMemory()
	mine, theirs := newKey(t, m), newKey(t, other)
	value := m.facts["log_key"]
	master, err := secret.GenerateMaster(bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	_, wrapped, _ := strings.Cut(value, " ")
	for _, bad := range []string{theirs.Public() + " " + wrapped, mine.Public(), mine.Public() + " ?", mine.Public() + " AAAA"} {
		m.facts["log_key"] = bad
		if _, err := checkpoint.LoadKey(t.Context(), m, master); fault.As(err).Kind != fault.Internal {
			t.Errorf("%s: %v", bad, err)
		}
	}
	stranger, err := secret.GenerateMaster(bytes.NewReader(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	m.facts["log_key"] = value
	if _, err := checkpoint.LoadKey(t.Context(), m, stranger); err == nil {
		t.Error("another master key opens it")
	}
}

// While nodes that share a folder append and write checkpoints, the log is always found whole.
//
// Keeps: S15
func TestVerifyWhileTheLogGrows(t *testing.T) {
	t.Parallel()
	m, folder := newMemory(), t.TempDir()
	m.append(1, 1)
	var nodes sync.WaitGroup
	for range 2 {
		w := newWriter(t, m, folder)
		nodes.Go(func() {
			for range 150 {
				m.append(1, 3)
				if err := w.Write(t.Context()); err != nil {
					t.Error(err, fault.As(err).Unwrap())
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { nodes.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if r := verify(t, m, folder); len(r.Problems) > 0 {
			t.Fatalf("%+v", r)
		}
	}
	if r := verify(t, m, folder); r.Size != 901 || r.Covered != 901 {
		t.Fatalf("%+v", r)
	}
}

// What verify does with a file of checkpoints that somebody else has written is to say so.
func FuzzVerifyReadsAnyFile(f *testing.F) {
	f.Add([]byte("x\n\n— y z\n\n"))
	f.Add([]byte(strings.Repeat("— \n", 400)))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, folder := newMemory(), t.TempDir()
		m.append(1, 3)
		newWriter(t, m, folder)
		if err := os.WriteFile(filepath.Join(folder, "service-1.txt"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, m, folder); r.Checkpoints > 0 || r.Size != 3 {
			t.Fatalf("%+v", r)
		}
	})
}
