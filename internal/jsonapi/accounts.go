// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"context"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/place"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// sessionHeader carries a person's session beside the application's key.
const sessionHeader = "Countersign-Session"

// accountRoutes is what an application needs to build its own pages, and what staff do.
func accountRoutes() []route {
	verify, look := []service.Scope{service.ScopeVerify}, []service.Scope{service.ScopeAccount, service.ScopeSupport}
	own, manage := []service.Scope{service.ScopeAccount}, []service.Scope{service.ScopeManage}
	return []route{
		{"POST", "/v1/flows/sign-up", byKey, verify, "Sign up: send a code to prove the contact", SignUpBody{}, Step{}, 200, (*API).signUp},
		{"POST", "/v1/flows/sign-up-passkey", byKey, verify, "Sign up with a passkey alone", PasskeyBody{}, Step{}, 200, (*API).signUpPasskey},
		{"POST", "/v1/flows/sign-in", byKey, verify, "Sign in: judge the password, and send the code if there is a second step", SignInBody{}, Step{}, 200, (*API).signIn},
		{"POST", "/v1/flows/sign-in-passkey", byKey, verify, "Sign in with a passkey alone", PasskeyBody{}, Step{}, 200, (*API).signInPasskey},
		{"POST", "/v1/flows/forgot", byKey, verify, "A new password; nothing is sent yet", NamedBody{}, Step{}, 200, (*API).forgot},
		{"POST", "/v1/flows/recover", byKey, verify, "Get back into an account; nothing is sent yet", NamedBody{}, Step{}, 200, (*API).recover},
		{"POST", "/v1/flows/recover-alone", byKey, verify, "Recover with the one proof that there is: a week, and two agents decide", FlowBody{}, Step{}, 200, (*API).recoverAlone},
		{"POST", "/v1/flows/link", byKey, verify, "What the token of a notice would undo or stop; nothing is changed", LinkBody{}, Change{}, 200, (*API).lookLink},
		{"POST", "/v1/flows/undo", byKey, verify, "Undo a change by the token of its notice; it freezes further changes", LinkBody{}, Step{}, 200, (*API).undo},
		{"POST", "/v1/flows/stop", byKey, verify, "Stop a recovery by the token of its notice", LinkBody{}, nil, 204, (*API).stop},
		{"POST", "/v1/flows/look", byKey, verify, "Where a flow stands", FlowBody{}, Step{}, 200, (*API).flowLook},
		{"POST", "/v1/flows/choose", byKey, verify, "Go on by another way; nothing is sent", FlowBody{}, Step{}, 200, (*API).flowChoose},
		{"POST", "/v1/flows/send", byKey, verify, "Send the flow's code, or send it again", FlowBody{}, Step{}, 200, (*API).flowSend},
		{"POST", "/v1/flows/answer", byKey, verify, "Judge what the person gave; of a signed-in person's flow with their session", AnswerBody{}, Step{}, 200, (*API).flowAnswer},

		{"GET", "/v1/session", byPerson, verify, "The account of the signed-in person", nil, Account{}, 200, (*API).session},
		{"PATCH", "/v1/session", byPerson, verify, "Choose the language of messages and pages", LocaleBody{}, nil, 204, (*API).setLocale},
		{"POST", "/v1/session/step-up", byPerson, verify, "Prove anew who it is, before a sensitive change", ByBody{}, Step{}, 200, (*API).stepUp},
		{"POST", "/v1/session/sign-out", byPerson, verify, "Sign out here, at another place, or everywhere else", ByBody{}, nil, 204, (*API).signOut},
		{"GET", "/v1/session/activity", byPerson, verify, "The person's activity", nil, Activity{}, 200, (*API).ownActivity},
		{"POST", "/v1/session/activity/{id}/not-me", byPerson, verify, "This wasn't me: everything else is signed out", ByBody{}, nil, 204, (*API).notMe},
		{"POST", "/v1/session/methods/app", byPerson, verify, "Add an authenticator app", MethodBody{}, Step{}, 200, (*API).addApp},
		{"POST", "/v1/session/methods/passkey", byPerson, verify, "Add a passkey or security key", MethodBody{}, Step{}, 200, (*API).addPasskey},
		{"POST", "/v1/session/methods/codes", byPerson, verify, "Take codes at a contact as a second step", MethodBody{}, Step{}, 200, (*API).addCodes},
		{"PATCH", "/v1/session/methods/{id}", byPerson, verify, "Rename a method, contact or device, or ask for a way first", ChangeMethodBody{}, nil, 204, (*API).changeMethod},
		{"DELETE", "/v1/session/methods/{id}", byPerson, verify, "Remove a method or a contact", ByBody{}, nil, 204, (*API).removeMethod},
		{"POST", "/v1/session/methods/{id}/stop", byPerson, verify, "Take no more codes at a contact", ByBody{}, nil, 204, (*API).stopCodes},
		{"POST", "/v1/session/two-step/off", byPerson, verify, "Turn two-step verification off", ByBody{}, nil, 204, (*API).turnOff},
		{"POST", "/v1/session/recovery-codes", byPerson, verify, "New recovery codes", ByBody{}, RecoveryCodes{}, 200, (*API).recoveryCodes},
		{"POST", "/v1/session/password", byPerson, verify, "A new password; other sessions end", PasswordBody{}, nil, 204, (*API).changePassword},
		{"POST", "/v1/session/contacts", byPerson, verify, "Add a contact; nothing is sent yet", AddContactBody{}, Step{}, 200, (*API).addContact},
		{"POST", "/v1/session/contacts/{id}/confirm", byPerson, verify, "Prove again that a contact is theirs", ByBody{}, Step{}, 200, (*API).confirmContact},
		{"DELETE", "/v1/session/contacts/{id}", byPerson, verify, "Remove a contact", ByBody{}, nil, 204, (*API).removeMethod},
		{"DELETE", "/v1/session/devices/{id}", byPerson, verify, "Forget a device; all: every other", ByBody{}, nil, 204, (*API).revokeDevice},
		{"POST", "/v1/session/recovery/stop", byPerson, verify, "Stop a recovery of the account", ByBody{}, nil, 204, (*API).stopOwn},
		{"POST", "/v1/session/call", byPerson, verify, "Whether somebody from the service calls the person now: who, why, and the words that the caller has to say first", ByBody{}, Call{}, 200, (*API).ownCall},
		{"DELETE", "/v1/session/call", byPerson, verify, "That call isn't right: it ends, and who announced it sees that", ByBody{}, nil, 204, (*API).refuseCall},
		{"GET", "/v1/session/export", byPerson, verify, "Everything that is kept of the person", nil, Export{}, 200, (*API).export},
		{"POST", "/v1/session/close", byPerson, verify, "Close the account; it can be undone for 72 hours", ByBody{}, nil, 204, (*API).closeOwn},

		{"POST", "/v1/accounts", byKey, own, "Bring an account along, with the hash of its password", NewAccountBody{}, Account{}, 201, (*API).createAccount},
		{"GET", "/v1/accounts/{id}", byKey, look, "An account, contacts masked", nil, Account{}, 200, (*API).account},
		{"POST", "/v1/accounts/find", byKey, look, "The account that signs in with exactly this contact; its owner sees that you looked", FindBody{}, Account{}, 200, (*API).findAccount},
		{"POST", "/v1/accounts/{id}/lock", byKey, own, "Lock: nobody signs in", nil, nil, 204, (*API).lock},
		{"POST", "/v1/accounts/{id}/unlock", byKey, own, "Unlock", nil, nil, 204, (*API).unlock},
		{"POST", "/v1/accounts/{id}/sign-out", byKey, own, "End all sessions and the trust in devices", nil, nil, 204, (*API).signOutAll},
		{"POST", "/v1/accounts/{id}/close", byKey, own, "Close and forget, at once", nil, nil, 204, (*API).closeFor},
		{"GET", "/v1/accounts/{id}/activity", byKey, look, "An account's activity", nil, Activity{}, 200, (*API).activityOf},
		{"POST", "/v1/accounts/{id}/activity", byKey, own, "Add an event of yours: an order, a payment, a new address", AppendBody{}, Appended{}, 201, (*API).appendActivity},
		{"POST", "/v1/accounts/{id}/call", byKey, look, "Announce a call before you dial; its owner sees it for three minutes", CallBody{}, Call{}, 201, (*API).announce},
		{"GET", "/v1/accounts/{id}/call", byKey, look, "The call that was announced: whether its words were shown, and how it ended", nil, Call{}, 200, (*API).callState},
		{"DELETE", "/v1/accounts/{id}/call", byKey, look, "End the call that was announced", nil, nil, 204, (*API).endCall},

		{"GET", "/v1/staff", byKey, manage, "Who works for the service", nil, StaffList{}, 200, (*API).staff},
		{"POST", "/v1/staff", byKey, manage, "Invite somebody: they set their password by forgot, then a second step", StaffBody{}, Staff{}, 201, (*API).invite},
		{"DELETE", "/v1/staff/{id}", byKey, manage, "Remove somebody from the staff; their account is closed", nil, nil, 204, (*API).dismiss},
	}
}

// supportRoutes are those of staff, who show their own session instead of an API key.
func supportRoutes() []route {
	return []route{
		{"POST", "/v1/support/find", byStaff, nil, "The account that signs in with exactly this contact; its owner sees the look", FindBody{}, Account{}, 200, (*API).staffFind},
		{"GET", "/v1/support/accounts/{id}", byStaff, nil, "An account; its owner sees the look", nil, Account{}, 200, (*API).staffLook},
		{"GET", "/v1/support/accounts/{id}/activity", byStaff, nil, "Its activity", nil, Activity{}, 200, (*API).staffActivity},
		{"POST", "/v1/support/accounts/{id}/lock", byStaff, nil, "Lock", nil, nil, 204, (*API).staffLock},
		{"POST", "/v1/support/accounts/{id}/unlock", byStaff, nil, "Unlock", nil, nil, 204, (*API).staffUnlock},
		{"POST", "/v1/support/accounts/{id}/recovery", byStaff, nil, "Start a recovery: a week, and a second agent has to approve it", nil, nil, 204, (*API).startRecovery},
		{"POST", "/v1/support/accounts/{id}/recovery/approve", byStaff, nil, "Approve a recovery that agents decide; two of them have to", nil, nil, 204, (*API).approveRecovery},
		{"POST", "/v1/support/accounts/{id}/call", byStaff, nil, "Announce a call before you dial; its owner sees it for three minutes", CallBody{}, Call{}, 201, (*API).staffAnnounce},
		{"GET", "/v1/support/accounts/{id}/call", byStaff, nil, "The call that you announced: whether its words were shown, and how it ended", nil, Call{}, 200, (*API).staffCallState},
		{"DELETE", "/v1/support/accounts/{id}/call", byStaff, nil, "End the call that you announced", nil, nil, 204, (*API).staffEndCall},
		{"GET", "/v1/support/staff", byStaff, nil, "Who works for the service; for operators", nil, StaffList{}, 200, (*API).staffStaff},
		{"POST", "/v1/support/staff", byStaff, nil, "Invite somebody; for operators", StaffBody{}, Staff{}, 201, (*API).staffInvite},
		{"DELETE", "/v1/support/staff/{id}", byStaff, nil, "Remove somebody from the staff; for operators, and nobody removes themselves", nil, nil, 204, (*API).staffDismiss},
	}
}

// byStaff finds the member of staff whose session is shown; the service is named in a header.
func (a *API) byStaff(c *call) error {
	svc, ok := a.Registry.BySlug(c.Request.Header.Get("Countersign-Service"))
	if !ok {
		return account.ErrSignedOut
	}
	c.svc = svc
	c.By("", svc.Slug)
	var err error
	c.who, err = a.Accounts.Session(c.context(), svc, c.Request.Header.Get(sessionHeader), &account.Visitor{})
	return err
}

// maxVisitorText bounds each text of a visitor in bytes.
const maxVisitorText = 400

// visitor is the person as the application sees them.
func (a *API) visitor(v Visitor) (*account.Visitor, error) {
	for name, s := range map[string]string{"ip": v.IP, "user_agent": v.UserAgent, "device": v.Device, "place": v.Place, "language": v.Language} {
		if len(s) > maxVisitorText {
			return nil, fault.New(fault.Invalid, "visitor_too_long", fmt.Sprintf("Each text of visitor may have at most %d bytes.", maxVisitorText)).WithField("visitor." + name)
		}
	}
	if len(v.Devices) > account.MaxTokens {
		return nil, fault.New(fault.Invalid, "too_many_devices", fmt.Sprintf("A browser brings at most %d device tokens.", account.MaxTokens)).WithField("visitor.device_tokens")
	}
	out := &account.Visitor{IP: v.IP, UserAgent: v.UserAgent, Device: v.Device, Place: v.Place, Language: v.Language, Devices: v.Devices}
	if out.Device == "" && v.UserAgent != "" {
		out.Device = place.Device(v.UserAgent)
	}
	if out.Place == "" {
		out.Place = a.Places.Find(v.IP, v.Language).String()
	}
	return out, nil
}

// body reads a body and the visitor in it.
func (a *API) body(c *call, in any, who *Visitor) (*account.Visitor, error) {
	if _, err := httpx.ReadJSON(c.Exchange, in); err != nil {
		return nil, err
	}
	return a.visitor(*who)
}

// names reads a body with a contact, and runs what begins a flow for it.
func (a *API) names(c *call, in any, text, region *string, who *Visitor, begin func(contact.Contact, *account.Visitor) (*account.Step, error)) error {
	v, err := a.body(c, in, who)
	if err != nil {
		return err
	}
	to, err := a.contact(*text, *region, "contact")
	if err != nil {
		return err
	}
	s, err := begin(to, v)
	return a.step(c, s, err)
}

func (a *API) signUp(c *call) error {
	var in SignUpBody
	return a.names(c, &in, &in.Contact, &in.DefaultRegion, &in.Visitor, func(to contact.Contact, v *account.Visitor) (*account.Step, error) {
		return a.Accounts.SignUp(c.context(), c.svc, to, secret.NewText(in.Password), v)
	})
}

func (a *API) signIn(c *call) error {
	var in SignInBody
	return a.names(c, &in, &in.Contact, &in.DefaultRegion, &in.Visitor, func(to contact.Contact, v *account.Visitor) (*account.Step, error) {
		if in.Password == "" { // a mistake of the application, and no guess
			return nil, fault.New(fault.Invalid, "password_missing", "Give what the person typed as password.").WithField("password")
		}
		return a.Accounts.SignIn(c.context(), c.svc, to, secret.NewText(in.Password), v)
	})
}

func (a *API) signUpPasskey(c *call) error {
	var in PasskeyBody
	v, err := a.body(c, &in, &in.Visitor)
	if err != nil {
		return err
	}
	s, err := a.Accounts.SignUpPasskey(c.context(), c.svc, in.Name, v)
	return a.step(c, s, err)
}

func (a *API) signInPasskey(c *call) error {
	var in PasskeyBody
	v, err := a.body(c, &in, &in.Visitor)
	if err != nil {
		return err
	}
	s, err := a.Accounts.SignInPasskey(c.context(), c.svc, v)
	return a.step(c, s, err)
}

func (a *API) forgot(c *call) error {
	return a.lost(c, a.Accounts.Forgot)
}

func (a *API) recover(c *call) error {
	return a.lost(c, a.Accounts.Recover)
}

func (a *API) lost(c *call, begin func(context.Context, *service.Service, contact.Contact, *account.Visitor) (*account.Step, error)) error {
	var in NamedBody
	return a.names(c, &in, &in.Contact, &in.DefaultRegion, &in.Visitor, func(to contact.Contact, v *account.Visitor) (*account.Step, error) {
		return begin(c.context(), c.svc, to, v)
	})
}

// onFlow reads a flow and goes on with it.
func (a *API) onFlow(c *call, on func(in *FlowBody, v *account.Visitor) (*account.Step, error)) error {
	var in FlowBody
	v, err := a.body(c, &in, &in.Visitor)
	if err != nil {
		return err
	}
	s, err := on(&in, v)
	return a.step(c, s, err)
}

func (a *API) recoverAlone(c *call) error {
	return a.onFlow(c, func(in *FlowBody, v *account.Visitor) (*account.Step, error) {
		return a.Accounts.RecoverAlone(c.context(), c.svc, in.Flow, v)
	})
}

func (a *API) flowLook(c *call) error {
	return a.onFlow(c, func(in *FlowBody, _ *account.Visitor) (*account.Step, error) {
		return a.Accounts.Look(c.context(), c.svc, in.Flow)
	})
}

func (a *API) flowChoose(c *call) error {
	return a.onFlow(c, func(in *FlowBody, _ *account.Visitor) (*account.Step, error) {
		return a.Accounts.Choose(c.context(), c.svc, in.Flow, in.Way)
	})
}

func (a *API) flowSend(c *call) error {
	return a.onFlow(c, func(in *FlowBody, v *account.Visitor) (*account.Step, error) {
		return a.Accounts.Send(c.context(), c.svc, in.Flow, in.Way, v)
	})
}

func (a *API) flowAnswer(c *call) error {
	var in AnswerBody
	v, err := a.body(c, &in, &in.Visitor)
	if err != nil {
		return err
	}
	if in.Code == "" && in.Password == "" && in.Passkey == nil {
		return fault.New(fault.Invalid, "answer_missing", "Give what the person typed as code or password, or the browser's answer as passkey.").WithField("code")
	}
	if len(in.Repeat) > 255 {
		return fault.New(fault.Invalid, "invalid_repeat_key", "repeat_key may have at most 255 bytes.").WithField("repeat_key")
	}
	if in.Repeat == "" {
		if in.Repeat, err = repeatKey(c); err != nil {
			return err
		}
	}
	s, err := a.Accounts.Answer(c.context(), c.svc, in.Flow, &account.Answer{
		Typed: in.Code, Password: secret.NewText(in.Password), Passkey: in.Passkey, Trust: in.Trust, Key: in.Repeat,
		Session: c.Request.Header.Get(sessionHeader), Visitor: *v,
	})
	return a.step(c, s, err)
}

// token is the token of a link, or the one that the key of a text stands for.
func (a *API) token(c *call, in *LinkBody, v *account.Visitor) (string, error) {
	switch {
	case in.Token != "":
		return in.Token, nil
	case in.Contact == "" || in.Key == "":
		return "", fault.New(fault.Invalid, "token_missing", "Give the token of the notice's link, or the contact that got a text and the key in it.").WithField("token")
	}
	to, err := a.contact(in.Contact, in.DefaultRegion, "contact")
	if err != nil {
		return "", err
	}
	t, err := a.Accounts.LinkToken(c.context(), c.svc, to, in.Key, v)
	return t.Reveal(), err // it goes no further than the next call
}

func (a *API) onLink(c *call, on func(token string, v *account.Visitor) error) error {
	var in LinkBody
	v, err := a.body(c, &in, &in.Visitor)
	if err != nil {
		return err
	}
	token, err := a.token(c, &in, v)
	if err != nil {
		return err
	}
	return on(token, v)
}

func (a *API) lookLink(c *call) error {
	return a.onLink(c, func(token string, _ *account.Visitor) error {
		ch, err := a.Accounts.LookLink(c.context(), c.svc, token)
		if err != nil {
			return err
		}
		return write(c, 200, change(*ch))
	})
}

func (a *API) undo(c *call) error {
	return a.onLink(c, func(token string, v *account.Visitor) error {
		s, err := a.Accounts.Undo(c.context(), c.svc, token, v)
		return a.step(c, s, err)
	})
}

func (a *API) stop(c *call) error {
	return a.onLink(c, func(token string, v *account.Visitor) error {
		return nothing(c, a.Accounts.StopRecovery(c.context(), c.svc, token, v))
	})
}

// nothing answers 204, or with what went wrong.
func nothing(c *call, err error) error {
	if err != nil {
		return err
	}
	return write(c, 204, nil)
}

// step writes where a flow stands.
func (a *API) step(c *call, s *account.Step, err error) error {
	if err != nil {
		return err
	}
	out := Step{
		Flow: s.Flow, Kind: s.Kind.String(), Next: string(s.Next), Ways: ways(s.Ways), Passkey: jsontext.Value(s.Passkey), Proven: s.Proven, Until: s.Until,
		Minimum: s.Minimum, ExpiresAt: s.Expires,
	}
	if s.Way != nil {
		out.Way = &ways([]account.Way{*s.Way})[0]
	}
	if s.Code != nil {
		v := a.shown(s.Code)
		out.Code = &v
	}
	if s.Diagnosis != nil {
		out.Diagnosis = diagnosisOf(s.Diagnosis)
	}
	if s.Setup != nil {
		out.Setup = &AppSetup{s.Setup.Secret, s.Setup.URI}
	}
	if s.Change != nil {
		ch := change(*s.Change)
		out.Change = &ch
	}
	if p := s.Problem; p != nil {
		out.Problem = &StepProblem{Code: p.Code, Message: problemWords[p.Code]}
		if p.Checked != nil {
			out.Problem.Message, out.Problem.TriesLeft = sentence(p.Checked), p.Checked.TriesLeft
		}
	}
	if d := s.Done; d != nil {
		out.Done = &Done{
			Account: account.FormatID(d.Account), Session: d.Session.Reveal(), SessionLife: seconds(d.SessionLife), Device: d.Device.Reveal(), // to the application, for its customer
			RecoveryCodes: d.RecoveryCodes, Thing: d.Thing,
		}
	}
	return write(c, 200, out)
}

// problemWords say to the person why an answer didn't do; codes that were sent have their own.
var problemWords = map[string]string{
	"unclear_app_code":    "The code has 6 digits. Type the one that the app shows now.",
	"app_code_typed":      "That's the code of your authenticator app. Here the code from the message is needed.",
	"wrong_app_code":      "That's not the code that your app shows now. Wait for the next one and type that.",
	"wrong_recovery_code": "That's none of your recovery codes that are left. Look for a typing error.",
	"wrong_passkey":       "That passkey doesn't belong here. Try again, or try another way.",
	"wrong_password":      "That's not the password.",
}

func ways(all []account.Way) []Way {
	out := make([]Way, 0, len(all))
	for _, w := range all {
		out = append(out, Way{w.ID, string(w.Method), w.Name, w.Contact, w.Default, w.UsedAt, w.Bounced})
	}
	return out
}

func change(c account.Change) Change {
	return Change{c.Kind.String(), c.What, c.At, c.Until, c.Asked}
}

// accountID is the account that the path names.
func accountID(c *call) (ledger.ID, error) { return account.ParseID(c.Request.PathValue("id")) }

// before is the cursor of a list of activity.
func before(c *call) (uint32, error) {
	text := c.Request.URL.Query().Get("before")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fault.New(fault.Invalid, "invalid_before", "before must be the one of the page before.").WithField("before")
	}
	return uint32(n), nil
}

// activity shows a page of it. Addresses are for the account's owner only.
func activity(entries []account.Entry, older uint32, own bool) Activity {
	out := Activity{Entries: []Entry{}, Before: older}
	for _, e := range entries {
		one := Entry{
			ID: e.ID, At: e.At, Kind: e.Kind.String(), Type: e.Type, What: e.What, Device: e.Device, Place: e.Place, NotMe: e.NotMe, CanNotMe: e.CanNotMe,
		}
		if own {
			one.IP = e.IP
		}
		out.Entries = append(out.Entries, one)
	}
	return out
}
