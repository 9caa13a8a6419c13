// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// arrivals are how long messages to each network have taken lately, from what providers say of those that arrived. They are kept in this
// node's memory: a node that has just started knows nothing and says so.
type arrivals struct {
	mu   sync.Mutex
	seen map[string]*recent
}

type recent struct {
	took [maxArrivals]time.Duration
	at   [maxArrivals]time.Time
	n    int
}

const (
	maxArrivals  = 64               // of one network
	maxNetworks  = 2000             // beyond, all are forgotten: they are learnt again within minutes
	arrivalsLast = 30 * time.Minute // how long one counts as "now"
	fewArrivals  = 3                // fewer say nothing of what is usual
)

// Usual is how long messages to a network take now.
type Usual struct {
	Half, Most time.Duration // half of them took no longer, and nine in ten
	Count      int           // of how many; 0: nothing is known
}

func (a *arrivals) note(network string, took time.Duration, now time.Time) {
	if took <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil || len(a.seen) >= maxNetworks && a.seen[network] == nil {
		a.seen = map[string]*recent{}
	}
	r := a.seen[network]
	if r == nil {
		r = &recent{}
		a.seen[network] = r
	}
	r.took[r.n%maxArrivals], r.at[r.n%maxArrivals] = took, now
	r.n++
}

func (a *arrivals) usual(network string, now time.Time) Usual {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.seen[network]
	if r == nil {
		return Usual{}
	}
	var all []time.Duration
	for i := range min(r.n, maxArrivals) {
		if now.Sub(r.at[i]) < arrivalsLast {
			all = append(all, r.took[i])
		}
	}
	if len(all) < fewArrivals {
		return Usual{}
	}
	slices.Sort(all)
	return Usual{Half: all[len(all)/2], Most: all[len(all)*9/10], Count: len(all)}
}

// network is by what arrivals are counted: the channel and the network that the provider names; where it names none, the number's country
// or the mailbox's domain.
func (m *Message) network(e *Engine, key ledger.Key, r *Record) string {
	channel := string(service.Channels()[m.Channel-1])
	svc, ok := e.services.ByID(key.Service)
	if !ok {
		return channel
	}
	to, err := openContact(svc, key.ID, r)
	if err != nil {
		return channel
	}
	where := to.Region()
	if to.Kind() == contact.Email {
		_, where, _ = strings.Cut(to.Reveal(), "@") // counted in memory, and told to nobody
	}
	for i := range m.Attempts {
		if n := m.Attempts[i].Network; n != "" {
			where = n
		}
	}
	return channel + " " + where
}
