// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
)

// Who may do what: each scope opens its own routes, another service's verifications are not there, a flow secret
// goes on with its own verification alone, and a revoked key opens nothing.
// Keeps: S1
func TestAccess(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	p := newProgram(t, "sqlite:"+filepath.Join(t.TempDir(), "access.db"), g)
	p.run("", "service", "create", "other", "--name", "Other", "--domain", "other.example", "--config", p.config)
	keys := map[string]string{}
	for _, scope := range []string{"verify", "manage", "support", "read"} {
		keys[scope] = p.run("", "apikey", "create", "acme", "--name", scope, "--scopes", scope, "--config", p.config)
	}
	keys["other"] = p.run("", "apikey", "create", "other", "--name", "all", "--config", p.config)
	cmd, url := p.serve()
	defer stopAll(t, []*exec.Cmd{cmd})
	ask := func(method, path, auth, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		must(t, err)
		req.Header.Set("Authorization", auth)
		req.Header.Set("Countersign-Service", "acme")
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		must(t, err)
		return res.StatusCode, string(text)
	}
	c := client.New(url, keys["verify"])
	v, err := c.Begin(t.Context(), client.BeginRequest{To: "+14155550121", Purpose: "sign_in"})
	must(t, err)
	second, err := c.Begin(t.Context(), client.BeginRequest{To: "+14155550122", Purpose: "sign_in"})
	must(t, err)
	at, code := "/v1/verifications/"+v.ID, g.text(t, v.ID, 0)[:6]
	check := `{"code":"` + code + `"}`

	for _, r := range []struct {
		method, path, body string
		may                string // scopes, separated by spaces
	}{
		{"POST", "/v1/verifications", `{"to":"+14155550123","purpose":"custom"}`, "verify"},
		{"POST", at + "/checks", `{"code":"000"}`, "verify"},
		{"POST", "/v1/checks", `{"to":"+14155550121","code":"000"}`, "verify"},
		{"GET", at, "", "verify support read"},
		{"GET", "/v1/events", "", "support read"},
		{"GET", "/v1/service", "", "manage"},
		{"PATCH", "/v1/service", `{}`, "manage"},
		{"DELETE", "/v1/service/logo", "", "manage"},
		{"GET", "/v1/keys", "", "manage"},
		{"POST", "/v1/keys", `{"name":"x","scopes":["read"]}`, "manage"},
	} {
		for _, scope := range []string{"verify", "manage", "support", "read"} {
			status, text := ask(r.method, r.path, "Bearer "+keys[scope], r.body)
			may := strings.Contains(" "+r.may+" ", " "+scope+" ")
			if may == (status == http.StatusForbidden) || may && status >= 300 {
				t.Errorf("%s %s with the scope %s: %d %s", r.method, r.path, scope, status, text)
			}
			if !may && !strings.Contains(text, "scope_missing") {
				t.Errorf("%s %s with the scope %s doesn't say what is missing: %s", r.method, r.path, scope, text)
			}
		}
	}
	for _, r := range [][3]string{{"GET", at, ""}, {"POST", at + "/checks", check}, {"POST", at + "/messages", `{}`}, {"POST", at + "/cancel", ""}} {
		known, one := ask(r[0], r[1], "Bearer "+keys["other"], r[2])
		unknown, two := ask(r[0], strings.Replace(r[1], v.ID, "vrf_"+strings.Repeat("0", 32), 1), "Bearer "+keys["other"], r[2])
		if known != http.StatusNotFound || unknown != known || problem(t, one) != problem(t, two) {
			t.Errorf("%s %s of another service: %d %s, of nobody: %d %s", r[0], r[1], known, one, unknown, two)
		}
	}
	// The flow secret of one verification opens nothing of another, and a check needs the service's key.
	flow := "Flow " + v.FlowSecret
	for _, r := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", at, "", 200},
		{"GET", "/v1/verifications/" + second.ID, "", 401},
		{"POST", "/v1/verifications/" + second.ID + "/cancel", "", 401},
		{"POST", at + "/checks", check, 401},
		{"GET", "/v1/events", "", 401},
		{"POST", at + "/messages", `{}`, 429}, // it may, but not yet
		{"POST", at + "/cancel", "", 200},
	} {
		if status, text := ask(r.method, r.path, flow, r.body); status != r.status {
			t.Errorf("%s %s with a flow secret: %d %s, want %d", r.method, r.path, status, text, r.status)
		}
	}
	// A key that another process revokes is void within seconds.
	var list struct{ Keys []struct{ ID, Name string } }
	_, text := ask("GET", "/v1/keys", "Bearer "+keys["manage"], "")
	must(t, json.Unmarshal([]byte(text), &list))
	for _, k := range list.Keys {
		if k.Name == "read" {
			p.run("", "apikey", "revoke", "acme", k.ID, "--config", p.config)
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if status, _ := ask("GET", "/v1/events", "Bearer "+keys["read"], ""); status == http.StatusUnauthorized {
			break
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("a revoked key still works")
		}
	}
}

// problem is a problem document without what differs from one request to the next.
func problem(t *testing.T, text string) string {
	t.Helper()
	var p map[string]any
	must(t, json.Unmarshal([]byte(text), &p))
	delete(p, "instance")
	out, err := json.Marshal(p)
	must(t, err)
	return string(out)
}

// A server that lacks its key, has another's, or would speak in the clear beyond this machine refuses to start and says why.
// Keeps: S12
func TestRefusalsToStart(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	p := newProgram(t, "sqlite:"+filepath.Join(t.TempDir(), "start.db"), g)
	other := filepath.Join(t.TempDir(), "other.key")
	p.run("", "keys", "init", other)
	for name, args := range map[string][]string{
		"no such file":                {"serve", "--config", p.config, "--master-key-file", "/does/not/exist"},
		"another installation's":      {"serve", "--config", p.config, "--master-key-file", other},
		"in the clear, to the world":  {"serve", "--config", p.config, "--listen", "0.0.0.0:0"},
		"dev, to the world":           {"dev", "--listen", "0.0.0.0:0"},
		"a certificate without a key": {"serve", "--config", p.config, "--tls-certificate", other},
		"no places":                   {"serve", "--config", p.config, "--place-database", other},
		"an unknown database":         {"serve", "--config", p.config, "--database", "mysql://x"},
	} {
		cmd := exec.CommandContext(t.Context(), p.path, args...)
		cmd.Env, cmd.Dir = p.env, t.TempDir()
		out, err := cmd.CombinedOutput()
		if err == nil || len(out) == 0 || strings.Contains(string(out), "panic") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		t.Logf("%s: %s", name, out)
	}
	// keys init never overwrites a key.
	before, err := os.ReadFile(other)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), p.path, "keys", "init", other)
	cmd.Env = p.env
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("a master key was overwritten: %s", out)
	}
	after, err := os.ReadFile(other)
	must(t, err)
	if string(before) != string(after) {
		t.Error("the master key has changed")
	}
}
