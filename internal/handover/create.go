// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/text/language"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// NewHandover is what makes a hand-over.
type NewHandover struct {
	Order     string // the application's own reference; with Parcel, unique in the service
	Parcel    int    // of the order's parcels, which; 0: 1
	Recipient Recipient
	Window    Window
	Items     string              // in words
	Hint      string              // of the address, for the courier: "2nd floor, blue door"
	Depot     string              // from where it comes; may be empty
	Weak      []service.WeakProof // what may stand in for the code; nil: what the service allows, which it can't exceed
	NoPass    bool                // the recipient may not send a neighbour
	Attempts  int                 // that it may have; 0: the service's
	Quiet     bool                // the tracking link isn't sent: the application sends it
}

// orderRow lists the hand-overs of an order.
type orderRow struct {
	All []orderEntry `cbor:"1,keyasint"`
}

type orderEntry struct {
	Parcel int       `cbor:"1,keyasint"`
	ID     ledger.ID `cbor:"2,keyasint"`
}

func (o *orderRow) find(parcel int) (ledger.ID, bool) {
	for _, e := range o.All {
		if e.Parcel == parcel {
			return e.ID, true
		}
	}
	return ledger.ID{}, false
}

// draft is a hand-over before it is decided upon.
type draft struct {
	body    *body
	from    int64
	until   int64
	good    int64
	content [16]byte
}

// Create makes a hand-over. The tracking link goes to the recipient in a message of its own (S28), unless it is Quiet; the code comes when the parcel
// leaves. The same order and parcel again with the same content is the same hand-over, and again is true: so a request whose answer was
// lost is simply made again.
//
// Faults: Invalid, Conflict (order_taken, too_many_parcels), Unavailable.
func (h *Handovers) Create(ctx context.Context, svc *service.Service, n NewHandover) (v *View, again bool, err error) {
	dr, err := h.draft(svc, &n)
	if err != nil {
		return nil, false, err
	}
	return h.create(ctx, svc, dr, ledger.ID{})
}

// create makes a hand-over of a draft. Gone is one that its order still names, and whose own time is over.
func (h *Handovers) create(ctx context.Context, svc *service.Service, dr *draft, gone ledger.ID) (v *View, again bool, err error) {
	id, err := newID(svc, h.Ledger.Now())
	if err != nil {
		return nil, false, err
	}
	key, okey := keyOf(svc, id), orderKey(svc, dr.body.Order)
	var due []message.Outgoing
	var there ledger.ID
	err = h.Ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{okey}, Apply: func(tx *ledger.Tx) error {
		due, there = nil, ledger.ID{}
		var o orderRow
		if _, err := openRow(svc, okey, tx.Get(okey), &o); err != nil {
			return err
		}
		if old, ok := o.find(dr.body.Parcel); ok && old != gone {
			there = old
			return nil
		}
		o.All = slices.DeleteFunc(o.All, func(e orderEntry) bool { return e.ID == gone && !gone.IsZero() })
		if len(o.All) >= MaxParcels {
			return fault.New(fault.Conflict, "too_many_parcels", fmt.Sprintf("An order has at most %d hand-overs.", MaxParcels)).WithField("order")
		}
		at := tx.Now().UnixMilli()
		r := &Record{
			State: Created, CreatedAt: at, UpdatedAt: at, From: dr.from, Until: dr.until, GoodUntil: dr.good, Letter: svc.Policy.DeliveryLetter[0],
			Steps: []Step{{State: Created, At: at}}, Content: dr.content, Digits: uint8(svc.Policy.CodeLength), //nolint:gosec // at most 10
		}
		d := &decision{h: h, tx: tx, svc: svc, key: key, r: r, b: dr.body, at: at}
		if !dr.body.Quiet {
			d.queue(message.DeliveryLink, 0)
		}
		d.keep()
		o.All = append(o.All, orderEntry{dr.body.Parcel, id})
		tx.Put(okey, sealRow(svc, okey, &o, at))
		tx.Event(event(key, r, 0, at))
		var err error
		due, err = d.lease()
		tx.Put(key, r)
		v = viewOf(svc, key, r, dr.body)
		return err
	}})
	if err != nil {
		return nil, false, err
	}
	if !there.IsZero() {
		v, err = h.same(ctx, svc, there, dr.content)
		if errors.Is(err, errNotFound) && gone.IsZero() { // its order is kept for longer
			return h.create(ctx, svc, dr, there)
		}
		return v, true, err
	}
	h.send(due)
	return v, false, nil
}

// same is the hand-over that is there already, if it was made of the same.
func (h *Handovers) same(ctx context.Context, svc *service.Service, id ledger.ID, content [16]byte) (*View, error) {
	r, b, err := h.read(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	if r.Content != content {
		return nil, fault.New(fault.Conflict, "order_taken", "There is another hand-over for this order and parcel: "+FormatID(id)+". Change that one, or give another parcel.").WithField("order")
	}
	return viewOf(svc, keyOf(svc, id), r, b), nil
}

// draft reads what a hand-over is to be made of.
func (h *Handovers) draft(svc *service.Service, n *NewHandover) (*draft, error) {
	var problems []*fault.Error
	note := func(err error) {
		if err != nil {
			problems = append(problems, fault.As(err))
		}
	}
	text := func(to *string, field string, most int) {
		s, err := line(*to, field, most)
		if err != nil {
			note(err)
			return
		}
		*to = s
	}
	text(&n.Order, "order", MaxOrder)
	text(&n.Items, "items", MaxItems)
	text(&n.Hint, "address_hint", MaxHint)
	text(&n.Depot, "depot", MaxName)
	text(&n.Recipient.Name, "recipient.name", MaxName)
	if n.Order == "" {
		note(fault.New(fault.Invalid, "order_missing", "Give your own reference of the order: by it, the hand-over is found again.").WithField("order"))
	}
	if n.Parcel == 0 {
		n.Parcel = 1
	}
	if n.Parcel < 1 || n.Parcel > MaxParcels {
		note(fault.New(fault.Invalid, "invalid_parcel", fmt.Sprintf("parcel must be from 1 to %d.", MaxParcels)).WithField("parcel"))
	}
	note(checkRecipient(svc, &n.Recipient))
	weak, err := weakOf(svc, n.Weak)
	note(err)
	if n.Attempts == 0 {
		n.Attempts = svc.Policy.DeliveryAttempts
	}
	if n.Attempts < 1 || n.Attempts > 9 {
		note(fault.New(fault.Invalid, "invalid_attempts", "attempts must be from 1 to 9.").WithField("attempts"))
	}
	dr := &draft{}
	var zone *time.Location
	dr.from, dr.until, dr.good, zone, err = n.Window.read(h.Ledger.Now())
	note(err)
	if err := fault.Join(problems...); err != nil {
		return nil, err
	}
	dr.body = &body{
		Order: n.Order, Parcel: n.Parcel, Name: n.Recipient.Name, Locale: n.Recipient.Locale, Zone: zone.String(), Items: n.Items, Hint: n.Hint, Depot: n.Depot,
		Weak: weak, NoPass: n.NoPass || !svc.Policy.DeliveryPass, Attempts: n.Attempts, Quiet: n.Quiet,
	}
	for _, c := range n.Recipient.Contacts {
		dr.body.Contacts = append(dr.body.Contacts, c.Reveal())
	}
	dr.content = contentOf(svc, dr)
	return dr, nil
}

// contentOf is a keyed hash of all that a hand-over is made of.
func contentOf(svc *service.Service, dr *draft) (out [16]byte) {
	b, err := json.Marshal(dr.body)
	if err != nil {
		panic(err) // strings and numbers only
	}
	mac := svc.Ring.IndexKeys()[0].MAC(secret.LabelHandover, []byte("content"), b, []byte(strconv.FormatInt(dr.from, 10)), []byte(strconv.FormatInt(dr.until, 10)))
	copy(out[:], mac[:])
	return out
}

func checkRecipient(svc *service.Service, r *Recipient) error {
	if len(r.Contacts) == 0 || len(r.Contacts) > MaxContacts {
		return fault.New(fault.Invalid, "invalid_contacts", fmt.Sprintf("A recipient has from one to %d contacts; messages go to the first.", MaxContacts)).WithField("recipient.contacts")
	}
	for i, c := range r.Contacts {
		if err := verification.CheckChannel(&svc.Policy, channelOf(c), c); err != nil {
			return fault.As(err).WithField(fmt.Sprintf("recipient.contacts[%d]", i))
		}
	}
	if _, err := language.Parse(r.Locale); len(r.Locale) > 35 || r.Locale != "" && err != nil {
		return fault.New(fault.Invalid, "invalid_locale", "locale must be a language tag such as en or pt-BR.").WithField("recipient.locale")
	}
	return nil
}

// channelOf is how a contact is written to.
func channelOf(c contact.Contact) service.Channel {
	if c.Kind() == contact.Email {
		return service.Email
	}
	return service.SMS
}

// weakOf is what a hand-over allows of what its service does.
func weakOf(svc *service.Service, asked []service.WeakProof) ([]string, error) {
	if asked == nil {
		asked = svc.Policy.DeliveryWeak
	}
	out := make([]string, 0, len(asked))
	for i, w := range asked {
		if !slices.Contains(svc.Policy.DeliveryWeak, w) || slices.Contains(asked[:i], w) {
			return nil, fault.New(fault.Invalid, "weak_proof_not_allowed", "This service doesn't allow that as a stand-in for the code; see delivery_weak in its policy.").
				WithField(fmt.Sprintf("weak[%d]", i))
		}
		out = append(out, string(w))
	}
	return out, nil
}

// Change is what changes of a hand-over before it is over. What is nil stays.
type Change struct {
	Recipient *Recipient
	Window    *Window
	Hint      *string
	Items     *string
}

// Change changes a hand-over that isn't over. Another recipient's contact gets the code, if the parcel is under way: as a new one, and the old one
// no longer works; devices that proved the old contact see it no more. A window can't change while the parcel is under way.
//
// Faults: Invalid, NotFound, Conflict (also contact_changed_often), Unavailable.
func (h *Handovers) Change(ctx context.Context, svc *service.Service, id ledger.ID, c Change) (*View, error) {
	var from, until, good int64
	var zone *time.Location
	err := error(nil)
	if c.Window != nil {
		from, until, good, zone, err = c.Window.read(h.Ledger.Now())
	}
	if err == nil && c.Recipient != nil {
		err = checkRecipient(svc, c.Recipient)
	}
	for _, one := range []struct {
		to    *string
		field string
		most  int
	}{{c.Hint, "address_hint", MaxHint}, {c.Items, "items", MaxItems}} {
		if err == nil && one.to != nil {
			*one.to, err = line(*one.to, one.field, one.most)
		}
	}
	if err == nil && c.Recipient != nil {
		c.Recipient.Name, err = line(c.Recipient.Name, "recipient.name", MaxName)
	}
	if err != nil {
		return nil, err
	}
	return h.changed(ctx, svc, id, nil, func(d *decision) error {
		if d.r.State.Final() || d.r.State == Refused {
			return errState(d.r.State, d.r.State)
		}
		b, err := d.body()
		if err != nil {
			return err
		}
		if c.Window != nil {
			if d.r.State == Out || d.r.State == Arrived {
				return fault.New(fault.Conflict, "under_way", "The parcel is under way. End this attempt first; then give the next one its window.").WithField("window")
			}
			d.r.From, d.r.Until, d.r.GoodUntil, b.Zone = from, until, good, zone.String()
		}
		if c.Hint != nil {
			b.Hint = *c.Hint
		}
		if c.Items != nil {
			b.Items = *c.Items
		}
		if c.Recipient != nil {
			if err := d.readdress(b, c.Recipient); err != nil {
				return err
			}
		}
		d.keep()
		d.say = EventChanged
		return nil
	})
}

// maxTold is how many messages a hand-over may have had when its recipient's contact changes once more: each change sends some.
const maxTold = 60

// readdress changes who gets the messages. What is queued for the old contact isn't sent any more.
func (d *decision) readdress(b *body, to *Recipient) error {
	if to.Name != "" {
		b.Name = to.Name
	}
	if to.Locale != "" {
		b.Locale = to.Locale
	}
	var all []string
	for _, c := range to.Contacts {
		all = append(all, c.Reveal())
	}
	first, old := all[0] != b.Contacts[0], b.Contacts
	b.Contacts = all
	if known := d.leave(b, old); !first && !known {
		return nil
	}
	if n := len(d.r.Messages); n > 0 && d.r.Messages[n-1].Number >= maxTold {
		return fault.New(fault.Conflict, "contact_changed_often", "This recipient's contact has been changed too often. Cancel this hand-over and make another.").WithField("recipient.contacts")
	}
	if first {
		for i := range d.r.Messages {
			if m := &d.r.Messages[i]; m.Status == Queued {
				m.Status, m.WakeAt = Void, 0
			}
		}
		if !b.Quiet {
			d.queue(message.DeliveryLink, 0)
		}
	}
	if d.r.State == Out || d.r.State == Arrived {
		d.renew()
		d.queue(message.DeliveryNewCode, 0)
	}
	if first && d.r.State == Arrived {
		d.queue(message.DeliveryArrived, 0)
	}
	return nil
}

// leave lets the messages to contacts that are gone keep whom they went to; those that wait are void. True: the code that counts now went to one of them.
func (d *decision) leave(b *body, old []string) (known bool) {
	for i := range d.r.Messages {
		m := &d.r.Messages[i]
		if int(m.Contact) >= len(old) {
			continue // gone before
		}
		if at := slices.Index(b.Contacts, old[m.Contact]); at >= 0 {
			m.Contact = uint8(at) //nolint:gosec // at most MaxContacts
			continue
		}
		known = known || carriesCode(m.Kind) && m.Code == d.r.Code && m.Status != Void
		if m.Status == Queued {
			m.Status, m.WakeAt = Void, 0
		}
		mask := ""
		if c, err := contact.FromCanonical(old[m.Contact]); err == nil {
			mask = c.MaskedShort()
		}
		at := slices.Index(b.Former, mask)
		if at < 0 {
			at = min(len(b.Former), formerContact-1)
			b.Former = append(b.Former[:at], mask)
		}
		m.Contact = uint8(formerContact + at) //nolint:gosec // at most 255
	}
	return known && (d.r.State == Out || d.r.State == Arrived)
}

// renew makes the next code. The one before no longer works.
func (d *decision) renew() { d.r.Code = min(d.r.Code, maxCodes-1) + 1 }
