// SPDX-License-Identifier: Apache-2.0

package httpx

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/countersign/countersign/internal/fault"
)

// Handler answers one request. Either it writes the reply or it returns an error, which becomes the
// reply.
type Handler func(x *Exchange) error

// Fail writes a fault as a reply. Nothing of the reply has been written before.
type Fail func(x *Exchange, f *fault.Error)

// Mux is an [http.ServeMux] whose handlers return errors. Routes are added before it serves.
type Mux struct {
	routes http.ServeMux
	log    *slog.Logger
	now    func() time.Time
	fail   Fail
}

// NewMux returns a mux without routes. fail writes what handlers return as errors, and the mux's own
// "no such page" and "no such method"; [WriteProblem] is one.
func NewMux(log *slog.Logger, now func() time.Time, fail Fail) *Mux {
	return &Mux{log: log, now: now, fail: fail}
}

// Handle adds a route; see [http.ServeMux] for patterns. It panics on a pattern that contradicts another.
func (m *Mux) Handle(pattern string, h Handler) {
	m.routes.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		x := w.(*Exchange) //nolint:forcetypeassert // ServeHTTP hands over nothing else
		x.Request, x.routed = r, true
		x.err = h(x)
	})
}

// Exchange is one request with its reply. It is an [http.ResponseWriter] for the reply, and belongs to the
// goroutine of its handler.
type Exchange struct {
	Request *http.Request

	w       http.ResponseWriter
	id      string
	key     string
	service string
	err     error
	status  int  // 0: nothing written
	routed  bool // a handler of ours has the request
	quiet   bool
}

// ID is the request's id: 16 hexadecimal digits, also in the reply and the log.
func (x *Exchange) ID() string { return x.id }

// By notes for the log which API key (its public id) of which service asks. Either may be empty.
func (x *Exchange) By(key, service string) { x.key, x.service = key, service }

// Quiet keeps a request that succeeds out of the log, unless that shows debugging.
func (x *Exchange) Quiet() { x.quiet = true }

// Header implements [http.ResponseWriter].
func (x *Exchange) Header() http.Header { return x.w.Header() }

// WriteHeader implements [http.ResponseWriter].
func (x *Exchange) WriteHeader(status int) {
	if x.status != 0 {
		return
	}
	x.status = status
	if x.routed {
		x.w.WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter].
func (x *Exchange) Write(b []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	if !x.routed {
		return len(b), nil // the ServeMux's own words, which ServeHTTP replaces
	}
	return x.w.Write(b)
}

// Unwrap is for [http.ResponseController].
func (x *Exchange) Unwrap() http.ResponseWriter { return x.w }

// Linger lets this exchange take up to d from now, whatever the server's own time limits are.
func (x *Exchange) Linger(d time.Duration) {
	c := http.NewResponseController(x.w)
	until := time.Now().Add(d) // a deadline of the socket: the real clock
	// A connection that has no deadlines (in tests) needs none moved.
	_ = c.SetReadDeadline(until)
	_ = c.SetWriteDeadline(until)
}

// ServeHTTP implements [http.Handler].
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := m.now()
	x := &Exchange{Request: r, w: w, id: newID()}
	h := w.Header()
	h["X-Request-Id"] = []string{x.id}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Cache-Control"] = []string{"no-store"}
	broken := m.run(x)
	if !x.routed {
		x.err = unrouted(x.status)
		x.status, x.routed = 0, true
	}
	var f *fault.Error
	if x.err != nil {
		f = x.faultOf()
		if x.status == 0 {
			m.fail(x, f)
		} else {
			broken = true // half a reply is out: only an aborted connection tells the client
		}
	}
	m.record(x, f, m.now().Sub(started))
	if broken && x.status < http.StatusInternalServerError {
		panic(http.ErrAbortHandler)
	}
}

// run calls the route's handler and turns a panic into an error. It tells whether a reply was under way
// when the handler broke off.
func (m *Mux) run(x *Exchange) (broken bool) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		x.routed = true
		broken = x.status != 0
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			x.err, broken = fault.New(fault.Canceled, "aborted", "The reply was broken off."), true
			return
		}
		// A panic's value may hold what a request held, so only its type is kept, and where it was.
		x.err = fault.As(fmt.Errorf("panic of type %T", p))
		m.log.Error("a handler panicked", "request", x.id, "route", x.Request.Pattern, "stack", string(debug.Stack()))
	}()
	m.routes.ServeHTTP(x, x.Request)
	return false
}

// faultOf is the fault of the handler's error. Only a client that has gone away is Canceled: when we
// canceled, the client should ask again.
func (x *Exchange) faultOf() *fault.Error {
	f := fault.As(x.err)
	if f.Kind == fault.Canceled && x.Request.Context().Err() == nil {
		return fault.New(fault.Unavailable, "stopping", "This server is stopping. Try again.").WithRetry(time.Second).WithCause(x.err)
	}
	return f
}

// unrouted is the fault for which the ServeMux chose status.
func unrouted(status int) error {
	if status == http.StatusMethodNotAllowed {
		return errMethod
	}
	return errNoRoute // also for its redirects to a cleaned path: an API has one path for a thing
}

var (
	errNoRoute = fault.New(fault.NotFound, "no_such_path", "There is nothing at this path.")
	errMethod  = fault.New(fault.Unsupported, codeMethod, "This path doesn't take this method. The Allow header names those it takes.")
)

const codeMethod = "method_not_allowed"

// record writes the one log line of a request. Of a fault it holds code and deepest cause, never the
// words, and of the request its route and never its path: what a person typed stays out.
func (m *Mux) record(x *Exchange, f *fault.Error, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case x.status >= http.StatusInternalServerError && x.status != http.StatusServiceUnavailable:
		level = slog.LevelError
	case x.status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case x.quiet && x.status < http.StatusBadRequest:
		level = slog.LevelDebug
	}
	ctx := x.Request.Context()
	if !m.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("request", x.id), slog.String("route", x.Request.Pattern),
		slog.Int("status", x.status), slog.Float64("ms", float64(took.Microseconds())/1000))
	if x.key != "" {
		attrs = append(attrs, slog.String("key", x.key))
	}
	if x.service != "" {
		attrs = append(attrs, slog.String("service", x.service))
	}
	if f != nil {
		attrs = append(attrs, slog.String("problem", f.Code))
		if f.Cause != nil {
			attrs = append(attrs, slog.String("cause", deepest(f.Cause).Error()))
		}
	}
	m.log.LogAttrs(ctx, level, "request", attrs...)
}

// deepest is the error that all others are about.
func deepest(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			if many, ok := err.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 {
				next = many.Unwrap()[0]
			} else {
				return err
			}
		}
		err = next
	}
}

func newID() string {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "" // crypto/rand ends the program before it gets here
	}
	return hex.EncodeToString(b[:])
}
