// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/bounce"
	"github.com/countersign/countersign/internal/message/email"
)

// listenForBounces opens the port for mails that come back, where this node is to take them.
func (a *App) listenForBounces() error {
	cfg := a.opt.Config
	address, domain := cfg.Get("bounce-listen"), cfg.Get("bounce-domain")
	if address == "" {
		return nil
	}
	if domain == "" {
		return fault.New(fault.Invalid, "no_bounce_domain", "bounce-listen takes mail for bounce-domain: give that, too.").WithField("bounce-domain")
	}
	var err error
	a.bounces, err = bounce.Listen(address, bounce.Options{
		Domain: domain, Services: a.registry, Receive: a.bounced, TLS: a.server.TLSConfig, Log: a.opt.Log,
	})
	return err
}

// bounced writes down that a mail will not arrive, with whoever wrote the message down.
func (a *App) bounced(ctx context.Context, ref message.Ref, b bounce.Bounce) error {
	rec := message.Receipt{Provider: email.Name, Outcome: b.Outcome, Code: b.Code(), At: a.ledger.Now()}
	return a.outbox.Receive(ctx, ref, rec)
}
