// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
)

// parcel makes a hand-over whose window has begun.
func (d *desk) parcel(order string) client.NewHandover {
	return client.NewHandover{
		Order: order, Recipient: client.Recipient{Name: "Maria Bell", Contacts: []string{"maria@mail.example", "+14155550121"}},
		Window: client.Window{From: d.now().Add(-time.Hour).Format(time.RFC3339), Until: d.now().Add(2 * time.Hour).Format(time.RFC3339), TimeZone: "Europe/Paris"},
		Items:  "a box of books", AddressHint: "2nd floor, blue door", Depot: "Lyon 3",
	}
}

// atTheDoor makes a hand-over, and Kim stands at the door with it. It returns the code.
func (d *desk) atTheDoor(order string) (id, code string) {
	d.Helper()
	ctx := d.Context()
	h, err := d.CreateHandover(ctx, d.parcel(order))
	must(d.T, err)
	_, err = d.OutForDelivery(ctx, h.ID, "Kim 17")
	must(d.T, err)
	d.acts(h.ID, client.Act{Do: "arrive"}, "done")
	shown, err := d.DeliveryCode(ctx, h.ID)
	must(d.T, err)
	return h.ID, shown.Code
}

// acts is what Kim does.
func (d *desk) acts(id string, a client.Act, want string) *client.Acted {
	d.Helper()
	a.Courier = "Kim 17"
	got, err := d.Act(d.Context(), id, a)
	must(d.T, err)
	if got.Result != want {
		d.Fatalf("%s is %s (%s), want %s", a.Do, got.Result, got.Why, want)
	}
	return got
}

// otherCode is of the same look and not the code.
func otherCode(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

// A parcel's whole life by the API alone: made, sent out, at the door, a wrong code, the right one, told again, its proof; and what the application hears of it.
// Keeps: H.1, H.3, H.6, S27, S28, S29
func TestAHandoverByAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	h, err := d.CreateHandover(ctx, d.parcel("order 1182"))
	must(t, err)
	if h.State != "created" || h.Again || h.Recipient.Name != "Maria" || h.Recipient.Initials != "M. B." || !strings.HasPrefix(h.Tracking, "http") || h.Attempts != 3 {
		t.Fatalf("%+v", h)
	}
	for _, masked := range h.Recipient.Contacts {
		if strings.Contains(masked, "maria@") || strings.Contains(masked, "4155550121") {
			t.Errorf("a contact isn't masked: %s", masked)
		}
	}
	same := d.parcel("order 1182")
	same.Window.From, same.Window.Until = h.Window.From.Format(time.RFC3339), h.Window.Until.Format(time.RFC3339)
	again, err := d.CreateHandover(ctx, same)
	must(t, err)
	if !again.Again || again.ID != h.ID {
		t.Fatalf("the same again is another one: %+v", again)
	}
	same.Items = "two boxes"
	_, err = d.CreateHandover(ctx, same)
	wants(t, err, "order_taken")
	if _, err := d.DeliveryCode(ctx, h.ID); problemOf(t, err).Code != "code_not_yet" {
		t.Error("there is a code before the parcel is under way")
	}
	items := "two boxes"
	h, err = d.ChangeHandover(ctx, h.ID, client.HandoverChange{Items: &items})
	must(t, err)
	if h.Items != items {
		t.Fatalf("%+v", h)
	}
	h, err = d.OutForDelivery(ctx, h.ID, "Kim 17")
	must(t, err)
	shown, err := d.DeliveryCode(ctx, h.ID)
	must(t, err)
	if len(shown.Code) != 7 || shown.Code[:2] != "D-" || h.State != "out_for_delivery" || h.Courier == "" {
		t.Fatalf("%d digits, %+v", len(shown.Code)-2, h)
	}
	d.apart(shown.Code, h.Tracking)
	d.acts(h.ID, client.Act{Do: "code", Code: shown.Code}, "not_arrived")
	d.acts(h.ID, client.Act{Do: "arrive", Position: &client.Position{Lat: 45.76401, Lon: 4.83571}}, "done")
	if got := d.acts(h.ID, client.Act{Do: "code", Code: otherCode(shown.Code), Key: "first"}, "wrong"); got.TriesLeft != 5 {
		t.Fatalf("%+v", got)
	}
	if got := d.acts(h.ID, client.Act{Do: "code", Code: otherCode(shown.Code), Key: "first"}, "wrong"); got.TriesLeft != 5 {
		t.Fatalf("a try that was told again counts twice: %+v", got)
	}
	d.acts(h.ID, client.Act{Do: "code", Code: "482 135"}, "sign_in_code")
	if got := d.acts(h.ID, client.Act{Do: "code", Code: "what?"}, "unclear"); got.Why == "" || got.TriesLeft != 5 {
		t.Fatalf("%+v", got)
	}
	_, err = d.Proof(ctx, h.ID)
	wants(t, err, "not_handed_over")
	for range 2 {
		got := d.acts(h.ID, client.Act{Do: "code", Code: shown.Code, Key: "second"}, "handed_over")
		if got.Handover.Certainty != "confirmed" || got.Handover.Means != "code" || got.Handover.HandedAt.IsZero() {
			t.Fatalf("%+v", got.Handover)
		}
	}
	d.acts(h.ID, client.Act{Do: "code", Code: shown.Code}, "over")
	text, err := d.Proof(ctx, h.ID)
	must(t, err)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("the proof: %q", text)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	for _, personal := range []string{"Maria", "Bell", "mail.example", "4155550121", "blue door", shown.Code} {
		if bytes.Contains(claims, []byte(personal)) {
			t.Errorf("%s is in the proof: %s", personal, claims)
		}
	}
	found, err := d.FindHandovers(ctx, "order 1182")
	must(t, err)
	if len(found) != 1 || found[0].ID != h.ID || found[0].State != "handed_over" || len(found[0].Steps) != 4 {
		t.Fatalf("%+v", found)
	}
	_, err = d.FindHandovers(ctx, "order 118")
	wants(t, err, "order_not_found")
	_, err = d.CancelHandover(ctx, h.ID)
	wants(t, err, "hand_over_over")
	d.tells(h.ID, "handover.created", "handover.changed", "handover.out_for_delivery", "handover.arrived", "handover.wrong_code", "handover.sign_in_code_typed", "handover.handed_over")
}

// apart waits for the two messages about a parcel: one has the link, and the other the code.
func (d *desk) apart(code, link string) {
	d.Helper()
	for links, codes, deadline := 0, 0, time.Now().Add(20*time.Second); links == 0 || codes == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.Fatalf("%d messages with the link, %d with the code", links, codes)
		}
		_, _, reply := raw(d.T, "GET", d.url+"/inbox/messages.json", nil)
		var list []letter
		must(d.T, json.Unmarshal(reply, &list))
		links, codes = 0, 0
		for _, l := range list {
			hasLink, hasCode := strings.Contains(l.Text, link), strings.Contains(l.Subject+l.Text, code)
			if hasLink && strings.Contains(l.Subject+l.Text, code[2:]) || hasCode && strings.Contains(l.Text, "://") {
				d.Fatalf("a message has both: %+v", l)
			}
			if hasLink {
				links++
			}
			if hasCode {
				codes++
			}
		}
	}
}

// tells fails unless the feed has these events of a hand-over, in this order, and the last says how it ended.
func (d *desk) tells(id string, want ...string) {
	d.Helper()
	var kinds []string
	var last client.Event
	for after, deadline := int64(0), time.Now().Add(20*time.Second); len(kinds) < len(want); {
		if time.Now().After(deadline) {
			d.Fatalf("the application hears %v", kinds)
		}
		events, next, err := d.Events(d.Context(), after, time.Second)
		must(d.T, err)
		for _, e := range events {
			if e.Subject == id {
				kinds, last = append(kinds, e.Type), e
			}
		}
		after = next
	}
	if !slices.Equal(kinds, want) || last.Means == "" || last.Certainty == "" || last.Attempt != 1 {
		d.Fatalf("the application hears %v; the last: %+v", kinds, last)
	}
}

// What a recipient does on an application's own page, and what is left when the code is missing.
// Keeps: H.4, H.5, S30
func TestTheRecipientsSideByAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	does := func(id string, a client.RecipientAct, code string) *client.Handover {
		t.Helper()
		h, err := d.RecipientDoes(ctx, id, a)
		if code != "" {
			wants(t, err, code)
			return nil
		}
		must(t, err)
		return h
	}
	id, code := d.atTheDoor("A 1")
	if h := does(id, client.RecipientAct{Do: "nobody_here"}, ""); h.StoppedAt.IsZero() || !slices.Contains(h.Exceptions, "stopped") {
		t.Fatalf("%+v", h)
	}
	d.acts(id, client.Act{Do: "code", Code: code}, "stopped")
	_, err := d.ReleaseHandover(ctx, id, "knows her")
	wants(t, err, "stopped")
	does(id, client.RecipientAct{Do: "here_after_all"}, "")
	d.acts(id, client.Act{Do: "arrive"}, "done")
	does(id, client.RecipientAct{Do: "send_again", Channel: "sms"}, "too_soon")
	does(id, client.RecipientAct{Do: "asked_by_phone", Text: "He said he was at my door", IP: "192.0.2.44"}, "")
	d.acts(id, client.Act{Do: "code", Code: code}, "wrong")
	shown, err := d.DeliveryCode(ctx, id)
	must(t, err)
	if shown.Code == code {
		t.Fatal("a code that somebody asked for still works")
	}
	pass, err := d.Share(ctx, id, "Jo next door")
	must(t, err)
	must(t, d.WithdrawPass(ctx, id, pass.Number))
	wants(t, d.WithdrawPass(ctx, id, 7), "pass_over")
	all, err := d.Passes(ctx, id)
	must(t, err)
	if len(all) != 1 || !all[0].Gone || all[0].Name != "Jo next door" || all[0].Link != "" || !strings.Contains(pass.Link, "/p/") {
		t.Fatalf("%+v", all)
	}
	h, err := d.Handover(ctx, id)
	must(t, err)
	if len(h.Days) > 0 || !slices.Contains(h.Channels, "email") {
		t.Fatalf("what the recipient can choose from: %v, %v", h.Days, h.Channels)
	}
	does(id, client.RecipientAct{Do: "another_day", Day: "2019-01-01"}, "wrong_state") // the courier is at the door
	d.acts(id, client.Act{Do: "give_up", Reason: "nobody_home"}, "done")
	does(id, client.RecipientAct{Do: "another_day", Day: "2019-01-01"}, "invalid_day")
	h, err = d.Handover(ctx, id)
	must(t, err)
	if len(h.Days) == 0 {
		t.Fatal("there is no other day")
	}
	h = does(id, client.RecipientAct{Do: "another_day", Day: h.Days[0]}, "")
	if h.State != "attempted" || h.Steps[len(h.Steps)-1].Reason != "another_day" {
		t.Fatalf("%+v", h)
	}
	does(id, client.RecipientAct{Do: "refuse"}, "")
	h, err = d.ReturnHandover(ctx, id)
	must(t, err)
	if h.State != "returned" {
		t.Fatalf("%+v", h)
	}
	id, _ = d.atTheDoor("A 2")
	_, err = d.ReleaseHandover(ctx, id, "")
	wants(t, err, "note_missing")
	h, err = d.ReleaseHandover(ctx, id, "passport seen at the counter")
	must(t, err)
	if h.State != "handed_over" || h.Means != "second_person" || h.Certainty != "weaker" || !slices.Equal(h.Exceptions, []string{"weaker"}) {
		t.Fatalf("%+v", h)
	}
	id, _ = d.atTheDoor("A 3")
	_, err = d.EndAttempt(ctx, id)
	must(t, err)
	_, err = d.OutForDelivery(ctx, id, "Lee 4")
	must(t, err)
	d.acts(id, client.Act{Do: "arrive"}, "not_yours")
}

// A depot's day, by an application and by somebody who works there.
// Keeps: H.5
func TestRoundsByAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	var ids []string
	for i := range 3 {
		h, err := d.CreateHandover(ctx, d.parcel(fmt.Sprintf("R %d", i)))
		must(t, err)
		ids = append(ids, h.ID)
	}
	_, err := d.CancelHandover(ctx, ids[2])
	must(t, err)
	open, err := d.OpenRound(ctx, client.NewRound{Depot: "Lyon 3", Courier: "Kim 17", TimeZone: "Europe/Paris", Handovers: []string{ids[0], ids[2], "hnd_nonsense"}})
	must(t, err)
	if !strings.Contains(open.Link, "/courier#crt_") || len(open.LeftOut) != 2 || open.LeftOut[0].Problem.Code != "hand_over_not_found" || open.LeftOut[1].Problem.Code != "hand_over_over" ||
		!slices.Equal(open.Round.Handovers, ids[:1]) {
		t.Fatalf("%+v", open)
	}
	more, err := d.AddToRound(ctx, open.Round.ID, ids[1:2])
	must(t, err)
	if len(more.Round.Handovers) != 2 || more.Link != "" {
		t.Fatalf("%+v", more)
	}
	d.acts(ids[0], client.Act{Do: "arrive"}, "done")
	r, err := d.Round(ctx, open.Round.ID)
	must(t, err)
	if len(r.Parcels) != 2 || r.Parcels[0].State != "arrived" {
		t.Fatalf("%+v", r)
	}
	link, err := d.InviteCourier(ctx, r.Courier)
	must(t, err)
	if link == open.Link {
		t.Error("a new link is the old one")
	}
	must(t, d.RevokeCourier(ctx, r.Courier))
	wants(t, d.RevokeCourier(ctx, "cou_"+strings.Repeat("0", 32)), "courier_not_found")

	_, err = d.InviteStaff(ctx, "dee@demo.example", "depot")
	must(t, err)
	_, err = d.InviteStaff(ctx, "sue@demo.example", "support")
	must(t, err)
	dee, sue := d.agent("dee@demo.example"), d.agent("sue@demo.example")
	at := func(who *agent, method, path string, body any, want string, out any) {
		t.Helper()
		who.at("/v1/depot/", method, path, body, want, out)
	}
	var day struct {
		Depot  string
		Rounds []struct {
			ID      string
			Current bool
			Parcels []struct {
				State      string
				Exceptions []string
			}
			Figures map[string]int
		}
		Figures map[string]int
	}
	at(dee, "GET", "day?depot=Lyon+3&time_zone=Europe/Paris", nil, "OK", &day)
	if len(day.Rounds) != 1 || !day.Rounds[0].Current || len(day.Rounds[0].Parcels) != 2 || day.Figures["arrived"] != 1 || day.Figures["arrived_without_position"] != 1 {
		t.Fatalf("%+v", day)
	}
	d.does("GET", "/v1/depots?depot=Lyon+3&date="+r.Date, "", nil, "OK", &day)
	at(sue, "GET", "day?depot=Lyon+3&time_zone=Europe/Paris", nil, "role_missing", nil)
	at(dee, "GET", "day?depot=Lyon+3", nil, "parameter_missing", nil)
	at(dee, "GET", "day?depot=Lyon+3&time_zone=Mars", nil, "invalid_time_zone", nil)
	at(dee, "GET", "day?depot=Lyon+3&date=today", nil, "invalid_date", nil)
	var found struct{ Handovers []client.Handover }
	at(dee, "GET", "handovers?order=R+0", nil, "OK", &found)
	if len(found.Handovers) != 1 || found.Handovers[0].Tracking != "" {
		t.Fatalf("%+v", found)
	}
	at(dee, "GET", "handovers", nil, "parameter_missing", nil)
	at(dee, "GET", "handovers?order=maria@mail.example", nil, "order_not_found", nil)
	at(sue, "POST", "handovers/"+ids[0]+"/release", map[string]string{"note": "badge seen"}, "role_missing", nil)
	at(dee, "POST", "handovers/"+ids[0]+"/release", map[string]string{"note": "badge seen"}, "OK", nil)
	at(dee, "POST", "handovers/"+ids[0]+"/settle", nil, "OK", nil)
	at(dee, "POST", "handovers/"+ids[1]+"/end_attempt", nil, "OK", nil)
	at(dee, "POST", "handovers/"+ids[1]+"/return", nil, "OK", nil)
	var opened struct{ Link string }
	at(dee, "POST", "rounds", map[string]any{"depot": "Lyon 3", "courier": "Lee 4", "time_zone": "Europe/Paris"}, "Created", &opened)
	at(dee, "POST", "couriers/"+r.Courier+"/invite", nil, "OK", &opened)
	at(dee, "POST", "couriers/"+r.Courier+"/revoke", nil, "No Content", nil)
	at(dee, "POST", "couriers/x/revoke", nil, "courier_not_found", nil)
	d.hears("courier.device_revoked", "handover.returned")
}

// A depot's day in one request: what is wrong fails alone and by its line, and the whole can be sent again.
func TestBulkByAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const n = 2000
	var body bytes.Buffer
	want := map[int]string{}
	template := d.parcel("")
	for i := 1; i <= n; i++ {
		p := template
		p.Order = fmt.Sprintf("bulk %d", i)
		text, err := json.Marshal(p)
		must(t, err)
		switch {
		case i%500 == 1:
			text, want[i] = text[:len(text)/2], "invalid_json"
		case i%500 == 2:
			text, want[i] = bytes.Replace(text, []byte("Europe/Paris"), []byte("Europe/Pariss"), 1), "invalid_time_zone"
		case i%500 == 3:
			text, want[i] = bytes.Replace(text, []byte(`"items"`), []byte(`"item"`), 1), "unknown_field"
		case i%500 == 4:
			text, want[i] = append(text, bytes.Repeat([]byte(" "), 9000)...), "line_too_long"
		case i%500 == 5:
			text, want[i] = bytes.Replace(text, []byte("+14155550121"), []byte("+1"), 1), "invalid_phone_number"
		case i%500 == 6:
			text, want[i] = []byte{}, "" // counted, and that is all
		}
		body.Write(append(text, '\n'))
	}
	for round := range 2 {
		got, err := d.Bulk(t.Context(), bytes.NewReader(body.Bytes()))
		must(t, err)
		made := n - 4*6
		if got.Failed != 4*5 || round == 0 && (got.Created != made || got.Again != 0) || round == 1 && (got.Created != 0 || got.Again != made) {
			t.Fatalf("%d created, %d again, %d failed", got.Created, got.Again, got.Failed)
		}
		line := 0
		for _, l := range got.Lines {
			if l.Line <= line {
				t.Fatalf("line %d comes after line %d", l.Line, line)
			}
			line = l.Line
			code := ""
			if l.Problem != nil {
				code = l.Problem.Code
			}
			if code != want[l.Line] || code == "" && (l.Order != fmt.Sprintf("bulk %d", l.Line) || l.ID == "" || l.Again != (round == 1)) {
				t.Fatalf("line %d: %+v, want %q", l.Line, l, want[l.Line])
			}
		}
	}
	all := func(yield func(client.NewHandover) bool) {
		for i := range 100 {
			p := template
			p.Order = fmt.Sprintf("iterated %d", i)
			if !yield(p) {
				return
			}
		}
	}
	got, err := d.CreateHandovers(t.Context(), all)
	must(t, err)
	if got.Created != 100 || len(got.Lines) != 100 {
		t.Fatalf("%+v", got)
	}
	for kind, want := range map[string]int{"application/json": http.StatusUnsupportedMediaType, "application/x-ndjson": http.StatusOK, "": http.StatusUnsupportedMediaType} {
		if status, _, reply := raw(t, "POST", d.url+"/v1/handovers/bulk", nil, "Authorization", "Bearer "+d.key, "Content-Type", kind); status != want {
			t.Errorf("%q: %d %s", kind, status, reply)
		}
	}
	// A connection that breaks half-way: what came is made, and all of it is sent again.
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write(bytes.ReplaceAll(body.Bytes()[:body.Len()/2], []byte("bulk "), []byte("broken ")))
		_ = w.CloseWithError(io.ErrClosedPipe)
	}()
	_, err = d.Bulk(t.Context(), r)
	if err == nil {
		t.Fatal("half a bulk is answered like a whole one")
	}
	got, err = d.Bulk(t.Context(), bytes.NewReader(bytes.ReplaceAll(body.Bytes(), []byte("bulk "), []byte("broken "))))
	must(t, err)
	if got.Created+got.Again != n-4*6 || got.Again == 0 {
		t.Fatalf("after a break: %d created, %d again, %d failed", got.Created, got.Again, got.Failed)
	}
	// Lines beyond the bound aren't looked at, and whoever sends them hears of it.
	many := bytes.Repeat([]byte("{}\n"), 50_003)
	got, err = d.Bulk(t.Context(), bytes.NewReader(many))
	must(t, err)
	if got.Failed != 50_001 || got.Lines[50_000].Problem.Code != "too_many_lines" {
		t.Fatalf("%d failed, %+v", got.Failed, got.Lines[len(got.Lines)-1])
	}
}

// What is wrong is said, each in its own way; nothing of it is an error of ours.
func TestBadHandovers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id, _ := d.atTheDoor("B 1")
	with := func(change func(map[string]any)) map[string]any {
		text, err := json.Marshal(d.parcel("B 2"))
		must(t, err)
		var m map[string]any
		must(t, json.Unmarshal(text, &m))
		change(m)
		return m
	}
	set := func(key string, value any) map[string]any { return with(func(m map[string]any) { m[key] = value }) }
	type in = map[string]any
	long := strings.Repeat("x", 200)
	paths := map[string][]struct {
		body any
		want string
	}{
		"POST /v1/handovers": {
			{in{}, "invalid_input"}, {set("order", ""), "order_missing"}, {set("order", long), "text_too_long"}, {set("parcel", 51), "invalid_parcel"}, {set("parcel", -1), "invalid_parcel"},
			{set("parcel", "1"), "wrong_type"}, {set("recipient", in{"contacts": []string{}}), "invalid_contacts"}, {set("recipient", in{"contacts": []string{"nobody"}}), "invalid_phone_number"},
			{set("recipient", in{"contacts": []string{"a@x.example", "b@x.example", "c@x.example", "d@x.example"}}), "invalid_contacts"},
			{set("recipient", in{"contacts": []string{"a@x.example"}, "locale": "??"}), "invalid_locale"}, {set("recipient", in{"contacts": []string{"a@x.example"}, "name": long}), "text_too_long"},
			{set("window", in{"from": "noon", "until": "one", "time_zone": "UTC"}), "invalid_time"}, {set("window", in{"from": "2020-01-01T10:00", "until": "2020-01-01T12:00", "time_zone": "UTC"}), "window_over"},
			{set("window", in{"from": "2020-01-01T10:00", "until": "2020-01-03T12:00", "time_zone": "UTC"}), "invalid_window"}, {set("window", in{"from": "2020-01-01T10:00", "until": "2020-01-01T12:00"}), "invalid_time_zone"},
			{set("items", long), "text_too_long"}, {set("address_hint", long), "text_too_long"}, {set("depot", long), "text_too_long"}, {set("weak", []string{"photo"}), "weak_proof_not_allowed"},
			{set("attempts", 10), "invalid_attempts"}, {set("courier", "x"), "unknown_field"}, {[]string{}, "not_an_object"},
		},
		"PATCH /v1/handovers/" + id: {
			{in{}, "nothing_to_change"}, {in{"window": in{"from": "2020-01-01T10:00", "until": "2020-01-01T12:00", "time_zone": "UTC"}}, "window_over"}, {in{"order": "x"}, "unknown_field"},
			{in{"window": in{"from": d.now().Format(time.RFC3339), "until": d.now().Add(time.Hour).Format(time.RFC3339), "time_zone": "UTC"}}, "under_way"}, {in{"items": long}, "text_too_long"},
		},
		"POST /v1/handovers/" + id + "/out_for_delivery": {{in{"courier": ""}, "courier_missing"}, {in{"courier": long}, "text_too_long"}, {in{"courier": "Lee"}, "wrong_state"}},
		"POST /v1/handovers/" + id + "/acts": {
			{in{"courier": "Kim 17"}, "invalid_act"}, {in{"courier": "Kim 17", "do": "fly"}, "invalid_act"}, {in{"do": "arrive"}, "courier_missing"}, {in{"courier": "Kim 17", "do": "code"}, "code_missing"},
			{in{"courier": "Kim 17", "do": "ticket"}, "ticket_missing"}, {in{"courier": "Kim 17", "do": "arrive", "code": "D-48213"}, "unknown_field"}, {in{"courier": "Kim 17", "do": "give_up"}, "reason_missing"},
			{in{"courier": "Kim 17", "do": "give_up", "reason": "rain"}, "invalid_reason"}, {in{"courier": "Kim 17", "do": "weak", "weak": "smile", "note": "x"}, "invalid_weak_proof"},
			{in{"courier": "Kim 17", "do": "weak", "weak": "photo"}, "note_missing"}, {in{"courier": "Kim 17", "do": "send", "channel": "pigeon"}, "channel_not_possible"},
			{in{"courier": "Kim 17", "do": "arrive", "position": in{"lat": 91, "lon": 0}}, "invalid_position"}, {in{"courier": "Kim 17", "do": "arrive", "position": in{"lat": 9}}, "invalid_position"},
			{in{"courier": "Kim 17", "do": "arrive", "key": "a b"}, "invalid_idempotency_key"}, {in{"courier": "Kim 17", "do": "arrive", "attempt": -1}, "invalid_attempt"},
			{in{"courier": "Kim 17", "do": "arrive", "said_at": d.now()}, "unknown_field"}, {in{"courier": "Kim 17", "do": "weak", "weak": "photo", "note": long}, "text_too_long"},
		},
		"POST /v1/handovers/" + id + "/recipient": {
			{in{"do": "fly"}, "invalid_act"}, {in{"do": "refuse", "day": "2026-11-27"}, "unknown_field"}, {in{"do": "send_again", "channel": "pigeon"}, "channel_not_possible"},
			{in{"do": "asked_by_phone", "text": long + long + long}, "text_too_long"}, {in{"do": "asked_by_phone", "ip": long + long + long}, "text_too_long"},
		},
		"POST /v1/handovers/" + id + "/passes": {{in{"name": ""}, "name_missing"}, {in{"name": long}, "text_too_long"}},
		"POST /v1/rounds": {
			{in{"depot": "x", "time_zone": "UTC"}, "round_incomplete"}, {in{"depot": "x", "courier": "y"}, "invalid_time_zone"}, {in{"depot": "x", "courier": "y", "time_zone": "UTC", "hours": 25}, "invalid_hours"},
			{in{"depot": "x", "courier": "y", "time_zone": "UTC", "handovers": slices.Repeat([]string{id}, 2)}, "parcel_twice"},
			{in{"depot": "x", "courier": "y", "time_zone": "UTC", "handovers": slices.Repeat([]string{id}, 501)}, "too_many_parcels"},
		},
		"POST /v1/rounds/rnd_" + id[4:] + "/handovers":     {{in{"handovers": []string{}}, "round_not_found"}},
		"GET /v1/handovers/hnd_x":                          {{nil, "hand_over_not_found"}},
		"GET /v1/handovers/hnd_" + strings.Repeat("0", 32): {{nil, "hand_over_not_found"}},
		"POST /v1/handovers/vrf_x/acts":                    {{in{"courier": "x", "do": "arrive"}, "hand_over_not_found"}},
		"GET /v1/handovers":                                {{nil, "parameter_missing"}},
		"GET /v1/handovers?order=a&order=b":                {{nil, "parameter_missing"}},
		"GET /v1/depots?time_zone=UTC":                     {{nil, "parameter_missing"}},
		"DELETE /v1/handovers/" + id + "/passes/one":       {{nil, "pass_over"}},
	}
	for at, all := range paths {
		method, path, _ := strings.Cut(at, " ")
		for _, c := range all {
			d.does(method, path, "", c.body, c.want, nil)
		}
	}
	if status, _, reply := raw(t, "POST", d.url+"/v1/handovers/"+id+"/acts", []byte(`{"courier":"Kim 17","do":"arrive","key":"a"}`), "Authorization", "Bearer "+d.key,
		"Content-Type", "application/json", "Idempotency-Key", "b"); status != http.StatusBadRequest || !bytes.Contains(reply, []byte("two_keys")) {
		t.Errorf("two keys: %d %s", status, reply)
	}
}

// A key does what its scopes say: one that reads sees no link and no code, and one for verifications nothing at all.
func TestScopesOfHandovers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id, _ := d.atTheDoor("S 1")
	as := func(scopes ...string) *desk {
		var made struct{ Key string }
		d.does("POST", "/v1/keys", "", map[string]any{"name": "x", "scopes": scopes}, "Created", &made)
		return &desk{T: t, Client: client.New(d.url, made.Key), url: d.url, key: made.Key}
	}
	verify := as("verify", "account", "manage")
	for _, reads := range []*desk{as("read"), as("support")} {
		var h client.Handover
		reads.does("GET", "/v1/handovers/"+id, "", nil, "OK", &h)
		if h.Tracking != "" {
			t.Error("whoever only reads has the recipient's link")
		}
		for _, c := range []string{"GET /v1/handovers?order=S+1 OK", "GET /v1/depots?depot=x&time_zone=UTC OK", "GET /v1/handovers/" + id + "/proof not_handed_over"} {
			f := strings.Fields(c)
			reads.does(f[0], f[1], "", nil, f[2], nil)
			verify.does(f[0], f[1], "", nil, "scope_missing", nil)
		}
		for _, c := range []string{
			"POST /v1/handovers", "POST /v1/handovers/bulk", "POST /v1/rounds", "POST /v1/couriers/x/revoke", "GET /v1/handovers/" + id + "/passes", "POST /v1/handovers/" + id + "/code",
			"POST /v1/handovers/" + id + "/acts", "POST /v1/handovers/" + id + "/release", "POST /v1/handovers/" + id + "/cancel", "POST /v1/handovers/" + id + "/recipient",
		} {
			f := strings.Fields(c)
			reads.does(f[0], f[1], "", nil, "scope_missing", nil)
		}
	}
}

// 200 tries at once over HTTP, one of them right: one hand-over, and never more than six judged.
// Keeps: S29
func TestManyTriesAtOnceByAPI(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		url, key := start(t, database)
		d := &desk{T: t, Client: client.New(url, key), url: url, key: key}
		id, code := d.atTheDoor("P 1")
		var mu sync.Mutex
		results := map[string]int{}
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				typed := otherCode(code)
				if i == 100 {
					typed = code
				}
				got, err := d.Act(t.Context(), id, client.Act{Courier: "Kim 17", Do: "code", Code: typed})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				results[got.Result]++
			})
		}
		all.Wait()
		judged := results["wrong"] + results["handed_over"]
		if results["handed_over"] > 1 || judged > 7 || results["wrong"] > 6 || results["blocked"]+results["over"] != 200-judged {
			t.Fatalf("%v", results)
		}
		h, err := d.Handover(t.Context(), id)
		must(t, err)
		if (h.State == "handed_over") != (results["handed_over"] == 1) || h.State != "handed_over" && !h.Blocked {
			t.Fatalf("%v, and then it is %s", results, h.State)
		}
	})
}
