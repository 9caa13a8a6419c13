// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

func renderer(t *testing.T) *message.Renderer {
	t.Helper()
	r, err := message.NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// never is how a language says that we never ask for a code.
func never(t *testing.T, tag string) string {
	t.Helper()
	content, err := os.ReadFile("catalog/" + tag + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Never string `json:"never"`
	}
	if err := json.Unmarshal(content, &f); err != nil || f.Never == "" {
		t.Fatalf("%s: %q, %v", tag, f.Never, err)
	}
	return f.Never
}

// moment is when the messages of these tests were asked for; said is how every language says so.
var moment = time.Date(2026, 11, 5, 14, 2, 0, 0, time.FixedZone("", 3600))

const said = "2026-11-05 13:02 UTC"

// spoken is a message with a code in one language, to a service with a name as long as it may be.
func spoken(t *testing.T, tag string, channel service.Channel, purpose service.Purpose) message.Outgoing {
	t.Helper()
	o := outgoing(t)
	o.Service = &service.Service{Name: "Abcdefghijk", Domain: "acme.example", Locale: "en"}
	o.Locale, o.Channel, o.Purpose, o.QueuedAt, o.Deadline = tag, channel, purpose, moment, moment.Add(10*time.Minute)
	o.Asked = "Chrome, Lyon"
	if purpose == service.Transaction {
		o.Amount, o.Payee = "EUR 39.99", "Rad & Tat"
	}
	return o
}

// In every language a text with a code fits its segment, begins with the code, says that we never ask for it, has no link, and
// is understood when it is pasted.
// Keeps: A.3, A.6, C.1
func TestCodeTextsOfAllLanguages(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, l := range locale.All() {
		for _, p := range service.Purposes() {
			o := spoken(t, l.Tag, service.SMS, p)
			check := func(most int) string {
				t.Helper()
				text, err := r.Render(&o)
				if err != nil || text.Locale != l.Tag {
					t.Fatalf("%s: %v", text.Locale, err)
				}
				if n := message.SizeOf(text.Body); n.Segments > most {
					t.Errorf("%s, %s: %+v: %q", l.Tag, p, n, text.Body)
				}
				if !strings.HasPrefix(text.Body, o.Code.Reveal()+" ") || !strings.Contains(text.Body, never(t, l.Tag)) || strings.Contains(text.Body, "://") {
					t.Errorf("%s, %s: %q", l.Tag, p, text.Body)
				}
				begins(t, l, text.Body)
				got := otp.Parse(text.Body, otp.Shape{Digits: o.Code.Len(), Amount: o.Amount})
				if got.Kind != otp.TypedCode || !got.Code.Equal(o.Code) {
					t.Errorf("%s, %s: our own message isn't read back, but %s: %q", l.Tag, p, got.Kind, text.Body)
				}
				return text.Body
			}
			if p != service.Transaction {
				check(1)
				o.Code = otp.NewCode("4821350917")
				check(1)
				o.Code = otp.NewCode("482135")
				// No sentence is written in vain: a service with a short name has room for its purpose.
				o.Service = &service.Service{Name: "Acme", Locale: "en"}
				full := check(1)
				o.Purpose = service.Custom
				if bare := check(1); p != service.Custom && full == bare {
					t.Errorf("%s: there is never room for what %s is for", l.Tag, p)
				}
				continue
			}
			check(2)
			o.Amount, o.Payee = "USD 1,234,567,890,123.45", strings.Repeat("Łódź Ba", 9)[:60]
			if body := check(2); !strings.Contains(body, o.Amount) || !strings.Contains(body, o.Payee) {
				t.Errorf("%s: amount or payee were cut: %q", l.Tag, body)
			}
		}
	}
}

// begins checks that what has no markup starts with a word of its language's direction: phones and mail programs lay out the
// whole line by it.
func begins(t *testing.T, l locale.Locale, text string) {
	t.Helper()
	first, _ := utf8.DecodeRuneInString(text[strings.IndexFunc(text, unicode.IsLetter):])
	if (l.Dir == "rtl") != unicode.Is(unicode.Arabic, first) {
		t.Errorf("%s is written %s: %q", l.Tag, l.Dir, text)
	}
}

// A mail with a code says the same in both of its parts, has no link and loads nothing; the code stands alone and is read from left to right.
// Keeps: A.6
func TestCodeMailsOfAllLanguages(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, l := range locale.All() {
		for _, p := range service.Purposes() {
			o := spoken(t, l.Tag, service.Email, p)
			o.Asked = "Chrome, https://evil.example\r\n\u202e<b>x</b>"
			for _, life := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour} {
				o.Deadline = moment.Add(life)
				text, err := r.Render(&o)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(text.Subject, "482135 ") || strings.ContainsAny(text.Subject, "\r\n") {
					t.Errorf("%s, %s: subject %q", l.Tag, p, text.Subject)
				}
				for _, want := range []string{"\n482135\n", never(t, l.Tag), said} {
					if !strings.Contains(text.Body, want) {
						t.Errorf("%s, %s: the plain part lacks %q:\n%s", l.Tag, p, want, text.Body)
					}
				}
				for _, want := range []string{
					`<html lang="` + l.Tag + `" dir="` + l.Dir + `">`, `<p dir="ltr" style="font-size:32px;letter-spacing:4px;font-weight:bold">482135</p>`,
					never(t, l.Tag), said + "</bdi>", "&lt;b&gt;x",
				} {
					if !strings.Contains(text.HTML, want) {
						t.Errorf("%s, %s: the HTML part lacks %q:\n%s", l.Tag, p, want, text.HTML)
					}
				}
				if both := text.Body + text.HTML; strings.Contains(both, "://") || strings.Contains(both, "<a") || strings.Contains(both, "<img") || strings.Contains(both, "\u202e") {
					t.Errorf("%s, %s: a link, an image or a mark of direction:\n%s", l.Tag, p, both)
				}
				if l.Dir == "rtl" && !strings.Contains(text.Body, "\u200e"+said) {
					t.Errorf("%s: a date falls apart between words from right to left: %q", l.Tag, text.Body)
				}
				sameContent(t, text)
			}
		}
	}
}

var markup = regexp.MustCompile(`<title>.*?</title>|<[^>]*>`)

// sameContent compares the words of a mail's parts.
func sameContent(t *testing.T, text message.Text) {
	t.Helper()
	plain := strings.Fields(text.Body)
	shown := markup.ReplaceAllStringFunc(text.HTML, func(tag string) string {
		if strings.HasPrefix(tag, "</p") || strings.HasPrefix(tag, "<br") {
			return " "
		}
		return ""
	})
	html := strings.Fields(strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#39;", "'", "&#34;", `"`, "&amp;", "&").Replace(shown))
	if !slices.Equal(plain, html) {
		t.Errorf("%s: the parts differ:\n%q\n%q", text.Locale, plain, html)
	}
}

func TestCallsOfAllLanguages(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, l := range locale.All() {
		for _, p := range service.Purposes() {
			o := spoken(t, l.Tag, service.Voice, p)
			text, err := r.Render(&o)
			if err != nil || strings.Count(text.Body, "4, 8, 2, 1, 3, 5") < 2 || !strings.Contains(text.Body, never(t, l.Tag)) {
				t.Errorf("%s, %s: %q, %v", l.Tag, p, text.Body, err)
			}
		}
	}
}

// notice is a message about an account, with all that one may hold.
func notice(t *testing.T, tag string, channel service.Channel, kind message.NoticeKind) message.Outgoing {
	t.Helper()
	o := spoken(t, tag, channel, "")
	o.Code = otp.Code{}
	o.Notice = &message.Notice{
		Kind: kind, What: "k...@mail.test", Until: moment.Add(72 * time.Hour), Address: "acme.example/undo", Key: "K7QM-2HPD-9XTR",
	}
	return o
}

// In every language a notice by text says what happened and when, where to go and what to type there, with no link that has a scheme.
// Keeps: A.6
func TestNoticeTextsOfAllLanguages(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, l := range locale.All() {
		bodies := map[string]message.NoticeKind{}
		for _, k := range message.NoticeKinds() {
			o := notice(t, l.Tag, service.SMS, k)
			o.Notice.Link = "https://acme.example/undo?t=x"
			for _, address := range []string{"acme.example/undo", ""} {
				o.Notice.Address = address
				text, err := r.Render(&o)
				if err != nil || text.Subject != "" || text.HTML != "" {
					t.Fatal(err)
				}
				begins(t, l, text.Body)
				most, size := 1, message.SizeOf(text.Body)
				if size.Alphabet == message.UCS2 {
					most = 2
				}
				if size.Segments > most || strings.Contains(text.Body, "://") {
					t.Errorf("%s, %s: %+v: %q", l.Tag, k, size, text.Body)
				}
				for _, want := range []string{said, "acme.example" + strings.TrimPrefix(address, "acme.example"), "K7QM-2HPD-9XTR", "Abcdefghijk"} {
					if !strings.Contains(text.Body, want) {
						t.Errorf("%s, %s: %q lacks %q", l.Tag, k, text.Body, want)
					}
				}
				if other, twice := bodies[text.Body]; twice && other != k {
					t.Errorf("%s: %s and %s say the same", l.Tag, k, other)
				}
				bodies[text.Body] = k
				for digits := otp.MinDigits; digits <= otp.MaxDigits; digits++ {
					if got := otp.Parse(text.Body, otp.Shape{Digits: digits, Host: "acme.example"}); got.Kind == otp.TypedCode {
						t.Errorf("%s, %s: a code of %d digits is read from a notice: %q", l.Tag, k, digits, text.Body)
					}
				}
			}
			o.Notice = &message.Notice{Kind: k}
			for _, domain := range []string{"acme.example", "", strings.Repeat("long-name.", 20) + "example"} {
				o.Service = &service.Service{Name: "Abcdefghijk", Domain: domain, Locale: "en"}
				if text, err := r.Render(&o); err != nil || message.Segments(text.Body) != 1 || !strings.Contains(text.Body, "Abcdefghijk") {
					t.Errorf("%s, %s: %d segments, %v: %q", l.Tag, k, message.Segments(text.Body), err, text.Body)
				}
			}
		}
	}
}

// A masked number doesn't make a text longer by its dots.
func TestMaskedNumberInText(t *testing.T) {
	t.Parallel()
	o := notice(t, "en", service.SMS, message.FactorAdded)
	o.Notice.What = "+33 •••• 21"
	text, err := renderer(t).Render(&o)
	if size := message.SizeOf(text.Body); err != nil || size.Alphabet != message.GSM7 || size.Segments != 1 || !strings.Contains(text.Body, "(+33 **** 21)") {
		t.Errorf("%+v, %v: %q", size, err, text.Body)
	}
}

// A notice by mail says all it holds in both parts. Only it may have a link, which is shown as it is.
// Keeps: A.6
func TestNoticeMailsOfAllLanguages(t *testing.T) {
	t.Parallel()
	const link = "https://acme.example/undo?t=x&y=z"
	r := renderer(t)
	for _, l := range locale.All() {
		for _, k := range message.NoticeKinds() {
			o := notice(t, l.Tag, service.Email, k)
			for _, with := range []string{"", link} {
				o.Notice.Link = with
				text, err := r.Render(&o)
				if err != nil {
					t.Fatal(err)
				}
				sameContent(t, text)
				begins(t, l, text.Subject)
				wanted := []string{said, "2026-11-08 13:02 UTC", "Chrome, Lyon", "k...@ mail. test"}
				if with == "" {
					wanted = append(wanted, "acme.example/undo", "K7QM-2HPD-9XTR")
				} else {
					wanted = append(wanted, "\n"+link+"\n")
				}
				for _, want := range wanted {
					if !strings.Contains(text.Body, want) {
						t.Errorf("%s, %s: the mail lacks %q:\n%s", l.Tag, k, want, text.Body)
					}
				}
				links := strings.Count(text.HTML, `<a dir="ltr" href="https://acme.example/undo?t=x&amp;y=z">`)
				if want := min(1, len(with)); links != want || strings.Count(text.HTML, "<a") != want || strings.Count(text.Body, "://") != want {
					t.Errorf("%s, %s: links: %d in\n%s", l.Tag, k, links, text.HTML)
				}
				if !strings.Contains(text.Subject, "Abcdefghijk") || !strings.Contains(text.HTML, `dir="`+l.Dir+`">`) {
					t.Errorf("%s, %s: %q\n%s", l.Tag, k, text.Subject, text.HTML)
				}
			}
			o.Notice = &message.Notice{Kind: k}
			o.Asked, o.Service = "", &service.Service{Name: "Acme", Locale: "en"}
			text, err := r.Render(&o)
			if err != nil || strings.Contains(text.Body, "Chrome") || strings.Contains(text.Body, "{") || strings.Contains(text.Body, "\n\n\n") {
				t.Errorf("%s, %s: %v\n%s", l.Tag, k, err, text.Body)
			}
		}
	}
}

// What a stranger chose makes no link and no line of its own, and turns nothing around.
// Keeps: A.6
func TestStrangersWordsInNotices(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	linked := regexp.MustCompile(`[\pL\pN][.:/@]+[\pL]`)
	rapid.Check(t, func(rt *rapid.T) {
		l := rapid.SampledFrom(locale.All()).Draw(rt, "locale")
		channel := rapid.SampledFrom([]service.Channel{service.SMS, service.Email}).Draw(rt, "channel")
		o := notice(t, l.Tag, channel, rapid.SampledFrom(message.NoticeKinds()).Draw(rt, "kind"))
		hostile := rapid.StringMatching("([a-z]{1,9}|\\.|:|/|@|\n|\r|\u2028|\u202e|\u200f|\\{code\\}|https://|www\\.|<a href=x>|\"){0,12}")
		o.Notice.What, o.Asked = hostile.Draw(rt, "what"), hostile.Draw(rt, "asked")
		text, err := r.Render(&o)
		if err != nil {
			rt.Fatal(err)
		}
		body := strings.ReplaceAll(text.Body, o.Notice.Address, "")
		if found := linked.FindString(body); found != "" && !regexp.MustCompile(`^\d+:|^(from|From)`).MatchString(found) {
			rt.Fatalf("%q may become a link: %q", found, body)
		}
		if strings.ContainsAny(text.Body, "\r\u2028\u202e\u200f") || channel == service.SMS && strings.Contains(text.Body, "\n") || strings.ContainsAny(text.Subject, "\r\n") {
			rt.Fatalf("%q, %q", text.Subject, text.Body)
		}
		if strings.Contains(text.HTML, "<a") || strings.Contains(text.HTML, "\u202e") {
			rt.Fatal(text.HTML)
		}
	})
}

// A notice is no call, has no code and no link but its own.
// Keeps: A.6
func TestNoticesThatAreNone(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for name, change := range map[string]func(o *message.Outgoing){
		"a call":            func(o *message.Outgoing) { o.Channel = service.Voice },
		"a code":            func(o *message.Outgoing) { o.Code = otp.NewCode("482135") },
		"no kind":           func(o *message.Outgoing) { o.Notice.Kind = 0 },
		"an unknown kind":   func(o *message.Outgoing) { o.Notice.Kind = 200 },
		"a script":          func(o *message.Outgoing) { o.Notice.Link = "javascript:alert(1)" },
		"a link in two":     func(o *message.Outgoing) { o.Notice.Link = "https://acme.example/ x" },
		"a scheme":          func(o *message.Outgoing) { o.Notice.Address = "https://acme.example" },
		"a key of two rows": func(o *message.Outgoing) { o.Notice.Key = "K7QM\n2HPD" },
	} {
		o := notice(t, "en", service.Email, message.TwoStepOff)
		change(&o)
		if text, err := r.Render(&o); err == nil {
			t.Errorf("%s was put into words: %q", name, text.Body)
		}
	}
}

// The numbers are stored: they stay what they are.
func TestNoticeKinds(t *testing.T) {
	t.Parallel()
	names := strings.Fields(`sign_up_taken new_device second_step_failed two_step_on two_step_off factor_added factor_removed recovery_codes_new
		recovery_code_used password_changed password_reset contact_added contact_changed contact_removed device_revoked recovery_started
		recovery_waiting recovery_done recovery_stopped undone contact_confirm contact_bounced account_closed not_me case_answered`)
	kinds := message.NoticeKinds()
	if len(kinds) != len(names) {
		t.Fatalf("%d kinds", len(kinds))
	}
	for i, k := range kinds {
		if int(k) != i+1 || k.String() != names[i] {
			t.Errorf("%d is %s, want %s", k, k, names[i])
		}
	}
	if message.NoticeKind(0).String() != "" || message.NoticeKind(99).String() != "" {
		t.Error("a number that is no kind has a name")
	}
}

func TestSizeOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]message.Size{
		"":                              {Alphabet: message.GSM7},
		strings.Repeat("a", 160):        {message.GSM7, 160, 1},
		strings.Repeat("a", 161):        {message.GSM7, 161, 2},
		strings.Repeat("€", 80):         {message.GSM7, 160, 1},
		strings.Repeat("a", 152) + "€€": {message.GSM7, 156, 1},
		strings.Repeat("ó", 70):         {message.UCS2, 70, 1},
		strings.Repeat("ó", 71):         {message.UCS2, 71, 2},
		strings.Repeat("ó", 135):        {message.UCS2, 135, 3},
		strings.Repeat("😀", 67):         {message.UCS2, 134, 3}, // none is split
	} {
		if got := message.SizeOf(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}
