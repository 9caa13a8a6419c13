// SPDX-License-Identifier: Apache-2.0

// Package email carries messages to a mail server over SMTP (RFC 5321). The mails are composed and the
// protocol is spoken by github.com/wneessen/go-mail. What comes back of them is the business of package bounce.
package email

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	netmail "net/mail"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/bounce"
)

// Config is how a mail server is reached.
type Config struct {
	Host     string
	Port     int
	Security string // starttls, tls or none (loopback only)
	User     string
	Password string
	From     string      // an address, or a name and an address
	Returns  string      // domain of return addresses, to which bounces come; empty: they go to the address of From
	TLS      *tls.Config // nil: the system's authorities
}

const (
	idleLife = 20 * time.Second // servers close idle connections; most wait for at least a minute
	maxIdle  = 8
)

// Provider sends mails. It keeps some connections open between them.
type Provider struct {
	cfg    Config
	from   *netmail.Address
	client *mail.Client
	mu     sync.Mutex
	idle   []idle
}

type idle struct {
	conn  *smtp.Client
	since time.Time
}

// New checks the configuration; it connects to nothing.
//
// Faults: Invalid, naming the option.
func New(cfg Config) (*Provider, error) {
	from, err := netmail.ParseAddress(cfg.From)
	if err != nil {
		return nil, fault.New(fault.Invalid, "invalid_configuration", "mail-from must be an address, or a name and an address: Acme <codes@acme.example>.").WithField("mail-from")
	}
	opts := []mail.Option{mail.WithPort(cfg.Port), mail.WithTimeout(message.SendTimeout), mail.WithHELO(from.Address[strings.LastIndexByte(from.Address, '@')+1:])}
	switch cfg.Security {
	case "tls":
		opts = append(opts, mail.WithSSL())
	case "none":
		if cfg.Host != "localhost" && cfg.Host != "127.0.0.1" && cfg.Host != "::1" {
			return nil, fault.New(fault.Invalid, "invalid_configuration", "smtp-security none is for a mail server on this machine; use starttls or tls.").WithField("smtp-security")
		}
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS))
	default:
		opts = append(opts, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if cfg.TLS != nil {
		opts = append(opts, mail.WithTLSConfig(cfg.TLS))
	}
	if cfg.User != "" {
		opts = append(opts, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(cfg.User), mail.WithPassword(cfg.Password))
	}
	client, err := mail.NewClient(cfg.Host, opts...)
	if err != nil {
		return nil, fault.New(fault.Invalid, "invalid_configuration", "The mail server can't be used as configured: "+err.Error()).WithField("smtp-host")
	}
	return &Provider{cfg: cfg, from: from, client: client}, nil
}

// Name is the name of the provider, of which there is one.
const Name = "smtp"

// Name implements message.Provider.
func (p *Provider) Name() string { return Name }

// Receipts implements message.Provider: a mail server takes a mail and says nothing more, unless it bounces and bounces
// have somewhere to go.
func (p *Provider) Receipts() bool { return p.cfg.Returns != "" }

// Send implements message.Provider.
func (p *Provider) Send(ctx context.Context, o *message.Outgoing, t *message.Text) (message.Sent, error) {
	m, id, err := p.compose(o, t)
	if err != nil {
		return message.Sent{}, &message.SendError{Outcome: message.TryOther, Err: errors.New("the mail can't be composed")} // err may quote the address
	}
	conn, reused, err := p.connect(ctx)
	if err != nil {
		return message.Sent{}, classify(err)
	}
	err = p.client.SendWithSMTPClient(conn, m)
	if err != nil && reused && !answered(err) {
		// The server had closed the connection that we kept. That says nothing about this mail.
		_ = conn.Close()
		if conn, err = p.client.DialToSMTPClientWithContext(ctx); err != nil {
			return message.Sent{}, classify(err)
		}
		err = p.client.SendWithSMTPClient(conn, m)
	}
	p.keep(conn, err == nil)
	if err != nil {
		return message.Sent{}, classify(err)
	}
	return message.Sent{Reference: id, Named: p.cfg.Returns != ""}, nil
}

// compose writes the mail with the headers of a good automatic one.
func (p *Provider) compose(o *message.Outgoing, t *message.Text) (*mail.Msg, string, error) {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	name := p.from.Name
	if name == "" {
		name = o.Service.Name
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, "", err
	}
	id := hex.EncodeToString(random[:]) + p.from.Address[strings.LastIndexByte(p.from.Address, '@'):]
	back := p.from.Address
	if p.cfg.Returns != "" {
		back = bounce.Address(o.Service, o.Ref, p.cfg.Returns)
	}
	err := errors.Join(m.FromFormat(name, p.from.Address), m.EnvelopeFrom(back), m.To(o.To.Reveal()))
	m.Subject(t.Subject)
	m.SetDateWithValue(time.Now())
	m.SetMessageIDWithValue(id)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 5
	m.SetGenHeader("X-Auto-Response-Suppress", "All")
	m.SetGenHeader("Content-Language", t.Locale)
	m.SetBodyString(mail.TypeTextPlain, t.Body)
	m.AddAlternativeString(mail.TypeTextHTML, t.HTML)
	return m, id, err
}

// connect takes a connection that was kept or makes one.
func (p *Provider) connect(ctx context.Context) (conn *smtp.Client, reused bool, err error) {
	p.mu.Lock()
	for len(p.idle) > 0 {
		last := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if time.Since(last.since) < idleLife {
			p.mu.Unlock()
			return last.conn, true, nil
		}
		_ = last.conn.Close()
	}
	p.mu.Unlock()
	conn, err = p.client.DialToSMTPClientWithContext(ctx)
	return conn, false, err
}

func (p *Provider) keep(conn *smtp.Client, well bool) {
	p.mu.Lock()
	full := len(p.idle) >= maxIdle
	if well && !full {
		p.idle = append(p.idle, idle{conn, time.Now()})
	}
	p.mu.Unlock()
	if !well || full {
		_ = p.client.CloseWithSMTPClient(conn) // says QUIT first, which may take a while
		_ = conn.Close()
	}
}

// answered tells whether the server answered with a code of its own.
func answered(err error) bool {
	var e *mail.SendError
	return errors.As(err, &e) && e.ErrorCode() > 0
}

// classify says what a failure means (RFC 5321 4.2, RFC 3463 3). The error's text is kept only as far as it can't hold
// an address: its codes.
func classify(err error) *message.SendError {
	var e *mail.SendError
	if !errors.As(err, &e) || e.ErrorCode() == 0 {
		if text := strings.ToLower(err.Error()); !strings.Contains(text, "authority") && (strings.Contains(text, "535") || strings.Contains(text, "auth")) {
			return &message.SendError{Outcome: message.Misconfigured, Code: "535", Err: errors.New("the mail server refuses our user name and password")}
		}
		return &message.SendError{Outcome: message.TryLater, Code: "unreachable", Err: fmt.Errorf("the mail server can't be reached: %T", err)}
	}
	code, enhanced := e.ErrorCode(), e.EnhancedStatusCode()
	out := &message.SendError{Code: strings.TrimSpace(strconv.Itoa(code) + " " + enhanced), Err: fmt.Errorf("the mail server answered %d %s", code, enhanced)}
	switch {
	case code < 500:
		out.Outcome = message.TryLater
	case code == 535 || code == 530 || code == 538:
		out.Outcome = message.Misconfigured
	default:
		out.Outcome = bounce.Cause(code, enhanced)
	}
	return out
}
