// SPDX-License-Identifier: Apache-2.0

package bounce

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"regexp"
	"strconv"
	"strings"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/message"
)

// Limits of what is read. A mail that is longer is refused; of parts, levels and recipients beyond, nothing is read.
const (
	MaxMail       = 1 << 20 // bytes; our mails, which come back with it, have a few thousand
	maxParts      = 16      // of one multipart
	maxDepth      = 3       // of multiparts in multiparts
	maxRecipients = 64
	maxNotice     = 64 << 10 // bytes of the part that tells, or of a bounce in plain text
)

// Action is what a server did with a mail (RFC 3464 2.3.3).
type Action uint8

// The actions.
const (
	Failed    Action = iota + 1 // it will not arrive
	Delayed                     // it has not arrived yet; the server goes on trying
	Delivered                   // it has arrived
	Relayed                     // handed to a server that doesn't report
	Expanded                    // handed to several recipients
)

var actionNames = [...]string{"", "failed", "delayed", "delivered", "relayed", "expanded"}

// String is the action as RFC 3464 writes it.
func (a Action) String() string { return actionNames[a] }

// Bounce is what came back of a mail.
type Bounce struct {
	Action  Action
	Status  string          // enhanced status ("5.1.1"); empty: none was given
	Reply   int             // reply code of the server that refused the mail (550); 0: none was given
	Outcome message.Outcome // of a mail that failed: why; else 0
}

// Final tells whether the mail will not arrive. A server that goes on trying has said nothing yet, and we never ask for
// reports of success.
func (b Bounce) Final() bool { return b.Action == Failed }

// Code is what is kept of the server's words: reply code and enhanced status, and never its text, which names the mailbox.
func (b Bounce) Code() string {
	code := b.Status
	if b.Reply > 0 {
		code = strings.TrimSpace(strconv.Itoa(b.Reply) + " " + b.Status)
	}
	return message.Word(code, message.MaxWord)
}

// judged adds why a mail failed.
func (b Bounce) judged() Bounce {
	switch {
	case b.Action != Failed:
	case strings.HasPrefix(b.Status, "4."), b.Status == "" && b.Reply/100 == 4:
		b.Outcome = message.TryOther // it was tried for days
	default:
		b.Outcome = Cause(b.Reply, b.Status)
	}
	return b
}

var (
	errTooLarge  = fault.New(fault.TooLarge, "bounce_too_large", "This mail is longer than any delivery report. Send reports with the headers of the mail only.")
	errMalformed = fault.New(fault.Invalid, "bounce_malformed", "This mail can't be read: its headers or its parts are not as RFC 5322 and RFC 2045 have them.")
)

// Parse reads a mail that came to a return address. ok is false for one that says nothing of a delivery: an automatic
// answer (RFC 3834), a receipt of reading, a person's answer. Read are delivery status notifications (RFC 3464) in a
// multipart/report (RFC 6522), also within other multiparts, and two kinds of older bounces: qmail's, and Exim's with
// X-Failed-Recipients.
//
// Auto-Submitted alone says nothing: most servers write auto-replied over their bounces, too.
//
// Of several recipients the most hopeful one counts: a mail of ours has one recipient, and where a server gave it to
// several, it isn't lost as long as one of them may have it.
//
// Faults: TooLarge, Invalid. It never waits, and what it holds in memory is bounded by [MaxMail].
func Parse(raw []byte) (b Bounce, ok bool, err error) {
	if len(raw) > MaxMail {
		return Bounce{}, false, errTooLarge
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Bounce{}, false, errMalformed
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err == nil && strings.HasPrefix(kind, "multipart/") {
		status, err := findStatus(m.Body, kind, params, 1)
		if err != nil || status == nil {
			return Bounce{}, false, err
		}
		b, ok = parseStatus(status)
		return b, ok, nil
	}
	b, ok = parsePlain(m)
	return b, ok, nil
}

// findStatus returns the part of a multipart that holds a delivery status; nil: there is none. What is in a message/rfc822 is
// the mail that came back, and says nothing.
func findStatus(body io.Reader, kind string, params map[string]string, depth int) ([]byte, error) {
	if params["boundary"] == "" {
		return nil, errMalformed
	}
	if report := params["report-type"]; kind == "multipart/report" && report != "" && !strings.EqualFold(report, "delivery-status") {
		return nil, nil // a receipt of reading, a complaint
	}
	parts := multipart.NewReader(body, params["boundary"])
	for range maxParts {
		part, err := parts.NextPart() // which decodes quoted-printable
		if err != nil {
			if err == io.EOF {
				return nil, nil
			}
			return nil, errMalformed
		}
		kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		switch {
		case err != nil:
		case kind == "message/delivery-status", kind == "message/global-delivery-status": // RFC 6533 3
			var content io.Reader = part
			if strings.EqualFold(strings.TrimSpace(part.Header.Get("Content-Transfer-Encoding")), "base64") {
				content = base64.NewDecoder(base64.StdEncoding, part)
			}
			status, err := io.ReadAll(io.LimitReader(content, maxNotice))
			if err != nil && len(status) == 0 {
				return nil, errMalformed
			}
			return status, nil
		case strings.HasPrefix(kind, "multipart/") && depth < maxDepth:
			if status, err := findStatus(part, kind, params, depth+1); err == nil && status != nil {
				return status, nil
			}
		}
	}
	return nil, nil
}

// parseStatus reads the content of a message/delivery-status: groups of fields between empty lines, the first about the
// mail, one for each recipient after it (RFC 3464 2.1). A group with an Action or a Status is taken for a recipient's
// wherever it stands.
func parseStatus(content []byte) (best Bounce, ok bool) {
	for range maxRecipients {
		var group map[string]string
		if group, content = nextGroup(content); group == nil {
			break
		}
		b, said := parseRecipient(group)
		if said && (!ok || b.hope() > best.hope()) {
			best, ok = b, true
		}
	}
	return best.judged(), ok
}

// hope orders the actions.
func (b Bounce) hope() int {
	switch b.Action {
	case Failed:
		return 0
	case Delayed:
		return 1
	default:
		return 2
	}
}

// nextGroup reads fields until an empty line, unfolded, their names in lower case; nil: nothing is left. Of a field that
// comes twice the first counts.
func nextGroup(content []byte) (group map[string]string, rest []byte) {
	last := ""
	for len(content) > 0 {
		line, after, _ := bytes.Cut(content, []byte("\n"))
		content = after
		text := strings.TrimRight(string(line), " \t\r")
		switch {
		case text == "":
			if group != nil {
				return group, content
			}
		case (text[0] == ' ' || text[0] == '\t') && last != "":
			group[last] += " " + strings.TrimSpace(text)
		default:
			name, value, found := strings.Cut(text, ":")
			if last = ""; !found {
				continue
			}
			if group == nil {
				group = map[string]string{}
			}
			if name = strings.ToLower(strings.TrimSpace(name)); group[name] == "" {
				group[name], last = strings.TrimSpace(value), name
			}
		}
	}
	return group, nil
}

// parseRecipient reads what happened for one recipient; false: the group is not about one.
func parseRecipient(group map[string]string) (Bounce, bool) {
	var b Bounce
	b.Status = statusAt(group["status"])
	if kind, text, found := strings.Cut(group["diagnostic-code"], ";"); found {
		reply, status := replyIn(strings.TrimSpace(text))
		if strings.EqualFold(strings.TrimSpace(kind), "smtp") {
			b.Reply = reply
		}
		// 5.0.0 is what servers say that don't translate what they were told (RFC 3463 3.1).
		if b.Status == "" || status != "" && strings.HasSuffix(b.Status, ".0.0") {
			b.Status = status
		}
	}
	action, _, _ := strings.Cut(strings.ToLower(group["action"]), " ") // some add a comment
	for a := Failed; a <= Expanded; a++ {
		if action == actionNames[a] {
			b.Action = a
		}
	}
	if b.Action == 0 && b.Status != "" {
		b.Action = map[byte]Action{'5': Failed, '4': Delayed, '2': Delivered}[b.Status[0]]
	}
	return b, b.Action != 0
}

// A reply code stands at the start of a line or after what the server of the report says ("host mx.example [192.0.2.1]: 550"); an
// enhanced status begins a text, follows the reply code ("550 5.1.1", "550-5.1.1"), or stands in "(#5.1.1)".
var (
	statusPattern = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}`)
	hintPattern   = regexp.MustCompile(`[(#][245]\.\d{1,3}\.\d{1,3}`)
	replyPattern  = regexp.MustCompile(`(?m)(?:^|: )[ \t]*([45][0-5]\d)(?:[ -]+#?|$)`)
)

// statusAt reads the enhanced status that begins a text; empty: there is none. Four numbers are an IP address.
func statusAt(text string) string {
	status := statusPattern.FindString(text)
	if rest := text[len(status):]; rest != "" && (digit(rest[0]) || len(rest) > 1 && rest[0] == '.' && digit(rest[1])) {
		return ""
	}
	return status
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// replyIn finds a reply code and an enhanced status in a server's words; 0 and empty: there is none.
func replyIn(text string) (reply int, status string) {
	if m := replyPattern.FindStringSubmatchIndex(text); m != nil {
		reply, _ = strconv.Atoi(text[m[2]:m[3]]) // three digits
		status = statusAt(text[m[1]:])
	}
	if at := hintPattern.FindStringIndex(text); status == "" && at != nil {
		status = statusAt(text[at[0]+1:])
	}
	return reply, status
}

// qmailIntro starts each of qmail's bounces (its own format, QSBMF), qmailCopy what follows of the mail.
const (
	qmailIntro = "Hi. This is the "
	qmailCopy  = "\n--- "
	eximCopy   = "\n------ This is a copy of "
)

// parsePlain reads bounces that are no reports: those of qmail, and of Exim before it made reports. Anybody may write such
// a text, so it has to say which.
func parsePlain(m *mail.Message) (Bounce, bool) {
	var text strings.Builder
	lines := bufio.NewScanner(io.LimitReader(m.Body, maxNotice))
	for lines.Scan() {
		text.WriteString(strings.TrimRight(lines.Text(), "\r"))
		text.WriteByte('\n')
	}
	body := strings.TrimLeft(text.String(), "\n")
	switch {
	case strings.HasPrefix(body, qmailIntro):
		body, _, _ = strings.Cut(body, qmailCopy)
	case m.Header.Get("X-Failed-Recipients") != "":
		body, _, _ = strings.Cut(body, eximCopy)
	default:
		return Bounce{}, false
	}
	b := Bounce{Action: Failed}
	b.Reply, b.Status = replyIn(body)
	return b.judged(), true
}
