// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"
)

// The addresses of a Postfix that behave in a special way, and the account it knows. Every other
// address at mail.test is a mailbox.
const (
	// Refused is refused while the sender is still connected: 550 5.1.1.
	Refused = "refused@mail.test"
	// Deferred is put off while the sender is still connected: 450 4.2.1.
	Deferred = "deferred@mail.test"
	// Bounced is accepted, and a bounce (RFC 3464) goes to the envelope's sender afterwards.
	Bounced = "bounced@mail.test"
	// MailUser and MailPassword sign in to the ports that ask for it.
	MailUser     = "sender@mail.test"
	MailPassword = "correct horse battery staple"
	// ReturnDomain is a domain whose mail goes to the address Returns.
	ReturnDomain = "bounces.test"
)

//go:embed main.cf
var mainCf string

//go:embed master.cf
var masterCf string

// pollEvery is how often a folder or a port that can't tell of a change is looked at.
const pollEvery = 10 * time.Millisecond

// mailTimeout bounds the start of Postfix and each of its tools.
const mailTimeout = 30 * time.Second

// postfixMaster is the program that runs all others of Postfix, where Debian keeps it. It is started
// without Postfix's own script, which takes seconds.
const postfixMaster = "/usr/lib/postfix/sbin/master"

// stopPostfix ends the master, which takes its children along, and removes the folder $1. That the
// lock is free tells of the end; the process may stay a zombie where nobody reaps.
const stopPostfix = `pid=$(tr -d ' ' <"$1/queue/pid/master.pid" 2>/dev/null) && kill "$pid" &&
	until ` + postfixMaster + ` -t -c "$1/etc" 2>/dev/null; do sleep 0.02; done
	rm -rf "$1"`

// Postfix is a mail server of its own on loopback, for the domain mail.test. All addresses have the
// form "127.0.0.1:port"; its certificate is good for 127.0.0.1 and localhost.
type Postfix struct {
	// Plain takes mail from anybody and offers STARTTLS.
	Plain string
	// Submission asks for STARTTLS first, then for the account (AUTH PLAIN or LOGIN).
	Submission string
	// TLS speaks TLS from the first byte and asks for the account.
	TLS string
	// Returns is where mail for ReturnDomain is carried over SMTP. Nothing listens there but what a test starts.
	Returns string
	// Roots holds the authority that signed the server's certificate.
	Roots *x509.CertPool

	dir   string
	guard *guard
}

// StartPostfix starts a Postfix in a temporary folder. It needs root, since Postfix does,
// and the SASL tools and modules beside it.
// Stop ends it; so does the end of this process.
func StartPostfix() (*Postfix, error) {
	_, err := os.Stat(postfixMaster)
	if err != nil {
		return nil, fmt.Errorf("postfix: %w", errMissing)
	}
	p := &Postfix{Roots: x509.NewCertPool()}
	p.dir, err = os.MkdirTemp("", "countersign-postfix-")
	if err != nil {
		return nil, fmt.Errorf("postfix: %w", err)
	}
	p.guard, err = newGuard(nil, stopPostfix, p.dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	err = p.start()
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Postfix) start() error {
	err := p.makeFolders()
	if err != nil {
		return err
	}
	err = p.makeCertificate()
	if err != nil {
		return err
	}
	err = p.makeAccount()
	if err != nil {
		return err
	}
	for range startTries {
		err = p.startOnNewPorts()
		if err == nil {
			return nil
		}
	}
	log, _ := os.ReadFile(filepath.Join(p.dir, "log")) // best effort: it only explains err
	return fmt.Errorf("%w\n%s", err, log)
}

func (p *Postfix) startOnNewPorts() error {
	for _, address := range []*string{&p.Plain, &p.Submission, &p.TLS, &p.Returns} {
		port, err := freePort()
		if err != nil {
			return err
		}
		*address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	err := p.configure()
	if err != nil {
		return err
	}
	err = p.tool(postfixMaster, "-w", "-c", filepath.Join(p.dir, "etc"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), mailTimeout)
	defer cancel()
	for _, address := range []string{p.Plain, p.Submission, p.TLS} {
		err = poll(ctx, func() bool {
			conn, err := net.Dial("tcp4", address)
			return err == nil && conn.Close() == nil
		})
		if err != nil {
			return fmt.Errorf("postfix: %s does not answer: %w", address, err)
		}
	}
	return nil
}

// tool runs one of Postfix's programs. Its output goes to a file, so that a daemon that inherits it
// does not keep this process waiting.
func (p *Postfix) tool(name string, args ...string) error {
	path, err := look(name, "/usr/sbin/"+name)
	if err != nil {
		return err
	}
	name = filepath.Base(name)
	out, err := os.Create(filepath.Join(p.dir, name+".out"))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer out.Close() // it was only written by the child
	ctx, cancel := context.WithTimeout(context.Background(), mailTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = p.dir
	cmd.Stdin = strings.NewReader(MailPassword)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	if err != nil {
		text, _ := os.ReadFile(out.Name()) // best effort: it only explains err
		return fmt.Errorf("%s: %w\n%s", name, err, text)
	}
	return nil
}

func (p *Postfix) makeFolders() error {
	uid, gid, err := userIDs("postfix")
	if err != nil {
		return err
	}
	// Postfix's processes give up root early, so all of them pass the top.
	err = os.Chmod(p.dir, 0o755)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	for _, name := range []string{"etc", "etc/sasl", "tls", "queue", "queue/pid"} {
		err = os.Mkdir(filepath.Join(p.dir, name), 0o755)
		if err != nil {
			return fmt.Errorf("postfix: %w", err)
		}
	}
	owned := []string{"data", "mail"}
	for _, name := range strings.Fields("active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace") {
		owned = append(owned, "queue/"+name)
	}
	for _, name := range owned {
		path := filepath.Join(p.dir, name)
		err = os.Mkdir(path, 0o700)
		if err != nil {
			return fmt.Errorf("postfix: %w", err)
		}
		err = os.Chown(path, uid, gid)
		if err != nil {
			return fmt.Errorf("postfix: %w", err)
		}
	}
	return nil
}

func (p *Postfix) configure() error {
	uid, gid, err := userIDs("postfix")
	if err != nil {
		return err
	}
	_, returns, err := net.SplitHostPort(p.Returns)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	values := map[string]any{
		"ReturnDomain": ReturnDomain, "ReturnPort": returns,
		"Dir": p.dir, "UID": uid, "GID": gid,
		"Plain": p.Plain, "Submission": p.Submission, "TLS": p.TLS,
		"Refused": Refused, "Deferred": Deferred, "Bounced": Bounced,
	}
	for name, text := range map[string]string{"main.cf": mainCf, "master.cf": masterCf} {
		parsed, err := template.New(name).Parse(text)
		if err != nil {
			return fmt.Errorf("postfix: %w", err)
		}
		var out bytes.Buffer
		err = parsed.Execute(&out, values)
		if err != nil {
			return fmt.Errorf("postfix: %w", err)
		}
		err = os.WriteFile(filepath.Join(p.dir, "etc", name), out.Bytes(), 0o644)
		if err != nil {
			return fmt.Errorf("postfix: %w", err)
		}
	}
	return nil
}

// makeAccount writes the account into a database that Cyrus SASL reads without a daemon.
func (p *Postfix) makeAccount() error {
	database := filepath.Join(p.dir, "etc", "sasl", "accounts")
	settings := "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\nsasldb_path: " + database + "\n"
	err := os.WriteFile(filepath.Join(p.dir, "etc", "sasl", "smtpd.conf"), []byte(settings), 0o644)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	user, realm, _ := strings.Cut(MailUser, "@")
	err = p.tool("saslpasswd2", "-p", "-c", "-f", database, "-u", realm, user)
	if err != nil {
		return err
	}
	err = os.Chmod(database, 0o644) // the SMTP server reads it after it has given up root
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	return nil
}

// makeCertificate makes an authority and lets it sign the server's certificate, both for a day.
func (p *Postfix) makeCertificate() error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Countersign test authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	p.Roots.AppendCertsFromPEM(authority)
	chain := slices.Concat(
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER}), authority)
	err = os.WriteFile(filepath.Join(p.dir, "tls", "chain.pem"), chain, 0o600)
	if err != nil {
		return fmt.Errorf("postfix: %w", err)
	}
	return nil
}

// Wait returns the oldest message delivered to the mailbox rcpt (an address at mail.test) that Wait
// has not returned yet, as it lies in the mailbox: Postfix's Return-Path, X-Original-To, Delivered-To
// and Received lines, then what was sent, with LF line ends. It waits for one until ctx ends.
// Safe for concurrent use as long as each mailbox has one reader.
func (p *Postfix) Wait(ctx context.Context, rcpt string) ([]byte, error) {
	var found []byte
	var failed error
	err := poll(ctx, func() bool {
		found, failed = p.take(rcpt)
		return found != nil || failed != nil
	})
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(p.dir, "log")) // best effort: it only explains err
		return nil, fmt.Errorf("postfix: no mail for %s: %w\n%s", rcpt, err, log)
	}
	return found, failed
}

// take removes and returns the oldest message for rcpt, nil if there is none.
func (p *Postfix) take(rcpt string) ([]byte, error) {
	folder := filepath.Join(p.dir, "mail", "new")
	entries, err := os.ReadDir(folder) // sorted by name, which begins with the time
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("postfix: %w", err)
	}
	wanted := []byte("\nX-Original-To: " + strings.ToLower(rcpt) + "\n")
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) { // another mailbox's reader took it
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("postfix: %w", err)
		}
		head, _, _ := bytes.Cut(text, []byte("\n\n"))
		if bytes.Contains(bytes.ToLower(head), bytes.ToLower(wanted)) {
			return text, os.Remove(path)
		}
	}
	return nil, nil
}

// Stop ends the server and removes its folder. It may be called twice.
func (p *Postfix) Stop() error {
	err := p.guard.release()
	if err != nil {
		return fmt.Errorf("postfix: stop: %w", err)
	}
	return nil
}

// poll calls done until it says true or ctx ends.
func poll(ctx context.Context, done func() bool) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}

// NewPostfix starts a Postfix for this test. It skips the test for anybody but root, required or not:
// who runs the tests as an ordinary user has chosen so.
func NewPostfix(tb testing.TB) *Postfix {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("Postfix starts as root only; run the tests as root to include it")
	}
	p, err := StartPostfix()
	if err != nil {
		giveUp(tb, err)
	}
	tb.Cleanup(func() {
		err := p.Stop()
		if err != nil {
			tb.Error(err)
		}
	})
	return p
}
