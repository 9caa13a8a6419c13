// SPDX-License-Identifier: Apache-2.0

package httpx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
)

type body struct {
	Name string          `json:"name"`
	Deep struct{ N int } `json:"deep"`
	List []string        `json:"list"`
}

// serve runs one handler behind a mux and returns the reply and the log.
func serve(t *testing.T, h httpx.Handler, req *http.Request) (*http.Response, string, string) {
	t.Helper()
	var log bytes.Buffer
	mux := httpx.NewMux(slog.New(slog.NewTextHandler(&log, nil)), time.Now, httpx.WriteProblem)
	mux.Handle("POST /things/{id}", h)
	rec := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != nil && !errors.Is(p.(error), http.ErrAbortHandler) {
				panic(p)
			}
		}()
		mux.ServeHTTP(rec, req)
	}()
	res := rec.Result()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text), log.String()
}

func post(path, kind, text string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(text))
	r.Header.Set("Content-Type", kind)
	return r
}

// What a client does wrong is told by the name of the field, and no value comes back.
func TestBodiesAreReadStrictly(t *testing.T) {
	t.Parallel()
	read := func(x *httpx.Exchange) error {
		var in body
		if _, err := httpx.ReadJSON(x, &in); err != nil {
			return err
		}
		return httpx.WriteJSON(x, http.StatusOK, in)
	}
	for _, c := range []struct {
		kind, text  string
		status      int
		code, field string
	}{
		{"application/json", `{"name":"secret42"}`, 200, "", ""},
		{"application/json; charset=UTF-8", `{"name":"secret42"}`, 200, "", ""},
		{"application/json; charset=latin1", `{}`, 415, "not_json", "Content-Type"},
		{"text/plain", `{}`, 415, "not_json", "Content-Type"},
		{"application/json", ``, 400, "body_missing", ""},
		{"application/json", `"secret42"`, 400, "not_an_object", ""},
		{"application/json", `{"name":"secret42","name":"secret42"}`, 400, "duplicate_field", "name"},
		{"application/json", `{"nmae":"secret42"}`, 400, "unknown_field", "nmae"},
		{"application/json", `{"name":["secret42"]}`, 400, "wrong_type", "name"},
		{"application/json", `{"deep":{"N":"secret42"}}`, 400, "wrong_type", "deep.N"},
		{"application/json", `{"list":["a",{"secret42":1}]}`, 400, "wrong_type", "list[1]"},
		{"application/json", `{"name":"secret42"`, 400, "invalid_json", ""},
		{"application/json", `{"name":"secret42"} {"x":1}`, 400, "invalid_json", ""},
		{"application/json", "{\"name\":\"\xffsecret42\"}", 400, "invalid_utf8", "name"},
		{"application/json", `{"name":"` + strings.Repeat("x", httpx.MaxBody) + `"}`, 413, "body_too_large", ""},
	} {
		res, text, _ := serve(t, read, post("/things/1", c.kind, c.text))
		if res.StatusCode != c.status {
			t.Errorf("%q: %d %s", c.text[:min(len(c.text), 60)], res.StatusCode, text)
			continue
		}
		if c.status == 200 {
			continue
		}
		var p httpx.Problem
		if err := json.Unmarshal([]byte(text), &p); err != nil || p.Code != c.code || p.Field != c.field || strings.Contains(text, "secret42") {
			t.Errorf("%q: %s", c.text[:min(len(c.text), 60)], text)
		}
	}
}

// However a handler ends, there is one reply, one line in the log, and neither tells more than it should.
func TestEveryEndOfAHandler(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handle httpx.Handler
		status int
		retry  string
		logged string
	}{
		"a fault":       {func(*httpx.Exchange) error { return fault.New(fault.NotFound, "gone_thing", "No.") }, 404, "", "problem=gone_thing"},
		"a plain error": {func(*httpx.Exchange) error { return fmt.Errorf("disk: %w", errors.New("on fire")) }, 500, "", "on fire"},
		"a panic":       {func(*httpx.Exchange) error { panic("typed 123456") }, 500, "", "panic of type string"},
		"busy": {func(*httpx.Exchange) error {
			return fault.New(fault.Unavailable, "busy", "Later.").WithRetry(1200 * time.Millisecond)
		}, 503, "2", "problem=busy"},
		"busy, unknown wait": {func(*httpx.Exchange) error { return fault.New(fault.Unavailable, "busy", "Later.") }, 503, "2", "problem=busy"},
		"half a reply": {func(x *httpx.Exchange) error {
			x.WriteHeader(http.StatusOK)
			return errors.New("then it broke")
		}, 200, "", "then it broke"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, text, log := serve(t, c.handle, post("/things/+14155550121", "application/json", "{}"))
			if res.StatusCode != c.status || res.Header.Get("Retry-After") != c.retry {
				t.Fatalf("%d, Retry-After %q: %s", res.StatusCode, res.Header.Get("Retry-After"), text)
			}
			id := res.Header.Get("X-Request-Id")
			if len(id) != 16 || !strings.Contains(log, "request="+id) || !strings.Contains(log, c.logged) || !strings.Contains(log, `route="POST /things/{id}"`) {
				t.Errorf("the log: %s", log)
			}
			for _, leak := range []string{"4155550121", "123456"} {
				if strings.Contains(log+text, leak) {
					t.Errorf("%s is in %s%s", leak, log, text)
				}
			}
			if strings.Contains(text, "on fire") || strings.Contains(text, "goroutine") {
				t.Errorf("the reply tells what is inside: %s", text)
			}
		})
	}
}

func TestPathsAndMethodsThatAreNotThere(t *testing.T) {
	t.Parallel()
	none := func(x *httpx.Exchange) error { return httpx.WriteJSON(x, 200, struct{}{}) }
	for _, c := range []struct {
		method, path, code string
		status             int
	}{
		{"POST", "/nothing", "no_such_path", 404},
		{"POST", "/things//1", "no_such_path", 404}, // no redirect to a cleaned path
		{"GET", "/things/1", "method_not_allowed", 405},
	} {
		res, text, _ := serve(t, none, httptest.NewRequest(c.method, c.path, nil))
		if res.StatusCode != c.status || !strings.Contains(text, c.code) || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %s", c.method, c.path, res.StatusCode, text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"name":"x","deep":{"N":1},"list":["a"]}`, `{"name":1}`, "{", "{\"\xff\":1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var in body
		err := httpx.Decode(text, &in)
		if err == nil {
			return
		}
		var p *fault.Error
		if !errors.As(err, &p) || p.Kind != fault.Invalid || p.Message == "" {
			t.Fatalf("%q gives %v", text, err)
		}
		if _, err := json.Marshal(httpx.ProblemOf(p, "r")); err != nil {
			t.Fatal(err)
		}
	})
}
