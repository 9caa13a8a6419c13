// SPDX-License-Identifier: Apache-2.0

package service

import (
	"fmt"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/otp"
)

// Limit is how much may happen in an hour and in a day. Windows slide.
type Limit struct {
	Hour int `json:"hour" cbor:"1,keyasint"`
	Day  int `json:"day" cbor:"2,keyasint"`
}

// Policy is what a service decides. Times are whole seconds, so that they read well in JSON.
type Policy struct {
	CodeLength        int       `json:"code_length"`                 // digits, 4 to 10; below 6 not for sign_in, recovery, transaction
	Lifetime          int       `json:"lifetime_seconds"`            // of a code; 60 to 600
	EmailLifetime     int       `json:"email_lifetime_seconds"`      // of a code that only confirms an address by email (sign_up, contact_change); 60 to 86,400
	MaxTries          int       `json:"max_tries"`                   // checks that may be judged, over all generations; 1 to 10
	MaxSends          int       `json:"max_sends"`                   // messages of one verification; 1 to 10
	SendWaits         []int     `json:"send_waits_seconds"`          // wait before the second, third, ... message; the last one repeats
	Channels          []Channel `json:"channels"`                    // that may be used
	Countries         []string  `json:"countries"`                   // ISO 3166-1 alpha-2 that texts and calls may go to; empty: all
	ContactSends      Limit     `json:"contact_sends"`               // messages to one contact; the same again for callers with a device token
	ContactGuesses    Limit     `json:"contact_guesses"`             // wrong checks for one contact; the same again likewise
	CallerSends       Limit     `json:"caller_sends"`                // messages asked for by one address, device or session
	CallerGuesses     Limit     `json:"caller_guesses"`              // wrong checks by one address, device or session
	ContactAlive      int       `json:"contact_alive"`               // verifications of one contact that may be pending at once
	ContactReserved   int       `json:"contact_alive_reserved"`      // of these, how many are kept for callers with a device token
	GuessAlarm        int       `json:"guess_alarm_per_minute"`      // wrong checks of the whole service in a minute that raise an alarm
	EmailIsSecondStep bool      `json:"email_counts_as_second_step"` // NIST SP 800-63B-4 doesn't count it; the service decides

	// Accounts.
	SignUp        bool       `json:"sign_up"`                              // whether people may make accounts themselves
	SecondStep    SecondStep `json:"second_step" enum:"optional,required"` // whether people choose to have one
	TrustedDevice int        `json:"trusted_device_days"`                  // that a device may skip the second step; 1 to 30
	StepUp        int        `json:"step_up_minutes"`                      // that a fresh proof holds for sensitive changes; 1 to 60
	Session       int        `json:"session_days"`                         // that a sign-in lasts; 1 to 365
	Recovery      int        `json:"recovery_hours"`                       // that a recovery waits and can be stopped; 24 to 168

	// Hand-overs.
	DeliveryLetter   string      `json:"delivery_letter"`              // before the digits of a delivery code; one of A to Z
	DeliveryDigits   int         `json:"delivery_digits"`              // 4 to 8, and never as many as code_length
	DeliveryWeak     []WeakProof `json:"delivery_weak"`                // what may stand in for a code that is missing; empty: nothing
	DeliveryPass     bool        `json:"delivery_pass"`                // whether a recipient may send a neighbour
	DeliveryAttempts int         `json:"delivery_attempts"`            // of one parcel; 1 to 9
	DeliveryAgain    bool        `json:"delivery_again_on_arrival"`    // whether the message on arrival carries the code once more
	CourierGuesses   int         `json:"delivery_courier_wrong_daily"` // wrong codes of one courier in 24 hours; 6 to 200
	CourierWeak      int         `json:"delivery_courier_weak_alarm"`  // weaker proofs of one courier in 24 hours that raise an alarm; 1 to 200
}

// WeakProof is what may stand in for a delivery code that didn't come. It is always marked as weaker.
type WeakProof string

// The weaker proofs. The names are stored and never change.
const (
	WeakSecondPerson WeakProof = "second_person" // somebody at the depot has checked and releases it
	WeakIdentity     WeakProof = "identity"      // the courier has seen an identity document
	WeakPhoto        WeakProof = "photo"         // the courier has taken a photograph
)

// WeakProofs lists all weaker proofs in the order of their stored numbers, from 1.
func WeakProofs() []WeakProof { return []WeakProof{WeakSecondPerson, WeakIdentity, WeakPhoto} }

// SecondStep is whether an account must have two-step verification.
type SecondStep string

// The choices. The names are stored and never change.
const (
	SecondStepOptional SecondStep = "optional" // each person decides
	SecondStepRequired SecondStep = "required" // nobody signs in without
)

// Complete keeps the two kinds of code apart in a policy that was stored before there were delivery codes.
func (p *Policy) Complete() {
	if p.CodeLength == p.DeliveryDigits {
		p.DeliveryDigits++
	}
}

// MaxBudget is the largest Limit.Day of a contact: its budget is kept as exact times.
const MaxBudget = 100

// RenewWindow is how close to its end a code is not sent again but followed by a new one.
const RenewWindow = 2 * time.Minute

// DefaultPolicy is what a new service starts with.
func DefaultPolicy() Policy {
	return Policy{
		CodeLength: 6, Lifetime: 600, EmailLifetime: 600, MaxTries: 5, MaxSends: 5,
		SendWaits: []int{30, 60, 120, 300},
		Channels:  []Channel{SMS, Email}, Countries: []string{},
		ContactSends: Limit{10, 30}, ContactGuesses: Limit{10, 30},
		CallerSends: Limit{20, 100}, CallerGuesses: Limit{50, 200},
		ContactAlive: 5, ContactReserved: 2, GuessAlarm: 300,
		SignUp: true, SecondStep: SecondStepOptional, TrustedDevice: 30, StepUp: 10, Session: 30, Recovery: 72,
		DeliveryLetter: "D", DeliveryDigits: otp.DeliveryDigits, DeliveryWeak: []WeakProof{WeakSecondPerson}, DeliveryPass: true, DeliveryAttempts: 3,
		CourierGuesses: 40, CourierWeak: 5,
	}
}

// Validate tells every problem of the policy at once; nil if there is none.
func (p *Policy) Validate() error {
	var problems []*fault.Error
	within := func(field string, v, lo, hi int) {
		if v < lo || v > hi {
			problems = append(problems, fault.New(fault.Invalid, "invalid_policy",
				fmt.Sprintf("%s must be from %d to %d; it is %d.", field, lo, hi, v)).WithField("policy."+field))
		}
	}
	within("code_length", p.CodeLength, otp.MinDigits, otp.MaxDigits)
	within("lifetime_seconds", p.Lifetime, 60, 600)
	within("email_lifetime_seconds", p.EmailLifetime, 60, 86400)
	within("max_tries", p.MaxTries, 1, 10)
	within("max_sends", p.MaxSends, 1, 10)
	within("contact_alive", p.ContactAlive, 1, 20)
	within("contact_alive_reserved", p.ContactReserved, 0, max(0, p.ContactAlive-1))
	within("guess_alarm_per_minute", p.GuessAlarm, 1, 1_000_000)
	within("send_waits_seconds", len(p.SendWaits), 0, 10)
	for i, w := range p.SendWaits {
		within(fmt.Sprintf("send_waits_seconds[%d]", i), w, 0, 3600)
	}
	limit := func(field string, l Limit, most int) {
		within(field+".hour", l.Hour, 1, most)
		within(field+".day", l.Day, l.Hour, most)
	}
	limit("contact_sends", p.ContactSends, MaxBudget)
	limit("contact_guesses", p.ContactGuesses, MaxBudget)
	limit("caller_sends", p.CallerSends, 1_000_000)
	limit("caller_guesses", p.CallerGuesses, 1_000_000)
	within("trusted_device_days", p.TrustedDevice, 1, 30)
	within("step_up_minutes", p.StepUp, 1, 60)
	within("session_days", p.Session, 1, 365)
	within("recovery_hours", p.Recovery, 24, 168)
	within("delivery_digits", p.DeliveryDigits, otp.MinDeliveryDigits, otp.MaxDeliveryDigits)
	within("delivery_attempts", p.DeliveryAttempts, 1, 9)
	within("delivery_courier_wrong_daily", p.CourierGuesses, 6, 200)
	within("delivery_courier_weak_alarm", p.CourierWeak, 1, 200)
	problems = append(problems, p.validateDelivery()...)
	problems = append(problems, p.validateWords()...)
	return fault.Join(problems...)
}

// validateDelivery keeps the two kinds of code apart by their look (S27).
func (p *Policy) validateDelivery() []*fault.Error {
	var problems []*fault.Error
	if p.DeliveryDigits == p.CodeLength {
		problems = append(problems, fault.New(fault.Invalid, "invalid_policy",
			"delivery_digits and code_length must differ: a code for a parcel must never look like a code for signing in.").WithField("policy.delivery_digits"))
	}
	if len(p.DeliveryLetter) != 1 || p.DeliveryLetter[0] < 'A' || p.DeliveryLetter[0] > 'Z' {
		problems = append(problems, fault.New(fault.Invalid, "invalid_policy", "delivery_letter must be one letter from A to Z.").WithField("policy.delivery_letter"))
	}
	for i, w := range p.DeliveryWeak {
		if !slices.Contains(WeakProofs(), w) || slices.Contains(p.DeliveryWeak[:i], w) {
			problems = append(problems, fault.New(fault.Invalid, "invalid_policy",
				fmt.Sprintf("delivery_weak[%d] must be one of second_person, identity and photo, each named once.", i)).WithField(fmt.Sprintf("policy.delivery_weak[%d]", i)))
		}
	}
	return problems
}

func (p *Policy) validateWords() []*fault.Error {
	var problems []*fault.Error
	if p.SecondStep != SecondStepOptional && p.SecondStep != SecondStepRequired {
		problems = append(problems, fault.New(fault.Invalid, "invalid_policy", "second_step must be optional or required.").WithField("policy.second_step"))
	}
	if len(p.Channels) == 0 {
		problems = append(problems, fault.New(fault.Invalid, "invalid_policy", "channels must name at least one channel.").WithField("policy.channels"))
	}
	for i, c := range p.Channels {
		if !slices.Contains(Channels(), c) || slices.Contains(p.Channels[:i], c) {
			problems = append(problems, fault.New(fault.Invalid, "invalid_policy",
				fmt.Sprintf("channels[%d] must be one of sms, email and voice, each named once.", i)).WithField(fmt.Sprintf("policy.channels[%d]", i)))
		}
	}
	for i, c := range p.Countries {
		if len(c) != 2 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z' {
			problems = append(problems, fault.New(fault.Invalid, "invalid_policy",
				fmt.Sprintf("countries[%d] must be two capital letters, such as DE.", i)).WithField(fmt.Sprintf("policy.countries[%d]", i)))
		}
	}
	return problems
}

// LifetimeFor is how long a code is good for. Only one that confirms an address by email may last
// longer than ten minutes (NIST SP 800-63B-4, out-of-band verifiers).
func (p *Policy) LifetimeFor(purpose Purpose, channel Channel) time.Duration {
	if channel == Email && (purpose == SignUp || purpose == ContactChange) {
		return time.Duration(p.EmailLifetime) * time.Second
	}
	return time.Duration(p.Lifetime) * time.Second
}

// WaitAfter is how long to wait before the next message when sends have been sent.
func (p *Policy) WaitAfter(sends int) time.Duration {
	if len(p.SendWaits) == 0 {
		return 0
	}
	return time.Duration(p.SendWaits[min(sends-1, len(p.SendWaits)-1)]) * time.Second
}
