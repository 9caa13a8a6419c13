// SPDX-License-Identifier: Apache-2.0

package web

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// stepData is what the page of a step shows beside it.
type stepData struct {
	Key     string // makes a repeat of the form the same answer
	Sent    string // how the latest message went
	Failed  bool   // it could not be handed over or doesn't arrive
	Wait    int    // seconds until the code may be asked for again
	Until   string // how long the code is good
	Tries   string
	Over    string        // why the code no longer works
	Others  []account.Way // by which the person could go on instead
	Passkey string        // JSON for the page's script
	Change  string
	Digits  int
	CanWait bool
	Open    bool // the other ways are what helps now
	Used    bool // perhaps by somebody else
	Late    bool // the page was offline when this was typed
}

// step shows where the visitor's flow stands.
func (p *Pages) step(v *visit) error {
	s, err := p.Accounts.Look(v.Request.Context(), v.svc, p.cookie(v, cookieFlow))
	if err != nil {
		return p.flowOver(v, err)
	}
	return p.showStep(v, http.StatusOK, s, "")
}

// flowOver says that a flow can't go on. If it was finished in another tab, this one follows.
func (p *Pages) flowOver(v *visit, err error) error {
	f := fault.As(err)
	if f.Code != account.ErrFlow.Code && f.Code != account.ErrSpent.Code {
		return err
	}
	p.clear(v, cookieFlow)
	if _, err := p.Accounts.Session(v.Request.Context(), v.svc, p.cookie(v, cookieSession), v.visitor); err == nil && f.Code == account.ErrSpent.Code {
		return see(v, p.next(v, "/security"))
	}
	pg := p.page(v, "over.title")
	pg.Problem = pg.problem(f)
	return p.show(v, http.StatusUnprocessableEntity, "over.html", pg)
}

// advance goes on from a step that a form led to.
func (p *Pages) advance(v *visit, s *account.Step, err error) error {
	if err != nil {
		return p.flowOver(v, err)
	}
	if s.Next == account.StepDone {
		return p.done(v, s)
	}
	if s.Next == account.StepProven {
		p.clear(v, cookieFlow)
		p.set(v, cookieProof, s.Flow, flowTime)
		return see(v, p.next(v, "/check/messages"))
	}
	p.setFlow(v, s.Flow)
	return see(v, "/step")
}

// done takes over what a flow has reached and leads on.
func (p *Pages) done(v *visit, s *account.Step) error {
	p.clear(v, cookieFlow)
	p.keep(v, s.Done)
	if len(s.Done.RecoveryCodes) > 0 {
		return p.showRecoveryCodes(v, s.Done.RecoveryCodes)
	}
	otherwise := "/security"
	switch s.Kind {
	case account.FlowEnable, account.FlowAddApp, account.FlowAddPasskey:
		otherwise = "/security/two-step"
	case account.FlowAddContact, account.FlowConfirmContact:
		otherwise = "/security/contacts"
	case account.FlowUndo:
		otherwise = "/security/password"
	}
	return see(v, p.next(v, otherwise))
}

// send asks for a code: the person's own press.
func (p *Pages) send(v *visit) error {
	s, err := p.Accounts.Send(v.Request.Context(), v.svc, p.cookie(v, cookieFlow), v.form("way"), v.visitor)
	return p.stepOrProblem(v, s, err)
}

// choose goes on by another way. One that is sent is asked for on its own page.
func (p *Pages) choose(v *visit) error {
	s, err := p.Accounts.Choose(v.Request.Context(), v.svc, p.cookie(v, cookieFlow), v.form("way"))
	return p.stepOrProblem(v, s, err)
}

// answer judges what was typed, or what an authenticator signed.
func (p *Pages) answer(v *visit) error {
	if v.Request.PostForm.Has("repeat") && v.form("password") != v.form("repeat") {
		return p.stepOrProblem(v, nil, errRepeat)
	}
	s, err := p.Accounts.Answer(v.Request.Context(), v.svc, p.cookie(v, cookieFlow), &account.Answer{
		Typed: v.form("code"), Password: secret.NewText(v.form("password")), Passkey: []byte(v.form("passkey")), Trust: v.form("trust") != "",
		Key: v.form("key"), Session: p.cookie(v, cookieSession), Visitor: *v.visitor,
	})
	if err == nil && s.Problem != nil {
		return p.showStep(v, http.StatusUnprocessableEntity, s, v.form("code"))
	}
	return p.stepOrProblem(v, s, err)
}

var errRepeat = fault.New(fault.Invalid, "password_repeat", "The two passwords differ.").WithField("password")

// stepOrProblem leads on, or shows the step as it is with what was refused.
func (p *Pages) stepOrProblem(v *visit, s *account.Step, err error) error {
	if err == nil {
		return p.advance(v, s, nil)
	}
	f := fault.As(err)
	switch f.Kind {
	case fault.Internal, fault.Canceled, fault.Unauthorized, fault.Unavailable:
		return err
	}
	s, e := p.Accounts.Look(v.Request.Context(), v.svc, p.cookie(v, cookieFlow))
	if e != nil {
		return p.flowOver(v, e)
	}
	s.Problem = &account.Problem{Code: f.Code, Fault: f}
	return p.showStep(v, statusOf(f), s, v.form("code"))
}

// alone starts a recovery with the one proof that there is.
func (p *Pages) alone(v *visit) error {
	s, err := p.Accounts.RecoverAlone(v.Request.Context(), v.svc, p.cookie(v, cookieFlow), v.visitor)
	return p.stepOrProblem(v, s, err)
}

// drop ends a flow, by the person who says that they didn't ask for it or want it no more.
func (p *Pages) drop(v *visit) error {
	if err := p.Accounts.Drop(v.Request.Context(), v.svc, p.cookie(v, cookieFlow)); err != nil {
		return err
	}
	p.clear(v, cookieFlow)
	pg := p.page(v, "dropped.title")
	return p.show(v, http.StatusOK, "dropped.html", pg)
}

func (p *Pages) showStep(v *visit, status int, s *account.Step, typed string) error {
	p.setFlow(v, s.Flow)
	pg := p.page(v, "step."+string(s.Next)+".title")
	pg.Step, pg.Typed = s, typed
	var key [8]byte
	_, _ = rand.Read(key[:]) // never fails: it ends the program instead
	d := &stepData{Key: hex.EncodeToString(key[:]), Passkey: string(s.Passkey), CanWait: s.Kind == account.FlowRecover && s.Proven > 0, Digits: 6}
	if again := v.form("key"); len(again) == len(d.Key) && s.Problem == nil {
		d.Key = again
	}
	d.Late = v.form("offline") != "" && s.Problem != nil
	for i := range s.Ways {
		if s.Way == nil || s.Ways[i].ID != s.Way.ID {
			d.Others = append(d.Others, s.Ways[i])
		}
	}
	switch s.Next {
	case account.StepCode:
		if p.codeData(pg, d); d.Over != "" {
			pg.Title = pg.T("step.send.title") // there is nothing to enter
		}
	case account.StepPasskey:
		if s.Kind == account.FlowAddPasskey || s.Kind == account.FlowSignUpPasskey {
			pg.Title = pg.T("step.passkey.make")
		}
	case account.StepApp:
		if s.Kind == account.FlowAddApp {
			pg.Title = pg.T("step.app.setup")
		}
	case account.StepChoose:
		if s.Kind == account.FlowRecover || s.Kind == account.FlowUndo {
			pg.Title = pg.T("step.choose." + s.Kind.String())
		}
	}
	if s.Change != nil {
		d.Change = pg.change(s.Change)
	}
	pg.Field = map[account.StepKind]string{account.StepPassword: "password", account.StepNewPassword: "password"}[s.Next]
	if pg.Field == "" {
		pg.Field = "code"
	}
	pg.Problem = pg.wrong(s)
	if d.Over != "" { // with why there is no new one, if that was asked for
		pg.Problem, pg.Field = strings.TrimSpace(d.Over+" "+pg.Problem), ""
	}
	pg.Data = d
	return p.show(v, status, "step.html", pg)
}

// change is a sensitive change in words.
func (pg *page) change(c *account.Change) string {
	return pg.T("change."+c.Kind.String(), "what", c.What)
}

// codeData is what the code page tells of the code that was sent.
func (p *Pages) codeData(pg *page, d *stepData) {
	c := pg.Step.Code
	d.Digits = c.CodeLength
	d.Until = pg.T("code.until", "time", pg.Clock(c.ExpiresAt))
	d.Tries = pg.N("code.tries", c.TriesLeft)
	if wait := c.NextSendAt.Sub(p.Now()); !c.NextSendAt.IsZero() && wait > 0 {
		d.Wait = int((wait + time.Second - 1) / time.Second)
	}
	if n := len(c.Messages); n > 0 {
		m := c.Messages[n-1]
		d.Failed = m.Status == verification.MessageFail || m.Status == verification.Undelivered
		key := map[bool]string{true: "code.failed", false: "code.sent_" + string(m.Channel)}[d.Failed]
		if m.Status == verification.Delivered && m.Channel != service.Voice {
			key = "code.arrived"
		}
		d.Sent = pg.T(key, "contact", pg.Contact(pg.Step.Way), "time", pg.Clock(m.QueuedAt))
	}
	if c.Status != verification.Pending {
		d.Over = pg.T("code.over_"+c.Status.String(), "time", pg.Clock(c.ExpiresAt))
	}
	d.Open, d.Used = d.Failed || d.Over != "", c.Status == verification.Approved
}

// wrong says why an answer didn't do.
func (pg *page) wrong(s *account.Step) string {
	switch {
	case s.Problem == nil:
		return ""
	case s.Problem.Fault != nil:
		return pg.problem(s.Problem.Fault)
	case s.Problem.Checked == nil:
		return pg.T("problem."+s.Problem.Code, "n", 6)
	}
	c := s.Problem.Checked
	tries := pg.N("code.tries", c.TriesLeft)
	switch c.Result {
	case verification.WrongCode:
		return pg.T("problem.wrong_code") + " " + tries
	case verification.Superseded:
		return pg.T("problem.superseded_code", "time", pg.Clock(c.RenewedAt), "contact", pg.Contact(s.Way)) + " " + tries
	case verification.Unclear:
		return pg.unclear(c)
	}
	return "" // the page says that it is over, and what to do
}

func (pg *page) unclear(c *verification.Checked) string {
	switch c.Typed {
	case otp.TypedEmpty:
		return pg.T("problem.empty_code", "n", c.CodeLength)
	case otp.TypedDelivery:
		return pg.T("problem.delivery_code")
	case otp.TypedSeveral:
		return pg.T("problem.several_codes", "n", c.CodeLength)
	case otp.TypedTooShort, otp.TypedTooLong:
		return pg.T("problem.length_code", "n", c.CodeLength, "typed", c.TypedDigits)
	}
	return pg.T("problem.no_code", "n", c.CodeLength)
}
