// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"net/http"
	"net/mail"
	"net/netip"
	"time"

	"github.com/countersign/countersign/internal/devpage"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/jsonapi"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/email"
	"github.com/countersign/countersign/internal/message/httpsms"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
	"github.com/countersign/countersign/internal/web"
)

// DemoSlug is the service of `dev`.
const DemoSlug = "demo"

// wire makes providers, dispatcher and engine.
func (a *App) wire(ctx context.Context) error {
	routes := a.opt.Routes
	if routes == nil {
		var err error
		if routes, err = a.routes(); err != nil {
			return err
		}
	}
	if err := a.registry.SetSenders(ctx, a.senders); err != nil {
		return err
	}
	var err error
	a.dispatcher, err = message.NewDispatcher(message.DispatcherOptions{Routes: routes, Now: a.ledger.Now, Log: a.opt.Log, Link: a.store.LinkMessage})
	if err != nil {
		return err
	}
	a.callers = verification.NewCallers(a.store, a.opt.Log)
	a.engine = verification.New(a.ledger, a.registry, a.dispatcher, a.callers)
	a.wireAccounts()
	if err := a.wireCare(); err != nil {
		return err
	}
	a.wireHandovers()
	a.outbox = outbox{a.engine, a.accounts, a.handovers}
	a.dispatcher.Bind(a.outbox)
	return nil
}

// routes makes the providers of each channel, in the order of the configuration file. Under `dev`, channels without one
// go to the inbox.
func (a *App) routes() (map[service.Channel][]message.Provider, error) {
	cfg := a.opt.Config
	routes := map[service.Channel][]message.Provider{}
	if host := cfg.Get("smtp-host"); host != "" {
		p, err := email.New(email.Config{
			Host: host, Port: cfg.Int("smtp-port"), Security: cfg.Get("smtp-security"),
			User: cfg.Get("smtp-user"), Password: cfg.Secret("smtp-password").Reveal(), From: cfg.Get("mail-from"),
			Returns: cfg.Get("bounce-domain"),
		})
		if err != nil {
			return nil, err
		}
		routes[service.Email] = append(routes[service.Email], p)
		if from, err := mail.ParseAddress(cfg.Get("mail-from")); err == nil { // it was read before
			a.senders = append(a.senders, service.Sender{Channel: service.Email, From: from.Address})
		}
	}
	a.gateways = map[string]jsonapi.Gateway{}
	var problems []*fault.Error
	err := cfg.Gateways(func() any { return new(httpsms.Config) }, func(v any) {
		c, _ := v.(*httpsms.Config)
		p, err := httpsms.New(*c)
		switch {
		case err != nil:
			problems = append(problems, fault.As(err))
		case a.gateways[c.Name] != nil:
			problems = append(problems, fault.New(fault.Invalid, "invalid_gateway", fmt.Sprintf("There are two gateways with the name %q.", c.Name)).WithField("gateway.name"))
		default:
			a.gateways[c.Name] = p
			routes[p.Channel()] = append(routes[p.Channel()], p)
			a.senders = append(a.senders, service.Sender{Channel: p.Channel(), From: c.From})
		}
	})
	if err != nil {
		return nil, err
	}
	if err := fault.Join(problems...); err != nil {
		return nil, err
	}
	if a.opt.Dev {
		a.inbox = devpage.NewInbox(a.ledger.Now)
		for _, c := range service.Channels() {
			if len(routes[c]) == 0 {
				routes[c] = []message.Provider{a.inbox}
			}
		}
	}
	return routes, nil
}

// handler puts the surfaces together: the API, the pages of services and, under `dev`, its own, each with defences of its own.
func (a *App) handler(proxies []netip.Prefix) (http.Handler, error) {
	api := httpx.NewMux(a.opt.Log, time.Now, httpx.WriteProblem)
	surface := &jsonapi.API{
		Engine: a.engine, Accounts: a.accounts, Care: a.care, Handovers: a.handovers, Registry: a.registry, Store: a.store, Gateways: a.gateways, Receive: a.outbox.Receive, Inbound: a.inbound, Region: a.opt.Config.Get("default-region"),
		Places: a.places, Now: a.ledger.Now, Ready: a.dispatcher.Running, Done: a.stopping,
	}
	surface.Mount(api)
	mux := http.NewServeMux()
	for _, path := range []string{"/v1/", "/docs", "/docs/", "/openapi.json", "/livez", "/readyz"} {
		mux.Handle(path, api)
	}
	opt := web.Options{
		Accounts: a.accounts, Care: a.care, Handovers: a.handovers, Renderer: a.dispatcher.Renderer(), ByHost: a.registry.ByDomain, Places: a.places, Region: a.opt.Config.Get("default-region"), Now: a.ledger.Now, Log: a.opt.Log,
		Secure: !a.opt.Dev, Proxies: proxies, Help: a.opt.Config.Get("help-folder"), Done: a.stopping,
	}
	if a.inbox != nil {
		pages := &devpage.Pages{
			Engine: a.engine, Receive: a.outbox.Receive, Handovers: a.handovers, Inbox: a.inbox, Answer: a.inbound, Places: a.places, Now: a.ledger.Now, Log: a.opt.Log, Done: a.stopping,
			Service: func() (*service.Service, bool) { return a.registry.BySlug(DemoSlug) },
		}
		pages.Mount(mux)
		opt.Aside = pages.Aside
		opt.ByHost = func(string) (*service.Service, bool) { return a.registry.BySlug(DemoSlug) } // under any name of this machine
	}
	pages, err := web.New(opt)
	if err != nil {
		return nil, err
	}
	mux.Handle("/", pages)
	return mux, nil
}
