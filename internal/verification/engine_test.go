// SPDX-License-Identifier: Apache-2.0

package verification_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/store"
	"github.com/countersign/countersign/internal/testkit/peers"
	"github.com/countersign/countersign/internal/verification"
)

// phone keeps the last messages that would have been sent.
type phone struct {
	mu   sync.Mutex
	sent []message.Outgoing
	full atomic.Bool
}

func (p *phone) Enqueue(m message.Outgoing) bool {
	if p.full.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, m)
	return true
}

func (p *phone) last(t testing.TB) message.Outgoing {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) == 0 {
		t.Fatal("no message was handed to the sender")
	}
	return p.sent[len(p.sent)-1]
}

func (p *phone) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// world is an engine on a real database with a clock that the test moves.
type world struct {
	testing.TB
	store   *store.Store
	master  secret.Master
	batcher *ledger.Batcher
	engine  *verification.Engine
	phone   *phone
	offset  *atomic.Int64
	reg     *service.Registry
	svc     *service.Service
	url     string
}

func newWorld(t testing.TB, url string, policy func(*service.Policy)) *world {
	t.Helper()
	master, err := secret.GenerateMaster(rand.Reader)
	must(t, err)
	w := &world{TB: t, master: master, offset: &atomic.Int64{}, url: url}
	w.open()
	must(t, w.store.Migrate(t.Context()))
	w.reg, err = service.NewRegistry(t.Context(), w.store, master)
	must(t, err)
	p := service.DefaultPolicy()
	p.CallerGuesses = service.Limit{Hour: 100_000, Day: 100_000}
	if policy != nil {
		policy(&p)
	}
	w.svc, err = w.reg.Create(t.Context(), service.Row{Slug: "acme", Name: "Acme", Domain: "acme.example", Locale: "en", Policy: p}, time.Now())
	must(t, err)
	w.wire()
	return w
}

// node is another node on the same database.
func (w *world) node() *world {
	n := &world{TB: w.TB, master: w.master, offset: w.offset, url: w.url}
	n.open()
	var err error
	n.reg, err = service.NewRegistry(w.Context(), n.store, w.master)
	must(w, err)
	n.svc, _ = n.reg.BySlug("acme")
	n.wire()
	return n
}

func (w *world) open() {
	s, err := store.Open(w.Context(), w.url, store.Options{MaxConns: 4})
	must(w, err)
	w.store = s
	w.Cleanup(func() { _ = s.Close() })
}

func (w *world) wire() {
	w.batcher = ledger.New(w.store, ledger.Options{
		Decode: verification.DecodeRow, Offset: func() time.Duration { return time.Duration(w.offset.Load()) },
	})
	w.Cleanup(w.batcher.Close)
	w.phone = &phone{}
	w.engine = verification.New(w.batcher, w.reg, w.phone, verification.NewCallers(w.store, slog.New(slog.DiscardHandler)))
}

func (w *world) pass(d time.Duration) { w.offset.Add(int64(d)) }

func (w *world) to(number string) contact.Contact {
	c, err := contact.Parse(number, "")
	must(w, err)
	return c
}

func (w *world) begin(change func(*verification.BeginRequest)) *verification.Begun {
	w.Helper()
	req := verification.BeginRequest{Service: w.svc, Contact: w.to("+14155550121"), Purpose: service.SignIn}
	if change != nil {
		change(&req)
	}
	b, err := w.engine.Begin(w.Context(), req)
	must(w, err)
	return b
}

func (w *world) check(id ledger.ID, typed string) *verification.Checked {
	w.Helper()
	c, err := w.engine.Check(w.Context(), verification.CheckRequest{Service: w.svc, ID: id, Typed: typed})
	must(w, err)
	return c
}

func (w *world) want(got *verification.Checked, want verification.Result, triesLeft int) {
	w.Helper()
	if got.Result != want || got.TriesLeft != triesLeft {
		w.Fatalf("got %s with %d tries left, want %s with %d", got.Result, got.TriesLeft, want, triesLeft)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (cause: %v)", err, errors.Unwrap(err))
	}
}

func wantFault(t testing.TB, err error, code string) *fault.Error {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Code != code {
		t.Fatalf("got %v, want the fault %s", err, code)
	}
	return f
}

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, policy func(*service.Policy), run func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"), policy))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, newWorld(t, peers.Postgres(t), policy))
	})
}

// wrongCode is a code that is not code.
func wrongCode(code otp.Code, n int) string {
	var d int
	_, _ = fmt.Sscanf(code.Reveal(), "%d", &d)
	return fmt.Sprintf("%06d", (d+1+n)%1_000_000)
}

// Keeps: A.1, A.2, A.3, A.4, S1
func TestStory(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		b := w.begin(nil)
		m := w.phone.last(t)
		if b.Status != verification.Pending || b.TriesLeft != 5 || m.Code.Len() != 6 || m.To.Reveal() != "+14155550121" {
			t.Fatalf("begun: %+v", b)
		}
		must(t, w.engine.Report(t.Context(), message.Report{Ref: m.Ref, Sent: true, Attempts: []message.Attempt{{Provider: "p", Outcome: message.Accepted}}}))
		v, err := w.engine.Status(t.Context(), w.svc, b.ID)
		must(t, err)
		if v.Messages[0].Status != verification.Sent {
			t.Fatalf("after the report: %+v", v.Messages)
		}
		w.want(w.check(b.ID, wrongCode(m.Code, 0)), verification.WrongCode, 4)
		w.want(w.check(b.ID, "12 34"), verification.Unclear, 4)
		got := w.check(b.ID, "Your code is "+m.Code.Reveal()[:3]+" "+m.Code.Reveal()[3:])
		w.want(got, verification.Granted, 0)
		if got.DeviceToken == "" {
			t.Fatal("the grant left no device token")
		}
		w.want(w.check(b.ID, m.Code.Reveal()), verification.AlreadyUsed, 0)
		if !verification.VerifyFlow(w.svc, b.ID, b.FlowSecret) || verification.VerifyFlow(w.svc, b.ID, b.FlowSecret+"x") {
			t.Fatal("the flow secret is not told from another")
		}
	})
}

// Keeps: A.5, S9
func TestResendKeepsTheCodeThenRenewsIt(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		b := w.begin(nil)
		first := w.phone.last(t)
		resend := func() (*verification.View, error) {
			return w.engine.Resend(t.Context(), verification.ResendRequest{Service: w.svc, ID: b.ID})
		}
		_, err := resend()
		if f := wantFault(t, err, "send_too_soon"); f.RetryAfter != 30*time.Second {
			t.Fatalf("wait %v, want 30s", f.RetryAfter)
		}
		w.pass(31 * time.Second)
		v, err := resend()
		must(t, err)
		if !w.phone.last(t).Code.Equal(first.Code) || !v.ExpiresAt.Equal(b.ExpiresAt) {
			t.Fatal("a resend within the lifetime must carry the same code and extend nothing")
		}
		w.pass(9 * time.Minute)
		v, err = resend()
		must(t, err)
		second := w.phone.last(t)
		if v.Generation != 2 || second.Code.Equal(first.Code) || !v.ExpiresAt.After(b.ExpiresAt) {
			t.Fatalf("near its end the code must be renewed: %+v", v)
		}
		w.want(w.check(b.ID, first.Code.Reveal()), verification.Superseded, 4)
		w.want(w.check(b.ID, second.Code.Reveal()), verification.Granted, 0)
		_, err = resend()
		wantFault(t, err, "verification_ended")
	})
}

// Keeps: A.2, S10
func TestExpiryAndTheClockSetBack(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		b := w.begin(nil)
		code := w.phone.last(t).Code.Reveal()
		w.pass(10*time.Minute + time.Second)
		w.want(w.check(b.ID, code), verification.NeverSent, 0) // no provider ever had it
		w.pass(-time.Hour)
		w.want(w.check(b.ID, code), verification.NeverSent, 0)
		c := w.begin(nil)
		if !c.CreatedAt.After(b.ExpiresAt) {
			t.Fatalf("the clock set back made %v after %v", c.CreatedAt, b.ExpiresAt)
		}
	})
}

// Keeps: C.1
func TestTransactionIsBound(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		detail := verification.Detail{Amount: "EUR 39.99", Payee: "Rad & Tat"}
		b := w.begin(func(r *verification.BeginRequest) { r.Purpose, r.Detail = service.Transaction, detail })
		m := w.phone.last(t)
		if m.Amount != detail.Amount || m.Payee != detail.Payee {
			t.Fatal("the message doesn't say what is paid")
		}
		check := func(d verification.Detail) *verification.Checked {
			c, err := w.engine.Check(t.Context(), verification.CheckRequest{Service: w.svc, ID: b.ID, Typed: m.Code.Reveal(), Detail: d})
			must(t, err)
			return c
		}
		w.want(check(verification.Detail{Amount: "EUR 939.99", Payee: "Rad & Tat"}), verification.TransactionChanged, 0)
		w.want(check(detail), verification.TransactionChanged, 0) // any change voids the code
	})
}

// Keeps: A.2, S3
func TestTwoHundredGuessesOneRight(t *testing.T) {
	t.Parallel()
	onBoth(t, func(p *service.Policy) { p.ContactGuesses = service.Limit{Hour: 100, Day: 100} }, func(t *testing.T, w *world) {
		nodes := []*world{w}
		if strings.HasPrefix(w.url, "postgres") {
			nodes = append(nodes, w.node(), w.node())
		}
		for round := range 5 {
			b := w.begin(func(r *verification.BeginRequest) { r.Contact = w.to(fmt.Sprintf("+1415555%04d", 100+round)) })
			code := w.phone.last(t).Code
			var granted atomic.Int64
			var wg sync.WaitGroup
			for i := range 200 {
				typed := wrongCode(code, i)
				if i == 17 {
					typed = code.Reveal()
				}
				n := nodes[i%len(nodes)]
				wg.Go(func() {
					c, err := n.engine.Check(t.Context(), verification.CheckRequest{Service: n.svc, ID: b.ID, Typed: typed})
					if err != nil {
						t.Errorf("check: %v (%v)", err, errors.Unwrap(err))
						return
					}
					if c.Result == verification.Granted {
						granted.Add(1)
					}
				})
			}
			wg.Wait()
			view, err := w.engine.Status(t.Context(), w.svc, b.ID)
			must(t, err)
			if granted.Load() > 1 || view.Status != verification.Approved && view.Status != verification.MaxAttemptsReached {
				t.Fatalf("granted %d times, status %s", granted.Load(), view.Status)
			}
			if (granted.Load() == 1) != (view.Status == verification.Approved) {
				t.Fatalf("granted %d but %s", granted.Load(), view.Status)
			}
		}
	})
}

// Keeps: S6
func TestGuessBudgetOutlivesVerificationsAndSpares(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		b := w.begin(nil)
		token := w.check(b.ID, w.phone.last(t).Code.Reveal()).DeviceToken
		for range 2 { // ten wrong guesses over two verifications
			b = w.begin(nil)
			code := w.phone.last(t).Code
			for i := range 5 {
				w.check(b.ID, wrongCode(code, i))
			}
		}
		b = w.begin(nil)
		code := w.phone.last(t).Code.Reveal()
		_, err := w.engine.Check(t.Context(), verification.CheckRequest{Service: w.svc, ID: b.ID, Typed: code})
		if f := wantFault(t, err, "contact_guesses_exhausted"); f.RetryAfter < 30*time.Minute {
			t.Fatalf("told to wait %v", f.RetryAfter)
		}
		v, err := w.engine.Status(t.Context(), w.svc, b.ID)
		must(t, err)
		if v.TriesLeft != 5 {
			t.Fatal("a check that the budget refused cost a try")
		}
		c, err := w.engine.Check(t.Context(), verification.CheckRequest{Service: w.svc, ID: b.ID, Typed: code, Caller: verification.Caller{DeviceToken: token}})
		must(t, err)
		w.want(c, verification.Granted, 0) // the owner's device has a share of its own
	})
}

// Keeps: S7
func TestSendBudgets(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		for range 3 {
			w.begin(nil)
		}
		_, err := w.engine.Begin(t.Context(), verification.BeginRequest{Service: w.svc, Contact: w.to("+14155550121"), Purpose: service.SignIn})
		wantFault(t, err, "contact_verifications_exhausted") // two places are the owner's
		for i := range 7 {
			w.pass(11 * time.Minute / 7)
			b := w.begin(func(r *verification.BeginRequest) { r.Contact = w.to("Ann.Lee+x" + fmt.Sprint(i) + "@gmail.com") })
			_, err = w.engine.Cancel(t.Context(), w.svc, b.ID)
			must(t, err)
		}
		for i := range 3 {
			b := w.begin(func(r *verification.BeginRequest) { r.Contact = w.to("annlee@gmail.com") })
			_, err = w.engine.Cancel(t.Context(), w.svc, b.ID)
			must(t, err)
			_ = i
		}
		_, err = w.engine.Begin(t.Context(), verification.BeginRequest{Service: w.svc, Contact: w.to("a.n.n.lee@googlemail.com"), Purpose: service.SignIn})
		wantFault(t, err, "contact_sends_exhausted") // aliases of one mailbox are one contact
		for i := range 20 {
			w.begin(func(r *verification.BeginRequest) {
				r.Contact, r.Caller.IP = w.to(fmt.Sprintf("p%d@mail.example", i)), "192.0.2.7"
			})
		}
		_, err = w.engine.Begin(t.Context(), verification.BeginRequest{Service: w.svc, Contact: w.to("last@mail.example"), Purpose: service.SignIn, Caller: verification.Caller{IP: "192.0.2.7"}})
		wantFault(t, err, "caller_sends_exhausted")
	})
}

// Keeps: S8
func TestIdempotency(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		idem := verification.Idempotency{APIKey: "k", Route: "begin", Key: "one", Body: []byte("a")}
		var wg sync.WaitGroup
		ids := make([]*verification.Begun, 20)
		for i := range ids {
			wg.Go(func() {
				ids[i] = w.begin(func(r *verification.BeginRequest) { r.Idempotency = idem })
			})
		}
		wg.Wait()
		for _, b := range ids[1:] {
			if b.ID != ids[0].ID || b.FlowSecret != ids[0].FlowSecret || b.Contact != ids[0].Contact {
				t.Fatalf("a repeat got another answer: %+v, %+v", b, ids[0])
			}
		}
		if w.phone.count() != 1 {
			t.Fatalf("%d messages for one request", w.phone.count())
		}
		idem.Body = []byte("b")
		_, err := w.engine.Begin(t.Context(), verification.BeginRequest{Service: w.svc, Contact: w.to("+14155550122"), Purpose: service.SignIn, Idempotency: idem})
		wantFault(t, err, "idempotency_key_reused")

		check := verification.CheckRequest{
			Service: w.svc, ID: ids[0].ID, Typed: w.phone.last(t).Code.Reveal(),
			Idempotency: verification.Idempotency{APIKey: "k", Route: "check", Key: "two", Body: []byte("c")},
		}
		first, err := w.engine.Check(t.Context(), check)
		must(t, err)
		again, err := w.engine.Check(t.Context(), check)
		must(t, err)
		if first.Result != verification.Granted || again.Result != verification.Granted || again.DeviceToken != first.DeviceToken {
			t.Fatalf("the same grant must be given again: %v then %v", first.Result, again.Result)
		}
		w.pass(25 * time.Hour)
		check.Body = []byte("d")
		late, err := w.engine.Check(t.Context(), check)
		must(t, err)
		w.want(late, verification.AlreadyUsed, 0) // a day later the key is free
	})
}

// Keeps: S1
func TestAttackerBeginsVictimCompletes(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		attacker := w.begin(nil)
		attackersCode := w.phone.last(t).Code.Reveal()
		victim := w.begin(nil)
		victimsCode := w.phone.last(t).Code.Reveal()
		if attacker.ID == victim.ID || attackersCode == victimsCode {
			t.Fatal("the victim joined the attacker's verification")
		}
		if r := w.check(victim.ID, attackersCode).Result; r != verification.WrongCode {
			t.Fatalf("the attacker's code in the victim's flow: %s", r)
		}
		w.want(w.check(victim.ID, victimsCode), verification.Granted, 0)
		v, err := w.engine.Status(t.Context(), w.svc, attacker.ID)
		must(t, err)
		if v.Status != verification.Pending {
			t.Fatalf("the attacker's verification is %s", v.Status)
		}
		if r := w.check(attacker.ID, victimsCode).Result; r != verification.WrongCode {
			t.Fatalf("the victim's code in the attacker's flow: %s", r)
		}
		if verification.VerifyFlow(w.svc, victim.ID, attacker.FlowSecret) {
			t.Fatal("the attacker's flow secret opens the victim's flow")
		}
	})
}

// Keeps: S4
func TestForgedAndForeignIDs(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		b := w.begin(nil)
		code := w.phone.last(t).Code.Reveal()
		for i := range len(b.ID) {
			id := b.ID
			id[i] ^= 1
			if _, err := w.engine.Check(t.Context(), verification.CheckRequest{Service: w.svc, ID: id, Typed: code}); err == nil {
				t.Fatalf("byte %d of the id doesn't matter", i)
			} else {
				wantFault(t, err, "verification_not_found")
			}
		}
		p := service.DefaultPolicy()
		other, err := w.reg.Create(t.Context(), service.Row{Slug: "other", Name: "Other", Locale: "en", Policy: p}, time.Now())
		must(t, err)
		_, err = w.engine.Status(t.Context(), other, b.ID)
		wantFault(t, err, "verification_not_found")
	})
}

// Keeps: S5
func TestSuppliedCode(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		code := otp.NewCode("90817263")
		b := w.begin(func(r *verification.BeginRequest) { r.Code = &code })
		if b.CodeLength != 8 || !w.phone.last(t).Code.Equal(code) {
			t.Fatalf("begun: %+v", b)
		}
		w.want(w.check(b.ID, "90817264"), verification.WrongCode, 4)
		w.want(w.check(b.ID, "9081-7263"), verification.Granted, 0)
	})
}

// Keeps: S16
func TestDecoyLooksTheSameAndIsNeverApproved(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		real := w.begin(nil)
		decoy := w.begin(func(r *verification.BeginRequest) { r.Decoy, r.Contact = true, w.to("+14155550122") })
		m := w.phone.last(t)
		if !m.Decoy || decoy.Status != real.Status || decoy.TriesLeft != real.TriesLeft || len(decoy.Messages) != len(real.Messages) {
			t.Fatalf("decoy %+v, real %+v", decoy.View, real.View)
		}
		w.want(w.check(decoy.ID, m.Code.Reveal()), verification.WrongCode, 4)
	})
}

// A message whose node died, or whose queue was full, is sent by another node after its lease.
func TestWakeSendsWhatWasLeftAndEndsWhatIsOver(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		w.phone.full.Store(true)
		b := w.begin(nil)
		w.phone.full.Store(false)
		n, err := w.engine.Wake(t.Context(), 100)
		must(t, err)
		if n != 0 || w.phone.count() != 0 {
			t.Fatal("woken within its lease")
		}
		w.pass(verification.Lease + time.Second)
		_, err = w.engine.Wake(t.Context(), 100)
		must(t, err)
		m := w.phone.last(t)
		must(t, w.engine.Report(t.Context(), message.Report{Ref: m.Ref, Sent: true}))
		w.pass(10 * time.Minute)
		_, err = w.engine.Wake(t.Context(), 100)
		must(t, err)
		v, err := w.engine.Status(t.Context(), w.svc, b.ID)
		must(t, err)
		if v.Status != verification.Expired || v.EndedAt.IsZero() {
			t.Fatalf("after its time: %+v", v)
		}
		var kinds []string
		for {
			n, err := w.store.NumberEvents(t.Context())
			must(t, err)
			if n == 0 {
				break
			}
		}
		events, err := w.store.Events(t.Context(), w.svc.ID, 0, 100)
		must(t, err)
		for i, e := range events {
			if e.Seq != int64(i+1) {
				t.Fatalf("event %d has number %d", i+1, e.Seq)
			}
			kinds = append(kinds, verification.EventName(e.Kind))
		}
		if fmt.Sprint(kinds) != "[verification.begun message.sent verification.expired]" {
			t.Fatalf("events: %v", kinds)
		}
	})
}

func rowKeyOf(w *world, id ledger.ID) ledger.Key {
	return ledger.Key{Kind: ledger.KindVerification, Service: w.svc.ID, Shard: uint16(id[6])<<8 | uint16(id[7]), ID: id}
}

func inputOf(w *world, id ledger.ID) otp.Input {
	return otp.Input{Space: otp.SpaceVerification, Service: w.svc.ID, ID: id, Generation: 1, Digits: 6}
}
