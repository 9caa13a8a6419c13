// SPDX-License-Identifier: Apache-2.0

package verification_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/testkit/peers"
	"github.com/countersign/countersign/internal/verification"
)

// BenchmarkEngine is one verification begun, reported as sent, and checked, by 64 callers at once.
func BenchmarkEngine(b *testing.B) {
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(b.TempDir(), "bench.db") },
		"postgres": func() string { return peers.Postgres(b) },
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, url(), nil)
			var n atomic.Int64
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					begun, err := w.engine.Begin(b.Context(), verification.BeginRequest{
						Service: w.svc, Contact: w.to(fmt.Sprintf("p%d@mail.example", i)), Purpose: service.SignIn,
					})
					if err != nil {
						b.Error(err)
						return
					}
					if err := w.engine.Report(b.Context(), message.Report{Ref: message.Ref{Row: rowKeyOf(w, begun.ID)}, Sent: true}); err != nil {
						b.Error(err)
						return
					}
					code := w.svc.Deriver(begun.ID[8]).Code(inputOf(w, begun.ID)).Reveal()
					c, err := w.engine.Check(b.Context(), verification.CheckRequest{Service: w.svc, ID: begun.ID, Typed: code})
					if err != nil || c.Result != verification.Granted {
						b.Error(err, c)
						return
					}
				}
			})
			s := w.batcher.Stats()
			b.ReportMetric(float64(s.Ops.Load())/float64(s.Batches.Load()), "ops/batch")
		})
	}
}
