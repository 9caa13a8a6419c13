// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/secret"
)

// Whether an account exists is not told by time: known and unknown addresses in random order, and the 95 % interval of the difference of the medians
// (bootstrap). The statements that CI compares say the same without a clock; this is the command that measures:
//
//	COUNTERSIGN_TEST_TIMING=2000 go test ./internal/account -run TestTiming -v
//
// Keeps: S16
func TestTiming(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("COUNTERSIGN_TEST_TIMING"))
	measuring := rounds > 0
	if !measuring {
		rounds = 10 // that it works; CI asserts no times
	}
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "account.db"), nil)
	var took [2][]float64
	names := [2]func(int) string{}
	for i := range rounds { // each address once or twice, so that no wait begins
		w.signUp(fmt.Sprintf("p%d@mail.example", i))
	}
	names[0] = func(i int) string { return fmt.Sprintf("p%d@mail.example", i) }
	names[1] = func(i int) string { return fmt.Sprintf("nobody%d@mail.example", i) }
	order := make([]int, 2*rounds)
	for i := range order {
		order[i] = i
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, n := range order {
		kind, address := n%2, to(t, names[n%2](n/2))
		v := w.browser().visitor()
		began := time.Now()
		_, err := w.accounts.SignIn(t.Context(), w.svc, address, secret.NewText("not the password"), v)
		took[kind] = append(took[kind], float64(time.Since(began).Microseconds()))
		if fault.As(err).Code != "wrong_password" {
			t.Fatal(err)
		}
	}
	known, unknown := median(took[0]), median(took[1])
	lo, hi := interval(took[0], took[1])
	t.Logf("known %.0f us, unknown %.0f us; difference of the medians, 95 %%: %.2f %% to %.2f %%", known, unknown, 100*lo/unknown, 100*hi/unknown)
	if measuring && math.Max(math.Abs(lo), math.Abs(hi))/unknown > 0.02 {
		t.Errorf("the interval isn't within 2 %%")
	}
}

func median(all []float64) float64 {
	s := slices.Clone(all)
	slices.Sort(s)
	return s[len(s)/2]
}

// interval is the 95 % interval of the difference of the medians, by resampling.
func interval(a, b []float64) (lo, hi float64) {
	var differences []float64
	sample := func(all []float64) []float64 {
		s := make([]float64, len(all))
		for i := range s {
			s[i] = all[rand.IntN(len(all))]
		}
		return s
	}
	for range 400 {
		differences = append(differences, median(sample(a))-median(sample(b)))
	}
	slices.Sort(differences)
	return differences[10], differences[389]
}

// A proof counts for some minutes and no longer.
// Keeps: C.2
func TestAProofCountsForSomeMinutes(t *testing.T) {
	t.Parallel()
	w := sqliteWorld(t, nil)
	b := w.signUp(ann)
	if until := b.view().SteppedUntil; until.Sub(w.ledger.Now()) > 10*time.Minute || until.IsZero() {
		t.Fatalf("until %v", until)
	}
	w.pass(10*time.Minute + time.Second)
	refused(t, w.accounts.ChangePassword(t.Context(), b.signed(), secret.NewText("another long sentence"), b.visitor()), "step_up_needed")
	b.stepUp()
	must(t, w.accounts.ChangePassword(t.Context(), b.signed(), secret.NewText("another long sentence"), b.visitor()))
}
