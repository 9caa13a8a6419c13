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

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
)

// How the page of calls is kept up to date while it is open: the account's row is read each second, so what is said on one node shows on every other.
const (
	liveEvery      = time.Second
	liveBeat       = 10 * time.Second // a sign of life, so that the page finds out when it is cut off
	liveFor        = 5 * time.Minute  // then the browser asks again, which looks at its session anew
	liveStreams    = 500              // on one node
	livePerAccount = 4                // likewise: more tabs than that look by themselves
	refreshEvery   = 15               // seconds; without JavaScript
)

// streams counts who is listening.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[ledger.ID]int
}

var errStreams = fault.New(fault.TooMany, "too_many_streams", "This page is open too often to be kept up to date everywhere. Look again by yourself.").WithRetry(liveBeat)

// enter takes a place; leave gives it back.
func (s *streams) enter(id ledger.ID) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= liveStreams || s.of[id] >= livePerAccount {
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

// callData is what the page of calls shows.
type callData struct {
	*account.CallView
	Report bool          // there is a page for it
	Now    template.HTML // the part that changes
	State  string        // a hash of it
}

// Is tells whether the call is at a stage.
func (d *callData) Is(stage string) bool { return d.Stage.String() == stage }

// Tel is a number of the brand's as a link; its form was checked when it was set.
func (pg *page) Tel(number string) template.URL {
	return template.URL("tel:" + strings.Map(func(r rune) rune { //nolint:gosec // of + and digits only
		if r == '+' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number))
}

// Isolated keeps text in one direction from mixing with a sentence in the other (Unicode UAX #9, first strong isolate).
func (*page) Isolated(text string) string { return "\u2068" + text + "\u2069" }

// Place is a device of a call in words.
func (pg *page) Place(o account.Opening) string {
	return strings.Trim(o.Device+", "+o.Place, ", ")
}

// calling is the page of calls for the person of v.signed, as it is now.
func (p *Pages) calling(v *visit) (*page, *callData, error) {
	c, err := p.Accounts.CallFor(v.Request.Context(), v.signed, v.visitor)
	if err != nil {
		return nil, nil, err
	}
	pg := p.page(v, "call.none")
	switch {
	case c.Prove:
		pg.Title = pg.T("call.prove")
	case c.Stage == account.CallOpen:
		pg.Title = pg.T("call.open")
	}
	d := &callData{CallView: c, Report: p.shows["/report"]}
	pg.Data = d
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, "callnow", pg); err != nil {
		return nil, nil, fault.As(fmt.Errorf("render a call: %w", err))
	}
	sum := sha256.Sum256(b.Bytes())
	d.Now, d.State = template.HTML(b.String()), hex.EncodeToString(sum[:8]) //nolint:gosec // a template has made it
	return pg, d, nil
}

// call answers at once whether somebody from the service calls. Who isn't signed in is told how to find out, and to hang up until then.
func (p *Pages) call(v *visit) error {
	ok, err := p.maybeSigned(v)
	if err != nil {
		return err
	}
	if !ok {
		p.setNext(v, "/call")
		return p.show(v, http.StatusOK, "callout.html", p.page(v, "call.sign_in"))
	}
	pg, _, err := p.calling(v)
	if err != nil {
		return err
	}
	pg.Refresh = refreshEvery
	return p.show(v, http.StatusOK, "call.html", pg)
}

// maybeSigned finds out who is signed in; false: nobody.
func (p *Pages) maybeSigned(v *visit) (bool, error) {
	s, err := p.Accounts.Session(v.Request.Context(), v.svc, p.cookie(v, cookieSession), v.visitor)
	if err != nil {
		if fault.As(err).Code == account.ErrSignedOut.Code {
			return false, nil
		}
		return false, err
	}
	v.signed = s
	return true, nil
}

// callLive sends the changing part of the page whenever it changes (server-sent events, HTML Standard 9.2). It ends by itself, when the
// server stops, and when the session is over; the browser then asks again, and finds out.
func (p *Pages) callLive(v *visit) error {
	v.Quiet()
	ok, err := p.maybeSigned(v)
	if err != nil {
		return err
	}
	if !ok {
		v.WriteHeader(http.StatusNoContent) // which tells browsers not to come back
		return nil
	}
	leave, err := p.live.enter(v.signed.ID)
	if err != nil {
		return err
	}
	defer leave()
	v.Linger(liveFor + liveBeat)
	end, tick := time.NewTimer(liveFor), time.NewTicker(liveEvery)
	defer end.Stop()
	defer tick.Stop()
	last, said := v.Request.Header.Get("Last-Event-ID"), time.Time{}
	for first := true; ; first = false {
		if !first {
			if ok, err := p.maybeSigned(v); err != nil || !ok {
				return nil //nolint:nilerr // half a stream is out: the browser asks again and is told
			}
		}
		_, d, err := p.calling(v)
		if err != nil {
			if first {
				return err
			}
			return nil
		}
		if d.State != last || time.Since(said) >= liveBeat {
			if said.IsZero() {
				v.Header()["Content-Type"] = []string{"text/event-stream"}
				v.Header()["X-Accel-Buffering"] = []string{"no"} // or a proxy keeps the events to itself
			}
			if err := event(v, d, d.State != last); err != nil {
				return nil //nolint:nilerr // the visitor has left
			}
			last, said = d.State, time.Now()
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

// event sends what the page shows, or a sign of life.
func event(v *visit, d *callData, changed bool) error {
	var b bytes.Buffer
	if changed {
		fmt.Fprintf(&b, "id: %s\n", d.State)
		for line := range strings.Lines(string(d.Now)) {
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

// doProveCall leads to the proof that the page asks for, and back.
func (p *Pages) doProveCall(*visit) error { return account.ErrStepUp }

// doWrongCall ends the call that the person was shown. When it is over already, the page says so.
func (p *Pages) doWrongCall(v *visit) error {
	err := p.Accounts.RefuseCall(v.Request.Context(), v.signed, v.form("call"), v.visitor)
	if err != nil && fault.As(err).Kind != fault.Conflict {
		return err
	}
	return see(v, "/call")
}
