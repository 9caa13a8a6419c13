// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/service"
)

// page is what a template gets: the words of its visitor's language, and what it shows.
type page struct {
	pages   *Pages
	visit   *visit
	Service *service.Service
	Lang    locale.Locale
	Title   string
	Problem string // said at the top and at the field, in words
	Field   string // the field that it is about
	Typed   string // what was typed and is no secret, kept
	Step    *account.Step
	View    *account.View
	Data    any    // what only this page shows
	Notice  string // a quiet word of success
	Wide    bool   // the security centre's column
	Back    string // the page that a step-up or the choice of a language leads back to
	Refresh int    // without JavaScript the page loads itself anew after so many seconds; 0: it doesn't
	Live    *live  // what changes while it is open; nil: nothing
	Once    bool   // what it shows can't be shown again, so nothing on it leads to another rendering
}

// shown is the page that a form's path belongs to: forms act, so nobody can go back to where they were sent.
func (p *Pages) shown(at string) string {
	for at != "/" && at != "." && !p.shows[at] {
		at = path.Dir(at)
	}
	if !p.shows[at] {
		return "/security"
	}
	return at
}

func (p *Pages) page(v *visit, title string) *page {
	pg := &page{pages: p, visit: v, Service: v.svc, Lang: v.lang, Back: p.shown(v.Request.URL.Path)}
	pg.Title = pg.T(title)
	return pg
}

// T is a sentence with its values, given as name and value in turn.
func (pg *page) T(key string, values ...any) string {
	return pg.pages.words.say(pg.Lang.Tag, key, append([]any{"service", pg.Service.Name}, values...)...)
}

// N is the sentence for a number.
func (pg *page) N(key string, n int, values ...any) string {
	return pg.pages.words.count(pg.Lang.Tag, key, n, values...)
}

// Forms is the plural forms of a sentence as JSON, for the page's script.
func (pg *page) Forms(key string) (string, error) {
	all := map[string]string{}
	for _, form := range forms {
		if text, ok := pg.pages.words.byTag[pg.Lang.Tag][key+"."+form]; ok {
			all[form] = text
		}
	}
	b, err := json.Marshal(all)
	return string(b), err
}

// Contact is a masked contact in words.
func (pg *page) Contact(w *account.Way) string {
	switch {
	case w.Digits == "" && w.Kind == contact.Phone:
		return pg.T("contact.hidden_phone")
	case w.Contact == "" && w.Kind != contact.Phone:
		return pg.T("contact.hidden_email")
	case w.Kind == contact.Phone:
		return pg.T("contact.phone", "digits", w.Digits)
	}
	return w.Contact
}

// Way is a way of proving something in words.
func (pg *page) Way(w account.Way) string {
	text := pg.T("way."+string(w.Method), "contact", pg.Contact(&w))
	if w.Name != "" {
		return pg.T("way.named", "way", text, "name", w.Name)
	}
	return text
}

// thingData is an app or a passkey as the page of methods shows it.
type thingData struct {
	account.ThingView
	Page  *page
	Words string
}

// Thing is an app or a passkey with the page around it.
func (pg *page) Thing(t account.ThingView, method string) thingData {
	return thingData{t, pg, pg.T("method." + method)}
}

// ChangeWords is a sensitive change in words.
func (pg *page) ChangeWords(c account.Change) string { return pg.change(&c) }

// Act is an entry of the activity in words.
func (pg *page) Act(e account.Entry) string {
	if e.Kind == account.ActApplication {
		return e.What
	}
	what := e.What
	if key := "method." + what; pg.pages.words.has(key) {
		what = pg.T(key)
	}
	if what == "" || !pg.pages.words.has("act."+e.Kind.String()+".what") {
		return pg.T("act." + e.Kind.String())
	}
	return pg.T("act."+e.Kind.String()+".what", "what", what)
}

// Asset is the path of an asset: it changes with the content, so that it can be kept for good.
func (pg *page) Asset(name string) string {
	return "/static/" + pg.pages.assets[name].hash + "/" + name
}

// Brand is the path of the service's colours.
func (pg *page) Brand() string { return brandPath(pg.Service) }

func brandPath(svc *service.Service) string {
	light, dark := svc.Brand.Accents()
	return "/brand/" + strings.TrimPrefix(light, "#") + strings.TrimPrefix(dark, "#") + ".css"
}

// HasLogo tells whether the service has a logo.
func (pg *page) HasLogo() bool { return len(pg.Service.Brand.Logo.Bytes()) > 0 }

// Languages are those of the switch.
func (pg *page) Languages() []locale.Locale { return locale.All() }

// SignedIn tells whether the visitor is signed in.
func (pg *page) SignedIn() bool { return pg.visit.signed != nil }

// aside is what `dev` shows beside the page.
type aside struct {
	Content       template.HTML
	Script, Style string
}

// Aside is nil outside `dev`.
func (pg *page) Aside() *aside {
	if pg.pages.Aside == nil {
		return nil
	}
	content, script, style := pg.pages.Options.Aside()
	return &aside{content, script, style}
}

// show renders a template.
func (p *Pages) show(v *visit, status int, name string, pg *page) error {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, pg); err != nil {
		return fault.As(fmt.Errorf("render %s: %w", name, err))
	}
	h := v.Header()
	h["Content-Type"] = []string{"text/html; charset=utf-8"}
	h["Content-Language"] = []string{v.lang.Tag}
	return send(v, status, b.Bytes())
}

// send writes a body, compressed for who takes that. Pages hold no secret beside a stranger's text that is echoed in a way
// that its length could tell (BREACH): what is echoed was typed by the same person in the same form.
func send(v *visit, status int, body []byte) error {
	h := v.Header()
	h.Add("Vary", "Accept-Encoding")
	if strings.Contains(v.Request.Header.Get("Accept-Encoding"), "gzip") && len(body) > 1000 {
		h.Set("Content-Encoding", "gzip")
		v.WriteHeader(status)
		z := gzip.NewWriter(v)
		_, _ = z.Write(body) // the visitor may have left
		_ = z.Close()
		return nil
	}
	v.WriteHeader(status)
	_, _ = v.Write(body) // the visitor may have left
	return nil
}

// problem is a fault in the visitor's words.
func (pg *page) problem(f *fault.Error) string {
	key := "fault." + f.Code
	if !pg.pages.words.has(key) {
		key = "fault.unknown"
		if f.Kind == fault.Unavailable {
			key = "fault.unavailable"
		}
		if f.Kind == fault.TooMany {
			key = "fault.too_often"
		}
	}
	wait := ""
	if f.RetryAfter > 0 {
		wait = pg.pages.words.wait(pg.Lang.Tag, f.RetryAfter)
	}
	text := pg.T(key, "wait", wait, "n", minimumOf(f))
	if wait != "" && !strings.Contains(text, wait) {
		text += " " + pg.T("fault.again", "wait", wait)
	}
	return text
}

// minimumOf is the number that a fault about a password's length is about.
func minimumOf(f *fault.Error) string {
	for _, word := range strings.Fields(f.Message) {
		if strings.Trim(word, "0123456789") == "" {
			return word
		}
	}
	return ""
}

// again shows a form once more with the fault that it ran into; faults that no form has a place for become an error page.
func (p *Pages) again(v *visit, err error, name string, pg *page, field string) error {
	f := fault.As(err)
	switch f.Kind {
	case fault.Internal, fault.Canceled, fault.Unauthorized:
		return err
	}
	if f.Code == account.ErrStepUp.Code {
		return err
	}
	retryAfter(v.Header(), f)
	pg.Problem, pg.Field = pg.problem(f), field
	if f.Field == "contact" || f.Field == "password" { // those that have one have it under this name
		pg.Field = f.Field
	}
	return p.show(v, statusOf(f), name, pg)
}

// retryAfter tells programs what the page tells people.
func retryAfter(h http.Header, f *fault.Error) {
	if f.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int((f.RetryAfter + time.Second - 1) / time.Second))}
	}
}

func statusOf(f *fault.Error) int {
	switch f.Kind {
	case fault.Invalid, fault.Unprocessable, fault.Conflict, fault.Ended, fault.Unsupported, fault.TooLarge:
		return http.StatusUnprocessableEntity
	}
	return httpx.StatusOf(f)
}

// fail writes an error page.
func (p *Pages) fail(x *httpx.Exchange, f *fault.Error) {
	if courierCall(x.Request.URL.Path) {
		httpx.WriteProblem(x, f)
		return
	}
	v, err := p.visit(x)
	if err != nil {
		x.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
		x.WriteHeader(http.StatusMisdirectedRequest)
		_, _ = x.Write([]byte(errHost.Message + "\n"))
		return
	}
	pg := p.page(v, "error.title")
	if f.Kind == fault.NotFound {
		pg.Title = pg.T("error.not_found")
	}
	pg.Problem = pg.problem(f)
	pg.Data = x.ID()
	retryAfter(x.Header(), f)
	if err := p.show(v, httpx.StatusOf(f), "error.html", pg); err != nil {
		http.Error(x, f.Message, http.StatusInternalServerError)
	}
}

// asset is a file that browsers keep for good: its name changes with its content.
type asset struct {
	hash, kind string
	content    []byte
}

func readAssets() (map[string]asset, error) {
	entries, err := files.ReadDir("assets")
	if err != nil {
		return nil, err
	}
	all := map[string]asset{}
	for _, e := range entries {
		content, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(content)
		all[e.Name()] = asset{hex.EncodeToString(sum[:6]), mime.TypeByExtension(path.Ext(e.Name())), content}
	}
	return all, nil
}

var forever = []string{"public, max-age=31536000, immutable"}

func (p *Pages) static(v *visit) error {
	v.Quiet()
	a, ok := p.assets[v.Request.PathValue("name")]
	if !ok {
		return errGone
	}
	v.Header()["Content-Type"] = []string{a.kind}
	if a.hash == v.Request.PathValue("hash") {
		v.Header()["Cache-Control"] = forever
	} // else a node of another version made the page: what we have is better than nothing, and isn't kept
	return send(v, http.StatusOK, a.content)
}

var errGone = fault.New(fault.NotFound, "no_such_page", "There is no such page.")

// colours is the service's style sheet. Its name says what is in it, so it can be kept for good.
func (p *Pages) colours(v *visit) error {
	v.Quiet()
	light, dark := v.svc.Brand.Accents()
	v.Header()["Content-Type"] = []string{"text/css; charset=utf-8"}
	if v.Request.URL.Path == brandPath(v.svc) {
		v.Header()["Cache-Control"] = forever
	} // else these colours aren't the ones that the page asked for, so they aren't kept under their name
	return send(v, http.StatusOK, fmt.Appendf(nil, ":root{--accent:%s;--on-accent:%s}@media (prefers-color-scheme:dark){:root{--accent:%s;--on-accent:%s}}",
		light, service.TextOn(light), dark, service.TextOn(dark)))
}

// logo is the service's. It is shown as a picture and can do nothing.
func (p *Pages) logo(v *visit) error {
	v.Quiet()
	logo := v.svc.Brand.Logo
	if len(logo.Bytes()) == 0 {
		return errGone
	}
	v.Header()["Content-Type"] = []string{logo.Type()}
	v.Header()["Content-Security-Policy"] = []string{"default-src 'none'; sandbox"}
	v.Header()["Cache-Control"] = []string{"public, max-age=3600"}
	return send(v, http.StatusOK, logo.Bytes())
}
