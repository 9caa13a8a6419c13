// SPDX-License-Identifier: Apache-2.0

package handover_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// A courier who was sent out without a round, by an application that has a page of its own, is revoked like others.
//
// Keeps: S22
func TestACourierWithoutARoundIsRevoked(t *testing.T) {
	w := newWorld(t, local(t), nil)
	w.arrived(nil)
	who, err := w.h.By(w.svc, kim)
	must(t, err)
	if err := w.h.Revoke(t.Context(), w.svc, who.Courier, "staff:a"); err != nil {
		t.Fatalf("%v: %v", fault.As(err).Kind, err)
	}
}

// However many conflicts were settled, a new one is there for the depot.
//
// Keeps: S31
func TestAConflictAfterTwenty(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	code := w.code()
	w.by(d, handover.Act{Key: "arr", Handover: id, Attempt: 1, Do: handover.DoArrive, Offline: true})
	w.want(w.by(d, handover.Act{Key: "x", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: code}), handover.Handed)
	for i := range 20 {
		w.by(d, handover.Act{Key: fmt.Sprint("w", i), Handover: id, Attempt: 1, Do: handover.DoCode, Typed: other(code), Offline: true})
		_, err := w.h.SettleConflicts(t.Context(), w.svc, id, "staff:a")
		must(t, err)
	}
	before := w.happened("handover.conflict")
	out := w.by(d, handover.Act{Key: "last", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: other(code), Offline: true})
	if !out.Conflict {
		t.Fatal("no conflict")
	}
	if ex := out.View.Exceptions(); len(ex) == 0 || ex[0] != handover.ExceptionConflict {
		t.Errorf("the answer says conflict, and the depot sees %v", ex)
	}
	if n := w.happened("handover.conflict"); n != before+1 {
		t.Errorf("no event: %d, %d", before, n)
	}
}

// A hand-over of which everything, the arrival too, is told after the day is one, whether or not the day's end was noticed before.
//
// Keeps: S31
func TestAllToldAfterTheDay(t *testing.T) {
	for _, woken := range []bool{false, true} {
		w := newWorld(t, local(t), nil)
		id := w.create(nil)
		d, _ := w.shift(id)
		code := w.code()
		said := w.ledger.Now().Add(6 * time.Hour)
		w.pass(17 * time.Hour) // past midnight
		if woken {
			_, err := w.h.Wake(t.Context(), 10)
			must(t, err)
			w.state(id, handover.Attempted)
		}
		a := w.by(d, handover.Act{Key: "1", Handover: id, Attempt: 1, Do: handover.DoArrive, Offline: true, SaidAt: said})
		b := w.by(d, handover.Act{Key: "2", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: code, Offline: true, SaidAt: said.Add(time.Minute)})
		if b.Result != handover.Handed || b.Conflict {
			t.Errorf("woken %v: arrival %v, code %v, conflict %v", woken, a.Result, b.Result, b.Conflict)
		}
	}
}

// Another day moves the window, and not until when the attempt before can be told.
//
// Keeps: S31
func TestLateByAnotherDay(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	code := w.code()
	said := w.ledger.Now()
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoGiveUp, Reason: handover.NobodyHome}), handover.Done)
	_, err := w.h.AnotherDay(t.Context(), w.svc, id, "2026-12-03")
	must(t, err)
	w.pass(6 * 24 * time.Hour)
	out := w.act(handover.Act{Key: "k", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: code, Offline: true, SaidAt: said})
	if out.Result != handover.Late {
		t.Fatalf("six days after its delivery day: %v", out.Result)
	}
}

// What a phone itself says to have happened after the delivery day isn't taken.
//
// Keeps: S31
func TestSaidAfterTheDay(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	code := w.code()
	w.pass(40 * time.Hour)
	out := w.act(handover.Act{Key: "k", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: code, Offline: true, SaidAt: w.ledger.Now()})
	if out.Result == handover.Handed {
		t.Fatalf("said to be on %v, good until %v: %v", out.View.HandedAt, out.View.GoodUntil, out.Result)
	}
}

// What a phone itself says to have happened after its shift isn't taken.
//
// Keeps: S31
func TestSaidAfterTheShift(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	r, token, _, err := w.h.OpenRound(t.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: kim, Zone: "Europe/Berlin", Hours: 1, Parcels: []ledger.ID{id}})
	must(t, err)
	session, _, err := w.h.Enrol(t.Context(), w.svc, token.Reveal(), "", "x")
	must(t, err)
	w.pass(5 * time.Hour)
	d, err := w.h.DeviceBy(t.Context(), w.svc, session.Reveal())
	must(t, err)
	if !d.Over {
		t.Fatal("not over")
	}
	now := w.ledger.Now()
	w.by(d, handover.Act{Key: "1", Handover: id, Attempt: 1, Do: handover.DoArrive, Offline: true, SaidAt: now})
	out := w.by(d, handover.Act{Key: "2", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: w.code(), Offline: true, SaidAt: now})
	if out.Result == handover.Handed {
		t.Fatalf("the shift ended at %v, and what was done at %v is taken", r.Until, out.View.HandedAt)
	}
}

// A time that can't be said in JSON doesn't come back.
//
// Keeps: S31
func TestSaidInTheYearTenThousand(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	var said time.Time
	must(t, json.Unmarshal([]byte(`"9999-12-31T23:59:59-12:00"`), &said))
	out := w.act(handover.Act{Key: "k", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: other(w.code()), Offline: true, SaidAt: said})
	if len(out.View.Conflicts) != 1 {
		t.Fatal("no conflict")
	}
	if _, err := json.Marshal(time.UnixMilli(out.View.Conflicts[0].SaidAt).UTC()); err != nil {
		t.Fatal(err)
	}
}

// The application hears of the day that the recipient chooses after an attempt was missed.
//
// Keeps: H.4
func TestAnotherDayIsTold(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoGiveUp, Reason: handover.NobodyHome}), handover.Done)
	count := func() int { return w.happened("handover.attempted") + w.happened("handover.changed") }
	before := count()
	_, err := w.h.AnotherDay(t.Context(), w.svc, id, "2026-11-28")
	must(t, err)
	if count() == before {
		t.Fatal("the application isn't told of the day that the recipient has chosen")
	}
}

// Changes of the contact use up none of the recipient's own changes of the code.
//
// Keeps: H.4
func TestAskedAfterChanges(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.out(nil)
	for i := range 4 {
		_, err := w.h.Change(t.Context(), w.svc, id, handover.Change{Recipient: &handover.Recipient{Contacts: []contact.Contact{w.number(i)}}})
		must(t, err)
	}
	_, err := w.h.AskedByPhone(t.Context(), w.svc, id, "", "")
	must(t, err)
}

// The key of a yes isn't pushed out by what comes later.
//
// Keeps: S31
func TestAYesIsntPushedOut(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	code := w.code()
	w.by(d, handover.Act{Key: "arr", Handover: id, Attempt: 1, Do: handover.DoArrive})
	yes := handover.Act{Key: "yes", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: code}
	w.want(w.by(d, yes), handover.Handed)
	for i := range 24 {
		w.by(d, handover.Act{Key: fmt.Sprint("w", i), Handover: id, Attempt: 1, Do: handover.DoCode, Typed: other(code), Offline: true})
	}
	w.want(w.by(d, yes), handover.Handed)
}

// Arrivals that change nothing push out no wrong try: told again, it costs no other.
//
// Keeps: S29
func TestAWrongOneIsntPushedOut(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	code := w.code()
	w.by(d, handover.Act{Key: "arr", Handover: id, Attempt: 1, Do: handover.DoArrive})
	no := handover.Act{Key: "no", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: other(code)}
	w.want(w.by(d, no), handover.Wrong)
	for i := range 24 {
		w.by(d, handover.Act{Key: fmt.Sprint("w", i), Handover: id, Attempt: 1, Do: handover.DoArrive})
	}
	if out := w.by(d, no); out.TriesLeft != 5 {
		t.Fatalf("the same key costs another try: %d left", out.TriesLeft)
	}
}

// What can't go out with a round, because the depot has too many, hasn't left.
func TestTooManyRoundsBeforeAnythingLeaves(t *testing.T) {
	w := newWorld(t, local(t), nil)
	var wg sync.WaitGroup
	for g := range 20 {
		wg.Go(func() {
			for i := range 50 {
				_, _, _, err := w.h.OpenRound(t.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: fmt.Sprint("c", g, "-", i), Zone: "Europe/Berlin"})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	id := w.create(nil)
	_, _, _, err := w.h.OpenRound(t.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: kim, Zone: "Europe/Berlin", Parcels: []ledger.ID{id}})
	refused(t, err, "too_many_rounds")
	w.state(id, handover.Created)
}

// A round that parcels are added to from several sides at once has no more than it may.
func TestARoundIsNeverOverfull(t *testing.T) {
	w := newWorld(t, local(t), nil)
	d, r := w.shift()
	_ = d
	lists := make([][]ledger.ID, 4)
	for i := range lists {
		for range 130 {
			lists[i] = append(lists[i], w.create(nil))
		}
	}
	var wg sync.WaitGroup
	for i := range lists {
		wg.Go(func() { _, _, _ = w.h.AddToRound(t.Context(), w.svc, r.ID, lists[i]) })
	}
	wg.Wait()
	got, err := w.h.Round(t.Context(), w.svc, r.ID)
	must(t, err)
	if len(got.Parcels) > handover.MaxRound {
		t.Fatalf("%d parcels", len(got.Parcels))
	}
}

// A courier's row doesn't grow with each weaker proof of a day.
func TestWeakerProofsAreBounded(t *testing.T) {
	w := newWorld(t, local(t), nil)
	for range 400 {
		id := w.out(nil)
		_, err := w.h.Release(t.Context(), w.svc, id, "staff:a", "seen")
		must(t, err)
	}
	who, _ := w.h.By(w.svc, kim)
	v, err := w.ledger.Read(t.Context(), ledger.Key{Kind: ledger.KindCourier, Service: w.svc.ID, Shard: binary.BigEndian.Uint16(who.Courier[6:8]), ID: who.Courier})
	must(t, err)
	if n := len(v.(*handover.Courier).Weak); n > 200 {
		t.Fatalf("%d times, %d bytes", n, len(v.AppendRecord(nil)))
	}
}

// An old act that is told again shows a courier nothing of a parcel that another carries now.
//
// Keeps: S22
func TestAnOldKeyShowsNoOthersParcel(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.DeliveryAttempts = 5 })
	id := w.create(nil)
	d, _ := w.shift(id)
	arrive := handover.Act{Key: "arr", Handover: id, Attempt: 1, Do: handover.DoArrive}
	w.want(w.by(d, arrive), handover.Done)
	w.want(w.by(d, handover.Act{Key: "g", Handover: id, Attempt: 1, Do: handover.DoGiveUp, Reason: handover.NobodyHome}), handover.Done)
	_, err := w.h.Dispatch(t.Context(), w.svc, id, "Lou")
	must(t, err)
	hint := "the new address: 5th floor"
	_, err = w.h.Change(t.Context(), w.svc, id, handover.Change{Hint: &hint})
	must(t, err)
	out := w.by(d, arrive)
	if out.View != nil {
		t.Fatalf("%v, and Kim sees Lou's parcel: %q (%s)", out.Result, out.View.Hint, out.View.State)
	}
}

// A day that is offered can be chosen, also where the clocks are set back on it.
//
// Keeps: H.4
func TestADayOfTwentyFiveHours(t *testing.T) {
	w := newWorld(t, local(t), nil)
	w.offset.Add(int64(time.Date(2027, 10, 27, 8, 0, 0, 0, time.UTC).Sub(noon)))
	id := w.create(func(n *handover.NewHandover) {
		n.Window = handover.Window{From: "2027-10-28T00:00", Until: "2027-10-29T00:00", Zone: "Europe/Berlin"}
	})
	v, err := w.h.Get(t.Context(), w.svc, id)
	must(t, err)
	for _, day := range v.Days(w.ledger.Now()) {
		if _, err := w.h.AnotherDay(t.Context(), w.svc, id, day); err != nil {
			t.Errorf("%s is offered: %v", day, err)
		}
	}
}

// The same list again, because its answer was lost, is the same.
func TestAddingTheSameAgain(t *testing.T) {
	w := newWorld(t, local(t), nil)
	_, r := w.shift()
	var all []ledger.ID
	for range 260 {
		all = append(all, w.create(nil))
	}
	_, _, err := w.h.AddToRound(t.Context(), w.svc, r.ID, all)
	must(t, err)
	_, _, err = w.h.AddToRound(t.Context(), w.svc, r.ID, all)
	must(t, err)
}

// Of codes for signing in the recipient is warned once an attempt, whatever else happens in it.
//
// Keeps: S27
func TestWarnedOnceAnAttempt(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	for range 5 {
		w.pass(time.Minute)
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoSignIn}), handover.SignInCode)
		_, err := w.h.NobodyHere(t.Context(), w.svc, id)
		must(t, err)
		_, err = w.h.HereAfterAll(t.Context(), w.svc, id)
		must(t, err)
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	}
	if n := w.happened("handover.sign_in_code_typed"); n != 1 {
		t.Errorf("warned %d times", n)
	}
}

// Nor does it keep anything else from being judged.
//
// Keeps: S29
func TestAnArrivalWhateverWaits(t *testing.T) {
	w := newWorld(t, local(t), nil)
	mail, err := contact.Parse("maria@mail.example", "")
	must(t, err)
	phone := w.number(1)
	id := w.out(func(n *handover.NewHandover) { n.Recipient.Contacts = []contact.Contact{phone, mail} })
	w.pass(time.Minute)
	_, err = w.h.SendAgain(t.Context(), w.svc, id, service.Email)
	must(t, err)
	_, err = w.h.Change(t.Context(), w.svc, id, handover.Change{Recipient: &handover.Recipient{Contacts: []contact.Contact{phone}}})
	must(t, err)
	w.pass(time.Minute)
	who, _ := w.h.By(w.svc, kim)
	if _, err = w.h.Act(t.Context(), w.svc, who, handover.Act{Handover: id, Do: handover.DoArrive}); err != nil {
		t.Errorf("arrive: %v", fault.As(err).Code)
	}
	if _, err = w.h.AskedByPhone(t.Context(), w.svc, id, "", ""); err != nil {
		t.Errorf("asked by phone: %v", fault.As(err).Code)
	}
	if _, err = w.h.Cancel(t.Context(), w.svc, id, "api:k"); err != nil {
		t.Errorf("cancel: %v", fault.As(err).Code)
	}
}

// A contact that got the code and is taken away has one that no longer counts.
//
// Keeps: H.1
func TestASecondContactThatKnewTheCode(t *testing.T) {
	w := newWorld(t, local(t), nil)
	mail, err := contact.Parse("maria@mail.example", "")
	must(t, err)
	phone := w.number(1)
	id := w.arrived(func(n *handover.NewHandover) { n.Recipient.Contacts = []contact.Contact{phone, mail} })
	code := w.code()
	w.pass(time.Minute)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoSend, Channel: service.Email}), handover.Done)
	_, err = w.h.Change(t.Context(), w.svc, id, handover.Change{Recipient: &handover.Recipient{Contacts: []contact.Contact{phone}}})
	must(t, err)
	if out := w.typed(id, code); out.Result == handover.Handed {
		t.Error("the code that was sent to a contact which was taken away is taken")
	}
}

// Nothing is added to a round whose shift is over: no courier could hand it over.
func TestARoundThatIsOver(t *testing.T) {
	w := newWorld(t, local(t), nil)
	_, r := w.shift()
	w.pass(20 * time.Hour)
	id := w.create(func(n *handover.NewHandover) {
		n.Window = handover.Window{From: "2026-11-27T14:00", Until: "2026-11-27T16:00", Zone: "Europe/Berlin"}
	})
	_, left, err := w.h.AddToRound(t.Context(), w.svc, r.ID, []ledger.ID{id})
	if err == nil && len(left) == 0 {
		_, n := w.post.last(message.DeliveryCode)
		t.Fatalf("the shift ended %v ago; %d codes were sent", w.ledger.Now().Sub(r.Until), n)
	}
}

// A weaker proof that is told twice without signal is one.
//
// Keeps: S31
func TestAWeakerProofTwice(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	w.by(d, handover.Act{Key: "1", Handover: id, Attempt: 1, Do: handover.DoArrive, Offline: true})
	w.want(w.by(d, handover.Act{Key: "2", Handover: id, Attempt: 1, Do: handover.DoWeak, Means: handover.ByPhoto, Note: "x", Offline: true}), handover.Handed)
	out := w.by(d, handover.Act{Key: "3", Handover: id, Attempt: 1, Do: handover.DoWeak, Means: handover.ByPhoto, Note: "x", Offline: true})
	if out.Conflict {
		t.Fatalf("%v conflict", out.Result)
	}
}

// What is done the day after a round counts for that day.
//
// Keeps: H.5
func TestFiguresOfAnotherDay(t *testing.T) {
	w := newWorld(t, local(t), nil)
	w.shift()
	w.pass(24 * time.Hour)
	id := w.create(func(n *handover.NewHandover) {
		n.Window = handover.Window{From: "2026-11-27T10:00", Until: "2026-11-27T16:00", Zone: "Europe/Berlin"}
	})
	_, err := w.h.Dispatch(t.Context(), w.svc, id, kim)
	must(t, err)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	w.want(w.typed(id, w.code()), handover.Handed)
	day, err := w.h.Depot(t.Context(), w.svc, "Lyon 3", "2026-11-26", "")
	must(t, err)
	if day.Figures.Code != 0 {
		t.Fatalf("what was done on the 27th counts for the 26th: %+v", day.Figures)
	}
}

// That a code for signing in was offered is told to its owner also after the day.
//
// Keeps: S27
func TestASignInCodeToldAfterTheDay(t *testing.T) {
	for _, by := range []string{"typed", "refused by the page"} {
		w := newWorld(t, local(t), nil)
		id := w.create(nil)
		d, _ := w.shift(id)
		w.by(d, handover.Act{Key: "0", Handover: id, Attempt: 1, Do: handover.DoArrive})
		w.pass(17 * time.Hour)
		_, err := w.h.Wake(t.Context(), 10)
		must(t, err)
		a := handover.Act{Key: "1", Handover: id, Attempt: 1, Do: handover.DoSignIn, Offline: true}
		if by == "typed" {
			a.Do, a.Typed = handover.DoCode, "482135"
		}
		out := w.by(d, a)
		if _, n := w.post.last(message.DeliveryAsked); n != 1 {
			t.Errorf("%s: %v, and the recipient is warned %d times", by, out.Result, n)
		}
	}
}

// And after the parcel was handed over.
//
// Keeps: S27
func TestASignInCodeToldAfterwards(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	code := w.code()
	w.by(d, handover.Act{Key: "0", Handover: id, Attempt: 1, Do: handover.DoArrive})
	w.by(d, handover.Act{Key: "2", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: code})
	out := w.by(d, handover.Act{Key: "1", Handover: id, Attempt: 1, Do: handover.DoSignIn, Offline: true})
	if _, n := w.post.last(message.DeliveryAsked); n != 1 {
		t.Errorf("%v, and the recipient is warned %d times", out.Result, n)
	}
}

// Who is shown a hand-over because they changed nothing of it has looked at it.
func TestReadingIsNoted(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.out(nil)
	v, err := w.h.SettleConflicts(t.Context(), w.svc, id, "staff:curious")
	must(t, err)
	if v.Order != "" && len(v.Notes) == 0 {
		t.Fatalf("%s, %s, %v are shown, and nothing is noted", v.Order, v.Recipient, v.Contacts)
	}
}

// A courier who never had a parcel writes nothing into it.
//
// Keeps: S22
func TestStrangersMakeNoConflicts(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	lou, err := w.h.By(w.svc, "Lou")
	must(t, err)
	for i := range 25 {
		_, err := w.h.Act(t.Context(), w.svc, lou, handover.Act{Key: fmt.Sprint(i), Handover: id, Attempt: 200, Do: handover.DoCode, Typed: "x", Offline: true})
		must(t, err)
	}
	v := w.state(id, handover.Arrived)
	if n := len(v.Conflicts); n > 0 {
		t.Errorf("%d conflicts by somebody who never had it; exceptions %v", n, v.Exceptions())
	}
	out := w.act(handover.Act{Key: "kim", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: other(w.code()), Offline: true})
	v = w.state(id, handover.Arrived)
	for _, c := range v.Conflicts {
		if c.Result == out.Result {
			return
		}
	}
	t.Errorf("Kim's %v (conflict %v) isn't among them", out.Result, out.Conflict)
}

// Who said that nobody is here can take it back at the counter the next day.
//
// Keeps: S30
func TestNobodyWasHereYesterday(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	_, err := w.h.NobodyHere(t.Context(), w.svc, id)
	must(t, err)
	w.pass(20 * time.Hour)
	_, err = w.h.Wake(t.Context(), 10)
	must(t, err)
	w.state(id, handover.Attempted)
	_, err = w.h.HereAfterAll(t.Context(), w.svc, id)
	if err != nil {
		t.Error(err)
	}
	_, err = w.h.Release(t.Context(), w.svc, id, "staff:a", "passport seen at the counter")
	if err != nil {
		t.Error(err)
	}
}

// What is said to have been typed long after the courier gave up is a conflict.
//
// Keeps: S31
func TestACodeAfterGivingUp(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	code := w.code()
	w.by(d, handover.Act{Key: "0", Handover: id, Attempt: 1, Do: handover.DoArrive})
	w.want(w.by(d, handover.Act{Key: "1", Handover: id, Attempt: 1, Do: handover.DoGiveUp, Reason: handover.NobodyHome}), handover.Done)
	w.pass(3 * time.Hour)
	out := w.by(d, handover.Act{Key: "2", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: code, Offline: true, SaidAt: w.ledger.Now()})
	if out.Result == handover.Handed && !out.Conflict {
		t.Errorf("%v at %v, after nobody was at home", out.Result, out.View.HandedAt)
	}
}

// After a revocation the phone that used the link can't use it again.
//
// Keeps: S22
func TestARevokedLinkIsDead(t *testing.T) {
	w := newWorld(t, local(t), nil)
	_, token, _, err := w.h.OpenRound(t.Context(), w.svc, handover.NewRound{Depot: "L", Courier: kim, Zone: "UTC"})
	must(t, err)
	nonce := "0123456789abcdef"
	_, d, err := w.h.Enrol(t.Context(), w.svc, token.Reveal(), nonce, "")
	must(t, err)
	must(t, w.h.Revoke(t.Context(), w.svc, d.Courier, "x"))
	_, _, err = w.h.Enrol(t.Context(), w.svc, token.Reveal(), nonce, "")
	refused(t, err, "enrol_token_invalid")
}

// A conflict that is told again is one, with the same answer.
//
// Keeps: S31
func TestAConflictToldTwice(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	code := w.code()
	w.want(w.typed(id, code), handover.Handed)
	a := handover.Act{Key: "k", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: other(code), Offline: true}
	first, again := w.act(a), w.act(a)
	if first.Result != again.Result || first.Conflict != again.Conflict {
		t.Fatalf("%v %v, then %v %v", first.Result, first.Conflict, again.Result, again.Conflict)
	}
}

// A release at the counter doesn't say that it was at yesterday's door.
//
// Keeps: H.6
func TestAProofNamesNoOtherPlace(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoGiveUp, Reason: handover.NobodyHome}), handover.Done)
	_, err := w.h.AnotherDay(t.Context(), w.svc, id, "2026-11-27")
	must(t, err)
	w.pass(24 * time.Hour)
	_, err = w.h.Dispatch(t.Context(), w.svc, id, "Lou")
	must(t, err)
	_, err = w.h.Release(t.Context(), w.svc, id, "staff:a", "passport seen at the counter")
	must(t, err)
	if c := w.claims(id); c.Where != nil {
		t.Fatalf("attempt %d, courier %v, arrived %d: at %+v, where Kim was the day before", c.Attempt, c.Courier, c.ArrivedAt, *c.Where)
	}
}

// A hand-over without a message with its link has none when the contact changes.
func TestQuietStaysQuiet(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.out(func(n *handover.NewHandover) { n.Quiet = true })
	_, err := w.h.Change(t.Context(), w.svc, id, handover.Change{Recipient: &handover.Recipient{Contacts: []contact.Contact{w.number(1)}}})
	must(t, err)
	if _, n := w.post.last(message.DeliveryLink); n != 0 {
		t.Fatalf("%d links", n)
	}
}

// Whom a message went to stays what it was when the contact changes.
func TestWhomAMessageWentTo(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.out(func(n *handover.NewHandover) { n.Recipient.Contacts = []contact.Contact{w.number(11)} })
	v, err := w.h.Get(t.Context(), w.svc, id)
	must(t, err)
	before := v.Messages[0].To
	v, err = w.h.Change(t.Context(), w.svc, id, handover.Change{Recipient: &handover.Recipient{Contacts: []contact.Contact{w.number(99)}}})
	must(t, err)
	if v.Messages[0].To != before {
		t.Fatalf("sent to %s, and now it says %s", before, v.Messages[0].To)
	}
}

// Who has used up the tries of a day hands nothing over by their own word.
//
// Keeps: S29
func TestNoWeakerProofAfterTheBound(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.CourierGuesses = 6 })
	a := w.arrived(nil)
	for range 6 {
		w.want(w.typed(a, other(w.code())), handover.Wrong)
	}
	b := w.arrived(nil)
	w.want(w.typed(b, w.code()), handover.Exhausted)
	out := w.act(handover.Act{Handover: b, Do: handover.DoWeak, Means: handover.ByPhoto, Note: "x"})
	if out.Result == handover.Handed {
		t.Fatal("who has used up the tries of a day hands over by a photograph")
	}
}

// A contact that is taken away while a message to it waits doesn't make wrong codes free.
//
// Keeps: S29
func TestWrongCodesCountWhateverWaits(t *testing.T) {
	w := newWorld(t, local(t), nil)
	mail, err := contact.Parse("maria@mail.example", "")
	must(t, err)
	phone := w.number(1)
	id := w.arrived(func(n *handover.NewHandover) { n.Recipient.Contacts = []contact.Contact{phone, mail} })
	code := w.code()
	w.pass(time.Minute)
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoSend, Channel: service.Email}), handover.Done)
	for _, m := range w.post.sent { // everything is sent; mail is down for the moment
		must(t, w.h.Report(t.Context(), message.Report{Ref: m.Ref, Sent: m.Channel != service.Email, RetryIn: 10 * time.Second}))
	}
	_, err = w.h.Change(t.Context(), w.svc, id, handover.Change{Recipient: &handover.Recipient{Contacts: []contact.Contact{phone}}}) // "I have no mail any more"
	must(t, err)
	w.pass(time.Minute)
	_, err = w.h.Wake(t.Context(), 10)
	must(t, err)
	kim, _ := w.h.By(w.svc, kim)
	guesses := 0
	for n := range 100 {
		guess := fmt.Sprintf("D-%05d", n)
		if guess == code {
			continue
		}
		out, err := w.h.Act(t.Context(), w.svc, kim, handover.Act{Key: guess, Handover: id, Do: handover.DoCode, Typed: guess})
		if err == nil && out.Result == handover.Blocked {
			break
		}
		must(t, err)
		guesses++
	}
	v, err := w.h.Get(t.Context(), w.svc, id)
	must(t, err)
	if guesses > handover.MaxWrong {
		t.Errorf("%d wrong codes, %d tries left, %d events", guesses, v.TriesLeft, w.happened("handover.wrong_code"))
	}
	if w.typed(id, code).Result == handover.Handed {
		t.Error("and the right one is taken")
	}
}

func (w *world) claims(id ledger.ID) handover.Claims {
	w.Helper()
	text, err := w.h.Proof(w.Context(), w.svc, id)
	must(w, err)
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	must(w, err)
	var c handover.Claims
	must(w, json.Unmarshal(raw, &c))
	return c
}

// A warning that a provider put off is sent also when the parcel is handed over meanwhile.
//
// Keeps: S27
func TestAWarningOutlivesTheHandover(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.arrived(nil)
	code := w.code()
	w.want(w.typed(id, "482135"), handover.SignInCode)
	m, n := w.post.last(message.DeliveryAsked)
	if n != 1 {
		t.Fatal(n)
	}
	must(t, w.h.Report(t.Context(), message.Report{Ref: m.Ref, RetryIn: 5 * time.Second})) // the provider is busy
	w.want(w.typed(id, code), handover.Handed)
	w.pass(time.Minute)
	_, err := w.h.Wake(t.Context(), 10)
	must(t, err)
	if _, n := w.post.last(message.DeliveryAsked); n != 2 {
		t.Errorf("the warning isn't tried again: %v", w.state(id, handover.HandedOver).Messages)
	}
}

// Without signal a weaker proof without a note is a conflict: the parcel may be gone.
//
// Keeps: S31
func TestAWeakerProofWithoutANote(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	w.by(d, handover.Act{Key: "0", Handover: id, Attempt: 1, Do: handover.DoArrive, Offline: true})
	_, err := w.h.Act(t.Context(), w.svc, handover.Who{Courier: d.Courier, Device: d}, handover.Act{Key: "1", Handover: id, Attempt: 1, Do: handover.DoWeak, Means: handover.ByPhoto, Offline: true})
	v, _ := w.h.Get(t.Context(), w.svc, id)
	if err != nil && len(v.Conflicts) == 0 {
		t.Errorf("%v, and no conflict", fault.As(err).Code)
	}
}

// An arrival that waits to be told is told to the contact that comes meanwhile.
//
// Keeps: S30
func TestAnArrivalIsToldToTheNewContact(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	w.by(d, handover.Act{Key: "0", Handover: id, Attempt: 1, Do: handover.DoArrive, Offline: true})
	_, err := w.h.Change(t.Context(), w.svc, id, handover.Change{Recipient: &handover.Recipient{Contacts: []contact.Contact{w.number(5)}}})
	must(t, err)
	w.pass(2 * time.Minute)
	_, err = w.h.Wake(t.Context(), 10)
	must(t, err)
	if _, n := w.post.last(message.DeliveryArrived); n == 0 {
		t.Error("it is told to nobody")
	}
}

// A recipient who wasn't told of the arrival is told of the hand-over.
//
// Keeps: S30
func TestOneOfTheTwoIsTold(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	code := w.code()
	before := len(w.post.sent)
	w.by(d, handover.Act{Key: "0", Handover: id, Attempt: 1, Do: handover.DoArrive, Offline: true})
	w.want(w.by(d, handover.Act{Key: "1", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: code}), handover.Handed) // with signal, seconds later
	w.pass(time.Hour)
	_, err := w.h.Wake(t.Context(), 10)
	must(t, err)
	if n := len(w.post.sent) - before; n == 0 {
		t.Errorf("certainty %v: the recipient was told nothing, neither of the arrival nor of the hand-over", w.state(id, handover.HandedOver).Certainty)
	}
}

// Messages that can't be sent any more hold up no others.
func TestNothingHoldsUpTheOthers(t *testing.T) {
	w := newWorld(t, local(t), nil)
	mail, err := contact.Parse("maria@mail.example", "")
	must(t, err)
	for i := range 10 {
		phone := w.number(i)
		id := w.out(func(n *handover.NewHandover) { n.Recipient.Contacts = []contact.Contact{phone, mail} })
		w.pass(time.Minute)
		_, err = w.h.SendAgain(t.Context(), w.svc, id, service.Email)
		must(t, err)
		for _, m := range w.post.sent {
			must(t, w.h.Report(t.Context(), message.Report{Ref: m.Ref, Sent: m.Channel != service.Email, RetryIn: 10 * time.Second}))
		}
		_, err = w.h.Change(t.Context(), w.svc, id, handover.Change{Recipient: &handover.Recipient{Contacts: []contact.Contact{phone}}})
		must(t, err)
	}
	id := w.create(nil)
	d, _ := w.shift(id)
	w.pass(time.Minute)
	w.by(d, handover.Act{Key: "0", Handover: id, Attempt: 1, Do: handover.DoArrive, Offline: true})
	w.pass(2 * time.Minute)
	for range 5 {
		n, err := w.h.Wake(t.Context(), 10)
		must(t, err)
		t.Log(n)
	}
	if _, n := w.post.last(message.DeliveryArrived); n != 1 {
		t.Errorf("the arrival of another parcel is told %d times: ten stuck rows take all the places", n)
	}
}

// A name in two spellings of Unicode is one courier, with one bound a day.
//
// Keeps: S29
func TestTwoSpellingsAreOneCourier(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.CourierGuesses = 6 })
	a, err := w.h.By(w.svc, "Zo\u00e9")
	must(t, err)
	b, err := w.h.By(w.svc, "Zoe\u0301")
	must(t, err)
	if a.Courier != b.Courier {
		t.Error("Zoé isn't Zoé")
	}
}

// An order whose hand-over is gone by age can be used again.
func TestAnOrderAgainAfterItsTime(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(func(n *handover.NewHandover) { n.Order = "A-1" })
	_, err := w.h.Cancel(t.Context(), w.svc, id, "api:k")
	must(t, err)
	keep := 30 * 24 * time.Hour
	w.pass(keep + 24*time.Hour)
	var last ledger.ID
	for i := range last {
		last[i] = 0xff
	}
	for _, kind := range []ledger.Kind{ledger.KindHandover, ledger.KindOrder} {
		_, n, err := w.store.Sweep(t.Context(), kind, ledger.ID{}, last, func(v ledger.Value) bool { return handover.Stale(v, w.ledger.Now(), keep) }, handover.DecodeRow)
		must(t, err)
		t.Log(kind, n)
	}
	_, _, err = w.h.Create(t.Context(), w.svc, w.parcel(func(n *handover.NewHandover) {
		n.Order = "A-1"
		n.Window = handover.Window{From: "2026-12-28T14:00", Until: "2026-12-28T16:00", Zone: "Europe/Berlin"}
	}))
	must(t, err)
}

// Revoking what is revoked is nothing to note.
func TestPressesPushOutNoNote(t *testing.T) {
	w := newWorld(t, local(t), nil)
	d, _ := w.shift()
	_, err := w.h.Invite(t.Context(), w.svc, d.Courier, "staff:thief")
	must(t, err)
	for range 40 {
		must(t, w.h.Revoke(t.Context(), w.svc, d.Courier, "staff:other"))
	}
	day, err := w.h.Depot(t.Context(), w.svc, "Lyon 3", "", "Europe/Berlin")
	must(t, err)
	for _, n := range day.Rounds[0].Notes {
		if n.By == "staff:thief" {
			return
		}
	}
	t.Error("the note of who made the link is lost; revoking what is revoked is noted forty times")
}
