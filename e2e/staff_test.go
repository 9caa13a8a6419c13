// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/otp"
)

// agent is a member of staff who shows their own session.
type agent struct {
	d       *desk
	id      string
	session string
}

// agent lets somebody who was invited set a password and a second step.
func (d *desk) agent(contact string) *agent {
	d.Helper()
	ctx, v := d.Context(), visitorAt("192.0.2.90")
	s, err := d.Forgot(ctx, contact, v)
	must(d.T, err)
	s, err = d.Send(ctx, s.Flow, "", v)
	must(d.T, err)
	s, err = d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Code: d.code(contact), Visitor: v})
	must(d.T, err)
	s, err = d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Password: "a sentence of " + contact, Visitor: v})
	own := d.Session(answered(d.T, s, err).Done.Session)
	s, err = own.AddApp(ctx, "", true, v)
	must(d.T, err)
	secret, err := otp.ParseSecret(s.Setup.Secret)
	must(d.T, err)
	s, err = own.Answer(ctx, client.FlowRequest{Flow: s.Flow, Code: (&otp.TOTP{Secret: secret}).At(d.now()).Reveal(), Visitor: v})
	answered(d.T, s, err)
	s, err = d.SignIn(ctx, contact, "a sentence of "+contact, v)
	must(d.T, err)
	s, err = d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Code: (&otp.TOTP{Secret: secret}).At(d.now().Add(30 * time.Second)).Reveal(), Visitor: v})
	done := answered(d.T, s, err).Done
	return &agent{d, done.Account, done.Session}
}

// does makes a request below /v1/support and fails unless it ends as it should: with a status or the code of a problem.
func (a *agent) does(method, path string, body any, want string, out any) {
	a.d.Helper()
	a.at("/v1/support/", method, path, body, want, out)
}

// at is does below another path.
func (a *agent) at(below, method, path string, body any, want string, out any) {
	a.d.Helper()
	headers := []string{"Countersign-Session", a.session, "Countersign-Service", "demo"}
	var reply json.RawMessage
	var into any = &reply
	if want == "No Content" {
		into = nil
	}
	status := ask(a.d.T, method, a.d.url+below+path, "", body, headers, into)
	var p client.Problem
	_ = json.Unmarshal(reply, &p) // not every answer is one
	if got := http.StatusText(status); got != want && p.Code != want {
		a.d.Errorf("%s %s: %d %s, want %s", method, path, status, reply, want)
	}
	if out != nil {
		must(a.d.T, json.Unmarshal(reply, out))
	}
}

// Who works for a service may do what their role is for, never what would make them more; their looks are seen.
func TestRolesOfStaff(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	v := visitorAt("192.0.2.44")
	ann := d.signUp("ann@mail.example", words, v)
	_, err := d.InviteStaff(ctx, "ann@mail.example", "support")
	wants(t, err, "contact_taken") // nobody becomes staff with an account that they made themselves
	_, err = d.InviteStaff(ctx, "olga@demo.example", "operator")
	must(t, err)
	_, err = d.SignIn(ctx, "olga@demo.example", words, v)
	wants(t, err, "wrong_password") // no password yet
	olga := d.agent("olga@demo.example")
	people := map[string]*agent{"olga": olga}
	for name, role := range map[string]string{"sue": "support", "sam": "support", "dora": "depot"} {
		var made client.Staff
		olga.does("POST", "staff", map[string]string{"contact": name + "@demo.example", "role": role}, "Created", &made)
		people[name] = d.agent(name + "@demo.example")
		if people[name].id != made.Account {
			t.Fatal(made)
		}
	}
	sue, sam, dora := people["sue"], people["sam"], people["dora"]
	find := func(name string) map[string]string { return map[string]string{"contact": name} }
	var found client.Account
	sue.does("POST", "find", find("Ann@mail.example"), "OK", &found)
	if found.ID != ann.Account || found.Contacts[0].Value != "" {
		t.Fatalf("%+v", found)
	}
	at := "accounts/" + found.ID
	dora.does("POST", "find", find("ann@mail.example"), "role_missing", nil)
	dora.does("GET", at, nil, "role_missing", nil)
	dora.does("POST", at+"/lock", nil, "role_missing", nil)
	dora.does("POST", at+"/recovery", nil, "role_missing", nil)
	customer := &agent{d, ann.Account, ann.Session}
	customer.does("GET", at, nil, "role_missing", nil)
	(&agent{d, "", "session_nonsense"}).does("GET", at, nil, "signed_out", nil)
	sue.does("POST", "find", find("nobody@mail.example"), "account_not_found", nil)
	sue.does("GET", "accounts/acc_0", nil, "account_not_found", nil)

	// Support looks after customers, not after colleagues: two of them could make themselves operators.
	for _, r := range [][3]string{
		{"GET", "", "staff_account"}, {"GET", "/activity", "staff_account"}, {"POST", "/lock", "staff_account"},
		{"POST", "/recovery", "staff_account"}, {"POST", "/recovery/approve", "staff_account"},
	} {
		sue.does(r[0], "accounts/"+olga.id+r[1], nil, r[2], nil)
	}
	sue.does("POST", "find", find("sam@demo.example"), "staff_account", nil)
	sue.does("GET", "staff", nil, "role_missing", nil)
	sue.does("POST", "staff", map[string]string{"contact": "eve@demo.example", "role": "operator"}, "role_missing", nil)
	sue.does("DELETE", "staff/"+sam.id, nil, "role_missing", nil)
	olga.does("GET", "accounts/"+sue.id, nil, "OK", nil)

	// A recovery that agents decide wants two of them.
	sue.does("POST", at+"/recovery/approve", nil, "no_recovery", nil)
	sue.does("POST", at+"/recovery", nil, "No Content", nil)
	sue.does("POST", at+"/recovery", nil, "recovery_under_way", nil)
	sue.does("POST", at+"/recovery/approve", nil, "second_agent_needed", nil)
	sam.does("POST", at+"/recovery/approve", nil, "No Content", nil)
	sue.does("GET", at, nil, "OK", &found)
	if found.Recovery == nil || found.Recovery.Approvals != 2 || !found.Recovery.AgentsDecide || found.Recovery.ReadyAt.Sub(d.now()) < 6*24*time.Hour {
		t.Fatalf("%+v", found.Recovery)
	}
	must(t, d.Session(ann.Session).StopRecovery(ctx, v))
	sue.does("GET", at+"/activity", nil, "OK", nil)
	sue.does("POST", at+"/lock", nil, "No Content", nil)
	_, err = d.Session(ann.Session).Account(ctx)
	wants(t, err, "signed_out")
	sam.does("POST", at+"/unlock", nil, "No Content", nil)

	// All of it is seen by the person.
	s, err := d.SignIn(ctx, "ann@mail.example", words, v)
	seen, err2 := d.Session(answered(t, s, err).Done.Session).Activity(ctx, 0)
	must(t, err2)
	for kind, who := range map[string]string{"looked_at": "staff:" + sue.id, "locked": "staff:" + sue.id, "unlocked": "staff:" + sam.id, "recovery_started": "", "recovery_stopped": ""} {
		if !slices.ContainsFunc(seen.Entries, func(e client.Entry) bool { return e.Kind == kind && e.What == who }) {
			t.Errorf("%s by %q isn't seen: %+v", kind, who, seen.Entries)
		}
	}

	// An operator removes colleagues, and nobody removes themselves.
	olga.does("DELETE", "staff/"+olga.id, nil, "not_oneself", nil)
	olga.does("DELETE", "staff/"+ann.Account, nil, "not_staff", nil)
	olga.does("DELETE", "staff/"+sue.id, nil, "No Content", nil)
	sue.does("GET", at, nil, "signed_out", nil)
	list, err := d.Staff(ctx)
	must(t, err)
	if len(list) != 3 || slices.ContainsFunc(list, func(s client.Staff) bool {
		return s.Account == sue.id || !s.TwoStep || strings.Contains(s.Contact, "@demo") && s.Contact[1:4] != "..."
	}) {
		t.Fatalf("%+v", list)
	}
}

// Each scope opens its own of the accounts' routes; sessions, flows and accounts stay with their service.
func TestAccessToAccounts(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	p := newProgram(t, "sqlite:"+filepath.Join(t.TempDir(), "access.db"), g)
	p.run("", "service", "create", "other", "--name", "Other", "--domain", "other.example", "--config", p.config)
	keys := map[string]string{}
	for _, scope := range []string{"verify", "manage", "support", "read", "account"} {
		keys[scope] = p.run("", "apikey", "create", "acme", "--name", scope, "--scopes", scope, "--config", p.config)
	}
	keys["other"] = p.run("", "apikey", "create", "other", "--name", "all", "--scopes", "verify,account,support,manage", "--config", p.config)
	cmd, url := p.serve()
	defer stopAll(t, []*exec.Cmd{cmd})
	ctx := t.Context()
	c := client.New(url, keys["verify"])
	s, err := c.SignUp(ctx, "+14155550121", words, client.Visitor{})
	must(t, err)
	flow, code := s.Flow, g.text(t, s.Verification.ID, 0)[:6]
	foreign := client.New(url, keys["other"])
	_, err = foreign.Answer(ctx, client.FlowRequest{Flow: flow, Code: code})
	wants(t, err, "flow_ended")

	// A lost answer is the same answer once more: by the field or by the header, and to nobody else.
	headers := []string{"Idempotency-Key", "first-tab"}
	var first, again client.Step
	body := map[string]any{"flow": flow, "code": code}
	ask(t, "POST", url+"/v1/flows/answer", keys["verify"], body, headers, &first)
	ask(t, "POST", url+"/v1/flows/answer", keys["verify"], map[string]any{"flow": flow, "code": code, "repeat_key": "first-tab"}, nil, &again)
	if first.Done == nil || again.Done == nil || first.Done.Session != again.Done.Session {
		t.Fatalf("%+v, then %+v", first.Done, again.Done)
	}
	var refused client.Problem
	if ask(t, "POST", url+"/v1/flows/answer", keys["verify"], body, []string{"Idempotency-Key", "another"}, &refused); refused.Code != "flow_spent" {
		t.Fatalf("%+v", refused)
	}
	if ask(t, "POST", url+"/v1/flows/answer", keys["verify"], body, []string{"Idempotency-Key", "with spaces"}, &refused); refused.Code != "invalid_idempotency_key" {
		t.Fatalf("%+v", refused)
	}
	done := first.Done
	_, err = foreign.Session(done.Session).Account(ctx)
	wants(t, err, "signed_out")
	_, err = foreign.Account(ctx, done.Account)
	wants(t, err, "account_not_found")
	wants(t, foreign.LockAccount(ctx, done.Account), "account_not_found")
	wants(t, foreign.RemoveStaff(ctx, done.Account), "not_staff")

	at := "/v1/accounts/" + done.Account
	for _, r := range []struct {
		method, path string
		body         any
		may          string
	}{
		{"POST", "/v1/flows/sign-in", map[string]any{"contact": "+14155550121", "password": words}, "verify"},
		{"GET", "/v1/session", nil, "verify"},
		{"GET", at, nil, "account support"},
		{"GET", at + "/activity", nil, "account support"},
		{"POST", "/v1/accounts/find", map[string]any{"contact": "+14155550121"}, "account support"},
		{"POST", at + "/activity", map[string]any{"type": "order", "text": "One"}, "account"},
		{"POST", "/v1/accounts", map[string]any{"contacts": []string{"x@mail.example"}}, "account"},
		{"POST", at + "/unlock", nil, "account"},
		{"GET", "/v1/staff", nil, "manage"},
		{"POST", "/v1/staff", map[string]any{"contact": "sue@acme.example", "role": "support"}, "manage"},
	} {
		for scope, key := range keys {
			if scope == "other" {
				continue
			}
			status := ask(t, r.method, url+r.path, key, r.body, []string{"Countersign-Session", done.Session}, nil)
			may := strings.Contains(" "+r.may+" ", " "+scope+" ")
			if may == (status == http.StatusForbidden) || may && status >= 300 {
				t.Errorf("%s %s with the scope %s: %d", r.method, r.path, scope, status)
			}
		}
	}
	// What a key for support reads is a look; what the application itself reads is not.
	seen, err := c.Session(done.Session).Activity(ctx, 0)
	must(t, err)
	looks := 0
	for _, e := range seen.Entries {
		if e.Kind == "looked_at" {
			looks++
		}
	}
	if looks != 4 { // find by both, and two reads by support's
		t.Errorf("%d looks are seen: %+v", looks, seen.Entries)
	}
	// A key for accounts may neither look at staff's nor touch them, whatever it knows.
	list, err := client.New(url, keys["manage"]).Staff(ctx)
	must(t, err)
	own := client.New(url, keys["account"])
	_, look := own.Account(ctx, list[0].Account)
	_, entries := own.AccountActivity(ctx, list[0].Account, 0)
	for _, err := range []error{look, entries, own.LockAccount(ctx, list[0].Account), own.SignOutAccount(ctx, list[0].Account), own.CloseAccount(ctx, list[0].Account)} {
		wants(t, err, "staff_account")
	}
}

// The OpenAPI document describes every route of accounts as it is served.
func TestTheDocumentOfAccounts(t *testing.T) {
	t.Parallel()
	url, key := start(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	var doc struct {
		Paths map[string]map[string]struct {
			Summary    string
			Parameters []struct{ Name, In string }
			Security   []map[string][]string
		}
	}
	get(t, url+"/openapi.json", "", nil, &doc)
	named := func(path, method, parameter string) bool {
		return slices.ContainsFunc(doc.Paths[path][method].Parameters, func(p struct{ Name, In string }) bool { return p.Name == parameter })
	}
	if !named("/v1/flows/answer", "post", "Countersign-Session") || !named("/v1/support/find", "post", "Countersign-Service") || !named("/v1/accounts/{id}", "get", "id") {
		t.Error("parameters are missing")
	}
	if s := doc.Paths["/v1/session"]["get"].Security; len(s) != 1 || s[0]["key"] == nil || s[0]["session"] == nil {
		t.Errorf("a session's security: %v", s)
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.Summary == "" {
				t.Errorf("%s %s has no summary", method, path)
			}
			if !strings.HasPrefix(path, "/v1/") {
				continue
			}
			at := url + strings.NewReplacer("{id}", "x", "{gateway}", "x").Replace(path)
			if status := ask(t, strings.ToUpper(method), at, key, map[string]any{}, nil, nil); status == http.StatusMethodNotAllowed || status >= 500 {
				t.Errorf("%s %s: %d", method, path, status)
			}
		}
	}
}
