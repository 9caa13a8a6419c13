// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/proof"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/store"
	"github.com/countersign/countersign/internal/store/sqlite"
)

func newService(t *testing.T, url string) (*store.Store, *service.Registry, secret.Master, *service.Service) {
	t.Helper()
	master, err := secret.GenerateMaster(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, url, store.Options{MaxConns: 4})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	reg, err := service.NewRegistry(t.Context(), s, master)
	if err != nil {
		t.Fatal(err)
	}
	svc, err := reg.Create(t.Context(), service.Row{Slug: "acme", Name: "Acme", Locale: "en", Policy: service.DefaultPolicy()}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s, reg, master, svc
}

const typ = "countersign-proof+jwt"

// A service signs from the moment it is made; what its keys signed stays valid after two rotations, and of the retired keys only the public halves are left.
// Keeps: H.6
func TestSigningKeysRotate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, one, master, svc := newService(t, url)
		two, err := service.NewRegistry(t.Context(), open(t, url, store.Options{MaxConns: 2}), master)
		if err != nil {
			t.Fatal(err)
		}
		var texts, kids []string
		for i := range 3 {
			if i > 0 {
				kid, err := one.RotateSigning(t.Context(), svc, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if err := two.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
				svc, _ = two.BySlug("acme")
				if svc.Signer().Set().Keys[0].KID != kid {
					t.Fatal("another node doesn't sign with the new key")
				}
			}
			text, err := svc.Signer().Sign(typ, fmt.Appendf(nil, `{"n":%d}`, i))
			if err != nil {
				t.Fatal(err)
			}
			texts, kids = append(texts, text), append(kids, svc.Signer().Set().Keys[0].KID)
		}
		set := svc.Signer().Set()
		for i, text := range texts {
			payload, kid, err := proof.Verify(text, set, typ)
			if err != nil || string(payload) != fmt.Sprintf(`{"n":%d}`, i) || kid != kids[i] {
				t.Errorf("proof %d: %s, %s, %v", i, payload, kid, err)
			}
		}
		var all, private, makes int
		if err := s.SQL().QueryRowContext(t.Context(), "SELECT COUNT(*), COUNT(sealed), SUM(makes) FROM signing_key").Scan(&all, &private, &makes); err != nil {
			t.Fatal(err)
		}
		if all != 3 || private != 1 || makes != 1 || len(set.Keys) != 3 {
			t.Errorf("%d keys, %d of them private, %d make signatures; the set has %d", all, private, makes, len(set.Keys))
		}
	})
}

// Nodes that meet a service of a version without signing keys at the same time agree on one key.
func TestSigningKeysOfBefore(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, _, master, _ := newService(t, url)
		if _, err := s.SQL().ExecContext(t.Context(), "DELETE FROM signing_key"); err != nil {
			t.Fatal(err)
		}
		kids := make([]string, 6)
		var group sync.WaitGroup
		for i := range kids {
			own := open(t, url, store.Options{MaxConns: 1})
			group.Go(func() {
				reg, err := service.NewRegistry(t.Context(), own, master)
				if err != nil {
					t.Error(err)
					return
				}
				if err := reg.Reload(t.Context()); err != nil {
					t.Error(err)
				}
				if svc, _ := reg.BySlug("acme"); svc.Signer().Ready() {
					kids[i] = svc.Signer().Set().Keys[0].KID
				}
			})
		}
		group.Wait()
		for _, kid := range kids {
			if kid == "" || kid != kids[0] {
				t.Fatalf("nodes sign with %q", kids)
			}
		}
	})
}

// Of two rotations at the same time each new key makes signatures in its turn or is refused, and there is one at the end.
func TestSigningKeysRotateAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, reg, _, svc := newService(t, url)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if _, err := reg.RotateSigning(t.Context(), svc, time.Now()); err != nil && fault.As(err).Code != service.ErrRotated.Code {
					t.Error(err)
				}
			})
		}
		group.Wait()
		var private, makes int
		if err := s.SQL().QueryRowContext(t.Context(), "SELECT COUNT(sealed), SUM(makes) FROM signing_key").Scan(&private, &makes); err != nil || private != 1 || makes != 1 {
			t.Errorf("%d private keys, %d make signatures, %v", private, makes, err)
		}
		svc, _ = reg.BySlug("acme")
		if len(svc.Signer().Set().Keys) != 5 {
			t.Errorf("%d public keys are left of 5", len(svc.Signer().Set().Keys))
		}
	})
}

// Who writes to the database alone can't add a key to the set: its public half is sealed, too, in its own place.
// Keeps: S12
func TestSigningKeysAreSealed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, _, master, _ := newService(t, url)
		for _, change := range []string{
			"INSERT INTO signing_key SELECT service, 'other', public, NULL, 0, created_at, 1 FROM signing_key WHERE makes = 1",
			"UPDATE signing_key SET public = sealed, makes = 0 WHERE makes = 1",
			"UPDATE signing_key SET sealed = public WHERE makes = 1",
		} {
			if _, err := s.SQL().ExecContext(t.Context(), "DELETE FROM signing_key"); err != nil {
				t.Fatal(err)
			}
			_, err := service.NewRegistry(t.Context(), s, master) // makes a key
			if err == nil {
				_, err = s.SQL().ExecContext(t.Context(), change)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = service.NewRegistry(t.Context(), s, master)
			if err == nil || fault.As(err).Code != "sealed_value_unreadable" {
				t.Errorf("%s: %v", change, err)
			}
		}
	})
}

// A node whose database can't be written starts and does all else; it can't sign until the database can be written, and says so.
func TestSigningKeysReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "read.db")
	s, _, master, _ := newService(t, "sqlite:"+path)
	if _, err := s.SQL().ExecContext(t.Context(), "DELETE FROM signing_key"); err != nil {
		t.Fatal(err)
	}
	reg, err := service.NewRegistry(t.Context(), open(t, "sqlite:"+path, store.Options{SQLite: sqlite.Options{ReadOnly: true}}), master)
	if err != nil {
		t.Fatal(err)
	}
	svc, ok := reg.BySlug("acme")
	if !ok {
		t.Fatal("the service is missing")
	}
	if _, err := svc.Signer().Sign(typ, nil); fault.As(err) == nil || fault.As(err).Code != "no_signing_key" || svc.Signer().Ticket(proof.Ticket{}) != "" {
		t.Errorf("it signs: %v", err)
	}
	other, err := service.NewRegistry(t.Context(), s, master)
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	svc, _ = reg.BySlug("acme")
	theirs, _ := other.BySlug("acme")
	text, err := theirs.Signer().Sign(typ, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := proof.Verify(text, svc.Signer().Set(), typ); err != nil {
		t.Errorf("it doesn't know the key that another node made: %v", err)
	}
}
