// SPDX-License-Identifier: Apache-2.0

package handover_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

type ctx = context.Context

// The link in one message, the code in another when the parcel leaves, none taken before "I'm at the door".
//
// Keeps: H.1, H.2, H.3, S28
func TestTheOrdinaryHandover(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		id := w.create(nil)
		link, n := w.post.last(message.DeliveryLink)
		if n != 1 || link.Code.Len() > 0 || !strings.HasPrefix(link.Delivery.Link, "https://acme.example/t/") {
			t.Fatal("the link goes out in a message of its own, without a code")
		}
		if _, n := w.post.last(message.DeliveryCode); n != 0 {
			t.Fatal("the code isn't sent before the parcel leaves")
		}
		_, err := w.h.Dispatch(t.Context(), w.svc, id, kim)
		must(t, err)
		m, n := w.post.last(message.DeliveryCode)
		if n != 1 || m.Delivery.Link != "" || m.Code.Len() != 5 || m.Delivery.Letter != "D" {
			t.Fatal("the code comes when the parcel leaves, in a message without a link")
		}
		code := w.code()
		w.want(w.typed(id, code), handover.NotArrived)
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive, Position: &handover.Position{Lat: 45.7640, Lon: 4.8357}}), handover.Done)
		if _, n := w.post.last(message.DeliveryArrived); n != 1 {
			t.Fatal("the recipient is told of the arrival")
		}
		wrong := w.typed(id, other(code))
		w.want(wrong, handover.Wrong)
		if wrong.TriesLeft != 5 {
			t.Fatalf("%d tries left", wrong.TriesLeft)
		}
		w.want(w.typed(id, strings.ToLower(strings.ReplaceAll(code, "-", " "))), handover.Handed)
		v := w.state(id, handover.HandedOver)
		if v.Means != handover.ByCode || v.Certainty != handover.Confirmed || v.HandedAt.IsZero() {
			t.Fatalf("%+v", v)
		}
		w.want(w.typed(id, code), handover.Over)
		_, err = w.h.Cancel(t.Context(), w.svc, id, "staff:x")
		refused(t, err, "hand_over_over")
	})
}

// Of 200 parallel tries with one right code, at most one hands over and at most six are judged, on both databases.
//
// Keeps: H.3, S3, S29
func TestTwoHundredTriesAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, func(p *service.Policy) { p.CourierGuesses = 200 })
		for round := range 3 {
			id := w.arrived(nil)
			code := w.code()
			var mu sync.Mutex
			results := map[handover.Result]int{}
			var all sync.WaitGroup
			for i := range 200 {
				typed := other(code)
				if i == 50+round*60 {
					typed = code
				}
				all.Go(func() {
					a := w.typed(id, typed)
					mu.Lock()
					defer mu.Unlock()
					results[a.Result]++
				})
			}
			all.Wait()
			if results[handover.Handed] > 1 || results[handover.Wrong]+results[handover.Handed] > handover.MaxWrong+1 || results[handover.Wrong] > handover.MaxWrong {
				t.Fatalf("%v", results)
			}
			if results[handover.Handed] == 0 && results[handover.Wrong] != handover.MaxWrong {
				t.Fatalf("%v", results)
			}
		}
	})
}

// Six wrong tries block the attempt, for the right code, too; the recipient is told; another attempt begins anew, ten in all are the end; a
// courier's are bounded over all parcels.
//
// Keeps: S29
func TestWrongTriesAreBoundedThreeTimes(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.CourierGuesses, p.DeliveryAttempts = 12, 9 })
	id := w.arrived(nil)
	code := w.code()
	for range handover.MaxWrong {
		w.want(w.typed(id, other(code)), handover.Wrong)
	}
	w.want(w.typed(id, code), handover.Blocked)
	if _, n := w.post.last(message.DeliveryBlocked); n != 1 {
		t.Fatal("the recipient is told of six wrong codes")
	}
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoWeak, Means: handover.ByPhoto, Note: "no code"}), handover.Blocked)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoGiveUp, Reason: handover.OtherReason}), handover.Done)
	_, err := w.h.Dispatch(t.Context(), w.svc, id, kim)
	must(t, err)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	if w.code() == code {
		t.Fatal("the next attempt has a code of its own")
	}
	w.want(w.typed(id, code), handover.Wrong) // yesterday's
	for range 3 {
		w.want(w.typed(id, other(w.code())), handover.Wrong)
	}
	w.want(w.typed(id, w.code()), handover.Exhausted)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoGiveUp, Reason: handover.OtherReason}), handover.Done)
	_, err = w.h.Dispatch(t.Context(), w.svc, id, kim)
	refused(t, err, "tries_used_up")

	next := w.arrived(nil)
	for range 2 {
		w.want(w.typed(next, other(w.code())), handover.Wrong)
	}
	w.want(w.typed(next, w.code()), handover.Exhausted)
	w.pass(25 * time.Hour)
	late := w.create(func(n *handover.NewHandover) { n.Window.From, n.Window.Until = "2026-11-27T14:00", "2026-11-27T16:00" })
	_, err = w.h.Dispatch(t.Context(), w.svc, late, kim)
	must(t, err)
	w.want(w.act(handover.Act{Handover: late, Do: handover.DoArrive}), handover.Done)
	w.want(w.typed(late, w.code()), handover.Handed)
}

// What looks like a code for signing in is refused at the door, costs no try, and its owner is warned, once.
//
// Keeps: H.2, S27
func TestASignInCodeIsRefusedAtTheDoor(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	for _, typed := range []string{"482135", "482 135", "482135 is your Acme code to sign in. We never ask for it.\n@acme.example #482135"} {
		a := w.typed(id, typed)
		w.want(a, handover.SignInCode)
		if a.TriesLeft != handover.MaxWrong {
			t.Fatal("it cost a try")
		}
	}
	if _, n := w.post.last(message.DeliveryAsked); n != 1 {
		t.Fatalf("the recipient was warned %d times", n)
	}
	for _, typed := range []string{"", "D-4821", "D-482135", "hello", "X-48213"} {
		a := w.typed(id, typed)
		w.want(a, handover.Unclear)
		if a.TriesLeft != handover.MaxWrong || a.Typed == "" {
			t.Fatalf("%q: %+v", typed, a)
		}
	}
	w.want(w.typed(id, w.code()), handover.Handed)
}

// A yes whose answer was lost is the same yes when the courier asks again; another courier, parcel or attempt has none.
//
// Keeps: H.3, A.2
func TestARepeatIsTheSameAnswer(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	code := w.code()
	no := handover.Act{Key: "a", Handover: id, Do: handover.DoCode, Typed: other(code)}
	w.want(w.act(no), handover.Wrong)
	if again := w.act(no); again.Result != handover.Wrong || again.TriesLeft != 5 {
		t.Fatalf("a repeat cost a try: %+v", again)
	}
	yes := handover.Act{Key: "b", Handover: id, Do: handover.DoCode, Typed: code}
	for range 3 {
		w.want(w.act(yes), handover.Handed)
	}
	yes.Key = "c"
	w.want(w.act(yes), handover.Over)
	who, err := w.h.By(w.svc, "Robin")
	must(t, err)
	a, err := w.h.Act(t.Context(), w.svc, who, yes)
	must(t, err)
	w.want(a, handover.NotYours)
}

// "nobody is here" stops the acceptance until the recipient resumes it; the courier has a mark.
//
// Keeps: H.2, S30
func TestNobodyIsHere(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	code := w.code()
	_, err := w.h.NobodyHere(t.Context(), w.svc, id)
	must(t, err)
	w.want(w.typed(id, code), handover.Stopped)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Stopped)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoWeak, Means: handover.ByIdentity, Note: "seen"}), handover.Stopped)
	_, err = w.h.Release(t.Context(), w.svc, id, "staff:x", "asked by phone")
	refused(t, err, "stopped")
	_, err = w.h.HereAfterAll(t.Context(), w.svc, id)
	must(t, err)
	w.want(w.typed(id, code), handover.NotArrived)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	w.want(w.typed(id, code), handover.Handed)
}

// A pass has a code of its own, once, in a neighbour's name; withdrawn, it is worth nothing.
//
// Keeps: H.4
func TestANeighbourTakesItIn(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		id := w.arrived(nil)
		p, err := w.h.Share(t.Context(), w.svc, id, "Ann Lee")
		must(t, err)
		gone, err := w.h.Share(t.Context(), w.svc, id, "Bob")
		must(t, err)
		of := func(token string) string {
			s, err := w.h.PassBy(t.Context(), w.svc, token)
			must(t, err)
			shown, err := w.h.ShowPass(t.Context(), w.svc, id, s.Number)
			must(t, err)
			return shown.Letter + shown.Code.Reveal()
		}
		bob := of(gone.Token)
		_, err = w.h.Withdraw(t.Context(), w.svc, id, gone.Number)
		must(t, err)
		_, err = w.h.PassBy(t.Context(), w.svc, gone.Token)
		refused(t, err, "pass_over")
		list := func() (all string) {
			passes, err := w.h.Passes(t.Context(), w.svc, id)
			must(t, err)
			for _, p := range passes {
				all += fmt.Sprintf("%d %s gone=%v used=%v link=%v; ", p.Number, p.Name, p.Gone, p.Used, p.Token != "")
			}
			return all
		}
		if got, want := list(), "1 Ann Lee gone=false used=false link=true; 2 Bob gone=true used=false link=false; "; got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		w.want(w.typed(id, bob), handover.Wrong)
		w.want(w.typed(id, of(p.Token)), handover.Handed)
		if got, want := list(), "1 Ann Lee gone=true used=true link=false; 2 Bob gone=true used=false link=false; "; got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		v := w.state(id, handover.HandedOver)
		if v.Means != handover.ByPass {
			t.Fatalf("%+v", v)
		}
		m, n := w.post.last(message.DeliveryByPass)
		if n != 1 || m.Delivery.Name != "Ann Lee" {
			t.Fatal("the recipient is told who has the parcel")
		}
		_, err = w.h.Withdraw(t.Context(), w.svc, id, p.Number)
		refused(t, err, "hand_over_over")
	})
}

// A pass that is withdrawn while its code is being typed either hands over or doesn't, and what both sides are told agrees.
//
// Keeps: H.4
func TestAPassWithdrawnWhileTyped(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		for range 10 {
			id := w.arrived(nil)
			p, err := w.h.Share(t.Context(), w.svc, id, "Ann")
			must(t, err)
			shown, err := w.h.ShowPass(t.Context(), w.svc, id, p.Number)
			must(t, err)
			var a *handover.Acted
			var gone error
			var both sync.WaitGroup
			both.Go(func() { a = w.typed(id, shown.Code.Reveal()) })
			both.Go(func() { _, gone = w.h.Withdraw(t.Context(), w.svc, id, p.Number) })
			both.Wait()
			if (a.Result == handover.Handed) == (gone == nil) {
				t.Fatalf("%v and %v", a.Result, gone)
			}
		}
	})
}

// Windows, another day, a refusal, the end of the day, the end of all waiting.
//
// Keeps: H.1, H.4
func TestDaysAndEnds(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	first := w.code()
	_, err := w.h.AnotherDay(t.Context(), w.svc, id, "2026-11-26")
	refused(t, err, "wrong_state") // the courier is at the door
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoGiveUp, Reason: handover.NobodyHome}), handover.Done)
	v, err := w.h.AnotherDay(t.Context(), w.svc, id, "2026-11-28")
	must(t, err)
	if got := v.From.In(v.Zone).Format(time.RFC3339); got != "2026-11-28T14:00:00+01:00" || v.State != handover.Attempted {
		t.Fatalf("%v %v", got, v.State)
	}
	_, err = w.h.Dispatch(t.Context(), w.svc, id, kim)
	refused(t, err, "too_early")
	w.pass(48 * time.Hour)
	_, err = w.h.Dispatch(t.Context(), w.svc, id, "Robin")
	must(t, err)
	if w.code() == first {
		t.Fatal("the next attempt has a code of its own")
	}
	w.want(w.typed(id, w.code()), handover.NotYours)
	w.pass(16 * time.Hour)
	_, err = w.h.Wake(t.Context(), 10)
	must(t, err)
	if v := w.state(id, handover.Attempted); v.Steps[len(v.Steps)-1].Reason != handover.DayOver {
		t.Fatalf("%+v", v.Steps)
	}
	_, err = w.h.Refuse(t.Context(), w.svc, id)
	must(t, err)
	_, err = w.h.Dispatch(t.Context(), w.svc, id, kim)
	refused(t, err, "wrong_state")
	w.pass(15 * 24 * time.Hour)
	_, err = w.h.Wake(t.Context(), 10)
	must(t, err)
	w.state(id, handover.Expired)
}

// Who is asked for the code on the phone gets a new one, the old one is worth nothing, and support a report.
//
// Keeps: H.2
func TestAskedByPhone(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.out(nil)
	old := w.code()
	_, err := w.h.AskedByPhone(t.Context(), w.svc, id, "He said that he was from the depot.", "192.0.2.7")
	must(t, err)
	m, n := w.post.last(message.DeliveryNewCode)
	if n != 1 || len(w.raised) != 1 || w.raised[0].Handover != id {
		t.Fatalf("%d messages, %+v", n, w.raised)
	}
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	w.want(w.typed(id, old), handover.Wrong)
	w.want(w.typed(id, m.Code.Reveal()), handover.Handed)
}

// Another contact on the day gets a new code; what is queued for the old one isn't sent, and its device sees nothing.
//
// Keeps: H.1, S1
func TestTheNumberChangesOnTheDay(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.out(nil)
	old := w.code()
	tr, err := w.h.Track(t.Context(), w.svc, handover.TrackToken(w.svc, id))
	must(t, err)
	c, _ := tr.Contact(0)
	device := tr.Proven(c, w.ledger.Now())
	if !tr.ProvenBy(device, w.ledger.Now()) || tr.ProvenBy(device, w.ledger.Now().Add(15*24*time.Hour)) || tr.ProvenBy(spoilt(device), w.ledger.Now()) {
		t.Fatal("a device's proof")
	}
	to, err := contact.Parse("+14155550199", "")
	must(t, err)
	_, err = w.h.Change(t.Context(), w.svc, id, handover.Change{Recipient: &handover.Recipient{Contacts: []contact.Contact{to}}})
	must(t, err)
	m, _ := w.post.last(message.DeliveryNewCode)
	if m.To.Reveal() != "+14155550199" || m.Code.Reveal() == old[2:] {
		t.Fatal("the new contact gets a new code")
	}
	if tr, err = w.h.Track(t.Context(), w.svc, handover.TrackToken(w.svc, id)); err != nil || tr.ProvenBy(device, w.ledger.Now()) {
		t.Fatal("the old contact's device still sees the delivery")
	}
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	w.want(w.typed(id, old), handover.Wrong)
}

// Weaker proofs only where they are allowed, always marked, counted, and alarming when one courier uses them often.
//
// Keeps: H.5
func TestWeakerProofs(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.CourierWeak = 2 })
	for range 2 {
		id := w.out(nil)
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoWeak, Means: handover.ByIdentity, Note: "passport"}), handover.NotArrived)
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoWeak, Means: handover.ByIdentity, Note: "passport"}), handover.Handed)
		if v := w.state(id, handover.HandedOver); v.Certainty != handover.Weaker {
			t.Fatalf("%+v", v)
		}
	}
	if _, n := w.post.last(message.DeliveryReleased); n != 2 {
		t.Fatal("the recipient is told that it was handed over without the code")
	}
	if n := w.happened("courier.weak_proof_alarm"); n != 1 {
		t.Fatalf("%d alarms after two weaker proofs", n)
	}
	strict := w.arrived(func(n *handover.NewHandover) { n.Weak = []service.WeakProof{} })
	w.want(w.act(handover.Act{Handover: strict, Do: handover.DoWeak, Means: handover.ByPhoto, Note: "x"}), handover.NotAllowed)
	_, err := w.h.Release(t.Context(), w.svc, strict, "staff:x", "x")
	refused(t, err, "weak_proof_not_allowed")
	_, _, err = w.h.Create(t.Context(), w.svc, w.parcel(func(n *handover.NewHandover) { n.Weak = []service.WeakProof{"guess"} }))
	refused(t, err, "weak_proof_not_allowed")

	w.pass(25 * time.Hour)
	for n := range 3 { // releases by the depot count, too: it is this courier's parcels that need them; and one alarm a day is enough
		id := w.arrived(func(n *handover.NewHandover) { n.Window.From, n.Window.Until = "2026-11-27T14:00", "2026-11-27T16:00" })
		_, err := w.h.Release(t.Context(), w.svc, id, "staff:x", "passport seen")
		must(t, err)
		if alarms := w.happened("courier.weak_proof_alarm"); alarms != 1+min(n, 1) {
			t.Fatalf("%d alarms after %d releases of a day", alarms, n+1)
		}
	}
}

// A contact that changes again and again doesn't bring an old code back, and doesn't send without end.
//
// Keeps: H.1, S29
func TestContactsChangeWithoutEnd(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.out(nil)
	first, changed := w.code(), 0
	for i := range 300 {
		_, err := w.h.Change(t.Context(), w.svc, id, handover.Change{Recipient: &handover.Recipient{Contacts: []contact.Contact{w.number(i)}}})
		if err != nil {
			refused(t, err, "contact_changed_often")
			break
		}
		changed++
	}
	if changed < 10 || changed > 40 {
		t.Fatalf("the contact was changed %d times", changed)
	}
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	w.want(w.typed(id, first), handover.Wrong)
	m, _ := w.post.last(message.DeliveryNewCode)
	w.want(w.typed(id, "D-"+m.Code.Reveal()), handover.Handed)
}

// The same order again, made of the same, is the same hand-over; made of something else it is refused, and of an order there are only so many.
//
// Keeps: H.1
func TestTheSameOrderAgain(t *testing.T) {
	w := newWorld(t, local(t), nil)
	n := w.parcel(nil)
	first, again, err := w.h.Create(t.Context(), w.svc, n)
	must(t, err)
	if again {
		t.Fatal("the first is there already")
	}
	v, again, err := w.h.Create(t.Context(), w.svc, n)
	if err != nil || !again || v.ID != first.ID {
		t.Fatalf("%v %v %v", v, again, err)
	}
	if _, sent := w.post.last(message.DeliveryLink); sent != 1 {
		t.Fatalf("the link went out %d times", sent)
	}
	for name, change := range map[string]func(*handover.NewHandover){
		"items":     func(n *handover.NewHandover) { n.Items = "a box of records" },
		"window":    func(n *handover.NewHandover) { n.Window.Until = "2026-11-26T17:00" },
		"recipient": func(n *handover.NewHandover) { n.Recipient.Contacts = []contact.Contact{w.number(1)} },
		"attempts":  func(n *handover.NewHandover) { n.Attempts = 1 },
	} {
		other := n
		change(&other)
		if _, _, err := w.h.Create(t.Context(), w.svc, other); err == nil {
			t.Errorf("with other %s it is taken for the same", name)
		} else {
			refused(t, err, "order_taken")
		}
	}
	for n.Parcel = 2; n.Parcel <= handover.MaxParcels; n.Parcel++ {
		_, again, err = w.h.Create(t.Context(), w.svc, n)
		must(t, err)
		if again {
			t.Fatal("another parcel of the order is taken for the same")
		}
	}
	all, err := w.h.Find(t.Context(), w.svc, n.Order)
	if err != nil || len(all) != handover.MaxParcels {
		t.Fatalf("%d found, %v", len(all), err)
	}
	_, _, err = w.h.Create(t.Context(), w.svc, n)
	refused(t, err, "invalid_parcel")
}
