// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/service"
)

// couriers does what the couriers' page asks for. The device token is what the page's cookie holds; who doesn't have one, or one of a shift
// that is over, gets a fault of kind Unauthorized.
type couriers interface {
	// Enrol makes the browser the device of a shift, by the token of the depot's link, which works once; and once more for
	// the browser that shows the same nonce, when the answer was lost.
	Enrol(ctx context.Context, svc *service.Service, token, nonce string, v *account.Visitor) (*shift, error)
	// Round is what the device has to know for its shift.
	Round(ctx context.Context, svc *service.Service, device string, v *account.Visitor) (*roundJSON, error)
	// Act does what a courier did, in order, with one result for each. The same entry's key again gets the same result. By is the courier whom the page takes
	// for its own ("" for whom the device token says): a phone goes from one to the next, and what one did isn't taken as another's (Conflict,
	// another_courier).
	Act(ctx context.Context, svc *service.Service, device, by string, entries []entryJSON, v *account.Visitor) ([]resultJSON, error)
}

// shift is a shift that begins on a device.
type shift struct {
	Device string // the token for the cookie
	Until  time.Time
	Round  *roundJSON
}

// roundJSON is the couriers' page's knowledge of its shift.
type roundJSON struct {
	Service      string       `json:"service"`
	Courier      string       `json:"courier"`
	CourierID    string       `json:"courier_id"`
	Depot        string       `json:"depot"`
	Until        time.Time    `json:"until"`
	Now          time.Time    `json:"now"`
	Device       string       `json:"device"` // binding of QR tickets, 16 hexadecimal digits
	Letter       string       `json:"letter"`
	Digits       int          `json:"digits"`
	SignInDigits int          `json:"sign_in_digits"`
	Box          boxJSON      `json:"box"`
	Keys         []any        `json:"keys"` // JWKs that tickets are signed with
	Weak         []string     `json:"weak"` // weaker proofs that are allowed: "identity", "photo"
	Parcels      []parcelJSON `json:"parcels"`
}

// boxJSON is the server's public key for what is typed without signal.
type boxJSON struct {
	Key    int    `json:"key"`
	Public string `json:"public"` // base64url of the uncompressed point
}

// parcelJSON is a hand-over as its courier may see it.
type parcelJSON struct {
	ID         string    `json:"id"`
	State      string    `json:"state"`
	Attempt    int       `json:"attempt"`
	Generation int       `json:"generation"`
	Initials   string    `json:"initials"`
	Hint       string    `json:"hint"`
	Items      string    `json:"items"`
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
	Zone       string    `json:"zone"`
	TriesLeft  int       `json:"tries_left"`
	Blocked    bool      `json:"blocked"`
	Stopped    bool      `json:"stopped"`
	Neighbour  bool      `json:"neighbour"`
	ArrivedAt  time.Time `json:"arrived_at,omitzero"`
	Means      string    `json:"means,omitzero"`
	Certainty  string    `json:"certainty,omitzero"`
	Channels   []string  `json:"channels"`
	Weak       []string  `json:"weak"` // weaker proofs that this parcel allows
}

// positionJSON is roughly where a courier was: about a kilometre.
type positionJSON struct {
	Lat      float64 `json:"lat"`
	Lon      float64 `json:"lon"`
	Accuracy float64 `json:"accuracy"` // metres
}

// entryJSON is one thing that a courier did.
type entryJSON struct {
	Key      string        `json:"key"`
	Handover string        `json:"handover"`
	Attempt  int           `json:"attempt"`
	Do       string        `json:"do"`
	At       time.Time     `json:"at"`     // what the phone takes for the server's time
	Steady   bool          `json:"steady"` // by a clock that nobody can set
	Offline  bool          `json:"offline"`
	Position *positionJSON `json:"position,omitzero"`
	Code     string        `json:"code,omitzero"`
	Sealed   string        `json:"sealed,omitzero"`
	Ticket   string        `json:"ticket,omitzero"`
	Reason   string        `json:"reason,omitzero"`
	Channel  string        `json:"channel,omitzero"`
	Weak     string        `json:"weak,omitzero"`
	Note     string        `json:"note,omitzero"`
}

// resultJSON is what became of an entry.
type resultJSON struct {
	Key        string      `json:"key"`
	Handover   string      `json:"handover"`
	Result     string      `json:"result"`
	TriesLeft  *int        `json:"tries_left,omitzero"`
	RetryAfter int         `json:"retry_after,omitzero"` // seconds
	Parcel     *parcelJSON `json:"parcel,omitzero"`
}
