// SPDX-License-Identifier: Apache-2.0

package handover_test

import (
	"testing"
	"time"

	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// shift opens Kim's round with parcels and binds a phone.
func (w *world) shift(parcels ...ledger.ID) (*handover.Device, *handover.Round) {
	w.Helper()
	r, token, left, err := w.h.OpenRound(w.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: kim, Zone: "Europe/Berlin", Parcels: parcels})
	must(w, err)
	if len(left) > 0 {
		w.Fatalf("%v", left[0].Err)
	}
	return w.bind(token.Reveal()), r
}

func (w *world) bind(token string) *handover.Device {
	w.Helper()
	session, _, err := w.h.Enrol(w.Context(), w.svc, token, "", "Chrome on Android")
	must(w, err)
	d, err := w.h.DeviceBy(w.Context(), w.svc, session.Reveal())
	must(w, err)
	return d
}

// by acts as the courier with this phone.
func (w *world) by(d *handover.Device, a handover.Act) *handover.Acted {
	w.Helper()
	out, err := w.h.Act(w.Context(), w.svc, handover.Who{Courier: d.Courier, Device: d}, a)
	must(w, err)
	return out
}

func (w *world) ticket(id ledger.ID) string {
	w.Helper()
	s, err := w.h.ShowCode(w.Context(), w.svc, id)
	must(w, err)
	return s.Ticket
}

// What was typed without signal is judged when it is told, in order, and told three times it is one thing; a wrong one goes to the depot with its facts.
//
// Keeps: H.3, S31
func TestTypedWithoutSignal(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		a, b := w.create(nil), w.create(nil)
		d, _ := w.shift(a)
		codeA := w.code()
		_, left, err := w.h.AddToRound(t.Context(), w.svc, d.Round, []ledger.ID{b})
		if err != nil || len(left) > 0 {
			t.Fatal(err, left)
		}
		codeB := w.code()
		said := w.ledger.Now().Add(6 * time.Hour)
		w.pass(8 * time.Hour)
		acts := []handover.Act{
			{Key: "1", Handover: a, Attempt: 1, Do: handover.DoArrive, Offline: true, SaidAt: said},
			{Key: "2", Handover: a, Attempt: 1, Do: handover.DoCode, Typed: codeA, Offline: true, SaidAt: said.Add(time.Minute)},
			{Key: "3", Handover: b, Attempt: 1, Do: handover.DoArrive, Offline: true, SaidAt: said.Add(24 * time.Hour)}, // a clock that is wrong by a day
			{Key: "4", Handover: b, Attempt: 1, Do: handover.DoCode, Typed: other(codeB), Offline: true, SaidAt: said.Add(24 * time.Hour)},
		}
		want := []handover.Result{handover.Done, handover.Handed, handover.Done, handover.Wrong}
		for range 3 {
			for i, act := range acts {
				out := w.by(d, act)
				w.want(out, want[i])
			}
		}
		v := w.state(a, handover.HandedOver)
		if v.Certainty != handover.SettledLater || v.HandedAt.Sub(said.Add(time.Minute)).Abs() > time.Second {
			t.Fatalf("%v %v", v.Certainty, v.HandedAt)
		}
		if _, n := w.post.last(message.DeliveryArrived); n != 0 {
			t.Fatal("the recipient is told of an arrival that is over")
		}
		v = w.state(b, handover.Arrived)
		if len(v.Conflicts) != 1 || v.TriesLeft != 5 || v.Conflicts[0].Result != handover.Wrong || v.Exceptions()[0] != handover.ExceptionConflict {
			t.Fatalf("%+v", v.Conflicts)
		}
		day, err := w.h.Depot(t.Context(), w.svc, "Lyon 3", "", "Europe/Berlin")
		must(t, err)
		if f := day.Figures; f.Code != 1 || f.Offline != 1 || f.Conflicts != 1 || f.Unseen != 2 || len(day.Rounds) != 1 || len(day.Rounds[0].Parcels) != 2 {
			t.Fatalf("%+v", day.Figures)
		}
		_, err = w.h.SettleConflicts(t.Context(), w.svc, b, "staff:x")
		must(t, err)
		if ex := w.state(b, handover.Arrived).Exceptions(); len(ex) != 1 || ex[0] != handover.ExceptionUnseen {
			t.Fatalf("%v", ex)
		}
		// In the end somebody at the depot has spoken with the recipient.
		_, err = w.h.Release(t.Context(), w.svc, b, "staff:acc_1", "recipient called, has it")
		must(t, err)
		if v := w.state(b, handover.HandedOver); v.Means != handover.BySecondPerson || v.Certainty != handover.Weaker {
			t.Fatalf("%+v", v)
		}
	})
}

// Who says that there was no signal can't keep an arrival from its recipient.
//
// Keeps: H.3, S30
func TestArrivalWithoutSignalIsTold(t *testing.T) {
	w := newWorld(t, local(t), nil)
	a, b := w.create(nil), w.create(nil)
	d, _ := w.shift(a, b)
	w.by(d, handover.Act{Key: "1", Handover: a, Attempt: 1, Do: handover.DoArrive, Offline: true})
	w.by(d, handover.Act{Key: "2", Handover: b, Attempt: 1, Do: handover.DoArrive, Offline: true})
	w.by(d, handover.Act{Key: "3", Handover: b, Attempt: 1, Do: handover.DoGiveUp, Reason: handover.NobodyHome, Offline: true})
	if _, n := w.post.last(message.DeliveryArrived); n != 0 {
		t.Fatal("told before it can be known whether it is over")
	}
	w.pass(2 * time.Minute)
	_, err := w.h.Wake(t.Context(), 10)
	must(t, err)
	if m, n := w.post.last(message.DeliveryArrived); n != 1 || m.Ref.Row.ID != a {
		t.Fatalf("%d notices of the arrival that isn't over", n)
	}
}

// A day that ended meanwhile doesn't make a true hand-over untrue; another attempt does, and the depot hears of it.
//
// Keeps: H.3, S31
func TestToldAfterTheDay(t *testing.T) {
	w := newWorld(t, local(t), nil)
	a, b := w.create(nil), w.create(nil)
	d, _ := w.shift(a)
	codeA := w.code()
	_, _, err := w.h.AddToRound(t.Context(), w.svc, d.Round, []ledger.ID{b})
	must(t, err)
	codeB := w.code()
	said := w.ledger.Now().Add(5 * time.Hour)
	tell := func(id ledger.ID, key, code string) *handover.Acted {
		w.by(d, handover.Act{Key: key + "arrive", Handover: id, Attempt: 1, Do: handover.DoArrive, Offline: true, SaidAt: said})
		return w.by(d, handover.Act{Key: key, Handover: id, Attempt: 1, Do: handover.DoCode, Typed: code, Offline: true, SaidAt: said})
	}
	w.pass(5 * time.Hour)
	w.want(w.by(d, handover.Act{Key: "x", Handover: a, Attempt: 1, Do: handover.DoArrive, Offline: true, SaidAt: said}), handover.Done)
	w.pass(11 * time.Hour) // past midnight
	_, err = w.h.Wake(t.Context(), 10)
	must(t, err)
	w.state(a, handover.Attempted)
	w.want(tell(a, "a", codeA), handover.Handed)
	w.state(a, handover.HandedOver)

	_, err = w.h.AnotherDay(t.Context(), w.svc, b, "2026-11-28")
	must(t, err)
	w.pass(20 * time.Hour)
	_, err = w.h.Dispatch(t.Context(), w.svc, b, kim)
	must(t, err)
	out := tell(b, "b", codeB)
	w.want(out, handover.OldAttempt)
	if !out.Conflict || len(w.state(b, handover.Out).Conflicts) != 1 {
		t.Fatal("the depot doesn't hear of it")
	}
	w.by(d, handover.Act{Key: "there", Handover: b, Attempt: 2, Do: handover.DoArrive, Offline: true, SaidAt: said})
	w.pass(65 * time.Hour)
	late := w.by(d, handover.Act{Key: "late", Handover: b, Attempt: 2, Do: handover.DoCode, Typed: w.code(), Offline: true, SaidAt: said})
	if w.want(late, handover.Late); !late.Conflict {
		t.Fatal("what is told days later goes to the depot")
	}
}

// A link works once, for one phone and one shift; a phone that is revoked shows and does nothing more.
//
// Keeps: S31, H.3
func TestPhonesOfCouriers(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		id := w.create(nil)
		r, token, _, err := w.h.OpenRound(t.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: kim, Zone: "Europe/Berlin", Hours: 8, Parcels: []ledger.ID{id}})
		must(t, err)
		session, d, err := w.h.Enrol(t.Context(), w.svc, token.Reveal(), "", "")
		must(t, err)
		if d.Name != kim || d.Round != r.ID {
			t.Fatalf("%+v", d)
		}
		_, _, err = w.h.Enrol(t.Context(), w.svc, token.Reveal(), "", "")
		refused(t, err, "enrol_token_invalid")
		for _, bad := range []string{"", "crt_", token.Reveal()[:len(token.Reveal())-4] + "aaaa", session.Reveal()} {
			_, _, err = w.h.Enrol(t.Context(), w.svc, bad, "", "")
			refused(t, err, "enrol_token_invalid")
		}
		// Another link takes the round to another phone; the first is out.
		again, err := w.h.Invite(t.Context(), w.svc, d.Courier, "staff:x")
		must(t, err)
		_, err = w.h.DeviceBy(t.Context(), w.svc, session.Reveal())
		must(t, err)
		second, d2, err := w.h.Enrol(t.Context(), w.svc, again.Reveal(), "", "")
		must(t, err)
		_, err = w.h.DeviceBy(t.Context(), w.svc, session.Reveal())
		refused(t, err, "shift_over")
		if d.Binding == d2.Binding {
			t.Fatal("two phones with one binding")
		}
		_, err = w.h.Act(t.Context(), w.svc, handover.Who{Courier: d.Courier, Device: d}, handover.Act{Handover: id, Do: handover.DoArrive})
		refused(t, err, "shift_over")
		w.want(w.by(d2, handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
		must(t, w.h.Revoke(t.Context(), w.svc, d.Courier, "staff:x"))
		_, err = w.h.DeviceBy(t.Context(), w.svc, second.Reveal())
		refused(t, err, "shift_over")
		_, err = w.h.Act(t.Context(), w.svc, handover.Who{Courier: d.Courier, Device: d2}, handover.Act{Handover: id, Do: handover.DoCode, Typed: w.code()})
		refused(t, err, "shift_over")

		third, err := w.h.Invite(t.Context(), w.svc, d.Courier, "staff:x")
		must(t, err)
		session, _, err = w.h.Enrol(t.Context(), w.svc, third.Reveal(), "", "")
		must(t, err)
		w.pass(9 * time.Hour)
		over, err := w.h.DeviceBy(t.Context(), w.svc, session.Reveal())
		if err != nil || !over.Over {
			t.Fatal("after the shift a phone may only tell what was before", err)
		}
		_, err = w.h.Act(t.Context(), w.svc, handover.Who{Courier: d.Courier, Device: over}, handover.Act{Handover: id, Do: handover.DoCode, Typed: w.code()})
		refused(t, err, "shift_over")
		_, err = w.h.Invite(t.Context(), w.svc, d.Courier, "staff:x")
		refused(t, err, "shift_over")
		w.pass(40 * time.Hour)
		_, err = w.h.DeviceBy(t.Context(), w.svc, session.Reveal())
		refused(t, err, "shift_over")
	})
}

// A QR code counts for its hand-over, attempt, code and phone, and once; it holds no code.
//
// Keeps: H.3, H.4, S31
func TestTickets(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.DeliveryAttempts = 5 })
	id, next := w.create(nil), w.create(nil)
	d, _ := w.shift(id, next)
	w.pass(5 * time.Hour) // the window has begun
	ticket := w.ticket(id)
	scan := func(d *handover.Device, id ledger.ID, ticket string, offline bool) *handover.Acted {
		return w.by(d, handover.Act{Handover: id, Do: handover.DoTicket, Ticket: ticket, Offline: offline, SaidAt: w.ledger.Now()})
	}
	w.want(scan(d, id, ticket, false), handover.NotArrived)
	w.want(w.by(d, handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	w.want(w.by(d, handover.Act{Handover: next, Do: handover.DoArrive}), handover.Done)
	w.want(scan(d, next, ticket, false), handover.OtherParcel)
	changed := []byte(ticket)
	changed[20] ^= 1
	w.want(scan(d, id, string(changed), false), handover.BadTicket)
	w.want(scan(d, id, "https://example.com", false), handover.BadTicket)

	// Another phone: its tickets are its own, but what the one before did without signal still counts.
	again, err := w.h.Invite(t.Context(), w.svc, d.Courier, "staff:x")
	must(t, err)
	d2 := w.bind(again.Reveal())
	w.want(scan(d2, id, ticket, false), handover.OtherDevice)
	w.want(scan(d2, id, w.ticket(id), false), handover.Handed)
	w.want(scan(d2, id, w.ticket(next), false), handover.Over)
	if v := w.state(id, handover.HandedOver); v.Means != handover.ByTicket || v.Certainty != handover.Confirmed {
		t.Fatalf("%+v", v)
	}

	old := w.ticket(next)
	_, err = w.h.AskedByPhone(t.Context(), w.svc, next, "", "")
	must(t, err)
	w.want(scan(d2, next, old, false), handover.OldTicket)
	p, err := w.h.Share(t.Context(), w.svc, next, "Ann")
	must(t, err)
	shown, err := w.h.ShowPass(t.Context(), w.svc, next, p.Number)
	must(t, err)
	w.want(scan(d2, next, shown.Ticket, true), handover.Handed)
	if v := w.state(next, handover.HandedOver); v.Means != handover.ByPassTicket || v.Certainty != handover.ConfirmedOffline {
		t.Fatalf("%+v", v)
	}

	third := w.out(nil)
	w.pass(15 * time.Hour)
	_, err = w.h.ShowCode(t.Context(), w.svc, third)
	refused(t, err, "code_not_yet")
}

// A page shows a code only once its parcel is under way and its window has begun, or the courier is there.
//
// Keeps: S28
func TestWhenACodeIsShown(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	_, err := w.h.ShowCode(t.Context(), w.svc, id)
	refused(t, err, "code_not_yet")
	_, err = w.h.Dispatch(t.Context(), w.svc, id, kim)
	must(t, err)
	_, err = w.h.ShowCode(t.Context(), w.svc, id) // the window begins in hours
	refused(t, err, "code_not_yet")
	w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	shown, err := w.h.ShowCode(t.Context(), w.svc, id)
	must(t, err)
	if "D-"+shown.Code.Reveal() != w.code() {
		t.Fatal("the page and the message disagree")
	}
	w.want(w.typed(id, shown.Code.Reveal()), handover.Handed)
	_, err = w.h.ShowCode(t.Context(), w.svc, id)
	refused(t, err, "code_not_yet")
}

// The bad days at a door: a code asked for before the arrival, of another parcel, of yesterday, of another depot's courier, and a courier at a parcel that
// isn't theirs. Each has an answer of its own, and only what was a guess costs a try.
//
// Keeps: H.3, S29, S30
func TestCodesThatBelongElsewhere(t *testing.T) {
	w := newWorld(t, local(t), nil)
	sent := func() (ledger.ID, string) {
		id := w.create(nil)
		_, err := w.h.Dispatch(t.Context(), w.svc, id, kim)
		must(t, err)
		return id, w.code()
	}
	mine, right := sent()
	_, sibling := sent()
	far := w.create(func(n *handover.NewHandover) { n.Depot = "Paris 11" })
	_, err := w.h.Dispatch(t.Context(), w.svc, far, "Lou")
	must(t, err)
	fars := w.code()
	for _, code := range []string{sibling, fars} { // two of 100,000 are alike now and then, and then this proves nothing
		if code == right {
			t.Skip("the dice have thrown the same code twice")
		}
	}

	early := w.typed(mine, right)
	w.want(early, handover.NotArrived)
	if early.TriesLeft != handover.MaxWrong {
		t.Fatal("asking too early costs a try")
	}
	w.want(w.act(handover.Act{Handover: mine, Do: handover.DoArrive}), handover.Done)
	for i, code := range []string{sibling, fars} {
		if a := w.typed(mine, code); a.Result != handover.Wrong || a.TriesLeft != handover.MaxWrong-1-i {
			t.Fatalf("a code of another parcel: %+v", a)
		}
	}
	w.want(w.typed(far, fars), handover.NotYours) // Kim, with the right code of Lou's parcel
	w.want(w.act(handover.Act{Handover: far, Do: handover.DoArrive}), handover.NotYours)
	if v := w.state(far, handover.Out); v.TriesLeft != handover.MaxWrong {
		t.Fatal("another courier's try counts")
	}

	w.want(w.act(handover.Act{Handover: mine, Do: handover.DoGiveUp, Reason: handover.NobodyHome}), handover.Done)
	_, err = w.h.AnotherDay(t.Context(), w.svc, mine, "2026-11-27")
	must(t, err)
	w.pass(24 * time.Hour)
	_, err = w.h.Dispatch(t.Context(), w.svc, mine, kim)
	must(t, err)
	w.want(w.act(handover.Act{Handover: mine, Do: handover.DoArrive}), handover.Done)
	if w.code() == right {
		t.Skip("the dice have thrown yesterday's code again")
	}
	w.want(w.typed(mine, right), handover.Wrong)
	w.want(w.act(handover.Act{Handover: mine, Attempt: 1, Do: handover.DoCode, Typed: right}), handover.OldAttempt)
	w.want(w.typed(mine, w.code()), handover.Handed)
}

// What is told twice of one hand-over is no conflict, as long as it says the same of the same person: the code typed again, the QR code scanned after it.
// What says something else is one.
//
// Keeps: H.3, S31
func TestTheSameToldOnceMore(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id, weak := w.create(nil), w.create(nil)
	d, _ := w.shift(id)
	code := w.code()
	_, _, err := w.h.AddToRound(t.Context(), w.svc, d.Round, []ledger.ID{weak})
	must(t, err)
	codeOfWeak := w.code()
	w.pass(5 * time.Hour)
	p, err := w.h.Share(t.Context(), w.svc, id, "Ann")
	must(t, err)
	pass, err := w.h.ShowPass(t.Context(), w.svc, id, p.Number)
	must(t, err)
	ticket, passTicket := w.ticket(id), pass.Ticket
	told := func(n string, a handover.Act, want handover.Result, conflicts int) {
		t.Helper()
		if a.Handover.IsZero() {
			a.Handover = id
		}
		a.Key, a.Attempt, a.SaidAt = n, 1, w.ledger.Now()
		out := w.by(d, a)
		if w.want(out, want); len(out.View.Conflicts) != conflicts {
			t.Fatalf("%s: %d conflicts, want %d", n, len(out.View.Conflicts), conflicts)
		}
	}
	typed := func(text string) handover.Act {
		return handover.Act{Do: handover.DoCode, Typed: text, Offline: true}
	}
	scanned := func(text string) handover.Act {
		return handover.Act{Do: handover.DoTicket, Ticket: text, Offline: true}
	}
	told("a", handover.Act{Do: handover.DoArrive, Offline: true}, handover.Done, 0)
	told("b", typed(code), handover.Handed, 0)
	told("c", typed(code), handover.Handed, 0)
	told("d", scanned(ticket), handover.Handed, 0)
	if v := w.state(id, handover.HandedOver); v.Means != handover.ByCode || v.Certainty != handover.SettledLater {
		t.Fatalf("told again it has become %v, %v", v.Means, v.Certainty)
	}
	told("e", typed(other(code)), handover.Over, 1)
	told("f", scanned(spoilt(ticket)), handover.Over, 2)
	told("g", scanned(passTicket), handover.Over, 3) // the neighbour's: who has it?
	told("h", typed("D-"+pass.Code.Reveal()), handover.Over, 4)
	told("i", handover.Act{Do: handover.DoCode, Typed: code}, handover.Over, 4) // with signal nothing is left to be told
	if f := w.figures(); f.Code != 1 || f.Ticket != 0 || f.Offline != 1 {
		t.Fatalf("one hand-over is counted as %+v", f)
	}

	told("j", handover.Act{Handover: weak, Do: handover.DoArrive}, handover.Done, 0)
	told("k", handover.Act{Handover: weak, Do: handover.DoWeak, Means: handover.ByIdentity, Note: "passport"}, handover.Handed, 0)
	a := typed(codeOfWeak)
	a.Handover = weak
	told("l", a, handover.Over, 1)
}

func (w *world) figures() handover.Figures {
	w.Helper()
	day, err := w.h.Depot(w.Context(), w.svc, "Lyon 3", "", "Europe/Berlin")
	must(w, err)
	return day.Figures
}

// That a code for signing in was offered at the door is told as that, with and without signal: it is no try and no conflict, and the recipient is warned once.
//
// Keeps: S27
func TestASignInCodeIsToldAsOne(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	for i, offline := range []bool{true, false, true} {
		out := w.by(d, handover.Act{Key: string(rune('a' + i)), Handover: id, Attempt: 1, Do: handover.DoSignIn, Offline: offline, SaidAt: w.ledger.Now()})
		if w.want(out, handover.SignInCode); out.Conflict || out.TriesLeft != handover.MaxWrong {
			t.Fatalf("%+v", out)
		}
	}
	if _, n := w.post.last(message.DeliveryAsked); n != 1 || w.happened("handover.sign_in_code_typed") != 1 {
		t.Fatalf("the recipient is warned %d times", n)
	}
}
