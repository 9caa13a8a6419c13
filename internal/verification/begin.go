// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// BeginRequest asks for a new verification.
type BeginRequest struct {
	Service *service.Service
	Contact contact.Contact
	Channel service.Channel // empty: sms for a phone, email for an address
	Purpose service.Purpose
	Detail  Detail    // of a transaction: both or neither
	Code    *otp.Code // supplied by the application; nil: ours
	Locale  string    // BCP 47, at most 35 bytes; empty: the service's
	Caller  Caller
	Context RequestContext
	Account ledger.ID // zero: none
	Decoy   bool      // the account doesn't exist: everything but the message
	Lifts   bool      // the code proves the contact so that its owner can lift their block: it goes through one, once a day
	Idempotency
}

// Begun is the answer to BeginRequest.
type Begun struct {
	View
	FlowSecret string // shows later that a request comes from who began it
}

// maxAsked bounds, in bytes, what a message says of a device or a place: they are often the attacker's own words.
const maxAsked = 60

// maxContextText is the longest text of a request's context in bytes.
const maxContextText = 400

// Begin starts a verification and hands its first message to the sender. When it returns without an
// error, both are durable.
//
// Faults: Invalid (the request can't be carried out by this service's policy), TooMany (a budget of the
// contact or the caller is used up; RetryAfter says until when), Unprocessable (an idempotency key
// with another body), Unavailable.
func (e *Engine) Begin(ctx context.Context, req BeginRequest) (*Begun, error) {
	if err := req.normalise(); err != nil {
		return nil, err
	}
	svc := req.Service
	now := e.ledger.Now()
	var out answer
	refund, err := e.callers.charge(svc, req.Caller, spendSend, now)
	if err != nil {
		if err := e.again(ctx, svc, req.Idempotency, err, &out); err != nil {
			return nil, err
		}
		return begun(svc, out.View)
	}
	draft, err := newDraft(&req, now)
	if err != nil {
		refund()
		return nil, err
	}
	op := ledger.Op{
		Keys: []ledger.Key{contactKey(svc.ID, draft.owner)}, // its own row is new
		Apply: func(tx *ledger.Tx) error {
			return draft.begin(tx, &req, &out)
		},
	}
	if err := e.do(ctx, svc, req.Idempotency, op, &out); err != nil {
		return nil, err
	}
	switch {
	case out.replayed:
		refund()
	case !draft.blocked:
		e.sender.Enqueue(draft.outgoing(&req, out.View))
	}
	return begun(svc, out.View)
}

func begun(svc *service.Service, v View) (*Begun, error) {
	flow, ok := flowSecret(svc, v.ID)
	if !ok {
		return nil, fault.As(fmt.Errorf("service %d has lost key %d", svc.ID, keyOf(v.ID)))
	}
	return &Begun{View: v, FlowSecret: flow}, nil
}

// draft is what is computed of a new verification before its rows are locked.
type draft struct {
	key      ledger.Key
	owner    ledger.ID // the contact's row
	record   Record    // without times
	code     otp.Code
	masked   string
	lifetime time.Duration
	blocked  bool // the contact's owner wants no codes: none is sent
}

func newDraft(req *BeginRequest, now time.Time) (*draft, error) {
	svc, keys := req.Service, req.Service.Ring.Current()
	owner := indexOf(svc, req.Contact)
	digits := svc.Policy.CodeLength
	if req.Code != nil {
		digits = 0
	}
	id, err := newID(now, contactShard(owner), keys.ID(), otp.SpaceVerification, digits)
	if err != nil {
		return nil, fault.As(err)
	}
	d := &draft{
		key: rowKey(svc.ID, id), owner: owner, masked: req.Contact.Masked(),
		lifetime: svc.Policy.LifetimeFor(req.Purpose, req.Channel),
		record: Record{
			ContactID: owner, Status: Pending, Purpose: numberOf(service.Purposes(), req.Purpose),
			MaxTries: uint8(svc.Policy.MaxTries), MaxSends: uint8(svc.Policy.MaxSends),
			Contact: keys.Seal(tableVerification, columnContact, id, []byte(req.Contact.Reveal())),
			Account: req.Account, Decoy: req.Decoy, Locale: req.Locale,
		},
	}
	if req.Context != (RequestContext{}) {
		d.record.Context = keys.Seal(tableVerification, columnContext, id, ledger.Pack(nil, req.Context))
	}
	if req.Detail != (Detail{}) {
		d.record.Binding = bindingMAC(keys, id, req.Detail)
		d.record.Details = keys.Seal(tableVerification, columnDetails, id, ledger.Pack(nil, req.Detail))
	}
	if req.Code != nil {
		d.code = *req.Code
		d.record.CodeLength = uint8(d.code.Len())
		d.record.SuppliedMAC = suppliedMAC(keys, id, d.code)
		d.record.Supplied = keys.Seal(tableVerification, columnSupplied, id, []byte(d.code.Reveal()))
	} else {
		d.code = deriveCode(svc, id, 1)
	}
	return d, nil
}

// begin decides on the locked rows.
func (d *draft) begin(tx *ledger.Tx, req *BeginRequest, out *answer) error {
	ckey := contactKey(d.key.Service, d.owner)
	c := loadContact(tx, ckey)
	at := max(tx.Now().UnixMilli(), c.UpdatedAt)
	share := shareOf(known(req.Service, &req.Caller, d.owner, c.Epoch))
	if err := c.spendSend(share, &req.Service.Policy, at); err != nil {
		return err
	}
	r := d.record
	r.CreatedAt, r.UpdatedAt, r.ExpiresAt = at, at, at+d.lifetime.Milliseconds()
	until, ok := c.place(Place{ID: d.key.ID, ExpiresAt: r.ExpiresAt, Known: share == 1}, &req.Service.Policy, at)
	if !ok {
		return tooMany("contact_verifications_exhausted", "This contact has too many codes waiting to be entered.", until-at)
	}
	r.queue(req.Channel, &req.Service.Policy, at)
	d.blocked = r.blocked(c, exactly(req.Service, req.Contact), req.Lifts, at)
	save(tx, d.key, &r, c, at)
	tx.Event(event(EventBegun, d.key, &r, -1, at))
	if d.blocked {
		tx.Event(event(EventMessageFailed, d.key, &r, 0, at))
	}
	*out = answer{View: viewOf(d.key.ID, &r, d.masked, at)}
	return nil
}

// queue adds a message that belongs to this node until its lease runs out, and sets
// when the next one may be asked for.
func (r *Record) queue(channel service.Channel, policy *service.Policy, at int64) {
	r.Messages = append(r.Messages, Message{
		Channel: numberOf(service.Channels(), channel), Generation: r.generation(), Status: Queued,
		QueuedAt: at, WakeAt: at + Lease.Milliseconds(),
	})
	r.NextSendAt = at + policy.WaitAfter(len(r.Messages)).Milliseconds()
}

// shareOf is the index of a caller's share of the contact's budgets.
func shareOf(known bool) int {
	if known {
		return 1
	}
	return 0
}

// spendSend takes one message from the contact's budget.
func (c *Contact) spendSend(share int, policy *service.Policy, at int64) error {
	if until := c.Sends[share].Until(policy.ContactSends, at/1000); until > 0 {
		return tooMany("contact_sends_exhausted", "This contact has been sent as many codes as it may get for now.", until*1000-at)
	}
	c.Sends[share] = c.Sends[share].Add(at / 1000)
	return nil
}

// tooMany is the refusal of a budget; wait is in milliseconds.
func tooMany(code, what string, wait int64) *fault.Error {
	after := max(time.Second, (time.Duration(wait+999) * time.Millisecond).Truncate(time.Second)) // never too early
	return fault.New(fault.TooMany, code, what+" Try again in "+inWords(after)+".").WithRetry(after)
}

func inWords(d time.Duration) string {
	unit := func(n int64, name string) string {
		if n == 1 {
			return "1 " + name
		}
		return fmt.Sprintf("%d %ss", n, name)
	}
	switch {
	case d < 2*time.Minute:
		return unit(int64(d/time.Second), "second")
	case d < 2*time.Hour:
		return unit(int64((d+time.Minute-1)/time.Minute), "minute")
	default:
		return unit(int64((d+time.Hour-1)/time.Hour), "hour")
	}
}

// numberOf is the stored number of one of a list's names; the name was validated.
func numberOf[T comparable](list []T, name T) uint8 {
	return uint8(1 + slices.Index(list, name))
}

// outgoing is the message that was just written down.
func (d *draft) outgoing(req *BeginRequest, v View) message.Outgoing {
	return message.Outgoing{
		Ref: message.Ref{Row: d.key}, Service: req.Service, Channel: req.Channel, Purpose: req.Purpose,
		To: req.Contact, Code: d.code, Amount: req.Detail.Amount, Payee: req.Detail.Payee,
		Locale: req.Locale, Asked: req.Context.words(), QueuedAt: v.CreatedAt, Deadline: v.ExpiresAt.Add(-SendMargin), Decoy: req.Decoy,
	}
}

// words says from what device and where a code was asked for.
func (c RequestContext) words() string {
	var words []string
	for _, s := range []string{c.Device, c.Place} {
		if s != "" {
			words = append(words, message.Word(s, maxAsked))
		}
	}
	return strings.Join(words, ", ")
}

// normalise fills in what may be left out and refuses what the policy doesn't allow.
func (req *BeginRequest) normalise() error {
	p := &req.Service.Policy
	if !slices.Contains(service.Purposes(), req.Purpose) {
		return invalid("purpose", "invalid_purpose", "purpose must be one of sign_up, sign_in, transaction, contact_change, recovery and custom.")
	}
	if req.Channel == "" {
		req.Channel = service.SMS
		if req.Contact.Kind() == contact.Email {
			req.Channel = service.Email
		}
	}
	if err := CheckChannel(p, req.Channel, req.Contact); err != nil {
		return err
	}
	if err := req.checkDetail(); err != nil {
		return err
	}
	digits, field := p.CodeLength, "purpose"
	if req.Code != nil {
		digits, field = req.Code.Len(), "code"
	}
	if digits < 6 && req.Purpose.NeedsSixDigits() {
		return invalid(field, "code_too_short", fmt.Sprintf("A code for %s must have at least 6 digits; this one would have %d.", req.Purpose, digits))
	}
	if _, err := language.Parse(req.Locale); len(req.Locale) > 35 || req.Locale != "" && err != nil {
		return invalid("locale", "invalid_locale", "locale must be a language tag such as en or pt-BR.")
	}
	for _, s := range []string{req.Context.IP, req.Context.UserAgent, req.Context.Device, req.Context.Place, req.Context.Note} {
		if len(s) > maxContextText {
			return invalid("context", "context_too_long", fmt.Sprintf("Each text of context may have at most %d bytes.", maxContextText))
		}
	}
	return nil
}

// CheckChannel refuses a channel that the service doesn't use or the contact can't take.
func CheckChannel(p *service.Policy, channel service.Channel, c contact.Contact) error {
	if !slices.Contains(service.Channels(), channel) {
		return invalid("channel", "invalid_channel", "channel must be one of sms, email and voice.")
	}
	if !slices.Contains(p.Channels, channel) {
		return invalid("channel", "channel_disabled", fmt.Sprintf("This service doesn't send codes by %s.", channel))
	}
	if (channel == service.Email) != (c.Kind() == contact.Email) {
		return invalid("channel", "channel_mismatch", "Codes by sms and voice go to phone numbers, codes by email to addresses.")
	}
	if c.Kind() == contact.Phone && len(p.Countries) > 0 && !slices.Contains(p.Countries, c.Region()) {
		return invalid("to", "country_not_allowed", "This service doesn't send codes to numbers of this country.")
	}
	return nil
}

// Limits of a transaction's texts in characters: a payee is never cut so that two look alike.
const (
	maxAmount = 24
	maxPayee  = 60
)

func (req *BeginRequest) checkDetail() error {
	d := req.Detail
	if req.Purpose != service.Transaction {
		if d != (Detail{}) {
			return invalid("transaction", "unexpected_transaction", "Only a verification with the purpose transaction has an amount and a payee.")
		}
		return nil
	}
	switch {
	case d.Amount == "" || utf8.RuneCountInString(d.Amount) > maxAmount:
		return invalid("transaction.amount", "invalid_amount", fmt.Sprintf("A transaction needs its amount as the person reads it, of at most %d characters.", maxAmount))
	case d.Payee == "" || utf8.RuneCountInString(d.Payee) > maxPayee:
		return invalid("transaction.payee", "invalid_payee", fmt.Sprintf("A transaction needs its payee, of at most %d characters.", maxPayee))
	case strings.Contains(d.Payee, "://") || strings.Contains(strings.ToLower(d.Payee), "www."):
		return invalid("transaction.payee", "invalid_payee", "A payee is a name. A message with a code holds no link.")
	case strings.ContainsFunc(d.Amount+d.Payee, unprintable):
		return invalid("transaction", "invalid_transaction", "Amount and payee must be plain text on one line.")
	}
	return nil
}

// unprintable tells control and direction-changing characters, with which one payee could look
// like another.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar
}

func invalid(field, code, msg string) error {
	return fault.New(fault.Invalid, code, msg).WithField(field)
}

// deriveCode makes the code of one generation.
func deriveCode(svc *service.Service, id ledger.ID, generation uint8) otp.Code {
	d := svc.Deriver(keyOf(id))
	if d == nil {
		return otp.Code{}
	}
	return d.Code(otp.Input{Space: spaceOf(id), Service: svc.ID, ID: id, Generation: generation, Digits: digitsOf(id)})
}

// codeOf is the live code of a row, for its next message.
func codeOf(svc *service.Service, id ledger.ID, r *Record) (otp.Code, error) {
	if r.SuppliedMAC == nil {
		return deriveCode(svc, id, r.generation()), nil
	}
	plain, err := svc.Ring.Open(tableVerification, columnSupplied, id, r.Supplied)
	if err != nil {
		return otp.Code{}, fault.As(err)
	}
	return otp.NewCode(string(plain)), nil
}

// keysOf are the keys that an id names.
func keysOf(svc *service.Service, id ledger.ID) (*secret.Keys, error) {
	keys, ok := svc.Ring.ByID(keyOf(id))
	if !ok {
		return nil, errNotFound
	}
	return keys, nil
}
