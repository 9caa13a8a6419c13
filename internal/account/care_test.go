// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"slices"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/diagnose"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// codes is how many codes were sent.
func (p *post) codes() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.sent {
		if m.Notice == nil {
			n++
		}
	}
	return n
}

// handed reports that a provider has taken all codes so far.
func (w *world) handed() {
	w.Helper()
	w.post.mu.Lock()
	sent := slices.Clone(w.post.sent)
	w.post.mu.Unlock()
	for _, m := range sent {
		if m.Notice == nil {
			must(w, w.engine.Report(w.Context(), message.Report{Ref: m.Ref, Sent: true}))
		}
	}
}

// byText asks for the code by text.
func (b *browser) byText(s *account.Step) *account.Step {
	b.Helper()
	i := slices.IndexFunc(s.Ways, func(w account.Way) bool { return w.Method == account.MethodSMS })
	if i < 0 {
		b.Fatalf("no text among %+v", s.Ways)
	}
	b.pass(time.Minute)
	s, err := b.accounts.Send(b.Context(), b.svc, s.Flow, s.Ways[i].ID, b.visitor())
	must(b, err)
	return s
}

// The code of the app typed where the text's belongs lets in, and the other way round: each is the account's own second step. Where only the
// text's will do, the person is told. Either is counted as a guess, and what matched is burnt.
// Keeps: G.1, S11
func TestCodesInTheOtherField(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		owner := w.signUp(ann)
		owner.addPhone(phone, true)
		key := owner.addApp()
		w.pass(time.Minute)
		b := w.browser()
		s, err := b.signIn()
		must(t, err)
		s = b.byText(s)
		code := w.appCode(key)
		b.done(b.answer(s, account.Answer{Typed: code}))

		other := w.browser()
		s, err = other.signIn()
		must(t, err)
		s = other.byText(s)
		if s, err = other.answer(s, account.Answer{Typed: code}); err != nil || s.Problem == nil || s.Problem.Code != "wrong_code" {
			t.Fatalf("the app's code counts twice: %+v, %v", s, err)
		}
		text := w.post.code(t, phone)
		s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, appWay(s.Ways))
		must(t, err)
		other.done(other.answer(s, account.Answer{Typed: text}))

		w.pass(time.Hour)
		owner.done(owner.provenByApp(key))
		s, err = w.accounts.AddContact(t.Context(), owner.signed(), to(t, "+14155550199"), "", owner.visitor())
		must(t, err)
		s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", owner.visitor())
		must(t, err)
		w.pass(time.Minute)
		s, err = owner.answer(s, account.Answer{Typed: w.appCode(key)})
		must(t, err)
		if s.Problem == nil || s.Problem.Code != "app_code_typed" {
			t.Fatalf("%+v", s.Problem)
		}
	})
}

// provenByApp proves the person anew by the app.
func (b *browser) provenByApp(key []byte) (*account.Step, error) {
	s, err := b.accounts.StepUp(b.Context(), b.signed(), b.visitor())
	must(b, err)
	s, err = b.accounts.Choose(b.Context(), b.svc, s.Flow, appWay(s.Ways))
	must(b, err)
	return b.answer(s, account.Answer{Typed: b.appCode(key)})
}

// A code that a person didn't ask for: they see who asked, say that it wasn't they, and what the article advises is done, one press each; it can
// be left and gone on with.
// Keeps: D.1, D.2
func TestReview(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		owner := w.signUp(ann)
		owner.addPhone(phone, true)
		other := w.browser()
		s, err := other.signIn()
		must(t, err)
		other.done(other.answer(s, account.Answer{Typed: w.post.code(t, phone), Trust: true}))
		w.pass(time.Hour)
		thief := w.browser() // knows the password
		s, err = w.accounts.SignIn(t.Context(), w.svc, to(t, ann), secret.NewText(long), &account.Visitor{IP: "198.51.100.7", Device: "Chrome on Windows", Place: "near Minsk"})
		must(t, err)

		w.handed()
		sent, err := w.accounts.Sent(t.Context(), owner.signed())
		must(t, err)
		i := slices.IndexFunc(sent, func(m account.SentMessage) bool { return !m.ID.IsZero() })
		if m := sent[i]; !m.Pending || m.Asked.Device != "Chrome on Windows" || m.Asked.Place != "near Minsk" || m.Purpose != service.SignIn || m.Digits != "21" {
			t.Fatalf("%+v", m)
		}
		if !slices.ContainsFunc(sent, func(m account.SentMessage) bool { return m.Notice == message.TwoStepOn }) {
			t.Fatal("notices aren't listed")
		}
		v, err := w.accounts.BeginReview(t.Context(), owner.signed(), sent[i].ID, owner.visitor())
		must(t, err)
		if v.Ended != 1 || left(v) != "sessions password activity case" {
			t.Fatalf("%+v", v)
		}
		if s, err = thief.answer(s, account.Answer{Typed: w.post.code(t, phone)}); err != nil || s.Next == account.StepDone {
			t.Fatalf("the code still works: %+v, %v", s, err)
		}
		must(t, w.accounts.Review(t.Context(), owner.signed(), account.ReviewSessions, owner.visitor()))
		_, err = w.accounts.Session(t.Context(), w.svc, other.session, other.visitor())
		refused(t, err, "signed_out")
		// It is left and gone on with in another browser.
		again := w.browser()
		s, err = again.signIn()
		must(t, err)
		again.done(again.sent(s, s.Way.ID, phone), nil)
		must(t, w.accounts.ChangePassword(t.Context(), again.signed(), secret.NewText("a new sentence for it"), again.visitor()))
		must(t, w.accounts.Review(t.Context(), again.signed(), account.ReviewActivity, again.visitor()))
		must(t, w.accounts.ReviewCase(t.Context(), again.signed(), "case_1"))
		if v = w.accounts.ReviewOf(again.signed()); !v.Done || v.Case != "case_1" || v.About != sent[i].ID {
			t.Fatalf("%+v", v)
		}
		must(t, w.accounts.EndReview(t.Context(), again.signed(), again.visitor()))
		refused(t, w.accounts.EndReview(t.Context(), again.signed(), again.visitor()), "not_there")
	})
}

func left(v *account.ReviewView) (names string) {
	for _, s := range v.Steps {
		if !s.Done {
			names += " " + s.Name
		}
	}
	return names[min(1, len(names)):]
}

// NO ends the codes that wait and begins the review; it locks nobody out. STOP and START stop and allow codes, HELP is answered seldom.
// Keeps: D.1, S26
func TestAnswersByText(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	owner := w.signUp(ann)
	owner.addPhone(phone, true)
	w.pass(time.Hour)
	s, err := owner.signIn()
	must(t, err)
	ended, err := w.engine.Disown(t.Context(), w.svc, to(t, phone))
	must(t, err)
	must(t, w.accounts.Disowned(t.Context(), w.svc, to(t, phone), ended))
	must(t, w.accounts.Disowned(t.Context(), w.svc, to(t, "+14155550177"), 0)) // nobody's
	if v := w.accounts.ReviewOf(owner.signed()); ended != 1 || v == nil || !v.ByText {
		t.Fatalf("%d, %+v", ended, v)
	}
	if s, err = owner.answer(s, account.Answer{Typed: w.post.code(t, phone)}); err != nil || s.Problem == nil || s.Problem.Code != "canceled_code" {
		t.Fatalf("%+v, %v", s, err)
	}
	s, err = owner.signIn() // the owner isn't locked out
	must(t, err)
	owner.done(owner.answer(s, account.Answer{Typed: w.post.code(t, phone)}))

	must(t, w.engine.Block(t.Context(), w.svc, to(t, phone), verification.MaxBlock))
	n := w.post.codes()
	w.pass(time.Minute)
	s, err = owner.signIn()
	must(t, err)
	if w.post.codes() != n || s.Diagnosis == nil || s.Diagnosis.Cause != diagnose.ContactWrong || s.Diagnosis.Detail != diagnose.DetailBlockedByOwner {
		t.Fatalf("%d messages more, %+v", w.post.codes()-n, s.Diagnosis)
	}
	blocked, err := w.accounts.Blocked(t.Context(), owner.signed())
	must(t, err)
	for id := range blocked {
		must(t, w.accounts.Unblock(t.Context(), owner.signed(), id, owner.visitor()))
	}
	w.pass(time.Minute)
	s, err = owner.signIn()
	must(t, err)
	if got := w.post.codes(); got != n+1 {
		t.Fatalf("after START: %d codes more", got-n)
	}
	if s.Diagnosis.Cause != diagnose.Delayed {
		t.Fatalf("after START: %+v", s.Diagnosis)
	}
	for range 2 {
		must(t, w.accounts.Help(t.Context(), w.svc, to(t, phone)))
	}
	if all := w.post.notices(phone); len(all) == 0 || all[len(all)-1] != message.HelpAsked || all[len(all)-2] == message.HelpAsked {
		t.Fatalf("%v", all)
	}
}

// Somebody without an account who gets codes by another's mistake proves the number, sees what came since yesterday without what it was for, and has no
// more sent. Whether the number belongs to an account is told by nothing.
// Keeps: D.2, E.1, S23
func TestAStrangersContact(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		_, err := w.engine.Begin(t.Context(), verification.BeginRequest{Service: w.svc, Contact: to(t, phone), Purpose: service.Recovery})
		must(t, err)
		w.handed()
		w.pass(25 * time.Hour)
		_, err = w.engine.Begin(t.Context(), verification.BeginRequest{Service: w.svc, Contact: to(t, phone), Purpose: service.Transaction, Detail: verification.Detail{Amount: "EUR 1", Payee: "Shop"}})
		must(t, err)
		w.handed()
		b := w.browser()
		s, err := w.accounts.Prove(t.Context(), w.svc, to(t, phone), b.visitor())
		must(t, err)
		if _, err := w.accounts.ProvenBy(w.svc, s.Flow); err == nil {
			t.Fatal("proven before the code was typed")
		}
		s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", b.visitor())
		must(t, err)
		w.handed()
		s, err = b.answer(s, account.Answer{Typed: w.post.code(t, phone)})
		must(t, err)
		if s.Next != account.StepProven {
			t.Fatalf("%+v", s)
		}
		proven, err := w.accounts.ProvenBy(w.svc, s.Flow)
		must(t, err)
		all, err := w.accounts.SentTo(t.Context(), proven)
		must(t, err)
		if len(all) != 2 || all[1].Purpose != "" || all[1].Detail != (verification.Detail{}) || all[1].Asked != (verification.RequestContext{}) {
			t.Fatalf("%+v", all)
		}
		must(t, w.accounts.BlockTo(t.Context(), proven, false))
		if until, err := w.accounts.BlockedTo(t.Context(), proven); err != nil || until.Sub(w.ledger.Now()) < 89*24*time.Hour {
			t.Fatalf("%v, %v", until, err)
		}
		n := w.post.codes()
		begun, err := w.engine.Begin(t.Context(), verification.BeginRequest{Service: w.svc, Contact: to(t, phone), Purpose: service.SignIn})
		must(t, err)
		if begun.Messages[0].Status != verification.MessageFail || w.post.codes() != n {
			t.Fatalf("%+v", begun.Messages)
		}
		// The owner comes back later: a code that proves the contact goes through, once a day.
		w.pass(time.Hour)
		for i := range 2 {
			again, err := w.accounts.Prove(t.Context(), w.svc, to(t, phone), w.browser().visitor())
			must(t, err)
			_, err = w.accounts.Send(t.Context(), w.svc, again.Flow, "", w.browser().visitor())
			must(t, err)
			if w.post.codes() != n+1 {
				t.Fatalf("%d codes through the block after proof %d", w.post.codes()-n, i+1)
			}
		}
		n++
		w.pass(25 * time.Hour)
		s, err = w.accounts.Prove(t.Context(), w.svc, to(t, phone), b.visitor())
		must(t, err)
		s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", b.visitor())
		must(t, err)
		s, err = b.answer(s, account.Answer{Typed: w.post.code(t, phone)})
		must(t, err)
		proven, err = w.accounts.ProvenBy(w.svc, s.Flow)
		must(t, err)
		n++
		must(t, w.accounts.BlockTo(t.Context(), proven, true))
		_, err = w.engine.Begin(t.Context(), verification.BeginRequest{Service: w.svc, Contact: to(t, phone), Purpose: service.SignIn})
		must(t, err)
		if w.post.codes() != n+1 {
			t.Fatal("the block isn't lifted")
		}
		w.pass(31 * time.Minute)
		if _, err := w.accounts.ProvenBy(w.svc, s.Flow); err == nil {
			t.Fatal("the proof doesn't end")
		}
	})
}
