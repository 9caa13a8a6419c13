// SPDX-License-Identifier: Apache-2.0

package devpage_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/devpage"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
)

// A code can be copied and a notice's link be pressed; a letter has the one or the other.
// Keeps: A.6
func TestInboxShowsCodesAndNotices(t *testing.T) {
	t.Parallel()
	inbox := devpage.NewInbox(time.Now)
	mux := http.NewServeMux()
	(&devpage.Pages{Inbox: inbox, Now: time.Now, Log: slog.New(slog.DiscardHandler)}).Mount(mux)
	get := func(path string) string {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d", path, w.Code)
		}
		return w.Body.String()
	}
	send := func(o message.Outgoing) {
		t.Helper()
		to, err := contact.ParseEmail("ann@mail.test")
		if o.Channel == service.SMS {
			to, err = contact.ParsePhone("+14155550121", "")
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := message.NewRenderer()
		if err != nil {
			t.Fatal(err)
		}
		o.Service, o.To, o.QueuedAt = &service.Service{Name: "Acme", Locale: "en"}, to, time.Now()
		text, err := r.Render(&o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inbox.Send(t.Context(), &o, &text); err != nil {
			t.Fatal(err)
		}
	}
	const link = "http://localhost:8080/undo?t=x"
	notice := &message.Notice{Kind: message.TwoStepOff, Link: link}
	send(message.Outgoing{Channel: service.SMS, Notice: notice})
	if page := get("/inbox"); strings.Contains(page, `class="copy"`) || strings.Contains(page, link) || !strings.Contains(page, "Acme, ") {
		t.Fatalf("a notice by text:\n%s", page)
	}
	send(message.Outgoing{Channel: service.Email, Notice: notice})
	if page := get("/inbox/list"); strings.Contains(page, `class="copy"`) || !strings.Contains(page, `<a href="`+link+`">`) {
		t.Fatalf("a notice by mail:\n%s", page)
	}
	if list := get("/inbox/messages.json"); !strings.Contains(list, `"code":""`) || strings.Count(list, `"link":"`+link+`"`) != 1 {
		t.Fatalf("the list for scripts:\n%s", list)
	}
	send(message.Outgoing{Channel: service.Email, Purpose: service.SignIn, Code: otp.NewCode("482135")})
	if page := get("/inbox"); !strings.Contains(page, `data-code="482135"`) || strings.Count(page, "<a href=\"http") != 1 {
		t.Fatalf("a code by mail:\n%s", page)
	}
	parcel := message.Delivery{Kind: message.DeliveryLink, Letter: "D", Link: "http://localhost:8080/t/abc"}
	send(message.Outgoing{Channel: service.SMS, Delivery: &parcel})
	if page := get("/inbox"); !strings.Contains(page, `<a href="`+parcel.Link+`">`) || strings.Count(page, `class="copy"`) != 1 {
		t.Fatalf("a parcel's link by text:\n%s", page)
	}
	send(message.Outgoing{Channel: service.SMS, Code: otp.NewCode("48213"), Delivery: &message.Delivery{Kind: message.DeliveryCode, Letter: "D"}})
	if page, list := get("/inbox"), get("/inbox/messages.json"); !strings.Contains(page, `data-code="D-48213"`) || !strings.Contains(list, `"code":"D-48213"`) {
		t.Fatalf("a parcel's code by text:\n%s\n%s", page, list)
	}
}
