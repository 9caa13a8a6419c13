// SPDX-License-Identifier: Apache-2.0

package web

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/service"
)

// Every topic is there in every language: a question, a short answer, what can be done. It speaks as people do, and leaves figures to
// the policy.
func TestHelpTopics(t *testing.T) {
	t.Parallel()
	p := pages(t)
	routes := map[string]bool{}
	for _, r := range p.routes() {
		if method, at, _ := strings.Cut(r.pattern, " "); method == http.MethodGet {
			routes[at] = true
		}
	}
	for name, path := range helpPaths {
		if !routes[path] {
			t.Errorf("%s leads to %s, where nothing is", name, path)
		}
	}
	jargon := regexp.MustCompile(`(?i)\b(otp|2fa|mfa|tokens?|credentials?|one-time password|session|invalid|please|bitte|veuillez)\b`)
	mark := regexp.MustCompile(`(?m)^[0-9]+\. `)
	for _, topic := range helpTopics {
		if helpPaths[topic.action] == "" || slices.ContainsFunc(topic.more, func(m string) bool { return helpPaths[m] == "" }) {
			t.Errorf("%s ends in no action", topic.name)
		}
		for _, l := range locale.All() {
			where := topic.name + " in " + l.Tag
			title, text := p.words.byTag[l.Tag]["help."+topic.name+".title"], p.words.byTag[l.Tag]["help."+topic.name+".text"]
			if !strings.ContainsAny(title, "?？؟") {
				t.Errorf("%s: %q is no question", where, title)
			}
			// Of scripts without spaces, two characters count as a word.
			words := len(strings.Fields(text))
			if l.Tag == "ja" || l.Tag == "zh-Hans" {
				words = utf8.RuneCountInString(text) / 2
			}
			if words < 60 || words > 180 {
				t.Errorf("%s has %d words", where, words)
			}
			if found := jargon.FindString(title + text); found != "" {
				t.Errorf("%s says %q", where, found)
			}
			// In Japanese, two-step verification is written with a digit.
			plain := strings.ReplaceAll(mark.ReplaceAllString(title+"\n"+text, ""), "2段階", "")
			if i := strings.IndexFunc(plain, unicode.IsDigit); i >= 0 {
				t.Errorf("%s has a figure: %s", where, plain[i:min(len(plain), i+20)])
			}
		}
	}
}

// seen is a page's text.
func seen(t *testing.T, p *Pages, path, lang string, cookies ...string) string {
	t.Helper()
	res := ask(p, "GET", path, func(r *http.Request) {
		r.Header.Set("Accept-Language", lang)
		for _, c := range cookies {
			r.AddCookie(&http.Cookie{Name: c, Value: "x"})
		}
	})
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", path, res.StatusCode, err)
	}
	return strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(string(body))
}

// What a topic says of the service is what its policy and its brand say.
func TestHelpKnowsThePolicy(t *testing.T) {
	t.Parallel()
	p := pages(t)
	svc, _ := p.ByHost("acme.example")
	has := func(path string, want bool, words ...string) {
		t.Helper()
		page := seen(t, p, path, "en")
		for _, w := range words {
			if strings.Contains(page, w) != want {
				t.Errorf("%s says %q: %v, want %v:\n%s", path, w, !want, want, page)
			}
		}
		if strings.ContainsAny(page, "{}") {
			t.Errorf("%s has a place that nothing was put into:\n%s", path, page)
		}
	}
	has("/help/what-is-a-code", true, "A code has 6 digits. We send it to you by text message or by email", "10 minutes", "5 tries", "Nobody from Acme", "doesn't count as a second step")
	has("/help/turn-it-off", true, `class="button primary" href="/security/two-step/off"`, "For some days you can take it back.")
	has("/help/suspicious-call", false, "You reach us here", `+1 415 555 0100`)
	svc.Policy.CodeLength, svc.Policy.Lifetime, svc.Policy.MaxTries, svc.Policy.EmailIsSecondStep = 8, 120, 1, true
	svc.Policy.Channels, svc.Policy.SecondStep = []service.Channel{service.SMS, service.Voice, service.Email}, service.SecondStepRequired
	svc.Brand.SupportPhone, svc.Brand.SupportEmail = "+1 415 555 0100", "help@acme.example"
	has("/help/what-is-a-code", true, "8 digits", "by text message, by phone call or by email", "2 minutes", "1 try", "counts as a second step")
	has("/help/turn-it-off", true, `class="button primary" href="/security/two-step"`, "Acme asks everybody for a second step")
	has("/help/suspicious-call", true, "You reach us here: \u2066+1 415 555 0100\u2069 or \u2066help@acme.example\u2069.")
	svc.Policy.Channels = []service.Channel{service.SMS}
	has("/help/what-is-a-code", false, "email counts", "email doesn't")
	svc.Policy.Recovery = 24
	has("/help/lost-everything", true, "wait for 24 hours")
}

// The button goes on with the visitor's own code, if there is one.
func TestHelpLeadsOn(t *testing.T) {
	t.Parallel()
	p := pages(t)
	if page := seen(t, p, "/help/code-not-working", "en"); !strings.Contains(page, `class="button primary" href="/signin"`) {
		t.Errorf("without a flow:\n%s", page)
	}
	page := seen(t, p, "/help/code-not-working", "ar", "__Host-flow")
	if !strings.Contains(page, `class="button primary" href="/step"`) || !strings.Contains(page, `lang="ar" dir="rtl"`) || !strings.Contains(page, `name="back" value="/help/code-not-working"`) {
		t.Errorf("with a flow:\n%s", page)
	}
	index := seen(t, p, "/help", "de")
	for _, topic := range helpTopics {
		if !strings.Contains(index, `<a href="/help/`+topic.name+`">`+p.words.byTag["de"]["help."+topic.name+".title"][:5]) {
			t.Errorf("%s isn't in the list:\n%s", topic.name, index)
		}
	}
	for _, path := range []string{"/help/nothing", "/help/..%2f", "/help/" + strings.Repeat("x", 3000)} {
		if res := ask(p, "GET", path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("%.40s: %d", path, res.StatusCode)
		}
	}
	signIn := seen(t, p, "/signin", "en")
	if !strings.Contains(signIn, `<a href="/help">Help</a>`) || !strings.Contains(signIn, `<a href="/ours">Is it really us?</a>`) {
		t.Error("the other pages don't lead to the help")
	}
}

// What is the service's own is public, in every language, with what nobody from it ever asks.
// Keeps: E.1
func TestOursIsPublic(t *testing.T) {
	t.Parallel()
	p := pages(t)
	svc, _ := p.ByHost("acme.example")
	svc.Brand = service.Brand{SupportPhone: "+1 415 555 0100", Senders: []string{"ACME", "28 28"}, CallbackNumbers: []string{"+18005550199"}, Domains: []string{"shop.acme.example"}}
	for _, l := range locale.All() {
		page := seen(t, p, "/ours", l.Tag)
		for _, want := range []string{"<bdi>ACME</bdi>", "<bdi>28 28</bdi>", ">acme.example<", ">shop.acme.example<", `href="tel:+14155550100"`, `href="tel:+18005550199"`, `href="/check"`, p.words.byTag[l.Tag]["ours.asks.remote"]} {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %s:\n%s", l.Tag, want, page)
			}
		}
	}
	const all = "What isn't listed here isn't ours."
	if page := seen(t, p, "/ours", "en"); strings.Contains(page, all) {
		t.Error("it claims to be complete and names no sender of mails")
	}
	svc.Policy.Channels = []service.Channel{service.SMS}
	if page := seen(t, p, "/ours", "en"); !strings.Contains(page, all) {
		t.Error("it is complete and doesn't say so")
	}
	svc.Brand = service.Brand{}
	if page := seen(t, p, "/ours", "en"); strings.Contains(page, "Call us back") || strings.Contains(page, "texts and calls come") {
		t.Error("it has headings with nothing below")
	}
}

// folder writes help files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const returns = `# How do I send something **back** to {service}?

Pack it. It takes {life}.
The line goes on.

## What you need

1. The *parcel*
2. A [label](https://acme.example/labels?a=1&b=2) and <b>tape</b>

### Where

- here \*there\*

[Begin](/signin)
`

// An operator's topics stand beside ours and take their place, each service's its own; what is in them is text.
func TestHelpOfOperators(t *testing.T) {
	t.Parallel()
	p := pages(t)
	var err error
	p.help, err = readHelp(p.words, folder(t, map[string]string{
		"acme/returns.en.md": returns, "acme/returns.ar.md": "# كيف أعيد شيئًا؟\n\nهكذا.\n", "acme/turn-it-off.en.md": "# Off?\n\nAsk {service}.\n", "acme/.hidden": "x", ".git/x": "x",
		"other/secret.en.md": "# Other?\n\nText.\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	page := seen(t, p, "/help/returns", "en")
	for _, want := range []string{
		"<h1>How do I send something back to Acme?</h1>", "<p>Pack it. It takes 10 minutes. The line goes on.</p>", "<h2>What you need</h2>",
		"<ol><li>The *parcel*</li><li>A <a href=\"https://acme.example/labels?a=1&amp;b=2\">label</a> and &lt;b&gt;tape&lt;/b&gt;</li></ol>",
		"<h3>Where</h3>", "<ul><li>here *there*</li></ul>", `<p><a class="button primary" href="/signin">Begin</a></p>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("it lacks %s:\n%s", want, page)
		}
	}
	if page := seen(t, p, "/help/returns", "de"); !strings.Contains(page, `lang="de" dir="ltr"`) || !strings.Contains(page, `<div class="prose" lang="en" dir="ltr">`) {
		t.Errorf("in a language that it lacks, it isn't the service's:\n%s", page)
	}
	if page := seen(t, p, "/help/returns", "ar"); !strings.Contains(page, "كيف أعيد شيئًا؟") || strings.Contains(page, `class="prose" lang`) {
		t.Errorf("in Arabic:\n%s", page)
	}
	if page := seen(t, p, "/help/turn-it-off", "en"); !strings.Contains(page, "Ask Acme.") || strings.Contains(page, "nuisance") || !strings.Contains(page, `class="button primary" href="/security/two-step/off"`) {
		t.Errorf("it doesn't take the place of ours:\n%s", page)
	}
	if page := seen(t, p, "/help/turn-it-off", "ja"); !strings.Contains(page, `lang="en" dir="ltr"`) || !strings.Contains(page, ">Turn it off</a>") {
		t.Errorf("a button in another language than its text:\n%s", page)
	}
	if page := seen(t, p, "/help", "en"); !strings.Contains(page, `<a href="/help/returns">How do I send something back to Acme?</a>`) || strings.Contains(page, "Other?") {
		t.Errorf("the list:\n%s", page)
	}
	if res := ask(p, "GET", "/help/secret", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("another service's topic: %d", res.StatusCode)
	}
}

// The text that the operator's guide shows is one.
func TestHelpOfTheGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```markdown\n")
	example, _, _ := strings.Cut(rest, "```")
	all, err := readHelpFolder(folder(t, map[string]string{"acme/returns.en.md": example}))
	if err != nil {
		t.Fatal(err)
	}
	if text := all["acme"]["returns"]["en"]; text.action == nil || text.action.Path != "/signin" || len(text.blocks) != 4 {
		t.Errorf("%+v", text)
	}
	for _, name := range append([]string{"zh-Hans"}, helpFacts...) {
		if !strings.Contains(string(guide), "`{"+name+"}`") && !strings.Contains(string(guide), "`"+name+"`") {
			t.Errorf("the guide doesn't name %s", name)
		}
	}
	for _, topic := range helpTopics {
		if !strings.Contains(string(guide), "`"+topic.name+"`") {
			t.Errorf("the guide doesn't name %s", topic.name)
		}
	}
}

// What can't be shown stops the start, by the file's name.
func TestHelpThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, content, why string }{
		"a stray file":         {"readme", "x", "readme can't be read as a folder"},
		"no service's name":    {"Acme Inc/a.en.md", "# A?\n\nx", "Acme Inc is no service's name"},
		"no language":          {"acme/a.md", "# A?\n\nx", "acme/a.md isn't named"},
		"another language":     {"acme/a.tlh.md", "# A?\n\nx", "acme/a.tlh.md isn't named"},
		"another kind":         {"acme/a.en.html", "# A?\n\nx", "acme/a.en.html isn't named"},
		"no title":             {"acme/a.en.md", "A?\n\nx", "acme/a.en.md has to begin with its title"},
		"a title alone":        {"acme/a.en.md", "# A?\n", "has to begin"},
		"nothing":              {"acme/a.en.md", "", "has to begin"},
		"two titles":           {"acme/a.en.md", "# A?\n\n# B?\n", "two titles"},
		"a level left out":     {"acme/a.en.md", "# A?\n\n### B\n", "no ## came before"},
		"a long title":         {"acme/a.en.md", "# " + strings.Repeat("x", 121) + "\n\nx", "121 characters"},
		"too large":            {"acme/a.en.md", "# A?\n\n" + strings.Repeat("x ", 16<<10), "more than 16384"},
		"a script":             {"acme/a.en.md", "# A?\n\n[x](javascript:alert)", "line 3 has a link"},
		"in clear":             {"acme/a.en.md", "# A?\n\n[x](http://acme.example/)", "line 3 has a link"},
		"elsewhere":            {"acme/a.en.md", "# A?\n\n[x](//evil.example/)", "line 3 has a link"},
		"a user":               {"acme/a.en.md", "# A?\n\n[x](https://acme@evil.example/)", "line 3 has a link"},
		"a picture":            {"acme/a.en.md", "# A?\n\n![x](/logo)", "line 3 has a picture"},
		"unknown facts":        {"acme/a.en.md", "# A?\n\nIt takes {hours}.", "has {hours}"},
		"a turned text":        {"acme/a.en.md", "# A?\n\nx\u202ey", "can't be seen"},
		"a control":            {"acme/a.en.md", "# A?\n\nx\x1b[1m", "can't be seen"},
		"another encoding":     {"acme/a.en.md", "# A?\n\n\xff", "not UTF-8"},
		"too many stretches":   {"acme/a.en.md", "# A?\n\n" + strings.Repeat("**a**b", 2500), "changes of style"},
		"a folder for a topic": {"acme/a.en.md/x", "x", "is no file"},
	} {
		_, err := readHelpFolder(folder(t, map[string]string{c.file: c.content}))
		if f := fault.As(err); err == nil || f.Kind != fault.Invalid || f.Field != "help-folder" || !strings.Contains(f.Message, c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readHelpFolder(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a folder that isn't there is read")
	}
	// A link that leads out of the folder is not followed.
	dir, out := folder(t, map[string]string{"acme/b.en.md": "# B?\n\nx"}), folder(t, map[string]string{"x.md": "# A?\n\nx"})
	if err := os.Symlink(filepath.Join(out, "x.md"), filepath.Join(dir, "acme", "a.en.md")); err != nil {
		t.Fatal(err)
	}
	if _, err := readHelpFolder(dir); err == nil || !strings.Contains(err.Error(), "acme/a.en.md") {
		t.Errorf("a link that leads out: %v", err)
	}
}

// Whatever a text is, the page has no markup but ours and no link that leads ill; what can be read has text.
func FuzzMarkdown(f *testing.F) {
	f.Add(returns)
	f.Add("**a [b](/c) ** ** [d](https://e.example/?\"><script>) \\")
	f.Add("[0](hTtps://0)")
	f.Add("[a](https://x.example/'onclick=alert(1))<img src=x onerror=y>")
	p, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	allowed := map[string]bool{"div": true, "h1": true, "h2": true, "h3": true, "p": true, "ul": true, "ol": true, "li": true, "strong": true, "a": true}
	f.Fuzz(func(t *testing.T, text string) {
		blocks, err := readMarkdown(text)
		if err != nil {
			return
		}
		for _, b := range fill(blocks, func(s string) string { return s }) {
			for _, item := range b.Items {
				if item.words() == "" {
					t.Fatalf("an empty %s", b.Kind)
				}
				var page strings.Builder
				if err := p.templates.ExecuteTemplate(&page, "spans", item); err != nil {
					t.Fatal(err)
				}
				for z := html.NewTokenizer(strings.NewReader(page.String())); ; {
					kind := z.Next()
					if kind == html.ErrorToken {
						break
					}
					token := z.Token()
					if kind == html.TextToken {
						continue
					}
					if !allowed[token.Data] || kind == html.CommentToken || kind == html.DoctypeToken {
						t.Fatalf("%q becomes %s", text, page.String())
					}
					for _, a := range token.Attr {
						if a.Key != "href" || !strings.HasPrefix(a.Val, "https://") && !ours(a.Val) {
							t.Fatalf("%q becomes %s", text, page.String())
						}
					}
				}
			}
		}
	})
}
