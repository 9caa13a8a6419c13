// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// review is what somebody does about a code that they didn't ask for. It waits in the security centre until it is done.
type review struct {
	StartedAt int64     `cbor:"1,keyasint"`
	About     ledger.ID `cbor:"2,keyasint,omitzero"`  // the verification; zero: not one alone
	ByText    bool      `cbor:"3,keyasint,omitempty"` // begun by an answer to a text
	Ended     uint32    `cbor:"4,keyasint,omitempty"` // how many codes ended by it
	SignedOut bool      `cbor:"5,keyasint,omitempty"` // everything else was signed out
	Activity  bool      `cbor:"6,keyasint,omitempty"` // every line was looked at
	Case      string    `cbor:"7,keyasint,omitempty"` // that support knows of it by
}

// The steps of a review.
const (
	ReviewCodes    = "codes"       // they no longer work: done when the review begins
	ReviewSessions = "sessions"    // everything else is signed out, and no device is trusted
	ReviewPassword = "password"    // a new one
	ReviewSecond   = "second_step" // two-step verification is on, with the strongest method that there is
	ReviewActivity = "activity"    // every line was looked at
	ReviewCase     = "case"        // support knows
)

// ReviewStep is one line of the checklist.
type ReviewStep struct {
	Name string // one of the constants
	Done bool
	Way  *Way // of the second step: the strongest method, which isn't the default yet; nil: none to choose
}

// ReviewView is a review as its owner sees it.
type ReviewView struct {
	StartedAt time.Time
	About     ledger.ID
	ByText    bool
	Ended     int // how many codes ended by it
	Steps     []ReviewStep
	Done      bool   // all of them
	Case      string // empty: none yet
}

// reviewOf shows a review. What is done elsewhere, such as a new password, counts here, too.
func (b *body) reviewOf(svc *service.Service) *ReviewView {
	r := b.Review
	if r == nil {
		return nil
	}
	strongest := b.strongest(svc)
	second := ReviewStep{Name: ReviewSecond, Done: b.TwoStepAt > 0 && strongest == nil}
	if b.TwoStepAt > 0 {
		second.Way = strongest
	}
	v := &ReviewView{StartedAt: moment(r.StartedAt), About: r.About, ByText: r.ByText, Ended: int(r.Ended), Case: r.Case, Steps: []ReviewStep{
		{Name: ReviewCodes, Done: true},
		{Name: ReviewSessions, Done: r.SignedOut},
		{Name: ReviewPassword, Done: b.Password.Hash == "" || b.Password.ChangedAt >= r.StartedAt},
		second,
		{Name: ReviewActivity, Done: r.Activity},
		{Name: ReviewCase, Done: r.Case != ""},
	}}
	v.Done = !slices.ContainsFunc(v.Steps, func(s ReviewStep) bool { return !s.Done })
	return v
}

// strongest is the method that resists most (a passkey, then an app) if it isn't what is asked for first; nil: it is, or there is none.
func (b *body) strongest(svc *service.Service) *Way {
	all := seconds(svc, b)
	for _, m := range []Method{MethodPasskey, MethodApp} {
		if i := slices.IndexFunc(all, func(w Way) bool { return w.Method == m }); i >= 0 {
			if i == 0 {
				return nil
			}
			return &all[i]
		}
	}
	return nil
}

// BeginReview is somebody's "it wasn't me" to a code: all codes to their contacts end at once. A review that is there goes on. about is
// the verification that it is about; zero: none alone.
//
// Faults: Unauthorized, Unavailable.
func (a *Accounts) BeginReview(ctx context.Context, s *Signed, about ledger.ID, v *Visitor) (*ReviewView, error) {
	ended, err := a.disownAll(ctx, s.Service, s.b)
	if err != nil {
		return nil, err
	}
	var out *ReviewView
	err = a.own(ctx, s, false, nil, func(d *decision) error {
		d.review(review{About: about}, ended, v)
		out = d.b.reviewOf(d.svc)
		return nil
	})
	return out, err
}

// disownAll ends the codes to all contacts of an account that have been proven, and returns how many.
func (a *Accounts) disownAll(ctx context.Context, svc *service.Service, b *body) (int, error) {
	ended := 0
	for i := range b.Contacts {
		if b.Contacts[i].ProvenAt == 0 {
			continue
		}
		to, err := b.Contacts[i].contact()
		if err != nil {
			return ended, err
		}
		n, err := a.Codes.Disown(ctx, svc, to)
		if err != nil {
			return ended, err
		}
		ended += n
	}
	return ended, nil
}

// review begins a review or goes on with the one that there is.
func (d *decision) review(r review, ended int, v *Visitor) {
	if ended > 0 {
		d.note(entry{Kind: ActDisowned}, v)
	}
	if d.b.Review == nil {
		r.StartedAt = d.at
		d.b.Review = &r
		d.note(entry{Kind: ActReviewBegun}, v)
	} else if !r.About.IsZero() {
		d.b.Review.About = r.About
	}
	d.b.Review.Ended += uint32(max(0, ended))
}

// Disowned is what an answer of NO begins, when it has ended codes: the review of the account whose contact it is, if there is one. It
// locks nothing.
//
// Faults: Unavailable.
func (a *Accounts) Disowned(ctx context.Context, svc *service.Service, from contact.Contact, ended int) error {
	return a.ofContact(ctx, svc, from, func(d *decision) { d.review(review{ByText: true}, ended, nil) })
}

// helpEvery is how often HELP is answered.
const helpEvery = hour

// Help answers a text of HELP to a contact of an account. Others are answered by their gateway, if at all: to write to strangers on
// demand would be a way to have us write to anybody.
//
// Faults: Unavailable.
func (a *Accounts) Help(ctx context.Context, svc *service.Service, from contact.Contact) error {
	return a.ofContact(ctx, svc, from, func(d *decision) {
		if d.at-d.lastNotice(message.HelpAsked) > helpEvery {
			d.tellTo(message.HelpAsked, &Visitor{}, from.Reveal())
		}
	})
}

// ofContact runs fn on the open account that a contact signs in to; without one it does nothing.
func (a *Accounts) ofContact(ctx context.Context, svc *service.Service, c contact.Contact, fn func(*decision)) error {
	who, err := a.find(ctx, svc, c)
	if err != nil || !who.exists() || !who.owns() {
		return err
	}
	err = a.existing(ctx, svc, who.key.ID, nil, func(d *decision) error {
		fn(d)
		return nil
	})
	if fault.As(err) != nil && fault.As(err).Kind == fault.NotFound {
		return nil
	}
	return err
}

// Review does one step of the checklist: ReviewSessions, ReviewSecond (the strongest method is asked for first from now on) or ReviewActivity.
// Others are done where they belong.
//
// Faults: Unauthorized, NotFound (there is no review, or no such step to press), Unavailable.
func (a *Accounts) Review(ctx context.Context, s *Signed, step string, v *Visitor) error {
	return a.own(ctx, s, false, nil, func(d *decision) error {
		r := d.b.Review
		if r == nil {
			return errNoThing
		}
		switch step {
		case ReviewSessions:
			r.SignedOut = true
			d.b.Sessions = keep(d.b.Sessions, func(o session) bool { return o.ID == s.session.ID })
			d.b.distrust(s.session.Device)
			d.b.Epoch++ // what somebody else is half-way through ends, too
			d.note(entry{Kind: ActSignOut, What: "others"}, v)
		case ReviewSecond:
			w := d.b.strongest(d.svc)
			if w == nil || d.b.TwoStepAt == 0 {
				return errNoThing
			}
			d.b.Default = w.ID
		case ReviewActivity:
			r.Activity = true
		default:
			return errNoThing
		}
		return nil
	})
}

// ReviewCase notes the case that support knows of a review by.
//
// Faults: Unauthorized, NotFound, Unavailable.
func (a *Accounts) ReviewCase(ctx context.Context, s *Signed, id string) error {
	return a.own(ctx, s, false, nil, func(d *decision) error {
		if d.b.Review == nil {
			return errNoThing
		}
		d.b.Review.Case = clip(id, maxName)
		return nil
	})
}

// EndReview puts a review away, whatever is left of it: it is its owner's to say that they are done.
//
// Faults: Unauthorized, NotFound, Unavailable.
func (a *Accounts) EndReview(ctx context.Context, s *Signed, v *Visitor) error {
	return a.own(ctx, s, false, nil, func(d *decision) error {
		if d.b.Review == nil {
			return errNoThing
		}
		d.b.Review = nil
		d.note(entry{Kind: ActReviewEnded}, v)
		return nil
	})
}

// Mistyped is "somebody mistyped": the codes to the person's contacts end, and nothing else happens.
//
// Faults: Unauthorized, Unavailable.
func (a *Accounts) Mistyped(ctx context.Context, s *Signed, v *Visitor) error {
	ended, err := a.disownAll(ctx, s.Service, s.b)
	if err != nil {
		return err
	}
	return a.own(ctx, s, false, nil, func(d *decision) error {
		if ended > 0 {
			d.note(entry{Kind: ActDisowned}, v)
		}
		return nil
	})
}

// ReviewOf is the review that is under way; nil: none.
func (a *Accounts) ReviewOf(s *Signed) *ReviewView { return s.b.reviewOf(s.Service) }

// sentList bounds what is listed of what was sent.
const (
	sentList   = 100
	sentFor    = 30 * 24 * time.Hour // to the contacts of an account
	sentBefore = 24 * time.Hour      // to a contact that a visitor proves: numbers are given to others (S23)
)

// SentMessage is a message that was sent to a contact, as its owner may know it: a code or a notice.
type SentMessage struct {
	ID       ledger.ID // of the verification; zero: a notice
	At       time.Time
	To       string // masked
	Kind     contact.Kind
	Digits   string                      // the last two of a phone
	Channel  service.Channel             //
	Status   verification.MessageStatus  // of a code
	Purpose  service.Purpose             // of a code; empty: it isn't told
	Pending  bool                        // the code still works
	Disowned bool                        // ended because its owner hadn't asked for it
	Asked    verification.RequestContext // of a code: who asked for it
	Detail   verification.Detail         // of a transaction
	Notice   message.NoticeKind          // of a notice
	Locale   string
}

// Sent lists what was sent to the contacts of a signed-in person in the last 30 days, the latest first: never a code.
//
// Faults: Unavailable.
func (a *Accounts) Sent(ctx context.Context, s *Signed) ([]SentMessage, error) {
	since := a.Ledger.Now().Add(-sentFor)
	var all []SentMessage
	for i := range s.b.Contacts {
		c := &s.b.Contacts[i]
		if c.ProvenAt == 0 {
			continue
		}
		to, err := c.contact()
		if err != nil {
			return nil, err
		}
		// A number that was somebody else's before: what came then isn't told.
		codes, err := a.codes(ctx, s.Service, to, later(since, moment(c.ProvenAt).Add(-sentBefore)), true)
		if err != nil {
			return nil, err
		}
		all = append(all, codes...)
		for _, t := range s.b.Told {
			if t.Contact == c.ID {
				m := sentTo(to)
				m.At, m.Notice, m.Channel = moment(t.At), t.Kind, channelOf("", to)
				all = append(all, m)
			}
		}
	}
	return latestFirst(all), nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func latestFirst(all []SentMessage) []SentMessage {
	slices.SortStableFunc(all, func(x, y SentMessage) int { return y.At.Compare(x.At) })
	return all[:min(len(all), sentList)]
}

func sentTo(to contact.Contact) SentMessage {
	m := SentMessage{To: to.MaskedShort(), Kind: to.Kind()}
	if to.Kind() == contact.Phone {
		number := to.Reveal() // the last two digits are shown to its owner
		m.Digits = number[len(number)-2:]
	}
	return m
}

// codes are the codes that were sent to a contact; told also by whom and for what they were asked.
func (a *Accounts) codes(ctx context.Context, svc *service.Service, to contact.Contact, since time.Time, told bool) ([]SentMessage, error) {
	list, err := a.Codes.Sent(ctx, svc, to, since, sentList)
	if err != nil {
		return nil, err
	}
	all := make([]SentMessage, len(list))
	for i, c := range list {
		m := sentTo(to)
		m.ID, m.At, m.Channel, m.Status, m.Pending, m.Disowned, m.Locale = c.ID, c.At, c.Channel, c.Status, c.Pending, c.Disowned, c.Locale
		if told {
			m.Purpose, m.Asked, m.Detail = c.Purpose, c.Asked, c.Detail
		}
		all[i] = m
	}
	return all, nil
}

// Prove begins the proof of a contact by somebody who wants to know what was sent to it, or to have nothing sent to it any more. It needs no account and tells
// nothing of one. Nothing is sent yet.
//
// Faults: Invalid (channel), Unavailable.
func (a *Accounts) Prove(ctx context.Context, svc *service.Service, named contact.Contact, v *Visitor) (*Step, error) {
	return a.prove(ctx, svc, named, false, v)
}

// ProveUnnamed is Prove of a contact that the visitor hasn't named, such as the one that a parcel was announced to: its steps tell what kind it is, and nothing
// else of it (S28).
//
// Faults: as Prove.
func (a *Accounts) ProveUnnamed(ctx context.Context, svc *service.Service, to contact.Contact, v *Visitor) (*Step, error) {
	return a.prove(ctx, svc, to, true, v)
}

func (a *Accounts) prove(ctx context.Context, svc *service.Service, to contact.Contact, unnamed bool, v *Visitor) (*Step, error) {
	f := a.begin(FlowProve, decoyKey(svc, loginKey(svc, to)).ID, nil, v)
	f.Contact, f.Unnamed = to.Reveal(), unnamed
	ways := f.named(svc)
	if len(ways) == 0 {
		return nil, errChannel
	}
	f.Way = ways[0].ID
	return a.step(ctx, svc, f, &body{})
}

// Proven is a contact that a visitor has proven, with the flow that shows it.
type Proven struct {
	contact contact.Contact
	since   time.Time
	Service *service.Service
}

// ProvenBy reads the flow of a finished Prove.
//
// Faults: Ended (ErrFlow: it is another flow, not finished, or too old).
func (a *Accounts) ProvenBy(svc *service.Service, text string) (*Proven, error) {
	f, err := a.openFlow(svc, text)
	if err != nil {
		return nil, err
	}
	if f.Kind != FlowProve || f.Rung != rungProven {
		return nil, ErrFlow
	}
	c, err := contact.FromCanonical(f.Contact)
	if err != nil {
		return nil, ErrFlow
	}
	return &Proven{contact: c, since: moment(f.Until - flowLife).Add(-sentBefore), Service: svc}, nil
}

// Contact is the contact that was proven, for who compares it with those that something is meant for.
func (p *Proven) Contact() contact.Contact { return p.contact }

// SentTo lists what was sent to a contact that a visitor has proven: what came since and in the 24 hours before, without what it was for (S23).
//
// Faults: Unavailable.
func (a *Accounts) SentTo(ctx context.Context, p *Proven) ([]SentMessage, error) {
	all, err := a.codes(ctx, p.Service, p.contact, p.since, false)
	return latestFirst(all), err
}

// DisownTo ends the codes that wait for a contact that a visitor has proven, and returns how many.
//
// Faults: Unavailable.
func (a *Accounts) DisownTo(ctx context.Context, p *Proven) (int, error) {
	return a.Codes.Disown(ctx, p.Service, p.contact)
}

// blockFor is how long a visitor's block of a contact lasts: it ends by itself.
const blockFor = 90 * 24 * time.Hour

// BlockTo has no more codes sent to a contact that a visitor has proven, for 90 days; off lifts that. It ends the codes that wait.
//
// Faults: Unavailable.
func (a *Accounts) BlockTo(ctx context.Context, p *Proven, off bool) error {
	lasts := blockFor
	if off {
		lasts = 0
	} else if _, err := a.DisownTo(ctx, p); err != nil {
		return err
	}
	return a.Block(ctx, p.Service, p.contact, lasts)
}

// Block has no more codes sent to a contact, because its owner says so; zero allows them again. If it is an account's, its owner sees that in the activity.
//
// Faults: Unavailable.
func (a *Accounts) Block(ctx context.Context, svc *service.Service, to contact.Contact, lasts time.Duration) error {
	if err := a.Codes.Block(ctx, svc, to, lasts); err != nil {
		return err
	}
	return a.ofContact(ctx, svc, to, func(d *decision) {
		act := ActContactBlocked
		if lasts == 0 {
			act = ActContactUnblocked
		}
		d.note(entry{Kind: act, What: to.MaskedShort()}, nil)
	})
}

// BlockedTo is until when no codes are sent to a contact that a visitor has proven; zero: they are.
//
// Faults: Unavailable.
func (a *Accounts) BlockedTo(ctx context.Context, p *Proven) (time.Time, error) {
	return a.Codes.BlockedUntil(ctx, p.Service, p.contact)
}

// Unblock has codes sent again to a contact of a signed-in person who had them stopped.
//
// Faults: Unauthorized, NotFound, Unavailable.
func (a *Accounts) Unblock(ctx context.Context, s *Signed, id string, v *Visitor) error {
	c, err := s.provenContact(id)
	if err != nil {
		return err
	}
	to, err := c.contact()
	if err != nil {
		return err
	}
	if err := a.Codes.Block(ctx, s.Service, to, 0); err != nil {
		return err
	}
	return a.own(ctx, s, false, nil, func(d *decision) error {
		d.note(entry{Kind: ActContactUnblocked, What: to.MaskedShort()}, v)
		return nil
	})
}

// Blocked tells until when codes to the contacts of a signed-in person are stopped, by the contact's id.
//
// Faults: Unavailable.
func (a *Accounts) Blocked(ctx context.Context, s *Signed) (map[string]time.Time, error) {
	all := map[string]time.Time{}
	for i := range s.b.Contacts {
		c := &s.b.Contacts[i]
		to, err := c.contact()
		if err != nil {
			return nil, err
		}
		until, err := a.Codes.BlockedUntil(ctx, s.Service, to)
		if err != nil {
			return nil, err
		}
		if !until.IsZero() {
			all[thing('c', c.ID)] = until
		}
	}
	return all, nil
}

// Drop ends a flow for somebody who doesn't want it or didn't ask for it: the code that it sent no longer works. One that is over, or was never
// there, is no fault.
//
// Faults: Unavailable.
func (a *Accounts) Drop(ctx context.Context, svc *service.Service, text string) error {
	f, err := a.openFlow(svc, text)
	if err != nil || f.Code.IsZero() {
		return nil //nolint:nilerr // there is nothing to end
	}
	if _, err := a.Codes.Cancel(ctx, svc, f.Code); err != nil && fault.As(err).Kind == fault.Unavailable {
		return err
	}
	return nil
}

// Masked is the contact as it may be shown.
func (p *Proven) Masked() string { return p.contact.MaskedShort() }
