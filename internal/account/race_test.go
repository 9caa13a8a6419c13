// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/secret"
)

// together runs fn n times at once and counts how often it was right.
func together(n int, fn func(i int) bool) int {
	var right atomic.Int32
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if fn(i) {
				right.Add(1)
			}
		})
	}
	wg.Wait()
	return int(right.Load())
}

// Of requests that come at once and can't all be right, exactly one is.
// Keeps: B.2, S3
func TestRaces(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		// Two people prove one contact: it becomes one account's.
		steps := make([]*account.Step, 2)
		codes := make([]string, 2)
		for i := range steps {
			var err error
			steps[i], err = w.accounts.SignUp(t.Context(), w.svc, to(t, ann), secret.NewText(long), w.browser().visitor())
			must(t, err)
			codes[i] = w.post.code(t, ann)
		}
		if n := together(2, func(i int) bool {
			s, err := w.browser().answer(steps[i], account.Answer{Typed: codes[i]})
			return err == nil && s.Next == account.StepDone
		}); n != 1 {
			t.Fatalf("%d accounts for one contact", n)
		}
		// The last method goes by two requests: one stays.
		b := w.signUp("bea@mail.example")
		first := b.addApp()
		w.pass(time.Minute)
		b.addApp()
		apps := b.view().Apps
		if n := together(2, func(i int) bool {
			return w.accounts.Remove(t.Context(), b.signed(), apps[i].ID, b.visitor()) == nil
		}); n != 1 || len(b.view().Apps) != 1 || !b.view().TwoStep {
			t.Fatalf("%d of two last methods were removed", n)
		}
		_ = first
		// An import and an import: one account.
		if n := together(8, func(int) bool {
			_, err := w.accounts.Create(t.Context(), w.svc, account.NewAccount{Contacts: []contact.Contact{to(t, "cid@mail.example")}}, account.By{Name: "api:x"})
			return err == nil
		}); n != 1 {
			t.Fatalf("%d imports of one contact", n)
		}
		// Wrong passwords at once are all counted: no more are judged than may be.
		judged := together(120, func(int) bool {
			_, err := w.accounts.SignIn(t.Context(), w.svc, to(t, "cid@mail.example"), secret.NewText("guess"), w.browser().visitor())
			return err != nil && err.Error() == account.ErrWrongPassword.Error()
		})
		if judged > 5 { // then a wait begins
			t.Errorf("%d guesses at once were judged", judged)
		}
	})
}

// The same answer at once from two tabs signs in once, and the other is told so.
// Keeps: A.2, B.3
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		b := w.signUp(ann)
		b.addPhone(phone, true)
		w.pass(time.Minute)
		o := w.browser()
		s, err := o.signIn()
		must(t, err)
		code := w.post.code(t, phone)
		if n := together(2, func(int) bool {
			got, err := w.browser().answer(s, account.Answer{Typed: code})
			return err == nil && got.Next == account.StepDone
		}); n != 1 {
			t.Fatalf("%d sign-ins by one code", n)
		}
		// A repeat of the request whose answer was lost gets the same session.
		w.pass(time.Minute)
		s, err = o.signIn()
		must(t, err)
		answer := account.Answer{Typed: w.post.code(t, phone), Key: "page-1"}
		one, err := o.answer(s, answer)
		must(t, err)
		two, err := o.answer(s, answer)
		must(t, err)
		if one.Done == nil || two.Done == nil || one.Done.Session.Reveal() != two.Done.Session.Reveal() {
			t.Fatal("a repeat is another answer")
		}
		answer.Typed = fmt.Sprintf("%06d", 7)
		if again, err := o.answer(s, answer); err == nil && again.Next == account.StepDone {
			t.Fatal("the repeat's key signs in without the code")
		}
	})
}
