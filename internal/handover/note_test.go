// SPDX-License-Identifier: Apache-2.0

package handover_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/handover"
)

// Who does something beside what codes do is kept with the hand-over: why, and when. So is who looks an order up, once an hour; and who takes a
// courier's phone its rights.
//
// Keeps: H.5
func TestWhoDidWhat(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		w := newWorld(t, url, nil)
		did := func(v *handover.View, err error) func(want ...string) {
			t.Helper()
			must(t, err)
			return func(want ...string) {
				t.Helper()
				var got []string
				for _, n := range v.Notes {
					got = append(got, fmt.Sprintf("%s %s %s", n.By, n.Did, n.Text))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%q, want %q", got, want)
				}
			}
		}
		id := w.arrived(nil)
		order := w.state(id, handover.Arrived).Order
		looks := func(by string) (*handover.View, error) {
			all, err := w.h.LookUp(t.Context(), w.svc, order, by)
			if err != nil {
				return nil, err
			}
			return all[0], nil
		}
		did(looks("staff:a"))("staff:a looked_up ")
		did(looks("staff:a"))("staff:a looked_up ")
		did(looks("staff:b"))("staff:a looked_up ", "staff:b looked_up ")
		did(w.h.Release(t.Context(), w.svc, id, "staff:b", "passport seen"))("staff:a looked_up ", "staff:b looked_up ", "staff:b released passport seen")
		w.pass(61 * time.Minute)
		did(looks("staff:a"))("staff:a looked_up ", "staff:b looked_up ", "staff:b released passport seen", "staff:a looked_up ")
		_, err := w.h.LookUp(t.Context(), w.svc, "another", "staff:a")
		refused(t, err, "order_not_found")
		if v, err := w.h.Get(t.Context(), w.svc, id); err != nil || len(v.Notes) != 4 { // an application reads without being noted
			t.Errorf("%v, %v", v, err)
		}

		for n := range 60 { // looks give way, and what was done stays
			did(looks(fmt.Sprint("staff:", n)))
		}
		v, err := w.h.Get(t.Context(), w.svc, id)
		must(t, err)
		if len(v.Notes) != 40 || !slices.ContainsFunc(v.Notes, func(n handover.Note) bool { return n.Did == handover.DidRelease }) || v.Notes[39].By != "staff:59" {
			t.Errorf("%d notes, the last by %s", len(v.Notes), v.Notes[len(v.Notes)-1].By)
		}

		id = w.out(nil)
		did(w.h.EndAttempt(t.Context(), w.svc, id, "staff:a"))("staff:a attempt_ended ")
		did(w.h.EndAttempt(t.Context(), w.svc, id, "staff:b"))("staff:a attempt_ended ", "staff:b looked_up ") // again
		did(w.h.Return(t.Context(), w.svc, id, "api:k"))("staff:a attempt_ended ", "staff:b looked_up ", "api:k returned ")
		id = w.create(nil)
		did(w.h.Cancel(t.Context(), w.svc, id, "api:k"))("api:k canceled ")

		id = w.create(nil)
		d, _ := w.shift(id)
		w.by(d, handover.Act{Key: "1", Handover: id, Attempt: 1, Do: handover.DoArrive, Offline: true})
		w.by(d, handover.Act{Key: "2", Handover: id, Attempt: 1, Do: handover.DoCode, Typed: other(w.code()), Offline: true})
		did(w.h.SettleConflicts(t.Context(), w.svc, id, "staff:a"))("staff:a settled ")
		did(w.h.SettleConflicts(t.Context(), w.svc, id, "staff:b"))("staff:a settled ", "staff:b looked_up ")
		w.by(d, handover.Act{Key: "3", Handover: id, Attempt: 1, Do: handover.DoWeak, Means: handover.ByIdentity, Note: "passport"})
		did(w.h.Get(t.Context(), w.svc, id))("staff:a settled ", "staff:b looked_up ", handover.FormatCourier(d.Courier)+" weaker_proof passport")

		_, err = w.h.Invite(t.Context(), w.svc, d.Courier, "staff:a")
		must(t, err)
		must(t, w.h.Revoke(t.Context(), w.svc, d.Courier, "staff:b"))
		_, _, _, err = w.h.OpenRound(t.Context(), w.svc, handover.NewRound{Depot: "Lyon 3", Courier: kim, Zone: "Europe/Berlin", By: "staff:c"})
		must(t, err)
		day, err := w.h.Depot(t.Context(), w.svc, "Lyon 3", "", "Europe/Berlin")
		must(t, err)
		r := day.Rounds[0]
		if r.By != "staff:c" || len(r.Notes) != 2 || r.Notes[0].Did != handover.DidInvite || r.Notes[0].By != "staff:a" || r.Notes[1].Did != handover.DidRevoke || r.Notes[1].By != "staff:b" {
			t.Errorf("opened by %q, with %+v", r.By, r.Notes)
		}
	})
}
