// SPDX-License-Identifier: Apache-2.0

package care_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/store"
	"github.com/countersign/countersign/internal/testkit/peers"
	"github.com/countersign/countersign/internal/verification"
)

// people keeps what accounts would have been told. Staff's own accounts are hidden from support.
type people struct {
	mu    sync.Mutex
	told  []message.NoticeKind
	acts  []account.Act
	looks []string
	staff map[ledger.ID]bool
}

func (p *people) Tell(_ context.Context, _ *service.Service, _ ledger.ID, kind message.NoticeKind, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, kind)
	return nil
}

func (p *people) Note(_ context.Context, _ *service.Service, _ ledger.ID, act account.Act, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acts = append(p.acts, act)
	return nil
}

func (p *people) Seen(_ context.Context, _ *service.Service, id ledger.ID, by account.By) (*account.View, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.staff[id] {
		return nil, fault.New(fault.Forbidden, "staff_account", "No.")
	}
	p.looks = append(p.looks, by.Name)
	return nil, nil
}

// world is the care of a service on a real database, with a clock that the test moves.
type world struct {
	testing.TB
	store  *store.Store
	ledger *ledger.Batcher
	care   *care.Care
	people *people
	log    *bytes.Buffer
	offset *atomic.Int64
	svc    *service.Service
	other  *service.Service
}

func newWorld(t testing.TB, url string) *world {
	t.Helper()
	master, err := secret.GenerateMaster(rand.Reader)
	must(t, err)
	w := &world{TB: t, offset: &atomic.Int64{}, people: &people{staff: map[ledger.ID]bool{}}, log: &bytes.Buffer{}}
	w.store, err = store.Open(t.Context(), url, store.Options{MaxConns: 4})
	must(t, err)
	t.Cleanup(func() { _ = w.store.Close() })
	must(t, w.store.Migrate(t.Context()))
	reg, err := service.NewRegistry(t.Context(), w.store, master)
	must(t, err)
	p := service.DefaultPolicy()
	p.CallerSends = service.Limit{Hour: 30, Day: 30}
	w.svc, err = reg.Create(t.Context(), service.Row{Slug: "acme", Name: "Acme", Domain: "acme.example", Locale: "en", Policy: p}, time.Now())
	must(t, err)
	w.other, err = reg.Create(t.Context(), service.Row{Slug: "other", Name: "Other", Domain: "other.example", Locale: "en", Policy: p}, time.Now())
	must(t, err)
	w.ledger = ledger.New(w.store, ledger.Options{Decode: care.DecodeRow, Offset: func() time.Duration { return time.Duration(w.offset.Load()) }})
	t.Cleanup(w.ledger.Close)
	w.care = care.New(care.Options{
		Ledger: w.ledger, People: w.people, Callers: verification.NewCallers(w.store, slog.New(slog.DiscardHandler)),
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Rows: w.rows,
	})
	return w
}

func (w *world) rows(ctx context.Context, kind ledger.Kind, service uint32, before ledger.ID, limit int) ([]care.Listed, error) {
	rows, err := w.store.List(ctx, kind, service, before, limit, care.DecodeRow)
	out := make([]care.Listed, len(rows))
	for i, r := range rows {
		out[i] = care.Listed(r)
	}
	return out, err
}

func onBoth(t *testing.T, run func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "care.db")))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, newWorld(t, peers.Postgres(t)))
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t testing.TB, err error, code string) {
	t.Helper()
	if err == nil || fault.As(err).Code != code {
		t.Fatalf("want %s, got %v", code, err)
	}
}

func (w *world) pass(d time.Duration) { w.offset.Add(int64(d)) }

// events are the names of a service's events, in order.
func (w *world) events() (all []string) {
	w.Helper()
	for {
		n, err := w.store.NumberEvents(w.Context())
		must(w, err)
		if waiting, err := w.store.Unnumbered(w.Context()); err != nil || !waiting {
			must(w, err)
			break
		}
		_ = n
	}
	list, err := w.store.Events(w.Context(), w.svc.ID, 0, 500)
	must(w, err)
	for _, e := range list {
		name, subject, ok := care.ReadEvent(e)
		if !ok || !strings.Contains(subject, "_") {
			w.Fatalf("an event that nobody can read: %+v", e)
		}
		all = append(all, name)
	}
	return all
}

var (
	ann   = ledger.ID{1, 2, 3}
	bob   = ledger.ID{4, 5, 6}
	agent = account.By{Name: "staff:acc_7", Role: account.Support}
)

// A customer asks support, who answers; each side sees what the other has read, and it ends, and goes on, and is over.
// Keeps: D.2, I.1
func TestACase(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		c, err := w.care.Open(ctx, w.svc, ann, care.NewCase{
			Subject: care.UnrequestedCode, Text: "I got the code 483 920.\r\nWho asked for it?", Facts: []care.Fact{{Key: "device", Value: "Chrome on Windows, code 4839201"}},
		})
		must(t, err)
		if c.State != care.Open || c.Messages[0].Text != "I got the code \u2022\u2022\u2022 \u2022\u2022\u2022.\nWho asked for it?" || strings.Contains(c.Facts[0].Value, "4839") {
			t.Fatalf("%+v", c)
		}
		list, next, err := w.care.List(ctx, w.svc, care.Open, ledger.ID{}, 10)
		must(t, err)
		if len(list) != 1 || !next.IsZero() || list[0].Messages[0].Text != "" || list[0].Facts != nil || list[0].Unread(true) != 1 || len(w.people.looks) != 0 {
			t.Fatalf("the list of work: %+v", list)
		}
		if c, err = w.care.Look(ctx, w.svc, c.ID, agent); err != nil || c.Unread(true) != 0 || len(w.people.looks) != 1 {
			t.Fatalf("a look isn't noted: %v, %+v", err, w.people.looks)
		}
		if c, err = w.care.Answer(ctx, w.svc, c.ID, agent, "It came from a device in Lyon."); err != nil || c.State != care.Answered {
			t.Fatalf("%v, %+v", err, c)
		}
		if len(w.people.told) != 1 || w.people.told[0] != message.CaseAnswered || len(w.people.acts) != 2 || w.people.acts[1] != account.ActCaseAnswered {
			t.Fatalf("the customer isn't told: %+v", w.people)
		}
		own, err := w.care.ListOf(ctx, w.svc, ann)
		must(t, err)
		if len(own) != 1 || own[0].Unread(false) != 1 {
			t.Fatalf("%+v", own)
		}
		if c, err = w.care.Get(ctx, w.svc, c.ID, ann); err != nil || c.Unread(false) != 0 || c.Messages[1].Staff != agent.Name {
			t.Fatalf("%v, %+v", err, c)
		}
		for _, stranger := range []ledger.ID{bob, {}} {
			_, err = w.care.Get(ctx, w.svc, c.ID, stranger)
			refused(t, err, "case_not_found")
			_, err = w.care.Say(ctx, w.svc, c.ID, stranger, "It is mine")
			refused(t, err, "case_not_found")
			_, err = w.care.Close(ctx, w.svc, c.ID, stranger)
			refused(t, err, "case_not_found")
		}
		_, err = w.care.Look(ctx, w.other, c.ID, agent)
		refused(t, err, "case_not_found")

		c, err = w.care.CloseBy(ctx, w.svc, c.ID, agent)
		must(t, err)
		_, err = w.care.Answer(ctx, w.svc, c.ID, agent, "One more thing")
		refused(t, err, "case_closed")
		w.pass(29 * 24 * time.Hour)
		if c, err = w.care.Say(ctx, w.svc, c.ID, ann, "It happened again"); err != nil || c.State != care.Open || !c.ClosedAt.IsZero() {
			t.Fatalf("an answer doesn't open it again: %v", err)
		}
		_, err = w.care.Close(ctx, w.svc, c.ID, ann)
		must(t, err)
		w.pass(31 * 24 * time.Hour)
		_, err = w.care.Say(ctx, w.svc, c.ID, ann, "And again")
		refused(t, err, "case_over")
		if got := strings.Join(w.events(), " "); got != "case.opened case.answered case.closed case.said case.closed" {
			t.Fatalf("events: %s", got)
		}
		w.people.staff[ann] = true
		_, err = w.care.Look(ctx, w.svc, c.ID, agent)
		refused(t, err, "staff_account")
		_, err = w.care.Answer(ctx, w.svc, c.ID, agent, "x")
		refused(t, err, "staff_account")
	})
}

// Limits hold, whatever comes at once, and say what to do.
// Keeps: S3
func TestLimitsOfCases(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		var opened atomic.Int64
		var all sync.WaitGroup
		for range 3 * care.MaxNewCases {
			all.Go(func() {
				_, err := w.care.Open(ctx, w.svc, ann, care.NewCase{Subject: care.OtherSubject, Text: "Help"})
				switch {
				case err == nil:
					opened.Add(1)
				case fault.As(err).Code != "too_many_new_cases":
					t.Error(err)
				}
			})
		}
		all.Wait()
		if opened.Load() != care.MaxNewCases {
			t.Fatalf("%d cases in a day", opened.Load())
		}
		w.pass(25 * time.Hour)
		for range care.MaxOpenCases - care.MaxNewCases {
			_, err := w.care.Open(ctx, w.svc, ann, care.NewCase{Subject: care.OtherSubject, Text: "Help"})
			must(t, err)
		}
		w.pass(25 * time.Hour)
		_, err := w.care.Open(ctx, w.svc, ann, care.NewCase{Subject: care.OtherSubject, Text: "Help"})
		refused(t, err, "too_many_open_cases")
		mine, err := w.care.ListOf(ctx, w.svc, ann)
		must(t, err)
		if len(mine) != care.MaxOpenCases {
			t.Fatalf("%d cases are found", len(mine))
		}
		id := mine[0].ID
		for i := 1; i < care.MaxMessages; i++ {
			_, err := w.care.Say(ctx, w.svc, id, ann, "More")
			must(t, err)
		}
		_, err = w.care.Say(ctx, w.svc, id, ann, "More")
		refused(t, err, "case_full")
		_, err = w.care.Answer(ctx, w.svc, id, agent, "More")
		refused(t, err, "case_full")

		for _, bad := range []struct {
			n    care.NewCase
			code string
		}{
			{care.NewCase{Subject: "nothing", Text: "x"}, "invalid_subject"},
			{care.NewCase{Subject: care.OtherSubject, Text: " \n\x00"}, "text_missing"},
			{care.NewCase{Subject: care.OtherSubject, Text: strings.Repeat("\u00e9", care.MaxText+1)}, "text_too_long"},
			{care.NewCase{Subject: care.OtherSubject, Text: "x", Facts: []care.Fact{{Key: "No!"}}}, "invalid_fact"},
			{care.NewCase{Subject: care.OtherSubject, Text: "x", Facts: make([]care.Fact, care.MaxFacts+1)}, "too_many_facts"},
		} {
			_, err := w.care.Open(ctx, w.svc, bob, bad.n)
			refused(t, err, bad.code)
		}
		for _, text := range []string{"", "case_", "case_" + strings.Repeat("0", 31), "case_" + strings.Repeat("G", 32), "CASE_" + strings.Repeat("0", 32), "rep_" + strings.Repeat("0", 32)} {
			_, err := care.ParseCase(text)
			refused(t, err, "case_not_found")
		}
		_, err = w.care.Get(ctx, w.svc, ledger.ID{0xff, 1}, ann)
		refused(t, err, "case_not_found")
	})
}

// Pages of a list have everything once, with what isn't asked for left out.
func TestPagesOfCases(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		for i := range 9 {
			c, err := w.care.Open(ctx, w.svc, ledger.ID{byte(i + 1)}, care.NewCase{Subject: care.OtherSubject, Text: "Help"})
			must(t, err)
			if i%3 == 0 {
				_, err = w.care.CloseBy(ctx, w.svc, c.ID, agent)
				must(t, err)
			}
		}
		seen := map[ledger.ID]bool{}
		for before, pages := (ledger.ID{}), 0; ; pages++ {
			list, next, err := w.care.List(ctx, w.svc, care.Open, before, 2)
			must(t, err)
			for _, c := range list {
				if seen[c.ID] || c.State != care.Open {
					t.Fatalf("%s again, or closed", c.ID)
				}
				seen[c.ID] = true
			}
			if before = next; next.IsZero() || pages > 10 {
				break
			}
		}
		if len(seen) != 6 {
			t.Fatalf("%d of 6", len(seen))
		}
		if list, _, err := w.care.List(ctx, w.other, "", ledger.ID{}, 10); err != nil || len(list) != 0 {
			t.Fatalf("another service's: %v %v", list, err)
		}
	})
}

// Who is gone for good leaves no case, and no name on their reports.
func TestForgotten(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		c, err := w.care.Open(ctx, w.svc, ann, care.NewCase{Subject: care.OtherSubject, Text: "Help"})
		must(t, err)
		r, _, err := w.care.File(ctx, w.svc, care.NewReport{Kind: "call", Channel: "call", Sender: "+14155550199", Account: ann})
		must(t, err)
		must(t, w.care.Forget(ctx, w.svc, ann))
		_, err = w.care.Look(ctx, w.svc, c.ID, agent)
		refused(t, err, "case_not_found")
		kept, err := w.care.Find(ctx, w.svc, r.ID)
		must(t, err)
		if !kept.Account.IsZero() || kept.Sender != r.Sender {
			t.Fatalf("%+v", kept)
		}
		if own, err := w.care.ReportsOf(ctx, w.svc, ann); err != nil || len(own) != 0 {
			t.Fatalf("%v %v", own, err)
		}
		must(t, w.care.Forget(ctx, w.svc, bob)) // who had nothing
	})
}

// Rows go when their time is over: closed ones by the setting, others much later, what was emptied at once.
func TestStale(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old := now.Add(-100 * 24 * time.Hour).UnixMilli()
	for _, c := range []struct {
		v    ledger.Value
		want bool
	}{
		{&care.Row{UpdatedAt: old, Closed: true, Sealed: []byte{1}}, true},
		{&care.Row{UpdatedAt: old, Sealed: []byte{1}}, false},
		{&care.Row{UpdatedAt: now.Add(-600 * 24 * time.Hour).UnixMilli(), Sealed: []byte{1}}, true},
		{&care.Row{UpdatedAt: now.UnixMilli(), Closed: true, Sealed: []byte{1}}, false},
		{&care.Row{UpdatedAt: now.UnixMilli()}, true},
		{&account.Page{}, false},
	} {
		if got := care.Stale(c.v, now, 90*24*time.Hour); got != c.want {
			t.Errorf("%+v: %v", c.v, got)
		}
	}
	if _, err := care.DecodeRow(ledger.KindAccount, nil); err == nil {
		t.Error("a row of somebody else is read")
	}
	if _, err := care.DecodeRow(ledger.KindCase, []byte{0xff}); err == nil {
		t.Error("a broken row is read")
	}
}
