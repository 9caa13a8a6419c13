// SPDX-License-Identifier: Apache-2.0

// Package messagetest owns what providers are tested with: a provider that keeps messages in memory
// instead of sending them, which the inbox of a developer's machine uses as well, and the suite that all
// providers pass.
//
// It leaves to others what a particular gateway or mail server does: their own tests.
package messagetest

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// Captured is a message that was kept instead of sent. Unlike everything else it can be printed:
// it is for machines without real customers only.
type Captured struct {
	Reference string // the id under which a receipt for it is expected
	At        time.Time
	Service   string // its slug
	Channel   service.Channel
	Purpose   service.Purpose
	To        string
	Code      string
	Subject   string // of an email
	Body      string // of an email: the plain part
	HTML      string // of an email
	Locale    string
	Ref       message.Ref
}

// Capture is a provider that keeps the last messages in memory. Its methods may be called
// concurrently.
type Capture struct {
	name string
	most int

	mu       sync.Mutex
	number   int
	messages []Captured // oldest first
	fail     error
	watchers map[chan Captured]struct{}
}

// NewCapture returns a provider of that name, which keeps at most that many messages (0: 1,000).
func NewCapture(name string, most int) *Capture {
	if most <= 0 {
		most = 1000
	}
	return &Capture{name: name, most: most, watchers: map[chan Captured]struct{}{}}
}

var _ message.Provider = (*Capture)(nil)

// Name implements message.Provider.
func (c *Capture) Name() string { return c.name }

// Receipts implements message.Provider: whoever looks at the messages can make receipts for them.
func (c *Capture) Receipts() bool { return true }

// Fail makes all further sends return err; nil makes them work again.
func (c *Capture) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

// Send implements message.Provider.
func (c *Capture) Send(ctx context.Context, o *message.Outgoing, t *message.Text) (message.Sent, error) {
	if ctx.Err() != nil {
		return message.Sent{}, &message.SendError{Outcome: message.TryLater, Code: "timeout", Err: ctx.Err()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return message.Sent{}, c.fail
	}
	c.number++
	m := Captured{
		Reference: c.name + "-" + strconv.Itoa(c.number), At: time.Now(), Service: o.Service.Slug, Channel: o.Channel, Purpose: o.Purpose,
		To: o.To.Reveal(), Code: o.Code.Reveal(), Subject: t.Subject, Body: t.Body, HTML: t.HTML, Locale: t.Locale, Ref: o.Ref,
	}
	if len(c.messages) >= c.most {
		c.messages = append(c.messages[:0:0], c.messages[len(c.messages)-c.most+1:]...)
	}
	c.messages = append(c.messages, m)
	for w := range c.watchers {
		select {
		case w <- m:
		default: // who doesn't read misses it, and finds it in List
		}
	}
	return message.Sent{Reference: m.Reference}, nil
}

// List returns the messages that are kept, oldest first.
func (c *Capture) List() []Captured {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Captured(nil), c.messages...)
}

// To returns the messages to one contact (as its Reveal gives it), oldest first.
func (c *Capture) To(contact string) []Captured {
	var found []Captured
	for _, m := range c.List() {
		if m.To == contact {
			found = append(found, m)
		}
	}
	return found
}

// Clear forgets all messages.
func (c *Capture) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = nil
}

// Subscribe returns a channel of all further messages, and the function that ends it and closes the channel. The channel
// has room for 64; what comes while it is full is only in List.
func (c *Capture) Subscribe() (messages <-chan Captured, stop func()) {
	w := make(chan Captured, 64)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers[w] = struct{}{}
	return w, sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, w)
		close(w)
	})
}

// Await returns the first kept or coming message that the condition holds for; false: ctx was done
// before.
func (c *Capture) Await(ctx context.Context, condition func(Captured) bool) (Captured, bool) {
	coming, stop := c.Subscribe()
	defer stop()
	for _, m := range c.List() {
		if condition(m) {
			return m, true
		}
	}
	for {
		select {
		case m := <-coming:
			if condition(m) {
				return m, true
			}
		case <-ctx.Done():
			return Captured{}, false
		}
	}
}
