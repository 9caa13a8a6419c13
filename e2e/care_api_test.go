// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// raw makes a request as an agent or an application does, with a body that isn't JSON or a reply that isn't.
func raw(t *testing.T, method, url string, body []byte, headers ...string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	must(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	reply, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, res.Header, reply
}

// does makes a request with a key and perhaps a session, and fails unless it ends with a status or the code of a problem.
func (d *desk) does(method, path, session string, body any, want string, out any) {
	d.Helper()
	var headers []string
	if session != "" {
		headers = []string{"Countersign-Session", session}
	}
	var reply json.RawMessage
	status := ask(d.T, method, d.url+path, d.key, body, headers, &reply)
	var p struct{ Code string }
	_ = json.Unmarshal(reply, &p) // not every answer is one
	if http.StatusText(status) != want && p.Code != want {
		d.Fatalf("%s %s: %d %s, want %s", method, path, status, reply, want)
	}
	if out != nil {
		must(d.T, json.Unmarshal(reply, out))
	}
}

type caseOf struct {
	ID, Account, State string
	Unread             int
	Messages           []struct{ From, Staff, Text string }
}

// A customer opens a case and is answered by somebody of the staff: they are told by mail that there is an answer, see who looked, and nobody else sees
// anything.
// Keeps: D.2, I.1
func TestCasesByAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ann := d.signUp("ann@mail.example", words, visitorAt("192.0.2.44"))
	eve := d.signUp("eve@mail.example", words, visitorAt("192.0.2.45"))
	_, err := d.InviteStaff(t.Context(), "sue@demo.example", "support")
	must(t, err)
	sue := d.agent("sue@demo.example")
	var c caseOf
	d.does("POST", "/v1/session/cases", ann.Session, map[string]any{"subject": "unrequested_code", "text": "I got 483920 and asked for nothing"}, "Created", &c)
	if c.State != "open" || strings.Contains(c.Messages[0].Text, "483920") || c.Account != ann.Account {
		t.Fatalf("%+v", c)
	}
	at := "/v1/session/cases/" + c.ID
	d.does("GET", at, eve.Session, nil, "case_not_found", nil)
	d.does("POST", at+"/messages", eve.Session, map[string]string{"text": "Mine"}, "case_not_found", nil)
	d.does("POST", "/v1/cases/"+c.ID+"/read", "", map[string]string{"account": eve.Account}, "case_not_found", nil)
	(&agent{d, eve.Account, eve.Session}).does("GET", "cases/"+c.ID, nil, "role_missing", nil)
	(&agent{d, eve.Account, eve.Session}).does("GET", "cases", nil, "role_missing", nil)

	var work struct{ Cases []caseOf }
	sue.does("GET", "cases?status=open", nil, "OK", &work)
	if len(work.Cases) != 1 || work.Cases[0].ID != c.ID || work.Cases[0].Messages != nil || work.Cases[0].Unread != 1 {
		t.Fatalf("%+v", work)
	}
	sue.does("GET", "cases?status=odd", nil, "invalid_state", nil)
	sue.does("GET", "cases?before=x", nil, "invalid_before", nil)
	sue.does("GET", "cases/"+c.ID, nil, "OK", &c)
	sue.does("POST", "cases/"+c.ID+"/messages", map[string]string{"text": "It was a mistyped number, marmalade."}, "OK", &c)
	if c.State != "answered" || c.Messages[1].Staff != "staff:"+sue.id {
		t.Fatalf("%+v", c)
	}
	var own struct{ Cases []caseOf }
	d.does("GET", "/v1/session/cases", ann.Session, nil, "OK", &own)
	if len(own.Cases) != 1 || own.Cases[0].Unread != 1 {
		t.Fatalf("%+v", own)
	}
	var mine caseOf
	d.does("GET", at, ann.Session, nil, "OK", &mine)
	if mine.Unread != 0 || mine.Messages[1].From != "staff" || mine.Messages[1].Staff != "" {
		t.Fatalf("%+v", mine)
	}
	d.does("POST", "/v1/cases/"+c.ID+"/messages", "", map[string]string{"account": ann.Account, "text": "Thank you"}, "OK", &mine)
	d.does("POST", at+"/close", ann.Session, nil, "OK", &mine)
	if mine.State != "closed" {
		t.Fatalf("%+v", mine)
	}
	var notice string
	for deadline := time.Now().Add(10 * time.Second); notice == "" && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, _, inbox := raw(t, "GET", d.url+"/inbox/messages.json", nil)
		var list []map[string]any
		must(t, json.Unmarshal(inbox, &list))
		for _, l := range list {
			if text, _ := json.Marshal(l); bytes.Contains(text, []byte("Support answered your case")) && bytes.Contains(text, []byte("ann@mail.example")) {
				notice = string(text)
			}
		}
	}
	if notice == "" || strings.Contains(notice, "marmalade") {
		t.Fatalf("the mail of the answer: %q", notice)
	}
	var seen struct{ Entries []struct{ Kind, What string } }
	d.does("GET", "/v1/session/activity", ann.Session, nil, "OK", &seen)
	for kind, what := range map[string]string{"case_opened": "", "looked_at": "staff:" + sue.id, "case_answered": "staff:" + sue.id} {
		if !slices.ContainsFunc(seen.Entries, func(e struct{ Kind, What string }) bool { return e.Kind == kind && e.What == what }) {
			t.Errorf("%s isn't seen: %+v", kind, seen.Entries)
		}
	}
	var all struct{ Cases []caseOf }
	d.does("GET", "/v1/session/export", ann.Session, nil, "OK", &all)
	if len(all.Cases) != 1 || len(all.Cases[0].Messages) != 3 {
		t.Fatalf("what is kept of her: %+v", all)
	}
	d.hears("case.opened", "case.answered", "case.said", "case.closed")
	d.does("GET", "/v1/accounts/"+ann.Account+"/cases", "", nil, "OK", &own)
	if len(own.Cases) != 1 {
		t.Fatalf("%+v", own)
	}
	must(t, d.CloseAccount(t.Context(), ann.Account)) // it is forgotten at once, and her cases with it
	sue.does("GET", "cases/"+c.ID, nil, "case_not_found", nil)
	sue.does("GET", "cases", nil, "OK", &work)
	if len(work.Cases) != 0 {
		t.Fatalf("%+v", work)
	}
}

// hears waits until the feed has told of all these.
func (d *desk) hears(kinds ...string) {
	d.Helper()
	for after, deadline := int64(0), time.Now().Add(20*time.Second); len(kinds) > 0; {
		if time.Now().After(deadline) {
			d.Fatalf("the application doesn't hear of %v", kinds)
		}
		events, next, err := d.Events(d.Context(), after, 5*time.Second)
		must(d.T, err)
		for _, e := range events {
			kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == e.Type })
		}
		after = next
	}
}

// A suspicious text is reported with a screenshot; its reporter hears what became of it, and support passes it on.
// Keeps: E.3
func TestReportsByAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, err := d.InviteStaff(t.Context(), "sue@demo.example", "support")
	must(t, err)
	sue := d.agent("sue@demo.example")
	ann := d.signUp("ann@mail.example", words, visitorAt("192.0.2.44"))
	var r struct {
		ID, Token, Text, Status, Note string
		Screenshot                    bool
		Elsewhere                     []struct{ Number, URL string } `json:"report_elsewhere"`
	}
	d.does("POST", "/v1/reports", "", map[string]any{
		"kind": "message", "channel": "sms", "sender": "+14155550199", "text": "=Pay 4111111111111111 at https://trap.bad.example/", "country": "GB", "visitor": map[string]string{"ip": "203.0.113.9"},
	}, "Created", &r)
	if r.Token == "" || strings.Contains(r.Text, "4111") || len(r.Elsewhere) != 1 || r.Elsewhere[0].Number != "7726" {
		t.Fatalf("%+v", r)
	}
	var picture bytes.Buffer
	must(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 40, 20))))
	put := func(path, kind string, body []byte) int {
		status, _, _ := raw(t, "PUT", d.url+path, body, "Authorization", "Bearer "+d.key, "Content-Type", kind, "Countersign-Session", ann.Session)
		return status
	}
	at := "/v1/reports/" + r.ID
	for _, c := range []struct {
		path, kind string
		body       []byte
		want       int
	}{
		{at, "image/svg+xml", picture.Bytes(), 415},
		{at, "image/png", []byte("GIF89a"), 400},
		{at, "image/png", make([]byte, 3<<20), 413},
		{"/v1/session/reports/" + r.ID, "image/png", picture.Bytes(), 404}, // it is nobody's, and not Ann's
		{at, "image/png", picture.Bytes(), 200},
		{at, "image/png", picture.Bytes(), 409},
	} {
		if got := put(c.path+"/screenshot", c.kind, c.body); got != c.want {
			t.Errorf("%s of %d bytes: %d, want %d", c.kind, len(c.body), got, c.want)
		}
	}
	d.does("POST", at+"/status", "", map[string]string{"token": r.Token + "x"}, "report_not_found", nil)
	sue.does("POST", "reports/"+r.ID+"/status", map[string]string{"status": "confirmed", "note": "It is a fraud. We warn others."}, "OK", nil)
	d.does("POST", at+"/status", "", map[string]string{"token": r.Token}, "OK", &r)
	if r.Status != "confirmed" || !strings.HasPrefix(r.Note, "It is a fraud") || !r.Screenshot {
		t.Fatalf("%+v", r)
	}
	var own struct{ Reports []struct{ ID string } }
	d.does("POST", "/v1/session/reports", ann.Session, map[string]any{"kind": "call", "channel": "call", "sender": "+14155550199"}, "Created", nil)
	d.does("GET", "/v1/session/reports", ann.Session, nil, "OK", &own)
	d.does("POST", "/v1/session/reports", ann.Session, map[string]any{"kind": "call", "channel": "call", "sender": "x", "account": ann.Account}, "unknown_field", nil)
	if len(own.Reports) != 1 {
		t.Fatalf("%+v", own)
	}

	var list struct{ Reports []struct{ ID string } }
	sue.does("GET", "reports?limit=1", nil, "OK", &list)
	if len(list.Reports) != 1 {
		t.Fatalf("%+v", list)
	}
	sue.does("GET", "reports?since=yesterday", nil, "invalid_parameter", nil)
	var clusters struct {
		Clusters []struct {
			Kind, Label string
			Total       int
		}
	}
	sue.does("GET", "report-clusters", nil, "OK", &clusters)
	if !slices.ContainsFunc(clusters.Clusters, func(c struct {
		Kind, Label string
		Total       int
	}) bool {
		return c.Kind == "sender" && c.Total == 2
	}) {
		t.Fatalf("%+v", clusters)
	}
	staff := []string{"Countersign-Session", sue.session, "Countersign-Service", "demo"}
	status, head, body := raw(t, "GET", d.url+"/v1/support/reports/"+r.ID+"/screenshot", nil, staff...)
	if _, format, err := image.Decode(bytes.NewReader(body)); status != 200 || err != nil || format != "png" || !strings.HasPrefix(head.Get("Content-Disposition"), "attachment") || head.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%d %v %v", status, head, err)
	}
	status, head, body = raw(t, "GET", d.url+"/v1/support/report-export?format=csv", nil, staff...)
	table, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
	if err != nil || status != 200 || len(table) != 3 || !strings.HasPrefix(table[2][8], "'=Pay") || !strings.HasPrefix(head.Get("Content-Type"), "text/csv") {
		t.Fatalf("%d %v %q %v", status, head, table, err)
	}
	sue.does("GET", "report-export?format=xls", nil, "invalid_format", nil)
	(&agent{d, ann.Account, ann.Session}).does("GET", "report-export?format=csv", nil, "role_missing", nil)
	d.hears("report.received", "report.settled")
}
