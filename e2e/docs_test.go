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
	"strings"
	"testing"

	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/message/httpsms"
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

// The README's walk-through, to the letter but for the port: its first command, then curl with what that printed.
func TestTheReadmesWalkThrough(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "sqlite:"+filepath.Join(t.TempDir(), "unused.db"), newGateway(t))
	cmd := exec.Command(p.path, "dev", "--listen", "127.0.0.1:0")
	cmd.Env, cmd.Dir = p.env, t.TempDir()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer stopAll(t, []*exec.Cmd{cmd})
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
	run := func(script string, env ...string) map[string]any {
		t.Helper()
		c := exec.Command("bash", "-euc", strings.ReplaceAll(script, "http://localhost:8080", url))
		c.Env = append(p.env, env...)
		out, err := c.Output()
		must(t, err)
		var answer map[string]any
		if err := json.Unmarshal(out, &answer); err != nil {
			t.Fatalf("%s\nprints %s", script, out)
		}
		return answer
	}
	var curls []string
	for _, b := range blocks(t, "README.md", "sh") {
		if strings.HasPrefix(b, "curl") {
			curls = append(curls, b)
		}
	}
	if len(curls) != 2 {
		t.Fatalf("the README has %d calls", len(curls))
	}
	begun := run(curls[0], "KEY="+key)
	id, _ := begun["id"].(string)
	l := await(t, url, 1)
	typed := strings.ReplaceAll(curls[1], "123 456", l.Code[:3]+" "+l.Code[3:])
	if typed == curls[1] {
		t.Fatal("the README's check has no code to replace")
	}
	if first := run(typed, "KEY="+key, "ID="+id); first["approved"] != true {
		t.Fatalf("the README's check: %v", first)
	}
	if second := run(typed, "KEY="+key, "ID="+id); second["approved"] == true || second["result"] != "already_used" {
		t.Fatalf("the second time: %v", second)
	}
	for _, path := range []string{"/docs", "/openapi.json", "/inbox"} {
		res, err := http.Get(url + path)
		must(t, err)
		must(t, res.Body.Close())
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s, which the README names: %d", path, res.StatusCode)
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
