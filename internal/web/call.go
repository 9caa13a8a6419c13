// SPDX-License-Identifier: Apache-2.0

package web

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/fault"
)

// callData is what the page of calls shows.
type callData struct {
	*account.CallView
	Report bool // there is a page for it
}

// Is tells whether the call is at a stage.
func (d *callData) Is(stage string) bool { return d.Stage.String() == stage }

// Tel is a number of the brand's as a link; its form was checked when it was set.
func (pg *page) Tel(number string) template.URL {
	return template.URL("tel:" + strings.Map(func(r rune) rune { //nolint:gosec // of + and digits only
		if r == '+' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number))
}

// Isolated keeps text in one direction from mixing with a sentence in the other (Unicode UAX #9, first strong isolate).
func (*page) Isolated(text string) string { return "\u2068" + text + "\u2069" }

// Place is a device of a call in words.
func (pg *page) Place(o account.Opening) string {
	return strings.Trim(o.Device+", "+o.Place, ", ")
}

// calling is the page of calls for the person of v.signed, as it is now.
func (p *Pages) calling(v *visit) (*page, error) {
	c, err := p.Accounts.CallFor(v.Request.Context(), v.signed, v.visitor)
	if err != nil {
		return nil, err
	}
	pg := p.page(v, "call.none")
	switch {
	case c.Prove:
		pg.Title = pg.T("call.prove")
	case c.Stage == account.CallOpen:
		pg.Title = pg.T("call.open")
	}
	pg.Data = &callData{CallView: c, Report: p.shows["/report"]}
	pg.Live, err = p.changing("callnow", "/call/live", pg)
	return pg, err
}

// call answers at once whether somebody from the service calls. Who isn't signed in is told how to find out, and to hang up until then.
func (p *Pages) call(v *visit) error {
	ok, err := p.maybeSigned(v)
	if err != nil {
		return err
	}
	if !ok {
		p.setNext(v, "/call")
		return p.show(v, http.StatusOK, "callout.html", p.page(v, "call.sign_in"))
	}
	pg, err := p.calling(v)
	if err != nil {
		return err
	}
	pg.Refresh = refreshEvery
	return p.show(v, http.StatusOK, "call.html", pg)
}

// maybeSigned finds out who is signed in; false: nobody.
func (p *Pages) maybeSigned(v *visit) (bool, error) {
	s, err := p.Accounts.Session(v.Request.Context(), v.svc, p.cookie(v, cookieSession), v.visitor)
	if err != nil {
		if fault.As(err).Code == account.ErrSignedOut.Code {
			return false, nil
		}
		return false, err
	}
	v.signed = s
	return true, nil
}

// callLive keeps the page of calls up to date, until the session is over.
func (p *Pages) callLive(v *visit) error {
	v.Quiet()
	ok, err := p.maybeSigned(v)
	if err != nil || !ok {
		return p.silent(v, err)
	}
	return p.stream(v, &p.calls, v.signed.ID, func() (*live, error) {
		if ok, err := p.maybeSigned(v); err != nil || !ok {
			return nil, err
		}
		pg, err := p.calling(v)
		if err != nil {
			return nil, err
		}
		return pg.Live, nil
	})
}

// doProveCall leads to the proof that the page asks for, and back.
func (p *Pages) doProveCall(*visit) error { return account.ErrStepUp }

// doWrongCall ends the call that the person was shown. When it is over already, the page says so.
func (p *Pages) doWrongCall(v *visit) error {
	err := p.Accounts.RefuseCall(v.Request.Context(), v.signed, v.form("call"), v.visitor)
	if err != nil && fault.As(err).Kind != fault.Conflict {
		return err
	}
	return see(v, "/call")
}
