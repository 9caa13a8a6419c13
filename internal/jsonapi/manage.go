// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// Limits of the feed.
const (
	maxEvents     = 500
	defaultEvents = 100
	maxWait       = 30 // seconds
	pollEvents    = 250 * time.Millisecond
)

func (a *API) events(c *call) error {
	q := c.Request.URL.Query()
	after, err := whole(q, "after", 0, 0, 1<<62)
	if err != nil {
		return err
	}
	limit, err := whole(q, "limit", defaultEvents, 1, maxEvents)
	if err != nil {
		return err
	}
	wait, err := whole(q, "wait", 0, 0, maxWait)
	if err != nil {
		return err
	}
	until := time.Now().Add(time.Duration(wait) * time.Second)
	c.Linger(time.Duration(wait+10) * time.Second)
	for {
		list, err := a.Store.Events(c.context(), c.svc.ID, after, int(limit))
		if err != nil {
			return err
		}
		if len(list) > 0 || !a.pause(c.context(), until, pollEvents) {
			return write(c, 200, page(list, after))
		}
	}
}

// pause waits for a moment and tells whether there is still time to look again.
func (a *API) pause(ctx context.Context, until time.Time, length time.Duration) bool {
	if !time.Now().Before(until) {
		return false
	}
	t := time.NewTimer(length)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-a.Done:
	}
	return false
}

// page leaves out decoys: an application that saw them would know which accounts don't exist. Its cursor goes past them.
func page(list []ledger.Event, after int64) Events {
	out := Events{Events: []Event{}, Next: after}
	for _, e := range list {
		out.Next = e.Seq
		sum := e.Commitment()
		if d, ok := account.ReadEvent(e); ok {
			out.Events = append(out.Events, Event{
				Seq: e.Seq, Type: account.EventName(e.Kind), At: e.At, Account: account.FormatID(e.Subject), Entry: d.Entry, Commitment: hex.EncodeToString(sum[:]),
			})
			continue
		}
		if name, subject, ok := care.ReadEvent(e); ok {
			out.Events = append(out.Events, Event{Seq: e.Seq, Type: name, At: e.At, Subject: subject, Commitment: hex.EncodeToString(sum[:])})
			continue
		}
		if d, ok := handover.ReadEvent(e); ok {
			out.Events = append(out.Events, Event{
				Seq: e.Seq, Type: d.Name, At: e.At, Subject: d.Subject, Attempt: d.Attempt, Reason: d.Reason.String(), Means: d.Means.String(), Certainty: d.Certainty.String(),
				Commitment: hex.EncodeToString(sum[:]),
			})
			continue
		}
		d, ok := verification.ReadEvent(e)
		if !ok || d.Decoy {
			continue
		}
		out.Events = append(out.Events, Event{
			Seq: e.Seq, Type: verification.EventName(e.Kind), At: e.At, Verification: verification.FormatID(e.Subject),
			Purpose: string(d.Purpose), Channel: string(d.Channel), Generation: d.Generation, Commitment: hex.EncodeToString(sum[:]),
		})
	}
	return out
}

// whole reads a number of the query.
func whole(q url.Values, name string, missing, lo, hi int64) (int64, error) {
	if !q.Has(name) {
		return missing, nil
	}
	n, err := strconv.ParseInt(q.Get(name), 10, 64)
	if err != nil || n < lo || n > hi || len(q[name]) > 1 {
		return 0, fault.New(fault.Invalid, "invalid_parameter", fmt.Sprintf("%s must be one number from %d to %d.", name, lo, hi)).WithField(name)
	}
	return n, nil
}

func (a *API) keys(c *call) error {
	out := Keys{Keys: []Key{}}
	for _, k := range a.Registry.Keys(c.svc) {
		out.Keys = append(out.Keys, keyOf(&k))
	}
	return write(c, 200, out)
}

func keyOf(k *service.APIKey) Key {
	out := Key{ID: k.ID, Name: k.Name, CreatedAt: k.CreatedAt, RevokedAt: k.RevokedAt}
	for _, s := range k.Scopes {
		out.Scopes = append(out.Scopes, string(s))
	}
	return out
}

func (a *API) createKey(c *call) error {
	var in KeyBody
	if _, err := httpx.ReadJSON(c.Exchange, &in); err != nil {
		return err
	}
	scopes := make([]service.Scope, len(in.Scopes))
	for i, s := range in.Scopes {
		scopes[i] = service.Scope(s)
	}
	text, k, err := a.Registry.CreateKey(c.context(), c.svc, in.Name, scopes, a.Now())
	if err != nil {
		return err
	}
	return write(c, 201, NewKey{keyOf(k), text.Reveal()}) // the one time that it is shown
}

func (a *API) revokeKey(c *call) error {
	return nothing(c, a.Registry.RevokeKey(c.context(), c.svc, c.Request.PathValue("id"), a.Now()))
}

// callback reads what a gateway calls us with: who it says it is, the URL as it was called, and the body.
func (a *API) callback(c *call) (g Gateway, target string, body []byte, err error) {
	if g = a.Gateways[c.Request.PathValue("gateway")]; g == nil {
		return nil, "", nil, fault.New(fault.NotFound, "no_such_gateway", "There is no gateway with this name.")
	}
	body, err = httpx.ReadBody(c.Exchange)
	return g, "https://" + c.Request.Host + c.Request.URL.RequestURI(), body, err
}

// inbound takes a text that somebody sent to us.
func (a *API) inbound(c *call) error {
	g, target, body, err := a.callback(c)
	if err != nil {
		return err
	}
	in, err := g.ParseInbound(target, c.Request.Header, body)
	if err != nil {
		return err
	}
	if err := a.Inbound(c.context(), in); err != nil {
		return err
	}
	return write(c, 204, nil)
}

// overtaken is how often, and after what pauses, a receipt's message is looked for again: a fast network's word comes before we have written
// down by what reference the gateway knows the message.
var overtaken = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second}

// receipt takes a gateway's word on a message. One for a message that we don't know is taken and forgotten: gateways repeat
// what is refused.
func (a *API) receipt(c *call) error {
	g, target, body, err := a.callback(c)
	if err != nil {
		return err
	}
	rec, ok, err := g.ParseReceipt(target, c.Request.Header, body)
	if err != nil {
		return err
	}
	if !ok {
		return write(c, 204, nil)
	}
	rec.At = a.Now()
	ref, found, err := a.Store.FindMessage(c.context(), rec.Provider, rec.Reference)
	for _, pause := range overtaken {
		if err != nil || found || !a.pause(c.context(), time.Now().Add(pause), pause) {
			break
		}
		ref, found, err = a.Store.FindMessage(c.context(), rec.Provider, rec.Reference)
	}
	if err != nil {
		return err
	}
	if found {
		if err := a.Receive(c.context(), ref, rec); err != nil {
			return err
		}
	}
	return write(c, 204, nil)
}

func (a *API) live(c *call) error {
	c.Quiet()
	return write(c, 200, Health{"ok"})
}

func (a *API) ready(c *call) error {
	c.Quiet()
	if err := a.Store.Ping(c.context()); err != nil {
		return err
	}
	if !a.Ready() {
		return fault.New(fault.Unavailable, "stopping", "This node is stopping.").WithRetry(time.Second)
	}
	return write(c, 200, Health{"ok"})
}
