// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"crypto/subtle"
	"slices"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// Result is what became of one check. The numbers are stored.
type Result uint8

// The results.
const (
	Granted            Result = iota + 1 // the right code, accepted now: the one grant
	WrongCode                            // judged and wrong
	Superseded                           // a code of this verification that a newer one replaced
	Unclear                              // not judged, no try spent: not a code, or several, or of another length
	TransactionChanged                   // another amount or payee: the code is void
	AlreadyUsed                          // the right code was given before, to somebody
	CodeExpired                          // too late
	WasCanceled                          //
	TooManyTries                         // this or an earlier wrong try was the last
	NeverSent                            // it ended because no message could be sent
)

var resultNames = [...]string{
	"", "approved", "wrong", "superseded", "unclear", "transaction_changed", "already_used", "expired", "canceled", "max_attempts_reached", "failed",
}

// String is the result as the API says it.
func (r Result) String() string { return resultNames[r] }

// CheckRequest is one try at a verification's code.
type CheckRequest struct {
	Service *service.Service
	ID      ledger.ID        // of the verification; zero: the latest that is pending for Contact
	Contact *contact.Contact // only without ID
	Typed   string           // as the person typed or pasted it
	Detail  Detail           // of a transaction: what is about to be paid
	Caller  Caller
	Idempotency
}

// Checked is the answer to CheckRequest.
type Checked struct {
	View
	Result      Result
	Typed       otp.TypedKind // why it was Unclear
	TypedDigits int           // how many digits were typed, when Unclear
	DeviceToken string        // with a grant: what makes this caller known to the contact from now on
}

// Check judges one try. At most one check of a verification is ever Granted, whatever comes at once and on
// how many nodes; never more than the policy's tries are judged.
//
// Faults: NotFound (no such verification of this service), TooMany (a budget of wrong guesses is used
// up: this try was not judged and costs nothing), Unprocessable (idempotency), Unavailable.
func (e *Engine) Check(ctx context.Context, req CheckRequest) (*Checked, error) {
	svc := req.Service
	var out answer
	id, err := e.resolve(ctx, &req)
	if err != nil {
		return e.checkedBefore(ctx, &req, err)
	}
	t, err := newTry(&req, id)
	if err != nil {
		return nil, err
	}
	refund, err := e.callers.charge(svc, req.Caller, spendGuess, e.ledger.Now())
	if err != nil {
		return e.checkedBefore(ctx, &req, err)
	}
	op := ledger.Op{
		Keys:  []ledger.Key{t.key},
		Apply: func(tx *ledger.Tx) error { return t.judge(tx, &out) },
	}
	if err := e.do(ctx, svc, req.Idempotency, op, &out); err != nil {
		if notDone(err) {
			refund()
		}
		return nil, err
	}
	if out.replayed || out.Result != WrongCode && out.Result != Superseded && out.Result != TooManyTries {
		refund()
	} else {
		e.callers.Wrong(svc, e.ledger.Now())
	}
	return checked(svc, &out), nil
}

// checkedBefore answers a check that is refused now if it repeats one that was judged.
func (e *Engine) checkedBefore(ctx context.Context, req *CheckRequest, refused error) (*Checked, error) {
	var out answer
	if err := e.again(ctx, req.Service, req.Idempotency, refused, &out); err != nil {
		return nil, err
	}
	return checked(req.Service, &out), nil
}

func checked(svc *service.Service, out *answer) *Checked {
	c := &Checked{View: out.View, Result: out.Result}
	switch out.Result {
	case Granted:
		c.DeviceToken = deviceToken(svc, out.Owner, out.Epoch)
	case Unclear:
		c.Typed, c.TypedDigits = otp.TypedKind(out.Typed), out.Digits
	}
	return c
}

// notDone tells whether an operation that failed has surely changed nothing. After an unknown outcome it may have been judged or
// written down, so what it cost stays spent.
func notDone(err error) bool { return fault.As(err).Code != ledger.OutcomeUnknown }

// resolve finds the verification that is meant when only the contact is named: the latest pending.
func (e *Engine) resolve(ctx context.Context, req *CheckRequest) (ledger.ID, error) {
	if req.Contact == nil {
		return req.ID, nil
	}
	v, err := e.ledger.Read(ctx, contactKey(req.Service.ID, indexOf(req.Service, *req.Contact)))
	if err != nil {
		return ledger.ID{}, err
	}
	if c, ok := v.(*Contact); ok {
		now := e.ledger.Now().UnixMilli()
		for _, p := range slices.Backward(c.Alive) {
			if p.ExpiresAt > now { // one that is over may not have been ended yet
				return p.ID, nil
			}
		}
	}
	return ledger.ID{}, errNotFound
}

// try is what is computed of a check before its row is locked.
type try struct {
	req   *CheckRequest
	key   ledger.Key
	keys  *secret.Keys
	typed otp.Typed
	first otp.Code // the code of generation 1, made before the lock: most have no other
}

func newTry(req *CheckRequest, id ledger.ID) (*try, error) {
	keys, err := keysOf(req.Service, id)
	if err != nil {
		return nil, err
	}
	if spaceOf(id) != otp.SpaceVerification {
		return nil, errNotFound
	}
	t := &try{req: req, key: rowKey(req.Service.ID, id), keys: keys}
	if n := digitsOf(id); n != 0 {
		if n < otp.MinDigits || n > otp.MaxDigits {
			return nil, errNotFound
		}
		t.typed = otp.Parse(req.Typed, t.shape(n))
		t.first = deriveCode(req.Service, id, 1)
	}
	return t, nil
}

func (t *try) shape(digits int) otp.Shape {
	return otp.Shape{Digits: digits, Host: t.req.Service.Domain, Amount: t.req.Detail.Amount}
}

// judge decides on the locked rows.
func (t *try) judge(tx *ledger.Tx, out *answer) error {
	r, c, ok := load(tx, t.key)
	if !ok {
		return errNotFound
	}
	at := max(r.clock(tx.Now()), c.UpdatedAt)
	masked, err := t.masked(r)
	if err != nil {
		return err
	}
	if r.overdue(at) {
		concluded(tx, t.key, r, c, at)
	}
	if r.Status == Pending {
		if out.Result, err = t.weigh(tx, r, c, at); err != nil {
			return err
		}
	} else {
		out.Result = pastResult(r)
	}
	out.Typed, out.Digits, out.Epoch, out.Owner = uint8(t.typed.Kind), t.typed.Digits, c.Epoch, r.ContactID
	out.View = viewOf(t.key.ID, r, masked, at)
	return nil
}

// masked is the contact as the answer shows it.
func (t *try) masked(r *Record) (string, error) {
	c, err := openContact(t.req.Service, t.key.ID, r)
	if err != nil {
		return "", err
	}
	return c.Masked(), nil
}

// pastResult is the answer when the verification had ended before.
func pastResult(r *Record) Result {
	switch r.Status {
	case Approved:
		return AlreadyUsed
	case Canceled:
		if r.Reason == ReasonTransactionChanged {
			return TransactionChanged
		}
		return WasCanceled
	case MaxAttemptsReached:
		return TooManyTries
	case Failed:
		return NeverSent
	default:
		return CodeExpired
	}
}

func endEvent(s Status) ledger.EventKind {
	return map[Status]ledger.EventKind{
		Approved: EventApproved, Canceled: EventCanceled, Expired: EventExpired, MaxAttemptsReached: EventMaxAttempts, Failed: EventFailed,
	}[s]
}

// weigh judges a try at a pending verification. The order matters: what the budget refuses is
// not judged; a changed transaction is refused whatever the code, so that it tells nothing about
// the code; what can't be a code costs nothing.
func (t *try) weigh(tx *ledger.Tx, r *Record, c *Contact, at int64) (Result, error) {
	share := shareOf(known(t.req.Service, &t.req.Caller, r.ContactID, c.Epoch))
	if until := c.Guesses[share].Until(t.req.Service.Policy.ContactGuesses, at/1000); until > 0 {
		return 0, tooMany("contact_guesses_exhausted", "There have been too many wrong codes for this contact. This one was not looked at.", until*1000-at)
	}
	finish := func(s Status) {
		r.end(s, at)
		concluded(tx, t.key, r, c, at)
	}
	if !t.sameTransaction(r) {
		r.Reason = ReasonTransactionChanged
		finish(Canceled)
		return TransactionChanged, nil
	}
	if r.SuppliedMAC != nil {
		t.typed = otp.Parse(t.req.Typed, t.shape(int(r.CodeLength)))
	}
	if t.typed.Kind != otp.TypedCode {
		// Once, so that it costs nothing to repeat it, and not without end.
		if n := len(r.Unclear); n < maxUnclear && (n == 0 || otp.TypedKind(r.Unclear[n-1]) != t.typed.Kind || r.Clear) {
			r.Unclear = append(r.Unclear, byte(t.typed.Kind))
			r.TriedAt, r.Clear = at, false
			save(tx, t.key, r, nil, at)
		}
		return Unclear, nil
	}
	r.TriedAt, r.Clear = at, true
	verdict, how := t.compare(r, c)
	if verdict == Granted && !r.Decoy {
		finish(Approved)
		return Granted, nil
	}
	if r.Decoy {
		verdict = WrongCode
	}
	r.Wrong = append(r.Wrong, byte(how))
	c.Guesses[share] = c.Guesses[share].Add(at / 1000)
	tx.Event(event(EventWrong, t.key, r, -1, at))
	if r.triesLeft() == 0 {
		finish(MaxAttemptsReached)
		return TooManyTries, nil
	}
	save(tx, t.key, r, c, at)
	return verdict, nil
}

// sameTransaction tells whether the check names what the code was made for.
func (t *try) sameTransaction(r *Record) bool {
	if r.Binding == nil {
		return true
	}
	return subtle.ConstantTimeCompare(bindingMAC(t.keys, t.key.ID, t.req.Detail), r.Binding) == 1
}

// compare tells whether the typed code is the live one, one that was replaced, or wrong, and how.
func (t *try) compare(r *Record, c *Contact) (Result, otp.Wrong) {
	if r.SuppliedMAC != nil {
		if subtle.ConstantTimeCompare(suppliedMAC(t.keys, t.key.ID, t.typed.Code), r.SuppliedMAC) == 1 {
			return Granted, otp.WrongNone
		}
		return WrongCode, otp.WrongOther
	}
	live := r.generation()
	how := otp.Compare(t.typed.Code, t.code(live))
	if how == otp.WrongNone {
		return Granted, otp.WrongNone
	}
	for g := live - 1; g >= 1; g-- {
		if t.typed.Code.Equal(t.code(g)) {
			return Superseded, otp.WrongOlder
		}
	}
	for _, id := range c.Last {
		if t.typed.Code.Len() == digitsOf(id) && t.lastTime(id) {
			return WrongCode, otp.WrongLast
		}
	}
	return WrongCode, how
}

// lastTime tells whether the typed code is one of a verification that has ended.
func (t *try) lastTime(id ledger.ID) bool {
	same := false
	for g := uint8(1); g <= otp.MaxGenerations; g++ {
		if t.typed.Code.Equal(deriveCode(t.req.Service, id, g)) {
			same = true
		}
	}
	return same
}

// maxUnclear is how often it is written down of a verification that something couldn't be the code.
const maxUnclear = 8

func (t *try) code(generation uint8) otp.Code {
	if generation == 1 {
		return t.first
	}
	return deriveCode(t.req.Service, t.key.ID, generation)
}
