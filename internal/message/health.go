// SPDX-License-Identifier: Apache-2.0

package message

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	troubleAfter  = 3 // failures in a row ...
	troubleWithin = time.Minute
	troubleLasts  = 30 * time.Second // ... put a provider last for so long
	// usual is how long a provider is taken to need before it was ever asked.
	usual = 300 * time.Millisecond
)

// health is how a provider has been doing, and its places.
type health struct {
	places chan struct{} // taken while it is asked

	mu       sync.Mutex
	failures int       // in a row
	first    time.Time // of them
	until    time.Time // asked last until then
	took     [64]time.Duration
	seen     int // how many durations were ever noted
}

func newHealth() *health { return &health{places: make(chan struct{}, maxAtOnce)} }

// ill tells whether the provider is to be asked last.
func (h *health) ill(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.until)
}

// well notes that the provider did its part: it took a message or knows that nobody can.
func (h *health) well(took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures = 0
	h.took[h.seen%len(h.took)] = took
	h.seen++
}

// failed notes a failure that is the provider's own and returns the number in a row if it just
// became ill, else 0.
func (h *health) failed(now time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures == 0 || now.Sub(h.first) > troubleWithin {
		h.failures, h.first = 0, now
	}
	h.failures++
	if h.failures < troubleAfter || now.Before(h.until) {
		return 0
	}
	h.until = now.Add(troubleLasts)
	return h.failures
}

// typical is how long one of the last messages took, drawn at random: what waits that long can't be
// told by its time from what is sent.
func (h *health) typical() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == 0 {
		return usual
	}
	return h.took[rand.IntN(min(h.seen, len(h.took)))] //nolint:gosec // not a secret
}
