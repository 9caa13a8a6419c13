// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// CourierPrefix starts the text of a courier's id.
const CourierPrefix = "cou_"

// FormatCourier is the public text of a courier's id. It is derived from the courier's name, so the same courier is the same id, and tells
// nothing of them.
func FormatCourier(id ledger.ID) string { return CourierPrefix + id.String() }

// ParseCourier reads what FormatCourier wrote.
func ParseCourier(text string) (ledger.ID, error) { return parseID(CourierPrefix, text, errNoCourier) }

// The faults of couriers and their phones.
var (
	errNoCourier = fault.New(fault.NotFound, "courier_not_found", "There is no such courier. Open a round for them first.")
	errEnrol     = fault.New(fault.Unauthorized, "enrol_token_invalid", "This link doesn't work any more: it works once, for a few hours. Ask the depot for a new one.")
	errShift     = fault.New(fault.Unauthorized, "shift_over", "Your shift is over, or the depot has signed this phone out. Ask the depot for a new link.")
)

// Courier is a courier as they are stored. Times are Unix milliseconds. What may be personal is sealed.
type Courier struct {
	UpdatedAt  int64     `cbor:"1,keyasint"`
	Body       []byte    `cbor:"2,keyasint,omitempty"`
	Round      ledger.ID `cbor:"3,keyasint,omitzero"`   // the latest
	Date       uint32    `cbor:"4,keyasint,omitempty"`  // its day, as 20261126: figures count for it
	Until      int64     `cbor:"5,keyasint,omitempty"`  // the end of the shift
	Device     ledger.ID `cbor:"6,keyasint,omitzero"`   // random; zero: no phone is bound
	Session    []byte    `cbor:"7,keyasint,omitempty"`  // SHA-256 of the phone's secret
	BoundAt    int64     `cbor:"8,keyasint,omitempty"`  //
	Enrol      []byte    `cbor:"9,keyasint,omitempty"`  // SHA-256 of the link's token; empty: none works
	EnrolUntil int64     `cbor:"10,keyasint,omitempty"` //
	Wrong      []int64   `cbor:"11,keyasint,omitempty"` // when wrong codes were typed, within a day
	Weak       []int64   `cbor:"12,keyasint,omitempty"` // when weaker proofs were used, within a day
	AlarmAt    int64     `cbor:"13,keyasint,omitempty"` // when that was last found to be unusually often
	Days       []figures `cbor:"14,keyasint,omitempty"` // the latest last
	Claim      []byte    `cbor:"16,keyasint,omitempty"` // SHA-256 of the link's token and what the bound phone made up: only it can ask again
	Before     [8]byte   `cbor:"15,keyasint,omitzero"`  // the binding of the phone before, if it wasn't revoked: what it did without signal still counts
}

type courierBody struct {
	Name   string `cbor:"1,keyasint"`
	Depot  string `cbor:"2,keyasint"`
	Device string `cbor:"3,keyasint,omitempty"` // in words
	Notes  []Note `cbor:"4,keyasint,omitempty"`
}

// open gives what is sealed of a courier; of one who never had a round, nothing is.
func (c *Courier) open(svc *service.Service, key ledger.Key) (*courierBody, error) {
	b := new(courierBody)
	if len(c.Body) == 0 {
		return b, nil
	}
	return b, unseal(svc, key, columnBody, c.Body, b)
}

// figures count what a courier did on one day.
type figures struct {
	Date uint32          `cbor:"1,keyasint"`
	N    [counted]uint32 `cbor:"2,keyasint"`
}

// What is counted of a courier's day. The numbers are stored; new ones go at the end.
const (
	countCode = iota
	countTicket
	countPass
	countWeak
	countOffline // of the above, those that we heard of later
	countAttempted
	countRefused
	countArrived
	countUnseen  // of these, those without a position
	countStopped // of these, those of which the recipient said that nobody is there
	countMissing // codes that were asked for again at the door
	countWrong
	countConflict
	counted
)

const (
	keptDays   = 35
	afterShift = 6 * hour // that what is told counts for the shift's day
)

// AppendRecord implements ledger.Value.
func (c *Courier) AppendRecord(dst []byte) []byte { return ledger.Pack(dst, c) }

// Copy implements ledger.Value.
func (c *Courier) Copy() ledger.Value {
	o := *c
	o.Wrong, o.Weak, o.Days = slices.Clone(c.Wrong), slices.Clone(c.Weak), slices.Clone(c.Days)
	return &o
}

// Owner implements ledger.Value.
func (*Courier) Owner() ledger.ID { return ledger.ID{} }

// WakeAt implements ledger.Value.
func (*Courier) WakeAt() int64 { return 0 }

// binding is what a courier's QR codes are signed for: their phone, or they themselves where the application speaks for them.
func (c *Courier) binding(id ledger.ID) (out [8]byte) {
	if !c.Device.IsZero() {
		id = c.Device
	}
	copy(out[:], id[:])
	return out
}

// unbind signs the phone out that is bound, honestly: what it did before without signal still counts when it is told.
func (c *Courier) unbind() {
	if !c.Device.IsZero() {
		copy(c.Before[:], c.Device[:])
	}
	c.Device, c.Session, c.Claim = ledger.ID{}, nil, nil
}

// count adds to today's figures.
func (c *Courier) count(what int, at int64) {
	date := c.Date
	if date == 0 || at > c.Until+afterShift {
		date = dateNumber(time.UnixMilli(at).UTC().Format(time.DateOnly))
	}
	if n := len(c.Days); n == 0 || c.Days[n-1].Date != date {
		c.Days = append(c.Days, figures{Date: date})
		c.Days = c.Days[max(0, len(c.Days)-keptDays):]
	}
	c.Days[len(c.Days)-1].N[what]++
}

// lately keeps of times those within a day.
func lately(all []int64, at int64) []int64 {
	return slices.DeleteFunc(all, func(t int64) bool { return t <= at-day })
}

func dateNumber(date string) uint32 {
	n, _ := strconv.ParseUint(strings.ReplaceAll(date, "-", ""), 10, 32) // of our own making
	return uint32(n)
}

// loadCourier gives the courier's row as the operations before left it, or a new one.
func loadCourier(tx *ledger.Tx, key ledger.Key) *Courier {
	if c, ok := tx.Get(key).(*Courier); ok {
		return c
	}
	return &Courier{}
}

func saveCourier(tx *ledger.Tx, key ledger.Key, c *Courier, at int64) {
	c.UpdatedAt = max(c.UpdatedAt, at)
	tx.Put(key, c)
}

// Device is a courier's phone, proven by its secret.
type Device struct {
	Courier ledger.ID
	Name    string // the courier's
	Depot   string
	Binding [8]byte // what QR codes are signed for
	Round   ledger.ID
	Until   time.Time // the end of the shift
	Over    bool      // it has ended: only what happened before is still taken
}

const (
	enrolPrefix   = "crt_"
	devicePrefix  = "crd_"
	tokenSecret   = 16 // bytes
	enrolLife     = 12 * hour
	claimLife     = 10 * minute // that a phone whose answer was lost can use its link again
	minNonce      = 16          // characters
	maxDeviceWord = 60
)

// newToken makes a secret that names its courier's row, and the hash of it that is kept.
func newToken(prefix string, courier ledger.ID) (secret.Text, []byte, error) {
	raw := make([]byte, 0, len(courier)+tokenSecret)
	raw = append(raw, courier[:]...)
	var s [tokenSecret]byte
	if _, err := rand.Read(s[:]); err != nil {
		return secret.Text{}, nil, fault.As(fmt.Errorf("make a token: %w", err))
	}
	raw = append(raw, s[:]...)
	sum := sha256.Sum256(raw)
	return secret.NewText(secret.EncodeToken(prefix, raw)), sum[:], nil
}

// readToken gives the courier that a token names and the token's hash.
func readToken(prefix, text string, wrong error) (courier ledger.ID, hash []byte, err error) {
	raw, err := secret.DecodeToken(prefix, text)
	if err != nil || len(raw) != len(courier)+tokenSecret {
		return courier, nil, wrong
	}
	copy(courier[:], raw)
	sum := sha256.Sum256(raw)
	return courier, sum[:], nil
}

// Enrol binds the phone that shows a depot's link to the courier, for one shift. The link works once. What is returned is the phone's secret, which is shown to
// it alone. The nonce is what the phone has made up (16 characters at least; empty: none): for ten minutes the same phone can ask again, for at a depot's gate
// signal comes and goes, and gets a new secret for the one that was lost.
//
// Faults: Unauthorized (enrol_token_invalid), Unavailable.
func (h *Handovers) Enrol(ctx context.Context, svc *service.Service, token, nonce, words string) (secret.Text, *Device, error) {
	id, hash, err := readToken(enrolPrefix, token, errEnrol)
	if err != nil {
		return secret.Text{}, nil, err
	}
	var claim []byte
	if len(nonce) >= minNonce {
		sum := sha256.Sum256(append(slices.Clone(hash), nonce...)) // the hash has one length
		claim = sum[:]
	}
	session, kept, err := newToken(devicePrefix, id)
	if err != nil {
		return secret.Text{}, nil, err
	}
	var device ledger.ID
	if _, err := rand.Read(device[:]); err != nil {
		return secret.Text{}, nil, fault.As(fmt.Errorf("make an id: %w", err))
	}
	key := courierByID(svc, id)
	var out *Device
	err = h.Ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key}, Apply: func(tx *ledger.Tx) error {
		c, ok := tx.Get(key).(*Courier)
		at := max(tx.Now().UnixMilli(), 0)
		if ok && c.claimed(claim, at) {
			b, err := c.open(svc, key)
			if err != nil {
				return err
			}
			c.Session = kept
			saveCourier(tx, key, c, at)
			out = deviceOf(key, c, b)
			return nil
		}
		if !ok || len(c.Enrol) == 0 || subtle.ConstantTimeCompare(c.Enrol, hash) != 1 || at >= min(c.EnrolUntil, c.Until) {
			return errEnrol
		}
		b, err := c.open(svc, key)
		if err != nil {
			return err
		}
		b.Device = clip(words, maxDeviceWord)
		c.unbind()
		c.Enrol, c.EnrolUntil, c.Device, c.Session, c.Claim, c.BoundAt = nil, 0, device, kept, claim, at
		c.Body = seal(svc, key, columnBody, b)
		saveCourier(tx, key, c, at)
		tx.Event(courierEvent(key, EventDevice, at))
		out = deviceOf(key, c, b)
		return nil
	}})
	return session, out, err
}

// claimed tells whether the phone that is bound asks again, because it never got its secret.
func (c *Courier) claimed(claim []byte, at int64) bool {
	return len(claim) > 0 && !c.Device.IsZero() && subtle.ConstantTimeCompare(c.Claim, claim) == 1 && at < min(c.BoundAt+claimLife, c.Until)
}

func deviceOf(key ledger.Key, c *Courier, b *courierBody) *Device {
	return &Device{Courier: key.ID, Name: b.Name, Depot: b.Depot, Binding: c.binding(key.ID), Round: c.Round, Until: moment(c.Until)}
}

func clip(text string, most int) string {
	text, err := line(text, "", 10*most)
	if err != nil {
		return ""
	}
	if r := []rune(text); len(r) > most {
		return string(r[:most])
	}
	return text
}

// DeviceBy finds whose phone shows a secret. For a day and a half after its shift it may still tell what happened during it.
//
// Faults: Unauthorized (shift_over: the shift has ended, or the phone was revoked), Unavailable.
func (h *Handovers) DeviceBy(ctx context.Context, svc *service.Service, session string) (*Device, error) {
	id, hash, err := readToken(devicePrefix, session, errShift)
	if err != nil {
		return nil, err
	}
	key := courierByID(svc, id)
	v, err := h.Ledger.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	now := h.Ledger.Now().UnixMilli()
	c, ok := v.(*Courier)
	if !ok || c.Device.IsZero() || subtle.ConstantTimeCompare(c.Session, hash) != 1 || now >= c.Until+maxLate {
		return nil, errShift
	}
	b, err := c.open(svc, key)
	if err != nil {
		return nil, err
	}
	d := deviceOf(key, c, b)
	d.Over = now >= c.Until
	return d, nil
}

// Names gives couriers' names as their depots wrote them. One who never had a round has none, and is left out.
//
// Faults: Unavailable.
func (h *Handovers) Names(ctx context.Context, svc *service.Service, couriers ...ledger.ID) (map[ledger.ID]string, error) {
	names := map[ledger.ID]string{}
	for _, id := range couriers {
		if _, known := names[id]; known || id.IsZero() {
			continue
		}
		key := courierByID(svc, id)
		v, err := h.Ledger.Read(ctx, key)
		if err != nil {
			return nil, err
		}
		if c, ok := v.(*Courier); ok && len(c.Body) > 0 {
			b, err := c.open(svc, key)
			if err != nil {
				return nil, err
			}
			names[id] = b.Name
		}
	}
	return names, nil
}

// Revoke signs a courier's phone out at once, and makes a link that waits void: a phone that was stolen shows and does nothing more. What it did
// without signal is not taken from it any more; its round can be given to another phone by Invite. By is who did it; it is noted, here and
// below.
//
// Faults: NotFound, Unavailable.
func (h *Handovers) Revoke(ctx context.Context, svc *service.Service, courier ledger.ID, by string) error {
	key := courierByID(svc, courier)
	return h.Ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key}, Apply: func(tx *ledger.Tx) error {
		c, ok := tx.Get(key).(*Courier)
		if !ok {
			return errNoCourier
		}
		if c.Device.IsZero() && len(c.Enrol) == 0 && c.Before == [8]byte{} && len(c.Body) > 0 {
			return nil // again
		}
		at := tx.Now().UnixMilli()
		c.Device, c.Session, c.Claim, c.Enrol, c.EnrolUntil, c.Before = ledger.ID{}, nil, nil, nil, 0, [8]byte{}
		if err := noteCourier(svc, key, c, by, DidRevoke, at); err != nil {
			return err
		}
		saveCourier(tx, key, c, at)
		tx.Event(courierEvent(key, EventRevoked, at))
		return nil
	}})
}

// Invite makes a new link for the round of a courier whose shift isn't over. The phone that is bound goes on until another uses the link.
//
// Faults: NotFound, Conflict (shift_over), Unavailable.
func (h *Handovers) Invite(ctx context.Context, svc *service.Service, courier ledger.ID, by string) (secret.Text, error) {
	key := courierByID(svc, courier)
	token, hash, err := newToken(enrolPrefix, courier)
	if err != nil {
		return token, err
	}
	return token, h.Ledger.Do(ctx, ledger.Op{Keys: []ledger.Key{key}, Apply: func(tx *ledger.Tx) error {
		c, ok := tx.Get(key).(*Courier)
		if !ok {
			return errNoCourier
		}
		at := tx.Now().UnixMilli()
		if at >= c.Until {
			return fault.New(fault.Conflict, errShift.Code, "This courier's shift is over. Open a new round.")
		}
		c.Enrol, c.EnrolUntil = hash, at+enrolLife
		if err := noteCourier(svc, key, c, by, DidInvite, at); err != nil {
			return err
		}
		saveCourier(tx, key, c, at)
		return nil
	}})
}
