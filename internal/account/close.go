// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// Close closes an account for its owner: nobody signs in any more. For 72 hours that can be undone; then everything that was the
// person's is forgotten. Staff don't close theirs: whoever invited them removes them, so that nobody comes back by an undo, and the last
// operator stays.
//
// Faults: Unauthorized, Forbidden (ErrStepUp), Conflict (frozen, staff), Unavailable.
func (a *Accounts) Close(ctx context.Context, s *Signed, v *Visitor) error {
	keys, err := loginKeys(s.Service, s.b.Contacts)
	if err != nil {
		return err
	}
	return a.own(ctx, s, true, keys, func(d *decision) error {
		if d.b.Role != Customer {
			return errStaffStays
		}
		err := d.changing(message.AccountClosed, "", v, func() {
			d.b.State, d.b.ClosedAt = Closed, d.at
			d.b.Sessions, d.b.Run = nil, nil
			d.b.Epoch++
		})
		if err != nil {
			return err
		}
		d.note(entry{Kind: ActClosed}, v)
		return d.freeLogins(d.at + undoLife)
	})
}

var errStaffStays = fault.New(fault.Conflict, "staff_stays",
	"This account belongs to the service's staff. Ask an operator to remove you; then it is closed.")

// CloseFor closes an account for the application and forgets it at once, also one that its owner has closed and could still undo. Its
// contacts are told.
//
// Faults: NotFound, Forbidden (staff_account), Unavailable.
func (a *Accounts) CloseFor(ctx context.Context, svc *service.Service, id ledger.ID, by By) error {
	return a.closeFor(ctx, svc, id, by, false)
}

// Dismiss is CloseFor for an account of staff, whatever its state.
//
// Faults: NotFound (no such account, or none of staff's), Forbidden (staff_account), Unavailable.
func (a *Accounts) Dismiss(ctx context.Context, svc *service.Service, id ledger.ID, by By) error {
	return a.closeFor(ctx, svc, id, by, true)
}

func (a *Accounts) closeFor(ctx context.Context, svc *service.Service, id ledger.ID, by By, staff bool) error {
	b, err := a.read(ctx, svc, id)
	if err != nil {
		return err
	}
	keys, err := loginKeys(svc, b.Contacts)
	if err != nil {
		return err
	}
	err = a.change(ctx, svc, ledger.AccountOf(svc.ID, id), keys, func(d *decision) error {
		if !d.b.exists() || d.b.State == Closed && len(d.b.Contacts) == 0 || staff && d.b.Role == Customer {
			return errNoAccount
		}
		if err := by.touch(d.b); err != nil {
			return err
		}
		d.tell(message.AccountClosed, nil, "")
		d.b.State, d.b.ClosedAt, d.b.Undos = Closed, d.at-undoLife, nil
		d.b.Role = Customer
		d.note(entry{Kind: ActClosed, What: by.Name}, nil)
		return d.freeLogins(d.at)
	})
	if err != nil {
		return err
	}
	return a.forget(ctx, svc, id)
}

// freeLogins sets the logins of all contacts free after a time.
func (d *decision) freeLogins(until int64) error {
	for i := range d.b.Contacts {
		if err := d.freeLogin(&d.b.Contacts[i], until); err != nil {
			return err
		}
	}
	return nil
}

// forgetAt is when a closed account's content goes; 0: it has gone, or it isn't closed.
func (b *body) forgetAt() int64 {
	if b.State != Closed || b.Forgotten {
		return 0
	}
	return b.ClosedAt + undoLife
}

// forget removes everything that was a person's: the account's content, its pages of activity, and from the log what its commitments
// stand for. It may run again, and does until it has come to its end.
func (a *Accounts) forget(ctx context.Context, svc *service.Service, id ledger.ID) error {
	b, err := a.read(ctx, svc, id)
	if err != nil || b.State != Closed || b.Forgotten {
		return err
	}
	key := ledger.AccountOf(svc.ID, id)
	var pages []ledger.Key
	for n := b.Pages; n > 0; n-- {
		if len(pages) == maxPagesAtOnce { // older ones go by their age
			break
		}
		pages = append(pages, pageKey(svc, id, n))
	}
	err = a.change(ctx, svc, key, pages, func(d *decision) error {
		if d.b.State != Closed {
			return nil // undone at the last moment
		}
		for _, p := range pages {
			if _, ok := d.tx.Get(p).(*Page); ok {
				d.tx.Put(p, &Page{}) // empty and old: the sweep takes it
			}
		}
		d.b = &body{
			CreatedAt: d.b.CreatedAt, State: Closed, ClosedAt: d.b.ClosedAt, NextID: d.b.NextID, Epoch: d.b.Epoch, Notices: d.b.Notices, Locale: d.b.Locale,
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := a.Erase(ctx, svc.ID, id); err != nil {
		return err
	}
	return a.change(ctx, svc, key, nil, func(d *decision) error {
		d.b.Forgotten = d.b.State == Closed
		return nil
	})
}

// maxPagesAtOnce bounds one operation.
const maxPagesAtOnce = 500
