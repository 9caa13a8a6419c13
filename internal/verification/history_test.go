// SPDX-License-Identifier: Apache-2.0

package verification_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// act is one operation of a history: right, wrong, cancel or status.
type act struct {
	verification int
	what         string
}

// stand is a verification as the model has it: one object that does one thing at a time.
type stand struct {
	status verification.Status
	wrong  int
}

const modelTries = 5

// model is what a verification is to its users, written a second time and as plainly as can be.
func model() porcupine.Model {
	ended := map[verification.Status]string{
		verification.Approved: "already_used", verification.Canceled: "canceled", verification.MaxAttemptsReached: "max_attempts_reached",
	}
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			parts := map[int][]porcupine.Operation{}
			for _, op := range history {
				a, _ := op.Input.(act)
				parts[a.verification] = append(parts[a.verification], op)
			}
			var out [][]porcupine.Operation
			for _, p := range parts {
				out = append(out, p)
			}
			return out
		},
		Init: func() any { return stand{status: verification.Pending} },
		Step: func(state, in, out any) (bool, any) {
			s, _ := state.(stand)
			a, _ := in.(act)
			pending := s.status == verification.Pending
			switch {
			case a.what == "status":
				return out == seen(s.status, s.wrong), s
			case a.what == "cancel" && (pending || s.status == verification.Canceled):
				s.status = verification.Canceled
				return out == "canceled", s
			case a.what == "cancel":
				return out == "ended", s
			case !pending:
				return out == ended[s.status], s
			case a.what == "right":
				s.status = verification.Approved
				return out == "approved", s
			}
			if s.wrong++; s.wrong == modelTries {
				s.status = verification.MaxAttemptsReached
				return out == "max_attempts_reached", s
			}
			return out == "wrong", s
		},
	}
}

// seen is what a look at a verification shows.
func seen(s verification.Status, wrong int) string {
	if s == verification.Pending {
		return fmt.Sprintf("pending after %d wrong tries", wrong)
	}
	return s.String()
}

// Histories of checks, cancels and looks at a few verifications, by many at once on three nodes, are linearizable: there is an order,
// true to the clock, in which a verification that does one thing at a time would have answered the same.
// COUNTERSIGN_TEST_HISTORY=1000000 makes it a long one.
// Keeps: A.2, S1, S3
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	total := 4000
	if n, err := strconv.Atoi(os.Getenv("COUNTERSIGN_TEST_HISTORY")); err == nil {
		total = n
	}
	policy := func(p *service.Policy) {
		p.ContactGuesses = service.Limit{Hour: 100, Day: 100}
		p.MaxTries = modelTries
	}
	onBoth(t, policy, func(t *testing.T, w *world) {
		nodes := []*world{w}
		if strings.HasPrefix(w.url, "postgres") {
			nodes = append(nodes, w.node(), w.node())
		}
		const together, each = 8, 80
		operations := 0
		for round := 0; operations < total; round++ {
			history := w.history(nodes, round, together, each)
			operations += len(history)
			if result, _ := porcupine.CheckOperationsVerbose(model(), history, time.Minute); result != porcupine.Ok {
				t.Fatalf("a history of %d operations is %s", len(history), result)
			}
		}
		t.Logf("%d operations, no violation", operations)
	})
}

// The checker finds what it is there to find.
func TestTheModelRefusesTwoGrants(t *testing.T) {
	t.Parallel()
	op := func(client int, call, back int64, what, said string) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Input: act{0, what}, Output: said, Call: call, Return: back}
	}
	for name, history := range map[string][]porcupine.Operation{
		"two grants":             {op(0, 0, 10, "right", "approved"), op(1, 5, 15, "right", "approved")},
		"a sixth try":            {op(0, 0, 1, "wrong", "wrong"), op(0, 2, 3, "wrong", "wrong"), op(0, 4, 5, "wrong", "wrong"), op(0, 6, 7, "wrong", "wrong"), op(0, 8, 9, "wrong", "wrong")},
		"approved, then pending": {op(0, 0, 1, "right", "approved"), op(1, 2, 3, "status", seen(verification.Pending, 0))},
	} {
		if porcupine.CheckOperations(model(), history) {
			t.Errorf("%s passes", name)
		}
	}
}

// history lets as many as together do each operations on as many verifications.
func (w *world) history(nodes []*world, round, together, each int) []porcupine.Operation {
	type subject struct {
		b    *verification.Begun
		code string
	}
	subjects := make([]subject, together)
	for i := range subjects {
		subjects[i].b = w.begin(func(r *verification.BeginRequest) { r.Contact = w.to(fmt.Sprintf("h%d.%d@mail.example", round, i)) })
		subjects[i].code = w.phone.last(w).Code.Reveal()
	}
	start := time.Now()
	logs := make([][]porcupine.Operation, together)
	var wg sync.WaitGroup
	for client := range together {
		wg.Go(func() {
			for range each {
				// What ends a verification is rare: most of a history is about one that is alive.
				a := act{rand.N(together), "status"}
				switch roll := rand.N(100); {
				case roll < 3:
					a.what = "right"
				case roll < 6:
					a.what = "cancel"
				case roll < 20:
					a.what = "wrong"
				}
				s, n := subjects[a.verification], nodes[rand.N(len(nodes))]
				op := porcupine.Operation{ClientId: client, Input: a, Call: int64(time.Since(start))}
				op.Output = n.act(a.what, s.b, s.code)
				op.Return = int64(time.Since(start))
				logs[client] = append(logs[client], op)
			}
		})
	}
	wg.Wait()
	var all []porcupine.Operation
	for _, l := range logs {
		all = append(all, l...)
	}
	return all
}

// act does one operation and says what came of it in the model's words.
func (w *world) act(what string, b *verification.Begun, code string) string {
	switch what {
	case "status":
		v, err := w.engine.Status(w.Context(), w.svc, b.ID)
		if err != nil {
			return err.Error()
		}
		return seen(v.Status, modelTries-v.TriesLeft)
	case "cancel":
		_, err := w.engine.Cancel(w.Context(), w.svc, b.ID)
		var f *fault.Error
		if errors.As(err, &f) && f.Kind == fault.Ended {
			return "ended"
		}
		if err != nil {
			return err.Error()
		}
		return "canceled"
	case "wrong":
		code = map[bool]string{true: "111111", false: "000000"}[code == "000000"]
	}
	c, err := w.engine.Check(w.Context(), verification.CheckRequest{Service: w.svc, ID: b.ID, Typed: code})
	if err != nil {
		return err.Error()
	}
	return c.Result.String()
}
