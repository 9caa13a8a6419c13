// SPDX-License-Identifier: Apache-2.0

package web

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// shown is the page of a step.
func shown(t *testing.T, s *account.Step) string {
	t.Helper()
	p := pages(t)
	p.mux.Handle("GET /test", func(x *httpx.Exchange) error {
		v, err := p.visit(x)
		if err != nil {
			return err
		}
		return p.showStep(v, http.StatusOK, s, "")
	})
	body, err := io.ReadAll(ask(p, "GET", "/test", nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(body), "&#39;", "'")
}

// What the code page says of a code, and what it offers.
// Keeps: A.4
func TestCodePage(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ways := []account.Way{{ID: "c1", Method: account.MethodSMS, Kind: contact.Phone, Digits: "21"}, {ID: "a1", Method: account.MethodApp}}
	step := func(status verification.Status, message verification.MessageStatus) *account.Step {
		return &account.Step{Kind: account.FlowSignIn, Next: account.StepCode, Way: &ways[0], Ways: ways, Code: &verification.View{
			Status: status, CodeLength: 6, ExpiresAt: now.Add(time.Minute), TriesLeft: 5, NextSendAt: now.Add(24 * time.Second),
			Messages: []verification.MessageView{{Channel: service.SMS, Status: message, QueuedAt: now}},
		}}
	}
	refused := step(verification.Expired, verification.Sent)
	refused.Problem = &account.Problem{Code: "contact_sends_exhausted", Fault: fault.New(fault.TooMany, "contact_sends_exhausted", "").WithRetry(time.Hour)}
	for name, c := range map[string]struct {
		step      *account.Step
		says, not []string
	}{
		"sent": {step(verification.Pending, verification.Sent), []string{
			`autocomplete="one-time-code"`, `inputmode="numeric"`, "We texted it to the phone ending in 21 at", "5 tries left", `data-wait="24"`,
			"Nobody from Acme will ever ask you for this code.", "I didn't ask for this", "Try another way",
		}, []string{"maxlength", "Error:", "<details class=\"ways\" open", `name="password"`}},
		"failed":   {step(verification.Pending, verification.MessageFail), []string{"We couldn't get the message", "Try again", `<details class="ways" open><summary>Try another way`}, nil},
		"expired":  {step(verification.Expired, verification.Sent), []string{"That code was good until", "Send a new code", "<title>Error: Get a code"}, []string{`id="code"`, `href="#code"`}},
		"used":     {step(verification.Approved, verification.Sent), []string{"This code has already been used.", "It wasn't me"}, []string{`id="code"`}},
		"too many": {step(verification.MaxAttemptsReached, verification.Sent), []string{"Too many tries", "your authenticator app"}, []string{`id="code"`}},
		"refused":  {refused, []string{"That code was good until", "Try again in 60 minutes"}, []string{`href="#code"`}},
	} {
		t.Run(name, func(t *testing.T) { // at once: a wait on the page counts down
			page := shown(t, c.step)
			for _, words := range c.says {
				if !strings.Contains(page, words) {
					t.Errorf("it doesn't say %q:\n%s", words, page)
				}
			}
			for _, words := range c.not {
				if strings.Contains(page, words) {
					t.Errorf("it says %q:\n%s", words, page)
				}
			}
		})
	}
}
