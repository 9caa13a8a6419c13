// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"slices"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/diagnose"
	"github.com/countersign/countersign/internal/verification"
)

// whyData is why a code isn't working, and what to press.
type whyData struct {
	Text, Usual, Between, Wait string
	Facts                      []string
	Do                         []whyDo // the best first
	ID                         string
}

// whyDo is one thing to press: a form of ours, or a link.
type whyDo struct {
	Text, Post, Link, Way string
}

// why is the diagnosis of the code of the visitor's flow.
func (p *Pages) why(v *visit) error {
	s, err := p.Accounts.Look(v.Request.Context(), v.svc, p.cookie(v, cookieFlow))
	if err != nil {
		return p.flowOver(v, err)
	}
	if s.Diagnosis == nil {
		return see(v, "/step")
	}
	pg := p.page(v, "why.back")
	pg.Step = s
	d := s.Diagnosis
	pg.Title = pg.T(pg.whyKey(d, ""))
	data := &whyData{Text: pg.T(pg.whyKey(d, ".text")), ID: verification.FormatID(s.Code.ID)}
	if d.Usual > 0 {
		data.Usual = pg.T("why.usual", "usual", pg.pages.words.wait(pg.Lang.Tag, d.Usual))
	}
	if d.Certainty == diagnose.CannotTell && len(d.Between) > 0 {
		data.Between = pg.T("why.between", "other", pg.T("why.may."+string(d.Between[0]))) + " " + pg.T("why.cannot_tell")
	}
	if d.Wait > 0 && slices.Contains(d.Actions, diagnose.Wait) {
		data.Wait = pg.T("why.do.wait", "wait", pg.pages.words.wait(pg.Lang.Tag, d.Wait))
	}
	data.Facts, data.Do = pg.evidence(d), pg.whatHelps(d, s)
	pg.Data = data
	return p.show(v, http.StatusOK, "why.html", pg)
}

// whyKey is the sentence of a cause: of its detail where there is one.
func (pg *page) whyKey(d *diagnose.Diagnosis, part string) string {
	if key := "why." + string(d.Cause) + "." + d.Detail + part; d.Detail != "" && pg.pages.words.has(key) {
		return key
	}
	return "why." + string(d.Cause) + part
}

// evidence is what a diagnosis rests on, in words.
func (pg *page) evidence(d *diagnose.Diagnosis) []string {
	var all []string
	for _, e := range d.Evidence {
		switch key := "why.fact." + e.Key; {
		case e.Key == "tries":
			all = append(all, pg.N("code.tries", e.N))
		case !pg.pages.words.has(key) || e.At.IsZero():
		default:
			all = append(all, pg.T(key, "time", pg.Clock(e.At)))
		}
	}
	return all
}

// whatHelps turns actions into what this page can do about them. What can't be pressed is said by the text.
func (pg *page) whatHelps(d *diagnose.Diagnosis, s *account.Step) []whyDo {
	var all []whyDo
	add := func(one whyDo) {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	for _, a := range d.Actions {
		switch a {
		case diagnose.Retype:
			add(whyDo{Text: pg.T("why.do.retype"), Link: "/step"})
		case diagnose.NewCode:
			add(whyDo{Text: pg.T("why.do.new_code"), Post: "/step/send"})
		case diagnose.Resend:
			if !s.Code.NextSendAt.After(pg.pages.Now()) {
				add(whyDo{Text: pg.T("why.do.resend"), Post: "/step/send"})
			}
		case diagnose.OtherChannel, diagnose.UseOther:
			for _, w := range s.Ways {
				if s.Way == nil || w.ID != s.Way.ID {
					add(whyDo{Text: pg.Way(w), Post: "/step/choose", Way: w.ID})
				}
			}
		case diagnose.FixContact:
			if s.Kind == account.FlowSignUp {
				add(whyDo{Text: pg.T("why.do.fix"), Link: "/signup"})
			} else if s.Kind == account.FlowAddContact {
				add(whyDo{Text: pg.T("why.do.fix"), Link: "/security/contacts"})
			}
		case diagnose.Unblock:
			add(whyDo{Text: pg.T("why.do.unblock"), Link: "/review"})
		case diagnose.Review:
			add(whyDo{Text: pg.T("why.do.review"), Link: "/review"})
		case diagnose.Wait, diagnose.CheckPhone, diagnose.LookAround, diagnose.Support:
		}
	}
	return all
}
