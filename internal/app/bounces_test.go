// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/bounce"
	"github.com/countersign/countersign/internal/message/email"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/testkit/peers"
	"github.com/countersign/countersign/internal/verification"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// options are what an App is made of, with a database of its own.
func options(t *testing.T, more map[string]string) Options {
	t.Helper()
	values := map[string]string{"database": "sqlite:" + filepath.Join(t.TempDir(), "app.db"), "listen": "127.0.0.1:0"}
	for name, v := range more {
		values[name] = v
	}
	cfg, err := config.Load("", nil, values)
	must(t, err)
	master, err := secret.GenerateMaster(rand.Reader)
	must(t, err)
	return Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Master: master}
}

// withPostfix runs an App that sends through a Postfix, which brings bounces back to it.
func withPostfix(t *testing.T) (*App, *service.Service, *peers.Postfix) {
	t.Helper()
	postfix := peers.NewPostfix(t)
	host, port, err := net.SplitHostPort(postfix.Plain)
	must(t, err)
	a, err := New(t.Context(), options(t, map[string]string{
		"smtp-host": host, "smtp-port": port, "smtp-security": "none", "mail-from": "Acme <codes@acme.example>",
		"bounce-domain": peers.ReturnDomain, "bounce-listen": postfix.Returns,
	}))
	must(t, err)
	svc, err := a.registry.Create(t.Context(), service.Row{Slug: "acme", Name: "Acme", Domain: "acme.example", Locale: "en", Policy: service.DefaultPolicy()}, time.Now())
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error("stopping:", err)
		}
	})
	return a, svc, postfix
}

// until looks again and again.
func until(t *testing.T, what string, there func() bool) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for !there() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 seconds", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func address(t *testing.T, text string) contact.Contact {
	t.Helper()
	c, err := contact.ParseEmail(text)
	must(t, err)
	return c
}

// A code to a mailbox that isn't there comes back, and is then known as undelivered, with its cause. Through a real Postfix.
func TestACodeThatComesBack(t *testing.T) {
	t.Parallel()
	a, svc, _ := withPostfix(t)
	begun, err := a.engine.Begin(t.Context(), verification.BeginRequest{Service: svc, Contact: address(t, peers.Bounced), Purpose: service.SignUp})
	must(t, err)
	var v *verification.View
	until(t, "the code comes back", func() bool {
		v, err = a.engine.Status(t.Context(), svc, begun.ID)
		must(t, err)
		return v.Messages[0].Status == verification.Undelivered
	})
	m := v.Messages[0]
	if m.ReceiptAt.IsZero() || m.SentAt.IsZero() || v.Status != verification.Pending {
		t.Fatalf("%+v", v)
	}
	until(t, "the cause is noted with the attempt", func() bool {
		v, err = a.engine.Status(t.Context(), svc, begun.ID)
		must(t, err)
		at := v.Messages[0].Attempts
		return len(at) == 1 && at[0].Outcome == message.Unreachable && at[0].Code == "5.1.1" && at[0].Provider == email.Name && at[0].Reference != "" && at[0].StartedAt > 0
	})
	// A second time it changes nothing.
	ref := message.Ref{Row: ledger.Key{Kind: ledger.KindVerification, Service: svc.ID, Shard: uint16(begun.ID[6])<<8 | uint16(begun.ID[7]), ID: begun.ID}}
	must(t, a.bounced(t.Context(), ref, bounce.Bounce{Action: bounce.Failed, Status: "5.7.1", Outcome: message.Blocked}))
	again, err := a.engine.Status(t.Context(), svc, begun.ID)
	must(t, err)
	if at := again.Messages[0].Attempts; len(at) != 1 || at[0].Code != "5.1.1" || !again.Messages[0].ReceiptAt.Equal(m.ReceiptAt) {
		t.Fatalf("a second bounce changed something: %+v", again.Messages[0])
	}
}

// A notice that comes back marks its contact, and the other contacts are told. Through a real Postfix.
// Keeps: F.2
func TestANoticeThatComesBack(t *testing.T) {
	t.Parallel()
	a, svc, postfix := withPostfix(t)
	const words = "a long enough pass phrase"
	hash, err := password.NewHasher(1).Hash(t.Context(), secret.NewText(words))
	must(t, err)
	ann, gone := address(t, "ann@mail.test"), address(t, peers.Bounced)
	by := account.By{Name: "api:test", Role: account.Operator}
	id, err := a.accounts.Create(t.Context(), svc, account.NewAccount{Contacts: []contact.Contact{ann, gone}, PasswordHash: hash}, by)
	must(t, err)
	for range 2 { // the second is a new device, of which all contacts are told
		_, err := a.accounts.SignIn(t.Context(), svc, ann, secret.NewText(words), &account.Visitor{IP: "192.0.2.1", Device: "Chrome on Linux"})
		must(t, err)
	}
	raw, err := postfix.Wait(t.Context(), "ann@mail.test")
	must(t, err)
	mail := string(raw)
	if !strings.HasPrefix(mail, "Return-Path: <b+") || !strings.Contains(mail, "@"+peers.ReturnDomain+">\n") || !strings.Contains(mail, `From: "Acme" <codes@acme.example>`) {
		t.Errorf("the mail:\n%s", mail)
	}
	until(t, "the contact is marked", func() bool {
		v, err := a.accounts.Get(t.Context(), svc, id, by)
		must(t, err)
		return slices.ContainsFunc(v.Contacts, func(c account.ContactView) bool { return c.Bounced })
	})
	v, err := a.accounts.Get(t.Context(), svc, id, by)
	must(t, err)
	if v.Contacts[0].Bounced || !v.Contacts[1].Bounced {
		t.Fatalf("%+v", v.Contacts)
	}
	raw, err = postfix.Wait(t.Context(), "ann@mail.test")
	must(t, err)
	if !strings.Contains(string(raw), "Return-Path: <b+") {
		t.Errorf("the second mail:\n%s", raw)
	}
}

// Mail can't be taken for no domain, and options that can't be right are refused by name.
func TestBounceOptions(t *testing.T) {
	t.Parallel()
	if _, err := New(t.Context(), options(t, map[string]string{"bounce-listen": "127.0.0.1:0"})); fault.As(err).Field != "bounce-domain" {
		t.Errorf("no domain: %v", err)
	}
	for _, domain := range []string{"Bounces.Acme.Example", "a b", "-", strings.Repeat("long.", 40) + "example"} {
		if _, err := config.Load("", nil, map[string]string{"bounce-domain": domain}); err == nil || !strings.Contains(err.Error(), "bounce-domain") {
			t.Errorf("%q: %v", domain, err)
		}
	}
}

// While the database is away, a bounce isn't taken; nor is anything after a stop.
func TestABounceWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	a, err := New(t.Context(), options(t, map[string]string{"bounce-domain": peers.ReturnDomain, "bounce-listen": "127.0.0.1:0"}))
	must(t, err)
	svc, err := a.registry.Create(t.Context(), service.Row{Slug: "acme", Name: "Acme", Domain: "acme.example", Locale: "en", Policy: service.DefaultPolicy()}, time.Now())
	must(t, err)
	failed := bounce.Bounce{Action: bounce.Failed, Outcome: message.Unreachable}
	refs := []message.Ref{
		{Row: ledger.Key{Kind: ledger.KindVerification, Service: svc.ID, ID: ledger.ID{1}}}, {Row: ledger.AccountOf(svc.ID, ledger.ID{1}), Number: 3},
	}
	for _, ref := range refs { // messages that aren't there (any more) are nobody's
		must(t, a.bounced(t.Context(), ref, failed))
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	must(t, a.Run(stopped))
	for _, ref := range refs {
		if err := a.bounced(t.Context(), ref, failed); err == nil {
			t.Error("written down without a database")
		}
	}
}
