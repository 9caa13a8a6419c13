// SPDX-License-Identifier: Apache-2.0

package peers_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/testkit/peers"
)

const mailWait = 15 * time.Second

// dialSMTP connects with STARTTLS, or with TLS from the start on the port that wants it.
func dialSMTP(t *testing.T, p *peers.Postfix, address string) *smtp.Client {
	t.Helper()
	config := &tls.Config{RootCAs: p.Roots, ServerName: "localhost"}
	var conn net.Conn
	var err error
	if address == p.TLS {
		conn, err = (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	}
	if err != nil {
		t.Fatal(err)
	}
	client, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() }) // the server may have closed it first
	if address != p.TLS {
		err = client.StartTLS(config)
		if err != nil {
			t.Fatal(err)
		}
	}
	return client
}

// send is one SMTP transaction; it returns the first refusal.
func send(client *smtp.Client, from, to, text string) error {
	err := client.Mail(from)
	if err != nil {
		return err
	}
	err = client.Rcpt(to)
	if err != nil {
		return err
	}
	body, err := client.Data()
	if err != nil {
		return err
	}
	_, err = body.Write([]byte(text))
	if err != nil {
		return err
	}
	return body.Close()
}

func wait(t *testing.T, p *peers.Postfix, rcpt string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mailWait)
	defer cancel()
	text, err := p.Wait(ctx, rcpt)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPostfixDeliversOverEveryPort(t *testing.T) {
	t.Parallel()
	p := peers.NewPostfix(t)
	for name, tc := range map[string]struct {
		address string
		auth    bool
	}{
		"starttls": {p.Plain, false}, "submission": {p.Submission, true}, "tls": {p.TLS, true},
	} {
		t.Run(name, func(t *testing.T) {
			client := dialSMTP(t, p, tc.address)
			if tc.auth {
				err := client.Auth(smtp.PlainAuth("", peers.MailUser, peers.MailPassword, "localhost"))
				if err != nil {
					t.Fatal(err)
				}
			}
			to := "Ann+" + name + "@mail.test"
			err := send(client, "shop@mail.test", to, "Subject: hello\r\n\r\nby "+name+"\r\n")
			if err != nil {
				t.Fatal(err)
			}
			got := wait(t, p, to)
			if !strings.Contains(got, "\n\nby "+name+"\n") || !strings.Contains(got, "TLSv1.3") {
				t.Errorf("the mail read back:\n%s", got)
			}
		})
	}
}

func TestPostfixRefusesAsAsked(t *testing.T) {
	t.Parallel()
	p := peers.NewPostfix(t)
	for to, want := range map[string]int{peers.Refused: 550, peers.Deferred: 450, "someone@example.com": 0} {
		err := send(dialSMTP(t, p, p.Plain), "shop@mail.test", to, "Subject: x\r\n\r\nx\r\n")
		got, _ := err.(*textproto.Error)
		if want != 0 && (got == nil || got.Code != want) {
			t.Errorf("to %s: %v, want %d", to, err, want)
		}
	}
	client := dialSMTP(t, p, p.Submission)
	err := client.Auth(smtp.PlainAuth("", peers.MailUser, "wrong", "localhost"))
	if err == nil {
		t.Error("a wrong password is accepted")
	}
	err = send(dialSMTP(t, p, p.Submission), "shop@mail.test", "ann@mail.test", "x")
	if err == nil {
		t.Error("the submission port takes mail without an account")
	}
}

func TestPostfixSendsBounces(t *testing.T) {
	t.Parallel()
	p := peers.NewPostfix(t)
	err := send(dialSMTP(t, p, p.Plain), "bounces+17@mail.test", peers.Bounced, "Subject: x\r\n\r\nx\r\n")
	if err != nil {
		t.Fatal(err)
	}
	got := wait(t, p, "bounces+17@mail.test")
	if !strings.Contains(got, "delivery-status") || !strings.Contains(got, "Status: 5.1.1") {
		t.Errorf("the bounce:\n%s", got)
	}
}
