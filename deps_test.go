// SPDX-License-Identifier: Apache-2.0

package countersign_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/countersign/countersign/"

// layer is a group of packages with the same rights to import.
type layer struct {
	name string
	// packages are paths below the module; one that ends in "/..." means all below it, too.
	packages []string
	// may names the layers that its packages may import besides their own.
	may []string
	// loners is true when its packages must not import each other.
	loners bool
	reason string
}

// The direction of imports, lowest first. A package without a layer fails the test: whoever adds one
// decides here what it is.
var layers = []layer{
	{
		name:     "foundation",
		packages: []string{"internal/fault", "internal/otp", "internal/proof", "internal/secret", "internal/contact", "internal/password", "internal/place", "internal/locale"},
		reason:   "it is what everything else stands on, and is understood and tested alone",
	},
	{
		name: "domain",
		packages: []string{
			"internal/verification", "internal/service", "internal/ledger", "internal/message", "internal/account",
			"internal/handover", "internal/authentic", "internal/diagnose", "internal/guard", "internal/care",
		},
		may:    []string{"foundation"},
		reason: "decisions are pure: they are tested without a server, a database or a clock",
	},
	{
		name:     "settings",
		packages: []string{"internal/config"},
		may:      []string{"foundation"},
		reason:   "options are values; who uses them is the application's to say",
	},
	{
		name:     "store",
		packages: []string{"internal/store/..."},
		may:      []string{"foundation", "domain"},
		reason:   "a store makes decisions durable; it knows who decides and not who asks",
	},
	{
		name:     "channel",
		packages: []string{"internal/message/..."},
		may:      []string{"foundation", "domain"},
		reason:   "a provider carries a message; where messages are kept is none of its business",
	},
	{
		name:     "http",
		packages: []string{"internal/httpx"},
		may:      []string{"foundation"},
		reason:   "what all surfaces share knows none of them",
	},
	{
		name: "surface",
		packages: []string{
			"internal/jsonapi/...", "internal/devpage/...", "internal/api/...", "internal/twilio/...", "internal/web/...", "internal/console/...",
			"internal/courier/...", "internal/oidc/...", "internal/inbox/...",
		},
		may:    []string{"foundation", "domain", "http"},
		loners: true,
		reason: "a surface translates and has its own defences; borrowing another's mixes them up",
	},
	{
		name:     "job",
		packages: []string{"internal/job/..."},
		may:      []string{"foundation", "domain"},
		reason:   "background services work through the domain, like requests do",
	},
	{
		name:     "application",
		packages: []string{"internal/app"},
		may:      []string{"foundation", "domain", "settings", "store", "channel", "http", "surface", "job"},
		reason:   "it is the only package that knows all others, so they need not know each other",
	},
	{
		name:     "command line",
		packages: []string{"internal/cli"},
		may:      []string{"foundation", "domain", "settings", "application", "client", "store"},
		reason:   "subcommands start the application or talk to it; they hold no rules of their own",
	},
	{
		name:     "program",
		packages: []string{"cmd/countersign"},
		may:      []string{"command line"},
		reason:   "main knows signals and exit codes, nothing else",
	},
	{
		name:     "client",
		packages: []string{"client"},
		reason:   "others import it; it must not bring the server along",
	},
	{
		name:     "tool",
		packages: []string{"", "internal/testkit/...", "internal/tools/...", "bench/...", "e2e/..."},
		may: []string{
			"foundation", "domain", "settings", "store", "channel", "http", "surface", "job", "application",
			"command line", "client",
		},
		reason: "tests and tools may use everything, and nothing that ships may use them",
	},
}

// restricted are packages of others that only the named layers (or "pkg:" packages) may import.
var restricted = []struct {
	prefix string
	layers []string
	reason string
}{
	{
		"net/http", []string{"http", "surface", "channel", "application", "command line", "client", "tool", "job"},
		"decisions and stores don't know that there is HTTP",
	},
	{"database/sql", []string{"store", "tool"}, "only stores speak to databases"},
	{"github.com/jackc/pgx/", []string{"store", "tool"}, "only stores speak to databases"},
	{"github.com/ncruces/go-sqlite3", []string{"store", "tool"}, "only stores speak to databases"},
	{"github.com/pressly/goose/", []string{"store", "tool"}, "only stores speak to databases"},
	{"github.com/danielgtaylor/huma/", []string{"surface", "tool"}, "the API's framework stays in the API"},
	{"github.com/wneessen/go-mail", []string{"channel", "tool"}, "mail is composed in one place"},
	{"github.com/emersion/go-smtp", []string{"channel", "tool"}, "mail is taken in one place"},
	{"github.com/alecthomas/kong", []string{"command line", "tool"}, "flags belong to the command line"},
	{"github.com/oschwald/maxminddb-golang", []string{"foundation", "tool"}, "places are found in one place"},
	{"os/exec", []string{"tool"}, "the program starts no other program"},
	{"unsafe", nil, "memory safety is a promise"},
}

// notInBinary are packages that only tests may need.
var notInBinary = []string{
	"testing", "net/http/httptest", module + "internal/testkit", module + "internal/tools", module + "bench",
	"github.com/chromedp/", "pgregory.net/rapid", "go.uber.org/goleak", "github.com/anishathalye/porcupine",
	"github.com/rogpeppe/go-internal", "github.com/maxmind/mmdbwriter",
}

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	// -e, because a package that does not build is told by the compiler, and better.
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,Deps", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var packages []listed
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// below says whether path is the named package or, if the name ends in "/...", lies below it.
func below(path, name string) bool {
	base, all := strings.CutSuffix(name, "/...")
	return path == base || all && strings.HasPrefix(path, base+"/")
}

// layerOf finds the layer of a package of ours; an exact name wins over one with "/...".
func layerOf(path string) *layer {
	path = strings.TrimPrefix(strings.TrimPrefix(path, strings.TrimSuffix(module, "/")), "/")
	var found *layer
	for i := range layers {
		if slices.Contains(layers[i].packages, path) {
			return &layers[i]
		}
		if slices.ContainsFunc(layers[i].packages, func(name string) bool { return below(path, name) }) {
			found = &layers[i]
		}
	}
	return found
}

// family is the part of a package's path that a surface shares with its own sub-packages.
func family(path string) string {
	parts := strings.SplitN(strings.TrimPrefix(path, module), "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		from := layerOf(p.ImportPath)
		if from == nil {
			t.Errorf("%s has no layer; give it one in deps_test.go", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			checkImport(t, from, p.ImportPath, path)
		}
	}
}

func checkImport(t *testing.T, from *layer, importer, path string) {
	t.Helper()
	if strings.HasPrefix(path, module) {
		to := layerOf(path)
		switch {
		case to == nil: // told where the package itself is looked at
		case to != from && !slices.Contains(from.may, to.name):
			t.Errorf("%s (%s) imports %s (%s): %s", importer, from.name, path, to.name, from.reason)
		case to == from && from.loners && family(importer) != family(path):
			t.Errorf("%s imports its neighbour %s: %s", importer, path, from.reason)
		}
		return
	}
	for _, rule := range restricted {
		if (path == rule.prefix || strings.HasPrefix(path, strings.TrimSuffix(rule.prefix, "/")+"/")) &&
			!slices.Contains(rule.layers, from.name) {
			t.Errorf("%s (%s) imports %s: %s", importer, from.name, path, rule.reason)
		}
	}
}

func TestBinaryHoldsNoTestHelpers(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if p.ImportPath != module+"cmd/countersign" {
			continue
		}
		for _, path := range p.Deps {
			for _, unwanted := range notInBinary {
				if path == unwanted || strings.HasPrefix(path, strings.TrimSuffix(unwanted, "/")+"/") {
					t.Errorf("the program contains %s, which is for tests", path)
				}
			}
		}
		return
	}
	t.Error("cmd/countersign is missing")
}

// A rule that can't fail is none: these imports must be found wanting.
func TestLayersTellApart(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"internal/message": "domain", "internal/message/smtp": "channel", "internal/store": "store",
		"internal/store/sqlite": "store", "internal/testkit/peers": "tool", "cmd/countersign": "program",
	} {
		if got := layerOf(module + path); got == nil || got.name != want {
			t.Errorf("layer of %s = %v, want %s", path, got, want)
		}
	}
	if got := layerOf(module + "internal/messages"); got != nil {
		t.Errorf("layer of an unknown package = %s, want none", got.name)
	}
	if family(module+"internal/web/page") != family(module+"internal/web") || family(module+"internal/web") == family(module+"internal/api") {
		t.Error("families of surfaces are mixed up")
	}
}
