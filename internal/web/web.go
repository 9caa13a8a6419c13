// SPDX-License-Identifier: Apache-2.0

// Package web is the pages of a service: signing up and in, the code page, and the security centre, rendered by the server. They work without
// JavaScript and are better with it.
//
// It owns routes, cookies, words and looks. It decides nothing: every page shows a step or a view of package account, and every form calls it.
package web

import (
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/place"
	"github.com/countersign/countersign/internal/service"
)

//go:embed assets templates catalog
var files embed.FS

// Options of New. All are needed but Aside, Done, Proxies and Help.
type Options struct {
	Accounts  *account.Accounts
	Care      *care.Care
	Handovers *handover.Handovers
	Renderer  *message.Renderer                          // of the messages that are compared
	ByHost    func(host string) (*service.Service, bool) // the service whose pages are at a host name
	Places    *place.Finder
	Region    string // of numbers that come without a country
	Now       func() time.Time
	Log       *slog.Logger
	Secure    bool            // the pages are served over TLS: cookies are __Host- ones
	Proxies   []netip.Prefix  // whose X-Forwarded-For is believed
	Done      <-chan struct{} // closed when the server stops: ends what streams; nil: it never does
	Help      string          // folder with the operator's help topics; empty: none
	// Aside is shown beside every page, with a script of its own: the inbox of `dev`. Nil: nothing.
	Aside func() (content template.HTML, script, style string)
}

// Pages serves the pages of all services.
type Pages struct {
	Options
	words      *words
	help       *help
	templates  *template.Template
	assets     map[string]asset // by name
	shows      map[string]bool  // the paths of pages that can be gone back to
	guard      *http.CrossOriginProtection
	mux        *httpx.Mux
	calls      streams // pages that are kept up to date
	parcels    streams // likewise, for who has a link; they can't take
	recipients streams // the places of those who have proven that it is theirs
	couriers   couriers
}

// New reads templates, words, help and assets; the error says what is wrong with one.
func New(opt Options) (*Pages, error) {
	p := &Pages{
		Options: opt, shows: map[string]bool{}, guard: http.NewCrossOriginProtection(),
		calls: streams{most: liveCalls}, parcels: streams{most: liveParcels}, recipients: streams{most: liveParcels},
	}
	var err error
	if opt.Handovers != nil {
		p.couriers = &rounds{opt.Handovers, opt.Now}
	}
	if p.words, err = readWords(); err != nil {
		return nil, err
	}
	if p.help, err = readHelp(p.words, opt.Help); err != nil {
		return nil, err
	}
	if p.assets, err = readAssets(); err != nil {
		return nil, err
	}
	if p.templates, err = template.New("").ParseFS(files, "templates/*.html"); err != nil {
		return nil, err
	}
	p.mux = httpx.NewMux(opt.Log, time.Now, p.fail)
	for _, r := range p.routes() {
		if method, at, _ := strings.Cut(r.pattern, " "); method == http.MethodGet && ours(at) && at != "/" && !courierCall(at) {
			p.shows[at] = true
		}
		p.mux.Handle(r.pattern, func(x *httpx.Exchange) error { return p.serve(x, &r) })
	}
	return p, nil
}

// ServeHTTP implements [http.Handler].
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header(), p.Secure)
	if at := r.URL.Path; at != "/help" && !strings.HasPrefix(at, "/help/") {
		w.Header()["X-Robots-Tag"] = []string{"noindex"} // some addresses are secrets, and none but the help is of use to whoever searches
	}
	if isCourier(r.URL.Path) {
		secureCourier(w.Header())
	}
	p.mux.ServeHTTP(w, r)
}

const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// secure sets what every answer to a browser carries. No page has inline code or style.
func secure(h http.Header, tls bool) {
	h["Content-Security-Policy"] = []string{policy}
	h["X-Frame-Options"] = []string{"DENY"}
	h["Referrer-Policy"] = []string{"no-referrer"}
	h["Cross-Origin-Opener-Policy"] = []string{"same-origin"}
	h["Permissions-Policy"] = []string{"camera=(), geolocation=(), microphone=(), otp-credentials=(self), publickey-credentials-get=(self), publickey-credentials-create=(self)"}
	if tls {
		h["Strict-Transport-Security"] = []string{"max-age=31536000"}
	}
}

// need says what a route asks of its visitor.
type need uint8

const (
	anybody need = iota
	perhaps      // anybody, and somebody who is signed in sees more
	session      // somebody who is signed in
)

type route struct {
	pattern string
	need    need
	handle  func(*Pages, *visit) error
}

// Limits of what is read of a form, in bytes: a pasted message, or what an authenticator signed.
const (
	maxForm    = 8 << 10
	maxPasskey = 64 << 10
	maxLong    = 64 << 10 // a text of thousands of characters, as a form has it
	maxReport  = 3 << 20  // with a picture
)

// visit is one request with what is known of who makes it.
type visit struct {
	*httpx.Exchange
	svc     *service.Service
	visitor *account.Visitor
	lang    locale.Locale
	zone    *time.Location  // nil: not known
	signed  *account.Signed // where the route asks for a session
}

func (v *visit) form(name string) string { return v.Request.PostFormValue(name) }

// serve finds out whose pages are asked for and by whom, and runs the route.
func (p *Pages) serve(x *httpx.Exchange, r *route) error {
	v, err := p.visit(x)
	if err != nil {
		return err
	}
	if err := p.guard.Check(x.Request); err != nil {
		return fault.New(fault.Forbidden, "cross_origin", "This form was sent from another site. Open the page here and send it again.")
	}
	x.By("", v.svc.Slug)
	limit := int64(maxForm)
	if strings.HasSuffix(r.pattern, "/passkey") || strings.HasSuffix(r.pattern, "/answer") {
		limit = maxPasskey
	}
	switch r.pattern {
	case "POST /report":
		limit = maxReport
	case "POST /courier/act":
		limit = maxActs
	case "POST /check/paste", "POST /cases", "POST /cases/{id}", "POST /support/cases/{id}":
		limit = maxLong
	}
	x.Request.Body = http.MaxBytesReader(x, x.Request.Body, limit)
	if x.Request.Method == http.MethodPost {
		err := x.Request.ParseForm()
		if err == nil && strings.HasPrefix(x.Request.Header.Get("Content-Type"), "multipart/") {
			err = x.Request.ParseMultipartForm(limit)
		}
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return fault.New(fault.TooLarge, "form_too_large", "That is more than this form takes. Make it shorter, or the picture smaller.")
		}
		if err != nil {
			return fault.New(fault.Invalid, "form_unreadable", "The form can't be read. Go back and send it again.")
		}
	}
	if r.need == perhaps {
		if v.signed, err = p.Accounts.Session(x.Request.Context(), v.svc, p.cookie(v, cookieSession), v.visitor); err != nil && fault.As(err).Code != account.ErrSignedOut.Code {
			return err
		}
	}
	if r.need == session {
		if v.signed, err = p.Accounts.Session(x.Request.Context(), v.svc, p.cookie(v, cookieSession), v.visitor); err != nil {
			return p.signedOut(v, err)
		}
	}
	if err = r.handle(p, v); err == nil {
		return nil
	}
	switch f := fault.As(err); {
	case f.Code == account.ErrStepUp.Code && v.signed != nil:
		return p.stepUp(v)
	case f.Code == account.ErrSignedOut.Code: // meanwhile, perhaps in another tab
		return p.signedOut(v, err)
	}
	return err
}

// visit is what is known of a request. The host name chooses the service and is used for nothing else.
func (p *Pages) visit(x *httpx.Exchange) (*visit, error) {
	r := x.Request
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	svc, ok := p.ByHost(strings.ToLower(host))
	if !ok {
		return nil, errHost
	}
	v := &visit{Exchange: x, svc: svc}
	wish := ""
	if c, err := r.Cookie(cookieLanguage); err == nil {
		wish = c.Value
	}
	v.lang = locale.Match(wish, r.Header.Get("Accept-Language"), svc.Locale)
	if c, err := r.Cookie(cookieZone); err == nil {
		v.zone = zoneOf(c.Value)
	}
	ip := p.address(r)
	v.visitor = &account.Visitor{
		IP: ip, UserAgent: r.UserAgent(), Device: place.Device(r.UserAgent()), Place: p.Places.Find(ip, v.lang.Tag).String(), Language: v.lang.Tag,
		Devices: strings.FieldsFunc(p.cookie(v, cookieDevices), func(r rune) bool { return r == '.' }),
	}
	return v, nil
}

var errHost = fault.New(fault.NotFound, "unknown_host", "There is no service at this address.")

// address is the visitor's own: the last one in X-Forwarded-For that isn't a proxy's, when the request came through one.
func (p *Pages) address(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	at := from.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && len(p.Proxies) > 0 && httpx.Trusted(p.Proxies, at); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		at = hop.Unmap()
	}
	return at.String()
}

// see leads on to one of our own pages.
func see(v *visit, path string) error {
	v.Header().Set("Location", path)
	v.WriteHeader(http.StatusSeeOther)
	return nil
}

// signedOut leads to the sign-in, and back here afterwards.
func (p *Pages) signedOut(v *visit, err error) error {
	if fault.As(err).Code != account.ErrSignedOut.Code {
		return err
	}
	if v.Request.Method == http.MethodGet {
		p.setNext(v, v.Request.URL.Path)
	}
	p.clear(v, cookieSession)
	return see(v, "/signin")
}

// stepUp asks for a proof and leads back afterwards.
func (p *Pages) stepUp(v *visit) error {
	s, err := p.Accounts.StepUp(v.Request.Context(), v.signed, v.visitor)
	if err != nil {
		return err
	}
	back := v.Request.URL.Path
	if v.Request.Method != http.MethodGet {
		back = v.form("back") // the page that the form was on; a form whose content was secret is filled in again
	}
	if !p.shows[back] {
		back = p.shown(v.Request.URL.Path)
	}
	p.setNext(v, back)
	p.setFlow(v, s.Flow)
	return see(v, "/step")
}
