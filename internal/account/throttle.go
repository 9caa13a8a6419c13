// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// At most a hundred consecutive wrong tries at an account are judged (NIST SP 800-63B-4, rate limiting): some by callers
// without a proven device, some by proven devices. So strangers, who can use up their part, never keep the owner's
// devices out. Passwords are judged before their row is locked, one at a time for a contact on each node: what several nodes judge
// at the same instant has its room in the ten that are left.
const (
	maxStrangers = 40
	maxDevice    = 10 // of one device; five of them use up the devices' half
	maxAllOwn    = 50
)

// waits are how long to wait after so many consecutive wrong tries.
var waits = []struct {
	from int
	wait time.Duration
}{{0, 0}, {5, 30 * time.Second}, {10, 5 * time.Minute}, {20, time.Hour}, {35, 6 * time.Hour}}

func waitAfter(wrong int) int64 {
	var wait time.Duration
	for _, w := range waits {
		if wrong >= w.from {
			wait = w.wait
		}
	}
	return wait.Milliseconds()
}

// proven finds the device of the account that one of a browser's tokens belongs to, and whether the token is an old one. Tokens of
// other accounts are passed over. The device is one of b's own.
func proven(svc *service.Service, id ledger.ID, b *body, tokens []string, at int64) (d *device, old bool) {
	for _, text := range tokens[:min(len(tokens), MaxTokens)] {
		p, ok := parseToken(devicePrefix, text, secretSize)
		if !ok || p.account != id {
			continue
		}
		sum := deviceHash(svc, id, p.value)
		for i := range b.Devices {
			d := &b.Devices[i]
			if d.ID != p.thing {
				continue
			}
			switch {
			case sameHash(d.Hash, sum):
				return d, false
			case sameHash(d.Previous, sum):
				// Two tabs may rotate it at once: the one before stays good for a minute.
				return d, at > d.RotatedAt+rotationGrace
			default:
				return nil, false
			}
		}
	}
	return nil, false
}

// current is the device that proved itself by its present token; nil: none, or one whose token was rotated out.
func current(svc *service.Service, id ledger.ID, b *body, tokens []string, at int64) *device {
	d, old := proven(svc, id, b, tokens, at)
	if old {
		return nil
	}
	return d
}

// MaxTokens bounds how many device tokens a browser may bring; more are passed over.
const MaxTokens = 8

const rotationGrace = minute

// known is the device that counts apart: proven and not used up.
func known(b *body, d *device) *device {
	if d == nil || d.Wrong >= maxDevice {
		return nil
	}
	sum := 0
	for i := range b.Devices {
		sum += int(b.Devices[i].Wrong)
	}
	if sum >= maxAllOwn {
		return nil
	}
	return d
}

// mayTry refuses a try that comes too early or is one too many. d is the caller's proven device, nil for a stranger.
func mayTry(b *body, d *device, at int64) error {
	wrong, last := int(b.Tries.Wrong), b.Tries.WrongAt
	if d = known(b, d); d != nil {
		wrong, last = int(d.Wrong), d.WrongAt
	} else if wrong >= maxStrangers {
		return errUsedUp
	}
	if wait := last + waitAfter(wrong) - at; wait > 0 {
		return fault.New(fault.TooMany, "sign_in_throttled", "There have been too many wrong tries.").
			WithRetry(time.Duration(wait+999) * time.Millisecond)
	}
	return nil
}

var errUsedUp = fault.New(fault.TooMany, "sign_in_used_up",
	"There have been too many wrong tries from devices that we don't know. Use a device that you have signed in with, a passkey, or set a new password.")

// wrong counts a wrong try.
func (d *decision) wrong(dev *device) {
	if dev = known(d.b, dev); dev != nil {
		dev.Wrong, dev.WrongAt = dev.Wrong+1, d.at
		return
	}
	d.b.Tries.Wrong, d.b.Tries.WrongAt = min(d.b.Tries.Wrong, maxStrangers-1)+1, d.at
}

// right forgets wrong tries of whoever has now proven themselves; strangers' only when a stranger has.
func (d *decision) right(dev *device) {
	if dev != nil {
		dev.Wrong, dev.WrongAt = 0, 0
		return
	}
	d.b.Tries.Wrong, d.b.Tries.WrongAt = 0, 0
}

// appThrottled refuses a guess at an app's code when strangers have made too many wrong ones. What a known device tries is bounded by its own
// count, so that strangers, even with the password, never keep the owner's devices out.
func (d *decision) appThrottled(ans *Answer) error {
	if known(d.b, d.visiting(ans)) != nil {
		return nil
	}
	if until := d.b.Tries.Second.Until(d.svc.Policy.ContactGuesses, d.at/1000); until > 0 {
		return fault.New(fault.TooMany, "second_step_throttled", "There have been too many wrong codes. Try another way, or wait.").
			WithRetry(time.Duration(until*1000-d.at+999) * time.Millisecond)
	}
	return nil
}

// wrongGuess counts a wrong guess at something that is judged here. Only an app's codes are short enough to be bounded by the day, too: a
// recovery code has 80 random bits (NIST SP 800-63B-4 3.1.2.2 asks for a limit below 64).
func (d *decision) wrongGuess(dev *device, with Method) {
	if with == MethodApp && known(d.b, dev) == nil {
		d.b.Tries.Second = slices.Clone(d.b.Tries.Second).Add(d.at / 1000)
	}
	d.wrong(dev)
}

// turns lets tries at one contact take turns on this node. Otherwise as many guesses as come at once would be judged before the
// first of them is counted.
type turns struct {
	mu   sync.Mutex
	held map[ledger.ID]*turn
}

type turn struct {
	free    chan struct{}
	waiting int
}

// maxTurns is how many tries at one contact may wait on a node.
const maxTurns = 16

var errTurns = fault.New(fault.TooMany, "sign_in_throttled", "There are too many tries at once.").WithRetry(time.Second)

// take waits for a turn; done gives it back.
func (t *turns) take(ctx context.Context, id ledger.ID) (done func(), err error) {
	t.mu.Lock()
	if t.held == nil {
		t.held = map[ledger.ID]*turn{}
	}
	one := t.held[id]
	if one == nil {
		one = &turn{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		t.held[id] = one
	}
	if one.waiting >= maxTurns {
		t.mu.Unlock()
		return nil, errTurns
	}
	one.waiting++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.waiting--; one.waiting == 0 {
			delete(t.held, id)
		}
	}
	select {
	case <-one.free:
		return func() { one.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fault.As(ctx.Err())
	}
}
