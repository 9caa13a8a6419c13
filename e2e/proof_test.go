// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/app"
	"github.com/countersign/countersign/internal/cli"
	"github.com/countersign/countersign/internal/proof"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/testkit/peers"
)

const proofType = "countersign-proof+jwt"

// others has node do something with what is ours.
func others[T any](t *testing.T, task map[string]any) (out T, problem string) {
	t.Helper()
	node := peers.Node(t)
	if _, err := os.Stat(filepath.Join("node_modules", "jose")); err != nil {
		if os.Getenv("COUNTERSIGN_TEST_REQUIRE") != "" {
			t.Fatal("jose is missing: ./test gets it")
		}
		t.Skip("jose is missing: ./test gets it")
	}
	in, err := json.Marshal(task)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), node, "proof.mjs")
	cmd.Stdin = bytes.NewReader(in)
	var said bytes.Buffer
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, said.String())
	}
	var failed struct{ Error string }
	must(t, json.Unmarshal(text, &failed))
	must(t, json.Unmarshal(text, &out))
	return out, failed.Error
}

// openly reads something that anybody may read.
func openly(t *testing.T, url string) (status int, body []byte, header http.Header) {
	t.Helper()
	res, err := http.Get(url)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, body, res.Header
}

// verified runs `proof verify`.
func verified(t *testing.T, stdin string, args ...string) (exit int, out, said string) {
	t.Helper()
	var stdout, stderr strings.Builder
	exit = cli.Run(t.Context(), cli.Process{Args: append([]string{"proof", "verify"}, args...), In: strings.NewReader(stdin), Out: &stdout, Err: &stderr})
	return exit, stdout.String(), stderr.String()
}

// byOpenSSL tells whether openssl takes the signature of a JWS.
func byOpenSSL(t *testing.T, text string, keys proof.Set) bool {
	t.Helper()
	parts := strings.Split(text, ".")
	var header struct{ Kid string }
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	must(t, err)
	must(t, json.Unmarshal(head, &header))
	var point []byte
	for _, k := range keys.Keys {
		if k.KID == header.Kid {
			x, err := base64.RawURLEncoding.DecodeString(k.X)
			must(t, err)
			y, err := base64.RawURLEncoding.DecodeString(k.Y)
			must(t, err)
			point = append(append([]byte{4}, x...), y...)
		}
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(key)
	must(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(parts[2])
	must(t, err)
	signature, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	must(t, err)
	folder := t.TempDir()
	for name, content := range map[string][]byte{
		"key.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "signature.der": signature, "signed": []byte(parts[0] + "." + parts[1]),
	} {
		must(t, os.WriteFile(filepath.Join(folder, name), content, 0o600))
	}
	cmd := exec.CommandContext(t.Context(), peers.OpenSSL(t), "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature.der", "signed")
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	switch said := strings.TrimSpace(string(out)); {
	case err == nil && said == "Verified OK":
		return true
	case err != nil && strings.HasPrefix(said, "Verification failure"):
		return false
	default:
		t.Fatalf("openssl: %v\n%s", err, out)
		return false
	}
}

// rotates gives the service another signing key and returns the keys that are published then.
func (d *desk) rotates() []byte {
	d.Helper()
	req, err := http.NewRequestWithContext(d.Context(), http.MethodPost, d.url+"/v1/proof-keys", http.NoBody)
	must(d.T, err)
	req.Header.Set("Authorization", "Bearer "+d.key)
	res, err := http.DefaultClient.Do(req)
	must(d.T, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	must(d.T, err)
	if res.StatusCode != http.StatusCreated {
		d.Fatalf("%d %s", res.StatusCode, body)
	}
	return body
}

// A proof is checked by others: by jose and by openssl, which have only the proof and the service's public keys; by our own command without a server; after
// two rotations as before; and not after a byte was changed.
// Keeps: H.6
func TestProofsAreCheckedByOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id, code := d.atTheDoor("order 1182")
	shown, err := d.DeliveryCode(t.Context(), id)
	must(t, err)
	d.acts(id, client.Act{Do: "code", Code: code}, "handed_over")
	text, err := d.Proof(t.Context(), id)
	must(t, err)

	status, first, header := openly(t, d.url+"/v1/services/"+app.DemoSlug+"/proof-keys")
	if status != http.StatusOK || header.Get("Cache-Control") != "public, max-age=300" || header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d, %v", status, header)
	}
	if status, body, _ := openly(t, d.url+"/v1/services/nobody/proof-keys"); status != http.StatusNotFound || !strings.Contains(string(body), "service_not_found") {
		t.Errorf("keys of nobody: %d %s", status, body)
	}
	good, _ := others[struct{ Good bool }](t, map[string]any{"do": "ticket", "ticket": shown.Ticket, "keys": json.RawMessage(first)})
	if !good.Good {
		t.Error("WebCrypto doesn't take the QR code")
	}
	bad, _ := others[struct{ Good bool }](t, map[string]any{"do": "ticket", "ticket": "CST1.AA" + shown.Ticket[7:], "keys": json.RawMessage(first)})
	if bad.Good {
		t.Error("WebCrypto takes a changed QR code")
	}

	d.rotates()
	published := d.rotates()
	_, onHost, _ := openly(t, d.url+"/proof-keys.json")
	if !bytes.Equal(bytes.TrimSpace(onHost), bytes.TrimSpace(published)) {
		t.Errorf("the service's host has other keys:\n%s\n%s", onHost, published)
	}
	set, err := proof.ParseSet(published)
	must(t, err)
	old, err := proof.ParseSet(first)
	must(t, err)
	later, err := d.Proof(t.Context(), id)
	must(t, err)
	if len(set.Keys) != 3 || len(old.Keys) != 1 || set.Keys[2] != old.Keys[0] {
		t.Fatalf("after two rotations there are %d keys", len(set.Keys))
	}
	for name, text := range map[string]string{"a proof of before": text, "a proof of now": later} {
		said, problem := others[struct {
			Payload struct{ Sub, Means, Certainty, To string }
			KID     string
		}](t, map[string]any{"do": "proof", "proof": text, "keys": set, "typ": proofType})
		if p := said.Payload; problem != "" || p.Sub != id || p.Means != "code" || p.Certainty != "confirmed" || p.To != "recipient" {
			t.Errorf("%s: jose says %+v, %s", name, said, problem)
		}
		if !byOpenSSL(t, text, set) {
			t.Errorf("%s: openssl refuses it", name)
		}
		if exit, out, said := verified(t, text+"\n", "-"); exit != 0 || !strings.Contains(out, `"sub":"`+id+`"`) || !strings.Contains(said, "genuine") || !strings.Contains(said, "confirmed") {
			t.Errorf("%s: proof verify exits with %d: %s%s", name, exit, out, said)
		}
	}
	d.refuseChanged(text, set)
}

// refuseChanged fails when somebody takes a proof of which a byte was changed.
func (d *desk) refuseChanged(text string, set proof.Set) {
	d.Helper()
	keys := filepath.Join(d.TempDir(), "keys.json")
	published, err := json.Marshal(set)
	must(d.T, err)
	must(d.T, os.WriteFile(keys, published, 0o600))
	if exit, _, said := verified(d.T, text, "-", "--keys", keys); exit != 0 {
		d.Errorf("with keys in a file it exits with %d: %s", exit, said)
	}
	dot := strings.IndexByte(text, '.')
	last := strings.LastIndexByte(text, '.')
	for _, at := range []int{0, dot - 1, dot + 1, last - 2, last + 1, last + 40} {
		changed := []byte(text)
		changed[at] ^= 2
		if exit, out, said := verified(d.T, string(changed), "-", "--keys", keys); exit != 1 || out != "" || strings.Contains(said, "genuine") {
			d.Errorf("byte %d changed: exits with %d: %s%s", at, exit, out, said)
		}
		if _, problem := others[struct{}](d.T, map[string]any{"do": "proof", "proof": string(changed), "keys": set, "typ": proofType}); problem == "" {
			d.Errorf("byte %d changed: jose takes it", at)
		}
	}
	changed := []byte(text)
	changed[last-3] ^= 2
	if byOpenSSL(d.T, string(changed), set) {
		d.Error("openssl takes a changed proof")
	}
}

// A box that WebCrypto has sealed, by the text of RFC 9180 alone, is opened by the service for which it is, for the entry for which it is.
// Keeps: H.3, S31
func TestBoxesOfOthersAreOpened(t *testing.T) {
	t.Parallel()
	var services []*service.Service
	for i := range byte(2) {
		ring, err := secret.NewRing([]*secret.Keys{secret.NewKeys(1, 1, secret.DataKey{i}), secret.NewKeys(1, 2, secret.DataKey{i, 2})}, 1+i, 1)
		must(t, err)
		services = append(services, service.New(service.Service{ID: 1}, ring))
	}
	const aad = "00112233445566778899aabbccddeeff.hnd_00112233445566778899aabbccddeeff.1"
	for i, svc := range services {
		id, public := svc.BoxKey()
		if int(id) != 1+i || len(public) != 65 {
			t.Fatalf("key %d of %d bytes", id, len(public))
		}
		got, problem := others[struct{ Box string }](t, map[string]any{
			"do": "seal", "id": id, "to": base64.RawURLEncoding.EncodeToString(public), "aad": aad, "plain": "D-48213",
		})
		if problem != "" {
			t.Fatal(problem)
		}
		plain, err := svc.OpenBox(got.Box, []byte(aad))
		if err != nil || string(plain) != "D-48213" {
			t.Errorf("%q, %v", plain, err)
		}
		if plain, err := svc.OpenBox(got.Box, []byte(aad+"0")); err == nil {
			t.Errorf("opened for another attempt: %q", plain)
		}
		if plain, err := services[1-i].OpenBox(got.Box, []byte(aad)); err == nil {
			t.Errorf("opened by another service: %q", plain)
		}
	}
}

// The commands on a database: keys are printed, a rotation adds one, and who is a node meanwhile follows.
// Keeps: H.6
func TestProofCommands(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		p := newProgram(t, database, newGateway(t))
		keys := func() proof.Set {
			t.Helper()
			set, err := proof.ParseSet([]byte(p.run("", "proof", "keys", "acme", "--config", p.config)))
			must(t, err)
			return set
		}
		before := keys()
		cmd, url := p.serve()
		t.Cleanup(func() { stopAll(t, []*exec.Cmd{cmd}) })
		p.run("", "proof", "rotate", "acme", "--config", p.config)
		after := keys()
		if len(before.Keys) != 1 || len(after.Keys) != 2 || after.Keys[1] != before.Keys[0] {
			t.Fatalf("%+v, then %+v", before, after)
		}
		deadline := time.Now().Add(20 * time.Second)
		for {
			_, body, _ := openly(t, url+"/v1/services/acme/proof-keys")
			set, err := proof.ParseSet(body)
			must(t, err)
			if len(set.Keys) == 2 && set.Keys[0] == after.Keys[0] {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the node has %+v", set)
			}
			<-time.After(50 * time.Millisecond)
		}
	})
}

// What isn't a proof, or whose keys can't be trusted, is refused with what to do about it.
// Keeps: H.6
func TestProofVerifyRefuses(t *testing.T) {
	t.Parallel()
	k, err := proof.NewKey()
	must(t, err)
	signer := proof.NewSigner(k)
	sign := func(typ, payload string) string {
		text, err := signer.Sign(typ, []byte(payload))
		must(t, err)
		return text
	}
	folder := t.TempDir()
	keys := filepath.Join(folder, "keys.json")
	published, err := json.Marshal(signer.Set())
	must(t, err)
	must(t, os.WriteFile(keys, published, 0o600))
	broken := filepath.Join(folder, "broken.json")
	must(t, os.WriteFile(broken, []byte(`{"keys":[{}]}`), 0o600))
	host := http.NewServeMux()
	host.HandleFunc("/moved/proof-keys.json", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	host.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(published) })
	host.HandleFunc("/much", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, proof.MaxSet+2)) })
	url := serveMux(t, host)
	random := make([]byte, 64)
	_, _ = rand.Read(random)
	for name, c := range map[string]struct {
		text, keys string
		exit       int
		says       string
	}{
		"right":             {sign(proofType, `{}`), keys, 0, "genuine"},
		"right, by URL":     {sign(proofType, `{}`), url + "/keys", 0, "genuine"},
		"noise":             {base64.RawURLEncoding.EncodeToString(random), keys, 1, "not a whole proof"},
		"a sign-in token":   {sign("JWT", `{}`), keys, 1, "something else than a proof"},
		"no claims":         {sign(proofType, `[]`), keys, 1, "what it says can't be read"},
		"nobody's":          {sign(proofType, `{}`), "", 1, "doesn't say where it comes from"},
		"an http issuer":    {sign(proofType, `{"iss":"http://acme.example"}`), "", 2, "by https only"},
		"a file issuer":     {sign(proofType, `{"iss":"file:///etc"}`), "", 1, "doesn't say where it comes from"},
		"a longer issuer":   {sign(proofType, `{"iss":"https://acme.example/x?y"}`), "", 1, "doesn't say where it comes from"},
		"a signed-in one":   {sign(proofType, `{"iss":"https://a:b@acme.example"}`), "", 1, "doesn't say where it comes from"},
		"keys that moved":   {sign(proofType, `{}`), url + "/moved/proof-keys.json", 1, "302"},
		"no keys there":     {sign(proofType, `{}`), url + "/nothing", 1, "404"},
		"too many keys":     {sign(proofType, `{}`), url + "/much", 2, "not a set of keys"},
		"a broken set":      {sign(proofType, `{}`), broken, 2, "not a set of keys"},
		"no such file":      {sign(proofType, `{}`), filepath.Join(folder, "none"), 2, "There is no file"},
		"a huge proof":      {strings.Repeat("A", proof.MaxText+1), keys, 1, "more than 16 KB"},
		"escapes in claims": {sign(proofType, `{"sub":"\u001b[2J"}`), keys, 0, `\x1b[2J`},
	} {
		args := []string{"-"}
		if c.keys != "" {
			args = append(args, "--keys", c.keys)
		}
		exit, out, said := verified(t, c.text, args...)
		if exit != c.exit || !strings.Contains(said, c.says) || exit != 0 && out != "" || strings.Contains(out+said, "\x1b") {
			t.Errorf("%s: exits with %d, want %d: %s%s", name, exit, c.exit, out, said)
		}
	}
}

// serveMux serves pages on this machine.
func serveMux(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
