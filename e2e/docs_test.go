// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/message/httpsms"
	"github.com/countersign/countersign/internal/otp"
)

// blocks are the pieces of a Markdown file that are marked as language.
func blocks(t *testing.T, file, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", file))
	must(t, err)
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatalf("%s has no piece of %s", file, language)
	}
	return out
}

// guide is the true program as `dev` starts it, for somebody who follows a guide to the letter.
type guide struct {
	*program
	url, key string
}

func newGuide(t *testing.T) *guide {
	t.Helper()
	p := newProgram(t, "sqlite:"+filepath.Join(t.TempDir(), "unused.db"), newGateway(t))
	cmd := exec.Command(p.path, "dev", "--listen", "127.0.0.1:0")
	cmd.Env, cmd.Dir = p.env, t.TempDir()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { stopAll(t, []*exec.Cmd{cmd}) })
	var url, key string
	lines := bufio.NewScanner(out)
	for (url == "" || key == "") && lines.Scan() {
		for _, word := range strings.Fields(lines.Text()) {
			switch {
			case strings.HasPrefix(word, "http://localhost:") && url == "":
				url = strings.TrimRight(word, "/.,")
			case strings.HasPrefix(word, "CS") && len(word) == 60:
				key = word
			}
		}
	}
	go func() {
		for lines.Scan() { // so that it is never stopped by a full pipe
		}
	}()
	if url == "" || key == "" {
		t.Fatalf("dev printed no address or no key (%q, %q)", url, key)
	}
	return &guide{p, url, key}
}

// do runs a piece of a guide and returns what it prints.
func (g *guide) do(script string, env ...string) string {
	g.t.Helper()
	c := exec.Command("bash", "-euc", strings.ReplaceAll(script, "http://localhost:8080", g.url))
	c.Env = append(append(slices.Clone(g.env), "KEY="+g.key, "PATH="+filepath.Dir(g.path)+":"+os.Getenv("PATH")), env...)
	c.Dir = filepath.Dir(g.path)
	out, err := c.Output()
	if err != nil {
		g.t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

// asks runs a call of a guide and returns its answer.
func (g *guide) asks(script string, env ...string) map[string]any {
	g.t.Helper()
	out := g.do(script, env...)
	var answer map[string]any
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		g.t.Fatalf("%s\nprints %s", script, out)
	}
	return answer
}

// The README's walk-through, to the letter but for the port: its first command, then curl with what that printed.
func TestTheReadmesWalkThrough(t *testing.T) {
	t.Parallel()
	g := newGuide(t)
	var curls []string
	for _, b := range blocks(t, "README.md", "sh") {
		if strings.HasPrefix(b, "curl") {
			curls = append(curls, b)
		}
	}
	if len(curls) != 2 {
		t.Fatalf("the README has %d calls", len(curls))
	}
	begun := g.asks(curls[0])
	id, _ := begun["id"].(string)
	l := await(t, g.url, 1)
	typed := strings.ReplaceAll(curls[1], "123 456", l.Code[:3]+" "+l.Code[3:])
	if typed == curls[1] {
		t.Fatal("the README's check has no code to replace")
	}
	if first := g.asks(typed, "ID="+id); first["approved"] != true {
		t.Fatalf("the README's check: %v", first)
	}
	if second := g.asks(typed, "ID="+id); second["approved"] == true || second["result"] != "already_used" {
		t.Fatalf("the second time: %v", second)
	}
	for _, path := range []string{"/docs", "/openapi.json", "/inbox"} {
		res, err := http.Get(g.url + path)
		must(t, err)
		must(t, res.Body.Close())
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s, which the README names: %d", path, res.StatusCode)
		}
	}
}

// The guide for applications, to the letter but for the port, the codes and what the answers before had given.
func TestTheGuideToAccounts(t *testing.T) {
	t.Parallel()
	g := newGuide(t)
	pieces := blocks(t, "docs/accounts.md", "sh")
	env := map[string]string{}
	var secret []byte
	var steps []string
	apps := 0
	for _, piece := range pieces {
		if !strings.HasPrefix(piece, "curl") {
			continue
		}
		if strings.Contains(piece, "123 456") {
			code := await(t, g.url, 1).Code
			piece = strings.ReplaceAll(piece, "123 456", code[:3]+" "+code[3:])
		}
		if strings.Contains(piece, "654 321") { // the app's clock runs ahead, so that nobody has to wait for its next code
			code := (&otp.TOTP{Secret: secret}).At(time.Now().Add(time.Duration(apps) * 30 * time.Second)).Reveal()
			piece = strings.ReplaceAll(piece, "654 321", code[:3]+" "+code[3:])
			apps++
		}
		var set []string
		for name, value := range env {
			set = append(set, name+"="+value)
		}
		answer := g.asks(piece, set...)
		if answer["problem"] != nil || answer["code"] != nil {
			t.Fatalf("%s\nis answered with %v", piece, answer)
		}
		if flow, ok := answer["flow"].(string); ok {
			env["FLOW"] = flow
		}
		done, _ := answer["done"].(map[string]any)
		for name, field := range map[string]string{"SESSION": "session_token", "DEVICE": "device_token"} {
			if value, ok := done[field].(string); ok {
				env[name] = value
			}
		}
		if setup, ok := answer["setup"].(map[string]any); ok {
			var err error
			secret, err = otp.ParseSecret(setup["secret"].(string))
			must(t, err)
		}
		next, _ := answer["next"].(string)
		steps = append(steps, next)
	}
	if got := strings.Join(steps, " "); got != "code done  app done app done app done" {
		t.Errorf("the guide's steps: %s", got)
	}
	must(t, os.WriteFile(filepath.Join(filepath.Dir(g.path), "accounts.jsonl"), []byte(blocks(t, "docs/accounts.md", "json")[0]), 0o600))
	for _, piece := range pieces {
		switch {
		case strings.Contains(piece, "account import"):
			if out := g.do(piece); !strings.HasPrefix(out, "2 made, 0 there already, 0 failed") {
				t.Errorf("%s\nprints %s", piece, out)
			}
		case strings.Contains(piece, "staff invite"):
			if out := g.do(piece); !strings.Contains(out, "support") || strings.Contains(out, "sue@") {
				t.Errorf("%s\nprints %s", piece, out)
			}
		}
	}
	// What the guide names is there.
	text, err := os.ReadFile(filepath.Join("..", "docs", "accounts.md"))
	must(t, err)
	var doc struct{ Paths map[string]any }
	get(t, g.url+"/openapi.json", "", nil, &doc)
	for _, m := range regexp.MustCompile("`(?:GET|POST|PATCH|DELETE) (/v1/[a-z0-9/{}-]+)").FindAllStringSubmatch(string(text), -1) {
		if doc.Paths[strings.TrimSuffix(m[1], "/")] == nil {
			t.Errorf("the guide names %s, which isn't there", m[1])
		}
	}
}

// The operator's guide: its commands run (in folders of their own), and its configuration is one.
func TestTheOperatorsGuide(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "sqlite:"+filepath.Join(t.TempDir(), "unused.db"), newGateway(t))
	root := t.TempDir()
	for _, folder := range []string{"etc/countersign", "var/lib/countersign"} {
		must(t, os.MkdirAll(filepath.Join(root, folder), 0o700))
	}
	local := strings.NewReplacer("/etc/", root+"/etc/", "/var/", root+"/var/")
	commands, _, found := strings.Cut(local.Replace(blocks(t, "docs/operating.md", "sh")[0]), "countersign serve")
	if !found {
		t.Fatal("the guide doesn't serve")
	}
	c := exec.Command("bash", "-euc", commands)
	c.Env = append(p.env, "PATH="+filepath.Dir(p.path)+":"+os.Getenv("PATH"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v: %s", commands, err, out)
	}
	must(t, os.WriteFile(filepath.Join(root, "etc/countersign/smtp-password"), []byte("x\n"), 0o600))
	for _, b := range blocks(t, "docs/operating.md", "toml") {
		path := filepath.Join(root, "countersign.toml")
		must(t, os.WriteFile(path, []byte(local.Replace(b)), 0o600))
		cfg, err := config.Load(path, nil, nil)
		if err == nil {
			err = cfg.Gateways(func() any { return new(httpsms.Config) }, func(v any) {
				g, _ := v.(*httpsms.Config)
				_, err := httpsms.New(*g)
				must(t, err)
			})
		}
		if err != nil {
			t.Errorf("%v in\n%s", err, b)
		}
	}
}

// The guide to hand-overs, to the letter but for the port and the code: one parcel from order to proof, a depot's day, a round and a release.
func TestTheGuideToHandovers(t *testing.T) {
	t.Parallel()
	g := newGuide(t)
	id := ""
	asks := func(piece string) map[string]any { return g.asks(piece, "ID="+id) }
	for _, piece := range blocks(t, "docs/handover.md", "sh") {
		switch {
		case strings.Contains(piece, `"order": "1182"`):
			made := asks(piece)
			id, _ = made["id"].(string)
			if made["state"] != "created" || id == "" {
				t.Fatalf("made: %v", made)
			}
		case strings.Contains(piece, "proof verify"):
			if out := g.do(piece, "ID="+id); !strings.Contains(out, `"order":"1182"`) || !strings.Contains(out, `"certainty":"confirmed"`) {
				t.Errorf("the proof: %s", out)
			}
		case strings.Contains(piece, "day.jsonl"):
			lines := strings.Split(strings.TrimSpace(g.do(piece)), "\n")
			if len(lines) != 5 || lines[4] != `{"created":3,"again":0,"failed":1}` || !strings.Contains(lines[3], `"invalid_`) {
				t.Errorf("a depot's day: %v", lines)
			}
			var first struct{ ID string }
			must(t, json.Unmarshal([]byte(lines[0]), &first))
			id = first.ID // for the round
		case strings.Contains(piece, "/v1/rounds"):
			if round := asks(piece); round["link"] == nil || len(round["left_out"].([]any)) > 0 {
				t.Errorf("a round: %v", round)
			}
		case strings.Contains(piece, "D-48213"):
			shown := asks(`curl -s -X POST http://localhost:8080/v1/handovers/$ID/code -H "Authorization: Bearer $KEY"`)
			code, _ := shown["code"].(string)
			if got := asks(strings.ReplaceAll(piece, "D-48213", code)); got["result"] != "handed_over" {
				t.Errorf("the code: %v", got)
			}
		case strings.Contains(piece, `"arrive"`):
			if got := asks(piece); got["result"] != "done" {
				t.Errorf("at the door: %v", got)
			}
		default: // sent out, and at the end released
			if got := asks(piece); got["state"] != "out_for_delivery" && got["certainty"] != "weaker" {
				t.Errorf("%s\nis answered with %v", piece, got)
			}
		}
	}
}
