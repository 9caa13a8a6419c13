// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"crypto/rand"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/service"
)

// By is who acts on somebody else's account: an application's key or a member of staff. The account's owner sees it.
type By struct {
	Name string // "api:ID of the key" or "staff:acc_..."
	Role Role   // of an API key: Operator, if it may manage the service
}

// errStaff keeps whoever may look after customers from doing so to those who could stop them.
var errStaff = fault.New(fault.Forbidden, "staff_account",
	"This account belongs to staff: only an operator, or an API key with the scope manage, may look at it or change it.")

// touch refuses staff's accounts to everybody but operators.
func (by By) touch(b *body) error {
	if b.Role != Customer && by.Role != Operator {
		return errStaff
	}
	return nil
}

// StaffMember is somebody who works for a service, in the list of them.
type StaffMember struct {
	Service uint32
	Account ledger.ID
	Role    Role
	Since   time.Time
}

// NewAccount is an account that an application brings along, or a member of staff who is invited.
type NewAccount struct {
	Contacts     []contact.Contact // that the application has proven; of staff: not proven yet
	PasswordHash string            // in a form that password.Supported knows; empty: none yet
	Locale       string
	Reference    string // the application's own id, at most 100 bytes
	Role         Role
}

const maxReference = 100

// Create makes an account without its owner. Staff prove their contact and choose a password by "forgot password", and need a second
// step before anything else.
//
// Faults: Invalid (no contact, too many, hash, reference), Conflict (contact_taken), Unavailable.
func (a *Accounts) Create(ctx context.Context, svc *service.Service, n NewAccount, by By) (ledger.ID, error) {
	var id ledger.ID
	if err := n.check(); err != nil {
		return id, err
	}
	if _, err := rand.Read(id[:]); err != nil {
		return id, fault.As(err)
	}
	var keys []ledger.Key
	for _, c := range n.Contacts {
		keys = append(keys, loginKey(svc, c))
	}
	return id, a.change(ctx, svc, ledger.AccountOf(svc.ID, id), keys, func(d *decision) error {
		b := d.b
		b.CreatedAt, b.Locale, b.Reference, b.Role = d.at, n.Locale, n.Reference, n.Role
		if n.PasswordHash != "" {
			b.Password = passwordOf{Hash: n.PasswordHash, ChangedAt: d.at}
		}
		for i, c := range n.Contacts {
			if d.taken(keys[i]) {
				return errTaken
			}
			own := contactOf{ID: b.next(), Value: c.Reveal(), Kind: c.Kind(), AddedAt: d.at}
			if n.Role == Customer {
				own.ProvenAt, own.ConfirmedAt = d.at, d.at
			}
			b.Contacts = append(b.Contacts, own)
			d.tx.Put(keys[i], &Login{Account: id})
		}
		d.note(entry{Kind: ActImported, What: by.Name}, nil)
		return nil
	})
}

func (n *NewAccount) check() error {
	if len(n.Contacts) == 0 || len(n.Contacts) > maxContacts {
		return fault.New(fault.Invalid, "invalid_contacts", "An account needs one contact, and has at most eight.").WithField("contacts")
	}
	for i, c := range n.Contacts {
		if slices.ContainsFunc(n.Contacts[:i], func(o contact.Contact) bool { return folded(o) == folded(c) }) {
			return fault.New(fault.Invalid, "invalid_contacts", "A contact is named twice.").WithField("contacts")
		}
	}
	if len(n.Reference) > maxReference || clip(n.Reference, maxReference) != n.Reference {
		return fault.New(fault.Invalid, "invalid_reference", "A reference has at most 100 bytes and no control characters.").WithField("reference")
	}
	if len(n.Locale) > maxLocale {
		return fault.New(fault.Invalid, "invalid_locale", "locale must be a language tag such as en or pt-BR.").WithField("locale")
	}
	if n.PasswordHash != "" {
		return password.Supported(n.PasswordHash)
	}
	return nil
}

// Get returns an account for an application or for support: contacts masked.
//
// Faults: NotFound, Forbidden (staff_account), Unavailable.
func (a *Accounts) Get(ctx context.Context, svc *service.Service, id ledger.ID, by By) (*View, error) {
	b, err := a.read(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	if !b.exists() || b.State == Closed {
		return nil, errNoAccount
	}
	if err := by.touch(b); err != nil {
		return nil, err
	}
	return viewOf(svc, id, b, nil, a.Ledger.Now(), false), nil
}

// Find returns the account that signs in with exactly this contact. That somebody looked is part of its activity.
//
// Faults: NotFound, Forbidden (staff_account), Unavailable.
func (a *Accounts) Find(ctx context.Context, svc *service.Service, named contact.Contact, by By) (*View, error) {
	who, err := a.find(ctx, svc, named)
	if err != nil {
		return nil, err
	}
	if !who.exists() || who.b.State == Closed {
		return nil, errNoAccount
	}
	return a.Seen(ctx, svc, who.key.ID, by)
}

// Seen is Get for a person who looks, which is part of the account's activity.
func (a *Accounts) Seen(ctx context.Context, svc *service.Service, id ledger.ID, by By) (*View, error) {
	var v *View
	err := a.existing(ctx, svc, id, nil, func(d *decision) error {
		if err := by.touch(d.b); err != nil {
			return err
		}
		d.note(entry{Kind: ActLookedAt, What: by.Name}, nil)
		v = viewOf(svc, id, d.b, nil, moment(d.at), false)
		return nil
	})
	return v, err
}

// SetState locks or unlocks an account. A locked one has no sessions and lets nobody in.
//
// Faults: NotFound, Forbidden (staff_account), Unavailable.
func (a *Accounts) SetState(ctx context.Context, svc *service.Service, id ledger.ID, to State, by By) error {
	return a.existing(ctx, svc, id, nil, func(d *decision) error {
		if err := by.touch(d.b); err != nil || d.b.State == to {
			return err
		}
		act := ActUnlocked
		if to == Locked {
			act = ActLocked
			d.b.Sessions = nil
			d.b.Epoch++ // what is half-way ends
		}
		d.b.State = to
		d.note(entry{Kind: act, What: by.Name}, nil)
		return nil
	})
}

// SignOutAll ends all sessions of an account and the trust in its devices.
//
// Faults: NotFound, Forbidden (staff_account), Unavailable.
func (a *Accounts) SignOutAll(ctx context.Context, svc *service.Service, id ledger.ID, by By) error {
	return a.existing(ctx, svc, id, nil, func(d *decision) error {
		if err := by.touch(d.b); err != nil {
			return err
		}
		d.b.Sessions = nil
		d.b.distrust(0)
		d.b.Epoch++ // what is half-way ends, too
		d.note(entry{Kind: ActSignOut, What: by.Name}, nil)
		return nil
	})
}

// AppEvent is what an application tells of an account: an order, a payment, a new address.
type AppEvent struct {
	Type   string // "order", "payment", "address", ...: letters, digits and _ of at most 40
	Text   string // for the owner, at most 200 characters
	IP     string
	Device string // in words
	Place  string // in words
}

// AppendActivity adds an application's event to an account's activity. Its owner sees it and can say that it wasn't they, which the
// application hears of by the events feed.
//
// Faults: NotFound, Forbidden (staff_account), Invalid, Unavailable.
func (a *Accounts) AppendActivity(ctx context.Context, svc *service.Service, id ledger.ID, e AppEvent, by By) (uint32, error) {
	if len(e.Type) == 0 || len(e.Type) > 40 || slices.ContainsFunc([]byte(e.Type), func(c byte) bool {
		return c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9')
	}) {
		return 0, fault.New(fault.Invalid, "invalid_type", "type must be 1 to 40 lower-case letters, digits and _.").WithField("type")
	}
	if utf8.RuneCountInString(e.Text) > maxText || clip(e.Text, 4*maxText) != e.Text {
		return 0, fault.New(fault.Invalid, "invalid_text", "text must have at most 200 characters on one line.").WithField("text")
	}
	var n uint32
	err := a.existing(ctx, svc, id, nil, func(d *decision) error {
		if err := by.touch(d.b); err != nil {
			return err
		}
		n = d.note(entry{Kind: ActApplication, What: e.Text, Type: e.Type}, &Visitor{IP: e.IP, Device: e.Device, Place: e.Place})
		return nil
	})
	return n, err
}

// ActivityOf lists an account's activity for an application or support; see Activity.
//
// Faults: NotFound, Unavailable.
func (a *Accounts) ActivityOf(ctx context.Context, svc *service.Service, id ledger.ID, before uint32) ([]Entry, uint32, error) {
	b, err := a.read(ctx, svc, id)
	if err != nil {
		return nil, 0, err
	}
	if !b.exists() || b.State == Closed {
		return nil, 0, errNoAccount
	}
	return a.activity(ctx, svc, id, b, before)
}

// StartRecovery lets support start a recovery for somebody who has no proof left that a page could check: the agent is one of the two who
// have to approve it, and it takes a week. Nobody learns a secret by it.
//
// Faults: NotFound, Conflict (one is under way, or it is the agent's own account), Forbidden, Unavailable.
func (a *Accounts) StartRecovery(ctx context.Context, staff *Signed, id ledger.ID) error {
	if err := staff.may(Support, Operator); err != nil {
		return err
	}
	if staff.ID == id {
		return errSecondAgent
	}
	return a.existing(ctx, staff.Service, id, nil, func(d *decision) error {
		if err := staff.by().touch(d.b); err != nil {
			return err
		}
		if d.b.Run != nil {
			return fault.New(fault.Conflict, "recovery_under_way", "A recovery is under way already.")
		}
		d.startRun(&recoveryRun{ReadyAt: d.at + aloneWait, Alone: true, Agents: []ledger.ID{staff.ID}}, &Visitor{})
		d.note(entry{Kind: ActLookedAt, What: staff.by().Name}, nil)
		return nil
	})
}

var errSecondAgent = fault.New(fault.Conflict, "second_agent_needed", "Another agent has to approve it: nobody decides alone, nor for themselves.")

// ApproveRecovery is one agent's yes to a recovery with one proof. Two different agents have to give it.
//
// Faults: NotFound, Conflict (none is under way, or the agent has approved it), Forbidden, Unavailable.
func (a *Accounts) ApproveRecovery(ctx context.Context, staff *Signed, id ledger.ID) error {
	if err := staff.may(Support, Operator); err != nil {
		return err
	}
	return a.existing(ctx, staff.Service, id, nil, func(d *decision) error {
		if err := staff.by().touch(d.b); err != nil {
			return err
		}
		if d.b.Run == nil || !d.b.Run.Alone {
			return fault.New(fault.Conflict, "no_recovery", "There is no recovery that agents decide.")
		}
		if slices.Contains(d.b.Run.Agents, staff.ID) || staff.ID == id {
			return errSecondAgent
		}
		d.b.Run.Agents = append(d.b.Run.Agents, staff.ID)
		d.note(entry{Kind: ActLookedAt, What: staff.by().Name}, nil)
		return nil
	})
}

// may refuses staff of another role, and staff without a second step.
func (s *Signed) may(roles ...Role) error {
	if !slices.Contains(roles, s.b.Role) || !s.session.Second {
		return fault.New(fault.Forbidden, "role_missing", "Your role may not do that, or this sign-in had no second step.")
	}
	return nil
}

func (s *Signed) by() By { return By{Name: "staff:" + FormatID(s.ID), Role: s.b.Role} }

// Staff is who a signed-in member of staff is to others, if one of the roles.
//
// Faults: Forbidden.
func (s *Signed) Staff(roles ...Role) (By, error) {
	if err := s.may(roles...); err != nil {
		return By{}, err
	}
	return s.by(), nil
}
