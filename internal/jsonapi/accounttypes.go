// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Visitor is the person at the browser or app, as the application sees them. Their account's activity tells it.
type Visitor struct {
	IP        string   `json:"ip,omitempty" doc:"Of the person, not of your server."`
	UserAgent string   `json:"user_agent,omitempty"`
	Device    string   `json:"device,omitempty" doc:"In words; left out: made of user_agent."`
	Place     string   `json:"place,omitempty" doc:"In words; left out: found by ip."`
	Language  string   `json:"language,omitempty" doc:"BCP 47, of messages."`
	Devices   []string `json:"device_tokens,omitempty" doc:"What finished sign-ins left with this browser or app: at most 8."`
}

// SignUpBody begins an account.
type SignUpBody struct {
	Contact       string  `json:"contact" doc:"Email address or phone number."`
	DefaultRegion string  `json:"default_region,omitempty"`
	Password      string  `json:"password" doc:"15 characters or more, none of the first that anybody tries."`
	Visitor       Visitor `json:"visitor,omitzero"`
}

// SignInBody is a contact with its password.
type SignInBody SignUpBody

// NamedBody names a contact.
type NamedBody struct {
	Contact       string  `json:"contact"`
	DefaultRegion string  `json:"default_region,omitempty"`
	Visitor       Visitor `json:"visitor,omitzero"`
}

// PasskeyBody begins something with a passkey.
type PasskeyBody struct {
	Name    string  `json:"name,omitempty" doc:"What its owner calls it."`
	Visitor Visitor `json:"visitor,omitzero"`
}

// FlowBody goes on with a flow.
type FlowBody struct {
	Flow    string  `json:"flow" doc:"Of the step before. It is the person's: keep it in their browser or session."`
	Way     string  `json:"way,omitempty" doc:"One of the step's ways."`
	Visitor Visitor `json:"visitor,omitzero"`
}

// AnswerBody is what a person gave to a step.
type AnswerBody struct {
	Flow     string         `json:"flow"`
	Code     string         `json:"code,omitempty" doc:"As typed or pasted."`
	Password string         `json:"password,omitempty"`
	Passkey  jsontext.Value `json:"passkey,omitempty" doc:"The browser's PublicKeyCredential as JSON."`
	Trust    bool           `json:"trust_device,omitempty"`
	Repeat   string         `json:"repeat_key,omitempty" doc:"A repeat with the same key is the same answer and no other try."`
	Visitor  Visitor        `json:"visitor,omitzero"`
}

// LinkBody is the token of a notice's link, or the contact that got a text with the key that it shows.
type LinkBody struct {
	Token         string  `json:"token,omitempty" doc:"The t of the link."`
	Contact       string  `json:"contact,omitempty"`
	DefaultRegion string  `json:"default_region,omitempty"`
	Key           string  `json:"key,omitempty"`
	Visitor       Visitor `json:"visitor,omitzero"`
}

// Step is where a flow stands.
type Step struct {
	Flow      string         `json:"flow,omitempty" doc:"To bring along next time."`
	Kind      string         `json:"kind" enum:"sign_up,sign_up_passkey,sign_in,passkey,forgot,recover,undo,step_up,enable,add_contact,confirm_contact,add_app,add_passkey,prove"`
	Next      string         `json:"next" doc:"What the person has to do." enum:"code,send,app,passkey,recovery_code,password,new_password,choose,wait,proven,done"`
	Way       *Way           `json:"way,omitempty" doc:"That is being used."`
	Ways      []Way          `json:"ways" doc:"That may be used, the suggested one first."`
	Code      *Verification  `json:"verification,omitempty" doc:"Of a code that was sent."`
	Diagnosis *Diagnosis     `json:"diagnosis,omitempty" doc:"Why that code may not be working."`
	Passkey   jsontext.Value `json:"passkey,omitempty" doc:"For navigator.credentials."`
	Problem   *StepProblem   `json:"problem,omitempty" doc:"Why the last answer didn't do."`
	Setup     *AppSetup      `json:"setup,omitempty" doc:"For a new authenticator app."`
	Proven    int            `json:"proven,omitzero" doc:"Recovery: how many proofs there are; two are needed."`
	Until     time.Time      `json:"until,omitzero" doc:"Of wait and undo."`
	Change    *Change        `json:"change,omitempty" doc:"Of undo: what is undone."`
	Minimum   int            `json:"minimum_length,omitzero" doc:"Of new_password."`
	Done      *Done          `json:"done,omitempty"`
	ExpiresAt time.Time      `json:"expires_at,omitzero" doc:"Of the flow."`
}

// Way is a method that may be used now.
type Way struct {
	ID      string    `json:"id"`
	Method  string    `json:"method" enum:"sms,voice,email,app,passkey,recovery_code,password"`
	Name    string    `json:"name,omitempty"`
	To      string    `json:"to,omitempty" doc:"Masked."`
	Default bool      `json:"default,omitzero"`
	UsedAt  time.Time `json:"used_at,omitzero"`
	Bounced bool      `json:"bounced,omitzero" doc:"Messages to it come back."`
}

// StepProblem says why an answer didn't do.
type StepProblem struct {
	Code      string `json:"code"`
	Message   string `json:"message" doc:"For the person."`
	TriesLeft int    `json:"tries_left,omitzero"`
}

// AppSetup is what an authenticator app needs; it is shown once.
type AppSetup struct {
	Secret string `json:"secret" doc:"Base32, to type."`
	URI    string `json:"uri" doc:"otpauth://, to show as a QR code."`
}

// Change is a sensitive change that can be undone.
type Change struct {
	Kind  string    `json:"kind"`
	What  string    `json:"what,omitempty"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
	Asked string    `json:"asked,omitempty" doc:"From what device, about where."`
}

// Done is what a flow has reached.
type Done struct {
	Account       string   `json:"account"`
	Session       string   `json:"session_token,omitempty" doc:"The person is signed in: send it as Countersign-Session."`
	SessionLife   int      `json:"session_expires_in_seconds,omitzero"`
	Device        string   `json:"device_token,omitempty" doc:"For the browser or app: it replaces the one of the same account."`
	RecoveryCodes []string `json:"recovery_codes,omitempty" doc:"Show them now; they can't be read again."`
	Thing         string   `json:"id,omitempty" doc:"Of what was added."`
}

// Account is an account as its owner sees it. For others contacts are masked.
type Account struct {
	ID             string    `json:"id"`
	Reference      string    `json:"reference,omitempty"`
	State          string    `json:"state" enum:"open,locked,closed"`
	Role           string    `json:"role" enum:"customer,operator,support,depot"`
	CreatedAt      time.Time `json:"created_at"`
	Locale         string    `json:"locale,omitempty"`
	TwoStep        bool      `json:"two_step"`
	TwoStepAt      time.Time `json:"two_step_since,omitzero"`
	MustTurnOn     bool      `json:"must_turn_on,omitzero" doc:"A second step is asked for, and there is none."`
	PasswordSet    bool      `json:"password_set"`
	PasswordAt     time.Time `json:"password_changed_at,omitzero"`
	PasswordAlone  bool      `json:"password_stands_alone" doc:"It is long enough without a second step; otherwise that can't be turned off."`
	Contacts       []Contact `json:"contacts"`
	Apps           []Thing   `json:"apps"`
	Passkeys       []Thing   `json:"passkeys"`
	RecoveryLeft   int       `json:"recovery_codes_left"`
	RecoveryAt     time.Time `json:"recovery_codes_made_at,omitzero"`
	Ways           []Way     `json:"ways" doc:"Second steps, the default first."`
	Devices        []Device  `json:"devices"`
	Sessions       []Session `json:"sessions"`
	Undos          []Change  `json:"undos" doc:"Changes that can still be undone."`
	Recovery       *Recovery `json:"recovery,omitempty"`
	FrozenUntil    time.Time `json:"changes_frozen_until,omitzero" doc:"An undo is under way: until it is settled nothing sensitive can be changed."`
	SteppedUpUntil time.Time `json:"stepped_up_until,omitzero" doc:"Until when this session may make sensitive changes."`
}

// Contact is a contact of an account.
type Contact struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind" enum:"phone,email"`
	Value       string    `json:"value,omitempty" doc:"For its owner only."`
	Masked      string    `json:"masked"`
	Name        string    `json:"name,omitempty"`
	AddedAt     time.Time `json:"added_at,omitzero"`
	Proven      bool      `json:"proven"`
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`
	Bounced     bool      `json:"bounced,omitzero"`
	Codes       bool      `json:"codes" doc:"It takes codes as a second step."`
	CanCode     bool      `json:"can_take_codes" doc:"The service would count that."`
	UsedAt      time.Time `json:"used_at,omitzero" doc:"As a second step."`
}

// Thing is an authenticator app or a passkey.
type Thing struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	AddedAt time.Time `json:"added_at"`
	UsedAt  time.Time `json:"used_at,omitzero"`
}

// Device is a browser or app that has signed in.
type Device struct {
	ID           string    `json:"id"`
	Name         string    `json:"name,omitempty"`
	Device       string    `json:"device" doc:"In words."`
	Place        string    `json:"place,omitempty"`
	AddedAt      time.Time `json:"added_at"`
	SeenAt       time.Time `json:"seen_at"`
	TrustedUntil time.Time `json:"trusted_until,omitzero"`
	Current      bool      `json:"current,omitzero"`
}

// Session is a place where somebody is signed in.
type Session struct {
	ID      string    `json:"id"`
	Device  string    `json:"device"`
	Place   string    `json:"place,omitempty"`
	Since   time.Time `json:"since"`
	SeenAt  time.Time `json:"seen_at"`
	Second  bool      `json:"second_step,omitzero" doc:"One was passed in it."`
	Current bool      `json:"current,omitzero"`
}

// Recovery is a recovery under way.
type Recovery struct {
	StartedAt time.Time `json:"started_at"`
	ReadyAt   time.Time `json:"ready_at"`
	Weak      bool      `json:"agents_decide,omitzero" doc:"With one proof: two agents have to approve it."`
	Approvals int       `json:"approvals,omitzero"`
	Proofs    []string  `json:"proofs,omitempty" doc:"What it began with: email, phone, password, recovery_code or device."`
}

// Activity is a page of an account's activity, the latest first.
type Activity struct {
	Entries []Entry `json:"entries"`
	Before  uint32  `json:"before,omitzero" doc:"Give it as before for older ones; absent: there are none."`
}

// Entry is one line of an account's activity.
type Entry struct {
	ID       uint32    `json:"id"`
	At       time.Time `json:"at"`
	Kind     string    `json:"kind" doc:"sign_in, sign_in_failed, second_step_failed, password_changed, looked_at, application, ...; the events feed has them as account.KIND."`
	Type     string    `json:"type,omitempty" doc:"Of an application's event; of a call: who announced it, or ended it."`
	What     string    `json:"what,omitempty"`
	Device   string    `json:"device,omitempty"`
	Place    string    `json:"place,omitempty"`
	IP       string    `json:"ip,omitempty" doc:"For the account's owner only."`
	NotMe    bool      `json:"not_me,omitzero" doc:"Its owner said that it wasn't they."`
	CanNotMe bool      `json:"can_be_marked,omitzero"`
}

// Export is everything that is kept of a person, but for secrets.
type Export struct {
	Account  Account     `json:"account"`
	Activity []Entry     `json:"activity"`
	Cases    []Case      `json:"cases"`
	Reports  []OwnReport `json:"reports"`
}

// LocaleBody chooses a language.
type LocaleBody struct {
	Locale string `json:"locale" doc:"One that is spoken here, such as en, de or zh-Hans."`
}

// MethodBody begins a method.
type MethodBody struct {
	Name    string  `json:"name,omitempty"`
	Contact string  `json:"contact_id,omitempty" doc:"Of codes: one of the account's contacts."`
	TwoStep bool    `json:"turn_on,omitempty" doc:"Turn two-step verification on with it."`
	Visitor Visitor `json:"visitor,omitzero"`
}

// ChangeMethodBody renames a thing or makes a way the default.
type ChangeMethodBody struct {
	Name    *string `json:"name,omitempty"`
	Default bool    `json:"default,omitempty"`
}

// AddContactBody adds a contact.
type AddContactBody struct {
	Contact       string  `json:"contact"`
	DefaultRegion string  `json:"default_region,omitempty"`
	Replaces      string  `json:"replaces,omitempty" doc:"The id of the contact whose place it takes."`
	Visitor       Visitor `json:"visitor,omitzero"`
}

// PasswordBody is a new password.
type PasswordBody struct {
	Password string  `json:"password"`
	Visitor  Visitor `json:"visitor,omitzero"`
}

// ByBody says who asks, for what needs nothing else.
type ByBody struct {
	ID      string  `json:"id,omitempty" doc:"Of sign-out: a session, or others; left out: this one. Of a call that isn't right: the one that was shown."`
	Visitor Visitor `json:"visitor,omitzero"`
}

// CallBody announces a call.
type CallBody struct {
	Caller string `json:"caller" doc:"Who calls, as they will say it: at most 60 characters."`
	Reason string `json:"reason" doc:"Why, as the person reads it: at most 120 characters, no link."`
}

// Call is a call that was announced, as one side sees it.
type Call struct {
	ID       string     `json:"id,omitempty"`
	State    string     `json:"state" doc:"none: nobody calls; open; and for an hour how it ended." enum:"none,open,expired,ended,refused"`
	Prove    bool       `json:"prove,omitzero" doc:"There is a call, and the person has to step up, or ask from a device that they trust, before more of it is told."`
	Caller   string     `json:"caller,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Phrase   string     `json:"phrase,omitempty" doc:"Three English words that the caller has to say first; only for who announced it and for the person, while it is open."`
	At       time.Time  `json:"at,omitzero"`
	Until    time.Time  `json:"until,omitzero"`
	EndedAt  time.Time  `json:"ended_at,omitzero"`
	Openings []CallShow `json:"shown" doc:"On which devices the words were shown. More than one is a warning: show it."`
}

// CallShow is a device on which the words of a call were shown.
type CallShow struct {
	Device  string    `json:"device,omitempty" doc:"In words."`
	Place   string    `json:"place,omitempty"`
	At      time.Time `json:"at"`
	Current bool      `json:"current,omitzero" doc:"The one that asks."`
}

// RecoveryCodes are shown once.
type RecoveryCodes struct {
	Codes []string `json:"recovery_codes"`
}

// NewAccountBody brings an account along.
type NewAccountBody struct {
	Contacts      []string `json:"contacts" doc:"That you have proven: 1 to 8."`
	DefaultRegion string   `json:"default_region,omitempty" doc:"Country of numbers without one, such as DE."`
	PasswordHash  string   `json:"password_hash,omitempty" doc:"argon2id, bcrypt, scrypt or PBKDF2 in their usual text forms; it is made stronger at the next sign-in."`
	Locale        string   `json:"locale,omitempty"`
	Reference     string   `json:"reference,omitempty" doc:"Your own id of the person, at most 100 bytes."`
}

// FindBody names a contact exactly.
type FindBody struct {
	Contact       string `json:"contact"`
	DefaultRegion string `json:"default_region,omitempty"`
}

// AppendBody is an application's event.
type AppendBody struct {
	Type   string `json:"type" doc:"order, payment, address, ...: at most 40 lower-case letters, digits and _."`
	Text   string `json:"text" doc:"For the person, at most 200 characters."`
	IP     string `json:"ip,omitempty"`
	Device string `json:"device,omitempty" doc:"In words."`
	Place  string `json:"place,omitempty" doc:"In words."`
}

// Appended is the entry that an event became.
type Appended struct {
	Entry uint32 `json:"entry" doc:"If its owner says that it wasn't they, the event account.not_me carries it."`
}

// StaffBody invites somebody who works for the service.
type StaffBody struct {
	Contact       string `json:"contact" doc:"They prove it themselves, by forgot."`
	DefaultRegion string `json:"default_region,omitempty"`
	Role          string `json:"role" enum:"operator,support,depot"`
}

// StaffList is who works for the service.
type StaffList struct {
	Staff []Staff `json:"staff"`
}

// Staff is somebody who works for the service.
type Staff struct {
	Account string    `json:"account"`
	Role    string    `json:"role"`
	Since   time.Time `json:"since"`
	Contact string    `json:"contact,omitempty" doc:"Masked."`
	TwoStep bool      `json:"two_step"`
}
