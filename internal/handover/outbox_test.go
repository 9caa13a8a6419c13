// SPDX-License-Identifier: Apache-2.0

package handover_test

import (
	"testing"
	"time"

	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// A message is written down with its hand-over: who was to send it and died is followed by another, a report counts once, a receipt that it didn't arrive is
// an exception for the depot, and what nobody needs any more isn't sent.
//
// Keeps: H.5, A.2
func TestMessagesOfHandovers(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		ctx := t.Context()
		id := w.out(nil)
		m, _ := w.post.last(message.DeliveryCode)
		code := func() handover.MessageView {
			t.Helper()
			v, err := w.h.Get(ctx, w.svc, id)
			must(t, err)
			for i := len(v.Messages) - 1; i >= 0; i-- {
				if v.Messages[i].Kind == message.DeliveryCode {
					return v.Messages[i]
				}
			}
			t.Fatal("there is no message")
			return handover.MessageView{}
		}
		if code().Status != handover.Queued {
			t.Fatal(code().Status)
		}
		w.pass(time.Minute) // the node that was to send it has died
		_, err := w.h.Wake(ctx, 100)
		must(t, err)
		if _, n := w.post.last(message.DeliveryCode); n != 2 {
			t.Fatalf("%d messages", n)
		}
		busy := message.Report{Ref: m.Ref, Attempts: []message.Attempt{{Provider: "a", Outcome: message.TryLater}}, RetryIn: time.Minute}
		must(t, w.h.Report(ctx, busy))
		_, err = w.h.Wake(ctx, 100)
		must(t, err)
		if _, n := w.post.last(message.DeliveryCode); n != 2 {
			t.Fatal("it is tried again at once")
		}
		w.pass(2 * time.Minute)
		_, err = w.h.Wake(ctx, 100)
		must(t, err)
		if last, n := w.post.last(message.DeliveryCode); n != 3 || last.Passes != 1 {
			t.Fatal(n, last.Passes)
		}
		sent := message.Report{Ref: m.Ref, Attempts: []message.Attempt{{Provider: "a", Outcome: message.Accepted}}, Sent: true}
		must(t, w.h.Report(ctx, sent))
		must(t, w.h.Report(ctx, busy)) // of a node that was thought dead
		if code().Status != handover.Sent {
			t.Fatal(code().Status)
		}
		must(t, w.h.Receive(ctx, m.Ref, message.Receipt{Provider: "a", Outcome: message.Unreachable}))
		v := w.state(id, handover.Out)
		if ex := v.Exceptions(); len(ex) != 1 || ex[0] != handover.ExceptionUndelivered || code().Outcome != message.Unreachable {
			t.Fatalf("%v %+v", ex, code())
		}
		must(t, w.h.Receive(ctx, m.Ref, message.Receipt{Provider: "a", Delivered: true}))
		if code().Status != handover.Delivered || len(w.state(id, handover.Out).Exceptions()) != 0 {
			t.Fatal("it arrived after all")
		}
		must(t, w.h.Receive(ctx, message.Ref{Row: m.Ref.Row, Number: 999}, message.Receipt{Delivered: true})) // of a message that nobody knows

		_, err = w.h.SendAgain(ctx, w.svc, id, service.Voice)
		refused(t, err, "channel_not_possible") // this service calls nobody
		_, err = w.h.SendAgain(ctx, w.svc, id, "")
		must(t, err)
		again, n := w.post.last(message.DeliveryCode)
		if n != 4 || again.Code.Reveal() != m.Code.Reveal() {
			t.Fatal("sent again, it is the same code")
		}
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
		w.want(w.typed(id, m.Code.Reveal()), handover.Handed)
		w.pass(time.Hour)
		_, err = w.h.Wake(ctx, 100)
		must(t, err)
		if _, after := w.post.last(message.DeliveryCode); after != n || code().Status != handover.Void {
			t.Fatal("a code is sent for a parcel that was handed over")
		}
	})
}

// A code is sent at most five times in an attempt, whoever asks, and not in quick succession.
//
// Keeps: H.5, S7
func TestSendsOfHandovers(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.SendWaits = []int{60} })
	id := w.out(nil)
	_, err := w.h.SendAgain(t.Context(), w.svc, id, "")
	refused(t, err, "too_soon")
	a := w.act(handover.Act{Handover: id, Do: handover.DoSend})
	w.want(a, handover.Wait)
	if a.RetryAfter <= 0 || a.RetryAfter > time.Minute {
		t.Fatal(a.RetryAfter)
	}
	for range handover.MaxSends - 1 {
		w.pass(time.Minute)
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoSend}), handover.Done)
	}
	w.pass(time.Minute)
	_, err = w.h.SendAgain(t.Context(), w.svc, id, "")
	refused(t, err, "sends_used_up")
	for range 4 {
		_, err = w.h.AskedByPhone(t.Context(), w.svc, id, "", "")
		must(t, err)
	}
	_, err = w.h.AskedByPhone(t.Context(), w.svc, id, "", "")
	refused(t, err, "code_changed_often")
}

// Whoever only has the service's name, an old link or another page's token finds nothing.
//
// Keeps: S28, S4
func TestTokensOfPages(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	p, err := w.h.Share(t.Context(), w.svc, id, "Ann")
	must(t, err)
	track := handover.TrackToken(w.svc, id)
	for _, token := range []string{"", "a", track[:len(track)-1], track + "a", p.Token, "b" + track[1:]} {
		if _, err := w.h.Track(t.Context(), w.svc, token); err == nil {
			t.Errorf("%q opens the tracking page", token)
		}
	}
	for _, token := range []string{"", track, spoilt(p.Token)} {
		_, err := w.h.PassBy(t.Context(), w.svc, token)
		refused(t, err, "pass_over")
	}
	w.want(w.typed(id, w.code()), handover.Handed)
	_, err = w.h.Track(t.Context(), w.svc, track)
	must(t, err)
	w.pass(8 * 24 * time.Hour)
	_, err = w.h.Track(t.Context(), w.svc, track)
	refused(t, err, "tracking_over")
}
