// SPDX-License-Identifier: Apache-2.0

package password

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // hashes of other systems use it inside PBKDF2
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/secret"
)

// The cost of a new hash: OWASP's first recommendation for argon2id.
const (
	memoryKiB = 19 * 1024
	passes    = 2
	threads   = 1
	saltSize  = 16
	hashSize  = 32
)

// Limits of a hash that comes from elsewhere, so that none can eat the machine.
const (
	maxMemoryKiB  = 256 * 1024
	maxPasses     = 64
	maxBcryptCost = 15
	maxScryptLog  = 17
	maxPBKDF2     = 5_000_000
	maxHashText   = 512
)

// patience is how long a request waits for its turn to compute a hash.
const patience = 5 * time.Second

// Hasher computes hashes, a bounded number at once, so that a burst of sign-ins waits instead of eating the memory. It is safe for
// concurrent use.
type Hasher struct {
	turns chan struct{}
	dummy string
}

// NewHasher returns a Hasher that computes at most atOnce hashes at a time, each with 19 MiB.
func NewHasher(atOnce int) *Hasher {
	return &Hasher{turns: make(chan struct{}, max(1, atOnce)), dummy: encode(make([]byte, saltSize), make([]byte, hashSize))}
}

// turn waits for its turn, at most as long as patience.
func (h *Hasher) turn(ctx context.Context) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-ctx.Done():
		return nil, fault.New(fault.Unavailable, "sign_in_busy", "Too many people are signing in at this moment. Try again in a few seconds.").WithRetry(2 * time.Second)
	}
}

// Hash returns the hash of a password (normalised) in the PHC string format.
//
// Faults: Unavailable (too many at once).
func (h *Hasher) Hash(ctx context.Context, p secret.Text) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: it ends the program instead
	return encode(salt, argon2.IDKey([]byte(p.Reveal()), salt, passes, memoryKiB, threads, hashSize)), nil
}

func encode(salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memoryKiB, passes, threads, b64.EncodeToString(salt), b64.EncodeToString(sum))
}

var b64 = base64.RawStdEncoding

// Verify tells whether p is the password of a hash, and whether the hash should be made anew because it is not as strong as ours.
// An empty hash is nobody's: it takes as long and is never right, so that an account that isn't there can't be told
// from one with another password.
//
// Faults: Unavailable (too many at once), Internal (a hash that Supported would refuse).
func (h *Hasher) Verify(ctx context.Context, hash string, p secret.Text) (right, outdated bool, err error) {
	nobody := hash == ""
	if nobody {
		hash = h.dummy
	}
	v, err := parse(hash)
	if err != nil {
		return false, false, fault.As(err)
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	right = v.verify([]byte(p.Reveal())) && !nobody
	return right, v.outdated, nil
}

// Supported tells whether a hash of another system is understood: argon2id, bcrypt, scrypt and PBKDF2 in their usual forms
// ($argon2id$..., $2b$..., $scrypt$ln=..., $pbkdf2-sha256$..., and Django's pbkdf2_sha256$...).
//
// Faults: Invalid, with the reason.
func Supported(hash string) error {
	if _, err := parse(hash); err != nil {
		return fault.New(fault.Invalid, "invalid_password_hash", "This password hash can't be used: "+err.Error()+".").WithField("password_hash")
	}
	return nil
}

// verifier is a hash that was read.
type verifier struct {
	verify   func(p []byte) bool
	outdated bool
}

var errFormat = errors.New("its format is not argon2id, bcrypt, scrypt or PBKDF2")

func parse(text string) (*verifier, error) {
	if len(text) > maxHashText {
		return nil, errors.New("it is too long")
	}
	parts := strings.Split(text, "$")
	switch {
	case strings.HasPrefix(text, "$argon2id$") && len(parts) == 6:
		return parseArgon2(parts)
	case strings.HasPrefix(text, "$2") && len(parts) == 4:
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$scrypt$") && len(parts) == 5:
		return parseScrypt(parts)
	case strings.HasPrefix(text, "$pbkdf2-") && len(parts) == 5:
		return parsePBKDF2(strings.TrimPrefix(parts[1], "pbkdf2-"), parts[2], adapted(parts[3]), adapted(parts[4]))
	case strings.HasPrefix(text, "pbkdf2_") && len(parts) == 4: // Django keeps the salt as text
		return parsePBKDF2(strings.TrimPrefix(parts[0], "pbkdf2_"), parts[1], b64.EncodeToString([]byte(parts[2])), strings.TrimRight(parts[3], "="))
	}
	return nil, errFormat
}

// adapted turns passlib's base64 (with dots) into the standard's.
func adapted(s string) string { return strings.ReplaceAll(s, ".", "+") }

// numbers reads "m=1,t=2,p=3"; every name must be there once.
func numbers(text string, names ...string) ([]int, error) {
	out := make([]int, len(names))
	fields := strings.Split(text, ",")
	if len(fields) != len(names) {
		return nil, errFormat
	}
	for i, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		n, err := strconv.Atoi(value)
		if err != nil || name != names[i] || n < 1 {
			return nil, errFormat
		}
		out[i] = n
	}
	return out, nil
}

func saltAndSum(salt, sum string) (s, h []byte, err error) {
	if s, err = b64.DecodeString(salt); err == nil {
		h, err = b64.DecodeString(sum)
	}
	if err != nil || len(s) < 4 || len(h) < 16 || len(h) > 128 {
		return nil, nil, errFormat
	}
	return s, h, nil
}

func parseArgon2(parts []string) (*verifier, error) {
	if parts[2] != "v=19" {
		return nil, errors.New("it is of an old version of argon2")
	}
	n, err := numbers(parts[3], "m", "t", "p")
	if err != nil {
		return nil, err
	}
	m, t, p := n[0], n[1], n[2]
	if m > maxMemoryKiB || t > maxPasses || p > 16 || m < 8*p {
		return nil, errors.New("its cost is too high")
	}
	salt, sum, err := saltAndSum(parts[4], parts[5])
	if err != nil {
		return nil, err
	}
	return &verifier{
		outdated: m*t < memoryKiB*passes || len(sum) < hashSize || len(salt) < saltSize,
		verify: func(typed []byte) bool {
			return same(argon2.IDKey(typed, salt, uint32(t), uint32(m), uint8(p), uint32(len(sum))), sum)
		},
	}, nil
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

func parseBcrypt(text string) (*verifier, error) {
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil || len(text) != 60 {
		return nil, errFormat
	}
	if cost > maxBcryptCost {
		return nil, errors.New("its cost is too high")
	}
	return &verifier{outdated: true, verify: func(typed []byte) bool {
		return bcrypt.CompareHashAndPassword([]byte(text), typed[:min(len(typed), 72)]) == nil // others cut passwords there, too
	}}, nil
}

func parseScrypt(parts []string) (*verifier, error) {
	n, err := numbers(parts[2], "ln", "r", "p")
	if err != nil {
		return nil, err
	}
	if n[0] > maxScryptLog || n[1] > 16 || n[2] > 16 {
		return nil, errors.New("its cost is too high")
	}
	salt, sum, err := saltAndSum(adapted(parts[3]), adapted(parts[4]))
	if err != nil {
		return nil, err
	}
	return &verifier{outdated: true, verify: func(typed []byte) bool {
		got, err := scrypt.Key(typed, salt, 1<<n[0], n[1], n[2], len(sum))
		return err == nil && same(got, sum)
	}}, nil
}

func parsePBKDF2(digest, rounds, salt, sum string) (*verifier, error) {
	hashes := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}
	h := hashes[digest]
	n, err := strconv.Atoi(rounds)
	if h == nil || err != nil || n < 1 {
		return nil, errFormat
	}
	if n > maxPBKDF2 {
		return nil, errors.New("its cost is too high")
	}
	s, want, err := saltAndSum(salt, sum)
	if err != nil {
		return nil, err
	}
	return &verifier{outdated: true, verify: func(typed []byte) bool {
		got, err := pbkdf2.Key(h, string(typed), s, n, len(want))
		return err == nil && same(got, want)
	}}, nil
}
