// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bufio"
	"errors"
	"io"
	"os"
	"slices"

	"golang.org/x/mod/sumdb/note"
)

// points gives the checkpoints of a file by size, keeping at most pointsAtOnce.
type points struct {
	key     note.Verifier
	service uint32
	problem func(format string, args ...any)
	note    func(format string, args ...any)
	from    *reader // nil: there are no more
	waiting []point // sorted by size
	any     bool    // there was one
}

func (p *points) open(f *os.File, length int64) {
	if p.key == nil {
		p.problem("there is no public key to check the checkpoints with: give the one that `countersign log key` printed")
		return
	}
	p.from = &reader{Reader: bufio.NewReaderSize(io.LimitReader(f, length), 64<<10)}
}

// peek returns the smallest checkpoint that was not taken yet, and whether there is one.
func (p *points) peek() (point, bool) {
	for p.from != nil && len(p.waiting) < pointsAtOnce {
		p.fill()
	}
	if len(p.waiting) == 0 {
		return point{}, false
	}
	return p.waiting[0], true
}

func (p *points) pop() { p.waiting = p.waiting[1:] }

// fill reads one checkpoint.
func (p *points) fill() {
	at := p.from.at
	signed, err := p.from.next()
	switch {
	case errors.Is(err, io.EOF):
		p.from = nil
		return
	case errors.Is(err, errUnfinished):
		p.from = nil
		p.note("the file of checkpoints ends in the middle of one, at byte %d: it is being written, or its writer was stopped; it will be written again", at)
		return
	case err != nil:
		p.from = nil
		p.problem("the file of checkpoints can't be read from byte %d on (%v)", at, err)
		return
	}
	p.any = true
	found, err := read(p.key, p.service, signed)
	if err != nil {
		p.problem("the checkpoint at byte %d of its file is forged or damaged (%v)", at, err)
		return
	}
	i, _ := slices.BinarySearchFunc(p.waiting, found.size, func(a point, size int64) int {
		if a.size <= size { // equal ones keep their order
			return -1
		}
		return 1
	})
	p.waiting = slices.Insert(p.waiting, i, found)
}
