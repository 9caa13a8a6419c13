// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/cookiejar"
	neturl "net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/otp"
)

// plain is a browser without JavaScript, which checks the defences of every answer.
type plain struct {
	*testing.T
	url    string
	key    string // of the API
	client *http.Client
	lang   string
	last   string // the page that it shows
	status int
}

func newPlain(t *testing.T, lang string) *plain {
	t.Helper()
	url, key := start(t, "sqlite:"+filepath.Join(t.TempDir(), "e2e.db"))
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &plain{T: t, key: key, url: strings.Replace(url, "127.0.0.1", "localhost", 1), client: &http.Client{Jar: jar}, lang: lang}
}

func (p *plain) do(method, path string, form neturl.Values, headers ...string) *plain {
	p.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(p.Context(), method, p.url+path, body)
	must(p.T, err)
	req.Header.Set("Accept-Language", p.lang)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := p.client.Do(req)
	must(p.T, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(p.T, err)
	p.last, p.status = string(b), res.StatusCode
	h := res.Header
	csp := h.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") ||
		h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Frame-Options") != "DENY" {
		p.Fatalf("%s %s has no defences: %v", method, path, h)
	}
	if strings.Contains(h.Get("Content-Type"), "html") && h.Get("Cache-Control") != "no-store" {
		p.Fatalf("%s %s may be kept by others: %v", method, path, h)
	}
	if inline.MatchString(p.last) {
		p.Fatalf("%s %s has inline code or style: %s", method, path, inline.FindString(p.last))
	}
	return p
}

var inline = regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]|<style|\son[a-z]+=|\sstyle=|javascript:`)

func (p *plain) open(path string) *plain { p.Helper(); return p.do("GET", path, nil) }
func (p *plain) post(path string, fields ...string) *plain {
	p.Helper()
	return p.do("POST", path, form(fields))
}
func form(fields []string) neturl.Values {
	f := neturl.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		f.Set(fields[i], fields[i+1])
	}
	return f
}

func (p *plain) says(words ...string) *plain {
	p.Helper()
	text := strings.ReplaceAll(p.last, "&#39;", "'")
	for _, w := range words {
		if !strings.Contains(text, w) {
			p.Fatalf("the page doesn't say %q: %s", w, p.last)
		}
	}
	return p
}

func (p *plain) find(pattern string) string {
	p.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(p.last)
	if m == nil {
		p.Fatalf("no %s in: %s", pattern, p.last)
	}
	return m[1]
}

// The main path without JavaScript, in English and in Arabic, right to left.
// Keeps: B.1, B.3, B.4
func TestAccountWithoutJavaScript(t *testing.T) {
	t.Parallel()
	for lang, words := range map[string]struct{ dir, signIn, center string }{
		"en":             {"ltr", "Sign in", "Login &amp; Security"},
		"ar-EG,ar;q=0.9": {"rtl", "تسجيل الدخول", ""},
	} {
		t.Run(lang[:2], func(t *testing.T) {
			t.Parallel()
			p := newPlain(t, lang)
			p.open("/signin").says(`lang="`+lang[:2]+`" dir="`+words.dir+`"`, words.signIn)
			p.post("/signup", "contact", "ann@mail.example", "password", "kelp roof lantern river").says(`name="code"`)
			p.post("/step/answer", "code", await(t, p.url, 1).Code).says(words.center, "/security/two-step")
			p.open("/security/two-step")
			p.post("/security/methods/app", "name", "")
			secret, err := otp.ParseSecret(p.find(`class="secret" dir="ltr">([^<]+)<`))
			must(t, err)
			app := func(at time.Time) string { return (&otp.TOTP{Secret: secret}).At(at).Reveal() }
			p.post("/step/answer", "code", app(time.Now())).says(`class="recovery"`)
			p.post("/signout").says(words.signIn)
			p.post("/signin", "contact", "ann@mail.example", "password", "wrong").says("aria-invalid", `value="ann@mail.example"`)
			p.post("/signin", "contact", "ann@mail.example", "password", "kelp roof lantern river").says(`name="code"`)
			p.post("/step/answer", "code", app(time.Now().Add(30*time.Second)), "trust", "1").says(words.center)
			p.open("/step").says("/signin") // the flow is over
			p.open("/security/activity").says("timeline")
			p.post("/language", "language", "de", "back", "/security").says(`lang="de"`)
		})
	}
}

// What attackers try at the pages themselves.
// Keeps: S16, S22
func TestAttacksOnThePages(t *testing.T) {
	t.Parallel()
	p := newPlain(t, "en")
	// A form from another site; a frame; another host's name.
	if p.do("POST", "/signin", form([]string{"contact", "a@b.example", "password", "x"}), "Sec-Fetch-Site", "cross-site"); p.status != http.StatusForbidden {
		t.Fatalf("a form of another site: %d", p.status)
	}
	if p.do("POST", "/signin", form([]string{"contact", "a@b.example", "password", "x"}), "Origin", "https://evil.example"); p.status != http.StatusForbidden {
		t.Fatalf("another origin: %d", p.status)
	}
	// Leading elsewhere: by cookie, by path, by header.
	p.post("/signup", "contact", "ann@mail.example", "password", "kelp roof lantern river")
	p.post("/step/answer", "code", await(t, p.url, 1).Code).says("Login")
	u, err := neturl.Parse(p.url)
	must(t, err)
	for _, evil := range []string{"//evil.example", "/\\evil.example", "https://evil.example", "/a%0d%0aSet-Cookie:x=y", "/security?x=//evil"} {
		p.client.Jar.SetCookies(u, []*http.Cookie{{Name: "next", Value: evil, Path: "/"}})
		p.client.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
			if req.URL.Host != u.Host {
				t.Errorf("%q leads to %s", evil, req.URL)
			}
			return nil
		}
		p.open("/signin").says("Login")
		p.post("/language", "language", "en", "back", evil)
	}
	// A session that somebody planted is not taken over: signing in makes a new one.
	p.post("/signout")
	planted := "session_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	p.client.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: planted, Path: "/"}})
	p.post("/signin", "contact", "ann@mail.example", "password", "kelp roof lantern river").says("Login")
	for _, c := range p.client.Jar.Cookies(u) {
		if c.Name == "session" && c.Value == planted {
			t.Error("a planted session was kept")
		}
	}
	// What was typed comes back as text.
	p.post("/signout")
	p.post("/signin", "contact", `"><script>alert(1)</script>`, "password", "x")
	if strings.Contains(p.last, "<script>alert") {
		t.Error("what was typed is markup")
	}
	// Nothing is sent by opening pages; unknown pages and methods have an answer of their own.
	before := len(p.mails())
	for _, path := range []string{"/signin", "/signup", "/forgot", "/recover", "/step", "/undo?t=undo_abc", "/stop?t=x", "/security", "/nothing", "/static/x/y", "/brand/x.css", "/logo", "/help", "/help/turn-it-off", "/help/%2e%2e%2fetc", "/ours"} {
		if p.open(path); p.status >= 500 {
			t.Errorf("%s: %d", path, p.status)
		}
	}
	if n := len(p.mails()); n != before {
		t.Errorf("%d messages went out because pages were opened", n-before)
	}
	if p.do("PUT", "/signin", nil); p.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %d", p.status)
	}
	if p.post("/signin", "contact", strings.Repeat("x", 20<<10)); p.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a form of 20 KB: %d", p.status)
	}
}

func (p *plain) mails() string { p.Helper(); return p.raw("/inbox/messages.json") }

func (p *plain) raw(path string) string {
	p.Helper()
	res, err := http.Get(p.url + path)
	must(p.T, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(p.T, err)
	return string(b)
}

// A page of the sign-in is small: HTML and style sheet, compressed, below 14 KB.
func TestBytesToFirstPaint(t *testing.T) {
	t.Parallel()
	p := newPlain(t, "ar")
	html := p.open("/signin").last
	if i := strings.Index(html, "<aside"); i > 0 { // the inbox of `dev` is not the page's
		html = html[:i] + html[strings.Index(html, "</aside>"):]
	}
	total := 0
	for _, part := range []string{html, p.raw(p.find(`href="(/static/[^"]+style.css)"`)), p.raw(p.find(`href="(/brand/[^"]+)"`))} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(part))
		_ = z.Close()
		total += b.Len()
	}
	t.Logf("%d bytes", total)
	if total > 14<<10 {
		t.Errorf("%d bytes to the first paint", total)
	}
}
