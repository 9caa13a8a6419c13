// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/secret"

	"github.com/go-json-experiment/json"
)

// signInData is what the sign-in page has for passkeys.
type signInData struct {
	Passkey string // JSON for the page's script; empty: the service has no domain
	Flow    string
	SignUp  bool
}

func (p *Pages) signIn(v *visit) error {
	if _, err := p.Accounts.Session(v.Request.Context(), v.svc, p.cookie(v, cookieSession), v.visitor); err == nil {
		return see(v, p.next(v, "/security"))
	}
	pg, err := p.signInPage(v)
	if err != nil {
		return err
	}
	return p.show(v, http.StatusOK, "signin.html", pg)
}

func (p *Pages) signInPage(v *visit) (*page, error) {
	pg := p.page(v, "signin.title")
	d := &signInData{SignUp: v.svc.Policy.SignUp}
	pg.Data = d
	s, err := p.Accounts.SignInPasskey(v.Request.Context(), v.svc, v.visitor)
	if err != nil {
		if fault.As(err).Kind == fault.Unsupported {
			return pg, nil
		}
		return nil, err
	}
	d.Passkey, d.Flow = string(s.Passkey), s.Flow
	return pg, nil
}

func (p *Pages) contact(v *visit) (contact.Contact, error) {
	return contact.Parse(v.form("contact"), p.Region)
}

func (p *Pages) doSignIn(v *visit) error {
	to, err := p.contact(v)
	var s *account.Step
	if err == nil {
		s, err = p.Accounts.SignIn(v.Request.Context(), v.svc, to, secret.NewText(v.form("password")), v.visitor)
	} else {
		err = fault.As(err).WithField("contact")
	}
	if err == nil {
		return p.advance(v, s, nil)
	}
	pg, e := p.signInPage(v)
	if e != nil {
		return e
	}
	pg.Typed = v.form("contact")
	return p.again(v, err, "signin.html", pg, "password")
}

// doPasskey signs in by a passkey alone. Its flow stands in the form: the page may have been open for long beside others.
func (p *Pages) doPasskey(v *visit) error {
	s, err := p.Accounts.Answer(v.Request.Context(), v.svc, v.form("flow"), &account.Answer{
		Passkey: []byte(v.form("passkey")), Trust: v.form("trust") != "", Visitor: *v.visitor,
	})
	if err == nil && s.Problem == nil {
		return p.advance(v, s, nil)
	}
	if err == nil {
		err = fault.New(fault.Unprocessable, s.Problem.Code, "")
	}
	pg, e := p.signInPage(v)
	if e != nil {
		return e
	}
	return p.again(v, err, "signin.html", pg, "contact")
}

func (p *Pages) signUp(v *visit) error {
	if !v.svc.Policy.SignUp {
		return errClosed
	}
	return p.show(v, http.StatusOK, "signup.html", p.page(v, "signup.title"))
}

var errClosed = fault.New(fault.Forbidden, "sign_up_closed", "This service makes its accounts itself.")

func (p *Pages) doSignUp(v *visit) error {
	to, err := p.contact(v)
	var s *account.Step
	if err == nil {
		s, err = p.Accounts.SignUp(v.Request.Context(), v.svc, to, secret.NewText(v.form("password")), v.visitor)
	} else {
		err = fault.As(err).WithField("contact")
	}
	if err == nil {
		return p.advance(v, s, nil)
	}
	pg := p.page(v, "signup.title")
	pg.Typed = v.form("contact")
	return p.again(v, err, "signup.html", pg, "contact")
}

func (p *Pages) doSignUpKey(v *visit) error {
	s, err := p.Accounts.SignUpPasskey(v.Request.Context(), v.svc, "", v.visitor)
	if err != nil {
		return p.again(v, err, "signup.html", p.page(v, "signup.title"), "contact")
	}
	return p.advance(v, s, nil)
}

func (p *Pages) forgot(v *visit) error {
	return p.show(v, http.StatusOK, "name.html", p.named(v, "forgot"))
}

func (p *Pages) recover(v *visit) error {
	return p.show(v, http.StatusOK, "name.html", p.named(v, "recover"))
}

// named is the page that asks for a contact; what for is its action and the key of its words.
func (p *Pages) named(v *visit, what string) *page {
	pg := p.page(v, what+".title")
	pg.Data = what
	return pg
}

func (p *Pages) doForgot(v *visit) error {
	return p.lost(v, "forgot", func(to contact.Contact) (*account.Step, error) {
		return p.Accounts.Forgot(v.Request.Context(), v.svc, to, v.visitor)
	})
}

func (p *Pages) doRecover(v *visit) error {
	return p.lost(v, "recover", func(to contact.Contact) (*account.Step, error) {
		return p.Accounts.Recover(v.Request.Context(), v.svc, to, v.visitor)
	})
}

func (p *Pages) lost(v *visit, what string, begin func(contact.Contact) (*account.Step, error)) error {
	to, err := p.contact(v)
	var s *account.Step
	if err == nil {
		s, err = begin(to)
	}
	if err == nil {
		return p.advance(v, s, nil)
	}
	pg := p.named(v, what)
	pg.Typed = v.form("contact")
	return p.again(v, err, "name.html", pg, "contact")
}

// strength answers the hint below a new password. Nothing of what was typed is kept.
func (p *Pages) strength(v *visit) error {
	v.Quiet()
	n, err := account.Strength(v.svc, secret.NewText(v.form("password")))
	pg := p.page(v, "signin.title")
	text := pg.T("strength." + string(rune('0'+n)))
	if err != nil {
		text = pg.problem(fault.As(err))
	}
	body, err := json.Marshal(map[string]any{"strength": n, "text": text})
	if err != nil {
		return fault.As(err)
	}
	v.Header()["Content-Type"] = []string{"application/json"}
	v.WriteHeader(http.StatusOK)
	_, _ = v.Write(body) // the visitor may have left
	return nil
}

// language chooses the language of the pages, and of messages for who is signed in.
func (p *Pages) language(v *visit) error {
	to := locale.Match(v.form("language"))
	http.SetCookie(v, &http.Cookie{
		Name: cookieLanguage, Value: to.Tag, Path: "/", MaxAge: int(deviceTime / time.Second), Secure: p.Secure, SameSite: http.SameSiteLaxMode,
	})
	if s, err := p.Accounts.Session(v.Request.Context(), v.svc, p.cookie(v, cookieSession), v.visitor); err == nil {
		if err := p.Accounts.SetLocale(v.Request.Context(), s, to.Tag); err != nil {
			return err
		}
	}
	back := v.form("back")
	if !ours(back) {
		back = "/signin"
	}
	return see(v, back)
}
