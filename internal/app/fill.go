// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// Fill begins and ends n verifications for as many contacts, to measure how a database with history behaves.
func (a *App) Fill(ctx context.Context, svc *service.Service, n int) error {
	const together = 512
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for i := range n {
		group.Go(func() error {
			to, err := contact.ParseEmail(fmt.Sprintf("fill%d@mail.example", i))
			if err != nil {
				return err
			}
			b, err := a.engine.Begin(ctx, verification.BeginRequest{Service: svc, Contact: to, Purpose: service.SignIn})
			if err != nil {
				return err
			}
			// History is over: one that is pending would be expired by a job while the others are being measured.
			_, err = a.engine.Cancel(ctx, svc, b.ID)
			return err
		})
	}
	return group.Wait()
}
