// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"encoding/base64"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/testkit/authenticator"
)

func sqliteWorld(t *testing.T, policy func(*service.Policy)) *world {
	return newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "account.db"), policy)
}

// Passkeys as second step, as the whole sign-in, and as all that an account has.
// Keeps: B.4
func TestPasskeys(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		b := w.signUp(ann)
		key := authenticator.New(t, "https://acme.example")
		s, err := w.accounts.AddPasskey(t.Context(), b.signed(), "Laptop", true, b.visitor())
		must(t, err)
		b.done(b.answer(s, account.Answer{Passkey: key.Create(t, s.Passkey)}))
		if v := b.view(); !v.TwoStep || len(v.Passkeys) != 1 || v.Ways[0].Method != account.MethodPasskey {
			t.Fatalf("%+v", v)
		}
		o := w.browser()
		s, err = o.signIn()
		must(t, err)
		answer := key.Get(t, s.Passkey)
		o.done(o.answer(s, account.Answer{Passkey: answer}))
		if _, err = o.answer(s, account.Answer{Passkey: answer}); fault.As(err).Code != "flow_spent" {
			t.Fatalf("an assertion counts twice: %v", err)
		}
		alone := w.browser()
		s, err = w.accounts.SignInPasskey(t.Context(), w.svc, alone.visitor())
		must(t, err)
		alone.done(alone.answer(s, account.Answer{Passkey: key.Get(t, s.Passkey)}))
		// Somebody else's origin, another key, an old counter.
		for name, spoil := range map[string]func(*authenticator.Authenticator){
			"another origin": func(a *authenticator.Authenticator) { a.Origin = "https://acme.example.evil.test" },
			"a copied key":   func(a *authenticator.Authenticator) { a.Count = 0 },
			"an unknown key": func(a *authenticator.Authenticator) { a.ID = []byte("0123456789abcdef") },
			"another account": func(a *authenticator.Authenticator) {
				a.Handle = base64.RawURLEncoding.EncodeToString(make([]byte, 16))
			},
		} {
			evil := *key
			spoil(&evil)
			s, err = w.accounts.SignInPasskey(t.Context(), w.svc, alone.visitor())
			must(t, err)
			s, err = alone.answer(s, account.Answer{Passkey: evil.Get(t, s.Passkey)})
			if err == nil && s.Next == account.StepDone {
				t.Errorf("%s gets in", name)
			}
		}
		// An account with a passkey and nothing else.
		only, lone := w.browser(), authenticator.New(t, "https://acme.example")
		s, err = w.accounts.SignUpPasskey(t.Context(), w.svc, "Phone", only.visitor())
		must(t, err)
		if s = only.done(only.answer(s, account.Answer{Passkey: lone.Create(t, s.Passkey)})); len(s.Done.RecoveryCodes) != 10 {
			t.Fatal("no recovery codes for an account without another way in")
		}
		again := w.browser()
		s, err = w.accounts.SignInPasskey(t.Context(), w.svc, again.visitor())
		must(t, err)
		again.done(again.answer(s, account.Answer{Passkey: lone.Get(t, s.Passkey)}))
		if v := only.view(); v.ID != again.view().ID || len(v.Contacts) != 0 {
			t.Fatal("the passkey signs in to another account")
		}
		refused(t, w.accounts.Remove(t.Context(), only.signed(), v0(only.view().Passkeys).ID, only.visitor()), "last_method")
	})
}

func v0[T any](all []T) T { return all[0] }

// The thief has the password and the phone. He replaces what protects the account; the owner undoes it with a factor that is older.
// Keeps: B.5, F.2, S18
func TestUndo(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		owner := w.signUp(ann)
		owner.addPhone(phone, true)
		app := owner.addApp()
		w.pass(time.Hour)
		thief := w.browser()
		s, err := thief.signIn()
		must(t, err)
		thief.done(thief.answer(s, account.Answer{Typed: w.post.code(t, phone)}))
		s, err = w.accounts.AddContact(t.Context(), thief.signed(), to(t, "thief@evil.example"), "c"+contactOf(thief, ann), thief.visitor())
		must(t, err)
		s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", thief.visitor())
		must(t, err)
		thief.done(thief.answer(s, account.Answer{Typed: w.post.code(t, "thief@evil.example")}))
		must(t, w.accounts.TurnOff(t.Context(), thief.signed(), thief.visitor()))
		must(t, w.accounts.ChangePassword(t.Context(), thief.signed(), secret.NewText("the thief's own words"), thief.visitor()))
		if slices.Contains(w.post.notices("thief@evil.example"), message.ContactChanged) {
			t.Fatal("the new contact is told how to undo what put it there")
		}
		// The link opens a page and changes nothing; a press freezes; the token alone doesn't restore.
		link := w.post.notice(t, ann, message.ContactChanged).Notice.Link
		token := link[strings.Index(link, "?t=")+3:]
		change, err := w.accounts.LookLink(t.Context(), w.svc, token)
		must(t, err)
		if change.Kind != message.ContactChanged || !strings.Contains(change.Asked, "Firefox") || thief.view().FrozenUntil != (time.Time{}) {
			t.Fatalf("%+v", change)
		}
		back := w.browser()
		s, err = w.accounts.Undo(t.Context(), w.svc, token, back.visitor())
		must(t, err)
		if s.Next != account.StepChoose || slices.ContainsFunc(s.Ways, func(way account.Way) bool { return way.Method == account.MethodEmail }) {
			t.Fatalf("the contact of the token counts as its own proof: %+v", s.Ways)
		}
		_, err = w.accounts.Session(t.Context(), w.svc, thief.session, thief.visitor())
		refused(t, err, "signed_out") // it made the change
		_, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "w")
		refused(t, err, "unknown_way") // who has the phone and the password isn't told from the owner by them
		w.pass(time.Minute)
		s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, appWay(s.Ways))
		must(t, err)
		back.done(back.answer(s, account.Answer{Typed: w.appCode(app)}))
		v := back.view()
		if !v.TwoStep || len(v.Contacts) != 2 || v.Contacts[0].Value != ann || len(v.Undos) != 3 {
			t.Fatalf("not as before: %+v", v)
		}
		if _, err := w.accounts.LookLink(t.Context(), w.svc, token); fault.As(err).Code != "link_ended" {
			t.Fatalf("a token counts twice: %v", err)
		}
		w.pass(time.Minute)
		fresh := w.browser()
		if s, err = fresh.signIn(); err != nil || s.Next == account.StepDone {
			t.Fatalf("the owner's password and second step are back: %+v, %v", s, err)
		}
		_, err = w.accounts.SignIn(t.Context(), w.svc, to(t, "thief@evil.example"), secret.NewText("the thief's own words"), thief.visitor())
		refused(t, err, "wrong_password")
	})
}

// An undo stops what the thief has under way, and leaves none of their sessions and no trusted device.
// Keeps: S18
func TestUndoStopsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		owner := w.signUp(ann)
		owner.addPhone(phone, false)
		w.pass(time.Hour)
		thief, second := w.browser(), w.browser()
		for _, b := range []*browser{thief, second} {
			b.done(b.signIn())
		}
		key := authenticator.New(t, "https://acme.example")
		begun, err := w.accounts.AddPasskey(t.Context(), second.signed(), "Mine", false, second.visitor())
		must(t, err)
		must(t, w.accounts.Remove(t.Context(), thief.signed(), "c"+contactOf(thief, phone), thief.visitor()))
		link := w.post.notice(t, ann, message.ContactRemoved).Notice.Link
		back := w.browser()
		s, err := w.accounts.Undo(t.Context(), w.svc, link[strings.Index(link, "?t=")+3:], back.visitor())
		must(t, err)
		_, err = w.accounts.Session(t.Context(), w.svc, thief.session, thief.visitor())
		refused(t, err, "signed_out") // it made the change
		refused(t, w.accounts.ChangePassword(t.Context(), second.signed(), secret.NewText("yet another sentence"), second.visitor()), "changes_frozen")
		_, err = second.answer(begun, account.Answer{Passkey: key.Create(t, begun.Passkey)})
		refused(t, err, "changes_frozen")
		owner.signed() // the owner's is older, and isn't ended by a press alone
		w.pass(time.Minute)
		s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, s.Ways[0].ID, back.visitor())
		must(t, err)
		back.done(back.answer(s, account.Answer{Typed: w.post.code(t, phone)}))
		for _, b := range []*browser{owner, second} {
			_, err = w.accounts.Session(t.Context(), w.svc, b.session, b.visitor())
			refused(t, err, "signed_out")
		}
		if v := back.view(); len(v.Contacts) != 2 || len(v.Passkeys) != 0 || len(v.Sessions) != 1 {
			t.Fatalf("not as before: %+v", v)
		}
	})
}

func contactOf(b *browser, value string) string {
	for _, c := range b.view().Contacts {
		if c.Value == value {
			return strings.TrimPrefix(c.ID, "c")
		}
	}
	return ""
}

func appWay(ways []account.Way) string {
	for _, w := range ways {
		if w.Method == account.MethodApp {
			return w.ID
		}
	}
	return ""
}

// A text carries a key to type instead of a link, and guessing at keys finds nothing.
// Keeps: S18, S22
func TestUndoByText(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	b.addPhone(phone, true)
	b.addApp()
	n := w.post.notice(t, phone, message.FactorAdded)
	if n.Notice.Link != "" || n.Notice.Address != "acme.example/undo" || n.Channel != service.SMS {
		t.Fatalf("%+v", n.Notice)
	}
	token, err := w.accounts.LinkToken(t.Context(), w.svc, to(t, phone), strings.ToLower(n.Notice.Key), b.visitor())
	must(t, err)
	if change, err := w.accounts.LookLink(t.Context(), w.svc, token.Reveal()); err != nil || change.Kind != message.FactorAdded {
		t.Fatalf("%+v, %v", change, err)
	}
	for _, named := range []string{phone, "+14155550199"} {
		_, err = w.accounts.LinkToken(t.Context(), w.svc, to(t, named), "AAAA-AAAA-AAAAA", b.visitor())
		refused(t, err, "link_ended")
	}
	w.pass(73 * time.Hour)
	if _, err = w.accounts.LookLink(t.Context(), w.svc, token.Reveal()); fault.As(err).Code != "link_ended" {
		t.Fatalf("after 72 hours: %v", err)
	}
}

// Who has lost everything waits for three days in which every contact is told, and gives the same proofs again.
// Keeps: B.6, S20
func TestRecovery(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		owner := w.signUp(ann)
		owner.addPhone(phone, false)
		owner.addApp()
		w.pass(time.Hour)
		prove := func(b *browser) *account.Step {
			s, err := w.accounts.Recover(t.Context(), w.svc, to(t, ann), b.visitor())
			must(t, err)
			for _, way := range s.Ways {
				if way.Contact != "" && way.ID != "x" {
					t.Fatalf("a contact is shown to somebody who has proven nothing: %+v", way)
				}
			}
			s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "x", b.visitor())
			must(t, err)
			s, err = b.answer(s, account.Answer{Typed: w.post.code(t, ann)})
			must(t, err)
			if s.Proven != 1 || s.Next != account.StepChoose {
				t.Fatalf("%+v", s)
			}
			s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "c"+contactOf(owner, phone), b.visitor())
			must(t, err)
			s, err = b.answer(s, account.Answer{Typed: w.post.code(t, phone)})
			must(t, err)
			return s
		}
		b := w.browser()
		if s := prove(b); s.Next != account.StepWait || s.Until.Sub(w.ledger.Now()) < 71*time.Hour {
			t.Fatalf("%+v", s)
		}
		w.pass(37 * time.Hour)
		if _, err := w.accounts.Wake(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		if s := prove(b); s.Next != account.StepWait {
			t.Fatalf("half-way: %+v", s)
		}
		w.pass(36 * time.Hour)
		if _, err := w.accounts.Wake(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{ann, phone} {
			got := w.post.notices(to)
			if n := len(got); n < 3 || !slices.Equal(got[n-3:], []message.NoticeKind{message.RecoveryStarted, message.RecoveryWaiting, message.RecoveryWaiting}) {
				t.Fatalf("%s was told %v", to, got)
			}
		}
		s := prove(b)
		if s.Next != account.StepNewPassword {
			t.Fatalf("after three days: %+v", s)
		}
		b.done(b.answer(s, account.Answer{Password: secret.NewText("a new beginning today")}))
		if v := b.view(); v.TwoStep || len(v.Apps) != 0 || len(v.Undos) == 0 {
			t.Fatalf("%+v", v)
		}
		if _, err := w.accounts.Session(t.Context(), w.svc, owner.session, owner.visitor()); err == nil {
			t.Fatal("older sessions go on")
		}
	})
}

// The owner stops a recovery that isn't theirs, by the notice or signed in; a mailbox alone gets a new password and never past the second step.
// Keeps: S20
func TestAMailboxAlone(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	owner := w.signUp(ann)
	owner.addApp()
	thief := w.browser()
	s, err := w.accounts.Forgot(t.Context(), w.svc, to(t, ann), thief.visitor())
	must(t, err)
	s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", thief.visitor())
	must(t, err)
	s, err = thief.answer(s, account.Answer{Typed: w.post.code(t, ann)})
	must(t, err)
	if s.Next != account.StepApp || slices.ContainsFunc(s.Ways, func(way account.Way) bool { return way.Method == account.MethodEmail }) {
		t.Fatalf("the mailbox leads on: %+v", s)
	}
	s, err = w.accounts.Recover(t.Context(), w.svc, to(t, ann), thief.visitor())
	must(t, err)
	if _, err = w.accounts.RecoverAlone(t.Context(), w.svc, s.Flow, thief.visitor()); fault.As(err).Code != "proof_needed" {
		t.Fatalf("without any proof: %v", err)
	}
	w.pass(time.Minute)
	s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "x", thief.visitor())
	must(t, err)
	s, err = thief.answer(s, account.Answer{Typed: w.post.code(t, ann)})
	must(t, err)
	s, err = w.accounts.RecoverAlone(t.Context(), w.svc, s.Flow, thief.visitor())
	must(t, err)
	if s.Next != account.StepWait || s.Until.Sub(w.ledger.Now()) < 6*24*time.Hour {
		t.Fatalf("%+v", s)
	}
	link := w.post.notice(t, ann, message.RecoveryStarted).Notice.Link
	if r := owner.view().Recovery; r == nil || !r.Weak || !strings.Contains(link, "https://acme.example/stop?t=") {
		t.Fatalf("%+v, %s", r, link)
	}
	// A week passes and no two agents agree: nothing opens.
	w.pass(8 * 24 * time.Hour)
	s, err = w.accounts.Recover(t.Context(), w.svc, to(t, ann), thief.visitor())
	must(t, err)
	s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "x", thief.visitor())
	must(t, err)
	if s, err = thief.answer(s, account.Answer{Typed: w.post.code(t, ann)}); err != nil || s.Next != account.StepChoose {
		t.Fatalf("without agents: %+v, %v", s, err)
	}
	must(t, w.accounts.StopRecovery(t.Context(), w.svc, link[strings.Index(link, "?t=")+3:], owner.visitor()))
	if owner.view().Recovery != nil {
		t.Fatal("it goes on")
	}
	refused(t, w.accounts.StopRecovery(t.Context(), w.svc, link[strings.Index(link, "?t=")+3:], owner.visitor()), "link_ended")
}

// The secret of a trusted device changes with each sign-in. Two tabs may use the one before for a minute; later it is a copy, which ends
// the device and tells its owner.
// Keeps: S21
func TestACopiedDevice(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	key := b.addApp()
	w.pass(time.Minute)
	s, err := b.signIn()
	must(t, err)
	b.done(b.answer(s, account.Answer{Typed: w.appCode(key), Trust: true}))
	copied := w.browser()
	copied.devices = slices.Clone(b.devices)
	b.done(b.signIn())
	copied.done(copied.signIn()) // another tab, a moment later
	b.devices = copied.devices   // both share one jar of cookies
	w.pass(2 * time.Minute)
	old := w.browser()
	old.devices = slices.Clone(b.devices)
	b.done(b.signIn())
	w.pass(2 * time.Minute)
	if s, err = old.signIn(); err != nil || s.Next == account.StepDone {
		t.Fatalf("an old secret is trusted: %+v, %v", s, err)
	}
	old.done(old.answer(s, account.Answer{Typed: w.appCode(key)}))
	if !slices.Contains(w.post.notices(ann), message.DeviceRevoked) {
		t.Fatalf("its owner was told %v", w.post.notices(ann))
	}
	if s, err = b.signIn(); err != nil || s.Next == account.StepDone {
		t.Fatalf("the device is trusted still: %+v, %v", s, err)
	}
}

// A password that can't stand alone has to be replaced before it does.
// Keeps: B.5, S19
func TestTurningOffBehindAShortPassword(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, func(p *service.Policy) { p.SecondStep = service.SecondStepOptional })
	b := w.signUp(ann)
	b.addApp()
	must(t, w.accounts.ChangePassword(t.Context(), b.signed(), secret.NewText("kelp-roof-9"), b.visitor()))
	refused(t, w.accounts.TurnOff(t.Context(), b.signed(), b.visitor()), "password_stands_alone")
	must(t, w.accounts.ChangePassword(t.Context(), b.signed(), secret.NewText(long), b.visitor()))
	must(t, w.accounts.TurnOff(t.Context(), b.signed(), b.visitor()))
	if !slices.Contains(w.post.notices(ann), message.TwoStepOff) {
		t.Fatal("nobody was told")
	}
	for _, weak := range []string{"short", "passwordpassword", "ann@mail.example", "aaaaaaaaaaaaaaaa"} {
		if err := w.accounts.ChangePassword(t.Context(), b.signed(), secret.NewText(weak), b.visitor()); fault.As(err).Field != "password" {
			t.Errorf("%q: %v", weak, err)
		}
	}
}

// What a person marks as not theirs signs everything else out; the application hears of it.
// Keeps: F.1, F.3
func TestNotMe(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		b := w.signUp(ann)
		other := w.browser()
		other.done(other.signIn())
		id, err := account.ParseID(b.view().ID)
		must(t, err)
		order, err := w.accounts.AppendActivity(t.Context(), w.svc, id, account.AppEvent{Type: "order", Text: "Order 1182, EUR 39.99", Device: "App", Place: "near Lyon"}, account.By{})
		must(t, err)
		for range 60 { // so that it stands on a page of its own
			_, err := w.accounts.AppendActivity(t.Context(), w.svc, id, account.AppEvent{Type: "payment", Text: "EUR 1.00"}, account.By{})
			must(t, err)
		}
		all, before := []account.Entry{}, uint32(0)
		for {
			page, older, err := w.accounts.Activity(t.Context(), b.signed(), before)
			must(t, err)
			all = append(all, page...)
			if older == 0 {
				break
			}
			before = older
		}
		if last := all[len(all)-1]; last.Kind != account.ActSignUp && last.Kind != account.ActSignIn || len(all) < 63 {
			t.Fatalf("%d entries, the first of all is %v", len(all), last.Kind)
		}
		must(t, w.accounts.NotMe(t.Context(), b.signed(), order, b.visitor()))
		refused(t, w.accounts.NotMe(t.Context(), b.signed(), order, b.visitor()), "not_markable")
		if _, err := w.accounts.Session(t.Context(), w.svc, other.session, other.visitor()); err == nil {
			t.Fatal("another session goes on")
		}
		if _, err := w.store.NumberEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		events, err := w.store.Events(t.Context(), w.svc.ID, 0, 1000)
		must(t, err)
		heard := slices.ContainsFunc(events, func(e ledger.Event) bool {
			d, ok := account.ReadEvent(e)
			return ok && d.Act == account.ActNotMe && d.Entry == order && e.Subject == id
		})
		if !heard {
			t.Fatal("the application hears nothing")
		}
	})
}

// A closed account lets nobody in, can be undone for 72 hours, and then nothing of it is left.
// Keeps: B.1
func TestClosing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		for _, undo := range []bool{true, false} {
			address := map[bool]string{true: "bea@mail.example", false: "cid@mail.example"}[undo]
			b := w.signUp(address)
			id, err := account.ParseID(b.view().ID)
			must(t, err)
			must(t, w.accounts.Close(t.Context(), b.signed(), b.visitor()))
			_, err = w.accounts.SignIn(t.Context(), w.svc, to(t, address), secret.NewText(long), b.visitor())
			refused(t, err, "wrong_password")
			if undo {
				link := w.post.notice(t, address, message.AccountClosed).Notice.Link
				s, err := w.accounts.Undo(t.Context(), w.svc, link[strings.Index(link, "?t=")+3:], b.visitor())
				must(t, err)
				s, err = w.accounts.Choose(t.Context(), w.svc, s.Flow, "w")
				must(t, err)
				b.done(b.answer(s, account.Answer{Password: secret.NewText(long)}))
				b.done(w.accounts.SignIn(t.Context(), w.svc, to(t, address), secret.NewText(long), b.visitor()))
				continue
			}
			w.pass(73 * time.Hour)
			if _, err := w.accounts.Wake(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
			if _, err := w.accounts.Get(t.Context(), w.svc, id, account.By{}); fault.As(err).Code != "account_not_found" || !w.erased[id] {
				t.Fatalf("%v, erased: %v", err, w.erased)
			}
			w.signUp(address) // the address is free again
		}
	})
}

// Accounts of another system keep their passwords; staff prove a second step before they may look, and every look is seen.
// Keeps: B.1
func TestImportAndStaff(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	api := account.By{Name: "api:test"}
	id, err := w.accounts.Create(t.Context(), w.svc, account.NewAccount{
		Contacts: []contact.Contact{to(t, ann)}, PasswordHash: "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", Reference: "42",
	}, api)
	must(t, err)
	b := w.browser()
	for range 2 { // the second time with the stronger hash
		b.done(w.accounts.SignIn(t.Context(), w.svc, to(t, "Ann@mail.example"), secret.NewText("correct horse"), b.visitor()))
	}
	_, err = w.accounts.Create(t.Context(), w.svc, account.NewAccount{Contacts: []contact.Contact{to(t, ann)}}, api)
	refused(t, err, "contact_taken")

	_, err = w.accounts.Create(t.Context(), w.svc, account.NewAccount{Contacts: []contact.Contact{to(t, "sue@acme.example")}, Role: account.Support}, api)
	must(t, err)
	sue := w.browser()
	s, err := w.accounts.Forgot(t.Context(), w.svc, to(t, "sue@acme.example"), sue.visitor())
	must(t, err)
	s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", sue.visitor())
	must(t, err)
	s, err = sue.answer(s, account.Answer{Typed: w.post.code(t, "sue@acme.example")})
	must(t, err)
	sue.done(sue.answer(s, account.Answer{Password: secret.NewText("support sentence one")}))
	if _, err := sue.signed().Staff(account.Support); fault.As(err).Code != "role_missing" || !sue.view().MustTurnOn {
		t.Fatalf("without a second step: %v", err)
	}
	key := sue.addApp()
	w.pass(time.Minute)
	s, err = w.accounts.SignIn(t.Context(), w.svc, to(t, "sue@acme.example"), secret.NewText("support sentence one"), sue.visitor())
	must(t, err)
	sue.done(sue.answer(s, account.Answer{Typed: w.appCode(key)}))
	by, err := sue.signed().Staff(account.Support)
	must(t, err)
	v, err := w.accounts.Find(t.Context(), w.svc, to(t, ann), by)
	must(t, err)
	if v.ID != account.FormatID(id) || v.Contacts[0].Value != "" {
		t.Fatalf("%+v", v)
	}
	entries, _, err := w.accounts.Activity(t.Context(), b.signed(), 0)
	must(t, err)
	if entries[0].Kind != account.ActLookedAt || entries[0].What != by.Name {
		t.Fatalf("the look isn't seen: %+v", entries[0])
	}
	refused(t, w.accounts.TurnOff(t.Context(), sue.signed(), sue.visitor()), "second_step_required")
}
