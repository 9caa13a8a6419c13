// SPDX-License-Identifier: Apache-2.0

package handover_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// legal is the life of a hand-over as docs/handover.md draws it, written down a second time.
var legal = map[handover.State][]handover.State{
	handover.Created:   {handover.Out, handover.Attempted, handover.Refused, handover.Returned, handover.Expired, handover.Canceled},
	handover.Out:       {handover.Out, handover.Arrived, handover.HandedOver, handover.Attempted, handover.Refused, handover.Returned, handover.Expired, handover.Canceled},
	handover.Arrived:   {handover.Out, handover.HandedOver, handover.Attempted, handover.Refused, handover.Returned, handover.Expired, handover.Canceled},
	handover.Attempted: {handover.Out, handover.HandedOver, handover.Attempted, handover.Refused, handover.Returned, handover.Expired, handover.Canceled},
	handover.Refused:   {handover.Returned, handover.Expired},
}

// Whatever everybody does in whatever order, a hand-over lives as it is drawn: what is over stays over, nothing changes hands
// before an arrival (but by the depot's word), and tries stay within their bounds.
//
// Keeps: H.1, H.2, H.3, S29
func TestALifeInAnyOrder(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.CourierGuesses, p.DeliveryAttempts = 200, 9 })
	rapid.Check(t, func(t *rapid.T) {
		begin := w.ledger.Now()
		id := w.create(func(n *handover.NewHandover) {
			n.Window = handover.Window{From: begin.Add(time.Hour).Format(time.RFC3339), Until: begin.Add(3 * time.Hour).Format(time.RFC3339), Zone: "Europe/Berlin"}
		})
		before := w.state1(t, id)
		for range rapid.IntRange(1, 25).Draw(t, "length") {
			what := rapid.SampledFrom(deeds).Draw(t, "deed")
			what.do(w, id, rapid.Bool().Draw(t, "right"))
			after := w.state1(t, id)
			if after.State != before.State && !slices.Contains(legal[before.State], after.State) {
				t.Fatalf("%s led from %v to %v", what.name, before.State, after.State)
			}
			if after.State == handover.HandedOver && before.State != handover.HandedOver && before.ArrivedAt.IsZero() && after.Means != handover.BySecondPerson {
				t.Fatalf("%s handed over what nobody had arrived with", what.name)
			}
			if after.TriesLeft < 0 || after.Attempt > after.Attempts || before.State.Final() && after.State != before.State {
				t.Fatalf("%s led to %+v", what.name, after)
			}
			before = after
		}
	})
}

func (w *world) state1(t *rapid.T, id ledger.ID) *handover.View {
	v, err := w.h.Get(w.Context(), w.svc, id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// deeds are everything that anybody can do. What is refused has changed nothing, which the states show.
var deeds = []struct {
	name string
	do   func(w *world, id ledger.ID, right bool)
}{
	{"dispatch", func(w *world, id ledger.ID, right bool) {
		who := kim
		if !right {
			who = "Robin"
		}
		_, _ = w.h.Dispatch(w.Context(), w.svc, id, who)
	}},
	{"arrive", func(w *world, id ledger.ID, _ bool) { w.act(handover.Act{Handover: id, Do: handover.DoArrive}) }},
	{"code", func(w *world, id ledger.ID, right bool) {
		typed := "00000"
		if s, err := w.h.ShowCode(w.Context(), w.svc, id); err == nil && right {
			typed = s.Code.Reveal()
		}
		w.typed(id, typed)
	}},
	{"code without signal", func(w *world, id ledger.ID, right bool) {
		typed := "00000"
		if s, err := w.h.ShowCode(w.Context(), w.svc, id); err == nil && right {
			typed = s.Code.Reveal()
		}
		w.act(handover.Act{Handover: id, Do: handover.DoCode, Typed: typed, Offline: true, SaidAt: w.ledger.Now()})
	}},
	{"give up", func(w *world, id ledger.ID, _ bool) {
		who, _ := w.h.By(w.svc, kim)
		_, _ = w.h.Act(w.Context(), w.svc, who, handover.Act{Handover: id, Do: handover.DoGiveUp, Reason: handover.NoAccess})
	}},
	{"weaker", func(w *world, id ledger.ID, _ bool) {
		w.act(handover.Act{Handover: id, Do: handover.DoWeak, Means: handover.ByPhoto, Note: "a photograph"})
	}},
	{"nobody is here", func(w *world, id ledger.ID, right bool) {
		_, _ = w.h.NobodyHere(w.Context(), w.svc, id)
		if right {
			_, _ = w.h.HereAfterAll(w.Context(), w.svc, id)
		}
	}},
	{"another day", func(w *world, id ledger.ID, _ bool) {
		_, _ = w.h.AnotherDay(w.Context(), w.svc, id, w.ledger.Now().AddDate(0, 0, 1).Format(time.DateOnly))
	}},
	{"refuse", func(w *world, id ledger.ID, right bool) {
		if right {
			_, _ = w.h.Refuse(w.Context(), w.svc, id)
		}
	}},
	{"share", func(w *world, id ledger.ID, right bool) {
		if p, err := w.h.Share(w.Context(), w.svc, id, "Ann"); err == nil && right {
			_, _ = w.h.Withdraw(w.Context(), w.svc, id, p.Number)
		}
	}},
	{"asked by phone", func(w *world, id ledger.ID, _ bool) { _, _ = w.h.AskedByPhone(w.Context(), w.svc, id, "", "") }},
	{"release", func(w *world, id ledger.ID, right bool) {
		if right {
			_, _ = w.h.Release(w.Context(), w.svc, id, "staff:x", "checked")
		}
	}},
	{"cancel", func(w *world, id ledger.ID, right bool) {
		if right {
			_, _ = w.h.Cancel(w.Context(), w.svc, id, "staff:x")
		}
	}},
	{"return", func(w *world, id ledger.ID, right bool) {
		if right {
			_, _ = w.h.Return(w.Context(), w.svc, id, "staff:x")
		}
	}},
	{"time", func(w *world, _ ledger.ID, right bool) {
		d := 20 * time.Minute
		if right {
			d = 14 * time.Hour
		}
		w.pass(d)
		_, _ = w.h.Wake(w.Context(), 100)
	}},
}
