// SPDX-License-Identifier: Apache-2.0

// Package care owns what customers and support settle together: cases, and reports of suspicious messages, calls and pages.
//
// A case is one row, a report another; both are found again through an index row of their account, and reports that are alike through
// rows of their clusters. Index and clusters are changed in the same operation of the ledger, so that counts and limits hold whatever
// comes at once. Everything that people wrote is blanked (codes, numbers of cards and accounts) before it is sealed and stored;
// the database sees times, and ids that tell nothing.
//
// It leaves to account who somebody is and how they are told, to surfaces who may call what, and to stores how rows are listed.
package care

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/authentic"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// Listed is a row of a list.
type Listed struct {
	Key   ledger.Key
	Value ledger.Value
}

// People is what cases and reports need of accounts. [account.Accounts] is one.
type People interface {
	// Tell tells every proven contact of an account.
	Tell(ctx context.Context, svc *service.Service, id ledger.ID, kind message.NoticeKind, what string) error
	// Note adds to an account's activity.
	Note(ctx context.Context, svc *service.Service, id ledger.ID, act account.Act, what string) error
	// Seen notes in an account's activity that somebody looks, or refuses.
	Seen(ctx context.Context, svc *service.Service, id ledger.ID, by account.By) (*account.View, error)
}

// Callers charges whoever reports, as for a code that is sent.
type Callers interface {
	Send(svc *service.Service, caller verification.Caller, now time.Time) error
}

// Options of New. All are needed but for Blank and Places.
type Options struct {
	Ledger  ledger.Ledger
	People  People
	Callers Callers
	Log     *slog.Logger
	// Rows gives those of a kind of one service, the latest first, before an id, at most limit.
	Rows func(ctx context.Context, kind ledger.Kind, service uint32, before ledger.ID, limit int) ([]Listed, error)
	// Blank masks codes and the numbers of cards and accounts in what people wrote, before it is stored; nil: [authentic.BlankAll].
	Blank func(string) string
	// Places says where else to report; nil: those that are built in.
	Places *Places
}

// Care is the cases and reports of all services. All methods may be called concurrently, on any number of nodes.
type Care struct {
	Options
	decoding chan struct{} // whoever decodes a picture holds it: one needs up to 250 MB
}

// New returns the cases and reports.
func New(opt Options) *Care {
	if opt.Blank == nil {
		opt.Blank = authentic.BlankAll
	}
	if opt.Places == nil {
		opt.Places = builtIn()
	}
	return &Care{Options: opt, decoding: make(chan struct{}, 1)}
}

// Bounds of what is taken and kept.
const (
	MaxText      = 4000 // characters of a message or a report
	MaxNote      = 300  // characters of what a reporter is told
	MaxMessages  = 100  // of a case
	MaxOpenCases = 20   // of an account
	MaxNewCases  = 10   // of an account in a day
	MaxFacts     = 20   // of a case
	MaxReports   = 10   // of an account in a day

	maxKept    = 200 // cases or reports that an account's index has; the oldest that is closed gives way
	maxFact    = 200 // characters of a fact's value
	maxSender  = 100
	maxURLs    = 10
	maxURL     = 500
	maxDomains = 10
	maxPage    = 100  // entries of a list
	maxScanned = 2000 // rows that one list looks at
)

const (
	minute = int64(time.Minute / time.Millisecond)
	hour   = 60 * minute
	day    = 24 * hour
)

// reopenFor is how long after its end a case is opened again by an answer of the customer.
const reopenFor = 30 * day

// abandoned is how much longer than others rows are kept that nobody has closed.
const abandoned = 400 * day

// The ids of cases and reports sort by time:
//
//	48  milliseconds since 1970
//	16  shard: 16 random bits, so that a database can spread them
//	64  random
//
// Rows that are found by a derived id (indexes, clusters, pictures) begin with 0xff, which no time has before the year 10889, so that
// lists begin below them.
func newID(now time.Time) (ledger.ID, error) {
	id := verification.FirstID(now)
	if _, err := rand.Read(id[6:]); err != nil {
		return id, fault.As(fmt.Errorf("make an id: %w", err))
	}
	return id, nil
}

// firstDerived is above the ids of all cases and reports and not above those of derived rows.
var firstDerived = ledger.ID{0: 0xff}

func derived(svc *service.Service, use string, parts ...[]byte) ledger.ID {
	mac := svc.Ring.IndexKeys()[0].MAC(secret.LabelAccount, append([][]byte{[]byte("care " + use)}, parts...)...)
	id := ledger.ID(mac[:16])
	id[0] = firstDerived[0]
	return id
}

func keyOf(kind ledger.Kind, svc *service.Service, id ledger.ID) ledger.Key {
	return ledger.Key{Kind: kind, Service: svc.ID, Shard: binary.BigEndian.Uint16(id[6:8]), ID: id}
}

// indexKey is the row that lists the cases or reports of an account.
func indexKey(kind ledger.Kind, svc *service.Service, account ledger.ID) ledger.Key {
	return keyOf(kind, svc, derived(svc, kind.Table(), account[:]))
}

// The prefixes of ids.
const (
	CasePrefix    = "case_"
	ReportPrefix  = "rep_"
	ClusterPrefix = "clu_"
)

// FormatCase is the public text of a case's id.
func FormatCase(id ledger.ID) string { return CasePrefix + id.String() }

// FormatReport is the public text of a report's id.
func FormatReport(id ledger.ID) string { return ReportPrefix + id.String() }

// FormatCluster is the public text of a cluster's id.
func FormatCluster(id ledger.ID) string { return ClusterPrefix + id.String() }

// ParseCase reads what FormatCase wrote. Anything else is the same fault as an id that nobody has.
func ParseCase(text string) (ledger.ID, error) { return parseID(CasePrefix, text, errNoCase) }

// ParseReport reads what FormatReport wrote.
func ParseReport(text string) (ledger.ID, error) { return parseID(ReportPrefix, text, errNoReport) }

// ParseCluster reads what FormatCluster wrote.
func ParseCluster(text string) (ledger.ID, error) { return parseID(ClusterPrefix, text, errNoCluster) }

func parseID(prefix, text string, missing error) (id ledger.ID, err error) {
	if len(text) != len(prefix)+32 || text[:len(prefix)] != prefix {
		return id, missing
	}
	if _, err := hex.Decode(id[:], []byte(text[len(prefix):])); err != nil || prefix+id.String() != text {
		return ledger.ID{}, missing
	}
	return id, nil
}

// The faults that are no more than a sentence.
var (
	errNoCase    = fault.New(fault.NotFound, "case_not_found", "There is no such case. Closed ones are removed after a while; open a new one.")
	errNoReport  = fault.New(fault.NotFound, "report_not_found", "There is no such report. Old ones are removed after a while.")
	errNoCluster = fault.New(fault.NotFound, "cluster_not_found", "There is no such cluster of reports.")
	errNoPicture = fault.New(fault.NotFound, "screenshot_not_found", "This report has no screenshot.")
)

// Row is any row of this package as the database has it: sealed, but for what the sweep needs.
type Row struct {
	UpdatedAt int64  `cbor:"1,keyasint"`           // Unix milliseconds
	Closed    bool   `cbor:"2,keyasint,omitempty"` // nobody works on it any more
	Sealed    []byte `cbor:"3,keyasint,omitempty"` // empty: its person is forgotten
}

// AppendRecord implements ledger.Value.
func (r *Row) AppendRecord(dst []byte) []byte { return ledger.Pack(dst, r) }

// Copy implements ledger.Value. The sealed body is replaced and never written to.
func (r *Row) Copy() ledger.Value { c := *r; return &c }

// Owner implements ledger.Value.
func (*Row) Owner() ledger.ID { return ledger.ID{} }

// WakeAt implements ledger.Value.
func (*Row) WakeAt() int64 { return 0 }

// DecodeRow is the ledger's Decode for the rows of this package.
func DecodeRow(kind ledger.Kind, record []byte) (ledger.Value, error) {
	if kind != ledger.KindCase && kind != ledger.KindReport {
		return nil, fmt.Errorf("rows of kind %d belong to somebody else", kind)
	}
	r := new(Row)
	if err := ledger.Unpack(record, r); err != nil {
		return nil, fmt.Errorf("decode a row of kind %d: %w", kind, err)
	}
	return r, nil
}

// Stale tells whether a row can be removed.
func Stale(v ledger.Value, now time.Time, keep time.Duration) bool {
	r, ok := v.(*Row)
	if !ok {
		return false
	}
	over := r.UpdatedAt + keep.Milliseconds()
	if !r.Closed {
		over += abandoned
	}
	return len(r.Sealed) == 0 || now.UnixMilli() > over
}

// columnBody is the sealing name of all rows; the table is the kind's.
const columnBody = "body"

// open reads a row's body into b and tells whether there is one.
func open(svc *service.Service, key ledger.Key, v ledger.Value, b any) (bool, error) {
	r, ok := v.(*Row)
	if !ok || len(r.Sealed) == 0 {
		return false, nil
	}
	plain, err := svc.Ring.Open(key.Kind.Table(), columnBody, key.ID, r.Sealed)
	if err != nil {
		return false, fault.As(err)
	}
	if err := ledger.Unpack(plain, b); err != nil {
		return false, fault.As(fmt.Errorf("decode a row of %s: %w", key.Kind.Table(), err))
	}
	return true, nil
}

// seal is the row of a body.
func seal(svc *service.Service, key ledger.Key, b any, at int64, closed bool) *Row {
	return &Row{UpdatedAt: at, Closed: closed, Sealed: svc.Ring.Current().Seal(key.Kind.Table(), columnBody, key.ID, ledger.Pack(nil, b))}
}

// index lists the cases or reports of one account, the oldest first.
type index struct {
	All []indexed `cbor:"1,keyasint"`
}

type indexed struct {
	ID     ledger.ID `cbor:"1,keyasint"`
	At     int64     `cbor:"2,keyasint"`
	Closed bool      `cbor:"3,keyasint,omitempty"`
}

// since counts the entries after a time.
func (x *index) since(at int64) (n int) {
	for _, e := range x.All {
		if e.At > at {
			n++
		}
	}
	return n
}

// open counts the entries that are not closed.
func (x *index) open() (n int) {
	for _, e := range x.All {
		if !e.Closed {
			n++
		}
	}
	return n
}

// add puts an entry at the end; the oldest that is closed, or else the oldest, gives way.
func (x *index) add(e indexed) {
	if len(x.All) >= maxKept {
		gone := 0
		for i := range x.All {
			if x.All[i].Closed {
				gone = i
				break
			}
		}
		x.All = append(x.All[:gone], x.All[gone+1:]...)
	}
	x.All = append(x.All, e)
}

// mark says of an entry whether it is closed.
func (x *index) mark(id ledger.ID, closed bool) {
	for i := range x.All {
		if x.All[i].ID == id {
			x.All[i].Closed = closed
		}
	}
}

// written makes what somebody wrote fit to be kept: valid, without control characters but for line ends, blanked.
//
// Faults: Invalid.
func (c *Care) written(text, field string, most int) (string, error) {
	if utf8.RuneCountInString(text) > most {
		return "", fault.New(fault.Invalid, "text_too_long", fmt.Sprintf("This may have at most %d characters. Shorten it.", most)).WithField(field)
	}
	return cut(c.Blank(strings.TrimSpace(plain(text))), most), nil
}

// plain leaves out what isn't seen: control characters but for line ends, and marks that turn the direction of what follows.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\r\n", "\n"))
}

// line is written on one line.
func (c *Care) line(text, field string, most int) (string, error) {
	text, err := c.written(text, field, most)
	return strings.Join(strings.Fields(text), " "), err
}

// cut bounds a text in characters.
func cut(s string, most int) string {
	for i := range s {
		if most == 0 {
			return s[:i]
		}
		most--
	}
	return s
}

func moment(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMilli(at).UTC()
}

// each gives the rows of a kind of a service, the latest first, until fn has enough, and returns the id before which it stopped; zero at
// the end.
func (c *Care) each(ctx context.Context, kind ledger.Kind, svc *service.Service, before ledger.ID, most int, fn func(Listed) (enough bool, err error)) (ledger.ID, error) {
	if before.IsZero() || before.String() > firstDerived.String() {
		before = firstDerived
	}
	for seen := 0; seen < most; {
		rows, err := c.Rows(ctx, kind, svc.ID, before, maxPage)
		if err != nil {
			return before, err
		}
		for _, r := range rows {
			before = r.Key.ID
			seen++
			if enough, err := fn(r); enough || err != nil {
				return before, err
			}
		}
		if len(rows) == 0 {
			return ledger.ID{}, nil
		}
	}
	return before, nil
}
