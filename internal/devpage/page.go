// SPDX-License-Identifier: Apache-2.0

// Package devpage is what a developer's browser shows under `countersign dev`: a page to try a code on, and the
// local inbox in which it arrives. It is served on loopback only.
//
// It owns its two pages and the inbox's memory. It leaves to others what a code page of a real
// service looks like and does.
package devpage

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/place"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

//go:embed assets templates
var files embed.FS

// Engine is what the page needs of the verification engine.
type Engine interface {
	Begin(ctx context.Context, req verification.BeginRequest) (*verification.Begun, error)
	Check(ctx context.Context, req verification.CheckRequest) (*verification.Checked, error)
	Resend(ctx context.Context, req verification.ResendRequest) (*verification.View, error)
	Status(ctx context.Context, svc *service.Service, id ledger.ID) (*verification.View, error)
}

// Pages serves the demo and the inbox.
type Pages struct {
	Engine    Engine
	Receive   func(ctx context.Context, ref message.Ref, rec message.Receipt) error // takes a provider's later word on a message
	Inbox     *Inbox
	Answer    func(ctx context.Context, in message.Inbound) error // takes a text that a phone of the inbox sends back
	Handovers *handover.Handovers
	Service   func() (*service.Service, bool) // the demo service; false: it isn't there yet
	Places    *place.Finder
	Now       func() time.Time
	Log       *slog.Logger
	Done      <-chan struct{} // closed when the server stops: ends what streams

	templates *template.Template
	made      parcels // on the page of parcels
}

// maxForm bounds a form in bytes: a pasted message fits.
const maxForm = 8 << 10

// Mount adds the routes of the pages to mux.
func (p *Pages) Mount(mux *http.ServeMux) {
	p.templates = template.Must(template.New("").Funcs(template.FuncMap{
		"clock": func(t time.Time) string { return t.Local().Format("15:04") },
		"words": func(text string) string { return strings.ReplaceAll(text, "_", " ") },
		"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}).ParseFS(files, "templates/*.html"))
	guard := http.NewCrossOriginProtection()
	route := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			secure(w.Header())
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			if err := h(w, r); err != nil {
				p.fail(w, r, err)
			}
		})))
	}
	route("GET /{$}", p.home)
	route("POST /{$}", p.begin)
	route("GET /code", p.code)
	route("POST /code", p.check)
	route("POST /code/again", p.again)
	route("GET /parcels", p.parcels)
	route("POST /parcels", p.makeParcel)
	route("POST /parcels/out", p.sendParcels)
	route("POST /parcels/{id}", p.depotDoes)
	route("GET /inbox", p.inbox)
	route("GET /inbox/list", p.list)
	route("GET /inbox/events", p.events)
	route("GET /inbox/messages.json", p.messages)
	route("POST /inbox/{id}/receipt", p.receipt)
	route("POST /inbox/{id}/answer", p.answer)
	assets := http.FileServerFS(files)
	mux.HandleFunc("GET /assets/", func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		w.Header().Set("Cache-Control", "max-age=3600")
		assets.ServeHTTP(w, r)
	})
}

// secure sets what every answer to a browser carries.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// page is what every template gets.
type page struct {
	Title      string
	Problem    string // said at the top and at the field
	Typed      string // what was typed, kept
	View       *verification.View
	Recipients []recipient
	Version    int
	Now        time.Time
	Granted    bool
	Wait       int // seconds until the code may be asked for again
	Over       string
	Sent       string // how the latest message went
	Parcels    *parcelPage
}

func (p *Pages) show(w http.ResponseWriter, status int, name string, data *page) error {
	letters, version, _ := p.Inbox.Letters()
	data.Recipients, data.Version, data.Now = recipients(letters), version, p.Now()
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the visitor may have left
	return nil
}

// Aside is the inbox for pages that it stands beside, with the script that keeps it live and its style sheet.
func (p *Pages) Aside() (content template.HTML, script, style string) {
	letters, version, _ := p.Inbox.Letters()
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, "aside", &page{Recipients: recipients(letters), Version: version, Now: p.Now()}); err != nil {
		p.Log.Error("the inbox can't be shown", "err", err)
	}
	return template.HTML(b.String()), "/assets/inbox.js", "/assets/inbox.css" // of our own template, which has escaped what is in it
}

// fail shows a fault that no page has a place for.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.As(err)
	if f.Kind == fault.Internal {
		p.Log.Error("a page failed", "route", r.Pattern, "err", err, "cause", f.Unwrap())
	}
	status := http.StatusInternalServerError
	switch f.Kind {
	case fault.Invalid, fault.Unprocessable, fault.TooLarge:
		status = http.StatusUnprocessableEntity
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.TooMany:
		status = http.StatusTooManyRequests
	case fault.Unavailable:
		status = http.StatusServiceUnavailable
	}
	if e := p.show(w, status, "home.html", &page{Title: "Try a code", Problem: f.Message}); e != nil {
		http.Error(w, f.Message, status)
	}
}

func (p *Pages) inbox(w http.ResponseWriter, _ *http.Request) error {
	return p.show(w, http.StatusOK, "inbox.html", &page{Title: "Inbox"})
}

func (p *Pages) list(w http.ResponseWriter, _ *http.Request) error {
	return p.show(w, http.StatusOK, "list", &page{})
}

// keepAlive is how often a silent stream says that it is still there.
const keepAlive = 15 * time.Second

// events tells the page that the inbox has changed, as server-sent events.
func (p *Pages) events(w http.ResponseWriter, r *http.Request) error {
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		_, version, changed := p.Inbox.Letters()
		if _, err := fmt.Fprintf(w, "data: %d\n\n", version); err != nil {
			return nil
		}
		if err := rc.Flush(); err != nil {
			return nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-r.Context().Done():
			return nil
		case <-p.Done:
			return nil
		}
	}
}

// messages gives the inbox to scripts and tests, newest first.
func (p *Pages) messages(w http.ResponseWriter, _ *http.Request) error {
	type entry struct {
		To      string    `json:"to"`
		Channel string    `json:"channel"`
		Subject string    `json:"subject,omitempty"`
		Text    string    `json:"text"`
		Code    string    `json:"code"`
		Link    string    `json:"link,omitempty"`
		At      time.Time `json:"at"`
	}
	letters, _, _ := p.Inbox.Letters()
	out := make([]entry, 0, len(letters))
	for _, l := range letters {
		out = append(out, entry{l.To, string(l.Channel), l.Subject, l.Text, l.Code, l.Link, l.At})
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(out)
}

// answer plays the recipient of a text who writes back.
func (p *Pages) answer(w http.ResponseWriter, r *http.Request) error {
	text := strings.TrimSpace(r.PostFormValue("text"))
	if text == "" {
		return fault.New(fault.Invalid, "empty_answer", "Type what the phone answers, such as NO.").WithField("text")
	}
	l, ok := p.Inbox.answered(r.PathValue("id"), text)
	if !ok {
		return fault.New(fault.NotFound, "message_not_found", "The inbox no longer has this message.")
	}
	if err := p.Answer(r.Context(), message.Inbound{From: l.To, Text: text}); err != nil {
		return err
	}
	http.Redirect(w, r, "/inbox", http.StatusSeeOther)
	return nil
}

// receipt plays the network: it reports what became of a message.
func (p *Pages) receipt(w http.ResponseWriter, r *http.Request) error {
	kind := r.PostFormValue("receipt")
	rec := message.Receipt{Provider: p.Inbox.Name(), Reference: r.PathValue("id"), At: p.Now()}
	switch kind {
	case "delivered":
		rec.Delivered = true
	case "unreachable":
		rec.Outcome = message.Unreachable
	case "blocked":
		rec.Outcome = message.Blocked
	case "landline":
		rec.Outcome = message.ContactKind
	case "off":
		rec.Outcome = message.Absent
	default:
		return fault.New(fault.Invalid, "invalid_receipt", "A receipt is delivered, off, unreachable, landline or blocked.").WithField("receipt")
	}
	ref, ok := p.Inbox.mark(rec.Reference, kind)
	if !ok {
		return fault.New(fault.NotFound, "message_not_found", "The inbox no longer has this message.")
	}
	if err := p.Receive(r.Context(), ref, rec); err != nil {
		return err
	}
	http.Redirect(w, r, "/inbox", http.StatusSeeOther)
	return nil
}
