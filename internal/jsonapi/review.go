// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// SentMessages is what was sent to a person's contacts, the latest first.
type SentMessages struct {
	Messages     []SentMessage `json:"messages"`
	BlockedUntil time.Time     `json:"blocked_until,omitzero" doc:"Of a proven contact: its owner has codes stopped until then."`
}

// SentMessage is one message that was sent: never the code.
type SentMessage struct {
	Verification string    `json:"verification,omitempty" doc:"Of a code."`
	Notice       string    `json:"notice,omitempty" doc:"Of a notice: what it told."`
	SentAt       time.Time `json:"sent_at"`
	To           string    `json:"to" doc:"Masked."`
	Channel      string    `json:"channel"`
	Status       string    `json:"status,omitempty" doc:"Of a code's message." enum:"sent,delivered,undelivered"`
	Purpose      string    `json:"purpose,omitempty" doc:"Not told of a contact that is proven without an account."`
	Pending      bool      `json:"pending,omitzero" doc:"The code still works."`
	Disowned     bool      `json:"disowned,omitzero" doc:"It ended because its owner hadn't asked for it."`
	Device       string    `json:"device,omitempty" doc:"Who asked for it, in words."`
	Place        string    `json:"place,omitempty" doc:"About where, in words."`
	IP           string    `json:"ip,omitempty"`
	Amount       string    `json:"amount,omitempty"`
	Payee        string    `json:"payee,omitempty"`
}

// ReviewBody says what somebody says of a code that they got.
type ReviewBody struct {
	Answer       string  `json:"answer" doc:"mistyped: the codes that wait end, and nothing else happens. not_me: the review begins." enum:"mistyped,not_me"`
	Verification string  `json:"verification,omitempty" doc:"Which code it is about, if one alone."`
	Visitor      Visitor `json:"visitor,omitzero"`
}

// Review is what is done about a code that nobody here asked for.
type Review struct {
	StartedAt    time.Time    `json:"started_at,omitzero" doc:"Absent: there is no review."`
	Verification string       `json:"verification,omitempty"`
	ByText       bool         `json:"by_text,omitzero" doc:"It began by an answer of NO to a text."`
	CodesEnded   int          `json:"codes_ended"`
	Steps        []ReviewStep `json:"steps"`
	Done         bool         `json:"done"`
	Case         string       `json:"case,omitempty"`
}

// ReviewStep is one line of it.
type ReviewStep struct {
	Name string `json:"name" enum:"codes,sessions,password,second_step,activity,case"`
	Done bool   `json:"done"`
	Way  *Way   `json:"way,omitempty" doc:"Of second_step: the strongest method, which isn't the default yet."`
}

// ContactFlowBody is a finished flow of /v1/flows/prove.
type ContactFlowBody struct {
	Flow string `json:"flow"`
	Do   string `json:"do,omitempty" doc:"What to have done: block (for 90 days), unblock, or end (the codes that wait)." enum:"block,unblock,end"`
}

func reviewRoutes() []route {
	verify := []service.Scope{service.ScopeVerify}
	return []route{
		{"POST", "/v1/flows/prove", byKey, verify, "Prove a contact without an account; nothing is sent yet. Finished, it is worth half an hour of the two calls below", NamedBody{}, Step{}, 200, (*API).prove},
		{"POST", "/v1/flows/prove/messages", byKey, verify, "What was sent to a proven contact since yesterday, without what for", ContactFlowBody{}, SentMessages{}, 200, (*API).provenMessages},
		{"POST", "/v1/flows/prove/contact", byKey, verify, "Stop or allow codes to a proven contact, or end those that wait", ContactFlowBody{}, nil, 204, (*API).provenContact},
		{"POST", "/v1/flows/drop", byKey, verify, "End a flow and its code: the person doesn't want it, or didn't ask for it", FlowBody{}, nil, 204, (*API).flowDrop},
		{"GET", "/v1/session/messages", byPerson, verify, "What was sent to the person's contacts in the last 30 days", nil, SentMessages{}, 200, (*API).sentMessages},
		{"GET", "/v1/session/review", byPerson, verify, "What is done about a code that the person didn't ask for", nil, Review{}, 200, (*API).review},
		{"POST", "/v1/session/review", byPerson, verify, "Begin it: all codes that wait for the person's contacts end at once", ReviewBody{}, Review{}, 200, (*API).beginReview},
		{"POST", "/v1/session/review/{id}", byPerson, verify, "Do a step: sessions, second_step or activity", ByBody{}, Review{}, 200, (*API).reviewStep},
		{"DELETE", "/v1/session/review", byPerson, verify, "Put it away", ByBody{}, nil, 204, (*API).endReview},
		{"POST", "/v1/session/contacts/{id}/unblock", byPerson, verify, "Have codes sent again to a contact whose owner stopped them", ByBody{}, nil, 204, (*API).unblock},
	}
}

func sentOf(all []account.SentMessage) SentMessages {
	out := SentMessages{Messages: []SentMessage{}}
	for _, m := range all {
		one := SentMessage{
			Notice: m.Notice.String(), SentAt: m.At, To: m.To, Channel: string(m.Channel), Status: m.Status.String(), Purpose: string(m.Purpose), Pending: m.Pending,
			Disowned: m.Disowned, Device: m.Asked.Device, Place: m.Asked.Place, IP: m.Asked.IP, Amount: m.Detail.Amount, Payee: m.Detail.Payee,
		}
		if !m.ID.IsZero() {
			one.Verification = verification.FormatID(m.ID)
		}
		out.Messages = append(out.Messages, one)
	}
	return out
}

func (a *API) sentMessages(c *call) error {
	all, err := a.Accounts.Sent(c.context(), c.who)
	if err != nil {
		return err
	}
	return write(c, 200, sentOf(all))
}

func reviewOf(v *account.ReviewView) Review {
	out := Review{Steps: []ReviewStep{}}
	if v == nil {
		return out
	}
	out.StartedAt, out.ByText, out.CodesEnded, out.Done, out.Case = v.StartedAt, v.ByText, v.Ended, v.Done, v.Case
	if !v.About.IsZero() {
		out.Verification = verification.FormatID(v.About)
	}
	for _, s := range v.Steps {
		one := ReviewStep{Name: s.Name, Done: s.Done}
		if s.Way != nil {
			one.Way = &ways([]account.Way{*s.Way})[0]
		}
		out.Steps = append(out.Steps, one)
	}
	return out
}

func (a *API) review(c *call) error { return write(c, 200, reviewOf(a.Accounts.ReviewOf(c.who))) }

func (a *API) beginReview(c *call) error {
	var in ReviewBody
	v, err := a.body(c, &in, &in.Visitor)
	if err != nil {
		return err
	}
	var about ledger.ID
	if in.Verification != "" {
		if about, err = verification.ParseID(in.Verification); err != nil {
			return err
		}
	}
	switch in.Answer {
	case "mistyped":
		if err := a.Accounts.Mistyped(c.context(), c.who, v); err != nil {
			return err
		}
		return write(c, 200, reviewOf(a.Accounts.ReviewOf(c.who)))
	case "not_me":
		r, err := a.Accounts.BeginReview(c.context(), c.who, about, v)
		if err != nil {
			return err
		}
		return write(c, 200, reviewOf(r))
	}
	return fault.New(fault.Invalid, "invalid_answer", "answer must be mistyped or not_me.").WithField("answer")
}

func (a *API) reviewStep(c *call) error {
	return a.asked(c, func(_ *ByBody, v *account.Visitor) error {
		if err := a.Accounts.Review(c.context(), c.who, c.Request.PathValue("id"), v); err != nil {
			return err
		}
		now, err := a.Accounts.Session(c.context(), c.svc, c.Request.Header.Get(sessionHeader), v)
		if err != nil {
			return err
		}
		return write(c, 200, reviewOf(a.Accounts.ReviewOf(now)))
	})
}

func (a *API) endReview(c *call) error {
	return a.asks(c, func(_ *ByBody, v *account.Visitor) error { return a.Accounts.EndReview(c.context(), c.who, v) })
}

func (a *API) unblock(c *call) error {
	return a.asks(c, func(_ *ByBody, v *account.Visitor) error {
		return a.Accounts.Unblock(c.context(), c.who, c.Request.PathValue("id"), v)
	})
}

func (a *API) prove(c *call) error {
	var in NamedBody
	return a.names(c, &in, &in.Contact, &in.DefaultRegion, &in.Visitor, func(to contact.Contact, v *account.Visitor) (*account.Step, error) {
		return a.Accounts.Prove(c.context(), c.svc, to, v)
	})
}

// proven reads a finished proof of a contact.
func (a *API) proven(c *call, in *ContactFlowBody) (*account.Proven, error) {
	if _, err := a.body(c, in, &Visitor{}); err != nil {
		return nil, err
	}
	return a.Accounts.ProvenBy(c.svc, in.Flow)
}

func (a *API) provenMessages(c *call) error {
	var in ContactFlowBody
	p, err := a.proven(c, &in)
	if err != nil {
		return err
	}
	all, err := a.Accounts.SentTo(c.context(), p)
	if err != nil {
		return err
	}
	out := sentOf(all)
	if out.BlockedUntil, err = a.Accounts.BlockedTo(c.context(), p); err != nil {
		return err
	}
	return write(c, 200, out)
}

func (a *API) provenContact(c *call) error {
	var in ContactFlowBody
	p, err := a.proven(c, &in)
	if err != nil {
		return err
	}
	switch in.Do {
	case "block", "unblock":
		return nothing(c, a.Accounts.BlockTo(c.context(), p, in.Do == "unblock"))
	case "end":
		_, err := a.Accounts.DisownTo(c.context(), p)
		return nothing(c, err)
	}
	return fault.New(fault.Invalid, "invalid_do", "do must be block, unblock or end.").WithField("do")
}

func (a *API) flowDrop(c *call) error {
	var in FlowBody
	if _, err := a.body(c, &in, &in.Visitor); err != nil {
		return err
	}
	return nothing(c, a.Accounts.Drop(c.context(), c.svc, in.Flow))
}
