// SPDX-License-Identifier: Apache-2.0

package countersign_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Bounds on what one person can hold in mind.
const (
	maxFileLines     = 600
	maxFunctionLines = 70
)

const licenceLine = "// SPDX-License-Identifier: Apache-2.0\n"

// sleepers are the files outside tests that may call time.Sleep, each with its reason.
var sleepers = map[string]string{}

var (
	generatedLine = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	// These patterns are written so that they don't find themselves.
	unfinished = regexp.MustCompile(`\b(TO[D]O|FIX[M]E|X[X]X)\b`)
	workplace  = regexp.MustCompile(`(^|[^\w.])/wor[k]/|\.\./share[d]`)
	// A directive to a linter, and the same with a reason behind it.
	directive = regexp.MustCompile(`^//\s*(nolint|lint:|#nosec|exhaustive:|staticcheck:)`)
	reasoned  = regexp.MustCompile(`^//\s*(nolint:\S+ // \S+|lint:(file-)?ignore \S+ \S+|#nosec \S+ -- \S+)`)
)

// source is one Go file of the tree.
type source struct {
	path      string
	text      []byte
	file      *ast.File
	set       *token.FileSet
	test      bool
	generated bool
}

// files returns the paths of all files that are tracked or would be.
func files(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard")
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git ls-files: %v; the house rules are checked in a checkout", err)
	}
	var paths []string
	for path := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		_, err := os.Stat(path)
		if err == nil { // a file that is deleted but not yet committed is listed, too
			paths = append(paths, path)
		}
	}
	return paths
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, path := range files(t) {
		if filepath.Ext(path) != ".go" || strings.Contains(path, "testdata/") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{
			path: path, text: text, file: file, set: set,
			test: strings.HasSuffix(path, "_test.go"), generated: generatedLine.Match(text),
		})
	}
	return all
}

func (s source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(pos).Line)
}

func TestEveryPackageHasOneComment(t *testing.T) {
	t.Parallel()
	comments := map[string][]string{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		folder := filepath.Dir(s.path)
		comments[folder] = append(comments[folder], "")
		if s.file.Doc != nil {
			comments[folder][0] += " " + filepath.Base(s.path)
		}
	}
	for folder, found := range comments {
		if n := len(strings.Fields(found[0])); n != 1 {
			t.Errorf("%s has %d package comments (%s), want one that says what it owns", folder, n, strings.TrimSpace(found[0]))
		}
	}
}

func TestEveryFileIsLicensedAndBounded(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if !bytes.HasPrefix(s.text, []byte(licenceLine)) {
			t.Errorf("%s does not begin with %s", s.path, strings.TrimSpace(licenceLine))
		}
		if lines := bytes.Count(s.text, []byte("\n")); lines > maxFileLines && !s.test && !s.generated {
			t.Errorf("%s has %d lines, more than %d: split it by subject", s.path, lines, maxFileLines)
		}
	}
}

func TestFunctionsAreShort(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || s.generated {
			continue
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
			if lines > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, more than %d", s.at(f.Pos()), f.Name.Name, lines, maxFunctionLines)
			}
		}
	}
}

func TestEveryExportIsDocumented(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || s.generated {
			continue
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && receiverExported(d) {
					t.Errorf("%s: %s has no docstring", s.at(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				checkSpecs(t, s, d)
			}
		}
	}
}

// receiverExported says whether a function is none of an unexported type's methods: those are seen
// through an interface, which has the docstring.
func receiverExported(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	kind := f.Recv.List[0].Type
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.IndexListExpr:
			kind = k.X
		case *ast.Ident:
			return k.IsExported()
		default:
			return true
		}
	}
}

// checkSpecs wants a comment on each exported type, constant and variable, or on its group.
func checkSpecs(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && spec.Doc == nil && d.Doc == nil {
				t.Errorf("%s: type %s has no docstring", s.at(spec.Pos()), spec.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
					t.Errorf("%s: %s has no docstring", s.at(spec.Pos()), name.Name)
				}
			}
		}
	}
}

func TestNobodySleeps(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || sleepers[s.path] != "" {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := selector.X.(*ast.Ident)
			if ok && pkg.Name == "time" && selector.Sel.Name == "Sleep" {
				t.Errorf("%s: time.Sleep can't be stopped; wait on a timer and a context", s.at(node.Pos()))
			}
			return true
		})
	}
}

func TestSilencedLintersHaveReasons(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, group := range s.file.Comments {
			for _, comment := range group.List {
				if directive.MatchString(comment.Text) && !reasoned.MatchString(comment.Text) {
					t.Errorf("%s: %q gives no reason", s.at(comment.Pos()), comment.Text)
				}
			}
		}
	}
}

func TestNothingIsUnfinishedOrTiedToAWorkplace(t *testing.T) {
	t.Parallel()
	for _, path := range files(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 { // a picture or the like
			continue
		}
		for number, line := range bytes.Split(text, []byte("\n")) {
			if workplace.Match(line) {
				t.Errorf("%s:%d names a path outside the project: %s", path, number+1, line)
			}
			if unfinished.Match(line) && filepath.Ext(path) != ".md" {
				t.Errorf("%s:%d is unfinished: %s", path, number+1, line)
			}
		}
	}
}

func TestPatternsOfTheHouseRules(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"cat /wor" + "k/x": true, "see ../share" + "d/y": true, "homewor" + "k/z": false, "net/wor" + "k/x": false,
	} {
		if got := workplace.MatchString(text); got != want {
			t.Errorf("workplace finds %q: %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"//nolint:errcheck // the reader is gone": true, "//nolint": false, "//nolint:errcheck": false,
		"//lint:ignore SA1019 no other way": true, "//lint:ignore SA1019": false,
	} {
		if got := directive.MatchString(text) && reasoned.MatchString(text); got != want {
			t.Errorf("%q has a reason: %v, want %v", text, got, want)
		}
	}
}
