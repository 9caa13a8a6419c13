// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/countersign/countersign/internal/app"
	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/store"
)

// serve runs a node until it is told to stop.
func serve(ctx context.Context, p *Process, c *call) error {
	cfg, err := load(p, c)
	if err != nil {
		return err
	}
	log := logger(cfg, p.Err)
	master, warning, err := app.LoadMaster(cfg)
	if err != nil {
		return err
	}
	if warning != "" {
		log.Warn(warning)
	}
	if cfg.Get("log-checkpoints") == "" {
		log.Warn("no checkpoints of the event log are written, so whoever can write to the database can rewrite it unseen; name a folder outside the database in log-checkpoints")
	}
	a, err := app.New(ctx, app.Options{Config: cfg, Log: log, Master: master})
	if err != nil {
		return err
	}
	log.Info("serving", "address", a.Addr(), "version", Version)
	return a.Run(ctx)
}

// dev starts everything at once: the first thing that a visitor tries.
func dev(ctx context.Context, p *Process, c *call) error {
	folder := c.get("data")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fault.New(fault.Invalid, "no_data_folder", fmt.Sprintf("The folder %s can't be made: %v", folder, err))
	}
	if _, ok := c.set["database"]; !ok {
		c.set["database"] = "sqlite:" + filepath.Join(folder, "countersign.db")
	}
	if _, ok := c.set["log-checkpoints"]; !ok {
		c.set["log-checkpoints"] = filepath.Join(folder, "checkpoints")
	}
	if _, ok := c.set["log-level"]; !ok {
		c.set["log-level"] = "warn"
	}
	cfg, err := load(p, c)
	if err != nil {
		return err
	}
	master, err := devMaster(filepath.Join(folder, "master.key"))
	if err != nil {
		return err
	}
	a, err := app.New(ctx, app.Options{Config: cfg, Log: logger(cfg, p.Err), Master: master, Dev: true})
	if err != nil {
		return err
	}
	key, err := demoService(ctx, a.Registry())
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(a.Addr())
	if err != nil {
		return fault.As(err)
	}
	fmt.Fprintf(p.Out, `Countersign is running.

  Try it      http://localhost:%[1]s/
  Inbox       http://localhost:%[1]s/inbox
  API         http://localhost:%[1]s/docs
  API key     %[2]s

Everything is in the folder %[3]s; messages are in memory only. Stop with Ctrl-C.
`, port, key.Reveal(), folder)
	return a.Run(ctx)
}

func devMaster(path string) (secret.Master, error) {
	m, err := secret.CreateMasterFile(path)
	if err == nil {
		return m, nil
	}
	if !errors.Is(err, fs.ErrExist) && fault.As(err).Kind != fault.Conflict {
		return nil, err
	}
	m, _, err = secret.LoadMasterFile(path)
	if err != nil {
		return nil, err
	}
	return m, nil
}

const devKeyName = "dev"

// demoService makes the demo service at the first start, and at every start an API key that replaces the last one:
// it can't be shown a second time.
func demoService(ctx context.Context, reg *service.Registry) (secret.Text, error) {
	now := time.Now()
	svc, ok := reg.BySlug(app.DemoSlug)
	if !ok {
		var err error
		p := service.DefaultPolicy()
		p.Channels = service.Channels()
		svc, err = reg.Create(ctx, service.Row{Slug: app.DemoSlug, Name: "Demo", Domain: "localhost", Locale: "en", Policy: p}, now)
		if err != nil {
			return secret.Text{}, err
		}
	}
	for _, k := range reg.Keys(svc) {
		if k.Name == devKeyName && k.RevokedAt.IsZero() {
			if err := reg.RevokeKey(ctx, svc, k.ID, now); err != nil {
				return secret.Text{}, err
			}
		}
	}
	key, _, err := reg.CreateKey(ctx, svc, devKeyName, service.Scopes(), now)
	return key, err
}

func migrate(ctx context.Context, p *Process, c *call) error {
	cfg, err := load(p, c)
	if err != nil {
		return err
	}
	s, err := app.OpenStore(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.Err, "The schema is up to date.")
	return err
}

func keysInit(_ context.Context, p *Process, c *call) error {
	m, err := secret.CreateMasterFile(c.Arg(0))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.Err, "The master key %s is in %s. Keep a copy apart from the database's backups: without it nothing in the database can be read.\n", m.Fingerprint(), c.Arg(0))
	return err
}

// database opens the database for a command.
func database(ctx context.Context, p *Process, c *call, use func(*config.Config, *store.Store) error) error {
	cfg, err := load(p, c)
	if err != nil {
		return err
	}
	s, err := app.OpenStore(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	if ok, err := s.Migrated(ctx); err != nil || !ok {
		if err == nil {
			err = fault.New(fault.Conflict, "schema_outdated", "The database's schema isn't up to date. Run `countersign migrate` first.")
		}
		return err
	}
	return use(cfg, s)
}

// registry is database for a command that manages services.
func registry(ctx context.Context, p *Process, c *call, use func(*service.Registry) error) error {
	return database(ctx, p, c, func(cfg *config.Config, s *store.Store) error {
		master, err := app.CheckedMaster(ctx, s, cfg)
		if err != nil {
			return err
		}
		reg, err := service.NewRegistry(ctx, s, master)
		if err != nil {
			return err
		}
		return use(reg)
	})
}

// withService is registry with the service that the first argument names.
func withService(ctx context.Context, p *Process, c *call, use func(*service.Registry, *service.Service) error) error {
	return registry(ctx, p, c, func(reg *service.Registry) error {
		svc, ok := reg.BySlug(c.Arg(0))
		if !ok {
			var slugs []string
			for _, s := range reg.All() {
				slugs = append(slugs, s.Slug)
			}
			return service.NoSlug(c.Arg(0), slugs)
		}
		return use(reg, svc)
	})
}
