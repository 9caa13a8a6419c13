// SPDX-License-Identifier: Apache-2.0

// Command bench measures issuing and checking against a bare net/http handler and everything about hand-overs in the same run, and prints the
// table of docs/performance.md.
//
//	go run ./bench                 SQLite, and PostgreSQL if COUNTERSIGN_TEST_POSTGRES names a server
//	go run ./bench -brief          a few hundred milliseconds a line: does it still work?
//	go run ./bench -rows 10000000  with that many verifications present
//
// The load generator runs in this process, the server in another, so that its CPU time is its own.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign/countersign/internal/fault"
)

func main() {
	brief := flag.Bool("brief", false, "measure briefly")
	seconds := flag.Float64("seconds", 5, "how long each line is measured")
	rows := flag.Int("rows", 0, "verifications that are there before measuring")
	only := flag.String("only", "", "measure sqlite or postgres alone")
	serve := flag.String("serve", "", "internal: be the server on this database")
	flag.Parse()
	if *serve != "" {
		fatal(runServer(*serve, *rows))
		return
	}
	if *brief {
		*seconds = 0.4
	}
	fatal(measure(time.Duration(*seconds*float64(time.Second)), *rows, *only))
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err, fault.As(err).Unwrap())
		os.Exit(1)
	}
}

// server is a child process that is measured.
type server struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	addr string
	key  string
	make func(id string) string // the code of a verification
	say  func(id string) string // the code of a hand-over
}

func startServer(database string, rows int) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{cmd: exec.Command(self, "-serve", database, "-rows", fmt.Sprint(rows))}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the server did not start: %w", err)
	}
	f := strings.Fields(line)
	s.addr, s.key = f[0], f[1]
	if len(f) > 2 {
		s.make, s.say, err = coders(f[2], f[3])
	}
	return s, err
}

func (s *server) stop() error {
	_ = s.in.Close()
	return s.cmd.Wait()
}

// line is one measurement.
type line struct {
	name       string
	n          int64
	took       time.Duration
	p50, p99   time.Duration
	cpu        float64 // seconds of the server
	db         float64 // seconds of the database
	statements float64
}

func measure(long time.Duration, rows int, only string) error {
	fmt.Printf("%-34s %10s %8s %8s %8s %10s %10s %10s\n", "", "requests/s", "x bare", "p50 ms", "p99 ms", "CPU-s/1000", "of the db", "statements")
	bare := map[int]float64{}
	s, err := startServer("bare", 0)
	if err != nil {
		return err
	}
	for _, conns := range []int{16, 64} {
		l, err := s.load("bare handler", conns, long, func(int64) request { return request{path: "/", body: `{"to":"+14155550121","purpose":"sign_in"}`} }, nil)
		if err != nil {
			return err
		}
		bare[conns] = float64(l.n) / l.took.Seconds()
		l.print(bare[conns], conns)
	}
	if err := s.stop(); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	for _, engine := range []string{"sqlite", "postgres"} {
		if !strings.HasPrefix(engine, only) {
			continue
		}
		for _, what := range []func(db string, long time.Duration, rows int, bare map[int]float64) error{measureDatabase, measureOthers} {
			db, drop, err := fresh(engine, folder)
			if err != nil {
				return err
			}
			if db == "" {
				fmt.Println("PostgreSQL: left out, COUNTERSIGN_TEST_POSTGRES names no server")
				break
			}
			err = what(db, long, rows, bare)
			drop()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// fresh makes an empty database.
func fresh(engine, folder string) (db string, drop func(), err error) {
	if engine == "postgres" {
		return postgres()
	}
	own, err := os.MkdirTemp(folder, "")
	return "sqlite:" + filepath.Join(own, "bench.db"), func() { _ = os.RemoveAll(own) }, err
}

// measureOthers measures what isn't a code for signing in: hand-overs and sign-ins, on a database of their own.
func measureOthers(db string, long time.Duration, rows int, bare map[int]float64) error {
	if rows > 0 {
		return nil
	}
	s, err := startServer(db, 0)
	if err != nil {
		return err
	}
	engine, _, _ := strings.Cut(db, ":")
	if err := measureHandovers(s, db, engine, long, bare); err != nil {
		return err
	}
	if err := measureSignIns(s, db, engine, long); err != nil {
		return err
	}
	return s.stop()
}

func measureDatabase(db string, long time.Duration, rows int, bare map[int]float64) error {
	s, err := startServer(db, rows)
	if err != nil {
		return err
	}
	engine, _, _ := strings.Cut(db, ":")
	if rows > 0 {
		engine += fmt.Sprintf(" over %d rows", rows)
	}
	var salt [4]byte
	_, _ = rand.Read(salt[:])
	begin := func(i int64) request {
		return request{path: "/v1/verifications", body: fmt.Sprintf(`{"to":"p%d.%x@mail.example","purpose":"sign_in"}`, i, salt)}
	}
	for _, conns := range []int{16, 64} {
		ids := &pile{}
		if _, err := s.measured(db, engine+" issue", conns, long, begin, ids.add, bare[conns]); err != nil {
			return err
		}
		list := ids.take()
		_, err := s.measured(db, engine+" check", conns, long, func(i int64) request {
			if int(i) > len(list) {
				return request{}
			}
			id := list[i-1]
			return request{path: "/v1/verifications/" + id + "/checks", body: `{"code":"` + s.make(id) + `"}`, want: `"approved":true`}
		}, nil, bare[conns])
		if err != nil {
			return err
		}
	}
	if err := s.stop(); err != nil {
		return err
	}
	return bytesEach(db, rows)
}

// pile collects ids.
type pile struct {
	mu  sync.Mutex
	ids []string
}

func (p *pile) add(reply []byte) {
	_, rest, ok := strings.Cut(string(reply), `"id":"`)
	if !ok {
		return
	}
	id, _, _ := strings.Cut(rest, `"`)
	p.mu.Lock()
	p.ids = append(p.ids, id)
	p.mu.Unlock()
}

func (p *pile) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.ids)
}

// print prints the line; bare is the rate that the ratio is to, 0: there is none.
func (l *line) print(bare float64, conns int) {
	rate := float64(l.n) / l.took.Seconds()
	x, db, st := "-", "-", "-"
	if bare > 0 {
		x = fmt.Sprintf("%.2f", rate/bare)
	}
	if l.statements > 0 {
		db, st = fmt.Sprintf("%.4f", l.db/float64(l.n)*1000), fmt.Sprintf("%.3f", l.statements)
	}
	fmt.Printf("%-34s %10.0f %8s %8.2f %8.2f %10.4f %10s %10s\n", fmt.Sprintf("%s, %d connections", l.name, conns), rate, x,
		float64(l.p50.Microseconds())/1000, float64(l.p99.Microseconds())/1000, l.cpu/float64(l.n)*1000, db, st)
}

// request is one HTTP request; without a path there is nothing more to ask. want must be in the reply.
type request struct{ path, body, want string }

// measured is load with what the database did meanwhile, printed; bare is the rate that the ratio is to.
func (s *server) measured(db, name string, conns int, long time.Duration, next func(i int64) request, seen func(reply []byte), bare float64) (line, error) {
	stop, err := watch(db)
	if err != nil {
		return line{}, err
	}
	l, err := s.load(name, conns, long, next, seen)
	if err != nil {
		return line{}, err
	}
	l.db, l.statements = stop(l.n)
	l.print(bare, conns)
	return l, nil
}

// load asks over conns connections for as long, or until next has nothing more.
func (s *server) load(name string, conns int, long time.Duration, next func(i int64) request, seen func(reply []byte)) (line, error) {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	var (
		n, asked atomic.Int64
		wg       sync.WaitGroup
		mu       sync.Mutex
		times    []time.Duration
		failed   error
	)
	before, err := cpuOf(s.cmd.Process.Pid)
	if err != nil {
		return line{}, err
	}
	started := time.Now()
	for range conns {
		wg.Go(func() {
			mine, err := s.ask(ctx, &asked, &n, next, seen)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, mine...)
			if err != nil && failed == nil {
				failed = err
				cancel()
			}
		})
	}
	wg.Wait()
	took := time.Since(started)
	if failed != nil {
		return line{}, fmt.Errorf("%s: %w", name, failed)
	}
	after, err := cpuOf(s.cmd.Process.Pid)
	if err != nil {
		return line{}, err
	}
	slices.Sort(times)
	l := line{name: name, n: n.Load(), took: took, cpu: after - before}
	if len(times) > 0 {
		l.p50, l.p99 = times[len(times)/2], times[len(times)*99/100]
	}
	return l, nil
}

// ask is one connection. It speaks HTTP/1.1 itself: a client library would cost as much as the server.
func (s *server) ask(ctx context.Context, asked, n *atomic.Int64, next func(int64) request, seen func([]byte)) ([]time.Duration, error) {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 16<<10)
	var times []time.Duration
	for ctx.Err() == nil {
		q := next(asked.Add(1))
		if q.path == "" {
			break
		}
		text := "POST " + q.path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + s.key +
			"\r\nContent-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(q.body)) + "\r\n\r\n" + q.body
		began := time.Now()
		if _, err := io.WriteString(c, text); err != nil {
			return times, err
		}
		status, body, err := readReply(r)
		if err != nil {
			return times, err
		}
		times = append(times, time.Since(began))
		if status >= 300 || q.want != "" && !strings.Contains(string(body), q.want) {
			return times, fmt.Errorf("status %d: %s", status, body)
		}
		n.Add(1)
		if seen != nil {
			seen(body)
		}
	}
	return times, nil
}

// readReply reads a reply that has a Content-Length.
func readReply(r *bufio.Reader) (status int, body []byte, err error) {
	length := -1
	for i := 0; ; i++ {
		text, err := r.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		head := strings.TrimSpace(string(text))
		switch {
		case i == 0:
			_, _ = fmt.Sscanf(head, "HTTP/1.1 %d", &status)
		case head == "":
			if length < 0 {
				return status, nil, fmt.Errorf("a reply without a length")
			}
			body = make([]byte, length)
			_, err := io.ReadFull(r, body)
			return status, body, err
		case strings.HasPrefix(strings.ToLower(head), "content-length:"):
			_, _ = fmt.Sscanf(head[15:], "%d", &length)
		}
	}
}
