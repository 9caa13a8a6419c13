// SPDX-License-Identifier: Apache-2.0

// Package authenticator is a small WebAuthn authenticator in software, for tests that have no browser.
package authenticator

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// Authenticator holds one passkey (WebAuthn Level 3, 6): ES256, no attestation, user present and verified. Tests spoil what it says. It is not for
// concurrent use.
type Authenticator struct {
	key    *ecdsa.PrivateKey
	ID     []byte // the credential's
	Handle string // the user's, base64url
	Count  uint32 // of signatures
	Origin string // that the browser would say it is at
}

// New makes one for a page's origin.
func New(t testing.TB, origin string) *Authenticator {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	return &Authenticator{key: key, ID: id, Origin: origin}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type options struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		User      struct {
			ID string `json:"id"`
		} `json:"user"`
		RP struct {
			ID string `json:"id"`
		} `json:"rp"`
		RPID string `json:"rpId"`
	} `json:"publicKey"`
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (a *Authenticator) client(kind, challenge string) []byte {
	b, _ := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": false})
	return b
}

func (a *Authenticator) data(rp string, flags byte, more []byte) []byte {
	a.Count++
	sum := sha256.Sum256([]byte(rp))
	out := append(sum[:], flags)
	return append(binary.BigEndian.AppendUint32(out, a.Count), more...)
}

// Create answers navigator.credentials.create with the options that the server gave (JSON with "publicKey").
func (a *Authenticator) Create(t testing.TB, raw []byte) []byte {
	t.Helper()
	var o options
	must(t, json.Unmarshal(raw, &o))
	a.Handle = o.PublicKey.User.ID
	ecdh, err := a.key.PublicKey.ECDH()
	must(t, err)
	point := ecdh.Bytes()
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	must(t, err)
	attested := append(make([]byte, 16), byte(len(a.ID)>>8), byte(len(a.ID)))
	attested = append(append(attested, a.ID...), cose...)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": a.data(o.PublicKey.RP.ID, 0x45, attested)})
	must(t, err)
	out, err := json.Marshal(map[string]any{
		"id": b64(a.ID), "rawId": b64(a.ID), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": b64(a.client("webauthn.create", o.PublicKey.Challenge)), "attestationObject": b64(object), "transports": []string{"internal"}},
	})
	must(t, err)
	return out
}

// Get answers navigator.credentials.get, likewise.
func (a *Authenticator) Get(t testing.TB, raw []byte) []byte {
	t.Helper()
	var o options
	must(t, json.Unmarshal(raw, &o))
	client := a.client("webauthn.get", o.PublicKey.Challenge)
	data := a.data(o.PublicKey.RPID, 0x05, nil)
	hashed := sha256.Sum256(client)
	signed := sha256.Sum256(bytes.Join([][]byte{data, hashed[:]}, nil))
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
	must(t, err)
	out, err := json.Marshal(map[string]any{
		"id": b64(a.ID), "rawId": b64(a.ID), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(sig), "userHandle": a.Handle},
	})
	must(t, err)
	return out
}
