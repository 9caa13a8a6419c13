// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
)

// What support settles with somebody is told at each of their contacts, though not again for each message, and is part of their activity.
// Keeps: F.1
func TestToldOfAnAnswer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		ctx := t.Context()
		id, err := w.accounts.Create(ctx, w.svc, account.NewAccount{Contacts: []contact.Contact{to(t, ann), to(t, phone)}}, account.By{Name: "api:x"})
		must(t, err)
		for range 3 {
			must(t, w.accounts.Note(ctx, w.svc, id, account.ActCaseAnswered, "staff:acc_7"))
			must(t, w.accounts.Tell(ctx, w.svc, id, message.CaseAnswered, ""))
		}
		for _, c := range []string{ann, phone} {
			if got := w.post.notices(c); len(got) != 1 || got[0] != message.CaseAnswered {
				t.Fatalf("%s is told %v", c, got)
			}
			must(t, w.accounts.Report(ctx, message.Report{Ref: w.post.notice(t, c, message.CaseAnswered).Ref, Sent: true}))
		}
		w.pass(11 * time.Minute)
		must(t, w.accounts.Tell(ctx, w.svc, id, message.CaseAnswered, ""))
		if got := w.post.notices(phone); len(got) != 2 {
			t.Fatalf("a later answer: %v", got)
		}
		entries, _, err := w.accounts.ActivityOf(ctx, w.svc, id, 0)
		must(t, err)
		if e := entries[0]; e.Kind.String() != "case_answered" || e.What != "staff:acc_7" || e.CanNotMe || len(entries) != 4 {
			t.Fatalf("%+v", entries)
		}
		refused(t, w.accounts.Note(ctx, w.svc, ledger.ID{9}, account.ActCaseOpened, ""), "account_not_found")
		refused(t, w.accounts.Tell(ctx, w.svc, ledger.ID{9}, message.CaseAnswered, ""), "account_not_found")
	})
}
