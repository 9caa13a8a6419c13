// SPDX-License-Identifier: Apache-2.0

// Package app puts the program together: it is the only package that knows all others. Tests start the true
// program with it on port 0.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/devpage"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/job/checkpoint"
	"github.com/countersign/countersign/internal/jsonapi"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/bounce"
	"github.com/countersign/countersign/internal/place"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/store"
	"github.com/countersign/countersign/internal/verification"
)

// Options of New.
type Options struct {
	Config *config.Config
	Log    *slog.Logger
	Master secret.Master
	// Routes replaces the configured providers, for tests and measurements; nil: the configured ones.
	Routes map[service.Channel][]message.Provider
	Offset func() time.Duration // added to the database's clock by tests; nil: nothing
	// Dev turns on what only a developer's machine has: the inbox and the demo page.
	Dev bool
}

// App is one node.
type App struct {
	opt         Options
	store       *store.Store
	ledger      *ledger.Batcher
	registry    *service.Registry
	callers     *verification.Callers
	engine      *verification.Engine
	accounts    *account.Accounts
	care        *care.Care
	handovers   *handover.Handovers
	outbox      outbox
	dispatcher  *message.Dispatcher
	gateways    map[string]jsonapi.Gateway // by name: their receipts come to them
	senders     []service.Sender           // that the providers send with
	places      *place.Finder
	inbox       *devpage.Inbox     // of dev
	checkpoints *checkpoint.Writer // nil: none are written
	stopping    chan struct{}      // closed when a stop begins: ends what streams
	server      *http.Server
	listener    net.Listener
	bounces     *bounce.Listener // nil: this node takes none
	saved       atomic.Int64     // how many batches had run when the time was last written down
	jobs        sync.WaitGroup
	background  context.Context
	endJobs     context.CancelFunc
}

// New opens the database, checks the master key against it, brings the schema up to date and listens.
// Nothing is served before Run.
func New(ctx context.Context, opt Options) (*App, error) {
	setMemory()
	a := &App{opt: opt, stopping: make(chan struct{})}
	a.background, a.endJobs = context.WithCancel(context.Background())
	if err := a.open(ctx); err != nil {
		a.endJobs()
		if a.ledger != nil {
			a.ledger.Close()
		}
		if a.store != nil {
			err = errors.Join(err, a.store.Close())
		}
		return nil, err
	}
	return a, nil
}

func (a *App) open(ctx context.Context) error {
	var err error
	if a.places, err = place.Open(a.opt.Config.Get("place-database")); err != nil {
		return err
	}
	if a.store, err = OpenStore(ctx, a.opt.Config); err != nil {
		return err
	}
	if err := prepare(ctx, a.store, a.opt.Master); err != nil {
		return err
	}
	floor, err := a.store.LatestTime(ctx)
	if err != nil {
		return err
	}
	if ahead := time.Until(floor); ahead > time.Hour {
		a.opt.Log.Warn("this machine's clock is behind the latest time in the database; time stands still until it has caught up", "by", ahead.Round(time.Second))
	}
	a.ledger = ledger.New(a.store, ledger.Options{Decode: decodeRow, Offset: a.opt.Offset, Floor: floor})
	if a.registry, err = service.NewRegistry(ctx, a.store, a.opt.Master); err != nil {
		return err
	}
	if err := a.openLog(ctx); err != nil {
		return err
	}
	if err := a.wire(ctx); err != nil {
		return err
	}
	if err := a.listen(); err != nil {
		return err
	}
	if err := a.listenForBounces(); err != nil {
		return errors.Join(err, a.listener.Close())
	}
	return nil
}

// OpenStore opens the database that the configuration names.
func OpenStore(ctx context.Context, cfg *config.Config) (*store.Store, error) {
	return store.Open(ctx, cfg.Get("database"), store.Options{MaxConns: cfg.Int("database-connections")})
}

const factMaster = "master_key_fingerprint"

// prepare brings the schema up to date, but first refuses a master key that isn't the database's: then nothing was written. Of a
// fresh database the first key that comes is the one.
func prepare(ctx context.Context, s *store.Store, m secret.Master) error {
	fresh, err := s.Fresh(ctx)
	if err != nil {
		return err
	}
	if !fresh {
		if err := checkMaster(ctx, s, m); err != nil {
			return err
		}
	}
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	return checkMaster(ctx, s, m)
}

// checkMaster refuses a master key that isn't the database's; the first one that comes becomes it.
func checkMaster(ctx context.Context, s *store.Store, m secret.Master) error {
	print, err := s.SetFactOnce(ctx, factMaster, m.Fingerprint())
	if err != nil {
		return err
	}
	if print != m.Fingerprint() {
		return fault.New(fault.Conflict, "wrong_master_key",
			"This master key ("+m.Fingerprint()+") is not the one that this database was made with ("+print+"). Nothing was changed. Give the right master-key-file.")
	}
	return nil
}

// CheckedMaster loads the master key that the configuration names for a database that is open, and refuses another database's.
func CheckedMaster(ctx context.Context, s *store.Store, cfg *config.Config) (secret.Master, error) {
	m, _, err := LoadMaster(cfg)
	if err != nil {
		return nil, err
	}
	return m, checkMaster(ctx, s, m)
}

// LoadMaster reads the master key that the configuration names. dataPath is the folder of an SQLite
// database, in which the key must not be: who copies the one would copy the other.
func LoadMaster(cfg *config.Config) (m secret.Master, warning string, err error) {
	path := cfg.Get("master-key-file")
	switch {
	case path != "":
		if db, ok := strings.CutPrefix(cfg.Get("database"), "sqlite:"); ok && sameFolder(db, path) {
			return nil, "", fault.New(fault.Invalid, "master_key_beside_database",
				"The master key is in the folder of the database: a copy of that folder would give away both. Keep it somewhere else.").WithField("master-key-file")
		}
		return loadMasterFile(path)
	case cfg.Get("master-key") != "":
		m, err := secret.ParseMaster(cfg.Get("master-key"))
		return m, "", err
	default:
		return nil, "", fault.New(fault.Invalid, "no_master_key",
			"There is no master key. Make one with `countersign keys init FILE` and give it as master-key-file.").WithField("master-key-file")
	}
}

func loadMasterFile(path string) (secret.Master, string, error) {
	m, warning, err := secret.LoadMasterFile(path)
	if err != nil {
		return nil, "", err // a nil *LocalMaster must not become a Master that isn't nil
	}
	return m, warning, nil
}

func sameFolder(a, b string) bool {
	x, err1 := filepath.Abs(filepath.Dir(strings.TrimPrefix(a, "//")))
	y, err2 := filepath.Abs(filepath.Dir(b))
	return err1 == nil && err2 == nil && x == y
}

// Addr is the address that is listened on.
func (a *App) Addr() string { return a.listener.Addr().String() }

// Registry gives the services, for commands that run inside the program.
func (a *App) Registry() *service.Registry { return a.registry }

// Run serves until ctx is done, then finishes what has begun, for at most the configured time: requests first, then
// messages, then what the jobs have to write down.
func (a *App) Run(ctx context.Context) error {
	a.dispatcher.Start()
	a.startJobs()
	failed := make(chan error, 2)
	go func() { failed <- a.serve() }()
	if a.bounces != nil {
		go func() {
			if err := a.bounces.Serve(); err != nil {
				failed <- fmt.Errorf("bounces are not taken any more: %w", err)
			}
		}()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.opt.Log.Info("stopping")
	close(a.stopping)
	stop, cancel := context.WithTimeout(context.Background(), a.opt.Config.Seconds("stop-seconds"))
	defer cancel()
	if e := a.server.Shutdown(stop); e != nil {
		err = errors.Join(err, fmt.Errorf("requests were cut off: %w", e))
	}
	if a.bounces != nil {
		if e := a.bounces.Close(stop); e != nil {
			err = errors.Join(err, fmt.Errorf("bounces were cut off: %w", e))
		}
	}
	if e := a.dispatcher.Close(stop); e != nil {
		err = errors.Join(err, fmt.Errorf("messages are left to their lease: %w", e))
	}
	a.endJobs()
	a.jobs.Wait()
	err = errors.Join(err, a.callers.Merge(stop, a.ledger.Now()), a.saveTime(stop), a.number(stop), a.checkpoint(stop))
	a.ledger.Close()
	return errors.Join(err, a.store.Close())
}

func (a *App) serve() error {
	var err error
	if a.server.TLSConfig != nil {
		err = a.server.ServeTLS(a.listener, "", "")
	} else {
		err = a.server.Serve(a.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
