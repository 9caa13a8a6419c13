// SPDX-License-Identifier: Apache-2.0

package verification_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/diagnose"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// near are wrong codes by how near they are to the right one.
func near(code string) map[otp.Wrong]string {
	digit := func(i int, by byte) string {
		b := []byte(code)
		b[i] = '0' + (b[i]-'0'+by)%10
		return string(b)
	}
	far := []byte(code)
	for i := range far {
		far[i] = '0' + (far[i]-'0'+5)%10
	}
	out := map[otp.Wrong]string{otp.WrongOneDigit: digit(2, 1), otp.WrongOther: string(far)}
	for i := range len(code) - 1 {
		if code[i] != code[i+1] {
			b := []byte(code)
			b[i], b[i+1] = b[i+1], b[i]
			out[otp.WrongSwapped] = string(b)
			break
		}
	}
	return out
}

// Whatever a guesser is told about a wrong guess while the verification is pending is the same for a near and a far
// one: so no strategy does better than a blind one. How it was wrong is recorded all the same.
// Keeps: S11
func TestAnswersDoNotHelpAGuesser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"), func(p *service.Policy) {
		p.ContactGuesses = service.Limit{Hour: 100, Day: 100}
	})
	for i := range 30 {
		b := w.begin(func(r *verification.BeginRequest) { r.Contact = w.to(fmt.Sprintf("p%d@mail.example", i)) })
		code := w.phone.last(t).Code.Reveal()
		var said []string
		var order []otp.Wrong
		for how, guess := range near(code) {
			c := w.check(b.ID, guess)
			c.TriesLeft = 0 // it counts down, whatever the guess
			f, err := w.engine.Facts(t.Context(), w.svc, b.ID)
			must(t, err)
			d := diagnose.Of(f, diagnose.Hints{})
			d.Evidence, d.Wait = nil, 0 // times and how many tries are left
			said = append(said, fmt.Sprintf("%+v %+v", *c, d))
			order = append(order, how)
		}
		for _, s := range said[1:] {
			if s != said[0] {
				t.Fatalf("answers differ by how near the guess was:\n%s\n%s", said[0], s)
			}
		}
		v, err := w.batcher.Read(t.Context(), rowKeyOf(w, b.ID))
		must(t, err)
		r, _ := v.(*verification.Record)
		for j, how := range order {
			if otp.Wrong(r.Wrong[j]) != how {
				t.Fatalf("recorded %s, want %s", otp.Wrong(r.Wrong[j]), how)
			}
		}
	}
	_, err := w.store.NumberEvents(t.Context())
	must(t, err)
	events, err := w.store.Events(t.Context(), w.svc.ID, 0, 1000)
	must(t, err)
	seen := map[string]bool{}
	for _, e := range events {
		if e.Kind == verification.EventWrong {
			seen[string(e.Data)] = true
		}
	}
	if len(seen) != 1 {
		t.Fatalf("the feed tells %d kinds of wrong guesses apart", len(seen))
	}
}

// A blind guesser finds a code of six digits with five tries in one of 200,000 verifications; 100,000 simulated ones with an
// eager guesser who walks away from every answer must not show more than chance allows.
// Keeps: S11
func TestBlindGuesserAgainstDerivedCodes(t *testing.T) {
	t.Parallel()
	d := otp.NewDeriver([]byte("a key for a simulation of guesses"))
	hits := 0
	for i := range 100_000 {
		id := ledger.ID{byte(i), byte(i >> 8), byte(i >> 16)}
		live := d.Code(otp.Input{Space: otp.SpaceVerification, Service: 1, ID: id, Generation: 1, Digits: 6})
		for try := range 5 {
			// The guesser knows every other code ever made: the one of the verification before is as good as any.
			before := ledger.ID{byte(i - 1), byte((i - 1) >> 8), byte((i - 1) >> 16)}
			guess := d.Code(otp.Input{Space: otp.SpaceVerification, Service: 1, ID: before, Generation: uint8(1 + try), Digits: 6})
			if guess.Equal(live) {
				hits++
			}
		}
	}
	if hits > 6 { // 0.5 are expected; seven or more happen once in a million such runs
		t.Fatalf("%d of 500,000 guesses were right", hits)
	}
}

// How a guess was wrong is told when the verification has ended, and that it was last time's code only then: it is another flow's.
// Keeps: G.1, S11
func TestHowItWasWrongIsToldAfterwards(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		first := w.begin(nil)
		old := w.phone.last(t).Code.Reveal()
		w.check(first.ID, old)
		w.pass(time.Minute)
		b := w.begin(nil)
		code := w.phone.last(t).Code
		said := func() string {
			f, err := w.engine.Facts(t.Context(), w.svc, b.ID)
			must(t, err)
			return diagnose.Of(f, diagnose.Hints{}).Detail
		}
		w.check(b.ID, "D-48213")
		if got := said(); got != "delivery_code" {
			t.Fatalf("a delivery code: %s", got)
		}
		w.check(b.ID, old)
		if got := said(); got != "other" {
			t.Fatalf("while it is pending: %s", got)
		}
		w.check(b.ID, "123")
		if got := said(); got != "too_short" {
			t.Fatalf("a short one: %s", got)
		}
		for i := range 4 {
			w.check(b.ID, wrongCode(code, i))
		}
		if got := said(); got != "last_time" {
			t.Fatalf("afterwards: %s", got)
		}
	})
}

// What is typed that can't be the code is written down once, so that repeating it costs nothing.
// Keeps: G.1
func TestUnclearTriesCostNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"), nil)
	b := w.begin(nil)
	w.check(b.ID, "12345")
	v, err := w.batcher.Read(t.Context(), rowKeyOf(w, b.ID))
	must(t, err)
	for range 50 {
		w.check(b.ID, "12345")
	}
	after, err := w.batcher.Read(t.Context(), rowKeyOf(w, b.ID))
	must(t, err)
	if string(v.AppendRecord(nil)) != string(after.AppendRecord(nil)) {
		t.Fatal("a repeat is written down")
	}
	for range 20 {
		w.check(b.ID, "12345")
		w.check(b.ID, "hello")
	}
	if after, err = w.batcher.Read(t.Context(), rowKeyOf(w, b.ID)); err != nil || len(after.(*verification.Record).Unclear) > 8 {
		t.Fatalf("%+v, %v", after, err)
	}
}

// Who has codes sent that their owners say no to, or that nobody ever types, can soon ask for no more.
// Keeps: D.3
func TestUnwantedCodesWeighOnTheirCaller(t *testing.T) {
	t.Parallel()
	ask := func(w *world, n int) (asked int) {
		for i := range n {
			_, err := w.engine.Begin(t.Context(), verification.BeginRequest{
				Service: w.svc, Contact: w.to(fmt.Sprintf("p%d@mail.example", i)), Purpose: service.SignIn,
				Caller: verification.Caller{IP: "198.51.100.7"}, Context: verification.RequestContext{IP: "198.51.100.7"},
			})
			if err != nil {
				wantFault(t, err, "caller_sends_exhausted")
				return asked
			}
			asked++
			if i%2 == 0 {
				_, err = w.engine.Disown(t.Context(), w.svc, w.to(fmt.Sprintf("p%d@mail.example", i)))
				must(t, err)
			}
		}
		return asked
	}
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"), func(p *service.Policy) {
		p.CallerSends = service.Limit{Hour: 20, Day: 100}
	})
	if n := ask(w, 30); n > 6 {
		t.Fatalf("%d codes, of which every other was unwanted", n)
	}
	w = newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "more.db"), func(p *service.Policy) { p.CallerSends = service.Limit{Hour: 20, Day: 20} })
	for i := range 10 {
		_, err := w.engine.Begin(t.Context(), verification.BeginRequest{
			Service: w.svc, Contact: w.to(fmt.Sprintf("q%d@mail.example", i)), Purpose: service.SignIn,
			Caller: verification.Caller{IP: "198.51.100.8"}, Context: verification.RequestContext{IP: "198.51.100.8"},
		})
		must(t, err)
	}
	w.pass(11 * time.Minute)
	_, err := w.engine.Wake(t.Context(), 100)
	must(t, err)
	_, err = w.engine.Begin(t.Context(), verification.BeginRequest{
		Service: w.svc, Contact: w.to("r@mail.example"), Purpose: service.SignIn, Caller: verification.Caller{IP: "198.51.100.8"},
	})
	wantFault(t, err, "caller_sends_exhausted")
}

// A contact's owner has no say in another's codes, though both share the budgets of their stricter form.
// Keeps: S26
func TestAliasesBlockAndEndTheirOwn(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(t *testing.T, w *world) {
		begin := func(to string) *verification.Begun {
			return w.begin(func(r *verification.BeginRequest) { r.Contact = w.to(to) })
		}
		victims := begin("victim@mail.example")
		ended, err := w.engine.Disown(t.Context(), w.svc, w.to("victim+evil@mail.example"))
		must(t, err)
		must(t, w.engine.Block(t.Context(), w.svc, w.to("victim+evil@mail.example"), time.Hour))
		n := w.phone.count()
		begin("victim@mail.example")
		if v, err := w.engine.Status(t.Context(), w.svc, victims.ID); err != nil || ended != 0 || v.Status != verification.Pending || w.phone.count() != n+1 {
			t.Fatalf("%d ended, %+v, %v", ended, v, err)
		}
		begin("victim+evil@mail.example")
		if w.phone.count() != n+1 {
			t.Fatal("the address that is blocked gets its code")
		}
		w.pass(61 * time.Minute)
		begin("victim+evil@mail.example")
		if w.phone.count() != n+2 {
			t.Fatal("a block doesn't end by itself")
		}
	})
}
