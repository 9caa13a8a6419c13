// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/jackc/pgx/v5"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/testkit/peers"
)

// onBoth runs a story on SQLite and on PostgreSQL.
func onBoth(t *testing.T, story func(t *testing.T, database string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); story(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db")) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); story(t, peers.Postgres(t)) })
}

// letter is a message in the inbox of dev.
type letter struct{ To, Channel, Subject, Text, Code string }

// await returns the newest message, waiting until there are n.
func await(t *testing.T, url string, n int) letter {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		res, err := http.Get(url + "/inbox/messages.json")
		must(t, err)
		var list []letter
		err = json.NewDecoder(res.Body).Decode(&list)
		_ = res.Body.Close()
		must(t, err)
		if len(list) >= n {
			return list[0]
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d messages, want %d", len(list), n)
		}
	}
}

// Keeps: A.4, A.6, S2, S27
func TestTwoCallsAndWhatSurroundsThem(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		url, key := start(t, database)
		c := client.New(url, key)
		ctx := t.Context()
		v, err := c.Begin(ctx, client.BeginRequest{To: "Ann.Lee@mail.example", Purpose: "sign_up"})
		must(t, err)
		l := await(t, url, 1)
		if l.Channel != "email" || !strings.HasPrefix(l.Subject, l.Code) || !strings.Contains(l.Text, l.Code) {
			t.Fatalf("the mail: %+v", l)
		}
		for _, sign := range []string{"http://", "https://", "www.", "<a "} {
			if strings.Contains(strings.ToLower(l.Text+l.Subject), sign) {
				t.Fatalf("a code message holds a link: %q", l.Text)
			}
		}
		if v.FlowSecret == "" || strings.Contains(v.To, "Ann") {
			t.Fatalf("begun: %+v", v)
		}
		got, err := c.Check(ctx, v.ID, client.CheckRequest{Code: "D-48213"})
		must(t, err)
		if got.Result != "unclear" || got.Why != "delivery_code" || got.Verification.TriesLeft != 5 {
			t.Fatalf("a delivery code at sign-in: %+v", got)
		}
		if _, err := c.Resend(ctx, v.ID, "sms"); problemOf(t, err).Code != "channel_mismatch" {
			t.Fatal("another channel reached another contact")
		}
		got, err = c.Check(ctx, v.ID, client.CheckRequest{Code: "Your code: " + l.Code})
		must(t, err)
		if !got.Approved || got.DeviceToken == "" {
			t.Fatalf("checked: %+v", got)
		}
		s, err := c.Status(ctx, v.ID)
		must(t, err)
		if s.Status != "approved" || s.FlowSecret != "" {
			t.Fatalf("status: %+v", s)
		}
		if _, err = c.Cancel(ctx, v.ID); problemOf(t, err).Code != "verification_ended" {
			t.Fatal("an approved verification was canceled")
		}
		var seen []string
		for next := int64(0); len(seen) < 3; {
			var events []client.Event
			events, next, err = c.Events(ctx, next, 5*time.Second)
			must(t, err)
			for _, e := range events {
				seen = append(seen, e.Type)
			}
		}
		if fmt.Sprint(seen) != "[verification.begun message.sent verification.approved]" {
			t.Fatalf("events: %v", seen)
		}
	})
}

func problemOf(t *testing.T, err error) *client.Problem {
	t.Helper()
	var p *client.Problem
	if !errors.As(err, &p) {
		t.Fatalf("%v is no problem document", err)
	}
	return p
}

// Each bad input gets a clear problem document with a stable code, and no 500.
func TestBadInput(t *testing.T) {
	t.Parallel()
	url, key := start(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	const good = `{"to":"+14155550121","purpose":"sign_in"}`
	const unknown = "/v1/verifications/vrf_00000000000000000000000000000000"
	wrong := key[:len(key)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(key, "0")]
	for name, c := range map[string]struct {
		method, path, body, auth, kind string
		status                         int
		code                           string
	}{
		"no key":               {auth: "-", status: 401, code: "invalid_api_key"},
		"a wrong key":          {auth: "Bearer " + wrong, status: 401, code: "invalid_api_key"},
		"no body":              {body: " ", status: 400},
		"not an object":        {body: `[1]`, status: 400, code: "not_an_object"},
		"broken JSON":          {body: `{"to":`, status: 400},
		"not UTF-8":            {body: "{\"to\":\"\xff\",\"purpose\":\"sign_in\"}", status: 400},
		"a field twice":        {body: `{"to":"+14155550121","to":"+14155550122","purpose":"sign_in"}`, status: 400},
		"an unknown field":     {body: `{"to":"+14155550121","purpose":"sign_in","too":1}`, status: 400, code: "unknown_field"},
		"a wrong type":         {body: `{"to":5,"purpose":"sign_in"}`, status: 400},
		"after the object":     {body: good + `{}`, status: 400},
		"a form":               {kind: "application/x-www-form-urlencoded", status: 415},
		"too big":              {body: `{"to":"` + strings.Repeat("1", 70_000) + `"}`, status: 413},
		"no contact":           {body: `{"purpose":"sign_in"}`, status: 400, code: "contact_missing"},
		"a bad number":         {body: `{"to":"+1 000","purpose":"sign_in"}`, status: 400},
		"a bad address":        {body: `{"to":"a@@b","purpose":"sign_in"}`, status: 400},
		"a header in it":       {body: `{"to":"a@b.example\r\nBcc: c@d.example","purpose":"sign_in"}`, status: 400},
		"no purpose":           {body: `{"to":"+14155550121"}`, status: 400, code: "invalid_purpose"},
		"a bad channel":        {body: `{"to":"+14155550121","purpose":"sign_in","channel":"pigeon"}`, status: 400, code: "invalid_channel"},
		"channel of another":   {body: `{"to":"+14155550121","purpose":"sign_in","channel":"email"}`, status: 400, code: "channel_mismatch"},
		"a short code":         {body: `{"to":"+14155550121","purpose":"sign_in","code":"12345"}`, status: 400, code: "code_too_short"},
		"a code of letters":    {body: `{"to":"+14155550121","purpose":"sign_in","code":"12a456"}`, status: 400, code: "invalid_code"},
		"no amount":            {body: `{"to":"+14155550121","purpose":"transaction"}`, status: 400, code: "invalid_amount"},
		"a reversed payee":     {body: `{"to":"+14155550121","purpose":"transaction","transaction":{"amount":"EUR 1","payee":"\u202eevil"}}`, status: 400, code: "invalid_transaction"},
		"an unknown id":        {path: unknown + "/checks", body: `{"code":"123456"}`, status: 404, code: "verification_not_found"},
		"a bad id":             {path: "/v1/verifications/nonsense/checks", body: `{"code":"123456"}`, status: 404, code: "verification_not_found"},
		"no code":              {path: unknown + "/checks", body: `{}`, status: 400, code: "code_missing"},
		"a forged flow":        {method: "GET", path: unknown, auth: "Flow flow_aaaa", status: 401, code: "invalid_flow_secret"},
		"a flow may not check": {path: unknown + "/checks", auth: "Flow flow_aaaa", body: `{"code":"123456"}`, status: 401},
		"no such path":         {path: "/v1/nothing", status: 404, code: "no_such_path"},
		"no such method":       {method: "PUT", status: 405, code: "method_not_allowed"},
		"a bad cursor":         {method: "GET", path: "/v1/events?after=x", status: 400, code: "invalid_parameter"},
		"a bad gateway":        {path: "/v1/receipts/none", status: 404, code: "no_such_gateway"},
		"bad scopes":           {path: "/v1/keys", body: `{"name":"x","scopes":["all"]}`, status: 400, code: "invalid_scopes"},
		"a bad policy":         {method: "PATCH", path: "/v1/service", body: `{"policy":{"code_length":3,"max_tries":99}}`, status: 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.method == "" {
				c.method = "POST"
			}
			if c.path == "" {
				c.path = "/v1/verifications"
			}
			if c.body == "" {
				c.body = good
			}
			if c.auth == "" {
				c.auth = "Bearer " + key
			}
			if c.kind == "" {
				c.kind = "application/json"
			}
			req, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, strings.NewReader(c.body))
			must(t, err)
			req.Header.Set("Authorization", c.auth)
			req.Header.Set("Content-Type", c.kind)
			res, err := http.DefaultClient.Do(req)
			must(t, err)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			must(t, err)
			var p client.Problem
			if err := json.Unmarshal(body, &p); err != nil || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %s is no problem document: %s", res.StatusCode, res.Header.Get("Content-Type"), body)
			}
			if res.StatusCode != c.status || p.Status != c.status || c.code != "" && p.Code != c.code || p.Detail == "" {
				t.Fatalf("%d %s; want %d %s", res.StatusCode, body, c.status, c.code)
			}
			if strings.Contains(string(body), "4155550121") {
				t.Fatalf("the contact comes back: %s", body)
			}
		})
	}
}

// A stolen copy of the database tells no code, number or address, in any encoding.
// Keeps: A.7, S12, S13, S14
func TestDump(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		url, key := start(t, database)
		c := client.New(url, key)
		ctx := t.Context()
		secrets := []string{"4155550121", "+14155550121", "(415) 555-0121", "415-555-0121", "ann.lee@mail.example", "Rad & Tattoo"}
		for i, req := range []client.BeginRequest{
			{To: "+1 (415) 555-0121", Purpose: "transaction", Transaction: &client.Transaction{Amount: "EUR 39.99", Payee: "Rad & Tattoo"}, IdempotencyKey: "one",
				Caller: &client.Caller{IP: "192.0.2.77", Device: "device-of-ann", Session: "session-of-ann"}},
			{To: "ann.lee@mail.example", Purpose: "custom", Code: "9182736450"},
		} {
			v, err := c.Begin(ctx, req)
			must(t, err)
			l := await(t, url, i+1)
			if len(l.Code) == 10 { // shorter ones occur in any data by chance
				secrets = append(secrets, l.Code)
			}
			_, err = c.Check(ctx, v.ID, client.CheckRequest{Code: "0000000000"[:len(l.Code)], Transaction: req.Transaction})
			must(t, err)
			secrets = append(secrets, v.FlowSecret)
		}
		secrets = append(secrets, "192.0.2.77", "device-of-ann", "session-of-ann", key)
		dump := dumpOf(t, database)
		if len(dump) < 1000 || !bytes.Contains(dump, []byte("verification")) {
			t.Fatal("the dump is not a dump")
		}
		planted := append(bytes.Clone(dump), base64.StdEncoding.EncodeToString([]byte("x+14155550121"))...)
		if find(planted, "+14155550121") == "" {
			t.Fatal("the search doesn't find what was planted")
		}
		for _, s := range secrets {
			if how := find(dump, s); how != "" {
				t.Errorf("the database holds %q as %s", s, how)
			}
		}
	})
}

// find tells in which encoding data holds s.
func find(data []byte, s string) string {
	var wide []byte
	for _, u := range utf16.Encode([]rune(s)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	forms := map[string]string{"UTF-8": s, "UTF-16": string(wide), "hex": hex.EncodeToString([]byte(s)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(s)))}
	for pad := range 3 {
		// The characters that depend only on s, whatever stands before and after it.
		full := base64.RawStdEncoding.EncodeToString(append(make([]byte, pad), s...))
		from := []int{0, 2, 3}[pad]
		forms[fmt.Sprintf("base64 at %d", pad)] = full[from : (pad+len(s))/3*4]
	}
	for how, form := range forms {
		if bytes.Contains(data, []byte(form)) {
			return how
		}
	}
	return ""
}

// dumpOf is all that a thief of the database gets.
func dumpOf(t *testing.T, database string) []byte {
	t.Helper()
	var out []byte
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		files, err := filepath.Glob(path + "*") // the log, too
		must(t, err)
		for _, f := range files {
			b, err := os.ReadFile(f)
			must(t, err)
			out = append(out, b...)
		}
		return out
	}
	c, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer c.Close(context.Background())
	rows, err := c.Query(t.Context(), "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
	must(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	for _, table := range tables {
		var b bytes.Buffer
		_, err := c.PgConn().CopyTo(t.Context(), &b, "COPY "+table+" TO STDOUT")
		must(t, err)
		out = append(append(out, table...), b.Bytes()...)
		b.Reset()
		_, err = c.PgConn().CopyTo(t.Context(), &b, "COPY "+table+" TO STDOUT (FORMAT binary)")
		must(t, err)
		out = append(out, b.Bytes()...)
	}
	return out
}
