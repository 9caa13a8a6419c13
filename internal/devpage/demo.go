// SPDX-License-Identifier: Apache-2.0

package devpage

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/place"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// flowCookie holds the verification's id and flow secret: the page goes on only with what this browser
// began.
const (
	flowCookie = "countersign_demo"
	flowLife   = time.Hour
)

func (p *Pages) home(w http.ResponseWriter, _ *http.Request) error {
	return p.show(w, http.StatusOK, "home.html", &page{Title: "Try a code"})
}

func (p *Pages) service() (*service.Service, error) {
	svc, ok := p.Service()
	if !ok {
		return nil, fault.New(fault.Unavailable, "starting", "The demo service isn't there yet. Try again in a moment.")
	}
	return svc, nil
}

// begin sends a code and goes on to the code page.
func (p *Pages) begin(w http.ResponseWriter, r *http.Request) error {
	svc, err := p.service()
	if err != nil {
		return err
	}
	typed := r.PostFormValue("contact")
	to, err := contact.Parse(typed, "")
	var b *verification.Begun
	if err == nil {
		b, err = p.Engine.Begin(r.Context(), verification.BeginRequest{
			Service: svc, Contact: to, Purpose: service.SignIn, Context: p.asked(r),
		})
	}
	if err != nil {
		if f := fault.As(err); f.Kind != fault.Internal {
			return p.show(w, http.StatusUnprocessableEntity, "home.html", &page{Title: "Error: Try a code", Problem: f.Message, Typed: typed})
		}
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: flowCookie, Value: verification.FormatID(b.ID) + "." + b.FlowSecret, Path: "/", HttpOnly: true,
		SameSite: http.SameSiteStrictMode, MaxAge: int(flowLife / time.Second),
	})
	http.Redirect(w, r, "/code", http.StatusSeeOther)
	return nil
}

// asked says from where and with what a request came, as the mail with the code tells.
func (p *Pages) asked(r *http.Request) verification.RequestContext {
	c := verification.RequestContext{Device: place.Device(r.UserAgent())}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.Place = p.Places.Find(from.Addr().String(), "en").String()
	}
	return c
}

// flow is the verification that this browser began.
func (p *Pages) flow(r *http.Request, svc *service.Service) (ledger.ID, bool) {
	c, err := r.Cookie(flowCookie)
	if err != nil {
		return ledger.ID{}, false
	}
	text, flow, _ := strings.Cut(c.Value, ".")
	id, err := verification.ParseID(text)
	return id, err == nil && verification.VerifyFlow(svc, id, flow)
}

// withFlow runs fn with this browser's verification, or goes back to the start.
func (p *Pages) withFlow(w http.ResponseWriter, r *http.Request, fn func(*service.Service, ledger.ID) error) error {
	svc, err := p.service()
	if err != nil {
		return err
	}
	id, ok := p.flow(r, svc)
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	return fn(svc, id)
}

func (p *Pages) code(w http.ResponseWriter, r *http.Request) error {
	return p.withFlow(w, r, func(svc *service.Service, id ledger.ID) error {
		v, err := p.Engine.Status(r.Context(), svc, id)
		if err != nil {
			return err
		}
		return p.codePage(w, http.StatusOK, &page{View: v})
	})
}

// codePage shows the code page in the state of its view.
func (p *Pages) codePage(w http.ResponseWriter, status int, data *page) error {
	v := data.View
	data.Title = "Enter the code we sent"
	if wait := v.NextSendAt.Sub(p.Now()); !v.NextSendAt.IsZero() && wait > 0 {
		data.Wait = int((wait + time.Second - 1) / time.Second)
	}
	switch v.Status {
	case verification.Approved:
		data.Over = "This code has already been used."
	case verification.Expired:
		data.Over = "That code was good until " + v.ExpiresAt.Local().Format("15:04") + "."
	case verification.Canceled:
		data.Over = "This code was canceled."
	case verification.MaxAttemptsReached:
		data.Over = "Too many tries, so this code no longer works."
	case verification.Failed:
		data.Over = "We couldn't send this code."
	}
	if n := len(v.Messages); n > 0 {
		data.Sent = sentence(v, v.Messages[n-1])
	}
	if data.Problem != "" || data.Over != "" && !data.Granted {
		data.Title = "Error: " + data.Title
	}
	if data.Granted {
		data.Title = "That's right"
	}
	return p.show(w, status, "code.html", data)
}

// sentence says how a message went.
func sentence(v *verification.View, m verification.MessageView) string {
	how := map[service.Channel]string{service.SMS: "We texted it to", service.Email: "We mailed it to", service.Voice: "We called"}[m.Channel]
	switch m.Status {
	case verification.MessageFail:
		return "We couldn't hand the message to your network."
	case verification.Undelivered:
		return "The network says that our message can't reach " + v.Contact + "."
	case verification.Delivered:
		return fmt.Sprintf("%s %s at %s, and it arrived.", how, v.Contact, m.QueuedAt.Local().Format("15:04"))
	}
	return fmt.Sprintf("%s %s at %s. It can take a minute.", how, v.Contact, m.QueuedAt.Local().Format("15:04"))
}

func (p *Pages) check(w http.ResponseWriter, r *http.Request) error {
	return p.withFlow(w, r, func(svc *service.Service, id ledger.ID) error {
		typed := r.PostFormValue("code")
		c, err := p.Engine.Check(r.Context(), verification.CheckRequest{Service: svc, ID: id, Typed: typed})
		if err != nil {
			return p.refused(w, r, svc, id, err)
		}
		data := &page{View: &c.View, Typed: typed, Granted: c.Result == verification.Granted}
		if data.Granted {
			data.Typed = ""
			return p.codePage(w, http.StatusOK, data)
		}
		data.Problem = problem(c)
		return p.codePage(w, http.StatusUnprocessableEntity, data)
	})
}

// problem says why a code wasn't accepted, in the words of the code page.
func problem(c *verification.Checked) string {
	tries := fmt.Sprintf("%d tries left.", c.TriesLeft)
	if c.TriesLeft == 1 {
		tries = "1 try left."
	}
	switch c.Result {
	case verification.WrongCode:
		return "That's not the code we sent. Use the newest message. " + tries
	case verification.Superseded:
		return "That code was replaced by a newer one, sent at " + c.RenewedAt.Local().Format("15:04") + ". " + tries
	case verification.Unclear:
		switch c.Typed {
		case otp.TypedEmpty:
			return fmt.Sprintf("Enter the code: it has %d digits.", c.CodeLength)
		case otp.TypedDelivery:
			return "That's a delivery code. Give it only to the person at your door. Here you need the code from the text that says \"sign in\"."
		case otp.TypedSeveral:
			return fmt.Sprintf("There is more than one number of %d digits in that. Type the code alone.", c.CodeLength)
		case otp.TypedTooShort, otp.TypedTooLong:
			return fmt.Sprintf("The code has %d digits; you typed %d.", c.CodeLength, c.TypedDigits)
		}
		return fmt.Sprintf("There is no code of %d digits in that.", c.CodeLength)
	}
	return "" // the page says that it is over, and what to do
}

// refused shows a fault on the code page that it belongs to.
func (p *Pages) refused(w http.ResponseWriter, r *http.Request, svc *service.Service, id ledger.ID, err error) error {
	f := fault.As(err)
	v, e := p.Engine.Status(r.Context(), svc, id)
	if e != nil || f.Kind == fault.Internal {
		return err
	}
	return p.codePage(w, http.StatusUnprocessableEntity, &page{View: v, Problem: f.Message})
}

// again asks for the code once more; when the verification is over, for a new one.
func (p *Pages) again(w http.ResponseWriter, r *http.Request) error {
	return p.withFlow(w, r, func(svc *service.Service, id ledger.ID) error {
		if _, err := p.Engine.Resend(r.Context(), verification.ResendRequest{Service: svc, ID: id}); err != nil {
			return p.refused(w, r, svc, id, err)
		}
		http.Redirect(w, r, "/code", http.StatusSeeOther)
		return nil
	})
}
