// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"mime"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/service"
)

func (a *API) service(c *call) error {
	row, _ := a.Registry.Row(c.svc.ID)
	brand := ShownBrand{Brand: row.Brand}
	if l := row.Brand.Logo; l.Type() != "" {
		brand.Logo = Logo{ContentType: l.Type(), Bytes: len(l.Bytes())}
	}
	return write(c, 200, Service{row.Slug, row.Name, row.Domain, row.Locale, row.Policy, brand})
}

func (a *API) patchService(c *call) error {
	body, err := httpx.ReadJSON(c.Exchange, new(ServicePatch))
	if err != nil {
		return err
	}
	err = a.Registry.Update(c.context(), c.svc.ID, func(row *service.Row) error {
		in := ServicePatch{Policy: row.Policy, Brand: row.Brand} // what is left out keeps its value
		if err := httpx.Decode(body, &in); err != nil {
			return err
		}
		row.Policy, row.Brand = in.Policy, in.Brand
		for to, v := range map[*string]*string{&row.Name: in.Name, &row.Domain: in.Domain, &row.Locale: in.Locale} {
			if v != nil {
				*to = *v
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.service(c)
}

// logo gives the picture. What opens it as a page of its own runs and loads nothing.
func (a *API) logo(c *call) error {
	row, _ := a.Registry.Row(c.svc.ID)
	l := row.Brand.Logo
	if l.Type() == "" {
		return fault.New(fault.NotFound, "no_logo", "This service has no logo.")
	}
	h := c.Header()
	h.Set("Content-Type", l.Type())
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = c.Write(l.Bytes()) // the client may have left
	return nil
}

func (a *API) putLogo(c *call) error {
	kind, _, err := mime.ParseMediaType(c.Request.Header.Get("Content-Type"))
	if err != nil || kind != service.PNG && kind != service.SVG {
		return fault.New(fault.Unsupported, "not_a_logo", "Send the logo itself as the body, with the header Content-Type: image/png or image/svg+xml.").WithField("Content-Type")
	}
	body, err := httpx.ReadBody(c.Exchange)
	if err != nil {
		return err
	}
	l, err := service.ParseLogo(body)
	if err != nil {
		return err
	}
	if l.Type() != kind {
		return fault.New(fault.Invalid, "invalid_logo", "The logo isn't what its Content-Type says: it is "+l.Type()+".").WithField("Content-Type")
	}
	return a.setLogo(c, l)
}

func (a *API) deleteLogo(c *call) error { return a.setLogo(c, service.Logo{}) }

func (a *API) setLogo(c *call, l service.Logo) error {
	return nothing(c, a.Registry.Update(c.context(), c.svc.ID, func(row *service.Row) error {
		row.Brand.Logo = l
		return nil
	}))
}
