// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// tellEvery is how often one kind of notice is sent at most, so that somebody who writes in pieces sends no flood of texts.
const tellEvery = 10 * minute

// Tell tells every proven contact of an account of something that happened elsewhere, such as an answer of support. The same kind again within ten
// minutes is left out.
//
// Faults: NotFound, Unavailable.
func (a *Accounts) Tell(ctx context.Context, svc *service.Service, id ledger.ID, kind message.NoticeKind, what string) error {
	return a.existing(ctx, svc, id, nil, func(d *decision) error {
		if last := d.lastNotice(kind); last == 0 || d.at >= last+tellEvery {
			d.tell(kind, nil, what)
		}
		return nil
	})
}

// Note adds to an account's activity what happened elsewhere.
//
// Faults: NotFound, Unavailable.
func (a *Accounts) Note(ctx context.Context, svc *service.Service, id ledger.ID, act Act, what string) error {
	return a.existing(ctx, svc, id, nil, func(d *decision) error {
		d.note(entry{Kind: act, What: what}, nil)
		return nil
	})
}
