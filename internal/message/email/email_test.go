// SPDX-License-Identifier: Apache-2.0

package email_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/email"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/testkit/peers"
)

func outgoing(t *testing.T, to string) (*message.Outgoing, *message.Text) {
	t.Helper()
	c, err := contact.ParseEmail(to)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	o := &message.Outgoing{
		Service: &service.Service{Name: "Acme", Domain: "acme.example", Locale: "en"}, Channel: service.Email, Purpose: service.SignIn,
		To: c, Code: otp.NewCode("482135"), Asked: "Chrome on Windows", QueuedAt: now, Deadline: now.Add(9 * time.Minute),
	}
	r, err := message.NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	return o, &text
}

func provider(t *testing.T, address, security, user, password string, p *peers.Postfix) *email.Provider {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	out, err := email.New(email.Config{
		Host: host, Port: n, Security: security, User: user, Password: password, From: "Acme <codes@acme.example>",
		TLS: &tls.Config{RootCAs: p.Roots, ServerName: host, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Against a real Postfix: STARTTLS, kept connections, refusals.
// Keeps: A.6
func TestMailArrivesAtPostfix(t *testing.T) {
	t.Parallel()
	postfix := peers.NewPostfix(t)
	p := provider(t, postfix.Plain, "starttls", "", "", postfix)
	for range 2 { // the second over the connection that was kept
		o, text := outgoing(t, "ann@mail.test")
		if _, err := p.Send(t.Context(), o, text); err != nil {
			t.Fatal(err)
		}
		raw, err := postfix.Wait(t.Context(), "ann@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		mail := string(raw)
		for _, want := range []string{
			"Subject: 482135 is your Acme code", "Auto-Submitted: auto-generated", "Message-ID: <", "@acme.example>", "Date: ",
			"multipart/alternative", "text/plain", "text/html", "Content-Language: en", "From: \"Acme\" <codes@acme.example>",
		} {
			if !strings.Contains(strings.ToLower(mail), strings.ToLower(want)) {
				t.Errorf("the mail lacks %q:\n%s", want, mail)
			}
		}
		if strings.Contains(mail, "://") || strings.Contains(mail, "<a ") || strings.Contains(mail, "<img") {
			t.Errorf("a code mail has a link or an image:\n%s", mail)
		}
	}
	sendNotice(t, p, postfix)
	for to, want := range map[string]message.Outcome{peers.Refused: message.Unreachable, peers.Deferred: message.TryLater} {
		o, text := outgoing(t, to)
		_, err := p.Send(t.Context(), o, text)
		var e *message.SendError
		if !errors.As(err, &e) || e.Outcome != want {
			t.Errorf("%s: %v", to, err)
		}
		if err != nil && (strings.Contains(err.Error(), "482135") || strings.Contains(err.Error(), to)) {
			t.Errorf("the error tells code or contact: %v", err)
		}
	}
	for _, port := range []struct{ address, security string }{{postfix.Submission, "starttls"}, {postfix.TLS, "tls"}} {
		o, text := outgoing(t, "bob@mail.test")
		if _, err := provider(t, port.address, port.security, peers.MailUser, peers.MailPassword, postfix).Send(t.Context(), o, text); err != nil {
			t.Errorf("%s with an account: %v", port.security, err)
		}
		_, err := provider(t, port.address, port.security, peers.MailUser, "wrong", postfix).Send(t.Context(), o, text)
		var e *message.SendError
		if !errors.As(err, &e) || e.Outcome != message.Misconfigured {
			t.Errorf("%s with a wrong password: %v", port.security, err)
		}
	}
	untrusted, err := email.New(email.Config{Host: "127.0.0.1", Port: portOf(t, postfix.Plain), Security: "starttls", From: "codes@acme.example"})
	if err != nil {
		t.Fatal(err)
	}
	o, text := outgoing(t, "ann@mail.test")
	if _, err := untrusted.Send(t.Context(), o, text); err == nil {
		t.Error("a certificate of nobody was trusted")
	}
	if _, err := email.New(email.Config{Host: "mail.example", Port: 25, Security: "none", From: "codes@acme.example"}); err == nil {
		t.Error("mail in clear beyond this machine was allowed")
	}
}

// sendNotice sends one in a language that is written from right to left: only a notice has a link.
func sendNotice(t *testing.T, p *email.Provider, postfix *peers.Postfix) {
	t.Helper()
	const link = "https://acme.example/undo?t=x"
	o, _ := outgoing(t, "eve@mail.test")
	o.Code, o.Purpose, o.Locale = otp.Code{}, "", "ar"
	o.Notice = &message.Notice{Kind: message.TwoStepOff, Until: o.QueuedAt.Add(72 * time.Hour), Link: link}
	r, err := message.NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Send(t.Context(), o, &text); err != nil {
		t.Fatal(err)
	}
	raw, err := postfix.Wait(t.Context(), "eve@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	mail, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if subject, err := new(mime.WordDecoder).DecodeHeader(mail.Header.Get("Subject")); err != nil || subject != text.Subject || mail.Header.Get("Content-Language") != "ar" {
		t.Errorf("subject %q, %v", subject, err)
	}
	_, kind, err := mime.ParseMediaType(mail.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(mail.Body, kind["boundary"]) // which decodes quoted-printable
	for _, want := range []string{text.Body, text.HTML} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(part)
		if have := strings.ReplaceAll(string(got), "\r\n", "\n"); err != nil || strings.TrimSpace(have) != strings.TrimSpace(want) || !strings.Contains(have, link) {
			t.Errorf("a part of the notice is %q, not %q, %v", have, want, err)
		}
	}
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	return n
}
