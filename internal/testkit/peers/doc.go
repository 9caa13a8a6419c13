// SPDX-License-Identifier: Apache-2.0

// Package peers owns the real programs that tests and benchmarks talk to: a PostgreSQL cluster, a
// Postfix instance, a Chromium browser and oathtool. Each is found on the machine, started with a
// folder and free loopback ports of its own, and gone when the process is gone, however it ends.
//
// Functions that take a testing.TB skip the test with a sentence when the program is missing, or
// fail it when COUNTERSIGN_TEST_REQUIRE is set, which the script ./test sets. Several processes may
// start peers at once. Nothing here is part of the program: deps_test.go at the root holds that.
//
// It leaves to others what is kept in a database and what a mail says.
package peers
