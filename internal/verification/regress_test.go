// SPDX-License-Identifier: Apache-2.0

package verification_test

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/httpsms"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// What attackers and reviewers have found, each as the test that it was found with.

func onSQLite(t *testing.T, policy func(*service.Policy)) *world {
	t.Helper()
	t.Parallel()
	return newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"), policy)
}

func keyed(route string) verification.Idempotency {
	return verification.Idempotency{APIKey: "k", Route: route, Key: "1", Body: []byte("x")}
}

// A provider's word in letters of two bytes, cut at its limit, is still text: the row stays readable.
func TestAProvidersWordDoesNotSpoilTheRow(t *testing.T) {
	w := onSQLite(t, nil)
	g, err := httpsms.New(httpsms.Config{
		Name: "gw", URL: "https://x.example/", Body: "{{.Text}}", ID: "/id",
		Receipt: httpsms.Callback{Auth: "token", Header: "X-T", Secret: "0123456789abcdef", ID: "/id", Status: "/s", Statuses: map[string]string{"ok": "delivered"}, Network: "/n"},
	})
	must(t, err)
	b := w.begin(nil)
	sent := w.phone.last(t)
	must(t, w.engine.Report(t.Context(), message.Report{Ref: sent.Ref, Sent: true, Attempts: []message.Attempt{{Provider: "gw", Reference: "r1", Outcome: message.Accepted}}}))
	rec, ok, err := g.ParseReceipt("https://h/v1/receipts/gw", http.Header{"X-T": {"0123456789abcdef"}, "Content-Type": {"application/json"}},
		[]byte(`{"id":"r1","s":"ok","n":"МТС (Мобильные ТелеСистемы)"}`))
	must(t, err)
	if !ok {
		t.Fatal("the receipt says nothing")
	}
	must(t, w.engine.Receive(t.Context(), sent.Ref, rec))
	if got := w.check(b.ID, sent.Code.Reveal()); got.Result != verification.Granted || got.Messages[0].Attempts[0].Network != "МТС (Мобильные Те" {
		t.Fatalf("after the receipt: %+v", got)
	}
}

// A row that can't be read is the matter of whoever names it: not of its neighbours in a batch, nor of the jobs.
// Keeps: S3
func TestOneBadRowSpoilsNothingElse(t *testing.T) {
	w := onSQLite(t, nil)
	bad := ledger.Key{Kind: ledger.KindVerification, Service: w.svc.ID, Shard: 1, ID: ledger.ID{1}}
	_, err := w.store.SQL().ExecContext(t.Context(), "INSERT INTO verification (id, service, shard, contact, wake_at, version, record) VALUES ($1, $2, 1, $1, 1, 1, $3)", bad.ID[:], w.svc.ID, []byte("\xffgarbage"))
	must(t, err)
	stop := make(chan struct{})
	var guessers sync.WaitGroup
	for range 4 {
		guessers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = w.batcher.Do(context.Background(), ledger.Op{Keys: []ledger.Key{bad}, Apply: func(*ledger.Tx) error { return nil }})
				}
			}
		})
	}
	var last *verification.Begun
	for i := range 60 {
		last = w.begin(func(r *verification.BeginRequest) { r.Contact = w.to("p" + strings.Repeat("x", i) + "@mail.example") })
	}
	close(stop)
	guessers.Wait()
	w.pass(11 * time.Minute)
	for range 3 {
		_, _ = w.engine.Wake(t.Context(), 500) // the bad row's own failure is told and logged
	}
	v, err := w.engine.Status(t.Context(), w.svc, last.ID)
	must(t, err)
	stored, err := w.batcher.Read(t.Context(), rowKeyOf(w, last.ID))
	must(t, err)
	if r, _ := stored.(*verification.Record); r.Status == verification.Pending {
		t.Fatalf("a verification beside the bad row was never ended: %s", v.Status)
	}
	all := ledger.ID{0xff}
	if _, n, err := w.store.Sweep(t.Context(), ledger.KindVerification, ledger.ID{}, all, func(ledger.Value) bool { return true }, verification.DecodeRow); err != nil || n < 60 {
		t.Fatalf("the sweep removed %d, %v", n, err)
	}
}

// A repeat gets the first answer also when that answer used up what the repeat would need: the pending verification of a
// contact, the last of a caller's budget.
// Keeps: S8
func TestARepeatNeedsNothingThatTheFirstUsedUp(t *testing.T) {
	w := onSQLite(t, func(p *service.Policy) {
		p.CallerSends, p.CallerGuesses = service.Limit{Hour: 1, Day: 1}, service.Limit{Hour: 1, Day: 1}
	})
	to := w.to("+14155550121")
	begin := verification.BeginRequest{Service: w.svc, Contact: to, Purpose: service.SignIn, Caller: verification.Caller{IP: "192.0.2.1"}, Idempotency: keyed("begin")}
	first, err := w.engine.Begin(t.Context(), begin)
	must(t, err)
	second, err := w.engine.Begin(t.Context(), begin)
	must(t, err)
	if first.ID != second.ID || first.FlowSecret != second.FlowSecret || w.phone.count() != 1 {
		t.Fatal("the repeat of a begin is another one")
	}
	code := w.phone.last(t).Code
	wrong := verification.CheckRequest{Service: w.svc, ID: first.ID, Typed: wrongCode(code, 1), Caller: begin.Caller, Idempotency: keyed("check")}
	for range 3 {
		got, err := w.engine.Check(t.Context(), wrong)
		must(t, err)
		if got.Result != verification.WrongCode || got.TriesLeft != 4 {
			t.Fatalf("the repeat of a wrong check: %+v", got)
		}
	}
	right := verification.CheckRequest{Service: w.svc, Contact: &to, Typed: code.Reveal(), Idempotency: keyed("check by contact")}
	one, err := w.engine.Check(t.Context(), right)
	must(t, err)
	two, err := w.engine.Check(t.Context(), right)
	must(t, err)
	if one.Result != verification.Granted || two.Result != verification.Granted || one.DeviceToken != two.DeviceToken || one.DeviceToken == "" {
		t.Fatalf("a lost grant is lost for good: %v, %v", one.Result, two.Result)
	}
	supplied := otp.NewCode("123456")
	b := w.begin(func(r *verification.BeginRequest) { r.Contact, r.Code = w.to("ann@mail.example"), &supplied })
	short := verification.CheckRequest{Service: w.svc, ID: b.ID, Typed: "1234", Idempotency: keyed("short")}
	for range 2 {
		got, err := w.engine.Check(t.Context(), short)
		must(t, err)
		if got.Result != verification.Unclear || got.TypedDigits != 4 {
			t.Fatalf("4 typed digits are said to be %d", got.TypedDigits)
		}
	}
}

// lossy is a ledger whose answers get lost after the commit.
type lossy struct{ ledger.Ledger }

func (l lossy) Do(ctx context.Context, op ledger.Op) error {
	if err := l.Ledger.Do(ctx, op); err != nil {
		return err
	}
	return fault.New(fault.Unavailable, ledger.OutcomeUnknown, "The answer was lost.")
}

// What was judged or written down stays spent, whether or not its answer arrived.
// Keeps: S7
func TestALostAnswerGivesNoBudgetBack(t *testing.T) {
	w := onSQLite(t, func(p *service.Policy) {
		p.CallerGuesses, p.CallerSends = service.Limit{Hour: 2, Day: 2}, service.Limit{Hour: 2, Day: 2}
		p.SendWaits = nil
	})
	b := w.begin(nil)
	code := w.phone.last(t).Code
	e := verification.New(lossy{w.batcher}, w.reg, w.phone, verification.NewCallers(w.store, slog.New(slog.DiscardHandler)))
	caller := verification.Caller{IP: "192.0.2.9"}
	codes := map[string]int{}
	for i := range 4 {
		_, err := e.Check(t.Context(), verification.CheckRequest{Service: w.svc, ID: b.ID, Typed: wrongCode(code, i+1), Caller: caller})
		codes[fault.As(err).Code]++
		_, err = e.Resend(t.Context(), verification.ResendRequest{Service: w.svc, ID: b.ID, Caller: caller})
		codes[fault.As(err).Code]++
	}
	if codes["caller_guesses_exhausted"] != 2 || codes["caller_sends_exhausted"] != 2 {
		t.Fatalf("answers: %v", codes)
	}
}

// No text that others supply becomes something to press in a message with a code.
// Keeps: A.6
func TestSuppliedTextsMakeNoLinks(t *testing.T) {
	w := onSQLite(t, nil)
	r, err := message.NewRenderer()
	must(t, err)
	for _, payee := range []string{"https://evil.example/login", "www.evil.example", "WWW.EVIL.EXAMPLE"} {
		_, err := w.engine.Begin(t.Context(), verification.BeginRequest{
			Service: w.svc, Contact: w.to("+14155550121"), Purpose: service.Transaction, Detail: verification.Detail{Amount: "EUR 1", Payee: payee},
		})
		if fault.As(err).Code != "invalid_payee" {
			t.Errorf("the payee %q: %v", payee, err)
		}
	}
	for _, change := range []func(*verification.BeginRequest){
		func(r *verification.BeginRequest) {
			r.Purpose, r.Detail = service.Transaction, verification.Detail{Amount: "EUR 1", Payee: "evil.example/login"}
		},
		func(r *verification.BeginRequest) {
			r.Contact, r.Context.Place = w.to("a@b.example"), "account locked, unlock at https://evil.example/login now "+strings.Repeat("x", 300)
		},
	} {
		w.begin(change)
		m := w.phone.last(t)
		text, err := r.Render(&m)
		must(t, err)
		for _, sign := range []string{"evil.example", "://"} {
			if strings.Contains(text.Body+text.Subject+text.HTML, sign) {
				t.Errorf("%q stands in %q", sign, text.Body)
			}
		}
	}
}

// Who waits as long as they were told isn't told to wait again; and a code that is over isn't taken for the one that is meant.
// Keeps: A.5, S7
func TestWaitsAreToldInFull(t *testing.T) {
	w := onSQLite(t, func(p *service.Policy) { p.EmailLifetime = 86400 })
	b := w.begin(nil)
	w.pass(2600 * time.Millisecond)
	_, err := w.engine.Resend(t.Context(), verification.ResendRequest{Service: w.svc, ID: b.ID})
	w.pass(fault.As(err).RetryAfter)
	if _, err = w.engine.Resend(t.Context(), verification.ResendRequest{Service: w.svc, ID: b.ID}); err != nil {
		t.Fatal("after waiting as long as was told:", err)
	}
	to := w.to("ann@mail.example")
	w.begin(func(r *verification.BeginRequest) { r.Contact, r.Purpose = to, service.SignUp })
	code := w.phone.last(t).Code.Reveal()
	w.begin(func(r *verification.BeginRequest) { r.Contact = to })
	w.pass(11 * time.Minute)
	got, err := w.engine.Check(t.Context(), verification.CheckRequest{Service: w.svc, Contact: &to, Typed: code})
	if err != nil || got.Result != verification.Granted {
		t.Fatalf("the sign-up's code, with a sign-in that is over beside it: %+v, %v", got, err)
	}
}

// One customer's IPv6 network is one caller, and an address is one however it is written.
// Keeps: S7
func TestCallersAreCountedByNetwork(t *testing.T) {
	w := onSQLite(t, func(p *service.Policy) { p.CallerSends = service.Limit{Hour: 1, Day: 1} })
	for _, pair := range [][2]string{{"2001:db8::1", "2001:db8::2"}, {"192.0.2.1", "::ffff:192.0.2.1"}} {
		for i, ip := range pair {
			_, err := w.engine.Begin(t.Context(), verification.BeginRequest{Service: w.svc, Contact: w.to("+14155550121"), Purpose: service.SignIn, Caller: verification.Caller{IP: ip}})
			if (err != nil) != (i == 1) {
				t.Errorf("%s after %s: %v", ip, pair[0], err)
			}
		}
	}
}

// A receipt that comes before our own note of the sending changes nothing about who carried the message.
func TestAReceiptThatOvertakesTheReport(t *testing.T) {
	w := onSQLite(t, nil)
	b := w.begin(nil)
	ref := w.phone.last(t).Ref
	must(t, w.engine.Receive(t.Context(), ref, message.Receipt{Provider: "gw", Reference: "r1", Delivered: true}))
	report := message.Report{Ref: ref, Sent: true, Attempts: []message.Attempt{{Provider: "gw", Reference: "r1", Outcome: message.Accepted}}}
	for range 2 {
		must(t, w.engine.Report(t.Context(), report))
	}
	v, err := w.engine.Status(t.Context(), w.svc, b.ID)
	must(t, err)
	if m := v.Messages[0]; m.Status != verification.Delivered || len(m.Attempts) != 1 || m.Attempts[0].Provider != "gw" {
		t.Fatalf("the message: %+v", m)
	}
}

// A bounce names the message and no attempt: the cause goes to the attempt that its provider accepted, also when it overtakes our own note of
// the sending, and nothing is noted twice.
func TestTheCauseOfABounceIsKept(t *testing.T) {
	rec := message.Receipt{Provider: "smtp", Outcome: message.Unreachable, Code: "550 5.1.1"}
	began := time.Now()
	attempts := []message.Attempt{
		{Provider: "other", Outcome: message.TryLater, StartedAt: began, EndedAt: began},
		{Provider: "smtp", Reference: "r1", Outcome: message.Accepted, StartedAt: began, EndedAt: began},
	}
	for name, early := range map[string]bool{"after our note": false, "before our note": true} {
		t.Run(name, func(t *testing.T) {
			w := onSQLite(t, nil)
			b := w.begin(nil)
			ref := w.phone.last(t).Ref
			must(t, w.engine.Report(t.Context(), message.Report{Ref: ref, RetryIn: time.Second, Attempts: []message.Attempt{{Provider: "smtp", Code: "451", Outcome: message.TryLater, StartedAt: began, EndedAt: began}}}))
			report := message.Report{Ref: ref, Sent: true, Attempts: attempts}
			if early {
				must(t, w.engine.Receive(t.Context(), ref, rec))
			}
			for range 2 {
				must(t, w.engine.Report(t.Context(), report))
			}
			for range 2 {
				must(t, w.engine.Receive(t.Context(), ref, rec))
			}
			v, err := w.engine.Status(t.Context(), w.svc, b.ID)
			must(t, err)
			m := v.Messages[0]
			if m.Status != verification.Undelivered || m.ReceiptAt.IsZero() || m.SentAt.IsZero() || len(m.Attempts) != 3 {
				t.Fatalf("%+v", m)
			}
			if a := m.Attempts[2]; a.Outcome != message.Unreachable || a.Code != "550 5.1.1" || a.Reference != "r1" || a.StartedAt == 0 || m.Attempts[0].Code != "451" || m.Attempts[1].Provider != "other" {
				t.Fatalf("%+v", m.Attempts)
			}
		})
	}
}

// A bounce marks the contact of an account, but not when somebody has brought the code: then the contact works, whatever a server or a forger says.
// Keeps: F.2
func TestABounceAfterTheCode(t *testing.T) {
	for name, approve := range map[string]bool{"before the code": false, "after the code": true} {
		t.Run(name, func(t *testing.T) {
			w := onSQLite(t, nil)
			marked := 0
			w.engine.OnBounce(func(_ context.Context, _ *service.Service, id ledger.ID, to contact.Contact) {
				if id == (ledger.ID{7}) && to.Reveal() == "ann@mail.example" {
					marked++
				}
			})
			b := w.begin(func(r *verification.BeginRequest) { r.Account, r.Contact = ledger.ID{7}, w.to("ann@mail.example") })
			o := w.phone.last(t)
			must(t, w.engine.Report(t.Context(), message.Report{Ref: o.Ref, Sent: true, Attempts: []message.Attempt{{Provider: "smtp", Outcome: message.Accepted, StartedAt: time.Now()}}}))
			if approve && w.check(b.ID, o.Code.Reveal()).Result != verification.Granted {
				t.Fatal("the code is refused")
			}
			for range 2 {
				must(t, w.engine.Receive(t.Context(), o.Ref, message.Receipt{Provider: "smtp", Outcome: message.Unreachable}))
			}
			if want := map[bool]int{false: 1, true: 0}[approve]; marked != want {
				t.Errorf("marked %d times, want %d", marked, want)
			}
		})
	}
}
