// SPDX-License-Identifier: Apache-2.0

// Command postgres starts a PostgreSQL cluster for tests in a temporary folder, prints its URL on one
// line, and stops it when its standard input ends. The script ./test gives that one cluster to all packages.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/countersign/countersign/internal/testkit/peers"
)

func main() {
	err := run(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "postgres:", err)
		os.Exit(1)
	}
}

func run(stdin io.Reader, stdout io.Writer) error {
	server, err := peers.StartPostgres("")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, server.URL())
	if err == nil {
		_, err = io.Copy(io.Discard, stdin)
	}
	return errors.Join(err, server.Stop())
}
