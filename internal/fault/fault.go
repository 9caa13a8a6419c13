// SPDX-License-Identifier: Apache-2.0

// Package fault owns the one error type that crosses package borders: what kind of failure it is,
// a stable code, a message for the person, the field at fault, when to try again, and the cause.
//
// It leaves to others how a fault is shown: surfaces choose the status and the form, logs add the
// cause. It knows neither HTTP nor databases.
package fault

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Kind is the family of a fault: what the one who asked can do about it.
type Kind uint8

// The kinds. The zero Kind is Internal, so that a forgotten kind shows too little and not too much.
const (
	Internal      Kind = iota // our side is broken; nothing the caller can change
	Invalid                   // the input is wrong as it stands
	Unprocessable             // each part is right, together they aren't
	Unauthorized              // nobody has proven who they are
	Forbidden                 // known, but not allowed
	NotFound                  // there is no such thing for this caller
	Conflict                  // the thing is in another state than the request needs
	Ended                     // the thing was there and is over
	TooMany                   // a limit is reached; RetryAfter says for how long
	TooLarge                  // the input is bigger than is read
	Unsupported               // understood, but not offered here
	Unavailable               // can't be done now; asking again is right
	Canceled                  // the caller went away
)

var kindNames = [...]string{
	"internal", "invalid", "unprocessable", "unauthorized", "forbidden", "not_found", "conflict",
	"ended", "too_many", "too_large", "unsupported", "unavailable", "canceled",
}

// String is the kind's name in snake_case, for logs and metrics.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "internal"
}

// Error is a fault. It is never changed after it was made: the With methods return copies, so a
// package may keep one in a variable and share it between goroutines.
//
// Code and Message are shown to the caller and must never hold a code, a secret or a contact.
type Error struct {
	Kind       Kind
	Code       string        // stable, snake_case: "contact_sends_exhausted"
	Message    string        // for the person: what happened, then what to do
	Field      string        // JSON path of the input at fault: "policy.channels"; "" if none
	RetryAfter time.Duration // 0: unknown, or asking again doesn't help
	Problems   []*Error      // several problems told at once, by Join; nil for a single one
	Cause      error         `json:"-"` // for logs; never shown to the caller
}

// New makes a fault. The code is stable: clients and tests compare it.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// WithField returns a copy that names the input at fault by its JSON path.
func (e *Error) WithField(path string) *Error {
	c := *e
	c.Field = path
	return &c
}

// WithRetry returns a copy that says after which time asking again makes sense.
func (e *Error) WithRetry(after time.Duration) *Error {
	c := *e
	c.RetryAfter = after
	return &c
}

// WithCause returns a copy that keeps err for the logs and for errors.Is and errors.As.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.Cause = err
	return &c
}

// Error is the code and the message. The cause is left out: what reaches a person by accident must
// not carry a driver's words. Logs take it from Unwrap.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is a fault with the same code as e or as one of its problems.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	if !ok || t == nil {
		return false
	}
	if t.Code == e.Code {
		return true
	}
	for _, p := range e.Problems {
		if p.Is(target) {
			return true
		}
	}
	return false
}

// As returns the first fault in err's chain. A canceled context is Canceled, a passed deadline is
// Unavailable, and any other error is Internal with a fixed sentence; err is kept as the cause.
// As(nil) is nil: test err before, because a nil *Error in an error isn't a nil error.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled):
		e = New(Canceled, "canceled", "The request was canceled before it was done.")
	case errors.Is(err, context.DeadlineExceeded):
		e = New(Unavailable, "timed_out", "This took too long. Try again in a moment.")
	default:
		e = New(Internal, "internal", "Something went wrong on our side. Try again.")
	}
	return e.WithCause(err)
}

// Join makes one fault of several problems: nil of none, the problem itself of one. Kind and code
// are the problems' own where they agree, else Invalid and "invalid_input".
func Join(problems ...*Error) error {
	switch len(problems) {
	case 0:
		return nil
	case 1:
		return problems[0]
	}
	joined := &Error{Kind: problems[0].Kind, Code: problems[0].Code, Problems: problems}
	messages := make([]string, len(problems))
	for i, p := range problems {
		messages[i] = p.Message
		if p.Kind != joined.Kind {
			joined.Kind = Invalid
		}
		if p.Code != joined.Code {
			joined.Code = "invalid_input"
		}
	}
	joined.Message = strings.Join(messages, " ")
	return joined
}
