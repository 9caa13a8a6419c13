// SPDX-License-Identifier: Apache-2.0

// Package jsonapi is the JSON API: it reads requests strictly, calls the domain, and writes what came of it.
//
// It owns the route table, what each route takes and gives, and the OpenAPI document that is made of
// both. It decides nothing: faults of the domain become problem documents in httpx.
package jsonapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/place"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// Engine is what the API needs of the verification engine.
type Engine interface {
	Begin(ctx context.Context, req verification.BeginRequest) (*verification.Begun, error)
	Check(ctx context.Context, req verification.CheckRequest) (*verification.Checked, error)
	Resend(ctx context.Context, req verification.ResendRequest) (*verification.View, error)
	Cancel(ctx context.Context, svc *service.Service, id ledger.ID) (*verification.View, error)
	Status(ctx context.Context, svc *service.Service, id ledger.ID) (*verification.View, error)
	Facts(ctx context.Context, svc *service.Service, id ledger.ID) (*verification.Facts, error)
}

// Registry is what it needs of services and their API keys.
type Registry interface {
	Authenticate(text string) (*service.APIKey, *service.Service, error)
	BySlug(slug string) (*service.Service, bool)
	Row(id uint32) (service.Row, bool)
	Update(ctx context.Context, id uint32, change func(*service.Row) error) error
	Keys(svc *service.Service) []service.APIKey
	CreateKey(ctx context.Context, svc *service.Service, name string, scopes []service.Scope, now time.Time) (secret.Text, *service.APIKey, error)
	RotateSigning(ctx context.Context, svc *service.Service, now time.Time) (string, error)
	RevokeKey(ctx context.Context, svc *service.Service, id string, now time.Time) error
}

// Store is what it reads directly.
type Store interface {
	Events(ctx context.Context, service uint32, after int64, limit int) ([]ledger.Event, error)
	FindMessage(ctx context.Context, provider, reference string) (message.Ref, bool, error)
	Ping(ctx context.Context) error
	AddStaff(ctx context.Context, m account.StaffMember) error
	RemoveStaff(ctx context.Context, service uint32, account ledger.ID) (bool, error)
	Staff(ctx context.Context, service uint32) ([]account.StaffMember, error)
}

// Gateway understands what a provider calls us with.
type Gateway interface {
	ParseReceipt(target string, header http.Header, body []byte) (rec message.Receipt, final bool, err error)
	ParseInbound(target string, header http.Header, body []byte) (message.Inbound, error)
}

// API is the surface.
type API struct {
	Engine   Engine
	Accounts *account.Accounts
	Care     *care.Care
	// Handovers are the parcels that change hands.
	Handovers *handover.Handovers
	// Receive takes a provider's later word on a message.
	Receive  func(ctx context.Context, ref message.Ref, rec message.Receipt) error
	Registry Registry
	Store    Store
	Gateways map[string]Gateway                                  // by name
	Inbound  func(ctx context.Context, in message.Inbound) error // does what a text asks for that somebody sent to us
	Region   string                                              // of numbers that come without a country
	Places   *place.Finder                                       // of visitors whose place the application doesn't name
	Now      func() time.Time
	Ready    func() bool
	Done     <-chan struct{} // closed when the server stops: ends what waits

	bulks atomic.Int32 // under way

	describeOnce sync.Once
	described    []byte // the OpenAPI document
	describeErr  error
}

// access says what a route asks of its caller.
type access uint8

const (
	open     access = iota // nothing: health and documents, and callbacks that authenticate themselves
	byKey                  // an API key with one of the route's scopes
	byFlow                 // the same, or the flow secret of the verification in the path
	byPerson               // an API key, and the session of the person for whom it is used
	byStaff                // the session of somebody who works for the service
)

// call is one authenticated request.
type call struct {
	*httpx.Exchange
	svc *service.Service
	key *service.APIKey // nil: the flow secret, or a session, was shown instead
	who *account.Signed // whose session was shown; nil: the route asks for none
}

func (c *call) context() context.Context { return c.Request.Context() }

type route struct {
	method, path string
	access       access
	scopes       []service.Scope
	summary      string
	in, out      any // what the body is and the reply, for the document; nil: none
	status       int
	handle       func(*API, *call) error
}

// routes is the whole API.
func routes() []route {
	return slices.Concat(verificationRoutes(), accountRoutes(), reviewRoutes(), supportRoutes(), careRoutes(), handoverRoutes(), proofRoutes())
}

func verificationRoutes() []route {
	verify := []service.Scope{service.ScopeVerify}
	look := []service.Scope{service.ScopeVerify, service.ScopeSupport, service.ScopeRead}
	manage := []service.Scope{service.ScopeManage}
	return []route{
		{"POST", "/v1/verifications", byKey, verify, "Begin a verification: send a code", BeginBody{}, Begun{}, 201, (*API).begin},
		{"GET", "/v1/verifications/{id}", byFlow, look, "Where a verification stands; reading approved grants nothing", nil, Verification{}, 200, (*API).status},
		{"POST", "/v1/verifications/{id}/checks", byKey, verify, "Check what the person typed", CheckBody{}, Checked{}, 200, (*API).check},
		{"POST", "/v1/verifications/{id}/messages", byFlow, verify, "Send the code again, over the same channel or another", ResendBody{}, Verification{}, 202, (*API).resend},
		{"GET", "/v1/verifications/{id}/diagnosis", byFlow, look, "Why the code isn't working, how sure that is, and what helps", nil, Diagnosis{}, 200, (*API).diagnosis},
		{"POST", "/v1/verifications/{id}/cancel", byFlow, []service.Scope{service.ScopeVerify, service.ScopeSupport}, "End a verification: its code no longer works", nil, Verification{}, 200, (*API).cancel},
		{"POST", "/v1/checks", byKey, verify, "Check a code by contact: the latest pending verification", CheckContactBody{}, Checked{}, 200, (*API).checkContact},
		{"GET", "/v1/events", byKey, []service.Scope{service.ScopeRead, service.ScopeSupport}, "The events feed: after a cursor, waiting for new ones if asked", nil, Events{}, 200, (*API).events},
		{"GET", "/v1/service", byKey, manage, "The service, its policy and its brand", nil, Service{}, 200, (*API).service},
		{"PATCH", "/v1/service", byKey, manage, "Change the service, its policy or its brand; what is left out stays", ServicePatch{}, Service{}, 200, (*API).patchService},
		{"GET", "/v1/service/logo", byKey, manage, "The logo", nil, picture{}, 200, (*API).logo},
		{"PUT", "/v1/service/logo", byKey, manage, "Set the logo: a PNG of at most 1024 by 1024 pixels or an SVG of plain shapes, at most 64 KB", picture{}, nil, 204, (*API).putLogo},
		{"DELETE", "/v1/service/logo", byKey, manage, "Remove the logo", nil, nil, 204, (*API).deleteLogo},
		{"GET", "/v1/keys", byKey, manage, "The API keys of the service", nil, Keys{}, 200, (*API).keys},
		{"POST", "/v1/keys", byKey, manage, "Make an API key; it is shown once", KeyBody{}, NewKey{}, 201, (*API).createKey},
		{"DELETE", "/v1/keys/{id}", byKey, manage, "Make an API key void", nil, nil, 204, (*API).revokeKey},
		{"POST", "/v1/receipts/{gateway}", open, nil, "A gateway reports what became of a message", nil, nil, 204, (*API).receipt},
		{"POST", "/v1/inbound/{gateway}", open, nil, "A gateway passes on a text that somebody sent to us; NO ends their pending codes", nil, nil, 204, (*API).inbound},
		{"GET", "/livez", open, nil, "The process answers", nil, Health{}, 200, (*API).live},
		{"GET", "/readyz", open, nil, "The node can take requests", nil, Health{}, 200, (*API).ready},
		{"GET", "/openapi.json", open, nil, "This document", nil, nil, 200, (*API).document},
		{"GET", "/docs", open, nil, "This document for people", nil, nil, 200, (*API).docs},
		{"GET", "/docs/style.css", open, nil, "Its style sheet", nil, nil, 200, (*API).docsStyle},
	}
}

// Mount adds the routes to mux.
func (a *API) Mount(mux *httpx.Mux) {
	for _, r := range routes() {
		mux.Handle(r.method+" "+r.path, func(x *httpx.Exchange) error {
			c := &call{Exchange: x}
			if r.access != open {
				if err := a.authenticate(c, &r); err != nil {
					return err
				}
			}
			return r.handle(a, c)
		})
	}
}

// authenticate finds out who calls and whether they may.
func (a *API) authenticate(c *call, r *route) error {
	scheme, text, _ := strings.Cut(c.Request.Header.Get("Authorization"), " ")
	if r.access == byFlow && strings.EqualFold(scheme, "Flow") {
		return a.byFlow(c, text)
	}
	if r.access == byStaff {
		return a.byStaff(c)
	}
	if user, _, ok := c.Request.BasicAuth(); ok {
		text = user
	}
	var err error
	if c.key, c.svc, err = a.Registry.Authenticate(text); err != nil {
		c.Header().Set("WWW-Authenticate", `Bearer realm="countersign"`)
		return err
	}
	c.By(c.key.ID, c.svc.Slug)
	if !c.key.Has(r.scopes...) {
		words := make([]string, len(r.scopes))
		for i, s := range r.scopes {
			words[i] = string(s)
		}
		return fault.New(fault.Forbidden, "scope_missing", "This API key may not do that: it needs the scope "+strings.Join(words, " or ")+".")
	}
	if r.access == byPerson {
		c.who, err = a.Accounts.Session(c.context(), c.svc, c.Request.Header.Get(sessionHeader), &account.Visitor{})
	}
	return err
}

// byFlow lets who began a verification go on with it, without an API key: the service is named in a header.
func (a *API) byFlow(c *call, flow string) error {
	refused := fault.New(fault.Unauthorized, "invalid_flow_secret", "This flow secret doesn't belong to this verification. Send it as: Authorization: Flow flow_..., with the header Countersign-Service.")
	svc, ok := a.Registry.BySlug(c.Request.Header.Get("Countersign-Service"))
	if !ok {
		return refused
	}
	id, err := verification.ParseID(c.Request.PathValue("id"))
	if err != nil || !verification.VerifyFlow(svc, id, flow) {
		return refused
	}
	c.svc = svc
	c.By("", svc.Slug)
	return nil
}

// idempotency reads the Idempotency-Key of a request.
func idempotency(c *call, route string, body []byte) (verification.Idempotency, error) {
	if c.key == nil {
		return verification.Idempotency{}, nil
	}
	key, err := repeatKey(c)
	if err != nil || key == "" {
		return verification.Idempotency{}, err
	}
	return verification.Idempotency{APIKey: c.key.ID, Route: route, Key: key, Body: canonical(c.Request.URL.Path, body)}, nil
}

// repeatKey is the text of the header Idempotency-Key; empty: there is none.
func repeatKey(c *call) (string, error) {
	values := c.Request.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return printable("", "Idempotency-Key")
	}
	return printable(values[0], "Idempotency-Key")
}

// printable checks a key of somebody's own.
func printable(key, field string) (string, error) {
	if len(key) < 1 || len(key) > 255 || strings.ContainsFunc(key, func(r rune) bool { return r < '!' || r > '~' }) {
		return "", fault.New(fault.Invalid, "invalid_idempotency_key", field+" must be one of 1 to 255 printable ASCII characters without spaces.").WithField(field)
	}
	return key, nil
}

func (a *API) contact(text, region, field string) (contact.Contact, error) {
	if text == "" {
		return contact.Contact{}, fault.New(fault.Invalid, "contact_missing", "Name the phone number or email address.").WithField(field)
	}
	if region == "" {
		region = a.Region
	}
	to, err := contact.Parse(text, region)
	if err != nil {
		return to, fault.As(err).WithField(field)
	}
	return to, nil
}

func write(c *call, status int, v any) error {
	if status == http.StatusNoContent {
		c.WriteHeader(status)
		return nil
	}
	return httpx.WriteJSON(c.Exchange, status, v)
}
