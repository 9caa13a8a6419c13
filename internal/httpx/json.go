// SPDX-License-Identifier: Apache-2.0

package httpx

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign/countersign/internal/fault"
)

// MaxBody is the largest body that is read, in bytes.
const MaxBody = 64 << 10

// ReadBody reads the whole body of a request.
//
// Faults: TooLarge, Invalid (it broke off).
func ReadBody(x *Exchange) ([]byte, error) { return ReadUpTo(x, MaxBody) }

// ReadUpTo is ReadBody with another limit.
//
// Faults: TooLarge, Invalid (it broke off).
func ReadUpTo(x *Exchange, limit int64) ([]byte, error) {
	r := x.Request
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	size := r.ContentLength
	if size < 0 {
		size = 1 << 10
	}
	body := make([]byte, 0, size+1) // one more, so that the end is found without growing
	from := http.MaxBytesReader(x.w, r.Body, limit)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return body, nil
		case errors.As(err, new(*http.MaxBytesError)):
			return nil, tooLarge(limit)
		default:
			return nil, errBroken.WithCause(err)
		}
	}
}

var (
	errBroken   = fault.New(fault.Invalid, "body_incomplete", "The body ended before it was whole, or came too slowly. Send it again.")
	errNotJSON  = fault.New(fault.Unsupported, "not_json", "Send the body as JSON, with the header Content-Type: application/json.").WithField("Content-Type")
	errEmpty    = fault.New(fault.Invalid, "body_missing", "The body is empty. Send a JSON object.")
	errNoObject = fault.New(fault.Invalid, "not_an_object", "The body must be a JSON object, in braces.")
)

func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "body_too_large", fmt.Sprintf("The body has more than %d bytes, which is the limit.", limit))
}

// ReadJSON reads a JSON object from the body into v; see [Decode]. It returns the body as it came.
//
// Faults: Unsupported (the content type isn't application/json), TooLarge, Invalid.
func ReadJSON(x *Exchange, v any) ([]byte, error) {
	if !isJSON(x.Request.Header["Content-Type"]) {
		if x.Request.ContentLength == 0 {
			return nil, errEmpty
		}
		return nil, errNotJSON
	}
	body, err := ReadBody(x)
	if err != nil {
		return nil, err
	}
	return body, Decode(body, v)
}

func isJSON(header []string) bool {
	if len(header) != 1 {
		return false
	}
	if header[0] == "application/json" {
		return true
	}
	kind, params, err := mime.ParseMediaType(header[0])
	charset, ok := params["charset"]
	return err == nil && kind == "application/json" && (!ok || strings.EqualFold(charset, "utf-8"))
}

// Decode reads one JSON object (RFC 8259, with the restrictions of RFC 7493) into v, a pointer to a struct.
// Members that v doesn't know, members given twice, other types, bytes that aren't UTF-8, and anything
// after the object are refused. The faults are of kind Invalid, name the member in Field, and never
// hold a member's value. Members that are left out keep what v held.
func Decode(body []byte, v any) error {
	switch start := strings.TrimLeft(string(body[:min(len(body), 64)]), " \t\r\n"); {
	case len(body) == 0:
		return errEmpty
	case start != "" && start[0] != '{':
		return errNoObject
	}
	err := json.Unmarshal(body, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	// The decoder's errors quote values, so none of them is kept as a cause.
	var syntax *jsontext.SyntacticError
	var meaning *json.SemanticError
	switch {
	case errors.As(err, &syntax):
		return badSyntax(body, syntax)
	case errors.As(err, &meaning):
		return badMeaning(meaning)
	}
	return fault.New(fault.Invalid, "invalid_json", "The body isn't the JSON that is expected here.")
}

func badSyntax(body []byte, e *jsontext.SyntacticError) error {
	field := pathOf(e.JSONPointer)
	switch {
	case errors.Is(e.Err, jsontext.ErrDuplicateName):
		return fault.New(fault.Invalid, "duplicate_field", quoted(field)+" is given twice. Give it once.").WithField(field)
	case !utf8.Valid(body):
		f := fault.New(fault.Invalid, "invalid_utf8", "The body isn't UTF-8. JSON is always UTF-8.")
		if field != "" {
			f = f.WithField(field)
		}
		return f
	case errors.Is(e.Err, io.ErrUnexpectedEOF):
		return fault.New(fault.Invalid, "invalid_json", "The JSON in the body ends too early: a brace or a quotation mark isn't closed.").WithField(field)
	}
	return fault.New(fault.Invalid, "invalid_json", fmt.Sprintf("The body isn't valid JSON: look at byte %d.", e.ByteOffset)).WithField(field)
}

func badMeaning(e *json.SemanticError) error {
	field := pathOf(e.JSONPointer)
	if errors.Is(e.Err, json.ErrUnknownName) {
		return fault.New(fault.Invalid, "unknown_field", "There is no field "+quoted(field)+" here. Look for a typing error.").WithField(field)
	}
	want, got := expected(e.GoType), kindWords(e.JSONKind)
	if got == want {
		return fault.New(fault.Invalid, "invalid_value", quoted(field)+" has a value that isn't accepted here.").WithField(field)
	}
	return fault.New(fault.Invalid, "wrong_type", fmt.Sprintf("%s must be %s, not %s.", quoted(field), want, got)).WithField(field)
}

// expected is a Go type in the words of JSON.
func expected(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return "another type"
	}
	switch t.Kind() { //nolint:exhaustive // the rest are objects to JSON
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	return "an object"
}

func kindWords(k jsontext.Kind) string {
	switch k {
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case '0':
		return "a number"
	case '[':
		return "a list"
	case '{':
		return "an object"
	}
	return "null"
}

// maxPath bounds what of a client's own member names is said back.
const maxPath = 120

// pathOf turns a JSON pointer (RFC 6901) into the form of [fault.Error.Field]: "policy.channels[1]".
func pathOf(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		if _, err := strconv.Atoi(token); err == nil {
			b.WriteString("[" + token + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(token)
	}
	path := strings.ToValidUTF8(b.String(), "\uFFFD")
	if len(path) > maxPath {
		path = strings.ToValidUTF8(path[:maxPath], "") + "..."
	}
	return path
}

func quoted(field string) string {
	if field == "" {
		return "The body"
	}
	return strconv.Quote(field)
}

// WriteJSON writes v as the reply.
func WriteJSON(x *Exchange, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fault.As(fmt.Errorf("encode a reply of type %T: %w", v, err))
	}
	write(x, status, "application/json", body)
	return nil
}

func write(x *Exchange, status int, kind string, body []byte) {
	h := x.Header()
	h["Content-Type"] = []string{kind}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.WriteHeader(status)
	_, _ = x.Write(body) // a client that has gone away needs no reply
}
