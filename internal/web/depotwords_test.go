// SPDX-License-Identifier: Apache-2.0

package web

import (
	"testing"

	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// Everything that can be told of a hand-over has words at the depot.
//
// Keeps: H.5
func TestEverythingOfAHandoverHasWords(t *testing.T) {
	t.Parallel()
	w, err := readWords()
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for s := handover.Created; s <= handover.Canceled; s++ {
		keys = append(keys, "state."+s.String())
	}
	for r := handover.NobodyHome; r <= handover.SettledConflict; r++ {
		keys = append(keys, "reason_"+r.String())
	}
	for m := handover.ByCode; m <= handover.ByPhoto; m++ {
		keys = append(keys, "means."+m.String())
	}
	for c := handover.Confirmed; c <= handover.Weaker; c++ {
		keys = append(keys, "certainty."+c.String())
	}
	for r := handover.Wrong; r < handover.Wait; r++ {
		keys = append(keys, "result."+r.String())
	}
	for s := handover.Queued; s <= handover.Void; s++ {
		keys = append(keys, "sent."+s.String())
	}
	for _, k := range message.DeliveryKinds() {
		keys = append(keys, "message."+k.String())
	}
	for _, c := range service.Channels() {
		keys = append(keys, "channel."+string(c))
	}
	for _, e := range []handover.Exception{
		handover.ExceptionConflict, handover.ExceptionStopped, handover.ExceptionBlocked, handover.ExceptionUndelivered, handover.ExceptionWeaker, handover.ExceptionUnseen,
	} {
		keys = append(keys, "exception."+string(e))
	}
	for did := handover.DidRelease; did <= handover.DidInvite; did++ {
		keys = append(keys, "did."+did.String())
	}
	for _, name := range outcomes {
		keys = append(keys, "outcome."+name)
	}
	for _, key := range keys {
		if !w.has("depot." + key) {
			t.Errorf("no word for depot.%s", key)
		}
	}
}
