// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a tree of files below a fresh folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err != nil {
			t.Fatal(err)
		}
		err = os.WriteFile(path, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestRun(t *testing.T) {
	t.Parallel()
	const list = "# Promises\n\nText with **A.9** is none.\n\n- **A.1** Codes.\n- **A.2** Once.\n- **S1** (later) Flows.\n"
	const goTest = "package p\n\n// TestX does it.\n//\n// Keeps: A.1\nfunc TestX(t *testing.T) {\n\tconst s = `\n// Keeps: A.2\n`\n}\n"
	for name, tc := range map[string]struct {
		files    map[string]string
		problems int
		says     []string
	}{
		"a due promise without a test": {
			map[string]string{"p/p_test.go": goTest},
			1, []string{"no test keeps A.2: Once.", "3 promises: 1 kept by tests, 1 due later, 1 problems"},
		},
		"all kept, one by a script": {
			map[string]string{"p/p_test.go": goTest, "p/testdata/story.txtar": "# Keeps: A.2, S1.\nexec true\n"},
			0, []string{"3 promises: 3 kept by tests, 0 due later, 0 problems"},
		},
		"an unknown promise": {
			map[string]string{"p/p_test.go": goTest, "p/testdata/s.txt": "# Keeps: A.2, Z.1\n"},
			1, []string{`p/testdata/s.txt: keeps "Z.1"`},
		},
		"neither code nor a text elsewhere keeps anything": {
			map[string]string{"p/p.go": "package p\n\n// Keeps: A.1\n", "p/notes.txt": "# Keeps: A.2\n"},
			2, []string{"no test keeps A.1", "no test keeps A.2"},
		},
		"an id twice": {
			map[string]string{"docs/promises.md": list + "- **A.1** Again.\n", "p/p_test.go": "package p\n\n// Keeps: A.1, A.2\n"},
			1, []string{"A.1 stands twice"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.files["docs/promises.md"] == "" {
				tc.files["docs/promises.md"] = list
			}
			var out strings.Builder
			problems, err := run(write(t, tc.files), &out)
			if err != nil || problems != tc.problems {
				t.Errorf("problems = %d (%v), want %d", problems, err, tc.problems)
			}
			for _, want := range tc.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output lacks %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestRunRefusesAnEmptyList(t *testing.T) {
	t.Parallel()
	for _, files := range []map[string]string{{}, {"docs/promises.md": "# Promises\n"}} {
		_, err := run(write(t, files), &strings.Builder{})
		if err == nil {
			t.Errorf("run(%v) accepts a tree without promises", files)
		}
	}
}
