// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/diagnose"
	"github.com/countersign/countersign/internal/verification"
)

// Diagnosis is why a code isn't working.
type Diagnosis struct {
	Cause     string     `json:"cause" enum:"wrong_code,expired,phone_off,delayed,service_trouble,contact_wrong,other_method,already_used,canceled,arrived"`
	Detail    string     `json:"detail,omitempty" doc:"Which kind of it, such as landline, blocked_by_owner, delivery_code, older, swapped. While the verification is pending, how close a guess was is not told."`
	Certainty string     `json:"certainty" enum:"certain,likely,cannot_tell"`
	Between   []string   `json:"between,omitempty" doc:"Of cannot_tell: what it may be instead."`
	WaitFor   int        `json:"wait_seconds,omitzero" doc:"How long what was sent may still take, or until the next message may be asked for."`
	Usual     int        `json:"usual_seconds,omitzero" doc:"How long nine in ten messages to this network take now; absent: not known."`
	Actions   []string   `json:"actions" doc:"What helps, the best first: retype, new_code, resend, other_channel, other_method, fix_contact, unblock, wait, check_phone, look_around, review, support."`
	Evidence  []Evidence `json:"evidence" doc:"What it rests on."`
}

// Evidence is one fact that a diagnosis rests on.
type Evidence struct {
	Fact    string    `json:"fact" doc:"sent, delivered, undelivered, queued, not_sent, tried, tries, expired, ended, replaced, usual, provider, no_receipt."`
	At      time.Time `json:"at,omitzero"`
	Seconds int       `json:"seconds,omitzero"`
	Count   int       `json:"count,omitzero"`
}

func diagnosisOf(d *diagnose.Diagnosis) *Diagnosis {
	out := &Diagnosis{
		Cause: string(d.Cause), Detail: d.Detail, Certainty: string(d.Certainty), WaitFor: seconds(d.Wait), Usual: seconds(d.Usual), Actions: []string{}, Evidence: []Evidence{},
	}
	for _, c := range d.Between {
		out.Between = append(out.Between, string(c))
	}
	for _, a := range d.Actions {
		out.Actions = append(out.Actions, string(a))
	}
	for _, e := range d.Evidence {
		out.Evidence = append(out.Evidence, Evidence{Fact: e.Key, At: e.At, Seconds: seconds(e.For), Count: e.N})
	}
	return out
}

// diagnosis says why a verification's code isn't working. It is asked as often as somebody likes and changes nothing.
func (a *API) diagnosis(c *call) error {
	id, err := verification.ParseID(c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	f, err := a.Engine.Facts(c.context(), c.svc, id)
	if err != nil {
		return err
	}
	var h diagnose.Hints
	if !f.Account.IsZero() { // a flow's of an account; an application's own id finds none
		v, err := a.Accounts.Get(c.context(), c.svc, f.Account, account.By{Role: account.Operator})
		h.Locked = err == nil && v.State == account.Locked
	}
	d := diagnose.Of(f, h)
	return write(c, 200, diagnosisOf(&d))
}
