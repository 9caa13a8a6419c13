// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign/countersign/internal/fault"
)

// Limits of a Batcher.
const (
	MaxBatch   = 256  // operations in one batch
	MaxQueue   = 4096 // operations that wait; one more is refused with 503
	maxReruns  = 8    // of a batch that lost races, before its operations run one by one
	runTimeout = 10 * time.Second
)

// Options of a Batcher.
type Options struct {
	Decode Decode               // of records
	Offset func() time.Duration // added to the database's clock; nil: nothing (tests move time with it)
	Floor  time.Time            // time never goes below this: the latest time written down before the start
}

// Batcher is a Ledger over a Backend: group commit with folding.
type Batcher struct {
	backend Backend
	opt     Options
	queue   chan *pending
	latest  atomic.Int64            // the latest time that a decision was made at, Unix milliseconds
	reading atomic.Pointer[reading] // of the database's clock; nil: none yet
	stats   Stats
	pool    sync.Pool
	close   sync.Once
	quit    chan struct{} // closed: take no more
	ended   chan struct{} // closed: nobody answers any more
	wg      sync.WaitGroup
}

// Stats counts what a Batcher did since its start.
type Stats struct {
	Batches, Ops, Reruns, Singles atomic.Int64
}

type pending struct {
	ctx  context.Context
	op   Op
	err  error
	done chan struct{}
}

// New starts a Batcher over backend. Close it before the backend.
func New(backend Backend, opt Options) *Batcher {
	b := &Batcher{backend: backend, opt: opt, queue: make(chan *pending, MaxQueue), quit: make(chan struct{}), ended: make(chan struct{})}
	b.pool.New = func() any { return &pending{done: make(chan struct{}, 1)} }
	b.latest.Store(opt.Floor.UnixMilli())
	b.wg.Go(b.run)
	return b
}

// Close answers what was queued and stops. Operations that come later are refused.
func (b *Batcher) Close() {
	b.close.Do(func() {
		close(b.quit)
		b.wg.Wait()
		close(b.ended)
	})
}

// Stats returns the live counters.
func (b *Batcher) Stats() *Stats { return &b.stats }

// reading is what the database's clock showed, and when that was by this process's monotonic clock.
type reading struct{ clock, at time.Time }

// Now implements Ledger. It goes on from the database's clock as it was last read, so that a node whose own clock is off
// does not decide by it, nor hand it to others.
func (b *Batcher) Now() time.Time {
	now := time.Now()
	if r := b.reading.Load(); r != nil {
		now = r.clock.Add(now.Sub(r.at))
	}
	return time.UnixMilli(max(b.latest.Load(), b.shifted(now))).UTC()
}

func (b *Batcher) shifted(t time.Time) int64 {
	if b.opt.Offset != nil {
		t = t.Add(b.opt.Offset())
	}
	return t.UnixMilli()
}

// advance returns the time of a batch when the database's clock says clock, and remembers it.
func (b *Batcher) advance(clock time.Time) time.Time {
	b.reading.Store(&reading{clock, time.Now()})
	ms := b.shifted(clock)
	for {
		last := b.latest.Load()
		if ms <= last {
			return time.UnixMilli(last).UTC()
		}
		if b.latest.CompareAndSwap(last, ms) {
			return time.UnixMilli(ms).UTC()
		}
	}
}

// Read implements Ledger.
func (b *Batcher) Read(ctx context.Context, key Key) (Value, error) {
	row, err := b.backend.Read(ctx, key)
	if err != nil {
		return nil, translate(err)
	}
	return b.decode(row)
}

// ReadLogin implements Ledger.
func (b *Batcher) ReadLogin(ctx context.Context, login, otherwise Key) (Value, Value, error) {
	l, a, err := b.backend.ReadLogin(ctx, login, otherwise)
	if err != nil {
		return nil, nil, translate(err)
	}
	lv, err := b.decode(l)
	if err != nil {
		return nil, nil, err
	}
	av, err := b.decode(a)
	return lv, av, err
}

func (b *Batcher) decode(row Stored) (Value, error) {
	if row.Version == 0 {
		return nil, nil
	}
	return b.opt.Decode(row.Key.Kind, row.Record)
}

// Due implements Ledger.
func (b *Batcher) Due(ctx context.Context, kind Kind, limit int) ([]Key, error) {
	keys, err := b.backend.Due(ctx, kind, b.Now().UnixMilli(), limit)
	if err != nil {
		return nil, translate(err)
	}
	return keys, nil
}

// Do implements Ledger.
func (b *Batcher) Do(ctx context.Context, op Op) error {
	p, _ := b.pool.Get().(*pending)
	p.ctx, p.op, p.err = ctx, op, nil
	select {
	case <-b.quit:
		return errStopping
	default:
	}
	select {
	case b.queue <- p:
	default:
		return errOverloaded
	}
	select {
	case <-p.done:
	case <-b.ended:
		// Queued while the batches stopped: either the last one took it, or nobody ever will.
		select {
		case <-p.done:
		default:
			return errStopping
		}
	case <-ctx.Done():
		// p is never reused: its batch may be under way.
		return fault.New(fault.Unavailable, OutcomeUnknown, "This took too long. Ask again with the same idempotency key to learn what happened.").
			WithRetry(time.Second).WithCause(ctx.Err())
	}
	err := p.err
	p.ctx, p.op = nil, Op{}
	b.pool.Put(p)
	return err
}

// OutcomeUnknown is the code of the fault after which a change may or may not have happened.
const OutcomeUnknown = "outcome_unknown"

// Overloaded is the code of the fault of an operation that found no place in the queue: nothing has happened.
const Overloaded = "overloaded"

// Faults of Do.
var (
	errStopping   = fault.New(fault.Unavailable, "stopping", "This server is stopping. Ask again.").WithRetry(time.Second)
	errOverloaded = fault.New(fault.Unavailable, Overloaded, "There is too much to do right now. Ask again in a moment.").WithRetry(time.Second)
)

// run is the one goroutine that runs batches. A second one would halve them, and on both databases a batch costs much the same
// whatever is in it.
func (b *Batcher) run() {
	batch := make([]*pending, 0, MaxBatch)
	for {
		batch = batch[:0]
		select {
		case p := <-b.queue:
			batch = append(batch, p)
		case <-b.quit:
			// One last look: what was queued before the stop is answered.
			select {
			case p := <-b.queue:
				batch = append(batch, p)
			default:
				return
			}
		}
		batch = b.serve(b.fill(batch))
	}
}

// fill adds what else has queued up, without waiting.
func (b *Batcher) fill(batch []*pending) []*pending {
	for len(batch) < MaxBatch {
		select {
		case p := <-b.queue:
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

// serve runs a batch to its end and answers everyone in it.
func (b *Batcher) serve(batch []*pending) []*pending {
	live := batch[:0:len(batch)]
	for _, p := range batch {
		if p.err = p.ctx.Err(); p.err != nil {
			p.done <- struct{}{} // its caller has left
			continue
		}
		live = append(live, p)
	}
	if len(live) > 0 {
		b.settle(live)
	}
	for _, p := range live {
		p.done <- struct{}{}
	}
	return batch
}

// settle runs ops together, again after a lost race, and one by one when together doesn't work.
func (b *Batcher) settle(ops []*pending) {
	b.stats.Ops.Add(int64(len(ops)))
	err := b.attempt(ops)
	var run *RunError
	if err == nil {
		return
	}
	// Anything else, a row that can't be read included, is the matter of whoever named it and not of its neighbours.
	if errors.As(err, &run) && (run.Outcome == Down || run.Outcome == Unknown) || len(ops) == 1 {
		for _, p := range ops {
			p.err = translate(err)
		}
		return
	}
	for i, p := range ops {
		b.stats.Singles.Add(1)
		err := b.attempt(ops[i : i+1])
		if err == nil {
			continue
		}
		p.err = translate(err)
		if errors.As(err, &run) && run.Outcome == Down {
			for _, rest := range ops[i+1:] {
				rest.err = p.err
			}
			return
		}
	}
}

// attempt runs ops as one batch, again when another node was faster.
func (b *Batcher) attempt(ops []*pending) error {
	var err error
	for try := range maxReruns {
		if try > 0 {
			b.stats.Reruns.Add(1)
		}
		err = b.once(ops)
		var run *RunError
		if !errors.As(err, &run) || run.Outcome != LostRace {
			return err
		}
	}
	return err
}

func (b *Batcher) once(ops []*pending) error {
	b.stats.Batches.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	return b.backend.Run(ctx, lockOrder(ops), func(clock time.Time, rows []Stored) (Writes, error) {
		return b.decide(ops, clock, rows)
	})
}

// lockOrder is what ops want, each row once and in the order of locks.
func lockOrder(ops []*pending) []Want {
	all := make([]Want, 0, 3*len(ops))
	for _, p := range ops {
		for _, k := range p.op.Keys {
			all = append(all, Want{k, !p.op.Alone})
		}
	}
	slices.SortFunc(all, func(a, b Want) int { return a.Compare(b.Key) })
	once := all[:0]
	for _, w := range all {
		if n := len(once); n > 0 && once[n-1].Key == w.Key {
			once[n-1].Owner = once[n-1].Owner || w.Owner
		} else {
			once = append(once, w)
		}
	}
	return once
}

// decide lets every operation decide in turn on the locked rows.
func (b *Batcher) decide(ops []*pending, clock time.Time, stored []Stored) (Writes, error) {
	tx := &Tx{now: b.advance(clock), rows: make(map[Key]*slot, 2*len(stored)+2*len(ops)), puts: make(map[Key]Value, 4)}
	for _, s := range stored {
		v, err := b.opt.Decode(s.Key.Kind, s.Record)
		if err != nil {
			return Writes{}, fmt.Errorf("row %v: %w", s.Key.ID, err)
		}
		tx.rows[s.Key] = &slot{value: v, version: s.Version}
	}
	var events []Event
	for _, p := range ops {
		clear(tx.puts)
		tx.events = tx.events[:0]
		if p.err = apply(p.op, tx); p.err != nil {
			continue
		}
		for key, v := range tx.puts {
			s := tx.rows[key]
			if s == nil {
				s = &slot{}
				tx.rows[key] = s
			}
			s.value, s.dirty = v, true
		}
		events = append(events, tx.events...)
	}
	journal, err := journalOf(events, tx.now)
	if err != nil {
		return Writes{}, err
	}
	return Writes{Changes: changesOf(tx.rows), Journal: journal}, nil
}

// apply runs one operation; a panic is its own error and nobody else's.
func apply(op Op, tx *Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.Internal, "internal", "Something went wrong on our side. Try again.").
				WithCause(fmt.Errorf("panic in operation: %v\n%s", r, debug.Stack()))
		}
	}()
	return op.Apply(tx)
}

func changesOf(rows map[Key]*slot) []Change {
	changes := make([]Change, 0, len(rows))
	for key, s := range rows {
		if s.dirty {
			changes = append(changes, Change{Key: key, Version: s.version, Owner: s.value.Owner(), WakeAt: s.value.WakeAt()})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return a.Key.Compare(b.Key) })
	var records []byte // one allocation for all, most of the time
	for i := range changes {
		from := len(records)
		records = rows[changes[i].Key].value.AppendRecord(records)
		changes[i].Record = records[from:len(records):len(records)]
	}
	return changes
}

// journalOf groups events by service, in order, and salts them.
func journalOf(events []Event, now time.Time) ([]Journal, error) {
	if len(events) == 0 {
		return nil, nil
	}
	salts := make([]byte, 16*len(events))
	if _, err := rand.Read(salts); err != nil {
		return nil, fmt.Errorf("salt events: %w", err)
	}
	slices.SortStableFunc(events, func(a, b Event) int { return int(a.Service) - int(b.Service) })
	var journal []Journal
	for start := 0; start < len(events); {
		end := start
		for end < len(events) && events[end].Service == events[start].Service {
			copy(events[end].Salt[:], salts[16*end:])
			end++
		}
		journal = append(journal, Journal{
			Service: events[start].Service, At: now.UnixMilli(), Count: end - start, Packed: PackEvents(events[start:end]),
		})
		start = end
	}
	return journal, nil
}

// translate turns a backend's error into the fault that the caller gets.
func translate(err error) error {
	var run *RunError
	if errors.As(err, &run) {
		if run.Outcome == Unknown {
			return fault.New(fault.Unavailable, OutcomeUnknown, "The database did not answer. Ask again with the same idempotency key to learn what happened.").
				WithRetry(time.Second).WithCause(err)
		}
		return fault.New(fault.Unavailable, "database_unavailable", "The database can't be used right now. Nothing was changed; ask again in a moment.").
			WithRetry(2 * time.Second).WithCause(err)
	}
	return fault.As(err)
}
