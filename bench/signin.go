// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/secret"
)

// signInWords is everybody's password.
const signInWords = "kelp roof lantern river"

// measureSignIns measures sign-ins by password with the hash at full strength, each of another account, and beside them the hash alone, whose
// rate is the 1 of the ratios: the difference is what everything else costs.
func measureSignIns(s *server, db, engine string, long time.Duration) error {
	lanes := runtime.GOMAXPROCS(0) // as many at once as the server lets
	hasher := password.NewHasher(lanes)
	hash, err := hasher.Hash(context.Background(), secret.NewText(signInWords))
	if err != nil {
		return err
	}
	rate, err := hashRate(hasher, hash, lanes, long)
	if err != nil {
		return err
	}
	alone := float64(lanes) / rate // CPU-seconds
	fmt.Printf("%-34s %10.0f %8.2f %8.2f %8s %10.4f\n", fmt.Sprintf("the hash alone, %d at once", lanes), rate, 1.0, 1000*alone, "", 1000*alone)
	people := int64(300 + 250*long.Seconds()) // more than can sign in
	made, err := s.load(engine+" accounts", 64, time.Hour, func(i int64) request {
		if i > people {
			return request{}
		}
		return request{path: "/v1/accounts", body: fmt.Sprintf(`{"contacts":["s%d@mail.example"],"password_hash":%q}`, i, hash)}
	}, nil)
	if err != nil {
		return err
	}
	made.print(0, 64)
	for round, conns := range []int{16, 64} {
		first := int64(round) * people / 2
		l, err := s.measured(db, engine+" sign-in", conns, long, func(i int64) request {
			if i > people/2 {
				return request{}
			}
			return request{
				path: "/v1/flows/sign-in", body: fmt.Sprintf(`{"contact":"s%d@mail.example","password":%q}`, first+i, signInWords), want: `"session_token"`,
			}
		}, nil, rate)
		if err != nil {
			return err
		}
		fmt.Printf("%-34s %10s %8s %8s %8s %10.4f\n", "  everything but the hash", "", "", "", "", l.cpu/float64(l.n)*1000-1000*alone)
	}
	return nil
}

// hashRate is how many hashes a second are judged when lanes of them are at once.
func hashRate(h *password.Hasher, hash string, lanes int, long time.Duration) (float64, error) {
	var (
		began = time.Now()
		n     atomic.Int64
		all   errgroup.Group
	)
	for range lanes {
		all.Go(func() error {
			for time.Since(began) < long {
				right, _, err := h.Verify(context.Background(), hash, secret.NewText(signInWords))
				if err != nil || !right {
					return fmt.Errorf("the hash is not what it should be: %w", err)
				}
				n.Add(1)
			}
			return nil
		})
	}
	err := all.Wait()
	return float64(n.Load()) / time.Since(began).Seconds(), err
}
