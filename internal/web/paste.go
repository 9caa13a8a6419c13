// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/authentic"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

// pasteData is what a pasted message was found to be.
type pasteData struct {
	Title, Text string
	More        string // that it may do harm all the same
	Sender      string // typed; shown again in the form
	Found       []pasteFound
	Report      bool // to report it is what helps
}

type pasteFound struct{ Text, Words string }

// pasting is the form.
func (p *Pages) pasting(v *visit) error {
	return p.show(v, http.StatusOK, "paste.html", p.page(v, "paste.title"))
}

// paste looks at a message that somebody doubts. What they pasted is blanked before anything else sees it, and nothing of it is kept (S24).
func (p *Pages) paste(v *visit) error {
	text, sender := authentic.Blank(v.form("text")), authentic.Blank(v.form("sender"))
	if err := authentic.Check(text); err != nil {
		pg := p.page(v, "paste.title")
		pg.Typed, pg.Data = text, &pasteData{Sender: sender}
		return p.again(v, err, "paste.html", pg, "text")
	}
	o := v.svc.Ours()
	ours := authentic.Ours{Name: o.Name, Domains: o.Domains, Numbers: o.Numbers, Senders: o.Senders, Mail: o.Mail}
	findings := authentic.Examine(text, sender, &ours)
	pg := p.page(v, "paste.title")
	d := &pasteData{Sender: sender}
	all, known, err := p.whatWasSent(v)
	if err != nil {
		return err
	}
	likeness, sent, words := p.compare(v, text, all)
	switch {
	case likeness != authentic.Different:
		key := map[authentic.Likeness]string{authentic.SameWords: "paste.ours_text", authentic.MoreThan: "paste.ours_but"}[likeness]
		d.Title, d.Text, d.More = pg.T("paste.ours"), pg.T(key, "contact", sent.To, "time", pg.Ago(sent.At)), pg.T("paste.ours_care")
		d.Report = likeness == authentic.MoreThan
	case authentic.Suspicious(findings):
		d.Title, d.Report = pg.T("paste.suspicious"), true
		if known {
			d.Text = pg.T("paste.not_ours_text")
		}
	case p.ofParcels(v, text): // what was sent about parcels isn't in the list of what was sent
		d.Title, d.Text = pg.T("paste.cannot_tell"), pg.T("paste.cannot_tell_parcel")
	case !known:
		d.Title, d.Text = pg.T("paste.cannot_tell"), pg.T("paste.cannot_tell_text")
	case words:
		d.Title, d.Text, d.Report = pg.T("paste.not_ours"), pg.T("paste.not_ours_words"), true
	default:
		d.Title, d.Text = pg.T("paste.not_ours"), pg.T("paste.not_ours_text")
	}
	pg.Title = d.Title
	for _, f := range findings {
		one := pasteFound{Text: pg.T("authentic.rule." + string(f.Rule))}
		if f.Words != "" {
			one.Words = pg.T("paste.quote", "words", f.Words)
		}
		d.Found = append(d.Found, one)
	}
	pg.Data = d
	return p.show(v, http.StatusOK, "pasted.html", pg)
}

// whatWasSent is what was sent to whoever asks, and whether they have shown who they are.
func (p *Pages) whatWasSent(v *visit) (all []account.SentMessage, known bool, err error) {
	if v.signed != nil {
		all, err = p.Accounts.Sent(v.Request.Context(), v.signed)
		return all, true, err
	}
	proven, err := p.Accounts.ProvenBy(v.svc, p.cookie(v, cookieProof))
	if err != nil {
		return nil, false, nil //nolint:nilerr // nobody that we know
	}
	all, err = p.Accounts.SentTo(v.Request.Context(), proven)
	return all, true, err
}

// compare finds the message that was sent and is most like a text. words tells that the text is like one that we send, whether we did or not.
func (p *Pages) compare(v *visit, text string, all []account.SentMessage) (best authentic.Likeness, sent account.SentMessage, words bool) {
	better := func(l authentic.Likeness, m account.SentMessage) {
		if l == authentic.SameWords && best != authentic.SameWords || l == authentic.MoreThan && best == authentic.Different {
			best, sent = l, m
		}
	}
	for _, m := range all {
		if m.ID.IsZero() {
			continue // a notice's words have times and places in them: they are compared by their list
		}
		purposes := []service.Purpose{m.Purpose}
		if m.Purpose == "" { // which isn't told, and isn't needed to compare
			purposes = service.Purposes()
		}
		for _, purpose := range purposes {
			for _, t := range p.rendered(v.svc, m.Channel, purpose, m.Locale, m.Detail.Amount, m.Detail.Payee) {
				better(authentic.Compare(text, t), m)
			}
		}
	}
	for _, purpose := range service.Purposes() {
		for _, channel := range []service.Channel{service.SMS, service.Email} {
			for _, tag := range []string{v.lang.Tag, v.svc.Locale} {
				for _, t := range p.rendered(v.svc, channel, purpose, tag, "", "") {
					words = words || authentic.Compare(text, t) != authentic.Different
				}
			}
		}
	}
	return best, sent, words
}

// rendered are the words of a code's message: the text, or of a mail its subject and what stands above the code. What a mail says of the
// time and place of its asking differs each time, so only its first lines are compared.
func (p *Pages) rendered(svc *service.Service, channel service.Channel, purpose service.Purpose, tag, amount, payee string) []string {
	if purpose == service.Transaction && amount == "" {
		return nil
	}
	t, err := p.Renderer.Render(&message.Outgoing{
		Service: svc, Channel: channel, Purpose: purpose, Code: otp.NewCode("000000"), Locale: tag, Amount: amount, Payee: payee,
	})
	if err != nil {
		return nil
	}
	if channel == service.Email {
		return []string{t.Subject}
	}
	return []string{t.Body}
}

// ofParcels tells whether a text is like one that we send about parcels. Those with a link or a neighbour's name in them differ each time and aren't compared.
func (p *Pages) ofParcels(v *visit, text string) bool {
	policy := &v.svc.Policy
	for _, kind := range message.DeliveryKinds() {
		for _, channel := range []service.Channel{service.SMS, service.Email} {
			for _, tag := range []string{v.lang.Tag, v.svc.Locale} {
				o := message.Outgoing{Service: v.svc, Channel: channel, Locale: tag, Delivery: &message.Delivery{Kind: kind, Letter: policy.DeliveryLetter}}
				if kind.Coded() {
					o.Code = otp.NewCode(strings.Repeat("0", policy.DeliveryDigits))
				}
				t, err := p.Renderer.Render(&o)
				if err != nil {
					continue
				}
				ours := t.Body
				if channel == service.Email {
					ours = t.Subject
				}
				if authentic.Compare(text, ours) == authentic.SameWords {
					return true
				}
			}
		}
	}
	return false
}
