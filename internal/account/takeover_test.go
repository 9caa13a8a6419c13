// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/testkit/authenticator"
	"github.com/countersign/countersign/internal/verification"
)

// token is what a notice by email leads to.
func (w *world) token(to string, kind message.NoticeKind) string {
	w.Helper()
	_, text, ok := strings.Cut(w.post.notice(w, to, kind).Notice.Link, "?t=")
	if !ok {
		w.Fatal("the notice has no link")
	}
	return text
}

// sent asks for a flow's code by a way and answers with it.
func (b *browser) sent(s *account.Step, way, to string) *account.Step {
	b.Helper()
	b.pass(time.Minute)
	s, err := b.accounts.Send(b.Context(), b.svc, s.Flow, way, b.visitor())
	must(b, err)
	s, err = b.answer(s, account.Answer{Typed: b.post.code(b, to)})
	must(b, err)
	return s
}

// A thief who is signed in can't make the owner's undo void by changing more, and can't use up what the owner needs to set a new password.
// Keeps: S18, B.5
func TestLaterChangesLeaveAnUndo(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	thief := w.signUp(ann)
	must(t, w.accounts.ChangePassword(t.Context(), thief.signed(), secret.NewText("the thief's own words"), thief.visitor()))
	token := w.token(ann, message.PasswordChanged)
	var last error
	for i := 0; i < 40 && last == nil; i++ {
		_, last = w.accounts.NewRecoveryCodes(t.Context(), thief.signed(), thief.visitor())
	}
	refused(t, last, "too_many_changes")
	if _, err := w.accounts.LookLink(t.Context(), w.svc, token); err != nil {
		t.Fatalf("the first change can't be undone any more: %v", err)
	}
	owner := w.browser()
	s, err := w.accounts.Forgot(t.Context(), w.svc, to(t, ann), owner.visitor())
	must(t, err)
	s = owner.sent(s, "", ann)
	owner.done(owner.answer(s, account.Answer{Password: secret.NewText("the owner's new words")}))
	if v := owner.view(); len(v.Undos) != 13 {
		t.Fatalf("%d changes can be undone", len(v.Undos))
	}
	w.pass(73 * time.Hour)
	s, err = w.accounts.SignIn(t.Context(), w.svc, to(t, ann), secret.NewText("the owner's new words"), owner.visitor())
	owner.done(s, err)
	if _, err := w.accounts.NewRecoveryCodes(t.Context(), owner.signed(), owner.visitor()); err != nil {
		t.Fatalf("after three days: %v", err)
	}
}

// One mailbox is one proof and one contact, however its address is written, and the code goes to the address that was proven.
// Keeps: S20
func TestOneMailboxIsOneProof(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, func(p *service.Policy) { p.EmailIsSecondStep = true })
	owner := w.signUp(ann)
	s, err := w.accounts.Enable(t.Context(), owner.signed(), "c"+contactOf(owner, ann), owner.visitor())
	must(t, err)
	owner.done(owner.sent(s, "", ann), nil)
	thief := w.browser()
	s, err = w.accounts.Forgot(t.Context(), w.svc, to(t, "Ann@mail.example"), thief.visitor())
	must(t, err)
	if s = thief.sent(s, "", ann); s.Next == account.StepNewPassword || slices.ContainsFunc(s.Ways, func(way account.Way) bool { return way.Method == account.MethodEmail }) {
		t.Fatalf("the mailbox proves twice: %+v", s)
	}
	s, err = w.accounts.AddContact(t.Context(), owner.signed(), to(t, "ANN@mail.example"), "", owner.visitor())
	must(t, err)
	w.pass(time.Minute)
	s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", owner.visitor())
	must(t, err)
	_, err = owner.answer(s, account.Answer{Typed: w.post.code(t, "ANN@mail.example")})
	refused(t, err, "contact_taken")
}

// How an account has its contact is shown to nobody who typed it in another way.
// Keeps: S16
func TestSpellingTellsNothing(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	w.signUp(ann)
	var seen []string
	for _, typed := range []string{"Ann@mail.example", "Abe@mail.example"} {
		b := w.browser()
		s, err := w.accounts.Forgot(t.Context(), w.svc, to(t, typed), b.visitor())
		must(t, err)
		s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", b.visitor())
		must(t, err)
		wrong, err := b.answer(s, account.Answer{Typed: "000000"})
		must(t, err)
		seen = append(seen, s.Code.Contact, s.Way.Contact, wrong.Code.Contact, wrong.Problem.Checked.Contact)
	}
	if slices.ContainsFunc(seen, func(s string) bool { return s != "A...@mail.example" }) {
		t.Fatalf("%q", seen)
	}
}

// staff is an invited member of staff with a password and an app.
func (w *world) staff(address string, role account.Role) (*browser, ledger.ID) {
	w.Helper()
	id, err := w.accounts.Create(w.Context(), w.svc, account.NewAccount{Contacts: []contact.Contact{to(w, address)}, Role: role}, account.By{Role: account.Operator})
	must(w, err)
	b := w.browser()
	s, err := w.accounts.Forgot(w.Context(), w.svc, to(w, address), b.visitor())
	must(w, err)
	b.done(b.answer(b.sent(s, "", address), account.Answer{Password: secret.NewText(long)}))
	w.pass(time.Minute)
	key := b.addApp()
	w.pass(time.Minute)
	s, err = w.accounts.SignIn(w.Context(), w.svc, to(w, address), secret.NewText(long), b.visitor())
	must(w, err)
	b.done(b.answer(s, account.Answer{Typed: w.appCode(key)}))
	return b, id
}

// Who is dismissed doesn't come back: staff don't close their own accounts, and a closed one is dismissed for good, too.
// Keeps: S18
func TestTheDismissedStayAway(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	op, id := w.staff("op@acme.example", account.Operator)
	refused(t, w.accounts.Close(t.Context(), op.signed(), op.visitor()), "staff_stays")
	refused(t, w.accounts.StartRecovery(t.Context(), op.signed(), id), "second_agent_needed")
	_, err := w.accounts.AppendActivity(t.Context(), w.svc, id, account.AppEvent{Type: "order", Text: "1"}, account.By{Name: "api:customers"})
	refused(t, err, "staff_account")
	refused(t, w.accounts.Dismiss(t.Context(), w.svc, id, account.By{Name: "api:customers"}), "staff_account")

	must(t, w.accounts.ChangePassword(t.Context(), op.signed(), secret.NewText("another long sentence"), op.visitor()))
	token := w.token("op@acme.example", message.PasswordChanged)
	must(t, w.accounts.Dismiss(t.Context(), w.svc, id, account.By{Role: account.Operator}))
	_, err = w.accounts.Undo(t.Context(), w.svc, token, op.visitor())
	refused(t, err, "link_ended")
	refused(t, w.accounts.Dismiss(t.Context(), w.svc, id, account.By{Role: account.Operator}), "account_not_found")

	// A customer's closing that could still be undone is made final by the application.
	b := w.signUp(ann)
	customer, err := account.ParseID(b.view().ID)
	must(t, err)
	refused(t, w.accounts.Dismiss(t.Context(), w.svc, customer, account.By{Role: account.Operator}), "account_not_found")
	must(t, w.accounts.Close(t.Context(), b.signed(), b.visitor()))
	token = w.token(ann, message.AccountClosed)
	must(t, w.accounts.CloseFor(t.Context(), w.svc, customer, account.By{}))
	_, err = w.accounts.Undo(t.Context(), w.svc, token, b.visitor())
	refused(t, err, "link_ended")
	refused(t, w.accounts.CloseFor(t.Context(), w.svc, customer, account.By{}), "account_not_found")
}

// Strangers with wrong recovery codes, or with the password and wrong codes of the app, never keep the owner's device out.
// Keeps: S17
func TestStrangersDontUseUpTheApp(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	owner := w.signUp(ann)
	key := owner.addApp()
	for day := range 3 {
		for range 12 {
			stranger := w.browser()
			s, err := w.accounts.Recover(t.Context(), w.svc, to(t, ann), stranger.visitor())
			must(t, err)
			s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "r")
			must(t, err)
			_, _ = stranger.answer(s, account.Answer{Typed: "aaaa-aaaa-aaaa-aaaa"})
			if s, err = stranger.signIn(); err == nil {
				_, _ = stranger.answer(s, account.Answer{Typed: "000000"})
			}
			w.pass(31 * time.Second)
		}
		s, err := owner.signIn()
		if err != nil {
			t.Fatalf("day %d: %v", day, err)
		}
		s, err = owner.answer(s, account.Answer{Typed: w.appCode(key)})
		if err != nil || s.Next != account.StepDone {
			t.Fatalf("day %d: the owner's device is kept out: %+v, %v", day, s, err)
		}
		owner.done(s, err)
		w.pass(7 * time.Hour)
	}
}

// Wrong recovery codes and app codes are charged to whoever types them.
// Keeps: S6
func TestGuessesAreCharged(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, func(p *service.Policy) { p.CallerGuesses = service.Limit{Hour: 4, Day: 4} })
	w.signUp(ann).addApp()
	stranger := w.browser()
	var err error
	for i := range 6 {
		address := string(rune('a'+i)) + "@mail.example"
		var s *account.Step
		s, err = w.accounts.Recover(t.Context(), w.svc, to(t, address), stranger.visitor())
		must(t, err)
		s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "r")
		must(t, err)
		if _, err = stranger.answer(s, account.Answer{Typed: "aaaa-aaaa-aaaa-aaaa"}); err != nil {
			break
		}
	}
	refused(t, err, "caller_guesses_exhausted")
}

// While an undo is under way nobody sets a new password, and the undo goes on.
// Keeps: S18
func TestFrozenIsFrozen(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	owner := w.signUp(ann)
	w.pass(time.Hour)
	owner.done(owner.signIn())
	thief := w.browser()
	must(t, w.accounts.ChangePassword(t.Context(), owner.signed(), secret.NewText("another long sentence"), owner.visitor()))
	forgot, err := w.accounts.Forgot(t.Context(), w.svc, to(t, ann), thief.visitor())
	must(t, err)
	forgot = thief.sent(forgot, "", ann)
	undo, err := w.accounts.Undo(t.Context(), w.svc, w.token(ann, message.PasswordChanged), owner.visitor())
	must(t, err)
	_, err = thief.answer(forgot, account.Answer{Password: secret.NewText("the thief's own words")})
	refused(t, err, "changes_frozen")
	undo, err = w.accounts.Choose(t.Context(), w.svc, undo.Flow, "w")
	must(t, err)
	owner.done(owner.answer(undo, account.Answer{Password: secret.NewText(long)}))
}

// What an app or a passkey has counted stays counted when an undo brings back what was before.
// Keeps: B.4
func TestUndoKeepsCounters(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	owner := w.signUp(ann)
	key := owner.addApp()
	passkey := authenticator.New(t, "https://acme.example")
	s, err := w.accounts.AddPasskey(t.Context(), owner.signed(), "Laptop", false, owner.visitor())
	must(t, err)
	owner.done(owner.answer(s, account.Answer{Passkey: passkey.Create(t, s.Passkey)}))
	w.pass(time.Hour)
	s, err = owner.signIn()
	must(t, err)
	s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, appWay(s.Ways))
	must(t, err)
	owner.done(owner.answer(s, account.Answer{Typed: w.appCode(key)}))
	must(t, w.accounts.ChangePassword(t.Context(), owner.signed(), secret.NewText("another long sentence"), owner.visitor()))
	old := *passkey
	again := w.browser()
	s, err = w.accounts.SignInPasskey(t.Context(), w.svc, again.visitor())
	must(t, err)
	again.done(again.answer(s, account.Answer{Passkey: passkey.Get(t, s.Passkey)}))

	s, err = w.accounts.Undo(t.Context(), w.svc, w.token(ann, message.PasswordChanged), owner.visitor())
	must(t, err)
	s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, appWay(s.Ways))
	must(t, err)
	w.pass(time.Minute)
	code := w.appCode(key)
	owner.done(owner.answer(s, account.Answer{Typed: code}))
	thief := w.browser()
	s, err = thief.signIn()
	must(t, err)
	s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, appWay(s.Ways))
	must(t, err)
	if s, err = thief.answer(s, account.Answer{Typed: code}); err != nil || s.Problem == nil {
		t.Fatalf("the code of the undo gets in once more: %+v, %v", s, err)
	}
	s, err = w.accounts.SignInPasskey(t.Context(), w.svc, thief.visitor())
	must(t, err)
	if s, err = thief.answer(s, account.Answer{Passkey: old.Get(t, s.Passkey)}); err == nil && s.Next == account.StepDone {
		t.Fatal("a copied passkey gets in after an undo")
	}
}

// At a recovery's end the proofs of its start are asked for, not as many others.
// Keeps: S20
func TestRecoveryEndsWithItsOwnProofs(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	owner := w.signUp(ann)
	owner.addPhone(phone, false)
	stranger := w.browser()
	s, err := w.accounts.Recover(t.Context(), w.svc, to(t, ann), stranger.visitor())
	must(t, err)
	s = stranger.sent(s, "x", ann)
	if s = stranger.sent(s, "c"+contactOf(owner, phone), phone); s.Next != account.StepWait {
		t.Fatalf("%+v", s)
	}
	w.pass(73 * time.Hour)
	s, err = w.accounts.Recover(t.Context(), w.svc, to(t, ann), stranger.visitor())
	must(t, err)
	s = stranger.sent(s, "x", ann)
	s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "w")
	must(t, err)
	s, err = stranger.answer(s, account.Answer{Password: secret.NewText(long)})
	must(t, err)
	if s.Next != account.StepChoose {
		t.Fatalf("mailbox and password end what mailbox and phone began: %+v", s)
	}
	// The phone is asked for, and named by itself it is the same proof.
	s = stranger.sent(s, "c"+contactOf(owner, phone), phone)
	if s.Next != account.StepNewPassword {
		t.Fatalf("%+v", s)
	}
	s, err = w.accounts.Recover(t.Context(), w.svc, to(t, phone), stranger.visitor())
	must(t, err)
	s = stranger.sent(s, "x", phone)
	if s = stranger.sent(s, "c"+contactOf(owner, ann), ann); s.Next != account.StepNewPassword {
		t.Fatalf("the same two, the other way round: %+v", s)
	}
}

// Accounts of a passkey alone cost their caller what a code would.
// Keeps: S6
func TestPasskeyAccountsAreCharged(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, func(p *service.Policy) { p.CallerSends = service.Limit{Hour: 3, Day: 3} })
	b := w.browser()
	for range 3 {
		_, err := w.accounts.SignUpPasskey(t.Context(), w.svc, "Phone", b.visitor())
		must(t, err)
	}
	_, err := w.accounts.SignUpPasskey(t.Context(), w.svc, "Phone", b.visitor())
	refused(t, err, "caller_sends_exhausted")
}

// A device whose secret was replaced counts as a stranger's in every answer.
// Keeps: S21
func TestAnOldDeviceIsAStranger(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	owner := w.signUp(ann)
	copied := w.browser()
	copied.devices = slices.Clone(owner.devices)
	owner.done(owner.signIn())
	w.pass(2 * time.Minute)
	for i := range 12 { // strangers' tries, after which a stranger has to wait
		stranger := w.browser()
		_, err := w.accounts.SignIn(t.Context(), w.svc, to(t, ann), secret.NewText("wrong"), stranger.visitor())
		if i < 4 {
			refused(t, err, "wrong_password")
		}
	}
	s, err := w.accounts.Recover(t.Context(), w.svc, to(t, ann), copied.visitor())
	must(t, err)
	s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "w")
	must(t, err)
	_, err = copied.answer(s, account.Answer{Password: secret.NewText("wrong")})
	refused(t, err, "sign_in_throttled")
}

// "This wasn't me", signing out everywhere and locking end what is half-way.
// Keeps: S18
func TestWhatIsHalfWayEnds(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*world, *browser, ledger.ID) error{
		"not me": func(w *world, b *browser, _ ledger.ID) error {
			all, _, err := w.accounts.Activity(w.Context(), b.signed(), 0)
			must(w, err)
			i := slices.IndexFunc(all, func(e account.Entry) bool { return e.CanNotMe })
			return w.accounts.NotMe(w.Context(), b.signed(), all[i].ID, b.visitor())
		},
		"sign out all": func(w *world, _ *browser, id ledger.ID) error {
			return w.accounts.SignOutAll(w.Context(), w.svc, id, account.By{})
		},
		"lock": func(w *world, _ *browser, id ledger.ID) error {
			must(w, w.accounts.SetState(w.Context(), w.svc, id, account.Locked, account.By{}))
			return w.accounts.SetState(w.Context(), w.svc, id, account.Open, account.By{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := sqliteWorld(t, nil)
			owner := w.signUp(ann)
			id, err := account.ParseID(owner.view().ID)
			must(t, err)
			key := owner.addApp()
			w.pass(time.Minute)
			thief := w.browser()
			s, err := thief.signIn()
			must(t, err)
			must(t, act(w, owner, id))
			_, err = thief.answer(s, account.Answer{Typed: w.appCode(key)})
			refused(t, err, "flow_ended")
		})
	}
}

// A second step that was passed before an undo counts for nothing after it.
// Keeps: S21
func TestUndoForgetsSecondSteps(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	op, _ := w.staff("op@acme.example", account.Operator)
	if _, err := op.signed().Staff(account.Operator); err != nil {
		t.Fatal(err)
	}
	before := w.browser()
	before.devices = slices.Clone(op.devices)
	s, err := w.accounts.Undo(t.Context(), w.svc, w.token("op@acme.example", message.TwoStepOn), op.visitor())
	must(t, err)
	s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "w")
	must(t, err)
	op.done(op.answer(s, account.Answer{Password: secret.NewText(long)}))
	s, err = w.accounts.SignIn(t.Context(), w.svc, to(t, "op@acme.example"), secret.NewText(long), before.visitor())
	before.done(s, err)
	_, err = before.signed().Staff(account.Operator)
	refused(t, err, "role_missing")
}

const mal = "mal@evil.example"

// adds has somebody who is signed in add a contact.
func (b *browser) adds(address string) {
	b.Helper()
	s, err := b.accounts.AddContact(b.Context(), b.signed(), to(b, address), "", b.visitor())
	must(b, err)
	b.done(b.sent(s, "", address), nil)
}

// A thief who undoes a later change of their own leaves the owner's undos of earlier ones as they are.
// Keeps: S18
func TestUndoingALaterChangeLeavesEarlierUndos(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	w.signUp(ann)
	w.pass(80 * time.Hour)
	thief := w.browser()
	thief.done(thief.signIn())
	thief.adds(mal)
	token := w.token(ann, message.ContactAdded)
	w.pass(2 * time.Second)
	_, err := w.accounts.NewRecoveryCodes(t.Context(), thief.signed(), thief.visitor())
	must(t, err)
	s, err := w.accounts.Undo(t.Context(), w.svc, w.token(mal, message.RecoveryCodesNew), thief.visitor())
	must(t, err)
	s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "w")
	must(t, err)
	thief.done(thief.answer(s, account.Answer{Password: secret.NewText(long)}))
	owner := w.browser()
	s, err = w.accounts.Undo(t.Context(), w.svc, token, owner.visitor())
	must(t, err)
	s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "w")
	must(t, err)
	owner.done(owner.answer(s, account.Answer{Password: secret.NewText(long)}))
	if v := owner.view(); len(v.Contacts) != 1 || len(v.Undos) != 0 {
		t.Fatalf("%+v", v)
	}
	_, err = w.accounts.SignIn(t.Context(), w.svc, to(t, mal), secret.NewText(long), thief.visitor())
	refused(t, err, "wrong_password")
}

// The room that is kept for the owner's resets isn't there for a contact that was added a moment ago.
// Keeps: S18
func TestAThiefsContactDoesNotUseUpResets(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	w.signUp(ann)
	w.pass(80 * time.Hour)
	thief := w.browser()
	thief.done(thief.signIn())
	thief.adds(mal)
	reset := func(b *browser, address, words string) error {
		s, err := w.accounts.Forgot(t.Context(), w.svc, to(t, address), b.visitor())
		must(t, err)
		s, err = b.answer(b.sent(s, "", address), account.Answer{Password: secret.NewText(words)})
		if err == nil {
			b.done(s, err)
		}
		return err
	}
	var err error
	for i := 0; i < 20 && err == nil; i++ {
		w.pass(10 * time.Minute)
		err = reset(thief, mal, "the thief's own words")
	}
	refused(t, err, "too_many_changes")
	must(t, reset(w.browser(), ann, "the owner's new words"))
}

// An application that closes an account for good takes no contact away that has become somebody else's since.
// Keeps: B.1
func TestAClosedAccountsContactIsAnothers(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	id, err := account.ParseID(b.view().ID)
	must(t, err)
	must(t, w.accounts.Close(t.Context(), b.signed(), b.visitor()))
	w.pass(72*time.Hour + time.Minute) // the job hasn't come to it yet
	w.signUp(ann)
	must(t, w.accounts.CloseFor(t.Context(), w.svc, id, account.By{}))
	fresh := w.browser()
	fresh.done(fresh.signIn())
}

// recover gives proofs: "x" a code to the address, "w" the password, "r:CODE" a recovery code.
func (b *browser) recover(proofs ...string) *account.Step {
	b.Helper()
	s, err := b.accounts.Recover(b.Context(), b.svc, to(b, ann), b.visitor())
	must(b, err)
	for _, p := range proofs {
		if p == "x" {
			s = b.sent(s, "x", ann)
			continue
		}
		s, err = b.accounts.Choose(b.Context(), b.svc, s.Flow, p[:1])
		must(b, err)
		a := account.Answer{Password: secret.NewText(long)}
		if p != "w" {
			a = account.Answer{Typed: p[2:]}
		}
		s, err = b.answer(s, a)
		must(b, err)
	}
	return s
}

// A recovery that began with the last recovery code can be ended without it, by two other proofs.
// Keeps: S20
func TestTheLastRecoveryCode(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	owner := w.signUp(ann)
	owner.addApp()
	codes, err := w.accounts.NewRecoveryCodes(t.Context(), owner.signed(), owner.visitor())
	must(t, err)
	b := w.browser()
	for _, c := range codes[:9] {
		b.recover("r:" + c)
	}
	if s := b.recover("x", "r:"+codes[9]); s.Next != account.StepWait {
		t.Fatalf("%+v", s)
	}
	w.pass(73 * time.Hour)
	if s := b.recover("x"); s.Next != account.StepChoose {
		t.Fatalf("one proof: %+v", s)
	}
	if s := b.recover("x", "w"); s.Next != account.StepNewPassword {
		t.Fatalf("%+v", s)
	}
}

// Nobody's recovery is another's: with other proofs one is told of it, and agents see what each began with.
// Keeps: S20
func TestRecoveriesAreNotShared(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	owner := w.signUp(ann)
	owner.addApp()
	w.pass(time.Hour)
	thief := w.browser()
	_, err := w.accounts.RecoverAlone(t.Context(), w.svc, thief.recover("w").Flow, thief.visitor())
	must(t, err)
	b := w.browser()
	_, err = w.accounts.RecoverAlone(t.Context(), w.svc, b.recover("x").Flow, b.visitor())
	refused(t, err, "recovery_under_way")
	id, err := account.ParseID(owner.view().ID)
	must(t, err)
	v, err := w.accounts.Get(t.Context(), w.svc, id, account.By{})
	must(t, err)
	if !slices.Equal(v.Recovery.Proofs, []string{"password"}) {
		t.Fatalf("agents see %+v", v.Recovery)
	}
	refused(t, w.accounts.StopOwnRecovery(t.Context(), owner.signed(), owner.visitor()), "step_up_needed")
	must(t, w.accounts.StopRecovery(t.Context(), w.svc, w.token(ann, message.RecoveryStarted), b.visitor()))
	_, err = w.accounts.RecoverAlone(t.Context(), w.svc, b.recover("x").Flow, b.visitor())
	must(t, err)
}

// A recovery that agents began is ended by a code to a proven contact, never by the password alone.
// Keeps: S20
func TestAgentsRecoveryNeedsAContact(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	owner := w.signUp(ann)
	owner.addApp()
	id, err := account.ParseID(owner.view().ID)
	must(t, err)
	one, _ := w.staff("op@acme.example", account.Operator)
	two, _ := w.staff("op2@acme.example", account.Operator)
	must(t, w.accounts.StartRecovery(t.Context(), one.signed(), id))
	must(t, w.accounts.ApproveRecovery(t.Context(), two.signed(), id))
	w.pass(8 * 24 * time.Hour)
	thief := w.browser()
	if s := thief.recover("w"); s.Next == account.StepNewPassword {
		t.Fatalf("%+v", s)
	}
	if s := w.browser().recover("x"); s.Next != account.StepNewPassword {
		t.Fatalf("%+v", s)
	}
}

// What became of a message tells nobody who exists, before anything is proven.
// Keeps: S16
func TestFailuresTellNobodyWhoExists(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	w.signUp(ann)
	said := map[string]verification.MessageStatus{}
	causes := map[string]string{}
	for _, name := range []string{ann, "eve@mail.example"} {
		v := w.browser().visitor()
		s, err := w.accounts.Forgot(t.Context(), w.svc, to(t, name), v)
		must(t, err)
		s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", v)
		must(t, err)
		m := w.post.sent[len(w.post.sent)-1]
		rep := message.Report{Ref: m.Ref, Final: true, Attempts: []message.Attempt{{Provider: "p", Outcome: message.Unreachable, StartedAt: w.ledger.Now(), EndedAt: w.ledger.Now()}}}
		if m.Decoy { // as the dispatcher makes it
			rep = message.Report{Ref: m.Ref, Sent: true, Attempts: []message.Attempt{{Outcome: message.Accepted, StartedAt: w.ledger.Now(), EndedAt: w.ledger.Now()}}}
		}
		must(t, w.engine.Report(t.Context(), rep))
		s, err = w.accounts.Look(t.Context(), w.svc, s.Flow)
		must(t, err)
		said[name], causes[name] = s.Code.Messages[0].Status, string(s.Diagnosis.Cause)+s.Diagnosis.Detail
	}
	if said[ann] != said["eve@mail.example"] || causes[ann] != causes["eve@mail.example"] {
		t.Fatalf("%v, %v", said, causes)
	}
}
