// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/proof"
	"github.com/countersign/countersign/internal/service"
)

// keysPath is where a service's host has the keys of its proofs.
const keysPath = "/proof-keys.json"

// proofVerify checks a proof. It needs no database and no server: only the proof and the service's public keys.
func proofVerify(ctx context.Context, p *Process, c *call) error {
	raw, err := readUpTo(p, c.Arg(0), proof.MaxText)
	if err != nil {
		return err
	}
	text := string(bytes.TrimSpace(raw))
	set, err := keySet(ctx, p, c.get("keys"), text)
	if err != nil {
		return err
	}
	payload, kid, err := proof.Verify(text, set, handover.ProofType)
	if err != nil {
		bad := *fault.As(err)
		bad.Kind = fault.Conflict // asked rightly: the answer is no
		return &bad
	}
	var claims handover.Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return fault.New(fault.Conflict, "proof_unreadable",
			"The signature is right, but what it says can't be read by this version of countersign. Use the version of the service that made it.").WithCause(err)
	}
	if err := tellClaims(p.Err, &claims, kid); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.Out, string(payload))
	return err
}

// tellClaims says in words what a proof says.
func tellClaims(out io.Writer, c *handover.Claims, kid string) error {
	moment := func(seconds int64) string { return time.Unix(seconds, 0).UTC().Format("2006-01-02 15:04:05 UTC") }
	fmt.Fprintln(out, "The proof is genuine.")
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %s\t%q\n", name, value) // quoted: whoever signed it, it reaches a terminal
		}
	}
	line("from", c.Issuer)
	line("signed with", kid)
	line("signed", moment(c.IssuedAt))
	line("hand-over", c.Subject)
	line("order", c.Order)
	if c.ArrivedAt != 0 {
		line("courier at the door", moment(c.ArrivedAt))
	}
	line("handed over", moment(c.HandedAt))
	line("to", c.To)
	line("by means of", c.Means)
	line("certainty", c.Certainty)
	line("courier", c.Courier)
	if c.Where != nil {
		line("within a kilometre of", fmt.Sprintf("%.2f, %.2f", c.Where.Lat, c.Where.Lon))
	}
	return w.Flush()
}

// keySet reads the keys that --keys names, or asks who the proof says has signed it.
func keySet(ctx context.Context, p *Process, from, text string) (proof.Set, error) {
	if from == "" {
		issuer, err := issuerOf(text)
		if err != nil {
			return proof.Set{}, err
		}
		from = strings.TrimSuffix(issuer, "/") + keysPath
		fmt.Fprintf(p.Err, "The proof says that it comes from %q; its keys are asked for there. That this is the service you mean is yours to judge.\n", issuer)
	}
	var raw []byte
	var err error
	if strings.HasPrefix(from, "https://") || strings.HasPrefix(from, "http://") {
		raw, err = fetchKeys(ctx, from)
	} else {
		raw, err = readUpTo(p, from, proof.MaxSet)
	}
	if err != nil {
		return proof.Set{}, err
	}
	return proof.ParseSet(raw)
}

// issuerOf is who a proof says it is of, before anything is known of its signature.
func issuerOf(text string) (string, error) {
	parts := strings.Split(text, ".")
	var claims struct {
		Issuer string `json:"iss"`
	}
	if len(parts) == 3 {
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(payload, &claims) // then there is no issuer
		}
	}
	u, err := url.Parse(claims.Issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", fault.New(fault.Conflict, "no_issuer",
			"This doesn't say where it comes from, so its keys can't be asked for. If it is a proof, name the service's keys with --keys.")
	}
	return claims.Issuer, nil
}

// fetchKeys asks for keys: by https only, because whoever changes them on the way makes proofs; from this machine itself by http, too.
func fetchKeys(ctx context.Context, from string) ([]byte, error) {
	u, err := url.Parse(from)
	if err != nil || u.Scheme != "https" && !loopback(u.Hostname()) {
		return nil, fault.New(fault.Invalid, "keys_not_https", "Keys are asked for by https only: on http anybody on the way could change them. Give a file or an https URL with --keys.")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, fault.As(err)
	}
	caller := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := caller.Do(req)
	if err != nil {
		return nil, errKeys(from, "can't be reached").WithCause(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, errKeys(from, "answers "+res.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, proof.MaxSet+1))
	if err != nil {
		return nil, errKeys(from, "broke off").WithCause(err)
	}
	return raw, nil
}

func errKeys(from, what string) *fault.Error {
	return fault.New(fault.Unavailable, "keys_unavailable", fmt.Sprintf("%s %s. Try again, or give the service's keys in a file with --keys.", from, what))
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// readUpTo reads a small file, or standard input where its name is -.
func readUpTo(p *Process, name string, limit int64) ([]byte, error) {
	from := p.In
	if name != "-" {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fault.New(fault.Invalid, "no_such_file", fmt.Sprintf("There is no file %q.", name))
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "file_unreadable", fmt.Sprintf("%q can't be read: %v.", name, err))
		}
		defer f.Close()
		from = f
	}
	raw, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err != nil {
		return nil, fault.New(fault.Invalid, "file_unreadable", fmt.Sprintf("%q can't be read: %v.", name, err))
	}
	if int64(len(raw)) > limit {
		return nil, fault.New(fault.TooLarge, "file_too_large", fmt.Sprintf("%q has more than %d KB, which neither a proof nor a set of keys has.", name, limit>>10))
	}
	return raw, nil
}

func proofKeys(ctx context.Context, p *Process, c *call) error {
	return withService(ctx, p, c, func(_ *service.Registry, svc *service.Service) error {
		return json.NewEncoder(p.Out).Encode(svc.Signer().Set())
	})
}

func proofRotate(ctx context.Context, p *Process, c *call) error {
	return withService(ctx, p, c, func(reg *service.Registry, svc *service.Service) error {
		fmt.Fprintf(p.Err, "Every node has to know the new key before it is used: this takes %d seconds.\n", service.RotationPause/time.Second)
		kid, err := reg.RotateSigning(ctx, svc, time.Now())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.Err, "%s signs with key %s now; the private halves of older keys are erased, and what they signed stays valid.\n", svc.Slug, kid)
		return err
	})
}
