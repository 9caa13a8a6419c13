// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// Signed is somebody who is signed in, as the account was when the request came. It belongs to one request.
type Signed struct {
	ID      ledger.ID // of the account
	Service *service.Service
	b       *body
	session session
	token   string
}

// Has tells whether the person has proven a contact for which is says yes.
func (s *Signed) Has(is func(contact.Contact) bool) bool {
	return slices.ContainsFunc(s.b.Contacts, func(own contactOf) bool {
		c, err := own.contact()
		return err == nil && own.ProvenAt > 0 && is(c)
	})
}

// seenEvery is how often a session's last use is written down.
const seenEvery = 15 * minute

// Session finds the account that a session's token signs in.
//
// Faults: Unauthorized (ErrSignedOut), Unavailable.
func (a *Accounts) Session(ctx context.Context, svc *service.Service, token string, v *Visitor) (*Signed, error) {
	p, ok := parseToken(sessionPrefix, token, secretSize)
	if !ok {
		return nil, ErrSignedOut
	}
	b, err := a.read(ctx, svc, p.account)
	if err != nil {
		return nil, err
	}
	s, ok := b.session(svc, p.account, token)
	at := a.now()
	if !ok || s.ExpiresAt <= at || b.State != Open {
		return nil, ErrSignedOut
	}
	if at-s.SeenAt > seenEvery {
		id := s.ID
		err := a.existing(ctx, svc, p.account, nil, func(d *decision) error {
			for i := range d.b.Sessions {
				if d.b.Sessions[i].ID == id {
					d.b.Sessions[i].SeenAt = d.at
					if v.Place != "" {
						d.b.Sessions[i].Place = clip(v.Place, maxWords)
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return &Signed{ID: p.account, Service: svc, b: b, session: *s, token: token}, nil
}

// session finds the session of a token of the account id.
func (b *body) session(svc *service.Service, id ledger.ID, token string) (*session, bool) {
	p, ok := parseToken(sessionPrefix, token, secretSize)
	if !ok || p.account != id {
		return nil, false
	}
	sum := sessionHash(svc, id, p.value)
	for i := range b.Sessions {
		if s := &b.Sessions[i]; s.ID == p.thing && sameHash(s.Hash, sum) {
			return s, true
		}
	}
	return nil, false
}

// stepLife is how long a proof counts for sensitive changes.
func stepLife(svc *service.Service) int64 { return int64(svc.Policy.StepUp) * minute }

// sensitive refuses a sensitive change in a session without a fresh proof, or while changes are frozen.
func (b *body) sensitive(svc *service.Service, s *session, at int64) error {
	if s.SteppedAt+stepLife(svc) <= at {
		return ErrStepUp
	}
	if b.Frozen > at {
		return errFrozen
	}
	return nil
}

func (s *Signed) sensitive(at int64) error { return s.b.sensitive(s.Service, &s.session, at) }

// steppedUntil is until when the session's last proof counts for sensitive changes; zero: it doesn't.
func (s *session) steppedUntil(svc *service.Service, now time.Time) time.Time {
	until := moment(s.SteppedAt + stepLife(svc))
	if s.SteppedAt == 0 || !until.After(now) {
		return time.Time{}
	}
	return until
}

// own runs fn on the locked account of a session that is still there; sensitive changes need a proof that still counts.
func (a *Accounts) own(ctx context.Context, s *Signed, sensitive bool, keys []ledger.Key, fn func(*decision) error) error {
	return a.existing(ctx, s.Service, s.ID, keys, func(d *decision) error {
		now, ok := d.b.session(s.Service, s.ID, s.token)
		if !ok || d.b.State != Open {
			return ErrSignedOut
		}
		if sensitive {
			if err := d.b.sensitive(s.Service, now, d.at); err != nil {
				return err
			}
		}
		d.by = now.ID
		return fn(d)
	})
}

// StepUp begins a proof that it is still the same person. Nothing is sent yet.
func (a *Accounts) StepUp(ctx context.Context, s *Signed, v *Visitor) (*Step, error) {
	f := a.begin(FlowStepUp, s.ID, s.b, v)
	f.Session = s.session.ID
	if ways := a.ways(s.Service, f, s.b); len(ways) > 0 {
		f.Way = ways[0].ID
	}
	return a.step(ctx, s.Service, f, s.b)
}

// steppedUp gives the session a new token, so that one that was overheard before is worth nothing for what follows.
func (d *decision) steppedUp(f *flow, with Method, ans *Answer, out *outcome) error {
	now, ok := d.b.session(d.svc, d.key.ID, ans.Session)
	if !ok || now.ID != f.Session {
		return ErrSignedOut
	}
	d.right(d.visiting(ans))
	value := newSecret()
	now.Hash, now.SteppedAt = sessionHash(d.svc, d.key.ID, value), d.at
	now.Second = now.Second || with != MethodPassword
	d.note(entry{Kind: ActStepUp, What: string(with)}, &ans.Visitor)
	out.done = &Done{
		Account: d.key.ID, Session: token(sessionPrefix, d.key.ID, now.ID, value), SessionLife: time.Duration(now.ExpiresAt-d.at) * time.Millisecond,
	}
	return nil
}

// SignOut ends a session: the one of the request (id empty), another one, or all others (id "others").
//
// Faults: Unauthorized, NotFound (no such session), Unavailable.
func (a *Accounts) SignOut(ctx context.Context, s *Signed, id string, v *Visitor) error {
	return a.own(ctx, s, false, nil, func(d *decision) error {
		before := len(d.b.Sessions)
		n, ok := thingID('s', id)
		if id == "" {
			n, ok = s.session.ID, true
		}
		if id != "others" && !ok {
			return errNoThing
		}
		d.b.Sessions = keep(d.b.Sessions, func(o session) bool {
			if id == "others" {
				return o.ID == s.session.ID
			}
			return o.ID != n
		})
		if len(d.b.Sessions) == before && id != "others" {
			return errNoThing
		}
		d.note(entry{Kind: ActSignOut, What: id}, v)
		return nil
	})
}

// distrust ends the trust in all devices but one; 0: in all.
func (b *body) distrust(but uint32) {
	for i := range b.Devices {
		if b.Devices[i].ID != but {
			b.Devices[i].Trusted = 0
		}
	}
}

var errNoThing = fault.New(fault.NotFound, "not_there", "This is no longer there.")

// RevokeDevice makes a device unknown: the next sign-in from it needs the second step, and its sessions end. id "all" means all but
// the one of the request.
//
// Faults: Unauthorized, NotFound, Unavailable.
func (a *Accounts) RevokeDevice(ctx context.Context, s *Signed, id string, v *Visitor) error {
	return a.own(ctx, s, false, nil, func(d *decision) error {
		n, ok := thingID('d', id)
		if !ok && id != "all" {
			return errNoThing
		}
		gone := map[uint32]bool{}
		d.b.Devices = keep(d.b.Devices, func(o device) bool {
			gone[o.ID] = o.ID == n || id == "all" && o.ID != s.session.Device
			return !gone[o.ID]
		})
		if id != "all" && !gone[n] {
			return errNoThing
		}
		d.b.Sessions = keep(d.b.Sessions, func(o session) bool { return !gone[o.Device] || o.ID == s.session.ID })
		d.note(entry{Kind: ActDeviceRevoked, What: id}, v)
		return nil
	})
}
