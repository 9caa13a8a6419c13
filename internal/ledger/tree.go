// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Tree is the frontier of an RFC 6962 Merkle tree: of all its hashes only the roots of the whole subtrees
// on its left edge, at most 63. That is enough to append a leaf and to tell the root. The zero Tree is the empty one.
type Tree struct {
	size   int64
	hashes []tlog.Hash // of the subtrees, largest first: one for each bit that is set in size
}

// ParseTree reads a tree of size leaves from what Bytes returned.
func ParseTree(size int64, b []byte) (Tree, error) {
	if size < 0 || len(b) != bits.OnesCount64(uint64(size))*tlog.HashSize {
		return Tree{}, fmt.Errorf("tree of %d entries: %d bytes of hashes", size, len(b))
	}
	t := Tree{size: size}
	for ; len(b) > 0; b = b[tlog.HashSize:] {
		t.hashes = append(t.hashes, tlog.Hash(b[:tlog.HashSize]))
	}
	return t, nil
}

// Bytes are the tree's hashes, for ParseTree.
func (t *Tree) Bytes() []byte {
	b := make([]byte, 0, len(t.hashes)*tlog.HashSize)
	for _, h := range t.hashes {
		b = append(b, h[:]...)
	}
	return b
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return t.size }

// Append adds leaves, which are leaf hashes as [Event.Commitment] returns them.
func (t *Tree) Append(leaves ...[32]byte) {
	for _, leaf := range leaves {
		h := tlog.Hash(leaf)
		// Each bit that is set at the low end of the size is a subtree as large as the one that grows now.
		for n := t.size; n&1 == 1; n >>= 1 {
			last := len(t.hashes) - 1
			h = tlog.NodeHash(t.hashes[last], h)
			t.hashes = t.hashes[:last]
		}
		t.hashes = append(t.hashes, h)
		t.size++
	}
}

// Root is the tree's root hash (RFC 6962 2.1).
func (t *Tree) Root() [32]byte {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	h := t.hashes[len(t.hashes)-1]
	for i := len(t.hashes) - 2; i >= 0; i-- {
		h = tlog.NodeHash(t.hashes[i], h)
	}
	return h
}

// Differs compares two trees of the same size: the first subtree that is not the same has the leaves from
// first to last, counted from 1. Both are 0 when the trees are the same.
func (t *Tree) Differs(other *Tree) (first, last int64) {
	var before int64
	at := 0
	for bit := 62; bit >= 0; bit-- {
		width := int64(1) << bit
		if t.size&width == 0 {
			continue
		}
		if t.hashes[at] != other.hashes[at] {
			return before + 1, before + width
		}
		before += width
		at++
	}
	return 0, 0
}

// AppendLeaves appends the commitments of packed events (see PackEvents) to dst: what [Event.Commitment] returns of each, but
// without unpacking them. It also returns how many of them are erased ones.
func AppendLeaves(dst [][32]byte, service uint32, packed []byte) (leaves [][32]byte, erased int, err error) {
	var b [1 + 4 + eventFixed + MaxEventData]byte
	b[0] = commitPrefix
	binary.BigEndian.PutUint32(b[1:], service)
	for len(packed) > 0 {
		n, err := entryLength(packed)
		if err != nil {
			return dst, erased, err
		}
		if packed[0] == kindErased {
			dst = append(dst, [32]byte(packed[1:n]))
			erased++
		} else {
			dst = append(dst, sha256.Sum256(b[:5+copy(b[5:], packed[:n])]))
		}
		packed = packed[n:]
	}
	return dst, erased, nil
}

// Head is how far the log of a service is.
type Head struct {
	Service uint32
	Last    int64  // the last number that was given to an event; 0: none
	Size    int64  // of the tree: at most Last, and less only until the sequencer has caught up
	Hashes  []byte // of the tree
}

// Tree reads the head's tree.
func (h *Head) Tree() (Tree, error) { return ParseTree(h.Size, h.Hashes) }

// LogRow is a row of the journal whose events have their numbers.
type LogRow struct {
	Position int64 // the row's key; positions of rows are in no order that means anything
	First    int64 // number of its first event
	Count    int
	Packed   []byte // see PackEvents
}
