// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/fault"
)

func staffInvite(ctx context.Context, p *Process, c *call) error {
	api, err := remote(p, c)
	if err != nil {
		return err
	}
	s, err := api.InviteStaff(ctx, c.Arg(0), c.get("role"))
	if err != nil {
		return told(err)
	}
	fmt.Fprintf(p.Err, "%s is invited as %s. They open /forgot on the service's pages, set a password there, and turn on a second step.\n", s.Contact, s.Role)
	_, err = fmt.Fprintln(p.Out, s.Account)
	return err
}

func staffList(ctx context.Context, p *Process, c *call) error {
	api, err := remote(p, c)
	if err != nil {
		return err
	}
	all, err := api.Staff(ctx)
	if err != nil {
		return told(err)
	}
	w := tabwriter.NewWriter(p.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ACCOUNT\tCONTACT\tROLE\tSINCE\tSECOND STEP")
	for _, s := range all {
		second := "no"
		if s.TwoStep {
			second = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Account, s.Contact, s.Role, s.Since.Format(time.DateOnly), second)
	}
	return w.Flush()
}

func staffRemove(ctx context.Context, p *Process, c *call) error {
	api, err := remote(p, c)
	if err != nil {
		return err
	}
	if err := api.RemoveStaff(ctx, c.Arg(0)); err != nil {
		return told(err)
	}
	return nil
}

// maxAccountLine bounds a line of an import in bytes.
const maxAccountLine = 64 << 10

// accountImport brings accounts along, one JSON object a line. What fails is told by line, and the rest goes on; an account that is there
// already counts as such, so an import can be run again.
func accountImport(ctx context.Context, p *Process, c *call) error {
	api, err := remote(p, c)
	if err != nil {
		return err
	}
	f, err := os.Open(c.Arg(0))
	if err != nil {
		return fault.New(fault.Invalid, "no_file", fmt.Sprintf("The file can't be read: %v", err))
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, maxAccountLine), maxAccountLine)
	made, there, failed := 0, 0, 0
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		switch err := importLine(ctx, api, lines.Bytes()); {
		case err == nil:
			made++
		case taken(err):
			there++
		default:
			failed++
			fmt.Fprintf(p.Err, "line %d: %v\n", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fault.New(fault.Invalid, "line_too_long", fmt.Sprintf("The file can't be read on: %v", err))
	}
	fmt.Fprintf(p.Out, "%d made, %d there already, %d failed\n", made, there, failed)
	if failed > 0 {
		return fault.New(fault.Conflict, "import_incomplete", "Some lines failed. Mend them and run the import again: what is there stays as it is.")
	}
	return nil
}

func importLine(ctx context.Context, api *client.Client, line []byte) error {
	var n client.NewAccount
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&n); err != nil {
		return errors.New("this is not a JSON object with contacts, password_hash, reference and locale") // the error would quote the hash
	}
	_, err := api.CreateAccount(ctx, n)
	return err
}

func taken(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Code == "contact_taken"
}
