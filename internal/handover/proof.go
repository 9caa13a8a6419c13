// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// ProofType is the typ of a proof's header (RFC 7515 4.1.9).
const ProofType = "countersign-proof+jwt"

// Claims is what a proof says: who, when, roughly where, by which means and how certain. It has no name, contact, address or code.
type Claims struct {
	Issuer    string    `json:"iss"` // where the service's pages are
	Subject   string    `json:"sub"` // the hand-over
	IssuedAt  int64     `json:"iat"` // Unix seconds
	Order     string    `json:"order"`
	Parcel    int       `json:"parcel"`
	HandedAt  int64     `json:"handed_over_at"` // Unix seconds
	ArrivedAt int64     `json:"arrived_at,omitempty"`
	Attempt   int       `json:"attempt"`
	To        string    `json:"to"` // recipient, neighbour or unknown
	Means     string    `json:"means"`
	Certainty string    `json:"certainty"`
	Courier   string    `json:"courier,omitempty"` // opaque; the depot knows whose it is
	Where     *RoughPos `json:"where,omitempty"`
}

// RoughPos is a position of about a kilometre, in degrees.
type RoughPos struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

// Proof is the signed record of a hand-over: a JWS (RFC 7515) under the service's current key. It is made anew each time, of what the row says; an outsider
// checks it with the service's published keys, of which none is ever taken back.
//
// Faults: NotFound, Conflict (not_handed_over), Unavailable.
func (h *Handovers) Proof(ctx context.Context, svc *service.Service, id ledger.ID) (string, error) {
	r, b, err := h.read(ctx, svc, id)
	if err != nil {
		return "", err
	}
	if r.State != HandedOver {
		return "", fault.New(fault.Conflict, "not_handed_over", "There is a proof only of what was handed over. This one is "+r.State.String()+".")
	}
	c := Claims{
		Issuer: h.Origin(svc), Subject: FormatID(id), IssuedAt: h.Ledger.Now().Unix(), Order: b.Order, Parcel: b.Parcel, HandedAt: r.HandedAt / 1000,
		ArrivedAt: r.ArrivedAt / 1000, Attempt: int(r.Attempt), To: "recipient", Means: r.Means.String(), Certainty: r.Certainty.String(),
	}
	switch {
	case r.Pass > 0:
		c.To = "neighbour"
	case r.Means.Weak():
		c.To = "unknown"
	}
	if !r.Courier.IsZero() {
		c.Courier = FormatCourier(r.Courier)
	}
	if len(r.Where) > 0 {
		var p Position
		if err := unseal(svc, keyOf(svc, id), columnWhere, r.Where, &p); err != nil {
			return "", err
		}
		c.Where = &RoughPos{p.Lat, p.Lon}
	}
	payload, err := json.Marshal(&c)
	if err != nil {
		return "", fault.As(fmt.Errorf("encode a proof: %w", err))
	}
	return svc.Signer().Sign(ProofType, payload)
}

// BindingText is the text of what QR codes are signed for.
func (d *Device) BindingText() string { return hex.EncodeToString(d.Binding[:]) }
