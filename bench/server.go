// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/countersign/countersign/internal/app"
	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// null takes every message at once.
type null struct{}

func (null) Name() string   { return "null" }
func (null) Receipts() bool { return false }
func (null) Send(context.Context, *message.Outgoing, *message.Text) (message.Sent, error) {
	return message.Sent{}, nil
}

// runServer is the measured process: it prints its address, an API key and what codes are made of, and stops at
// the end of its standard input.
func runServer(database string, rows int) error {
	ctx, stop := context.WithCancel(context.Background())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); stop() }()
	if path := os.Getenv("BENCH_PROFILE"); path != "" {
		f, err := os.Create(path + "-" + database[:4])
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if database == "bare" {
		return runBare(ctx)
	}
	cfg, err := config.Load("", nil, map[string]string{"database": database, "listen": "127.0.0.1:0", "database-connections": "8"})
	if err != nil {
		return err
	}
	master, err := secret.GenerateMaster(rand.Reader)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	routes := map[service.Channel][]message.Provider{service.SMS: {null{}}, service.Email: {null{}}}
	a, err := app.New(ctx, app.Options{Config: cfg, Log: log, Master: master, Routes: routes})
	if err != nil {
		return err
	}
	svc, err := a.Registry().Create(ctx, service.Row{Slug: "bench", Name: "Bench", Domain: "bench.example", Locale: "en", Policy: service.DefaultPolicy()}, time.Now())
	if err != nil {
		return err
	}
	key, _, err := a.Registry().CreateKey(ctx, svc, "bench", service.Scopes(), time.Now())
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	if rows > 0 {
		if err := a.Fill(ctx, svc, rows); err != nil {
			stop()
			return errors.Join(err, <-ended)
		}
	}
	fmt.Println(a.Addr(), key.Reveal(), svc.ID, hex.EncodeToString(svc.Ring.Current().CodeKey()))
	return <-ended
}

// runBare is what everything is compared with: a handler that reads and writes JSON and does nothing.
func runBare(ctx context.Context) error {
	type in struct{ To, Purpose string }
	type out struct {
		ID        string    `json:"id"`
		Status    string    `json:"status"`
		Purpose   string    `json:"purpose"`
		To        string    `json:"to"`
		CreatedAt time.Time `json:"created_at"`
		ExpiresAt time.Time `json:"expires_at"`
		TriesLeft int       `json:"tries_left"`
		SendsLeft int       `json:"sends_left"`
	}
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q in
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out{"vrf_0123456789abcdef0123456789abcdef", "pending", q.Purpose, "m...@example.com", time.Now(), time.Now(), 5, 4})
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr(), "none")
	go func() { <-ctx.Done(); _ = s.Close() }()
	_ = s.Serve(l)
	return nil
}

// coders make the codes of verifications and of hand-overs as the server does, so that the generator needs no inbox.
func coders(service, key string) (verify, deliver func(id string) string, err error) {
	svc, err := strconv.ParseUint(service, 10, 32)
	if err != nil {
		return nil, nil, err
	}
	raw, err := hex.DecodeString(key)
	if err != nil {
		return nil, nil, err
	}
	d := otp.NewDeriver(raw)
	return func(text string) string {
		id, err := verification.ParseID(text)
		if err != nil {
			return ""
		}
		return d.Code(otp.Input{Space: otp.SpaceVerification, Service: uint32(svc), ID: id, Generation: 1, Digits: int(id[9] & 0x0f)}).Reveal()
	}, sayer(uint32(svc), d), nil
}

// postgres makes a database to measure on, if there is a server.
func postgres() (address string, drop func(), err error) {
	server := os.Getenv("COUNTERSIGN_TEST_POSTGRES")
	if server == "" {
		return "", nil, nil
	}
	ctx := context.Background()
	var b [6]byte
	_, _ = rand.Read(b[:])
	name := "bench_" + hex.EncodeToString(b[:])
	run := func(sql string) error {
		c, err := pgx.Connect(ctx, server)
		if err != nil {
			return err
		}
		defer c.Close(ctx)
		_, err = c.Exec(ctx, sql)
		return err
	}
	if err := run("CREATE DATABASE " + name); err != nil {
		return "", nil, err
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	c, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return "", nil, err
	}
	defer c.Close(ctx)
	_, _ = c.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements") // without it, statements aren't counted
	return u.String(), func() { _ = run("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)") }, nil
}

// watch counts the database's CPU time and statements until the returned function is called.
func watch(database string) (func(n int64) (cpu, statements float64), error) {
	if strings.HasPrefix(database, "sqlite") {
		return func(int64) (float64, float64) { return 0, 0 }, nil
	}
	ctx := context.Background()
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return nil, err
	}
	look := func() (cpu, calls float64) {
		rows, err := c.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() OR backend_type <> 'client backend'")
		if err == nil {
			pids, _ := pgx.CollectRows(rows, pgx.RowTo[int])
			for _, pid := range pids {
				t, _ := cpuOf(pid)
				cpu += t
			}
		}
		_ = c.QueryRow(ctx, "SELECT COALESCE(sum(calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE datname = current_database()").Scan(&calls)
		return cpu, calls
	}
	cpu0, calls0 := look()
	return func(n int64) (float64, float64) {
		<-time.After(300 * time.Millisecond) // what the requests cause and nobody waits for
		cpu1, calls1 := look()
		_ = c.Close(ctx)
		return cpu1 - cpu0, (calls1 - calls0) / float64(max(n, 1))
	}, nil
}

// bytesEach prints what a verification takes on disk.
func bytesEach(database string, _ int) error {
	ctx := context.Background()
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		files, err := filepath.Glob(path)
		if err != nil || len(files) == 0 {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		n, err := countSQLite(path)
		if err != nil || n == 0 {
			return err
		}
		fmt.Printf("sqlite: %d bytes on disk for each of %d verifications with contact, message and events\n", info.Size()/n, n)
		return nil
	}
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, t := range []string{"verification", "contact", "journal"} {
		if _, err := c.Exec(ctx, "VACUUM FULL "+t); err != nil {
			return err
		}
	}
	var n, size int64
	err = c.QueryRow(ctx, `SELECT (SELECT count(*) FROM verification), pg_total_relation_size('verification') + pg_total_relation_size('contact') + pg_total_relation_size('journal')`).Scan(&n, &size)
	if err == nil && n > 0 {
		fmt.Printf("postgres: %d bytes on disk for each of %d verifications with contact, message and events (after VACUUM FULL)\n", size/n, n)
	}
	return err
}

// cpuOf is the CPU time that a process has used, in seconds.
func cpuOf(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100, nil // USER_HZ is 100 on every Linux that Go runs on
}
