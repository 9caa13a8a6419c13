// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"

	"github.com/countersign/countersign/internal/fault"
)

// linkData is the page of a link that a notice carried: opening it changes nothing, a person presses.
type linkData struct {
	Stop   bool // a recovery, rather than an undo
	Token  string
	Change string
	When   string
	Asked  string
	Until  string
}

func (p *Pages) undo(v *visit) error { return p.link(v, false, v.Request.URL.Query().Get("t"), nil) }

func (p *Pages) stop(v *visit) error { return p.link(v, true, v.Request.URL.Query().Get("t"), nil) }

// link shows what a token would do; without one it asks for the key of a text.
func (p *Pages) link(v *visit, stop bool, token string, refused error) error {
	title := map[bool]string{true: "stop.title", false: "undo.title"}[stop]
	pg := p.page(v, title)
	d := &linkData{Stop: stop, Token: token}
	pg.Data, pg.Typed = d, v.form("contact")
	status := http.StatusOK
	if refused != nil {
		return p.again(v, refused, "link.html", pg, "key")
	}
	if token != "" {
		c, err := p.Accounts.LookLink(v.Request.Context(), v.svc, token)
		if err != nil {
			f := fault.As(err)
			if f.Kind != fault.Ended {
				return err
			}
			d.Token, pg.Problem, pg.Field, status = "", pg.problem(f), "key", http.StatusUnprocessableEntity
		} else {
			d.Change, d.When, d.Asked, d.Until = pg.change(c), pg.Ago(c.At), c.Asked, pg.Day(c.Until)
			pg.Once = true // the link would be lost
		}
	}
	return p.show(v, status, "link.html", pg)
}

// linkKey finds the link of somebody who types the key of a text.
func (p *Pages) linkKey(v *visit) error {
	stop := strings.HasPrefix(v.Request.URL.Path, "/stop")
	to, err := p.contact(v)
	if err != nil {
		return p.link(v, stop, "", fault.As(err).WithField("contact"))
	}
	token, err := p.Accounts.LinkToken(v.Request.Context(), v.svc, to, v.form("key"), v.visitor)
	if err != nil {
		return p.link(v, stop, "", err)
	}
	return p.link(v, stop, token.Reveal(), nil) // into a form of the same person's page, not into a URL
}

func (p *Pages) doUndo(v *visit) error {
	s, err := p.Accounts.Undo(v.Request.Context(), v.svc, v.form("t"), v.visitor)
	if err != nil {
		return p.link(v, false, "", err)
	}
	return p.advance(v, s, nil)
}

func (p *Pages) doStop(v *visit) error {
	if err := p.Accounts.StopRecovery(v.Request.Context(), v.svc, v.form("t"), v.visitor); err != nil {
		return p.link(v, true, "", err)
	}
	return p.show(v, http.StatusOK, "stopped.html", p.page(v, "stopped.title"))
}

func (p *Pages) doStopOwn(v *visit) error {
	if err := p.Accounts.StopOwnRecovery(v.Request.Context(), v.signed, v.visitor); err != nil && fault.As(err).Kind != fault.NotFound {
		return err
	}
	return see(v, "/security")
}
