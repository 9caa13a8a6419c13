// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/ledger"
)

// casesData is a list of cases, or one of them. Base is where its pages are: a customer's own or the staff's.
type casesData struct {
	Base  string
	List  []*care.Case
	Case  *care.Case
	Older string // the id before which there may be more; empty: there is none
	Staff bool
}

// Subjects are what a case can be about.
func (*casesData) Subjects() []care.Subject {
	return []care.Subject{care.UnrequestedCode, care.CodeNotWorking, care.SuspiciousCall, care.SuspiciousMessage, care.OtherSubject}
}

func (p *Pages) cases(v *visit) error { return p.showCases(v, nil) }

// showCases lists a person's cases, with what was refused of a new one.
func (p *Pages) showCases(v *visit, refused error) error {
	list, err := p.Care.ListOf(v.Request.Context(), v.svc, v.signed.ID)
	if err != nil {
		return err
	}
	pg := p.center(v, "cases.title")
	pg.Data = &casesData{Base: "/cases", List: list}
	if refused != nil {
		pg.Typed = v.form("text")
		return p.again(v, refused, "cases.html", pg, "text")
	}
	return p.show(v, http.StatusOK, "cases.html", pg)
}

func (p *Pages) doCase(v *visit) error {
	c, err := p.Care.Open(v.Request.Context(), v.svc, v.signed.ID, care.NewCase{Subject: care.Subject(v.form("subject")), Text: v.form("text")})
	if err != nil {
		return p.showCases(v, err)
	}
	return see(v, "/cases/"+care.FormatCase(c.ID))
}

// caseOf reads the case that the path names.
func caseOf(v *visit) (ledger.ID, error) { return care.ParseCase(v.Request.PathValue("id")) }

func (p *Pages) oneCase(v *visit) error {
	id, err := caseOf(v)
	if err != nil {
		return err
	}
	c, err := p.Care.Get(v.Request.Context(), v.svc, id, v.signed.ID)
	if err != nil {
		return err
	}
	return p.showCase(v, c, "/cases", false, nil)
}

func (p *Pages) showCase(v *visit, c *care.Case, base string, staff bool, refused error) error {
	pg := p.center(v, "cases.kind_"+string(c.Subject))
	pg.Data = &casesData{Base: base, Case: c, Staff: staff}
	if refused != nil {
		pg.Typed = v.form("text")
		return p.again(v, refused, "case.html", pg, "text")
	}
	return p.show(v, http.StatusOK, "case.html", pg)
}

// doSay writes to support, or says that a case is settled.
func (p *Pages) doSay(v *visit) error {
	id, err := caseOf(v)
	if err != nil {
		return err
	}
	if v.form("do") == "close" {
		_, err = p.Care.Close(v.Request.Context(), v.svc, id, v.signed.ID)
	} else {
		_, err = p.Care.Say(v.Request.Context(), v.svc, id, v.signed.ID, v.form("text"))
	}
	if err != nil {
		c, e := p.Care.Get(v.Request.Context(), v.svc, id, v.signed.ID)
		if e != nil {
			return e
		}
		return p.showCase(v, c, "/cases", false, err)
	}
	return see(v, "/cases/"+care.FormatCase(id))
}

// doReviewCase opens the case of a review, with what is known: nothing secret.
func (p *Pages) doReviewCase(v *visit) error {
	r := p.Accounts.ReviewOf(v.signed)
	if r == nil || r.Case != "" {
		return see(v, "/review")
	}
	pg := p.page(v, "review.title")
	facts := []care.Fact{{Key: "ended", Value: strconv.Itoa(r.Ended)}}
	sent, err := p.Accounts.Sent(v.Request.Context(), v.signed)
	if err != nil {
		return err
	}
	for _, m := range sent {
		if !m.ID.IsZero() && m.ID == r.About {
			facts = append(facts, care.Fact{Key: "code", Value: pg.Sent(m) + ", " + m.At.UTC().Format("2006-01-02 15:04 UTC")})
			if by := strings.Trim(strings.Join([]string{m.Asked.Device, m.Asked.Place, m.Asked.IP}, ", "), ", "); by != "" {
				facts = append(facts, care.Fact{Key: "device", Value: by})
			}
		}
	}
	var done []string
	for _, s := range r.Steps {
		if s.Done {
			done = append(done, pg.T("review.step."+s.Name))
		}
	}
	facts = append(facts, care.Fact{Key: "steps", Value: strings.Join(done, "; ")})
	c, err := p.Care.Open(v.Request.Context(), v.svc, v.signed.ID, care.NewCase{Subject: care.UnrequestedCode, Text: pg.T("cases.review_text"), Known: facts})
	if err != nil {
		return err
	}
	if err := p.Accounts.ReviewCase(v.Request.Context(), v.signed, care.FormatCase(c.ID)); err != nil {
		return err
	}
	return see(v, "/review")
}

// The pages of agents: a plain list, and one case.

func (p *Pages) agent(v *visit) (account.By, error) {
	return v.signed.Staff(account.Support, account.Operator)
}

func (p *Pages) staffCases(v *visit) error {
	if _, err := p.agent(v); err != nil {
		return err
	}
	var before ledger.ID
	if text := v.Request.URL.Query().Get("before"); text != "" {
		var err error
		if before, err = care.ParseCase(text); err != nil {
			return err
		}
	}
	const most = 50
	list, next, err := p.Care.List(v.Request.Context(), v.svc, "", before, most)
	if err != nil {
		return err
	}
	d := &casesData{Base: "/support/cases", List: list, Staff: true}
	if !next.IsZero() {
		d.Older = care.FormatCase(next)
	}
	pg := p.center(v, "cases.staff")
	pg.Data = d
	return p.show(v, http.StatusOK, "cases.html", pg)
}

func (p *Pages) staffCase(v *visit) error {
	by, err := p.agent(v)
	if err != nil {
		return err
	}
	id, err := caseOf(v)
	if err != nil {
		return err
	}
	c, err := p.Care.Look(v.Request.Context(), v.svc, id, by)
	if err != nil {
		return err
	}
	return p.showCase(v, c, "/support/cases", true, nil)
}

func (p *Pages) doStaffAnswer(v *visit) error {
	by, err := p.agent(v)
	if err != nil {
		return err
	}
	id, err := caseOf(v)
	if err != nil {
		return err
	}
	if v.form("do") == "close" {
		_, err = p.Care.CloseBy(v.Request.Context(), v.svc, id, by)
	} else {
		_, err = p.Care.Answer(v.Request.Context(), v.svc, id, by, v.form("text"))
	}
	if err != nil {
		c, e := p.Care.Look(v.Request.Context(), v.svc, id, by)
		if e != nil {
			return e
		}
		return p.showCase(v, c, "/support/cases", true, err)
	}
	return see(v, "/support/cases/"+care.FormatCase(id))
}

// CaseID is the public text of a case's id.
func (pg *page) CaseID(c *care.Case) string { return care.FormatCase(c.ID) }

// FactName is what a fact of a case is called; an application's own facts have names of their own.
func (pg *page) FactName(key string) string {
	if pg.pages.words.has("cases.fact." + key) {
		return pg.T("cases.fact." + key)
	}
	return key
}
