// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// Act is what happened to an account. The numbers are stored, those of the log with actBase added; new ones go at the end.
type Act uint8

// The acts.
const (
	ActSignIn Act = iota + 1
	ActSignInFailed
	ActSecondStepFailed
	ActSignUp
	ActSignOut
	ActStepUp
	ActDeviceTrusted
	ActDeviceRevoked
	ActTwoStepOn
	ActTwoStepOff
	ActFactorAdded
	ActFactorRemoved
	ActRecoveryCodesNew
	ActRecoveryCodeUsed
	ActPasswordChanged
	ActPasswordReset
	ActContactAdded
	ActContactRemoved
	ActContactConfirmed
	ActContactBounced
	ActUndoBegun
	ActUndone
	ActRecoveryStarted
	ActRecoveryStopped
	ActRecoveryDone
	ActLocked
	ActUnlocked
	ActLookedAt
	ActClosed
	ActApplication // what an application told
	ActNotMe       // its owner says that an entry wasn't they
	ActImported
	ActDisowned    // codes ended because their owner hadn't asked for them
	ActReviewBegun // of codes that nobody here asked for
	ActReviewEnded
	ActContactBlocked // no codes to it, by its owner's wish
	ActContactUnblocked
	ActCallAnnounced
	ActCallShown    // its words, on a device
	ActCallRefused  // by the person who was called
	ActCallEnded    // by who announced it
	ActCaseOpened   // with support
	ActCaseAnswered // by support
)

var actNames = [...]string{
	"", "sign_in", "sign_in_failed", "second_step_failed", "sign_up", "sign_out", "step_up", "device_trusted", "device_revoked", "two_step_on",
	"two_step_off", "factor_added", "factor_removed", "recovery_codes_new", "recovery_code_used", "password_changed", "password_reset",
	"contact_added", "contact_removed", "contact_confirmed", "contact_bounced", "undo_begun", "undone", "recovery_started", "recovery_stopped",
	"recovery_done", "locked", "unlocked", "looked_at", "closed", "application", "not_me", "imported",
	"disowned", "review_begun", "review_ended", "contact_blocked", "contact_unblocked",
	"call_announced", "call_shown", "call_refused", "call_ended",
	"case_opened", "case_answered",
}

// String is the act as the API says it.
func (k Act) String() string {
	if int(k) >= len(actNames) {
		return ""
	}
	return actNames[k]
}

// ownDoing tells whether the owner may say that it wasn't they.
func (k Act) ownDoing() bool {
	return !slices.Contains([]Act{ActLocked, ActUnlocked, ActLookedAt, ActClosed, ActNotMe, ActImported, ActContactBounced, ActRecoveryStopped,
		ActCallAnnounced, ActCallEnded, ActCaseAnswered}, k)
}

// actBase is where the kinds of accounts begin among the kinds of the log.
const actBase ledger.EventKind = 64

// EventName is an account's event as the feed says it; empty for a kind that isn't an account's.
func EventName(k ledger.EventKind) string {
	if k <= actBase || int(k-actBase) >= len(actNames) {
		return ""
	}
	return "account." + actNames[k-actBase]
}

// EventData is what an event of an account tells beside its time and subject.
type EventData struct {
	Act   Act
	Entry uint32 // of the account's activity; of not_me: the entry that was marked
}

// ReadEvent reads an entry of the log; false for one that isn't an account's.
func ReadEvent(e ledger.Event) (EventData, bool) {
	if EventName(e.Kind) == "" || len(e.Data) != 4 {
		return EventData{}, false
	}
	return EventData{Act: Act(e.Kind - actBase), Entry: binary.BigEndian.Uint32(e.Data)}, true
}

// entry is one line of an account's activity, in its row.
type entry struct {
	ID     uint32 `cbor:"1,keyasint"`
	At     int64  `cbor:"2,keyasint"`
	Kind   Act    `cbor:"3,keyasint"`
	What   string `cbor:"4,keyasint,omitempty"`
	Device string `cbor:"5,keyasint,omitempty"`
	Place  string `cbor:"6,keyasint,omitempty"`
	IP     string `cbor:"7,keyasint,omitempty"`
	Type   string `cbor:"8,keyasint,omitempty"` // of an application's; of a call: who announced it, or ended it
	NotMe  int64  `cbor:"9,keyasint,omitempty"`
}

// Entry is one line of an account's activity.
type Entry struct {
	ID       uint32
	At       time.Time
	Kind     Act
	What     string // a method, a contact (masked), who looked; of an application: its text
	Device   string // in words
	Place    string // likewise
	IP       string
	Type     string // of an application's: order, payment, ...; of a call: who announced it, or ended it
	NotMe    bool   // its owner said that it wasn't they
	CanNotMe bool
}

func (e *entry) view() Entry {
	return Entry{
		ID: e.ID, At: moment(e.At), Kind: e.Kind, What: e.What, Device: e.Device, Place: e.Place, IP: e.IP, Type: e.Type,
		NotMe: e.NotMe > 0, CanNotMe: e.NotMe == 0 && e.Kind.ownDoing(),
	}
}

// note adds to the activity and to the log.
func (d *decision) note(e entry, v *Visitor) uint32 {
	e.ID, e.At = d.b.next(), d.at
	if v != nil {
		e.Device, e.Place, e.IP = clip(v.Device, maxWords), clip(v.Place, maxWords), clip(v.IP, maxWords)
	}
	e.What = clip(e.What, maxText)
	d.b.Recent = append(d.b.Recent, e)
	d.log(e.Kind, e.ID)
	return e.ID
}

const maxText = 200

// log adds to the log what is there for people's accounts; what is only counted for a contact is no event of anybody.
func (d *decision) log(kind Act, id uint32) {
	if d.b.exists() {
		d.tx.Event(ledger.Event{
			Service: d.svc.ID, Kind: actBase + ledger.EventKind(kind), At: moment(d.at), Subject: d.key.ID, Data: binary.BigEndian.AppendUint32(nil, id),
		})
	}
}

// page moves the older half of a full row's activity to a page of its own.
func (d *decision) page() {
	b := d.b
	if len(b.Recent) <= maxRecent {
		return
	}
	old := b.Recent[:maxRecent/2]
	b.Recent = slices.Clone(b.Recent[maxRecent/2:])
	if !b.exists() {
		return
	}
	b.Pages++
	key := pageKey(d.svc, d.key.ID, b.Pages)
	d.putPage(key, old)
}

// putPage writes a page of entries, of which there is at least one.
func (d *decision) putPage(key ledger.Key, all []entry) {
	d.tx.Put(key, &Page{At: all[len(all)-1].At, Sealed: d.svc.Ring.Current().Seal(tableActivity, columnEntries, key.ID, ledger.Pack(nil, all))})
}

// readPage returns the entries of a page; none when it has been removed.
func (a *Accounts) readPage(ctx context.Context, svc *service.Service, id ledger.ID, n uint32) ([]entry, error) {
	key := pageKey(svc, id, n)
	v, err := a.Ledger.Read(ctx, key)
	p, ok := v.(*Page)
	if err != nil || !ok {
		return nil, err
	}
	return openPage(svc, key.ID, p)
}

func openPage(svc *service.Service, id ledger.ID, p *Page) ([]entry, error) {
	plain, err := svc.Ring.Open(tableActivity, columnEntries, id, p.Sealed)
	if err != nil {
		return nil, fault.As(err)
	}
	var all []entry
	if err := ledger.Unpack(plain, &all); err != nil {
		return nil, fault.As(fmt.Errorf("decode activity: %w", err))
	}
	return all, nil
}

// pageOfView is how many entries Activity gives at least, if there are so many.
const pageOfView = 20

// Activity lists a person's activity, the latest first: the entries before one (0: from the latest on), and the one before which there
// may be more (0: there is none).
//
// Faults: Unavailable.
func (a *Accounts) Activity(ctx context.Context, s *Signed, before uint32) ([]Entry, uint32, error) {
	return a.activity(ctx, s.Service, s.ID, s.b, before)
}

func (a *Accounts) activity(ctx context.Context, svc *service.Service, id ledger.ID, b *body, before uint32) ([]Entry, uint32, error) {
	var out []Entry
	add := func(all []entry) {
		for _, e := range slices.Backward(all) {
			if before == 0 || e.ID < before {
				out = append(out, e.view())
			}
		}
	}
	add(b.Recent)
	n := b.Pages
	for ; n > 0 && len(out) < pageOfView; n-- {
		all, err := a.readPage(ctx, svc, id, n)
		if err != nil {
			return nil, 0, err
		}
		if all == nil {
			n = 0 // what is older has been removed, too
			break
		}
		add(all)
	}
	if n == 0 || len(out) == 0 {
		return out, 0, nil
	}
	return out, out[len(out)-1].ID, nil
}

// NotMe says that an entry wasn't the account's owner. Everything else is signed out and no device is trusted any more; the
// application hears of it by the events feed, and every contact is told.
//
// Faults: Unauthorized, NotFound (no such entry), Conflict (it can't be marked), Unavailable.
func (a *Accounts) NotMe(ctx context.Context, s *Signed, id uint32, v *Visitor) error {
	page := uint32(0)
	if !slices.ContainsFunc(s.b.Recent, func(e entry) bool { return e.ID == id }) {
		var err error
		if page, err = a.pageOf(ctx, s, id); err != nil {
			return err
		}
	}
	var keys []ledger.Key
	if page > 0 {
		keys = append(keys, pageKey(s.Service, s.ID, page))
	}
	return a.own(ctx, s, false, keys, func(d *decision) error {
		if err := d.mark(id, keys); err != nil {
			return err
		}
		d.b.Sessions = keep(d.b.Sessions, func(o session) bool { return o.ID == s.session.ID })
		d.b.distrust(s.session.Device)
		d.b.Epoch++ // what somebody else is half-way through ends
		d.b.Recent = append(d.b.Recent, entry{ID: d.b.next(), At: d.at, Kind: ActNotMe, Device: clip(v.Device, maxWords), Place: clip(v.Place, maxWords)})
		d.log(ActNotMe, id)
		d.tell(message.NotMe, v, "")
		return nil
	})
}

// pageOf finds the page of an entry.
func (a *Accounts) pageOf(ctx context.Context, s *Signed, id uint32) (uint32, error) {
	for n := s.b.Pages; n > 0; n-- {
		all, err := a.readPage(ctx, s.Service, s.ID, n)
		if err != nil {
			return 0, err
		}
		if len(all) == 0 || all[len(all)-1].ID < id {
			break
		}
		if slices.ContainsFunc(all, func(e entry) bool { return e.ID == id }) {
			return n, nil
		}
	}
	return 0, errNoThing
}

// mark notes on an entry that it wasn't its owner: in the row, or on the page that is locked along.
func (d *decision) mark(id uint32, pages []ledger.Key) error {
	mark := func(all []entry) error {
		i := slices.IndexFunc(all, func(e entry) bool { return e.ID == id })
		switch {
		case i < 0:
			return errNoThing
		case !all[i].Kind.ownDoing() || all[i].NotMe > 0:
			return fault.New(fault.Conflict, "not_markable", "This can't be marked, or has been already.")
		}
		all[i].NotMe = d.at
		return nil
	}
	if len(pages) == 0 {
		return mark(d.b.Recent)
	}
	p, ok := d.tx.Get(pages[0]).(*Page)
	if !ok {
		return errNoThing
	}
	all, err := openPage(d.svc, pages[0].ID, p)
	if err != nil {
		return err
	}
	if err := mark(all); err != nil {
		return err
	}
	d.putPage(pages[0], all)
	return nil
}
