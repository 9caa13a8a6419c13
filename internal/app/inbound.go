// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"strings"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/message"
)

// inbound does what a text asks for that somebody sent to us. NO ends that number's pending codes at all services: gateways
// don't tell which of them it answers. Any other text, and one from a sender that is no phone number, changes nothing.
func (a *App) inbound(ctx context.Context, in message.Inbound) error {
	if !a.dispatcher.Refuses(in.Text) {
		return nil
	}
	from, err := sender(in.From, a.opt.Config.Get("default-region"))
	if err != nil {
		return nil
	}
	for _, svc := range a.registry.All() {
		ended, err := a.engine.Disown(ctx, svc, from)
		if err != nil {
			return err
		}
		if ended > 0 {
			a.opt.Log.Info("codes ended by a text from their owner", "service", svc.Slug, "ended", ended)
		}
	}
	return nil
}

// sender reads the number of a text: gateways write E.164 with and without its plus sign.
func sender(text, region string) (contact.Contact, error) {
	if text = strings.TrimSpace(text); !strings.HasPrefix(text, "+") {
		if c, err := contact.ParsePhone("+"+text, ""); err == nil {
			return c, nil
		}
	}
	return contact.ParsePhone(text, region)
}
