// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/store"
	"github.com/countersign/countersign/internal/store/sqlite"
)

// disk is a file system that knows what of the logs is not synced yet, and whose syncs can be held up and can fail.
type disk struct {
	vfs.VFS
	mu    sync.Mutex
	dirty bool // something was written to a log since its last sync
	syncs int
	fail  error
	held  chan struct{} // nil: syncs are not held up
}

func (d *disk) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := d.VFS.Open(name, flags)
	return &file{f, d, strings.HasSuffix(name, "-wal")}, flags, err
}

func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(d.VFS, name, flags)
	return &file{f, d, strings.HasSuffix(name.String(), "-wal")}, flags, err
}

type file struct {
	vfs.File
	disk *disk
	log  bool
}

// The shared memory of a database, and what it unwraps to, are the real file's.
func (f *file) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }
func (f *file) Unwrap() vfs.File               { return f.File }

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	if f.log {
		f.disk.mu.Lock()
		f.disk.dirty = true
		f.disk.mu.Unlock()
	}
	return f.File.WriteAt(b, off)
}

func (f *file) Sync(flags vfs.SyncFlag) error {
	if !f.log {
		return f.File.Sync(flags)
	}
	f.disk.mu.Lock()
	held, fail := f.disk.held, f.disk.fail
	f.disk.mu.Unlock()
	if held != nil {
		<-held
	}
	if fail != nil {
		return fail
	}
	err := f.File.Sync(flags)
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.dirty = false
	f.disk.syncs++
	return err
}

func (d *disk) state() (dirty bool, syncs int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dirty, d.syncs
}

// count is a row.
type count byte

func (c count) AppendRecord(dst []byte) []byte { return append(dst, byte(c)) }
func (c count) Copy() ledger.Value             { return c }
func (c count) Owner() ledger.ID               { return ledger.ID{} }
func (c count) WakeAt() int64                  { return 0 }

func increment(b *ledger.Batcher, t *testing.T) error {
	key := ledger.Key{Kind: ledger.KindContact, Service: 1, ID: ledger.ID{1}}
	return b.Do(t.Context(), ledger.Op{Keys: []ledger.Key{key}, Apply: func(tx *ledger.Tx) error {
		c, _ := tx.Get(key).(count)
		tx.Put(key, c+1)
		return nil
	}})
}

// SIGKILL does not show whether a reply came before its sync, because the kernel writes on. So the file system itself is watched: no
// operation is answered before what it wrote is synced, and one whose sync fails is not answered with yes.
// Keeps: A.2, S3
func TestNoReplyBeforeTheSync(t *testing.T) {
	d := &disk{VFS: vfs.Find("")}
	vfs.Register("watched", d)
	t.Cleanup(func() { vfs.Unregister("watched") })
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "sync.db"), store.Options{SQLite: sqlite.Options{VFS: "watched"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := ledger.New(s, ledger.Options{Decode: func(_ ledger.Kind, r []byte) (ledger.Value, error) { return count(r[0]), nil }})
	defer b.Close()
	for range 50 {
		_, before := d.state()
		if err := increment(b, t); err != nil {
			t.Fatal(err)
		}
		if dirty, after := d.state(); dirty || after <= before {
			t.Fatalf("answered with the log not synced (%v) after %d syncs", dirty, after-before)
		}
	}

	// While the sync is held up there is no answer.
	held := make(chan struct{})
	d.mu.Lock()
	d.held = held
	d.mu.Unlock()
	answered := make(chan error, 1)
	go func() { answered <- increment(b, t) }()
	select {
	case err := <-answered:
		t.Fatal("answered before the sync:", err)
	case <-time.After(100 * time.Millisecond):
	}
	d.mu.Lock()
	d.held = nil
	d.mu.Unlock()
	close(held)
	if err := <-answered; err != nil {
		t.Fatal(err)
	}

	d.mu.Lock()
	d.fail = errors.New("the disk is broken")
	d.mu.Unlock()
	var f *fault.Error
	if err := increment(b, t); !errors.As(err, &f) || f.Kind != fault.Unavailable {
		t.Fatalf("with a sync that fails: %v", err)
	}
	d.mu.Lock()
	d.fail = nil
	d.mu.Unlock()
	if err := increment(b, t); err != nil {
		t.Fatal("after the disk works again:", err)
	}
	v, err := b.Read(t.Context(), ledger.Key{Kind: ledger.KindContact, Service: 1, ID: ledger.ID{1}})
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := v.(count); c != 52 {
		t.Fatalf("the row counts %d, want the 52 that were answered with yes", c)
	}
}
