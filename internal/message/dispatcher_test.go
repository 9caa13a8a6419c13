// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

// fake is a provider that does what the test says.
type fake struct {
	name string
	send func(ctx context.Context) error
	mu   sync.Mutex
	n    int
}

func (f *fake) Name() string   { return f.name }
func (f *fake) Receipts() bool { return false }
func (f *fake) Send(ctx context.Context, _ *message.Outgoing, _ *message.Text) (message.Sent, error) {
	f.mu.Lock()
	f.n++
	f.mu.Unlock()
	if f.send == nil {
		return message.Sent{}, nil
	}
	return message.Sent{}, f.send(ctx)
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func failing(o message.Outcome) func(context.Context) error {
	return func(context.Context) error {
		return &message.SendError{Outcome: o, Code: "x", Err: errors.New("on purpose")}
	}
}

// reports is an outbox that hands reports to the test.
type reports chan message.Report

func (r reports) Report(_ context.Context, rep message.Report) error { r <- rep; return nil }

func dispatch(t *testing.T, providers ...message.Provider) (*message.Dispatcher, reports) {
	t.Helper()
	d, err := message.NewDispatcher(message.DispatcherOptions{
		Routes: map[service.Channel][]message.Provider{service.SMS: providers}, Workers: 4, Queue: 4, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := make(reports, 10)
	d.Bind(r)
	d.Start()
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d, r
}

func outgoing(t testing.TB) message.Outgoing {
	t.Helper()
	to, err := contact.ParsePhone("+14155550121", "")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return message.Outgoing{
		Service: &service.Service{Name: "Acme", Domain: "acme.example", Locale: "en"}, Channel: service.SMS, Purpose: service.SignIn,
		To: to, Code: otp.NewCode("482135"), QueuedAt: now, Deadline: now.Add(time.Minute),
	}
}

func TestFailover(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first         func(context.Context) error
		sent, final   bool
		attempts      int
		secondIsAsked bool
	}{
		"busy":          {failing(message.TryLater), true, false, 2, true},
		"misconfigured": {failing(message.Misconfigured), true, false, 2, true},
		"cannot":        {failing(message.TryOther), true, false, 2, true},
		"untyped":       {func(context.Context) error { return errors.New("?") }, true, false, 2, true},
		"unreachable":   {failing(message.Unreachable), false, true, 1, false},
		"a landline":    {failing(message.ContactKind), false, true, 1, false},
		"blocked":       {failing(message.Blocked), false, true, 1, false},
		"hangs":         {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, true, false, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			second := &fake{name: "second"}
			d, r := dispatch(t, &fake{name: "first", send: c.first}, second)
			if !d.Enqueue(outgoing(t)) {
				t.Fatal("not taken")
			}
			rep := <-r
			if rep.Sent != c.sent || rep.Final != c.final || len(rep.Attempts) != c.attempts || (second.count() > 0) != c.secondIsAsked {
				t.Fatalf("%+v, the second was asked %d times", rep, second.count())
			}
		})
	}
}

func TestAllFailAndDeadline(t *testing.T) {
	t.Parallel()
	d, r := dispatch(t, &fake{name: "a", send: failing(message.TryLater)}, &fake{name: "b", send: failing(message.TryLater)})
	d.Enqueue(outgoing(t))
	if rep := <-r; rep.Sent || rep.Final || rep.RetryIn <= 0 || rep.RetryIn > time.Minute || len(rep.Attempts) != 2 {
		t.Fatalf("%+v", rep)
	}
	late := outgoing(t)
	late.Deadline = time.Now().Add(-time.Second)
	d.Enqueue(late)
	if rep := <-r; !rep.Final || rep.Attempts[0].Outcome != message.Overdue {
		t.Fatalf("after its deadline: %+v", rep)
	}
	soon := outgoing(t)
	soon.Deadline, soon.Passes = time.Now().Add(time.Second), 5
	d.Enqueue(soon)
	if rep := <-r; !rep.Final {
		t.Fatalf("a next pass would come too late: %+v", rep)
	}
}

// A provider that fails again and again is asked last, so that nobody waits for it.
func TestTroubledProviderIsAskedLast(t *testing.T) {
	t.Parallel()
	first, second := &fake{name: "first", send: failing(message.TryLater)}, &fake{name: "second"}
	d, r := dispatch(t, first, second)
	for range 3 {
		d.Enqueue(outgoing(t))
		<-r
	}
	d.Enqueue(outgoing(t))
	if rep := <-r; !rep.Sent || len(rep.Attempts) != 1 || first.count() != 3 {
		t.Fatalf("%+v after the first was asked %d times", rep, first.count())
	}
}

func TestDecoyReachesNobody(t *testing.T) {
	t.Parallel()
	p := &fake{name: "p"}
	d, r := dispatch(t, p)
	o := outgoing(t)
	o.Decoy = true
	d.Enqueue(o)
	if rep := <-r; !rep.Sent || p.count() != 0 {
		t.Fatalf("%+v, asked %d times", rep, p.count())
	}
}

// While the provider takes nothing, a decoy doesn't go, either: else an outage would tell who has an account.
// Keeps: S16
func TestADecoySharesAnOutage(t *testing.T) {
	t.Parallel()
	p := &fake{name: "p", send: failing(message.TryLater)}
	d, r := dispatch(t, p)
	for range 3 { // then it counts as ill
		d.Enqueue(outgoing(t))
		<-r
	}
	o := outgoing(t)
	d.Enqueue(o)
	real := <-r
	o.Decoy = true
	d.Enqueue(o)
	if rep := <-r; rep.Sent || rep.Final != real.Final || rep.RetryIn == 0 || rep.Attempts[0].Outcome != message.TryLater {
		t.Fatalf("%+v, of a true one %+v", rep, real)
	}
}

// A notice goes the way of every message; one that there are no words for is given up at once.
func TestNoticeIsCarried(t *testing.T) {
	t.Parallel()
	p := &fake{name: "p"}
	d, r := dispatch(t, p)
	o := outgoing(t)
	o.Code, o.Notice = otp.Code{}, &message.Notice{Kind: message.PasswordChanged}
	d.Enqueue(o)
	if rep := <-r; !rep.Sent || p.count() != 1 {
		t.Fatalf("%+v, asked %d times", rep, p.count())
	}
	o.Channel = service.Voice
	d.Enqueue(o)
	if rep := <-r; rep.Sent || !rep.Final || rep.Attempts[0].Outcome != message.Misconfigured || rep.Attempts[0].Code != "no_words" {
		t.Fatalf("a call was made: %+v", rep)
	}
}

// What was taken is finished by a stop; what comes later is refused; the queue is bounded.
func TestStopAndFullQueue(t *testing.T) {
	t.Parallel()
	open := make(chan struct{})
	p := &fake{name: "p", send: func(context.Context) error { <-open; return nil }}
	d, err := message.NewDispatcher(message.DispatcherOptions{
		Routes: map[service.Channel][]message.Provider{service.SMS: {p}}, Workers: 1, Queue: 2, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := make(reports, 10)
	d.Bind(r)
	taken := 0
	for range 5 {
		if d.Enqueue(outgoing(t)) {
			taken++
		}
	}
	if taken != 2 {
		t.Fatalf("%d were taken by a queue of 2", taken)
	}
	d.Start()
	close(open)
	if err := d.Close(t.Context()); err != nil || len(r) != 2 || d.Enqueue(outgoing(t)) {
		t.Fatalf("after the stop: %v, %d reports", err, len(r))
	}
}

// A code message fits one segment, begins with the code, and never has a link; a payee is never cut.
// Keeps: A.6, C.1
func TestTexts(t *testing.T) {
	t.Parallel()
	r, err := message.NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	base := outgoing(t)
	rapid.Check(t, func(t *rapid.T) {
		o := base
		svc := *base.Service
		svc.Name = rapid.StringMatching(`[A-Za-z ]{1,8}[0-9]{0,3}`).Draw(t, "name")
		svc.Domain = rapid.SampledFrom([]string{"", "acme.example", strings.Repeat("long-name.", 15) + "example"}).Draw(t, "domain")
		o.Service = &svc
		o.Purpose = rapid.SampledFrom(service.Purposes()).Draw(t, "purpose")
		if o.Purpose == service.Transaction {
			o.Amount, o.Payee = "EUR 39.99", rapid.StringMatching(`[A-Za-z&. ]{1,60}`).Draw(t, "payee")
		}
		text, err := r.Render(&o)
		if err != nil {
			t.Fatal(err)
		}
		most := 1
		if o.Purpose == service.Transaction {
			most = 2
		}
		if n := message.Segments(text.Body); n > most {
			t.Fatalf("%d segments: %q", n, text.Body)
		}
		if !strings.HasPrefix(text.Body, "482135") || strings.Contains(text.Body, "://") {
			t.Fatalf("%q", text.Body)
		}
		if got := otp.Parse(text.Body, otp.Shape{Digits: 6, Host: svc.Domain, Amount: o.Amount}); got.Kind != otp.TypedCode || got.Code.Reveal() != "482135" {
			t.Fatalf("our own message isn't read back: %q", text.Body)
		}
		if fmt.Sprintf("%v %+v %s", text, text, text) != "[message] [message] [message]" {
			t.Fatal("a message was printed")
		}
	})
}
