// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"strings"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// inbound does what a text asks for that somebody sent to us, at all services: gateways don't tell which of them it answers. NO ends that number's
// pending codes and begins its account's review; STOP has no more codes sent to it, START has them sent again. Any other text, and one
// from a sender that is no phone number, changes nothing.
func (a *App) inbound(ctx context.Context, in message.Inbound) error {
	wish := a.dispatcher.Wish(in.Text)
	if wish == message.WishNone {
		return nil
	}
	from, err := sender(in.From, a.opt.Config.Get("default-region"))
	if err != nil {
		return nil
	}
	for _, svc := range a.registry.All() {
		if err := a.wish(ctx, svc, from, wish); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) wish(ctx context.Context, svc *service.Service, from contact.Contact, wish message.Wish) error {
	switch wish {
	case message.WishNo:
		ended, err := a.engine.Disown(ctx, svc, from)
		if err != nil || ended == 0 {
			return err // no code was waiting here: the answer was meant for another service
		}
		a.opt.Log.Info("codes ended by a text from their owner", "service", svc.Slug, "ended", ended)
		return a.accounts.Disowned(ctx, svc, from, ended)
	case message.WishStop:
		return a.accounts.Block(ctx, svc, from, verification.MaxBlock)
	case message.WishStart:
		return a.accounts.Block(ctx, svc, from, 0)
	case message.WishHelp:
		return a.accounts.Help(ctx, svc, from)
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
