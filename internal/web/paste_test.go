// SPDX-License-Identifier: Apache-2.0

package web

import (
	"testing"

	"github.com/countersign/countersign/internal/authentic"
	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

// A message about a parcel is known by its words, with its code blanked; one that has more in it, or a sign-in code's, is none.
// Keeps: E.1
func TestMessagesAboutParcelsAreKnown(t *testing.T) {
	t.Parallel()
	p := pages(t)
	var err error
	if p.Renderer, err = message.NewRenderer(); err != nil {
		t.Fatal(err)
	}
	svc, _ := p.ByHost("acme.example")
	for _, l := range locale.All() {
		v := &visit{svc: svc, lang: l}
		for _, kind := range []message.DeliveryKind{message.DeliveryCode, message.DeliveryNewCode, message.DeliveryArrived, message.DeliveryMissed} {
			o := message.Outgoing{Service: svc, Channel: service.SMS, Locale: l.Tag, Delivery: &message.Delivery{Kind: kind, Letter: "D", Items: "books"}}
			if kind.Coded() {
				o.Code = otp.NewCode("48213")
			}
			text, err := p.Renderer.Render(&o)
			if err != nil {
				t.Fatal(err)
			}
			if !p.ofParcels(v, text.Body) || !p.ofParcels(v, authentic.Blank(text.Body)) || p.ofParcels(v, text.Body+" evil") {
				t.Errorf("%s, %s: %q isn't known, or with more in it", l.Tag, kind, text.Body)
			}
		}
		for _, text := range p.rendered(svc, service.SMS, service.SignIn, l.Tag, "", "") {
			if p.ofParcels(v, text) {
				t.Errorf("%s: %q is taken for a parcel's", l.Tag, text)
			}
		}
	}
}
