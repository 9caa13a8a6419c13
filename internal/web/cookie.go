// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/account"
)

// The cookies. Those that prove something are __Host- cookies: set by this host over TLS alone, for no other path or host (RFC 6265bis,
// 4.1.3.2).
const (
	cookieSession  = "session"
	cookieFlow     = "flow"
	cookieDevices  = "device"
	cookieNext     = "next"
	cookieReport   = "report"   // what became of a report that was made without an account
	cookieProof    = "proof"    // a contact that was proven without an account
	cookieCourier  = "courier"  // the device of a shift
	cookieDepot    = "depot"    // which depot a browser of its staff stands in; it opens nothing
	cookieLanguage = "language" // read by no decision
	cookieZone     = "zone"     // set by the page's script
)

const (
	flowTime   = 30 * time.Minute
	deviceTime = 400 * 24 * time.Hour // the longest that browsers keep
	maxDevices = 8
)

func (p *Pages) name(cookie string) string {
	if p.Secure {
		return "__Host-" + cookie
	}
	return cookie
}

func (p *Pages) cookie(v *visit, name string) string {
	c, err := v.Request.Cookie(p.name(name))
	if err != nil {
		return ""
	}
	return c.Value
}

func (p *Pages) set(v *visit, name, value string, life time.Duration) {
	http.SetCookie(v, &http.Cookie{
		Name: p.name(name), Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, Secure: p.Secure, SameSite: http.SameSiteLaxMode,
	})
}

func (p *Pages) clear(v *visit, name string) { p.set(v, name, "", -time.Second) }

func (p *Pages) setFlow(v *visit, flow string) { p.set(v, cookieFlow, flow, flowTime) }

// setNext remembers where to go on afterwards, if that is one of our pages.
func (p *Pages) setNext(v *visit, path string) {
	if ours(path) {
		p.set(v, cookieNext, path, flowTime)
	}
}

// ours tells whether a path leads to one of our own pages and nowhere else: "//host", "/\host" and control characters lead browsers elsewhere.
func ours(path string) bool {
	if len(path) < 1 || len(path) > 200 || path[0] != '/' || strings.HasPrefix(path, "//") {
		return false
	}
	return !strings.ContainsFunc(path, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '/' && r != '-'
	})
}

// next is where to go on, once.
func (p *Pages) next(v *visit, otherwise string) string {
	path := p.cookie(v, cookieNext)
	if path == "" {
		return otherwise
	}
	p.clear(v, cookieNext)
	if !ours(path) {
		return otherwise
	}
	return path
}

// keep takes over what a finished flow leaves with the browser: the session, and the device in place of the same account's.
func (p *Pages) keep(v *visit, d *account.Done) {
	if s := d.Session.Reveal(); s != "" { // to its owner's browser
		p.set(v, cookieSession, s, d.SessionLife)
	}
	fresh := d.Device.Reveal() // likewise
	if fresh == "" {
		return
	}
	all := []string{fresh}
	for _, old := range v.visitor.Devices {
		if !account.SameOwner(old, fresh) && len(all) < maxDevices {
			all = append(all, old)
		}
	}
	p.set(v, cookieDevices, strings.Join(all, "."), deviceTime)
}
