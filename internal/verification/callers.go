// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// Counter is one number shared by all nodes: what one caller spent in one window.
type Counter struct {
	Service uint32
	Caller  ledger.ID // keyed hash of an address, device or session; zero: the whole service
	Window  uint8     // what is counted, in which length of window
	Bucket  int64     // which window: Unix seconds divided by its length
	Count   int64     // to AddCounters: how much to add; from it: the sum
	Ends    int64     // Unix seconds after which nobody asks for it
}

// CounterStore keeps counters.
type CounterStore interface {
	// AddCounters adds to each counter durably and returns their sums over all nodes, in order.
	AddCounters(ctx context.Context, counters []Counter) ([]int64, error)
}

// Callers counts what addresses, devices and sessions ask for. Counts are kept in memory and
// merged over all nodes by Merge, once a second: a caller can overshoot by what it asks of all nodes
// within that second, and a crash forgets that second. A caller that asked once is not
// written down at all: one of anything is within every budget.
type Callers struct {
	store CounterStore
	log   *slog.Logger
	mu    sync.Mutex
	seen  map[counterKey]*tally
}

type counterKey struct {
	service uint32
	window  uint8
	caller  ledger.ID
	bucket  int64
}

type tally struct {
	merged int64 // what the store said last
	fresh  int64 // added since
	ends   int64
	told   bool // of an alarm
}

// maxCallers bounds the memory of the counts: about 30 MB.
const maxCallers = 200_000

// spend is what a caller spends.
type spend uint8

const (
	spendSend spend = iota
	spendGuess
	spendAlarm // wrong checks of the whole service
)

// windows are the lengths of the windows, in seconds; a window's number is 3*spend + its index.
var windows = [...]int64{hour, day, 60}

// NewCallers returns an empty count.
func NewCallers(store CounterStore, log *slog.Logger) *Callers {
	return &Callers{store: store, log: log, seen: make(map[counterKey]*tally)}
}

// charge spends one for every way in which the caller is known, or refuses and spends nothing. The
// returned function gives it back.
func (c *Callers) charge(svc *service.Service, caller Caller, what spend, now time.Time) (func(), error) {
	ids := callerIDs(svc, caller)
	if len(ids) == 0 {
		return func() {}, nil
	}
	limit := svc.Policy.CallerSends
	if what == spendGuess {
		limit = svc.Policy.CallerGuesses
	}
	at := now.Unix()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		for i, most := range [...]int{limit.Hour, limit.Day} {
			if wait := c.wait(svc.ID, id, what, i, int64(most), at); wait > 0 {
				return func() {}, tooMany("caller_"+what.String()+"_exhausted", "Too many codes were asked for or tried from here.", wait*1000)
			}
		}
	}
	c.add(svc.ID, ids, what, at, 1)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.add(svc.ID, ids, what, at, -1)
	}, nil
}

// Guess charges a caller for a guess at a secret that is no verification's (a password, an authenticator's code), or refuses. Call
// the returned function when the guess was right or wasn't judged: it gives the charge back.
func (c *Callers) Guess(svc *service.Service, caller Caller, now time.Time) (func(), error) {
	return c.charge(svc, caller, spendGuess, now)
}

// Send charges a caller for what costs the service as much as a code that is sent, or refuses.
func (c *Callers) Send(svc *service.Service, caller Caller, now time.Time) error {
	_, err := c.charge(svc, caller, spendSend, now)
	return err
}

// What a code costs whoever asked for it beside its send: when its owner says that they hadn't asked for it, and when nobody ever typed anything.
const (
	weightDisowned = 5
	weightUnused   = 1
)

// weigh adds to what a caller has spent on sends, whatever is left: who has codes sent that nobody wants can soon ask for no more.
func (c *Callers) weigh(svc *service.Service, ip string, n int64, now time.Time) {
	if ids := callerIDs(svc, Caller{IP: ip}); len(ids) > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.add(svc.ID, ids, spendSend, now.Unix(), n)
	}
}

// String implements [fmt.Stringer].
func (s spend) String() string { return [...]string{"sends", "guesses", "alarm"}[s] }

// callerIDs are the keyed hashes of what the caller is known by.
func callerIDs(svc *service.Service, caller Caller) []ledger.ID {
	ids := make([]ledger.ID, 0, 3)
	keys := svc.Ring.IndexKeys()[0]
	for kind, v := range [...]string{Network(caller.IP), caller.Device, caller.Session} {
		if v != "" {
			mac := keys.MAC(secret.LabelCaller, []byte{byte(kind)}, []byte(v))
			ids = append(ids, ledger.ID(mac[:16]))
		}
	}
	return ids
}

// Network is what an address is counted by: an IPv4 address however it is written, and of IPv6 the 64 bits that one customer
// gets whole.
func Network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return addr.String()
	}
	p, _ := addr.Prefix(64)
	return p.String()
}

// wait is how many seconds until the window's budget has room: the count of this window and, in
// proportion to what is left of it within the last length, of the one before.
func (c *Callers) wait(svc uint32, id ledger.ID, what spend, window int, limit, at int64) int64 {
	length := windows[window]
	k := counterKey{svc, 3*uint8(what) + uint8(window), id, at / length}
	this := c.count(k)
	k.bucket--
	before := c.count(k)
	left := length - at%length
	if this+(before*left+length-1)/length < limit {
		return 0
	}
	if this >= limit {
		return left
	}
	// before*left/length has to fall below limit-this.
	return max(1, left-(limit-this-1)*length/before)
}

func (c *Callers) count(k counterKey) int64 {
	if t := c.seen[k]; t != nil {
		return t.merged + t.fresh
	}
	return 0
}

func (c *Callers) add(svc uint32, ids []ledger.ID, what spend, at, n int64) {
	for _, id := range ids {
		for i := range 2 {
			c.tally(counterKey{svc, 3*uint8(what) + uint8(i), id, at / windows[i]}, windows[i]).fresh += n
		}
	}
}

func (c *Callers) tally(k counterKey, length int64) *tally {
	t := c.seen[k]
	if t == nil {
		if len(c.seen) >= maxCallers {
			c.shed()
		}
		t = &tally{ends: (k.bucket + 2) * length}
		c.seen[k] = t
	}
	return t
}

// shed makes room: counts of one first, which say least.
func (c *Callers) shed() {
	target := maxCallers * 9 / 10
	for most := int64(1); len(c.seen) > target; most *= 4 {
		for k, t := range c.seen {
			if t.merged+t.fresh <= most {
				delete(c.seen, k)
			}
			if len(c.seen) <= target {
				return
			}
		}
	}
}

// Wrong counts a wrong check, or a wrong guess of [Callers.Guess], for the alarm of the whole service.
func (c *Callers) Wrong(svc *service.Service, now time.Time) {
	const window = 3*uint8(spendAlarm) + 2
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tally(counterKey{svc.ID, window, ledger.ID{}, now.Unix() / 60}, 60)
	t.fresh++
	if !t.told && t.merged+t.fresh >= int64(svc.Policy.GuessAlarm) {
		t.told = true
		c.log.Warn("alarm: many wrong codes within a minute; somebody may be guessing at many contacts",
			"alarm", "wrong_guesses", "service", svc.Slug, "count", t.merged+t.fresh)
	}
}

// Merge adds what is new to the store, learns what other nodes counted, and forgets windows that
// are over. Call it once a second, and once before stopping.
func (c *Callers) Merge(ctx context.Context, now time.Time) error {
	c.mu.Lock()
	var batch []Counter
	for k, t := range c.seen {
		switch {
		case t.ends <= now.Unix():
			delete(c.seen, k)
		case t.fresh != 0 && t.merged+t.fresh > 1:
			batch = append(batch, Counter{k.service, k.caller, k.window, k.bucket, t.fresh, t.ends})
		}
	}
	c.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	sums, err := c.store.AddCounters(ctx, batch)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range batch {
		if t := c.seen[counterKey{n.Service, n.Window, n.Caller, n.Bucket}]; t != nil {
			t.merged, t.fresh = sums[i], t.fresh-n.Count
		}
	}
	return nil
}
