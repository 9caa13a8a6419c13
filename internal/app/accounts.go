// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"net"
	"runtime"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// decodeRow reads the rows of all kinds.
func decodeRow(kind ledger.Kind, record []byte) (ledger.Value, error) {
	switch {
	case kind >= ledger.KindOrder:
		return handover.DecodeRow(kind, record)
	case kind == ledger.KindCase || kind == ledger.KindReport:
		return care.DecodeRow(kind, record)
	case kind >= ledger.KindLogin:
		return account.DecodeRow(kind, record)
	}
	return verification.DecodeRow(kind, record)
}

// stale tells of all kinds of rows whether they can be removed.
func stale(v ledger.Value, now time.Time, keep time.Duration) bool {
	return verification.Stale(v, now, keep) || account.Stale(v, now, keep) || care.Stale(v, now, keep) || handover.Stale(v, now, keep)
}

// outbox gives reports to whoever wrote the message down.
type outbox struct {
	codes     *verification.Engine
	accounts  *account.Accounts
	handovers *handover.Handovers
}

// keeper is whoever writes messages down.
type keeper interface {
	message.Outbox
	Receive(ctx context.Context, ref message.Ref, rec message.Receipt) error
}

// of says who wrote a message down.
func (o outbox) of(ref message.Ref) keeper {
	switch ref.Row.Kind {
	case ledger.KindAccount:
		return o.accounts
	case ledger.KindHandover:
		return o.handovers
	}
	return o.codes
}

// Report implements message.Outbox.
func (o outbox) Report(ctx context.Context, rep message.Report) error {
	return o.of(rep.Ref).Report(ctx, rep)
}

// Receive gives a provider's later word on a message to whoever wrote it down.
func (o outbox) Receive(ctx context.Context, ref message.Ref, rec message.Receipt) error {
	return o.of(ref).Receive(ctx, ref, rec)
}

// wireHandovers makes the hand-overs of all services.
func (a *App) wireHandovers() {
	a.handovers = handover.New(handover.Options{
		Ledger: a.ledger, Services: a.registry, Sender: a.dispatcher, Origin: a.origin, Log: a.opt.Log,
		Raise: func(ctx context.Context, svc *service.Service, asked handover.Asked) error {
			text := "Somebody asked for the delivery code of order " + asked.Order + " on the phone."
			if asked.Text != "" {
				text += " " + asked.Text
			}
			_, _, err := a.care.File(ctx, svc, care.NewReport{Kind: "call", Channel: "call", Text: text, Caller: verification.Caller{IP: asked.IP}})
			return err
		},
	})
}

// wireAccounts makes the accounts of all services.
func (a *App) wireAccounts() {
	a.accounts = account.New(account.Options{
		Ledger: a.ledger, Codes: a.engine, Callers: a.callers, Services: a.registry, Sender: a.dispatcher,
		Hasher: password.NewHasher(runtime.GOMAXPROCS(0)), Origin: a.origin, Erase: a.forget,
	})
	a.engine.UseLister(func(ctx context.Context, service uint32, shard uint16, since, before ledger.ID, limit int) (map[ledger.ID]*verification.Record, []ledger.ID, error) {
		list, err := a.store.OfShard(ctx, service, shard, since, before, limit, decodeRow)
		rows, order := make(map[ledger.ID]*verification.Record, len(list)), make([]ledger.ID, 0, len(list))
		for _, one := range list {
			if r, ok := one.Value.(*verification.Record); ok {
				rows[one.Key.ID] = r
				order = append(order, one.Key.ID)
			}
		}
		return rows, order, err
	})
	a.engine.OnBounce(func(ctx context.Context, svc *service.Service, id ledger.ID, to contact.Contact) {
		if err := a.accounts.Undelivered(ctx, svc, id, to); err != nil && fault.As(err).Kind != fault.NotFound {
			a.opt.Log.Error("a contact that can't be reached could not be marked", "service", svc.Slug, "err", err)
		}
	})
}

// origin is where a service's pages are. It comes from the configuration and never from a request.
func (a *App) origin(svc *service.Service) string {
	if a.opt.Dev {
		_, port, _ := net.SplitHostPort(a.listener.Addr().String()) // it is listened on before anybody asks
		return "http://" + net.JoinHostPort(svc.Domain, port)
	}
	if port := a.opt.Config.Get("public-port"); port != "443" {
		return "https://" + net.JoinHostPort(svc.Domain, port)
	}
	return "https://" + svc.Domain
}

// wireCare makes the cases and reports of all services.
func (a *App) wireCare() error {
	places, err := care.OpenPlaces(a.opt.Config.Get("report-places-file"))
	if err != nil {
		return err
	}
	a.care = care.New(care.Options{
		Ledger: a.ledger, People: a.accounts, Callers: a.callers, Log: a.opt.Log, Places: places,
		Rows: func(ctx context.Context, kind ledger.Kind, service uint32, before ledger.ID, limit int) ([]care.Listed, error) {
			rows, err := a.store.List(ctx, kind, service, before, limit, decodeRow)
			out := make([]care.Listed, len(rows))
			for i, r := range rows {
				out[i] = care.Listed(r)
			}
			return out, err
		},
	})
	return nil
}

// forget removes what is kept of a person beside their account: cases, and what the log says of them.
func (a *App) forget(ctx context.Context, service uint32, subject ledger.ID) error {
	if svc, ok := a.registry.ByID(service); ok {
		if err := a.care.Forget(ctx, svc, subject); err != nil {
			return err
		}
	}
	return a.erase(ctx, service, subject)
}

// erase removes from a service's log what is said of a person; the log's tree stays as it is.
func (a *App) erase(ctx context.Context, service uint32, subject ledger.ID) error {
	for after := int64(0); ; {
		next, _, err := a.store.EraseEvents(ctx, service, after, func(e *ledger.Event) bool { return e.Subject == subject })
		if err != nil || next == 0 {
			return err
		}
		after = next
	}
}
