// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
)

// Nothing of a parcel stands readable in the database: not the code, not who gets it, where, from whom, what is in it, what was noted, nor what signs a phone in or opens a page.
//
// Keeps: S13, S14, A.7, H.1
func TestDumpOfHandovers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		url, key := start(t, database)
		c := client.New(url, key)
		ctx := t.Context()
		var changed struct{}
		if status := ask(t, "PATCH", url+"/v1/service", key, map[string]any{"policy": map[string]any{"delivery_digits": 8, "delivery_weak": []string{"second_person", "identity"}}}, nil, &changed); status != 200 {
			t.Fatalf("setting the policy: %d", status)
		}
		now := time.Now().UTC()
		made := func(order string) *client.Handover {
			h, err := c.CreateHandover(ctx, client.NewHandover{
				Order: order, Recipient: client.Recipient{Name: "Philippa Oakenshaw", Contacts: []string{"+1 (415) 555-0121", "philippa@mail.example"}, Locale: "en"}, Items: "a crate of quinces",
				AddressHint: "third floor, ochre door", Depot: "Depot Vaucluse", Window: client.Window{From: now.Format(time.RFC3339), Until: now.Add(time.Hour).Format(time.RFC3339), TimeZone: "UTC"},
			})
			must(t, err)
			return h
		}
		first, second := made("order-7741-x"), made("order-7742-x")
		round, err := c.OpenRound(ctx, client.NewRound{Depot: "Depot Vaucluse", Courier: "Courier Quillfeather", TimeZone: "UTC", Handovers: []string{first.ID, second.ID}})
		must(t, err)
		_, token, _ := strings.Cut(round.Link, "#")
		code, err := c.DeliveryCode(ctx, first.ID)
		must(t, err)
		pass, err := c.Share(ctx, first.ID, "Neighbour Abernathy")
		must(t, err)
		act := func(id string, a client.Act) {
			a.Courier = "Courier Quillfeather"
			_, err := c.Act(ctx, id, a)
			must(t, err)
		}
		act(first.ID, client.Act{Do: "arrive", Position: &client.Position{Lat: 45.764043, Lon: 4.835659}})
		act(first.ID, client.Act{Do: "code", Code: "D-00000000"})
		act(first.ID, client.Act{Do: "code", Code: code.Code})
		act(second.ID, client.Act{Do: "arrive"})
		act(second.ID, client.Act{Do: "weak", Weak: "identity", Note: "passport of Oakenshaw seen"})
		await(t, url, 4)
		secrets := []string{
			strings.TrimPrefix(code.Code, "D-"), "4155550121", "+14155550121", "philippa@mail.example", "Philippa", "Oakenshaw", "quinces", "ochre door", "Vaucluse", "Quillfeather", "Abernathy",
			"passport of", "order-7741-x", "45.76", token, code.Ticket[6:40], first.Tracking[strings.LastIndex(first.Tracking, "/")+1:], pass.Link[strings.LastIndex(pass.Link, "/")+1:],
		}
		dump := dumpOf(t, database)
		if find(append(dump[:len(dump):len(dump)], "x\x00Quillfeather"...), "Quillfeather") == "" {
			t.Fatal("the search doesn't find what was planted")
		}
		for _, s := range secrets {
			if how := find(dump, s); how != "" {
				t.Errorf("the database holds %q as %s", s, how)
			}
		}
	})
}
