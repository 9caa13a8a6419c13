// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
)

// delivery is a parcel on its way through the API, as an application keeps it.
type delivery struct {
	order, courier, id, code string
	day                      time.Time
	yes                      bool // we were told that it was handed over
}

// step does what comes next, under the same keys whenever it is done again; it tells what became of the code.
func (d *delivery) step(ctx context.Context, c *client.Client) (string, error) {
	h, err := c.CreateHandover(ctx, client.NewHandover{
		Order: d.order, Recipient: client.Recipient{Contacts: []string{"+14155550121"}},
		Window: client.Window{From: d.day.Format(time.RFC3339), Until: d.day.Add(24 * time.Hour).Format(time.RFC3339), TimeZone: "UTC"},
	})
	if err != nil {
		return "", err
	}
	if d.id != "" && d.id != h.ID {
		return "", fmt.Errorf("order %s is %s and was %s", d.order, h.ID, d.id)
	}
	d.id = h.ID
	if d.code == "" {
		if _, err := c.OutForDelivery(ctx, d.id, d.courier); err != nil {
			return "", err
		}
		if _, err := c.Act(ctx, d.id, client.Act{Courier: d.courier, Do: "arrive", Key: d.order + "-arrive"}); err != nil {
			return "", err
		}
		shown, err := c.DeliveryCode(ctx, d.id)
		if err != nil {
			return "", err
		}
		d.code = shown.Code
	}
	got, err := c.Act(ctx, d.id, client.Act{Courier: d.courier, Do: "code", Code: d.code, Key: d.order + "-code"})
	if err != nil {
		return "", err
	}
	return got.Result, nil
}

// SIGKILL while couriers type codes: whoever was told yes is told so again, whoever heard nothing asks again under the same key and gets their yes,
// and nobody else gets one. COUNTERSIGN_TEST_KILLS=200 makes it a long one.
// Keeps: A.2, H.3
func TestKillHandovers(t *testing.T) {
	t.Parallel()
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("COUNTERSIGN_TEST_KILLS")); err == nil {
		kills = n
	}
	onBoth(t, func(t *testing.T, database string) {
		p := newProgram(t, database, newGateway(t))
		key := p.run("", "apikey", "create", "acme", "--name", "test", "--scopes", "handover", "--config", p.config)
		day := time.Now().UTC().Truncate(24 * time.Hour)
		var mu sync.Mutex
		var all []*delivery
		for kill := range kills {
			cmd, url := p.serve()
			c := client.New(url, key)
			c.Tries = 1
			ctx, stop := context.WithCancel(t.Context())
			var load sync.WaitGroup
			for courier := range 12 {
				load.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						d := &delivery{order: fmt.Sprintf("%d-%d-%d", kill, courier, n), courier: fmt.Sprintf("courier %d", courier), day: day}
						result, err := d.step(ctx, c)
						d.yes = err == nil && result == "handed_over"
						mu.Lock()
						all = append(all, d)
						mu.Unlock()
						if err == nil && !d.yes {
							t.Errorf("the right code of %s is %s", d.order, result)
						}
					}
				})
			}
			pause := time.NewTimer(time.Duration(100+rand.N(250)) * time.Millisecond)
			<-pause.C
			must(t, cmd.Process.Kill())
			_ = cmd.Wait()
			stop()
			load.Wait()
		}
		cmd, url := p.serve()
		defer func() {
			must(t, cmd.Process.Signal(os.Interrupt))
			must(t, cmd.Wait())
		}()
		c := client.New(url, key)
		told, unheard := 0, 0
		for _, d := range all {
			if d.yes {
				told++
			} else if d.code != "" {
				unheard++
			}
			for range 2 {
				if result, err := d.step(t.Context(), c); err != nil || result != "handed_over" {
					t.Fatalf("%+v, told again: %s, %v", d, result, err)
				}
			}
			got, err := c.Act(t.Context(), d.id, client.Act{Courier: d.courier, Do: "code", Code: d.code})
			must(t, err)
			if got.Result != "over" {
				t.Fatalf("%s was handed over twice: %s", d.order, got.Result)
			}
		}
		t.Logf("%d deliveries, %d of them told yes before a kill, %d that had their code and heard nothing", len(all), told, unheard)
		if told == 0 {
			t.Fatal("nobody was told anything")
		}
	})
}
