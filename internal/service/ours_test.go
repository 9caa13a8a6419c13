// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/service"
)

// What is a service's own is what it says, and the numbers of its support without their spaces; never a provider's host.
// Keeps: E.1
func TestOurs(t *testing.T) {
	t.Parallel()
	s := service.Service{
		Name: "Acme", Domain: "acme.example", Policy: service.DefaultPolicy(),
		Brand: service.Brand{
			SupportPhone: "+1 (415) 555-0100", SupportEmail: "acme@gmail.example", SupportURL: "https://acme.helpdesk.example/",
			Senders: []string{"ACME", "72000"}, CallbackNumbers: []string{"+14155550100", "+18005550199"}, Domains: []string{"acme.example", "xn--bcher-kva.example"},
		},
	}
	want := service.Ours{
		Name: "Acme", Domains: []string{"acme.example", "xn--bcher-kva.example"}, Numbers: []string{"+14155550100", "+18005550199"}, Senders: []string{"ACME", "72000"},
	}
	if got := s.Ours(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	none := service.Service{Name: "Acme"}
	if got := none.Ours(); !reflect.DeepEqual(got, service.Ours{Name: "Acme"}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestListsThatAreRefused(t *testing.T) {
	t.Parallel()
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf("+1415555%04d", i)
	}
	for name, c := range map[string]struct {
		brand service.Brand
		field string
	}{
		"too many":         {service.Brand{CallbackNumbers: many}, "callback_numbers"},
		"twice":            {service.Brand{Senders: []string{"ACME", "ACME"}}, "senders[1]"},
		"an empty sender":  {service.Brand{Senders: []string{""}}, "senders[0]"},
		"spaces around":    {service.Brand{Senders: []string{" ACME"}}, "senders[0]"},
		"markup":           {service.Brand{Senders: []string{"ACME", "<b>"}}, "senders[1]"},
		"a comma":          {service.Brand{Senders: []string{"ACME, Inc"}}, "senders[0]"},
		"a turned name":    {service.Brand{Senders: []string{"EMCA\u202e"}}, "senders[0]"},
		"a long name":      {service.Brand{Senders: []string{strings.Repeat("A", 41)}}, "senders[0]"},
		"not UTF-8":        {service.Brand{Senders: []string{"\xff"}}, "senders[0]"},
		"a spaced number":  {service.Brand{CallbackNumbers: []string{"+1 415 555 0100"}}, "callback_numbers[0]"},
		"no country":       {service.Brand{CallbackNumbers: []string{"4155550100"}}, "callback_numbers[0]"},
		"a mail address":   {service.Brand{CallbackNumbers: []string{"a@acme.example"}}, "callback_numbers[0]"},
		"an address":       {service.Brand{Domains: []string{"https://acme.example"}}, "domains[0]"},
		"a path":           {service.Brand{Domains: []string{"acme.example/x"}}, "domains[0]"},
		"capitals":         {service.Brand{Domains: []string{"Acme.example"}}, "domains[0]"},
		"umlauts":          {service.Brand{Domains: []string{"bücher.example"}}, "domains[0]"},
		"false Punycode":   {service.Brand{Domains: []string{"xn--a.example"}}, "domains[0]"},
		"a whole TLD":      {service.Brand{Domains: []string{"example"}}, "domains[0]"},
		"an IP address":    {service.Brand{Domains: []string{"10.0.0.1"}}, "domains[0]"},
		"a dot at the end": {service.Brand{Domains: []string{"acme.example."}}, "domains[0]"},
		"a long domain":    {service.Brand{Domains: []string{strings.Repeat("a.", 130) + "example"}}, "domains[0]"},
	} {
		var f *fault.Error
		if err := c.brand.Validate(); !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != "brand."+c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := service.Brand{
		Senders: []string{"Acme 24/7", "+14155550100", "アクメ"}, CallbackNumbers: []string{"+18005550199", "+493012345678"},
		Domains: []string{"shop.acme.example", "xn--bcher-kva.example", "xn--80ak6aa92e.xn--p1ai"},
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
