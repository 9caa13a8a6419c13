// SPDX-License-Identifier: Apache-2.0

package message

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign/countersign/internal/service"
)

// SendTimeout is how long one provider may take, so that another is asked within seconds.
const SendTimeout = 5 * time.Second

const (
	// passTimeout is how long a message may wait in the queue and go from provider to provider. It is well below
	// the lease, after which another node would send it, too.
	passTimeout = 16 * time.Second
	// maxAtOnce is how many messages one provider is given at the same time, so that one that hangs
	// doesn't hold all workers.
	maxAtOnce   = 96
	reportTries = 7 // over about six seconds
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
	tardy, toldTardy atomic.Int64 // messages that no worker had time for; when that was last said, in Unix seconds
	opt              DispatcherOptions
	outbox           Outbox
	render           *Renderer
	queue            chan queued
	health           map[string]*health
	workers          sync.WaitGroup
	closed           atomic.Bool
	gate             sync.RWMutex // held for reading while enqueueing, so that the queue is closed after the last
	ctx              context.Context
	cancel           context.CancelFunc
}

// queued is a message and when this node took it, which is when its lease began.
type queued struct {
	Outgoing
	at time.Time
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
	d := &Dispatcher{opt: opt, render: renderer, queue: make(chan queued, opt.Queue), health: map[string]*health{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	for _, providers := range opt.Routes {
		for _, p := range providers {
			d.health[p.Name()] = newHealth()
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
	case d.queue <- queued{o, time.Now()}:
		return true
	default:
		return false
	}
}

// Start begins to send.
func (d *Dispatcher) Start() {
	for range d.opt.Workers {
		d.workers.Go(func() {
			for q := range d.queue {
				if d.ctx.Err() == nil {
					d.carry(&q)
				}
			}
		})
	}
}

// Renderer is what messages are put into words by.
func (d *Dispatcher) Renderer() *Renderer { return d.render }

// Wish is the renderer's: what a text that came in asks for.
func (d *Dispatcher) Wish(text string) Wish { return d.render.Wish(text) }

// Running tells whether messages are being sent.
func (d *Dispatcher) Running() bool { return !d.closed.Load() }

// Close takes no more messages, sends those it has, and returns when they are reported. When ctx is done before,
// what is being sent is cut off, the rest is left to its lease, and the error is ctx's.
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
		d.cancel()
		<-done // providers and outbox give up soon
		return ctx.Err()
	}
}
