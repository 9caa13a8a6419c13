// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/service"
)

// brandFlag sets one text of a brand.
type brandFlag struct {
	name, usage string
	of          func(*service.Brand) *string
}

func brandFlags() []brandFlag {
	return []brandFlag{
		{"accent-light", "colour of its buttons and links on light pages, #rrggbb; empty takes it back", func(b *service.Brand) *string { return &b.AccentLight }},
		{"accent-dark", "the same on dark pages", func(b *service.Brand) *string { return &b.AccentDark }},
		{"support-email", "where people write to for help; empty takes it back", func(b *service.Brand) *string { return &b.SupportEmail }},
		{"support-phone", "what they call: +1 415 555 0100; empty takes it back", func(b *service.Brand) *string { return &b.SupportPhone }},
		{"support-url", "the page that helps them, https; empty takes it back", func(b *service.Brand) *string { return &b.SupportURL }},
	}
}

// listFlag sets what a brand lists.
type listFlag struct {
	name, usage string
	of          func(*service.Brand) *[]string
}

func listFlags() []listFlag {
	return []listFlag{
		{"senders", "names and numbers that its texts and calls come from, beside those of the gateways, separated by commas; empty takes them back", func(b *service.Brand) *[]string { return &b.Senders }},
		{"callback-numbers", "numbers to call it back: +14155550100, separated by commas; empty takes them back", func(b *service.Brand) *[]string { return &b.CallbackNumbers }},
		{"domains", "hosts that are its own, beside the one of its pages, separated by commas; empty takes them back", func(b *service.Brand) *[]string { return &b.Domains }},
	}
}

// split gives the parts of a list; names in it may have spaces.
func split(list string) []string {
	var parts []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func serviceSet(ctx context.Context, p *Process, c *call) error {
	logo, err := readLogo(c.get("logo"))
	if err != nil {
		return err
	}
	return withService(ctx, p, c, func(reg *service.Registry, svc *service.Service) error {
		return reg.Update(ctx, svc.ID, func(row *service.Row) error {
			for name, to := range map[string]*string{"name": &row.Name, "domain": &row.Domain, "locale": &row.Locale} {
				if v := c.get(name); v != "" {
					*to = v
				}
			}
			for _, f := range brandFlags() {
				if c.given(f.name) {
					*f.of(&row.Brand) = c.get(f.name)
				}
			}
			for _, f := range listFlags() {
				if c.given(f.name) {
					*f.of(&row.Brand) = split(c.get(f.name))
				}
			}
			if c.given("logo") {
				row.Brand.Logo = logo
			}
			return patchPolicy(&row.Policy, c.get("policy"))
		})
	})
}

// maxLogoFile bounds what is read of a file; what a logo may have is less.
const maxLogoFile = 1 << 20

func readLogo(path string) (service.Logo, error) {
	if path == "" {
		return service.Logo{}, nil
	}
	unreadable := func(err error) error {
		return fault.New(fault.Invalid, "logo_unreadable", fmt.Sprintf("--logo %s can't be read: %v", path, err)).WithField("logo")
	}
	f, err := os.Open(path)
	if err != nil {
		return service.Logo{}, unreadable(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLogoFile))
	if err != nil {
		return service.Logo{}, unreadable(err)
	}
	return service.ParseLogo(data)
}

func serviceShow(ctx context.Context, p *Process, c *call) error {
	type logo struct {
		ContentType string `json:"content_type"`
		Bytes       int    `json:"bytes"`
	}
	type brand struct {
		service.Brand
		Logo logo `json:"logo,omitzero"`
	}
	return withService(ctx, p, c, func(_ *service.Registry, svc *service.Service) error {
		e := json.NewEncoder(p.Out)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Slug   string         `json:"slug"`
			Name   string         `json:"name"`
			Domain string         `json:"domain"`
			Locale string         `json:"locale"`
			Policy service.Policy `json:"policy"`
			Brand  brand          `json:"brand"`
		}{svc.Slug, svc.Name, svc.Domain, svc.Locale, svc.Policy,
			brand{svc.Brand, logo{svc.Brand.Logo.Type(), len(svc.Brand.Logo.Bytes())}}})
	})
}
