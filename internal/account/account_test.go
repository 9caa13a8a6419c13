// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/store"
	"github.com/countersign/countersign/internal/testkit/peers"
	"github.com/countersign/countersign/internal/verification"
)

// post keeps what would have been sent.
type post struct {
	mu   sync.Mutex
	sent []message.Outgoing
}

func (p *post) Enqueue(m message.Outgoing) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, m)
	return true
}

// code is the latest code to a contact; it isn't a decoy's.
func (p *post) code(t testing.TB, to string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.sent) - 1; i >= 0; i-- {
		if m := p.sent[i]; m.Notice == nil && !m.Decoy && m.To.Reveal() == to {
			return m.Code.Reveal()
		}
	}
	t.Fatalf("no code was sent to %s", to)
	return ""
}

// notices are the kinds of notices to a contact, in order.
func (p *post) notices(to string) (all []message.NoticeKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.sent {
		if m.Notice != nil && m.To.Reveal() == to {
			all = append(all, m.Notice.Kind)
		}
	}
	return all
}

// notice is the latest notice of a kind to a contact.
func (p *post) notice(t testing.TB, to string, kind message.NoticeKind) message.Outgoing {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.sent) - 1; i >= 0; i-- {
		if m := p.sent[i]; m.Notice != nil && m.To.Reveal() == to && m.Notice.Kind == kind {
			return m
		}
	}
	t.Fatalf("%s was not told of %v", to, kind)
	return message.Outgoing{}
}

func (p *post) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// world is the accounts of a service on a real database, with a clock that the test moves.
type world struct {
	testing.TB
	store    *store.Store
	registry *service.Registry
	ledger   *counting
	engine   *verification.Engine
	accounts *account.Accounts
	post     *post
	offset   *atomic.Int64
	svc      *service.Service
	erased   map[ledger.ID]bool
}

// counting counts what is asked of the database and of the processor.
type counting struct {
	ledger.Ledger
	*password.Hasher
	reads, ops, hashes atomic.Int64
}

func (c *counting) Hash(ctx context.Context, p secret.Text) (string, error) {
	c.hashes.Add(1)
	return c.Hasher.Hash(ctx, p)
}

func (c *counting) Verify(ctx context.Context, hash string, p secret.Text) (right, outdated bool, err error) {
	c.hashes.Add(1)
	return c.Hasher.Verify(ctx, hash, p)
}

func (c *counting) Do(ctx context.Context, op ledger.Op) error {
	c.ops.Add(1)
	return c.Ledger.Do(ctx, op)
}

func (c *counting) Read(ctx context.Context, k ledger.Key) (ledger.Value, error) {
	c.reads.Add(1)
	return c.Ledger.Read(ctx, k)
}

func (c *counting) ReadLogin(ctx context.Context, l, o ledger.Key) (ledger.Value, ledger.Value, error) {
	c.reads.Add(1)
	return c.Ledger.ReadLogin(ctx, l, o)
}

func decode(kind ledger.Kind, record []byte) (ledger.Value, error) {
	if kind >= ledger.KindLogin {
		return account.DecodeRow(kind, record)
	}
	return verification.DecodeRow(kind, record)
}

func newWorld(t testing.TB, url string, policy func(*service.Policy)) *world {
	t.Helper()
	master, err := secret.GenerateMaster(rand.Reader)
	must(t, err)
	w := &world{TB: t, offset: &atomic.Int64{}, post: &post{}, erased: map[ledger.ID]bool{}}
	w.store, err = store.Open(t.Context(), url, store.Options{MaxConns: 4})
	must(t, err)
	t.Cleanup(func() { _ = w.store.Close() })
	must(t, w.store.Migrate(t.Context()))
	reg, err := service.NewRegistry(t.Context(), w.store, master)
	must(t, err)
	w.registry = reg
	p := service.DefaultPolicy()
	p.CallerGuesses, p.CallerSends = service.Limit{Hour: 100_000, Day: 100_000}, service.Limit{Hour: 100_000, Day: 100_000}
	p.ContactSends = service.Limit{Hour: 100, Day: 100}
	if policy != nil {
		policy(&p)
	}
	w.svc, err = reg.Create(t.Context(), service.Row{Slug: "acme", Name: "Acme", Domain: "acme.example", Locale: "en", Policy: p}, time.Now())
	must(t, err)
	b := ledger.New(w.store, ledger.Options{Decode: decode, Offset: func() time.Duration { return time.Duration(w.offset.Load()) }})
	t.Cleanup(b.Close)
	w.ledger = &counting{Ledger: b, Hasher: password.NewHasher(2)}
	callers := verification.NewCallers(w.store, slog.New(slog.DiscardHandler))
	w.engine = verification.New(w.ledger, reg, w.post, callers)
	w.engine.UseLister(func(ctx context.Context, service uint32, shard uint16, since, before ledger.ID, limit int) (map[ledger.ID]*verification.Record, []ledger.ID, error) {
		list, err := w.store.OfShard(ctx, service, shard, since, before, limit, decode)
		rows, order := map[ledger.ID]*verification.Record{}, []ledger.ID(nil)
		for _, one := range list {
			rows[one.Key.ID] = one.Value.(*verification.Record)
			order = append(order, one.Key.ID)
		}
		return rows, order, err
	})
	w.accounts = account.New(account.Options{
		Ledger: w.ledger, Codes: w.engine, Callers: callers, Services: reg, Sender: w.post, Hasher: w.ledger,
		Origin: func(s *service.Service) string { return "https://" + s.Domain },
		Erase:  func(_ context.Context, _ uint32, id ledger.ID) error { w.erased[id] = true; return nil },
	})
	return w
}

func onBoth(t *testing.T, run func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, "sqlite:"+filepath.Join(t.TempDir(), "account.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, peers.Postgres(t))
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t testing.TB, err error, code string) {
	t.Helper()
	if err == nil || fault.As(err).Code != code {
		t.Fatalf("want %s, got %v", code, err)
	}
}

func (w *world) pass(d time.Duration) { w.offset.Add(int64(d)) }

func to(t testing.TB, text string) contact.Contact {
	t.Helper()
	c, err := contact.Parse(text, "")
	must(t, err)
	return c
}

const (
	ann   = "ann@mail.example"
	phone = "+14155550121"
	long  = "kelp roof lantern river"
)

// browser is a person's browser: a device cookie and a session.
type browser struct {
	*world
	devices []string
	session string
}

func (w *world) browser() *browser { return &browser{world: w} }

func (b *browser) visitor() *account.Visitor {
	return &account.Visitor{IP: "203.0.113.9", Device: "Firefox on Linux", Place: "near Lyon, France", Language: "en", Devices: b.devices}
}

// done takes what a finished step leaves with the browser.
func (b *browser) done(s *account.Step, err error) *account.Step {
	b.Helper()
	must(b, err)
	if s.Problem != nil {
		b.Fatalf("refused: %+v", s.Problem)
	}
	if s.Next != account.StepDone {
		b.Fatalf("the step asks for %s", s.Next)
	}
	if v := s.Done.Session.Reveal(); v != "" {
		b.session = v
	}
	if v := s.Done.Device.Reveal(); v != "" {
		b.devices = []string{v}
	}
	return s
}

func (b *browser) answer(s *account.Step, a account.Answer) (*account.Step, error) {
	a.Visitor, a.Session = *b.visitor(), b.session
	return b.accounts.Answer(b.Context(), b.svc, s.Flow, &a)
}

func (b *browser) signed() *account.Signed {
	b.Helper()
	s, err := b.accounts.Session(b.Context(), b.svc, b.session, b.visitor())
	must(b, err)
	return s
}

func (b *browser) view() *account.View { return b.accounts.View(b.signed()) }

// signUp makes an account by email.
func (w *world) signUp(address string) *browser {
	w.Helper()
	b := w.browser()
	s, err := w.accounts.SignUp(w.Context(), w.svc, to(w, address), secret.NewText(long), b.visitor())
	must(w, err)
	b.done(b.answer(s, account.Answer{Typed: w.post.code(w, address)}))
	return b
}

// addPhone adds a phone to the account, and turns two-step verification on with it if asked.
func (b *browser) addPhone(number string, on bool) *account.Step {
	b.Helper()
	s, err := b.accounts.AddContact(b.Context(), b.signed(), to(b, number), "", b.visitor())
	must(b, err)
	s, err = b.accounts.Send(b.Context(), b.svc, s.Flow, "", b.visitor())
	must(b, err)
	added := b.done(b.answer(s, account.Answer{Typed: b.post.code(b, number)}))
	if !on {
		return added
	}
	s, err = b.accounts.Enable(b.Context(), b.signed(), added.Done.Thing, b.visitor())
	must(b, err)
	if s.Next != account.StepSend {
		b.Fatalf("a text is sent without being asked for: %s", s.Next)
	}
	b.pass(time.Minute)
	s, err = b.accounts.Send(b.Context(), b.svc, s.Flow, "", b.visitor())
	must(b, err)
	return b.done(b.answer(s, account.Answer{Typed: b.post.code(b, number)}))
}

// addApp adds an authenticator app and returns its secret.
func (b *browser) addApp() []byte {
	b.Helper()
	s, err := b.accounts.AddApp(b.Context(), b.signed(), "My phone", true, b.visitor())
	must(b, err)
	key, err := otp.ParseSecret(s.Setup.Secret)
	must(b, err)
	b.done(b.answer(s, account.Answer{Typed: b.appCode(key)}))
	return key
}

func (w *world) appCode(key []byte) string {
	return (&otp.TOTP{Secret: key}).At(w.ledger.Now()).Reveal()
}

func (b *browser) signIn() (*account.Step, error) {
	return b.accounts.SignIn(b.Context(), b.svc, to(b, ann), secret.NewText(long), b.visitor())
}

// A person signs up, comes back, turns two-step verification on by text, and signs in with a code.
// Keeps: B.1, B.2, B.3
func TestSignUpAndTwoStep(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		b := w.signUp(ann)
		if v := b.view(); len(v.Contacts) != 1 || !v.Contacts[0].Proven || v.TwoStep || !v.Password.Alone {
			t.Fatalf("a new account: %+v", v)
		}
		must(t, w.accounts.SignOut(t.Context(), b.signed(), "", b.visitor()))
		if _, err := w.accounts.Session(t.Context(), w.svc, b.session, b.visitor()); !errors.Is(err, account.ErrSignedOut) {
			t.Fatalf("signed out: %v", err)
		}
		w.ledger.reads.Store(0)
		w.ledger.ops.Store(0)
		b.done(b.signIn())
		if r, o := w.ledger.reads.Load(), w.ledger.ops.Load(); r+o > 2 {
			t.Errorf("a sign-in costs %d reads and %d batches, more than two statements", r, o)
		}
		w.pass(11 * time.Minute)
		_, err := w.accounts.AddApp(t.Context(), b.signed(), "", true, b.visitor())
		refused(t, err, "step_up_needed")
		b.stepUp()
		on := b.addPhone(phone, true)
		if len(on.Done.RecoveryCodes) != 10 {
			t.Fatalf("%d recovery codes", len(on.Done.RecoveryCodes))
		}
		other := w.browser()
		w.pass(time.Minute)
		s, err := other.signIn()
		must(t, err)
		if s.Next != account.StepCode || s.Way.Method != account.MethodSMS || s.Code.Contact != "the phone ending in 21" {
			t.Fatalf("the second step: %+v", s)
		}
		other.done(other.answer(s, account.Answer{Typed: w.post.code(t, phone), Trust: true}))
		// The device is trusted: the password is enough, and a stranger's isn't.
		other.done(other.signIn())
		w.pass(31 * 24 * time.Hour)
		if s, err = other.signIn(); err != nil || s.Next != account.StepCode {
			t.Fatalf("trusted for longer than thirty days: %+v, %v", s, err)
		}
	})
}

// stepUp proves anew who one is, by password.
func (b *browser) stepUp() {
	b.Helper()
	s, err := b.accounts.StepUp(b.Context(), b.signed(), b.visitor())
	must(b, err)
	old := b.session
	b.done(b.answer(s, account.Answer{Password: secret.NewText(long)}))
	if _, err := b.accounts.Session(b.Context(), b.svc, old, b.visitor()); err == nil {
		b.Fatal("a step-up leaves the session's token as it was")
	}
}

// An authenticator's code counts once, even for two requests at once; recovery codes count once each.
// Keeps: B.4
func TestAppAndRecoveryCodes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		b := w.signUp(ann)
		key := b.addApp()
		w.pass(time.Minute)
		codes, err := w.accounts.NewRecoveryCodes(t.Context(), b.signed(), b.visitor())
		must(t, err)
		code := w.appCode(key)
		steps := make([]*account.Step, 20)
		for i := range steps {
			if steps[i], err = w.browser().signIn(); err != nil || steps[i].Next != account.StepApp {
				t.Fatalf("%+v, %v", steps[i], err)
			}
		}
		if n := together(len(steps), func(i int) bool {
			s, err := w.browser().answer(steps[i], account.Answer{Typed: code[:3] + " " + code[3:]})
			return err == nil && s.Next == account.StepDone
		}); n != 1 {
			t.Fatalf("one code let %d in", n)
		}
		w.pass(25 * time.Hour)
		for i, want := range []bool{true, false} {
			o := w.browser()
			s, err := o.signIn()
			must(t, err)
			s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "r")
			must(t, err)
			s, err = o.answer(s, account.Answer{Typed: strings.ToUpper(codes[3])})
			must(t, err)
			if (s.Next == account.StepDone) != want {
				t.Fatalf("use %d of a recovery code: %+v", i+1, s)
			}
		}
		if left := b.view(); left.RecoveryLeft != 9 {
			t.Fatalf("%d codes left", left.RecoveryLeft)
		}
	})
}

// Whoever exists: the same faults, the same statements, the same steps.
// Keeps: S16
func TestNobodyLearnsWhoExists(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		w.signUp(ann).addPhone(phone, true)
		type cost struct {
			reads, ops, hashes int64
			err                string
			next               account.StepKind
			sent               int
		}
		measure := func(fn func(address string) (*account.Step, error), address string) cost {
			w.ledger.reads.Store(0)
			w.ledger.ops.Store(0)
			w.ledger.hashes.Store(0)
			sent := w.post.count()
			s, err := fn(address)
			c := cost{reads: w.ledger.reads.Load(), ops: w.ledger.ops.Load(), hashes: w.ledger.hashes.Load()}
			if err != nil {
				c.err = fault.As(err).Code + fault.As(err).Message
			} else {
				c.next = s.Next
				if s.Problem != nil {
					c.err = s.Problem.Code
				}
			}
			for _, m := range w.post.sent[sent:] {
				if m.Notice == nil {
					c.sent++ // decoys go to the sender, too
				}
			}
			return c
		}
		v := w.browser().visitor()
		for name, fn := range map[string]func(string) (*account.Step, error){
			"sign in": func(a string) (*account.Step, error) {
				return w.accounts.SignIn(t.Context(), w.svc, to(t, a), secret.NewText("not the password"), v)
			},
			"sign up": func(a string) (*account.Step, error) {
				return w.accounts.SignUp(t.Context(), w.svc, to(t, a), secret.NewText(long), v)
			},
			"forgot": func(a string) (*account.Step, error) {
				s, err := w.accounts.Forgot(t.Context(), w.svc, to(t, a), v)
				must(t, err)
				s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", v)
				must(t, err)
				return w.browser().answer(s, account.Answer{Typed: "000000"})
			},
			"recover": func(a string) (*account.Step, error) {
				s, err := w.accounts.Recover(t.Context(), w.svc, to(t, a), v)
				must(t, err)
				s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "w")
				must(t, err)
				return w.browser().answer(s, account.Answer{Password: secret.NewText("not the password")})
			},
		} {
			known, unknown := measure(fn, ann), measure(fn, "nobody@mail.example")
			if known != unknown {
				t.Errorf("%s: an account costs %+v, none costs %+v", name, known, unknown)
			}
		}
		if got := w.post.notices(ann); got[len(got)-1] != message.SignUpTaken {
			t.Errorf("the owner of a taken address was told %v", got)
		}
	})
}

// A provider's receipt comes only for a message that was sent, so whoever has proven nothing isn't shown it.
// Keeps: S16
func TestReceiptsTellNobodyWhoExists(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	v := w.browser().visitor()
	status := func(s *account.Step, err error, delivered bool) verification.MessageStatus {
		t.Helper()
		must(t, err)
		var ref message.Ref
		for _, m := range w.post.sent {
			if m.Notice == nil {
				ref = m.Ref
			}
		}
		must(t, w.engine.Receive(t.Context(), ref, message.Receipt{Provider: "gw", Reference: "r", Delivered: delivered, Outcome: message.Unreachable}))
		s, err = w.accounts.Look(t.Context(), w.svc, s.Flow)
		must(t, err)
		if m := s.Code.Messages[0]; !m.ReceiptAt.IsZero() && m.Status == verification.Sent {
			t.Fatalf("%+v", m)
		}
		return s.Code.Messages[0].Status
	}
	forgotten := func() (*account.Step, error) {
		s, err := w.accounts.Forgot(t.Context(), w.svc, to(t, ann), v)
		must(t, err)
		return w.accounts.Send(t.Context(), w.svc, s.Flow, "", v)
	}
	for _, delivered := range []bool{true, false} {
		if s, err := forgotten(); status(s, err, delivered) != verification.Sent {
			t.Errorf("a forgotten password shows whether a message was delivered (%v)", delivered)
		}
	}
	s, err := w.accounts.SignUp(t.Context(), w.svc, to(t, "new@mail.example"), secret.NewText(long), v)
	if status(s, err, true) != verification.Sent {
		t.Error("a sign-up shows that a message was delivered")
	}
	s, err = w.accounts.SignUp(t.Context(), w.svc, to(t, "gone@mail.example"), secret.NewText(long), v)
	if status(s, err, false) != verification.Undelivered {
		t.Error("a sign-up doesn't show that a message can't be delivered")
	}
	b.addPhone(phone, true)
	w.pass(time.Minute)
	if s, err := b.signIn(); status(s, err, true) != verification.Delivered {
		t.Error("after the right password a delivered message isn't shown as such")
	}
}

// Strangers who use up their tries don't keep the owner's device out, and are told the same of a contact nobody has.
// Keeps: S17
func TestStrangersCantLockTheOwnerOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "account.db"), nil)
	owner := w.signUp(ann)
	judged := map[string]int{}
	for _, address := range []string{ann, "nobody@mail.example"} {
		for range 200 {
			stranger := w.browser()
			_, err := w.accounts.SignIn(t.Context(), w.svc, to(t, address), secret.NewText("guess"), stranger.visitor())
			switch fault.As(err).Code {
			case "wrong_password":
				judged[address]++
			case "sign_in_throttled":
				w.pass(fault.As(err).RetryAfter)
			case "sign_in_used_up":
			default:
				t.Fatal(err)
			}
		}
	}
	if judged[ann] != 40 || judged["nobody@mail.example"] != 40 {
		t.Fatalf("judged: %v", judged)
	}
	owner.done(owner.signIn())
	_, err := w.browser().signIn()
	refused(t, err, "sign_in_used_up")
	// A new password by a code opens it for everybody.
	b := w.browser()
	s, err := w.accounts.Forgot(t.Context(), w.svc, to(t, ann), b.visitor())
	must(t, err)
	s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", b.visitor())
	must(t, err)
	s, err = b.answer(s, account.Answer{Typed: w.post.code(t, ann)})
	must(t, err)
	b.done(b.answer(s, account.Answer{Password: secret.NewText(long + " two")}))
	if _, err = w.browser().signIn(); fault.As(err).Code != "wrong_password" {
		t.Fatal(err)
	}
}
