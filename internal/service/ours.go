// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/countersign/countersign/internal/contact"
)

// Ours is what belongs to a service, of all that people may meet in a message, a call or a link. Whatever isn't here may be somebody
// else's. Each list is in the order in which it was set, without repeats.
type Ours struct {
	Name    string
	Domains []string // hosts, lower-case ASCII: its pages' and those that its brand names; what is below them is its, too
	Numbers []string // to call it back, E.164
	Senders []string // names and numbers that its texts and calls come from
	Mail    []string // addresses that its mails come from
}

// Sender is under which name, number or address this installation has messages of a channel sent.
type Sender struct {
	Channel Channel
	From    string
}

// Ours is made from the service's brand and from what the installation sends with over the channels that the policy has.
//
// Hosts of mail addresses and of the help page are left out: they may be a provider's, which has other customers, too.
func (s *Service) Ours() Ours {
	o := Ours{Name: s.Name}
	add := func(to *[]string, values ...string) {
		for _, v := range values {
			if v != "" && !slices.Contains(*to, v) {
				*to = append(*to, v)
			}
		}
	}
	add(&o.Domains, s.Domain)
	add(&o.Domains, s.Brand.Domains...)
	add(&o.Numbers, dialled(s.Brand.SupportPhone))
	add(&o.Numbers, s.Brand.CallbackNumbers...)
	for _, from := range s.senders {
		if !slices.Contains(s.Policy.Channels, from.Channel) {
			continue
		}
		to := &o.Senders
		if from.Channel == Email {
			to = &o.Mail
		}
		add(to, from.From)
	}
	add(&o.Senders, s.Brand.Senders...)
	return o
}

// dialled is a number that is spaced for people, as it is dialled.
func dialled(number string) string {
	return strings.Map(func(r rune) rune {
		if r == '+' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number)
}

// SetSenders tells what the installation sends with, for the services that there are and will be.
//
// Faults: Unavailable.
func (r *Registry) SetSenders(ctx context.Context, with []Sender) error {
	r.reload.Lock()
	again := *r.state.Load()
	again.revision = "never read"
	r.senders = slices.Clone(with)
	r.state.Store(&again)
	r.reload.Unlock()
	return r.Reload(ctx)
}

// Bounds of what a brand lists.
const (
	maxListed = 20 // of a kind
	maxSender = 40 // characters
)

// validateLists tells every problem of what the brand lists as the service's own.
func (b *Brand) validateLists(add func(field, code, message string)) {
	each := func(field string, list []string, good func(string) bool, rule string) {
		if len(list) > maxListed {
			add(field, "too_many_listed", fmt.Sprintf("%s may list %d.", field, maxListed))
			return
		}
		for i, text := range list {
			if !good(text) || slices.Contains(list[:i], text) {
				add(fmt.Sprintf("%s[%d]", field, i), "invalid_listed", rule)
			}
		}
	}
	each("senders", b.Senders, isSender, fmt.Sprintf("senders are names or numbers as a phone shows them, each once, with at most %d characters.", maxSender))
	each("callback_numbers", b.CallbackNumbers, isNumber, "callback_numbers are written with + and digits alone, such as +14155550100, each once.")
	each("domains", b.Domains, isDomain, "domains are host names in lower case, international ones as xn--, such as shop.acme.example, each once.")
}

func isSender(text string) bool {
	return text != "" && text == strings.TrimSpace(text) && utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxSender &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(`,"\<>`, r) })
}

// isNumber tells whether text is in the form of E.164. Any type will do: many numbers for calling back are toll-free.
func isNumber(text string) bool {
	c, err := contact.FromCanonical(text)
	return err == nil && c.Kind() == contact.Phone
}

// isDomain tells whether text is a public host name in the form in which it is looked up (RFC 5891, 5).
func isDomain(text string) bool {
	ascii, err := idna.Lookup.ToASCII(text)
	return err == nil && ascii == text && len(text) <= 253 && domainListed.MatchString(text)
}
