// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"slices"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// Answer is what a person gave to a step.
type Answer struct {
	Typed    string      // a code, as typed or pasted
	Password secret.Text // of the steps password and new_password
	Passkey  []byte      // JSON of the browser's PublicKeyCredential
	Trust    bool        // trust this device from now on
	Key      string      // a repeat with the same key is the same answer, not another try; empty: no repeats
	Session  string      // the session's token, for flows of a signed-in person
	Visitor  Visitor
}

// Send sends the flow's code, by a way (empty: the one that is being used): a resend of the same code where one is under way, else a
// new verification.
//
// Faults: as Look; Invalid (no such way, or not one that is sent), TooMany (the wait isn't over, a budget is used up), Unavailable.
func (a *Accounts) Send(ctx context.Context, svc *service.Service, text, way string, v *Visitor) (*Step, error) {
	f, b, err := a.resume(ctx, svc, text)
	if err != nil {
		return nil, err
	}
	if way == "" {
		way = f.Way
	}
	if err := a.choose(svc, f, b, way); err != nil {
		return nil, err
	}
	return a.send(ctx, svc, f, b, v)
}

func (a *Accounts) send(ctx context.Context, svc *service.Service, f *flow, b *body, v *Visitor) (*Step, error) {
	to, channel, err := f.target(svc, b)
	if err != nil {
		return nil, err
	}
	caller := v.caller(current(svc, f.Account, b, v.Devices, a.now()) != nil)
	if !f.Code.IsZero() && sameTarget(f.CodeWay, f.Way) {
		_, err := a.Codes.Resend(ctx, verification.ResendRequest{Service: svc, ID: f.Code, Channel: channel, Caller: caller})
		if err == nil {
			f.CodeWay = f.Way
			return a.step(ctx, svc, f, b)
		}
		if !begunAnew(err) {
			return nil, err
		}
	}
	begun, err := a.Codes.Begin(ctx, verification.BeginRequest{
		Service: svc, Contact: to, Channel: channel, Purpose: f.purpose(), Locale: f.locale(b), Caller: caller, Context: v.context(),
		Account: f.Account, Decoy: f.Decoy, Lifts: f.Kind == FlowProve,
	})
	if err != nil {
		return nil, err
	}
	f.Code, f.CodeWay = begun.ID, f.Way
	return a.step(ctx, svc, f, b)
}

// begunAnew tells whether a refused resend asks for a new verification.
func begunAnew(err error) bool {
	f := fault.As(err)
	switch f.Code {
	case "verification_ended", "sends_exhausted", "generations_exhausted", "verification_not_found":
		return true
	}
	return false
}

// sameTarget tells whether two ways reach the same contact, perhaps over different channels.
func sameTarget(a, b string) bool {
	trim := func(s string) string {
		if n := len(s); n > 1 && s[n-1:] == voiceSuffix {
			return s[:n-1]
		}
		return s
	}
	return trim(a) == trim(b)
}

func (f *flow) locale(b *body) string {
	if b.Locale != "" {
		return b.Locale
	}
	return f.Locale
}

func (f *flow) purpose() service.Purpose {
	switch f.Kind {
	case FlowSignUp:
		return service.SignUp
	case FlowForgot, FlowRecover, FlowUndo:
		return service.Recovery
	case FlowEnable, FlowAddContact, FlowConfirmContact:
		return service.ContactChange
	case FlowStepUp, FlowProve:
		return service.Custom
	}
	return service.SignIn
}

var errNotSent = fault.New(fault.Invalid, "way_not_sent", "Nothing is sent for this way. Choose one by text, email or call.").WithField("way")

// target is where the flow's way sends its code.
func (f *flow) target(svc *service.Service, b *body) (contact.Contact, service.Channel, error) {
	for _, all := range [][]contactOf{b.Contacts, f.former(b).Contacts} {
		for i := range all {
			id, ok := thingID('c', f.Way)
			if !ok || all[i].ID != id {
				continue
			}
			c, err := all[i].contact()
			return c, channelOf(f.Way, c), err
		}
	}
	if !sameTarget(f.Way, wayNamed) {
		return contact.Contact{}, "", errNotSent
	}
	c, err := contact.FromCanonical(f.Contact)
	for i := range b.Contacts {
		if own := &b.Contacts[i]; err == nil && f.Kind != FlowSignUp && f.Kind != FlowAddContact && foldedText(own.Value) == folded(c) {
			c, err = own.contact() // however it was typed, the code goes to the address that was proven
		}
	}
	return c, channelOf(f.Way, c), err
}

func channelOf(way string, c contact.Contact) service.Channel {
	switch {
	case c.Kind() == contact.Email:
		return service.Email
	case len(way) > 1 && way[len(way)-1:] == voiceSuffix:
		return service.Voice
	}
	return service.SMS
}

// outcome is what an operation at the end of an answer came to.
type outcome struct {
	wrong   string // the problem's code; empty: it was right
	done    *Done
	flow    *flow // the flow goes on; nil: it is done
	changed *body // the account as it is then
}

// Answer judges what a person gave. A wrong answer is a Step with a Problem.
//
// Faults: as Look; Invalid (this step takes no such answer, a password that isn't good enough), TooMany, Conflict (the contact
// was taken meanwhile), Unauthorized (ErrSignedOut: the flow belongs to a session that is over), Unavailable.
func (a *Accounts) Answer(ctx context.Context, svc *service.Service, text string, ans *Answer) (*Step, error) {
	f, b, err := a.resume(ctx, svc, text)
	if err != nil {
		if f != nil && fault.As(err).Code == ErrSpent.Code && ans.Key != "" {
			return a.repeat(ctx, svc, f, ans)
		}
		return nil, err
	}
	if f.Kind.signedIn() {
		if err := f.owner(svc, b, ans.Session); err != nil {
			return nil, err
		}
	}
	var way *Way
	for _, w := range a.ways(svc, f, b) {
		if w.ID == f.Way {
			way = &w
			break
		}
	}
	switch f.next(way) {
	case StepNewPassword:
		return a.newPassword(ctx, svc, f, b, ans)
	case StepCode:
		return a.answerCode(ctx, svc, f, b, way, ans)
	case StepApp:
		return a.answerApp(ctx, svc, f, b, ans)
	case StepRecoveryCode:
		return a.answerRecoveryCode(ctx, svc, f, b, ans)
	case StepPassword:
		return a.answerPassword(ctx, svc, f, ans)
	case StepPasskey:
		return a.answerPasskey(ctx, svc, f, b, ans)
	}
	return nil, errNoAnswer
}

var errNoAnswer = fault.New(fault.Invalid, "no_answer_expected", "There is nothing to answer here now. Choose a way, or ask for a code.")

// owner checks that a flow's session is that of the request.
func (f *flow) owner(svc *service.Service, b *body, text string) error {
	s, ok := b.session(svc, f.Account, text)
	if !ok || s.ID != f.Session {
		return ErrSignedOut
	}
	return nil
}

// answerCode judges a code that was sent.
func (a *Accounts) answerCode(ctx context.Context, svc *service.Service, f *flow, b *body, way *Way, ans *Answer) (*Step, error) {
	dev := current(svc, f.Account, b, ans.Visitor.Devices, a.now())
	if f.Kind == FlowSignIn || f.Kind == FlowStepUp {
		if err := mayTry(b, dev, a.now()); err != nil {
			return nil, err // the engine's own budgets are exact; this one keeps the sum of all methods
		}
	}
	got, err := a.Codes.Check(ctx, verification.CheckRequest{
		Service: svc, ID: f.Code, Typed: ans.Typed, Caller: ans.Visitor.caller(dev != nil), Idempotency: f.repeatable(ans),
	})
	if err != nil {
		return nil, err
	}
	got.View = *f.withoutReceipts(&got.View)
	if got.Result != verification.Granted {
		if got.Result == verification.WrongCode || got.Result == verification.TooManyTries {
			if s, err := a.appTyped(ctx, svc, f, b, ans); err != nil || s != nil {
				return s, err
			}
		}
		return a.problem(ctx, svc, f, b, Problem{Code: got.Result.String() + "_code", Checked: got})
	}
	return a.conclude(ctx, svc, f, way.Method, ans, func(*decision) (string, error) { return "", nil })
}

// appTyped judges a wrong code as one of the account's authenticator app: people type it where a text's code belongs. Where the app is a way
// to go on, it counts; where it isn't, they are told. It is a guess at the app and counted as one (S11), and instead of the wrong code's
// own count for the account. Nil: it was none.
func (a *Accounts) appTyped(ctx context.Context, svc *service.Service, f *flow, b *body, ans *Answer) (*Step, error) {
	code, ok := typedApp(ans.Typed)
	if !ok || len(b.Apps) == 0 || f.Kind != FlowSignIn && !f.Kind.signedIn() {
		return nil, a.wrongAnswer(ctx, svc, f, ans)
	}
	other := *f
	for _, w := range a.ways(svc, f, b) {
		if w.Method == MethodApp {
			other.Way = w.ID
		}
	}
	counts := other.Way != f.Way
	ours := false
	s, err := a.guessed(ctx, svc, &other, b, MethodApp, ans, nil, func(d *decision) (string, error) {
		ours = false
		if err := d.appThrottled(ans); err != nil {
			return "", err
		}
		for i := range d.b.Apps {
			ours = ours || d.b.useApp(d.b.Apps, d.b.Apps[i].ID, code, d.at)
		}
		switch {
		case ours && counts:
			return "", nil
		case ours:
			return problemAppCode, nil
		}
		return "wrong_code", nil
	})
	switch {
	case err != nil && fault.As(err).Kind == fault.TooMany:
		return nil, a.wrongAnswer(ctx, svc, f, ans) // nobody may guess at the app now: it was a wrong code
	case err != nil || ours:
		return s, err
	}
	return nil, nil
}

// repeatable makes the repeat of an answer the same answer.
func (f *flow) repeatable(ans *Answer) verification.Idempotency {
	if ans.Key == "" {
		return verification.Idempotency{}
	}
	return verification.Idempotency{APIKey: "flow", Route: string(f.Nonce[:]), Key: f.Code.String() + ans.Key, Body: []byte(ans.Typed)}
}

// wrongAnswer counts a wrong second step for the account.
func (a *Accounts) wrongAnswer(ctx context.Context, svc *service.Service, f *flow, ans *Answer) error {
	if f.Kind != FlowSignIn && f.Kind != FlowStepUp {
		return nil
	}
	return a.change(ctx, svc, ledger.AccountOf(svc.ID, f.Account), nil, func(d *decision) error {
		d.wrong(d.visiting(ans))
		d.suspicious(f, &ans.Visitor)
		return nil
	})
}

// visiting is the account's device that an answer comes from; nil: none that has proven itself.
func (d *decision) visiting(ans *Answer) *device {
	return current(d.svc, d.key.ID, d.b, ans.Visitor.Devices, d.at)
}

// guessed is conclude for a guess at something that is judged here. The caller is charged for a wrong one, and so is the account: strangers
// and its own devices apart. before is what takes time and comes after the charge; nil: nothing.
func (a *Accounts) guessed(
	ctx context.Context, svc *service.Service, f *flow, b *body, with Method, ans *Answer, before func() error, check func(*decision) (string, error),
) (*Step, error) {
	dev := current(svc, f.Account, b, ans.Visitor.Devices, a.now())
	refund, err := a.Callers.Guess(svc, ans.Visitor.caller(dev != nil), a.Ledger.Now())
	if err != nil {
		return nil, err
	}
	if before != nil {
		if err := before(); err != nil {
			refund()
			return nil, err
		}
	}
	s, err := a.conclude(ctx, svc, f, with, ans, func(d *decision) (string, error) {
		if err := mayTry(d.b, d.visiting(ans), d.at); err != nil {
			return "", err
		}
		wrong, err := check(d)
		if wrong != "" && wrong != problemAppCode { // a right code in the wrong field is no guess
			d.wrongGuess(d.visiting(ans), with)
			d.suspicious(f, &ans.Visitor)
		}
		return wrong, err
	})
	if err == nil && s.Problem != nil && s.Problem.Code != problemAppCode {
		a.Callers.Wrong(svc, a.Ledger.Now())
		return s, nil
	}
	refund()
	return s, err
}

// conclude runs check on the locked account, and when it finds nothing wrong, does what the flow was for.
func (a *Accounts) conclude(ctx context.Context, svc *service.Service, f *flow, with Method, ans *Answer, check func(*decision) (string, error)) (*Step, error) {
	keys, err := a.touched(ctx, svc, f)
	if err != nil {
		return nil, err
	}
	var out outcome
	err = a.change(ctx, svc, ledger.AccountOf(svc.ID, f.Account), keys, func(d *decision) error {
		out = outcome{}
		if err := f.current(d.b); err != nil {
			return err
		}
		var err error
		if out.wrong, err = check(d); err != nil {
			return err
		}
		out.changed = d.b
		if out.wrong != "" {
			out.flow = f
			return nil
		}
		return a.reached(d, f, with, ans, &out)
	})
	if err != nil {
		return nil, err
	}
	if out.flow == nil {
		return &Step{Kind: f.Kind, Next: StepDone, Done: out.done}, nil
	}
	if out.wrong != "" {
		return a.problem(ctx, svc, out.flow, out.changed, Problem{Code: out.wrong})
	}
	return a.step(ctx, svc, out.flow, out.changed)
}

// begunBy is for flows that a session began: it may have ended since, and what was frozen since doesn't change any more.
func (d *decision) begunBy(f *flow) error {
	if !f.Kind.signedIn() {
		return nil
	}
	if !slices.ContainsFunc(d.b.Sessions, func(s session) bool { return s.ID == f.Session && s.ExpiresAt > d.at }) {
		return ErrSignedOut
	}
	if f.Kind != FlowStepUp && d.b.Frozen > d.at {
		return errFrozen
	}
	d.by = f.Session
	return nil
}

// reached does what a flow was for, now that a proof has been given.
func (a *Accounts) reached(d *decision, f *flow, with Method, ans *Answer, out *outcome) error {
	d.used(f.Way)
	switch f.Kind {
	case FlowForgot:
		return a.forgotProven(d, f, out)
	case FlowRecover:
		return a.recoverProven(d, f, ans, out)
	case FlowUndo:
		return a.undone(d, f, ans, out)
	case FlowProve:
		next := *f
		next.Rung, next.Code = rungProven, ledger.ID{}
		out.flow = &next
		return nil
	}
	if err := d.spend(f); err != nil {
		return err
	}
	if err := d.begunBy(f); err != nil {
		return err
	}
	switch f.Kind {
	case FlowSignUp:
		return a.newAccount(d, f, ans, out)
	case FlowSignIn:
		return d.signedIn(f, with, ans, out)
	case FlowStepUp:
		return d.steppedUp(f, with, ans, out)
	case FlowEnable:
		return d.enabled(f, ans, out)
	case FlowAddContact:
		return a.contactAdded(d, f, ans, out)
	case FlowConfirmContact:
		return d.contactConfirmed(f, ans, out)
	case FlowAddApp:
		return d.appAdded(f, ans, out)
	}
	return errNoAnswer
}

// touched are the rows that a flow's end may change beside the account's own.
func (a *Accounts) touched(ctx context.Context, svc *service.Service, f *flow) ([]ledger.Key, error) {
	if f.Kind != FlowSignUp && f.Kind != FlowAddContact && f.Kind != FlowUndo {
		return nil, nil
	}
	b, err := a.read(ctx, svc, f.Account)
	if err != nil {
		return nil, err
	}
	contacts := append(slices.Clone(b.Contacts), f.former(b).Contacts...)
	if f.Kind != FlowUndo {
		contacts = append(keep(contacts, func(c contactOf) bool { return thing('c', c.ID) == f.Name }), contactOf{Value: f.Contact})
	}
	return loginKeys(svc, contacts)
}

func loginKeys(svc *service.Service, all []contactOf) ([]ledger.Key, error) {
	var keys []ledger.Key
	for i := range all {
		c, err := all[i].contact()
		if err != nil {
			return nil, err
		}
		keys = append(keys, loginKey(svc, c))
	}
	return keys, nil
}

// repeat answers the repeat of the request that ended a flow: its answer was lost on the way.
func (a *Accounts) repeat(ctx context.Context, svc *service.Service, f *flow, ans *Answer) (*Step, error) {
	if f.Code.IsZero() || f.Kind != FlowSignIn && f.Kind != FlowSignUp {
		return nil, ErrSpent
	}
	got, err := a.Codes.Check(ctx, verification.CheckRequest{Service: svc, ID: f.Code, Typed: ans.Typed, Idempotency: f.repeatable(ans)})
	if err != nil || got.Result != verification.Granted {
		return nil, ErrSpent
	}
	id := f.Account
	if f.Kind == FlowSignUp {
		id = newAccountID(svc, f)
	}
	b, err := a.read(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	value := sessionSecret(svc, id, f)
	for i := range b.Sessions {
		if s := &b.Sessions[i]; sameHash(s.Hash, sessionHash(svc, id, value)) {
			return &Step{Kind: f.Kind, Next: StepDone, Done: &Done{
				Account: id, Session: token(sessionPrefix, id, s.ID, value), SessionLife: sessionLife(svc),
			}}, nil
		}
	}
	return nil, ErrSpent
}

// answerPassword judges a password that is one of several proofs.
func (a *Accounts) answerPassword(ctx context.Context, svc *service.Service, f *flow, ans *Answer) (*Step, error) {
	done, err := a.turns.take(ctx, f.Account)
	if err != nil {
		return nil, err
	}
	defer done()
	b, err := a.read(ctx, svc, f.Account) // as the try before left it
	if err != nil {
		return nil, err
	}
	if err := mayTry(b, current(svc, f.Account, b, ans.Visitor.Devices, a.now()), a.now()); err != nil {
		return nil, err
	}
	want, right := f.oldHash(b), false
	verify := func() (err error) {
		right, _, err = a.Hasher.Verify(ctx, want, password.Normalise(ans.Password.Reveal()))
		return err
	}
	return a.guessed(ctx, svc, f, b, MethodPassword, ans, verify, func(d *decision) (string, error) {
		if !right || f.Decoy || f.oldHash(d.b) != want {
			return "wrong_password", nil
		}
		return "", nil
	})
}
