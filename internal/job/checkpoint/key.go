// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/secret"
)

// Facts keeps single values in the database.
type Facts interface {
	// Fact returns a value; empty if it isn't set.
	Fact(ctx context.Context, name string) (string, error)
	// SetFactOnce sets a value that isn't set and returns the one that it has then.
	SetFactOnce(ctx context.Context, name, value string) (string, error)
}

// factKey is the deployment's key: the public key, a space, and the private one's 32-byte seed, wrapped by the master key.
const factKey = "log_key"

// Key signs checkpoints. It implements [note.Signer] and [note.Verifier]. The private key is in a function, where no printing reaches it.
type Key struct {
	note.Verifier
	public string
	sign   func([]byte) []byte
}

// Sign implements note.Signer.
func (k *Key) Sign(text []byte) ([]byte, error) { return k.sign(text), nil }

// Public is the public key, as verifiers of signed notes take it.
func (k *Key) Public() string { return k.public }

// PublicKey returns the deployment's public key; empty if there is none yet. It needs no master key.
func PublicKey(ctx context.Context, facts Facts) (string, error) {
	v, err := facts.Fact(ctx, factKey)
	public, _, _ := strings.Cut(v, " ")
	return public, err
}

// LoadKey returns the deployment's key; whoever comes first makes it.
//
// Faults: Internal, code log_key_unreadable, when what stands in the database isn't a key that the master key has wrapped.
func LoadKey(ctx context.Context, facts Facts, m secret.Master) (*Key, error) {
	v, err := facts.Fact(ctx, factKey)
	if err == nil && v == "" {
		if v, err = makeKey(ctx, m); err == nil {
			v, err = facts.SetFactOnce(ctx, factKey, v)
		}
	}
	if err != nil {
		return nil, err
	}
	public, text, _ := strings.Cut(v, " ")
	wrapped, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errKey(err)
	}
	seed, err := m.Unwrap(ctx, wrapped, associated(public))
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, errKey(fmt.Errorf("a seed of %d bytes", len(seed)))
	}
	private := ed25519.NewKeyFromSeed(seed)
	if own, err := publicText(private); err != nil || own != public {
		return nil, errKey(fmt.Errorf("the public key is not the private one's: %w", err))
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return nil, errKey(err)
	}
	return &Key{Verifier: verifier, public: public, sign: func(text []byte) []byte { return ed25519.Sign(private, text) }}, nil
}

// makeKey makes a new key and returns the value of its fact.
func makeKey(ctx context.Context, m secret.Master) (string, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", fault.As(fmt.Errorf("make the key of the event log: %w", err))
	}
	public, err := publicText(private)
	if err != nil {
		return "", errKey(err)
	}
	wrapped, err := m.Wrap(ctx, private.Seed(), associated(public))
	if err != nil {
		return "", err
	}
	return public + " " + base64.StdEncoding.EncodeToString(wrapped), nil
}

// publicText is the text of a private key's public one. Its name is made from the key, so that two deployments never share one.
func publicText(private ed25519.PrivateKey) (string, error) {
	public, _ := private.Public().(ed25519.PublicKey)
	sum := sha256.Sum256(public)
	return note.NewEd25519VerifierKey("countersign-"+hex.EncodeToString(sum[:8]), public)
}

func associated(public string) []byte { return []byte("countersign event log key v1 " + public) }

func errKey(cause error) *fault.Error {
	return fault.New(fault.Internal, "log_key_unreadable",
		"The key that signs checkpoints of the event log can't be read: the database isn't what this server wrote.").WithCause(cause)
}
