// SPDX-License-Identifier: Apache-2.0

package message

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/service"
)

// Text is a message in words, ready for a provider. It holds the code or a notice's key, so it prints, logs and
// encodes as a fixed word.
type Text struct {
	Body    string // of a text message or a call; for an email the plain part
	Subject string // of an email, else empty
	HTML    string // of an email, else empty; the same content as Body
	Locale  string // BCP 47, of the catalogue that was used
}

// reviewPath is the page about codes that somebody didn't ask for; its address is short enough to be typed.
const reviewPath = "/review"

const redacted = "[message]"

var errMarshal = errors.New("message: a text can't be encoded")

// String gives a fixed word.
func (Text) String() string { return redacted }

// Format gives a fixed word for every verb.
func (Text) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue gives a fixed word.
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails.
func (Text) MarshalText() ([]byte, error) { return nil, errMarshal }

// Renderer puts messages into words. It may be used concurrently.
type Renderer struct{ catalogs catalogs }

// NewRenderer reads the catalogues that are built in; the error tells what is wrong with one.
func NewRenderer() (*Renderer, error) {
	c, err := readCatalogs()
	return &Renderer{catalogs: c}, err
}

// Render puts o into the words of its channel, in the language that fits o.Locale best, else the
// service's. It is the place where the code is revealed. Notices go by text message and mail only.
//
// A text message starts with the code and fits one segment. What doesn't fit is dropped: first the
// last line that binds the code to the service's domain (WICG, Origin-bound one-time codes delivered via SMS),
// then what the code is for. One for a transaction may take two segments, and three
// rather than cut a payee: two payees must never look alike.
func (r *Renderer) Render(o *Outgoing) (Text, error) {
	c := r.catalogs[locale.Match(o.Locale, o.Service.Locale).Tag]
	v := valuesOf(o)
	v.rtl = c.locale.Dir == "rtl"
	t := Text{Locale: c.locale.Tag}
	if o.Notice != nil {
		return c.notice(o, &v, t)
	}
	if o.Delivery != nil {
		return c.delivery(o, &v, t)
	}
	switch o.Channel {
	case service.SMS:
		t.Body = c.sms(o, &v)
	case service.Voice:
		t.Body = c.voice.of(o.Purpose).fill(&v)
	case service.Email:
		t.Subject = c.subject.of(o.Purpose).fill(&v)
		t.Body, t.HTML = c.codeMail(o, &v, t.Subject)
	default:
		return Text{}, fmt.Errorf("message: no words for channel %q", o.Channel)
	}
	return t, nil
}

// notice is Render for a message without a code.
func (c *catalog) notice(o *Outgoing, v *values, t Text) (Text, error) {
	if err := checkNotice(o); err != nil {
		return Text{}, err
	}
	v.addNotice(o, c)
	if o.Channel == service.SMS {
		t.Body = c.noticeSMS(o, v)
		return t, nil
	}
	t.Subject = c.notices.lines["subject"].fill(v)
	t.Body, t.HTML = c.noticeMail(o, v, t.Subject)
	return t, nil
}

// values is what stands in a message's gaps.
type values struct {
	code, service, amount, payee, domain, asked string
	event, do, what, place, key, link           string // of a notice
	letter, items, name, window, day            string // of a delivery
	when, until                                 time.Time
	minutes                                     int
	rtl                                         bool
}

func valuesOf(o *Outgoing) values {
	return values{
		code: o.Code.Reveal(), service: oneLine(o.Service.Name), amount: oneLine(o.Amount), payee: noLink(oneLine(o.Payee)),
		domain: o.Service.Domain, asked: noLink(oneLine(o.Asked)), when: o.QueuedAt, minutes: o.Minutes(),
	}
}

// Minutes are what is left of the code, rounded down: it rounds to the nearest, and the deadline lies half a minute before the code's end.
func (o *Outgoing) Minutes() int {
	return max(1, int(o.Deadline.Sub(o.QueuedAt).Round(time.Minute)/time.Minute))
}

// oneLine makes a value that others supply stay where it is put: a line break in a payee could
// forge the last line of a text message, and marks of direction could turn an amount around.
func oneLine(s string) string {
	odd := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
	}
	if !strings.ContainsFunc(s, odd) {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, odd), " ")
}

// noLink keeps phones and mail programs from making a link of what others supply: they take "name.tld" and "://" for one. What
// stands between is kept, so that no two texts become one.
func noLink(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		b.WriteRune(r)
		next := i+1 < len(runes) && (unicode.IsLetter(runes[i+1]) || runes[i+1] == '/' || runes[i+1] == '.' && r != '.')
		if (r == '.' || r == ':' || r == '/' || r == '@') && next {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// appendTo appends the value of one gap and tells whether there is such a gap.
func (v *values) appendTo(dst []byte, gap string) ([]byte, bool) {
	switch gap {
	case "code":
		dst = append(dst, v.code...)
	case "spoken":
		for i := range len(v.code) {
			if v.code[i] == '-' {
				continue
			}
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, v.code[i])
		}
	case "service":
		dst = append(dst, v.service...)
	case "amount":
		dst = append(dst, v.amount...)
	case "payee":
		dst = append(dst, v.payee...)
	case "domain": // where somebody goes who didn't ask for a code
		dst = append(append(dst, v.domain...), reviewPath...)
	case "asked":
		dst = append(dst, v.asked...)
	case "letter":
		dst = append(dst, v.letter...)
	case "items":
		dst = append(dst, v.items...)
	case "name":
		dst = append(dst, v.name...)
	case "window":
		dst = append(v.straight(dst), v.window...)
	case "link":
		dst = append(dst, v.link...) // which begins with a letter: a mark before it might be pressed along
	case "event":
		dst = append(dst, v.event...)
	case "do":
		dst = append(dst, v.do...)
	case "what":
		dst = append(dst, v.what...)
	case "place":
		dst = append(v.straight(dst), v.place...)
	case "key":
		dst = append(v.straight(dst), v.key...)
	case "when":
		dst = v.when.UTC().AppendFormat(v.straight(dst), timeForm)
	case "until":
		dst = v.until.UTC().AppendFormat(v.straight(dst), timeForm)
	case "minutes":
		dst = strconv.AppendInt(dst, int64(v.minutes), 10)
	default:
		return dst, false
	}
	return dst, true
}

// timeForm is how a time is written in every language: year first, so that nobody takes the day for the month, and with its zone,
// because we don't know the reader's.
const timeForm = "2006-01-02 15:04 UTC"

// straight keeps the parts of a date or a key in their order after a word that is written from right to left, by the mark
// that all phones know (Unicode, UAX 9: LRM).
func (v *values) straight(dst []byte) []byte {
	if v.rtl {
		dst = append(dst, "\u200e"...)
	}
	return dst
}

func (c *catalog) sms(o *Outgoing, v *values) string {
	most := 1
	if o.Purpose == service.Transaction {
		most = 2
	}
	full := c.full.of(o.Purpose).fill(v)
	if v.domain != "" {
		if bound := full + "\n@" + v.domain + " #" + v.code; Segments(bound) <= most {
			return bound
		}
	}
	if Segments(full) <= most {
		return full
	}
	return c.short.of(o.Purpose).fill(v)
}
