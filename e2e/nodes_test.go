// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/testkit/peers"
)

// text is what the gateway was given for a verification's message, waiting for it.
func (g *gateway) text(t *testing.T, id string, number int) string {
	t.Helper()
	ref := fmt.Sprintf("%s-%d", strings.TrimPrefix(id, "vrf_"), number)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		g.mu.Lock()
		text := g.texts[ref]
		g.mu.Unlock()
		if text != "" {
			return text
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the gateway was never given the message of %s", id)
		}
	}
}

// stopAll asks nodes to stop and waits until they have.
func stopAll(t *testing.T, nodes []*exec.Cmd) {
	t.Helper()
	for _, n := range nodes {
		if err := n.Process.Signal(os.Interrupt); err != nil {
			t.Error("stop a node:", err)
		}
	}
	for _, n := range nodes {
		if err := n.Wait(); err != nil {
			t.Error("a node ended with:", err)
		}
	}
}

// 200 checks at once, spread over three server processes on one PostgreSQL: with one right code among them at most one
// is granted and no more are judged than the policy has tries; with nothing but right codes exactly one is granted.
// Keeps: A.2, S3
func TestTwoHundredChecksOnThreeProcesses(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	p := newProgram(t, peers.Postgres(t), g)
	key := p.run("", "apikey", "create", "acme", "--name", "test", "--config", p.config)
	var nodes []*exec.Cmd
	var clients []*client.Client
	for range 3 {
		cmd, url := p.serve()
		nodes = append(nodes, cmd)
		c := client.New(url, key)
		c.Tries = 1
		clients = append(clients, c)
	}
	defer stopAll(t, nodes)
	const checks = 200
	for round, right := range []int{1, checks, 1} {
		v, err := clients[0].Begin(t.Context(), client.BeginRequest{To: fmt.Sprintf("+1415555012%d", round), Purpose: "sign_in"})
		must(t, err)
		code := g.text(t, v.ID, 0)[:6]
		wrong := "000000"
		if code == wrong {
			wrong = "111111"
		}
		results := make([]string, checks)
		var wg sync.WaitGroup
		for i := range checks {
			wg.Go(func() {
				typed := wrong
				if i == checks/2 || right == checks {
					typed = code
				}
				got, err := clients[i%3].Check(t.Context(), v.ID, client.CheckRequest{Code: typed})
				if err != nil {
					t.Error(err)
					return
				}
				results[i] = got.Result
			})
		}
		wg.Wait()
		count := map[string]int{}
		for _, r := range results {
			count[r]++
		}
		judgedWrong := count["wrong"] + min(1, count["max_attempts_reached"])
		if count["approved"] > 1 || judgedWrong > v.TriesLeft || right == checks && count["approved"] != 1 {
			t.Fatalf("round %d: %v", round, count)
		}
		if count["approved"] == 0 && count["max_attempts_reached"] == 0 {
			t.Fatalf("round %d: neither granted nor used up: %v", round, count)
		}
	}
}

// The database goes away under a node and comes back. Meanwhile every request is answered with 503 and when to come again; then
// the node goes on by itself, nothing is half done, and a request with an idempotency key that was refused happens once.
// Keeps: S8
func TestDatabaseGoneAndBack(t *testing.T) {
	t.Parallel()
	db, err := peers.StartPostgres("")
	must(t, err)
	t.Cleanup(func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
	})
	g := newGateway(t)
	p := newProgram(t, db.URL(), g)
	key := p.run("", "apikey", "create", "acme", "--name", "test", "--config", p.config)
	cmd, url := p.serve()
	defer stopAll(t, []*exec.Cmd{cmd})
	c := client.New(url, key)
	c.Tries = 1
	before, err := c.Begin(t.Context(), client.BeginRequest{To: "+14155550121", Purpose: "sign_in"})
	must(t, err)
	code := g.text(t, before.ID, 0)[:6]

	must(t, db.Kill())
	req := client.BeginRequest{To: "+14155550122", Purpose: "sign_in", IdempotencyKey: "across-the-gap"}
	for _, try := range []func() error{
		func() error { _, err := c.Begin(t.Context(), req); return err },
		func() error { _, err := c.Check(t.Context(), before.ID, client.CheckRequest{Code: code}); return err },
		func() error { _, err := c.Status(t.Context(), before.ID); return err },
	} {
		if p := problemOf(t, try()); p.Status != http.StatusServiceUnavailable {
			t.Fatalf("without its database: %+v", p)
		}
	}
	res, err := http.Get(url + "/readyz")
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Fatalf("/readyz without the database: %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	if res, err = http.Get(url + "/livez"); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("/livez without the database: %v, %v", res, err)
	}
	must(t, res.Body.Close())

	must(t, db.Restart())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var after *client.Verification
	for {
		if after, err = c.Begin(ctx, req); err == nil {
			break
		}
		var p *client.Problem
		if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable {
			t.Fatal("after the gap:", err)
		}
		<-tick.C
	}
	again, err := c.Begin(ctx, req)
	must(t, err)
	if again.ID != after.ID {
		t.Fatal("one idempotency key made two verifications")
	}
	g.text(t, after.ID, 0)
	got, err := c.Check(ctx, before.ID, client.CheckRequest{Code: code})
	must(t, err)
	if !got.Approved {
		t.Fatalf("the code from before the gap: %+v", got)
	}
}

// A text that says NO ends that number's codes; one that isn't authenticated, or says something else, doesn't. The next
// verification begins as any other: nothing is locked.
// Keeps: S26
func TestAnsweringNo(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		g := newGateway(t)
		p := newProgram(t, database, g)
		key := p.run("", "apikey", "create", "acme", "--name", "test", "--config", p.config)
		cmd, url := p.serve()
		defer stopAll(t, []*exec.Cmd{cmd})
		c := client.New(url, key)
		var ids []string
		for range 2 {
			v, err := c.Begin(t.Context(), client.BeginRequest{To: "+14155550121", Purpose: "sign_in"})
			must(t, err)
			ids = append(ids, v.ID)
		}
		other, err := c.Begin(t.Context(), client.BeginRequest{To: "+14155550122", Purpose: "sign_in"})
		must(t, err)
		for _, in := range []struct {
			token, from, text string
			status            int
			ended             bool
		}{
			{"wrong", "+14155550121", "NO", http.StatusUnauthorized, false},
			{"0123456789abcdef", "+14155550121", "nothing of the sort", http.StatusNoContent, false},
			{"0123456789abcdef", "Acme", "NO", http.StatusNoContent, false},
			{"0123456789abcdef", "", "NO", http.StatusBadRequest, false},
			{"0123456789abcdef", "14155550121", " no! I didn't ask", http.StatusNoContent, true},
			{"0123456789abcdef", "14155550121", "No", http.StatusNoContent, true},
		} {
			body := strings.NewReader(fmt.Sprintf(`{"from":%q,"text":%q}`, in.from, in.text))
			res, err := http.Post(url+"/v1/inbound/main?token="+in.token, "application/json", body)
			must(t, err)
			must(t, res.Body.Close())
			if res.StatusCode != in.status {
				t.Fatalf("%+v: %d", in, res.StatusCode)
			}
			for _, id := range ids {
				v, err := c.Status(t.Context(), id)
				must(t, err)
				if (v.Status == "canceled" && v.Reason == "disowned") != in.ended {
					t.Fatalf("after %+v it is %s %s", in, v.Status, v.Reason)
				}
			}
		}
		v, err := c.Status(t.Context(), other.ID)
		must(t, err)
		if v.Status != "pending" {
			t.Fatal("another number's code was ended")
		}
		if _, err = c.Begin(t.Context(), client.BeginRequest{To: "+14155550121", Purpose: "sign_in"}); err != nil {
			t.Fatal("an answered NO locks:", err)
		}
	})
}
