// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"time"

	"github.com/countersign/countersign/internal/service"
)

// BeginBody begins a verification.
type BeginBody struct {
	To            string       `json:"to" doc:"Phone number (with + and country, or with default_region) or email address."`
	Channel       string       `json:"channel,omitempty" doc:"sms, email or voice; left out: sms for a number, email for an address." enum:"sms,email,voice"`
	Purpose       string       `json:"purpose" doc:"What the code is for; the message says it." enum:"sign_up,sign_in,transaction,contact_change,recovery,custom"`
	Transaction   *Transaction `json:"transaction,omitempty" doc:"For the purpose transaction: what the code is bound to."`
	Code          string       `json:"code,omitempty" doc:"A code of your own, 4 to 10 digits; left out: ours, which is stored nowhere."`
	Locale        string       `json:"locale,omitempty" doc:"Language of the message (BCP 47); left out: the service's."`
	DefaultRegion string       `json:"default_region,omitempty" doc:"Country of a number without one, such as DE."`
	Caller        Caller       `json:"caller,omitzero" doc:"Who asks, as you see them: budgets are counted by it."`
	Context       Context      `json:"context,omitzero" doc:"What the person is told of the request; kept sealed."`
	Account       string       `json:"account,omitempty" doc:"Your id of the account, 32 hexadecimal digits."`
}

// Transaction is what a code is bound to.
type Transaction struct {
	Amount string `json:"amount" doc:"As the person reads it: EUR 39.99. At most 24 characters."`
	Payee  string `json:"payee" doc:"Who is paid. At most 60 characters; never cut."`
}

// Caller is who asks.
type Caller struct {
	IP          string `json:"ip,omitempty" doc:"Of the person, not of your server."`
	Device      string `json:"device,omitempty" doc:"Your id of the browser or app."`
	Session     string `json:"session,omitempty" doc:"Your id of the session."`
	DeviceToken string `json:"device_token,omitempty" doc:"What an approval left with this browser or app: a share of the contact's budgets of its own."`
}

// Context is shown to the person and to support.
type Context struct {
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	Device    string `json:"device,omitempty" doc:"In words: Chrome on Windows."`
	Place     string `json:"place,omitempty" doc:"In words: near Lyon."`
	Note      string `json:"note,omitempty"`
}

// CheckBody is one try.
type CheckBody struct {
	Code        string       `json:"code" doc:"As the person typed or pasted it."`
	Transaction *Transaction `json:"transaction,omitempty" doc:"What is about to be paid, for a transaction's code."`
	Caller      Caller       `json:"caller,omitzero"`
}

// CheckContactBody is one try at the latest pending verification of a contact.
type CheckContactBody struct {
	To            string       `json:"to"`
	Code          string       `json:"code"`
	DefaultRegion string       `json:"default_region,omitempty"`
	Transaction   *Transaction `json:"transaction,omitempty"`
	Caller        Caller       `json:"caller,omitzero"`
}

// ResendBody asks for the code once more.
type ResendBody struct {
	Channel string `json:"channel,omitempty" doc:"Left out: the same." enum:"sms,email,voice"`
	Caller  Caller `json:"caller,omitzero"`
}

// Verification is what may be known of a verification.
type Verification struct {
	ID               string    `json:"id"`
	Status           string    `json:"status" enum:"pending,approved,canceled,expired,max_attempts_reached,failed"`
	Reason           string    `json:"reason,omitempty" enum:"by_application,transaction_changed,disowned"`
	Purpose          string    `json:"purpose"`
	Channel          string    `json:"channel" doc:"Of the latest message."`
	To               string    `json:"to" doc:"Masked."`
	Generation       int       `json:"generation" doc:"Of the code: 2 after a new one replaced the first, and so on."`
	CodeLength       int       `json:"code_length"`
	CreatedAt        time.Time `json:"created_at"`
	ExpiresAt        time.Time `json:"expires_at" doc:"Of the current code."`
	ExpiresInSeconds int       `json:"expires_in_seconds"`
	EndedAt          time.Time `json:"ended_at,omitzero"`
	TriesLeft        int       `json:"tries_left"`
	SendsLeft        int       `json:"sends_left"`
	NextSendAt       time.Time `json:"next_send_at,omitzero" doc:"When the code may be sent again; absent: not any more."`
	NextSendIn       int       `json:"next_send_in_seconds"`
	Messages         []Message `json:"messages"`
}

// Message is one send.
type Message struct {
	Channel    string    `json:"channel"`
	Status     string    `json:"status" enum:"queued,sent,delivered,undelivered,failed,canceled"`
	Generation int       `json:"generation"`
	QueuedAt   time.Time `json:"queued_at"`
	SentAt     time.Time `json:"sent_at,omitzero"`
	ReceiptAt  time.Time `json:"receipt_at,omitzero"`
}

// Begun is the answer to BeginBody.
type Begun struct {
	Verification
	FlowSecret string `json:"flow_secret" doc:"Shows that a later request comes from who began it; keep it in the person's session."`
}

// Checked is the answer to a check.
type Checked struct {
	Result       string       `json:"result" enum:"approved,wrong,superseded,unclear,transaction_changed,already_used,expired,canceled,max_attempts_reached,failed"`
	Approved     bool         `json:"approved" doc:"True once: for the request that gave the right code."`
	Message      string       `json:"message" doc:"For the person: what happened, what to do."`
	Why          string       `json:"why,omitempty" doc:"Of unclear: empty, too_short, too_long, not_digits, no_candidate, several, delivery_code, too_big. No try was spent."`
	TypedDigits  int          `json:"typed_digits,omitzero" doc:"Of unclear: how many digits were typed."`
	DeviceToken  string       `json:"device_token,omitempty" doc:"With the grant: give it to the browser or app."`
	Verification Verification `json:"verification"`
}

// Events is a page of the feed.
type Events struct {
	Events []Event `json:"events"`
	Next   int64   `json:"next" doc:"Give it as after to read on."`
}

// Event is one entry of the activity log.
type Event struct {
	Seq          int64     `json:"seq" doc:"Its place in the service's log."`
	Type         string    `json:"type"`
	At           time.Time `json:"at"`
	Verification string    `json:"verification,omitempty" doc:"Of a verification's event."`
	Purpose      string    `json:"purpose,omitempty"`
	Channel      string    `json:"channel,omitempty"`
	Generation   int       `json:"generation,omitzero"`
	Account      string    `json:"account,omitempty" doc:"Of an account's event."`
	Entry        uint32    `json:"entry,omitzero" doc:"Of the account's activity; of account.not_me: the entry that its owner marked."`
	Subject      string    `json:"subject,omitempty" doc:"The case, report, cluster of reports, hand-over or courier of an event of theirs."`
	Attempt      int       `json:"attempt,omitzero" doc:"Of a hand-over's event: which attempt."`
	Reason       string    `json:"reason,omitempty" doc:"Of a hand-over's event: why an attempt ended."`
	Means        string    `json:"means,omitempty" doc:"Of a hand-over's event: by which means it changed hands."`
	Certainty    string    `json:"certainty,omitempty" doc:"Of a hand-over's event: how certain that is."`
	Commitment   string    `json:"commitment" doc:"Hexadecimal hash of the entry and a salt: what the log commits to."`
}

// Service is a service as its manager sees it.
type Service struct {
	Slug   string         `json:"slug"`
	Name   string         `json:"name"`
	Domain string         `json:"domain"`
	Locale string         `json:"locale"`
	Policy service.Policy `json:"policy"`
	Brand  ShownBrand     `json:"brand"`
}

// ShownBrand is how the service looks on its pages. Its logo has requests of its own.
type ShownBrand struct {
	service.Brand
	Logo Logo `json:"logo,omitzero" doc:"Absent: there is none."`
}

// Logo says that there is a logo.
type Logo struct {
	ContentType string `json:"content_type" enum:"image/png,image/svg+xml"`
	Bytes       int    `json:"bytes"`
}

// picture stands in the route table for a body that is a logo.
type picture struct{}

// screenshot stands in it for one that is a screenshot.
type screenshot struct{}

// export stands in it for a reply in one of the formats of exports.
type export struct{}

// ServicePatch changes what it names.
type ServicePatch struct {
	Name   *string        `json:"name,omitempty"`
	Domain *string        `json:"domain,omitempty"`
	Locale *string        `json:"locale,omitempty"`
	Policy service.Policy `json:"policy,omitzero" doc:"What is left out stays."`
	Brand  service.Brand  `json:"brand,omitzero" doc:"What is left out stays; an empty text takes back."`
}

// Keys lists API keys.
type Keys struct {
	Keys []Key `json:"keys"`
}

// Key is an API key without its secret.
type Key struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes"`
	CreatedAt time.Time `json:"created_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// KeyBody asks for an API key.
type KeyBody struct {
	Name   string   `json:"name"`
	Scopes []string `json:"scopes" doc:"Any of verify, manage, support, read, account and handover."`
}

// NewKey is the one time that an API key is shown.
type NewKey struct {
	Key
	Secret string `json:"key" doc:"Not shown again."`
}

// Health says that all is well.
type Health struct {
	Status string `json:"status" enum:"ok"`
}
