// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
)

// How a page is kept up to date while it is open: what it is about is read anew each second, so what happens on one node shows on every other.
const (
	liveEvery    = time.Second
	liveBeat     = 10 * time.Second // a sign of life, so that the page finds out when it is cut off
	liveFor      = 5 * time.Minute  // then the browser asks again, which looks at its rights anew
	liveCalls    = 500              // pages of calls on one node
	liveParcels  = 2000             // pages of deliveries, likewise; as many again of those who have proven that they are theirs
	liveOfOne    = 4                // pages about one thing, likewise: more tabs than that look by themselves
	refreshEvery = 15               // seconds; without JavaScript
)

// live is the part of a page that changes while the page is open.
type live struct {
	At    string        // where it is listened to; empty: it doesn't change any more
	Now   template.HTML // what it shows now
	State string        // a hash of it
}

// changing renders the part of a page that changes.
func (p *Pages) changing(name, at string, pg *page) (*live, error) {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, pg); err != nil {
		return nil, fault.As(fmt.Errorf("render %s: %w", name, err))
	}
	sum := sha256.Sum256(b.Bytes())
	return &live{at, template.HTML(b.String()), hex.EncodeToString(sum[:8])}, nil //nolint:gosec // a template has made it
}

// streams counts who is listening.
type streams struct {
	most int // on this node
	mu   sync.Mutex
	all  int
	of   map[ledger.ID]int
}

var errStreams = fault.New(fault.TooMany, "too_many_streams", "This page is open too often to be kept up to date everywhere. Look again by yourself.").WithRetry(liveBeat)

// enter takes a place; leave gives it back.
func (s *streams) enter(id ledger.ID) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.most || s.of[id] >= liveOfOne {
		return nil, errStreams
	}
	if s.of == nil {
		s.of = map[ledger.ID]int{}
	}
	s.all++
	s.of[id]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.of[id]--; s.of[id] == 0 {
			delete(s.of, id)
		}
	}, nil
}

// stream sends the changing part of a page whenever it changes (server-sent events, HTML Standard 9.2). look gives it as it is now; nil:
// there is nothing to listen to for this visitor. It ends by itself, when the server stops, and when look ends it; the browser then asks again, and
// finds out.
func (p *Pages) stream(v *visit, places *streams, id ledger.ID, look func() (*live, error)) error {
	leave, err := places.enter(id)
	if err != nil {
		return err
	}
	defer leave()
	v.Linger(liveFor + liveBeat)
	end, tick := time.NewTimer(liveFor), time.NewTicker(liveEvery)
	defer end.Stop()
	defer tick.Stop()
	last, said := v.Request.Header.Get("Last-Event-ID"), time.Time{}
	for {
		now, err := look()
		if err != nil || now == nil {
			if said.IsZero() {
				return p.silent(v, err)
			}
			return nil //nolint:nilerr // half a stream is out: the browser asks again and is told
		}
		if now.State != last || time.Since(said) >= liveBeat {
			if said.IsZero() {
				v.Header()["Content-Type"] = []string{"text/event-stream"}
				v.Header()["X-Accel-Buffering"] = []string{"no"} // or a proxy keeps the events to itself
			}
			if err := event(v, now, now.State != last); err != nil {
				return nil //nolint:nilerr // the visitor has left
			}
			last, said = now.State, time.Now()
		}
		select {
		case <-tick.C:
		case <-end.C:
			return nil
		case <-p.Done:
			return nil
		case <-v.Request.Context().Done():
			return nil
		}
	}
}

// silent says that there is nothing to listen to, which tells browsers not to come back.
func (*Pages) silent(v *visit, err error) error {
	if err == nil {
		v.WriteHeader(http.StatusNoContent)
	}
	return err
}

// event sends what the page shows, or a sign of life.
func event(v *visit, now *live, changed bool) error {
	var b bytes.Buffer
	if changed {
		fmt.Fprintf(&b, "id: %s\n", now.State)
		for line := range strings.Lines(string(now.Now)) {
			b.WriteString("data: " + strings.TrimRight(line, "\r\n") + "\n")
		}
	} else {
		b.WriteString("event: beat\ndata:\n")
	}
	b.WriteString("\n")
	if _, err := v.Write(b.Bytes()); err != nil {
		return err
	}
	return http.NewResponseController(v.Exchange).Flush()
}
