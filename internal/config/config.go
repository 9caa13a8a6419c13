// SPDX-License-Identifier: Apache-2.0

// Package config reads the configuration: one table of options, each of which can be given by a flag, an
// environment variable or a line of the configuration file, in this order of precedence.
//
// It owns names, defaults, checks and the printed reference. All problems are told at once, each
// naming the option and where it was set. What the options do is others' business.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/secret"
)

// Option is one row of the table.
type Option struct {
	Name    string // of the flag and in the file: "smtp-host"
	Default string
	Usage   string
	Secret  bool // never printed; may also be read from a file: smtp-password-file
	check   func(string) error
}

// EnvPrefix starts the names of environment variables: smtp-host is COUNTERSIGN_SMTP_HOST.
const EnvPrefix = "COUNTERSIGN_"

// Options is the table.
func Options() []Option {
	return []Option{
		{Name: "database", Default: "sqlite:countersign.db", Usage: "where everything is kept: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME", Secret: true},
		{Name: "database-connections", Default: "10", Usage: "size of the PostgreSQL connection pool of this node", check: number(1, 1000)},
		{Name: "master-key", Usage: "the master key itself; better give master-key-file", Secret: true},
		{Name: "listen", Default: "127.0.0.1:8080", Usage: "address and port to serve on", check: hostPort},
		{Name: "tls-certificate", Usage: "file with the certificate chain (PEM)"},
		{Name: "tls-key", Usage: "file with the certificate's key (PEM)"},
		{Name: "acme-domains", Usage: "domains to get a certificate for from an ACME authority, separated by commas"},
		{Name: "acme-folder", Default: "acme", Usage: "folder in which ACME certificates are kept"},
		{Name: "acme-directory", Default: "https://acme-v02.api.letsencrypt.org/directory", Usage: "the ACME authority"},
		{Name: "public-port", Default: "443", Usage: "port under which people reach the pages, if a proxy or NAT changes it", check: number(1, 65535)},
		{Name: "trusted-proxies", Usage: "addresses or networks of the proxy that ends TLS before us, separated by commas", check: networks},
		{Name: "smtp-host", Usage: "mail server that carries codes by email; empty: no email", check: nil},
		{Name: "smtp-port", Default: "587", Usage: "its port", check: number(1, 65535)},
		{Name: "smtp-security", Default: "starttls", Usage: "starttls, tls (from the first byte) or none (loopback only)", check: oneOf("starttls", "tls", "none")},
		{Name: "smtp-user", Usage: "user name for it"},
		{Name: "smtp-password", Usage: "password for it", Secret: true},
		{Name: "mail-from", Usage: "sender of mails: an address, or a name and an address"},
		{Name: "bounce-domain", Usage: "domain of the return addresses of mails, to which bounces come; empty: they go to mail-from", check: mailDomain},
		{Name: "bounce-listen", Usage: "address and port to take mail for bounce-domain on (SMTP), on loopback or inside your network; empty: this node takes none", check: hostPort},
		{Name: "default-region", Usage: "country of numbers that come without one, such as DE"},
		{Name: "place-database", Usage: "file with places of IP addresses in MaxMind's format (.mmdb, City or Country); empty: requests are told by their network only"},
		{Name: "help-folder", Usage: "folder with help topics of your own: SERVICE/TOPIC.LANGUAGE.md; empty: ours alone"},
		{Name: "report-places-file", Usage: "file (JSON) that says by country where else suspicious messages can be reported; empty: the list that is built in"},
		{Name: "keep-days", Default: "90", Usage: "days for which ended verifications are kept", check: number(1, 3650)},
		{Name: "log-checkpoints", Usage: "folder outside the database for signed checkpoints of the event log; empty: none are written"},
		{Name: "log-format", Default: "text", Usage: "text or json", check: oneOf("text", "json")},
		{Name: "log-level", Default: "info", Usage: "debug, info, warn or error", check: oneOf("debug", "info", "warn", "error")},
		{Name: "stop-seconds", Default: "20", Usage: "how long a stop waits for what has begun", check: number(1, 600)},
	}
}

// Config is the values of all options, and the gateways of the file.
type Config struct {
	values   map[string]string
	gateways toml.MetaData
	raw      []toml.Primitive
	// Path is the file that was read; empty if none.
	Path string
}

// Load reads file (if path isn't empty), environ (as os.Environ gives it) and flags (by option name).
//
// The fault is of kind Invalid and tells every problem.
func Load(path string, environ []string, flags map[string]string) (*Config, error) {
	c := &Config{values: map[string]string{}, Path: path}
	var problems []*fault.Error
	problem := func(where, format string, args ...any) {
		problems = append(problems, fault.New(fault.Invalid, "invalid_configuration", fmt.Sprintf(format, args...)).WithField(where))
	}
	for _, o := range Options() {
		c.values[o.Name] = o.Default
	}
	if path != "" {
		c.readFile(path, problem)
	}
	c.readEnv(environ, problem)
	for name, v := range flags {
		c.set(name, v, "--"+name, problem)
	}
	for _, o := range Options() {
		if v := c.values[o.Name]; o.check != nil && v != "" {
			if err := o.check(v); err != nil {
				problem(o.Name, "%s: %v", o.Name, err)
			}
		}
	}
	if err := fault.Join(problems...); err != nil {
		return nil, err
	}
	return c, nil
}

type report func(where, format string, args ...any)

func (c *Config) set(name, value, where string, problem report) {
	base, fromFile := strings.CutSuffix(name, "-file")
	i := slices.IndexFunc(Options(), func(o Option) bool { return o.Name == name || fromFile && o.Secret && o.Name == base })
	if i < 0 {
		problem(where, "%s is not an option; %s", where, nearest(name))
		return
	}
	if !fromFile {
		c.values[name] = value
		return
	}
	if base == "master-key" {
		c.values[name] = value // read with its own checks
		return
	}
	b, err := os.ReadFile(value)
	if err != nil {
		problem(where, "%s: the file can't be read: %v", where, err)
		return
	}
	c.values[base] = strings.TrimRight(string(b), "\r\n")
}

func (c *Config) readFile(path string, problem report) {
	var content map[string]toml.Primitive
	meta, err := toml.DecodeFile(path, &content)
	if err != nil {
		problem("config", "%s", unreadable(path, err))
		return
	}
	c.gateways = meta
	for name, p := range content {
		if name == "gateway" {
			if err := meta.PrimitiveDecode(p, &c.raw); err != nil {
				problem(name, "%s: gateways are written as [[gateway]]", path)
			}
			continue
		}
		var v any
		if err := meta.PrimitiveDecode(p, &v); err != nil {
			problem(name, "%s: %v", path, err)
			continue
		}
		switch v.(type) {
		case string, int64, bool, float64:
			c.set(name, fmt.Sprint(v), path+": "+name, problem)
		default:
			problem(name, "%s: %s must be a text or a number", path, name)
		}
	}
}

// unreadable says where a file is wrong. The parser's own words quote what stands there, which may be a secret.
func unreadable(path string, err error) string {
	var syntax toml.ParseError
	switch {
	case !errors.As(err, &syntax):
		return fmt.Sprintf("the configuration file can't be read: %v", err)
	case syntax.LastKey != "":
		return fmt.Sprintf("%s: line %d can't be read, at or after %s; texts stand in quotation marks", path, syntax.Position.Line, syntax.LastKey)
	}
	return fmt.Sprintf("%s: line %d can't be read; lines look like: name = \"value\"", path, syntax.Position.Line)
}

// Gateways decodes each [[gateway]] of the file into a new value of make and hands it to add.
func (c *Config) Gateways(make func() any, add func(any)) error {
	for i, p := range c.raw {
		v := make()
		if err := c.gateways.PrimitiveDecode(p, v); err != nil {
			return fault.New(fault.Invalid, "invalid_configuration", fmt.Sprintf("%s: gateway %d: %v", c.Path, i+1, err)).WithField("gateway")
		}
		add(v)
	}
	if unknown := c.gateways.Undecoded(); len(c.raw) > 0 && len(unknown) > 0 {
		return fault.New(fault.Invalid, "invalid_configuration", fmt.Sprintf("%s: %s is not an option of a gateway", c.Path, unknown[0])).WithField("gateway")
	}
	return nil
}

func (c *Config) readEnv(environ []string, problem report) {
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		name, ours := strings.CutPrefix(k, EnvPrefix)
		if !ours || strings.HasPrefix(name, "TEST_") || name == "CONFIG" || name == "API_KEY" || name == "URL" {
			continue
		}
		c.set(strings.ToLower(strings.ReplaceAll(name, "_", "-")), v, k, problem)
	}
}

// nearest suggests the option that a typo may have meant.
func nearest(name string) string {
	best, least := "", 4
	for _, o := range Options() {
		if d := distance(name, o.Name); d < least {
			best, least = o.Name, d
		}
	}
	if best == "" {
		return "`countersign config` lists them all."
	}
	return "did you mean " + best + "?"
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// Get returns an option's value.
func (c *Config) Get(name string) string { return c.values[name] }

// Secret returns a secret option's value.
func (c *Config) Secret(name string) secret.Text { return secret.NewText(c.values[name]) }

// Int returns the value of an option that is a number.
func (c *Config) Int(name string) int {
	n, err := strconv.Atoi(c.values[name])
	if err != nil {
		panic("config: " + name + " was not checked to be a number")
	}
	return n
}

// Seconds returns the value of an option that is a number of seconds.
func (c *Config) Seconds(name string) time.Duration { return time.Duration(c.Int(name)) * time.Second }

// List returns the parts of an option that is separated by commas.
func (c *Config) List(name string) []string {
	return strings.FieldsFunc(c.values[name], func(r rune) bool { return r == ',' || r == ' ' })
}

// Reference prints the table for people.
func Reference() string {
	var b strings.Builder
	for _, o := range Options() {
		fmt.Fprintf(&b, "%s\n    %s\n", o.Name, o.Usage)
		if o.Default != "" {
			fmt.Fprintf(&b, "    default: %s\n", o.Default)
		}
		env := EnvPrefix + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
		fmt.Fprintf(&b, "    flag --%s, environment %s", o.Name, env)
		if o.Secret {
			fmt.Fprintf(&b, "; from a file: --%s-file, %s_FILE", o.Name, env)
		}
		b.WriteString("\n\n")
	}
	return b.String()
}

func number(lo, hi int) func(string) error {
	return func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < lo || n > hi {
			return fmt.Errorf("must be a number from %d to %d", lo, hi)
		}
		return nil
	}
}

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
		}
		return nil
	}
}

func hostPort(s string) error {
	if _, _, err := net.SplitHostPort(s); err != nil {
		return fmt.Errorf("must be an address and a port, such as 127.0.0.1:8080 or :443")
	}
	return nil
}

func mailDomain(s string) error {
	c, err := contact.ParseEmail("b@" + s)
	if err != nil || c.Reveal() != "b@"+s || len(s) > maxBounceDomain {
		return fmt.Errorf("must be a domain in lower-case letters such as bounces.acme.example, of at most %d characters", maxBounceDomain)
	}
	return nil
}

// maxBounceDomain leaves room for the part before the @ (RFC 5321 4.5.3.1.3: a path has at most 256 characters, its brackets included).
const maxBounceDomain = 254 - 64 - 1

func networks(s string) error {
	_, err := ParseNetworks(strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }))
	return err
}

// ParseNetworks reads addresses and networks.
func ParseNetworks(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
