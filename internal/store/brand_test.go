// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/store"
)

// What one node keeps of a brand another one reads, the logo byte by byte; and a service from before has the defaults.
func TestBrandsAreKept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		master, err := secret.GenerateMaster(rand.Reader)
		must(err)
		s := open(t, url, store.Options{MaxConns: 2})
		one, err := service.NewRegistry(t.Context(), s, master)
		must(err)
		two, err := service.NewRegistry(t.Context(), open(t, url, store.Options{MaxConns: 2}), master)
		must(err)
		svc, err := one.Create(t.Context(), service.Row{
			Slug: "acme", Name: "Acme", Locale: "en", Policy: service.DefaultPolicy(), Brand: service.Brand{SupportEmail: "help@acme.example"},
		}, time.Now())
		must(err)
		logo, err := service.ParseLogo([]byte(`<svg xmlns="http://www.w3.org/2000/svg"><title>Ácme</title><path d="M0 0"/></svg>`))
		must(err)
		read := func() (service.Brand, service.Policy) {
			t.Helper()
			must(two.Reload(t.Context()))
			got, ok := two.BySlug("acme")
			row, _ := two.Row(svc.ID)
			if !ok || string(got.Brand.Logo.Bytes()) != string(row.Brand.Logo.Bytes()) {
				t.Fatal("the service and its row differ")
			}
			return got.Brand, got.Policy
		}
		must(one.Update(t.Context(), svc.ID, func(row *service.Row) error {
			row.Brand.AccentLight, row.Brand.Logo = "#0b5f73", logo
			row.Policy.SecondStep, row.Policy.SignUp = service.SecondStepRequired, false
			return nil
		}))
		b, p := read()
		if b.AccentLight != "#0b5f73" || b.SupportEmail != "help@acme.example" || b.Logo.Type() != service.SVG || string(b.Logo.Bytes()) != string(logo.Bytes()) {
			t.Fatalf("another node reads %+v", b)
		}
		if p.SecondStep != service.SecondStepRequired || p.SignUp {
			t.Fatalf("another node reads %+v", p)
		}
		must(one.Update(t.Context(), svc.ID, func(row *service.Row) error { row.Brand.Logo = service.Logo{}; return nil }))
		if b, _ = read(); b.Logo.Type() != "" || b.SupportEmail == "" {
			t.Fatalf("without its logo: %+v", b)
		}
		// As a version without brands and accounts has left it.
		_, err = s.SQL().ExecContext(t.Context(), `UPDATE service SET brand = '{}', logo = NULL, policy = '{"code_length":8}'`)
		must(err)
		must(one.Update(t.Context(), svc.ID, func(row *service.Row) error { row.Name = "Acme 2"; return nil }))
		b, p = read()
		if light, dark := b.Accents(); light == "" || dark == "" || b.Validate() != nil {
			t.Fatalf("the default brand: %+v", b)
		}
		if p.CodeLength != 8 || !p.SignUp || p.SecondStep != service.SecondStepOptional || p.Recovery != 72 {
			t.Fatalf("the default policy: %+v", p)
		}
	})
}
