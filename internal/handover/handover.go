// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// Sender takes messages that are written down and due; false: it is full, and they are offered again when their lease has run out.
type Sender interface {
	Enqueue(m message.Outgoing) bool
}

// Services finds the service of a row that woke by itself.
type Services interface {
	ByID(id uint32) (*service.Service, bool)
}

// Asked is what a recipient tells of somebody who asked for a delivery code on the phone.
type Asked struct {
	Handover ledger.ID
	Order    string
	Text     string // in their own words; may be empty
	IP       string
}

// Options of New. All are needed but Raise.
type Options struct {
	Ledger   ledger.Ledger
	Services Services
	Sender   Sender
	Origin   func(*service.Service) string // where a service's pages are
	Log      *slog.Logger
	// Raise raises a report with support: somebody asked for a code on the phone.
	Raise func(ctx context.Context, svc *service.Service, a Asked) error
}

// Handovers are the hand-overs, couriers and rounds of all services. All methods may be called concurrently, on any number of nodes.
type Handovers struct{ Options }

// New returns the hand-overs.
func New(opt Options) *Handovers { return &Handovers{opt} }

const (
	minute = int64(time.Minute / time.Millisecond)
	hour   = 60 * minute
	day    = 24 * hour
)

// Limits of a hand-over.
const (
	MaxWrong     = 6   // tries of one attempt (S29)
	MaxAllWrong  = 10  // tries of one hand-over, over all its codes (S29)
	MaxOrder     = 64  // characters of an order reference
	MaxParcels   = 50  // hand-overs of one order
	MaxContacts  = 3   // of a recipient
	MaxName      = 60  // characters of a name
	MaxItems     = 120 // characters of what is handed over
	MaxHint      = 80  // characters of an address hint
	MaxSends     = 5   // of the code, in one attempt, over all ways
	MaxPasses    = 5   // of one hand-over
	MaxRound     = 500 // parcels of one courier's round
	MaxPhoneText = 500 // characters of what somebody writes about a call

	maxCodes = 250                               // generations
	maxAhead = 60 * day                          // between now and a window
	maxTrack = 14 * 24 * time.Hour               // that a device stays proven for a recipient's contact
	maxLate  = int64(36 * time.Hour / 1_000_000) // that what happened without signal may be told afterwards
)

// The prefix of ids.
const (
	Prefix      = "hnd_"
	RoundPrefix = "rnd_"
)

// The ids of hand-overs hold what those of verifications do: 48 bits of milliseconds, 16 of a shard (here random), 8 of the key's id, 4 of
// the purpose space, 4 of the code's length, 48 random.
func newID(svc *service.Service, now time.Time) (ledger.ID, error) {
	var id ledger.ID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(0, now.UnixMilli())))
	copy(id[:6], ms[2:])
	if _, err := rand.Read(id[6:]); err != nil {
		return id, fault.As(fmt.Errorf("make an id: %w", err))
	}
	id[8] = svc.Ring.Current().ID()
	id[9] = byte(otp.SpaceDelivery)<<4 | byte(svc.Policy.DeliveryDigits)&0x0f
	return id, nil
}

func digitsOf(id ledger.ID) int { return int(id[9] & 0x0f) }

func keyOf(svc *service.Service, id ledger.ID) ledger.Key {
	return ledger.Key{Kind: ledger.KindHandover, Service: svc.ID, Shard: binary.BigEndian.Uint16(id[6:8]), ID: id}
}

// derived is the key of a row that is found by what it is about.
func derived(kind ledger.Kind, svc *service.Service, parts ...[]byte) ledger.Key {
	mac := svc.Ring.IndexKeys()[0].MAC(secret.LabelHandover, append([][]byte{[]byte(kind.Table())}, parts...)...)
	id := ledger.ID(mac[:16])
	return ledger.Key{Kind: kind, Service: svc.ID, Shard: binary.BigEndian.Uint16(id[6:8]), ID: id}
}

func orderKey(svc *service.Service, order string) ledger.Key {
	return derived(ledger.KindOrder, svc, []byte(order))
}

func courierKey(svc *service.Service, courier string) ledger.Key {
	return derived(ledger.KindCourier, svc, []byte(courier))
}

func courierByID(svc *service.Service, id ledger.ID) ledger.Key {
	return ledger.Key{Kind: ledger.KindCourier, Service: svc.ID, Shard: binary.BigEndian.Uint16(id[6:8]), ID: id}
}

func dayKey(svc *service.Service, depot, date string) ledger.Key {
	return derived(ledger.KindRound, svc, []byte("day"), []byte(depot), []byte(date))
}

func roundKey(svc *service.Service, id ledger.ID) ledger.Key {
	return ledger.Key{Kind: ledger.KindRound, Service: svc.ID, Shard: binary.BigEndian.Uint16(id[6:8]), ID: id}
}

// FormatID is the public text of a hand-over's id.
func FormatID(id ledger.ID) string { return Prefix + id.String() }

// ParseID reads what FormatID wrote. Anything else is the same fault as an id that nobody has.
func ParseID(text string) (ledger.ID, error) { return parseID(Prefix, text, errNotFound) }

// ParseRound reads the id of a round.
func ParseRound(text string) (ledger.ID, error) { return parseID(RoundPrefix, text, errNoRound) }

// FormatRound is the public text of a round's id.
func FormatRound(id ledger.ID) string { return RoundPrefix + id.String() }

func parseID(prefix, text string, missing error) (id ledger.ID, err error) {
	if len(text) != len(prefix)+32 || text[:len(prefix)] != prefix {
		return id, missing
	}
	if _, err := hex.Decode(id[:], []byte(text[len(prefix):])); err != nil || prefix+id.String() != text {
		return ledger.ID{}, missing
	}
	return id, nil
}

// The faults that are no more than a sentence.
var (
	errNotFound = fault.New(fault.NotFound, "hand_over_not_found", "There is no such hand-over. Look up its order again; it may have been removed after its time.")
	errNoOrder  = fault.New(fault.NotFound, "order_not_found", "There is no hand-over for this order. The reference has to be exact.")
	errNoRound  = fault.New(fault.NotFound, "round_not_found", "There is no such round.")
)

// Recipient is who is to get a parcel.
type Recipient struct {
	Name     string // pages show the first word only, couriers the initials
	Contacts []contact.Contact
	Locale   string // BCP 47, of the messages; empty: the service's
}

// body is what a hand-over's row holds sealed.
type body struct {
	Order    string   `cbor:"1,keyasint"`
	Parcel   int      `cbor:"2,keyasint,omitempty"`
	Name     string   `cbor:"3,keyasint,omitempty"`
	Contacts []string `cbor:"4,keyasint"`
	Locale   string   `cbor:"5,keyasint,omitempty"`
	Zone     string   `cbor:"6,keyasint"`
	Items    string   `cbor:"7,keyasint,omitempty"`
	Hint     string   `cbor:"8,keyasint,omitempty"`
	Depot    string   `cbor:"9,keyasint,omitempty"`
	Weak     []string `cbor:"10,keyasint,omitempty"` // of service.WeakProofs, what this hand-over allows
	NoPass   bool     `cbor:"11,keyasint,omitempty"`
	Passes   []string `cbor:"12,keyasint,omitempty"` // whose, in the order of the record's
	Attempts int      `cbor:"14,keyasint"`           // that it may have
	Quiet    bool     `cbor:"15,keyasint,omitempty"` // no message with the tracking link
	Notes    []Note   `cbor:"16,keyasint,omitempty"`
	Former   []string `cbor:"17,keyasint,omitempty"` // contacts that messages went to and that aren't the recipient's any more, masked
}

// zones are those that were read before: reading one is a hundred times as much work as judging a code.
var zones sync.Map

// zoneOf reads a time zone by its IANA name. "Local" and "" are none: they would be the server's.
func zoneOf(name string) (*time.Location, error) {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), nil //nolint:forcetypeassert // nothing else is put there
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, fault.New(fault.Invalid, "invalid_time_zone", "time_zone must be a name such as Europe/Berlin.").WithField("time_zone")
	}
	zones.Store(name, zone) // at most as many as there are
	return zone, nil
}

func (b *body) zone() *time.Location {
	zone, err := zoneOf(b.Zone)
	if err != nil {
		return time.UTC // it was read when it was made
	}
	return zone
}

func (b *body) contact(i uint8) (contact.Contact, error) {
	if int(i) >= len(b.Contacts) {
		return contact.Contact{}, errNotFound
	}
	c, err := contact.FromCanonical(b.Contacts[i])
	if err != nil {
		return c, fault.As(err)
	}
	return c, nil
}

// allows tells whether a weaker proof may stand in.
func (b *body) allows(m Means) bool {
	return m.Weak() && slices.Contains(b.Weak, meansNames[m])
}

// firstName is the only thing of a name that a page shows.
func firstName(name string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(name), " ")
	return first
}

// initials are what a courier sees of a name.
func initials(name string) string {
	var out []string
	for _, word := range strings.Fields(name) {
		out = append(out, string([]rune(word)[:1])+".")
	}
	return strings.Join(out[:min(3, len(out))], " ")
}

// line makes what others write fit to be kept, compared and shown on one line; the fault names the field when it is too long.
func line(text, field string, most int) (string, error) {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, norm.NFC.String(strings.ToValidUTF8(text, "")))), " ")
	if len([]rune(text)) > most {
		return "", fault.New(fault.Invalid, "text_too_long", "This may have at most "+strconv.Itoa(most)+" characters. Shorten it.").WithField(field)
	}
	return text, nil
}

// deriveCode is a code of a hand-over, or of one of its passes.
func deriveCode(svc *service.Service, id ledger.ID, space otp.Space, generation uint8) otp.Code {
	d := svc.Deriver(id[8])
	if d == nil || generation == 0 {
		return otp.Code{}
	}
	return d.Code(otp.Input{Space: space, Service: svc.ID, ID: id, Generation: generation, Digits: digitsOf(id)})
}

// change runs fn on a hand-over and writes what it became; what it queued is sent once that is durable.
func (h *Handovers) change(ctx context.Context, svc *service.Service, id ledger.ID, more []ledger.Key, fn func(d *decision) error) error {
	var due []message.Outgoing
	key := keyOf(svc, id)
	err := h.Ledger.Do(ctx, ledger.Op{Keys: append([]ledger.Key{key}, more...), Apply: func(tx *ledger.Tx) error {
		due = nil
		r, ok := tx.Get(key).(*Record)
		if !ok {
			return errNotFound
		}
		d := &decision{h: h, tx: tx, svc: svc, key: key, r: r, at: r.clock(tx.Now())}
		before := r.State
		if err := fn(d); err != nil {
			return err
		}
		if d.still {
			return nil
		}
		r.UpdatedAt = d.at
		if r.State != before || d.say != 0 {
			tx.Event(event(key, r, d.say, d.at))
		}
		var err error
		if due, err = d.lease(); err != nil {
			return err
		}
		tx.Put(key, r)
		return nil
	}})
	if err != nil {
		return err
	}
	h.send(due)
	return nil
}

func (h *Handovers) send(due []message.Outgoing) {
	for _, m := range due {
		h.Sender.Enqueue(m)
	}
}

// decision is one change of one hand-over.
type decision struct {
	h     *Handovers
	tx    *ledger.Tx
	svc   *service.Service
	key   ledger.Key
	r     *Record
	at    int64
	b     *body            // opened when it is needed
	say   ledger.EventKind // what the log says of it beside a change of state
	still bool             // nothing has changed
}

// body opens what is sealed.
func (d *decision) body() (*body, error) {
	if d.b == nil {
		b := new(body)
		if err := unseal(d.svc, d.key, columnBody, d.r.Body, b); err != nil {
			return nil, err
		}
		d.b = b
	}
	return d.b, nil
}

// keep seals the body again after it was changed.
func (d *decision) keep() { d.r.Body = seal(d.svc, d.key, columnBody, d.b) }
