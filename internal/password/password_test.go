// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/password"
	"github.com/countersign/countersign/internal/secret"
)

// Length and blocklist decide, and nothing about composition.
// Keeps: B.1
func TestRules(t *testing.T) {
	t.Parallel()
	rules := password.Rules{Min: password.MinSecond, Context: []string{"Acme", "acme.example", "ann.lee", "ann.lee@mail.example"}}
	for typed, want := range map[string]string{
		"short":                                  "password_too_short",
		"correct horse battery":                  "",
		"alllowercaseletters":                    "",
		"пароль из слов":                         "",
		"🐎🐎🔋📎🐎🔋📎📎🐎":                              "",
		"password1":                              "password_common",
		"PassWord1":                              "password_common",
		"aaaaaaaaaaaa":                           "password_common",
		"abcabcabcabc":                           "password_common",
		"abcdefghijkl":                           "password_common",
		"0987654321":                             "password_common",
		"acme2026!":                              "password_context",
		"Ann.Lee123":                             "password_context",
		"acme staples holder":                    "",
		strings.Repeat("xq", 128):                "password_common",
		strings.Repeat("a longer sentence ", 15): "password_too_long",
		"nul\x00nul\x00nul":                      "password_invalid",
		"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8":       "password_invalid",
	} {
		err := password.Check(secret.NewText(typed), rules)
		var f *fault.Error
		if errors.As(err, &f) != (want != "") || f != nil && (f.Code != want || f.Field != "password" || strings.Contains(f.Message, typed)) {
			t.Errorf("%q: %v, want %q", typed, err, want)
		}
	}
	if err := password.Check(secret.NewText("fourteen chars"), password.Rules{Min: password.MinAlone}); err == nil {
		t.Error("14 characters pass where 15 are asked for")
	}
}

// The hint follows the length, and says nothing good of what is refused.
func TestStrength(t *testing.T) {
	t.Parallel()
	rules := password.Rules{Min: password.MinSecond}
	for typed, want := range map[string]int{
		"password1": 0, "kelp-roof": 1, "kelp-roof-12": 2, "kelp roof lantern": 3, "kelp roof lantern river": 4,
	} {
		if got := password.Strength(secret.NewText(typed), rules); got != want {
			t.Errorf("%q: %d, want %d", typed, got, want)
		}
	}
}

func TestAPasswordIsTheSameOnEveryKeyboard(t *testing.T) {
	t.Parallel()
	if !password.Normalise("Zoe\u0308 ﬁsh").Equal(password.Normalise("Zoë fish")) {
		t.Error("two ways to type the same letters differ")
	}
}

// Hashes that other software made (passlib, Django, htpasswd, the argon2 tool) are understood; each is to be made anew.
// Keeps: B.1
func TestHashesOfOthers(t *testing.T) {
	t.Parallel()
	h := password.NewHasher(2)
	for name, hash := range map[string]string{
		"bcrypt":           "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
		"passlib pbkdf2":   "$pbkdf2-sha256$1000$c2FsdHNhbHRzYWx0c2E$JQ9iPHvAp4akBAZAunXrUuGT/2nQPbIwUr5Sfcd34BY",
		"django":           "pbkdf2_sha256$1000$saltsaltsaltsa$JQ9iPHvAp4akBAZAunXrUuGT/2nQPbIwUr5Sfcd34BY=",
		"scrypt":           "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0c2E$oyByvyqJ3uHfEWZSxMRILDXiIz0QkD2rJtPPONAZyT0",
		"argon2id, weaker": "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2E$i59MZLCZOlgtn+3DRFo92MRJKUwRYTWTiZcQpHs/STE",
	} {
		if err := password.Supported(hash); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		right, outdated, err := h.Verify(t.Context(), hash, secret.NewText("correct horse"))
		if err != nil || !right || !outdated {
			t.Errorf("%s: right %v, outdated %v, %v", name, right, outdated, err)
		}
		if right, _, _ = h.Verify(t.Context(), hash, secret.NewText("correct horsf")); right {
			t.Errorf("%s accepts another password", name)
		}
	}
	for _, bad := range []string{
		"", "plain", "$1$abc$def", "$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
		"$2b$31$abcdefghijklmnopqrstuuW3E3yYxzbnCEUSaJqTxnz6I.x6fC4TO", "$scrypt$ln=30,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "pbkdf2_md5$1$salt$aGFzaGhhc2hoYXNoaGFzaA==",
	} {
		if password.Supported(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// Our own hashes are strong and current; nobody's hash is never right.
// Keeps: B.1, S16
func TestOurHashes(t *testing.T) {
	t.Parallel()
	h := password.NewHasher(2)
	p := secret.NewText("correct horse battery")
	hash, err := h.Hash(t.Context(), p)
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%q, %v", hash, err)
	}
	if right, outdated, err := h.Verify(t.Context(), hash, p); !right || outdated || err != nil {
		t.Fatalf("right %v, outdated %v, %v", right, outdated, err)
	}
	if again, _ := h.Hash(t.Context(), p); again == hash {
		t.Fatal("two hashes share a salt")
	}
	if right, _, err := h.Verify(t.Context(), "", p); right || err != nil {
		t.Fatalf("nobody's password is right (%v), %v", right, err)
	}
}

// More at once than there are turns wait; who waits too long is told to come again, and nothing is computed for who has left.
func TestABurstWaits(t *testing.T) {
	t.Parallel()
	h := password.NewHasher(1)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := h.Hash(t.Context(), secret.NewText("x")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	refused := 0
	for range 20 { // a free turn and a caller who has left are both ready: either may win
		if _, err := h.Hash(gone, secret.NewText("x")); err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("hashes are computed for callers who have left")
	}
}

func FuzzSupported(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2E$i59MZLCZOlgtn+3DRFo92MRJKUwRYTWTiZcQpHs/STE")
	f.Add("$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e")
	f.Add("$scrypt$ln=4,r=8,p=1$c2FsdA$aGFzaA")
	f.Fuzz(func(t *testing.T, hash string) {
		if err := password.Supported(hash); err != nil && fault.As(err).Kind != fault.Invalid {
			t.Fatal(err)
		}
	})
}
