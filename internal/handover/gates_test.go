// SPDX-License-Identifier: Apache-2.0

package handover_test

import (
	"fmt"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// A phone's secret is the whole secret: another courier's, a forged one and one of a shift before open nothing.
//
// Keeps: H.3, S31
func TestSecretsOfPhones(t *testing.T) {
	w := newWorld(t, local(t), nil)
	open := func(courier string) string {
		t.Helper()
		_, token, _, err := w.h.OpenRound(t.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: courier, Zone: "Europe/Berlin"})
		must(t, err)
		session, _, err := w.h.Enrol(t.Context(), w.svc, token.Reveal(), "", "")
		must(t, err)
		return session.Reveal()
	}
	before, kims := open(kim), open(kim)
	if _, err := w.h.DeviceBy(t.Context(), w.svc, kims); err != nil {
		t.Fatal(err)
	}
	raw, err := secret.DecodeToken("crd_", kims)
	must(t, err)
	forged := append([]byte(nil), raw...)
	forged[len(forged)-1] ^= 1
	swapped, err := secret.DecodeToken("crd_", open("Lou"))
	must(t, err)
	copy(swapped, raw[:16]) // Lou's secret with Kim's name
	nobody := append([]byte(nil), raw...)
	nobody[0] ^= 1
	for name, session := range map[string]string{
		"a shift before": before, "forged": secret.EncodeToken("crd_", forged), "another courier's": secret.EncodeToken("crd_", swapped),
		"nobody's": secret.EncodeToken("crd_", nobody), "short": kims[:len(kims)-6], "none": "",
	} {
		if _, err := w.h.DeviceBy(t.Context(), w.svc, session); err == nil {
			t.Errorf("%s opens the round", name)
		} else {
			refused(t, err, "shift_over")
		}
	}
	w.pass(12*time.Hour + 37*time.Hour)
	_, err = w.h.DeviceBy(t.Context(), w.svc, kims)
	refused(t, err, "shift_over")
}

// A neighbour's QR code counts while its pass does: not when that was withdrawn, not in another attempt, and for no pass that was never given. What the phone before
// did without signal counts; what a phone that was signed out shows doesn't.
//
// Keeps: H.2, H.3, S31
func TestTicketsOfPasses(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.create(nil)
	d, _ := w.shift(id)
	w.pass(5 * time.Hour)
	w.want(w.by(d, handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	pass := func() (number int, ticket string) {
		t.Helper()
		p, err := w.h.Share(t.Context(), w.svc, id, "Ann")
		must(t, err)
		s, err := w.h.ShowPass(t.Context(), w.svc, id, p.Number)
		must(t, err)
		return p.Number, s.Ticket
	}
	scan := func(d *handover.Device, ticket string, offline bool) *handover.Acted {
		t.Helper()
		return w.by(d, handover.Act{Handover: id, Do: handover.DoTicket, Ticket: ticket, Offline: offline, SaidAt: w.ledger.Now()})
	}
	first, gone := pass()
	_, err := w.h.Withdraw(t.Context(), w.svc, id, first)
	must(t, err)
	_, err = w.h.Withdraw(t.Context(), w.svc, id, first) // again: it is gone
	must(t, err)
	w.want(scan(d, gone, false), handover.OldTicket)
	if a := scan(d, gone, true); a.Result != handover.OldTicket || !a.Conflict {
		t.Fatalf("withdrawn, and scanned without signal: %+v", a)
	}
	for _, n := range []int{0, 3, -1} {
		_, err = w.h.Withdraw(t.Context(), w.svc, id, n)
		refused(t, err, "pass_over")
		_, err = w.h.ShowPass(t.Context(), w.svc, id, n)
		refused(t, err, "pass_over")
	}
	_, old := pass()
	w.want(w.by(d, handover.Act{Handover: id, Do: handover.DoGiveUp, Reason: handover.NobodyHome}), handover.Done)
	_, err = w.h.Dispatch(t.Context(), w.svc, id, kim)
	must(t, err)
	w.want(w.by(d, handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
	w.want(scan(d, old, false), handover.OldTicket) // it was for the attempt before

	_, seen := pass()
	again, err := w.h.Invite(t.Context(), w.svc, d.Courier, "staff:x")
	must(t, err)
	d2 := w.bind(again.Reveal())
	must(t, w.h.Revoke(t.Context(), w.svc, d.Courier, "staff:x"))
	again, err = w.h.Invite(t.Context(), w.svc, d.Courier, "staff:x")
	must(t, err)
	d3 := w.bind(again.Reveal())
	if a := scan(d3, seen, true); a.Result != handover.OtherDevice || !a.Conflict {
		t.Fatalf("a ticket for a phone that was signed out as stolen: %+v", a)
	}
	_, fresh := pass()
	again, err = w.h.Invite(t.Context(), w.svc, d.Courier, "staff:x")
	must(t, err)
	d4 := w.bind(again.Reveal()) // an honest change of phones
	w.want(scan(d4, fresh, false), handover.OtherDevice)
	w.want(scan(d4, fresh, true), handover.Handed)
	if d2.Binding == d3.Binding || d3.Binding == d4.Binding {
		t.Fatal("two phones with one binding")
	}
	for _, name := range []string{"", " \n "} {
		_, err = w.h.Share(t.Context(), w.svc, id, name)
		refused(t, err, "name_missing")
	}
}

// A hand-over has as many attempts as it was made with, and neighbours only where service and hand-over both allow them.
//
// Keeps: H.1, H.2
func TestWhatAHandoverAllows(t *testing.T) {
	w := newWorld(t, local(t), nil)
	id := w.out(func(n *handover.NewHandover) { n.Attempts, n.NoPass = 2, true })
	_, err := w.h.Share(t.Context(), w.svc, id, "Ann")
	refused(t, err, "pass_not_allowed")
	for range 2 {
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive}), handover.Done)
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoGiveUp, Reason: handover.NobodyHome}), handover.Done)
		_, err = w.h.Dispatch(t.Context(), w.svc, id, kim)
	}
	refused(t, err, "attempts_used_up")
	_, err = w.h.AnotherDay(t.Context(), w.svc, id, "2026-11-27")
	refused(t, err, "attempts_used_up")
	for _, parcel := range []int{-1, handover.MaxParcels + 1} {
		_, _, err = w.h.Create(t.Context(), w.svc, w.parcel(func(n *handover.NewHandover) { n.Parcel = parcel }))
		refused(t, err, "invalid_parcel")
	}
	_, _, err = w.h.Create(t.Context(), w.svc, w.parcel(func(n *handover.NewHandover) { n.Recipient.Contacts = nil }))
	refused(t, err, "invalid_contacts")
	_, _, err = w.h.Create(t.Context(), w.svc, w.parcel(func(n *handover.NewHandover) { n.Recipient.Locale = "no language" }))
	refused(t, err, "invalid_locale")
	_, err = w.h.Find(t.Context(), w.svc, "order 99")
	refused(t, err, "order_not_found")

	none := newWorld(t, local(t), func(p *service.Policy) { p.DeliveryPass = false })
	_, err = none.h.Share(t.Context(), none.svc, none.out(nil), "Ann")
	refused(t, err, "pass_not_allowed")
}

// A code that waits to be sent isn't sent any more once it is another, or the day is over; on arrival it is sent once more where the service wants that.
//
// Keeps: H.1, H.3, S8
func TestCodesThatNeedNotBeSent(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.DeliveryAgain = true })
	codes := func() int {
		t.Helper()
		_, err := w.h.Wake(t.Context(), 100)
		must(t, err)
		_, n := w.post.last(message.DeliveryCode)
		return n
	}
	changed := w.out(nil)
	_, err := w.h.AskedByPhone(t.Context(), w.svc, changed, "", "")
	must(t, err)
	w.pass(time.Minute) // no node has sent anything, so all that waits is due again
	if n := codes(); n != 1 {
		t.Fatalf("a code that doesn't work any more is sent: %d", n)
	}
	at := w.arrived(nil) // the link, the code, the notice, and the code again
	if n := codes(); n != 3 {
		t.Fatalf("%d codes after an arrival", n)
	}
	w.want(w.typed(at, w.code()), handover.Handed)

	late := w.out(nil)
	w.pass(20 * time.Hour)
	before := codes()
	w.pass(time.Hour)
	if codes() != before {
		t.Fatal("a code is sent after its day")
	}
	w.state(late, handover.Attempted)

	quiet := newWorld(t, local(t), func(p *service.Policy) { p.DeliveryAgain = false })
	quiet.arrived(nil)
	if _, n := quiet.post.last(message.DeliveryCode); n != 1 {
		t.Fatalf("%d codes where one is wanted", n)
	}
}

// Positions are kept to a hundredth of a degree, and what is none isn't kept.
//
// Keeps: H.6
func TestPositions(t *testing.T) {
	w := newWorld(t, local(t), nil)
	for name, at := range map[string]*handover.Position{
		"none": nil, "too far north": {Lat: 90.1}, "too far south": {Lat: -91}, "too far east": {Lon: 180.5}, "too far west": {Lon: -181}, "no latitude": {Lat: math.NaN()}, "no longitude": {Lon: math.NaN()},
		"endless": {Lat: math.Inf(1), Lon: 1},
	} {
		id := w.out(nil)
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive, Position: at}), handover.Done)
		if ex := w.state(id, handover.Arrived).Exceptions(); len(ex) != 1 || ex[0] != handover.ExceptionUnseen {
			t.Errorf("%s: %v", name, ex)
		}
	}
	for _, at := range []handover.Position{{Lat: 90, Lon: 180}, {Lat: -90, Lon: -180}, {}} {
		id := w.out(nil)
		w.want(w.act(handover.Act{Handover: id, Do: handover.DoArrive, Position: &at}), handover.Done)
		if ex := w.state(id, handover.Arrived).Exceptions(); len(ex) != 0 {
			t.Errorf("%v: %v", at, ex)
		}
	}
}

// What the depot sees of a round: whose it is, which phone, what was done, what needs somebody, and what is wrong with one courier.
//
// Keeps: H.5, S29
func TestARoundAtTheDepot(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.CourierWeak = 2 })
	a, b, c := w.create(nil), w.create(nil), w.create(nil)
	unbound, token, _, err := w.h.OpenRound(t.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: kim, Zone: "Europe/Berlin", Parcels: []ledger.ID{a, b, c}})
	must(t, err)
	day := func() *handover.RoundView {
		t.Helper()
		d, err := w.h.Depot(t.Context(), w.svc, "Lyon 3", "2026-11-26", "")
		must(t, err)
		for _, r := range d.Rounds {
			if r.ID == unbound.ID {
				return r
			}
		}
		t.Fatal("the round isn't there")
		return nil
	}
	if r := day(); r.Device != "" || !r.BoundAt.IsZero() || !r.Current || r.Alarm || len(r.Parcels) != 3 || r.Name != kim {
		t.Fatalf("%+v", r)
	}
	session, _, err := w.h.Enrol(t.Context(), w.svc, token.Reveal(), "", "Firefox on Android")
	must(t, err)
	d, err := w.h.DeviceBy(t.Context(), w.svc, session.Reveal())
	must(t, err)
	if r := day(); r.Device != "Firefox on Android" || r.BoundAt.IsZero() {
		t.Fatalf("%+v", r)
	}
	for range handover.MaxWrong {
		w.want(w.by(d, handover.Act{Handover: a, Do: handover.DoArrive}), handover.Done)
		w.by(d, handover.Act{Handover: a, Do: handover.DoCode, Typed: "D-00000"})
	}
	if n := w.happened("handover.blocked"); n != 1 {
		t.Fatalf("%d times blocked", n)
	}
	for _, id := range []ledger.ID{a, b} {
		_, err = w.h.Release(t.Context(), w.svc, id, "staff:x", "passport seen")
		must(t, err)
	}
	if r := day(); r.Figures.Weak != 2 || r.Figures.Wrong != handover.MaxWrong || !r.Alarm {
		t.Fatalf("%+v %v", r.Figures, r.Alarm)
	}
	names, err := w.h.Names(t.Context(), w.svc, d.Courier, ledger.ID{}, ledger.ID{1})
	if err != nil || len(names) != 1 || names[d.Courier] != kim {
		t.Fatalf("%v %v", names, err)
	}
	_, _, _, err = w.h.OpenRound(t.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: kim, Zone: "Europe/Berlin"})
	must(t, err)
	if r := day(); r.Current || r.Device != "" {
		t.Fatalf("an earlier round has the phone of a later one: %+v", r)
	}
}

// In the minute of the morning in which all couriers are sent out, no parcel stays behind because the server has much to do.
//
// Keeps: H.1, H.5
func TestAllRoundsOfAMorningAtOnce(t *testing.T) {
	w := newWorld(t, local(t), nil)
	const rounds, each = 80, 64 // more at once than can wait in the ledger's queue
	var all, made sync.WaitGroup
	made.Add(rounds)
	for r := range rounds {
		all.Go(func() {
			ids := make([]ledger.ID, each)
			for i := range ids {
				ids[i] = w.create(nil)
			}
			made.Done()
			made.Wait()
			_, _, left, err := w.h.OpenRound(w.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: fmt.Sprint("courier ", r), Zone: "Europe/Berlin", Parcels: ids})
			if err != nil || len(left) > 0 {
				t.Errorf("round %d: %v, left behind: %d", r, err, len(left))
			}
		})
	}
	all.Wait()
}

// A copy of a row can be changed without the row: what a decision that failed has written must be nowhere.
//
// Keeps: A.2
func TestCopiesAreTheirOwn(t *testing.T) {
	for _, row := range []ledger.Value{&handover.Record{}, &handover.Courier{}} {
		from := reflect.ValueOf(row).Elem()
		for i := range from.NumField() {
			if f := from.Field(i); f.Kind() == reflect.Slice {
				f.Set(reflect.MakeSlice(f.Type(), 2, 8))
			}
		}
		to := reflect.ValueOf(row.Copy()).Elem()
		for i := range from.NumField() {
			f, name := from.Field(i), from.Type().Field(i).Name
			if f.Kind() != reflect.Slice || f.Type().Elem().Kind() == reflect.Uint8 { // sealed values and hashes are replaced and never written to
				continue
			}
			if f.Pointer() == to.Field(i).Pointer() {
				t.Errorf("%T.%s is shared with its copy", row, name)
			}
		}
	}
}

// Everything that happens to a hand-over is told to the application, once.
//
// Keeps: H.5
func TestEverythingIsTold(t *testing.T) {
	w := newWorld(t, local(t), func(p *service.Policy) { p.CourierWeak = 1 })
	a, b, c, e := w.create(nil), w.create(nil), w.create(nil), w.create(nil)
	d, _ := w.shift(a, b, c, e)
	do := func(err error) { t.Helper(); must(t, err) }
	ok := func(_ *handover.View, err error) { t.Helper(); must(t, err) }
	act := func(id ledger.ID, what handover.Do, change func(*handover.Act)) {
		t.Helper()
		a := handover.Act{Handover: id, Do: what}
		if change != nil {
			change(&a)
		}
		w.by(d, a)
	}
	hint := "the green door"
	ok(w.h.Change(t.Context(), w.svc, a, handover.Change{Hint: &hint}))
	p, err := w.h.Share(t.Context(), w.svc, a, "Ann")
	do(err)
	ok(w.h.Withdraw(t.Context(), w.svc, a, p.Number))
	ok(w.h.AskedByPhone(t.Context(), w.svc, a, "", ""))
	act(a, handover.DoArrive, nil)
	act(a, handover.DoCode, func(a *handover.Act) { a.Typed = "482135" })
	ok(w.h.NobodyHere(t.Context(), w.svc, a))
	ok(w.h.HereAfterAll(t.Context(), w.svc, a))
	act(a, handover.DoArrive, nil)
	m, _ := w.post.last(message.DeliveryNewCode)
	for range handover.MaxWrong {
		act(a, handover.DoCode, func(a *handover.Act) { a.Typed, a.Offline = other("D-"+m.Code.Reveal()), true })
	}
	ok(w.h.SettleConflicts(t.Context(), w.svc, a, "staff:x"))
	ok(w.h.Release(t.Context(), w.svc, a, "staff:x", "passport seen"))
	act(b, handover.DoGiveUp, func(a *handover.Act) { a.Reason = handover.NobodyHome })
	ok(w.h.Cancel(t.Context(), w.svc, b, "staff:x"))
	act(c, handover.DoRefuse, nil)
	ok(w.h.Return(t.Context(), w.svc, c, "staff:x"))
	do(w.h.Revoke(t.Context(), w.svc, d.Courier, "staff:x"))
	w.pass(40 * 24 * time.Hour)
	for range 2 { // the end of the day, then the end of all waiting
		_, err = w.h.Wake(t.Context(), 100)
		do(err)
	}
	for name, want := range map[string]int{
		"handover.created": 4, "handover.out_for_delivery": 4, "handover.arrived": 2, "handover.handed_over": 1, "handover.attempted": 2, "handover.refused": 1, "handover.returned": 1,
		"handover.expired": 1, "handover.canceled": 1, "handover.wrong_code": 6, "handover.blocked": 1, "handover.stopped": 1, "handover.resumed": 1, "handover.changed": 1, "handover.new_code": 1,
		"handover.sign_in_code_typed": 1, "handover.asked_by_phone": 1, "handover.pass_given": 1, "handover.pass_withdrawn": 1, "handover.conflict": 6, "handover.conflict_settled": 1,
		"courier.weak_proof_alarm": 1, "courier.device_bound": 1, "courier.device_revoked": 1,
	} {
		if n := w.happened(name); n != want {
			t.Errorf("%s was told %d times, want %d", name, n, want)
		}
	}
}

// A link whose answer was lost works again for the phone that used it, for some minutes, and for nobody else.
//
// Keeps: H.3, A.2
func TestALinkWhoseAnswerWasLost(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		_, token, _, err := w.h.OpenRound(t.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: kim, Zone: "Europe/Berlin"})
		must(t, err)
		const mine, others = "0123456789abcdef", "0123456789abcdeg"
		enrol := func(nonce string) (string, *handover.Device, error) {
			s, d, err := w.h.Enrol(t.Context(), w.svc, token.Reveal(), nonce, "")
			return s.Reveal(), d, err
		}
		lost, first, err := enrol(mine)
		must(t, err)
		got, again, err := enrol(mine)
		must(t, err)
		if again.Binding != first.Binding || got == lost {
			t.Fatal("the phone that asks again is another phone, or shares a secret")
		}
		_, err = w.h.DeviceBy(t.Context(), w.svc, lost)
		refused(t, err, "shift_over")
		_, err = w.h.DeviceBy(t.Context(), w.svc, got)
		must(t, err)
		for _, nonce := range []string{others, "", mine[:8], mine + " "} {
			_, _, err = enrol(nonce)
			refused(t, err, "enrol_token_invalid")
		}
		if n := w.happened("courier.device_bound"); n != 1 {
			t.Fatalf("bound %d times", n)
		}
		w.pass(11 * time.Minute)
		_, _, err = enrol(mine)
		refused(t, err, "enrol_token_invalid")

		// A phone that was signed out, or came before another, has nothing to ask for again.
		for _, end := range []func(courier ledger.ID){
			func(courier ledger.ID) { must(t, w.h.Revoke(t.Context(), w.svc, courier, "staff:x")) },
			func(courier ledger.ID) {
				other, err := w.h.Invite(t.Context(), w.svc, courier, "staff:x")
				must(t, err)
				_, _, err = w.h.Enrol(t.Context(), w.svc, other.Reveal(), others, "")
				must(t, err)
			},
		} {
			token, err = w.h.Invite(t.Context(), w.svc, first.Courier, "staff:x")
			must(t, err)
			_, _, err = enrol(mine)
			must(t, err)
			end(first.Courier)
			_, _, err = enrol(mine)
			refused(t, err, "enrol_token_invalid")
		}
	})
}
