// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line: it reads arguments, calls the program, and says what happened.
//
// Its rules: results go to standard output and can be piped; everything else goes to standard error; codes are read from
// standard input and never from an argument, where other users of the machine could see them; an error says
// what to do next, and the exit code is 1 for what failed and 2 for what was asked wrongly.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/fault"
)

// Process is what a command has of the process that it runs in.
type Process struct {
	Args     []string // without the program's name
	Environ  []string
	In       io.Reader
	Out, Err io.Writer
}

// Version is stamped at build time: -ldflags "-X github.com/countersign/countersign/internal/cli.Version=v1.2.3".
var Version = "dev"

type command struct {
	name, args, help string
	run              func(ctx context.Context, p *Process, c *call) error
	flags            func(*call)
}

// call is one command as it was called.
type call struct {
	*flag.FlagSet
	configPath string
	set        map[string]string // options given as flags
	text       map[string]*string
}

// String defines a flag that is the command's own.
func (c *call) String(name, value, usage string) { c.text[name] = c.FlagSet.String(name, value, usage) }
func (c *call) get(name string) string           { return *c.text[name] }

// given tells whether a flag was given, even if empty.
func (c *call) given(name string) bool {
	found := false
	c.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// remoteFlag is the flag of commands that talk to a server; see remote.
func (c *call) remoteFlag() {
	c.String("url", "http://localhost:8080", "of the server; the API key is taken from COUNTERSIGN_API_KEY")
}

func commands() []command {
	return []command{
		{name: "dev", help: "start everything on this machine at once, with a demo service and a local inbox", run: dev, flags: func(c *call) {
			c.String("data", "countersign-dev", "folder for the database and the master key")
		}},
		{name: "serve", help: "run a node", run: serve},
		{name: "migrate", help: "bring the database's schema up to date and stop", run: migrate},
		{name: "keys init", args: "FILE", help: "make a master key; refuses to overwrite", run: keysInit},
		{name: "keys rotate", args: "SERVICE", help: "give a service a new data key, while serving", run: keysRotate},
		{name: "service create", args: "SLUG", help: "make a service", run: serviceCreate, flags: func(c *call) {
			c.String("name", "", "its name in messages, at most 11 characters")
			c.String("domain", "", "host of its pages, such as acme.example")
			c.String("locale", "en", "language of its messages")
			c.String("policy", "", "JSON of what differs from the default policy")
		}},
		{name: "service list", help: "list the services", run: serviceList},
		{name: "service show", args: "SLUG", help: "print a service, its policy and its brand as JSON", run: serviceShow},
		{name: "service set", args: "SLUG", help: "change a service", run: serviceSet, flags: func(c *call) {
			c.String("name", "", "its name in messages")
			c.String("domain", "", "host of its pages")
			c.String("locale", "", "language of its messages")
			c.String("policy", "", "JSON of what changes in its policy")
			for _, f := range brandFlags() {
				c.String(f.name, "", f.usage)
			}
			for _, f := range listFlags() {
				c.String(f.name, "", f.usage)
			}
			c.String("logo", "", "file with its logo, PNG or SVG; empty takes it back")
		}},
		{name: "apikey create", args: "SERVICE", help: "make an API key; it is shown once", run: apikeyCreate, flags: func(c *call) {
			c.String("name", "", "what it is for")
			c.String("scopes", "verify", "any of verify, manage, support, read, account, handover, separated by commas")
		}},
		{name: "apikey list", args: "SERVICE", help: "list a service's API keys", run: apikeyList},
		{name: "apikey revoke", args: "SERVICE ID", help: "make an API key void", run: apikeyRevoke},
		{name: "send", args: "CONTACT", help: "begin a verification and print its id", run: send, flags: func(c *call) {
			c.String("purpose", "sign_in", "sign_up, sign_in, transaction, contact_change, recovery or custom")
			c.String("channel", "", "sms, email or voice")
			c.remoteFlag()
		}},
		{name: "check", args: "ID", help: "check the code on standard input; exit code 0 means approved", run: check, flags: (*call).remoteFlag},
		{name: "log verify", help: "check the event log against its checkpoints; exit code 0 means that it is whole", run: logVerify, flags: func(c *call) {
			c.String("service", "", "the only service to check; empty: all")
			c.String("key", "", "the public key to trust, as log key printed it once; empty: the one beside the checkpoints or in the database")
		}},
		{name: "log key", help: "print the public key of the event log's checkpoints", run: logKey},
		{name: "proof verify", args: "FILE", help: "check a proof of a hand-over (- is standard input); exit code 0 means that it is genuine", run: proofVerify, flags: func(c *call) {
			c.String("keys", "", "file or URL of the service's keys; empty: they are asked for where the proof says that it comes from")
		}},
		{name: "proof keys", args: "SERVICE", help: "print the public keys that a service's proofs are checked with", run: proofKeys},
		{name: "proof rotate", args: "SERVICE", help: "give a service a new key to sign proofs with, while serving", run: proofRotate},
		{name: "staff invite", args: "CONTACT", help: "invite somebody who works for the service of the API key", run: staffInvite, flags: func(c *call) {
			c.String("role", "support", "operator, support or depot")
			c.remoteFlag()
		}},
		{name: "staff list", help: "list who works for the service of the API key", run: staffList, flags: (*call).remoteFlag},
		{name: "staff remove", args: "ACCOUNT", help: "remove somebody from the staff", run: staffRemove, flags: (*call).remoteFlag},
		{name: "account import", args: "FILE", help: "bring accounts along: a JSON object a line, with contacts, password_hash, reference and locale", run: accountImport, flags: (*call).remoteFlag},
		{name: "config", help: "print every option with its default, flag and environment variable", run: func(_ context.Context, p *Process, _ *call) error {
			_, err := io.WriteString(p.Out, config.Reference())
			return err
		}},
		{name: "version", help: "print the version", run: func(_ context.Context, p *Process, _ *call) error {
			_, err := fmt.Fprintln(p.Out, "countersign", Version)
			return err
		}},
	}
}

// Run runs the command that the arguments name and returns the exit code.
func Run(ctx context.Context, p Process) int {
	if len(p.Args) == 0 || slices.Contains([]string{"help", "-h", "--help"}, p.Args[0]) {
		usage(p.Err)
		return 2
	}
	cmd, args := find(p.Args)
	if cmd == nil {
		fmt.Fprintf(p.Err, "countersign: %q is not a command.\n\n", strings.Join(p.Args[:min(2, len(p.Args))], " "))
		usage(p.Err)
		return 2
	}
	c, err := parse(cmd, args, p.Err)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if err := cmd.run(ctx, &p, c); err != nil {
		complain(p.Err, err)
		if fault.As(err).Kind == fault.Invalid {
			return 2
		}
		return 1
	}
	return 0
}

func find(args []string) (*command, []string) {
	for _, cmd := range commands() {
		words := strings.Fields(cmd.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return &cmd, args[len(words):]
		}
	}
	return nil, nil
}

// parse reads flags before, between and after the other arguments.
func parse(cmd *command, args []string, out io.Writer) (*call, error) {
	c := &call{FlagSet: flag.NewFlagSet(cmd.name, flag.ContinueOnError), set: map[string]string{}, text: map[string]*string{}}
	c.SetOutput(out)
	c.Usage = func() {
		fmt.Fprintf(out, "countersign %s %s\n    %s\n\nflags of its own, beside the options that `countersign config` lists:\n", cmd.name, cmd.args, cmd.help)
		c.VisitAll(func(f *flag.Flag) {
			if _, own := c.text[f.Name]; own {
				fmt.Fprintf(out, "  --%s  %s (default %q)\n", f.Name, f.Usage, f.DefValue)
			}
		})
	}
	c.StringVar(&c.configPath, "config", "", "configuration file (TOML)")
	if cmd.flags != nil {
		cmd.flags(c)
	}
	for _, o := range config.Options() {
		for _, name := range []string{o.Name, o.Name + "-file"} {
			if name == o.Name || o.Secret {
				c.Func(name, o.Usage, func(v string) error { c.set[name] = v; return nil })
			}
		}
	}
	var rest []string
	for {
		if err := c.Parse(args); err != nil {
			return nil, err
		}
		if c.NArg() == 0 {
			break
		}
		rest = append(rest, c.Arg(0))
		args = c.Args()[1:]
	}
	if want := len(strings.Fields(cmd.args)); len(rest) != want {
		fmt.Fprintf(out, "countersign %s takes %d arguments (%s), not %d\n", cmd.name, want, cmd.args, len(rest))
		return nil, errors.New("wrong number of arguments")
	}
	return c, c.Parse(append([]string{"--"}, rest...))
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Countersign: two-step verification that you run yourself.\n\n")
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  %-32s %s\n", strings.TrimSpace("countersign "+cmd.name+" "+cmd.args), cmd.help)
	}
	fmt.Fprint(w, "\nTry it:  countersign dev\n")
}

// complain says what went wrong: every problem, and for faults of our own side the cause.
func complain(w io.Writer, err error) {
	f := fault.As(err)
	for _, p := range append([]*fault.Error{}, f.Problems...) {
		fmt.Fprintf(w, "countersign: %s\n", p.Message)
	}
	if len(f.Problems) > 0 {
		return
	}
	fmt.Fprintf(w, "countersign: %s\n", f.Message)
	if cause := f.Unwrap(); cause != nil && f.Kind != fault.Invalid {
		fmt.Fprintf(w, "    because: %v\n", cause)
	}
}

// load reads the configuration of a call.
func load(p *Process, c *call) (*config.Config, error) {
	path := c.configPath
	for _, kv := range p.Environ {
		if v, ok := strings.CutPrefix(kv, "COUNTERSIGN_CONFIG="); ok && path == "" {
			path = v
		}
	}
	return config.Load(path, p.Environ, c.set)
}

func logger(cfg *config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Get("log-level"))); err != nil {
		level = slog.LevelInfo
	}
	opt := &slog.HandlerOptions{Level: level}
	if cfg.Get("log-format") == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}
