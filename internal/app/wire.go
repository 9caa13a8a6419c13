// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"net/http"

	"github.com/countersign/countersign/internal/devpage"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/email"
	"github.com/countersign/countersign/internal/message/httpsms"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// DemoSlug is the service of `dev`.
const DemoSlug = "demo"

// wire makes providers, dispatcher and engine.
func (a *App) wire() error {
	routes := a.opt.Routes
	if routes == nil {
		var err error
		if routes, err = a.routes(); err != nil {
			return err
		}
	}
	var err error
	a.dispatcher, err = message.NewDispatcher(message.DispatcherOptions{Routes: routes, Now: a.ledger.Now, Log: a.opt.Log, Link: a.store.LinkMessage})
	if err != nil {
		return err
	}
	a.callers = verification.NewCallers(a.store, a.opt.Log)
	a.engine = verification.New(a.ledger, a.registry, a.dispatcher, a.callers)
	a.dispatcher.Bind(a.engine)
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
		})
		if err != nil {
			return nil, err
		}
		routes[service.Email] = append(routes[service.Email], p)
	}
	a.gateways = map[string]*httpsms.Provider{}
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

// handler puts the surfaces together.
func (a *App) handler() http.Handler {
	mux := http.NewServeMux()
	a.mountAPI(mux)
	if a.inbox != nil {
		pages := &devpage.Pages{
			Engine: a.engine, Inbox: a.inbox, Now: a.ledger.Now, Log: a.opt.Log, Done: a.stopping,
			Service: func() (*service.Service, bool) { return a.registry.BySlug(DemoSlug) },
		}
		pages.Mount(mux)
	}
	return mux
}
