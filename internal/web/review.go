// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
)

// reviewData is the codes that somebody may mean, or the checklist.
type reviewData struct {
	Codes   []account.SentMessage
	Review  *account.ReviewView
	Blocked map[string]time.Time // contacts of the account that get no codes, by id
}

// recentCodes is how far back the page of unrequested codes looks.
const recentCodes = 3 * 24 * time.Hour

// review is the page about a code that somebody got: at once the checklist if there is one.
func (p *Pages) review(v *visit) error {
	if v.signed == nil {
		p.setNext(v, "/review")
		return p.show(v, http.StatusOK, "reviewout.html", p.page(v, "review.title"))
	}
	d := &reviewData{Review: p.Accounts.ReviewOf(v.signed)}
	if d.Review != nil {
		pg := p.center(v, "review.list")
		pg.Data = d
		return p.show(v, http.StatusOK, "checklist.html", pg)
	}
	all, err := p.Accounts.Sent(v.Request.Context(), v.signed)
	if err != nil {
		return err
	}
	d.Codes = slices.DeleteFunc(all, func(m account.SentMessage) bool { return m.ID.IsZero() || p.Now().Sub(m.At) > recentCodes })
	if d.Blocked, err = p.Accounts.Blocked(v.Request.Context(), v.signed); err != nil {
		return err
	}
	pg := p.center(v, "review.title")
	pg.Data = d
	return p.show(v, http.StatusOK, "review.html", pg)
}

// doReview is one of the three answers.
func (p *Pages) doReview(v *visit) error {
	var err error
	closed := ""
	switch v.form("answer") {
	case "me":
		closed = "review.closed_me"
	case "mistyped":
		closed = "review.closed_mistyped"
		err = p.Accounts.Mistyped(v.Request.Context(), v.signed, v.visitor)
	default:
		var id ledger.ID
		if raw, e := hex.DecodeString(v.form("id")); e == nil && len(raw) == len(id) {
			copy(id[:], raw)
		}
		_, err = p.Accounts.BeginReview(v.Request.Context(), v.signed, id, v.visitor)
	}
	if err != nil {
		return err
	}
	if closed == "" {
		return see(v, "/review")
	}
	pg := p.center(v, "review.title")
	pg.Data = pg.T(closed)
	return p.show(v, http.StatusOK, "reviewclosed.html", pg)
}

func (p *Pages) doReviewStep(v *visit) error {
	if err := p.Accounts.Review(v.Request.Context(), v.signed, v.form("step"), v.visitor); err != nil {
		return err
	}
	return see(v, "/review")
}

func (p *Pages) doReviewEnd(v *visit) error {
	if err := p.Accounts.EndReview(v.Request.Context(), v.signed, v.visitor); err != nil {
		return err
	}
	return see(v, "/security")
}

func (p *Pages) doUnblock(v *visit) error {
	if err := p.Accounts.Unblock(v.Request.Context(), v.signed, v.form("id"), v.visitor); err != nil {
		return err
	}
	return see(v, "/review")
}

// check asks what somebody doubts.
func (p *Pages) check(v *visit) error {
	return p.show(v, http.StatusOK, "check.html", p.page(v, "check.title"))
}

// sentData is what was sent, and to whom it is shown.
type sentData struct {
	Messages []account.SentMessage
	Proven   string    // the contact that a visitor without a session has proven, in words
	Blocked  time.Time // until when it gets no codes
}

// sent lists what was sent to a signed-in person, or to a contact that a visitor has proven; others say who they are first.
func (p *Pages) sent(v *visit) error {
	d := &sentData{}
	if v.signed != nil {
		pg := p.center(v, "sent.title")
		var err error
		if d.Messages, err = p.Accounts.Sent(v.Request.Context(), v.signed); err != nil {
			return err
		}
		pg.Data = d
		return p.show(v, http.StatusOK, "sent.html", pg)
	}
	proven, err := p.Accounts.ProvenBy(v.svc, p.cookie(v, cookieProof))
	if err != nil {
		p.setNext(v, "/check/messages")
		return p.show(v, http.StatusOK, "prove.html", p.page(v, "sent.who"))
	}
	pg := p.page(v, "sent.title")
	if d.Messages, err = p.Accounts.SentTo(v.Request.Context(), proven); err != nil {
		return err
	}
	if d.Blocked, err = p.Accounts.BlockedTo(v.Request.Context(), proven); err != nil {
		return err
	}
	d.Proven, pg.Data = proven.Masked(), d
	return p.show(v, http.StatusOK, "sent.html", pg)
}

// doProve begins the proof of a contact by a visitor: a press, which costs a message.
func (p *Pages) doProve(v *visit) error {
	to, err := p.contact(v)
	if err == nil {
		var s *account.Step
		if s, err = p.beginProof(v, to); err == nil {
			return p.advance(v, s, nil)
		}
	} else {
		err = fault.As(err).WithField("contact")
	}
	pg := p.page(v, "sent.who")
	pg.Typed = v.form("contact")
	return p.again(v, err, "prove.html", pg, "contact")
}

// beginProof sends a code to a contact.
func (p *Pages) beginProof(v *visit, to contact.Contact) (*account.Step, error) {
	s, err := p.Accounts.Prove(v.Request.Context(), v.svc, to, v.visitor)
	return p.sendProof(v, s, err)
}

func (p *Pages) sendProof(v *visit, s *account.Step, err error) (*account.Step, error) {
	if err != nil {
		return nil, err
	}
	return p.Accounts.Send(v.Request.Context(), v.svc, s.Flow, "", v.visitor)
}

// doBlock is what a visitor who has proven a contact has done about codes to it.
func (p *Pages) doBlock(v *visit) error {
	proven, err := p.Accounts.ProvenBy(v.svc, p.cookie(v, cookieProof))
	if err != nil {
		return see(v, "/check/messages")
	}
	if v.form("do") == "end" {
		_, err = p.Accounts.DisownTo(v.Request.Context(), proven)
	} else {
		err = p.Accounts.BlockTo(v.Request.Context(), proven, v.form("do") == "unblock")
	}
	if err != nil {
		return err
	}
	return see(v, "/check/messages")
}

// FirstLeft is the step of a checklist that comes next; empty: all are done.
func (pg *page) FirstLeft(r *account.ReviewView) string {
	for _, s := range r.Steps {
		if !s.Done {
			return s.Name
		}
	}
	return ""
}

// Sent is a message that was sent, in words: what it was.
func (pg *page) Sent(m account.SentMessage) string {
	switch {
	case m.ID.IsZero() && pg.pages.words.has("change."+m.Notice.String()):
		return pg.T("change."+m.Notice.String(), "what", "")
	case m.ID.IsZero():
		return pg.T("sent.notice")
	case m.Purpose == "":
		return pg.T("sent.code.any")
	}
	return pg.T("sent.code."+string(m.Purpose), "amount", m.Detail.Amount, "payee", m.Detail.Payee)
}

// SentBy is by what channel a message went, and to which contact.
func (pg *page) SentBy(m account.SentMessage) string {
	to := m.To
	if m.Kind == contact.Phone {
		to = pg.T("contact.phone", "digits", m.Digits)
	}
	return pg.T("sent.by."+string(m.Channel), "contact", to)
}

// AskedBy is from what device and where a code was asked for; empty: it isn't told.
func (pg *page) AskedBy(m account.SentMessage) string {
	if m.Asked.Device == "" && m.Asked.Place == "" {
		return ""
	}
	device, where := m.Asked.Device, m.Asked.Place
	if device == "" {
		device = pg.T("review.unknown")
	}
	if where == "" {
		where = m.Asked.IP
	}
	return pg.T("review.asked", "device", device, "place", where)
}
