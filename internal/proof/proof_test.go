// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/fault"
)

const typ = "countersign-proof+jwt"

func newSigner(t testing.TB, retired ...JWK) *Signer {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return NewSigner(k, retired...)
}

func sign(t testing.TB, s *Signer, payload string) string {
	t.Helper()
	text, err := s.Sign(typ, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}

// Keeps: H.6
func TestProof(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	text := sign(t, s, `{"iss":"https://acme.example"}`)
	payload, kid, err := Verify(text, s.Set(), typ)
	if err != nil || string(payload) != `{"iss":"https://acme.example"}` || kid != s.current.KID() {
		t.Fatalf("%s, %s, %v", payload, kid, err)
	}
	if _, err := s.Sign(typ, make([]byte, MaxText)); code(err) != "proof_too_large" {
		t.Errorf("a long payload: %v", err)
	}
	if _, err := NewSigner(nil).Sign(typ, nil); code(err) != "no_signing_key" || NewSigner(nil).Ticket(Ticket{}) != "" || NewSigner(nil).Ready() {
		t.Errorf("without a key: %v", err)
	}
}

// forged makes a JWS with a header of the test's choice and, whatever that says, a right ES256 signature.
func forged(t testing.TB, s *Signer, header string) string {
	t.Helper()
	signed := encode([]byte(header)) + "." + encode([]byte("{}"))
	signature, err := s.current.sign([]byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(signature)
}

// Every way in which a JWS can be right in form and must not count.
// Keeps: H.6
func TestProofsThatAreNone(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	kid, right := s.current.KID(), sign(t, s, "{}")
	parts := strings.Split(right, ".")
	for name, c := range map[string]struct{ text, code string }{
		"nothing":                   {"", "proof_malformed"},
		"two parts":                 {parts[0] + "." + parts[1], "proof_malformed"},
		"four parts":                {right + ".", "proof_malformed"},
		"padding":                   {right + "=", "proof_malformed"},
		"a line's end":              {parts[0] + "." + parts[1] + "\n." + parts[2], "proof_malformed"},
		"other last bits":           {right[:len(right)-1] + string(otherBits(right[len(right)-1])), "proof_malformed"},
		"standard base64":           {parts[0] + ".+/+/." + parts[2], "proof_malformed"},
		"no signature":              {parts[0] + "." + parts[1] + ".", "proof_unsupported"},
		"too long":                  {right + strings.Repeat("A", MaxText), "proof_too_large"},
		"alg none":                  {forged(t, s, `{"alg":"none","kid":"`+kid+`","typ":"`+typ+`"}`), "proof_unsupported"},
		"alg HS256":                 {forged(t, s, `{"alg":"HS256","kid":"`+kid+`","typ":"`+typ+`"}`), "proof_unsupported"},
		"alg in other letters":      {forged(t, s, `{"ALG":"ES256","kid":"`+kid+`","typ":"`+typ+`"}`), "proof_unsupported"},
		"alg twice":                 {forged(t, s, `{"alg":"ES256","alg":"ES256","kid":"`+kid+`","typ":"`+typ+`"}`), "proof_unsupported"},
		"crit":                      {forged(t, s, `{"alg":"ES256","crit":["b64"],"kid":"`+kid+`","typ":"`+typ+`"}`), "proof_unsupported"},
		"a key of its own":          {forged(t, s, `{"alg":"ES256","jwk":{},"kid":"`+kid+`","typ":"`+typ+`"}`), "proof_unsupported"},
		"a link to a key":           {forged(t, s, `{"alg":"ES256","jku":"https://evil.example","kid":"`+kid+`","typ":"`+typ+`"}`), "proof_unsupported"},
		"more behind the header":    {forged(t, s, `{"alg":"ES256","kid":"`+kid+`","typ":"`+typ+`"}{}`), "proof_unsupported"},
		"no header":                 {forged(t, s, ``), "proof_unsupported"},
		"a list":                    {forged(t, s, `[]`), "proof_unsupported"},
		"another kind":              {forged(t, s, `{"alg":"ES256","kid":"`+kid+`","typ":"JWT"}`), "proof_of_another_kind"},
		"no kind":                   {forged(t, s, `{"alg":"ES256","kid":"`+kid+`"}`), "proof_of_another_kind"},
		"no key id":                 {forged(t, s, `{"alg":"ES256","typ":"`+typ+`"}`), "proof_key_unknown"},
		"another service's":         {sign(t, newSigner(t), "{}"), "proof_key_unknown"},
		"another signature of ours": {parts[0] + "." + parts[1] + "." + strings.Split(sign(t, s, "[]"), ".")[2], "proof_changed"},
		"signature of zeros":        {parts[0] + "." + parts[1] + "." + encode(make([]byte, 64)), "proof_changed"},
		"signature of ones":         {parts[0] + "." + parts[1] + "." + encode([]byte(strings.Repeat("\xff", 64))), "proof_changed"},
	} {
		payload, _, err := Verify(c.text, s.Set(), typ)
		if code(err) != c.code || payload != nil {
			t.Errorf("%s: %q, %v", name, payload, err)
		}
	}
	if _, _, err := Verify(right, Set{Keys: []JWK{{KID: kid}}}, typ); code(err) != "proof_changed" {
		t.Errorf("a key that is only an id: %v", err)
	}
	if err := fault.As(verifyError(right+"x", s.Set())); err.Kind != fault.Invalid || !strings.Contains(err.Message, ". ") {
		t.Errorf("it doesn't say what to do next: %v", err)
	}
}

func verifyError(text string, set Set) error {
	_, _, err := Verify(text, set, typ)
	return err
}

// otherBits is a base64url digit that differs in a bit that decodes to nothing: four of the last digit's, of 64 bytes.
func otherBits(c byte) byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return digits[strings.IndexByte(digits, c)^1]
}

// What was signed before two rotations is valid after them; a byte that is changed anywhere makes it invalid.
// Keeps: H.6
func TestProofsLastAndCantBeChanged(t *testing.T) {
	t.Parallel()
	first := newSigner(t)
	second := newSigner(t, first.Set().Keys...)
	third := newSigner(t, second.Set().Keys...)
	published, err := json.Marshal(third.Set())
	if err != nil {
		t.Fatal(err)
	}
	set, err := ParseSet(published)
	if err != nil || len(set.Keys) != 3 {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom([]*Signer{first, second, third}).Draw(t, "signer")
		payload := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload")
		text, err := s.Sign(typ, payload)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := Verify(text, set, typ); err != nil || string(got) != string(payload) {
			t.Fatalf("%q: %v", got, err)
		}
		ticket := s.Ticket(Ticket{Attempt: rapid.Byte().Draw(t, "attempt"), Until: time.Unix(rapid.Int64Range(0, 1<<35).Draw(t, "until"), 0)})
		if _, err := VerifyTicket(ticket, set); err != nil {
			t.Fatal(err)
		}
		for _, whole := range []string{text, ticket} {
			b := []byte(whole)
			at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			b[at] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
			if _, _, err := Verify(string(b), set, typ); err == nil {
				t.Fatalf("byte %d of %s changed: still a proof", at, whole)
			}
			if _, err := VerifyTicket(string(b), set); err == nil {
				t.Fatalf("byte %d of %s changed: still a ticket", at, whole)
			}
		}
	})
}

// The payload of a ticket, byte by byte as the courier's page reads it.
// Keeps: H.3
func TestTicket(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	in := Ticket{Attempt: 2, Generation: 3, Pass: 4, Until: time.Unix(1795651200, 0).UTC()}
	for i := range in.Handover {
		in.Handover[i] = byte(0x10 + i)
	}
	for i := range in.Device {
		in.Device[i] = byte(0xa0 + i)
	}
	text := s.Ticket(in)
	if len(text) != len(TicketPrefix)+138 {
		t.Errorf("it has %d characters", len(text))
	}
	raw, err := base64.RawURLEncoding.DecodeString(text[len(TicketPrefix):])
	if err != nil || len(raw) != 103 {
		t.Fatal(err)
	}
	kid, err := base64.RawURLEncoding.DecodeString(s.current.KID())
	if err != nil {
		t.Fatal(err)
	}
	if want := "01" + "101112131415161718191a1b1c1d1e1f" + "02" + "03" + "04" + "a0a1a2a3a4a5a6a7" + "000000006b077680" + hex.EncodeToString(kid[:3]); hex.EncodeToString(raw[:39]) != want {
		t.Errorf("the payload is\n%x, want\n%s", raw[:39], want)
	}
	if got, err := VerifyTicket(text, s.Set()); err != nil || got != in {
		t.Errorf("%+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		text string
		set  Set
		code string
	}{
		"nothing":           {"", s.Set(), "ticket_malformed"},
		"a code":            {"D-48213", s.Set(), "ticket_malformed"},
		"a proof":           {sign(t, s, "{}"), s.Set(), "ticket_malformed"},
		"other letters":     {"cst1." + text[5:], s.Set(), "ticket_malformed"},
		"a line's end":      {text[:len(text)-1] + "\n", s.Set(), "ticket_malformed"},
		"longer":            {text + "A", s.Set(), "ticket_malformed"},
		"another service's": {text, newSigner(t).Set(), "ticket_key_unknown"},
		"another version":   {TicketPrefix + encode(append([]byte{2}, raw[1:]...)), s.Set(), "ticket_malformed"},
		"another parcel":    {TicketPrefix + encode(append([]byte{1, 0}, raw[2:]...)), s.Set(), "ticket_changed"},
		"no keys":           {text, Set{}, "ticket_key_unknown"},
		"until never":       {TicketPrefix + encode(slices.Concat(raw[:28], []byte{0xff}, raw[29:])), s.Set(), "ticket_malformed"},
	} {
		if got, err := VerifyTicket(c.text, c.set); code(err) != c.code || got != (Ticket{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// A signature for one use counts for no other: what is signed of a ticket begins with its name.
	signature, err := s.current.sign(raw[:39])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyTicket(TicketPrefix+encode(append(raw[:39:39], signature...)), s.Set()); code(err) != "ticket_changed" {
		t.Errorf("signed without its name: %v", err)
	}
	// Two keys whose ids begin alike are told apart by the signature.
	twin := s.Set().Keys[0]
	both := Set{Keys: append([]JWK{twin}, s.Set().Keys...)}
	if _, err := VerifyTicket(text, both); err != nil {
		t.Error(err)
	}
}

// The key of RFC 7515 appendix A.3, whose thumbprint others have computed, too.
func TestThumbprint(t *testing.T) {
	t.Parallel()
	k := JWK{KeyType: "EC", Curve: "P-256", X: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", Y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", Algorithm: "ES256", Use: "sig"}
	k.KID = "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"
	if _, err := k.public(); err != nil {
		t.Error(err)
	}
	// Its signature of the RFC's own message.
	const message = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	signature, ok := decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
	if !ok || !k.verify([]byte(message), signature) {
		t.Error("the signature of RFC 7515 A.3 isn't taken")
	}
}

func TestSetsThatAreNone(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	one, err := json.Marshal(s.Set().Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	right := string(one)
	k := s.Set().Keys[0]
	change := func(from, to string) string {
		out := strings.Replace(right, from, to, 1)
		if out == right {
			t.Fatalf("%s isn't in %s", from, right)
		}
		return `{"keys":[` + out + `]}`
	}
	zeros := encode(make([]byte, 32))
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "x", "null keys elsewhere": `{"key":[]}`, "more behind it": `{"keys":[]}{}`, "keys twice": `{"keys":[],"keys":[]}`,
		"other letters": `{"Keys":[]}`, "too long": `{"keys":[]}` + strings.Repeat(" ", MaxSet), "a list": "[]",
		"a key twice": `{"keys":[` + right + `,` + right + `]}`, "a private key": change(`{`, `{"d":"AAAA",`), "kty": change(`"EC"`, `"RSA"`),
		"crv": change(`"P-256"`, `"P-384"`), "alg": change(`"ES256"`, `"none"`), "use": change(`"sig"`, `"enc"`), "kid": change(k.KID, "x"), "x": change(k.X, k.Y),
		"not a point": change(k.X, zeros), "short": change(k.X, k.X[:40]), "no canonical base64": change(k.X, k.X+"="), "no key": `{"keys":[{}]}`, "null": `{"keys":[null]}`,
	} {
		if set, err := ParseSet([]byte(text)); code(err) != "invalid_key_set" || set.Keys != nil {
			t.Errorf("%s: %+v, %v", name, set, err)
		}
	}
	if _, err := ParseJWK([]byte(right)); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", right + right, `{"keys":[]}`, right + strings.Repeat(" ", MaxSet)} {
		if _, err := ParseJWK([]byte(text)); code(err) != "invalid_key_set" {
			t.Errorf("%.20s: %v", text, err)
		}
	}
	full := Set{Keys: slices.Repeat([]JWK{k}, MaxKeys)}
	if text, err := json.Marshal(full); err != nil || len(text) > MaxSet {
		t.Errorf("%d keys are %d bytes, more than a set may have (%v)", MaxKeys, len(text), err)
	}
}

// Keeps: S12
func TestKeysAreKeptToThemselves(t *testing.T) {
	t.Parallel()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKey(k.Private())
	if err != nil || again.KID() != k.KID() || !again.private().Equal(k.private()) {
		t.Errorf("%v", err)
	}
	d, err := k.private().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s %x %d", k, k, k, k, k, k), k.String(), k.LogValue().String(),
		fmt.Sprintf("%v", slog.Any("key", k)), fmt.Sprintf("%+v %#v", NewSigner(k), struct{ K *Key }{k}),
	} {
		if strings.Contains(shown, hex.EncodeToString(d)) || strings.Contains(shown, fmt.Sprint(d)) || strings.Contains(shown, new(big.Int).SetBytes(d).String()) {
			t.Errorf("a key is shown: %s", shown)
		}
	}
	if _, err := json.Marshal(k); err == nil {
		t.Error("a key is marshaled")
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, der := range [][]byte{nil, {1}, der} {
		if _, err := ParseKey(der); code(err) != "signing_key_unreadable" {
			t.Errorf("%x: %v", der, err)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 9180, A.3.1: base mode of the suite that boxes use.
func TestBoxesAreHPKE(t *testing.T) {
	t.Parallel()
	private, err := hpke.DHKEM(ecdh.P256()).DeriveKeyPair(unhex(t, "668b37171f1072f3cf12ea8a236a45df23fc13b82af3609ad1e354f6ef817550"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(private.PublicKey().Bytes()), "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a826a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0"; got != want {
		t.Fatalf("the key pair is %s", got)
	}
	enc := "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4"
	sealed := "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434"
	plain, err := open(private, unhex(t, enc), unhex(t, "4f6465206f6e2061204772656369616e2055726e"), []byte("Count-0"), unhex(t, sealed))
	if err != nil || string(plain) != "Beauty is truth, truth beauty" {
		t.Fatalf("%q, %v", plain, err)
	}
}

func newBox(t testing.TB) func(id uint8) (hpke.PrivateKey, bool) {
	t.Helper()
	private, err := hpke.DHKEM(ecdh.P256()).GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return func(id uint8) (hpke.PrivateKey, bool) { return private, id == 7 }
}

// Keeps: H.3, S31
func TestBox(t *testing.T) {
	t.Parallel()
	key := newBox(t)
	private, _ := key(7)
	public := private.PublicKey().Bytes()
	aad := []byte("00112233445566778899aabbccddeeff.hnd_00112233445566778899aabbccddeeff.1")
	text, err := SealBox(7, public, aad, []byte("D-48213"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := OpenBox(text, aad, key); err != nil || string(plain) != "D-48213" {
		t.Fatalf("%q, %v", plain, err)
	}
	other, err := SealBox(8, public, aad, []byte("D-48213"))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := decode(text)
	for name, c := range map[string]struct {
		text, aad, code string
	}{
		"another entry": {text, "x", "box_unreadable"}, "another key": {other, string(aad), "box_key_unknown"}, "nothing": {"", string(aad), "box_unreadable"},
		"not base64": {text[1:] + "=", string(aad), "box_unreadable"}, "too long": {strings.Repeat("A", maxBox+4), string(aad), "box_unreadable"},
		"no point": {encode(append([]byte{7}, make([]byte, 90)...)), string(aad), "box_unreadable"}, "short": {encode(raw[:70]), string(aad), "box_unreadable"},
		"another service": {text, string(aad), "box_unreadable"},
	} {
		find := key
		if name == "another service" {
			find = newBox(t)
		}
		if plain, err := OpenBox(c.text, []byte(c.aad), find); code(err) != c.code || plain != nil {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
	for i := range text {
		b := []byte(text)
		b[i] ^= 1
		if _, err := OpenBox(string(b), aad, key); err == nil {
			t.Errorf("opened with character %d changed", i)
		}
	}
	if _, err := SealBox(7, []byte("no point"), aad, nil); code(err) != "box_unreadable" {
		t.Errorf("sealed for nobody: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	s := newSigner(f)
	right := sign(f, s, `{"a":1}`)
	f.Add(right)
	f.Add("..")
	f.Add(forged(f, s, `{"alg":"none"}`))
	f.Fuzz(func(t *testing.T, text string) {
		if _, _, err := Verify(text, s.Set(), typ); err == nil && text != right {
			t.Fatalf("%q is a proof", text)
		} else if err != nil && fault.As(err).Kind == fault.Internal {
			t.Fatal(err)
		}
	})
}

func FuzzVerifyTicket(f *testing.F) {
	s := newSigner(f)
	right := s.Ticket(Ticket{Attempt: 1, Generation: 1, Until: time.Unix(1, 0)})
	f.Add(right)
	f.Add(TicketPrefix)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := VerifyTicket(text, s.Set()); err == nil && text != right {
			t.Fatalf("%q is a ticket", text)
		} else if err != nil && fault.As(err).Kind != fault.Invalid {
			t.Fatal(err)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	text, err := json.Marshal(newSigner(f, newSigner(f).Set().Keys...).Set())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"keys":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := ParseSet(text)
		if err != nil {
			if code(err) != "invalid_key_set" {
				t.Fatal(err)
			}
			return
		}
		again, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseSet(again); err != nil || !slices.Equal(got.Keys, set.Keys) {
			t.Fatalf("%s is read as %s: %v", text, again, err)
		}
	})
}

func FuzzOpenBox(f *testing.F) {
	key := newBox(f)
	private, _ := key(7)
	right, err := SealBox(7, private.PublicKey().Bytes(), []byte("aad"), []byte("D-48213"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(right)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := OpenBox(text, []byte("aad"), key); err == nil && text != right {
			t.Fatalf("%q is opened", text)
		} else if err != nil && fault.As(err).Kind != fault.Invalid {
			t.Fatal(err)
		}
	})
}

func BenchmarkTicket(b *testing.B) {
	s := newSigner(b)
	b.ReportAllocs()
	for b.Loop() {
		s.Ticket(Ticket{})
	}
}

func BenchmarkVerifyTicket(b *testing.B) {
	s := newSigner(b)
	text := s.Ticket(Ticket{Until: time.Unix(1, 0)})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := VerifyTicket(text, s.Set()); err != nil {
			b.Fatal(err)
		}
	}
}
