// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresVariable names a cluster where databases may be created, as a URL. With it no cluster is
// started by Postgres; ./test gives one to all packages this way.
const postgresVariable = "COUNTERSIGN_TEST_POSTGRES"

// oldestPostgres is the first major version that Countersign supports.
const oldestPostgres = 15

// startTries bounds how often a server is started anew because its port was taken meanwhile.
const startTries = 5

// controlTimeout bounds each call of PostgreSQL's own tools.
const controlTimeout = time.Minute

// wake is shell that undoes a Pause, since a frozen cluster can't be stopped. $2 is the folder.
const wake = `pid=$(head -n 1 "$2/data/postmaster.pid" 2>/dev/null) &&
	kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children") 2>/dev/null
`

// remove is shell that removes the folder $2 against a tool that still writes there while it dies.
const remove = `for try in 1 2 3 4 5; do rm -rf "$2" 2>/dev/null && break; sleep 0.2; done`

// PostgresServer is a PostgreSQL cluster of its own: durable settings (fsync and synchronous_commit
// on), pg_stat_statements loaded, trust authentication, loopback only. Its methods are meant for one
// goroutine at a time.
type PostgresServer struct {
	bin   string
	dir   string
	port  int
	cred  *syscall.Credential
	extra []string
	guard *guard
}

// StartPostgres makes a cluster in dir and starts it. An empty dir means a temporary folder that Stop
// removes; a given one must be reachable by the user "postgres" when root calls, and stays. Settings
// have the form "name=value" and win over the defaults. Whoever forgets Stop loses nothing: the
// cluster is stopped when this process ends.
func StartPostgres(dir string, settings ...string) (*PostgresServer, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	s := &PostgresServer{bin: bin, dir: dir, extra: settings}
	stop := wake + `"$1" -D "$2/data" -m fast -w stop >/dev/null 2>&1`
	if dir == "" {
		s.dir, err = os.MkdirTemp("", "countersign-postgres-")
		if err != nil {
			return nil, fmt.Errorf("postgres: %w", err)
		}
		stop = wake + `"$1" -D "$2/data" -m immediate -w stop >/dev/null 2>&1; ` + remove
	}
	err = s.becomeUnprivileged()
	if err != nil {
		return nil, err
	}
	s.guard, err = newGuard(s.cred, stop, s.tool("pg_ctl"), s.dir)
	if err != nil {
		return nil, err
	}
	err = s.create()
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// becomeUnprivileged gives the folder to the user that PostgreSQL will run as: it refuses root.
func (s *PostgresServer) becomeUnprivileged() error {
	if os.Getuid() != 0 {
		return nil
	}
	uid, gid, err := userIDs("postgres")
	if err != nil {
		uid, gid, err = userIDs("nobody")
	}
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	err = os.Chown(s.dir, uid, gid)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

func (s *PostgresServer) create() error {
	data := filepath.Join(s.dir, "data")
	_, err := os.Stat(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		err = s.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	}
	if err != nil {
		return err
	}
	for range startTries {
		s.port, err = freePort()
		if err != nil {
			return err
		}
		err = s.start()
		if err == nil {
			return nil
		}
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log")) // best effort: it only explains err
	return fmt.Errorf("%w\n%s", err, log)
}

func (s *PostgresServer) start() error {
	settings := slices.Concat([]string{
		"port=" + strconv.Itoa(s.port),
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=" + s.dir,
		"fsync=on",
		"synchronous_commit=on",
		"shared_preload_libraries=pg_stat_statements",
		"max_connections=200",
	}, s.extra)
	var options strings.Builder
	for _, setting := range settings {
		options.WriteString(" -c '" + strings.ReplaceAll(setting, "'", `'\''`) + "'")
	}
	return s.run("pg_ctl", "-D", filepath.Join(s.dir, "data"), "-l", filepath.Join(s.dir, "log"),
		"-o", options.String(), "-w", "-t", "30", "start")
}

func (s *PostgresServer) tool(name string) string { return filepath.Join(s.bin, name) }

// run calls one of PostgreSQL's tools. Its output goes to a file, not to a pipe: a server that
// inherits a pipe would keep this process waiting for its end.
func (s *PostgresServer) run(name string, args ...string) error {
	out, err := os.CreateTemp(s.dir, name+"-")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer os.Remove(out.Name()) // a left-over empty file harms nobody
	defer out.Close()           // it was only written by the child
	ctx, cancel := context.WithTimeout(context.Background(), controlTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.tool(name), args...)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	err = cmd.Run()
	if err != nil {
		text, _ := os.ReadFile(out.Name()) // best effort: it only explains err
		return fmt.Errorf("%s: %w\n%s", name, err, text)
	}
	return nil
}

// URL returns the address of the database "postgres" of the cluster. It stays the same over Restart.
func (s *PostgresServer) URL() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// Stop ends the cluster and removes its folder if StartPostgres made it. It may be called twice.
func (s *PostgresServer) Stop() error {
	err := s.guard.release()
	if err != nil {
		return fmt.Errorf("postgres: stop: %w", err)
	}
	return nil
}

// Kill ends the cluster at once, as a crash would: connections break, what was committed is there
// after Restart, what was not is gone.
func (s *PostgresServer) Kill() error {
	return s.run("pg_ctl", "-D", filepath.Join(s.dir, "data"), "-m", "immediate", "-w", "stop")
}

// Restart starts the cluster again after Kill, on the same port.
func (s *PostgresServer) Restart() error { return s.start() }

// Pause freezes the cluster: connections stay open, and nothing answers until Resume.
func (s *PostgresServer) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets the cluster go on after Pause.
func (s *PostgresServer) Resume() error { return s.signal(syscall.SIGCONT) }

// signal sends sig to the postmaster first, so that it makes no new process, then to its children.
func (s *PostgresServer) signal(sig syscall.Signal) error {
	file, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
	if err != nil {
		return fmt.Errorf("postgres: signal: %w", err)
	}
	first, _, _ := strings.Cut(string(file), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("postgres: signal: %w", err)
	}
	err = syscall.Kill(postmaster, sig)
	if err != nil {
		return fmt.Errorf("postgres: signal: %w", err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", postmaster, postmaster))
	if err != nil {
		return fmt.Errorf("postgres: signal: %w", err)
	}
	for field := range strings.FieldsSeq(string(children)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return fmt.Errorf("postgres: signal: %w", err)
		}
		err = syscall.Kill(child, sig)
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("postgres: signal: %w", err)
		}
	}
	return nil
}

// postgresBin finds the folder of PostgreSQL's server programs, the newest that is new enough.
// Debian keeps them out of PATH.
func postgresBin() (string, error) {
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", fmt.Errorf("postgres: %w", err)
	}
	best, version := "", oldestPostgres-1
	for _, folder := range folders {
		found, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		_, statErr := os.Stat(filepath.Join(folder, "initdb"))
		if err == nil && statErr == nil && found > version {
			best, version = folder, found
		}
	}
	if best != "" {
		return best, nil
	}
	initdb, err := look("initdb")
	if err != nil {
		return "", fmt.Errorf("PostgreSQL %d or later: %w", oldestPostgres, errMissing)
	}
	return filepath.Dir(initdb), nil
}

// shared is the cluster that all tests of this process use, started by the first that asks. It has
// no owner that could carry it: tests know nothing of each other. Keeping the server, and not only
// its URL, keeps its guard's pipe from being collected and closed.
var shared struct {
	sync.Mutex
	server *PostgresServer
}

func sharedURL() (string, error) {
	if given := os.Getenv(postgresVariable); given != "" {
		return given, nil
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		server, err := StartPostgres("")
		if err != nil {
			return "", err
		}
		shared.server = server
	}
	return shared.server.URL(), nil
}

// Postgres returns the URL of an empty database that exists for this test only, with the extension
// pg_stat_statements ready to be created. It is dropped, connections and all, when the test ends.
func Postgres(tb testing.TB) string {
	tb.Helper()
	cluster, err := sharedURL()
	if err != nil {
		giveUp(tb, err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	// template0, because a template that somebody is connected to can't be copied.
	err = execute(cluster, "CREATE DATABASE "+name+" TEMPLATE template0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		err := execute(cluster, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		if err != nil {
			tb.Error(err)
		}
	})
	address, err := url.Parse(cluster)
	if err != nil {
		tb.Fatalf("%s: %v", postgresVariable, err)
	}
	address.Path = "/" + name
	return address.String()
}

// execute runs one statement on a connection of its own.
func execute(cluster, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), controlTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, cluster)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer conn.Close(ctx) // the statement's own error is what counts
	_, err = conn.Exec(ctx, statement)
	if err != nil {
		return fmt.Errorf("postgres: %s: %w", statement, err)
	}
	return nil
}
