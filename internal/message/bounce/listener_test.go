// SPDX-License-Identifier: Apache-2.0

package bounce_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/smtp"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/bounce"
)

// post is a listener and what it was given.
type post struct {
	*bounce.Listener
	services
	mu    sync.Mutex
	taken []bounce.Bounce
	refs  []message.Ref
	fails error
}

func listen(t *testing.T) *post {
	t.Helper()
	p := &post{services: newServices(t)}
	l, err := bounce.Listen("127.0.0.1:0", bounce.Options{
		Domain: domain, Services: p.services, Log: slog.New(slog.DiscardHandler),
		Receive: func(_ context.Context, ref message.Ref, b bounce.Bounce) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.fails == nil {
				p.taken, p.refs = append(p.taken, b), append(p.refs, ref)
			}
			return p.fails
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Listener = l
	done := make(chan error, 1)
	go func() { done <- l.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(l.Close(context.Background()), <-done); err != nil {
			t.Error("closing:", err)
		}
	})
	return p
}

// dial connects, says hello and names a sender.
func (p *post) dial(t *testing.T) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := errors.Join(c.Hello("mx.mail.example"), c.Mail("")); err != nil {
		t.Fatal(err)
	}
	return c
}

// data sends a mail after its envelope, and returns the reply code: 250 if it was taken.
func data(t *testing.T, c *smtp.Client, raw []byte) int {
	t.Helper()
	w, err := c.Data()
	if err == nil {
		_, err = w.Write(raw)
	}
	if err == nil {
		err = w.Close()
	}
	return replied(err)
}

func replied(err error) int {
	var refused *textproto.Error
	switch {
	case err == nil:
		return 250
	case errors.As(err, &refused):
		return refused.Code
	}
	return 0
}

var verificationRef = message.Ref{Row: ledger.Key{Kind: ledger.KindVerification, Service: 1, Shard: 7, ID: ledger.ID{1, 2}}, Number: 2}

// A bounce to the right address is handed on and taken when it is written down, and brought again otherwise. What isn't final and what is no report is taken
// and forgotten.
func TestABounceIsTaken(t *testing.T) {
	t.Parallel()
	p := listen(t)
	address := bounce.Address(p.services[1], verificationRef, domain)
	c := p.dial(t)
	send := func(raw []byte, want int) {
		t.Helper()
		if err := c.Rcpt(address); err != nil {
			t.Fatal(err)
		}
		if got := data(t, c, raw); got != want {
			t.Errorf("answered %d, want %d", got, want)
		}
		if err := c.Mail("somebody@mail.example"); err != nil { // some reports have a sender
			t.Fatal(err)
		}
	}
	p.fails = errors.New("the database is away")
	send(sample(t, "gmail"), 451)
	p.mu.Lock()
	p.fails = nil
	p.mu.Unlock()
	send(sample(t, "gmail"), 250)
	send(sample(t, "postfix-delayed"), 250)
	send(sample(t, "relayed"), 250)
	send(sample(t, "vacation"), 250)
	send([]byte("Content-Type: multipart/report\r\n\r\n"), 554)
	send([]byte("Subject: x\r\n\r\n"+strings.Repeat(strings.Repeat("x", 998)+"\r\n", 1100)), 552)
	send(sample(t, "blocked"), 250)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.taken) != 2 || p.taken[0].Code() != "550 5.1.1" || p.taken[1].Outcome != message.Blocked || p.refs[0] != verificationRef || p.refs[1] != p.refs[0] {
		t.Fatalf("%+v for %+v", p.taken, p.refs)
	}
}

// Mail for anybody else is refused before it is sent: nothing is relayed, and nobody can guess.
func TestOnlyReturnAddressesAreTaken(t *testing.T) {
	t.Parallel()
	p := listen(t)
	address := bounce.Address(p.services[1], verificationRef, domain)
	forged := strings.Replace(address, address[20:24], "aaaa", 1)
	for _, to := range []string{"ann@mail.example", "postmaster@" + domain, forged, "@" + domain, strings.Replace(address, domain, "mail.example", 1)} {
		c := p.dial(t)
		if got := replied(c.Rcpt(to)); got != 550 && got != 501 {
			t.Errorf("to %s: %d", to, got)
		}
		if got := data(t, c, sample(t, "gmail")); got == 250 {
			t.Errorf("to %s: taken", to)
		}
	}
	c := p.dial(t)
	if err := c.Rcpt(address); err != nil {
		t.Fatal(err)
	}
	if got := replied(c.Rcpt(bounce.Address(p.services[2], verificationRef, domain))); got != 452 {
		t.Errorf("a second recipient: %d", got)
	}
	c = p.dial(t)
	for range 8 {
		_ = c.Rcpt(forged)
	}
	if got := replied(c.Rcpt(address)); got != 421 {
		t.Errorf("after eight guesses: %d", got)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.taken) != 0 {
		t.Fatalf("%+v", p.taken)
	}
}

// A stop waits for what is being written down and takes nothing after it.
func TestAStopLosesNothing(t *testing.T) {
	t.Parallel()
	all := newServices(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	written := false
	l, err := bounce.Listen("127.0.0.1:0", bounce.Options{
		Domain: domain, Services: all, Log: slog.New(slog.DiscardHandler),
		Receive: func(context.Context, message.Ref, bounce.Bounce) error {
			close(began)
			<-goOn
			written = true
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	p := &post{Listener: l}
	c := p.dial(t)
	if err := c.Rcpt(bounce.Address(all[1], verificationRef, domain)); err != nil {
		t.Fatal(err)
	}
	go func() { _ = data(t, c, sample(t, "gmail")) }()
	<-began
	closed := make(chan error, 1)
	go func() { closed <- l.Close(context.Background()) }()
	if err := <-served; err != nil { // the socket is shut first
		t.Fatal(err)
	}
	select {
	case <-closed:
		t.Fatal("closed before the bounce was written down")
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	if err := <-closed; err != nil || !written {
		t.Fatal(err, written)
	}
	if conn, err := net.Dial("tcp", l.Addr()); err == nil {
		_ = conn.Close()
		t.Fatal("a closed listener listens")
	}
}

// An address that is taken is a fault that names the option. With a certificate, STARTTLS is offered.
func TestListenFaults(t *testing.T) {
	t.Parallel()
	p := listen(t)
	if _, err := bounce.Listen(p.Addr(), bounce.Options{Domain: domain}); err == nil || !strings.Contains(err.Error(), p.Addr()) {
		t.Fatal(err)
	}
	if ok, _ := p.dial(t).Extension("STARTTLS"); ok {
		t.Error("STARTTLS without a certificate")
	}
	l, err := bounce.Listen("127.0.0.1:0", bounce.Options{
		Domain: domain, Services: p.services, TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = l.Serve() }()
	if ok, _ := (&post{Listener: l}).dial(t).Extension("STARTTLS"); !ok {
		t.Error("a certificate, and no STARTTLS")
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Chunks (RFC 3030) come to the same end as DATA, and are bounded alike; a mail that is cut off is nobody's.
func TestChunks(t *testing.T) {
	t.Parallel()
	p := listen(t)
	address := bounce.Address(p.services[1], verificationRef, domain)
	talk := func(want []string, lines ...string) {
		t.Helper()
		conn, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		text := textproto.NewConn(conn)
		answer := ""
		for _, line := range append([]string{"", "EHLO mx.mail.example\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<" + address + ">\r\n"}, lines...) {
			_, err := conn.Write([]byte(line))
			if err == nil {
				var code int
				code, _, err = text.ReadResponse(0)
				answer = strconv.Itoa(code)
			}
			if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
				answer = "cut off"
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Contains(want, answer) {
			t.Errorf("answered %s, want %s", answer, want)
		}
	}
	raw := string(sample(t, "exchange"))
	talk([]string{"250"}, "BDAT 100\r\n"+raw[:100], "BDAT "+strconv.Itoa(len(raw)-100)+" LAST\r\n"+raw[100:])
	talk([]string{"552"}, "BDAT 1048577 LAST\r\n"+strings.Repeat("x", 1048577))
	talk([]string{"250"}, "BDAT 100\r\n"+raw[:100], "RSET\r\n")
	// A server that closes with a line half read may take its own answer back with it.
	talk([]string{"500", "cut off"}, strings.Repeat("x", 100_000)+"\r\n")
	talk([]string{"502"}, "AUTH PLAIN AGEAYg==\r\n", "AUTH PLAIN AGEAYg==\r\n", "STARTTLS\r\n")
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.taken) != 1 || p.taken[0].Code() != "550 5.1.10" {
		t.Fatalf("%+v", p.taken)
	}
}
