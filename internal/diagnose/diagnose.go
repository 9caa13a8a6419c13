// SPDX-License-Identifier: Apache-2.0

// Package diagnose says why a code isn't working: this code, now, from what is known of its verification.
//
// It owns causes, certainties and what to do. It decides from facts alone and asks nobody, so that every surface (page, API, support) says the same. What
// may be known while somebody could still be guessing is decided where the facts come from; see verification.Facts.
package diagnose

import (
	"slices"
	"time"

	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// Cause is why a code isn't working. The names are stable.
type Cause string

// The causes: seven that people meet, and three that aren't a fault of the code.
const (
	WrongCode      Cause = "wrong_code"      // what was typed isn't the code
	Expired        Cause = "expired"         // its time is over
	PhoneOff       Cause = "phone_off"       // the phone is off or out of reach
	Delayed        Cause = "delayed"         // it is on its way
	ServiceTrouble Cause = "service_trouble" // the account is locked, or no provider takes messages
	ContactWrong   Cause = "contact_wrong"   // the number or address can't take it
	OtherMethod    Cause = "other_method"    // a code of another kind was typed, or belongs here
	AlreadyUsed    Cause = "already_used"    // it has let somebody in
	Canceled       Cause = "canceled"        // somebody ended it
	Arrived        Cause = "arrived"         // nothing is wrong that we know of: it has arrived and wasn't typed yet
)

// Causes lists all causes.
func Causes() []Cause {
	return []Cause{WrongCode, Expired, PhoneOff, Delayed, ServiceTrouble, ContactWrong, OtherMethod, AlreadyUsed, Canceled, Arrived}
}

// Certainty is how sure a diagnosis is. The names are stable.
type Certainty string

// The certainties.
const (
	Certain    Certainty = "certain"
	Likely     Certainty = "likely"
	CannotTell Certainty = "cannot_tell" // between Diagnosis.Cause and Diagnosis.Between
)

// Action is what helps. The names are stable.
type Action string

// The actions.
const (
	Retype       Action = "retype"        // type it again, from the newest message
	NewCode      Action = "new_code"      // ask for a new code: this one is over
	Resend       Action = "resend"        // ask for it once more
	OtherChannel Action = "other_channel" // have it sent in another way to the same contact
	UseOther     Action = "other_method"  // use another second step
	FixContact   Action = "fix_contact"   // correct or replace the number or address
	Unblock      Action = "unblock"       // text START, or lift the block in the security centre
	Wait         Action = "wait"          // for Diagnosis.Wait
	CheckPhone   Action = "check_phone"   // turn it on, leave flight mode, look for signal
	LookAround   Action = "look_around"   // in all messages, in the spam folder, on the other device
	Review       Action = "review"        // it wasn't me
	Support      Action = "support"       // with these facts attached
)

// Evidence is one fact that a diagnosis rests on. Keys are stable: "sent", "delivered", "undelivered", "queued", "not_sent", "tried", "tries", "expired", "ended", "replaced",
// "usual", "provider", "no_receipt".
type Evidence struct {
	Key string
	At  time.Time     // zero: none
	For time.Duration // zero: none
	N   int
}

// Diagnosis is why a code isn't working, how sure that is, and what helps, the best first.
type Diagnosis struct {
	Cause     Cause
	Detail    string  // which kind of it; see Details. May be empty
	Between   []Cause // of CannotTell: what it may be instead
	Certainty Certainty
	Wait      time.Duration // how long what was sent may still take, or until the next message may be asked for; zero: no wait
	Usual     time.Duration // how long messages to this network take now, nine in ten; zero: not known
	Actions   []Action
	Evidence  []Evidence
}

// Hints are what only a surface knows.
type Hints struct {
	Locked  bool // the account is locked
	AppCode bool // the code of the account's authenticator app was typed
	NoOther bool // there is no other channel and no other method
}

// Details of causes. They are part of words and of the API, and stable.
const (
	DetailLocked         = "account_locked"
	DetailProvider       = "provider"
	DetailConfiguration  = "configuration"
	DetailDelivery       = "delivery_code"
	DetailApp            = "app_code"
	DetailUnreachable    = "unreachable"
	DetailBounced        = "bounced"
	DetailLandline       = "landline"
	DetailBlocked        = "blocked_by_network"
	DetailBlockedByOwner = "blocked_by_owner"
	DetailByOwner        = "by_owner"
	DetailByApplication  = "by_application"
	DetailTransaction    = "transaction_changed"
	DetailQueued         = "queued"
)

// Time bounds of what can be known without a receipt.
const (
	// unknownUsual is how long a text is taken to need while nothing is known of its network.
	unknownUsual = 45 * time.Second
	// leastUsual keeps a fast network from being called slow after two seconds.
	leastUsual = 15 * time.Second
)

// Of diagnoses. It never fails: where nothing can be told it says so.
func Of(f *verification.Facts, h Hints) Diagnosis {
	d := diagnose(f, h)
	if !f.NextSendAt.IsZero() && f.NextSendAt.After(f.Now) && slices.Contains(d.Actions, Resend) {
		d.Wait = max(d.Wait, f.NextSendAt.Sub(f.Now))
	}
	if f.Status == verification.Pending && f.SendsLeft == 0 {
		d.Actions = slices.DeleteFunc(d.Actions, func(a Action) bool { return a == Resend || a == OtherChannel })
	}
	if h.NoOther {
		d.Actions = slices.DeleteFunc(d.Actions, func(a Action) bool { return a == OtherChannel || a == UseOther })
	}
	if len(d.Actions) == 0 {
		d.Actions = []Action{Support}
	}
	return d
}

func diagnose(f *verification.Facts, h Hints) Diagnosis {
	switch {
	case h.Locked:
		return Diagnosis{Cause: ServiceTrouble, Detail: DetailLocked, Certainty: Certain, Actions: []Action{Support}}
	case h.AppCode:
		return Diagnosis{Cause: OtherMethod, Detail: DetailApp, Certainty: Certain, Actions: []Action{UseOther, Retype}}
	case f.Status != verification.Pending:
		return ended(f)
	}
	// Whoever has typed something since the latest message has a code in their hand.
	if m := latest(f); m == nil || !f.TriedAt.Before(m.QueuedAt) {
		return typed(f)
	}
	return onItsWay(f)
}

func latest(f *verification.Facts) *verification.MessageView {
	if n := len(f.Messages); n > 0 {
		return &f.Messages[n-1]
	}
	return nil
}

// typed diagnoses by the latest try.
func typed(f *verification.Facts) Diagnosis {
	evidence := []Evidence{{Key: "tried", At: f.TriedAt}, {Key: "tries", N: f.TriesLeft}}
	if !f.Clear && len(f.Unclear) > 0 {
		kind := f.Unclear[len(f.Unclear)-1]
		if kind == otp.TypedDelivery {
			return Diagnosis{Cause: OtherMethod, Detail: DetailDelivery, Certainty: Certain, Actions: []Action{Retype, Resend}, Evidence: evidence}
		}
		return Diagnosis{Cause: WrongCode, Detail: kind.String(), Certainty: Certain, Actions: []Action{Retype, Resend}, Evidence: evidence}
	}
	if len(f.Tries) == 0 {
		return Diagnosis{Cause: Arrived, Certainty: CannotTell, Between: []Cause{Delayed}, Actions: []Action{Retype, Resend, OtherChannel}, Evidence: evidence}
	}
	how := f.Tries[len(f.Tries)-1]
	if how == otp.WrongOlder {
		evidence = append(evidence, Evidence{Key: "replaced", At: f.RenewedAt})
	}
	return Diagnosis{Cause: WrongCode, Detail: how.String(), Certainty: Certain, Actions: []Action{Retype, Resend, OtherChannel}, Evidence: evidence}
}

// ended diagnoses a verification that is over. What went wrong before its end is more use than that it has ended.
func ended(f *verification.Facts) Diagnosis {
	evidence := []Evidence{{Key: "ended", At: f.EndedAt}}
	switch f.Status {
	case verification.Approved:
		return Diagnosis{Cause: AlreadyUsed, Certainty: Certain, Actions: []Action{NewCode, Review}, Evidence: evidence}
	case verification.Canceled:
		detail := map[verification.Reason]string{
			verification.ReasonDisowned: DetailByOwner, verification.ReasonTransactionChanged: DetailTransaction,
		}[f.Reason]
		if detail == "" {
			detail = DetailByApplication
		}
		return Diagnosis{Cause: Canceled, Detail: detail, Certainty: Certain, Actions: []Action{NewCode}, Evidence: evidence}
	case verification.MaxAttemptsReached:
		return Diagnosis{
			Cause: WrongCode, Detail: closest(f.Tries), Certainty: Certain, Actions: []Action{NewCode, UseOther}, Evidence: append(evidence, Evidence{Key: "tries"}),
		}
	}
	if m := latest(f); m != nil {
		if d, ok := failed(f, m); ok {
			d.Actions = slices.DeleteFunc(d.Actions, func(a Action) bool { return a == Resend || a == OtherChannel })
			d.Actions = append([]Action{NewCode}, d.Actions...)
			return d
		}
	}
	d := Diagnosis{
		Cause: Expired, Certainty: Certain, Actions: []Action{NewCode, UseOther}, Evidence: []Evidence{{Key: "expired", At: f.ExpiresAt}},
	}
	if m := latest(f); m != nil && f.Expects && m.ReceiptAt.IsZero() && f.TriedAt.IsZero() {
		// It is over, and nothing says that it ever came.
		d.Certainty, d.Between = CannotTell, []Cause{PhoneOff, Delayed}
		d.Evidence = append(d.Evidence, Evidence{Key: "no_receipt", At: m.SentAt})
		d.Actions = []Action{NewCode, UseOther, CheckPhone}
	}
	return d
}

// closest is the most telling way in which tries were wrong.
func closest(all []otp.Wrong) string {
	for _, w := range []otp.Wrong{
		otp.WrongOlder, otp.WrongLast, otp.WrongSwapped, otp.WrongOneDigit, otp.WrongMissing, otp.WrongExtra, otp.WrongShifted,
	} {
		if slices.Contains(all, w) {
			return w.String()
		}
	}
	return otp.WrongOther.String()
}

// failed diagnoses a message that will not arrive.
func failed(f *verification.Facts, m *verification.MessageView) (Diagnosis, bool) {
	if m.Status != verification.MessageFail && m.Status != verification.Undelivered {
		return Diagnosis{}, false
	}
	key, at := "undelivered", m.ReceiptAt
	if m.Status == verification.MessageFail {
		key, at = "not_sent", m.QueuedAt
	}
	d := Diagnosis{Certainty: Certain, Evidence: []Evidence{{Key: key, At: at}}}
	outcome, code := message.TryLater, ""
	if n := len(m.Attempts); n > 0 {
		last := m.Attempts[n-1]
		if last.Outcome == message.Overdue && n > 1 {
			last = m.Attempts[n-2]
		}
		outcome, code = last.Outcome, last.Code
		if last.Provider != "" {
			d.Evidence = append(d.Evidence, Evidence{Key: "provider", N: n})
		}
	}
	email := m.Channel == service.Email
	switch outcome {
	case message.Unreachable:
		d.Cause, d.Detail, d.Actions = ContactWrong, DetailUnreachable, []Action{FixContact, OtherChannel, UseOther}
		if email {
			d.Detail, d.Actions = DetailBounced, []Action{FixContact, UseOther}
		}
	case message.ContactKind:
		d.Cause, d.Detail, d.Actions = ContactWrong, DetailLandline, []Action{OtherChannel, FixContact, UseOther}
	case message.Blocked:
		d.Cause, d.Detail, d.Actions = ContactWrong, DetailBlocked, []Action{OtherChannel, UseOther, FixContact}
		if code == verification.BlockedByOwner {
			d.Detail, d.Actions = DetailBlockedByOwner, []Action{Unblock, UseOther, FixContact}
		}
	case message.Absent:
		d.Cause, d.Actions = PhoneOff, []Action{CheckPhone, Resend, OtherChannel, UseOther}
	case message.Misconfigured:
		d.Cause, d.Detail, d.Actions = ServiceTrouble, DetailConfiguration, []Action{OtherChannel, UseOther, Support}
	default: // also what a network reports without a reason: the contact may be good
		d.Cause, d.Detail, d.Actions = ServiceTrouble, DetailProvider, []Action{Resend, OtherChannel, UseOther}
		if m.Status == verification.Undelivered {
			d.Cause, d.Detail, d.Certainty, d.Between = PhoneOff, "", CannotTell, []Cause{ContactWrong}
			d.Actions = []Action{CheckPhone, Resend, OtherChannel, FixContact}
		}
	}
	return d, true
}

// onItsWay diagnoses by the latest message: nothing was typed since.
func onItsWay(f *verification.Facts) Diagnosis {
	m := latest(f)
	if d, ok := failed(f, m); ok {
		return d
	}
	since := f.Now.Sub(m.QueuedAt)
	usual := f.Usual.Most
	switch m.Status {
	case verification.Delivered:
		return Diagnosis{
			Cause: Arrived, Certainty: Certain, Actions: []Action{LookAround, Retype, Resend, OtherChannel}, Evidence: []Evidence{{Key: "delivered", At: m.ReceiptAt}},
		}
	case verification.Queued:
		d := Diagnosis{Cause: Delayed, Detail: DetailQueued, Certainty: Certain, Actions: []Action{Wait, OtherChannel}, Evidence: []Evidence{{Key: "queued", At: m.QueuedAt}}}
		if slices.ContainsFunc(m.Attempts, func(a verification.Attempt) bool {
			return a.Outcome == message.TryLater || a.Outcome == message.Misconfigured
		}) {
			d.Cause, d.Detail, d.Actions = ServiceTrouble, DetailProvider, []Action{OtherChannel, UseOther, Wait}
			d.Evidence = append(d.Evidence, Evidence{Key: "provider", N: len(m.Attempts)})
		}
		return d
	}
	d := Diagnosis{
		Cause: Delayed, Certainty: Likely, Usual: usual, Evidence: []Evidence{{Key: "sent", At: m.SentAt, For: since}},
	}
	patience := unknownUsual
	if f.Usual.Count > 0 {
		patience = max(usual+usual/2, leastUsual)
		d.Evidence = append(d.Evidence, Evidence{Key: "usual", For: usual, N: f.Usual.Count})
	}
	if since < patience {
		d.Wait, d.Actions = patience-since, []Action{Wait, OtherChannel}
		return d
	}
	// Off, or slow: without a word from the network nobody can tell, and the same helps in both.
	d.Cause, d.Certainty, d.Between = PhoneOff, CannotTell, []Cause{Delayed}
	d.Actions = []Action{CheckPhone, Resend, OtherChannel, UseOther}
	switch {
	case m.Channel == service.Email:
		d.Cause, d.Between, d.Actions = Delayed, []Cause{ContactWrong}, []Action{LookAround, Resend, FixContact, UseOther}
	case !f.Expects:
		d.Between = append(d.Between, ContactWrong) // this provider wouldn't say
	}
	d.Evidence = append(d.Evidence, Evidence{Key: "no_receipt", At: m.SentAt})
	return d
}
