// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strconv"

	"rsc.io/qr"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/secret"
)

// center is a page of the security centre.
func (p *Pages) center(v *visit, title string) *page {
	pg := p.page(v, title)
	pg.Wide, pg.View = true, p.Accounts.View(v.signed)
	return pg
}

func (p *Pages) security(v *visit) error {
	pg := p.center(v, "security.title")
	if pg.View.MustTurnOn {
		return see(v, "/security/two-step")
	}
	return p.show(v, http.StatusOK, "security.html", pg)
}

func (p *Pages) doSignOut(v *visit) error {
	if err := p.Accounts.SignOut(v.Request.Context(), v.signed, "", v.visitor); err != nil {
		return err
	}
	p.clear(v, cookieSession)
	p.clear(v, cookieNext)
	p.clear(v, cookieFlow) // what was half-way isn't left to whoever sits down here next
	p.clear(v, cookieProof)
	v.signed = nil
	return see(v, "/signin")
}

func (p *Pages) twoStep(v *visit) error {
	return p.show(v, http.StatusOK, "twostep.html", p.center(v, "twostep.title"))
}

func (p *Pages) twoStepOff(v *visit) error {
	pg := p.center(v, "off.title")
	return p.show(v, http.StatusOK, "off.html", pg)
}

func (p *Pages) doTwoStepOff(v *visit) error {
	err := p.Accounts.TurnOff(v.Request.Context(), v.signed, v.visitor)
	if fault.As(err) != nil && fault.As(err).Code == account.ErrStandsAlone.Code {
		p.setNext(v, "/security/two-step/off")
		pg := p.center(v, "password.title")
		return p.again(v, err, "password.html", pg, "password")
	}
	if err != nil {
		return p.again(v, err, "off.html", p.center(v, "off.title"), "")
	}
	pg, err := p.fresh(v, "off.done")
	if err != nil {
		return err
	}
	return p.show(v, http.StatusOK, "offdone.html", pg)
}

// fresh is a page of the security centre after a change.
func (p *Pages) fresh(v *visit, title string) (*page, error) {
	s, err := p.Accounts.Session(v.Request.Context(), v.svc, p.cookie(v, cookieSession), v.visitor)
	if err != nil {
		return nil, err
	}
	v.signed = s
	return p.center(v, title), nil
}

// begun goes on with a flow that begins on a page of the centre, or shows that page with what was refused.
func (p *Pages) begun(v *visit, s *account.Step, err error, name, title, field string) error {
	if err != nil {
		pg := p.center(v, title)
		pg.Typed, pg.Back = v.form("contact"), v.form("back")
		return p.again(v, err, name, pg, field)
	}
	return p.advance(v, s, nil)
}

func (p *Pages) doEnable(v *visit) error {
	s, err := p.Accounts.Enable(v.Request.Context(), v.signed, v.form("id"), v.visitor)
	return p.begun(v, s, err, "twostep.html", "twostep.title", "")
}

func (p *Pages) doAddApp(v *visit) error {
	s, err := p.Accounts.AddApp(v.Request.Context(), v.signed, v.form("name"), true, v.visitor)
	return p.begun(v, s, err, "twostep.html", "twostep.title", "")
}

func (p *Pages) passkeys(v *visit) error {
	return p.show(v, http.StatusOK, "passkeys.html", p.center(v, "passkeys.title"))
}

// doAddKey begins a passkey: as a second step, or for signing in with it alone.
func (p *Pages) doAddKey(v *visit) error {
	s, err := p.Accounts.AddPasskey(v.Request.Context(), v.signed, v.form("name"), v.form("two_step") != "", v.visitor)
	from := p.origin(v, "/security/two-step", "/security/passkeys")
	if err == nil {
		p.setNext(v, from.path)
	}
	field := ""
	if from.name == "passkeys.html" {
		field = "name"
	}
	return p.begun(v, s, err, from.name, from.title, field)
}

// room is a page of the centre with its template and the key of its title.
type room struct{ path, name, title string }

var rooms = []room{
	{"/security/two-step", "twostep.html", "twostep.title"},
	{"/security/passkeys", "passkeys.html", "passkeys.title"},
	{"/security/contacts", "contacts.html", "contacts.title"},
	{"/security/devices", "devices.html", "devices.known"},
	{"/security/sessions", "sessions.html", "devices.sessions"},
}

// origin is the page that a form was on: one of those that have it, the first unless the form says another.
func (p *Pages) origin(v *visit, paths ...string) room {
	at := paths[0]
	if back := v.form("back"); slices.Contains(paths, back) {
		at = back
	}
	return rooms[slices.IndexFunc(rooms, func(r room) bool { return r.path == at })]
}

// changed goes back to the page that a form was on, or shows it with what was refused.
func (p *Pages) changed(v *visit, err error, from room) error {
	if err != nil {
		pg := p.center(v, from.title)
		pg.Back = from.path
		return p.again(v, err, from.name, pg, "")
	}
	return see(v, from.path)
}

func (p *Pages) doStopCodes(v *visit) error {
	return p.changed(v, p.Accounts.StopCodes(v.Request.Context(), v.signed, v.form("id"), v.visitor), p.origin(v, "/security/two-step"))
}

func (p *Pages) doDefault(v *visit) error {
	return p.changed(v, p.Accounts.SetDefault(v.Request.Context(), v.signed, v.form("way")), p.origin(v, "/security/two-step"))
}

func (p *Pages) doRename(v *visit) error {
	from := p.origin(v, "/security/two-step", "/security/passkeys", "/security/devices")
	return p.changed(v, p.Accounts.Rename(v.Request.Context(), v.signed, v.form("id"), v.form("name")), from)
}

func (p *Pages) doRemove(v *visit) error {
	from := p.origin(v, "/security/two-step", "/security/passkeys", "/security/contacts")
	return p.changed(v, p.Accounts.Remove(v.Request.Context(), v.signed, v.form("id"), v.visitor), from)
}

func (p *Pages) recoveryCodes(v *visit) error {
	return p.show(v, http.StatusOK, "codes.html", p.center(v, "codes.title"))
}

func (p *Pages) doRecoveryCodes(v *visit) error {
	codes, err := p.Accounts.NewRecoveryCodes(v.Request.Context(), v.signed, v.visitor)
	if err != nil {
		return p.again(v, err, "codes.html", p.center(v, "codes.title"), "")
	}
	return p.showRecoveryCodes(v, codes)
}

// codesData is new recovery codes, and where to go on when they are saved.
type codesData struct {
	Codes []string
	Next  string
}

// showRecoveryCodes shows them this once. Reloading the page asks the browser to send the form again, which makes nothing new of a flow.
func (p *Pages) showRecoveryCodes(v *visit, codes []string) error {
	pg := p.page(v, "codes.new")
	pg.Data, pg.Once, pg.Wide = &codesData{codes, p.next(v, "/security/two-step")}, true, true
	return p.show(v, http.StatusOK, "codesnew.html", pg)
}

func (p *Pages) password(v *visit) error {
	return p.show(v, http.StatusOK, "password.html", p.center(v, "password.title"))
}

func (p *Pages) doPassword(v *visit) error {
	err := error(nil)
	if v.form("password") != v.form("repeat") {
		err = errRepeat
	} else {
		err = p.Accounts.ChangePassword(v.Request.Context(), v.signed, secret.NewText(v.form("password")), v.visitor)
	}
	if err != nil {
		return p.again(v, err, "password.html", p.center(v, "password.title"), "password")
	}
	return see(v, p.next(v, "/security"))
}

func (p *Pages) contacts(v *visit) error {
	return p.show(v, http.StatusOK, "contacts.html", p.center(v, "contacts.title"))
}

func (p *Pages) doAddContact(v *visit) error {
	to, err := p.contact(v)
	if err != nil {
		return p.begun(v, nil, fault.As(err).WithField("contact"), "contacts.html", "contacts.title", "contact")
	}
	s, err := p.Accounts.AddContact(v.Request.Context(), v.signed, to, v.form("replaces"), v.visitor)
	return p.begun(v, s, err, "contacts.html", "contacts.title", "contact")
}

func (p *Pages) doConfirm(v *visit) error {
	s, err := p.Accounts.ConfirmContact(v.Request.Context(), v.signed, v.form("id"), v.visitor)
	return p.begun(v, s, err, "contacts.html", "contacts.title", "contact")
}

func (p *Pages) devices(v *visit) error {
	return p.show(v, http.StatusOK, "devices.html", p.center(v, "devices.known"))
}

func (p *Pages) sessions(v *visit) error {
	return p.show(v, http.StatusOK, "sessions.html", p.center(v, "devices.sessions"))
}

func (p *Pages) doRevoke(v *visit) error {
	return p.changed(v, p.Accounts.RevokeDevice(v.Request.Context(), v.signed, v.form("id"), v.visitor), p.origin(v, "/security/devices"))
}

// doEndSession ends one session or all others; who ends this one is led to the sign-in.
func (p *Pages) doEndSession(v *visit) error {
	id := v.form("id")
	err := p.Accounts.SignOut(v.Request.Context(), v.signed, id, v.visitor)
	this := func(s account.SessionView) bool { return s.ID == id && s.Current }
	if err == nil && slices.ContainsFunc(p.Accounts.View(v.signed).Sessions, this) {
		p.clear(v, cookieSession)
		return see(v, "/signin")
	}
	return p.changed(v, err, p.origin(v, "/security/sessions"))
}

// activityData is a page of entries.
type activityData struct {
	Entries []account.Entry
	Before  uint32 // for the next page; 0: there is none
}

func (p *Pages) activity(v *visit) error {
	pg := p.center(v, "activity.title")
	before, _ := strconv.ParseUint(v.Request.URL.Query().Get("before"), 10, 32) // anything else is the first page
	entries, older, err := p.Accounts.Activity(v.Request.Context(), v.signed, uint32(before))
	if err != nil {
		return err
	}
	pg.Data = &activityData{entries, older}
	return p.show(v, http.StatusOK, "activity.html", pg)
}

func (p *Pages) doNotMe(v *visit) error {
	id, _ := strconv.ParseUint(v.form("entry"), 10, 32) // what is no number is no entry
	if err := p.Accounts.NotMe(v.Request.Context(), v.signed, uint32(id), v.visitor); err != nil {
		return err
	}
	pg, err := p.fresh(v, "notme.title")
	if err != nil {
		return err
	}
	return p.show(v, http.StatusOK, "notme.html", pg)
}

func (p *Pages) data(v *visit) error {
	return p.show(v, http.StatusOK, "data.html", p.center(v, "data.title"))
}

func (p *Pages) download(v *visit) error {
	e, err := p.Accounts.Export(v.Request.Context(), v.signed)
	if err != nil {
		return err
	}
	body, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fault.As(err)
	}
	v.Header()["Content-Type"] = []string{"application/json"}
	v.Header()["Content-Disposition"] = []string{`attachment; filename="` + v.svc.Slug + `-account.json"`}
	return send(v, http.StatusOK, body)
}

func (p *Pages) closing(v *visit) error {
	return p.show(v, http.StatusOK, "close.html", p.center(v, "close.title"))
}

func (p *Pages) doClose(v *visit) error {
	if err := p.Accounts.Close(v.Request.Context(), v.signed, v.visitor); err != nil {
		return p.again(v, err, "close.html", p.center(v, "close.title"), "")
	}
	p.clear(v, cookieSession)
	v.signed = nil
	return p.show(v, http.StatusOK, "closed.html", p.page(v, "closed.title"))
}

// QR is the picture for an authenticator app, as a data URL: it is in this page and nowhere else.
func (pg *page) QR(uri string) (template.URL, error) {
	code, err := qr.Encode(uri, qr.M)
	if err != nil {
		return "", err
	}
	code.Scale = 5
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(code.PNG())), nil
}

// Groups writes a secret in groups of four, as people type it.
func (pg *page) Groups(text string) string {
	var b bytes.Buffer
	for i := 0; i < len(text); i += 4 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(text[i:min(i+4, len(text))])
	}
	return b.String()
}

// Trusted is how many devices need no second step.
func (pg *page) Trusted() (n int) {
	for _, d := range pg.View.Devices {
		if !d.TrustedUntil.IsZero() {
			n++
		}
	}
	return n
}

// IsPhone tells a phone number from an address.
func (pg *page) IsPhone(c account.ContactView) bool { return c.Kind == contact.Phone }
