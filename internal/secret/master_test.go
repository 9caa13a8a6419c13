// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/countersign/countersign/internal/fault"
)

func newTestMaster(t testing.TB, first byte) *LocalMaster {
	t.Helper()
	m, err := GenerateMaster(&counting{first})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMasterText(t *testing.T) {
	t.Parallel()
	m := newTestMaster(t, 0)
	text := m.Text().Reveal()
	for _, same := range []string{text, text + "\n", "  " + text + "\r\n", strings.ToUpper(text)} {
		got, err := ParseMaster(same)
		if err != nil || got.Fingerprint() != m.Fingerprint() {
			t.Errorf("%q: %v", same, err)
		}
	}
	if newTestMaster(t, 1).Fingerprint() == m.Fingerprint() || strings.Contains(text, m.Fingerprint()[:8]) {
		t.Error("the fingerprint isn't one")
	}
	if _, err := GenerateMaster(broken{}); err == nil {
		t.Error("a key was made without randomness")
	}
	var wrong []string
	for i := range text {
		for _, c := range "a7-1 é" {
			if string(c) != text[i:i+1] {
				wrong = append(wrong, text[:i]+string(c)+text[i+1:])
			}
		}
		if i > 0 && text[i] != text[i-1] {
			wrong = append(wrong, text[:i-1]+text[i:i+1]+text[i-1:i]+text[i+1:])
		}
		wrong = append(wrong, text[:i])
	}
	for _, w := range append(wrong, text+"a", strings.ReplaceAll(text, "-", ""), text+" "+text) {
		_, err := ParseMaster(w)
		if err == nil {
			t.Errorf("%q is a key", w)
		} else if fault.As(err).Kind != fault.Invalid || len(w) > 20 && strings.Contains(err.Error(), w[10:]) {
			t.Errorf("%q: %v", w, err)
		}
	}
}

// Keeps: S12, S13
func TestWrapData(t *testing.T) {
	t.Parallel()
	ctx, m, key := context.Background(), newTestMaster(t, 0), testData(9)
	wrapped, err := WrapData(ctx, m, 7, 3, key)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(wrapped, key[:8]) {
		t.Error("the key isn't hidden")
	}
	if got, err := UnwrapData(ctx, m, 7, 3, wrapped); err != nil || got != key {
		t.Errorf("got %v", err)
	}
	refuse := func(name string, m Master, service uint32, id uint8, wrapped []byte) {
		t.Helper()
		got, err := UnwrapData(ctx, m, service, id, wrapped)
		if err == nil || got != (DataKey{}) || fault.As(err).Code != "key_not_unwrapped" {
			t.Errorf("%s: %v", name, err)
		}
	}
	refuse("another master", newTestMaster(t, 1), 7, 3, wrapped)
	refuse("another service", m, 8, 3, wrapped)
	refuse("another key id", m, 7, 4, wrapped)
	for i := range wrapped {
		changed := append([]byte(nil), wrapped...)
		changed[i] ^= 0x40
		refuse("a changed byte", m, 7, 3, changed)
		refuse("a cut", m, 7, 3, wrapped[:i])
	}
	short, err := m.Wrap(ctx, key[:31], dataAssociated(7, 3))
	if err != nil {
		t.Fatal(err)
	}
	refuse("a short key", m, 7, 3, short)
	if _, err := NewDataKey(broken{}); err == nil {
		t.Error("a key was made without randomness")
	}
	if got, err := NewDataKey(&counting{9}); err != nil || got != key {
		t.Errorf("got %v", err)
	}
}

// Keeps: S12
func TestMasterFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if _, _, err := LoadMasterFile(path); fault.As(err) == nil || fault.As(err).Code != "master_key_missing" {
		t.Errorf("no file: %v", err)
	}
	made, err := CreateMasterFile(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, warning, err := LoadMasterFile(path)
	if err != nil || warning != "" || loaded.Fingerprint() != made.Fingerprint() {
		t.Errorf("%q, %v", warning, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateMasterFile(path); fault.As(err) == nil || fault.As(err).Code != "master_key_exists" {
		t.Errorf("made again: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key was overwritten: %v", err)
	}
	if _, err := CreateMasterFile(filepath.Join(path, "below", "x")); err == nil || errors.Is(err, fault.New(0, "master_key_exists", "")) {
		t.Errorf("below a file: %v", err)
	}
	for name, text := range map[string]string{"empty": "", "half": string(before[:30]), "other": "hello", "long": strings.Repeat("x", 1<<16)} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := LoadMasterFile(file)
		if err == nil || fault.As(err).Kind != fault.Invalid || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := LoadMasterFile(t.TempDir()); err == nil {
		t.Error("a folder is a key")
	}
}

func TestMasterFileModes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing here")
	}
	for mode, want := range map[os.FileMode]string{0o600: "", 0o400: "", 0o640: "warning", 0o440: "warning", 0o644: "refused", 0o660: "refused", 0o602: "refused", 0o444: "refused"} {
		path := filepath.Join(t.TempDir(), "master.key")
		if _, err := CreateMasterFile(path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("made with mode %v, %v", info.Mode(), err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, warning, err := LoadMasterFile(path)
		got := ""
		switch {
		case err != nil && fault.As(err).Code == "master_key_exposed":
			got = "refused"
		case err != nil:
			t.Errorf("%04o: %v", mode, err)
		case warning != "":
			got = "warning"
		}
		if got != want {
			t.Errorf("%04o: %q, want %q", mode, got, want)
		}
	}
}

// Keeps: S12
func TestRacingProcessesMakeOneMasterFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	var made atomic.Pointer[LocalMaster]
	var count atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			m, err := CreateMasterFile(path)
			switch {
			case err == nil:
				count.Add(1)
				made.Store(m)
			case fault.As(err).Code != "master_key_exists":
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if count.Load() != 1 {
		t.Fatalf("%d were made", count.Load())
	}
	if loaded, _, err := LoadMasterFile(path); err != nil || loaded.Fingerprint() != made.Load().Fingerprint() {
		t.Errorf("got %v", err)
	}
}

func FuzzParseMaster(f *testing.F) {
	text := newTestMaster(f, 0).Text().Reveal()
	f.Add(text)
	f.Add(strings.ToUpper(text) + "\n")
	f.Add("csm1-")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMaster(text)
		if err == nil && m.Text().Reveal() != strings.ToLower(strings.TrimSpace(text)) {
			t.Fatalf("%q has another text", text)
		}
	})
}
