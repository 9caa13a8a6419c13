// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/service"
)

func keysRotate(ctx context.Context, p *Process, c *call) error {
	return withService(ctx, p, c, func(reg *service.Registry, svc *service.Service) error {
		fmt.Fprintf(p.Err, "Every node has to know the new key before it is used: this takes %d seconds.\n", service.RotationPause/time.Second)
		id, err := reg.Rotate(ctx, svc, time.Now())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.Err, "%s makes new codes with key %d now; running nodes follow within a second.\n", svc.Slug, id)
		return err
	})
}

func serviceCreate(ctx context.Context, p *Process, c *call) error {
	return registry(ctx, p, c, func(reg *service.Registry) error {
		row := service.Row{Slug: c.Arg(0), Name: c.get("name"), Domain: c.get("domain"), Locale: c.get("locale"), Policy: service.DefaultPolicy()}
		if err := patchPolicy(&row.Policy, c.get("policy")); err != nil {
			return err
		}
		svc, err := reg.Create(ctx, row, time.Now())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.Err, "Service %s is made. Make it an API key: countersign apikey create %s --name my-application\n", svc.Slug, svc.Slug)
		return err
	})
}

// patchPolicy changes what the JSON names; an unknown name is an error that names it.
func patchPolicy(policy *service.Policy, text string) error {
	if text == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(policy); err != nil {
		return fault.New(fault.Invalid, "invalid_policy", fmt.Sprintf("--policy can't be read: %v", err)).WithField("policy")
	}
	return nil
}

func serviceList(ctx context.Context, p *Process, c *call) error {
	return registry(ctx, p, c, func(reg *service.Registry) error {
		w := tabwriter.NewWriter(p.Out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "SLUG\tNAME\tDOMAIN\tLOCALE")
		for _, s := range reg.All() {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Slug, s.Name, s.Domain, s.Locale)
		}
		return w.Flush()
	})
}

func apikeyCreate(ctx context.Context, p *Process, c *call) error {
	return withService(ctx, p, c, func(reg *service.Registry, svc *service.Service) error {
		var scopes []service.Scope
		for _, s := range strings.FieldsFunc(c.get("scopes"), func(r rune) bool { return r == ',' || r == ' ' }) {
			scopes = append(scopes, service.Scope(s))
		}
		key, k, err := reg.CreateKey(ctx, svc, c.get("name"), scopes, time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintf(p.Err, "API key %s of %s; it is not shown again:\n", k.ID, svc.Slug)
		_, err = fmt.Fprintln(p.Out, key.Reveal())
		return err
	})
}

func apikeyList(ctx context.Context, p *Process, c *call) error {
	return withService(ctx, p, c, func(reg *service.Registry, svc *service.Service) error {
		w := tabwriter.NewWriter(p.Out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tSCOPES\tCREATED\tREVOKED")
		for _, k := range reg.Keys(svc) {
			revoked := "-"
			if !k.RevokedAt.IsZero() {
				revoked = k.RevokedAt.Format(time.DateTime)
			}
			fmt.Fprintf(w, "%s\t%s\t%v\t%s\t%s\n", k.ID, k.Name, k.Scopes, k.CreatedAt.Format(time.DateTime), revoked)
		}
		return w.Flush()
	})
}

func apikeyRevoke(ctx context.Context, p *Process, c *call) error {
	return withService(ctx, p, c, func(reg *service.Registry, svc *service.Service) error {
		return reg.RevokeKey(ctx, svc, c.Arg(1), time.Now())
	})
}

// remote is a client of the server that a command names.
func remote(p *Process, c *call) (*client.Client, error) {
	for _, kv := range p.Environ {
		if key, ok := strings.CutPrefix(kv, "COUNTERSIGN_API_KEY="); ok && key != "" {
			return client.New(c.get("url"), key), nil
		}
	}
	return nil, fault.New(fault.Invalid, "no_api_key", "Give an API key in the environment variable COUNTERSIGN_API_KEY.")
}

func send(ctx context.Context, p *Process, c *call) error {
	api, err := remote(p, c)
	if err != nil {
		return err
	}
	v, err := api.Begin(ctx, client.BeginRequest{To: c.Arg(0), Purpose: c.get("purpose"), Channel: c.get("channel")})
	if err != nil {
		return told(err)
	}
	fmt.Fprintf(p.Err, "A code is on its way to %s. Check it: countersign check %s\n", v.To, v.ID)
	_, err = fmt.Fprintln(p.Out, v.ID)
	return err
}

// maxLine bounds what is read from standard input.
const maxLine = 4096

func check(ctx context.Context, p *Process, c *call) error {
	api, err := remote(p, c)
	if err != nil {
		return err
	}
	fmt.Fprint(p.Err, "Code: ")
	code, err := bufio.NewReader(io.LimitReader(p.In, maxLine)).ReadString('\n')
	if err != nil && code == "" {
		return fault.New(fault.Invalid, "no_code", "Give the code on standard input.")
	}
	got, err := api.Check(ctx, c.Arg(0), client.CheckRequest{Code: strings.TrimSpace(code)})
	if err != nil {
		return told(err)
	}
	fmt.Fprintln(p.Out, got.Result)
	if !got.Approved {
		return fault.New(fault.Conflict, "not_approved", got.Message)
	}
	return nil
}

// told makes a server's answer a fault of ours.
func told(err error) error {
	return fault.New(fault.Conflict, "server_said", "The server said: "+err.Error())
}
