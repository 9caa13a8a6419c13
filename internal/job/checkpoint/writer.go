// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
)

// Writer writes checkpoints into a folder. Its Write may not be called concurrently; several nodes may share a folder.
type Writer struct {
	log    Log
	folder string
	key    *Key
	seen   map[uint32]int64 // the size at which a service's file was last looked at
}

// NewWriter makes the folder if it isn't there, with the public key in it.
//
// Faults: Conflict, code wrong_log_checkpoints, when the folder is another deployment's; Unavailable when it can't be used.
func NewWriter(log Log, folder string, key *Key) (*Writer, error) {
	if err := prepareFolder(folder, key.Public()); err != nil {
		return nil, err
	}
	return &Writer{log: log, folder: folder, key: key, seen: map[uint32]int64{}}, nil
}

// Write appends a checkpoint for each service whose log has grown. It refuses to go on where a log has fewer entries than a
// checkpoint says, or others.
//
// Faults: Conflict, code log_rewritten, for a log that doesn't fit its last checkpoint; Unavailable when a file can't be used. The other services have their checkpoints all the same.
func (w *Writer) Write(ctx context.Context) error {
	heads, err := w.log.LogHeads(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for i := range heads {
		if heads[i].Size == w.seen[heads[i].Service] {
			continue
		}
		if err := w.head(ctx, &heads[i]); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (w *Writer) head(ctx context.Context, h *ledger.Head) error {
	before, err := w.last(h.Service)
	if err != nil {
		return err
	}
	if before.size > h.Size {
		// Another node may have written since the heads were read. No head that is read now may be behind.
		now, err := headOf(ctx, w.log, h.Service)
		if err != nil {
			return err
		}
		h = &now
	}
	tree, err := h.Tree()
	if err != nil {
		return rewritten(h.Service, fmt.Sprintf("its tree can't be read: %v", err))
	}
	now := point{size: tree.Size(), root: tree.Root()}
	switch {
	case before.size > now.size:
		return rewritten(h.Service, fmt.Sprintf("it has %d entries, and its last checkpoint %d", now.size, before.size))
	case before.size == now.size && before.root != now.root:
		return rewritten(h.Service, fmt.Sprintf("its root of %d entries is not the one of its last checkpoint", now.size))
	case before.size < now.size:
		if err := add(w.folder, w.key, h.Service, now); err != nil {
			return errFolder(w.folder, err)
		}
	}
	w.seen[h.Service] = now.size
	return nil
}

// headOf reads the head of one service's log; one without entries has the empty head.
func headOf(ctx context.Context, log Log, service uint32) (ledger.Head, error) {
	heads, err := log.LogHeads(ctx)
	if err != nil {
		return ledger.Head{}, err
	}
	for _, h := range heads {
		if h.Service == service {
			return h, nil
		}
	}
	return ledger.Head{Service: service}, nil
}

// last returns the last checkpoint of a service's file; the zero point if there is none.
func (w *Writer) last(service uint32) (point, error) {
	f, err := os.Open(fileOf(w.folder, service))
	if errors.Is(err, fs.ErrNotExist) {
		return point{}, nil
	}
	if err != nil {
		return point{}, errFolder(w.folder, err)
	}
	defer f.Close()
	p, _, err := last(f, w.key, service)
	if err != nil {
		return point{}, errFolder(w.folder, fmt.Errorf("the last checkpoint of service %d: %w", service, err))
	}
	return p, nil
}

func rewritten(service uint32, how string) *fault.Error {
	return fault.New(fault.Conflict, "log_rewritten",
		fmt.Sprintf("The event log of service %d was rewritten: %s. No checkpoint is written for it. `countersign log verify` says more.", service, how))
}
