// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rsc.io/qr"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/service"
)

// trackRoutes are the pages of a delivery: its recipient's, whose device has proven their contact, and a neighbour's. Who has only the link sees the
// state. Opening a page changes nothing.
func trackRoutes() []route {
	return []route{
		{"GET /t/{token}", perhaps, (*Pages).track},
		{"GET /t/{token}/live", perhaps, (*Pages).trackLive},
		{"POST /t/{token}/prove", perhaps, (*Pages).doTrackProve},
		{"GET /t/{token}/code", perhaps, proven((*Pages).backToParcel)},
		{"POST /t/{token}/code", perhaps, proven((*Pages).doTrackCode)},
		{"POST /t/{token}/nobody", perhaps, proven((*Pages).doNobody)},
		{"POST /t/{token}/here", perhaps, proven((*Pages).doHere)},
		{"GET /t/{token}/send", perhaps, proven((*Pages).trackSend)},
		{"POST /t/{token}/send", perhaps, proven((*Pages).doTrackSend)},
		{"GET /t/{token}/share", perhaps, proven((*Pages).share)},
		{"POST /t/{token}/share", perhaps, proven((*Pages).doShare)},
		{"POST /t/{token}/withdraw", perhaps, proven((*Pages).doWithdraw)},
		{"GET /t/{token}/day", perhaps, proven((*Pages).otherDay)},
		{"POST /t/{token}/day", perhaps, proven((*Pages).doOtherDay)},
		{"GET /t/{token}/refuse", perhaps, proven((*Pages).refusing)},
		{"POST /t/{token}/refuse", perhaps, proven((*Pages).doRefuse)},
		{"GET /t/{token}/asked", perhaps, proven((*Pages).asked)},
		{"POST /t/{token}/asked", perhaps, proven((*Pages).doAsked)},
		{"POST /t/{token}/forget", perhaps, (*Pages).doForget},
		{"GET /p/{token}", anybody, (*Pages).pass},
		{"GET /p/{token}/live", anybody, (*Pages).passLive},
		{"GET /p/{token}/code", anybody, (*Pages).backToPass},
		{"POST /p/{token}/code", anybody, (*Pages).doPassCode},
	}
}

// parcel is a delivery as one visitor may see it.
type parcel struct {
	*handover.Tracked
	Path   string // of its page
	Proven bool   // the device has shown that the recipient's contact is its owner's
	Kept   bool   // and keeps that, account or not
	Says   []string
	Ways   []contactWay // of showing that; where there is more than one
	Passes []*handover.Pass
	Sends  []sendWay
	Sent   string // how the code went the last time
	Wait   int    // seconds until it may be sent again
	Days   []dayChoice
	Chosen string // of a list
}

// contactWay is a contact that a code can be sent to.
type contactWay struct {
	Number int
	Words  string
}

// sendWay is a way by which the delivery code can be sent again.
type sendWay struct {
	Channel service.Channel
	Words   string
}

// dayChoice is a day that the recipient can choose.
type dayChoice struct{ Date, Words string }

// CanShow tells whether the code can be shown now (S28) and would be taken.
func (d *parcel) CanShow(pg *page) bool { return pg.canShow(d.View) }

func (pg *page) canShow(v *handover.View) bool {
	now := pg.pages.Now()
	begun := v.State == handover.Arrived || v.State == handover.Out && !now.Before(v.From)
	return begun && now.Before(v.GoodUntil) && !v.Blocked && v.StoppedAt.IsZero()
}

// UnderWay tells whether a code of it would be taken at the door.
func (d *parcel) UnderWay() bool {
	return d.State == handover.Out || d.State == handover.Arrived
}

// Is tells where it stands.
func (d *parcel) Is(state string) bool { return d.State.String() == state }

// CanRefuse tells whether the recipient can still refuse it here.
func (d *parcel) CanRefuse() bool {
	return d.UnderWay() || d.State == handover.Created || d.State == handover.Attempted
}

// CanTell tells whether a call that asked for the code is worth telling of.
func (d *parcel) CanTell() bool {
	return d.CanRefuse() || d.State == handover.HandedOver
}

// Told is a contact in words, never whole.
func (pg *page) Told(c contact.Contact) string {
	short := c.MaskedShort()
	return pg.Contact(&account.Way{Kind: c.Kind(), Contact: short, Digits: short[max(0, len(short)-2):]})
}

// parcel finds the delivery of a link.
func (p *Pages) parcel(v *visit) (*parcel, error) {
	token := v.Request.PathValue("token")
	t, err := p.Handovers.Track(v.Request.Context(), v.svc, token)
	if err != nil {
		return nil, err
	}
	kept := p.keeps(v, t)
	return &parcel{Tracked: t, Path: "/t/" + token, Proven: kept || v.signed != nil && v.signed.Has(t.OfRecipient), Kept: kept}, nil
}

// keeps tells whether a visitor has proven a contact of the recipient's on this device: within two weeks, or just now. An account's contacts are proven, too.
func (p *Pages) keeps(v *visit, t *handover.Tracked) bool {
	for _, kept := range p.keptParcels(v) {
		if t.ProvenBy(kept, p.Now()) {
			return true
		}
	}
	return p.justProven(v, t) != nil
}

// doForget takes from a device what it keeps of proven contacts: it may be somebody else's, or everybody's.
func (p *Pages) doForget(v *visit) error {
	d, err := p.parcel(v)
	if err != nil {
		return p.linkOver(v, err)
	}
	p.clear(v, cookieParcels)
	p.clear(v, cookieProof)
	return see(v, d.Path)
}

// keptParcels are the contacts that this device keeps a proof of.
func (p *Pages) keptParcels(v *visit) []string {
	kept := strings.FieldsFunc(p.cookie(v, cookieParcels), func(r rune) bool { return r == '.' })
	return kept[:min(len(kept), maxParcels)]
}

// justProven is the proof that the visitor has come back from, if it is of the recipient's contact.
func (p *Pages) justProven(v *visit, t *handover.Tracked) *account.Proven {
	proven, err := p.Accounts.ProvenBy(v.svc, p.cookie(v, cookieProof))
	if err != nil || !t.OfRecipient(proven.Contact()) {
		return nil
	}
	return proven
}

// keepProof has the device remember what was just proven.
func (p *Pages) keepProof(v *visit, t *handover.Tracked) {
	kept := p.keptParcels(v)
	if slices.ContainsFunc(kept, func(one string) bool { return t.ProvenBy(one, p.Now()) }) {
		return
	}
	if proven := p.justProven(v, t); proven != nil {
		all := append([]string{t.Proven(proven.Contact(), p.Now())}, kept...)
		p.set(v, cookieParcels, strings.Join(all[:min(len(all), maxParcels)], "."), parcelsTime)
	}
}

// linkOver is the page of a link that doesn't work, or not any more.
func (p *Pages) linkOver(v *visit, err error) error {
	f := fault.As(err)
	if f.Kind != fault.NotFound {
		return err
	}
	pg := p.page(v, "track.over")
	pg.Problem = pg.problem(f)
	pg.Back = "/help"
	return p.show(v, http.StatusNotFound, "linkover.html", pg)
}

// proven makes a handler of one that is for the recipient's own device. Others are led to the proof, whatever they came with (S28).
func proven(handle func(*Pages, *visit, *parcel) error) func(*Pages, *visit) error {
	return func(p *Pages, v *visit) error {
		d, err := p.parcel(v)
		if err != nil {
			return p.linkOver(v, err)
		}
		if !d.Proven {
			pg := p.proofPage(v, d)
			pg.Problem = pg.problem(handover.ErrNotProven)
			return p.show(v, http.StatusForbidden, "trackprove.html", pg)
		}
		return handle(p, v, d)
	}
}

// about is a page about a delivery; its title is given in words.
func (p *Pages) about(v *visit, d *parcel, title string) *page {
	pg := p.page(v, "track.over")
	pg.Title, pg.Back, pg.Data = title, d.Path, d
	return pg
}

func (p *Pages) proofPage(v *visit, d *parcel) *page {
	pg := p.about(v, d, "")
	pg.Title = pg.T("track.prove")
	seen := map[contact.Kind]int{}
	for i := 0; ; i++ {
		c, ok := d.Contact(i)
		if !ok {
			return pg
		}
		by := service.SMS
		if c.Kind() == contact.Email {
			by = service.Email
		}
		words := pg.T("way."+string(by), "contact", pg.Contact(&account.Way{Kind: c.Kind()})) // whoever has nothing but the link isn't told the contact
		if seen[c.Kind()]++; seen[c.Kind()] > 1 {
			words += " (" + strconv.Itoa(seen[c.Kind()]) + ")"
		}
		d.Ways = append(d.Ways, contactWay{i, words})
	}
}

// tracking is the recipient's page as it is now.
func (p *Pages) tracking(v *visit, d *parcel) (*page, error) {
	pg := p.about(v, d, "")
	var err error
	if d.Proven {
		if d.Passes, err = p.Handovers.Passes(v.Request.Context(), v.svc, d.ID); err != nil {
			return nil, err
		}
		d.Sent = pg.codeSent(d)
	}
	pg.Title, d.Says = pg.deliveryTitle(d.View), pg.deliverySays(d)
	at := d.Path + "/live"
	if d.State.Final() {
		at = ""
	}
	pg.Live, err = p.changing("tracknow", at, pg)
	return pg, err
}

// track shows a delivery to whoever has its link.
func (p *Pages) track(v *visit) error {
	d, err := p.parcel(v)
	if err != nil {
		return p.linkOver(v, err)
	}
	p.keepProof(v, d.Tracked)
	pg, err := p.tracking(v, d)
	if err != nil {
		return err
	}
	if pg.Live.At != "" {
		pg.Refresh = refreshEvery
	}
	return p.show(v, http.StatusOK, "track.html", pg)
}

// trackLive keeps the page up to date; beside a code that is shown, what is said of that code.
func (p *Pages) trackLive(v *visit) error {
	v.Quiet()
	d, err := p.parcel(v)
	if err != nil {
		return err
	}
	code, places := v.Request.URL.Query().Get("code"), &p.parcels
	if d.Proven {
		places = &p.recipients
	}
	return p.stream(v, places, d.ID, func() (*live, error) {
		if v.signed != nil {
			if ok, err := p.maybeSigned(v); err != nil {
				return nil, err
			} else if !ok {
				v.signed = nil
			}
		}
		d, err := p.parcel(v)
		if err != nil {
			return nil, err
		}
		var pg *page
		if code != "" {
			pg, err = p.codePage(v, d, code)
		} else {
			pg, err = p.tracking(v, d)
		}
		if err != nil {
			return nil, err
		}
		return pg.Live, nil
	})
}

// meanwhile shows the page again when something couldn't be done because things have changed; what else went wrong is for others.
func (p *Pages) meanwhile(v *visit, err error) error {
	f := fault.As(err)
	if f.Kind != fault.Conflict {
		return err
	}
	d, err := p.parcel(v)
	if err != nil {
		return p.linkOver(v, err)
	}
	pg, err := p.tracking(v, d)
	if err != nil {
		return err
	}
	pg.Problem = pg.problem(f)
	return p.show(v, statusOf(f), "track.html", pg)
}

// refused shows a form once more with what it ran into, or how the delivery stands by now.
func (p *Pages) refused(v *visit, err error, name string, pg *page, field string) error {
	switch fault.As(err).Kind {
	case fault.Invalid, fault.TooMany:
		return p.again(v, err, name, pg, field)
	}
	return p.meanwhile(v, err)
}

// backToParcel leads from where something was shown once to the delivery's page.
func (*Pages) backToParcel(v *visit, d *parcel) error { return see(v, d.Path) }

// doTrackProve sends a code to the contact that the parcel was announced to, and leads back here afterwards.
func (p *Pages) doTrackProve(v *visit) error {
	d, err := p.parcel(v)
	if err != nil {
		return p.linkOver(v, err)
	}
	if d.Proven {
		return see(v, d.Path)
	}
	pg := p.proofPage(v, d)
	which := v.form("contact")
	if which == "" && len(d.Ways) == 1 {
		which = "0"
	}
	n, err := strconv.Atoi(which)
	to, ok := d.Contact(n)
	if err != nil || !ok {
		return p.show(v, http.StatusOK, "trackprove.html", pg)
	}
	s, err := p.Accounts.ProveUnnamed(v.Request.Context(), v.svc, to, v.visitor)
	if s, err = p.sendProof(v, s, err); err != nil {
		return p.again(v, err, "trackprove.html", pg, "")
	}
	p.setNext(v, d.Path)
	return p.advance(v, s, nil)
}

// shownCode is a delivery code on a page, and never anywhere else.
type shownCode struct {
	Says    []string
	Code    string // in groups, behind its letter
	Spelt   string // one by one, for who listens
	Letter  string
	Ticket  string // for the QR code; empty: there is none
	Back    string
	Arrived bool // the courier has said that they are at the door
	Over    bool // it doesn't count any more
	Stop    string
}

// codePage is what is said beside a code that is shown, as it is now: who isn't let see it any more, and for what it doesn't count any more, is told so.
func (p *Pages) codePage(v *visit, d *parcel, generation string) (*page, error) {
	pg := p.about(v, d, "")
	c := &shownCode{Back: d.Path, Arrived: d.State == handover.Arrived, Over: !d.Proven || !d.CanShow(pg) || strconv.Itoa(d.Code) != generation}
	if c.Arrived {
		c.Stop = d.Path + "/nobody"
	}
	return pg, p.besideCode(pg, c, d.Path+"/live?code="+generation)
}

func (p *Pages) besideCode(pg *page, c *shownCode, at string) error {
	pg.Title = pg.T("track.code")
	switch {
	case c.Over:
		pg.Title, c.Says = pg.T("track.code_over"), []string{pg.T("track.code_over_do")}
	case c.Arrived:
		c.Says = []string{pg.T("track.arrived_now"), pg.T("track.look_first")}
	default:
		c.Says = []string{pg.T("track.code_wait")}
	}
	pg.Data, pg.Once = c, true
	var err error
	pg.Live, err = p.changing("codenow", at, pg)
	return err
}

// doTrackCode shows the code, on a press.
func (p *Pages) doTrackCode(v *visit, d *parcel) error {
	pg := p.about(v, d, "")
	if !d.CanShow(pg) {
		return p.meanwhile(v, errNoCode)
	}
	shown, err := p.Handovers.ShowCode(v.Request.Context(), v.svc, d.ID)
	if err != nil {
		return p.meanwhile(v, err)
	}
	if pg, err = p.codePage(v, d, strconv.Itoa(d.Code)); err != nil {
		return err
	}
	return p.showCode(v, pg, shown)
}

var errNoCode = fault.New(fault.Conflict, "code_not_yet", "There is no code to show now.")

func (p *Pages) showCode(v *visit, pg *page, shown *handover.Shown) error {
	c := pg.Data.(*shownCode)     //nolint:forcetypeassert // besideCode has put it there
	digits := shown.Code.Reveal() // to the recipient's own device, or the holder of a pass
	c.Letter, c.Code, c.Ticket = shown.Letter, grouped(digits), shown.Ticket
	c.Spelt = shown.Letter + " " + strings.Join(strings.Split(digits, ""), " ")
	return p.show(v, http.StatusOK, "code.html", pg)
}

// Ticket is the picture of a QR code, sharp at any size, with the margin that scanners want. A quarter of it may be unreadable: screens are cracked.
func (*page) Ticket(text string) (template.URL, error) {
	code, err := qr.Encode(text, qr.Q)
	if err != nil {
		return "", err
	}
	const margin = 4
	var b bytes.Buffer
	side := code.Size + 2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, side, side, side, side)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+margin, y+margin, x-from, x-from)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil //nolint:gosec // of our own making
}

// grouped writes digits as they are read out: in threes, what is left over first, and never a single one.
func grouped(digits string) string {
	var out []string
	for len(digits) > 0 {
		n := 3
		switch len(digits) % 3 {
		case 1:
			n = min(2, len(digits))
		case 2:
			n = 2
		}
		out, digits = append(out, digits[:n]), digits[n:]
	}
	return strings.Join(out, " ")
}
