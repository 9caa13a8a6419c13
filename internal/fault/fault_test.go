// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/fault"
)

func TestAs(t *testing.T) {
	t.Parallel()
	own := fault.New(fault.NotFound, "no_such_thing", "There is no such thing.")
	tests := []struct {
		name string
		err  error
		kind fault.Kind
		code string
	}{
		{"own", own, fault.NotFound, "no_such_thing"},
		{"own, wrapped", fmt.Errorf("read: %w", own), fault.NotFound, "no_such_thing"},
		{"canceled", fmt.Errorf("query: %w", context.Canceled), fault.Canceled, "canceled"},
		{"deadline", context.DeadlineExceeded, fault.Unavailable, "timed_out"},
		{"unknown", errors.New("pq: password of user x is y"), fault.Internal, "internal"},
		{"zero", &fault.Error{}, fault.Internal, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := fault.As(tt.err)
			if got.Kind != tt.kind || got.Code != tt.code {
				t.Fatalf("got %s %q, want %s %q", got.Kind, got.Code, tt.kind, tt.code)
			}
		})
	}
	if fault.As(nil) != nil {
		t.Error("As(nil) is not nil")
	}
}

// Keeps: A.7
func TestCauseIsKeptAndNeverShown(t *testing.T) {
	t.Parallel()
	cause := fmt.Errorf("dial +14155550123: %w", io.ErrUnexpectedEOF)
	for _, err := range []*fault.Error{
		fault.As(cause),
		fault.New(fault.Unavailable, "down", "It is down. Try again.").WithCause(cause),
	} {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error("the cause is lost")
		}
		text, marshalErr := json.Marshal(err)
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		for _, shown := range []string{err.Error(), fmt.Sprintf("%v %+v %s %q", err, err, err, err), string(text)} {
			if strings.Contains(shown, "4155550123") {
				t.Errorf("the cause is shown: %s", shown)
			}
		}
	}
}

func TestIsComparesCodes(t *testing.T) {
	t.Parallel()
	a := fault.New(fault.Invalid, "a", "One.")
	b := fault.New(fault.Invalid, "b", "Two.")
	changed := fault.New(fault.TooMany, "a", "Other words.").WithField("x").WithRetry(time.Second)
	if !errors.Is(fmt.Errorf("ctx: %w", changed), a) {
		t.Error("the same code doesn't match")
	}
	if errors.Is(a, b) || errors.Is(a, io.EOF) || errors.Is(a, (*fault.Error)(nil)) {
		t.Error("something else matches")
	}
	if joined := fault.Join(a, b); !errors.Is(joined, b) {
		t.Error("a joined problem isn't found")
	}
}

func TestWithCopies(t *testing.T) {
	t.Parallel()
	base := fault.New(fault.TooMany, "slow_down", "Wait.")
	got := base.WithField("a.b").WithRetry(time.Minute).WithCause(io.EOF)
	if base.Field != "" || base.RetryAfter != 0 || base.Cause != nil {
		t.Errorf("the shared fault was changed: %#v", base)
	}
	if got.Field != "a.b" || got.RetryAfter != time.Minute || got.Unwrap() != io.EOF || got.Error() != "slow_down: Wait." {
		t.Errorf("got %#v", got)
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	a := fault.New(fault.Invalid, "invalid_policy", "A is wrong.").WithField("a")
	b := fault.New(fault.Invalid, "invalid_policy", "B is wrong.").WithField("b")
	c := fault.New(fault.TooLarge, "too_large", "C is too long.")
	if err := fault.Join(); err != nil {
		t.Errorf("nothing joined is %v", err)
	}
	if err := fault.Join(a); err != error(a) {
		t.Errorf("one joined is %v", err)
	}
	if e := fault.As(fault.Join(a, b)); e.Kind != fault.Invalid || e.Code != "invalid_policy" ||
		e.Message != "A is wrong. B is wrong." || len(e.Problems) != 2 {
		t.Errorf("got %#v", e)
	}
	if e := fault.As(fault.Join(c, a)); e.Kind != fault.Invalid || e.Code != "invalid_input" {
		t.Errorf("got %#v", e)
	}
}

func TestKindNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for k := fault.Internal; k <= fault.Canceled; k++ {
		if seen[k.String()] {
			t.Errorf("two kinds are called %s", k)
		}
		seen[k.String()] = true
	}
	if got := fault.Kind(200).String(); got != "internal" {
		t.Errorf("an unknown kind is called %s", got)
	}
}
