// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/countersign/countersign/client"
)

// Somebody rings. The page says at once that nobody from us does; then an agent announces a call, and without being loaded anew it shows who,
// why and the words; one press ends it, and the agent sees that.
// Keeps: E.2, S25
func TestCallCheck(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	must(t, chromedp.Do(p.ctx, chromedp.EmulateViewport(360, 740)))
	ctx, api := t.Context(), client.New(p.url, p.key)
	p.signUp()
	p.signOut()
	ann, err := api.FindAccount(ctx, annMail)
	must(t, err)

	p.open("/call")
	p.sees("Sign in to see whether we're calling you", "hang up")
	p.pressWords("Sign in")
	p.fill("#contact", annMail)
	p.fill("#password", annWords)
	p.press("main form button.primary") // which leads back
	must(t, chromedp.Do(p.ctx, chromedp.EmulateViewport(360, 740)))
	p.sees("Nobody from Demo is calling you", "Hang up. You don't owe them a reason.")
	p.run("window.same = true")
	call, err := api.Announce(ctx, ann.ID, "Sue", "your order 1182")
	must(t, err)
	p.until("document.querySelector('.phrase')")
	p.sees("Someone from Demo is calling you", "Sue", "It's about:", "your order 1182", call.Phrase, "They will never ask for a code, a password, money, or to see your screen.")
	p.until("window.same && document.title.startsWith('Someone from Demo is calling you')")
	must(t, chromedp.Do(p.ctx, chromedp.EmulateViewport(360, 740))) // pictures of it are taken at other sizes
	if wide, err := chromedp.Run(p.ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth")); err != nil || wide > 360 {
		t.Errorf("the page is %d pixels wide, %v", wide, err)
	}
	seen, err := api.AnnouncedCall(ctx, ann.ID)
	must(t, err)
	if len(seen.Shown) != 1 || !strings.Contains(seen.Shown[0].Device, "Chrom") {
		t.Fatalf("the agent sees %+v", seen)
	}
	p.press("form[action='/call/wrong'] button")
	p.sees("Nobody from Demo is calling you", "you said that a call wasn't right")
	if seen, err = api.AnnouncedCall(ctx, ann.ID); err != nil || seen.State != "refused" {
		t.Fatalf("%+v, %v", seen, err)
	}

	// The next call: it ends while the page is looked at.
	p.run("window.same = true")
	_, err = api.Announce(ctx, ann.ID, "Sue", "your order 1182")
	must(t, err)
	p.until("window.same && document.querySelector('.phrase')")
	must(t, api.EndCall(ctx, ann.ID))
	p.until("window.same && !document.querySelector('.phrase')")
	p.sees("Nobody from Demo is calling you", "is over")

	// Much later the words need a proof, and the page never says that nobody calls.
	p.pass(2 * time.Hour)
	call, err = api.Announce(ctx, ann.ID, "Sue", "your order 1182")
	must(t, err)
	p.open("/call")
	p.sees("We've announced a call to you", "tell the caller nothing")
	if text := p.text("main"); strings.Contains(text, call.Phrase) || strings.Contains(text, "1182") {
		t.Fatalf("unproven, and the page says %s", text)
	}
	p.press("form[action='/call/prove'] button")
	p.sees("Enter your password")
	p.fill("#password", annWords)
	p.press("main form button.primary")
	p.sees("Someone from Demo is calling you", call.Phrase)

	// The network fails: the page says that it no longer knows.
	p.run("document.getElementById('live').dataset.live = '/nowhere'; document.dispatchEvent(new Event('visibilitychange'))")
	p.until("!document.getElementById('unsure').hidden")
	p.sees("This page can't reach us")
}

// Without JavaScript the page answers when it is opened, and loads itself anew. A second browser warns both.
// Keeps: E.2, S25
func TestCallCheckWithoutJavaScript(t *testing.T) {
	t.Parallel()
	p := newPlain(t, "en")
	ctx, api := t.Context(), client.New(p.url, p.key)
	var changed struct{}
	if status := ask(t, "PATCH", p.url+"/v1/service", p.key, map[string]any{"brand": map[string]string{"support_phone": "+1 415 555 0100"}}, nil, &changed); status != http.StatusOK {
		t.Fatalf("setting the number: %d", status)
	}
	p.open("/call").says("Sign in to see whether we're calling you", `href="tel:&#43;14155550100"`)
	p.post("/signup", "contact", "ann@mail.example", "password", "kelp roof lantern river")
	p.post("/step/answer", "code", await(t, p.url, 1).Code)
	ann, err := api.FindAccount(ctx, "ann@mail.example")
	must(t, err)
	p.open("/call").says("Nobody from Demo is calling you", `<noscript><meta http-equiv="refresh" content="15"></noscript>`, `href="tel:&#43;14155550100"`)
	call, err := api.Announce(ctx, ann.ID, "Sue <b>", "your order 1182")
	must(t, err)
	p.open("/call").says("Someone from Demo is calling you", call.Phrase, "Sue &lt;b&gt;")
	jar, err := cookiejar.New(nil)
	must(t, err)
	thief := &plain{T: t, key: p.key, url: p.url, client: &http.Client{Jar: jar}, lang: "en"} // has the password, and nothing else is asked for
	thief.post("/signin", "contact", "ann@mail.example", "password", "kelp roof lantern river")
	thief.open("/call").says(call.Phrase, "The words were also shown on another device", "press the button")
	p.open("/call").says(call.Phrase, "The words were also shown on another device")
	if seen, err := api.AnnouncedCall(ctx, ann.ID); err != nil || len(seen.Shown) != 2 {
		t.Fatalf("the agent sees %+v, %v", seen, err)
	}
	id := p.find(`name="call" value="([^"]+)"`)
	p.post("/call/wrong", "call", "l0").says(call.Phrase) // a page that showed another call ends nothing
	p.post("/call/wrong", "call", id).says("Nobody from Demo is calling you", "wasn't right")
	p.post("/call/wrong", "call", id).says("Nobody from Demo is calling you")
	if p.do("POST", "/call/wrong", form([]string{"call", id}), "Sec-Fetch-Site", "cross-site"); p.status != http.StatusForbidden {
		t.Errorf("from another site: %d", p.status)
	}
	p.open("/security/activity").says("Call announced: Sue", "The words of a call were shown", "You said that a call wasn't right")
}

// stream is a page that listens.
type stream struct {
	status int
	lines  chan string
	end    context.CancelFunc
}

func (p *plain) listen() *stream {
	p.Helper()
	ctx, end := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/call/live", nil)
	must(p.T, err)
	res, err := p.client.Do(req)
	must(p.T, err)
	s := &stream{res.StatusCode, make(chan string, 1000), end}
	go func() {
		defer res.Body.Close()
		defer close(s.lines)
		for lines := bufio.NewScanner(io.LimitReader(res.Body, 1<<20)); lines.Scan(); {
			s.lines <- lines.Text()
		}
	}()
	return s
}

// hears waits for a line of the stream; false: it ended or said nothing of the kind for some seconds.
func (s *stream) hears(words string) bool {
	for late := time.After(8 * time.Second); ; {
		select {
		case line, ok := <-s.lines:
			if !ok || strings.Contains(line, words) {
				return ok
			}
		case <-late:
			return false
		}
	}
}

// What the page listens to: it says what there is and what changes, to as many pages as one person has, ends with the session, and doesn't
// keep the server from stopping.
// Keeps: E.2, S25
func TestCallStream(t *testing.T) {
	t.Parallel()
	p := newPlain(t, "en")
	ctx, api := t.Context(), client.New(p.url, p.key)
	if s := p.listen(); s.status != http.StatusNoContent {
		t.Fatalf("signed out: %d", s.status)
	}
	p.post("/signup", "contact", "ann@mail.example", "password", "kelp roof lantern river")
	p.post("/step/answer", "code", await(t, p.url, 1).Code)
	ann, err := api.FindAccount(ctx, "ann@mail.example")
	must(t, err)
	var all []*stream
	for range 4 {
		s := p.listen()
		if s.status != http.StatusOK || !s.hears("Nobody from Demo is calling you") {
			t.Fatalf("a stream: %d", s.status)
		}
		all = append(all, s)
	}
	if s := p.listen(); s.status != http.StatusTooManyRequests {
		t.Errorf("the fifth stream: %d", s.status)
	}
	call, err := api.Announce(ctx, ann.ID, "Sue", "your order 1182")
	must(t, err)
	for _, s := range all {
		if !s.hears(call.Phrase) {
			t.Fatal("a stream doesn't say the words")
		}
	}
	if seen, err := api.AnnouncedCall(ctx, ann.ID); err != nil || len(seen.Shown) != 1 {
		t.Fatalf("one browser with four pages counts as %+v, %v", seen, err)
	}
	must(t, api.EndCall(ctx, ann.ID))
	for _, s := range all {
		if !s.hears("is over") {
			t.Fatal("a stream doesn't say that it is over")
		}
	}
	all[0].end()
	var again *stream
	for deadline := time.Now().Add(10 * time.Second); again == nil || again.status != http.StatusOK; time.Sleep(50 * time.Millisecond) {
		if again = p.listen(); time.Now().After(deadline) {
			t.Fatalf("a page that was closed keeps its place: %d", again.status)
		}
	}
	must(t, api.SignOutAccount(ctx, ann.ID))
	for _, s := range append(all[1:], again) {
		if s.hears("no such words") {
			t.Error("words that nobody said")
		}
		if _, open := <-s.lines; open {
			t.Error("a stream outlives its session")
		}
	}
	// One more, which the end of the server ends: startAt fails if it doesn't.
	p.post("/signin", "contact", "ann@mail.example", "password", "kelp roof lantern river")
	if s := p.listen(); s.status != http.StatusOK || !s.hears("Nobody from Demo") {
		t.Fatalf("signed in again: %d", s.status)
	}
}

// The same by the API: staff with a second step, and keys; never customers, another role, or somebody else's call.
// Keeps: E.2, S25
func TestCallsByTheAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx, v := t.Context(), visitorAt("192.0.2.44")
	ann := d.signUp("ann@mail.example", words, v)
	people := map[string]*agent{}
	for name, role := range map[string]string{"sue": "support", "sam": "support", "olga": "operator", "dora": "depot"} {
		_, err := d.InviteStaff(ctx, name+"@demo.example", role)
		must(t, err)
		people[name] = d.agent(name + "@demo.example")
	}
	at, body := "accounts/"+ann.Account+"/call", map[string]string{"caller": "Sue", "reason": "your order 1182"}
	people["dora"].does("POST", at, body, "role_missing", nil)
	people["dora"].does("GET", at, nil, "role_missing", nil)
	people["dora"].does("DELETE", at, nil, "role_missing", nil)
	(&agent{d, ann.Account, ann.Session}).does("POST", at, body, "role_missing", nil)
	people["sue"].does("POST", at, map[string]string{"caller": "Sue"}, "invalid_reason", nil)
	people["sue"].does("POST", "accounts/acc_00000000000000000000000000000000/call", body, "account_not_found", nil)
	people["sue"].does("POST", "accounts/"+people["sam"].id+"/call", body, "staff_account", nil)

	own := d.Session(ann.Session)
	call, err := own.Call(ctx, v)
	if must(t, err); call.State != "none" || len(call.Shown) != 0 {
		t.Fatalf("%+v", call)
	}
	var said, seen client.Call
	people["sue"].does("POST", at, body, "Created", &said)
	if len(strings.Fields(said.Phrase)) != 3 || said.State != "open" || said.Until.Sub(said.At) != 3*time.Minute {
		t.Fatalf("%+v", said)
	}
	people["sue"].does("POST", at, body, "call_open", nil)
	people["sam"].does("GET", at, nil, "not_your_call", nil)
	people["sam"].does("DELETE", at, nil, "not_your_call", nil)
	people["olga"].does("GET", at, nil, "OK", &seen)
	if seen.Phrase != "" || seen.Caller != "Sue" {
		t.Fatalf("an operator sees %+v", seen)
	}
	call, err = own.Call(ctx, v)
	if must(t, err); call.Phrase != said.Phrase || call.Caller != "Sue" || call.Reason != "your order 1182" || len(call.Shown) != 1 || !call.Shown[0].Current {
		t.Fatalf("%+v", call)
	}
	people["sue"].does("GET", at, nil, "OK", &seen)
	if len(seen.Shown) != 1 || seen.Phrase != said.Phrase {
		t.Fatalf("the agent sees %+v", seen)
	}
	wants(t, own.RefuseCall(ctx, "l0", v), "call_over")
	must(t, own.RefuseCall(ctx, call.ID, v))
	people["sue"].does("GET", at, nil, "OK", &seen)
	if seen.State != "refused" || seen.EndedAt.IsZero() {
		t.Fatalf("the agent sees %+v", seen)
	}
	people["sue"].does("DELETE", at, nil, "call_over", nil)

	// By a key, and later without a proof.
	d.pass(time.Hour)
	_, err = d.Announce(ctx, ann.Account, "Acme", "the delivery")
	must(t, err)
	call, err = own.Call(ctx, client.Visitor{})
	if must(t, err); call.State != "open" || !call.Prove || call.Phrase != "" || call.Caller != "" {
		t.Fatalf("unproven: %+v", call)
	}
	must(t, d.EndCall(ctx, ann.Account))
	got, err := d.AnnouncedCall(ctx, ann.Account)
	if must(t, err); got.State != "ended" {
		t.Fatalf("%+v", got)
	}
	kinds := map[string]int{}
	for after, more := int64(0), true; more; {
		events, next, err := d.Events(ctx, after, time.Second)
		must(t, err)
		for _, e := range events {
			kinds[e.Type]++
		}
		after, more = next, len(events) > 0
	}
	if kinds["account.call_announced"] != 2 || kinds["account.call_shown"] != 1 || kinds["account.call_refused"] != 1 || kinds["account.call_ended"] != 1 {
		t.Fatalf("the feed says %v", kinds)
	}
}
