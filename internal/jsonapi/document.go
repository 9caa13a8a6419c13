// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	_ "embed" // the style sheet
	"encoding/json"
	"html/template"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/service"
)

// describe makes the OpenAPI 3.1 document of the route table and the types, so that it can't say anything else
// than what is served.
func describe() *huma.OpenAPI {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "Countersign", Version: "1", Description: "Two-step verification that you run yourself. Errors are problem documents (RFC 9457) with stable codes; " +
			"where a request names it, an Idempotency-Key gives the same answer again."},
		Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
			"key":     {Type: "http", Scheme: "bearer", Description: "An API key."},
			"flow":    {Type: "http", Scheme: "flow", Description: "The flow secret of this verification, with the header Countersign-Service."},
			"session": {Type: "apiKey", In: "header", Name: sessionHeader, Description: "The session of a signed-in person; of staff with the header Countersign-Service."},
		}},
	}
	problem := registry.Schema(reflect.TypeFor[httpx.Problem](), true, "Problem")
	for _, r := range routes() {
		op := &huma.Operation{
			OperationID: strings.ToLower(r.method) + strings.NewReplacer("/", "-", "{", "", "}", "", ".", "-").Replace(r.path),
			Method:      r.method, Path: r.path, Summary: r.summary, Responses: map[string]*huma.Response{},
		}
		ok := &huma.Response{Description: http.StatusText(r.status)}
		if r.out != nil {
			ok.Content = content(registry, r.out, op.OperationID)
		}
		op.Responses[strconv.Itoa(r.status)] = ok
		if r.access != open {
			op.Responses["default"] = &huma.Response{Description: "A problem", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}}
			op.Security = []map[string][]string{{"key": scopeNames(r.scopes)}}
			switch r.access {
			case byFlow:
				op.Security = append(op.Security, map[string][]string{"flow": {}})
			case byPerson:
				op.Security[0]["session"] = []string{}
			case byStaff:
				op.Security = []map[string][]string{{"session": {}}}
			}
		}
		if r.in != nil {
			op.RequestBody = &huma.RequestBody{Required: !optional(r.in), Content: content(registry, r.in, op.OperationID+"-body")}
		}
		op.Parameters = parameters(&r)
		doc.AddOperation(op)
	}
	return doc
}

// optional tells whether a body may be left out: where it says at most who asks, or what has a default.
func optional(body any) bool {
	switch body.(type) {
	case ByBody, MethodBody, ResendBody:
		return true
	}
	return false
}

// content describes a body: JSON, a picture or an export.
func content(registry huma.Registry, body any, hint string) map[string]*huma.MediaType {
	switch body.(type) { // OpenAPI 3.1: bytes without a schema
	case picture:
		return map[string]*huma.MediaType{service.PNG: {}, service.SVG: {}}
	case screenshot:
		return map[string]*huma.MediaType{care.PNG: {}, care.JPEG: {}}
	case jsonLines:
		return map[string]*huma.MediaType{jsonLinesType: {}}
	case export:
		return map[string]*huma.MediaType{"application/jsonl": {}, "text/csv": {}, "application/mbox": {}}
	}
	return map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(reflect.TypeOf(body), true, hint)}}
}

func scopeNames(scopes []service.Scope) []string {
	out := make([]string, len(scopes))
	for i, s := range scopes {
		out[i] = string(s)
	}
	return out
}

func parameters(r *route) []*huma.Param {
	var out []*huma.Param
	text, number := &huma.Schema{Type: "string"}, &huma.Schema{Type: "integer"}
	for _, part := range strings.Split(r.path, "/") {
		if strings.HasPrefix(part, "{") {
			out = append(out, &huma.Param{Name: strings.Trim(part, "{}"), In: "path", Required: true, Schema: text})
		}
	}
	if r.access == byStaff {
		out = append(out, &huma.Param{Name: "Countersign-Service", In: "header", Required: true, Schema: text, Description: "The slug of the service."})
	}
	switch {
	case r.path == "/v1/flows/answer":
		out = append(out, &huma.Param{Name: sessionHeader, In: "header", Schema: text, Description: "The person's session: for the flows that begin below /v1/session."},
			&huma.Param{Name: "Idempotency-Key", In: "header", Schema: text, Description: "The same as repeat_key."})
	case r.path == "/v1/events":
		out = append(out, &huma.Param{Name: "after", In: "query", Schema: number, Description: "The cursor: next of the page before."},
			&huma.Param{Name: "limit", In: "query", Schema: number, Description: "1 to 500; 100 if left out."},
			&huma.Param{Name: "wait", In: "query", Schema: number, Description: "Seconds to wait for an event when there is none, at most 30."})
	case r.path == "/v1/support/cases" || r.path == "/v1/support/reports":
		out = append(out, &huma.Param{Name: "status", In: "query", Schema: text, Description: "Only those in this state."},
			&huma.Param{Name: "before", In: "query", Schema: text, Description: "For older ones: before of the page before."},
			&huma.Param{Name: "limit", In: "query", Schema: number, Description: "1 to 100; 50 if left out."})
	case r.path == "/v1/support/report-export":
		out = append(out, &huma.Param{Name: "format", In: "query", Required: true, Schema: text, Description: "json (an object a line), csv, or arf (a mailbox of RFC 5965 reports; mails only)."},
			&huma.Param{Name: "since", In: "query", Schema: text, Description: "Reported then (RFC 3339) or later."},
			&huma.Param{Name: "until", In: "query", Schema: text, Description: "And before."},
			&huma.Param{Name: "status", In: "query", Schema: text, Description: "Only those in this state."},
			&huma.Param{Name: "cluster", In: "query", Schema: text, Description: "Only those of this cluster."})
	case r.method == "GET" && (r.path == "/v1/handovers" || r.path == "/v1/depot/handovers"):
		out = append(out, &huma.Param{Name: "order", In: "query", Required: true, Schema: text, Description: "Your exact reference of the order."})
	case r.path == "/v1/depots" || r.path == "/v1/depot/day":
		out = append(out, &huma.Param{Name: "depot", In: "query", Required: true, Schema: text, Description: "As rounds were opened for it."},
			&huma.Param{Name: "date", In: "query", Schema: text, Description: "At the depot: 2026-11-26. Left out: today, in time_zone."},
			&huma.Param{Name: "time_zone", In: "query", Schema: text, Description: "Of the depot: Europe/Berlin. Needed without date."})
	case r.path == "/v1/handovers/{id}/acts":
		out = append(out, &huma.Param{Name: "Idempotency-Key", In: "header", Schema: text, Description: "The same as key."})
	case r.path == "/v1/report-places":
		out = append(out, &huma.Param{Name: "country", In: "query", Required: true, Schema: text, Description: "Two capital letters, such as DE."})
	case strings.HasSuffix(r.path, "/activity") && r.method == "GET":
		out = append(out, &huma.Param{Name: "before", In: "query", Schema: number, Description: "For older entries: before of the page before."})
	case r.method == "POST" && !strings.HasSuffix(r.path, "/cancel") &&
		(strings.HasPrefix(r.path, "/v1/verifications") || r.path == "/v1/checks"):
		out = append(out, &huma.Param{Name: "Idempotency-Key", In: "header", Schema: text, Description: "1 to 255 printable characters; the same key and body give the same answer for 24 hours."})
	}
	return out
}

func (a *API) document(c *call) error {
	a.describeOnce.Do(func() { a.described, a.describeErr = json.MarshalIndent(describe(), "", "  ") })
	if a.describeErr != nil {
		return fault.As(a.describeErr)
	}
	c.Header().Set("Content-Type", "application/json")
	_, _ = c.Write(a.described) // the client may have left
	return nil
}

//go:embed docs.css
var style []byte

func (a *API) docsStyle(c *call) error {
	c.Quiet()
	c.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = c.Write(style) // the client may have left
	return nil
}

var reference = template.Must(template.New("docs").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>API - Countersign</title><link rel="stylesheet" href="/docs/style.css"></head><body><main>
<h1>The JSON API</h1>
<p>The same as <a href="/openapi.json">OpenAPI 3.1</a>. Send an API key as <code>Authorization: Bearer CS...</code>. What goes wrong comes as a problem document
(<code>application/problem+json</code>) with a stable <code>code</code>, a <code>detail</code> for the person and, where waiting helps, <code>retry_after</code>.
A POST below <code>/v1/verifications</code> (but <code>cancel</code>) and to <code>/v1/checks</code> takes an <code>Idempotency-Key</code>: the same again gets the same answer for 24 hours.
An answer to a flow and a courier's act take one too, as <code>repeat_key</code> and <code>key</code>.</p>
<nav><ul>{{range .Routes}}<li><a href="#{{.Anchor}}"><code>{{.Method}} {{.Path}}</code></a> {{.Summary}}</li>{{end}}</ul></nav>
{{range .Routes}}<section id="{{.Anchor}}"><h2><code>{{.Method}} {{.Path}}</code></h2><p>{{.Summary}}.{{if .Scopes}} Scope: {{.Scopes}}.{{end}}</p>
{{if .In}}<h3>Takes</h3>{{template "fields" .In}}{{end}}{{if .Out}}<h3>Gives ({{.Status}})</h3>{{template "fields" .Out}}{{end}}</section>{{end}}
</main></body></html>
{{define "fields"}}<table><tbody>{{range .}}<tr><th scope="row"><code>{{.Name}}</code></th><td>{{.Type}}{{if .Required}}, required{{end}}</td><td>{{.Doc}}{{if .Enum}} One of {{.Enum}}.{{end}}</td></tr>{{end}}</tbody></table>{{end}}`))

type docField struct {
	Name, Type, Doc, Enum string
	Required              bool
}

// fieldsOf lists the members of a type, those of nested objects with a dot.
func fieldsOf(t reflect.Type, prefix string) []docField {
	var out []docField
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		typ := f.Type
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		nested := typ.Kind() == reflect.Struct && typ.PkgPath() != "time"
		if f.Anonymous {
			out = append(out, fieldsOf(typ, prefix)...)
			continue
		}
		d := docField{Name: prefix + name, Type: typ.Kind().String(), Doc: f.Tag.Get("doc"), Enum: strings.ReplaceAll(f.Tag.Get("enum"), ",", ", "), Required: !strings.Contains(opts, "omit")}
		switch {
		case typ.PkgPath() == "time":
			d.Type = "time (RFC 3339)"
		case nested:
			d.Type = "object"
		}
		if f.Type.Kind() == reflect.Slice {
			d.Type = "list of " + d.Type
		}
		out = append(out, d)
		if nested {
			out = append(out, fieldsOf(typ, prefix+name+".")...)
		}
	}
	return out
}

func (a *API) docs(c *call) error {
	type section struct {
		Anchor, Method, Path, Summary, Scopes string
		Status                                int
		In, Out                               []docField
	}
	var data struct{ Routes []section }
	for _, r := range routes() {
		s := section{Method: r.method, Path: r.path, Summary: r.summary, Status: r.status, Scopes: strings.Join(scopeNames(r.scopes), " or "),
			Anchor: strings.ToLower(r.method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(r.path)}
		if r.in != nil {
			s.In = fieldsOf(reflect.TypeOf(r.in), "")
		}
		if r.out != nil {
			s.Out = fieldsOf(reflect.TypeOf(r.out), "")
		}
		data.Routes = append(data.Routes, s)
	}
	h := c.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	return reference.Execute(c, data)
}
