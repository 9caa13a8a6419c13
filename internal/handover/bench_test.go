// SPDX-License-Identifier: Apache-2.0

package handover_test

import (
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// What an acceptance costs beside HTTP: 64 couriers at once, on SQLite.
func BenchmarkAccept(b *testing.B) {
	w := newWorld(b, "sqlite:"+filepath.Join(b.TempDir(), "bench.db"), func(p *service.Policy) { p.CourierGuesses = 200 })
	var ids []ledger.ID
	var codes []string
	for range b.N {
		ids = append(ids, w.arrived(nil))
		codes = append(codes, w.code())
	}
	who, err := w.h.By(w.svc, kim)
	must(b, err)
	b.ResetTimer()
	next := make(chan int, b.N)
	for i := range b.N {
		next <- i
	}
	close(next)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := <-next
			a, err := w.h.Act(b.Context(), w.svc, who, handover.Act{Key: codes[i], Handover: ids[i], Do: handover.DoCode, Typed: codes[i]})
			if err != nil || a.Result != handover.Handed {
				b.Error(a, err)
			}
		}
	})
}
