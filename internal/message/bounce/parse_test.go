// SPDX-License-Identifier: Apache-2.0

package bounce_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/bounce"
)

// corpus says what each mail of testdata means; one without an action says nothing.
var corpus = map[string]struct {
	action  bounce.Action
	code    string
	outcome message.Outcome
}{
	"postfix-unknown":    {bounce.Failed, "550 5.1.1", message.Unreachable},
	"postfix-delayed":    {bounce.Delayed, "4.4.1", 0},
	"postfix-expired":    {bounce.Failed, "4.4.1", message.TryOther},
	"exim":               {bounce.Failed, "550 5.0.0", message.Unreachable},
	"exim-old":           {bounce.Failed, "552 5.2.2", message.TryOther},
	"exchange":           {bounce.Failed, "550 5.1.10", message.Unreachable},
	"exchange-denied":    {bounce.Failed, "550 5.4.1", message.Unreachable},
	"gmail":              {bounce.Failed, "550 5.1.1", message.Unreachable},
	"gmail-full":         {bounce.Failed, "552 5.2.2", message.TryOther},
	"gmail-spf":          {bounce.Failed, "550 5.7.26", message.Misconfigured},
	"blocked":            {bounce.Failed, "554 5.7.1", message.Blocked},
	"sendmail":           {bounce.Failed, "550 5.1.2", message.Unreachable},
	"qmail":              {bounce.Failed, "5.1.1", message.Unreachable},
	"qmail-remote":       {bounce.Failed, "554 5.7.1", message.Blocked},
	"rfc3464":            {bounce.Delayed, "4.0.0", 0}, // one of its two recipients may still get it
	"relayed":            {bounce.Relayed, "2.0.0", 0},
	"internationalized":  {bounce.Failed, "550 5.2.1", message.Unreachable},
	"wrapped":            {bounce.Failed, "5.1.1", message.Unreachable},
	"vacation":           {},
	"vacation-multipart": {},
	"read-receipt":       {},
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What the servers of this world write is understood, with either kind of line end, and nothing is kept of the mailbox.
func TestBouncesOfManyServers(t *testing.T) {
	t.Parallel()
	all, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(all) != len(corpus) {
		t.Fatalf("%d samples, %d are known: %v", len(all), len(corpus), err)
	}
	for name, want := range corpus {
		raw := sample(t, name)
		for _, text := range [][]byte{raw, bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))} {
			b, ok, err := bounce.Parse(text)
			if err != nil || ok != (want.action != 0) || b.Action != want.action || b.Code() != want.code || b.Outcome != want.outcome {
				t.Errorf("%s: %+v (%q), %v, %v, want %+v", name, b, b.Code(), ok, err, want)
			}
			if b.Final() != (want.action == bounce.Failed) {
				t.Errorf("%s: final: %v", name, b.Final())
			}
		}
	}
}

// report is a notification with these fields about its recipient.
func report(fields string) []byte {
	return []byte("From: <>\nContent-Type: multipart/report; report-type=delivery-status; boundary=B\n\n--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\n" +
		fields + "\n\n--B--\n")
}

func TestOddReports(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields  string
		action  bounce.Action
		code    string
		outcome message.Outcome
	}{
		"no status":                  {"Action: failed\nDiagnostic-Code: smtp; 553 sorry", bounce.Failed, "553", message.Unreachable},
		"nothing but the action":     {"ACTION: Failed (for good)", bounce.Failed, "", message.TryOther},
		"an address for a status":    {"Action: failed\nStatus: 5.1.1.7", bounce.Failed, "", message.TryOther},
		"an address in the words":    {"Action: failed\nDiagnostic-Code: smtp; 554 5.7.1.9 is your address", bounce.Failed, "554", message.Blocked},
		"a status in brackets":       {"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 554 delivery error (#5.2.1)", bounce.Failed, "554 5.2.1", message.Unreachable},
		"a temporary refusal, ended": {"Action: failed\nDiagnostic-Code: smtp; 451 later", bounce.Failed, "451", message.TryOther},
		"our own address is bad":     {"Action: failed\nStatus: 5.1.8", bounce.Failed, "5.1.8", message.Misconfigured},
		"the host takes no mail":     {"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 521 no mail here", bounce.Failed, "521 5.0.0", message.Unreachable},
		"says nothing and is old":    {"Action: failed\nStatus: 5.5.0\nDiagnostic-Code: smtp; 550 mailbox unavailable", bounce.Failed, "550 5.5.0", message.Unreachable},
		"another system's words":     {"Action: failed\nStatus: 5.3.2\nDiagnostic-Code: x-unix; 550 of something", bounce.Failed, "5.3.2", message.TryOther},
		"a word of no RFC":           {"Action: exploded\nStatus: 4.2.2", bounce.Delayed, "4.2.2", 0},
		"two groups, one delivered":  {"Action: failed\nStatus: 5.1.1\n\nAction: delivered\nStatus: 2.0.0", bounce.Delivered, "2.0.0", 0},
		"lines that are no fields":   {"what is this\n  and this\nAction: failed\nStatus: 5.1.1", bounce.Failed, "5.1.1", message.Unreachable},
	} {
		b, ok, err := bounce.Parse(report(c.fields))
		if err != nil || !ok || b.Action != c.action || b.Code() != c.code || b.Outcome != c.outcome {
			t.Errorf("%s: %+v (%q), %v, %v", name, b, b.Code(), ok, err)
		}
	}
	if _, ok, err := bounce.Parse(report("Subject: nothing")); ok || err != nil {
		t.Errorf("a report about nobody: %v, %v", ok, err)
	}
}

// What is too big, too deep or torn is refused or says nothing; it neither panics nor takes long.
func TestBadMails(t *testing.T) {
	t.Parallel()
	deep := "From: <>\n"
	for range 50 {
		deep += "Content-Type: multipart/mixed; boundary=B\n\n--B\n"
	}
	for name, c := range map[string]struct {
		raw  string
		code string
	}{
		"empty":               {"", "bounce_malformed"},
		"no headers":          {"hello", "bounce_malformed"},
		"no boundary":         {"Content-Type: multipart/report\n\nx", "bounce_malformed"},
		"torn":                {"Content-Type: multipart/report; boundary=B\n\n--B\nContent-Type: text/plain\n\nx", "bounce_malformed"},
		"too big":             {"Subject: x\n\n" + strings.Repeat("x", bounce.MaxMail), "bounce_too_large"},
		"too deep":            {deep, ""},
		"too many parts":      {"Content-Type: multipart/mixed; boundary=B\n\n" + strings.Repeat("--B\n\nx\n", 5000) + string(report("Action: failed")), ""},
		"half a million gaps": {string(report(strings.Repeat("\n", 500_000) + "Action: failed")), ""},
	} {
		_, ok, err := bounce.Parse([]byte(c.raw))
		if ok || c.code == "" != (err == nil) || err != nil && fault.As(err).Code != c.code {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for name := range corpus {
		f.Add(sample(f, name))
	}
	f.Add(report("Action: failed\nStatus: 5.1.1"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, ok, err := bounce.Parse(raw)
		if ok && err != nil || ok != (b.Action != 0) {
			t.Fatalf("%+v, %v, %v", b, ok, err)
		}
		if (b.Action == bounce.Failed) != (b.Outcome != 0) || len(b.Code()) > message.MaxWord || strings.Contains(b.Code(), "@") {
			t.Fatalf("%+v %q", b, b.Code())
		}
	})
}
