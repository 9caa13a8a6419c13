// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// Fill begins and ends n verifications for as many contacts, to measure how a database with history behaves. Call it while
// Run runs.
func (a *App) Fill(ctx context.Context, svc *service.Service, n int) error {
	const together = 512
	group, all := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for i := range n {
		group.Go(func() error {
			to, err := contact.ParseEmail(fmt.Sprintf("fill%d@mail.example", i))
			if err != nil {
				return err
			}
			b, err := a.engine.Begin(all, verification.BeginRequest{Service: svc, Contact: to, Purpose: service.SignIn})
			if err != nil {
				return err
			}
			// History is over: one that is pending would be expired by a job while the others are being measured.
			_, err = a.engine.Cancel(all, svc, b.ID)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	// The jobs are behind after so much at once: what they do now would be measured with the rest.
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting, err := a.store.Unnumbered(ctx)
		if err != nil || !waiting {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
