// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

var _ message.Outbox = (*Accounts)(nil)

// noticeLife is how long it is tried to send a notice.
const noticeLife = day

// words say from what device and about where, as messages tell it.
func (v *Visitor) words() string {
	var words []string
	for _, s := range []string{v.Device, v.Place} {
		if s = clip(s, maxWords); s != "" {
			words = append(words, s)
		}
	}
	return strings.Join(words, ", ")
}

// tell tells every proven contact.
func (d *decision) tell(kind message.NoticeKind, v *Visitor, what string) {
	asked := ""
	if v != nil {
		asked = v.words()
	}
	d.queueAll(d.b.Contacts, notice{Kind: kind, What: what, Asked: asked})
}

// queueAll writes a notice down for each proven contact.
func (d *decision) queueAll(all []contactOf, n notice) {
	for i := range all {
		if c := &all[i]; c.ProvenAt > 0 {
			n.Contact, n.To = c.ID, c.Value
			d.queue(n)
		}
	}
}

// tellTo tells one contact of the account.
func (d *decision) tellTo(kind message.NoticeKind, v *Visitor, canonical string) {
	for i := range d.b.Contacts {
		if c := &d.b.Contacts[i]; foldedText(c.Value) == foldedText(canonical) {
			d.queue(notice{Contact: c.ID, To: c.Value, Kind: kind, Asked: v.words()})
		}
	}
}

// queue writes a notice down. When there are too many, the oldest that can't be acted upon gives way.
func (d *decision) queue(n notice) {
	n.ID, n.At, n.WakeAt = d.b.next(), d.at, d.at
	if len(d.b.Notices) >= maxNotices {
		i := max(0, slices.IndexFunc(d.b.Notices, func(o notice) bool { return o.Undo == 0 }))
		d.b.Notices = slices.Delete(slices.Clone(d.b.Notices), i, i+1)
	}
	d.b.Notices = append(d.b.Notices, n)
	d.b.Told = append(d.b.Told, told{n.Kind, d.at, n.Contact})
	d.b.Told = d.b.Told[max(0, len(d.b.Told)-maxTold):]
}

// told is a notice that was written: so that an attacker can't make us send it again and again, and for the list of what was sent.
type told struct {
	Kind    message.NoticeKind `cbor:"1,keyasint"`
	At      int64              `cbor:"2,keyasint"`
	Contact uint32             `cbor:"3,keyasint,omitempty"`
}

const maxTold = 48

func (d *decision) lastNotice(kind message.NoticeKind) int64 {
	for _, t := range slices.Backward(d.b.Told) {
		if t.Kind == kind {
			return t.At
		}
	}
	return 0
}

// lease takes the notices that are due for this node. They are sent once the decision is durable.
func (a *Accounts) lease(d *decision) ([]message.Outgoing, error) {
	var due []message.Outgoing
	for i := range d.b.Notices {
		n := &d.b.Notices[i]
		if n.WakeAt > d.at {
			continue
		}
		n.WakeAt = d.at + verification.Lease.Milliseconds()
		o, err := a.outgoing(d, n)
		if err != nil {
			return nil, err
		}
		due = append(due, o)
	}
	return due, nil
}

func (a *Accounts) outgoing(d *decision, n *notice) (message.Outgoing, error) {
	to, err := contact.FromCanonical(n.To)
	if err != nil {
		return message.Outgoing{}, fault.As(err)
	}
	o := message.Outgoing{
		Ref: message.Ref{Row: d.key, Number: int(n.ID)}, Service: d.svc, Channel: service.SMS, To: to, Locale: d.b.Locale, Asked: n.Asked,
		Passes: int(n.Passes), QueuedAt: moment(n.At), Deadline: moment(n.At + noticeLife),
		Notice: &message.Notice{Kind: n.Kind, What: n.What, Until: moment(n.Until)},
	}
	if to.Kind() == contact.Email {
		o.Channel = service.Email
	}
	if d.svc.Domain == "" || n.Page == "" {
		return o, nil
	}
	host := strings.TrimPrefix(strings.TrimPrefix(a.Origin(d.svc), "https://"), "http://")
	o.Notice.Address = host + "/" + n.Page
	if o.Channel == service.Email {
		o.Notice.Link = a.Origin(d.svc) + "/" + n.Page + "?t=" + url.QueryEscape(linkToken(d.svc, d.key.ID, n.Undo, n.Contact).Reveal()) // to its owner's mailbox
	} else {
		o.Notice.Key = typedKey(d.svc, d.key.ID, n.Undo, n.Contact)
	}
	return o, nil
}

// Report implements message.Outbox: it removes a notice that was sent or can't be, and notes a contact that can't be reached.
func (a *Accounts) Report(ctx context.Context, rep message.Report) error {
	svc, ok := a.Services.ByID(rep.Ref.Row.Service)
	if !ok {
		return nil
	}
	return a.change(ctx, svc, rep.Ref.Row, nil, func(d *decision) error {
		i := slices.IndexFunc(d.b.Notices, func(n notice) bool { return int(n.ID) == rep.Ref.Number })
		if i < 0 {
			return nil // reported before
		}
		n := d.b.Notices[i]
		if !rep.Sent && !rep.Final {
			d.b.Notices[i].Passes = min(n.Passes, 254) + 1
			d.b.Notices[i].WakeAt = d.at + rep.RetryIn.Milliseconds()
			return nil
		}
		d.b.Notices = slices.Delete(d.b.Notices, i, i+1)
		if rep.Sent && rep.Receipts {
			d.b.Mailed = append(d.b.Mailed, mailed{n.ID, n.Contact, d.at})
		}
		for _, at := range rep.Attempts {
			if hopeless(at.Outcome) {
				d.bounced(n.Contact)
			}
		}
		return nil
	})
}

// hopeless tells whether an outcome says that the contact itself is the trouble.
func hopeless(o message.Outcome) bool {
	return o == message.Unreachable || o == message.Blocked || o == message.ContactKind
}

// mailed is a notice that a provider has taken and may still report on.
type mailed struct {
	ID      uint32 `cbor:"1,keyasint"` // the notice's
	Contact uint32 `cbor:"2,keyasint"`
	At      int64  `cbor:"3,keyasint"`
}

const (
	maxMailed  = 16
	mailedLife = 8 * day // servers try for four or five days (RFC 5321 4.5.4.1)
)

// Receive takes a provider's later word on a notice: one that can't be delivered marks its contact as bounced, unless that has been confirmed
// since. Only a notice that was sent is heard of, once and within days; everything else changes nothing.
//
// Faults: Unavailable.
func (a *Accounts) Receive(ctx context.Context, ref message.Ref, rec message.Receipt) error {
	svc, ok := a.Services.ByID(ref.Row.Service)
	if !ok || rec.Delivered {
		return nil
	}
	err := a.change(ctx, svc, ref.Row, nil, func(d *decision) error {
		m, ok := d.unmail(ref.Number)
		if !ok {
			return errNoAccount
		}
		for i := range d.b.Contacts {
			if c := &d.b.Contacts[i]; c.ID == m.Contact && c.ConfirmedAt <= m.At && hopeless(rec.Outcome) {
				d.bounced(c.ID)
				break
			}
		}
		return nil
	})
	if errors.Is(err, errNoAccount) {
		return nil
	}
	return err
}

// unmail takes back that a notice was sent. The bounce of one may overtake our own note that it was.
func (d *decision) unmail(number int) (mailed, bool) {
	if i := slices.IndexFunc(d.b.Mailed, func(m mailed) bool { return int(m.ID) == number && m.At+mailedLife > d.at }); i >= 0 {
		m := d.b.Mailed[i]
		d.b.Mailed = slices.Delete(d.b.Mailed, i, i+1)
		return m, true
	}
	if i := slices.IndexFunc(d.b.Notices, func(n notice) bool { return int(n.ID) == number }); i >= 0 {
		n := d.b.Notices[i]
		d.b.Notices = slices.Delete(d.b.Notices, i, i+1)
		return mailed{n.ID, n.Contact, n.At}, true
	}
	return mailed{}, false
}

// bounced notes a contact that messages come back from and tells the others, once.
func (d *decision) bounced(id uint32) {
	for i := range d.b.Contacts {
		c := &d.b.Contacts[i]
		if c.ID != id || c.BouncedAt > 0 {
			continue
		}
		c.BouncedAt = d.at
		to, err := c.contact()
		if err != nil {
			return
		}
		d.note(entry{Kind: ActContactBounced, What: to.MaskedShort()}, nil)
		for j := range d.b.Contacts {
			if o := &d.b.Contacts[j]; o.ID != id && o.ProvenAt > 0 && o.BouncedAt == 0 {
				d.queue(notice{Contact: o.ID, To: o.Value, Kind: message.ContactBounced, What: to.MaskedShort()})
			}
		}
	}
}

// Undelivered notes that a code couldn't reach a contact of an account.
func (a *Accounts) Undelivered(ctx context.Context, svc *service.Service, id ledger.ID, to contact.Contact) error {
	return a.change(ctx, svc, ledger.AccountOf(svc.ID, id), nil, func(d *decision) error {
		if !d.b.exists() {
			return errNoAccount
		}
		for i := range d.b.Contacts {
			if d.b.Contacts[i].Value == to.Reveal() {
				d.bounced(d.b.Contacts[i].ID)
				return nil
			}
		}
		return nil
	})
}

// confirmEvery is how often people are asked whether a contact is still theirs.
const confirmEvery = 365 * day

// wakeAt is when a job has something to do for an account; 0: never.
func (b *body) wakeAt() int64 {
	if !b.exists() {
		return 0
	}
	at := int64(0)
	sooner := func(t int64) {
		if t > 0 && (at == 0 || t < at) {
			at = t
		}
	}
	for i := range b.Notices {
		sooner(b.Notices[i].WakeAt)
	}
	sooner(b.forgetAt())
	if b.State == Closed {
		return at
	}
	for i := range b.Contacts {
		sooner(b.Contacts[i].askAt())
	}
	if b.Run != nil {
		sooner(b.Run.wakeAt())
	}
	return at
}

// askAt is when the yearly reminder for a contact is due; 0: it isn't asked about.
func (c *contactOf) askAt() int64 {
	if c.ProvenAt == 0 {
		return 0
	}
	return max(c.ConfirmedAt, c.AskedAt, c.ProvenAt) + confirmEvery
}

// Wake does what has come due: notices whose lease ran out or that are to be tried again, the reminders of contacts, the stages of a
// recovery. It returns how many accounts it looked at. Any number of nodes may do so at once.
func (a *Accounts) Wake(ctx context.Context, limit int) (int, error) {
	keys, err := a.Ledger.Due(ctx, ledger.KindAccount, limit)
	if err != nil {
		return 0, err
	}
	var failed error
	for _, key := range keys {
		svc, ok := a.Services.ByID(key.Service)
		if !ok {
			continue
		}
		over := false
		err := a.change(ctx, svc, key, nil, func(d *decision) error {
			at := d.b.forgetAt()
			over = at > 0 && at <= d.at
			return d.due()
		})
		if err == nil && over {
			err = a.forget(ctx, svc, key.ID)
		}
		if err != nil {
			failed = err // the failure of one must not keep others waiting
		}
	}
	return len(keys), failed
}

func (d *decision) due() error {
	d.b.Notices = keep(d.b.Notices, func(n notice) bool { return n.At+noticeLife > d.at })
	for i := range d.b.Contacts {
		c := &d.b.Contacts[i]
		if at := c.askAt(); at == 0 || at > d.at || d.b.State == Closed {
			continue
		}
		c.AskedAt = d.at
		to, err := c.contact()
		if err != nil {
			return err
		}
		if d.b.State == Open {
			d.queue(notice{Contact: c.ID, To: c.Value, Kind: message.ContactConfirm, What: to.MaskedShort()})
		}
	}
	if d.b.Run != nil {
		d.runOn()
	}
	return nil
}
