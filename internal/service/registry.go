// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/secret"
)

// Row is a service as it is stored.
type Row struct {
	ID                         uint32
	Slug, Name, Domain, Locale string
	Policy                     Policy
	Brand                      Brand
	CreatedAt                  time.Time
}

// KeyRow is a service's data key as it is stored: wrapped by the master key.
type KeyRow struct {
	Service uint32
	ID      uint8
	Wrapped []byte
	Makes   bool // new codes and seals are made with it
	Indexes bool // contacts are found by it
	// Wrap wraps the key of a new service, whose number is known only when it is written.
	Wrap func(service uint32) ([]byte, error)
}

// Store keeps services and their keys.
type Store interface {
	SigningStore
	CreateService(ctx context.Context, row Row, key KeyRow) (uint32, error)
	// UpdateService changes one service in one transaction.
	UpdateService(ctx context.Context, id uint32, change func(*Row) error) error
	Services(ctx context.Context) ([]Row, []KeyRow, error)
	// AddServiceKey adds a key with which nothing is made yet; UseServiceKey has everything made with it.
	AddServiceKey(ctx context.Context, k KeyRow, at time.Time) error
	UseServiceKey(ctx context.Context, service uint32, id uint8) error
	CreateAPIKey(ctx context.Context, k APIKey) error
	// RevokeAPIKey tells whether there was such a working key of the service.
	RevokeAPIKey(ctx context.Context, service uint32, id string, at time.Time) (bool, error)
	APIKeys(ctx context.Context) ([]APIKey, error)
	// Revision changes whenever any of the above does.
	Revision(ctx context.Context) (string, error)
}

// ErrNoService is the fault of a service that isn't there.
var ErrNoService = fault.New(fault.NotFound, "service_not_found", "There is no such service.")

// NoSlug is the fault of a slug that no service has, with those that there are.
func NoSlug(slug string, have []string) *fault.Error {
	return fault.New(fault.NotFound, ErrNoService.Code, fmt.Sprintf("There is no service %q. There are: %s.", slug, strings.Join(have, ", ")))
}

// ErrSlugTaken is the fault of a second service with the same slug.
var ErrSlugTaken = fault.New(fault.Conflict, "slug_taken", "There is a service with this slug. Choose another.").WithField("slug")

// Registry holds all services and API keys in memory, so that no request reads them from the database.
// Reload, called once a second, brings what other nodes changed: a revoked key works elsewhere for at most
// about a second.
type Registry struct {
	store  Store
	master secret.Master
	reload sync.Mutex // one at a time, so that no older state replaces a newer one
	state  atomic.Pointer[state]

	senders []Sender // guarded by reload
}

type state struct {
	revision string
	rows     map[uint32]Row
	byID     map[uint32]*Service
	bySlug   map[string]*Service
	byDomain map[string]*Service
	keys     map[string]*APIKey
}

// NewRegistry reads everything once.
func NewRegistry(ctx context.Context, store Store, master secret.Master) (*Registry, error) {
	r := &Registry{store: store, master: master}
	r.state.Store(&state{revision: "never read"})
	return r, r.Reload(ctx)
}

// Reload reads everything again if anything has changed.
func (r *Registry) Reload(ctx context.Context) error {
	r.reload.Lock()
	defer r.reload.Unlock()
	if err := r.read(ctx); err != nil || !r.addSigningKeys(ctx) {
		return err
	}
	return r.read(ctx)
}

func (r *Registry) read(ctx context.Context) error {
	revision, err := r.store.Revision(ctx)
	if err != nil || revision == r.state.Load().revision {
		return err
	}
	rows, keyRows, err := r.store.Services(ctx)
	if err != nil {
		return err
	}
	signingRows, err := r.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	apiKeys, err := r.store.APIKeys(ctx)
	if err != nil {
		return err
	}
	s := &state{revision: revision, rows: map[uint32]Row{}, byID: map[uint32]*Service{}, bySlug: map[string]*Service{}, byDomain: map[string]*Service{}, keys: map[string]*APIKey{}}
	for _, row := range rows {
		ring, err := r.unwrap(ctx, row.ID, keyRows)
		if err != nil {
			return fmt.Errorf("keys of service %s: %w", row.Slug, err)
		}
		signer, err := openSigner(row.ID, ring, signingRows)
		if err != nil {
			return fmt.Errorf("signing keys of service %s: %w", row.Slug, err)
		}
		svc := New(Service{
			ID: row.ID, Slug: row.Slug, Name: row.Name, Domain: row.Domain, Locale: row.Locale, Policy: row.Policy, Brand: row.Brand, signer: signer, senders: r.senders,
		}, ring)
		s.rows[row.ID], s.byID[row.ID], s.bySlug[row.Slug] = row, svc, svc
		if first := s.byDomain[svc.Domain]; svc.Domain != "" && (first == nil || svc.ID < first.ID) {
			s.byDomain[svc.Domain] = svc
		}
	}
	for i := range apiKeys {
		s.keys[apiKeys[i].ID] = &apiKeys[i]
	}
	r.state.Store(s)
	return nil
}

func (r *Registry) unwrap(ctx context.Context, id uint32, rows []KeyRow) (*secret.Ring, error) {
	var (
		keys    []*secret.Keys
		current uint8
		index   []uint8
	)
	for _, k := range rows {
		if k.Service != id {
			continue
		}
		data, err := secret.UnwrapData(ctx, r.master, id, k.ID, k.Wrapped)
		if err != nil {
			return nil, err
		}
		keys = append(keys, secret.NewKeys(id, k.ID, data))
		if k.Makes {
			current = k.ID
		}
		if k.Indexes {
			index = append(index, k.ID)
		}
	}
	return secret.NewRing(keys, current, index...)
}

// ByID returns a service.
func (r *Registry) ByID(id uint32) (*Service, bool) {
	s, ok := r.state.Load().byID[id]
	return s, ok
}

// BySlug returns a service.
func (r *Registry) BySlug(slug string) (*Service, bool) {
	s, ok := r.state.Load().bySlug[slug]
	return s, ok
}

// ByDomain returns the service whose pages are at a host name. Of several with one domain it is the one with the least id.
func (r *Registry) ByDomain(host string) (*Service, bool) {
	s, ok := r.state.Load().byDomain[host]
	return s, ok
}

// All returns all services, ordered by slug.
func (r *Registry) All() []*Service {
	var all []*Service
	for _, s := range r.state.Load().byID {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Service) int { return strings.Compare(a.Slug, b.Slug) })
	return all
}

// Authenticate returns the API key that text is, and its service. An unknown, a wrong and a revoked
// key are the same fault.
func (r *Registry) Authenticate(text string) (*APIKey, *Service, error) {
	id, hash, err := secret.ParseAPIKey(text)
	if err != nil {
		return nil, nil, errAPIKey
	}
	s := r.state.Load()
	k := s.keys[id]
	stored := [32]byte{}
	if k != nil {
		stored = k.Hash
	}
	same := subtle.ConstantTimeCompare(stored[:], hash[:]) == 1
	if !same || k == nil || !k.RevokedAt.IsZero() {
		return nil, nil, errAPIKey
	}
	svc, ok := s.byID[k.Service]
	if !ok {
		return nil, nil, errAPIKey
	}
	return k, svc, nil
}

var errAPIKey = fault.New(fault.Unauthorized, "invalid_api_key", "There is no API key, or it doesn't work (any more). Send it as: Authorization: Bearer CS...")

var slugForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// Create makes a service with its first data key.
//
// Faults: Invalid with every problem, Conflict (slug_taken), Unavailable.
func (r *Registry) Create(ctx context.Context, row Row, now time.Time) (*Service, error) {
	if err := row.Validate(); err != nil {
		return nil, err
	}
	data, err := secret.NewDataKey(rand.Reader)
	if err != nil {
		return nil, fault.As(err)
	}
	row.CreatedAt = now
	id, err := r.store.CreateService(ctx, row, KeyRow{ID: 1, Wrap: func(service uint32) ([]byte, error) {
		return secret.WrapData(ctx, r.master, service, 1, data)
	}})
	if err != nil {
		return nil, err
	}
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	svc, _ := r.ByID(id)
	return svc, nil
}

// Row returns what is stored of a service.
func (r *Registry) Row(id uint32) (Row, bool) {
	row, ok := r.state.Load().rows[id]
	row.Policy.Channels = slices.Clone(row.Policy.Channels)
	row.Policy.Countries = slices.Clone(row.Policy.Countries)
	row.Policy.SendWaits = slices.Clone(row.Policy.SendWaits)
	row.Brand.Senders = slices.Clone(row.Brand.Senders)
	row.Brand.CallbackNumbers = slices.Clone(row.Brand.CallbackNumbers)
	row.Brand.Domains = slices.Clone(row.Brand.Domains)
	return row, ok
}

// Update lets change change a service as it is stored now, in one transaction; its id and slug stay. change may run more
// than once.
//
// Faults: Invalid with every problem, whatever change returns, Unavailable.
func (r *Registry) Update(ctx context.Context, id uint32, change func(*Row) error) error {
	err := r.store.UpdateService(ctx, id, func(row *Row) error {
		if err := change(row); err != nil {
			return err
		}
		return row.Validate()
	})
	if err != nil {
		return err
	}
	return r.Reload(ctx)
}

// RotationPause is how long all nodes take to learn of a new key, with time to spare.
const RotationPause = 3 * time.Second

// Rotate gives a service a new data key, and after RotationPause has new codes and seals made with it: by then every node
// knows it, so no node meets an id that it can't check. What the older keys made stays readable; contacts stay found by
// the key that indexed them. When ctx ends in between, the key stays unused.
func (r *Registry) Rotate(ctx context.Context, svc *Service, now time.Time) (uint8, error) {
	last := svc.Ring.Current().ID()
	for _, k := range svc.Ring.All() {
		last = max(last, k.ID())
	}
	if last == 255 {
		return 0, fault.New(fault.Conflict, "keys_exhausted", "This service has had all 255 keys that it can have.")
	}
	data, err := secret.NewDataKey(rand.Reader)
	if err != nil {
		return 0, fault.As(err)
	}
	id := last + 1
	wrapped, err := secret.WrapData(ctx, r.master, svc.ID, id, data)
	if err != nil {
		return 0, err
	}
	if err := r.store.AddServiceKey(ctx, KeyRow{Service: svc.ID, ID: id, Wrapped: wrapped}, now); err != nil {
		return 0, err
	}
	if err := pause(ctx); err != nil {
		return 0, err
	}
	if err := r.store.UseServiceKey(ctx, svc.ID, id); err != nil {
		return 0, err
	}
	return id, r.Reload(ctx)
}

// CreateKey makes an API key. Its text is returned once and kept nowhere.
//
// Faults: Invalid (name, scopes), Unavailable.
func (r *Registry) CreateKey(ctx context.Context, svc *Service, name string, scopes []Scope, now time.Time) (secret.Text, *APIKey, error) {
	if err := checkKey(name, scopes); err != nil {
		return secret.Text{}, nil, err
	}
	id, text, hash, err := secret.NewAPIKey(rand.Reader)
	if err != nil {
		return secret.Text{}, nil, fault.As(err)
	}
	k := APIKey{ID: id, Service: svc.ID, Name: name, Hash: hash, Scopes: slices.Clone(scopes), CreatedAt: now}
	if err := r.store.CreateAPIKey(ctx, k); err != nil {
		return secret.Text{}, nil, err
	}
	return text, &k, r.Reload(ctx)
}

func checkKey(name string, scopes []Scope) error {
	if name == "" || utf8.RuneCountInString(name) > 60 {
		return fault.New(fault.Invalid, "invalid_key_name", "An API key needs a name of at most 60 characters, such as the application that uses it.").WithField("name")
	}
	for i, s := range scopes {
		if !slices.Contains(Scopes(), s) || slices.Contains(scopes[:i], s) {
			return fault.New(fault.Invalid, "invalid_scopes", "scopes are any of verify, manage, support, read, account and handover, each named once.").WithField("scopes")
		}
	}
	if len(scopes) == 0 {
		return fault.New(fault.Invalid, "invalid_scopes", "An API key needs at least one scope: verify, manage, support, read or account.").WithField("scopes")
	}
	return nil
}

// RevokeKey makes an API key of the service void, here at once and on other nodes within about a
// second.
//
// Faults: NotFound, Unavailable.
func (r *Registry) RevokeKey(ctx context.Context, svc *Service, id string, now time.Time) error {
	ok, err := r.store.RevokeAPIKey(ctx, svc.ID, id, now)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.NotFound, "api_key_not_found", "This service has no working API key with this id.")
	}
	return r.Reload(ctx)
}

// Keys lists a service's API keys, revoked ones included, oldest first.
func (r *Registry) Keys(svc *Service) []APIKey {
	var keys []APIKey
	for _, k := range r.state.Load().keys {
		if k.Service == svc.ID {
			keys = append(keys, *k)
		}
	}
	slices.SortFunc(keys, func(a, b APIKey) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return keys
}

// Validate tells every problem of a service at once; nil if there is none.
func (row *Row) Validate() error {
	var problems []*fault.Error
	add := func(field, message string) {
		problems = append(problems, fault.New(fault.Invalid, "invalid_service", message).WithField(field))
	}
	if !slugForm.MatchString(row.Slug) {
		add("slug", "slug must be 1 to 40 lower-case letters, digits and dashes.")
	}
	if n := utf8.RuneCountInString(row.Name); n < 1 || n > MaxName || strings.ContainsFunc(row.Name, func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune(`"\<>`, r) }) {
		add("name", fmt.Sprintf("name must have 1 to %d characters, none of them \", \\, < or >: it stands in every message.", MaxName))
	}
	if longNumber.MatchString(row.Name) {
		add("name", "name must not have four digits in a row: in a message they would look like the code.")
	}
	if row.Domain != "" && !domainForm.MatchString(row.Domain) {
		add("domain", "domain must be a host name such as acme.example, without https:// and without a path.")
	}
	if len(row.Locale) < 2 || len(row.Locale) > 35 {
		add("locale", "locale must be a language tag such as en or pt-BR.")
	}
	for _, err := range []error{row.Policy.Validate(), row.Brand.Validate()} {
		if err != nil {
			problems = append(problems, fault.As(err))
		}
	}
	return fault.Join(problems...)
}

var longNumber = regexp.MustCompile(`\p{Nd}{4}`)

var domainForm = regexp.MustCompile(`^(localhost|([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63})$`)

// domainListed is the form of a domain that a brand lists, whose last label may be an international one.
var domainListed = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]{1,58}[a-z0-9])$`)
