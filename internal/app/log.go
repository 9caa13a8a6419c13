// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/job/checkpoint"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/store"
)

// openLog prepares the writing of checkpoints, if the configuration names a folder for them.
func (a *App) openLog(ctx context.Context) error {
	folder := a.opt.Config.Get("log-checkpoints")
	if folder == "" {
		return nil
	}
	key, err := checkpoint.LoadKey(ctx, a.store, a.opt.Master)
	if err != nil {
		return err
	}
	a.checkpoints, err = checkpoint.NewWriter(a.store, folder, key)
	return err
}

// checkpoint writes checkpoints of the logs that have grown.
func (a *App) checkpoint(ctx context.Context) error {
	if a.checkpoints == nil {
		return nil
	}
	return a.checkpoints.Write(ctx)
}

// LogKey returns the public key that checkpoints of the event log are checked with. Only to make a key, where there is none yet, it needs
// the configuration's master key.
func LogKey(ctx context.Context, s *store.Store, cfg *config.Config) (string, error) {
	key, err := checkpoint.PublicKey(ctx, s)
	if err != nil || key != "" {
		return key, err
	}
	master, err := CheckedMaster(ctx, s, cfg)
	if err != nil {
		return "", err
	}
	made, err := checkpoint.LoadKey(ctx, s, master)
	if err != nil {
		return "", err
	}
	return made.Public(), nil
}

// LogReport says what was found about the log of one service.
type LogReport struct {
	checkpoint.Report
	Slug string
}

// VerifyLog checks the event logs against the checkpoints in folder (empty: against the database's own trees only) and returns a report for
// each service, or for the one that slug names, and the public key that was used. trusted is the public key to use; empty: the folder's or the
// database's own. See [checkpoint.Verify] for its faults; it needs no master key.
func VerifyLog(ctx context.Context, s *store.Store, folder, trusted, slug string) ([]LogReport, string, error) {
	c := checkpoint.Check{Log: s, Folder: folder, Key: trusted}
	rows, _, err := s.Services(ctx)
	if err != nil {
		return nil, "", err
	}
	slugs := map[uint32]string{}
	var names []string
	for _, r := range rows {
		slugs[r.ID] = r.Slug
		names = append(names, r.Slug)
		c.All = append(c.All, r.ID)
		if slug == r.Slug {
			c.Services = []uint32{r.ID}
		}
	}
	if slug != "" && c.Services == nil {
		return nil, "", service.NoSlug(slug, names)
	}
	if c.Database, err = checkpoint.PublicKey(ctx, s); err != nil {
		return nil, "", err
	}
	found, key, err := checkpoint.Verify(ctx, c)
	reports := make([]LogReport, 0, len(found))
	for _, r := range found {
		name, ok := slugs[r.Service]
		if !ok {
			name = fmt.Sprintf("service %d, which is gone", r.Service)
		}
		reports = append(reports, LogReport{Report: r, Slug: name})
	}
	return reports, key, err
}
