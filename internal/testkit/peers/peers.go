// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// requireVariable is the environment variable that turns a skip for a missing peer into a failure.
const requireVariable = "COUNTERSIGN_TEST_REQUIRE"

// errMissing marks an error that means: the program is not installed here.
var errMissing = errors.New("not installed")

// give up the test: err says what could not be had. A missing program skips unless peers are required.
func giveUp(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, errMissing) && os.Getenv(requireVariable) == "" {
		tb.Skipf("%v; ./test installs it", err)
	}
	tb.Fatal(err)
}

// look returns the path of the first of the named programs that is installed.
func look(names ...string) (string, error) {
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", names[0], errMissing)
}

// Oathtool returns the path of oathtool, an implementation of HOTP and TOTP that is not ours.
func Oathtool(tb testing.TB) string {
	tb.Helper()
	path, err := look("oathtool")
	if err != nil {
		giveUp(tb, err)
	}
	return path
}

// Node returns the path of Node.js, whose cryptography is not ours.
func Node(tb testing.TB) string {
	tb.Helper()
	path, err := look("node", "nodejs")
	if err != nil {
		giveUp(tb, err)
	}
	return path
}

// OpenSSL returns the path of openssl.
func OpenSSL(tb testing.TB) string {
	tb.Helper()
	path, err := look("openssl")
	if err != nil {
		giveUp(tb, err)
	}
	return path
}

// freePort returns a loopback TCP port that was free a moment ago. Another process may take it
// before the server does, so whoever uses it tries again with another when the server can't start.
func freePort() (int, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}

// userIDs returns the ids of the named system user.
func userIDs(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("user %s: %w", name, err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, fmt.Errorf("user %s: %w", name, err)
	}
	gid, err = strconv.Atoi(u.Gid)
	if err != nil {
		return 0, 0, fmt.Errorf("user %s: %w", name, err)
	}
	return uid, gid, nil
}

// guard is a shell that runs a clean-up script when this process closes its end of a pipe, which the
// kernel does for it when it is killed. So nothing stays behind, not even after kill -9.
type guard struct {
	pipe io.WriteCloser
	cmd  *exec.Cmd
	once sync.Once
	err  error
}

// newGuard starts a guard. The script sees args as $1, $2, ...; cred is whom it runs as, or nil.
func newGuard(cred *syscall.Credential, script string, args ...string) (*guard, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", "cat >/dev/null; " + script, "guard"}, args...)...)
	cmd.Dir = "/"
	// A group of its own: Ctrl-C at the terminal ends the tests, and the guard then does its work.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: cred}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	err = cmd.Start()
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return &guard{pipe: pipe, cmd: cmd}, nil
}

// release runs the clean-up now and waits for it. Further calls return what the first returned.
func (g *guard) release() error {
	g.once.Do(func() {
		_ = g.pipe.Close() // the guard itself tells by its status whether it worked
		g.err = g.cmd.Wait()
	})
	return g.err
}
