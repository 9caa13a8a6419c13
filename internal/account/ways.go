// SPDX-License-Identifier: Apache-2.0

package account

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/service"
)

// The ids of ways that aren't numbered: the contact that was named, any passkey, recovery codes, the password, this device.
const (
	wayNamed    = "x"
	wayPasskey  = "p"
	wayRecovery = "r"
	wayPassword = "w"
	wayDevice   = "d"
	voiceSuffix = "v" // the same phone, called
)

func thing(kind byte, id uint32) string { return string(kind) + strconv.FormatUint(uint64(id), 10) }

// thingID reads what thing wrote.
func thingID(kind byte, text string) (uint32, bool) {
	if text == "" || text[0] != kind {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(text[1:], voiceSuffix), 10, 32)
	return uint32(n), err == nil
}

// ways are the methods that a flow may go on with, the suggested one first.
func (a *Accounts) ways(svc *service.Service, f *flow, b *body) []Way {
	switch f.Kind {
	case FlowSignUp, FlowEnable, FlowAddContact, FlowConfirmContact, FlowProve:
		return f.named(svc)
	case FlowForgot:
		if len(f.Proofs) == 0 {
			return f.named(svc)
		}
		return without(seconds(svc, b), f.Contact, b)
	case FlowRecover:
		return f.proofs(svc, b)
	case FlowUndo:
		return f.older(svc, b)
	case FlowStepUp:
		return stepUps(svc, b)
	case FlowSignIn:
		return seconds(svc, b)
	}
	return nil
}

// named is the contact that somebody named, by the channels that reach it.
func (f *flow) named(svc *service.Service) []Way {
	c, err := contact.FromCanonical(f.Contact)
	if err != nil {
		return nil
	}
	ways := channels(svc, wayNamed, c, Way{})
	if f.Unnamed {
		for i := range ways {
			ways[i].Contact, ways[i].Digits = "", ""
		}
	}
	return ways
}

// channels are the ways in which a code reaches a contact.
func channels(svc *service.Service, id string, c contact.Contact, w Way) []Way {
	w.Contact, w.Kind = c.Masked(), c.Kind()
	if c.Kind() == contact.Email {
		w.ID, w.Method = id, MethodEmail
		return allowed(svc, service.Email, w)
	}
	number := c.Reveal() // the last two digits are shown to its owner
	w.Digits = number[len(number)-2:]
	text, call := w, w
	text.ID, text.Method = id, MethodSMS
	call.ID, call.Method, call.Default = id+voiceSuffix, MethodVoice, false
	return append(allowed(svc, service.SMS, text), allowed(svc, service.Voice, call)...)
}

func allowed(svc *service.Service, channel service.Channel, w Way) []Way {
	if slices.Contains(svc.Policy.Channels, channel) {
		return []Way{w}
	}
	return nil
}

// isSecond tells whether a contact counts as a second step at this service.
func (c *contactOf) isSecond(svc *service.Service) bool {
	return c.Codes && c.ProvenAt > 0 && (c.Kind == contact.Phone || svc.Policy.EmailIsSecondStep)
}

// seconds are an account's second steps: the default first, then what is strongest.
func seconds(svc *service.Service, b *body) []Way {
	var all []Way
	if len(b.Passkeys) > 0 {
		all = append(all, Way{ID: wayPasskey, Method: MethodPasskey, UsedAt: latest(b.Passkeys)})
	}
	for i := range b.Apps {
		p := &b.Apps[i]
		all = append(all, Way{ID: thing('a', p.ID), Method: MethodApp, Name: p.Name, UsedAt: moment(p.UsedAt), AddedAt: moment(p.AddedAt)})
	}
	for i := range b.Contacts {
		if c := &b.Contacts[i]; c.isSecond(svc) {
			all = append(all, c.ways(svc)...)
		}
	}
	if len(all) > 0 && len(b.Recovery.Hashes) > 0 {
		all = append(all, Way{ID: wayRecovery, Method: MethodRecovery, UsedAt: moment(b.Recovery.UsedAt), AddedAt: moment(b.Recovery.MadeAt)})
	}
	for i := range all {
		if all[i].ID == b.Default {
			all[i].Default = true
			first := all[i]
			return append([]Way{first}, slices.Delete(all, i, i+1)...)
		}
	}
	return all
}

func (c *contactOf) ways(svc *service.Service) []Way {
	to, err := c.contact()
	if err != nil {
		return nil
	}
	return channels(svc, thing('c', c.ID), to, Way{
		Name: c.Name, UsedAt: moment(c.UsedAt), AddedAt: moment(c.AddedAt), Bounced: c.BouncedAt > 0,
	})
}

// without leaves out the ways through a contact that was proven already: it would be the same proof twice.
func without(all []Way, canonical string, b *body) []Way {
	for i := range b.Contacts {
		if c := &b.Contacts[i]; foldedText(c.Value) == foldedText(canonical) {
			all = slices.DeleteFunc(all, func(w Way) bool { id, ok := thingID('c', w.ID); return ok && id == c.ID })
		}
	}
	return all
}

// stepUps are the ways to prove anew who one is: the second steps where two-step verification is on, else the password or a
// passkey; and where somebody has neither, a code to a contact.
func stepUps(svc *service.Service, b *body) []Way {
	if b.TwoStepAt > 0 {
		if all := seconds(svc, b); len(all) > 0 {
			return all
		}
	}
	var all []Way
	if b.Password.Hash != "" {
		all = append(all, Way{ID: wayPassword, Method: MethodPassword})
	}
	if len(b.Passkeys) > 0 {
		all = append(all, Way{ID: wayPasskey, Method: MethodPasskey})
	}
	for i := range b.Contacts {
		if c := &b.Contacts[i]; len(all) == 0 && c.ProvenAt > 0 {
			all = append(all, c.ways(svc)...)
		}
	}
	return all
}

// latest is when one of the passkeys was used last.
func latest(all []passkey) time.Time {
	var ms int64
	for i := range all {
		ms = max(ms, all[i].UsedAt)
	}
	return moment(ms)
}

// secondLeft tells whether an account would still have a second step.
func secondLeft(svc *service.Service, b *body) bool {
	return slices.ContainsFunc(seconds(svc, b), func(w Way) bool { return w.Method != MethodRecovery })
}
