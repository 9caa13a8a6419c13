// SPDX-License-Identifier: Apache-2.0

// Package httpsms carries messages to any HTTP gateway for texts or calls, described in
// configuration: what is sent, how the answer is read, how receipts and inbound texts come and how they are
// authenticated.
package httpsms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// Config describes one gateway. In the configuration file it is a [[gateway]].
type Config struct {
	Name    string            `toml:"name"`    // letters, digits and dashes; part of the receipts' URL
	Channel string            `toml:"channel"` // sms (the default) or voice
	URL     string            `toml:"url"`     // template
	Method  string            `toml:"method"`  // POST unless given
	Headers map[string]string `toml:"headers"` // templates
	Body    string            `toml:"body"`    // template; see Variables
	From    string            `toml:"from"`    // sender name or number, as the variable From

	User     string `toml:"user"`     // HTTP basic authentication
	Password string `toml:"password"` //

	// Templates are ids of texts that are registered with the networks, by "purpose/locale" or "purpose", and of
	// notices by "notice/name/locale" or "notice/locale": the variable Template.
	Templates map[string]string `toml:"templates"`

	Success   []int             `toml:"success"`    // HTTP statuses that mean taken; 200, 201 and 202 unless given
	OK        map[string]string `toml:"ok"`         // JSON pointers and the values that they must have for a message to be taken
	ID        string            `toml:"id"`         // JSON pointer to the gateway's id of the message
	ErrorCode string            `toml:"error_code"` // JSON pointer to its error code
	Outcomes  map[string]string `toml:"outcomes"`   // error codes or HTTP statuses to outcomes

	Receipt Callback `toml:"receipt"`
	Inbound Callback `toml:"inbound"`
}

// Callback describes what the gateway calls us with. Fields are names of form or query parameters, or
// JSON pointers.
type Callback struct {
	Auth   string `toml:"auth"`   // token, basic, hmac-sha256 or hmac-sha1; empty: no such callbacks
	Header string `toml:"header"` // of the token or signature; for a token without one: the query parameter "token"
	Secret string `toml:"secret"` // the token, the basic password, the signature's key

	ID        string            `toml:"id"`         // of the message
	Status    string            `toml:"status"`     //
	Statuses  map[string]string `toml:"statuses"`   // the gateway's words to delivered, ignored or an outcome
	Network   string            `toml:"network"`    //
	ErrorCode string            `toml:"error_code"` //
	From      string            `toml:"from"`       // of an inbound text
	Text      string            `toml:"text"`       //
}

// Variables are what the templates may use, besides the functions json and query, which escape. A notice has no Code and no
// Minutes, and its Purpose is "notice"; a message with a code has no Notice, Address and Key. A message about a
// parcel has the Purpose "delivery", its kind in Notice, its link in Address, and no Minutes; templates are named delivery/KIND/LOCALE or delivery/KIND.
type Variables struct {
	To, ToDigits, From, Text, Code, Service, Amount, Payee, Locale, Purpose, Template, Reference string
	Notice, Address, Key                                                                         string
	Minutes                                                                                      int
}

var outcomes = map[string]message.Outcome{
	"try_later": message.TryLater, "try_other": message.TryOther, "unreachable": message.Unreachable,
	"contact_kind": message.ContactKind, "blocked": message.Blocked, "misconfigured": message.Misconfigured, "absent": message.Absent,
}

var nameForm = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

func functions() template.FuncMap {
	return template.FuncMap{
		"json": func(v any) (string, error) {
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			err := e.Encode(v)
			return strings.TrimSpace(b.String()), err
		},
		"query": func(v any) string { return url.QueryEscape(fmt.Sprint(v)) },
	}
}

// New checks a configuration and compiles its templates; it connects to nothing.
//
// The fault is Invalid and tells every problem.
func New(cfg Config) (*Provider, error) {
	p := &Provider{cfg: cfg, headers: map[string]*template.Template{}}
	var problems []*fault.Error
	add := func(field, format string, args ...any) {
		problems = append(problems, fault.New(fault.Invalid, "invalid_gateway", fmt.Sprintf("gateway %q: %s", cfg.Name, fmt.Sprintf(format, args...))).WithField("gateway."+field))
	}
	if !nameForm.MatchString(cfg.Name) {
		add("name", "name must be 1 to 32 lower-case letters, digits and dashes")
	}
	if p.cfg.Channel == "" {
		p.cfg.Channel = string(service.SMS)
	}
	if p.cfg.Channel != string(service.SMS) && p.cfg.Channel != string(service.Voice) {
		add("channel", "channel must be sms or voice")
	}
	if p.cfg.Method == "" {
		p.cfg.Method = http.MethodPost
	}
	if !slices.Contains([]string{http.MethodPost, http.MethodGet, http.MethodPut}, p.cfg.Method) {
		add("method", "method must be POST, GET or PUT")
	}
	if len(p.cfg.Success) == 0 {
		p.cfg.Success = []int{http.StatusOK, http.StatusCreated, http.StatusAccepted}
	}
	compile := func(field, text string) *template.Template {
		t, err := template.New(field).Funcs(functions()).Option("missingkey=error").Parse(text)
		if err == nil {
			err = t.Execute(&bytes.Buffer{}, Variables{})
		}
		if err != nil {
			add(field, "the template can't be used: %v", err)
		}
		return t
	}
	p.url, p.body = compile("url", cfg.URL), compile("body", cfg.Body)
	for name, text := range cfg.Headers {
		p.headers[name] = compile("headers."+name, text)
	}
	checkURL(cfg.URL, add)
	for _, ptr := range append(keys(cfg.OK), cfg.ID, cfg.ErrorCode) {
		if ptr != "" && ptr[0] != '/' {
			add("id", "%q must be a JSON pointer (RFC 6901) such as /messages/0/id", ptr)
		}
	}
	for code, o := range cfg.Outcomes {
		if _, ok := outcomes[o]; !ok {
			add("outcomes", "%s = %q: an outcome is one of %s", code, o, strings.Join(keys(outcomes), ", "))
		}
	}
	cfg.Receipt.check("receipt", add)
	cfg.Inbound.check("inbound", add)
	if err := fault.Join(problems...); err != nil {
		return nil, err
	}
	p.client = newClient()
	return p, nil
}

func keys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// checkURL refuses plain HTTP beyond this machine: the body carries codes and numbers.
func checkURL(text string, add func(field, format string, args ...any)) {
	u, err := url.Parse(strings.NewReplacer("{{", "", "}}", "", " ", "").Replace(text))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		add("url", "url must begin with https:// and a host")
		return
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		add("url", "url must be https: the body carries codes and numbers")
	}
}

func (c *Callback) check(name string, add func(field, format string, args ...any)) {
	if c.Auth == "" {
		if c.Secret != "" || c.ID != "" || c.From != "" {
			add(name+".auth", "auth is missing: token, basic, hmac-sha256 or hmac-sha1")
		}
		return
	}
	if !slices.Contains([]string{"token", "basic", "hmac-sha256", "hmac-sha1"}, c.Auth) {
		add(name+".auth", "auth must be token, basic, hmac-sha256 or hmac-sha1")
	}
	if len(c.Secret) < 16 {
		add(name+".secret", "secret must have at least 16 characters")
	}
	if strings.HasPrefix(c.Auth, "hmac") && c.Header == "" {
		add(name+".header", "header must name the signature's header")
	}
	if name == "receipt" && (c.ID == "" || c.Status == "" || len(c.Statuses) == 0) {
		add(name, "id, status and statuses are needed")
	}
	if name == "inbound" && (c.From == "" || c.Text == "") {
		add(name, "from and text are needed")
	}
	for word, to := range c.Statuses {
		if _, ok := outcomes[to]; !ok && to != "delivered" && to != "ignored" {
			add(name+".statuses", "%s = %q: must be delivered, ignored or an outcome", word, to)
		}
	}
}
