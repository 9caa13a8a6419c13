// SPDX-License-Identifier: Apache-2.0

package account

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// A call is announced before somebody from the service dials. Its person sees who calls, why, and three words that the caller has to say
// first; nobody else can know them. It is a field of the account's row, so there is one open call at most, and what is shown, refused and
// ended is judged in turn. docs/security/calls.md says what it stands up to, and what it doesn't.
const (
	callLife = 3 * minute // to dial and to say the words; a call that goes on for longer is announced anew
	callKept = hour       // for which its end is told to both sides
)

// How many calls may be announced: an hour by a member of staff and by an API key, behind which there are many, and to one person.
const (
	callsOfAgent = 40
	callsOfKey   = 2000
)

var callsToAccount = service.Limit{Hour: 6, Day: 12}

// Bounds of what is said of a call.
const (
	maxCaller   = 60  // characters
	maxReason   = 120 // characters
	maxOpenings = 20  // devices that are remembered; more than one is a warning already
	phraseDraws = 16  // phrases that are tried until one is free: with thousands of open calls the first is
)

// CallStage is where a call stands.
type CallStage uint8

// The stages. The numbers from CallEnded on are stored.
const (
	CallNone    CallStage = iota // nobody calls, and nobody did in the last hour
	CallOpen                     // announced just now
	CallExpired                  // its time is over
	CallEnded                    // by who announced it
	CallRefused                  // by the person: something wasn't right
)

// String is the stage as the API says it.
func (s CallStage) String() string {
	return [...]string{"none", "open", "expired", "ended", "refused"}[s]
}

// call is the latest call that was announced to an account's owner.
type call struct {
	ID       uint32    `cbor:"1,keyasint"`
	At       int64     `cbor:"2,keyasint"`
	Until    int64     `cbor:"3,keyasint"`
	By       string    `cbor:"4,keyasint"` // who announced it; see By.Name
	Caller   string    `cbor:"5,keyasint"`
	Reason   string    `cbor:"6,keyasint"`
	Phrase   string    `cbor:"7,keyasint"`
	Openings []opening `cbor:"8,keyasint,omitempty"`
	EndedAt  int64     `cbor:"9,keyasint,omitempty"`
	End      CallStage `cbor:"10,keyasint,omitempty"` // CallEnded or CallRefused
}

// opening is a device on which the words were shown.
type opening struct {
	Device uint32 `cbor:"1,keyasint"` // or the session, when it has no device; they share no number
	Words  string `cbor:"2,keyasint,omitempty"`
	Place  string `cbor:"3,keyasint,omitempty"`
	At     int64  `cbor:"4,keyasint"`
}

// called counts the calls that somebody announced since a time, for an hour.
type called struct {
	From int64  `cbor:"1,keyasint,omitempty"`
	N    uint32 `cbor:"2,keyasint,omitempty"`
}

// Phrase keeps the words of a call from being another call's, too, while they are good. Its id is a keyed hash of them.
type Phrase struct {
	Account ledger.ID `cbor:"1,keyasint"`
	Until   int64     `cbor:"2,keyasint"` // Unix milliseconds
}

// AppendRecord implements ledger.Value.
func (p *Phrase) AppendRecord(dst []byte) []byte { return ledger.Pack(dst, p) }

// Copy implements ledger.Value.
func (p *Phrase) Copy() ledger.Value { c := *p; return &c }

// Owner implements ledger.Value.
func (*Phrase) Owner() ledger.ID { return ledger.ID{} }

// WakeAt implements ledger.Value.
func (*Phrase) WakeAt() int64 { return 0 }

func phraseKey(svc *service.Service, phrase string) ledger.Key {
	key := ledger.AccountOf(svc.ID, hash(svc, "phrase", ledger.ID{}, []byte(phrase)))
	key.Kind = ledger.KindPhrase
	return key
}

// callerKey is the row in which the announcements of an agent or API key are counted: one that is nobody's and goes when it is no longer used.
func callerKey(svc *service.Service, by By) ledger.Key {
	return ledger.AccountOf(svc.ID, hash(svc, "caller", ledger.ID{}, []byte(by.Name)))
}

// CallView is a call as one side sees it.
type CallView struct {
	ID        string // to say which one isn't right
	Stage     CallStage
	Caller    string      // who calls
	Reason    string      // why
	Phrase    secret.Text // what they have to say first: for who announced it and for a person who has proven themselves
	At, Until time.Time
	EndedAt   time.Time
	Openings  []Opening // where the words were shown, the first first
	Prove     bool      // for the person: there is a call, and who they are has to be proven before more of it is told
}

// Opening is a device on which the words of a call were shown.
type Opening struct {
	Device  string // in words
	Place   string
	At      time.Time
	Current bool // the one that asks
}

// Elsewhere are the openings on other devices than the one that asks: a warning, for both sides.
func (v *CallView) Elsewhere() []Opening {
	return keep(slices.Clone(v.Openings), func(o Opening) bool { return !o.Current })
}

func (c *call) stage(at int64) CallStage {
	switch {
	case c == nil || at >= c.Until+callKept:
		return CallNone
	case c.End != CallNone:
		return c.End
	case at >= c.Until:
		return CallExpired
	}
	return CallOpen
}

// view shows a call; device is the one that asks, 0 for who announced it.
func (c *call) view(device uint32, at int64) *CallView {
	v := &CallView{
		ID: thing('l', c.ID), Stage: c.stage(at), Caller: c.Caller, Reason: c.Reason, At: moment(c.At), Until: moment(c.Until), EndedAt: moment(c.EndedAt),
	}
	if v.Stage == CallOpen {
		v.Phrase = secret.NewText(c.Phrase)
	}
	for _, o := range c.Openings {
		v.Openings = append(v.Openings, Opening{o.Words, o.Place, moment(o.At), o.Device == device})
	}
	return v
}

// bare is what is told of a call to a person who hasn't proven who they are, or when it is over: that there is one, or was.
func (c *call) bare(at int64) *CallView {
	v := &CallView{Stage: c.stage(at)}
	if v.Stage != CallNone {
		v.ID, v.At, v.Until, v.EndedAt, v.Prove = thing('l', c.ID), moment(c.At), moment(c.Until), moment(c.EndedAt), v.Stage == CallOpen
	}
	return v
}

// Announcement is what a person is told of a call.
type Announcement struct {
	Caller string // who calls, as they will say it
	Reason string // why: "your order 1182"
}

func (n *Announcement) check() error {
	for _, f := range []struct {
		name, text string
		most       int
		hint       string
	}{
		{"caller", n.Caller, maxCaller, "Say who calls, as they will say it, in at most 60 characters on one line, without a link."},
		{"reason", n.Reason, maxReason, "Say why you call, in at most 120 characters on one line, without a link."},
	} {
		low := strings.ToLower(f.text)
		if strings.TrimSpace(f.text) == "" || utf8.RuneCountInString(f.text) > f.most || !utf8.ValidString(f.text) || strings.ContainsFunc(f.text, unseen) ||
			strings.Contains(low, "://") || strings.Contains(low, "www.") {
			return fault.New(fault.Invalid, "invalid_"+f.name, f.hint).WithField(f.name)
		}
	}
	return nil
}

// unseen tells characters that break a line or make a text look like another one.
func unseen(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar
}

var (
	errCallOpen   = fault.New(fault.Conflict, "call_open", "A call to this person is announced already. There is one at a time: wait until it is over, or end it.")
	errCallOver   = fault.New(fault.Conflict, "call_over", "This call is over.")
	errCallLocked = fault.New(fault.Conflict, "call_unseen", "This account is locked, so its owner can't sign in to see that you call. Unlock it first, or write to them.")
	errNotCaller  = fault.New(fault.Forbidden, "not_your_call", "This call was announced by somebody else: only they or an operator may see or end it.")
	errPhrases    = fault.New(fault.Unavailable, "no_phrase", "There are no free words for this call now. Try again.").WithRetry(time.Second)
	errPhrase     = fault.New(fault.Conflict, "phrase_taken", "These words are another call's.") // never leaves Announce
)

// Announce opens a call to an account's owner for three minutes and returns the words that the caller has to say first. It is an entry of
// the activity, which the owner sees.
//
// Faults: Invalid (caller, reason), NotFound, Forbidden (staff_account), Conflict (call_open, call_unseen), TooMany (calls_of_caller,
// calls_to_account), Unavailable. Of two at once one is open and the other is refused.
func (a *Accounts) Announce(ctx context.Context, svc *service.Service, id ledger.ID, n Announcement, by By) (*CallView, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	counter := callerKey(svc, by)
	for range phraseDraws {
		phrase := a.phrase()
		words := phraseKey(svc, phrase)
		var v *CallView
		err := a.existing(ctx, svc, id, []ledger.Key{counter, words}, func(d *decision) error {
			if err := d.mayCall(by); err != nil {
				return err
			}
			if p, ok := d.tx.Get(words).(*Phrase); ok && p.Until > d.at {
				return errPhrase
			}
			if err := d.countCall(counter, by); err != nil {
				return err
			}
			c := &call{ID: d.b.next(), At: d.at, Until: d.at + callLife, By: by.Name, Caller: n.Caller, Reason: n.Reason, Phrase: phrase}
			d.b.Call = c
			d.tx.Put(words, &Phrase{Account: id, Until: c.Until})
			d.note(entry{Kind: ActCallAnnounced, What: n.Caller + ": " + n.Reason, Type: by.Name}, nil)
			v = c.view(0, d.at)
			return nil
		})
		if err == nil || fault.As(err).Code != errPhrase.Code {
			return v, err
		}
	}
	return nil, errPhrases
}

// mayCall refuses a call that nobody would see, or a second one.
func (d *decision) mayCall(by By) error {
	if err := by.touch(d.b); err != nil {
		return err
	}
	switch {
	case d.b.State != Open:
		return errCallLocked
	case d.b.Call.stage(d.at) == CallOpen:
		return errCallOpen
	}
	return nil
}

// countCall counts an announcement for who makes it and for who is called.
func (d *decision) countCall(counter ledger.Key, by By) error {
	at, limit := d.at/1000, uint32(callsOfAgent)
	if strings.HasPrefix(by.Name, "api:") {
		limit = callsOfKey
	}
	own, updated, err := openRow(d.svc, counter.ID, d.tx.Get(counter))
	if err != nil {
		return err
	}
	if own.Called.From+hour <= d.at {
		own.Called = called{From: d.at}
	}
	if own.Called.N >= limit {
		return fault.New(fault.TooMany, "calls_of_caller", "You have announced as many calls as one may in an hour.").
			WithRetry(time.Duration(own.Called.From+hour-d.at) * time.Millisecond)
	}
	if until := d.b.Calls.Until(callsToAccount, at); until > 0 {
		return fault.New(fault.TooMany, "calls_to_account", "This person has been called as often as they may be for now. Write to them.").
			WithRetry(time.Duration(until-at) * time.Second)
	}
	own.Called.N++
	d.b.Calls = verification.Spending(slices.Clone(d.b.Calls)).Add(at)
	d.tx.Put(counter, sealRow(d.svc, counter.ID, own, max(d.at, updated)))
	return nil
}

// CallFor tells a person whether somebody calls them now. Who, why and the words are for a session whose owner has proven themselves
// lately, or on a device that they trust; then that the words were shown is noted, once a device, for both sides. Any other session
// learns that there is a call, and never that there is none.
//
// Faults: Unauthorized, Unavailable.
func (a *Accounts) CallFor(ctx context.Context, s *Signed, v *Visitor) (*CallView, error) {
	at, c := a.now(), s.b.Call
	if c.stage(at) != CallOpen || !s.b.sure(s.Service, s.ID, &s.session, v, at) {
		return c.bare(at), nil
	}
	device := s.session.place()
	if c.openedOn(device) {
		return c.view(device, at), nil
	}
	var out *CallView
	err := a.own(ctx, s, false, nil, func(d *decision) error {
		c := d.b.Call // meanwhile it may have ended
		if c.stage(d.at) != CallOpen {
			out = c.bare(d.at)
			return nil
		}
		if !c.openedOn(device) { // else by another request of this device
			c.Openings = append(c.Openings, opening{device, clip(cmp.Or(v.Device, s.session.Words), maxWords), clip(cmp.Or(v.Place, s.session.Place), maxWords), d.at})
			c.Openings = c.Openings[max(0, len(c.Openings)-maxOpenings):]
			d.note(entry{Kind: ActCallShown, What: c.Caller}, v)
		}
		out = c.view(device, d.at)
		return nil
	})
	return out, err
}

func (c *call) openedOn(device uint32) bool {
	return slices.ContainsFunc(c.Openings, func(o opening) bool { return o.Device == device })
}

// place tells one device from another.
func (s *session) place() uint32 { return cmp.Or(s.Device, s.ID) }

// sure tells whether a session's owner has lately proven who they are, or asks from a device that they trust.
func (b *body) sure(svc *service.Service, id ledger.ID, s *session, v *Visitor, at int64) bool {
	if s.SteppedAt > 0 && s.SteppedAt+stepLife(svc) > at {
		return true
	}
	dev := current(svc, id, b, v.Devices, at)
	return dev != nil && dev.ID == s.Device && dev.Trusted > at
}

// RefuseCall is the person's "that isn't right": it ends the call, and whoever announced it sees that. It needs no proof, because it only
// ever takes something away. call names the one that the person saw; empty: the one that is open.
//
// Faults: Unauthorized, Conflict (call_over: it isn't open, or it is another one), Unavailable.
func (a *Accounts) RefuseCall(ctx context.Context, s *Signed, call string, v *Visitor) error {
	return a.own(ctx, s, false, nil, func(d *decision) error {
		c := d.b.Call
		if c.stage(d.at) != CallOpen || call != "" && call != thing('l', c.ID) {
			return errCallOver
		}
		c.End, c.EndedAt = CallRefused, d.at
		d.note(entry{Kind: ActCallRefused, What: c.Caller, Type: c.By}, v)
		return nil
	})
}

// CallState is an account's latest call for who announced it, or for an operator: whether the words were shown, on how many devices, and
// how it ended. It isn't told an hour after.
//
// Faults: NotFound, Forbidden (staff_account, not_your_call), Unavailable.
func (a *Accounts) CallState(ctx context.Context, svc *service.Service, id ledger.ID, by By) (*CallView, error) {
	b, err := a.read(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	if !b.exists() || b.State == Closed {
		return nil, errNoAccount
	}
	at, c := a.now(), b.Call
	if err := by.ofCall(b, at); err != nil || c.stage(at) == CallNone {
		return c.bare(at), err
	}
	v := c.view(0, at)
	if c.By != by.Name {
		v.Phrase = secret.Text{} // an operator looks on and has nothing to say to the person
	}
	return v, nil
}

// ofCall refuses a call to everybody but its caller and operators.
func (by By) ofCall(b *body, at int64) error {
	if err := by.touch(b); err != nil {
		return err
	}
	if b.Call.stage(at) != CallNone && b.Call.By != by.Name && by.Role != Operator {
		return errNotCaller
	}
	return nil
}

// EndCall ends an open call: the caller has hung up or won't call.
//
// Faults: NotFound, Forbidden (staff_account, not_your_call), Conflict (call_over), Unavailable.
func (a *Accounts) EndCall(ctx context.Context, svc *service.Service, id ledger.ID, by By) error {
	return a.existing(ctx, svc, id, nil, func(d *decision) error {
		if err := by.ofCall(d.b, d.at); err != nil {
			return err
		}
		c := d.b.Call
		if c.stage(d.at) != CallOpen {
			return errCallOver
		}
		c.End, c.EndedAt = CallEnded, d.at
		d.note(entry{Kind: ActCallEnded, What: c.Caller, Type: by.Name}, nil)
		return nil
	})
}
