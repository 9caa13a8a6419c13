// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/internal/cli"
	"github.com/countersign/countersign/internal/job/checkpoint"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/store"
	"github.com/countersign/countersign/internal/testkit/peers"
)

// deployment is a database with a service, whose log has 30 entries in rows of 4, 5, 6, 7 and 8, and checkpoints of 4, 9, 15 and 22.
type deployment struct {
	*store.Store
	t       *testing.T
	environ []string
	folder  string
	key     string
	writer  *checkpoint.Writer
	batcher *ledger.Batcher
}

// countersign runs a command and returns its exit code and all that it printed.
func (d *deployment) countersign(args ...string) (int, string) {
	var out bytes.Buffer
	code := cli.Run(d.t.Context(), cli.Process{Args: args, Environ: d.environ, In: strings.NewReader(""), Out: &out, Err: &out})
	return code, out.String()
}

func (d *deployment) must(args ...string) string {
	d.t.Helper()
	code, out := d.countersign(args...)
	if code != 0 {
		d.t.Fatalf("%v: exit code %d\n%s", args, code, out)
	}
	return out
}

func deploy(t *testing.T, url string) *deployment {
	t.Helper()
	home := t.TempDir()
	master := filepath.Join(home, "master.key")
	d := &deployment{t: t, folder: filepath.Join(home, "checkpoints")}
	d.must("keys", "init", master)
	d.environ = []string{"COUNTERSIGN_DATABASE=" + url, "COUNTERSIGN_MASTER_KEY_FILE=" + master, "COUNTERSIGN_LOG_CHECKPOINTS=" + d.folder}
	d.must("migrate")
	d.must("service", "create", "acme", "--name", "Acme")
	d.key = strings.TrimSpace(d.must("log", "key"))
	if again := strings.TrimSpace(d.must("log", "key")); again != d.key || !strings.HasPrefix(d.key, "countersign-") {
		t.Fatalf("the key is %s, then %s", d.key, again)
	}
	var err error
	if d.Store, err = store.Open(t.Context(), url, store.Options{MaxConns: 3}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	m, _, err := secret.LoadMasterFile(master)
	if err != nil {
		t.Fatal(err)
	}
	key, err := checkpoint.LoadKey(t.Context(), d.Store, m)
	if err != nil || key.Public() != d.key {
		t.Fatal("another key", err)
	}
	if d.writer, err = checkpoint.NewWriter(d.Store, d.folder, key); err != nil {
		t.Fatal(err)
	}
	d.batcher = ledger.New(d.Store, ledger.Options{})
	t.Cleanup(d.batcher.Close)
	for _, n := range []int{4, 5, 6, 7} {
		d.append(n)
		d.checkpoint()
	}
	d.append(8)
	return d
}

// append appends a row of n entries and numbers it.
func (d *deployment) append(n int) {
	d.t.Helper()
	err := d.batcher.Do(d.t.Context(), ledger.Op{Apply: func(tx *ledger.Tx) error {
		for i := range n {
			tx.Event(ledger.Event{Service: 1, Kind: 1, At: tx.Now(), Subject: ledger.ID{byte(i)}, Data: []byte{1, 2, 3, 4}})
		}
		return nil
	}})
	if err == nil {
		_, err = d.NumberEvents(d.t.Context())
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) checkpoint() {
	d.t.Helper()
	if err := d.writer.Write(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) exec(query string, args ...any) {
	d.t.Helper()
	defer d.Lock()()
	if _, err := d.SQL().ExecContext(d.t.Context(), query, args...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) rows() []ledger.LogRow {
	d.t.Helper()
	rows, err := d.LogRows(d.t.Context(), 1, ledger.LogRow{}, 100)
	if err != nil {
		d.t.Fatal(err)
	}
	return rows
}

// change writes other events into the row of that index.
func (d *deployment) change(row int, how func([]ledger.Event)) {
	d.t.Helper()
	r := d.rows()[row]
	events, err := ledger.UnpackEvents(1, r.First, r.Packed)
	if err != nil {
		d.t.Fatal(err)
	}
	how(events)
	d.exec("UPDATE journal SET events = $1 WHERE position = $2", ledger.PackEvents(events), r.Position)
}

// rewriteHead makes the head that of the rows that are there, as an attacker who knows how it's done would.
func (d *deployment) rewriteHead() {
	d.t.Helper()
	var tree ledger.Tree
	for _, r := range d.rows() {
		leaves, _, err := ledger.AppendLeaves(nil, 1, r.Packed)
		if err != nil {
			d.t.Fatal(err)
		}
		tree.Append(leaves...)
	}
	d.exec("UPDATE journal_head SET last = $1, size = $1, tree = $2 WHERE service = 1", tree.Size(), tree.Bytes())
}

// edit changes the file of checkpoints.
func (d *deployment) edit(how func(string) string) {
	d.t.Helper()
	path := filepath.Join(d.folder, "service-1.txt")
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(how(string(b))), 0o600)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// otherKey makes the key of another deployment.
func otherKey(t *testing.T) *checkpoint.Key {
	t.Helper()
	m, err := secret.GenerateMaster(bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	key, err := checkpoint.LoadKey(t.Context(), facts{}, m)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

type facts map[string]string

func (f facts) Fact(_ context.Context, name string) (string, error) { return f[name], nil }
func (f facts) SetFactOnce(_ context.Context, name, value string) (string, error) {
	if f[name] == "" {
		f[name] = value
	}
	return f[name], nil
}

var attacks = []struct {
	name   string
	attack func(*deployment)
	want   []string // what verify must say; the first one "ok" for a log that must be found whole
	not    string
}{
	{"nothing", func(*deployment) {}, []string{"acme: ok, 30 entries (0 of them erased)", "4 checkpoints agree, the last of them of 22", "the last 8 entries are in no checkpoint yet"}, ""},
	{"a person is erased", func(d *deployment) {
		if _, n, err := d.EraseEvents(d.t.Context(), 1, 0, func(e *ledger.Event) bool { return e.Subject == ledger.ID{3} }); err != nil || n != 5 {
			d.t.Fatal(n, err)
		}
	}, []string{"acme: ok, 30 entries (5 of them erased)"}, ""},
	{"a byte is changed", func(d *deployment) { d.change(2, func(e []ledger.Event) { e[2].Data[0]++ }) },
		[]string{"something between entries 10 and 15 was changed: the checkpoint of 15 entries", "something between entries 1 and 16 was changed: the tree in the database"}, ""},
	{"a time is changed and the tree rewritten", func(d *deployment) {
		d.change(1, func(e []ledger.Event) { e[0].At = e[0].At.Add(1e9) })
		d.rewriteHead()
	}, []string{"something between entries 5 and 9 was changed: the checkpoint of 9 entries"}, "tree in the database"},
	{"an entry that is in no checkpoint is changed", func(d *deployment) { d.change(4, func(e []ledger.Event) { e[3].Kind = 9 }) },
		[]string{"something between entries 25 and 28 was changed: the tree in the database"}, ""},
	{"content is exchanged as if it were erased", func(d *deployment) {
		d.change(0, func(e []ledger.Event) { e[1] = ledger.Event{Service: 1, Erased: &[32]byte{1}} })
	}, []string{"something between entries 1 and 4 was changed"}, ""},
	{"a row is removed", func(d *deployment) { d.exec("DELETE FROM journal WHERE first = 5") }, []string{"entries 5 to 9 are missing"}, ""},
	{"a row is removed and the rest renumbered", func(d *deployment) {
		d.exec("DELETE FROM journal WHERE first = 5")
		d.exec("UPDATE journal SET first = first - 5 WHERE first > 5")
		d.rewriteHead()
	}, []string{"something between entries 5 and 9 was changed", "2 later checkpoints were not compared"}, ""},
	{"an entry is removed from a row", func(d *deployment) {
		r := d.rows()[1]
		events, err := ledger.UnpackEvents(1, r.First, r.Packed)
		if err != nil {
			d.t.Fatal(err)
		}
		d.exec("UPDATE journal SET events = $1, count = 4 WHERE first = 5", ledger.PackEvents(events[1:]))
	}, []string{"entry 9 is missing"}, ""},
	{"the count of a row is changed", func(d *deployment) { d.exec("UPDATE journal SET count = 4 WHERE first = 5") }, []string{"entries 5 to 8 were changed: the row has 5 of them"}, ""},
	{"a row is cut", func(d *deployment) { d.exec("UPDATE journal SET events = $1 WHERE first = 5", []byte{1, 2, 3}) }, []string{"entries 5 to 9 were changed: the row can't be read"}, ""},
	{"the tail is cut off", func(d *deployment) { d.exec("DELETE FROM journal WHERE first > 15") },
		[]string{"cut off after entry 15: there is a checkpoint of 22", "cut off after entry 15: the database has given out numbers up to 30"}, ""},
	{"the tail is cut off and the head rewritten", func(d *deployment) {
		d.exec("DELETE FROM journal WHERE first > 9")
		d.rewriteHead()
	}, []string{"cut off after entry 9: there is a checkpoint of 22"}, "given out"},
	{"everything is removed", func(d *deployment) { d.exec("DELETE FROM journal"); d.exec("DELETE FROM journal_head") }, []string{"cut off after entry 0: there is a checkpoint of 22"}, ""},
	{"the service is removed, too", func(d *deployment) {
		d.exec("DELETE FROM journal")
		d.exec("DELETE FROM journal_head")
		d.exec("DELETE FROM service")
	}, []string{"service 1, which is gone: DAMAGED", "cut off after entry 0"}, ""},
	{"the head is removed", func(d *deployment) { d.exec("DELETE FROM journal_head") }, []string{"there is an entry 1, but the database has given out no number after 0"}, ""},
	{"the tree is damaged", func(d *deployment) { d.exec("UPDATE journal_head SET tree = $1 WHERE service = 1", []byte{1}) }, []string{"the tree in the database can't be read"}, ""},
	{"entries are swapped", func(d *deployment) { d.change(3, func(e []ledger.Event) { e[0], e[1] = e[1], e[0] }) },
		[]string{"something between entries 16 and 22 was changed"}, ""},
	{"rows are swapped", func(d *deployment) {
		d.exec("UPDATE journal SET first = CASE WHEN first = 5 THEN 10 ELSE 4 END WHERE first IN (5, 10)")
	}, []string{"a row begins with the number 4, where entry 5 should come"}, ""},
	{"a row comes twice", func(d *deployment) {
		d.exec("INSERT INTO journal (service, at, count, first, events) SELECT service, at, count, first, events FROM journal WHERE first = 5")
	}, []string{"a row begins with the number 5, where entry 10 should come"}, ""},
	{"a checkpoint is changed", func(d *deployment) {
		d.edit(func(s string) string { return strings.Replace(s, "\n15\n", "\n14\n", 1) })
	},
		[]string{"the checkpoint at byte", "is forged or damaged"}, ""},
	{"a signature is changed", func(d *deployment) {
		d.edit(func(s string) string { i := strings.LastIndex(s, "\n\n"); return s[:i-6] + "AAAA" + s[i-2:] })
	}, []string{"is forged or damaged"}, ""},
	{"checkpoints are something else", func(d *deployment) { d.edit(func(string) string { return strings.Repeat("x\n", 3000) }) }, []string{"can't be read from byte 0 on"}, ""},
	{"checkpoints are of another service", func(d *deployment) {
		d.exec("INSERT INTO journal (service, at, count, events) SELECT 2, at, count, events FROM journal WHERE service = 1")
		if _, err := d.NumberEvents(d.t.Context()); err != nil {
			d.t.Fatal(err)
		}
		d.checkpoint()
		if err := os.Rename(filepath.Join(d.folder, "service-2.txt"), filepath.Join(d.folder, "service-1.txt")); err != nil {
			d.t.Fatal(err)
		}
	}, []string{"is signed, but no checkpoint of"}, ""},
	{"the file of checkpoints is cut", func(d *deployment) { d.edit(func(s string) string { return s[:len(s)-20] }) },
		[]string{"acme: ok, 30 entries", "3 checkpoints agree", "ends in the middle of one"}, ""},
	{"the key in the database is replaced", func(d *deployment) {
		d.exec("UPDATE fact SET value = $1 WHERE name = 'log_key'", otherKey(d.t).Public()+" x")
	}, []string{"The public key in the database is"}, ""},
	{"the key in the folder is replaced", func(d *deployment) {
		if err := os.WriteFile(filepath.Join(d.folder, "key.pub"), []byte(otherKey(d.t).Public()), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}, []string{"The public key in the folder"}, ""},
}

// Keeps: S15
func TestVerifyFindsWhatWasDoneToTheLog(t *testing.T) {
	t.Parallel()
	for _, a := range attacks {
		for engine, url := range map[string]func(testing.TB) string{
			"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
			"postgres": peers.Postgres,
		} {
			t.Run(fmt.Sprintf("%s/%s", a.name, engine), func(t *testing.T) {
				t.Parallel()
				d := deploy(t, url(t))
				a.attack(d)
				code, out := d.countersign("log", "verify", "--key", d.key)
				whole := strings.Contains(a.want[0], ": ok")
				for _, w := range a.want {
					if !strings.Contains(out, w) {
						t.Errorf("it doesn't say %q", w)
					}
				}
				if whole != (code == 0) || code > 1 || a.not != "" && strings.Contains(out, a.not) || t.Failed() {
					t.Errorf("exit code %d:\n%s", code, out)
				}
			})
		}
	}
}

// stopper ends a server as soon as it says that it serves.
type stopper struct {
	bytes.Buffer
	stop func()
}

func (s *stopper) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("msg=serving")) {
		s.stop()
	}
	return s.Buffer.Write(b)
}

// A server that stops leaves a checkpoint of all that it numbered; one without a folder says so, once.
//
// Keeps: S15
func TestServeWritesCheckpoints(t *testing.T) {
	t.Parallel()
	d := deploy(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	serve := func(args ...string) string {
		ctx, cancel := context.WithCancel(t.Context())
		out := &stopper{stop: cancel}
		code := cli.Run(ctx, cli.Process{Args: append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), Environ: d.environ, In: strings.NewReader(""), Out: out, Err: out})
		if code != 0 {
			t.Fatalf("exit code %d:\n%s", code, out)
		}
		return out.String()
	}
	const warning = "no checkpoints of the event log are written"
	if out := serve(); strings.Contains(out, warning) {
		t.Error(out)
	}
	if out := d.must("log", "verify"); !strings.Contains(out, "5 checkpoints agree, the last of them of 30") || strings.Contains(out, "note:") {
		t.Error(out)
	}
	if out := serve("--log-checkpoints", ""); strings.Count(out, warning) != 1 {
		t.Error(out)
	}
}

// Without the master key, the folder or the key itself as much is checked as can be, and said.
//
// Keeps: S15
func TestVerifyWithLess(t *testing.T) {
	t.Parallel()
	d := deploy(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	d.environ = d.environ[:1]
	if out := d.must("log", "verify"); !strings.Contains(out, "acme: ok, 30 entries") || !strings.Contains(out, "own tree only") || strings.Contains(out, "note:") {
		t.Error(out)
	}
	if out := d.must("log", "verify", "--log-checkpoints", d.folder, "--service", "acme"); !strings.Contains(out, "4 checkpoints agree") || !strings.Contains(out, d.key+" is taken") {
		t.Error(out)
	}
	if out := d.must("log", "key"); strings.TrimSpace(out) != d.key {
		t.Error(out)
	}
	for _, wrong := range [][]string{{"--service", "nobody"}, {"--key", "x"}, {"--log-checkpoints", d.folder + "/none"}} {
		if code, out := d.countersign(append([]string{"log", "verify"}, wrong...)...); code == 0 {
			t.Errorf("%v: %s", wrong, out)
		}
	}
}

// The public key and the folder never hold the private one, and nothing prints it.
//
// Keeps: S15
func TestTheKeyOfTheLogStaysSecret(t *testing.T) {
	t.Parallel()
	key := otherKey(t)
	printed := fmt.Sprintf("%v %+v %#v", key, key, key)
	if strings.Contains(printed, "PRIVATE") || strings.Contains(printed, "seed") {
		t.Error(printed)
	}
	d := deploy(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	value, err := d.Fact(t.Context(), "log_key")
	if err != nil {
		t.Fatal(err)
	}
	wrapped := strings.TrimPrefix(value, d.key+" ")
	if out := d.must("log", "key"); wrapped == value || strings.Contains(out, wrapped) {
		t.Error("the fact is not a public key and a wrapped one, or is printed whole")
	}
}
