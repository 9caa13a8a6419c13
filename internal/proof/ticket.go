// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/fault"
)

// Ticket is what a recipient's QR code says: which hand-over, on which attempt, to which courier's phone.
type Ticket struct {
	Handover   [16]byte
	Attempt    uint8
	Generation uint8
	Pass       uint8   // 0: the recipient's own
	Device     [8]byte // the binding of the courier's device
	Until      time.Time
}

const (
	// TicketPrefix begins the text of every ticket.
	TicketPrefix = "CST1."

	ticketVersion = 1
	ticketSize    = 39
	ticketContext = "countersign ticket v1\x00"
	// A ticket names its key by the first bytes of the thumbprint: the text has to fit into a QR code that a phone reads from another phone.
	ticketKID = 3
	maxUntil  = 1 << 37 // Unix seconds, some thousand years from now
)

// encode is the ticket's payload: version (1), hand-over (16), attempt, generation, pass (1 each), device (8), until (8, Unix seconds), key (3).
func (t *Ticket) encode(kid []byte) []byte {
	b := make([]byte, 0, ticketSize+signatureSize)
	b = append(b, ticketVersion)
	b = append(b, t.Handover[:]...)
	b = append(b, t.Attempt, t.Generation, t.Pass)
	b = append(b, t.Device[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Until.Unix())) //nolint:gosec // its bits
	return append(b, kid[:ticketKID]...)
}

// Ticket signs a ticket with the current key and writes its text; seconds are kept of the time. It is empty when there is no key: see [Signer.Sign].
func (s *Signer) Ticket(t Ticket) string {
	if s.current == nil {
		return ""
	}
	payload := t.encode(s.current.thumb[:])
	signature, err := s.current.sign(append([]byte(ticketContext), payload...))
	if err != nil {
		return ""
	}
	return TicketPrefix + encode(append(payload, signature...))
}

var (
	errNoTicket = fault.New(fault.Invalid, "ticket_malformed",
		"This QR code is none of a delivery. Scan the one on the recipient's tracking page, or type the code.")
	errTicketKey = fault.New(fault.Invalid, "ticket_key_unknown",
		"This QR code is signed with a key that is none of this service's. Have the recipient load their page again, or type the code.")
	errTicketChanged = fault.New(fault.Invalid, "ticket_changed",
		"This QR code was changed, or somebody else made it. Have the recipient load their page again, or type the code.")
)

// VerifyTicket reads a ticket and checks its signature against a set of keys. Whether it is still good, and for this phone, is the caller's to say.
//
// Faults: Invalid (ticket_malformed, ticket_key_unknown, ticket_changed).
func VerifyTicket(text string, set Set) (Ticket, error) {
	body, ok := strings.CutPrefix(text, TicketPrefix)
	if !ok || len(body) != (8*(ticketSize+signatureSize)+5)/6 {
		return Ticket{}, errNoTicket
	}
	raw, ok := decode(body)
	if !ok || len(raw) != ticketSize+signatureSize || raw[0] != ticketVersion {
		return Ticket{}, errNoTicket
	}
	payload, signature := raw[:ticketSize], raw[ticketSize:]
	until := binary.BigEndian.Uint64(payload[28:36])
	if until > maxUntil {
		return Ticket{}, errNoTicket
	}
	t := Ticket{
		Handover: [16]byte(payload[1:17]), Attempt: payload[17], Generation: payload[18], Pass: payload[19], Device: [8]byte(payload[20:28]),
		Until: time.Unix(int64(until), 0).UTC(), //nolint:gosec // bounded above
	}
	known := false
	for i := range set.Keys {
		thumb := set.Keys[i].thumbprint()
		if string(thumb[:ticketKID]) != string(payload[36:]) {
			continue
		}
		known = true
		if set.Keys[i].verify(append([]byte(ticketContext), payload...), signature) {
			return t, nil
		}
	}
	if !known {
		return Ticket{}, errTicketKey
	}
	return Ticket{}, errTicketChanged
}
