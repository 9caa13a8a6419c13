// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
)

// soon asks until something is so; when it takes too long, what follows says what is missing.
func (d *desk) soon(so func() bool) {
	d.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			return
		}
	}
}

// An application that shows pages of its own: a person finds a code that they didn't ask for, goes through the review, and settles it with support.
//
// Keeps: D.1, D.2, G.1
func TestAnApplicationsReviewAndCase(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	at := visitorAt("192.0.2.44")
	done := d.signUp("ann@mail.example", words, at)
	ann := d.Session(done.Session)
	v, err := d.Begin(ctx, client.BeginRequest{To: "ann@mail.example", Purpose: "sign_in"})
	must(t, err)
	d.code("ann@mail.example")
	why, err := d.Diagnose(ctx, v.ID)
	must(t, err)
	if why.Cause == "" || why.Certainty == "" || len(why.Actions) == 0 || len(why.Evidence) == 0 {
		t.Fatalf("%+v", why)
	}
	var sent []client.SentMessage
	d.soon(func() bool { // it is listed once it is sent
		sent, err = ann.Messages(ctx)
		must(t, err)
		return len(sent) > 0 && sent[0].Verification == v.ID
	})
	if len(sent) == 0 || sent[0].Verification != v.ID || !sent[0].Pending || strings.Contains(sent[0].To, "ann@") {
		t.Fatalf("%+v", sent)
	}
	if r, err := ann.Review(ctx); err != nil || !r.StartedAt.IsZero() {
		t.Fatalf("%+v %v", r, err)
	}
	r, err := ann.BeginReview(ctx, "not_me", v.ID, at)
	must(t, err)
	if r.CodesEnded != 1 || r.Verification != v.ID || r.StartedAt.IsZero() {
		t.Fatalf("%+v", r)
	}
	if now, err := d.Status(ctx, v.ID); err != nil || now.Status != "canceled" {
		t.Fatalf("the code still works: %+v %v", now, err)
	}
	r, err = ann.ReviewStep(ctx, "activity", at)
	must(t, err)
	c, err := ann.OpenCase(ctx, "unrequested_code", "I got a code and asked for nothing")
	must(t, err)
	steps := map[string]bool{}
	for _, s := range r.Steps {
		steps[s.Name] = s.Done
	}
	if len(c.Messages) != 1 || !steps["codes"] || !steps["activity"] {
		t.Fatalf("%+v %+v", c, r)
	}
	if c, err = ann.SayInCase(ctx, c.ID, "It happened again"); err != nil || len(c.Messages) != 2 {
		t.Fatalf("%+v %v", c, err)
	}
	if c, err = d.SayInCase(ctx, done.Account, c.ID, "They called, too"); err != nil || len(c.Messages) != 3 {
		t.Fatalf("%+v %v", c, err)
	}
	if c, err = d.ReadCase(ctx, done.Account, c.ID); err != nil || c.State != "open" {
		t.Fatalf("%+v %v", c, err)
	}
	d.answersInCase(c.ID)
	if own, err := ann.Cases(ctx); err != nil || len(own) != 1 || own[0].State != "answered" || own[0].Unread != 1 {
		t.Fatalf("%+v %v", own, err)
	}
	if c, err = ann.ReadCase(ctx, c.ID); err != nil || c.Unread != 0 || len(c.Messages) != 4 || c.Messages[3].From != "staff" {
		t.Fatalf("%+v %v", c, err)
	}
	if c, err = ann.CloseCase(ctx, c.ID); err != nil || c.State != "closed" {
		t.Fatalf("%+v %v", c, err)
	}
	second, err := d.OpenCase(ctx, client.NewCase{Account: done.Account, Subject: "other", Facts: []client.Fact{{Key: "order", Value: "1182"}}})
	must(t, err)
	if _, err = d.CloseCase(ctx, done.Account, second.ID); err != nil {
		t.Fatal(err)
	}
	all, err := d.Cases(ctx, done.Account)
	must(t, err)
	own, err := ann.Cases(ctx)
	must(t, err)
	if len(all) != 2 || len(own) != 2 || own[0].ID != second.ID {
		t.Fatalf("%+v %+v", all, own)
	}
	if read, err := ann.ReadCase(ctx, second.ID); err != nil || len(read.Facts) != 1 {
		t.Fatalf("%+v %v", read, err)
	}
	must(t, ann.EndReview(ctx, at))
}

// answersInCase is support's answer in a case, on the staff's own routes.
func (d *desk) answersInCase(id string) {
	d.Helper()
	_, err := d.InviteStaff(d.Context(), "sue@demo.example", "support")
	must(d.T, err)
	d.agent("sue@demo.example").does("POST", "cases/"+id+"/messages", map[string]string{"text": "It was a mistyped number"}, "OK", nil)
}

// An application that has kept only the contact has the code checked by it: right once, and the same answer to a repeat with the same key.
//
// Keeps: A.4, S8
func TestAnApplicationsCheckByContact(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	v, err := d.Begin(ctx, client.BeginRequest{To: "ann@mail.example", Purpose: "sign_in"})
	must(t, err)
	code := d.code("ann@mail.example")
	wrong, err := d.CheckContact(ctx, client.CheckContactRequest{To: "ann@mail.example", Code: otherCode(code)})
	must(t, err)
	if wrong.Approved || wrong.Verification.ID != v.ID || wrong.Verification.TriesLeft != v.TriesLeft-1 {
		t.Fatalf("%+v", wrong)
	}
	try := client.CheckContactRequest{To: "Ann@Mail.example", Code: code, IdempotencyKey: "typed-once"}
	for range 2 {
		if got, err := d.CheckContact(ctx, try); err != nil || !got.Approved || got.Verification.ID != v.ID {
			t.Fatalf("%+v %v", got, err)
		}
	}
	try.IdempotencyKey = ""
	if got, err := d.CheckContact(ctx, try); err == nil && got.Approved {
		t.Fatalf("a code counts twice: %+v", got)
	}
}

// A person who had codes stopped at their contact has them sent again, signed in.
//
// Keeps: D.2, S26
func TestAnApplicationsOwnerUnblocks(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	at := visitorAt("192.0.2.44")
	ann := d.Session(d.signUp("ann@mail.example", words, at).Session)
	s, err := d.Prove(ctx, "ann@mail.example", at)
	must(t, err)
	s, err = d.Send(ctx, s.Flow, "", at)
	must(t, err)
	s, err = d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Code: d.code("ann@mail.example"), Visitor: at})
	must(t, err)
	must(t, d.StopCodesTo(ctx, s.Flow, "block"))
	if sent, err := d.SentTo(ctx, s.Flow); err != nil || sent.BlockedUntil.IsZero() {
		t.Fatalf("%+v %v", sent, err)
	}
	a, err := ann.Account(ctx)
	must(t, err)
	must(t, ann.Unblock(ctx, a.Contacts[0].ID, at))
	if sent, err := d.SentTo(ctx, s.Flow); err != nil || !sent.BlockedUntil.IsZero() {
		t.Fatalf("%+v %v", sent, err)
	}
	_, err = d.Begin(ctx, client.BeginRequest{To: "ann@mail.example", Purpose: "sign_in"})
	must(t, err)
	d.code("ann@mail.example")
}

// Somebody without an account gets codes by another's mistake: they prove the contact, see what was sent, and stop it.
//
// Keeps: D.2, S23
func TestAnApplicationsStranger(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	at := visitorAt("192.0.2.60")
	_, err := d.Begin(ctx, client.BeginRequest{To: "bob@mail.example", Purpose: "sign_in"})
	must(t, err)
	d.code("bob@mail.example")
	s, err := d.Prove(ctx, "bob@mail.example", at)
	must(t, err)
	s, err = d.Send(ctx, s.Flow, "", at)
	must(t, err)
	s, err = d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Code: d.code("bob@mail.example"), Visitor: at})
	must(t, err)
	flow := s.Flow
	var sent *client.SentMessages
	d.soon(func() bool { // those whose sending isn't written down yet are not in it
		sent, err = d.SentTo(ctx, flow)
		must(t, err)
		return len(sent.Messages) >= 2
	})
	if len(sent.Messages) < 2 || sent.Messages[0].Purpose != "" || !sent.BlockedUntil.IsZero() {
		t.Fatalf("%+v", sent)
	}
	must(t, d.StopCodesTo(ctx, flow, "block"))
	if sent, err = d.SentTo(ctx, flow); err != nil || sent.BlockedUntil.IsZero() {
		t.Fatalf("%+v %v", sent, err)
	}
	v, err := d.Begin(ctx, client.BeginRequest{To: "bob@mail.example", Purpose: "sign_in"}) // whoever asks isn't told
	must(t, err)
	if why, err := d.Diagnose(ctx, v.ID); err != nil || why.Detail != "blocked_by_owner" {
		t.Fatalf("%+v %v", why, err)
	}
	must(t, d.StopCodesTo(ctx, flow, "unblock"))
	other, err := d.Prove(ctx, "bob@mail.example", at)
	must(t, err)
	must(t, d.Drop(ctx, other.Flow, at))
}

// A report with a picture, by a person and by somebody unknown, and what became of them.
//
// Keeps: E.3
func TestAnApplicationsReports(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	done := d.signUp("ann@mail.example", words, visitorAt("192.0.2.44"))
	ann := d.Session(done.Session)
	var picture bytes.Buffer
	must(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 40, 20))))
	report := client.NewReport{Kind: "message", Channel: "sms", Sender: "+14155550199", Text: "Pay at https://trap.bad.example/", Country: "GB", ReceivedAt: time.Now().Add(-time.Hour)}
	mine, err := ann.Report(ctx, report)
	must(t, err)
	if mine, err = ann.AddScreenshot(ctx, mine.ID, picture.Bytes()); err != nil || !mine.Screenshot || len(mine.Elsewhere) == 0 {
		t.Fatalf("%+v %v", mine, err)
	}
	report.Visitor = visitorAt("203.0.113.9")
	theirs, err := d.Report(ctx, report)
	must(t, err)
	if theirs.Token == "" {
		t.Fatalf("%+v", theirs)
	}
	if got, err := d.AddScreenshot(ctx, theirs.ID, picture.Bytes()); err != nil || !got.Screenshot {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err = d.AddScreenshot(ctx, theirs.ID, []byte("no picture")); err == nil {
		t.Fatal("a text is taken for a picture")
	}
	if got, err := d.ReportStatus(ctx, theirs.ID, theirs.Token); err != nil || got.Status != "received" {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err = d.ReportStatus(ctx, theirs.ID, mine.ID); err == nil {
		t.Fatal("any token will do")
	}
	if got, err := d.ReportOf(ctx, mine.ID); err != nil || got.ID != mine.ID {
		t.Fatalf("%+v %v", got, err)
	}
	all, err := d.Reports(ctx, done.Account)
	must(t, err)
	own, err := ann.Reports(ctx)
	must(t, err)
	places, err := d.ReportPlaces(ctx, "GB")
	must(t, err)
	if len(all) != 1 || len(own) != 1 || own[0].ID != mine.ID || len(places) == 0 || places[0].Country != "GB" {
		t.Fatalf("%+v %+v %+v", all, own, places)
	}
}

// A depot's day and the keys of its proofs, as an application reads them; an old proof is still good after a rotation.
//
// Keeps: H.5, H.6
func TestAnApplicationsDepot(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	id, code := d.atTheDoor("1182")
	act, err := d.Act(ctx, id, client.Act{Courier: "Kim 17", Do: "code", Code: code})
	must(t, err)
	if act.Result != "handed_over" {
		t.Fatalf("%+v", act)
	}
	proof, err := d.Proof(ctx, id)
	must(t, err)
	before, err := d.ProofKeys(ctx, "demo")
	must(t, err)
	after, err := d.RotateProofKey(ctx)
	must(t, err)
	keys := func(set json.RawMessage) (kids []string) {
		t.Helper()
		var s struct{ Keys []struct{ Kid, D string } }
		must(t, json.Unmarshal(set, &s))
		for _, k := range s.Keys {
			if kids = append(kids, k.Kid); k.D != "" {
				t.Fatal("a private key is published")
			}
		}
		return kids
	}
	if a, b := keys(before), keys(after); len(a) != 1 || len(b) != 2 || !strings.Contains(strings.Join(b, " "), a[0]) || proof == "" {
		t.Fatalf("%v, then %v", a, b)
	}
	h, err := d.CreateHandover(ctx, d.parcel("1183"))
	must(t, err)
	r, err := d.OpenRound(ctx, client.NewRound{Depot: "Lyon 3", Courier: "Kim 17", TimeZone: "UTC", Handovers: []string{h.ID}})
	must(t, err)
	if _, err = d.DepotDay(ctx, "Lyon 3", "", "UTC"); err != nil { // today, which may have turned since
		t.Fatal(err)
	}
	day, err := d.DepotDay(ctx, "Lyon 3", r.Round.Date, "UTC")
	must(t, err)
	if len(day.Rounds) == 1 && (len(day.Rounds[0].Parcels) != 1 || day.Rounds[0].Parcels[0].ID != h.ID || day.Rounds[0].Parcels[0].Parcel != 1 || day.Rounds[0].Parcels[0].Until.IsZero()) {
		t.Fatalf("%+v", day.Rounds[0].Parcels)
	}
	if len(day.Rounds) != 1 || day.Rounds[0].ID != r.Round.ID || !day.Rounds[0].Current || day.Rounds[0].Name != "Kim 17" || day.Date != r.Round.Date {
		t.Fatalf("%+v", day)
	}
	if day, err = d.DepotDay(ctx, "Lyon 3", "2020-01-01", "UTC"); err != nil || len(day.Rounds) != 0 {
		t.Fatalf("%+v %v", day, err)
	}
}
