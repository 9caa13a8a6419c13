// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"crypto/subtle"
	"fmt"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

// answer is what an operation answered. It holds no secret: those are derived again.
type answer struct {
	View     View      `cbor:"1,keyasint"`
	Result   Result    `cbor:"2,keyasint,omitempty"`
	Typed    uint8     `cbor:"3,keyasint,omitempty"`
	Epoch    uint32    `cbor:"4,keyasint,omitempty"` // of the device token that came with a grant
	Owner    ledger.ID `cbor:"5,keyasint,omitzero"`  // likewise
	Digits   int       `cbor:"6,keyasint,omitempty"` // how many were typed, when that was unclear
	replayed bool
}

// replayable wraps an operation so that the same key gives the same answer for a day: the answer
// is recorded in the transaction of the effect, and a second request that comes while the first
// is under way waits for its row.
func replayable(svc *service.Service, idem Idempotency, op ledger.Op, out *answer) ledger.Op {
	keys := svc.Ring.IndexKeys()[0] // stays when the other keys rotate
	mac := keys.MAC(secret.LabelIdempotency, []byte(idem.APIKey), []byte(idem.Route), []byte(idem.Key))
	id := ledger.ID(mac[:16])
	body := keys.MAC(secret.LabelIdempotency, []byte("body"), idem.Body)
	key := ledger.Key{Kind: ledger.KindReply, Service: svc.ID, Shard: contactShard(id), ID: id}
	inner := op.Apply
	op.Keys = append([]ledger.Key{key}, op.Keys...)
	op.Apply = func(tx *ledger.Tx) error {
		*out = answer{}
		now := tx.Now().UnixMilli()
		if before, ok := tx.Get(key).(*Reply); ok && now < before.At+replyLife.Milliseconds() {
			return replay(svc, id, before, body[:16], out)
		}
		if err := inner(tx); err != nil {
			return err // nothing happened, so nothing is remembered
		}
		sealed := svc.Ring.Current().Seal(tableReply, columnAnswer, id, ledger.Pack(nil, out))
		reply := &Reply{At: now, Answer: sealed}
		copy(reply.BodyMAC[:], body[:])
		tx.Put(key, reply)
		return nil
	}
	return op
}

// again answers a request that is refused now, if it is the repeat of one that was carried out: the first may have spent
// the last of a budget, or ended what it named. Without such an answer the refusal stands.
func (e *Engine) again(ctx context.Context, svc *service.Service, idem Idempotency, refused error, out *answer) error {
	if idem.Key == "" {
		return refused
	}
	return e.ledger.Do(ctx, replayable(svc, idem, ledger.Op{Apply: func(*ledger.Tx) error { return refused }}, out))
}

func replay(svc *service.Service, id ledger.ID, before *Reply, body []byte, out *answer) error {
	if subtle.ConstantTimeCompare(before.BodyMAC[:], body) != 1 {
		return fault.New(fault.Unprocessable, "idempotency_key_reused",
			"This idempotency key was used for a different request in the last 24 hours. Use a new key for a new request.").WithField("Idempotency-Key")
	}
	plain, err := svc.Ring.Open(tableReply, columnAnswer, id, before.Answer)
	if err != nil {
		return fault.As(err)
	}
	if err := ledger.Unpack(plain, out); err != nil {
		return fault.As(fmt.Errorf("decode a recorded answer: %w", err))
	}
	out.replayed = true
	return nil
}
