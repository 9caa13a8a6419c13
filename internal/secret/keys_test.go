// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/fault"
)

var testRow = [16]byte{0: 1, 15: 2}

// The formats are in databases and in people's hands, so they never drift. The HMACs, sub-keys and
// sealed bytes below were computed by a separate implementation, written from RFC 5869, RFC 8439 and
// draft-irtf-cfrg-xchacha.
func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	k := NewKeys(7, 3, testData(0))
	nonce := [24]byte{0: 9, 23: 8}
	mac := k.MAC(LabelFlow, []byte("ab"), []byte("c"))
	index := k.Index(1, "+33612345678")
	master, err := GenerateMaster(&counting{})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"code key":    {k.CodeKey(), "c2ec0ce8acffa878dd815a01ff461abe51e9a012013f2228da12b4a374a5dc87"},
		"MAC":         {mac[:], "016c45624194515d542f3c8d9d43b006bc80fc288bf5fad8f7e8b760b169bdcc"},
		"index":       {index[:], "e8489ada7444836d2d655ddabf44635f"},
		"sealed":      {k.seal(nonce, "verification", "contact", testRow, []byte("+33612345678")), "0103090000000000000000000000000000000000000000000008fa7bd06ca420040add6b6e52afe7056842f4991d9435ccb0455052b4"},
		"associated":  {dataAssociated(7, 3), "00000017636f756e7465727369676e2064617461206b657920763100000004000000070000000103"},
		"master text": {[]byte(master.Text().Reveal()), "63736d312d61616171656179652d617564616f63616a2d626966717964696f2d62346962636571742d63716b726d6679792d64656e62776861352d647970747273746a"},
		"fingerprint": {[]byte(master.Fingerprint()), "3035383533643662303330323661633963346264656532613632333734353430"},
	} {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s is %s, want %s", name, got, tt.want)
		}
	}
}

// The pooled states do what plain HMAC does, and every use has a key of its own.
func TestMACIsHMACOverLengthPrefixedParts(t *testing.T) {
	t.Parallel()
	k := NewKeys(7, 3, testData(0))
	rapid.Check(t, func(rt *rapid.T) {
		parts := rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 0, 4).Draw(rt, "parts")
		label := Label(rapid.IntRange(0, int(labels)-1).Draw(rt, "label"))
		h := hmac.New(sha256.New, derive(testKey(0), "service", "7", "key", "3", "mac", labelNames[label]))
		for _, p := range parts {
			h.Write([]byte{0, 0, byte(len(p) >> 8), byte(len(p))})
			h.Write(p)
		}
		if got := k.MAC(label, parts...); !bytes.Equal(got[:], h.Sum(nil)) {
			rt.Errorf("got %x", got)
		}
	})
}

func testKey(first byte) []byte {
	k := testData(first)
	return k[:]
}

func TestEveryUseIsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	add := func(name string, b []byte) {
		key := hex.EncodeToString(b[:16])
		if other, ok := seen[key]; ok {
			t.Errorf("%s is the same as %s", name, other)
		}
		seen[key] = name
	}
	for name, k := range map[string]*Keys{
		"base": NewKeys(7, 3, testData(0)), "service": NewKeys(8, 3, testData(0)), "key id": NewKeys(7, 4, testData(0)), "data": NewKeys(7, 3, testData(1)),
	} {
		add(name+" code", k.CodeKey())
		for l := range labels {
			mac := k.MAC(l, []byte("abc"))
			add(name+" "+labelNames[l], mac[:])
		}
		for _, parts := range [][][]byte{{}, {{}}, {[]byte("ab"), []byte("c")}, {[]byte("a"), []byte("bc")}, {[]byte("abc"), {}}} {
			mac := k.MAC(LabelFlow, parts...)
			add(name+" parts", mac[:])
		}
		for kind := range byte(3) {
			index := k.Index(kind, "abc")
			add(name+" index", index[:])
		}
	}
	k := NewKeys(7, 3, testData(0))
	k.CodeKey()[0] ^= 1
	if !bytes.Equal(k.CodeKey(), NewKeys(7, 3, testData(0)).CodeKey()) {
		t.Error("the code key can be changed from outside")
	}
}

func TestKeysFromManyGoroutines(t *testing.T) {
	t.Parallel()
	k, plain := NewKeys(7, 3, testData(0)), NewKeys(7, 3, testData(0))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				value := []byte{byte(g), byte(i)}
				if k.MAC(LabelDevice, value) != plain.MAC(LabelDevice, value) || k.Index(byte(i), string(value)) != plain.Index(byte(i), string(value)) {
					t.Error("two goroutines share a state")
				}
			}
		})
	}
	wg.Wait()
}

// Keeps: S13
func TestSealedOpensInItsPlaceOnly(t *testing.T) {
	t.Parallel()
	k := NewKeys(7, 3, testData(0))
	rapid.Check(t, func(rt *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(rt, "plain")
		sealed := k.Seal("table", "column", testRow, plain)
		if got, err := k.Open("table", "column", testRow, sealed); err != nil || !bytes.Equal(got, plain) {
			rt.Fatalf("got %x, %v", got, err)
		}
		if len(sealed) != sealOverhead+len(plain) || bytes.Equal(sealed, k.Seal("table", "column", testRow, plain)) {
			rt.Error("the length is wrong, or a nonce was used twice")
		}
	})
	sealed := k.Seal("table", "column", testRow, []byte("value"))
	for name, open := range map[string]func() ([]byte, error){
		"table":   func() ([]byte, error) { return k.Open("tables", "column", testRow, sealed) },
		"column":  func() ([]byte, error) { return k.Open("table", "columns", testRow, sealed) },
		"shifted": func() ([]byte, error) { return k.Open("tablec", "olumn", testRow, sealed) },
		"row":     func() ([]byte, error) { return k.Open("table", "column", [16]byte{}, sealed) },
		"service": func() ([]byte, error) { return NewKeys(8, 3, testData(0)).Open("table", "column", testRow, sealed) },
		"key id":  func() ([]byte, error) { return NewKeys(7, 4, testData(0)).Open("table", "column", testRow, sealed) },
		"key":     func() ([]byte, error) { return NewKeys(7, 3, testData(1)).Open("table", "column", testRow, sealed) },
		"renamed key id": func() ([]byte, error) {
			other := append([]byte(nil), sealed...)
			other[1] = 4
			return NewKeys(7, 4, testData(0)).Open("table", "column", testRow, other)
		},
	} {
		checkUnreadable(t, name, open)
	}
	for i := range sealed {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			changed := append([]byte(nil), sealed...)
			changed[i] ^= flip
			checkUnreadable(t, "changed byte", func() ([]byte, error) { return k.Open("table", "column", testRow, changed) })
		}
		checkUnreadable(t, "cut", func() ([]byte, error) { return k.Open("table", "column", testRow, sealed[:i]) })
	}
	checkUnreadable(t, "longer", func() ([]byte, error) {
		return k.Open("table", "column", testRow, append(sealed[:len(sealed):len(sealed)], 0))
	})
}

func checkUnreadable(t *testing.T, name string, open func() ([]byte, error)) {
	t.Helper()
	plain, err := open()
	if err == nil || plain != nil || fault.As(err).Kind != fault.Internal || fault.As(err).Code != "sealed_value_unreadable" {
		t.Errorf("%s: got %x, %v", name, plain, err)
	}
}

func TestRing(t *testing.T) {
	t.Parallel()
	one, two := NewKeys(7, 1, testData(1)), NewKeys(7, 2, testData(2))
	r, err := NewRing([]*Keys{one, two}, 2, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if r.Current() != two || len(r.All()) != 2 || len(r.IndexKeys()) != 2 || r.IndexKeys()[0] != one || r.IndexKeys()[1] != two {
		t.Error("the ring is in disorder")
	}
	for _, k := range r.All() {
		sealed := k.Seal("t", "c", testRow, []byte("x"))
		if got, err := r.Open("t", "c", testRow, sealed); err != nil || string(got) != "x" {
			t.Errorf("key %d: %q, %v", k.ID(), got, err)
		}
		if got, ok := r.ByID(k.ID()); !ok || got != k {
			t.Errorf("key %d is lost", k.ID())
		}
	}
	if _, ok := r.ByID(3); ok {
		t.Error("there is a third key")
	}
	stranger := NewKeys(7, 3, testData(3)).Seal("t", "c", testRow, []byte("x"))
	for _, sealed := range [][]byte{nil, {1}, {1, 2}, stranger} {
		checkUnreadable(t, "ring", func() ([]byte, error) { return r.Open("t", "c", testRow, sealed) })
	}
	for name, make := range map[string]func() (*Ring, error){
		"no keys":          func() (*Ring, error) { return NewRing(nil, 1, 1) },
		"no current":       func() (*Ring, error) { return NewRing([]*Keys{one}, 2, 1) },
		"no index":         func() (*Ring, error) { return NewRing([]*Keys{one}, 1) },
		"missing index":    func() (*Ring, error) { return NewRing([]*Keys{one}, 1, 2) },
		"index twice":      func() (*Ring, error) { return NewRing([]*Keys{one}, 1, 1, 1) },
		"three indexes":    func() (*Ring, error) { return NewRing([]*Keys{one, two}, 1, 1, 2, 1) },
		"key twice":        func() (*Ring, error) { return NewRing([]*Keys{one, one}, 1, 1) },
		"several services": func() (*Ring, error) { return NewRing([]*Keys{one, NewKeys(8, 2, testData(2))}, 1, 1) },
	} {
		if _, err := make(); fault.As(err) == nil || fault.As(err).Code != "keys_incomplete" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k := NewKeys(7, 3, testData(0))
	sealed := k.seal([24]byte{}, "table", "column", testRow, []byte("value"))
	f.Add(sealed)
	f.Add(sealed[:sealOverhead])
	f.Add([]byte{1, 3})
	r, err := NewRing([]*Keys{k}, 3, 3)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := r.Open("table", "column", testRow, b); err == nil && !bytes.Equal(b, sealed) {
			t.Fatalf("%x is opened as %x", b, plain)
		}
	})
}

func BenchmarkMAC(b *testing.B) {
	k, id := NewKeys(7, 3, testData(0)), testRow
	b.ReportAllocs()
	for b.Loop() {
		k.MAC(LabelFlow, id[:])
	}
}

func BenchmarkIndex(b *testing.B) {
	k := NewKeys(7, 3, testData(0))
	b.ReportAllocs()
	for b.Loop() {
		k.Index(1, "+33612345678")
	}
}

func BenchmarkSeal(b *testing.B) {
	k := NewKeys(7, 3, testData(0))
	b.ReportAllocs()
	for b.Loop() {
		k.Seal("verification", "contact", testRow, []byte("+33612345678"))
	}
}

func BenchmarkOpen(b *testing.B) {
	k := NewKeys(7, 3, testData(0))
	sealed := k.Seal("verification", "contact", testRow, []byte("+33612345678"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open("verification", "contact", testRow, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
