// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/countersign/countersign/internal/app"
	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/store"
)

// logKey prints the public key of the event log's checkpoints.
func logKey(ctx context.Context, p *Process, c *call) error {
	return database(ctx, p, c, func(cfg *config.Config, s *store.Store) error {
		key, err := app.LogKey(ctx, s, cfg)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.Out, key)
		return err
	})
}

// logVerify checks the event log and says what it found about each service.
func logVerify(ctx context.Context, p *Process, c *call) error {
	return database(ctx, p, c, func(cfg *config.Config, s *store.Store) error {
		folder := cfg.Get("log-checkpoints")
		reports, key, err := app.VerifyLog(ctx, s, folder, c.get("key"), c.get("service"))
		if err != nil {
			return err
		}
		switch {
		case folder == "":
			fmt.Fprintln(p.Err, "No folder of checkpoints is given (--log-checkpoints): the log is compared with the database's own tree only, which whoever can write to the database can change, too.")
		case c.get("key") == "" && key != "":
			fmt.Fprintf(p.Err, "No key is given (--key): %s is taken, which stands beside the checkpoints or in the database.\n", key)
		}
		var wrong int
		for _, r := range reports {
			if len(r.Problems) > 0 {
				wrong++
			}
			tell(p, r)
		}
		if wrong > 0 {
			return fault.New(fault.Conflict, "log_damaged", fmt.Sprintf("The event log of %d of %d services is not what it was. docs/security/log.md says what that can mean.", wrong, len(reports)))
		}
		return nil
	})
}

func tell(p *Process, r app.LogReport) {
	if len(r.Problems) == 0 {
		fmt.Fprintf(p.Out, "%s: ok, %d entries (%d of them erased), root %s, %d checkpoints agree, the last of them of %d entries\n",
			r.Slug, r.Size, r.Erased, base64.StdEncoding.EncodeToString(r.Root[:]), r.Checkpoints, r.Covered)
	} else {
		fmt.Fprintf(p.Out, "%s: DAMAGED, %d entries (%d of them erased), %d checkpoints agree, the last of them of %d entries\n",
			r.Slug, r.Size, r.Erased, r.Checkpoints, r.Covered)
	}
	for _, text := range r.Problems {
		fmt.Fprintf(p.Out, "    %s\n", text)
	}
	for _, text := range r.Notes {
		fmt.Fprintf(p.Out, "    note: %s\n", text)
	}
}
