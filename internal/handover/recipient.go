// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/proof"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

const trackMAC = 10 // bytes: 80 bits, and each guess has to ask us

var (
	errTrack = fault.New(fault.NotFound, "tracking_over", "This link doesn't work, or not any more. Deliveries are shown until some days after they are over.")
	// ErrNotProven is the fault of a page whose device hasn't shown that it has the recipient's contact.
	ErrNotProven = fault.New(fault.Forbidden, "contact_not_proven", "Show first that this is your delivery: we send a code to the number or address that it was announced to.")
)

// shownFor is how long after its end a hand-over is shown to its recipient.
const shownFor = 7 * day

// TrackToken is what the link to a hand-over's tracking page carries. It shows the state and nothing else, to whoever has it; it is derived, so it is
// stored nowhere, and ends with the hand-over.
func TrackToken(svc *service.Service, id ledger.ID) string { return pageToken(svc, id, "track", 0) }

func pageToken(svc *service.Service, id ledger.ID, use string, n uint8) string {
	keys, ok := svc.Ring.ByID(id[8])
	if !ok {
		return ""
	}
	mac := keys.MAC(secret.LabelHandover, []byte(use), id[:], []byte{n})
	raw := append(append([]byte(nil), id[:]...), mac[:trackMAC]...)
	if n > 0 {
		raw = append(raw, n)
	}
	return secret.EncodeToken("", raw)
}

// Tracked is a hand-over as its recipient sees it.
type Tracked struct {
	*View
	Service  *service.Service
	contacts []contact.Contact
}

// Track finds the hand-over of a tracking page's link.
//
// Faults: NotFound (tracking_over), Unavailable.
func (h *Handovers) Track(ctx context.Context, svc *service.Service, token string) (*Tracked, error) {
	raw, err := secret.DecodeToken("", token)
	if err != nil || len(raw) != 16+trackMAC {
		return nil, errTrack
	}
	id := ledger.ID(raw[:16])
	if want := TrackToken(svc, id); subtle.ConstantTimeCompare([]byte(want), []byte(token)) != 1 {
		return nil, errTrack
	}
	r, b, err := h.read(ctx, svc, id)
	if err != nil {
		return nil, orElse(err, errNotFound, errTrack)
	}
	now := h.Ledger.Now().UnixMilli()
	if r.EndedAt > 0 && now > r.EndedAt+shownFor {
		return nil, errTrack
	}
	t := &Tracked{View: viewOf(svc, keyOf(svc, id), r, b), Service: svc}
	for i := range b.Contacts {
		if c, err := b.contact(uint8(i)); err == nil { //nolint:gosec // at most MaxContacts
			t.contacts = append(t.contacts, c)
		}
	}
	return t, nil
}

func orElse(err error, is, then *fault.Error) error {
	if unless(err, is) == nil {
		return then
	}
	return err
}

// Contact is the recipient's contact number i, to which a page sends a code so that a device proves itself; its owner's page never shows it whole.
func (t *Tracked) Contact(i int) (contact.Contact, bool) {
	if i < 0 || i >= len(t.contacts) {
		return contact.Contact{}, false
	}
	return t.contacts[i], true
}

// OfRecipient tells whether a contact that a device has proven is one of the recipient's.
func (t *Tracked) OfRecipient(c contact.Contact) bool {
	for _, o := range t.contacts {
		if o.Kind() == c.Kind() && o.Strict() == c.Strict() {
			return true
		}
	}
	return false
}

// Proven is what a device keeps that has proven a contact: for two weeks it is let see the deliveries to it. It has no row; it ends with the
// time in it, and shows nothing of a delivery whose recipient's contact has changed.
func (t *Tracked) Proven(c contact.Contact, now time.Time) string {
	return provenToken(t.Service, c, now.Add(maxTrack).Unix())
}

func provenToken(svc *service.Service, c contact.Contact, until int64) string {
	keys := svc.Ring.IndexKeys()[0]
	at := binary.BigEndian.AppendUint64(nil, uint64(max(0, until)))
	mac := keys.MAC(secret.LabelHandover, []byte("proven"), at, []byte{byte(c.Kind())}, []byte(c.Strict()))
	return secret.EncodeToken("", append(at, mac[:20]...))
}

// ProvenBy tells whether what a device kept proves one of the recipient's contacts.
func (t *Tracked) ProvenBy(token string, now time.Time) bool {
	raw, err := secret.DecodeToken("", token)
	if err != nil || len(raw) != 8+20 {
		return false
	}
	until := int64(binary.BigEndian.Uint64(raw)) //nolint:gosec // of our own making, or the MAC is wrong
	if until <= now.Unix() {
		return false
	}
	for _, c := range t.contacts {
		if subtle.ConstantTimeCompare([]byte(provenToken(t.Service, c, until)), []byte(token)) == 1 {
			return true
		}
	}
	return false
}

// Shown is a delivery code on its way to the one who says it at the door.
type Shown struct {
	Letter string
	Code   otp.Code
	Ticket string // for the QR code; it holds no code
	Until  time.Time
}

var errNotYet = fault.New(fault.Conflict, "code_not_yet", "There is no code to show yet: it is made when the parcel leaves, and shown from the beginning of the window.")

// ShowCode gives code and ticket to a recipient's page: on a press, once the parcel is under way and its window has begun or the courier is
// there (S28). The caller has checked that the device is proven.
//
// Faults: NotFound, Conflict (code_not_yet), Unavailable.
func (h *Handovers) ShowCode(ctx context.Context, svc *service.Service, id ledger.ID) (*Shown, error) {
	r, _, err := h.read(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	if !r.showable(h.Ledger.Now().UnixMilli()) {
		return nil, errNotYet
	}
	return h.shown(ctx, svc, id, r, otp.SpaceDelivery, r.Code, 0)
}

// showable tells whether a page may show a code of it, on a press (S28): in its window, or when the courier is there before it.
func (r *Record) showable(at int64) bool {
	return (r.State == Arrived || r.State == Out && at >= r.From) && at < r.GoodUntil
}

func (h *Handovers) shown(ctx context.Context, svc *service.Service, id ledger.ID, r *Record, space otp.Space, generation, pass uint8) (*Shown, error) {
	v, err := h.Ledger.Read(ctx, courierByID(svc, r.Courier))
	if err != nil {
		return nil, err
	}
	c, ok := v.(*Courier)
	if !ok {
		c = &Courier{}
	}
	return &Shown{
		Letter: string(rune(r.Letter)), Code: deriveCode(svc, id, space, generation), Until: moment(r.GoodUntil),
		Ticket: svc.Signer().Ticket(proof.Ticket{
			Handover: id, Attempt: r.Attempt, Generation: generation, Pass: pass, Device: c.binding(r.Courier), Until: moment(r.GoodUntil),
		}),
	}, nil
}

// NobodyHere stops the acceptance: somebody claims to be at the door and isn't (S30). The courier's record has a mark from then on. Only the
// recipient can resume it, or another attempt begins.
//
// Faults: NotFound, Conflict, Unavailable.
func (h *Handovers) NobodyHere(ctx context.Context, svc *service.Service, id ledger.ID) (*View, error) {
	r, _, err := h.read(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	ckey := courierByID(svc, r.Courier)
	return h.changed(ctx, svc, id, []ledger.Key{ckey}, func(d *decision) error {
		if d.r.State != Arrived || d.r.Courier != ckey.ID {
			return errState(d.r.State, Out)
		}
		d.r.StoppedAt, d.say = d.at, EventStopped
		c := loadCourier(d.tx, ckey)
		c.count(countStopped, d.at)
		saveCourier(d.tx, ckey, c, d.at)
		return d.r.move(Out, 0, d.at)
	})
}

// HereAfterAll resumes what NobodyHere has stopped: the courier says again that they are at the door. When the attempt is over, the depot can release it again.
//
// Faults: NotFound, Conflict, Unavailable.
func (h *Handovers) HereAfterAll(ctx context.Context, svc *service.Service, id ledger.ID) (*View, error) {
	return h.changed(ctx, svc, id, nil, func(d *decision) error {
		if d.r.StoppedAt == 0 || d.r.State != Out && d.r.State != Attempted {
			return errState(d.r.State, Out)
		}
		d.r.StoppedAt, d.r.ArrivedAt, d.say = 0, 0, EventResumed
		return nil
	})
}

// SendAgain sends the code once more at the recipient's wish, over one of their channels ("" for the usual one).
//
// Faults: Invalid, NotFound, Conflict, TooMany (with when it is possible), Unavailable.
func (h *Handovers) SendAgain(ctx context.Context, svc *service.Service, id ledger.ID, channel service.Channel) (*View, error) {
	return h.changed(ctx, svc, id, nil, func(d *decision) error {
		b, err := d.body()
		if err != nil {
			return err
		}
		wait, err := d.sendAgain(b, channel)
		if err == nil && wait > 0 {
			wait = (wait + time.Second - 1).Truncate(time.Second)
			return fault.New(fault.TooMany, "too_soon", "The code was sent just now. Give it a moment; then ask again.").WithRetry(wait)
		}
		return err
	})
}

// aheadDays is how many days from tomorrow a recipient can choose from.
const aheadDays = 7

// Days are the days that the recipient can choose instead, by the clock at the door; empty when there is no other attempt.
func (v *View) Days(now time.Time) []string {
	if v.State != Created && v.State != Out && v.State != Attempted || v.Attempt >= v.Attempts {
		return nil
	}
	y, m, d := now.In(v.Zone).Date()
	var all []string
	for i := 1; i <= aheadDays; i++ {
		all = append(all, time.Date(y, m, d+i, 12, 0, 0, 0, v.Zone).Format(time.DateOnly))
	}
	return all
}

// AnotherDay ends this attempt, if one is under way, and moves the window to another day, at the recipient's wish. The next attempt has a code of its own.
//
// Faults: Invalid (invalid_day), NotFound, Conflict (wrong_state, attempts_used_up), Unavailable.
func (h *Handovers) AnotherDay(ctx context.Context, svc *service.Service, id ledger.ID, to string) (*View, error) {
	return h.changed(ctx, svc, id, nil, func(d *decision) error {
		b, err := d.body()
		if err != nil {
			return err
		}
		r, now := d.r, moment(d.at)
		days := viewOf(d.svc, d.key, r, b).Days(now)
		if len(days) == 0 {
			if int(r.Attempt) >= b.Attempts {
				return fault.New(fault.Conflict, "attempts_used_up", "There is no other attempt for this parcel. Ask support what can be done.")
			}
			return errState(r.State, Attempted)
		}
		zone := b.zone()
		w, err := moved(r.From, r.Until, to, zone)
		ok := false
		for _, one := range days {
			ok = ok || one == to
		}
		if err != nil || !ok {
			return fault.New(fault.Invalid, "invalid_day", "Choose one of the days.").WithField("day")
		}
		from, until, good, _, err := w.read(now)
		if err != nil {
			return err
		}
		r.From, r.Until, r.GoodUntil = from, until, good
		if r.State == Created {
			d.say = EventChanged
			return nil
		}
		if r.State == Attempted {
			d.say = EventChanged // the state is the same
		}
		return r.move(Attempted, AnotherDay, d.at)
	})
}

// Refuse is the recipient's "I don't want it", before the parcel is at the door.
//
// Faults: NotFound, Conflict, Unavailable.
func (h *Handovers) Refuse(ctx context.Context, svc *service.Service, id ledger.ID) (*View, error) {
	return h.changed(ctx, svc, id, nil, func(d *decision) error { return d.r.move(Refused, ByRecipient, d.at) })
}

// maxRenewed is how often a code is changed within an attempt because somebody asked for it.
const maxRenewed = 4

// AskedByPhone is the recipient's "somebody asked me for this code on the phone": a code that is under way is changed
// and sent anew, and support gets a report.
//
// Faults: Invalid, NotFound, Conflict, TooMany (code_changed_often), Unavailable.
func (h *Handovers) AskedByPhone(ctx context.Context, svc *service.Service, id ledger.ID, text, ip string) (*View, error) {
	text, err := line(text, "text", MaxPhoneText)
	if err != nil {
		return nil, err
	}
	v, err := h.changed(ctx, svc, id, nil, func(d *decision) error {
		if _, err := d.body(); err != nil {
			return err
		}
		switch d.r.State {
		case Out, Arrived:
			if d.r.Asked >= maxRenewed {
				return fault.New(fault.TooMany, "code_changed_often", "The code has been changed several times today. Tell it to nobody on the phone; ask support for help.")
			}
			d.r.Asked++
			d.renew()
			d.queue(message.DeliveryNewCode, 0)
			d.tx.Event(event(d.key, d.r, EventNewCode, d.at))
		case Refused, Returned, Expired, Canceled:
			return errState(d.r.State, d.r.State)
		}
		d.say = EventAskedByPhone
		return nil
	})
	if err != nil || h.Raise == nil {
		return v, err
	}
	if err := h.Raise(ctx, svc, Asked{Handover: id, Order: v.Order, Text: text, IP: ip}); err != nil {
		h.Log.Error("a call that asked for a delivery code is in the log, but not among the reports", "service", svc.Slug, "err", err)
	}
	return v, nil
}
