// SPDX-License-Identifier: Apache-2.0

package handover_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/store"
	"github.com/countersign/countersign/internal/testkit/peers"
)

// post keeps what would have been sent.
type post struct {
	mu   sync.Mutex
	sent []message.Outgoing
}

func (p *post) Enqueue(m message.Outgoing) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, m)
	return true
}

// last is the latest message of a kind, and how many there were.
func (p *post) last(kind message.DeliveryKind) (m message.Outgoing, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.sent {
		if o.Delivery != nil && o.Delivery.Kind == kind {
			m, n = o, n+1
		}
	}
	return m, n
}

// world is the hand-overs of a service on a real database, with a clock that the test moves.
type world struct {
	testing.TB
	store  *store.Store
	ledger *ledger.Batcher
	h      *handover.Handovers
	post   *post
	offset *atomic.Int64
	svc    *service.Service
	raised []handover.Asked
	orders atomic.Int64
}

// noon is when a test begins: a Thursday, at nine in the morning in Berlin.
var noon = time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)

func newWorld(t testing.TB, url string, policy func(*service.Policy)) *world {
	t.Helper()
	master, err := secret.GenerateMaster(rand.Reader)
	must(t, err)
	w := &world{TB: t, offset: &atomic.Int64{}, post: &post{}}
	w.store, err = store.Open(t.Context(), url, store.Options{MaxConns: 4})
	must(t, err)
	t.Cleanup(func() { _ = w.store.Close() })
	must(t, w.store.Migrate(t.Context()))
	reg, err := service.NewRegistry(t.Context(), w.store, master)
	must(t, err)
	p := service.DefaultPolicy()
	p.DeliveryWeak = service.WeakProofs()
	p.SendWaits = nil
	if policy != nil {
		policy(&p)
	}
	w.svc, err = reg.Create(t.Context(), service.Row{Slug: "acme", Name: "Acme", Domain: "acme.example", Locale: "en", Policy: p}, time.Now())
	must(t, err)
	w.offset.Store(int64(time.Until(noon)))
	w.ledger = ledger.New(w.store, ledger.Options{Decode: handover.DecodeRow, Offset: func() time.Duration { return time.Duration(w.offset.Load()) }})
	t.Cleanup(w.ledger.Close)
	w.h = handover.New(handover.Options{
		Ledger: w.ledger, Services: reg, Sender: w.post, Log: slog.New(slog.DiscardHandler),
		Origin: func(s *service.Service) string { return "https://" + s.Domain },
		Raise: func(_ ctx, _ *service.Service, a handover.Asked) error {
			w.raised = append(w.raised, a)
			return nil
		},
	})
	return w
}

func onBoth(t *testing.T, run func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, "sqlite:"+filepath.Join(t.TempDir(), "handover.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, peers.Postgres(t))
	})
}

func local(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "handover.db") }

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

const kim = "Kim 17"

// parcel is what makes a hand-over for this afternoon.
func (w *world) parcel(change func(*handover.NewHandover)) handover.NewHandover {
	w.Helper()
	to, err := contact.Parse("+14155550121", "")
	must(w, err)
	n := handover.NewHandover{
		Order: fmt.Sprintf("order %d", w.orders.Add(1)), Recipient: handover.Recipient{Name: "Maria Bell", Contacts: []contact.Contact{to}},
		Window: handover.Window{From: "2026-11-26T14:00", Until: "2026-11-26T16:00", Zone: "Europe/Berlin"}, Items: "a box of books", Hint: "2nd floor, blue door", Depot: "Lyon 3",
	}
	if change != nil {
		change(&n)
	}
	return n
}

func (w *world) create(change func(*handover.NewHandover)) ledger.ID {
	w.Helper()
	v, _, err := w.h.Create(w.Context(), w.svc, w.parcel(change))
	must(w, err)
	return v.ID
}

// out makes a hand-over and sends it out with Kim.
func (w *world) out(change func(*handover.NewHandover)) ledger.ID {
	w.Helper()
	id := w.create(change)
	_, err := w.h.Dispatch(w.Context(), w.svc, id, kim)
	must(w, err)
	return id
}

// arrived is out, and Kim at the door.
func (w *world) arrived(change func(*handover.NewHandover)) ledger.ID {
	w.Helper()
	id := w.out(change)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive, Position: &handover.Position{Lat: 45.7640, Lon: 4.8357}}), handover.Done)
	return id
}

func (w *world) act(a handover.Act) *handover.Acted {
	w.Helper()
	who, err := w.h.By(w.svc, kim)
	must(w, err)
	out, err := w.h.Act(w.Context(), w.svc, who, a)
	must(w, err)
	return out
}

func (w *world) typed(id ledger.ID, text string) *handover.Acted {
	w.Helper()
	return w.act(handover.Act{Handover: id, Do: handover.DoCode, Typed: text})
}

func (w *world) want(a *handover.Acted, r handover.Result) {
	w.Helper()
	if a.Result != r {
		w.Fatalf("want %v, got %v (%+v)", r, a.Result, a)
	}
}

func (w *world) state(id ledger.ID, s handover.State) *handover.View {
	w.Helper()
	v, err := w.h.Get(w.Context(), w.svc, id)
	must(w, err)
	if v.State != s {
		w.Fatalf("want %v, got %v", s, v.State)
	}
	return v
}

// code is the latest code that was sent, as it is said at the door.
func (w *world) code() string {
	w.Helper()
	m, n := w.post.last(message.DeliveryCode)
	if n == 0 {
		w.Fatal("no code was sent")
	}
	return m.Delivery.Letter + "-" + m.Code.Reveal()
}

// other is a code of the same look that isn't this one.
func other(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

// happened is how many events of a name the application has been told.
func (w *world) happened(name string) (n int) {
	w.Helper()
	_, err := w.store.NumberEvents(w.Context())
	must(w, err)
	all, err := w.store.Events(w.Context(), w.svc.ID, 0, 1000)
	must(w, err)
	for _, e := range all {
		if d, ok := handover.ReadEvent(e); ok && d.Name == name {
			n++
		}
	}
	return n
}

// number is a phone number of many.
func (w *world) number(i int) contact.Contact {
	w.Helper()
	c, err := contact.Parse(fmt.Sprintf("+4915112%06d", i), "")
	must(w, err)
	return c
}

// spoilt is a token with another letter in its secret part.
func spoilt(token string) string {
	at, letter := len(token)-4, "a"
	if token[at] == 'a' {
		letter = "b"
	}
	return token[:at] + letter + token[at+1:]
}
