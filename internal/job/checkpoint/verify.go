// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
)

// Check is what Verify is asked.
type Check struct {
	Log      Log
	Folder   string   // of checkpoints; empty: the log is compared with the database's own tree only
	Key      string   // the public key that is trusted; empty: the folder's, or else Database
	Database string   // the public key that the database names; empty: none
	Services []uint32 // those to look at; nil: All and whatever has a head or a file
	All      []uint32 // services that there are
}

// Report is what Verify found about one service.
type Report struct {
	Service     uint32
	Size        int64    // how many entries the log has
	Root        [32]byte // of the tree over them; meaningless when there are problems
	Erased      int64    // how many of them are erased
	Checkpoints int64    // how many checkpoints agreed
	Covered     int64    // how many entries the largest of them has
	Problems    []string // what is wrong; none: the log is whole
	Notes       []string // what is worth knowing, but no sign of an attack
}

const (
	rowsAtOnce = 200
	// pointsAtOnce is how many checkpoints are kept to put them in order: nodes that share a folder may write out of order.
	pointsAtOnce = 4096
	// maxProblems bounds what is told about one service.
	maxProblems = 20
)

// Verify reads the log of each service from its first entry on, computes every commitment and the tree anew, and compares with the
// checkpoints and with the tree in the database. It needs no master key, and memory that does not depend on the length of the log;
// the servers may go on writing. The key that was used comes with the reports, empty if there was none.
//
// Faults: Invalid, code invalid_log_key, for a key that is none; Conflict, code log_key_differs, when folder, database and the
// trusted key don't agree, since then somebody has changed one of them.
func Verify(ctx context.Context, c Check) (reports []Report, key string, err error) {
	verifier, key, err := c.trusted()
	if err != nil {
		return nil, "", err
	}
	files, err := filesIn(c.Folder)
	if err != nil {
		return nil, "", err
	}
	// What a file says by now, a head that is read later must have.
	heads, err := c.Log.LogHeads(ctx)
	if err != nil {
		return nil, "", err
	}
	all := map[uint32]ledger.Head{}
	for service := range files {
		all[service] = ledger.Head{Service: service}
	}
	for _, service := range c.All {
		all[service] = ledger.Head{Service: service}
	}
	for _, h := range heads {
		all[h.Service] = h
	}
	for _, service := range slices.Sorted(maps.Keys(all)) {
		if c.Services != nil && !slices.Contains(c.Services, service) {
			continue
		}
		w := &walk{Report: Report{Service: service}, log: c.Log, head: all[service]}
		if err := w.run(ctx, c.Folder, files[service], verifier); err != nil {
			return nil, "", err
		}
		reports = append(reports, w.Report)
	}
	return reports, key, nil
}

// trusted finds the key to check signatures with.
func (c *Check) trusted() (note.Verifier, string, error) {
	var inFolder string
	if c.Folder != "" {
		var err error
		if inFolder, err = folderKey(c.Folder); err != nil {
			return nil, "", err
		}
	}
	key := c.Key
	for _, k := range []struct{ where, key string }{{"the folder " + c.Folder, inFolder}, {"the database", c.Database}} {
		switch {
		case key == "":
			key = k.key
		case k.key != "" && k.key != key:
			return nil, "", fault.New(fault.Conflict, "log_key_differs",
				fmt.Sprintf("The public key in %s is %s and not %s. Either it belongs to another deployment, or somebody has replaced a key.", k.where, k.key, key))
		}
	}
	if key == "" {
		return nil, "", nil
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, "", fault.New(fault.Invalid, "invalid_log_key", fmt.Sprintf("%q is not a public key as `countersign log key` prints it.", key)).WithField("key").WithCause(err)
	}
	return v, key, nil
}

// filesIn returns how long the file of each service is.
func filesIn(folder string) (map[uint32]int64, error) {
	files := map[uint32]int64{}
	if folder == "" {
		return files, nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, errFolder(folder, err)
	}
	for _, e := range entries {
		service, ok := serviceOf(e.Name())
		if !ok {
			continue
		}
		info, err := os.Stat(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, errFolder(folder, err)
		}
		files[service] = info.Size()
	}
	return files, nil
}

// walk is the way through one log.
type walk struct {
	Report
	log    Log
	head   ledger.Head
	tree   ledger.Tree
	points points
	broken bool // something is missing or can't be read: the tree can't be continued
	bad    bool // a checkpoint did not agree: all later ones won't either
	unseen int64
}

func (w *walk) problem(format string, args ...any) {
	switch len(w.Problems) {
	case maxProblems:
		w.Problems = append(w.Problems, "and more, which is not told any more")
	case maxProblems + 1:
	default:
		w.Problems = append(w.Problems, fmt.Sprintf(format, args...))
	}
}

func (w *walk) note(format string, args ...any) {
	w.Notes = append(w.Notes, fmt.Sprintf(format, args...))
}

func (w *walk) run(ctx context.Context, folder string, length int64, key note.Verifier) error {
	w.points = points{key: key, service: w.Service, problem: w.problem, note: w.note}
	if length > 0 {
		f, err := os.Open(fileOf(folder, w.Service))
		if err != nil {
			w.problem("the file of checkpoints can't be read: %v", err)
		} else {
			defer f.Close()
			w.points.open(f, length)
		}
	}
	if err := w.entries(ctx); err != nil {
		return err
	}
	w.Root = w.tree.Root()
	w.end(folder != "")
	return nil
}

// entries goes through the rows in the order of their numbers.
func (w *walk) entries(ctx context.Context) error {
	after := ledger.LogRow{First: math.MinInt64, Position: math.MinInt64}
	var leaves [][32]byte
	for {
		rows, err := w.log.LogRows(ctx, w.Service, after, rowsAtOnce)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.First > w.head.Last {
				// It may have come since the head was read; then a head that is read now has it.
				return w.beyond(ctx, r.First)
			}
			w.row(r, &leaves)
			after = r
		}
		if len(rows) < rowsAtOnce {
			return nil
		}
	}
}

func (w *walk) row(r ledger.LogRow, buffer *[][32]byte) {
	next := w.Size + 1
	last := r.First + int64(r.Count) - 1
	switch {
	case r.First > next:
		w.problem("%s missing", entries(next, r.First-1, "is", "are"))
		w.broken = true
	case r.First < next:
		w.problem("a row begins with the number %d, where entry %d should come", r.First, next)
		w.broken = true
	}
	leaves, erased, err := ledger.AppendLeaves((*buffer)[:0], w.Service, r.Packed)
	*buffer = leaves
	if err != nil {
		w.problem("%s changed: the row can't be read (%v)", entries(r.First, last, "was", "were"), err)
		w.broken = true
	} else if len(leaves) != r.Count {
		w.problem("%s changed: the row has %d of them", entries(r.First, last, "was", "were"), len(leaves))
		w.broken = true
	}
	w.Size = max(w.Size, last)
	w.Erased += int64(erased)
	if w.broken {
		return
	}
	for _, leaf := range leaves {
		w.tree.Append(leaf)
		w.compare()
	}
}

// compare compares the tree with what else is known of its size.
func (w *walk) compare() {
	size := w.tree.Size()
	if size == w.head.Size {
		stored, err := w.head.Tree()
		if err != nil {
			w.problem("the tree in the database can't be read: %v", err)
		} else if first, last := w.tree.Differs(&stored); first > 0 {
			w.problem("%s changed: the tree in the database doesn't agree", between(first, last))
		}
	}
	for p, ok := w.points.peek(); ok && p.size <= size; p, ok = w.points.peek() {
		w.points.pop()
		switch {
		case p.size < size:
			w.problem("a checkpoint of %d entries stands after later ones", p.size)
		case w.bad:
			w.unseen++
		case p.root == w.tree.Root():
			w.Checkpoints++
			w.Covered = size
		case w.Covered == size:
			w.bad = true
			w.problem("two checkpoints of %d entries are not the same: the log was rewritten between them", size)
		default:
			w.bad = true
			w.problem("%s changed: the checkpoint of %d entries doesn't agree", between(w.Covered+1, size), size)
		}
	}
}

// beyond judges an entry with a number greater than the head has.
func (w *walk) beyond(ctx context.Context, first int64) error {
	now, err := headOf(ctx, w.log, w.Service)
	if err != nil || now.Last >= first {
		return err
	}
	w.problem("there is an entry %d, but the database has given out no number after %d", first, w.head.Last)
	return nil
}

// end judges what should have come after the last entry.
func (w *walk) end(folder bool) {
	var largest int64
	for p, ok := w.points.peek(); ok; p, ok = w.points.peek() {
		w.points.pop()
		if largest = max(largest, p.size); p.size <= w.Size {
			w.unseen++ // the tree didn't come as far
		}
	}
	if largest > w.Size {
		w.problem("the log is cut off after entry %d: there is a checkpoint of %d entries", w.Size, largest)
	}
	switch {
	case w.Size < w.head.Last:
		w.problem("the log is cut off after entry %d: the database has given out numbers up to %d", w.Size, w.head.Last)
	case w.Size > w.head.Last:
		w.problem("there are entries up to %d, but the database has given out no number after %d", w.Size, w.head.Last)
	}
	switch {
	case w.head.Size > w.head.Last:
		w.problem("the tree in the database is of %d entries, and it has given out numbers up to %d", w.head.Size, w.head.Last)
	case w.head.Size < w.head.Last:
		w.note("the tree in the database has come to entry %d only; the servers are catching up", w.head.Size)
	}
	if w.unseen > 0 {
		w.note("%d later checkpoints were not compared: nothing after the first damage can be", w.unseen)
	}
	if folder && !w.points.any && w.Size > 0 {
		w.note("there is no checkpoint in the folder; one is written within a minute")
	} else if rest := w.Size - w.Covered; folder && rest > 0 && len(w.Problems) == 0 {
		w.note("the last %s in no checkpoint yet", counted(rest))
	}
}

func counted(n int64) string {
	if n == 1 {
		return "entry is"
	}
	return fmt.Sprintf("%d entries are", n)
}

func entries(first, last int64, one, many string) string {
	if first >= last {
		return fmt.Sprintf("entry %d %s", first, one)
	}
	return fmt.Sprintf("entries %d to %d %s", first, last, many)
}

// between says that something happened to at least one of these entries.
func between(first, last int64) string {
	if first >= last {
		return fmt.Sprintf("entry %d was", first)
	}
	return fmt.Sprintf("something between entries %d and %d was", first, last)
}
