// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"slices"
	"strings"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// Cancel ends a pending verification: its code no longer works. Canceling again is the same answer.
//
// Faults: NotFound, Ended (it had ended otherwise), Unavailable.
func (e *Engine) Cancel(ctx context.Context, svc *service.Service, id ledger.ID) (*View, error) {
	if _, err := keysOf(svc, id); err != nil {
		return nil, err
	}
	var out View
	key := rowKey(svc.ID, id)
	err := e.ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key}, Apply: func(tx *ledger.Tx) error {
		r, c, ok := load(tx, key)
		if !ok {
			return errNotFound
		}
		at := max(r.clock(tx.Now()), c.UpdatedAt)
		if r.Status != Canceled {
			if r.Status != Pending || at >= r.ExpiresAt {
				return errEnded(r, at)
			}
			r.Reason = ReasonByApplication
			r.end(Canceled, at)
			concluded(tx, key, r, c, at)
		}
		var err error
		out, err = shown(svc, key, r, at)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// Disown ends all pending verifications of a contact whose owner says that they did not ask for a code, and returns
// how many it ended. It locks nothing: the next verification begins as any other.
//
// Faults: Unavailable.
func (e *Engine) Disown(ctx context.Context, svc *service.Service, to contact.Contact) (int, error) {
	owner := contactKey(svc.ID, indexOf(svc, to))
	v, err := e.ledger.Read(ctx, owner)
	c, ok := v.(*Contact)
	if err != nil || !ok {
		return 0, err
	}
	for {
		keys := []ledger.Key{owner}
		for _, p := range c.Alive {
			keys = append(keys, rowKey(svc.ID, p.ID))
		}
		ended := 0
		var missed bool
		var askers []string
		err := e.ledger.Do(ctx, ledger.Op{Keys: keys, Apply: func(tx *ledger.Tx) error {
			c, ended, askers = loadContact(tx, owner), 0, nil
			// One that began since the row was read is ended in another round: its row isn't locked.
			if missed = slices.ContainsFunc(c.Alive, func(p Place) bool { return !slices.Contains(keys, rowKey(svc.ID, p.ID)) }); missed {
				return nil
			}
			for _, key := range keys[1:] {
				if r := disown(tx, svc, key, to); r != nil {
					ended++
					askers = append(askers, asker(svc, key.ID, r))
				}
			}
			return nil
		}})
		if err != nil {
			return ended, err
		}
		for _, ip := range askers {
			e.callers.weigh(svc, ip, weightDisowned, e.ledger.Now())
		}
		if !missed {
			return ended, nil
		}
	}
}

// disown ends a verification of exactly this contact that is pending, and returns it; nil: it is none. Several addresses may share the row of their
// stricter form: one's owner has no say in another's codes.
func disown(tx *ledger.Tx, svc *service.Service, key ledger.Key, to contact.Contact) *Record {
	r, c, ok := load(tx, key)
	if !ok {
		return nil
	}
	if own, err := openContact(svc, key.ID, r); err != nil || !strings.EqualFold(own.Reveal(), to.Reveal()) {
		return nil
	}
	at := max(r.clock(tx.Now()), c.UpdatedAt)
	if r.Status != Pending || at >= r.ExpiresAt {
		return nil
	}
	r.Reason = ReasonDisowned
	r.end(Canceled, at)
	concluded(tx, key, r, c, at)
	return r
}

// asker is the address that a code was asked for from; empty: it isn't known.
func asker(svc *service.Service, id ledger.ID, r *Record) string {
	var rc RequestContext
	if openCBOR(svc, id, columnContext, r.Context, &rc) != nil {
		return ""
	}
	return rc.IP
}

// Status tells where a verification stands. It grants nothing.
//
// Faults: NotFound, Unavailable.
func (e *Engine) Status(ctx context.Context, svc *service.Service, id ledger.ID) (*View, error) {
	if _, err := keysOf(svc, id); err != nil {
		return nil, err
	}
	key := rowKey(svc.ID, id)
	v, err := e.ledger.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	r, ok := v.(*Record)
	if !ok {
		return nil, errNotFound
	}
	out, err := shown(svc, key, r, r.clock(e.ledger.Now()))
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// shown is the view of a row with its contact masked.
func shown(svc *service.Service, key ledger.Key, r *Record, at int64) (View, error) {
	to, err := openContact(svc, key.ID, r)
	if err != nil {
		return View{}, err
	}
	return viewOf(key.ID, r, to.Masked(), at), nil
}
