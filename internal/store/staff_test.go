// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/store"
)

// The list of staff is each service's own.
func TestStaffOfServices(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		at := time.Date(2026, 2, 3, 4, 5, 6, int(7*time.Millisecond), time.UTC)
		ann := account.StaffMember{Service: 1, Account: ledger.ID{1, 0xff}, Role: account.Support, Since: at.Add(time.Hour)}
		bob := account.StaffMember{Service: 1, Account: ledger.ID{2, 0x80}, Role: account.Operator, Since: at}
		cid := account.StaffMember{Service: 2, Account: ann.Account, Role: account.Depot, Since: at}
		for _, m := range []account.StaffMember{ann, bob, cid} {
			if err := s.AddStaff(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.AddStaff(t.Context(), ann); err == nil {
			t.Error("somebody is on the list twice")
		}
		lists := func(want map[uint32][]account.StaffMember) {
			t.Helper()
			for svc, all := range want {
				if got, err := s.Staff(t.Context(), svc); err != nil || !reflect.DeepEqual(got, all) {
					t.Errorf("service %d: %+v, %v, want %+v", svc, got, err, all)
				}
			}
		}
		lists(map[uint32][]account.StaffMember{1: {bob, ann}, 2: {cid}, 3: nil})
		for _, want := range []bool{true, false} {
			if was, err := s.RemoveStaff(t.Context(), 1, ann.Account); err != nil || was != want {
				t.Errorf("removed: %v, %v", was, err)
			}
		}
		lists(map[uint32][]account.StaffMember{1: {bob}, 2: {cid}})
	})
}
