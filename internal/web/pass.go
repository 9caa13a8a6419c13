// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
)

// neighbour is a pass as its holder sees it.
type neighbour struct {
	*handover.PassShown
	Path string
	Says []string
}

// CanShow tells whether the pass's code can be shown now and would be taken.
func (d *neighbour) CanShow(pg *page) bool { return pg.canShow(d.View) }

// passed finds the pass of a link.
func (p *Pages) passed(v *visit) (*neighbour, *page, error) {
	token := v.Request.PathValue("token")
	o, err := p.Handovers.PassBy(v.Request.Context(), v.svc, token)
	if err != nil {
		return nil, nil, err
	}
	d := &neighbour{PassShown: o, Path: "/p/" + token}
	pg := p.page(v, "track.over")
	pg.Title, pg.Back, pg.Data = pg.deliveryTitle(d.View), d.Path, d
	switch {
	case d.CanShow(pg):
		d.Says = []string{pg.T("pass.text", "name", pg.Isolated(d.Name))}
		if d.State == handover.Arrived {
			d.Says = append(d.Says, pg.T("track.look_first"))
		}
	case d.State == handover.HandedOver:
	case d.State == handover.Out && pg.pages.Now().Before(d.From) && !d.Blocked && d.StoppedAt.IsZero():
		d.Says = []string{pg.T("pass.text", "name", pg.Isolated(d.Name)), pg.T("track.code_from", "time", pg.At(d.View, d.From))}
	default:
		d.Says = []string{pg.T("pass.not_now")}
	}
	at := d.Path + "/live"
	if d.State.Final() {
		at = ""
	}
	pg.Live, err = p.changing("passnow", at, pg)
	return d, pg, err
}

// pass shows a neighbour whose parcel it is and where it stands.
func (p *Pages) pass(v *visit) error {
	_, pg, err := p.passed(v)
	if err != nil {
		return p.linkOver(v, err)
	}
	if pg.Live.At != "" {
		pg.Refresh = refreshEvery
	}
	return p.show(v, http.StatusOK, "pass.html", pg)
}

// passLive keeps that page up to date, or what is said beside the pass's code.
func (p *Pages) passLive(v *visit) error {
	v.Quiet()
	d, _, err := p.passed(v)
	if err != nil {
		return err
	}
	code := v.Request.URL.Query().Has("code")
	return p.stream(v, &p.parcels, d.ID, func() (*live, error) {
		d, pg, err := p.passed(v)
		if code && (err == nil || fault.As(err).Kind == fault.NotFound) {
			pg, err = p.passCodePage(v, d)
		}
		if err != nil {
			return nil, err
		}
		return pg.Live, nil
	})
}

// passCodePage is what is said beside a pass's code; nil: the pass is there no more.
func (p *Pages) passCodePage(v *visit, d *neighbour) (*page, error) {
	path := "/p/" + v.Request.PathValue("token")
	pg := p.page(v, "track.over")
	c := &shownCode{Back: path, Over: d == nil || !d.CanShow(pg), Arrived: d != nil && d.State == handover.Arrived}
	pg.Back = path
	return pg, p.besideCode(pg, c, path+"/live?code")
}

func (p *Pages) backToPass(v *visit) error {
	d, _, err := p.passed(v)
	if err != nil {
		return p.linkOver(v, err)
	}
	return see(v, d.Path)
}

// doPassCode shows the pass's code, on a press.
func (p *Pages) doPassCode(v *visit) error {
	d, pg, err := p.passed(v)
	if err != nil {
		return p.linkOver(v, err)
	}
	var shown *handover.Shown
	if err = errNoCode; d.CanShow(pg) {
		shown, err = p.Handovers.ShowPass(v.Request.Context(), v.svc, d.ID, d.Number)
	}
	if err != nil {
		f := fault.As(err)
		if f.Kind != fault.Conflict {
			return p.linkOver(v, err)
		}
		pg.Problem = pg.problem(f)
		return p.show(v, statusOf(f), "pass.html", pg)
	}
	if pg, err = p.passCodePage(v, d); err != nil {
		return err
	}
	return p.showCode(v, pg, shown)
}
