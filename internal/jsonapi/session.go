// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"strconv"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/secret"
)

// with reads a body that may be left out, and the visitor in it.
func (a *API) with(c *call, in any, who *Visitor) (*account.Visitor, error) {
	if c.Request.ContentLength == 0 {
		return a.visitor(*who)
	}
	return a.body(c, in, who)
}

func (a *API) session(c *call) error { return write(c, 200, shownAccount(a.Accounts.View(c.who))) }

// asked is for requests whose body says at most who asks.
func (a *API) asked(c *call, on func(in *ByBody, v *account.Visitor) error) error {
	var in ByBody
	v, err := a.with(c, &in, &in.Visitor)
	if err != nil {
		return err
	}
	return on(&in, v)
}

// asks is asked for what changes something and tells nothing.
func (a *API) asks(c *call, on func(in *ByBody, v *account.Visitor) error) error {
	return a.asked(c, func(in *ByBody, v *account.Visitor) error { return nothing(c, on(in, v)) })
}

func (a *API) stepUp(c *call) error {
	return a.asked(c, func(_ *ByBody, v *account.Visitor) error {
		s, err := a.Accounts.StepUp(c.context(), c.who, v)
		return a.step(c, s, err)
	})
}

func (a *API) signOut(c *call) error {
	return a.asks(c, func(in *ByBody, v *account.Visitor) error { return a.Accounts.SignOut(c.context(), c.who, in.ID, v) })
}

func (a *API) ownActivity(c *call) error {
	from, err := before(c)
	if err != nil {
		return err
	}
	entries, older, err := a.Accounts.Activity(c.context(), c.who, from)
	if err != nil {
		return err
	}
	return write(c, 200, activity(entries, older, true))
}

func (a *API) notMe(c *call) error {
	return a.asks(c, func(_ *ByBody, v *account.Visitor) error {
		id, err := strconv.ParseUint(c.Request.PathValue("id"), 10, 32)
		if err != nil {
			return fault.New(fault.NotFound, "not_there", "There is no such entry.")
		}
		return a.Accounts.NotMe(c.context(), c.who, uint32(id), v)
	})
}

// method reads what begins a method.
func (a *API) method(c *call, begin func(in *MethodBody, v *account.Visitor) (*account.Step, error)) error {
	var in MethodBody
	v, err := a.with(c, &in, &in.Visitor)
	if err != nil {
		return err
	}
	s, err := begin(&in, v)
	return a.step(c, s, err)
}

func (a *API) addApp(c *call) error {
	return a.method(c, func(in *MethodBody, v *account.Visitor) (*account.Step, error) {
		return a.Accounts.AddApp(c.context(), c.who, in.Name, in.TwoStep, v)
	})
}

func (a *API) addPasskey(c *call) error {
	return a.method(c, func(in *MethodBody, v *account.Visitor) (*account.Step, error) {
		return a.Accounts.AddPasskey(c.context(), c.who, in.Name, in.TwoStep, v)
	})
}

func (a *API) addCodes(c *call) error {
	return a.method(c, func(in *MethodBody, v *account.Visitor) (*account.Step, error) {
		return a.Accounts.Enable(c.context(), c.who, in.Contact, v)
	})
}

func (a *API) changeMethod(c *call) error {
	var in ChangeMethodBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	id := c.Request.PathValue("id")
	if in.Name != nil {
		if err := a.Accounts.Rename(c.context(), c.who, id, *in.Name); err != nil {
			return err
		}
	}
	if in.Default {
		return nothing(c, a.Accounts.SetDefault(c.context(), c.who, id))
	}
	return nothing(c, nil)
}

func (a *API) setLocale(c *call) error {
	var in LocaleBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	return nothing(c, a.Accounts.SetLocale(c.context(), c.who, in.Locale))
}

func (a *API) removeMethod(c *call) error {
	return a.asks(c, func(_ *ByBody, v *account.Visitor) error {
		return a.Accounts.Remove(c.context(), c.who, c.Request.PathValue("id"), v)
	})
}

func (a *API) stopCodes(c *call) error {
	return a.asks(c, func(_ *ByBody, v *account.Visitor) error {
		return a.Accounts.StopCodes(c.context(), c.who, c.Request.PathValue("id"), v)
	})
}

func (a *API) turnOff(c *call) error {
	return a.asks(c, func(_ *ByBody, v *account.Visitor) error { return a.Accounts.TurnOff(c.context(), c.who, v) })
}

func (a *API) recoveryCodes(c *call) error {
	return a.asked(c, func(_ *ByBody, v *account.Visitor) error {
		codes, err := a.Accounts.NewRecoveryCodes(c.context(), c.who, v)
		if err != nil {
			return err
		}
		return write(c, 200, RecoveryCodes{codes})
	})
}

func (a *API) changePassword(c *call) error {
	var in PasswordBody
	v, err := a.with(c, &in, &in.Visitor)
	if err != nil {
		return err
	}
	return nothing(c, a.Accounts.ChangePassword(c.context(), c.who, secret.NewText(in.Password), v))
}

func (a *API) addContact(c *call) error {
	var in AddContactBody
	v, err := a.with(c, &in, &in.Visitor)
	if err != nil {
		return err
	}
	to, err := a.contact(in.Contact, in.DefaultRegion, "contact")
	if err != nil {
		return err
	}
	s, err := a.Accounts.AddContact(c.context(), c.who, to, in.Replaces, v)
	return a.step(c, s, err)
}

func (a *API) confirmContact(c *call) error {
	return a.asked(c, func(_ *ByBody, v *account.Visitor) error {
		s, err := a.Accounts.ConfirmContact(c.context(), c.who, c.Request.PathValue("id"), v)
		return a.step(c, s, err)
	})
}

func (a *API) revokeDevice(c *call) error {
	return a.asks(c, func(_ *ByBody, v *account.Visitor) error {
		return a.Accounts.RevokeDevice(c.context(), c.who, c.Request.PathValue("id"), v)
	})
}

func (a *API) stopOwn(c *call) error {
	return a.asks(c, func(_ *ByBody, v *account.Visitor) error { return a.Accounts.StopOwnRecovery(c.context(), c.who, v) })
}

func (a *API) export(c *call) error {
	e, err := a.Accounts.Export(c.context(), c.who)
	if err != nil {
		return err
	}
	out := Export{Account: shownAccount(e.Account), Activity: activity(e.Activity, 0, true).Entries, Cases: []Case{}, Reports: []OwnReport{}}
	cases, err := a.Care.ListOf(c.context(), c.svc, c.who.ID)
	if err != nil {
		return err
	}
	for _, one := range cases {
		out.Cases = append(out.Cases, shownCase(one, false))
	}
	reports, err := a.Care.ReportsOf(c.context(), c.svc, c.who.ID)
	if err != nil {
		return err
	}
	for _, r := range reports {
		out.Reports = append(out.Reports, a.shownOwn(r))
	}
	return write(c, 200, out)
}

func (a *API) closeOwn(c *call) error {
	return a.asks(c, func(_ *ByBody, v *account.Visitor) error { return a.Accounts.Close(c.context(), c.who, v) })
}

// shownAccount is an account as the API gives it.
func shownAccount(v *account.View) Account {
	out := Account{
		ID: v.ID, Reference: v.Reference, State: v.State.String(), Role: v.Role.String(), CreatedAt: v.CreatedAt, Locale: v.Locale, TwoStep: v.TwoStep,
		TwoStepAt: v.TwoStepAt, MustTurnOn: v.MustTurnOn, PasswordSet: v.Password.Set, PasswordAt: v.Password.ChangedAt, PasswordAlone: v.Password.Alone, Contacts: []Contact{}, Apps: things(v.Apps),
		Passkeys: things(v.Passkeys), RecoveryLeft: v.RecoveryLeft, RecoveryAt: v.RecoveryMadeAt, Ways: ways(v.Ways), Devices: []Device{}, Sessions: []Session{}, Undos: []Change{},
		FrozenUntil: v.FrozenUntil, SteppedUpUntil: v.SteppedUntil,
	}
	for _, k := range v.Contacts {
		out.Contacts = append(out.Contacts, Contact{
			ID: k.ID, Kind: k.Kind.String(), Value: k.Value, Masked: k.Masked, Name: k.Name, AddedAt: k.AddedAt, Proven: k.Proven, ConfirmedAt: k.ConfirmedAt,
			Bounced: k.Bounced, Codes: k.Codes, CanCode: k.CanCode, UsedAt: k.UsedAt,
		})
	}
	for _, d := range v.Devices {
		out.Devices = append(out.Devices, Device{d.ID, d.Name, d.Words, d.Place, d.AddedAt, d.SeenAt, d.TrustedUntil, d.Current})
	}
	for _, s := range v.Sessions {
		out.Sessions = append(out.Sessions, Session{s.ID, s.Words, s.Place, s.AddedAt, s.SeenAt, s.Second, s.Current})
	}
	for _, u := range v.Undos {
		out.Undos = append(out.Undos, change(u))
	}
	if r := v.Recovery; r != nil {
		out.Recovery = &Recovery{r.StartedAt, r.ReadyAt, r.Weak, r.Approvals, r.Proofs}
	}
	return out
}

func things(all []account.ThingView) []Thing {
	out := make([]Thing, 0, len(all))
	for _, t := range all {
		out = append(out, Thing{t.ID, t.Name, t.AddedAt, t.UsedAt})
	}
	return out
}
