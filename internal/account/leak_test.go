// SPDX-License-Identifier: Apache-2.0

package account_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A build that leaks on purpose who exists is caught: each leak below is built over the true source and has to make TestNobodyLearnsWhoExists fail.
// Keeps: S16
func TestALeakIsCaught(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it compiles the package once for each leak")
	}
	for name, leak := range map[string]struct{ file, was, is string }{
		"no hash for nobody":     {"signin.go", "right, outdated, err := a.Hasher.Verify(", "if !f.exists() {\nreturn nil, a.wrongPassword(ctx, svc, f, v)\n}\nright, outdated, err := a.Hasher.Verify("},
		"no try written":         {"signin.go", "return nil, a.wrongPassword(ctx, svc, f, v)", "if !f.exists() {\nreturn nil, ErrWrongPassword\n}\nreturn nil, a.wrongPassword(ctx, svc, f, v)"},
		"other words for nobody": {"signin.go", "\tif err != nil {\n\t\treturn err\n\t}\n\treturn ErrWrongPassword", "\tif err != nil {\n\t\treturn err\n\t}\n\tif !f.exists() {\n\t\treturn errNoThing\n\t}\n\treturn ErrWrongPassword"},
		"no code to nobody":      {"recovery.go", "\tf := a.begin(kind, who.key.ID, who.b, v)\n", "\tif !who.exists() {\n\t\treturn nil, errNoThing\n\t}\n\tf := a.begin(kind, who.key.ID, who.b, v)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(leak.file)
			must(t, err)
			if strings.Count(string(source), leak.was) != 1 {
				t.Fatalf("%s has changed: say anew where it would leak", leak.file)
			}
			here, err := os.Getwd()
			must(t, err)
			leaky, overlay := filepath.Join(t.TempDir(), leak.file), filepath.Join(t.TempDir(), "overlay.json")
			must(t, os.WriteFile(leaky, []byte(strings.Replace(string(source), leak.was, leak.is, 1)), 0o600))
			b, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, leak.file): leaky}})
			must(t, err)
			must(t, os.WriteFile(overlay, b, 0o600))
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-run", "^TestNobodyLearnsWhoExists$/^sqlite$", ".").CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestNobodyLearnsWhoExists/sqlite") {
				t.Errorf("not caught: %v\n%s", err, out)
			}
		})
	}
}
