// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/internal/config"
)

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "countersign.toml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFlagWinsOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	t.Parallel()
	path := file(t, "listen = \"127.0.0.1:1\"\nsmtp-host = \"file\"\nkeep-days = 7\n")
	c, err := config.Load(path, []string{"COUNTERSIGN_SMTP_HOST=environment", "COUNTERSIGN_LISTEN=127.0.0.1:2", "PATH=/bin", "COUNTERSIGN_TEST_X=1"}, map[string]string{"listen": "127.0.0.1:3"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"listen": "127.0.0.1:3", "smtp-host": "environment", "keep-days": "7", "smtp-port": "587"} {
		if got := c.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestSecretsComeFromFilesToo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load("", []string{"COUNTERSIGN_SMTP_PASSWORD_FILE=" + path}, nil)
	if err != nil || c.Secret("smtp-password").Reveal() != "hunter2" {
		t.Fatalf("%v", err)
	}
	if _, err := config.Load("", nil, map[string]string{"smtp-host-file": path}); err == nil {
		t.Fatal("an option that is no secret was read from a file")
	}
}

// Each mistake is told, all of them at once, by the name under which it was made and never with a secret.
func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file  string
		env   []string
		flags map[string]string
		want  []string
	}{
		"a typo in a flag":        {flags: map[string]string{"lisen": ":1"}, want: []string{"--lisen", "did you mean listen?"}},
		"a typo in the file":      {file: `stmp-host = "x"`, want: []string{"stmp-host", "did you mean smtp-host?"}},
		"nothing like an option":  {env: []string{"COUNTERSIGN_ELEPHANT=1"}, want: []string{"COUNTERSIGN_ELEPHANT", "lists them all"}},
		"two wrong values":        {env: []string{"COUNTERSIGN_SMTP_PORT=0", "COUNTERSIGN_LOG_LEVEL=loud"}, want: []string{"smtp-port", "1 to 65535", "log-level", "debug, info"}},
		"a network":               {flags: map[string]string{"trusted-proxies": "10.0.0.0/99"}, want: []string{"trusted-proxies", "10.0.0.0/8"}},
		"a table for a text":      {file: "[listen]\nx = 1\n", want: []string{"listen", "text or a number"}},
		"no file":                 {flags: map[string]string{"smtp-password-file": "/does/not/exist"}, want: []string{"--smtp-password-file", "can't be read"}},
		"a secret without quotes": {file: "smtp-password = hunter2\n", want: []string{"line 1", "smtp-password"}},
		"a key without a value":   {file: "\nhunter2\n", want: []string{"line 2"}},
		"a broken gateway list":   {file: "gateway = \"x\"\n", want: []string{"[[gateway]]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := ""
			if c.file != "" {
				path = file(t, c.file)
			}
			_, err := config.Load(path, c.env, c.flags)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q doesn't say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is quoted: %v", err)
			}
		})
	}
}

func TestTheReferenceNamesEveryOptionAndNoSecret(t *testing.T) {
	t.Parallel()
	text := config.Reference()
	for _, o := range config.Options() {
		if !strings.Contains(text, "\n    flag --"+o.Name+",") || o.Usage == "" {
			t.Errorf("%s is not in the reference", o.Name)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add("listen = \"127.0.0.1:1\"\n[[gateway]]\nname = \"x\"\n")
	f.Add("smtp-password = hunter2")
	f.Fuzz(func(t *testing.T, content string) {
		c, err := config.Load(file(t, content), nil, nil)
		if (c == nil) == (err == nil) {
			t.Fatal("neither a configuration nor an error, or both")
		}
		if c != nil {
			_ = c.Gateways(func() any { return new(map[string]any) }, func(any) {})
		}
	})
}
