// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/ledger"
)

// shownCall is a call as the API gives it. Its words are for whoever the domain gave them to.
func shownCall(v *account.CallView) Call {
	out := Call{
		ID: v.ID, State: v.Stage.String(), Prove: v.Prove, Caller: v.Caller, Reason: v.Reason, Phrase: v.Phrase.Reveal(), At: v.At, Until: v.Until,
		EndedAt: v.EndedAt, Openings: []CallShow{},
	}
	for _, o := range v.Openings {
		out.Openings = append(out.Openings, CallShow(o))
	}
	return out
}

// announceBy announces a call to the account in the path.
func (a *API) announceBy(c *call, by account.By) error {
	var in CallBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	return onAccount(c, func(id ledger.ID) error {
		v, err := a.Accounts.Announce(c.context(), c.svc, id, account.Announcement(in), by)
		if err != nil {
			return err
		}
		return write(c, 201, shownCall(v))
	})
}

func (a *API) callStateBy(c *call, by account.By) error {
	return onAccount(c, func(id ledger.ID) error {
		v, err := a.Accounts.CallState(c.context(), c.svc, id, by)
		if err != nil {
			return err
		}
		return write(c, 200, shownCall(v))
	})
}

func (a *API) endCallBy(c *call, by account.By) error {
	return onAccount(c, func(id ledger.ID) error { return nothing(c, a.Accounts.EndCall(c.context(), c.svc, id, by)) })
}

func (a *API) announce(c *call) error  { return a.announceBy(c, c.byApplication()) }
func (a *API) callState(c *call) error { return a.callStateBy(c, c.byApplication()) }
func (a *API) endCall(c *call) error   { return a.endCallBy(c, c.byApplication()) }

func (a *API) staffAnnounce(c *call) error {
	return a.onStaff(c, func(by account.By) error { return a.announceBy(c, by) })
}

func (a *API) staffCallState(c *call) error {
	return a.onStaff(c, func(by account.By) error { return a.callStateBy(c, by) })
}

func (a *API) staffEndCall(c *call) error {
	return a.onStaff(c, func(by account.By) error { return a.endCallBy(c, by) })
}

func (a *API) ownCall(c *call) error {
	return a.asked(c, func(_ *ByBody, v *account.Visitor) error {
		seen, err := a.Accounts.CallFor(c.context(), c.who, v)
		if err != nil {
			return err
		}
		return write(c, 200, shownCall(seen))
	})
}

func (a *API) refuseCall(c *call) error {
	return a.asks(c, func(in *ByBody, v *account.Visitor) error { return a.Accounts.RefuseCall(c.context(), c.who, in.ID, v) })
}
