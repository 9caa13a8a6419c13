// SPDX-License-Identifier: Apache-2.0

package care

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/authentic"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

// What is reported, and over what it came.
var (
	reportKinds    = []string{"message", "call", "page"}
	reportChannels = []string{"sms", "email", "call", "web"}
)

// Status is what has become of a report.
type Status string

// The statuses.
const (
	Received  Status = "received"  // nobody has judged it yet
	Confirmed Status = "confirmed" // it was a fraud
	Harmless  Status = "harmless"  // it was ours, or does no harm
	Duplicate Status = "duplicate" // the same was reported before
	Settled   Status = "closed"    // nothing more will be done
)

// Statuses lists those that a report can be given.
func Statuses() []Status { return []Status{Confirmed, Harmless, Duplicate, Settled} }

// NewReport is what somebody reports.
type NewReport struct {
	Kind     string    // message, call or page
	Channel  string    // sms, email, call or web
	Sender   string    // number, address or name as it was shown; may be empty
	Text     string    // what was written or said; may be empty
	URLs     []string  // that were in it, beside those in the text; only their domains are kept
	Country  string    // ISO 3166-1 alpha-2 of where it was received; may be empty
	Received time.Time // when; zero: unknown
	Account  ledger.ID // of the reporter; zero: none
	Caller   verification.Caller
}

// Report is a suspicious message, call or page that somebody told of.
type Report struct {
	ID         ledger.ID
	Account    ledger.ID // of the reporter; zero: none, or gone since
	Kind       string
	Channel    string
	Sender     string
	Text       string   // blanked
	Domains    []string // of the links in it
	Country    string
	ReceivedAt time.Time // when the reporter got it; zero: unknown
	ReportedAt time.Time
	Status     Status
	StatusAt   time.Time // zero: it is still received
	Note       string    // to the reporter
	By         string    // who gave it its status; not for the reporter
	Clusters   []ledger.ID
	Screenshot string // "image/png" or "image/jpeg"; empty: none
}

type reportBody struct {
	Account    ledger.ID   `cbor:"1,keyasint"`
	Kind       string      `cbor:"2,keyasint"`
	Channel    string      `cbor:"3,keyasint"`
	Sender     string      `cbor:"4,keyasint,omitempty"`
	Text       string      `cbor:"5,keyasint,omitempty"`
	Domains    []string    `cbor:"6,keyasint,omitempty"`
	Country    string      `cbor:"7,keyasint,omitempty"`
	ReceivedAt int64       `cbor:"8,keyasint,omitempty"`
	At         int64       `cbor:"9,keyasint"`
	Status     Status      `cbor:"10,keyasint"`
	StatusAt   int64       `cbor:"11,keyasint,omitempty"`
	Note       string      `cbor:"12,keyasint,omitempty"`
	By         string      `cbor:"13,keyasint,omitempty"`
	Clusters   []ledger.ID `cbor:"14,keyasint,omitempty"`
	Token      []byte      `cbor:"15,keyasint,omitempty"` // hash of the status token
	Screenshot string      `cbor:"16,keyasint,omitempty"`
}

func (b *reportBody) view(id ledger.ID) *Report {
	return &Report{
		ID: id, Account: b.Account, Kind: b.Kind, Channel: b.Channel, Sender: b.Sender, Text: b.Text, Domains: b.Domains, Country: b.Country,
		ReceivedAt: moment(b.ReceivedAt), ReportedAt: moment(b.At), Status: b.Status, StatusAt: moment(b.StatusAt), Note: b.Note, By: b.By,
		Clusters: b.Clusters, Screenshot: b.Screenshot,
	}
}

// TokenPrefix starts the token with which a reporter without an account asks what became of the report.
const TokenPrefix = "rpt_"

const tokenSize = 16

func tokenHash(svc *service.Service, id ledger.ID, token []byte) []byte {
	mac := svc.Ring.IndexKeys()[0].MAC(secret.LabelAccount, []byte("care report token"), id[:], token)
	return mac[:16]
}

var (
	errTooManyReports = fault.New(fault.TooMany, "too_many_reports", fmt.Sprintf("%d reports were made within a day. Thank you; come back tomorrow.", MaxReports)).WithRetry(24 * time.Hour)
	errEmptyReport    = fault.New(fault.Invalid, "report_empty", "Say who it came from, what it said, or where it led.").WithField("text")
)

// File takes a report. It counts in the clusters of like reports, in the same operation. A reporter without an account is given a token, once, to
// ask what became of it; of others the account has the list.
//
// Faults: Invalid, TooMany (too_many_reports, caller_sends_exhausted), Unavailable.
func (c *Care) File(ctx context.Context, svc *service.Service, n NewReport) (*Report, secret.Text, error) {
	var none secret.Text
	now := c.Ledger.Now()
	b, clues, err := c.newReport(svc, &n, now)
	if err != nil {
		return nil, none, err
	}
	if err := c.Callers.Send(svc, n.Caller, now); err != nil {
		return nil, none, err
	}
	id, err := newID(now)
	if err != nil {
		return nil, none, err
	}
	var token secret.Text
	key := keyOf(ledger.KindReport, svc, id)
	keys := []ledger.Key{key}
	own := indexKey(ledger.KindReport, svc, n.Account)
	if n.Account.IsZero() {
		var t [tokenSize]byte
		_, _ = rand.Read(t[:]) // never fails: it ends the program instead
		token, b.Token = secret.NewText(secret.EncodeToken(TokenPrefix, t[:])), tokenHash(svc, id, t[:])
	} else {
		keys = append(keys, own)
	}
	for _, cl := range clues {
		b.Clusters = append(b.Clusters, cl.id)
		keys = append(keys, keyOf(ledger.KindReport, svc, cl.id))
	}
	var rising []ledger.ID
	err = c.Ledger.Do(ctx, ledger.Op{Keys: keys, Apply: func(tx *ledger.Tx) error {
		rising = rising[:0]
		b.At = tx.Now().UnixMilli()
		if !n.Account.IsZero() {
			var x index
			if _, err := open(svc, own, tx.Get(own), &x); err != nil {
				return err
			}
			if x.since(b.At-day) >= MaxReports {
				return errTooManyReports
			}
			x.add(indexed{ID: id, At: b.At})
			tx.Put(own, seal(svc, own, &x, b.At, false))
		}
		for _, cl := range clues {
			alarm, err := cl.count(tx, svc, reporterOf(svc, &n, id), b.At)
			if err != nil {
				return err
			}
			if alarm {
				rising = append(rising, cl.id)
			}
		}
		tx.Put(key, seal(svc, key, b, b.At, true))
		tx.Event(event(key, EventReported, b.At))
		return nil
	}})
	if err != nil {
		return nil, none, err
	}
	for _, cluster := range rising {
		c.Log.Warn("like reports of suspicious messages are rising: look at the cluster", "service", svc.Slug, "cluster", FormatCluster(cluster))
	}
	return b.view(id), token, nil
}

// reporterOf tells reporters apart, so that one can't raise an alarm alone. Of those who come without anything that does, each counts.
func reporterOf(svc *service.Service, n *NewReport, id ledger.ID) (out [8]byte) {
	who := id.String()
	switch {
	case !n.Account.IsZero():
		who = n.Account.String()
	case n.Caller.IP != "":
		who = verification.Network(n.Caller.IP)
	}
	mac := svc.Ring.IndexKeys()[0].MAC(secret.LabelAccount, []byte("care reporter"), []byte(who))
	copy(out[:], mac[:])
	return out
}

func (c *Care) newReport(svc *service.Service, n *NewReport, now time.Time) (*reportBody, []clue, error) {
	switch {
	case !slices.Contains(reportKinds, n.Kind):
		return nil, nil, fault.New(fault.Invalid, "invalid_kind", "kind must be message, call or page.").WithField("kind")
	case !slices.Contains(reportChannels, n.Channel):
		return nil, nil, fault.New(fault.Invalid, "invalid_channel", "channel must be sms, email, call or web.").WithField("channel")
	case n.Country != "" && !isCountry(n.Country):
		return nil, nil, errCountry
	case len(n.URLs) > maxURLs:
		return nil, nil, fault.New(fault.Invalid, "too_many_urls", fmt.Sprintf("Give at most %d URLs.", maxURLs)).WithField("urls")
	case n.Received.After(now.Add(24 * time.Hour)):
		return nil, nil, fault.New(fault.Invalid, "received_in_future", "received_at lies in the future.").WithField("received_at")
	case !n.Received.IsZero() && n.Received.Before(time.Unix(0, 0)):
		return nil, nil, fault.New(fault.Invalid, "received_too_early", "received_at is no time at which a message came.").WithField("received_at")
	}
	for i, u := range n.URLs {
		if len(u) > maxURL {
			return nil, nil, fault.New(fault.Invalid, "url_too_long", fmt.Sprintf("A URL may have at most %d bytes. Leave out what follows its domain.", maxURL)).WithField(fmt.Sprintf("urls[%d]", i))
		}
	}
	text, err := c.written(n.Text, "text", MaxText)
	if err != nil {
		return nil, nil, err
	}
	sender, err := oneLine(n.Sender)
	if err != nil {
		return nil, nil, err
	}
	b := &reportBody{
		Account: n.Account, Kind: n.Kind, Channel: n.Channel, Sender: sender, Text: text, Country: n.Country, Status: Received,
		Domains: authentic.Domains(n.Text, n.URLs, maxDomains),
	}
	if !n.Received.IsZero() {
		b.ReceivedAt = n.Received.UnixMilli()
	}
	if text == "" && sender == "" && len(b.Domains) == 0 {
		return nil, nil, errEmptyReport
	}
	return b, cluesOf(svc, b), nil
}

var errCountry = fault.New(fault.Invalid, "invalid_country", "country must be two capital letters, such as DE.").WithField("country")

func isCountry(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// oneLine reads a sender. It isn't blanked: its number is what the report is about.
func oneLine(s string) (string, error) {
	if len(s) > 4*maxSender || len([]rune(s)) > maxSender {
		return "", fault.New(fault.Invalid, "sender_too_long", fmt.Sprintf("sender may have at most %d characters.", maxSender)).WithField("sender")
	}
	return strings.Join(strings.Fields(plain(s)), " "), nil
}

// findReport reads a report as it was last committed.
func (c *Care) findReport(ctx context.Context, svc *service.Service, id ledger.ID) (*reportBody, error) {
	if id[0] == firstDerived[0] {
		return nil, errNoReport
	}
	key := keyOf(ledger.KindReport, svc, id)
	v, err := c.Ledger.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	b := new(reportBody)
	there, err := open(svc, key, v, b)
	if err != nil || !there {
		return nil, orMissing(err, errNoReport)
	}
	return b, nil
}

// changeReport runs fn on a report and writes what it became.
func (c *Care) changeReport(ctx context.Context, svc *service.Service, id ledger.ID, more []ledger.Key, fn func(tx *ledger.Tx, b *reportBody, at int64) error) (*Report, error) {
	if id[0] == firstDerived[0] {
		return nil, errNoReport
	}
	key := keyOf(ledger.KindReport, svc, id)
	var out *Report
	err := c.Ledger.Do(ctx, ledger.Op{Keys: append([]ledger.Key{key}, more...), Apply: func(tx *ledger.Tx) error {
		b := new(reportBody)
		if there, err := open(svc, key, tx.Get(key), b); err != nil || !there {
			return orMissing(err, errNoReport)
		}
		at := max(tx.Now().UnixMilli(), b.At)
		if err := fn(tx, b, at); err != nil {
			return err
		}
		tx.Put(key, seal(svc, key, b, at, true))
		out = b.view(id)
		return nil
	}})
	return out, err
}

// Settle says what has become of a report, with a note to the reporter (at most 300 characters, may be empty).
//
// Faults: Invalid, NotFound, Unavailable.
func (c *Care) Settle(ctx context.Context, svc *service.Service, id ledger.ID, by account.By, status Status, note string) (*Report, error) {
	if !slices.Contains(Statuses(), status) {
		return nil, fault.New(fault.Invalid, "invalid_status", "status must be confirmed, harmless, duplicate or closed.").WithField("status")
	}
	note, err := c.line(note, "note", MaxNote)
	if err != nil {
		return nil, err
	}
	key := keyOf(ledger.KindReport, svc, id)
	return c.changeReport(ctx, svc, id, nil, func(tx *ledger.Tx, b *reportBody, at int64) error {
		b.Status, b.StatusAt, b.Note, b.By = status, at, note, by.Name
		tx.Event(event(key, EventSettled, at))
		return nil
	})
}

// Find returns a report to an application or to support.
//
// Faults: NotFound, Unavailable.
func (c *Care) Find(ctx context.Context, svc *service.Service, id ledger.ID) (*Report, error) {
	b, err := c.findReport(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	return b.view(id), nil
}

// StatusOf returns a report to whoever has its token. A wrong token is a report that isn't there.
//
// Faults: NotFound, Unavailable.
func (c *Care) StatusOf(ctx context.Context, svc *service.Service, id ledger.ID, token secret.Text) (*Report, error) {
	t, err := secret.DecodeToken(TokenPrefix, token.Reveal()) // to be hashed
	if err != nil || len(t) != tokenSize {
		return nil, errNoReport
	}
	b, err := c.findReport(ctx, svc, id)
	if err != nil {
		return nil, err
	}
	if len(b.Token) == 0 || subtle.ConstantTimeCompare(b.Token, tokenHash(svc, id, t)) != 1 {
		return nil, errNoReport
	}
	return b.view(id), nil
}

// ReportsOf gives the reports of an account, the latest first, at most 200.
//
// Faults: Unavailable.
func (c *Care) ReportsOf(ctx context.Context, svc *service.Service, owner ledger.ID) ([]*Report, error) {
	all, err := c.own(ctx, ledger.KindReport, svc, owner)
	var out []*Report
	for _, e := range slices.Backward(all) {
		b, failed := c.findReport(ctx, svc, e.ID)
		switch {
		case failed == nil && b.Account == owner:
			out = append(out, b.view(e.ID))
		case failed != nil && fault.As(failed).Kind != fault.NotFound: // those have been removed after their time
			return nil, failed
		}
	}
	return out, err
}

// Filter chooses reports. What is zero chooses all.
type Filter struct {
	Status  Status
	Since   time.Time // reported then or later
	Until   time.Time // and before
	Cluster ledger.ID
}

func (f *Filter) has(b *reportBody) bool {
	return (f.Status == "" || b.Status == f.Status) && (f.Until.IsZero() || b.At < f.Until.UnixMilli()) &&
		(f.Cluster.IsZero() || slices.Contains(b.Clusters, f.Cluster))
}

// over tells whether everything from here on is too old.
func (f *Filter) over(b *reportBody) bool {
	return !f.Since.IsZero() && b.At < f.Since.UnixMilli()-hour
}

func (f *Filter) old(b *reportBody) bool { return !f.Since.IsZero() && b.At < f.Since.UnixMilli() }

// Reports gives reports of a service, the latest first: those before an id (zero: from the latest on), at most limit; and the id before which
// there may be more (zero: there is none).
//
// Faults: Invalid (status), Unavailable.
func (c *Care) Reports(ctx context.Context, svc *service.Service, f Filter, before ledger.ID, limit int) ([]*Report, ledger.ID, error) {
	if f.Status != "" && f.Status != Received && !slices.Contains(Statuses(), f.Status) {
		return nil, ledger.ID{}, fault.New(fault.Invalid, "invalid_status", "status must be received, confirmed, harmless, duplicate or closed.").WithField("status")
	}
	var out []*Report
	next, err := c.reports(ctx, svc, f, before, maxScanned, func(r *Report) bool {
		out = append(out, r)
		return len(out) >= min(max(limit, 1), maxPage)
	})
	return out, next, err
}

// reports gives what a filter chooses, the latest first, until fn has enough.
func (c *Care) reports(ctx context.Context, svc *service.Service, f Filter, before ledger.ID, most int, fn func(*Report) bool) (ledger.ID, error) {
	ended := false
	next, err := c.each(ctx, ledger.KindReport, svc, before, most, func(l Listed) (bool, error) {
		b := new(reportBody)
		there, err := open(svc, l.Key, l.Value, b)
		if err != nil || !there {
			return false, err
		}
		if f.over(b) {
			ended = true
			return true, nil
		}
		if f.old(b) || !f.has(b) {
			return false, nil
		}
		return fn(b.view(l.Key.ID)), nil
	})
	if ended {
		next = ledger.ID{}
	}
	return next, err
}
