// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/diagnose"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// Flow is what somebody is in the middle of. The numbers are inside flows that people's browsers hold, for at most flowLife.
type Flow uint8

// The flows.
const (
	FlowSignUp         Flow = iota + 1 // a contact and a password
	FlowSignUpPasskey                  // a passkey alone
	FlowSignIn                         // the password was right: the second step
	FlowPasskey                        // sign-in by passkey alone
	FlowForgot                         // a new password
	FlowRecover                        // everything is lost
	FlowUndo                           // of a recent change
	FlowStepUp                         // prove it's you
	FlowEnable                         // two-step verification by codes to a contact that is there
	FlowAddContact                     // a new contact
	FlowConfirmContact                 // is this still yours?
	FlowAddApp                         // an authenticator app
	FlowAddPasskey                     // a passkey or security key
	FlowProve                          // a contact, by somebody who needs no account for what they want to know
)

var flowNames = [...]string{
	"", "sign_up", "sign_up_passkey", "sign_in", "passkey", "forgot", "recover", "undo", "step_up", "enable", "add_contact",
	"confirm_contact", "add_app", "add_passkey", "prove",
}

// String is the flow as the API says it.
func (f Flow) String() string { return flowNames[f] }

// signedIn tells whether the flow belongs to a session.
func (f Flow) signedIn() bool { return f >= FlowStepUp && f != FlowProve }

// flow is the state that the browser keeps. It holds what nobody else may see, so it is sealed.
type flow struct {
	Kind      Flow      `cbor:"1,keyasint"`
	Account   ledger.ID `cbor:"2,keyasint,omitzero"`   // or the row that only counts
	Nonce     [8]byte   `cbor:"3,keyasint"`            //
	Until     int64     `cbor:"4,keyasint"`            // Unix milliseconds
	Epoch     uint32    `cbor:"5,keyasint,omitempty"`  // of the account when it began
	Contact   string    `cbor:"6,keyasint,omitempty"`  // that was named, canonical
	Decoy     bool      `cbor:"7,keyasint,omitempty"`  // it can't succeed, and nobody is told so
	Way       string    `cbor:"8,keyasint,omitempty"`  // that is being used
	Code      ledger.ID `cbor:"9,keyasint,omitzero"`   // the verification under way
	CodeWay   string    `cbor:"10,keyasint,omitempty"` // whose code that is
	Challenge []byte    `cbor:"11,keyasint,omitempty"` // of a passkey
	Proofs    []string  `cbor:"12,keyasint,omitempty"` // ways that were proven
	Hash      string    `cbor:"13,keyasint,omitempty"` // of the new password
	Length    uint16    `cbor:"14,keyasint,omitempty"` // likewise
	Session   uint32    `cbor:"15,keyasint,omitempty"` // that it belongs to
	Secret    []byte    `cbor:"16,keyasint,omitempty"` // of a new authenticator app
	Name      string    `cbor:"17,keyasint,omitempty"` // of the new method
	Undo      uint32    `cbor:"18,keyasint,omitempty"`
	By        uint32    `cbor:"19,keyasint,omitempty"` // the contact whose token opened it
	TurnOn    bool      `cbor:"20,keyasint,omitempty"` // turn two-step verification on when the method is proven
	Locale    string    `cbor:"21,keyasint,omitempty"`
	Rung      uint8     `cbor:"22,keyasint,omitempty"` // how far it has come; see the flows that have several rungs
	Device    uint32    `cbor:"23,keyasint,omitempty"` // the proven device that it began on
	Unnamed   bool      `cbor:"24,keyasint,omitempty"` // whoever began it hasn't named the contact, and isn't told it
}

// StepKind is what a person has to do next.
type StepKind string

// The kinds of steps.
const (
	StepCode         StepKind = "code"          // type the code that was sent
	StepSend         StepKind = "send"          // ask for the code: none was sent yet, or it is over
	StepApp          StepKind = "app"           // type the authenticator app's code
	StepPasskey      StepKind = "passkey"       // use a passkey
	StepRecoveryCode StepKind = "recovery_code" // type a recovery code
	StepPassword     StepKind = "password"      // type the password
	StepNewPassword  StepKind = "new_password"  // choose a new password
	StepChoose       StepKind = "choose"        // say which way
	StepWait         StepKind = "wait"          // come back later
	StepProven       StepKind = "proven"        // nothing: for as long as the flow lasts it shows that the contact is theirs
	StepDone         StepKind = "done"          // nothing
)

// Step is where a flow stands: what to do next, and with what.
type Step struct {
	Flow string             // to bring along with the next call; empty when there is none
	Kind Flow               //
	Next StepKind           //
	Way  *Way               // that is being used
	Ways []Way              // that may be used, the one that is suggested first
	Code *verification.View // of a code that was sent
	// Diagnosis says why that code may not be working, in Problem of the code that was typed.
	Diagnosis *diagnose.Diagnosis
	Passkey   []byte    // JSON for navigator.credentials: {"publicKey": ...}
	Problem   *Problem  // why the last answer didn't do
	Setup     *AppSetup // of a new authenticator app
	Proven    int       // recovery: how many proofs there are
	Until     time.Time // wait: until when; undo: until when it can be undone
	Change    *Change   // undo: what would be undone
	Minimum   int       // new_password: how many characters it needs
	Done      *Done     // what has been reached
	Expires   time.Time // of the flow
}

// Done is what a flow has reached.
type Done struct {
	Account       ledger.ID
	Session       secret.Text // signed in, or proven anew: the session's new token; empty: no session began
	SessionLife   time.Duration
	Device        secret.Text // what makes this browser known; empty: nothing new
	RecoveryCodes []string    // shown once; nil: none were made
	Thing         string      // the id of what was added
}

// Problem is why an answer didn't do.
type Problem struct {
	Code    string                // stable: "wrong_code", "wrong_app_code", "wrong_recovery_code", "wrong_passkey", "wrong_password", or the code of a fault
	Checked *verification.Checked // of a code that was sent
	Fault   *fault.Error          // of what was refused
}

// AppSetup is what an authenticator app needs to know. It is shown once.
type AppSetup struct {
	Secret string // base32, as people type it
	URI    string // otpauth://, for the QR code
}

// Method is a way of proving something. The names are stable.
type Method string

// The methods.
const (
	MethodSMS      Method = "sms"
	MethodVoice    Method = "voice"
	MethodEmail    Method = "email"
	MethodApp      Method = "app"
	MethodPasskey  Method = "passkey"
	MethodRecovery Method = "recovery_code"
	MethodPassword Method = "password"
)

// Way is one method of one account that may be used now.
type Way struct {
	ID      string // to choose it by
	Method  Method
	Name    string // what its owner calls it; may be empty
	Contact string // masked, where a code goes; empty where whoever asks may not know it
	Kind    contact.Kind
	Digits  string    // the last two of a phone; for words in other languages
	Default bool      //
	UsedAt  time.Time // zero: never
	AddedAt time.Time
	Bounced bool // the contact seems not to work
}

// begin makes a fresh flow.
func (a *Accounts) begin(kind Flow, account ledger.ID, b *body, v *Visitor) *flow {
	f := &flow{Kind: kind, Account: account, Until: a.now() + flowLife, Locale: clip(v.Language, maxLocale)}
	_, _ = rand.Read(f.Nonce[:]) // never fails: it ends the program instead
	if b != nil {
		f.Epoch = b.Epoch
	}
	return f
}

const maxLocale = 35

func (a *Accounts) now() int64 { return a.Ledger.Now().UnixMilli() }

// seal is the text of a flow.
func seal(svc *service.Service, f *flow) string {
	return secret.EncodeToken(flowPrefix, svc.Ring.Current().Seal(tableFlow, columnBody, ledger.ID{}, ledger.Pack(nil, f)))
}

// openFlow reads a flow that a browser brought. One of another service, changed or too old is ErrFlow.
func (a *Accounts) openFlow(svc *service.Service, text string) (*flow, error) {
	raw, err := secret.DecodeToken(flowPrefix, text)
	if err != nil {
		return nil, ErrFlow
	}
	plain, err := svc.Ring.Open(tableFlow, columnBody, ledger.ID{}, raw)
	if err != nil {
		return nil, ErrFlow
	}
	f := new(flow)
	if err := ledger.Unpack(plain, f); err != nil || f.Until <= a.now() {
		return nil, ErrFlow
	}
	return f, nil
}

// resume opens a flow with the account that it is about.
func (a *Accounts) resume(ctx context.Context, svc *service.Service, text string) (*flow, *body, error) {
	f, err := a.openFlow(svc, text)
	if err != nil {
		return nil, nil, err
	}
	b, err := a.read(ctx, svc, f.Account)
	if err != nil {
		return nil, nil, err
	}
	return f, b, f.current(b)
}

// current refuses a flow that the account has overtaken.
func (f *flow) current(b *body) error {
	switch {
	case f.isSpent(b):
		return ErrSpent
	case b.Epoch != f.Epoch || b.State == Closed && f.Kind != FlowUndo:
		return ErrFlow
	case b.State == Locked && !f.Decoy:
		return errLocked
	}
	return nil
}

func (f *flow) isSpent(b *body) bool {
	for _, s := range b.Spent {
		if s.Nonce == f.Nonce {
			return true
		}
	}
	return false
}

// spend marks the end of a flow inside a decision: it is reached once.
func (d *decision) spend(f *flow) error {
	if f.isSpent(d.b) {
		return ErrSpent
	}
	d.b.Spent = append(d.b.Spent, spent{f.Nonce, f.Until})
	d.b.Spent = d.b.Spent[max(0, len(d.b.Spent)-maxSpent):]
	return nil
}

// step describes where a flow stands.
func (a *Accounts) step(ctx context.Context, svc *service.Service, f *flow, b *body) (*Step, error) {
	s := &Step{Kind: f.Kind, Expires: moment(f.Until), Ways: a.ways(svc, f, b), Proven: len(f.Proofs)}
	for i := range s.Ways {
		if s.Ways[i].ID == f.Way {
			s.Way = &s.Ways[i]
		}
	}
	s.Next = f.next(s.Way)
	switch {
	case s.Next == StepCode:
		facts, err := a.Codes.Facts(ctx, svc, f.Code)
		if err != nil {
			return nil, err
		}
		if f.beforeProof() { // what only providers know isn't known of a decoy's messages
			facts.Expects, facts.Usual = false, verification.Usual{}
		}
		facts.View = *f.withoutReceipts(&facts.View)
		s.Code = &facts.View
		d := diagnose.Of(facts, diagnose.Hints{NoOther: len(s.Ways) < 2})
		s.Diagnosis = &d
	case s.Next == StepPasskey:
		if err := a.challenge(svc, f, b, s); err != nil {
			return nil, err
		}
	case s.Next == StepNewPassword:
		s.Minimum = minimum(svc, b)
	case f.Kind == FlowAddApp:
		s.Setup = setupOf(svc, f, b)
	}
	f.describe(b, s)
	s.Flow = seal(svc, f)
	return s, nil
}

// problem is where a flow still stands after an answer that didn't do.
func (a *Accounts) problem(ctx context.Context, svc *service.Service, f *flow, b *body, p Problem) (*Step, error) {
	s, err := a.step(ctx, svc, f, b)
	if err != nil {
		return nil, err
	}
	s.Problem = &p
	if p.Code == problemAppCode && s.Diagnosis != nil {
		d := diagnose.Of(&verification.Facts{View: *s.Code}, diagnose.Hints{AppCode: true, NoOther: len(s.Ways) < 2})
		s.Diagnosis = &d
	}
	return s, nil
}

// beforeProof tells whether whoever goes through the flow may have proven nothing yet, so that its code may be a decoy's.
func (f *flow) beforeProof() bool {
	return f.Kind == FlowSignUp || f.Kind == FlowForgot || f.Kind == FlowRecover
}

// problemAppCode is the problem of an app's code where only a text's will do.
const problemAppCode = "app_code_typed"

// withoutReceipts leaves out what only a provider can tell of a message: for a contact that isn't what the flow is for, none was sent, and
// whoever has proven nothing would learn that, also by what goes wrong while it is handed over. That the message of a sign-up couldn't be
// delivered is told: such a contact is nobody's, and while a provider takes nothing, those who have an account see the same.
func (f *flow) withoutReceipts(v *verification.View) *verification.View {
	if !f.beforeProof() {
		return v
	}
	c := *v
	if c.Status == verification.Failed && f.Kind != FlowSignUp {
		c.Status = verification.Expired
	}
	if to, err := contact.FromCanonical(f.Contact); err == nil && sameTarget(f.CodeWay, wayNamed) {
		c.Contact = to.Masked() // as it was typed: how the account has it is told to nobody
	}
	c.Messages = slices.Clone(v.Messages)
	for i := range c.Messages {
		m := &c.Messages[i]
		if f.Kind == FlowSignUp && (m.ReceiptAt.IsZero() || m.Status == verification.Undelivered) {
			continue
		}
		if n := len(m.Attempts); n > 0 && m.Attempts[n-1].Code == verification.BlockedByOwner {
			continue // of a contact, whether it has an account or not
		}
		if m.SentAt.IsZero() {
			m.SentAt = m.QueuedAt
		}
		m.Attempts = nil
		m.Status, m.ReceiptAt = verification.Sent, time.Time{}
	}
	return &c
}

// next is what the flow asks for, its way being what it is.
func (f *flow) next(way *Way) StepKind {
	switch {
	case f.Rung == rungNewPassword:
		return StepNewPassword
	case f.Rung == rungWait:
		return StepWait
	case f.Rung == rungProven:
		return StepProven
	case f.Kind == FlowAddApp:
		return StepApp
	case f.Kind == FlowAddPasskey, f.Kind == FlowSignUpPasskey, f.Kind == FlowPasskey:
		return StepPasskey
	case way == nil:
		return StepChoose
	case way.Method == MethodApp:
		return StepApp
	case way.Method == MethodPasskey:
		return StepPasskey
	case way.Method == MethodRecovery:
		return StepRecoveryCode
	case way.Method == MethodPassword:
		return StepPassword
	case f.Code.IsZero() || f.CodeWay != f.Way:
		return StepSend
	}
	return StepCode
}

// What a flow with several rungs asks for now; 0: a proof.
const (
	rungNewPassword uint8 = iota + 1
	rungWait
	rungProven
)

// Look tells where a flow stands. It changes nothing.
//
// Faults: Ended (ErrFlow, ErrSpent), Forbidden (locked), Unavailable.
func (a *Accounts) Look(ctx context.Context, svc *service.Service, text string) (*Step, error) {
	f, b, err := a.resume(ctx, svc, text)
	if err != nil {
		return nil, err
	}
	return a.step(ctx, svc, f, b)
}

// Choose goes on by another way, without sending anything.
//
// Faults: as Look; Invalid (no such way).
func (a *Accounts) Choose(ctx context.Context, svc *service.Service, text, way string) (*Step, error) {
	f, b, err := a.resume(ctx, svc, text)
	if err != nil {
		return nil, err
	}
	if err := a.choose(svc, f, b, way); err != nil {
		return nil, err
	}
	return a.step(ctx, svc, f, b)
}

func (a *Accounts) choose(svc *service.Service, f *flow, b *body, way string) error {
	for _, w := range a.ways(svc, f, b) {
		if w.ID == way {
			f.Way, f.Challenge = way, nil
			return nil
		}
	}
	return fault.New(fault.Invalid, "unknown_way", "This way can't be used here. Choose one that is listed.").WithField("way")
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
