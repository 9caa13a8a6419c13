// SPDX-License-Identifier: Apache-2.0

package care

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// Subject is what a case is about.
type Subject string

// The subjects.
const (
	UnrequestedCode   Subject = "unrequested_code"
	CodeNotWorking    Subject = "code_not_working"
	SuspiciousCall    Subject = "suspicious_call"
	SuspiciousMessage Subject = "suspicious_message"
	OtherSubject      Subject = "other"
)

// Subjects lists all subjects.
func Subjects() []Subject {
	return []Subject{UnrequestedCode, CodeNotWorking, SuspiciousCall, SuspiciousMessage, OtherSubject}
}

// State is where a case stands: whose turn it is.
type State string

// The states.
const (
	Open     State = "open"     // support's turn
	Answered State = "answered" // the customer's
	Closed   State = "closed"   // nobody's; an answer of the customer opens it again for 30 days
)

// Fact is something that we know of what a case is about, put down for support. It never holds a code.
type Fact struct {
	Key   string `cbor:"1,keyasint"` // lower-case letters, digits and _
	Value string `cbor:"2,keyasint"`
}

// NewCase is what opens a case.
type NewCase struct {
	Subject Subject
	Text    string // may be empty when there are facts
	Facts   []Fact
	Known   []Fact // likewise, of what we know ourselves: times and addresses in them aren't blanked
}

// Case is what a customer and support settle together.
type Case struct {
	ID        ledger.ID
	Account   ledger.ID
	Subject   Subject
	State     State
	OpenedAt  time.Time
	UpdatedAt time.Time
	ClosedAt  time.Time // zero: it isn't closed
	Facts     []Fact
	Messages  []Message // the oldest first
}

// Message is one message of a case.
type Message struct {
	Staff  string // who of the staff wrote it ("staff:acc_..." or "api:..."); empty: the customer
	At     time.Time
	Text   string
	ReadAt time.Time // when the other side saw it first; zero: not yet
}

// Unread counts the messages that one side has not seen.
func (c *Case) Unread(byStaff bool) (n int) {
	for _, m := range c.Messages {
		if m.ReadAt.IsZero() && (m.Staff == "") == byStaff {
			n++
		}
	}
	return n
}

type caseBody struct {
	Account  ledger.ID `cbor:"1,keyasint"`
	Subject  Subject   `cbor:"2,keyasint"`
	State    State     `cbor:"3,keyasint"`
	OpenedAt int64     `cbor:"4,keyasint"`
	At       int64     `cbor:"5,keyasint"` // of the last message or change of state
	ClosedAt int64     `cbor:"6,keyasint,omitempty"`
	Facts    []Fact    `cbor:"7,keyasint,omitempty"`
	Messages []said    `cbor:"8,keyasint,omitempty"`
}

type said struct {
	Staff  string `cbor:"1,keyasint,omitempty"`
	At     int64  `cbor:"2,keyasint"`
	Text   string `cbor:"3,keyasint"`
	ReadAt int64  `cbor:"4,keyasint,omitempty"`
}

func (b *caseBody) view(id ledger.ID) *Case {
	c := &Case{
		ID: id, Account: b.Account, Subject: b.Subject, State: b.State, OpenedAt: moment(b.OpenedAt), UpdatedAt: moment(b.At), ClosedAt: moment(b.ClosedAt),
		Facts: b.Facts,
	}
	for _, m := range b.Messages {
		c.Messages = append(c.Messages, Message{m.Staff, moment(m.At), m.Text, moment(m.ReadAt)})
	}
	return c
}

// read marks what one side sees and tells whether anything was new to it.
func (b *caseBody) read(byStaff bool, at int64) (fresh bool) {
	for i := range b.Messages {
		if m := &b.Messages[i]; m.ReadAt == 0 && (m.Staff == "") == byStaff {
			m.ReadAt, fresh = at, true
		}
	}
	return fresh
}

// The faults of cases.
var (
	errTooManyOpen  = fault.New(fault.Conflict, "too_many_open_cases", fmt.Sprintf("There are %d open cases already. Write into one of them, or close one.", MaxOpenCases))
	errTooManyToday = fault.New(fault.TooMany, "too_many_new_cases", fmt.Sprintf("%d cases were opened within a day. Write into one of them, or come back tomorrow.", MaxNewCases)).WithRetry(24 * time.Hour)
	errCaseFull     = fault.New(fault.Conflict, "case_full", fmt.Sprintf("A case has at most %d messages. Close this one and open another.", MaxMessages))
	errCaseClosed   = fault.New(fault.Conflict, "case_closed", "This case is closed. The customer opens it again by an answer.")
	errCaseOver     = fault.New(fault.Ended, "case_over", "This case was closed more than 30 days ago. Open a new one.")
	errNoText       = fault.New(fault.Invalid, "text_missing", "Write what happened.").WithField("text")
)

// Open opens a case of an account, which is there. Its owner sees it in their activity.
//
// Faults: Invalid, Conflict (too_many_open_cases), TooMany (too_many_new_cases), Unavailable.
func (c *Care) Open(ctx context.Context, svc *service.Service, owner ledger.ID, n NewCase) (*Case, error) {
	first, err := c.newCase(&n)
	if err != nil {
		return nil, err
	}
	id, err := newID(c.Ledger.Now())
	if err != nil {
		return nil, err
	}
	key, own := keyOf(ledger.KindCase, svc, id), indexKey(ledger.KindCase, svc, owner)
	var out *Case
	err = c.Ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key, own}, Apply: func(tx *ledger.Tx) error {
		at := tx.Now().UnixMilli()
		var x index
		if _, err := open(svc, own, tx.Get(own), &x); err != nil {
			return err
		}
		switch {
		case x.open() >= MaxOpenCases:
			return errTooManyOpen
		case x.since(at-day) >= MaxNewCases:
			return errTooManyToday
		}
		b := &caseBody{Account: owner, Subject: n.Subject, State: Open, OpenedAt: at, At: at, Facts: n.Facts}
		if first != "" {
			b.Messages = []said{{At: at, Text: first}}
		}
		x.add(indexed{ID: id, At: at})
		tx.Put(key, seal(svc, key, b, at, false))
		tx.Put(own, seal(svc, own, &x, at, false))
		tx.Event(event(key, EventOpened, at))
		out = b.view(id)
		return nil
	}})
	if err != nil {
		return nil, err
	}
	c.after("a case is open, but not in its owner's activity", svc, c.People.Note(ctx, svc, owner, account.ActCaseOpened, ""))
	return out, nil
}

// after logs what couldn't be done once a decision was durable. The person's request has succeeded and must not be made again.
func (c *Care) after(what string, svc *service.Service, err error) {
	if err != nil {
		c.Log.Error(what, "service", svc.Slug, "err", err)
	}
}

func (c *Care) newCase(n *NewCase) (string, error) {
	if !slices.Contains(Subjects(), n.Subject) {
		return "", fault.New(fault.Invalid, "invalid_subject", "subject must be unrequested_code, code_not_working, suspicious_call, suspicious_message or other.").WithField("subject")
	}
	if len(n.Facts)+len(n.Known) > MaxFacts {
		return "", fault.New(fault.Invalid, "too_many_facts", fmt.Sprintf("A case has at most %d facts.", MaxFacts)).WithField("facts")
	}
	facts := make([]Fact, len(n.Facts))
	for i, f := range n.Facts {
		field := fmt.Sprintf("facts[%d]", i)
		if !isKey(f.Key) {
			return "", fault.New(fault.Invalid, "invalid_fact", "The key of a fact is 1 to 40 lower-case letters, digits and _.").WithField(field + ".key")
		}
		value, err := c.line(f.Value, field+".value", maxFact)
		if err != nil {
			return "", err
		}
		facts[i] = Fact{f.Key, value}
	}
	n.Facts = append(facts, n.Known...)
	text, err := c.written(n.Text, "text", MaxText)
	if err == nil && text == "" && len(n.Facts) == 0 {
		return "", errNoText
	}
	return text, err
}

func isKey(s string) bool {
	return len(s) > 0 && len(s) <= 40 && !slices.ContainsFunc([]byte(s), func(c byte) bool { return c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') })
}

// change runs fn on a case and writes what it became. An owner of zero is staff; another's case isn't there.
func (c *Care) change(ctx context.Context, svc *service.Service, id, owner ledger.ID, fn func(tx *ledger.Tx, key ledger.Key, b *caseBody, x *index, at int64) error) (*Case, error) {
	b, err := c.find(ctx, svc, id, owner)
	if err != nil {
		return nil, err
	}
	key, own := keyOf(ledger.KindCase, svc, id), indexKey(ledger.KindCase, svc, b.Account) // whose case it is never changes
	var out *Case
	err = c.Ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key, own}, Apply: func(tx *ledger.Tx) error {
		b, x := &caseBody{}, &index{}
		if there, err := open(svc, key, tx.Get(key), b); err != nil || !there {
			return orMissing(err, errNoCase)
		}
		if _, err := open(svc, own, tx.Get(own), x); err != nil {
			return err
		}
		at := max(tx.Now().UnixMilli(), b.At)
		if err := fn(tx, key, b, x, at); err != nil {
			return err
		}
		x.mark(id, b.State == Closed)
		tx.Put(key, seal(svc, key, b, at, b.State == Closed))
		tx.Put(own, seal(svc, own, x, at, false))
		out = b.view(id)
		return nil
	}})
	return out, err
}

func orMissing(err error, missing *fault.Error) error {
	if err != nil {
		return err
	}
	return missing
}

// find reads a case as it was last committed.
func (c *Care) find(ctx context.Context, svc *service.Service, id, owner ledger.ID) (*caseBody, error) {
	key := keyOf(ledger.KindCase, svc, id)
	v, err := c.Ledger.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	b := new(caseBody)
	there, err := false, error(nil)
	if id[0] != firstDerived[0] {
		there, err = open(svc, key, v, b)
	}
	if err != nil || !there || !owner.IsZero() && b.Account != owner {
		return nil, orMissing(err, errNoCase)
	}
	return b, nil
}

// Say adds what the owner of a case writes. A case that was closed at most 30 days ago is opened again by it.
//
// Faults: Invalid, NotFound (also of another's case), Conflict (case_full, too_many_open_cases), Ended (case_over), Unavailable.
func (c *Care) Say(ctx context.Context, svc *service.Service, id, owner ledger.ID, text string) (*Case, error) {
	text, err := c.says(text)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, svc, id, mustOwn(owner), func(tx *ledger.Tx, key ledger.Key, b *caseBody, x *index, at int64) error {
		if b.State == Closed {
			switch {
			case at > b.ClosedAt+reopenFor:
				return errCaseOver
			case x.open() >= MaxOpenCases:
				return errTooManyOpen
			}
		}
		if len(b.Messages) >= MaxMessages {
			return errCaseFull
		}
		b.read(false, at)
		b.Messages = append(b.Messages, said{At: at, Text: text})
		b.State, b.At, b.ClosedAt = Open, at, 0
		tx.Event(event(key, EventSaid, at))
		return nil
	})
}

func (c *Care) says(text string) (string, error) {
	text, err := c.written(text, "text", MaxText)
	if err == nil && text == "" {
		return "", errNoText
	}
	return text, err
}

// mustOwn keeps a surface's forgotten owner from being taken for staff.
func mustOwn(owner ledger.ID) ledger.ID {
	if owner.IsZero() {
		return ledger.ID{0xff}
	}
	return owner
}

// Answer adds what somebody of the staff writes. The customer is told at every proven contact that there is an answer, without its content, and
// sees in their activity who wrote.
//
// Faults: Invalid, NotFound, Forbidden (staff_account), Conflict (case_full, case_closed), Unavailable.
func (c *Care) Answer(ctx context.Context, svc *service.Service, id ledger.ID, by account.By, text string) (*Case, error) {
	text, err := c.says(text)
	if err != nil {
		return nil, err
	}
	if err := c.seen(ctx, svc, id, by); err != nil {
		return nil, err
	}
	out, err := c.change(ctx, svc, id, ledger.ID{}, func(tx *ledger.Tx, key ledger.Key, b *caseBody, _ *index, at int64) error {
		switch {
		case b.State == Closed:
			return errCaseClosed
		case len(b.Messages) >= MaxMessages:
			return errCaseFull
		}
		b.read(true, at)
		b.Messages = append(b.Messages, said{Staff: by.Name, At: at, Text: text})
		b.State, b.At = Answered, at
		tx.Event(event(key, EventAnswered, at))
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.after("an answer is not in the customer's activity", svc, c.People.Note(ctx, svc, out.Account, account.ActCaseAnswered, by.Name))
	c.after("a customer could not be told of an answer", svc, c.People.Tell(ctx, svc, out.Account, message.CaseAnswered, ""))
	return out, nil
}

// seen notes that somebody of the staff looks at the account of a case, or refuses.
func (c *Care) seen(ctx context.Context, svc *service.Service, id ledger.ID, by account.By) error {
	b, err := c.find(ctx, svc, id, ledger.ID{})
	if err != nil {
		return err
	}
	_, err = c.People.Seen(ctx, svc, b.Account, by)
	return err
}

// Close closes a case for its owner. One that is closed stays so.
//
// Faults: NotFound, Unavailable.
func (c *Care) Close(ctx context.Context, svc *service.Service, id, owner ledger.ID) (*Case, error) {
	return c.close(ctx, svc, id, mustOwn(owner))
}

// CloseBy closes a case for somebody of the staff, which the customer sees as a look.
//
// Faults: NotFound, Forbidden (staff_account), Unavailable.
func (c *Care) CloseBy(ctx context.Context, svc *service.Service, id ledger.ID, by account.By) (*Case, error) {
	if err := c.seen(ctx, svc, id, by); err != nil {
		return nil, err
	}
	return c.close(ctx, svc, id, ledger.ID{})
}

func (c *Care) close(ctx context.Context, svc *service.Service, id, owner ledger.ID) (*Case, error) {
	return c.change(ctx, svc, id, owner, func(tx *ledger.Tx, key ledger.Key, b *caseBody, _ *index, at int64) error {
		if b.State != Closed {
			b.State, b.At, b.ClosedAt = Closed, at, at
			tx.Event(event(key, EventClosed, at))
		}
		return nil
	})
}

// Get returns a case to its owner and marks what support wrote as read.
//
// Faults: NotFound (also of another's case), Unavailable.
func (c *Care) Get(ctx context.Context, svc *service.Service, id, owner ledger.ID) (*Case, error) {
	return c.get(ctx, svc, id, mustOwn(owner), false)
}

// Look returns a case to somebody of the staff, which the customer sees, and marks what they wrote as read.
//
// Faults: NotFound, Forbidden (staff_account), Unavailable.
func (c *Care) Look(ctx context.Context, svc *service.Service, id ledger.ID, by account.By) (*Case, error) {
	if err := c.seen(ctx, svc, id, by); err != nil {
		return nil, err
	}
	return c.get(ctx, svc, id, ledger.ID{}, true)
}

func (c *Care) get(ctx context.Context, svc *service.Service, id, owner ledger.ID, byStaff bool) (*Case, error) {
	b, err := c.find(ctx, svc, id, owner)
	if err != nil {
		return nil, err
	}
	if !b.read(byStaff, 1) {
		return b.view(id), nil
	}
	return c.change(ctx, svc, id, owner, func(_ *ledger.Tx, _ ledger.Key, b *caseBody, _ *index, at int64) error {
		b.read(byStaff, at)
		return nil
	})
}

// ListOf gives the cases of an account, the latest opened first, at most 200.
//
// Faults: Unavailable.
func (c *Care) ListOf(ctx context.Context, svc *service.Service, owner ledger.ID) ([]*Case, error) {
	all, err := c.own(ctx, ledger.KindCase, svc, owner)
	var out []*Case
	for _, e := range slices.Backward(all) {
		b, failed := c.find(ctx, svc, e.ID, owner)
		switch {
		case failed == nil:
			out = append(out, b.view(e.ID))
		case fault.As(failed).Kind != fault.NotFound: // those have been removed after their time
			return nil, failed
		}
	}
	return out, err
}

// own reads the index of an account.
func (c *Care) own(ctx context.Context, kind ledger.Kind, svc *service.Service, owner ledger.ID) ([]indexed, error) {
	key := indexKey(kind, svc, owner)
	v, err := c.Ledger.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	var x index
	_, err = open(svc, key, v, &x)
	return x.All, err
}

// List gives cases of a service for support, the latest opened first: those in a state (empty: all) before an id (zero: from the latest on), at
// most limit, without what was written in them; and the id before which there may be more (zero: there is none). It is a list of work and no
// look at anybody: who opens a case is seen by [Care.Look].
//
// Faults: Invalid (state), Unavailable.
func (c *Care) List(ctx context.Context, svc *service.Service, state State, before ledger.ID, limit int) ([]*Case, ledger.ID, error) {
	if state != "" && state != Open && state != Answered && state != Closed {
		return nil, ledger.ID{}, fault.New(fault.Invalid, "invalid_state", "state must be open, answered or closed.").WithField("state")
	}
	var out []*Case
	next, err := c.each(ctx, ledger.KindCase, svc, before, maxScanned, func(r Listed) (bool, error) {
		b := new(caseBody)
		there, err := open(svc, r.Key, r.Value, b)
		if err != nil || !there || state != "" && b.State != state {
			return false, err
		}
		one := b.view(r.Key.ID)
		one.Facts = nil
		for i := range one.Messages {
			one.Messages[i].Text = ""
		}
		out = append(out, one)
		return len(out) >= min(max(limit, 1), maxPage), nil
	})
	return out, next, err
}

// Forget removes the cases of somebody whose account is gone for good, and whose reports those were. What a report says stays: it is
// about somebody else.
//
// Faults: Unavailable.
func (c *Care) Forget(ctx context.Context, svc *service.Service, owner ledger.ID) error {
	for _, kind := range []ledger.Kind{ledger.KindCase, ledger.KindReport} {
		all, err := c.own(ctx, kind, svc, owner)
		if err != nil {
			return err
		}
		own := indexKey(kind, svc, owner)
		keys := []ledger.Key{own}
		for _, e := range all {
			keys = append(keys, keyOf(kind, svc, e.ID))
		}
		err = c.Ledger.Do(ctx, ledger.Op{Keys: keys, Apply: func(tx *ledger.Tx) error {
			for _, key := range keys {
				r, ok := tx.Get(key).(*Row)
				switch {
				case !ok:
				case key == own || kind == ledger.KindCase:
					tx.Put(key, &Row{}) // empty: the sweep takes it
				default:
					b := new(reportBody)
					if there, err := open(svc, key, r, b); err != nil || !there {
						return err
					}
					b.Account = ledger.ID{}
					tx.Put(key, seal(svc, key, b, r.UpdatedAt, r.Closed))
				}
			}
			return nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}
