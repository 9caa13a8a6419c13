// SPDX-License-Identifier: Apache-2.0

package diagnose_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/diagnose"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

var began = time.Date(2026, 11, 25, 14, 2, 0, 0, time.UTC)

// pending is a verification whose only message was queued at the beginning, seen after a time.
func pending(after time.Duration, m verification.MessageView) *verification.Facts {
	m.QueuedAt = began
	if m.Channel == "" {
		m.Channel = service.SMS
	}
	return &verification.Facts{
		View: verification.View{
			Status: verification.Pending, ExpiresAt: began.Add(10 * time.Minute), TriesLeft: 5, SendsLeft: 4, Messages: []verification.MessageView{m},
		},
		Now: began.Add(after), Expects: true,
	}
}

func sent() verification.MessageView {
	return verification.MessageView{Status: verification.Sent, SentAt: began}
}

func undelivered(o message.Outcome) verification.MessageView {
	return verification.MessageView{
		Status: verification.Undelivered, SentAt: began, ReceiptAt: began.Add(time.Second), Attempts: []verification.Attempt{{Provider: "net", Outcome: o}},
	}
}

func with(f *verification.Facts, change func(*verification.Facts)) *verification.Facts {
	change(f)
	return f
}

// Each of the seven causes is named for what shows it, and so is what helps most.
// Keeps: G.1
func TestCauses(t *testing.T) {
	t.Parallel()
	tried := func(how otp.Wrong) *verification.Facts {
		return with(pending(2*time.Minute, sent()), func(f *verification.Facts) {
			f.Tries, f.TriedAt, f.Clear, f.TriesLeft = []otp.Wrong{how}, began.Add(time.Minute), true, 4
		})
	}
	unclear := func(k otp.TypedKind) *verification.Facts {
		return with(pending(2*time.Minute, sent()), func(f *verification.Facts) {
			f.Unclear, f.TriedAt = []otp.TypedKind{k}, began.Add(time.Minute)
		})
	}
	over := func(s verification.Status, f *verification.Facts) *verification.Facts {
		f.Status, f.EndedAt, f.TriesLeft, f.SendsLeft = s, began.Add(10*time.Minute), 0, 0
		return f
	}
	fast := func(f *verification.Facts) {
		f.Usual = verification.Usual{Half: 2 * time.Second, Most: 4 * time.Second, Count: 20}
	}
	slow := func(f *verification.Facts) {
		f.Usual = verification.Usual{Half: time.Minute, Most: 2 * time.Minute, Count: 20}
	}
	for name, c := range map[string]struct {
		facts     *verification.Facts
		hints     diagnose.Hints
		cause     diagnose.Cause
		detail    string
		certainty diagnose.Certainty
		between   diagnose.Cause
		first     diagnose.Action
	}{
		"a wrong code":              {facts: tried(otp.WrongOther), cause: diagnose.WrongCode, detail: "other", certainty: diagnose.Certain, first: diagnose.Retype},
		"a code that was replaced":  {facts: tried(otp.WrongOlder), cause: diagnose.WrongCode, detail: "older", certainty: diagnose.Certain, first: diagnose.Retype},
		"a digit is missing":        {facts: unclear(otp.TypedTooShort), cause: diagnose.WrongCode, detail: "too_short", certainty: diagnose.Certain, first: diagnose.Retype},
		"a delivery code":           {facts: unclear(otp.TypedDelivery), cause: diagnose.OtherMethod, detail: "delivery_code", certainty: diagnose.Certain, first: diagnose.Retype},
		"the app's code":            {facts: tried(otp.WrongOther), hints: diagnose.Hints{AppCode: true}, cause: diagnose.OtherMethod, detail: "app_code", certainty: diagnose.Certain, first: diagnose.UseOther},
		"too many tries, swapped":   {facts: with(over(verification.MaxAttemptsReached, tried(otp.WrongOther)), func(f *verification.Facts) { f.Tries = []otp.Wrong{otp.WrongOther, otp.WrongSwapped} }), cause: diagnose.WrongCode, detail: "swapped", certainty: diagnose.Certain, first: diagnose.NewCode},
		"expired after a try":       {facts: over(verification.Expired, tried(otp.WrongOther)), cause: diagnose.Expired, certainty: diagnose.Certain, first: diagnose.NewCode},
		"expired without a word":    {facts: over(verification.Expired, pending(10*time.Minute, sent())), cause: diagnose.Expired, certainty: diagnose.CannotTell, between: diagnose.PhoneOff, first: diagnose.NewCode},
		"expired, a landline":       {facts: over(verification.Expired, pending(10*time.Minute, undelivered(message.ContactKind))), cause: diagnose.ContactWrong, detail: "landline", certainty: diagnose.Certain, first: diagnose.NewCode},
		"off, says the network":     {facts: pending(time.Minute, undelivered(message.Absent)), cause: diagnose.PhoneOff, certainty: diagnose.Certain, first: diagnose.CheckPhone},
		"off, or late":              {facts: with(pending(3*time.Minute, sent()), fast), cause: diagnose.PhoneOff, certainty: diagnose.CannotTell, between: diagnose.Delayed, first: diagnose.CheckPhone},
		"given up without a reason": {facts: pending(time.Minute, undelivered(message.TryOther)), cause: diagnose.PhoneOff, certainty: diagnose.CannotTell, between: diagnose.ContactWrong, first: diagnose.CheckPhone},
		"on its way":                {facts: pending(20*time.Second, sent()), cause: diagnose.Delayed, certainty: diagnose.Likely, first: diagnose.Wait},
		"on its way, a slow net":    {facts: with(pending(100*time.Second, sent()), slow), cause: diagnose.Delayed, certainty: diagnose.Likely, first: diagnose.Wait},
		"not handed over yet":       {facts: pending(time.Second, verification.MessageView{Status: verification.Queued}), cause: diagnose.Delayed, detail: "queued", certainty: diagnose.Certain, first: diagnose.Wait},
		"the provider is down":      {facts: pending(9*time.Second, verification.MessageView{Status: verification.Queued, Attempts: []verification.Attempt{{Outcome: message.TryLater}}}), cause: diagnose.ServiceTrouble, detail: "provider", certainty: diagnose.Certain, first: diagnose.OtherChannel},
		"no provider took it":       {facts: over(verification.Failed, pending(10*time.Minute, verification.MessageView{Status: verification.MessageFail, Attempts: []verification.Attempt{{Outcome: message.TryLater}, {Outcome: message.Overdue}}})), cause: diagnose.ServiceTrouble, detail: "provider", certainty: diagnose.Certain, first: diagnose.NewCode},
		"our account is wrong":      {facts: pending(time.Minute, verification.MessageView{Status: verification.MessageFail, Attempts: []verification.Attempt{{Outcome: message.Misconfigured}}}), cause: diagnose.ServiceTrouble, detail: "configuration", certainty: diagnose.Certain, first: diagnose.OtherChannel},
		"the account is locked":     {facts: pending(time.Minute, sent()), hints: diagnose.Hints{Locked: true}, cause: diagnose.ServiceTrouble, detail: "account_locked", certainty: diagnose.Certain, first: diagnose.Support},
		"no such number":            {facts: pending(time.Minute, undelivered(message.Unreachable)), cause: diagnose.ContactWrong, detail: "unreachable", certainty: diagnose.Certain, first: diagnose.FixContact},
		"no such mailbox":           {facts: with(pending(time.Minute, undelivered(message.Unreachable)), func(f *verification.Facts) { f.Messages[0].Channel = service.Email }), cause: diagnose.ContactWrong, detail: "bounced", certainty: diagnose.Certain, first: diagnose.FixContact},
		"blocked by its owner":      {facts: pending(time.Minute, verification.MessageView{Status: verification.MessageFail, Attempts: []verification.Attempt{{Outcome: message.Blocked, Code: verification.BlockedByOwner}}}), cause: diagnose.ContactWrong, detail: "blocked_by_owner", certainty: diagnose.Certain, first: diagnose.Unblock},
		"used":                      {facts: over(verification.Approved, tried(otp.WrongOther)), cause: diagnose.AlreadyUsed, certainty: diagnose.Certain, first: diagnose.NewCode},
		"disowned":                  {facts: with(over(verification.Canceled, pending(time.Minute, sent())), func(f *verification.Facts) { f.Reason = verification.ReasonDisowned }), cause: diagnose.Canceled, detail: "by_owner", certainty: diagnose.Certain, first: diagnose.NewCode},
		"it has arrived":            {facts: pending(time.Minute, verification.MessageView{Status: verification.Delivered, SentAt: began, ReceiptAt: began.Add(time.Second)}), cause: diagnose.Arrived, certainty: diagnose.Certain, first: diagnose.LookAround},
		"a mail without a word":     {facts: with(pending(3*time.Minute, sent()), func(f *verification.Facts) { f.Messages[0].Channel = service.Email }), cause: diagnose.Delayed, certainty: diagnose.CannotTell, between: diagnose.ContactWrong, first: diagnose.LookAround},
	} {
		d := diagnose.Of(c.facts, c.hints)
		if d.Cause != c.cause || d.Detail != c.detail || d.Certainty != c.certainty || d.Actions[0] != c.first {
			t.Errorf("%s: %+v", name, d)
		}
		if c.between != "" && !slices.Contains(d.Between, c.between) || c.between == "" && len(d.Between) > 0 {
			t.Errorf("%s: between %v", name, d.Between)
		}
	}
}

// Whatever the facts are, there is a cause, something to do, and an honest certainty; a message can't be sent again when there are no sends left.
// Keeps: G.1
func TestAlwaysSomethingToDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := &verification.Facts{
			View: verification.View{
				Status: verification.Status(rapid.IntRange(1, 6).Draw(t, "status")), Reason: verification.Reason(rapid.IntRange(0, 3).Draw(t, "reason")),
				SendsLeft: rapid.IntRange(0, 4).Draw(t, "sends"), TriesLeft: rapid.IntRange(0, 5).Draw(t, "tries"),
			},
			Now: began.Add(time.Duration(rapid.IntRange(0, 1e6).Draw(t, "now")) * time.Millisecond), Expects: rapid.Bool().Draw(t, "expects"),
			Clear: rapid.Bool().Draw(t, "clear"),
		}
		if rapid.Bool().Draw(t, "wait") {
			f.NextSendAt = began.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "next")) * time.Second)
		}
		for range rapid.IntRange(0, 3).Draw(t, "messages") {
			m := verification.MessageView{
				Channel: rapid.SampledFrom(service.Channels()).Draw(t, "channel"), Status: verification.MessageStatus(rapid.IntRange(1, 6).Draw(t, "message")), QueuedAt: began,
			}
			for range rapid.IntRange(0, 3).Draw(t, "attempts") {
				m.Attempts = append(m.Attempts, verification.Attempt{Outcome: message.Outcome(rapid.IntRange(0, 12).Draw(t, "outcome"))})
			}
			f.Messages = append(f.Messages, m)
		}
		for range rapid.IntRange(0, 3).Draw(t, "wrong") {
			f.Tries = append(f.Tries, otp.Wrong(rapid.IntRange(0, 12).Draw(t, "how")))
			f.TriedAt = began.Add(time.Second)
		}
		if rapid.Bool().Draw(t, "unclear") {
			f.Unclear, f.TriedAt = []otp.TypedKind{otp.TypedKind(rapid.IntRange(1, 9).Draw(t, "kind"))}, began.Add(2*time.Second)
		}
		d := diagnose.Of(f, diagnose.Hints{Locked: rapid.Bool().Draw(t, "locked"), NoOther: rapid.Bool().Draw(t, "alone")})
		if !slices.Contains(diagnose.Causes(), d.Cause) || len(d.Actions) == 0 || d.Wait < 0 {
			t.Fatalf("%+v", d)
		}
		if (d.Certainty == diagnose.CannotTell) != (len(d.Between) > 0) || slices.Contains(d.Between, d.Cause) {
			t.Fatalf("%s between %v", d.Certainty, d.Between)
		}
		if f.Status == verification.Pending && f.SendsLeft == 0 && slices.Contains(d.Actions, diagnose.Resend) {
			t.Fatal("it can't be sent again")
		}
	})
}
