// SPDX-License-Identifier: Apache-2.0

package bounce

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/netutil"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/message"
)

// Limits of a listener.
const (
	maxConns     = 32
	maxLine      = 64 << 10 // bytes; RFC 5321 4.5.3.1.6 asks for a thousand, and not everybody keeps to it
	commandTime  = time.Minute
	connTime     = 5 * time.Minute // after which a connection ends, whatever it does
	receiveTime  = 15 * time.Second
	maxStrangers = 8 // wrong recipients of one connection, after which it is only told to go
)

// Options of Listen.
type Options struct {
	Domain   string // of the return addresses, in lower case
	Services Services
	// Receive writes down that a message will not arrive. It returns when that is durable: only then the mail counts as
	// taken, and otherwise it is brought again. It is called again for a mail that is brought twice.
	Receive func(ctx context.Context, ref message.Ref, b Bounce) error
	TLS     *tls.Config // for STARTTLS; nil: not offered
	Log     *slog.Logger
}

// Listener is an SMTP server (RFC 5321) that takes mail for return addresses which [Address] made, and for nobody else. It
// sends nothing and passes nothing on.
type Listener struct {
	opt    Options
	server *smtp.Server
	socket net.Listener
	ctx    context.Context
	cancel context.CancelFunc
	gate   sync.RWMutex // held for reading while a mail is received
	closed bool
}

// Listen opens the address; nothing is taken before Serve.
//
// Faults: Invalid, naming the option bounce-listen.
func Listen(address string, opt Options) (*Listener, error) {
	l := &Listener{opt: opt}
	l.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{l: l, conn: c}, nil }))
	l.server.Domain = opt.Domain
	l.server.MaxRecipients = 1 // each bounce has an address of its own
	l.server.MaxMessageBytes = MaxMail
	l.server.MaxLineLength = maxLine
	l.server.ReadTimeout, l.server.WriteTimeout = commandTime, commandTime
	l.server.ErrorLog = quiet{opt.Log}
	if opt.TLS != nil {
		l.server.TLSConfig = opt.TLS.Clone()
		l.server.TLSConfig.NextProtos = nil // those are HTTP's
	}
	socket, err := net.Listen("tcp", address)
	if err != nil {
		what := fmt.Sprintf("The address %s can't be listened on for bounces: %v", address, err)
		return nil, fault.New(fault.Invalid, "cannot_listen", what).WithField("bounce-listen")
	}
	l.socket = netutil.LimitListener(brief{socket}, maxConns)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// Addr is the address that is listened on.
func (l *Listener) Addr() string { return l.socket.Addr().String() }

// Serve takes mail until Close; then it returns nil.
func (l *Listener) Serve() error { return l.server.Serve(l.socket) }

// Close takes no more mail and returns when what was being received is written down, or ctx is done. A mail that was cut
// off is brought again.
func (l *Listener) Close(ctx context.Context) error {
	_ = l.server.Close() // closes what it serves, mails under way included
	_ = l.socket.Close() // if it never served
	stop := context.AfterFunc(ctx, l.cancel)
	defer stop()
	l.gate.Lock()
	l.closed = true
	l.gate.Unlock()
	l.cancel()
	return ctx.Err()
}

// receive reads a mail for a message and has it written down.
func (l *Listener) receive(ref message.Ref, raw []byte) error {
	b, ok, err := Parse(raw)
	if err != nil {
		return reply(err)
	}
	if !ok || !b.Final() {
		return nil // taken and forgotten
	}
	l.gate.RLock()
	defer l.gate.RUnlock()
	if l.closed {
		return errStopping
	}
	ctx, cancel := context.WithTimeout(l.ctx, receiveTime)
	defer cancel()
	if err := l.opt.Receive(ctx, ref, b); err != nil {
		l.opt.Log.Error("a bounce could not be written down; it will be brought again", "err", err)
		return errNotDurable
	}
	return nil
}

// The replies (RFC 5321 4.2.3, RFC 3463).
var (
	errNobody     = refusal(550, smtp.EnhancedCode{5, 1, 1}, "No such address. Only delivery reports for our own mails are taken here.")
	errStrangers  = refusal(421, smtp.EnhancedCode{4, 7, 0}, "Too many unknown addresses.")
	errNotDurable = refusal(451, smtp.EnhancedCode{4, 3, 0}, "The report can't be written down now. Bring it again.")
	errStopping   = refusal(421, smtp.EnhancedCode{4, 3, 2}, "This server is stopping. Bring it again.")
)

func refusal(code int, status smtp.EnhancedCode, words string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: status, Message: words}
}

// reply is what the other server is told of a mail that can't be read.
func reply(err error) *smtp.SMTPError {
	f := fault.As(err)
	if f.Kind == fault.TooLarge {
		return refusal(552, smtp.EnhancedCode{5, 3, 4}, f.Message)
	}
	return refusal(554, smtp.EnhancedCode{5, 6, 0}, f.Message)
}

// session is one connection, after its greeting.
type session struct {
	l         *Listener
	conn      *smtp.Conn
	ref       message.Ref
	strangers int
}

// Mail takes every sender: reports come from the null one, and some servers give their own.
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt takes our return addresses only.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.strangers >= maxStrangers {
		return errStrangers
	}
	ref, ok := ParseAddress(s.l.opt.Services, s.l.opt.Domain, to)
	if !ok {
		s.strangers++
		return errNobody
	}
	s.ref = ref
	return nil
}

// Data receives the mail.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r) // the server bounds it
	if err != nil {
		var refused *smtp.SMTPError
		switch {
		case errors.As(err, &refused):
			return refused
		case errors.Is(err, smtp.ErrTooLongLine):
			return reply(errMalformed)
		}
		return errNotDurable // cut off
	}
	return s.l.receive(s.ref, raw)
}

// Reset forgets the recipient.
func (s *session) Reset() { s.ref = message.Ref{} }

// Logout has nothing to give back.
func (s *session) Logout() error { return nil }

// brief bounds the life of connections: deadlines are put off with each command.
type brief struct{ net.Listener }

// Accept implements net.Listener.
func (b brief) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &mortal{c, time.Now().Add(connTime)}, nil
}

type mortal struct {
	net.Conn
	end time.Time
}

func (m *mortal) SetReadDeadline(t time.Time) error  { return m.Conn.SetReadDeadline(m.earlier(t)) }
func (m *mortal) SetWriteDeadline(t time.Time) error { return m.Conn.SetWriteDeadline(m.earlier(t)) }

func (m *mortal) earlier(t time.Time) time.Time {
	if t.IsZero() || t.After(m.end) {
		return m.end
	}
	return t
}

// quiet keeps what the library says out of the log unless it is looked for: it is about other people's connections.
type quiet struct{ log *slog.Logger }

// Printf implements smtp.Logger.
func (q quiet) Printf(format string, v ...any) {
	level := slog.LevelDebug
	if strings.HasPrefix(format, "panic") {
		level = slog.LevelError
	}
	q.log.Log(context.Background(), level, "a connection for bounces ended", "why", fmt.Sprintf(format, v...))
}

// Println implements smtp.Logger.
func (q quiet) Println(v ...any) {
	q.log.Debug("a connection for bounces ended", "why", fmt.Sprintln(v...))
}
