// SPDX-License-Identifier: Apache-2.0

package httpsms

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// maxReply is how much of a gateway's answer is read.
const maxReply = 64 << 10

// Provider is one gateway.
type Provider struct {
	cfg     Config
	url     *template.Template
	body    *template.Template
	headers map[string]*template.Template
	client  *http.Client
}

func newClient() *http.Client {
	return &http.Client{
		// A redirect would carry codes and numbers to a place that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext, TLSHandshakeTimeout: 3 * time.Second,
			MaxIdleConnsPerHost: 64, MaxConnsPerHost: 128, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment,
		},
	}
}

// Name implements message.Provider.
func (p *Provider) Name() string { return p.cfg.Name }

// Channel is what the gateway carries.
func (p *Provider) Channel() service.Channel { return service.Channel(p.cfg.Channel) }

// Receipts implements message.Provider.
func (p *Provider) Receipts() bool { return p.cfg.Receipt.Auth != "" }

// Send implements message.Provider.
func (p *Provider) Send(ctx context.Context, o *message.Outgoing, t *message.Text) (message.Sent, error) {
	req, err := p.request(ctx, o, t)
	if err != nil {
		return message.Sent{}, &message.SendError{Outcome: message.Misconfigured, Code: "template", Err: errors.New("the request can't be built from its templates")}
	}
	res, err := p.client.Do(req)
	if err != nil {
		code := "unreachable"
		if ctx.Err() != nil {
			code = "timeout"
		}
		return message.Sent{}, &message.SendError{Outcome: message.TryLater, Code: code, Err: errors.New("the gateway can't be reached")} // err would quote the URL, which may hold the number
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return message.Sent{}, &message.SendError{Outcome: message.TryLater, Code: "cut_off", Err: errors.New("the gateway's answer was cut off")}
	}
	return p.read(res, body)
}

// variables are what the templates may use of a message.
func (p *Provider) variables(o *message.Outgoing, t *message.Text) Variables {
	v := Variables{
		To: o.To.Reveal(), ToDigits: strings.TrimPrefix(o.To.Reveal(), "+"), From: p.cfg.From, Text: t.Body, Code: o.Code.Reveal(),
		Service: o.Service.Name, Amount: o.Amount, Payee: o.Payee, Locale: t.Locale, Purpose: string(o.Purpose),
		Reference: o.Ref.Row.ID.String() + "-" + strconv.Itoa(o.Ref.Number),
	}
	names := []string{v.Purpose + "/" + t.Locale, v.Purpose}
	if n := o.Notice; n != nil {
		v.Purpose, v.Notice, v.Address, v.Key = "notice", n.Kind.String(), n.Address, n.Key
		names = []string{"notice/" + v.Notice + "/" + t.Locale, "notice/" + t.Locale}
	} else {
		v.Minutes = o.Minutes()
	}
	if d := o.Delivery; d != nil {
		v.Purpose, v.Notice, v.Address, v.Minutes = "delivery", d.Kind.String(), d.Link, 0
		if v.Code != "" {
			v.Code = d.Letter + "-" + v.Code
		}
		names = []string{"delivery/" + v.Notice + "/" + t.Locale, "delivery/" + v.Notice}
	}
	for _, name := range names {
		if v.Template = p.cfg.Templates[name]; v.Template != "" {
			break
		}
	}
	return v
}

func (p *Provider) request(ctx context.Context, o *message.Outgoing, t *message.Text) (*http.Request, error) {
	v := p.variables(o, t)
	target, err := execute(p.url, v)
	if err != nil {
		return nil, err
	}
	body, err := execute(p.body, v)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, p.cfg.Method, target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if p.cfg.User != "" {
		req.SetBasicAuth(p.cfg.User, p.cfg.Password)
	}
	for name, h := range p.headers {
		value, err := execute(h, v)
		if err != nil {
			return nil, err
		}
		req.Header.Set(name, value)
	}
	return req, nil
}

func execute(t *template.Template, v Variables) (string, error) {
	var b bytes.Buffer
	err := t.Execute(&b, v)
	return b.String(), err
}

// read understands the gateway's answer.
func (p *Provider) read(res *http.Response, body []byte) (message.Sent, error) {
	var doc any
	isJSON := json.Unmarshal(body, &doc) == nil
	code := strconv.Itoa(res.StatusCode)
	if v := pointer(doc, p.cfg.ErrorCode); v != "" {
		code = v
	}
	taken := slices.Contains(p.cfg.Success, res.StatusCode)
	for ptr, want := range p.cfg.OK {
		taken = taken && isJSON && pointer(doc, ptr) == want
	}
	if taken {
		return message.Sent{Reference: pointer(doc, p.cfg.ID)}, nil
	}
	failure := &message.SendError{Code: message.Word(code, message.MaxWord), Err: fmt.Errorf("the gateway answered %d", res.StatusCode)}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s >= 0 {
		failure.RetryIn = min(time.Duration(s)*time.Second, time.Minute)
	}
	if o, ok := outcomes[p.cfg.Outcomes[code]]; ok {
		failure.Outcome = o
		return message.Sent{}, failure
	}
	switch {
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusRequestTimeout || res.StatusCode >= 500:
		failure.Outcome = message.TryLater
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusNotFound ||
		res.StatusCode >= 300 && res.StatusCode < 400:
		failure.Outcome = message.Misconfigured
	default:
		failure.Outcome = message.TryOther
	}
	return message.Sent{}, failure
}

// pointer evaluates a JSON pointer (RFC 6901) to a text; empty if there is nothing.
func pointer(doc any, ptr string) string {
	if ptr == "" {
		return ""
	}
	for _, token := range strings.Split(strings.TrimPrefix(ptr, "/"), "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch v := doc.(type) {
		case map[string]any:
			doc = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return ""
			}
			doc = v[i]
		default:
			return ""
		}
	}
	switch v := doc.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// call is a request to us.
type call struct {
	url    string
	header http.Header
	body   []byte
}

var errCallback = fault.New(fault.Unauthorized, "callback_refused", "This callback is not authenticated as configured for the gateway.")

// ParseReceipt reads a delivery receipt from a request that claims to come from the gateway: target is the URL as it was
// called, query included, which some sign. ok is false for a receipt that says nothing final.
//
// Faults: Unauthorized, Invalid.
func (p *Provider) ParseReceipt(target string, header http.Header, body []byte) (rec message.Receipt, ok bool, err error) {
	get, err := p.cfg.Receipt.open(call{target, header, body})
	if err != nil {
		return rec, false, err
	}
	rec = message.Receipt{
		Provider: p.cfg.Name, Reference: message.Word(get(p.cfg.Receipt.ID), message.MaxReference),
		Network: message.Word(get(p.cfg.Receipt.Network), message.MaxWord), Code: message.Word(get(p.cfg.Receipt.ErrorCode), message.MaxWord),
	}
	status := get(p.cfg.Receipt.Status)
	if rec.Reference == "" || status == "" {
		return rec, false, fault.New(fault.Invalid, "invalid_receipt", "The receipt names no message or no status.")
	}
	switch to := p.cfg.Receipt.Statuses[status]; to {
	case "delivered":
		rec.Delivered = true
	case "ignored", "":
		return rec, false, nil
	default:
		rec.Outcome = outcomes[to]
	}
	return rec, true, nil
}

// ParseInbound reads a text that came in; see ParseReceipt.
//
// Faults: Unauthorized, Invalid.
func (p *Provider) ParseInbound(target string, header http.Header, body []byte) (message.Inbound, error) {
	get, err := p.cfg.Inbound.open(call{target, header, body})
	if err != nil {
		return message.Inbound{}, err
	}
	in := message.Inbound{From: get(p.cfg.Inbound.From), Text: get(p.cfg.Inbound.Text)}
	if in.From == "" {
		return in, fault.New(fault.Invalid, "invalid_inbound", "The text names no sender.")
	}
	return in, nil
}

// open authenticates a call and returns how its fields are read.
func (c *Callback) open(req call) (func(field string) string, error) {
	u, err := url.Parse(req.url)
	if err != nil || c.Auth == "" {
		return nil, errCallback
	}
	authentic, whole := c.authentic(req, u)
	if !authentic {
		return nil, errCallback
	}
	if strings.Contains(req.header.Get("Content-Type"), "json") {
		var doc any
		if err := json.Unmarshal(req.body, &doc); err != nil {
			return nil, fault.New(fault.Invalid, "invalid_callback", "The callback's body is not JSON.")
		}
		return func(field string) string { return pointer(doc, field) }, nil
	}
	form, err := url.ParseQuery(string(req.body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "invalid_callback", "The callback's body is not a form.")
	}
	query := url.Values{}
	if whole { // a signature over the body alone says nothing of the query
		query = u.Query()
	}
	return func(field string) string {
		if field == "" {
			return ""
		}
		if form.Has(field) {
			return form.Get(field)
		}
		return query.Get(field)
	}, nil
}

// authentic tells whether the gateway made the call, and whether that covers the URL, too.
func (c *Callback) authentic(req call, u *url.URL) (authentic, whole bool) {
	same := func(a string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(c.Secret)) == 1 }
	switch c.Auth {
	case "token":
		if c.Header == "" {
			return same(u.Query().Get("token")), true
		}
		return same(strings.TrimPrefix(req.header.Get(c.Header), "Bearer ")), true
	case "basic":
		r := http.Request{Header: req.header}
		_, password, ok := r.BasicAuth()
		return ok && same(password), true
	case "hmac-sha1":
		return c.signed(sha1.New, req)
	default:
		return c.signed(sha256.New, req)
	}
}

// signed checks a signature over the body, in hexadecimal or base64, with or without "sha256=" in front; or, as Twilio signs
// forms, over the URL followed by the sorted parameters.
func (c *Callback) signed(h func() hash.Hash, req call) (authentic, whole bool) {
	given := req.header.Get(c.Header)
	if i := strings.IndexByte(given, '='); i > 0 && i < 8 {
		given = given[i+1:]
	}
	texts := []string{string(req.body)} // the second covers the URL
	if form, err := url.ParseQuery(string(req.body)); err == nil {
		text := req.url
		for _, k := range keys(form) {
			text += k + form.Get(k)
		}
		texts = append(texts, text)
	}
	var good [2]int
	for i, text := range texts {
		mac := hmac.New(h, []byte(c.Secret))
		mac.Write([]byte(text))
		sum := mac.Sum(nil)
		good[i] |= subtle.ConstantTimeCompare([]byte(given), []byte(hex.EncodeToString(sum)))
		good[i] |= subtle.ConstantTimeCompare([]byte(given), []byte(base64.StdEncoding.EncodeToString(sum)))
	}
	return good[0]|good[1] == 1, good[1] == 1
}
