// SPDX-License-Identifier: Apache-2.0

package devpage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/service"
)

// maxKept is how many messages the inbox keeps; older ones are forgotten.
const maxKept = 500

// Letter is a message as the inbox shows it. The inbox is where a developer plays the recipient, so it
// holds what a phone and a mailbox would: code and contact in clear, in memory only.
type Letter struct {
	ID      string
	Channel service.Channel
	To      string
	Text    string
	Subject string
	Code    string // empty: a notice
	Link    string // of a notice by mail, or of a parcel; may be empty
	At      time.Time
	Receipt string   // what the developer set: delivered, unreachable, ...
	Answers []string // what the phone wrote back
	ref     message.Ref
}

// Inbox is the provider of `dev`: it takes every message and shows it.
type Inbox struct {
	now     func() time.Time
	mu      sync.Mutex
	letters []Letter // oldest first
	version int
	changed chan struct{} // closed and replaced at each change
}

// NewInbox returns an empty inbox.
func NewInbox(now func() time.Time) *Inbox { return &Inbox{now: now, changed: make(chan struct{})} }

// Name implements message.Provider.
func (*Inbox) Name() string { return "inbox" }

// Receipts implements message.Provider. The inbox reports by itself and needs no reference.
func (*Inbox) Receipts() bool { return false }

// Send implements message.Provider.
func (b *Inbox) Send(_ context.Context, o *message.Outgoing, t *message.Text) (message.Sent, error) {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return message.Sent{}, err
	}
	l := Letter{
		ID: hex.EncodeToString(id[:]), Channel: o.Channel, To: o.To.Reveal(), Text: strings.TrimSpace(strings.ReplaceAll(t.Body, "\r\n", "\n")),
		Subject: t.Subject, Code: o.Code.Reveal(), At: b.now(), ref: o.Ref,
	}
	if o.Notice != nil && o.Channel == service.Email {
		l.Link = o.Notice.Link
	}
	if d := o.Delivery; d != nil {
		l.Link = d.Link
		if l.Code != "" {
			l.Code = d.Letter + "-" + l.Code
		}
	}
	b.change(func() {
		b.letters = append(b.letters, l)
		b.letters = slices.Clone(b.letters[max(0, len(b.letters)-maxKept):])
	})
	return message.Sent{Reference: l.ID}, nil
}

func (b *Inbox) change(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn()
	b.version++
	close(b.changed)
	b.changed = make(chan struct{})
}

// Letters returns what is there, newest first, its version, and a channel that is closed at the next change.
func (b *Inbox) Letters() ([]Letter, int, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := slices.Clone(b.letters)
	slices.Reverse(out)
	return out, b.version, b.changed
}

// mark sets a letter's receipt and returns what message it is.
func (b *Inbox) mark(id, receipt string) (message.Ref, bool) {
	l, ok := b.with(id, func(l *Letter) { l.Receipt = receipt })
	return l.ref, ok
}

// answered adds what was written back to a letter.
func (b *Inbox) answered(id, text string) (Letter, bool) {
	return b.with(id, func(l *Letter) { l.Answers = append(slices.Clone(l.Answers), text) })
}

// with changes a letter and returns what it is then; false: there is none with this id.
func (b *Inbox) with(id string, change func(*Letter)) (l Letter, ok bool) {
	b.change(func() {
		for i := range b.letters {
			if b.letters[i].ID == id {
				change(&b.letters[i])
				l, ok = b.letters[i], true
			}
		}
	})
	return l, ok
}

// recipient is a phone or a mailbox with its letters, newest first.
type recipient struct {
	To      string
	Phone   bool
	Letters []Letter
}

// recipients groups letters; who got one last comes first.
func recipients(letters []Letter) []recipient {
	var out []recipient
	for _, l := range letters {
		i := slices.IndexFunc(out, func(p recipient) bool { return p.To == l.To })
		if i < 0 {
			i = len(out)
			out = append(out, recipient{To: l.To, Phone: l.Channel != service.Email})
		}
		out[i].Letters = append(out[i].Letters, l)
	}
	return out
}
