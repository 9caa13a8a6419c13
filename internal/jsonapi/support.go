// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"errors"
	"fmt"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// byApplication is who an API key is to an account's owner.
func (c *call) byApplication() account.By {
	by := account.By{Name: "api:" + c.key.ID}
	if c.key.Has(service.ScopeManage) {
		by.Role = account.Operator
	}
	return by
}

func (a *API) createAccount(c *call) error {
	var in NewAccountBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	n := account.NewAccount{PasswordHash: in.PasswordHash, Locale: in.Locale, Reference: in.Reference}
	for i, text := range in.Contacts {
		to, err := a.contact(text, in.DefaultRegion, fmt.Sprintf("contacts[%d]", i))
		if err != nil {
			return err
		}
		n.Contacts = append(n.Contacts, to)
	}
	id, err := a.Accounts.Create(c.context(), c.svc, n, c.byApplication())
	if err != nil {
		return err
	}
	v, err := a.Accounts.Get(c.context(), c.svc, id, c.byApplication())
	if err != nil {
		return err
	}
	return write(c, 201, shownAccount(v))
}

// onAccount runs fn on the account that the path names.
func onAccount(c *call, fn func(id ledger.ID) error) error {
	id, err := accountID(c)
	if err != nil {
		return err
	}
	return fn(id)
}

func (a *API) account(c *call) error {
	return onAccount(c, func(id ledger.ID) error {
		v, err := a.look(c, id)
		if err != nil {
			return err
		}
		return write(c, 200, shownAccount(v))
	})
}

// look is what a key reads of an account. With one of the application's own that is everyday business; with one for support alone
// somebody looks, and the account's owner sees it.
func (a *API) look(c *call, id ledger.ID) (*account.View, error) {
	if c.key.Has(service.ScopeAccount) {
		return a.Accounts.Get(c.context(), c.svc, id, c.byApplication())
	}
	return a.Accounts.Seen(c.context(), c.svc, id, c.byApplication())
}

// found reads a contact and writes the account that signs in with it.
func (a *API) found(c *call, by account.By) error {
	var in FindBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	to, err := a.contact(in.Contact, in.DefaultRegion, "contact")
	if err != nil {
		return err
	}
	v, err := a.Accounts.Find(c.context(), c.svc, to, by)
	if err != nil {
		return err
	}
	return write(c, 200, shownAccount(v))
}

func (a *API) findAccount(c *call) error { return a.found(c, c.byApplication()) }

func (a *API) setState(c *call, to account.State, by account.By) error {
	return onAccount(c, func(id ledger.ID) error { return nothing(c, a.Accounts.SetState(c.context(), c.svc, id, to, by)) })
}

func (a *API) lock(c *call) error   { return a.setState(c, account.Locked, c.byApplication()) }
func (a *API) unlock(c *call) error { return a.setState(c, account.Open, c.byApplication()) }

func (a *API) signOutAll(c *call) error {
	return onAccount(c, func(id ledger.ID) error {
		return nothing(c, a.Accounts.SignOutAll(c.context(), c.svc, id, c.byApplication()))
	})
}

func (a *API) closeFor(c *call) error {
	return onAccount(c, func(id ledger.ID) error {
		return nothing(c, a.Accounts.CloseFor(c.context(), c.svc, id, c.byApplication()))
	})
}

func (a *API) activityOf(c *call) error {
	return a.activitySeen(c, func(id ledger.ID) error {
		_, err := a.look(c, id)
		return err
	})
}

// activitySeen writes a page of an account's activity after look has noted who reads it.
func (a *API) activitySeen(c *call, look func(ledger.ID) error) error {
	return onAccount(c, func(id ledger.ID) error {
		from, err := before(c)
		if err != nil {
			return err
		}
		if err := look(id); err != nil {
			return err
		}
		entries, older, err := a.Accounts.ActivityOf(c.context(), c.svc, id, from)
		if err != nil {
			return err
		}
		return write(c, 200, activity(entries, older, false))
	})
}

func (a *API) appendActivity(c *call) error {
	var in AppendBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	v, err := a.visitor(Visitor{IP: in.IP, Device: in.Device, Place: in.Place, Language: c.svc.Locale})
	if err != nil {
		return fault.New(fault.Invalid, "text_too_long", fmt.Sprintf("ip, device and place may have at most %d bytes.", maxVisitorText))
	}
	in.Place = v.Place
	return onAccount(c, func(id ledger.ID) error {
		n, err := a.Accounts.AppendActivity(c.context(), c.svc, id, account.AppEvent(in), c.byApplication())
		if err != nil {
			return err
		}
		return write(c, 201, Appended{n})
	})
}

func (a *API) staff(c *call) error { return a.staffFor(c, c.byApplication()) }

func (a *API) staffFor(c *call, by account.By) error {
	list, err := a.Store.Staff(c.context(), c.svc.ID)
	if err != nil {
		return err
	}
	out := StaffList{Staff: []Staff{}}
	for _, m := range list {
		one := Staff{Account: account.FormatID(m.Account), Role: m.Role.String(), Since: m.Since}
		v, err := a.Accounts.Get(c.context(), c.svc, m.Account, by)
		switch {
		case err == nil && len(v.Contacts) > 0:
			one.Contact, one.TwoStep = v.Contacts[0].Masked, v.TwoStep
		case err != nil && fault.As(err).Kind != fault.NotFound: // closed by its owner: it is on the list until somebody removes it
			return err
		}
		out.Staff = append(out.Staff, one)
	}
	return write(c, 200, out)
}

func (a *API) invite(c *call) error { return a.inviteBy(c, c.byApplication()) }

func (a *API) inviteBy(c *call, by account.By) error {
	var in StaffBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	role, err := account.ParseRole(in.Role)
	if err != nil {
		return err
	}
	to, err := a.contact(in.Contact, in.DefaultRegion, "contact")
	if err != nil {
		return err
	}
	id, err := a.Accounts.Create(c.context(), c.svc, account.NewAccount{Contacts: []contact.Contact{to}, Role: role}, by)
	if err != nil {
		return err
	}
	m := account.StaffMember{Service: c.svc.ID, Account: id, Role: role, Since: a.Now()}
	if err := a.Store.AddStaff(c.context(), m); err != nil {
		// Nobody has a role without being on the list. Where this fails, too, the contact is taken and its account can be removed by its id.
		return errors.Join(err, a.Accounts.CloseFor(c.context(), c.svc, id, by))
	}
	return write(c, 201, Staff{Account: account.FormatID(id), Role: role.String(), Since: m.Since, Contact: to.MaskedShort()})
}

func (a *API) dismiss(c *call) error {
	return onAccount(c, func(id ledger.ID) error { return a.dismissBy(c, id, c.byApplication()) })
}

func (a *API) dismissBy(c *call, id ledger.ID, by account.By) error {
	closed := a.Accounts.Dismiss(c.context(), c.svc, id, by)
	if closed != nil && fault.As(closed).Kind != fault.NotFound {
		return closed
	}
	// After the account: whoever calls again finds the list as it was until nothing is left to be closed.
	listed, err := a.Store.RemoveStaff(c.context(), c.svc.ID, id)
	if err == nil && closed != nil && !listed {
		return fault.New(fault.NotFound, "not_staff", "This account is none of the service's staff.")
	}
	return nothing(c, err)
}

// onStaff runs fn for support and operators who have passed a second step.
func (a *API) onStaff(c *call, fn func(by account.By) error) error {
	by, err := c.who.Staff(account.Support, account.Operator)
	if err != nil {
		return err
	}
	return fn(by)
}

func (a *API) staffFind(c *call) error {
	return a.onStaff(c, func(by account.By) error { return a.found(c, by) })
}

func (a *API) staffLook(c *call) error {
	return a.onStaff(c, func(by account.By) error {
		return onAccount(c, func(id ledger.ID) error {
			v, err := a.Accounts.Seen(c.context(), c.svc, id, by)
			if err != nil {
				return err
			}
			return write(c, 200, shownAccount(v))
		})
	})
}

func (a *API) staffActivity(c *call) error {
	return a.onStaff(c, func(by account.By) error {
		return a.activitySeen(c, func(id ledger.ID) error {
			_, err := a.Accounts.Seen(c.context(), c.svc, id, by)
			return err
		})
	})
}

func (a *API) staffLock(c *call) error {
	return a.onStaff(c, func(by account.By) error { return a.setState(c, account.Locked, by) })
}

func (a *API) staffUnlock(c *call) error {
	return a.onStaff(c, func(by account.By) error { return a.setState(c, account.Open, by) })
}

func (a *API) startRecovery(c *call) error {
	return onAccount(c, func(id ledger.ID) error { return nothing(c, a.Accounts.StartRecovery(c.context(), c.who, id)) })
}

func (a *API) staffStaff(c *call) error {
	return a.onOperator(c, func(by account.By) error { return a.staffFor(c, by) })
}

func (a *API) staffInvite(c *call) error {
	return a.onOperator(c, func(by account.By) error { return a.inviteBy(c, by) })
}

func (a *API) staffDismiss(c *call) error {
	return a.onOperator(c, func(by account.By) error {
		return onAccount(c, func(id ledger.ID) error {
			if id == c.who.ID {
				return fault.New(fault.Conflict, "not_oneself", "Nobody removes themselves: ask another operator, or use an API key that may manage the service.")
			}
			return a.dismissBy(c, id, by)
		})
	})
}

// onOperator runs fn for operators who have passed a second step.
func (a *API) onOperator(c *call, fn func(by account.By) error) error {
	by, err := c.who.Staff(account.Operator)
	if err != nil {
		return err
	}
	return fn(by)
}

func (a *API) approveRecovery(c *call) error {
	return onAccount(c, func(id ledger.ID) error { return nothing(c, a.Accounts.ApproveRecovery(c.context(), c.who, id)) })
}
