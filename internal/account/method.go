// SPDX-License-Identifier: Apache-2.0

package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"slices"
	"strings"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// appWindow is how many time steps of drift either way are accepted (RFC 6238 5.2), and maxDrift how far a clock may have wandered.
const (
	appWindow = 1
	maxDrift  = 10
)

func totp(key []byte) *otp.TOTP { return &otp.TOTP{Secret: key, Window: appWindow} }

// typedApp reads an authenticator app's code as people type it.
func typedApp(text string) (otp.Code, bool) {
	t := otp.Parse(text, otp.Shape{Digits: 6})
	return t.Code, t.Kind == otp.TypedCode
}

// accept judges a code of an app and burns its time step, so that no second request gets in with it.
func (p *app) accept(code otp.Code, at int64) bool {
	step, drift, ok := totp(p.Secret).Match(code, moment(at), p.LastStep, p.Drift)
	if ok {
		p.LastStep, p.Drift, p.UsedAt = step, max(-maxDrift, min(drift, maxDrift)), at
	}
	return ok
}

// answerApp judges an authenticator app's code.
func (a *Accounts) answerApp(ctx context.Context, svc *service.Service, f *flow, b *body, ans *Answer) (*Step, error) {
	code, ok := typedApp(ans.Typed)
	if !ok {
		return a.problem(ctx, svc, f, b, Problem{Code: "unclear_app_code"})
	}
	if f.Kind == FlowAddApp { // its first code is no guess at anything
		return a.conclude(ctx, svc, f, MethodApp, ans, func(d *decision) (string, error) {
			if p := (&app{Secret: f.Secret}); !p.accept(code, d.at) {
				return "wrong_app_code", nil
			}
			return "", nil
		})
	}
	s, err := a.guessed(ctx, svc, f, b, MethodApp, ans, nil, func(d *decision) (string, error) {
		if err := d.appThrottled(ans); err != nil {
			return "", err
		}
		if id, _ := thingID('a', f.Way); !d.b.useApp(f.apps(d.b), id, code, d.at) {
			return "wrong_app_code", nil
		}
		return "", nil
	})
	if err != nil || s.Problem == nil {
		return s, err
	}
	if sent, err := a.textTyped(ctx, svc, f, b, ans); err != nil || sent != nil {
		return sent, err
	}
	return s, nil
}

// triesForApps are how many tries of a code that was sent are left to its own field, when an app's field has guessed at it.
const triesForApps = 2

// textTyped judges what was typed into the app's field as the code that the same flow has sent: people do that, too. It costs one of that
// code's tries. Nil: it was none.
func (a *Accounts) textTyped(ctx context.Context, svc *service.Service, f *flow, b *body, ans *Answer) (*Step, error) {
	if f.Code.IsZero() || f.Kind != FlowSignIn && f.Kind != FlowStepUp {
		return nil, nil
	}
	facts, err := a.Codes.Facts(ctx, svc, f.Code)
	if err != nil || facts.Status != verification.Pending || facts.TriesLeft <= triesForApps {
		return nil, err
	}
	for _, w := range a.ways(svc, f, b) {
		if w.ID != f.CodeWay {
			continue
		}
		got, err := a.Codes.Check(ctx, verification.CheckRequest{
			Service: svc, ID: f.Code, Typed: ans.Typed, Caller: ans.Visitor.caller(current(svc, f.Account, b, ans.Visitor.Devices, a.now()) != nil),
			Idempotency: f.repeatable(ans),
		})
		if err != nil || got.Result != verification.Granted {
			return nil, nil //nolint:nilerr // a refusal of the code's own budgets leaves a wrong code of the app
		}
		other := *f
		other.Way = f.CodeWay
		return a.conclude(ctx, svc, &other, w.Method, ans, func(*decision) (string, error) { return "", nil })
	}
	return nil, nil
}

// apps are those that a flow may be answered with.
func (f *flow) apps(b *body) []app {
	if u := f.undo(b); u != nil {
		return u.Before.Apps
	}
	return b.Apps
}

// useApp judges a code of one of some apps of the account and burns its time step, also where an undo would restore the app: what was burnt
// stays burnt.
func (b *body) useApp(among []app, id uint32, code otp.Code, at int64) bool {
	if !slices.ContainsFunc(among, func(p app) bool { return p.ID == id }) {
		return false
	}
	places := [][]app{b.Apps}
	for i := range b.Undos {
		places = append(places, b.Undos[i].Before.Apps)
	}
	var found []*app
	for _, all := range places {
		for i := range all {
			if p := &all[i]; p.ID == id {
				found = append(found, p)
			}
		}
	}
	newest := slices.MaxFunc(found, func(p, q *app) int { return cmp.Compare(p.LastStep, q.LastStep) })
	right := newest.accept(code, at)
	for _, p := range found {
		p.LastStep, p.Drift, p.UsedAt = newest.LastStep, newest.Drift, newest.UsedAt
	}
	return right
}

// Recovery codes: ten, of 80 random bits each, typed as four groups of four letters and digits (NIST SP 800-63B-4, saved recovery
// codes: at least 64 bits).
const (
	recoveryCount = 10
	recoveryBytes = 10
)

var recoveryText = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding) // no l, o, 0 and 1

// newRecoveryCodes replaces the recovery codes and returns them as people write them down.
func (d *decision) newRecoveryCodes() []string {
	d.b.Recovery = recoveryCodes{MadeAt: d.at}
	codes := make([]string, recoveryCount)
	for i := range codes {
		var raw [recoveryBytes]byte
		_, _ = rand.Read(raw[:]) // never fails: it ends the program instead
		text := recoveryText.EncodeToString(raw[:])
		d.b.Recovery.Hashes = append(d.b.Recovery.Hashes, hash(d.svc, "recovery", d.key.ID, []byte(text)))
		codes[i] = text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
	}
	return codes
}

// use tells whether a code is one of those that are left, and uses it up.
func (r *recoveryCodes) use(sum [16]byte, at int64) bool {
	found := -1
	for i := range r.Hashes {
		if sameHash(r.Hashes[i], sum) {
			found = i
		}
	}
	if found < 0 {
		return false
	}
	r.Hashes = slices.Delete(slices.Clone(r.Hashes), found, found+1)
	r.UsedAt = at
	return true
}

// plainRecovery is a recovery code without what people put between its characters.
func plainRecovery(typed string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '2' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(clip(typed, 100)))
}

// answerRecoveryCode judges a recovery code.
func (a *Accounts) answerRecoveryCode(ctx context.Context, svc *service.Service, f *flow, b *body, ans *Answer) (*Step, error) {
	return a.guessed(ctx, svc, f, b, MethodRecovery, ans, nil, func(d *decision) (string, error) {
		sum := hash(svc, "recovery", d.key.ID, []byte(plainRecovery(ans.Typed)))
		right := d.b.Recovery.use(sum, d.at)
		for i := range d.b.Undos { // used is used, whatever is restored later
			u := &d.b.Undos[i]
			right = u.Before.Recovery.use(sum, d.at) && f.Kind == FlowUndo && u.ID == f.Undo || right
		}
		if f.Decoy || !right {
			return "wrong_recovery_code", nil
		}
		d.note(entry{Kind: ActRecoveryCodeUsed}, &ans.Visitor)
		d.tell(message.RecoveryCodeUsed, &ans.Visitor, "")
		return "", nil
	})
}

// used notes when a way was used last.
func (d *decision) used(way string) {
	if id, ok := thingID('c', way); ok {
		for i := range d.b.Contacts {
			if c := &d.b.Contacts[i]; c.ID == id {
				c.UsedAt, c.ConfirmedAt, c.BouncedAt = d.at, d.at, 0
			}
		}
	}
}

// signedIn ends a sign-in whose second step was passed.
func (d *decision) signedIn(f *flow, with Method, ans *Answer, out *outcome) error {
	dev, old := proven(d.svc, d.key.ID, d.b, ans.Visitor.Devices, d.at)
	if old {
		d.stolen(dev, &ans.Visitor)
		dev = nil
	}
	d.right(dev)
	out.done = d.startSession(f, &ans.Visitor, entrance{dev: dev, second: true, fresh: true, trust: ans.Trust, with: with})
	return nil
}

// suspicious tells the owner that somebody had the right password and not the second step, at most once an hour.
func (d *decision) suspicious(f *flow, v *Visitor) {
	if f.Kind != FlowSignIn {
		return
	}
	d.note(entry{Kind: ActSecondStepFailed, What: f.Way}, v)
	if at := d.lastNotice(message.SecondStepFailed); d.at-at > hour {
		d.tell(message.SecondStepFailed, v, "")
	}
}

// AddApp begins to add an authenticator app: its secret is in the Step, and counts when a code of it has been typed.
//
// Faults: Unauthorized, Forbidden (ErrStepUp), Conflict (as many as an account can have), Unavailable.
func (a *Accounts) AddApp(ctx context.Context, s *Signed, name string, turnOn bool, v *Visitor) (*Step, error) {
	if err := s.sensitive(a.now()); err != nil {
		return nil, err
	}
	if len(s.b.Apps) >= maxApps {
		return nil, errTooMany
	}
	key, err := otp.NewSecret(rand.Reader)
	if err != nil {
		return nil, fault.As(err)
	}
	f := a.begin(FlowAddApp, s.ID, s.b, v)
	f.Secret, f.Session, f.Name, f.TurnOn = key, s.session.ID, clip(name, 4*maxName), turnOn
	return a.step(ctx, s.Service, f, s.b)
}

// setupOf is what the app needs to know.
func setupOf(svc *service.Service, f *flow, b *body) *AppSetup {
	return &AppSetup{Secret: otp.FormatSecret(f.Secret), URI: totp(f.Secret).URI(svc.Name, b.label(svc))}
}

// label is what an account is called beside its passkey or in its app. Others see those screens, so it is masked.
func (b *body) label(svc *service.Service) string {
	for i := range b.Contacts {
		if c, err := b.Contacts[i].contact(); err == nil && b.Contacts[i].ProvenAt > 0 {
			return c.MaskedShort()
		}
	}
	return svc.Name
}

func (d *decision) appAdded(f *flow, ans *Answer, out *outcome) error {
	if len(d.b.Apps) >= maxApps {
		return errTooMany
	}
	code, _ := typedApp(ans.Typed)
	p := app{ID: d.b.next(), Name: f.Name, Secret: f.Secret, AddedAt: d.at}
	p.accept(code, d.at)
	out.done = &Done{Account: d.key.ID, Thing: thing('a', p.ID)}
	d.note(entry{Kind: ActFactorAdded, What: named(p.Name, "app")}, &ans.Visitor)
	return d.changing(kindAdded(d, f), p.Name, &ans.Visitor, func() {
		d.b.Apps = append(d.b.Apps, p)
		d.factorAdded(f, thing('a', p.ID), out)
	})
}

func named(name, otherwise string) string {
	if name != "" {
		return name
	}
	return otherwise
}

// kindAdded is what the contacts are told when a method is added.
func kindAdded(d *decision, f *flow) message.NoticeKind {
	if f.TurnOn && d.b.TwoStepAt == 0 {
		return message.TwoStepOn
	}
	return message.FactorAdded
}

// factorAdded turns two-step verification on if that was what the method is for. The first method comes with recovery codes.
func (d *decision) factorAdded(f *flow, way string, out *outcome) {
	if f.TurnOn && d.b.TwoStepAt == 0 {
		d.b.TwoStepAt, d.b.Default = d.at, way
		d.b.Epoch++
	}
	if d.b.TwoStepAt > 0 && len(d.b.Recovery.Hashes) == 0 {
		out.done.RecoveryCodes = d.newRecoveryCodes()
	}
}
