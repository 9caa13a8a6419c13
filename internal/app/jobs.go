// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/verification"
)

const (
	wakeAtOnce      = 500
	placesEvery     = time.Minute
	sweepEvery      = 250 * time.Millisecond
	wakeEvery       = 250 * time.Millisecond
	numberEvery     = 100 * time.Millisecond
	checkpointEvery = time.Minute
	tick            = time.Second
)

// startJobs starts what runs beside the requests.
func (a *App) startJobs() {
	a.every(tick, "reload services and API keys", a.registry.Reload)
	a.every(tick, "merge counts of callers", func(ctx context.Context) error { return a.callers.Merge(ctx, a.ledger.Now()) })
	a.every(tick, "write down the time", a.saveTime)
	a.every(wakeEvery, "send and end what is due", untilDone(a.engine.Wake))
	a.every(wakeEvery, "send notices and do what is due for accounts", untilDone(a.accounts.Wake))
	a.every(wakeEvery, "send and end what is due of hand-overs", untilDone(a.handovers.Wake))
	a.every(numberEvery, "number events", a.number)
	a.every(placesEvery, "read the database of places", a.places.Refresh)
	a.every(checkpointEvery, "write checkpoints of the event log", a.checkpoint)
	sweep := &sweeper{app: a, kind: ledger.KindReply}
	a.every(sweepEvery, "remove what nobody needs", sweep.step)
}

// every runs fn again and again, with a pause between the end of one run and the start of the next. A failure is
// logged when it begins and when it is over, not each time.
func (a *App) every(pause time.Duration, what string, fn func(context.Context) error) {
	a.jobs.Go(func() {
		timer := time.NewTicker(pause)
		defer timer.Stop()
		failing := false
		for {
			select {
			case <-a.background.Done():
				return
			case <-timer.C:
			}
			err := fn(a.background)
			switch {
			case err != nil && a.background.Err() == nil && !failing:
				failing = true
				a.opt.Log.Error("a job fails; it goes on trying", "job", what, "err", err, "cause", fault.As(err).Unwrap())
			case err == nil && failing:
				failing = false
				a.opt.Log.Info("a job works again", "job", what)
			}
		}
	})
}

// saveTime writes down the time if any decision was made since it was written down.
func (a *App) saveTime(ctx context.Context) error {
	if n := a.ledger.Stats().Batches.Load(); n != a.saved.Swap(n) {
		return a.store.SaveLatestTime(ctx, a.ledger.Now())
	}
	return nil
}

// untilDone wakes what is due, a bounded number at a time, until there is no more.
func untilDone(wake func(ctx context.Context, limit int) (int, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			n, err := wake(ctx, wakeAtOnce)
			if err != nil || n < wakeAtOnce {
				return err
			}
		}
	}
}

func (a *App) number(ctx context.Context) error {
	for {
		waiting, err := a.store.Unnumbered(ctx)
		if err != nil || !waiting {
			return err
		}
		if _, err := a.store.NumberEvents(ctx); err != nil {
			return err
		}
	}
}

// sweeper walks through the rows in small steps, one kind after the other.
type sweeper struct {
	app  *App
	kind ledger.Kind
	from ledger.ID
	rest time.Time // when what is not rows was last swept
}

// restEvery is how often counters and links are swept: each is one write.
const restEvery = time.Minute

func (s *sweeper) step(ctx context.Context) error {
	now := s.app.ledger.Now()
	keep := time.Duration(s.app.opt.Config.Int("keep-days")) * 24 * time.Hour
	// What began later than keep ago has not been over for as long.
	old := verification.FirstID(now.Add(-keep))
	until := old
	if s.kind != ledger.KindVerification {
		until = ledger.ID(bytes.Repeat([]byte{0xff}, len(until)))
	}
	next, _, err := s.app.store.Sweep(ctx, s.kind, s.from, until, func(v ledger.Value) bool { return stale(v, now, keep) }, decodeRow)
	if err != nil {
		return err
	}
	s.from = next
	if !next.IsZero() {
		return nil
	}
	if s.kind++; s.kind < ledger.Kinds {
		return nil
	}
	s.kind = ledger.KindReply
	if now.Sub(s.rest) < restEvery {
		return nil
	}
	s.rest = now
	if _, err := s.app.store.SweepCounters(ctx, now.Unix()); err != nil {
		return err
	}
	_, err = s.app.store.SweepLinks(ctx, old)
	return err
}
