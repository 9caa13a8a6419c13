// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"

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
	err := e.ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key}, Lane: key.Shard, Apply: func(tx *ledger.Tx) error {
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
			c.leave(id)
			save(tx, key, r, c, at)
			tx.Event(event(EventCanceled, key, r, -1, at))
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
