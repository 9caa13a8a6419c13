// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/countersign/countersign/internal/authentic"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/service"
)

// What a recipient does about a delivery. Each is a page of its own with one question, and a form that acts.

// acted leads back to the delivery's page after a press.
func (p *Pages) acted(v *visit, d *parcel, err error) error {
	if err != nil {
		return p.meanwhile(v, err)
	}
	return see(v, d.Path)
}

// doNobody stops the acceptance (S30).
func (p *Pages) doNobody(v *visit, d *parcel) error {
	_, err := p.Handovers.NobodyHere(v.Request.Context(), v.svc, d.ID)
	return p.acted(v, d, err)
}

// doHere resumes it.
func (p *Pages) doHere(v *visit, d *parcel) error {
	_, err := p.Handovers.HereAfterAll(v.Request.Context(), v.svc, d.ID)
	return p.acted(v, d, err)
}

// byChannel is where a delivery code goes by a channel: to the first contact that has it.
func (d *parcel) byChannel(ch service.Channel) (contact.Contact, bool) {
	for i := 0; ; i++ {
		c, ok := d.Contact(i)
		if !ok || (c.Kind() == contact.Email) == (ch == service.Email) {
			return c, ok
		}
	}
}

// sendingPage is the page on which the code is sent once more.
func (p *Pages) sendingPage(v *visit, d *parcel) *page {
	pg := p.about(v, d, "")
	pg.Title = pg.T("track.send")
	for _, ch := range d.Channels {
		if c, ok := d.byChannel(ch); ok {
			d.Sends = append(d.Sends, sendWay{ch, pg.T("way."+string(ch), "contact", pg.Told(c))})
		}
	}
	d.Sent, d.Chosen = pg.codeSent(d), v.form("channel")
	if len(d.Sends) > 0 && d.Chosen == "" {
		d.Chosen = string(d.Sends[0].Channel)
	}
	if wait := d.NextSendAt.Sub(p.Now()); !d.NextSendAt.IsZero() && wait > 0 {
		d.Wait = int((wait + time.Second - 1) / time.Second)
	}
	return pg
}

func (p *Pages) trackSend(v *visit, d *parcel) error {
	if !d.UnderWay() {
		return see(v, d.Path)
	}
	return p.show(v, http.StatusOK, "tracksend.html", p.sendingPage(v, d))
}

func (p *Pages) doTrackSend(v *visit, d *parcel) error {
	_, err := p.Handovers.SendAgain(v.Request.Context(), v.svc, d.ID, service.Channel(v.form("channel")))
	if err == nil {
		return see(v, d.Path)
	}
	return p.refused(v, err, "tracksend.html", p.sendingPage(v, d), "channel")
}

// sharingPage is the page of passes for neighbours.
func (p *Pages) sharingPage(v *visit, d *parcel) (*page, error) {
	pg := p.about(v, d, "")
	pg.Title, pg.Typed = pg.T("track.share"), v.form("name")
	var err error
	d.Passes, err = p.Handovers.Passes(v.Request.Context(), v.svc, d.ID)
	return pg, err
}

// CanShare tells whether there can be one more pass.
func (d *parcel) CanShare() bool {
	return d.PassAllowed && d.UnderWay() && len(d.Passes) < handover.MaxPasses
}

// PassLink is the whole address of a pass's page: it is copied into a message.
func (pg *page) PassLink(o *handover.Pass) string {
	return pg.pages.Handovers.Origin(pg.Service) + "/p/" + o.Token
}

func (p *Pages) share(v *visit, d *parcel) error {
	pg, err := p.sharingPage(v, d)
	if err != nil {
		return err
	}
	return p.show(v, http.StatusOK, "trackshare.html", pg)
}

func (p *Pages) doShare(v *visit, d *parcel) error {
	_, err := p.Handovers.Share(v.Request.Context(), v.svc, d.ID, v.form("name"))
	if err == nil {
		return see(v, d.Path+"/share")
	}
	pg, e := p.sharingPage(v, d)
	if e != nil {
		return e
	}
	return p.refused(v, err, "trackshare.html", pg, "name")
}

func (p *Pages) doWithdraw(v *visit, d *parcel) error {
	number, err := strconv.Atoi(v.form("number"))
	if err == nil {
		_, err = p.Handovers.Withdraw(v.Request.Context(), v.svc, d.ID, number)
	} else {
		err = nil // no pass of that number: the list shows those that there are
	}
	if err != nil && fault.As(err).Kind != fault.NotFound {
		return p.meanwhile(v, err)
	}
	return see(v, d.Path+"/share")
}

// HasDays tells whether there is another day to choose.
func (pg *page) HasDays() bool {
	d, ok := pg.Data.(*parcel)
	return ok && len(d.View.Days(pg.pages.Now())) > 0
}

// dayPage is the choice of another day.
func (p *Pages) dayPage(v *visit, d *parcel) *page {
	pg := p.about(v, d, "")
	pg.Title, d.Chosen = pg.T("track.another"), v.form("day")
	for _, date := range d.View.Days(p.Now()) {
		if at, err := time.ParseInLocation(time.DateOnly, date, d.Zone); err == nil {
			d.Days = append(d.Days, dayChoice{date, pg.dayWords(d.View, at.Add(12*time.Hour), true)})
		}
	}
	return pg
}

func (p *Pages) otherDay(v *visit, d *parcel) error {
	pg := p.dayPage(v, d)
	if len(d.Days) == 0 {
		return see(v, d.Path)
	}
	return p.show(v, http.StatusOK, "trackday.html", pg)
}

func (p *Pages) doOtherDay(v *visit, d *parcel) error {
	_, err := p.Handovers.AnotherDay(v.Request.Context(), v.svc, d.ID, v.form("day"))
	if err == nil {
		return see(v, d.Path)
	}
	return p.refused(v, err, "trackday.html", p.dayPage(v, d), "day")
}

func (p *Pages) refusing(v *visit, d *parcel) error {
	if !d.CanRefuse() {
		return see(v, d.Path)
	}
	pg := p.about(v, d, "")
	pg.Title = pg.T("track.refuse_ask")
	return p.show(v, http.StatusOK, "trackrefuse.html", pg)
}

func (p *Pages) doRefuse(v *visit, d *parcel) error {
	_, err := p.Handovers.Refuse(v.Request.Context(), v.svc, d.ID)
	return p.acted(v, d, err)
}

func (p *Pages) askedPage(v *visit, d *parcel) *page {
	pg := p.about(v, d, "")
	pg.Title, pg.Typed = pg.T("track.asked"), v.form("text")
	return pg
}

func (p *Pages) asked(v *visit, d *parcel) error {
	if !d.CanTell() {
		return see(v, d.Path)
	}
	return p.show(v, http.StatusOK, "trackasked.html", p.askedPage(v, d))
}

// doAsked has the code changed and support told. What was written is blanked before anything else sees it (S24).
func (p *Pages) doAsked(v *visit, d *parcel) error {
	changed := d.UnderWay()
	_, err := p.Handovers.AskedByPhone(v.Request.Context(), v.svc, d.ID, authentic.Blank(v.form("text")), v.visitor.IP)
	if err != nil {
		return p.refused(v, err, "trackasked.html", p.askedPage(v, d), "text")
	}
	pg := p.about(v, d, "")
	pg.Title = pg.T("track.told")
	d.Says = []string{pg.T("track.told_support")}
	if changed {
		d.Says = append([]string{pg.T("track.told_changed")}, d.Says...)
	}
	d.Says = append(d.Says, pg.T("track.told_already"))
	return p.show(v, http.StatusOK, "tracktold.html", pg)
}
