// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

var (
	sue    = account.By{Name: "staff:acc_sue", Role: account.Support}
	sam    = account.By{Name: "staff:acc_sam", Role: account.Support}
	olga   = account.By{Name: "staff:acc_olga", Role: account.Operator}
	parcel = account.Announcement{Caller: "Sue", Reason: "your order 1182"}
)

func (b *browser) id() ledger.ID { return b.signed().ID }

// looks is what the browser's call page shows.
func (b *browser) looks() *account.CallView {
	b.Helper()
	v, err := b.accounts.CallFor(b.Context(), b.signed(), b.visitor())
	must(b, err)
	return v
}

func (w *world) announce(id ledger.ID, by account.By) *account.CallView {
	w.Helper()
	v, err := w.accounts.Announce(w.Context(), w.svc, id, parcel, by)
	must(w, err)
	return v
}

func (w *world) callOf(id ledger.ID, by account.By) *account.CallView {
	w.Helper()
	v, err := w.accounts.CallState(w.Context(), w.svc, id, by)
	must(w, err)
	return v
}

func (b *browser) acts() (all []account.Act) {
	b.Helper()
	entries, _, err := b.accounts.Activity(b.Context(), b.signed(), 0)
	must(b, err)
	for _, e := range entries {
		all = append(all, e.Kind)
	}
	return all
}

// An agent announces a call; the person's page shows who, why and the words, the agent sees that it did, and three minutes later it is over.
// Keeps: E.2, S25
func TestACallIsAnnounced(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		b := w.signUp(ann)
		if v := b.looks(); v.Stage != account.CallNone || v.Prove {
			t.Fatalf("%+v", v)
		}
		said := w.announce(b.id(), sue)
		if v := w.callOf(b.id(), sue); v.Stage != account.CallOpen || len(v.Openings) != 0 || !v.Phrase.Equal(said.Phrase) {
			t.Fatalf("the agent sees %+v", v)
		}
		v := b.looks()
		if v.Stage != account.CallOpen || v.Prove || v.Caller != "Sue" || v.Reason != "your order 1182" || !v.Phrase.Equal(said.Phrase) || len(v.Elsewhere()) != 0 {
			t.Fatalf("the person sees %+v", v)
		}
		if words := strings.Fields(v.Phrase.Reveal()); len(words) != 3 || fmt.Sprintf("%v %+v %#v", v.Phrase, v, *v) == "" || strings.Contains(fmt.Sprintf("%v %+v %#v", v.Phrase, v, *v), words[0]) {
			t.Fatalf("the words print themselves: %v", words)
		}
		b.looks()
		if v := w.callOf(b.id(), sue); len(v.Openings) != 1 || v.Openings[0].Device != "Firefox on Linux" || v.Openings[0].At.IsZero() || len(v.Elsewhere()) != 1 {
			t.Fatalf("the agent sees %+v", v)
		}
		if got := b.acts(); got[0] != account.ActCallShown || got[1] != account.ActCallAnnounced || got[2] == account.ActCallShown {
			t.Fatalf("the activity says %v", got)
		}
		w.pass(3*time.Minute - 5*time.Second)
		if v := b.looks(); v.Stage != account.CallOpen {
			t.Fatalf("over too early: %+v", v)
		}
		w.pass(5 * time.Second)
		if v := b.looks(); v.Stage != account.CallExpired || v.Phrase.Reveal() != "" || v.Caller != "" {
			t.Fatalf("expired, and it says %+v", v)
		}
		if v := w.callOf(b.id(), sue); v.Stage != account.CallExpired || v.Phrase.Reveal() != "" {
			t.Fatalf("expired, and the agent sees %+v", v)
		}
		refused(t, w.accounts.RefuseCall(t.Context(), b.signed(), "", b.visitor()), "call_over")
		refused(t, w.accounts.EndCall(t.Context(), w.svc, b.id(), sue), "call_over")
		w.pass(time.Hour)
		if v := b.looks(); v.Stage != account.CallNone {
			t.Fatalf("an hour later it says %+v", v)
		}
	})
}

// "That isn't right" ends the call at once; its agent sees that, the activity and the log keep it, and a page that shows an older call can't end a newer one.
// Keeps: E.2
func TestTheWrongCall(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	first := w.announce(b.id(), sue)
	must(t, w.accounts.EndCall(t.Context(), w.svc, b.id(), sue))
	if v := b.looks(); v.Stage != account.CallEnded || v.Phrase.Reveal() != "" {
		t.Fatalf("%+v", v)
	}
	second := w.announce(b.id(), sue)
	refused(t, w.accounts.RefuseCall(t.Context(), b.signed(), first.ID, b.visitor()), "call_over")
	must(t, w.accounts.RefuseCall(t.Context(), b.signed(), second.ID, b.visitor()))
	if v := b.looks(); v.Stage != account.CallRefused || v.Phrase.Reveal() != "" {
		t.Fatalf("the person sees %+v", v)
	}
	if v := w.callOf(b.id(), sue); v.Stage != account.CallRefused || v.EndedAt.IsZero() || v.Phrase.Reveal() != "" {
		t.Fatalf("the agent sees %+v", v)
	}
	entries, _, err := w.accounts.Activity(t.Context(), b.signed(), 0)
	must(t, err)
	if entries[0].Kind != account.ActCallRefused || entries[0].Type != sue.Name {
		t.Fatalf("%+v", entries[0])
	}
	_, err = w.store.NumberEvents(t.Context())
	must(t, err)
	events, err := w.store.Events(t.Context(), w.svc.ID, 0, 500)
	must(t, err)
	if last := events[len(events)-1]; account.EventName(last.Kind) != "account.call_refused" || last.Subject != b.id() {
		t.Fatalf("the log says %v", last)
	}
}

// Somebody else's session, another service's keys, and a person who isn't there see nothing of a call.
// Keeps: E.2, S25
func TestACallIsOneAccounts(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b, eve := w.signUp(ann), w.signUp("eve@mail.example")
	w.announce(b.id(), sue)
	if v := eve.looks(); v.Stage != account.CallNone || v.Caller != "" {
		t.Fatalf("another person sees %+v", v)
	}
	refused(t, w.accounts.RefuseCall(t.Context(), eve.signed(), "", eve.visitor()), "call_over")
	other, err := w.registry.Create(t.Context(), service.Row{Slug: "other", Name: "Other", Domain: "other.example", Locale: "en", Policy: service.DefaultPolicy()}, time.Now())
	must(t, err)
	if _, err := w.accounts.Session(t.Context(), other, b.session, b.visitor()); err == nil {
		t.Error("a session is good at another service")
	}
	_, err = w.accounts.Announce(t.Context(), other, b.id(), parcel, sue)
	refused(t, err, "account_not_found")
	_, err = w.accounts.CallState(t.Context(), other, b.id(), olga)
	refused(t, err, "account_not_found")
	refused(t, w.accounts.EndCall(t.Context(), other, b.id(), olga), "account_not_found")
	gone := b.signed()
	must(t, w.accounts.SignOutAll(t.Context(), w.svc, b.id(), olga))
	if _, err := w.accounts.CallFor(t.Context(), gone, b.visitor()); err == nil { // its words were never shown, so it has to be noted first
		t.Error("a session that ended sees the words")
	}
	must(t, w.accounts.SetState(t.Context(), w.svc, gone.ID, account.Locked, olga))
	must(t, w.accounts.EndCall(t.Context(), w.svc, gone.ID, sue))
	_, err = w.accounts.Announce(t.Context(), w.svc, gone.ID, parcel, sue)
	refused(t, err, "call_unseen")
}

// A session whose proof is old learns that there is a call, and nothing else of it, until it is proven or the device is trusted; it is never
// told that nobody calls.
// Keeps: S25
func TestACallIsShownToWhoProved(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	w.pass(time.Hour)
	said := w.announce(b.id(), sue)
	v := b.looks()
	if v.Stage != account.CallOpen || !v.Prove || v.Phrase.Reveal() != "" || v.Caller != "" || v.Reason != "" {
		t.Fatalf("unproven, and it says %+v", v)
	}
	if v := w.callOf(b.id(), sue); len(v.Openings) != 0 {
		t.Fatalf("it counts as shown: %+v", v)
	}
	b.stepUp()
	if v := b.looks(); v.Prove || !v.Phrase.Equal(said.Phrase) {
		t.Fatalf("proven, and it says %+v", v)
	}
	must(t, w.accounts.EndCall(t.Context(), w.svc, b.id(), sue))

	// A trusted device needs no proof; a copy of its session elsewhere does.
	key := b.addApp()
	w.pass(time.Minute)
	s, err := b.signIn()
	must(t, err)
	b.done(b.answer(s, account.Answer{Typed: w.appCode(key), Trust: true}))
	w.pass(2 * time.Hour)
	w.announce(b.id(), sue)
	thief := &browser{world: w, session: b.session}
	if v := thief.looks(); !v.Prove || v.Phrase.Reveal() != "" {
		t.Fatalf("a copied session without the device sees %+v", v)
	}
	if v := b.looks(); v.Prove || v.Phrase.Reveal() == "" {
		t.Fatalf("the trusted device sees %+v", v)
	}
}

// One call at a time, one caller: a second agent is refused, learns nothing of the first one's, and can't end it; an operator can, and isn't told the words.
// Keeps: E.2, S25
func TestASecondCaller(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		b := w.signUp(ann)
		var open atomic.Pointer[account.By]
		if n := together(6, func(i int) bool {
			by := []account.By{sue, sam}[i%2]
			_, err := w.accounts.Announce(t.Context(), w.svc, b.id(), parcel, by)
			if err == nil {
				open.Store(&by)
			}
			return err == nil
		}); n != 1 {
			t.Fatalf("%d calls to one person", n)
		}
		first, second := *open.Load(), sam
		if first == sam {
			second = sue
		}
		_, err := w.accounts.Announce(t.Context(), w.svc, b.id(), parcel, first)
		refused(t, err, "call_open")
		_, err = w.accounts.CallState(t.Context(), w.svc, b.id(), second)
		refused(t, err, "not_your_call")
		refused(t, w.accounts.EndCall(t.Context(), w.svc, b.id(), second), "not_your_call")
		if v := w.callOf(b.id(), olga); v.Stage != account.CallOpen || v.Phrase.Reveal() != "" {
			t.Fatalf("an operator sees %+v", v)
		}
		must(t, w.accounts.EndCall(t.Context(), w.svc, b.id(), olga))
		w.announce(b.id(), second)
	})
}

// The page on a second device warns both sides; the same device again doesn't.
// Keeps: S25
func TestASecondDevice(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	w.announce(b.id(), sue)
	b.looks()
	thief := w.browser() // knows the password
	thief.done(thief.signIn())
	if v := thief.looks(); len(v.Elsewhere()) != 1 {
		t.Fatalf("the second device sees %+v", v)
	}
	if v := b.looks(); len(v.Elsewhere()) != 1 || v.Elsewhere()[0].Device == "" {
		t.Fatalf("the first device isn't warned: %+v", v)
	}
	b.looks()
	if v := w.callOf(b.id(), sue); len(v.Openings) != 2 {
		t.Fatalf("the agent sees %+v", v)
	}
	n := 0
	for _, act := range b.acts() {
		if act == account.ActCallShown {
			n++
		}
	}
	if n != 2 {
		t.Fatalf("%d entries for two devices", n)
	}
}

// Requests at once open a call once on each device.
// Keeps: S25
func TestOpeningsAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		b := w.signUp(ann)
		w.announce(b.id(), sue)
		who := b.signed()
		together(8, func(int) bool {
			v, err := w.accounts.CallFor(t.Context(), who, b.visitor())
			if err != nil || v.Phrase.Reveal() == "" {
				t.Errorf("%+v, %v", v, err)
			}
			return true
		})
		if v := w.callOf(b.id(), sue); len(v.Openings) != 1 {
			t.Fatalf("%+v", v.Openings)
		}
	})
}

// No two open calls have the same words, however many are announced at once; words come back into use when their time is over.
// Keeps: E.2, S3
func TestWordsAreOneCalls(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		const people, pool = 12, 4
		ids := make([]ledger.ID, people)
		for i := range ids {
			var err error
			ids[i], err = w.accounts.Create(t.Context(), w.svc, account.NewAccount{Contacts: []contact.Contact{to(t, fmt.Sprintf("p%d@mail.example", i))}}, olga)
			must(t, err)
		}
		var n atomic.Int64
		w.accounts.DrawPhrases(func() string { return fmt.Sprintf("copper lantern %d", n.Add(1)%pool) })
		var mu sync.Mutex
		words := map[string]int{}
		open := together(people, func(i int) bool {
			v, err := w.accounts.Announce(t.Context(), w.svc, ids[i], parcel, sue)
			if err != nil {
				refused(t, err, "no_phrase")
				return false
			}
			mu.Lock()
			defer mu.Unlock()
			words[v.Phrase.Reveal()]++
			return true
		})
		if open != len(words) || open == 0 || open > pool {
			t.Fatalf("%d open calls with the words %v", open, words)
		}
		for _, id := range ids { // one by one every phrase is found
			_, _ = w.accounts.Announce(t.Context(), w.svc, id, parcel, sue)
		}
		free := 0
		for _, id := range ids {
			if w.callOf(id, sue).Stage == account.CallNone {
				free++
			}
		}
		if free != people-pool {
			t.Fatalf("%d of %d people have no call; there are %d phrases", free, people, pool)
		}
		w.pass(3 * time.Minute)
		for i := range pool {
			w.announce(ids[i], sue)
		}
	})
}

// An agent, an API key and a person have their limits, which say until when.
// Keeps: E.2
func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	for range 6 {
		w.announce(b.id(), sue)
		must(t, w.accounts.EndCall(t.Context(), w.svc, b.id(), sue))
	}
	_, err := w.accounts.Announce(t.Context(), w.svc, b.id(), parcel, sam)
	refused(t, err, "calls_to_account")
	if f := fault.As(err); f.RetryAfter <= 0 || f.RetryAfter > time.Hour {
		t.Errorf("until %v", f.RetryAfter)
	}
	w.pass(time.Hour)
	w.announce(b.id(), sam)

	// One agent, many people.
	made := 0
	for i := range 41 {
		id, err := w.accounts.Create(t.Context(), w.svc, account.NewAccount{Contacts: []contact.Contact{to(t, fmt.Sprintf("p%d@mail.example", i))}}, olga)
		must(t, err)
		_, err = w.accounts.Announce(t.Context(), w.svc, id, parcel, sue)
		if err == nil {
			made++
			continue
		}
		refused(t, err, "calls_of_caller")
		if f := fault.As(err); f.RetryAfter <= 0 || f.RetryAfter > time.Hour {
			t.Errorf("until %v", f.RetryAfter)
		}
		_, err = w.accounts.Announce(t.Context(), w.svc, id, parcel, account.By{Name: "api:many"})
		must(t, err)
	}
	if made != 40 {
		t.Errorf("%d calls of one agent in an hour", made)
	}
}

// What is said of a call is short, in one line, and leads nowhere; staff are called by operators only.
// Keeps: E.2
func TestWhatIsSaidOfACall(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	for _, bad := range []struct{ caller, reason, code string }{
		{"", "your order", "invalid_caller"}, {" ", "your order", "invalid_caller"}, {"Sue", "", "invalid_reason"}, {"Sue\nfrom the bank", "x", "invalid_caller"},
		{"Sue", "see https://evil.example", "invalid_reason"}, {"Sue", "WWW.evil.example", "invalid_reason"}, {"Sue\u202e", "x", "invalid_caller"},
		{"Sue", strings.Repeat("é", 121), "invalid_reason"}, {strings.Repeat("é", 61), "x", "invalid_caller"}, {"Sue", "\xff", "invalid_reason"},
	} {
		_, err := w.accounts.Announce(t.Context(), w.svc, b.id(), account.Announcement{Caller: bad.caller, Reason: bad.reason}, sue)
		refused(t, err, bad.code)
	}
	if v := b.looks(); v.Stage != account.CallNone {
		t.Fatalf("%+v", v)
	}
	_, err := w.accounts.Announce(t.Context(), w.svc, b.id(), account.Announcement{Caller: strings.Repeat("é", 60), Reason: strings.Repeat("é", 120)}, sue)
	must(t, err)
	op, _ := w.staff("op@acme.example", account.Operator)
	_, err = w.accounts.Announce(t.Context(), w.svc, op.id(), parcel, sue)
	refused(t, err, "staff_account")
	_, err = w.accounts.CallState(t.Context(), w.svc, op.id(), sue)
	refused(t, err, "staff_account")
	w.announce(op.id(), olga)
}

// The database's files hold nothing of a call that reads, and its words go when their time is over.
// Keeps: S13, S25
func TestNothingOfACallIsReadable(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := newWorld(t, "sqlite:"+filepath.Join(folder, "account.db"), nil)
	b := w.signUp(ann)
	said := w.announce(b.id(), sue)
	b.looks()
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	must(t, err)
	var all []byte
	for _, name := range files {
		content, err := os.ReadFile(name)
		must(t, err)
		all = append(all, content...)
	}
	if !bytes.Contains(all, []byte("acme.example")) {
		t.Fatal("what is in the clear isn't found")
	}
	words := said.Phrase.Reveal()
	for _, text := range []string{words, strings.ReplaceAll(words, " ", ""), parcel.Reason, sue.Name} {
		if bytes.Contains(all, []byte(text)) {
			t.Errorf("%q is readable", text)
		}
	}
	sweep := func() int {
		last := ledger.ID(bytes.Repeat([]byte{0xff}, 16))
		_, n, err := w.store.Sweep(t.Context(), ledger.KindPhrase, ledger.ID{}, last, func(v ledger.Value) bool { return account.Stale(v, w.ledger.Now(), 0) }, decode)
		must(t, err)
		return n
	}
	if n := sweep(); n != 0 {
		t.Fatalf("%d phrases of open calls were removed", n)
	}
	w.pass(4 * time.Minute)
	if n := sweep(); n != 1 {
		t.Fatalf("%d phrases were removed", n)
	}
}
