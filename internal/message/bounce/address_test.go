// SPDX-License-Identifier: Apache-2.0

package bounce_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/bounce"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
)

const domain = "bounces.acme.example"

// services are some services by id.
type services map[uint32]*service.Service

func (s services) ByID(id uint32) (*service.Service, bool) { svc, ok := s[id]; return svc, ok }

// newKeys makes keys of a service.
func newKeys(t testing.TB, svc uint32, id uint8) *secret.Keys {
	t.Helper()
	data, err := secret.NewDataKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return secret.NewKeys(svc, id, data)
}

func ring(t testing.TB, current uint8, keys ...*secret.Keys) *secret.Ring {
	t.Helper()
	r, err := secret.NewRing(keys, current, current)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newServices(t testing.TB) services {
	t.Helper()
	all := services{}
	for _, id := range []uint32{1, 2, 1 << 31} {
		all[id] = &service.Service{ID: id, Ring: ring(t, 1, newKeys(t, id, 1))}
	}
	return all
}

func drawRef(t *rapid.T, svc uint32) message.Ref {
	ref := message.Ref{Number: int(rapid.Uint32().Draw(t, "number")), Row: ledger.Key{Service: svc, Shard: rapid.Uint16().Draw(t, "shard")}}
	ref.Row.Kind = ledger.Kind(rapid.IntRange(1, int(ledger.Kinds)-1).Draw(t, "kind"))
	copy(ref.Row.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	return ref
}

// A return address is one that mail servers take, names its message, and survives a server that changes case. One that was changed
// by a single character, or belongs to another service or domain, names nothing.
func TestReturnAddresses(t *testing.T) {
	t.Parallel()
	all := newServices(t)
	others := newServices(t)
	rapid.Check(t, func(rt *rapid.T) {
		svc := all[rapid.SampledFrom([]uint32{1, 2, 1 << 31}).Draw(rt, "service")]
		ref := drawRef(rt, svc.ID)
		address := bounce.Address(svc, ref, domain)
		if c, err := contact.ParseEmail(address); err != nil || c.Reveal() != address || address != strings.ToLower(address) {
			rt.Fatalf("%q is no address: %v", address, err)
		}
		if address != bounce.Address(svc, ref, domain) {
			rt.Fatal("one message has two addresses")
		}
		for _, text := range []string{address, strings.ToUpper(address), address + "."} {
			if got, ok := bounce.ParseAddress(all, domain, text); !ok || got != ref {
				rt.Fatalf("%q: %+v, %v, want %+v", text, got, ok, ref)
			}
		}
		local, _, _ := strings.Cut(address, "@")
		at := rapid.IntRange(0, len(local)-1).Draw(rt, "at")
		changed := local[:at] + rapid.SampledFrom(strings.Split("abcdefghijklmnopqrstuvwxyz234567+", "")).Draw(rt, "letter") + local[at+1:]
		for _, text := range []string{
			changed + "@" + domain, local, local + "@", local + "@acme.example", local + "@x." + domain, local[:len(local)-1] + "@" + domain, "x" + address,
		} {
			if got, ok := bounce.ParseAddress(all, domain, text); ok && text != address {
				rt.Fatalf("%q names %+v", text, got)
			}
		}
		if _, ok := bounce.ParseAddress(others, domain, address); ok {
			rt.Fatal("another installation's address is taken")
		}
	})
}

// Who sees two return addresses can't tell whether they belong to one account.
// Keeps: S13
func TestReturnAddressesTellNothing(t *testing.T) {
	t.Parallel()
	svc := newServices(t)[1]
	ref := message.Ref{Row: ledger.AccountOf(1, ledger.ID{1, 2, 3, 4, 5, 6, 7, 8}), Number: 5}
	next := ref
	next.Number = 6
	a, err := secret.DecodeToken("b+", strings.TrimSuffix(bounce.Address(svc, ref, domain), "@"+domain))
	if err != nil {
		t.Fatal(err)
	}
	b, err := secret.DecodeToken("b+", strings.TrimSuffix(bounce.Address(svc, next, domain), "@"+domain))
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for i := 5; i < len(a); i++ { // after key and service
		if a[i] == b[i] {
			same++
		}
	}
	if same > 6 || strings.Contains(string(a), string(ref.Row.ID[:4])) {
		t.Fatalf("%d bytes of two addresses of one account are the same", same)
	}
}

// Addresses outlive the rotation of keys as long as the old key is there.
func TestReturnAddressesOutliveTheirKey(t *testing.T) {
	t.Parallel()
	first, second := newKeys(t, 1, 1), newKeys(t, 1, 2)
	ref := message.Ref{Row: ledger.Key{Kind: ledger.KindVerification, Service: 1, ID: ledger.ID{9}}}
	address := bounce.Address(&service.Service{ID: 1, Ring: ring(t, 1, first)}, ref, domain)
	if got, ok := bounce.ParseAddress(services{1: {ID: 1, Ring: ring(t, 2, first, second)}}, domain, address); !ok || got != ref {
		t.Fatal("an address of before the rotation is refused")
	}
	if _, ok := bounce.ParseAddress(services{1: {ID: 1, Ring: ring(t, 2, second)}}, domain, address); ok {
		t.Fatal("an address of a key that is gone is taken")
	}
}

func FuzzParseAddress(f *testing.F) {
	all := newServices(f)
	f.Add(bounce.Address(all[1], message.Ref{}, domain))
	f.Add("b+@" + domain)
	f.Add(strings.Repeat("b+", 5000) + "@" + domain)
	f.Fuzz(func(t *testing.T, text string) {
		ref, ok := bounce.ParseAddress(all, domain, text)
		if ok && !strings.EqualFold(strings.TrimSuffix(text, "."), bounce.Address(all[ref.Row.Service], ref, domain)) {
			t.Fatalf("%q names %+v", text, ref)
		}
	})
}
