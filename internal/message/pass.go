// SPDX-License-Identifier: Apache-2.0

package message

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/countersign/countersign/internal/service"
)

const maxRetryPause = time.Minute

// late counts a message that no worker had time for, and says so once a minute: there will be many.
func (d *Dispatcher) late() {
	d.tardy.Add(1)
	now := time.Now().Unix()
	if last := d.toldTardy.Load(); now-last < 60 || !d.toldTardy.CompareAndSwap(last, now) {
		return
	}
	d.opt.Log.Warn("messages waited too long for a worker and are left to their lease; a faster provider is needed, or more nodes",
		"alarm", "queue", "since_start", d.tardy.Load())
}

// carry makes one pass and reports it.
func (d *Dispatcher) carry(q *queued) {
	left := passTimeout - time.Since(q.at)
	if left < SendTimeout {
		d.late()
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, left)
	rep := d.pass(ctx, &q.Outgoing)
	cancel()
	if d.ctx.Err() != nil && !rep.Sent {
		return // cut off by a stop: nothing is known of it
	}
	pause := 100 * time.Millisecond
	for try := 1; ; try++ {
		err := d.outbox.Report(d.ctx, rep)
		if err == nil {
			return
		}
		if d.ctx.Err() != nil || try == reportTries {
			d.opt.Log.Error("what became of a message could not be written down; it will be sent again when its lease has run out", "sent", rep.Sent, "err", err)
			return
		}
		wait(d.ctx, pause)
		pause *= 2
	}
}

func wait(ctx context.Context, pause time.Duration) {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// ended is the report of a pass in which no provider could be asked and none will be.
func (d *Dispatcher) ended(o *Outgoing, why Outcome, code string) Report {
	now := d.opt.Now()
	return Report{Ref: o.Ref, Final: true, Attempts: []Attempt{{StartedAt: now, EndedAt: now, Outcome: why, Code: code}}}
}

// pass asks the channel's providers in turn.
func (d *Dispatcher) pass(ctx context.Context, o *Outgoing) Report {
	if !d.opt.Now().Before(o.Deadline) {
		return d.ended(o, Overdue, "")
	}
	text, err := d.render.Render(o)
	if err != nil {
		d.opt.Log.Error("a message can't be put into words", "err", err)
		return d.ended(o, Misconfigured, "no_words")
	}
	providers := d.order(o.Channel)
	if len(providers) == 0 {
		return d.ended(o, Misconfigured, "no_provider")
	}
	if o.Decoy {
		return d.decoy(ctx, o, providers[0])
	}
	rep := Report{Ref: o.Ref, RetryIn: backoff(o.Passes), Attempts: make([]Attempt, 0, len(providers))}
	hopeless := true // nobody can carry it, now or later
	for _, p := range providers {
		a, asked := d.attempt(ctx, p, o, &text)
		rep.Attempts = append(rep.Attempts, a)
		switch a.Outcome {
		case Accepted:
			rep.Sent, rep.Receipts, rep.RetryIn = true, p.Receipts(), 0
			return rep
		case Unreachable, ContactKind, Blocked:
			rep.Final, rep.RetryIn = true, 0
			return rep
		case TryOther:
		default:
			hopeless = false
			rep.RetryIn = max(rep.RetryIn, min(asked, maxRetryPause))
		}
	}
	return d.concluded(o, rep, hopeless)
}

// concluded decides whether a further pass makes sense.
func (d *Dispatcher) concluded(o *Outgoing, rep Report, hopeless bool) Report {
	now := d.opt.Now()
	switch {
	case hopeless:
		rep.Final, rep.RetryIn = true, 0
	case !now.Add(rep.RetryIn).Before(o.Deadline):
		rep.Final, rep.RetryIn = true, 0
		rep.Attempts = append(rep.Attempts, Attempt{StartedAt: now, EndedAt: now, Outcome: Overdue})
	}
	return rep
}

// decoy takes as long as a message to p, but nobody is asked and nobody gets a text.
func (d *Dispatcher) decoy(ctx context.Context, o *Outgoing, p Provider) Report {
	a := Attempt{StartedAt: d.opt.Now(), Outcome: Accepted}
	wait(ctx, d.health[p.Name()].typical())
	a.EndedAt = d.opt.Now()
	if d.health[p.Name()].ill(a.EndedAt) { // the best that there is, and it takes no messages now: nor would this one have gone
		a.Outcome = TryLater
		return d.concluded(o, Report{Ref: o.Ref, RetryIn: backoff(o.Passes), Attempts: []Attempt{a}}, false)
	}
	return Report{Ref: o.Ref, Sent: true, Attempts: []Attempt{a}}
}

// backoff doubles with the passes made, from one second to a minute; its jitter keeps messages that failed
// together apart.
func backoff(passes int) time.Duration {
	pause := min(maxRetryPause, time.Second<<min(max(passes, 0), 6))
	return pause/2 + rand.N(pause/2+1) //nolint:gosec // not a secret
}

// order is the channel's providers: those in trouble last, but they are asked when nobody else is left.
func (d *Dispatcher) order(c service.Channel) []Provider {
	all := d.opt.Routes[c]
	if len(all) < 2 {
		return all
	}
	now := d.opt.Now()
	well, ill := make([]Provider, 0, len(all)), []Provider(nil)
	for _, p := range all {
		if d.health[p.Name()].ill(now) {
			ill = append(ill, p)
		} else {
			well = append(well, p)
		}
	}
	return append(well, ill...)
}

// attempt asks one provider and learns from it. It returns what the provider said of when to ask again.
func (d *Dispatcher) attempt(ctx context.Context, p Provider, o *Outgoing, t *Text) (Attempt, time.Duration) {
	a := Attempt{Provider: p.Name(), StartedAt: d.opt.Now()}
	h := d.health[p.Name()]
	ctx, cancel := context.WithTimeout(ctx, min(SendTimeout, o.Deadline.Sub(a.StartedAt)))
	defer cancel()
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
	case <-ctx.Done():
		a.EndedAt, a.Outcome, a.Code = d.opt.Now(), TryLater, "busy"
		return a, 0
	}
	began := time.Now()
	sent, err := p.Send(ctx, o, t)
	a.EndedAt = d.opt.Now()
	if err == nil {
		h.well(time.Since(began))
		a.Outcome, a.Reference, a.Network = Accepted, Word(sent.Reference, MaxReference), Word(sent.Network, MaxWord)
		if !sent.Named {
			d.link(p, o, a.Reference)
		}
		return a, 0
	}
	failure := &SendError{Outcome: TryLater, Code: "unknown", Err: err}
	errors.As(err, &failure)
	a.Outcome, a.Code = failure.Outcome, Word(failure.Code, MaxWord)
	switch {
	case a.Outcome != TryLater && a.Outcome != Misconfigured:
		h.well(time.Since(began))
	case d.ctx.Err() == nil: // else our own stop has cut it off
		// Said even when another provider helps out: who isn't told finds out when that one fails, too.
		if n := h.failed(a.EndedAt); n > 0 {
			d.opt.Log.Warn("alarm: a provider fails again and again and is asked last for a while", "alarm", "provider", "provider", p.Name(), "failures", n, "err", failure)
		}
	}
	return a, failure.RetryIn
}

// link remembers for which message the provider will report. The message is out, whatever happens here.
func (d *Dispatcher) link(p Provider, o *Outgoing, reference string) {
	if reference == "" || !p.Receipts() || d.opt.Link == nil {
		return
	}
	if err := d.opt.Link(d.ctx, p.Name(), reference, o.Ref); err != nil {
		d.opt.Log.Error("a provider's receipt for a message won't be understood", "provider", p.Name(), "err", err)
	}
}
