// SPDX-License-Identifier: Apache-2.0

// Package checkpoint makes the event log hard to rewrite: it owns the key that signs checkpoints, their form,
// the files outside the database in which they stand, and the check of a log against them.
//
// A checkpoint says how many entries the log of a service had and what the root of its tree was, as a signed note
// (https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note). The tree itself is the ledger's and the
// sequencer's; what the entries say is nobody's business here.
package checkpoint

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/countersign/countersign/internal/ledger"
)

// Log is where the entries and the tree's heads are.
type Log interface {
	// LogHeads returns the heads of all services that have one.
	LogHeads(ctx context.Context) ([]ledger.Head, error)
	// LogRows returns up to limit rows of a service's log after one, by First and Position.
	LogRows(ctx context.Context, service uint32, after ledger.LogRow, limit int) ([]ledger.LogRow, error)
}

// point is what a checkpoint says.
type point struct {
	size int64
	root [32]byte
}

// origin names the log of a service in its checkpoints. key is the name of the key.
func origin(key string, service uint32) string {
	return key + "/" + strconv.FormatUint(uint64(service), 10)
}

// sign makes the checkpoint of a service's log.
func sign(key *Key, service uint32, p point) ([]byte, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", origin(key.Name(), service), p.size, tlog.Hash(p.root))
	return note.Sign(&note.Note{Text: text}, key)
}

// read is the inverse of sign, for a checkpoint that the key signed for this service.
func read(key note.Verifier, service uint32, signed []byte) (point, error) {
	n, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return point{}, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != origin(key.Name(), service) {
		return point{}, fmt.Errorf("it is signed, but no checkpoint of %s", origin(key.Name(), service))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 1 || strconv.FormatInt(size, 10) != lines[1] {
		return point{}, fmt.Errorf("it is signed, but %q is not a number of entries", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return point{}, fmt.Errorf("it is signed, but %q is not a root", lines[2])
	}
	return point{size: size, root: root}, nil
}
