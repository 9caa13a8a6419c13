// SPDX-License-Identifier: Apache-2.0

package message

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign/countersign/internal/service"
)

// Sent is what a provider says when it has taken a message.
type Sent struct {
	Reference string // the provider's id of it; empty if it has none
	Network   string // the recipient's network, where told
}

// Provider hands messages to the world. Its methods may be called concurrently.
type Provider interface {
	// Name is the configured name, by which attempts and receipts are known.
	Name() string
	// Receipts tells whether the provider will report delivery.
	Receipts() bool
	// Send hands the message over or returns a *SendError; any other error counts as TryLater. It
	// returns soon after ctx is done. Errors hold no code and no contact.
	Send(ctx context.Context, o *Outgoing, t *Text) (Sent, error)
}

// SendError is why a provider did not take a message.
type SendError struct {
	Outcome Outcome
	Code    string        // the provider's own error code, at most 32 bytes
	RetryIn time.Duration // when the provider said so
	Err     error         // for logs
}

// Error implements error.
func (e *SendError) Error() string {
	return fmt.Sprintf("not sent: outcome %d, provider's code %q: %v", e.Outcome, e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// Limits of a dispatcher.
const (
	SendTimeout   = 5 * time.Second // of one provider, so that another is asked within seconds
	reportTries   = 5
	troubleAfter  = 3                // failures in a row that put a provider last
	troubleLasts  = 30 * time.Second // for so long
	maxRetryPause = time.Minute
)

// DispatcherOptions are the settings of a Dispatcher.
type DispatcherOptions struct {
	Routes  map[service.Channel][]Provider // in the order in which they are asked
	Workers int                            // 0: 128; each waits for its report to be durable, so there are many
	Queue   int                            // 0: 4096
	Now     func() time.Time
	Log     *slog.Logger
	// Link remembers under which reference a provider will report, before the report is made; nil: nobody asks.
	Link func(ctx context.Context, provider, reference string, ref Ref) error
}

// Dispatcher carries messages to providers: one pass over those of the channel, failing over within
// seconds, then one report. It keeps nothing: what it has not reported is sent again by whoever
// finds its lease run out.
type Dispatcher struct {
	opt     DispatcherOptions
	outbox  Outbox
	render  *Renderer
	queue   chan Outgoing
	health  map[string]*health
	workers sync.WaitGroup
	closed  atomic.Bool
	gate    sync.RWMutex // held for reading while enqueueing, so that the queue is closed after the last
	ctx     context.Context
	cancel  context.CancelFunc
}

// health is how a provider has been doing.
type health struct {
	failures atomic.Int32
	until    atomic.Int64 // Unix milliseconds until which it is asked last
	typical  atomic.Int64 // microseconds, smoothed
}

// NewDispatcher returns a dispatcher that reports to the outbox given to Bind. The error tells what is
// wrong with the built-in catalogues.
func NewDispatcher(opt DispatcherOptions) (*Dispatcher, error) {
	renderer, err := NewRenderer()
	if err != nil {
		return nil, err
	}
	if opt.Workers == 0 {
		opt.Workers = 128
	}
	if opt.Queue == 0 {
		opt.Queue = 4096
	}
	d := &Dispatcher{opt: opt, render: renderer, queue: make(chan Outgoing, opt.Queue), health: map[string]*health{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	for _, providers := range opt.Routes {
		for _, p := range providers {
			d.health[p.Name()] = &health{}
		}
	}
	return d, nil
}

// Bind sets the outbox: the engine needs the dispatcher and the dispatcher the engine. Call it before Start.
func (d *Dispatcher) Bind(outbox Outbox) { d.outbox = outbox }

// Enqueue takes a message without blocking; false: the queue is full or closed, and the message will be
// offered again when its lease has run out.
func (d *Dispatcher) Enqueue(o Outgoing) bool {
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.closed.Load() {
		return false
	}
	select {
	case d.queue <- o:
		return true
	default:
		return false
	}
}

// Start begins to send.
func (d *Dispatcher) Start() {
	for range d.opt.Workers {
		d.workers.Go(func() {
			for o := range d.queue {
				d.carry(&o)
			}
		})
	}
}

// Running tells whether messages are being sent.
func (d *Dispatcher) Running() bool { return !d.closed.Load() }

// Close takes no more messages, sends those it has, and returns when they are reported or ctx is done.
func (d *Dispatcher) Close(ctx context.Context) error {
	defer d.cancel()
	d.gate.Lock()
	if !d.closed.Swap(true) {
		close(d.queue)
	}
	d.gate.Unlock()
	done := make(chan struct{})
	go func() { d.workers.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// carry makes one pass and reports it.
func (d *Dispatcher) carry(o *Outgoing) {
	rep := d.pass(o)
	pause := 100 * time.Millisecond
	for try := range reportTries {
		err := d.outbox.Report(d.ctx, rep)
		if err == nil {
			return
		}
		if d.ctx.Err() != nil || try == reportTries-1 {
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

// pass asks the channel's providers in turn.
func (d *Dispatcher) pass(o *Outgoing) Report {
	rep := Report{Ref: o.Ref}
	started := d.opt.Now()
	if !started.Before(o.Deadline) {
		rep.Final = true
		rep.Attempts = []Attempt{{StartedAt: started, EndedAt: started, Outcome: Overdue}}
		return rep
	}
	text, err := d.render.Render(o)
	if err != nil {
		d.opt.Log.Error("a message can't be put into words", "err", err)
		rep.Final = true
		rep.Attempts = []Attempt{{StartedAt: started, EndedAt: started, Outcome: Misconfigured}}
		return rep
	}
	providers := d.order(o.Channel)
	if len(providers) == 0 {
		rep.Final = true
		rep.Attempts = []Attempt{{StartedAt: started, EndedAt: started, Outcome: Misconfigured, Code: "no_provider"}}
		return rep
	}
	rep.RetryIn = backoff(o.Passes)
	for i, p := range providers {
		a, asked := d.attempt(p, o, &text)
		rep.Attempts = append(rep.Attempts, a)
		switch a.Outcome {
		case Accepted:
			rep.Sent, rep.Receipts = true, p.Receipts()
			if i > 0 {
				d.opt.Log.Warn("a message went out by another provider", "channel", o.Channel, "provider", p.Name(), "instead_of", providers[0].Name())
			}
			return rep
		case Unreachable, ContactKind, Blocked:
			rep.Final = true
			return rep
		case TryLater:
			rep.RetryIn = max(rep.RetryIn, asked)
		}
	}
	if d.opt.Now().Add(rep.RetryIn).After(o.Deadline) {
		rep.Final = true
	}
	return rep
}

// backoff grows with the passes made; its jitter keeps messages that failed together apart.
func backoff(passes int) time.Duration {
	pause := min(maxRetryPause, time.Second<<min(passes, 6))
	return pause/2 + rand.N(pause/2+1)
}

// order is the channel's providers with those in trouble last.
func (d *Dispatcher) order(c service.Channel) []Provider {
	all := d.opt.Routes[c]
	if len(all) < 2 {
		return all
	}
	now := d.opt.Now().UnixMilli()
	well, ill := make([]Provider, 0, len(all)), []Provider(nil)
	for _, p := range all {
		if d.health[p.Name()].until.Load() > now {
			ill = append(ill, p)
		} else {
			well = append(well, p)
		}
	}
	return append(well, ill...)
}

// attempt asks one provider and learns from it.
func (d *Dispatcher) attempt(p Provider, o *Outgoing, t *Text) (Attempt, time.Duration) {
	a := Attempt{Provider: p.Name(), StartedAt: d.opt.Now(), Outcome: Accepted}
	h := d.health[p.Name()]
	if o.Decoy {
		// The same way and the same time, but nobody is texted.
		wait(d.ctx, time.Duration(h.typical.Load())*time.Microsecond)
		a.EndedAt = d.opt.Now()
		return a, 0
	}
	ctx, cancel := context.WithTimeout(d.ctx, SendTimeout)
	defer cancel()
	began := time.Now()
	sent, err := p.Send(ctx, o, t)
	took := time.Since(began)
	a.EndedAt = d.opt.Now()
	if err == nil {
		a.Reference, a.Network = sent.Reference, sent.Network
		h.failures.Store(0)
		h.typical.Store((7*h.typical.Load() + took.Microseconds()) / 8)
		if sent.Reference != "" && p.Receipts() && d.opt.Link != nil {
			if err := d.opt.Link(d.ctx, p.Name(), sent.Reference, o.Ref); err != nil {
				d.opt.Log.Error("a provider's receipt for a message won't be understood", "provider", p.Name(), "err", err)
			}
		}
		return a, 0
	}
	failure := &SendError{Outcome: TryLater, Err: err}
	errors.As(err, &failure)
	a.Outcome, a.Code = failure.Outcome, failure.Code[:min(len(failure.Code), 32)]
	if a.Outcome == TryLater || a.Outcome == Misconfigured {
		d.trouble(p, h, failure)
	}
	return a, failure.RetryIn
}

// trouble counts a failure that is the provider's and not the contact's.
func (d *Dispatcher) trouble(p Provider, h *health, err error) {
	if n := h.failures.Add(1); n%troubleAfter == 0 {
		h.until.Store(d.opt.Now().Add(troubleLasts).UnixMilli())
		d.opt.Log.Warn("alarm: a provider fails again and again", "alarm", "provider", "provider", p.Name(), "failures", n, "err", err)
	}
}
