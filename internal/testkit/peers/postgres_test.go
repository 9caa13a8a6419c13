// SPDX-License-Identifier: Apache-2.0

package peers_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/countersign/countersign/internal/testkit/peers"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // it may be broken on purpose
	return conn
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var value T
	err := conn.QueryRow(t.Context(), sql).Scan(&value)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestPostgresGivesEachTestItsOwnDurableDatabase(t *testing.T) {
	t.Parallel()
	first, second := connect(t, peers.Postgres(t)), connect(t, peers.Postgres(t))
	execute(t, first, "CREATE TABLE only_here (n int)")
	if query[*string](t, second, "SELECT to_regclass('only_here')::text") != nil {
		t.Error("two databases share a table")
	}
	for _, setting := range []string{"fsync", "synchronous_commit"} {
		if got := query[string](t, first, "SHOW "+setting); got != "on" {
			t.Errorf("%s = %s, want on", setting, got)
		}
	}
	execute(t, first, "CREATE EXTENSION pg_stat_statements")
	if query[int](t, first, "SELECT count(*) FROM pg_stat_statements") == 0 {
		t.Error("pg_stat_statements counts nothing")
	}
}

func TestPostgresDropsTheDatabaseAfterTheTest(t *testing.T) {
	t.Parallel()
	keeper := connect(t, peers.Postgres(t))
	var name string
	t.Run("user", func(t *testing.T) {
		conn := connect(t, peers.Postgres(t))
		name = query[string](t, conn, "SELECT current_database()")
	})
	var left int
	err := keeper.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", name).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("databases left = %d (%v), want 0", left, err)
	}
}

// start gives a cluster that the test may maltreat.
func start(t *testing.T, settings ...string) *peers.PostgresServer {
	t.Helper()
	peers.Postgres(t) // skips where there is no PostgreSQL
	server, err := peers.StartPostgres("", settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := server.Stop()
		if err != nil {
			t.Error(err)
		}
	})
	return server
}

func TestPostgresServerCrashesAndComesBack(t *testing.T) {
	t.Parallel()
	server := start(t, "max_connections=37")
	conn := connect(t, server.URL())
	if got := query[string](t, conn, "SHOW max_connections"); got != "37" {
		t.Errorf("max_connections = %s, want the extra setting 37", got)
	}
	execute(t, conn, "CREATE TABLE kept AS SELECT 1 AS n")
	err := server.Kill()
	if err != nil {
		t.Fatal(err)
	}
	err = conn.Ping(t.Context())
	if err == nil {
		t.Error("a killed server answers")
	}
	err = server.Restart()
	if err != nil {
		t.Fatal(err)
	}
	if got := query[int](t, connect(t, server.URL()), "SELECT n FROM kept"); got != 1 {
		t.Errorf("kept row = %d, want 1", got)
	}
}

func TestPostgresServerPauses(t *testing.T) {
	t.Parallel()
	server := start(t)
	conn := connect(t, server.URL())
	err := server.Pause()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = conn.Ping(ctx)
	if err == nil {
		t.Error("a paused server answers")
	}
	err = server.Resume()
	if err != nil {
		t.Fatal(err)
	}
	err = connect(t, server.URL()).Ping(t.Context())
	if err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

func BenchmarkPostgresDatabase(b *testing.B) {
	for b.Loop() {
		b.Run("one", func(b *testing.B) { peers.Postgres(b) })
	}
}
