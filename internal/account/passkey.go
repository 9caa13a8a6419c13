// SPDX-License-Identifier: Apache-2.0

package account

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// passkeyTime is how long the browser shows its own dialog.
const passkeyTime = 5 * time.Minute

// relying is the WebAuthn relying party of a service. Its id is the service's domain and its origin the one that is configured:
// neither comes from a request.
func (a *Accounts) relying(svc *service.Service) (*webauthn.WebAuthn, error) {
	if svc.Domain == "" {
		return nil, fault.New(fault.Unsupported, "no_domain", "Passkeys need the domain of the service's pages. Set it with `countersign service set`.")
	}
	w, err := webauthn.New(&webauthn.Config{
		RPID: svc.Domain, RPDisplayName: svc.Name, RPOrigins: []string{a.Origin(svc)},
		Timeouts: webauthn.TimeoutsConfig{
			Login:        webauthn.TimeoutConfig{Timeout: passkeyTime, TimeoutUVD: passkeyTime},
			Registration: webauthn.TimeoutConfig{Timeout: passkeyTime, TimeoutUVD: passkeyTime},
		},
	})
	if err != nil {
		return nil, fault.As(fmt.Errorf("passkeys of %s: %w", svc.Slug, err))
	}
	return w, nil
}

// owner is an account as WebAuthn sees it.
type owner struct {
	id   ledger.ID
	name string
	keys []webauthn.Credential
}

func (o *owner) WebAuthnID() []byte                         { return o.id[:] }
func (o *owner) WebAuthnName() string                       { return o.name }
func (o *owner) WebAuthnDisplayName() string                { return o.name }
func (o *owner) WebAuthnCredentials() []webauthn.Credential { return o.keys }

// ownerOf is the owner of some passkeys.
func ownerOf(svc *service.Service, id ledger.ID, b *body, keys []passkey) (*owner, error) {
	o := &owner{id: id, name: b.label(svc)}
	for i := range keys {
		var c webauthn.Credential
		if err := json.Unmarshal(keys[i].Credential, &c); err != nil {
			return nil, fault.As(fmt.Errorf("decode a passkey: %w", err))
		}
		o.keys = append(o.keys, c)
	}
	return o, nil
}

// passkeys are those that a flow may be answered with.
func (f *flow) passkeys(b *body) []passkey {
	if u := f.undo(b); u != nil {
		return u.Before.Passkeys
	}
	return b.Passkeys
}

// challenge adds to a step what the browser asks its authenticator. The challenge stays with the flow, and the flow ends once.
func (a *Accounts) challenge(svc *service.Service, f *flow, b *body, s *Step) error {
	w, err := a.relying(svc)
	if err != nil {
		return err
	}
	if f.Challenge == nil {
		f.Challenge = make([]byte, 32)
		_, _ = rand.Read(f.Challenge) // never fails: it ends the program instead
	}
	id := f.Account
	if f.Kind == FlowSignUpPasskey {
		id = newAccountID(svc, f)
	}
	o, err := ownerOf(svc, id, b, f.passkeys(b))
	if err != nil {
		return err
	}
	var options any
	switch f.Kind {
	case FlowAddPasskey, FlowSignUpPasskey:
		options, err = registration(w, o, f)
	case FlowPasskey:
		options, _, err = w.BeginDiscoverableLogin(webauthn.WithChallenge(f.Challenge), webauthn.WithUserVerification(protocol.VerificationRequired))
	default:
		options, _, err = w.BeginLogin(o, webauthn.WithChallenge(f.Challenge), webauthn.WithUserVerification(protocol.VerificationPreferred))
	}
	if err != nil {
		return fault.As(fmt.Errorf("begin a passkey: %w", err))
	}
	if s.Passkey, err = json.Marshal(options); err != nil {
		return fault.As(err)
	}
	return nil
}

func registration(w *webauthn.WebAuthn, o *owner, f *flow) (*protocol.CredentialCreation, error) {
	selection := protocol.AuthenticatorSelection{
		ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
	}
	if f.Kind == FlowSignUpPasskey { // it will be the whole sign-in
		selection.ResidentKey, selection.UserVerification = protocol.ResidentKeyRequirementRequired, protocol.VerificationRequired
	}
	options, _, err := w.BeginRegistration(o, webauthn.WithAuthenticatorSelection(selection),
		webauthn.WithExclusions(webauthn.Credentials(o.keys).CredentialDescriptors()))
	if err != nil {
		return nil, err
	}
	options.Response.Challenge = f.Challenge
	return options, nil
}

// asked is what was asked of the browser, made again from the flow.
func (f *flow) asked(svc *service.Service, o *owner) webauthn.SessionData {
	s := webauthn.SessionData{
		Challenge: base64.RawURLEncoding.EncodeToString(f.Challenge), RelyingPartyID: svc.Domain, UserVerification: protocol.VerificationPreferred,
		CredParams: webauthn.CredentialParametersDefault(),
	}
	if f.Kind == FlowPasskey || f.Kind == FlowSignUpPasskey {
		s.UserVerification = protocol.VerificationRequired
	}
	if o != nil {
		s.UserID = o.id[:]
		if f.Kind != FlowAddPasskey && f.Kind != FlowSignUpPasskey {
			for i := range o.keys {
				s.AllowedCredentialIDs = append(s.AllowedCredentialIDs, o.keys[i].ID)
			}
		}
	}
	return s
}

// SignInPasskey begins a sign-in by passkey alone. Nothing is asked of the database.
//
// Faults: Unsupported (the service has no domain).
func (a *Accounts) SignInPasskey(ctx context.Context, svc *service.Service, v *Visitor) (*Step, error) {
	return a.step(ctx, svc, a.begin(FlowPasskey, ledger.ID{}, nil, v), &body{})
}

// SignUpPasskey begins an account that has a passkey and nothing else.
//
// It costs the caller as much as a code that is sent: an account can be made of it.
//
// Faults: Forbidden (the service makes its accounts itself), TooMany, Unsupported.
func (a *Accounts) SignUpPasskey(ctx context.Context, svc *service.Service, name string, v *Visitor) (*Step, error) {
	if !svc.Policy.SignUp {
		return nil, errNoSignUp
	}
	if err := a.Callers.Send(svc, v.caller(false), a.Ledger.Now()); err != nil {
		return nil, err
	}
	f := a.begin(FlowSignUpPasskey, ledger.ID{}, nil, v)
	f.Name = clip(name, 4*maxName)
	return a.step(ctx, svc, f, &body{})
}

// AddPasskey begins to add a passkey or security key.
//
// Faults: Unauthorized, Forbidden (ErrStepUp), Conflict (as many as an account can have), Unsupported.
func (a *Accounts) AddPasskey(ctx context.Context, s *Signed, name string, turnOn bool, v *Visitor) (*Step, error) {
	if err := s.sensitive(a.now()); err != nil {
		return nil, err
	}
	if len(s.b.Passkeys) >= maxPasskeys {
		return nil, errTooMany
	}
	f := a.begin(FlowAddPasskey, s.ID, s.b, v)
	f.Session, f.Name, f.TurnOn = s.session.ID, clip(name, 4*maxName), turnOn
	return a.step(ctx, s.Service, f, s.b)
}

// answerPasskey judges what the browser's authenticator signed.
func (a *Accounts) answerPasskey(ctx context.Context, svc *service.Service, f *flow, b *body, ans *Answer) (*Step, error) {
	w, err := a.relying(svc)
	if err != nil {
		return nil, err
	}
	switch f.Kind {
	case FlowAddPasskey, FlowSignUpPasskey:
		return a.registered(ctx, svc, w, f, b, ans)
	case FlowPasskey:
		return a.passkeyAlone(ctx, svc, w, f, ans)
	}
	o, err := ownerOf(svc, f.Account, b, f.passkeys(b))
	if err != nil {
		return nil, err
	}
	var used *webauthn.Credential
	if parsed, err := protocol.ParseCredentialRequestResponseBytes(ans.Passkey); err == nil && f.Challenge != nil {
		used, _ = w.ValidateLogin(o, f.asked(svc, o), parsed) // why not is nothing that the person could use
	}
	if used == nil {
		return a.wrongPasskey(ctx, svc, f, b)
	}
	return a.conclude(ctx, svc, f, MethodPasskey, ans, func(d *decision) (string, error) {
		if !d.b.usePasskey(f.passkeys(d.b), used, d.at) {
			return "wrong_passkey", nil
		}
		return "", nil
	})
}

// wrongPasskey is no guess at anything, so it counts for nothing.
func (a *Accounts) wrongPasskey(ctx context.Context, svc *service.Service, f *flow, b *body) (*Step, error) {
	return a.problem(ctx, svc, f, b, Problem{Code: "wrong_passkey"})
}

// usePasskey notes the use of one of some passkeys, also where an undo would restore it; false: it is no longer there, or its counter went back, as a
// copy's does.
func (b *body) usePasskey(among []passkey, used *webauthn.Credential, at int64) bool {
	same := func(p passkey) bool {
		var c webauthn.Credential
		return json.Unmarshal(p.Credential, &c) == nil && bytes.Equal(c.ID, used.ID)
	}
	record, err := json.Marshal(used)
	if err != nil || used.Authenticator.CloneWarning || !slices.ContainsFunc(among, same) {
		return false
	}
	places := []*[]passkey{&b.Passkeys}
	for i := range b.Undos {
		places = append(places, &b.Undos[i].Before.Passkeys)
	}
	var found []*passkey
	for _, all := range places {
		for i := range *all {
			var c webauthn.Credential
			p := &(*all)[i]
			if json.Unmarshal(p.Credential, &c) != nil || !bytes.Equal(c.ID, used.ID) {
				continue
			}
			if used.Authenticator.SignCount != 0 && used.Authenticator.SignCount <= c.Authenticator.SignCount {
				return false
			}
			found = append(found, p)
		}
	}
	for _, p := range found {
		p.Credential, p.UsedAt = record, at
	}
	return len(found) > 0
}

// passkeyAlone ends a sign-in for which the passkey is the whole proof: something that one has, unlocked by something that one is or knows.
func (a *Accounts) passkeyAlone(ctx context.Context, svc *service.Service, w *webauthn.WebAuthn, f *flow, ans *Answer) (*Step, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(ans.Passkey)
	if err != nil || f.Challenge == nil || len(parsed.Response.UserHandle) != len(ledger.ID{}) {
		return a.wrongPasskey(ctx, svc, f, &body{})
	}
	id := ledger.ID(parsed.Response.UserHandle)
	b, err := a.read(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	o, err := ownerOf(svc, id, b, b.Passkeys)
	if err != nil {
		return nil, err
	}
	_, used, err := w.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return o, nil }, f.asked(svc, nil), parsed)
	if err != nil || !b.exists() {
		return a.wrongPasskey(ctx, svc, f, &body{})
	}
	if b.State == Locked {
		return nil, errLocked
	}
	var out outcome
	err = a.existing(ctx, svc, id, nil, func(d *decision) error {
		out = outcome{}
		if err := d.spend(f); err != nil {
			return err
		}
		if d.b.State != Open || !d.b.usePasskey(d.b.Passkeys, used, d.at) {
			return errPasskeyGone
		}
		return d.signedIn(f, MethodPasskey, ans, &out)
	})
	if err != nil {
		return nil, err
	}
	return &Step{Kind: f.Kind, Next: StepDone, Done: out.done}, nil
}

var errPasskeyGone = fault.New(fault.Conflict, "passkey_gone", "This passkey no longer belongs to an account here. Sign in another way.")

// registered ends the making of a passkey.
func (a *Accounts) registered(ctx context.Context, svc *service.Service, w *webauthn.WebAuthn, f *flow, b *body, ans *Answer) (*Step, error) {
	id := f.Account
	if f.Kind == FlowSignUpPasskey {
		id = newAccountID(svc, f)
	}
	o, err := ownerOf(svc, id, b, nil)
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(ans.Passkey)
	var made *webauthn.Credential
	if err == nil && f.Challenge != nil {
		made, err = w.CreateCredential(o, f.asked(svc, o), parsed)
	}
	if err != nil || made == nil {
		return a.wrongPasskey(ctx, svc, f, b)
	}
	made.Attestation = webauthn.CredentialAttestation{} // nothing here asks for it again
	record, err := json.Marshal(made)
	if err != nil {
		return nil, fault.As(err)
	}
	var out outcome
	err = a.change(ctx, svc, ledger.AccountOf(svc.ID, id), nil, func(d *decision) error {
		out = outcome{}
		if f.Kind == FlowSignUpPasskey {
			return d.passkeyAccount(f, record, ans, &out)
		}
		if err := f.current(d.b); err != nil {
			return err
		}
		return d.passkeyAdded(f, record, ans, &out)
	})
	if err != nil {
		return nil, err
	}
	return &Step{Kind: f.Kind, Next: StepDone, Done: out.done}, nil
}

// newAccountID is the id of the account that a flow makes. It follows from the flow, so that a repeat finds the same one.
func newAccountID(svc *service.Service, f *flow) ledger.ID {
	return ledger.ID(hash(svc, "account", f.Account, f.Nonce[:]))
}

// passkeyAccount makes an account that has a passkey alone, with recovery codes, since it has no other way back in.
func (d *decision) passkeyAccount(f *flow, record []byte, ans *Answer, out *outcome) error {
	if d.b.exists() {
		return ErrSpent
	}
	d.b.CreatedAt, d.b.Locale, d.b.TwoStepAt, d.b.Default = d.at, f.Locale, d.at, wayPasskey
	d.b.Passkeys = []passkey{{ID: d.b.next(), Name: f.Name, Credential: record, AddedAt: d.at, UsedAt: d.at}}
	d.note(entry{Kind: ActSignUp}, &ans.Visitor)
	out.done = d.startSession(f, &ans.Visitor, entrance{second: true, fresh: true, quiet: true, with: MethodPasskey})
	out.done.RecoveryCodes = d.newRecoveryCodes()
	return nil
}

func (d *decision) passkeyAdded(f *flow, record []byte, ans *Answer, out *outcome) error {
	if err := d.spend(f); err != nil {
		return err
	}
	if err := d.begunBy(f); err != nil {
		return err
	}
	if len(d.b.Passkeys) >= maxPasskeys {
		return errTooMany
	}
	p := passkey{ID: d.b.next(), Name: f.Name, Credential: record, AddedAt: d.at}
	out.done = &Done{Account: d.key.ID, Thing: thing('p', p.ID)}
	d.note(entry{Kind: ActFactorAdded, What: named(p.Name, "passkey")}, &ans.Visitor)
	return d.changing(kindAdded(d, f), p.Name, &ans.Visitor, func() {
		d.b.Passkeys = append(d.b.Passkeys, p)
		d.factorAdded(f, wayPasskey, out)
	})
}
