// SPDX-License-Identifier: Apache-2.0

package httpsms_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/message/httpsms"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

func outgoing(t *testing.T) (*message.Outgoing, *message.Text) {
	t.Helper()
	to, err := contact.ParsePhone("+14155550121", "")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return &message.Outgoing{
		Service: &service.Service{Name: "Acme"}, Channel: service.SMS, Purpose: service.SignIn, To: to,
		Code: otp.NewCode("482135"), QueuedAt: now, Deadline: now.Add(9 * time.Minute),
	}, &message.Text{Body: "482135 is your \"Acme\" code", Locale: "en"}
}

func TestSend(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		reply   string
		header  string
		want    message.Outcome // 0: taken
		code    string
		retryIn time.Duration
	}{
		"taken":         {status: 201, reply: `{"messages":[{"id":17}],"ok":"yes"}`},
		"not ok inside": {status: 200, reply: `{"ok":"no","error":{"code":"21211"}}`, want: message.Unreachable, code: "21211"},
		"a landline":    {status: 400, reply: `{"error":{"code":21614}}`, want: message.ContactKind, code: "21614"},
		"rate-limited":  {status: 429, header: "7", want: message.TryLater, code: "429", retryIn: 7 * time.Second},
		"broken":        {status: 500, want: message.TryLater, code: "500"},
		"a wrong key":   {status: 401, want: message.Misconfigured, code: "401"},
		"redirected":    {status: 302, want: message.Misconfigured, code: "302"},
		"refused":       {status: 400, reply: `not json`, want: message.TryOther, code: "400"},
		"lies":          {status: 200, reply: `<html>all is well</html>`, want: message.TryOther, code: "200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked, auth string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				asked, auth = string(b), r.Header.Get("Authorization")
				w.Header().Set("Location", "https://elsewhere.example/")
				if c.header != "" {
					w.Header().Set("Retry-After", c.header)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.reply)
			}))
			defer server.Close()
			p, err := httpsms.New(httpsms.Config{
				Name: "main", URL: server.URL + "/send/{{.Purpose}}", Headers: map[string]string{"Authorization": "Bearer x"},
				Body: `{"to":{{json .To}},"text":{{json .Text}},"template":{{json .Template}},"q":"{{query .Text}}"}`, ID: "/messages/0/id",
				OK: map[string]string{"/ok": "yes"}, ErrorCode: "/error/code", Templates: map[string]string{"sign_in": "T1"},
				Outcomes: map[string]string{"21211": "unreachable", "21614": "contact_kind"},
			})
			if err != nil {
				t.Fatal(err)
			}
			o, text := outgoing(t)
			sent, err := p.Send(t.Context(), o, text)
			if want := `{"to":"+14155550121","text":"482135 is your \"Acme\" code","template":"T1","q":"482135+is+your+%22Acme%22+code"}`; asked != want || auth != "Bearer x" {
				t.Fatalf("asked %s (%s)", asked, auth)
			}
			if c.want == 0 {
				if err != nil || sent.Reference != "17" {
					t.Fatalf("%+v, %v", sent, err)
				}
				return
			}
			var e *message.SendError
			if !errors.As(err, &e) || e.Outcome != c.want || e.Code != c.code || e.RetryIn != c.retryIn {
				t.Fatalf("%+v", err)
			}
			if strings.Contains(err.Error(), "482135") || strings.Contains(err.Error(), "4155550121") {
				t.Fatalf("the error tells code or contact: %v", err)
			}
		})
	}
}

// A message about a parcel has templates of its own, never those of a code for signing in; its code keeps its letter.
// Keeps: S27
func TestSendDelivery(t *testing.T) {
	t.Parallel()
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = string(b)
	}))
	defer server.Close()
	p, err := httpsms.New(httpsms.Config{
		Name: "main", URL: server.URL, Body: "{{.Purpose}} {{.Notice}} {{.Template}} {{.Code}} {{.Minutes}} {{.Address}} {{.Text}}",
		Templates: map[string]string{"delivery/code/en": "T1", "delivery/link": "T2", "custom/en": "T3", "custom": "T4"},
	})
	if err != nil {
		t.Fatal(err)
	}
	o, text := outgoing(t)
	o.Purpose, text.Body = service.Custom, "words"
	for kind, want := range map[message.DeliveryKind]string{
		message.DeliveryCode: "delivery code T1 D-48213 0  words", message.DeliveryNewCode: "delivery new_code  D-48213 0  words", message.DeliveryLink: "delivery link T2  0 https://a.example/t/x words",
	} {
		o.Code, o.Delivery = otp.Code{}, &message.Delivery{Kind: kind, Letter: "D"}
		if kind.Coded() {
			o.Code = otp.NewCode("48213")
		} else {
			o.Delivery.Link = "https://a.example/t/x"
		}
		if _, err := p.Send(t.Context(), o, text); err != nil || asked != want {
			t.Errorf("%q, want %q, %v", asked, want, err)
		}
	}
}

// A notice has templates of its own, and neither a code nor minutes.
func TestSendNotice(t *testing.T) {
	t.Parallel()
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = string(b)
	}))
	defer server.Close()
	p, err := httpsms.New(httpsms.Config{
		Name: "main", URL: server.URL, Body: "{{.Purpose}} {{.Notice}} {{.Template}} {{.Code}}{{.Minutes}} {{.Address}} {{.Key}} {{.Text}}",
		Templates: map[string]string{"notice/two_step_off/en": "T1", "notice/en": "T2", "notice": "T3", "": "T4"},
	})
	if err != nil {
		t.Fatal(err)
	}
	o, text := outgoing(t)
	o.Code, o.Purpose, text.Body = otp.Code{}, "", "words"
	for kind, want := range map[message.NoticeKind]string{
		message.TwoStepOff: "notice two_step_off T1 0 a.example K words", message.TwoStepOn: "notice two_step_on T2 0 a.example K words",
	} {
		o.Notice = &message.Notice{Kind: kind, Address: "a.example", Key: "K"}
		if _, err := p.Send(t.Context(), o, text); err != nil || asked != want {
			t.Errorf("%q, want %q, %v", asked, want, err)
		}
	}
}

func TestUnreachableGatewayTellsNothing(t *testing.T) {
	t.Parallel()
	p, err := httpsms.New(httpsms.Config{Name: "main", URL: "http://127.0.0.1:1/{{query .To}}/{{.Code}}"})
	if err != nil {
		t.Fatal(err)
	}
	o, text := outgoing(t)
	_, err = p.Send(t.Context(), o, text)
	var e *message.SendError
	if !errors.As(err, &e) || e.Outcome != message.TryLater || strings.Contains(err.Error(), "482135") || strings.Contains(err.Error(), "415") {
		t.Fatalf("%v", err)
	}
}

const key = "0123456789abcdef"

func sign(sum []byte) string { return hex.EncodeToString(sum) }

func TestReceipts(t *testing.T) {
	t.Parallel()
	const target, form = "https://v.example/v1/receipts/main", "id=17&status=done"
	sha := hmac.New(sha256.New, []byte(key))
	sha.Write([]byte(form))
	twilio := hmac.New(sha1.New, []byte(key))
	twilio.Write([]byte(target + "id17statusdone"))
	for name, c := range map[string]struct {
		auth, header, url, kind, body, value string
		good                                 bool
	}{
		"token in the query":    {auth: "token", url: target + "?token=" + key, good: true},
		"wrong token":           {auth: "token", url: target + "?token=x"},
		"no token":              {auth: "token", url: target},
		"token in a header":     {auth: "token", header: "X-Token", value: key, good: true},
		"bearer":                {auth: "token", header: "Authorization", value: "Bearer " + key, good: true},
		"basic":                 {auth: "basic", header: "Authorization", value: "Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+key)), good: true},
		"wrong basic":           {auth: "basic", header: "Authorization", value: "Basic dTp4"},
		"a signature":           {auth: "hmac-sha256", header: "X-Sig", value: "sha256=" + sign(sha.Sum(nil)), good: true},
		"another's signature":   {auth: "hmac-sha256", header: "X-Sig", value: strings.Repeat("0", 64)},
		"signed as Twilio does": {auth: "hmac-sha1", header: "X-Sig", value: base64.StdEncoding.EncodeToString(twilio.Sum(nil)), good: true},
		"JSON":                  {auth: "token", url: target + "?token=" + key, kind: "application/json", body: `{"id":17,"status":"done"}`, good: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := httpsms.Config{Name: "main", URL: "https://g.example/", Receipt: httpsms.Callback{
				Auth: c.auth, Header: c.header, Secret: key, ID: "id", Status: "status", Statuses: map[string]string{"done": "delivered", "gone": "unreachable", "busy": "ignored"},
			}}
			if c.kind == "application/json" {
				cfg.Receipt.ID, cfg.Receipt.Status = "/id", "/status"
			}
			p, err := httpsms.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if c.url == "" {
				c.url = target
			}
			if c.body == "" {
				c.body, c.kind = form, "application/x-www-form-urlencoded"
			}
			h := http.Header{"Content-Type": {c.kind}}
			if c.header != "" {
				h.Set(c.header, c.value)
			}
			rec, final, err := p.ParseReceipt(c.url, h, []byte(c.body))
			if !c.good {
				if fault.As(err).Kind != fault.Unauthorized {
					t.Fatalf("taken: %+v, %v", rec, err)
				}
				return
			}
			if err != nil || !final || !rec.Delivered || rec.Reference != "17" {
				t.Fatalf("%+v, %v, %v", rec, final, err)
			}
			_, final, err = p.ParseReceipt(c.url, h, []byte(strings.ReplaceAll(c.body, "done", "busy")))
			if final && err == nil {
				t.Fatal("a status that is ignored was final")
			}
		})
	}
}

func TestInbound(t *testing.T) {
	t.Parallel()
	p, err := httpsms.New(httpsms.Config{Name: "main", URL: "https://g.example/", Inbound: httpsms.Callback{Auth: "token", Secret: key, From: "from", Text: "text"}})
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.ParseInbound("https://v.example/?token="+key+"&from=%2B1415&text=NO", http.Header{}, nil)
	if err != nil || in.From != "+1415" || in.Text != "NO" {
		t.Fatalf("%+v, %v", in, err)
	}
	if _, err := p.ParseInbound("https://v.example/?token=x&from=1", http.Header{}, nil); err == nil {
		t.Fatal("taken without its token")
	}
}

// Every problem of a gateway is told at once.
func TestConfigProblems(t *testing.T) {
	t.Parallel()
	_, err := httpsms.New(httpsms.Config{
		Name: "Ma in", Channel: "fax", Method: "BREW", URL: "http://g.example/", Body: "{{.Nothing}}", ID: "id",
		Outcomes: map[string]string{"1": "meh"}, Receipt: httpsms.Callback{Auth: "token", Secret: "short"},
	})
	if n := len(fault.As(err).Problems); n < 8 {
		t.Fatalf("%d problems: %v", n, err)
	}
}

func FuzzReceipt(f *testing.F) {
	f.Add("application/json", []byte(`{"a":[{"id":1}],"s":"x"}`), "/a/0/id")
	f.Add("text/plain", []byte("a=1&s=x"), "a")
	f.Fuzz(func(t *testing.T, kind string, body []byte, field string) {
		p, err := httpsms.New(httpsms.Config{Name: "main", URL: "https://g.example/", Receipt: httpsms.Callback{
			Auth: "token", Secret: key, ID: field, Status: "/s", Statuses: map[string]string{"x": "delivered"},
		}})
		if err != nil {
			return
		}
		_, _, _ = p.ParseReceipt("https://v.example/?token="+key, http.Header{"Content-Type": {kind}}, body)
	})
}
