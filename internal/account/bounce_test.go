// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"slices"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/message"
)

// A notice comes back once: what is told of it marks the contact and tells the others. Told again, or of a notice that never went out, it changes
// nothing; nor does it when the mailbox was only full, when it comes too late, or when its owner has proven since that the contact works.
// Keeps: F.2
func TestANoticeComesBack(t *testing.T) {
	t.Parallel()
	sent := func(w *world, ref message.Ref) {
		must(t, w.accounts.Report(t.Context(), message.Report{Ref: ref, Sent: true, Receipts: true}))
	}
	for name, c := range map[string]struct {
		before  func(w *world, b *browser, ref message.Ref)
		outcome message.Outcome
		marked  bool
	}{
		"no such mailbox":           {func(w *world, _ *browser, ref message.Ref) { sent(w, ref) }, message.Unreachable, true},
		"refused":                   {func(w *world, _ *browser, ref message.Ref) { sent(w, ref) }, message.Blocked, true},
		"before our own note of it": {func(*world, *browser, message.Ref) {}, message.Unreachable, true},
		"full":                      {func(w *world, _ *browser, ref message.Ref) { sent(w, ref) }, message.TryOther, false},
		"our own fault":             {func(w *world, _ *browser, ref message.Ref) { sent(w, ref) }, message.Misconfigured, false},
		"nobody will report": {func(w *world, _ *browser, ref message.Ref) {
			must(t, w.accounts.Report(t.Context(), message.Report{Ref: ref, Sent: true}))
		}, message.Unreachable, false},
		"too late": {func(w *world, _ *browser, ref message.Ref) { sent(w, ref); w.pass(9 * 24 * time.Hour) }, message.Unreachable, false},
		"proven since": {func(w *world, b *browser, ref message.Ref) {
			sent(w, ref)
			w.pass(time.Minute)
			s, err := w.accounts.ConfirmContact(t.Context(), b.signed(), b.view().Contacts[0].ID, b.visitor())
			must(t, err)
			s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", b.visitor())
			must(t, err)
			b.done(b.answer(s, account.Answer{Typed: w.post.code(t, ann)}))
		}, message.Unreachable, false},
	} {
		w := sqliteWorld(t, nil)
		b := w.signUp(ann)
		b.addPhone(phone, true)
		ref := w.post.notice(t, ann, message.ContactAdded).Ref
		c.before(w, b, ref)
		told := len(w.post.notices(phone))
		rec := message.Receipt{Provider: "smtp", Outcome: c.outcome, Code: "5.1.1"}
		for range 2 {
			must(t, w.accounts.Receive(t.Context(), ref, rec))
		}
		must(t, w.accounts.Receive(t.Context(), message.Ref{Row: ref.Row, Number: 999}, rec))
		v, err := w.accounts.Get(t.Context(), w.svc, ref.Row.ID, account.By{Name: "api:test", Role: account.Operator})
		must(t, err)
		marked := v.Contacts[0].Bounced
		news := w.post.notices(phone)[told:]
		if marked != c.marked || slices.Contains(news, message.ContactBounced) != c.marked || len(news) > 1 {
			t.Errorf("%s: marked %v, the phone is told %v", name, marked, news)
		}
	}
}

// Who keeps a bounce can't use it again once the owner has proven that the contact works.
func TestABounceCountsOnce(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	b.addPhone(phone, true)
	ref := w.post.notice(t, ann, message.ContactAdded).Ref
	must(t, w.accounts.Report(t.Context(), message.Report{Ref: ref, Sent: true, Receipts: true}))
	rec := message.Receipt{Provider: "smtp", Outcome: message.Unreachable}
	must(t, w.accounts.Receive(t.Context(), ref, rec))
	if !b.view().Contacts[0].Bounced {
		t.Fatal("not marked")
	}
	w.pass(time.Minute)
	s, err := w.accounts.ConfirmContact(t.Context(), b.signed(), b.view().Contacts[0].ID, b.visitor())
	must(t, err)
	s, err = w.accounts.Send(t.Context(), w.svc, s.Flow, "", b.visitor())
	must(t, err)
	b.done(b.answer(s, account.Answer{Typed: w.post.code(t, ann)}))
	must(t, w.accounts.Receive(t.Context(), ref, rec))
	if b.view().Contacts[0].Bounced {
		t.Fatal("marked by a bounce of before the proof")
	}
}
