// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

// counting is a source of known bytes: 0, 1, 2, ...
type counting struct{ next byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.next
		c.next++
	}
	return len(p), nil
}

// broken is a source that fails.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, fmt.Errorf("no randomness") }

func testData(first byte) (k DataKey) {
	for i := range k {
		k[i] = first + byte(i)
	}
	return k
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Keeps: A.7, S13
func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	const value = "correct horse battery"
	master, err := GenerateMaster(&counting{0x41}) // the key is "ABC..."
	if err != nil {
		t.Fatal(err)
	}
	data := testData(0x41)
	keys := NewKeys(7, 3, data)
	keys.MAC(LabelFlow, []byte(value))
	keys.Index(1, value)
	ring, err := NewRing([]*Keys{keys}, 3, 3)
	if err != nil {
		t.Fatal(err)
	}
	_, apiKey, _, err := NewAPIKey(&counting{})
	if err != nil {
		t.Fatal(err)
	}
	forbidden := [][]byte{[]byte(value), data[:], []byte(master.Text().Reveal()), []byte(apiKey.Reveal()), keys.CodeKey()}
	for _, v := range []any{NewText(value), NewBytes([]byte(value)), data, master, keys, ring, apiKey, master.Text()} {
		t.Run(fmt.Sprintf("%T", v), func(t *testing.T) {
			t.Parallel()
			checkPrints(t, v, forbidden)
			checkMarshals(t, v)
		})
	}
	// Where fmt calls no methods, nothing must show either. A DataKey is kept in no field.
	for _, v := range []any{
		struct{ a Text }{NewText(value)}, struct{ a Bytes }{NewBytes([]byte(value))}, struct{ a *LocalMaster }{master},
		struct{ a *Keys }{keys}, struct{ a *Ring }{ring}, struct{ a []*Keys }{[]*Keys{keys}}, struct{ A, b any }{NewText(value), NewText(value)},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			checkShown(t, fmt.Sprintf(verb, v), forbidden)
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Text](), reflect.TypeFor[Bytes](), reflect.TypeFor[LocalMaster](), reflect.TypeFor[Keys](), reflect.TypeFor[Ring]()} {
		if typ.Comparable() {
			t.Errorf("%s can be compared with ==", typ)
		}
	}
}

func checkPrints(t *testing.T, v any, forbidden [][]byte) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%8s"} {
		if got := fmt.Sprintf(verb, v); got != redacted {
			t.Errorf("%s prints %s", verb, got)
		}
		checkShown(t, fmt.Sprintf(verb, []any{v, map[string]any{"x": v}}), forbidden)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v, slog.Group("g", "v", v))
	if strings.Count(log.String(), redacted) != 3 {
		t.Errorf("the log has %s", log.String())
	}
	checkShown(t, log.String(), forbidden)
}

// checkShown looks for the forbidden values as text and as hexadecimal, decimal and Go-syntax bytes.
func checkShown(t *testing.T, shown string, forbidden [][]byte) {
	t.Helper()
	for _, value := range forbidden {
		part := value[:8]
		for _, form := range []string{
			string(part), hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)),
			strings.Trim(fmt.Sprint(part), "[]"), strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", part), "[]byte{"), "}"),
		} {
			if strings.Contains(shown, form) {
				t.Fatalf("a secret is shown: %s", shown)
			}
		}
	}
}

func checkMarshals(t *testing.T, v any) {
	if b, err := json.Marshal(v); err == nil {
		t.Errorf("JSON: %s", b)
	}
	if b, err := json.Marshal(struct{ V any }{v}); err == nil {
		t.Errorf("JSON in a struct: %s", b)
	}
	if b, err := v.(encoding.TextMarshaler).MarshalText(); err == nil {
		t.Errorf("text: %s", b)
	}
	if m, ok := v.(encoding.BinaryMarshaler); ok {
		if b, err := m.MarshalBinary(); err == nil {
			t.Errorf("binary: %x", b)
		}
	}
}

func TestTextAndBytes(t *testing.T) {
	t.Parallel()
	if (Text{}).Reveal() != "" || (Bytes{}).Reveal() != nil || !(Text{}).Equal(NewText("")) {
		t.Error("the zero values aren't empty")
	}
	if !NewText("abc").Equal(NewText("abc")) || NewText("abc").Equal(NewText("abd")) || NewText("abc").Equal(NewText("ab")) {
		t.Error("texts compare wrongly")
	}
	if !NewBytes([]byte("abc")).Equal(NewBytes([]byte("abc"))) || NewBytes([]byte("abc")).Equal(NewBytes([]byte("abd"))) {
		t.Error("bytes compare wrongly")
	}
	source := []byte("abc")
	b := NewBytes(source)
	source[0] = 'x'
	b.Reveal()[1] = 'x'
	if string(b.Reveal()) != "abc" {
		t.Error("a secret is shared with its maker or its reader")
	}
}

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	id, key, hash, err := NewAPIKey(&counting{})
	if err != nil {
		t.Fatal(err)
	}
	// A known answer: keys that are out there have to be read for ever.
	const want = "CS0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
	if text := key.Reveal(); text[:apiKeyBody] != want || text[apiKeyBody:] != "3u2mYk" || id != want[2:14] || hash != sha256.Sum256([]byte(want)) {
		t.Errorf("got %s, %s, %x", id, text, hash)
	}
	if _, _, _, err := NewAPIKey(broken{}); err == nil {
		t.Error("a key was made without randomness")
	}
	for range 50 {
		id, key, hash, err := NewAPIKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		text := key.Reveal()
		gotID, gotHash, err := ParseAPIKey(text)
		if err != nil || gotID != id || gotHash != hash || len(text) != apiKeySize {
			t.Fatalf("%s, %x, %v", gotID, gotHash, err)
		}
	}
	text := key.Reveal()
	for i := range text { // one wrong character, and two swapped
		for _, c := range []byte("0aZ_ \x00\xff") {
			if c != text[i] {
				checkNoAPIKey(t, text[:i]+string([]byte{c})+text[i+1:])
			}
		}
		if i > 0 && text[i] != text[i-1] {
			checkNoAPIKey(t, text[:i-1]+text[i:i+1]+text[i-1:i]+text[i+1:])
		}
		checkNoAPIKey(t, text[:i])
	}
	checkNoAPIKey(t, text+"0")
	checkNoAPIKey(t, " "+text)
}

func checkNoAPIKey(t *testing.T, text string) {
	t.Helper()
	if _, _, err := ParseAPIKey(text); err == nil {
		t.Errorf("%q is a key", text)
	} else if len(text) > 8 && strings.Contains(err.Error(), text[4:]) {
		t.Errorf("the fault holds the key: %v", err)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ hex, text string }{
		{"", "flow_"},
		{"00", "flow_aa"},
		{"ff", "flow_74"},
		{"666f6f626172", "flow_mzxw6ytboi"}, // RFC 4648, section 10: "foobar"
	} {
		b := unhex(t, tt.hex)
		if got := EncodeToken("flow_", b); got != tt.text {
			t.Errorf("%s is %s, want %s", tt.hex, got, tt.text)
		}
		if got, err := DecodeToken("flow_", tt.text); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s is %x, %v", tt.text, got, err)
		}
	}
	for _, text := range []string{"", "flow", "device_aa", "flow_a", "flow_ab", "flow_AA", "flow_a1", "flow_aa=", "flow_aa======",
		"flow_a\na", "flow_aa\n", " flow_aa", "flow_aa ", "flow_75", "flow_" + strings.Repeat("a", 2000)} {
		if b, err := DecodeToken("flow_", text); err == nil {
			t.Errorf("%q is %x", text, b)
		}
	}
}

func FuzzDecodeToken(f *testing.F) {
	for _, seed := range []string{"flow_aa", "flow_mzxw6ytboi", "flow_a\na", "flow_ab", "flow_", "device_aa"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := DecodeToken("flow_", text); err == nil && EncodeToken("flow_", b) != text {
			t.Fatalf("%q has another text", text)
		}
	})
}

func FuzzParseAPIKey(f *testing.F) {
	_, key, _, err := NewAPIKey(&counting{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key.Reveal())
	f.Add("CS")
	f.Add(strings.Repeat("0", apiKeySize))
	f.Fuzz(func(t *testing.T, text string) {
		id, hash, err := ParseAPIKey(text)
		if err == nil && (text[2:14] != id || hash != sha256.Sum256([]byte(text[:apiKeyBody]))) {
			t.Fatalf("%q is %s, %x", text, id, hash)
		}
	})
}
