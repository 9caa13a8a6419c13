// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/service"
)

// The policy that a service starts with keeps the standards' figures, and none that breaks them is accepted.
// Keeps: A.1, A.2
func TestPolicy(t *testing.T) {
	t.Parallel()
	p := service.DefaultPolicy()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if p.CodeLength != 6 || p.Lifetime != 600 || p.MaxTries != 5 || p.MaxSends != 5 {
		t.Fatalf("the default policy: %+v", p)
	}
	if !p.SignUp || p.SecondStep != service.SecondStepOptional || p.TrustedDevice != 30 || p.StepUp != 10 || p.Session != 30 || p.Recovery != 72 {
		t.Fatalf("the default policy of accounts: %+v", p)
	}
	for name, change := range map[string]func(*service.Policy){
		"code_length":            func(p *service.Policy) { p.CodeLength = 3 },
		"lifetime_seconds":       func(p *service.Policy) { p.Lifetime = 601 },
		"email_lifetime_seconds": func(p *service.Policy) { p.EmailLifetime = 86401 },
		"max_tries":              func(p *service.Policy) { p.MaxTries = 0 },
		"contact_alive_reserved": func(p *service.Policy) { p.ContactReserved = p.ContactAlive },
		"contact_guesses.day":    func(p *service.Policy) { p.ContactGuesses.Day = p.ContactGuesses.Hour - 1 },
		"contact_sends.day":      func(p *service.Policy) { p.ContactSends.Day = service.MaxBudget + 1 },
		"send_waits_seconds[1]":  func(p *service.Policy) { p.SendWaits = []int{1, -1} },
		"trusted_device_days":    func(p *service.Policy) { p.TrustedDevice = 31 },
		"step_up_minutes":        func(p *service.Policy) { p.StepUp = 0 },
		"session_days":           func(p *service.Policy) { p.Session = 366 },
		"recovery_hours":         func(p *service.Policy) { p.Recovery = 23 },
		"second_step":            func(p *service.Policy) { p.SecondStep = "never" },
		"channels":               func(p *service.Policy) { p.Channels = nil },
		"channels[1]":            func(p *service.Policy) { p.Channels = []service.Channel{service.SMS, service.SMS} },
		"countries[0]":           func(p *service.Policy) { p.Countries = []string{"de"} },
	} {
		p := service.DefaultPolicy()
		change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Only confirming an address by email may take longer than ten minutes, and never a sign-in.
// Keeps: A.2
func TestLifetimes(t *testing.T) {
	t.Parallel()
	p := service.DefaultPolicy()
	p.EmailLifetime = 86400
	for _, purpose := range service.Purposes() {
		for _, channel := range service.Channels() {
			long := channel == service.Email && (purpose == service.SignUp || purpose == service.ContactChange)
			if got := p.LifetimeFor(purpose, channel); (got > 10*time.Minute) != long {
				t.Errorf("%s by %s lives %v", purpose, channel, got)
			}
		}
	}
}

// A service's name stands in every message: it can't look like a code, nor break a mail's header.
// Keeps: A.3
func TestNames(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"Acme": true, "Acme 24": true, "Bücher": true, "A & B": true, "3M": true,
		"": false, "twelve chars": false, "000000": false, "Acme 4711": false, "A\"B": false, `A\`: false, "<A>": false, "A\nB": false,
	} {
		row := service.Row{Slug: "acme", Name: name, Locale: "en", Policy: service.DefaultPolicy()}
		if err := row.Validate(); (err == nil) != good {
			t.Errorf("the name %q: %v", name, err)
		}
	}
}

// No setting makes a delivery code look like a code for signing in, from whichever side it is changed.
//
// Keeps: S27
func TestTheTwoKindsOfCodeNeverLookAlike(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*service.Policy){
		func(p *service.Policy) { p.DeliveryDigits = 6 },
		func(p *service.Policy) { p.CodeLength = 5 },
		func(p *service.Policy) { p.CodeLength, p.DeliveryDigits = 8, 8 },
		func(p *service.Policy) { p.DeliveryDigits = 3 },
		func(p *service.Policy) { p.DeliveryDigits = 9 },
		func(p *service.Policy) { p.DeliveryLetter = "" },
		func(p *service.Policy) { p.DeliveryLetter = "d" },
		func(p *service.Policy) { p.DeliveryLetter = "DD" },
		func(p *service.Policy) { p.DeliveryWeak = []service.WeakProof{"guess"} },
		func(p *service.Policy) { p.DeliveryWeak = []service.WeakProof{service.WeakPhoto, service.WeakPhoto} },
	} {
		p := service.DefaultPolicy()
		change(&p)
		if err := p.Validate(); err == nil {
			t.Errorf("%+v is taken", p)
		}
	}
	for _, length := range []int{4, 5, 6, 10} { // stored before there were delivery codes
		p := service.DefaultPolicy()
		p.CodeLength = length
		p.Complete()
		if p.DeliveryDigits == p.CodeLength {
			t.Errorf("codes of %d digits look alike", length)
		}
	}
}
