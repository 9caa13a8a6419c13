// SPDX-License-Identifier: Apache-2.0

package httpx

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/countersign/countersign/internal/fault"
)

// Problem is a fault as a client sees it: a problem document (RFC 9457).
type Problem struct {
	Type       string       `json:"type" doc:"Stable name of the kind of problem: urn:countersign:problem: and the code."`
	Title      string       `json:"title" doc:"The code in words."`
	Status     int          `json:"status" doc:"The HTTP status."`
	Detail     string       `json:"detail" doc:"What happened, then what to do, for a person."`
	Instance   string       `json:"instance" doc:"urn:countersign:request: and the id of the request, which the server's log has, too."`
	Code       string       `json:"code" doc:"Stable, for programs to compare."`
	Field      string       `json:"field,omitzero" doc:"The input at fault: a path in the JSON body, a query parameter or a header."`
	RetryAfter int          `json:"retry_after,omitzero" doc:"Seconds after which asking again makes sense."`
	Problems   []FieldFault `json:"problems,omitempty" doc:"Each problem, when there are several."`
}

// FieldFault is one of several problems.
type FieldFault struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Field  string `json:"field,omitzero"`
}

// ProblemType is what the types of all problems start with; the code follows.
const ProblemType = "urn:countersign:problem:"

// StatusGone is the status in the log when the client has gone away before the reply.
const StatusGone = 499

// StatusOf is the HTTP status of a fault.
func StatusOf(f *fault.Error) int {
	switch f.Kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unprocessable:
		return http.StatusUnprocessableEntity
	case fault.Unauthorized:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict, fault.Ended:
		return http.StatusConflict
	case fault.TooMany:
		return http.StatusTooManyRequests
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unsupported:
		if f.Code == codeMethod {
			return http.StatusMethodNotAllowed
		}
		return http.StatusUnsupportedMediaType
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Canceled:
		return StatusGone
	}
	return http.StatusInternalServerError
}

// ProblemOf is the document of a fault of the request with the given id.
func ProblemOf(f *fault.Error, request string) Problem {
	p := Problem{
		Type: ProblemType + f.Code, Title: titleOf(f.Code), Status: StatusOf(f), Detail: f.Message,
		Instance: "urn:countersign:request:" + request, Code: f.Code, Field: f.Field, RetryAfter: retrySeconds(f),
	}
	for _, one := range f.Problems {
		for _, leaf := range leaves(one) {
			p.Problems = append(p.Problems, FieldFault{Code: leaf.Code, Detail: leaf.Message, Field: leaf.Field})
		}
	}
	return p
}

// leaves are the single problems of a fault that may itself be joined of several.
func leaves(f *fault.Error) []*fault.Error {
	if len(f.Problems) == 0 {
		return []*fault.Error{f}
	}
	var all []*fault.Error
	for _, p := range f.Problems {
		all = append(all, leaves(p)...)
	}
	return all
}

// retrySeconds rounds up, so that whoever waits so long isn't refused again. 503 always says when to
// come back.
func retrySeconds(f *fault.Error) int {
	s := int((f.RetryAfter + time.Second - 1) / time.Second)
	if s == 0 && f.Kind == fault.Unavailable {
		return 2
	}
	return s
}

func titleOf(code string) string {
	words := strings.ReplaceAll(code, "_", " ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// WriteProblem is the [Fail] of surfaces for programs.
func WriteProblem(x *Exchange, f *fault.Error) {
	p := ProblemOf(f, x.id)
	h := x.Header()
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="countersign"`)
	}
	body, err := json.Marshal(&p)
	if err != nil { // words that aren't UTF-8
		p.Detail, p.Field, p.Problems = "The input holds bytes that aren't UTF-8.", "", nil
		body, _ = json.Marshal(&p)
	}
	write(x, p.Status, "application/problem+json", body)
}
