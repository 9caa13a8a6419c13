// SPDX-License-Identifier: Apache-2.0

package care_test

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/authentic"
	"github.com/countersign/countersign/internal/care"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/secret"
	"github.com/countersign/countersign/internal/verification"
)

func sms(text string) care.NewReport {
	return care.NewReport{Kind: "message", Channel: "sms", Sender: "+1 415 555 0199", Text: text, Country: "US", Received: time.Now().Add(-time.Hour)}
}

// Somebody without an account reports a text; what they paste is blanked, and they hear what became of it.
// Keeps: E.3
func TestAReport(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		n := sms("Acme: your code is 483920. Card 4111 1111 1111 1111 blocked, go to hxxps://acme-login.bad[.]example/x?y=1 now!")
		n.URLs = []string{"http://www.other-trap.co.uk/path"}
		r, token, err := w.care.File(ctx, w.svc, n)
		must(t, err)
		if strings.Contains(r.Text, "4839") || strings.Contains(r.Text, "4111") || !strings.Contains(r.Text, "your code is") {
			t.Fatalf("not blanked: %q", r.Text)
		}
		if fmt.Sprint(r.Domains) != "[www.other-trap.co.uk acme-login.bad.example]" || r.Status != care.Received || len(r.Clusters) != 4 {
			t.Fatalf("%+v", r)
		}
		seen, err := w.care.StatusOf(ctx, w.svc, r.ID, token)
		must(t, err)
		if seen.Status != care.Received {
			t.Fatalf("%+v", seen)
		}
		for _, wrong := range []string{"", "rpt_", "rpt_" + strings.Repeat("a", 26), token.Reveal() + "a", strings.ToUpper(token.Reveal())} {
			_, err := w.care.StatusOf(ctx, w.svc, r.ID, secret.NewText(wrong))
			refused(t, err, "report_not_found")
		}
		_, err = w.care.StatusOf(ctx, w.other, r.ID, token)
		refused(t, err, "report_not_found")
		_, err = w.care.Settle(ctx, w.svc, r.ID, agent, "nothing", "")
		refused(t, err, "invalid_status")
		_, err = w.care.Settle(ctx, w.svc, r.ID, agent, care.Confirmed, strings.Repeat("x", care.MaxNote+1))
		refused(t, err, "text_too_long")
		_, err = w.care.Settle(ctx, w.svc, r.ID, agent, care.Confirmed, "It is a fraud.\nThank you.")
		must(t, err)
		if seen, err = w.care.StatusOf(ctx, w.svc, r.ID, token); err != nil || seen.Status != care.Confirmed || seen.Note != "It is a fraud. Thank you." {
			t.Fatalf("%v %+v", err, seen)
		}
		list, _, err := w.care.Reports(ctx, w.svc, care.Filter{Status: care.Confirmed, Cluster: r.Clusters[0]}, ledger.ID{}, 10)
		must(t, err)
		if len(list) != 1 || list[0].By != agent.Name {
			t.Fatalf("%+v", list)
		}
		if list, _, err = w.care.Reports(ctx, w.svc, care.Filter{Status: care.Received}, ledger.ID{}, 10); err != nil || len(list) != 0 {
			t.Fatalf("%v %+v", err, list)
		}
		if got := strings.Join(w.events(), " "); got != "report.received report.settled" {
			t.Fatalf("events: %s", got)
		}
	})
}

// Reports are no flood: an account and an address have a limit, and what isn't a report is refused in words.
// Keeps: E.3, S3
func TestLimitsOfReports(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		own := sms("Pay now or your parcel goes back to the sender")
		own.Account = ann
		for range care.MaxReports {
			_, token, err := w.care.File(ctx, w.svc, own)
			must(t, err)
			if token.Reveal() != "" {
				t.Fatal("an account's report needs no token")
			}
		}
		_, _, err := w.care.File(ctx, w.svc, own)
		refused(t, err, "too_many_reports")
		mine, err := w.care.ReportsOf(ctx, w.svc, ann)
		must(t, err)
		if len(mine) != care.MaxReports {
			t.Fatalf("%d reports", len(mine))
		}
		from := sms("Pay now or your parcel goes back to the sender")
		from.Caller = verification.Caller{IP: "203.0.113.9"}
		for range 30 {
			_, _, err := w.care.File(ctx, w.svc, from)
			must(t, err)
		}
		_, _, err = w.care.File(ctx, w.svc, from)
		refused(t, err, "caller_sends_exhausted")
		change := func(fn func(*care.NewReport)) care.NewReport {
			n := sms("x")
			fn(&n)
			return n
		}
		for code, n := range map[string]care.NewReport{
			"invalid_kind":       change(func(n *care.NewReport) { n.Kind = "fax" }),
			"invalid_channel":    change(func(n *care.NewReport) { n.Channel = "" }),
			"invalid_country":    change(func(n *care.NewReport) { n.Country = "us" }),
			"sender_too_long":    change(func(n *care.NewReport) { n.Sender = strings.Repeat("x", 101) }),
			"text_too_long":      change(func(n *care.NewReport) { n.Text = strings.Repeat("x", care.MaxText+1) }),
			"too_many_urls":      change(func(n *care.NewReport) { n.URLs = make([]string, 11) }),
			"url_too_long":       change(func(n *care.NewReport) { n.URLs = []string{strings.Repeat("x", 501)} }),
			"received_in_future": change(func(n *care.NewReport) { n.Received = time.Now().Add(48 * time.Hour) }),
			"received_too_early": change(func(n *care.NewReport) { n.Received = time.Unix(-1, 0) }),
			"report_empty":       change(func(n *care.NewReport) { n.Text, n.Sender = " \u202e", "\x00 " }),
		} {
			_, _, err := w.care.File(ctx, w.svc, n)
			refused(t, err, code)
		}
	})
}

// Five people report the same within hours: support is warned, once a day. One person who reports five times, or a sender who is always reported as
// often, raises no alarm.
// Keeps: E.3
func TestACampaignRises(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		file := func(sender, text string, who byte) {
			n := sms(text)
			n.Sender, n.Account = sender, ledger.ID{who, 9}
			_, _, err := w.care.File(ctx, w.svc, n)
			must(t, err)
		}
		alarms := func() (n int) {
			for _, e := range w.events() {
				if e == "report.rising" {
					n++
				}
			}
			if got := strings.Count(w.log.String(), "are rising"); got != n {
				t.Fatalf("%d alarms, %d warnings", n, got)
			}
			return n
		}
		for range 6 {
			file("Nagger", "The same person tells this again and again", 1)
		}
		if n := alarms(); n != 0 {
			t.Fatalf("one person raised %d alarms", n)
		}
		for i := range 7 {
			file("+14155550177", fmt.Sprintf("Acme: pay customs of %d.99 at https://toll.bad.example/%d", 10+i, i), byte(10+i))
		}
		if n := alarms(); n != 3 { // its sender, its domain, its words
			t.Fatalf("%d alarms of a campaign with three clues", n)
		}
		clusters, err := w.care.Clusters(ctx, w.svc)
		must(t, err)
		if len(clusters) != 5 || !clusters[0].Rising || clusters[0].Recent != 7 || clusters[0].Total != 7 || clusters[4].Rising || clusters[4].Recent != 1 || clusters[4].Total != 6 {
			t.Fatalf("%+v", clusters)
		}
		labels := fmt.Sprint(clusters[0].Label, clusters[1].Label, clusters[2].Label)
		if !strings.Contains(labels, "bad.example") || !strings.Contains(labels, "+14155550177") {
			t.Fatalf("%+v", clusters)
		}
		one, err := w.care.Cluster(ctx, w.svc, clusters[0].ID)
		must(t, err)
		if *one != clusters[0] {
			t.Fatalf("%+v", one)
		}
		_, err = w.care.Cluster(ctx, w.svc, ledger.ID{0xff, 3})
		refused(t, err, "cluster_not_found")
		w.pass(25 * time.Hour)
		for i := range 6 {
			if n := alarms(); n != 3 { // 5 in 6 hours are not yet three times as many an hour as 7 in 24
				t.Fatalf("%d alarms with %d on the next day", n, i)
			}
			file("+14155550177", "", byte(40+i))
		}
		if n := alarms(); n != 3+1 {
			t.Fatalf("%d alarms on the next day", n)
		}
		before := 0
		for h := range 40 {
			w.pass(time.Hour)
			file("+14155550188", "", byte(60+h))
			if h == 15 {
				before = alarms()
			}
		}
		if n := alarms(); before < 4+1 || n != before { // when it began, there was nothing before it; afterwards it is steady
			t.Fatalf("%d alarms of a steady sender, %d when it began", n, before)
		}
	})
}

func picture(t testing.TB, w, h int) *image.RGBA {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x + y), 255})
		}
	}
	return img
}

// withEXIF puts a segment of metadata behind a JPEG's first two bytes (EXIF 2.3, 4.5.4).
func withEXIF(plain []byte, meta string) []byte {
	segment := append([]byte{0xff, 0xe1, 0, 0}, "Exif\x00\x00"+meta...)
	binary.BigEndian.PutUint16(segment[2:], uint16(len(segment)-2))
	return append(append(plain[:2:2], segment...), plain[2:]...)
}

// bomb is a PNG of a few bytes that says it is huge.
func bomb() []byte {
	head := []byte{0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 1, 0, 0, 0, 1, 0, 0, 8, 6, 0, 0, 0}
	out := append([]byte("\x89PNG\r\n\x1a\n"), head...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(head[4:]))
}

// A screenshot loses its metadata and what hangs on behind it, is made smaller, and is looked at before it is decoded.
// Keeps: E.3
func TestScreenshots(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		n := sms("Look at this")
		n.Account = ann
		r, _, err := w.care.File(ctx, w.svc, n)
		must(t, err)
		_, _, err = w.care.Screenshot(ctx, w.svc, r.ID)
		refused(t, err, "screenshot_not_found")
		for code, raw := range map[string][]byte{
			"invalid_screenshot":   []byte("<svg onload=alert(1)>"),
			"screenshot_too_large": bomb(),
		} {
			_, err := w.care.AddScreenshot(ctx, w.svc, r.ID, ann, raw)
			refused(t, err, code)
		}
		_, err = w.care.AddScreenshot(ctx, w.svc, r.ID, ann, make([]byte, care.MaxScreenshot+1))
		refused(t, err, "screenshot_too_large")
		var plain bytes.Buffer
		must(t, jpeg.Encode(&plain, picture(t, 2000, 1000), nil))
		raw := append(withEXIF(plain.Bytes(), "GPS 48.2082 16.3738"), "<script>hidden behind it</script>"...)
		_, err = w.care.AddScreenshot(ctx, w.svc, r.ID, bob, raw)
		refused(t, err, "report_not_found")
		r, err = w.care.AddScreenshot(ctx, w.svc, r.ID, ann, raw)
		must(t, err)
		got, kind, err := w.care.Screenshot(ctx, w.svc, r.ID)
		must(t, err)
		conf, format, err := image.DecodeConfig(bytes.NewReader(got))
		must(t, err)
		if r.Screenshot != care.JPEG || kind != care.JPEG || format != "jpeg" || conf.Width != 1600 || conf.Height != 800 {
			t.Fatalf("%s %s %+v", kind, format, conf)
		}
		for _, gone := range []string{"GPS", "Exif", "script"} {
			if !bytes.Contains(raw, []byte(gone)) || bytes.Contains(got, []byte(gone)) {
				t.Fatalf("%s is still there", gone)
			}
		}
		_, err = w.care.AddScreenshot(ctx, w.svc, r.ID, ann, raw)
		refused(t, err, "screenshot_given")
		must(t, w.care.RemoveScreenshot(ctx, w.svc, r.ID))
		_, _, err = w.care.Screenshot(ctx, w.svc, r.ID)
		refused(t, err, "screenshot_not_found")
		refused(t, w.care.RemoveScreenshot(ctx, w.svc, r.ID), "screenshot_not_found")
	})
}

// What is small as a file and large to decode is refused before it is decoded: many pixels, deep ones, a progressive JPEG, one of many scans.
func TestPictureBombs(t *testing.T) {
	t.Parallel()
	var deep, grey, scans bytes.Buffer
	must(t, png.Encode(&deep, image.NewGray16(image.Rect(0, 0, 3200, 3200))))
	must(t, png.Encode(&grey, image.NewGray(image.Rect(0, 0, 4500, 4500))))
	must(t, jpeg.Encode(&scans, picture(t, 9, 9), nil))
	must(t, scans.WriteByte(0xff))
	scans.Write(bytes.Repeat([]byte{0xff, 0xda}, 65))
	var large bytes.Buffer
	must(t, jpeg.Encode(&large, image.NewGray(image.Rect(0, 0, 3000, 3000)), nil))
	progressive := append(large.Bytes(), 0xff, 0xc2)
	for name, c := range map[string]struct {
		raw  []byte
		code string
	}{
		"pixels": {grey.Bytes(), "screenshot_too_large"}, "deep": {deep.Bytes(), "screenshot_too_large"},
		"progressive": {progressive, "screenshot_too_large"}, "scans": {scans.Bytes(), "invalid_screenshot"}, "header": {bomb(), "screenshot_too_large"},
	} {
		start := time.Now()
		_, _, err := care.Clean(c.raw)
		if refused(t, err, c.code); time.Since(start) > time.Second {
			t.Errorf("%s: refused after %v", name, time.Since(start))
		}
	}
	if _, kind, err := care.Clean(large.Bytes()); err != nil || kind != care.JPEG {
		t.Fatalf("a large picture that is no bomb: %v", err)
	}
}

// Whatever is sent as a picture is refused or comes out as a small picture.
func FuzzScreenshot(f *testing.F) {
	var p, j bytes.Buffer
	must(f, png.Encode(&p, picture(f, 9, 7)))
	must(f, jpeg.Encode(&j, picture(f, 9, 7), nil))
	f.Add(p.Bytes())
	f.Add(withEXIF(j.Bytes(), "x"))
	f.Add(bomb())
	f.Fuzz(func(t *testing.T, raw []byte) {
		if conf, _, err := image.DecodeConfig(bytes.NewReader(raw)); err == nil && conf.Width*conf.Height > 1<<20 {
			t.Skip("slow") // large ones are for the test above
		}
		out, kind, err := care.Clean(raw)
		if err != nil {
			return
		}
		conf, format, err := image.DecodeConfig(bytes.NewReader(out))
		if err != nil || "image/"+format != kind || conf.Width > 1600 || conf.Height > 1600 || len(out) > care.MaxScreenshot {
			t.Fatalf("%s %+v %v", format, conf, err)
		}
	})
}

// Of whatever text, no run of four digits is left, nothing else is changed, and finding domains ends.
func FuzzText(f *testing.F) {
	for _, s := range []string{"code 123 456", "\u0661\u0662\u0663\u0664", "DE89 3704 0044 0532 0130 00", "go to hxxp://a[.]example:80/x", "a.b@c.example", "1-2-3-4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		got := authentic.BlankAll(text)
		run := 0
		was := []rune(text)
		for i, r := range []rune(got) {
			if unicode.IsDigit(r) {
				run++
			} else {
				run = 0
			}
			if run >= 4 || r != was[i] && !unicode.IsDigit(was[i]) {
				t.Fatalf("%q became %q", text, got)
			}
		}
		for _, d := range care.DomainsOf(text, []string{text}) {
			if !strings.Contains(d, ".") || strings.ContainsAny(d, " /@\"<>\r\n") {
				t.Fatalf("%q in %q", d, text)
			}
		}
	})
}

// Like reports are found alike, and others are not.
func TestDomains(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"see https://user:pw@Login.Bad.Example:8443/a?b#c":    "login.bad.example",
		"hxxps://bad[.]example":                               "bad.example",
		"write to help@acme-support.com today":                "acme-support.com",
		"bad-bank.com/verify":                                 "bad-bank.com",
		"https://b\u00fccher.example":                         "xn--bcher-kva.example",
		"It ended.Then it began. e.g. 3.50":                   "",
		"http://192.0.2.1/ and ftp://.. and http://[::1]/":    "192.0.2.1",
		"javascript:alert(1) ../../etc/passwd https:// //x.y": "",
	} {
		if got := strings.Join(care.DomainsOf(text, nil), " "); got != want {
			t.Errorf("%q has %q", text, got)
		}
	}
}

// An export is read by what reads such files; a cell is no formula, and a sender no header.
// Keeps: E.3
func TestExport(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		evil := care.NewReport{
			Kind: "message", Channel: "email", Sender: "=cmd|' /C calc'!A0\r\nBcc: x@y.example", Account: ann,
			Text: "From bad people\nPay, \"now\" at https://trap.bad.example/\n.\nFrom here on", Country: "GB",
		}
		r, _, err := w.care.File(ctx, w.svc, evil)
		must(t, err)
		w.pass(time.Second) // so that they are in order
		mailed := evil
		mailed.Sender = "Acme Support <help@acme-support.example>"
		second, _, err := w.care.File(ctx, w.svc, mailed)
		must(t, err)
		_, err = w.care.Settle(ctx, w.svc, second.ID, agent, care.Confirmed, "")
		must(t, err)
		w.pass(time.Second)
		_, _, err = w.care.File(ctx, w.svc, sms("+SUM(1)"))
		must(t, err)
		get := func(format string, f care.Filter) string {
			var out bytes.Buffer
			must(t, w.care.Export(ctx, w.svc, &out, format, f))
			if strings.Contains(out.String(), ann.String()) {
				t.Fatal("it says who reported")
			}
			return out.String()
		}
		refused(t, w.care.Export(ctx, w.svc, io.Discard, "xls", care.Filter{}), "invalid_format")

		lines := strings.Split(strings.TrimSpace(get(care.FormatJSON, care.Filter{})), "\n")
		var one struct{ ID, Sender, Text string }
		must(t, json.Unmarshal([]byte(lines[2]), &one))
		if len(lines) != 3 || one.ID != care.FormatReport(r.ID) || one.Text != r.Text {
			t.Fatalf("%v", lines)
		}
		table, err := csv.NewReader(strings.NewReader(get(care.FormatCSV, care.Filter{}))).ReadAll()
		must(t, err)
		if len(table) != 4 || table[3][5] != "'"+r.Sender || table[1][8] != "'+SUM(1)" || table[1][5] != "'+1 415 555 0199" {
			t.Fatalf("%q", table)
		}
		for _, row := range table {
			for _, cell := range row {
				if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t\r") {
					t.Fatalf("a formula: %q", cell)
				}
			}
		}
		if got := get(care.FormatJSON, care.Filter{Since: time.Now().Add(time.Hour)}); got != "" {
			t.Fatalf("%s", got)
		}
		if got := get(care.FormatJSON, care.Filter{Until: time.Now().Add(-time.Hour)}); got != "" {
			t.Fatalf("%s", got)
		}
		mailbox := strings.Split(get(care.FormatARF, care.Filter{}), "From MAILER-DAEMON ")[1:]
		if len(mailbox) != 2 {
			t.Fatalf("%d mails", len(mailbox))
		}
		for i, text := range mailbox {
			_, text, _ = strings.Cut(text, "\n")
			feedback, original := readARF(t, text)
			want := []string{"fraud", "abuse"}[i]
			if feedback.Get("Feedback-Type") != want || feedback.Get("Version") != "1" || feedback.Get("User-Agent") == "" || feedback.Get("Reported-Domain") != "trap.bad.example" {
				t.Fatalf("%+v", feedback)
			}
			if original.Header.Get("Bcc") != "" || !strings.Contains(original.Header.Get("From"), []string{"help@acme-support.example", "unknown.invalid"}[i]) {
				t.Fatalf("%+v", original.Header)
			}
		}
	})
}

// readARF reads a report as RFC 5965 has it: three parts, the second fields for programs, the third a message.
func readARF(t *testing.T, text string) (mail.Header, *mail.Message) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	must(t, err)
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	must(t, err)
	if _, err := mail.ParseAddress(m.Header.Get("From")); err != nil || kind != "multipart/report" || params["report-type"] != "feedback-report" {
		t.Fatalf("%s %v %v", kind, params, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	var kinds []string
	var feedback mail.Header
	var original *mail.Message
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		must(t, err)
		content, err := io.ReadAll(p)
		must(t, err)
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		must(t, err)
		kinds = append(kinds, kind)
		switch kind {
		case "message/feedback-report":
			f, err := mail.ReadMessage(bytes.NewReader(append(content, "\r\n\r\n"...)))
			must(t, err)
			feedback = f.Header
		case "message/rfc822":
			original, err = mail.ReadMessage(bytes.NewReader(content))
			must(t, err)
			if _, err := original.Header.Date(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fmt.Sprint(kinds) != "[text/plain message/feedback-report message/rfc822]" {
		t.Fatalf("%v", kinds)
	}
	return feedback, original
}

// Nothing that people wrote stands in the database, in the clear or as a hash that anybody can make; what was planted is found.
// Keeps: A.7, S13, S14
func TestTheDatabaseTellsNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := newWorld(t, "sqlite:"+filepath.Join(folder, "care.db"))
	ctx := t.Context()
	c, err := w.care.Open(ctx, w.svc, ann, care.NewCase{Subject: care.SuspiciousCall, Text: "plum orchard 483920", Facts: []care.Fact{{Key: "device", Value: "velvet kettle"}}})
	must(t, err)
	_, err = w.care.Answer(ctx, w.svc, c.ID, agent, "copper lantern")
	must(t, err)
	n := sms("marble harbour sends 483920 from https://cobalt.bad.example")
	n.Sender, n.Account = "Topaz Bank", ann
	r, _, err := w.care.File(ctx, w.svc, n)
	must(t, err)
	_, err = w.care.Settle(ctx, w.svc, r.ID, agent, care.Harmless, "amber note")
	must(t, err)
	var all []byte
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	must(t, err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		must(t, err)
		all = append(all, b...)
	}
	if !bytes.Contains(all, []byte("acme.example")) {
		t.Fatal("the control isn't found: this looks at the wrong files")
	}
	for _, plain := range []string{"plum", "orchard", "483920", "velvet", "copper", "marble", "cobalt", "Topaz", "topaz", "amber", "staff:acc_7", "suspicious_call", string(ann[:])} {
		if bytes.Contains(all, []byte(plain)) {
			t.Errorf("%q stands in the database", plain)
		}
	}
	if strings.Contains(w.log.String(), "marble") {
		t.Error("and in the log")
	}
}

// The table of places is whole, and another one is read with care.
// Keeps: E.3
func TestPlaces(t *testing.T) {
	t.Parallel()
	p, err := care.OpenPlaces("")
	must(t, err)
	for _, country := range []string{"US", "CA", "GB", "IE", "DE", "FR", "ES", "PT", "IT", "NL", "CH", "AT", "IN", "JP", "CN"} {
		if len(p.In(country)) == 0 {
			t.Errorf("nothing for %s", country)
		}
	}
	if len(p.In("ZZ")) != 0 || len(p.Countries()) < 15 {
		t.Error("places for nowhere")
	}
	path := filepath.Join(t.TempDir(), "places.json")
	must(t, os.WriteFile(path, []byte(`[{"country": "NO", "takes": ["sms"], "name": "Somebody", "how": "Ask.", "number": "1234"}]`), 0o600))
	p, err = care.OpenPlaces(path)
	must(t, err)
	if len(p.In("NO")) != 1 || len(p.In("US")) != 0 {
		t.Error("the file isn't taken")
	}
	for _, bad := range []string{
		"", "{}", `[{}]`, `[{"country": "NO", "takes": ["fax"], "name": "a", "how": "b", "number": "1"}]`, `[{"country": "NO", "takes": ["sms"], "name": "a", "how": "b"}]`,
		`[{"country": "NO", "takes": ["web"], "name": "a", "how": "b", "url": "javascript:alert(1)"}]`, `[{"country": "NO", "takes": ["web"], "name": "a\nb", "how": "b", "number": "1"}]`,
		strings.Repeat(" ", 1<<20+1),
	} {
		must(t, os.WriteFile(path, []byte(bad), 0o600))
		_, err := care.OpenPlaces(path)
		refused(t, err, "invalid_report_places")
	}
	_, err = care.OpenPlaces(filepath.Join(t.TempDir(), "none"))
	refused(t, err, "invalid_report_places")
}
