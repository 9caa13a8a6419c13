// SPDX-License-Identifier: Apache-2.0

package account

import (
	"fmt"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// Login says whose account a contact signs in to. Its record begins with the account's id, so that the database finds
// both rows in one statement; see ledger.Backend.ReadLogin.
type Login struct {
	Account ledger.ID `cbor:"1,keyasint"` // the decoy of this contact while it is only reserved
	Former  ledger.ID `cbor:"2,keyasint"` // whose contact this was until it was removed; zero: nobody's
	Until   int64     `cbor:"3,keyasint"` // Unix milliseconds for which it stays reserved for Former: an undo needs it
}

// AppendRecord implements ledger.Value.
func (l *Login) AppendRecord(dst []byte) []byte {
	dst = append(dst, l.Account[:]...)
	if l.Former.IsZero() {
		return dst
	}
	return ledger.Pack(dst, l)
}

// Copy implements ledger.Value.
func (l *Login) Copy() ledger.Value { c := *l; return &c }

// Owner implements ledger.Value.
func (*Login) Owner() ledger.ID { return ledger.ID{} }

// WakeAt implements ledger.Value.
func (*Login) WakeAt() int64 { return 0 }

// Row is an account as the database has it: sealed, but for what the jobs need.
type Row struct {
	UpdatedAt int64  `cbor:"1,keyasint"`           // Unix milliseconds; no later decision is made at an earlier time
	Wake      int64  `cbor:"2,keyasint,omitempty"` // when a job has something to do
	Kept      bool   `cbor:"3,keyasint,omitempty"` // it is somebody's; otherwise it only counts wrong tries and is removed after a while
	Sealed    []byte `cbor:"4,keyasint"`
}

// AppendRecord implements ledger.Value.
func (r *Row) AppendRecord(dst []byte) []byte { return ledger.Pack(dst, r) }

// Copy implements ledger.Value. The sealed body is replaced and never written to.
func (r *Row) Copy() ledger.Value { c := *r; return &c }

// Owner implements ledger.Value.
func (*Row) Owner() ledger.ID { return ledger.ID{} }

// WakeAt implements ledger.Value.
func (r *Row) WakeAt() int64 { return r.Wake }

// Page is some entries of an account's activity that no longer fit its row.
type Page struct {
	At     int64  `cbor:"1,keyasint"` // of the latest entry
	Sealed []byte `cbor:"2,keyasint"`
}

// AppendRecord implements ledger.Value.
func (p *Page) AppendRecord(dst []byte) []byte { return ledger.Pack(dst, p) }

// Copy implements ledger.Value.
func (p *Page) Copy() ledger.Value { c := *p; return &c }

// Owner implements ledger.Value.
func (*Page) Owner() ledger.ID { return ledger.ID{} }

// WakeAt implements ledger.Value.
func (*Page) WakeAt() int64 { return 0 }

// body is what an account is. Times are Unix milliseconds, 0 for never. Everything that has a number of its own takes it from
// NextID, so that no two things of an account share one.
type body struct {
	CreatedAt int64         `cbor:"1,keyasint"`
	Locale    string        `cbor:"2,keyasint,omitempty"`
	Role      Role          `cbor:"3,keyasint,omitempty"`
	State     State         `cbor:"4,keyasint,omitempty"`
	Epoch     uint32        `cbor:"5,keyasint,omitempty"` // flows of an earlier one are void
	NextID    uint32        `cbor:"6,keyasint"`
	Password  passwordOf    `cbor:"7,keyasint,omitempty"`
	Contacts  []contactOf   `cbor:"8,keyasint,omitempty"`
	TwoStepAt int64         `cbor:"9,keyasint,omitempty"` // since when two-step verification is on; 0: off
	Default   string        `cbor:"10,keyasint,omitempty"`
	Apps      []app         `cbor:"11,keyasint,omitempty"`
	Passkeys  []passkey     `cbor:"12,keyasint,omitempty"`
	Recovery  recoveryCodes `cbor:"13,keyasint,omitempty"`
	Devices   []device      `cbor:"14,keyasint,omitempty"`
	Sessions  []session     `cbor:"15,keyasint,omitempty"`
	Tries     tries         `cbor:"16,keyasint,omitempty"`
	Undos     []undo        `cbor:"17,keyasint,omitempty"`
	Frozen    int64         `cbor:"18,keyasint,omitempty"` // until when sensitive changes are refused
	Run       *recoveryRun  `cbor:"19,keyasint,omitempty"`
	Notices   []notice      `cbor:"20,keyasint,omitempty"`
	Recent    []entry       `cbor:"21,keyasint,omitempty"` // the latest activity, oldest first
	Pages     uint32        `cbor:"22,keyasint,omitempty"` // how many pages of older activity were written
	Spent     []spent       `cbor:"23,keyasint,omitempty"` // flows that reached their end
	ClosedAt  int64         `cbor:"24,keyasint,omitempty"`
	Reference string        `cbor:"25,keyasint,omitempty"` // the application's own id of this person
	Forgotten bool          `cbor:"27,keyasint,omitempty"` // closed, and nothing is left
	Told      []told        `cbor:"26,keyasint,omitempty"` // when notices were written last
	Review    *review       `cbor:"28,keyasint,omitempty"` // of codes that nobody here asked for
	Call      *call         `cbor:"30,keyasint,omitempty"` // the latest that was announced
	// When calls were announced to it, and, in a row that only counts, how many somebody announced.
	Calls  verification.Spending `cbor:"31,keyasint,omitempty"`
	Called called                `cbor:"32,keyasint,omitempty"`
	Mailed []mailed              `cbor:"33,keyasint,omitempty"` // notices that may come back, oldest first
}

type passwordOf struct {
	Hash      string `cbor:"1,keyasint,omitempty"` // empty: the account has none
	ChangedAt int64  `cbor:"2,keyasint,omitempty"`
	Length    uint16 `cbor:"3,keyasint,omitempty"` // in characters, at most password.MinAlone; 0: unknown (imported)
}

// contactOf is a contact of an account. It counts when it has been proven.
type contactOf struct {
	ID          uint32       `cbor:"1,keyasint"`
	Value       string       `cbor:"2,keyasint"` // canonical
	AddedAt     int64        `cbor:"3,keyasint"`
	ProvenAt    int64        `cbor:"4,keyasint,omitempty"` // 0: not yet (staff who were invited)
	ConfirmedAt int64        `cbor:"5,keyasint,omitempty"`
	AskedAt     int64        `cbor:"6,keyasint,omitempty"` // when the yearly reminder was sent
	BouncedAt   int64        `cbor:"7,keyasint,omitempty"`
	Codes       bool         `cbor:"8,keyasint,omitempty"` // it takes codes as a second step
	UsedAt      int64        `cbor:"9,keyasint,omitempty"` // as a second step
	Name        string       `cbor:"10,keyasint,omitempty"`
	Kind        contact.Kind `cbor:"11,keyasint"`
}

func (c *contactOf) contact() (contact.Contact, error) { return contact.FromCanonical(c.Value) }

// app is an authenticator app.
type app struct {
	ID       uint32 `cbor:"1,keyasint"`
	Name     string `cbor:"2,keyasint"`
	Secret   []byte `cbor:"3,keyasint"`
	LastStep int64  `cbor:"4,keyasint"`           // the last time step that was accepted (RFC 6238 5.2)
	Drift    int64  `cbor:"5,keyasint,omitempty"` // how many steps its clock was off
	AddedAt  int64  `cbor:"6,keyasint"`
	UsedAt   int64  `cbor:"7,keyasint,omitempty"`
}

type passkey struct {
	ID         uint32 `cbor:"1,keyasint"`
	Name       string `cbor:"2,keyasint"`
	Credential []byte `cbor:"3,keyasint"` // JSON of a webauthn.Credential
	AddedAt    int64  `cbor:"4,keyasint"`
	UsedAt     int64  `cbor:"5,keyasint,omitempty"`
}

type recoveryCodes struct {
	MadeAt int64      `cbor:"1,keyasint,omitempty"`
	Hashes [][16]byte `cbor:"2,keyasint,omitempty"` // of those that are left
	UsedAt int64      `cbor:"3,keyasint,omitempty"`
}

// device is a browser or app that has signed in. While it is trusted it skips the second step.
type device struct {
	ID        uint32   `cbor:"1,keyasint"`
	Hash      [16]byte `cbor:"2,keyasint"` // of its secret
	Previous  [16]byte `cbor:"3,keyasint,omitempty"`
	RotatedAt int64    `cbor:"4,keyasint"`
	Words     string   `cbor:"5,keyasint,omitempty"`
	Place     string   `cbor:"6,keyasint,omitempty"`
	Name      string   `cbor:"7,keyasint,omitempty"`
	AddedAt   int64    `cbor:"8,keyasint"`
	SeenAt    int64    `cbor:"9,keyasint"`
	Trusted   int64    `cbor:"10,keyasint,omitempty"` // until then
	Wrong     uint8    `cbor:"11,keyasint,omitempty"` // consecutive wrong tries
	WrongAt   int64    `cbor:"12,keyasint,omitempty"`
	Step2     bool     `cbor:"13,keyasint,omitempty"` // it has passed a second step here
}

type session struct {
	ID        uint32   `cbor:"1,keyasint"`
	Hash      [16]byte `cbor:"2,keyasint"`
	Device    uint32   `cbor:"3,keyasint,omitempty"`
	AddedAt   int64    `cbor:"4,keyasint"`
	SeenAt    int64    `cbor:"5,keyasint"`
	ExpiresAt int64    `cbor:"6,keyasint"`
	SteppedAt int64    `cbor:"7,keyasint,omitempty"` // when its owner last proved who they are
	Words     string   `cbor:"8,keyasint,omitempty"`
	Place     string   `cbor:"9,keyasint,omitempty"`
	Second    bool     `cbor:"10,keyasint,omitempty"` // a second step was passed in it
}

// tries counts wrong passwords and second steps of callers without a proven device.
type tries struct {
	Wrong   uint8                 `cbor:"1,keyasint,omitempty"` // consecutive
	WrongAt int64                 `cbor:"2,keyasint,omitempty"`
	Second  verification.Spending `cbor:"3,keyasint,omitempty"` // wrong codes of an app, over all strangers
}

// spent is the end of a flow, which happens once.
type spent struct {
	Nonce [8]byte `cbor:"1,keyasint"`
	Until int64   `cbor:"2,keyasint"`
}

// Role is what somebody may do who works for the service. The numbers are stored.
type Role uint8

// The roles.
const (
	Customer Role = iota
	Operator
	Support
	Depot
)

var roleNames = [...]string{"customer", "operator", "support", "depot"}

// String is the role as the API says it.
func (r Role) String() string { return roleNames[r] }

// ParseRole reads a role of staff: operator, support or depot.
//
// Faults: Invalid.
func ParseRole(text string) (Role, error) {
	if i := slices.Index(roleNames[:], text); i > 0 {
		return Role(i), nil
	}
	return 0, fault.New(fault.Invalid, "invalid_role", "role must be operator, support or depot.").WithField("role")
}

// State is whether an account can be used. The numbers are stored.
type State uint8

// The states.
const (
	Open   State = iota
	Locked       // by support or by an application: nobody signs in
	Closed       // by its owner
)

// String is the state as the API says it.
func (s State) String() string { return [...]string{"open", "locked", "closed"}[s] }

// DecodeRow is the ledger's Decode for the rows of this package.
func DecodeRow(kind ledger.Kind, record []byte) (ledger.Value, error) {
	var v ledger.Value
	switch kind {
	case ledger.KindLogin:
		l := new(Login)
		if len(record) < len(l.Account) {
			return nil, fmt.Errorf("decode a login of %d bytes", len(record))
		}
		copy(l.Account[:], record)
		if record = record[len(l.Account):]; len(record) == 0 {
			return l, nil
		}
		v = l
	case ledger.KindAccount:
		v = new(Row)
	case ledger.KindActivity:
		v = new(Page)
	case ledger.KindPhrase:
		v = new(Phrase)
	default:
		return nil, fmt.Errorf("rows of kind %d belong to somebody else", kind)
	}
	if err := ledger.Unpack(record, v); err != nil {
		return nil, fmt.Errorf("decode a row of kind %d: %w", kind, err)
	}
	return v, nil
}

// Stale tells whether a row can be removed.
func Stale(v ledger.Value, now time.Time, keep time.Duration) bool {
	switch r := v.(type) {
	case *Login:
		return !r.Former.IsZero() && now.UnixMilli() > r.Until+day
	case *Row:
		return !r.Kept && now.UnixMilli() > r.UpdatedAt+2*day
	case *Page:
		return now.UnixMilli() > r.At+keep.Milliseconds()
	case *Phrase:
		return now.UnixMilli() > r.Until
	}
	return false
}

// Sealing names.
const (
	tableAccount  = "account"
	tableActivity = "activity"
	tableFlow     = "flow"
	columnBody    = "body"
	columnEntries = "entries"
)

// openRow reads an account's body; a missing row is an empty one.
func openRow(svc *service.Service, id ledger.ID, v ledger.Value) (*body, int64, error) {
	r, ok := v.(*Row)
	if !ok {
		return &body{NextID: 1}, 0, nil
	}
	plain, err := svc.Ring.Open(tableAccount, columnBody, id, r.Sealed)
	if err != nil {
		return nil, 0, fault.As(err)
	}
	b := new(body)
	if err := ledger.Unpack(plain, b); err != nil {
		return nil, 0, fault.As(fmt.Errorf("decode an account: %w", err))
	}
	return b, r.UpdatedAt, nil
}

// sealRow is the row of a body.
func sealRow(svc *service.Service, id ledger.ID, b *body, at int64) *Row {
	return &Row{
		UpdatedAt: at, Wake: b.wakeAt(), Kept: b.exists(),
		Sealed: svc.Ring.Current().Seal(tableAccount, columnBody, id, ledger.Pack(nil, b)),
	}
}

// exists tells a customer's or a staff member's account from a row that only counts.
func (b *body) exists() bool { return b.CreatedAt != 0 }

func (b *body) next() uint32 {
	n := b.NextID
	b.NextID++
	return n
}

// hash is what is stored of a secret that is long and random; use tells one kind of secret from another.
func hash(svc *service.Service, use string, id ledger.ID, value []byte) [16]byte {
	mac := svc.Ring.IndexKeys()[0].MAC(secret.LabelAccount, []byte(use), id[:], value)
	return [16]byte(mac[:16])
}

// loginKey is the row of a contact that signs in. Unlike the contact's budgets it is by the contact itself and not by
// its stricter form: two addresses that reach one mailbox may be two accounts.
func loginKey(svc *service.Service, c contact.Contact) ledger.Key {
	id := ledger.ID(svc.Ring.IndexKeys()[0].Index(byte(c.Kind())|0x10, folded(c)))
	return ledger.Key{Kind: ledger.KindLogin, Service: svc.ID, Shard: uint16(id[0])<<8 | uint16(id[1]), ID: id}
}

// decoyKey is the row in which tries at a contact are counted that nobody signs in with, as they are for an account.
func decoyKey(svc *service.Service, login ledger.Key) ledger.Key {
	return ledger.AccountOf(svc.ID, hash(svc, "decoy", login.ID, nil))
}

func pageKey(svc *service.Service, id ledger.ID, n uint32) ledger.Key {
	page := hash(svc, "page", id, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	key := ledger.AccountOf(svc.ID, page)
	key.Kind = ledger.KindActivity
	return key
}

// notice is a message that waits to be sent to one contact.
type notice struct {
	ID      uint32             `cbor:"1,keyasint"`
	Contact uint32             `cbor:"2,keyasint,omitempty"` // of the account, also when it has been removed since
	To      string             `cbor:"3,keyasint,omitempty"` // canonical
	Kind    message.NoticeKind `cbor:"4,keyasint"`
	At      int64              `cbor:"5,keyasint"`
	WakeAt  int64              `cbor:"6,keyasint"`
	Passes  uint8              `cbor:"7,keyasint,omitempty"`
	What    string             `cbor:"8,keyasint,omitempty"`
	Asked   string             `cbor:"9,keyasint,omitempty"`
	Until   int64              `cbor:"10,keyasint,omitempty"`
	Undo    uint32             `cbor:"11,keyasint,omitempty"` // which undo its token is for; 0: none
	Page    string             `cbor:"12,keyasint,omitempty"` // where the token is typed or pressed: "undo", "stop"
}
