// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/otp"
)

// desk is an application with its key, and the clock of the server that it asks.
type desk struct {
	*testing.T
	*client.Client
	url, key string
	offset   atomic.Int64
	mails    map[string]int // how many codes were taken, by contact
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{T: t, mails: map[string]int{}}
	d.url, d.key = startAt(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"), func() time.Duration { return time.Duration(d.offset.Load()) })
	d.Client = client.New(d.url, d.key)
	return d
}

func (d *desk) pass(by time.Duration) { d.offset.Add(int64(by)) }
func (d *desk) now() time.Time        { return time.Now().Add(time.Duration(d.offset.Load())) }

// code waits for the next code to somebody.
func (d *desk) code(to string) string {
	d.Helper()
	for n := 1; ; n++ {
		await(d.T, d.url, n)
		res, err := http.Get(d.url + "/inbox/messages.json")
		must(d.T, err)
		var list []letter
		err = json.NewDecoder(res.Body).Decode(&list)
		_ = res.Body.Close()
		must(d.T, err)
		codes := slices.DeleteFunc(list, func(l letter) bool { return l.To != to || l.Code == "" })
		if len(codes) > d.mails[to] {
			d.mails[to] = len(codes)
			return codes[0].Code
		}
		n = max(n, len(list))
	}
}

// visitor is somebody at a browser that no account knows.
func visitorAt(ip string) client.Visitor {
	return client.Visitor{IP: ip, UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Language: "en"}
}

// signUp makes an account and returns what its first session has.
func (d *desk) signUp(contact, password string, v client.Visitor) *client.Done {
	d.Helper()
	s, err := d.SignUp(d.Context(), contact, password, v)
	must(d.T, err)
	s, err = d.Answer(d.Context(), client.FlowRequest{Flow: s.Flow, Code: d.code(contact), Visitor: v})
	return answered(d.T, s, err).Done
}

// sent asks for a flow's code and types it.
func (d *desk) sent(person *client.Session, s *client.Step, err error, to string, v client.Visitor) *client.Done {
	d.Helper()
	must(d.T, err)
	if s.Next != "send" {
		d.Fatalf("%s asks for %s and sends by itself", s.Kind, s.Next)
	}
	s, err = d.Send(d.Context(), s.Flow, "", v)
	must(d.T, err)
	s, err = person.Answer(d.Context(), client.FlowRequest{Flow: s.Flow, Code: d.code(to), Visitor: v})
	return answered(d.T, s, err).Done
}

// wants fails unless a request was refused for a reason.
func wants(t *testing.T, err error, code string) {
	t.Helper()
	if got := problemCode(err); got != code {
		t.Fatalf("%v, want %s", err, code)
	}
}

const (
	words    = "kelp roof lantern river"
	newWords = "seven paper boats at noon"
)

// An application's own "Login & Security": every method, contact, device and session, and what each change asks for.
// Keeps: B.2, B.3, B.5, C.2, F.2, F.3
func TestTheSecurityCentreByAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx, v := t.Context(), visitorAt("192.0.2.44")
	done := d.signUp("ann@mail.example", words, v)
	ann := d.Session(done.Session)

	// Sensitive changes want a proof that is fresh; giving it changes the session's token.
	d.pass(11 * time.Minute)
	_, err := ann.AddContact(ctx, "+1 415 555 0121", "", v)
	wants(t, err, "step_up_needed")
	s, err := ann.StepUp(ctx, v)
	must(t, err)
	if s.Next != "password" {
		t.Fatalf("%+v", s)
	}
	wrong, err := ann.Answer(ctx, client.FlowRequest{Flow: s.Flow, Password: "not these words", Visitor: v})
	must(t, err)
	if wrong.Problem == nil || wrong.Problem.Code != "wrong_password" || wrong.Problem.Message == "" {
		t.Fatalf("%+v", wrong.Problem)
	}
	_, err = d.Answer(ctx, client.FlowRequest{Flow: wrong.Flow, Password: words, Visitor: v})
	wants(t, err, "signed_out") // the flow is that session's, and this request had none
	s, err = ann.Answer(ctx, client.FlowRequest{Flow: wrong.Flow, Password: words, Visitor: v})
	token := answered(t, s, err).Done.Session
	_, err = ann.Account(ctx)
	wants(t, err, "signed_out")
	ann = d.Session(token)

	// A phone, then its codes as the second step.
	s, err = ann.AddContact(ctx, "+1 415 555 0121", "", v)
	phone := d.sent(ann, s, err, "+14155550121", v).ID
	d.pass(time.Minute)
	s, err = ann.AddCodes(ctx, phone, v)
	codes := d.sent(ann, s, err, "+14155550121", v).RecoveryCodes
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes", len(codes))
	}
	must(t, ann.Rename(ctx, phone, "Mine"))
	wants(t, ann.StopCodes(ctx, phone, v), "last_method")
	a, err := ann.Account(ctx)
	must(t, err)
	if !a.TwoStep || len(a.Contacts) != 2 || a.Contacts[1].Name != "Mine" || !a.Contacts[1].Codes || a.RecoveryLeft != 10 || a.Ways[0].Method != "sms" ||
		len(a.Sessions) != 1 || !a.Sessions[0].Current || a.Sessions[0].Place != "the network 192.0.2.0/24" || a.Devices[0].Device != "Firefox on Linux" {
		t.Fatalf("%+v", a)
	}
	wants(t, ann.SetDefault(ctx, "r"), "not_there")
	must(t, ann.SetDefault(ctx, phone))

	// On another device by a recovery code, which works once, and trusted from then on.
	d.pass(time.Minute)
	other := visitorAt("198.51.100.7")
	byCode := func(code string) (*client.Step, error) {
		s, err := d.SignIn(ctx, "Ann@mail.example", words, other)
		must(t, err)
		if s.Next != "code" {
			t.Fatalf("%+v", s)
		}
		d.code("+14155550121") // the sign-in texted one, which mustn't be taken for a later one
		s, err = d.Choose(ctx, s.Flow, "r")
		must(t, err)
		return d.Answer(ctx, client.FlowRequest{Flow: s.Flow, Code: code, Trust: true, Visitor: other})
	}
	s, err = byCode(strings.ToUpper(codes[3]))
	second := answered(t, s, err).Done
	d.pass(time.Minute)
	if s, err = byCode(codes[3]); err != nil || s.Problem == nil || s.Problem.Code != "wrong_recovery_code" {
		t.Fatalf("a recovery code twice: %+v, %v", s, err)
	}
	other.Devices = []string{second.Device}
	s, err = d.SignIn(ctx, "ann@mail.example", words, other)
	third := answered(t, s, err).Done
	if s.Next != "done" || third == nil {
		t.Fatalf("a trusted device is asked: %+v", s)
	}

	// Sessions and devices end one by one and all at once.
	a, err = ann.Account(ctx)
	must(t, err)
	if len(a.Sessions) != 3 || len(a.Devices) != 2 || a.Devices[0].TrustedUntil.IsZero() {
		t.Fatalf("%+v %+v", a.Sessions, a.Devices)
	}
	must(t, ann.ForgetDevice(ctx, a.Devices[0].ID, v))
	_, err = d.Session(third.Session).Account(ctx)
	wants(t, err, "signed_out")
	wants(t, ann.ForgetDevice(ctx, a.Devices[0].ID, v), "not_there")
	must(t, ann.SignOut(ctx, "others", v))
	wants(t, ann.SignOut(ctx, "s99", v), "not_there")

	// Off, with a proof by the second step; then a new password, a language, the data, the end.
	d.pass(11 * time.Minute)
	wants(t, ann.TurnOff(ctx, v), "step_up_needed")
	s, err = ann.StepUp(ctx, v)
	ann = d.Session(d.sent(ann, s, err, "+14155550121", v).Session)
	must(t, ann.TurnOff(ctx, v))
	must(t, ann.ChangePassword(ctx, newWords, v))
	wants(t, ann.ChangePassword(ctx, "short", v), "password_too_short")
	wants(t, ann.SetLocale(ctx, "tlh"), "invalid_locale")
	must(t, ann.SetLocale(ctx, "de"))
	data, err := ann.Export(ctx)
	must(t, err)
	for _, part := range []string{"ann@mail.example", "+14155550121", `"locale":"de"`, "two_step_off", "password_changed", "192.0.2.44"} {
		if !strings.Contains(string(data), part) {
			t.Errorf("the export has no %s: %s", part, data)
		}
	}
	if strings.Contains(string(data), token) || strings.Contains(string(data), codes[5]) {
		t.Error("the export has secrets")
	}
	must(t, ann.Remove(ctx, phone, v))
	a, err = ann.Account(ctx)
	must(t, err)
	wants(t, ann.Remove(ctx, a.Contacts[0].ID, v), "last_contact")
	if len(a.Undos) == 0 {
		t.Fatal("nothing can be undone")
	}
	must(t, ann.Close(ctx, v))
	_, err = ann.Account(ctx)
	wants(t, err, "signed_out")
	_, err = d.SignIn(ctx, "ann@mail.example", newWords, v)
	wants(t, err, "wrong_password")
}

// Accounts of another system keep their passwords, whose hashes are made stronger by the first sign-in. The application locks, signs out and closes.
// Keeps: B.1
func TestAnApplicationsOwnAccounts(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx, v := t.Context(), visitorAt("192.0.2.44")
	sum, err := bcrypt.GenerateFromPassword([]byte(words), bcrypt.MinCost)
	must(t, err)
	n := client.NewAccount{Contacts: []string{"bea@mail.example", "0171 2345678"}, DefaultRegion: "DE", PasswordHash: string(sum), Reference: "42", Locale: "de"}
	a, err := d.CreateAccount(ctx, n)
	must(t, err)
	if a.Reference != "42" || a.PasswordAlone || a.Contacts[0].Value != "" || a.Contacts[1].Kind != "phone" {
		t.Fatalf("%+v", a)
	}
	_, err = d.CreateAccount(ctx, n)
	wants(t, err, "contact_taken")
	s, err := d.SignIn(ctx, "+49 171 2345678", words, v)
	bea := d.Session(answered(t, s, err).Done.Session)
	a, err = d.Account(ctx, a.ID)
	must(t, err)
	if !a.PasswordAlone {
		t.Fatal("the hash is still the old one")
	}
	s, err = d.SignIn(ctx, "bea@mail.example", words, v)
	answered(t, s, err)

	must(t, d.LockAccount(ctx, a.ID))
	_, err = bea.Account(ctx)
	wants(t, err, "signed_out")
	_, err = d.SignIn(ctx, "bea@mail.example", words, v)
	wants(t, err, "account_locked")
	_, err = d.SignIn(ctx, "bea@mail.example", "anything else", v)
	wants(t, err, "wrong_password") // who doesn't know the password isn't told
	must(t, d.UnlockAccount(ctx, a.ID))
	s, err = d.SignIn(ctx, "bea@mail.example", words, v)
	bea = d.Session(answered(t, s, err).Done.Session)
	must(t, d.SignOutAccount(ctx, a.ID))
	_, err = bea.Account(ctx)
	wants(t, err, "signed_out")

	entry, err := d.AddActivity(ctx, a.ID, client.AppEvent{Type: "payment", Text: "EUR 39.99 to Rad & Tattoo", IP: "203.0.113.9", Device: "the app on Android"})
	must(t, err)
	found, err := d.FindAccount(ctx, "BEA@mail.example")
	must(t, err)
	if found.ID != a.ID {
		t.Fatal(found.ID)
	}
	s, err = d.SignIn(ctx, "bea@mail.example", words, v)
	bea = d.Session(answered(t, s, err).Done.Session)
	seen, err := bea.Activity(ctx, 0)
	must(t, err)
	at := slices.IndexFunc(seen.Entries, func(e client.Entry) bool { return e.ID == entry })
	if at < 0 || seen.Entries[at].Type != "payment" || seen.Entries[at].Place != "the network 203.0.113.0/24" || seen.Entries[at].IP != "203.0.113.9" || !seen.Entries[at].CanNotMe {
		t.Fatalf("%+v", seen.Entries)
	}
	looked := slices.IndexFunc(seen.Entries, func(e client.Entry) bool { return e.Kind == "looked_at" && strings.HasPrefix(e.What, "api:") })
	if looked < 0 {
		t.Fatal("the application's look isn't seen")
	}
	wants(t, bea.NotMe(ctx, seen.Entries[looked].ID, v), "not_markable")
	wants(t, bea.NotMe(ctx, 9999, v), "not_there")
	must(t, bea.NotMe(ctx, entry, v))
	heard(t, d.Client, a.ID, entry)
	theirs, err := d.AccountActivity(ctx, a.ID, 0)
	must(t, err)
	if i := slices.IndexFunc(theirs.Entries, func(e client.Entry) bool { return e.ID == entry }); i < 0 || !theirs.Entries[i].NotMe || theirs.Entries[i].IP != "" {
		t.Fatalf("%+v", theirs.Entries)
	}
	for range 30 {
		_, err = d.AddActivity(ctx, a.ID, client.AppEvent{Type: "order", Text: "One more"})
		must(t, err)
	}
	page, err := d.AccountActivity(ctx, a.ID, 0)
	must(t, err)
	older, err := d.AccountActivity(ctx, a.ID, page.Before)
	must(t, err)
	if page.Before == 0 || len(older.Entries) == 0 || older.Entries[0].ID >= page.Entries[len(page.Entries)-1].ID {
		t.Fatalf("pages: %d, then %+v", page.Before, older.Entries)
	}
	must(t, d.CloseAccount(ctx, a.ID))
	_, err = d.Account(ctx, a.ID)
	wants(t, err, "account_not_found")
	_, err = d.CreateAccount(ctx, n) // its contacts are free again
	must(t, err)
}

var varies = regexp.MustCompile(`"diagnosis":\{"cause":"delayed"[^]]*\],"evidence":[^]]*\]\},?|"(flow|id|at|wait_seconds|[a-z_]*_at|[a-z_]*_in_seconds|until|instance)":("[^"]*"|\d+),?`)

// Whoever asks by an application's pages learns nothing about who has an account.
// Keeps: S16
func TestTheAPITellsNobodyWhoExists(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	v := map[string]any{"ip": "192.0.2.44", "user_agent": "x"}
	d.signUp("ann@mail.example", words, client.Visitor{})
	with := d.Session(d.signUp("bob@mail.example", words, client.Visitor{}).Session)
	s, err := with.AddApp(t.Context(), "", true, client.Visitor{})
	must(t, err)
	secret, err := otp.ParseSecret(s.Setup.Secret)
	must(t, err)
	s, err = with.Answer(t.Context(), client.FlowRequest{Flow: s.Flow, Code: (&otp.TOTP{Secret: secret}).At(d.now()).Reveal()})
	answered(t, s, err)

	// talk asks for one contact and returns what was answered, without what differs from one request to the next.
	talk := func(name string) []string {
		var said []string
		flow := ""
		alike := strings.NewReplacer(name[:1]+"...", "?...", `"queued"`, `"sent"`) // whether it is sent already is a matter of milliseconds
		ask := func(path string, body map[string]any) {
			body["visitor"] = v
			if flow != "" && body["contact"] == nil {
				body["flow"] = flow
			}
			var reply json.RawMessage
			status := ask(t, "POST", d.url+"/v1/flows/"+path, d.key, body, nil, &reply)
			var next struct{ Flow string }
			must(t, json.Unmarshal(reply, &next))
			if next.Flow != "" {
				flow = next.Flow
			}
			said = append(said, path+" "+http.StatusText(status)+" "+alike.Replace(varies.ReplaceAllString(string(reply), "")))
		}
		contact := func() map[string]any { return map[string]any{"contact": name} }
		for range 3 {
			ask("sign-in", map[string]any{"contact": name, "password": "not the password"})
		}
		ask("sign-up", map[string]any{"contact": name, "password": newWords})
		ask("look", map[string]any{})
		ask("answer", map[string]any{"code": "12"})
		ask("answer", map[string]any{"code": "000000"})
		ask("send", map[string]any{})
		ask("forgot", contact())
		ask("send", map[string]any{})
		ask("answer", map[string]any{"code": "000001"})
		ask("recover", contact())
		ask("choose", map[string]any{"way": "w"})
		ask("answer", map[string]any{"password": "still not it"})
		ask("choose", map[string]any{"way": "r"})
		ask("answer", map[string]any{"code": "abcd-efgh-jkmn-pqrs"})
		ask("choose", map[string]any{"way": "x"})
		ask("send", map[string]any{})
		ask("answer", map[string]any{"code": "000002"})
		ask("recover-alone", map[string]any{})
		ask("link", map[string]any{"contact": name, "key": "AAAA-AAAA-AAAAA"})
		return said
	}
	nobody := talk("eve@mail.example")
	for i, line := range nobody {
		t.Log(i, line)
	}
	for _, name := range []string{"ann@mail.example", "bob@mail.example"} {
		for i, line := range talk(name) {
			if line != nobody[i] {
				t.Errorf("%s is known by its answer:\n%s\n%s", name, line, nobody[i])
			}
		}
	}
}
