// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// ErrWrongPassword is the one answer to a wrong password and to a contact that nobody signs in with.
var ErrWrongPassword = fault.New(fault.Unprocessable, "wrong_password",
	"We don't know this address or number together with this password. Check both, or set a new password.").WithField("password")

// SignIn judges a password. The Step is Done where no second step is needed (two-step verification is off, or the device is
// trusted), else the second step, for which a code is on its way if the account's default method is one that is sent.
//
// It costs one read and one batch, whoever exists: the read of login and account, and the batch that begins the code's verification,
// or writes down the session or the wrong try.
//
// Faults: Unprocessable (ErrWrongPassword: also when there is no such account, in words and in time), TooMany (wait, or too many wrong
// tries), Forbidden (locked), Unavailable.
func (a *Accounts) SignIn(ctx context.Context, svc *service.Service, named contact.Contact, typed secret.Text, v *Visitor) (*Step, error) {
	done, err := a.turns.take(ctx, loginKey(svc, named).ID)
	if err != nil {
		return nil, err
	}
	defer done()
	f, err := a.find(ctx, svc, named)
	if err != nil {
		return nil, err
	}
	at := a.now()
	dev := current(svc, f.key.ID, f.b, v.Devices, at)
	if err := mayTry(f.b, dev, at); err != nil {
		return nil, err
	}
	refund, err := a.Callers.Guess(svc, v.caller(dev != nil), a.Ledger.Now())
	if err != nil {
		return nil, err
	}
	p := password.Normalise(typed.Reveal())
	right, outdated, err := a.Hasher.Verify(ctx, f.b.Password.Hash, p)
	if err != nil {
		refund()
		return nil, err
	}
	if !right || !f.owns() {
		a.Callers.Wrong(svc, a.Ledger.Now())
		return nil, a.wrongPassword(ctx, svc, f, v)
	}
	refund()
	if f.b.State == Locked {
		return nil, errLocked
	}
	var better string
	if outdated {
		if better, err = a.Hasher.Hash(ctx, p); err != nil {
			return nil, err
		}
	}
	if f.b.needsSecond() && !f.b.trusts(dev, at) {
		return a.second(ctx, svc, f, v, dev)
	}
	return a.enter(ctx, svc, f, v, better, p)
}

// owns tells whether the account that the login names still has the contact: it may have been removed a moment ago.
func (f *found) owns() bool {
	for i := range f.b.Contacts {
		if folded(f.contact) == foldedText(f.b.Contacts[i].Value) {
			return f.b.Contacts[i].ProvenAt > 0
		}
	}
	return false
}

// needsSecond tells whether a password alone doesn't let in.
func (b *body) needsSecond() bool { return b.TwoStepAt > 0 }

// trusts tells whether a device skips the second step. Staff's never do.
func (b *body) trusts(dev *device, at int64) bool {
	return dev != nil && dev.Trusted > at && b.Role == Customer
}

// wrongPassword counts a wrong password, for an account or for the contact alone.
func (a *Accounts) wrongPassword(ctx context.Context, svc *service.Service, f *found, v *Visitor) error {
	err := a.change(ctx, svc, f.key, nil, func(d *decision) error {
		dev := current(svc, d.key.ID, d.b, v.Devices, d.at)
		if err := mayTry(d.b, dev, d.at); err != nil {
			return err // other nodes were faster: this one isn't judged, as far as anybody can tell
		}
		d.wrong(dev)
		d.note(entry{Kind: ActSignInFailed}, v) // for a contact alone it is counted in the row, too, and removed with it
		return nil
	})
	if err != nil {
		return err
	}
	return ErrWrongPassword
}

// second begins the second step. If its way is a code that is sent, it is on its way: the right password was the person's act.
func (a *Accounts) second(ctx context.Context, svc *service.Service, who *found, v *Visitor, dev *device) (*Step, error) {
	f := a.begin(FlowSignIn, who.key.ID, who.b, v)
	f.Contact = who.contact.Reveal()
	if dev != nil {
		f.Device = dev.ID
	}
	ways := a.ways(svc, f, who.b)
	if len(ways) == 0 {
		return a.step(ctx, svc, f, who.b)
	}
	f.Way = ways[0].ID
	if !ways[0].sent() {
		return a.step(ctx, svc, f, who.b)
	}
	return a.send(ctx, svc, f, who.b, v)
}

// sent tells whether a way's code is sent.
func (w *Way) sent() bool {
	return w.Method == MethodSMS || w.Method == MethodEmail || w.Method == MethodVoice
}

// enter lets somebody in whose password was enough. better is a stronger hash of it; empty: the one there is will do.
func (a *Accounts) enter(ctx context.Context, svc *service.Service, who *found, v *Visitor, better string, p secret.Text) (*Step, error) {
	var done *Done
	err := a.existing(ctx, svc, who.key.ID, nil, func(d *decision) error {
		if d.b.Password.Hash != who.b.Password.Hash || d.b.Epoch != who.b.Epoch || d.b.State != Open {
			return ErrWrongPassword // changed while we looked
		}
		if better != "" {
			d.b.Password.Hash, d.b.Password.Length = better, lengthOf(p)
		}
		dev, old := proven(svc, d.key.ID, d.b, v.Devices, d.at)
		if old {
			d.stolen(dev, v)
			dev = nil
		}
		if err := mayTry(d.b, dev, d.at); err != nil {
			return err
		}
		if d.b.needsSecond() && !d.b.trusts(dev, d.at) {
			return ErrFlow // two-step verification was turned on, or the trust ended, while we looked
		}
		d.right(dev)
		// Where there is no second step, the password that was just typed is as good a proof as there is.
		done = d.startSession(nil, v, entrance{dev: dev, second: d.b.needsSecond() && dev.Step2, fresh: !d.b.needsSecond(), with: MethodPassword})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Step{Kind: FlowSignIn, Next: StepDone, Done: done}, nil
}

// entrance is how somebody came in.
type entrance struct {
	dev    *device // the proven device; nil: a browser that we don't know
	second bool    // a second step was passed
	fresh  bool    // here and now, so it counts as a step-up
	trust  bool    // the person asked to trust this device
	with   Method  // the last proof
	quiet  bool    // the account is new: nobody needs to be told of its first device
}

// startSession lets somebody in: a session, and a device that is known from now on.
func (d *decision) startSession(f *flow, v *Visitor, how entrance) *Done {
	svc, b := d.svc, d.b
	value := newSecret()
	if f != nil {
		value = sessionSecret(svc, d.key.ID, f)
	}
	dev, secretText := d.meet(v, how)
	s := session{
		ID: b.next(), Hash: sessionHash(svc, d.key.ID, value), Device: dev.ID, AddedAt: d.at, SeenAt: d.at,
		ExpiresAt: d.at + sessionLife(svc).Milliseconds(), Words: clip(v.Device, maxWords), Place: clip(v.Place, maxWords), Second: how.second,
	}
	if how.fresh {
		s.SteppedAt = d.at
	}
	b.Sessions = append(b.Sessions, s)
	b.Sessions = b.Sessions[max(0, len(b.Sessions)-maxSessions):]
	d.note(entry{Kind: ActSignIn, What: string(how.with)}, v)
	return &Done{
		Account: d.key.ID, Session: token(sessionPrefix, d.key.ID, s.ID, value), SessionLife: sessionLife(svc), Device: secretText,
	}
}

// sessionSecret is derived from the flow that ends in the session, so that the repeat of a request whose answer was lost gets the same one.
func sessionSecret(svc *service.Service, account ledger.ID, f *flow) []byte {
	sum := hash(svc, "session secret", account, f.Nonce[:])
	return sum[:]
}

func sessionLife(svc *service.Service) time.Duration {
	return time.Duration(svc.Policy.Session) * 24 * time.Hour
}

// meet finds or makes the device and gives it a new secret.
func (d *decision) meet(v *Visitor, how entrance) (*device, secret.Text) {
	b, dev := d.b, how.dev
	value := newSecret()
	sum := deviceHash(d.svc, d.key.ID, value)
	if dev == nil {
		if !how.quiet && len(b.Devices) > 0 { // the first device of an account that was brought along is no news
			d.tell(message.NewDevice, v, clip(v.Device, maxWords))
		}
		if len(b.Devices) >= maxDevices {
			b.Devices = dropLongestUnseen(b.Devices)
		}
		b.Devices = append(b.Devices, device{ID: b.next(), AddedAt: d.at})
		dev = &b.Devices[len(b.Devices)-1]
		dev.Hash = sum
	}
	dev.Previous, dev.Hash, dev.RotatedAt = dev.Hash, sum, d.at
	dev.SeenAt, dev.Words, dev.Place = d.at, clip(v.Device, maxWords), clip(v.Place, maxWords)
	dev.Step2 = dev.Step2 || how.second
	if how.trust && how.second {
		dev.Trusted = d.at + int64(d.svc.Policy.TrustedDevice)*day
		d.note(entry{Kind: ActDeviceTrusted, What: dev.words()}, v)
	}
	return dev, token(devicePrefix, d.key.ID, dev.ID, value)
}

func (dev *device) words() string {
	if dev.Name != "" {
		return dev.Name
	}
	return dev.Words
}

func dropLongestUnseen(all []device) []device {
	oldest := 0
	for i := range all {
		if all[i].SeenAt < all[oldest].SeenAt {
			oldest = i
		}
	}
	return append(all[:oldest], all[oldest+1:]...)
}

// stolen ends a device whose old secret was used: two browsers hold what one was given. Its owner is told.
func (d *decision) stolen(dev *device, v *Visitor) {
	what := dev.words()
	id := dev.ID
	d.b.Devices = keep(d.b.Devices, func(o device) bool { return o.ID != id })
	d.b.Sessions = keep(d.b.Sessions, func(s session) bool { return s.Device != id })
	d.note(entry{Kind: ActDeviceRevoked, What: what}, v)
	d.tell(message.DeviceRevoked, v, what)
}
