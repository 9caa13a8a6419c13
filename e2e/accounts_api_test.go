// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/cli"
	"github.com/countersign/countersign/internal/otp"
)

// answered fails unless a step is without a problem, and returns it.
func answered(t *testing.T, s *client.Step, err error) *client.Step {
	t.Helper()
	must(t, err)
	if s.Problem != nil {
		t.Fatalf("%s: %+v", s.Kind, s.Problem)
	}
	return s
}

func problemCode(err error) string {
	var p *client.Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// An application builds its own pages: sign-up, a second step, sign-in, the session, activity that comes back as an event.
// Keeps: B.1, B.3, F.1
func TestAccountsByAPI(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		url, key := start(t, database)
		c := client.New(url, key)
		ctx := t.Context()
		v := client.Visitor{IP: "192.0.2.44", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Language: "en"}
		s, err := c.Flow(ctx, "sign-up", client.FlowRequest{Contact: "ann@mail.example", Password: "kelp roof lantern river", Visitor: v})
		must(t, err)
		if s.Next != "code" || s.Verification == nil || s.Way.To != "a...@mail.example" {
			t.Fatalf("%+v", s)
		}
		code := await(t, url, 1).Code
		s, err = c.Flow(ctx, "answer", client.FlowRequest{Flow: s.Flow, Code: "12"})
		must(t, err)
		if s.Problem == nil || s.Problem.Code != "unclear_code" || !strings.Contains(s.Problem.Message, "you typed 2") {
			t.Fatalf("%+v", s.Problem)
		}
		s, err = c.Flow(ctx, "answer", client.FlowRequest{Flow: s.Flow, Code: code, Visitor: v})
		done := answered(t, s, err).Done
		person := c.Session(done.Session)
		a, err := person.Account(ctx)
		must(t, err)
		if a.ID != done.Account || a.Contacts[0].Value != "ann@mail.example" || a.TwoStep {
			t.Fatalf("%+v", a)
		}

		s, err = person.AddApp(ctx, "My phone", true, v)
		must(t, err)
		secret, err := otp.ParseSecret(s.Setup.Secret)
		must(t, err)
		app := func(at time.Time) string { return (&otp.TOTP{Secret: secret}).At(at).Reveal() }
		s, err = person.Answer(ctx, client.FlowRequest{Flow: s.Flow, Code: app(time.Now())})
		recovery := answered(t, s, err).Done.RecoveryCodes
		if len(recovery) != 10 {
			t.Fatal("no recovery codes")
		}
		if _, err := c.Flow(ctx, "sign-in", client.FlowRequest{Contact: "ann@mail.example", Password: "not it at all", Visitor: v}); problemCode(err) != "wrong_password" {
			t.Fatal(err)
		}
		s, err = c.Flow(ctx, "sign-in", client.FlowRequest{Contact: "ann@mail.example", Password: "kelp roof lantern river", Visitor: v})
		must(t, err)
		if s.Next != "app" {
			t.Fatalf("%+v", s)
		}
		s, err = c.Flow(ctx, "answer", client.FlowRequest{Flow: s.Flow, Code: app(time.Now().Add(30 * time.Second)), Visitor: v})
		again := answered(t, s, err).Done

		entry, err := c.AddActivity(ctx, a.ID, client.AppEvent{Type: "order", Text: "Order 1182, EUR 39.99"})
		must(t, err)
		second := c.Session(again.Session)
		must(t, second.NotMe(ctx, entry, v))
		if _, err := person.Account(ctx); problemCode(err) != "signed_out" {
			t.Fatalf("another session goes on: %v", err)
		}
		heard(t, c, a.ID, entry)
		must(t, second.SignOut(ctx, "", v))
		if err := second.TurnOff(ctx, v); problemCode(err) != "signed_out" {
			t.Fatal(err)
		}
	})
}

// heard waits until the feed says that an entry of an account was marked.
func heard(t *testing.T, c *client.Client, account string, entry uint32) {
	t.Helper()
	for after, deadline := int64(0), time.Now().Add(20*time.Second); time.Now().Before(deadline); {
		events, next, err := c.Events(t.Context(), after, 5*time.Second)
		must(t, err)
		for _, e := range events {
			if e.Type == "account.not_me" && e.Account == account && e.Entry == entry {
				return
			}
		}
		after = next
	}
	t.Fatal("the application hears nothing")
}

// get makes a request as a program does, with headers in pairs.
func get(t *testing.T, url, key string, headers []string, out any) int {
	t.Helper()
	return ask(t, http.MethodGet, url, key, nil, headers, out)
}

func ask(t *testing.T, method, url, key string, body any, headers []string, out any) int {
	t.Helper()
	var b []byte
	if body != nil {
		b, _ = json.Marshal(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(b))
	must(t, err)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	reply, err := io.ReadAll(res.Body)
	must(t, err)
	if out != nil {
		must(t, json.Unmarshal(reply, out))
	}
	return res.StatusCode
}

// Accounts of another system are brought along by the command, keep their passwords, and an import can be run again. Staff are invited, prove a
// second step, and every look is seen by its owner.
// Keeps: B.1
func TestImportAndStaffByCommand(t *testing.T) {
	t.Parallel()
	url, key := start(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	file := filepath.Join(t.TempDir(), "accounts.jsonl")
	must(t, os.WriteFile(file, []byte(`{"contacts":["bea@mail.example","+14155550133"],"password_hash":"$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e","reference":"42"}

{"contacts":["cid@mail.example"],"password_hash":"md5:1234"}
{"contacts":["dan@mail.example"]}
`), 0o600))
	run := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := cli.Run(t.Context(), cli.Process{Args: append(args, "--url", url), Environ: []string{"COUNTERSIGN_API_KEY=" + key}, In: strings.NewReader(""), Out: &out, Err: &errs})
		return code, out.String(), errs.String()
	}
	for _, want := range []string{"2 made, 0 there already, 1 failed", "0 made, 2 there already, 1 failed"} {
		code, out, errs := run("account", "import", file)
		if code != 1 || strings.TrimSpace(out) != want || !strings.Contains(errs, "line 3: ") || strings.Contains(errs, "md5:1234") {
			t.Fatalf("%d, %q, %q", code, out, errs)
		}
	}
	c := client.New(url, key)
	s, err := c.Flow(t.Context(), "sign-in", client.FlowRequest{Contact: "+1 415 555 0133", Password: "correct horse"})
	bea := answered(t, s, err).Done

	if found, err := c.FindAccount(t.Context(), "bea@mail.example"); err != nil || found.ID != bea.Account || found.Reference != "42" {
		t.Fatalf("%+v, %v", found, err)
	}
	code, out, errs := run("staff", "invite", "sue@demo.example", "--role", "support")
	if code != 0 || !strings.HasPrefix(out, "acc_") {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	s, err = c.Flow(t.Context(), "forgot", client.FlowRequest{Contact: "sue@demo.example"})
	must(t, err)
	s, err = c.Flow(t.Context(), "send", client.FlowRequest{Flow: s.Flow})
	must(t, err)
	var sent string
	for n := 1; sent == ""; n++ {
		if l := await(t, url, n); l.To == "sue@demo.example" {
			sent = l.Code
		}
	}
	s, err = c.Flow(t.Context(), "answer", client.FlowRequest{Flow: s.Flow, Code: sent})
	must(t, err)
	s, err = c.Flow(t.Context(), "answer", client.FlowRequest{Flow: s.Flow, Password: "support sentence one"})
	sue := c.Session(answered(t, s, err).Done.Session)
	token := s.Done.Session
	headers := func() []string { return []string{"Countersign-Session", token, "Countersign-Service", "demo"} }
	find := map[string]string{"contact": "bea@mail.example"}
	if status := ask(t, "POST", url+"/v1/support/find", "", find, headers(), nil); status != 403 {
		t.Fatalf("without a second step: %d", status)
	}
	s, err = sue.AddApp(t.Context(), "", true, client.Visitor{})
	must(t, err)
	secret, err := otp.ParseSecret(s.Setup.Secret)
	must(t, err)
	s, err = sue.Answer(t.Context(), client.FlowRequest{Flow: s.Flow, Code: (&otp.TOTP{Secret: secret}).At(time.Now()).Reveal()})
	answered(t, s, err)
	s, err = c.Flow(t.Context(), "sign-in", client.FlowRequest{Contact: "sue@demo.example", Password: "support sentence one"})
	must(t, err)
	s, err = c.Flow(t.Context(), "answer", client.FlowRequest{Flow: s.Flow, Code: (&otp.TOTP{Secret: secret}).At(time.Now().Add(30 * time.Second)).Reveal()})
	token = answered(t, s, err).Done.Session
	var found struct {
		ID       string
		Contacts []struct{ Value, Masked string }
	}
	if status := ask(t, "POST", url+"/v1/support/find", "", find, headers(), &found); status != 200 || found.ID != bea.Account || found.Contacts[0].Value != "" {
		t.Fatalf("%d %+v", status, found)
	}
	for _, step := range []struct {
		path string
		want int
	}{{"lock", 204}, {"unlock", 204}, {"recovery", 204}, {"recovery/approve", 409}} {
		if status := ask(t, "POST", url+"/v1/support/accounts/"+found.ID+"/"+step.path, "", nil, headers(), nil); status != step.want {
			t.Fatalf("%s: %d", step.path, status)
		}
	}
	if status := ask(t, "POST", url+"/v1/support/find", "", map[string]string{"contact": "nobody@mail.example"}, headers(), nil); status != 404 {
		t.Fatal(status)
	}
	var seen struct{ Entries []struct{ Kind, What string } }
	get(t, url+"/v1/accounts/"+found.ID+"/activity", key, nil, &seen)
	for _, kind := range []string{"looked_at", "locked", "unlocked", "recovery_started"} {
		if !slices.ContainsFunc(seen.Entries, func(e struct{ Kind, What string }) bool { return e.Kind == kind }) {
			t.Errorf("%s isn't seen: %+v", kind, seen.Entries)
		}
	}
	code, out, _ = run("staff", "list")
	if code != 0 || !strings.Contains(out, "support") || !strings.Contains(out, "yes") || strings.Contains(out, "sue@demo") {
		t.Fatalf("%q", out)
	}
	account := out[strings.Index(out, "acc_"):][:36]
	if code, _, errs = run("staff", "remove", account); code != 0 {
		t.Fatal(errs)
	}
	if status := ask(t, "POST", url+"/v1/support/find", "", find, headers(), nil); status != 401 {
		t.Fatalf("removed staff go on: %d", status)
	}
}

// What is wrong is refused clearly, and what somebody else's key or session asks for isn't there.
func TestBadAccountRequests(t *testing.T) {
	t.Parallel()
	url, key := start(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	long := strings.Repeat("x", 500)
	const none = "/v1/accounts/acc_00000000000000000000000000000000"
	for _, c := range []struct {
		method, path string
		body         any
		status       int
		code         string
	}{
		{"POST", "/v1/flows/sign-up", map[string]any{"contact": "ann@mail.example", "password": "short"}, 400, "password_too_short"},
		{"POST", "/v1/flows/sign-up", map[string]any{"contact": "ann@mail.example", "password": "passwordpassword"}, 400, "password_common"},
		{"POST", "/v1/flows/sign-up", map[string]any{"contact": "not an address", "password": "kelp roof lantern river"}, 400, "invalid_phone_number"},
		{"POST", "/v1/flows/sign-up", map[string]any{"contact": ""}, 400, "contact_missing"},
		{"POST", "/v1/flows/sign-up", map[string]any{"contact": "ann@mail.example", "pasword": "x"}, 400, "unknown_field"},
		{"POST", "/v1/flows/sign-in", map[string]any{"contact": "ann@mail.example", "password": "x", "visitor": map[string]any{"ip": long}}, 400, "visitor_too_long"},
		{"POST", "/v1/flows/answer", map[string]any{"flow": "flow_abc", "code": "123456"}, 409, "flow_ended"},
		{"POST", "/v1/flows/look", map[string]any{"flow": ""}, 409, "flow_ended"},
		{"POST", "/v1/flows/undo", map[string]any{"token": "undo_abc"}, 409, "link_ended"},
		{"POST", "/v1/flows/stop", map[string]any{"contact": "ann@mail.example", "key": "AAAA"}, 409, "link_ended"},
		{"POST", "/v1/flows/sign-in", map[string]any{"contact": "ann@mail.example"}, 400, "password_missing"},
		{"POST", "/v1/flows/sign-up-passkey", map[string]any{"contact": "ann@mail.example"}, 400, "unknown_field"},
		{"POST", "/v1/flows/answer", map[string]any{"flow": "flow_abc"}, 400, "answer_missing"},
		{"POST", "/v1/flows/answer", map[string]any{"flow": "flow_abc", "code": "1", "repeat_key": long}, 400, "invalid_repeat_key"},
		{"POST", "/v1/flows/link", map[string]any{"contact": "ann@mail.example"}, 400, "token_missing"},
		{"POST", "/v1/flows/forgot", map[string]any{"contact": "ann@mail.example", "visitor": map[string]any{"device_tokens": strings.Split(long[:9], "")}}, 400, "too_many_devices"},
		{"PATCH", "/v1/session", map[string]any{"locale": "de"}, 401, "signed_out"},
		{"GET", none + "/activity?before=x", nil, 400, "invalid_before"},
		{"POST", none + "/activity", map[string]any{"type": "An order", "text": "x"}, 400, "invalid_type"},
		{"POST", none + "/activity", map[string]any{"type": "order", "text": long}, 400, "invalid_text"},
		{"POST", none + "/activity", map[string]any{"type": "order", "text": "x", "ip": long}, 400, "text_too_long"},
		{"POST", none + "/lock", nil, 404, "account_not_found"},
		{"POST", "/v1/accounts/find", map[string]any{}, 400, "contact_missing"},
		{"POST", "/v1/accounts/find", map[string]any{"contact": "nobody@mail.example"}, 404, "account_not_found"},
		{"POST", "/v1/accounts", map[string]any{"contacts": []string{"ann@mail.example", "0171"}}, 400, "phone_country_missing"},
		{"POST", "/v1/accounts", map[string]any{"contacts": []string{"ann@mail.example"}, "reference": long}, 400, "invalid_reference"},
		{"GET", "/v1/session", nil, 401, "signed_out"},
		{"GET", "/v1/accounts/acc_0", nil, 404, "account_not_found"},
		{"GET", "/v1/accounts/acc_00000000000000000000000000000000", nil, 404, "account_not_found"},
		{"POST", "/v1/accounts", map[string]any{"contacts": []string{}}, 400, "invalid_contacts"},
		{"POST", "/v1/accounts", map[string]any{"contacts": []string{"ann@mail.example", "Ann@mail.example"}}, 400, "invalid_contacts"},
		{"POST", "/v1/accounts", map[string]any{"contacts": []string{"ann@mail.example"}, "password_hash": "plain"}, 400, "invalid_password_hash"},
		{"POST", "/v1/staff", map[string]any{"contact": "ann@mail.example", "role": "king"}, 400, "invalid_role"},
		{"DELETE", "/v1/staff/acc_00000000000000000000000000000000", nil, 404, "not_staff"},
		{"POST", "/v1/support/find", map[string]any{"contact": "ann@mail.example"}, 401, "signed_out"},
	} {
		var p client.Problem
		if status := ask(t, c.method, url+c.path, key, c.body, nil, &p); status != c.status || p.Code != c.code {
			t.Errorf("%s %s %v: %d %s (%s), want %d %s", c.method, c.path, c.body, status, p.Code, p.Detail, c.status, c.code)
		}
	}
}
