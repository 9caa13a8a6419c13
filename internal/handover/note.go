// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"slices"
	"strings"

	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// Did is what somebody did. The numbers are stored; new ones go at the end.
type Did uint8

// What is noted of hand-overs and of couriers' phones.
const (
	DidRelease    Did = iota + 1 // handed it over without a code
	DidWeak                      // the courier handed it over by a weaker proof
	DidSettle                    // dealt with its conflicts
	DidEndAttempt                //
	DidReturn                    // it went back
	DidCancel                    //
	DidLookUp                    // somebody at the depot looked it up by its order
	DidRevoke                    // signed the courier's phone out
	DidInvite                    // made a new link for the courier
)

var didNames = [...]string{"", "released", "weaker_proof", "settled", "attempt_ended", "returned", "canceled", "looked_up", "phone_revoked", "invited"}

// String is what was done, as the API says it.
func (d Did) String() string { return didNames[d] }

// Note is who did something beside what codes did, and why.
type Note struct {
	At   int64  `cbor:"1,keyasint"` // Unix milliseconds
	By   string `cbor:"2,keyasint"` // "staff:acc_...", "api:ID of the key", or the courier's id
	Did  Did    `cbor:"3,keyasint"`
	Text string `cbor:"4,keyasint,omitempty"` // what they said of it
}

const (
	maxNotes    = 40   // of a hand-over, and of a courier
	lookedAgain = hour // that looking the same order up again is the same look
)

// noted adds a note. Of too many, the oldest looks give way first.
func noted(all []Note, n Note) []Note {
	all = append(all, n)
	if len(all) > maxNotes {
		i := slices.IndexFunc(all, func(n Note) bool { return n.Did == DidLookUp })
		all = slices.Delete(all, max(0, i), max(0, i)+1)
	}
	return all
}

// note writes down who did what about a hand-over.
func (d *decision) note(by string, did Did, text string) error {
	b, err := d.body()
	if err != nil {
		return err
	}
	b.Notes = noted(b.Notes, Note{d.at, by, did, text})
	d.keep()
	return nil
}

// LookUp is Find for somebody at the depot: that they have looked is noted with each hand-over that they see, once an hour.
//
// Faults: NotFound (order_not_found), Unavailable.
func (h *Handovers) LookUp(ctx context.Context, svc *service.Service, order, by string) ([]*View, error) {
	all, err := h.Find(ctx, svc, order)
	if err != nil {
		return nil, err
	}
	for i, v := range all {
		if slices.ContainsFunc(v.Notes, lookedBy(by, h.Ledger.Now().UnixMilli())) {
			continue
		}
		if all[i], err = h.changed(ctx, svc, v.ID, nil, func(d *decision) error { return d.look(by) }); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// look notes that somebody at the depot sees the hand-over and changes nothing of it.
func (d *decision) look(by string) error {
	b, err := d.body()
	if err != nil {
		return err
	}
	if d.still = !strings.HasPrefix(by, staffPrefix) || slices.ContainsFunc(b.Notes, lookedBy(by, d.at)); d.still {
		return nil
	}
	return d.note(by, DidLookUp, "")
}

// staffPrefix begins the names of people; what an application reads isn't noted.
const staffPrefix = "staff:"

func lookedBy(by string, at int64) func(Note) bool {
	return func(n Note) bool { return n.Did == DidLookUp && n.By == by && n.At > at-lookedAgain }
}

// noteCourier writes down who did what about a courier's phone.
func noteCourier(svc *service.Service, key ledger.Key, c *Courier, by string, did Did, at int64) error {
	b, err := c.open(svc, key)
	if err != nil {
		return err
	}
	b.Notes = noted(b.Notes, Note{At: at, By: by, Did: did})
	c.Body = seal(svc, key, columnBody, b)
	return nil
}
