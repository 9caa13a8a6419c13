// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"time"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

// Facts is what a diagnosis of a verification may build on. While it is pending, how close a guess was to the live code isn't in it (S11): a
// guesser who reads every diagnosis does no better than a blind one.
type Facts struct {
	View
	Now     time.Time
	Account ledger.ID       // zero: none
	Tries   []otp.Wrong     // wrong tries, oldest first; while pending each is WrongOlder or WrongOther
	Unclear []otp.TypedKind // what was typed that couldn't be the code, oldest first
	TriedAt time.Time       // the latest of both; zero: nothing was typed
	Clear   bool            // the latest was one of Tries
	Expects bool            // the latest message's provider says what becomes of it
	Usual   Usual           // how long messages to its network take now
}

// Facts returns what is known of a verification.
//
// Faults: NotFound, Unavailable.
func (e *Engine) Facts(ctx context.Context, svc *service.Service, id ledger.ID) (*Facts, error) {
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
	now := e.ledger.Now()
	view, err := shown(svc, key, r, r.clock(now))
	if err != nil {
		return nil, err
	}
	f := &Facts{View: view, Account: r.Account, Now: moment(r.clock(now)), TriedAt: moment(r.TriedAt), Clear: r.Clear}
	for _, w := range r.Wrong {
		how := otp.Wrong(w)
		if view.Status == Pending && how != otp.WrongOlder {
			how = otp.WrongOther
		}
		f.Tries = append(f.Tries, how)
	}
	for _, k := range r.Unclear {
		f.Unclear = append(f.Unclear, otp.TypedKind(k))
	}
	if n := len(r.Messages); n > 0 {
		m := &r.Messages[n-1]
		f.Expects, f.Usual = m.Receipts, e.arrivals.usual(m.network(e, key, r), now)
	}
	return f, nil
}
