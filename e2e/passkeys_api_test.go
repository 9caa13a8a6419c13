// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/testkit/authenticator"
)

// notice waits for a message to somebody with a word in its subject and returns the token of its link.
func (d *desk) notice(to, has string) string {
	d.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(d.url + "/inbox/messages.json")
		must(d.T, err)
		var list []mail
		err = json.NewDecoder(res.Body).Decode(&list)
		_ = res.Body.Close()
		must(d.T, err)
		for _, m := range list {
			if _, token, ok := strings.Cut(m.Link, "?t="); ok && m.To == to && strings.Contains(m.Subject, has) {
				return token
			}
		}
	}
	d.Fatalf("no notice to %s with %q", to, has)
	return ""
}

// A passkey as the whole account, as a second step and as the whole sign-in, by an application's own pages.
// Keeps: B.4
func TestPasskeysByAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx, v := t.Context(), visitorAt("192.0.2.44")
	origin := strings.Replace(d.url, "127.0.0.1", "localhost", 1)

	// Nothing but a passkey, and the recovery codes in case it is lost.
	key := authenticator.New(t, origin)
	s, err := d.SignUpPasskey(ctx, "Phone", v)
	must(t, err)
	if s.Next != "passkey" {
		t.Fatalf("%+v", s)
	}
	s, err = d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Passkey: key.Create(t, s.Passkey), Visitor: v})
	only := answered(t, s, err).Done
	if len(only.RecoveryCodes) != 10 {
		t.Fatalf("%d recovery codes", len(only.RecoveryCodes))
	}
	in := func(key *authenticator.Authenticator) (*client.Step, error) {
		s, err := d.SignInPasskey(ctx, v)
		must(t, err)
		return d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Passkey: key.Get(t, s.Passkey), Visitor: v})
	}
	s, err = in(key)
	if again := answered(t, s, err).Done; again.Account != only.Account {
		t.Fatal("the passkey signs in to another account")
	}
	stranger := authenticator.New(t, origin)
	stranger.Handle = key.Handle
	if s, err = in(stranger); err == nil && s.Next == "done" {
		t.Fatal("a key that nobody made gets in")
	}
	lone := d.Session(only.Session)
	fresh, err := lone.NewRecoveryCodes(ctx, v)
	must(t, err)
	if len(fresh) != 10 || fresh[0] == only.RecoveryCodes[0] {
		t.Fatalf("new recovery codes: %d", len(fresh))
	}

	// A second step beside a password. A look changes nothing, and a passkey of another site is none.
	cat := d.Session(d.signUp("cat@mail.example", words, v).Session)
	second := authenticator.New(t, origin)
	s, err = cat.AddPasskey(ctx, "Laptop", true, v)
	must(t, err)
	s, err = cat.Answer(ctx, client.FlowRequest{Flow: s.Flow, Passkey: second.Create(t, s.Passkey), Visitor: v})
	answered(t, s, err)
	s, err = d.SignIn(ctx, "cat@mail.example", words, v)
	must(t, err)
	looked, err := d.Look(ctx, s.Flow)
	must(t, err)
	if s.Next != "passkey" || looked.Next != "passkey" || looked.Kind != "sign_in" {
		t.Fatalf("%+v, then %+v", s, looked)
	}
	elsewhere := *second
	elsewhere.Origin = "http://localhost.evil.test"
	wrong, err := d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Passkey: elsewhere.Get(t, s.Passkey), Visitor: v})
	must(t, err)
	if wrong.Problem == nil || wrong.Next != "passkey" {
		t.Fatalf("a passkey of another site: %+v", wrong)
	}
	s, err = d.Answer(ctx, client.FlowRequest{Flow: wrong.Flow, Passkey: second.Get(t, wrong.Passkey), Visitor: v})
	if answered(t, s, err).Done == nil {
		t.Fatalf("%+v", s)
	}
}

// Somebody recovers an account and is stopped by its notice; a change is undone by its own.
// Keeps: B.5, B.6, S18, S20
func TestRecoveryAndUndoByAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx, v, thief := t.Context(), visitorAt("192.0.2.44"), visitorAt("198.51.100.66")
	dan := d.Session(d.signUp("dan@mail.example", words, v).Session)

	// A proof comes first; with one alone it takes a week and everybody is told.
	s, err := d.Recover(ctx, "dan@mail.example", thief)
	must(t, err)
	_, err = d.RecoverAlone(ctx, s.Flow, thief)
	wants(t, err, "proof_needed")
	by := slices.IndexFunc(s.Ways, func(w client.Way) bool { return w.Method == "password" })
	if by < 0 {
		t.Fatalf("%+v", s.Ways)
	}
	s, err = d.Choose(ctx, s.Flow, s.Ways[by].ID)
	must(t, err)
	s, err = d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Password: words, Visitor: thief})
	s = answered(t, s, err)
	if s.Proven != 1 || s.Next == "new_password" {
		t.Fatalf("%+v", s)
	}
	s, err = d.RecoverAlone(ctx, s.Flow, thief)
	must(t, err)
	if left := s.Until.Sub(d.now()); s.Next != "wait" || left < 6*24*time.Hour {
		t.Fatalf("%s, for %s", s.Next, left)
	}
	token := d.notice("dan@mail.example", "recovering your account")
	change, err := d.LookLink(ctx, token)
	must(t, err)
	if change.Kind != "recovery_started" || change.Asked == "" {
		t.Fatalf("%+v", change)
	}
	must(t, d.StopRecovery(ctx, token, v))
	wants(t, d.StopRecovery(ctx, token, v), "link_ended")
	wants(t, dan.StopRecovery(ctx, v), "not_there")

	// A contact is confirmed again, another added; the notice of the change undoes it.
	a, err := dan.Account(ctx)
	must(t, err)
	s, err = dan.ConfirmContact(ctx, a.Contacts[0].ID, v)
	d.sent(dan, s, err, "dan@mail.example", v)
	s, err = dan.AddContact(ctx, "+1 415 555 0121", "", v)
	d.sent(dan, s, err, "+14155550121", v)
	d.pass(time.Minute)
	s, err = d.SignIn(ctx, "dan@mail.example", words, thief)
	crook := d.Session(answered(t, s, err).Done.Session)
	must(t, crook.ChangePassword(ctx, newWords, thief))
	token = d.notice("dan@mail.example", "password was changed")
	change, err = d.LookLink(ctx, token)
	must(t, err)
	if change.Kind != "password_changed" {
		t.Fatalf("%+v", change)
	}
	s, err = d.Undo(ctx, token, v)
	must(t, err)
	_, err = crook.Account(ctx)
	wants(t, err, "signed_out")
	d.pass(time.Minute)
	for _, way := range s.Ways {
		if way.Method == "sms" {
			s, err = d.Send(ctx, s.Flow, way.ID, v)
			must(t, err)
			s, err = d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Code: d.code("+14155550121"), Visitor: v})
			s = answered(t, s, err)
			break
		}
	}
	if s.Next != "new_password" && s.Next != "done" {
		t.Fatalf("%+v", s)
	}
	_, err = d.SignIn(ctx, "dan@mail.example", newWords, thief)
	wants(t, err, "wrong_password")
}
