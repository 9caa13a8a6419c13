// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
)

// gateway is an SMS gateway over HTTP that remembers what it took.
type gateway struct {
	*httptest.Server
	mu    sync.Mutex
	taken map[string]int // by our reference
	texts map[string]string
}

func newGateway(t *testing.T) *gateway {
	g := &gateway{taken: map[string]int{}, texts: map[string]string{}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ To, Text, Reference string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("X-Key") != "k" {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		g.mu.Lock()
		g.taken[in.Reference]++
		g.texts[in.Reference] = in.Text
		g.mu.Unlock()
		fmt.Fprintf(w, `{"id":%q}`, "m-"+in.Reference)
	}))
	t.Cleanup(g.Close)
	return g
}

// program is the true binary with a configuration of its own.
type program struct {
	t      *testing.T
	path   string
	config string
	env    []string
}

func newProgram(t *testing.T, database string, g *gateway) *program {
	t.Helper()
	folder := t.TempDir()
	p := &program{t: t, path: filepath.Join(folder, "countersign"), config: filepath.Join(folder, "countersign.toml")}
	build := exec.Command("go", "build", "-o", p.path, "../cmd/countersign")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	must(t, os.Mkdir(filepath.Join(folder, "keys"), 0o700))
	must(t, os.WriteFile(p.config, []byte(fmt.Sprintf(`
database = %q
master-key-file = %q
listen = "127.0.0.1:0"

[[gateway]]
name = "main"
url = "%s/send"
headers = { X-Key = "k", Content-Type = "application/json" }
body = '{"To": {{json .To}}, "Text": {{json .Text}}, "Reference": {{json .Reference}}}'
id = "/id"
[gateway.receipt]
auth = "token"
secret = "0123456789abcdef"
id = "id"
status = "status"
statuses = { ok = "delivered", gone = "unreachable" }
[gateway.inbound]
auth = "token"
secret = "0123456789abcdef"
from = "/from"
text = "/text"
`, database, filepath.Join(folder, "keys", "master.key"), g.URL)), 0o600))
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "COUNTERSIGN_") {
			p.env = append(p.env, kv)
		}
	}
	p.run("", "keys", "init", filepath.Join(folder, "keys", "master.key"))
	p.run("", "migrate", "--config", p.config)
	p.run("", "service", "create", "acme", "--name", "Acme", "--domain", "acme.example", "--config", p.config)
	return p
}

// run runs a command to its end and returns what it printed to standard output.
func (p *program) run(stdin string, args ...string) string {
	p.t.Helper()
	cmd := exec.Command(p.path, args...)
	cmd.Env, cmd.Stdin = p.env, strings.NewReader(stdin)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("countersign %v: %v\n%s", args, err, errors.String())
	}
	return strings.TrimSpace(string(out))
}

var serving = regexp.MustCompile(`address=(\S+)`)

// serve starts a node and returns its URL.
func (p *program) serve() (*exec.Cmd, string) {
	p.t.Helper()
	cmd := exec.Command(p.path, "serve", "--config", p.config)
	cmd.Env = p.env
	out, err := cmd.StderrPipe()
	must(p.t, err)
	must(p.t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := serving.FindStringSubmatch(lines.Text()); m != nil {
			go func() {
				for lines.Scan() { // so that the node is never stopped by a full pipe
				}
			}()
			return cmd, "http://" + m[1]
		}
	}
	p.t.Fatalf("the node did not start: %v", cmd.Wait())
	return nil, ""
}

// SIGKILL under load, again and again: every answered request is there afterwards, every message is sent, every
// grant stays the only one. COUNTERSIGN_TEST_KILLS=200 makes it a long one.
// Keeps: A.2
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 10
	if n, err := strconv.Atoi(os.Getenv("COUNTERSIGN_TEST_KILLS")); err == nil {
		kills = n
	}
	onBoth(t, func(t *testing.T, database string) {
		g := newGateway(t)
		p := newProgram(t, database, g)
		key := p.run("", "apikey", "create", "acme", "--name", "test", "--config", p.config)
		// No budget may slow the load down.
		p.run("", "service", "set", "acme", "--policy", `{"contact_sends":{"hour":100,"day":100},"contact_alive":20,"contact_alive_reserved":0}`, "--config", p.config)
		areas := []int{206, 212, 303, 305, 312, 404, 415, 512, 617, 702}
		var mu sync.Mutex
		begun, approved := map[string]bool{}, map[string]bool{}
		for range kills {
			cmd, url := p.serve()
			c := client.New(url, key)
			c.Tries = 1
			ctx, stop := context.WithCancel(t.Context())
			var load sync.WaitGroup
			for range 12 {
				load.Go(func() {
					for ctx.Err() == nil {
						v, err := c.Begin(ctx, client.BeginRequest{To: fmt.Sprintf("+1%d555%04d", areas[rand.N(len(areas))], 100+rand.N(100)), Purpose: "sign_in"})
						if err != nil {
							continue
						}
						mu.Lock()
						begun[v.ID] = true
						mu.Unlock()
						g.mu.Lock()
						text := g.texts[strings.TrimPrefix(v.ID, "vrf_")+"-0"]
						g.mu.Unlock()
						if text == "" {
							continue
						}
						if got, err := c.Check(ctx, v.ID, client.CheckRequest{Code: text}); err == nil && got.Approved {
							mu.Lock()
							approved[v.ID] = true
							mu.Unlock()
						}
					}
				})
			}
			pause := time.NewTimer(time.Duration(50+rand.N(250)) * time.Millisecond)
			<-pause.C
			must(t, cmd.Process.Kill())
			_ = cmd.Wait()
			stop()
			load.Wait()
		}
		if len(begun) == 0 {
			t.Fatal("nothing was begun")
		}
		p.afterwards(g, key, begun, approved)
	})
}

// afterwards looks whether everything that was answered is there and everything was sent.
func (p *program) afterwards(g *gateway, key string, begun, approved map[string]bool) {
	t := p.t
	cmd, url := p.serve()
	defer func() {
		must(t, cmd.Process.Signal(os.Interrupt))
		must(t, cmd.Wait())
	}()
	c := client.New(url, key)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for id := range begun {
		for {
			v, err := c.Status(ctx, id)
			if err != nil {
				t.Fatalf("%s was answered and is lost: %v", id, err)
			}
			if approved[id] && v.Status != "approved" {
				t.Fatalf("%s was approved and is %s", id, v.Status)
			}
			if s := v.Messages[0].Status; s == "sent" || s == "canceled" && v.Status == "approved" {
				break
			}
			<-tick.C // its lease has to run out first
		}
	}
	twice := 0
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range begun {
		switch n := g.taken[strings.TrimPrefix(id, "vrf_")+"-0"]; {
		case n == 0:
			t.Errorf("the message of %s was never sent", id)
		case n > 1:
			twice++
		}
	}
	t.Logf("%d begun, %d approved, %d messages sent twice", len(begun), len(approved), twice)
}

// The commands and the receipts of a gateway, as the operator's guide has them.
func TestCommandsAndReceipts(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	p := newProgram(t, "sqlite:"+filepath.Join(t.TempDir(), "cli.db"), g)
	key := p.run("", "apikey", "create", "acme", "--name", "shop", "--scopes", "verify,read", "--config", p.config)
	if list := p.run("", "apikey", "list", "acme", "--config", p.config); !strings.Contains(list, "shop") || strings.Contains(list, key) {
		t.Fatalf("the list of API keys: %s", list)
	}
	p.run("", "service", "set", "acme", "--policy", `{"code_length":8}`, "--config", p.config)
	p.run("", "keys", "rotate", "acme", "--config", p.config)
	cmd, url := p.serve()
	p.env = append(p.env, "COUNTERSIGN_API_KEY="+key)
	id := p.run("", "send", "+14155550121", "--url", url)
	ref := strings.TrimPrefix(id, "vrf_") + "-0"
	c := client.New(url, key)
	status := func() string {
		v, err := c.Status(t.Context(), id)
		must(t, err)
		return v.Messages[0].Status
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for status() != "sent" {
		<-tick.C
	}
	receipt := func(token, state string) int {
		res, err := http.Post(url+"/v1/receipts/main?token="+token, "application/x-www-form-urlencoded", strings.NewReader("id=m-"+ref+"&status="+state))
		must(t, err)
		must(t, res.Body.Close())
		return res.StatusCode
	}
	if receipt("wrong", "ok") != http.StatusUnauthorized || status() != "sent" {
		t.Fatal("a receipt without its token was taken")
	}
	if receipt("0123456789abcdef", "ok") != http.StatusNoContent || status() != "delivered" {
		t.Fatalf("after the receipt: %s", status())
	}
	g.mu.Lock()
	text := g.texts[ref]
	g.mu.Unlock()
	if got := p.run(text[:8]+"\n", "check", id, "--url", url); got != "approved" {
		t.Fatalf("check said %q to %q", got, text)
	}
	must(t, cmd.Process.Signal(os.Interrupt))
	must(t, cmd.Wait())

	for _, wrong := range [][]string{{"serve", "--lisen", "x"}, {"migrate", "--config", p.config, "--smtp-port", "x"}, {"nonsense"}, {"check"}} {
		cmd := exec.Command(p.path, wrong...)
		cmd.Env = p.env
		out, err := cmd.CombinedOutput()
		if err == nil || len(out) == 0 || cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("countersign %v: %v, %s", wrong, err, out)
		}
	}
	typo := exec.Command(p.path, "migrate")
	typo.Env = append(p.env, "COUNTERSIGN_LISEN=:1")
	if out, err := typo.CombinedOutput(); err == nil || !strings.Contains(string(out), "did you mean listen") {
		t.Errorf("a typo in the environment: %v, %s", err, out)
	}
}
