// SPDX-License-Identifier: Apache-2.0

// Package testkit holds what tests of several packages need: real databases and other peers. It is never part
// of the binary.
package testkit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Names of the environment variables by which ./test tells tests what there is.
const (
	EnvPostgres = "COUNTERSIGN_TEST_POSTGRES" // URL of a server on which databases may be made
	EnvRequire  = "COUNTERSIGN_TEST_REQUIRE"  // set: a missing peer fails the test instead of skipping it
)

// Missing ends a test whose peer isn't there.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(EnvRequire) != "" {
		t.Fatalf("%s is missing, and %s is set", what, EnvRequire)
	}
	t.Skipf("%s is missing; ./test starts one", what)
}

// Postgres makes an empty database for this test and returns its URL; it is dropped when the test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(EnvPostgres)
	if server == "" {
		Missing(t, "a PostgreSQL server ("+EnvPostgres+")")
	}
	var b [8]byte
	_, _ = rand.Read(b[:])
	name := "test_" + hex.EncodeToString(b[:])
	admin(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func admin(t testing.TB, server, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to %s: %v", EnvPostgres, err)
	}
	defer c.Close(ctx) //nolint:errcheck // nothing is lost
	if _, err := c.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
