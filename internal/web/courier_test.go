// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/internal/account"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/service"
)

// depot is a fake of what does the couriers' calls: one shift on one device, and codes that it knows.
type depot struct {
	mu      sync.Mutex
	begin   time.Time
	round   roundJSON
	codes   map[string]string // by hand-over
	answers map[string]resultJSON
	judged  []entryJSON // in the order in which they came first
	device  string
	nonce   string // of the phone that has used the link
	over    bool
	down    bool // it is asked and can't
	told    int  // entries that came, also again
	silent  bool // it does what it is asked and doesn't get to answering
	signs   *ecdsa.PrivateKey
	kid     []byte
	opens   hpke.PrivateKey
}

const depotToken = "crt_0123456789abcdef"

var errShiftOver = fault.New(fault.Unauthorized, "shift_over", "This shift is over.")

func newDepot(t *testing.T) *depot {
	t.Helper()
	signs, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	opens, err := hpke.DHKEM(ecdh.P256()).GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	point, err := signs.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	d := &depot{begin: time.Now(), codes: map[string]string{}, answers: map[string]resultJSON{}, signs: signs, kid: []byte("key-1 of the fake"), opens: opens}
	text := base64.RawURLEncoding.EncodeToString
	d.round = roundJSON{
		Service: "Acme", Courier: "Kim", CourierID: "cou_kim", Depot: "Lyon 3", Until: d.begin.Add(8 * time.Hour), Device: "00112233445566ff", Letter: "D", Digits: 5, SignInDigits: 6,
		Box:  boxJSON{1, text(opens.PublicKey().Bytes())},
		Keys: []any{map[string]string{"kty": "EC", "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:]), "kid": text(d.kid), "use": "sig", "alg": "ES256"}},
		Weak: []string{"identity", "photo"},
	}
	for i, who := range []string{"M. B.", "J. K.", "A. O.", "ل. م.", "T. S.", "P. N."} {
		id := fmt.Sprintf("hnd_%032x", i+1)
		d.codes[id] = fmt.Sprintf("D-%05d", 48213+i)
		d.round.Parcels = append(d.round.Parcels, parcelJSON{
			ID: id, State: "out_for_delivery", Attempt: 1, Generation: 1, Initials: who, Hint: []string{"2nd floor, blue door", "the house behind the bakery", "ring twice"}[i%3],
			Items: "a box of books", From: d.begin.Add(time.Hour), Until: d.begin.Add(3 * time.Hour), Zone: "Europe/Paris", TriesLeft: 6, Neighbour: i == 1, Channels: []string{"sms", "voice"}, Weak: []string{"identity", "photo"},
		})
	}
	return d
}

// shift is a copy of the round as it is now.
func (d *depot) shift() *roundJSON {
	r := d.round
	r.Now, r.Parcels = time.Now(), slices.Clone(d.round.Parcels)
	return &r
}

func (d *depot) Enrol(_ context.Context, _ *service.Service, token, nonce string, _ *account.Visitor) (*shift, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if token != depotToken || d.device != "" && (nonce == "" || nonce != d.nonce) {
		return nil, fault.New(fault.NotFound, "link_used", "This link was used or is too old.")
	}
	d.device, d.nonce = "device-token", nonce
	if d.silent {
		return nil, fault.New(fault.Unavailable, "busy", "It is done, and the answer gets lost.")
	}
	return &shift{Device: d.device, Until: d.round.Until, Round: d.shift()}, nil
}

func (d *depot) Round(_ context.Context, _ *service.Service, device string, _ *account.Visitor) (*roundJSON, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || device == "" || device != d.device {
		return nil, errShiftOver
	}
	return d.shift(), nil
}

func (d *depot) Act(ctx context.Context, _ *service.Service, device, by string, entries []entryJSON, _ *account.Visitor) ([]resultJSON, error) {
	d.mu.Lock()
	if d.over || device == "" || device != d.device {
		d.mu.Unlock()
		return nil, errShiftOver
	}
	if d.down {
		d.mu.Unlock()
		return nil, fault.New(fault.Unavailable, "busy", "Later.")
	}
	if by != "" && by != d.round.CourierID {
		d.mu.Unlock()
		return nil, errAnotherCourier
	}
	var all []resultJSON
	for _, e := range entries {
		d.told++
		r, ok := d.answers[e.Key]
		if !ok {
			d.judged = append(d.judged, e)
			r = d.judge(&e)
			d.answers[e.Key] = r
		}
		all = append(all, r)
	}
	silent := d.silent
	d.mu.Unlock()
	if silent {
		<-ctx.Done()
	}
	return all, nil
}

func (d *depot) judge(e *entryJSON) resultJSON {
	at := slices.IndexFunc(d.round.Parcels, func(p parcelJSON) bool { return p.ID == e.Handover })
	if at < 0 {
		return resultJSON{Key: e.Key, Handover: e.Handover, Result: "not_yours"}
	}
	p := &d.round.Parcels[at]
	r := resultJSON{Key: e.Key, Handover: e.Handover, Result: "done"}
	done := func(means, certainty string) {
		p.State, p.Means, p.Certainty, r.Result = "handed_over", means, certainty, "handed_over"
	}
	switch {
	case p.State == "handed_over":
		r.Result = "over"
	case e.Do == "sign_in_code":
		r.Result = "sign_in_code"
	case e.Do == "arrive":
		p.State, p.ArrivedAt = "arrived", time.Now()
	case e.Do == "give_up":
		p.State = "attempted"
	case e.Do == "refuse":
		p.State = "refused"
	case e.Do == "weak":
		done(e.Weak, "weaker")
	case e.Do == "ticket":
		done("qr", map[bool]string{true: "confirmed_offline", false: "confirmed"}[e.Offline])
	case e.Do == "code":
		typed := e.Code
		if e.Sealed != "" {
			typed = d.open(e)
		}
		switch {
		case typed == d.codes[e.Handover]:
			done("code", "confirmed")
		default:
			p.TriesLeft--
			p.Blocked = p.TriesLeft <= 0
			left := p.TriesLeft
			r.Result, r.TriesLeft = "wrong", &left
		}
	}
	shown := *p
	r.Parcel = &shown
	return r
}

// open reads what the page has sealed, with somebody else's HPKE.
func (d *depot) open(e *entryJSON) string {
	b, err := base64.RawURLEncoding.DecodeString(e.Sealed)
	if err != nil || len(b) < 66 || b[0] != 1 {
		return "not a box"
	}
	r, err := hpke.NewRecipient(b[1:66], d.opens, hpke.HKDFSHA256(), hpke.AES128GCM(), []byte("countersign courier box v1"))
	if err != nil {
		return err.Error()
	}
	text, err := r.Open(fmt.Appendf(nil, "%s.%s.%d", e.Key, e.Handover, e.Attempt), b[66:])
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// ticket is a QR code for a parcel; change makes it another one.
func (d *depot) ticket(t *testing.T, id string, change func(payload []byte)) string {
	t.Helper()
	b := []byte{1}
	raw, err := hex.DecodeString(strings.TrimPrefix(id, "hnd_"))
	if err != nil {
		t.Fatal(err)
	}
	device, err := hex.DecodeString(d.round.Device)
	if err != nil {
		t.Fatal(err)
	}
	b = append(append(append(b, raw...), 1, 1, 0), device...)
	b = binary.BigEndian.AppendUint64(b, uint64(d.begin.Add(4*time.Hour).Unix()))
	b = append(b, d.kid[:3]...)
	if change != nil {
		change(b)
	}
	sum := sha256.Sum256(append([]byte("countersign ticket v1\x00"), b...))
	r, s, err := ecdsa.Sign(rand.Reader, d.signs, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, make([]byte, 64)...)
	r.FillBytes(b[39:71])
	s.FillBytes(b[71:])
	return "CST1." + base64.RawURLEncoding.EncodeToString(b)
}

func courierPages(t *testing.T) (*Pages, *depot) {
	t.Helper()
	p, d := pages(t), newDepot(t)
	p.couriers = d
	return p, d
}

// told posts JSON to the page's calls.
func told(p *Pages, path, body string, change func(*http.Request)) (*http.Response, string) {
	r := httptest.NewRequest("POST", "https://acme.example"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	res := w.Result()
	text, _ := io.ReadAll(res.Body) // a recorder's body doesn't fail
	return res, string(text)
}

// A device is enrolled once, by a cookie that scripts don't see; who has none gets nothing.
// Keeps: S22, S29
func TestCourierCalls(t *testing.T) {
	t.Parallel()
	p, d := courierPages(t)
	if res, text := told(p, "/courier/enrol", `{"token":"crt_wrong"}`, nil); res.StatusCode != http.StatusNotFound || !strings.Contains(text, `"code":"link_used"`) || len(res.Cookies()) > 0 {
		t.Fatalf("a wrong link: %d %s", res.StatusCode, text)
	}
	res, text := told(p, "/courier/enrol", `{"token":"`+depotToken+`"}`, nil)
	if res.StatusCode != http.StatusOK || !strings.Contains(text, `"initials":"M. B."`) || strings.Contains(text, "device-token") || strings.Contains(text, "48213") {
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	c := res.Cookies()[0]
	if c.Name != "__Host-courier" || !c.HttpOnly || !c.Secure || c.Value != "device-token" || c.MaxAge <= 0 {
		t.Fatalf("%v", c)
	}
	mine := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value}) }
	if res, _ := told(p, "/courier/enrol", `{"token":"`+depotToken+`"}`, nil); res.StatusCode == http.StatusOK {
		t.Error("the link works twice")
	}
	if res := ask(p, "GET", "/courier/round", nil); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a device: %d", res.StatusCode)
	}
	if res := ask(p, "GET", "/courier/round", mine); res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("with a device: %d", res.StatusCode)
	}
	entry := `{"key":"00112233445566778899aabbccddeeff","handover":"` + d.round.Parcels[0].ID + `","attempt":1,"do":"arrive","at":"2026-11-25T10:00:00Z","steady":true,"offline":false,"position":{"lat":48.853412,"lon":2.348811,"accuracy":12}}`
	for range 2 {
		res, text = told(p, "/courier/act", `{"entries":[`+entry+`]}`, mine)
		if res.StatusCode != http.StatusOK || !strings.Contains(text, `"result":"done"`) || !strings.Contains(text, `"now":"`) {
			t.Fatalf("%d %s", res.StatusCode, text)
		}
	}
	if len(d.judged) != 1 {
		t.Errorf("the same entry is judged %d times", len(d.judged))
	}
	if at := d.judged[0].Position; at == nil || *at != (positionJSON{48.85, 2.35, leastAccuracy}) {
		t.Errorf("the position is %+v", at)
	}
	if res, _ := told(p, "/courier/act", `{"entries":[`+entry+`]}`, nil); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a device: %d", res.StatusCode)
	}
	if res, _ := told(p, "/courier/act", `{"entries":[`+entry+`]}`, func(r *http.Request) { mine(r); r.Header.Set("Sec-Fetch-Site", "cross-site") }); res.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: %d", res.StatusCode)
	}
}

// What isn't an entry is refused by the name of its field, and nothing of it comes back.
func TestCourierEntriesAreReadStrictly(t *testing.T) {
	t.Parallel()
	p, d := courierPages(t)
	d.device = "device-token"
	good := map[string]any{"key": strings.Repeat("0a", 16), "handover": d.round.Parcels[0].ID, "attempt": 1, "do": "code", "at": "2026-11-25T10:00:00Z", "steady": true, "offline": false, "code": "D-11111"}
	for _, c := range []struct {
		field string
		value any
		want  string
	}{
		{"key", "short", "entries[0].key"}, {"key", strings.Repeat("0A", 16), "entries[0].key"}, {"handover", "hnd_1", "entries[0].handover"}, {"attempt", 0, "entries[0].attempt"},
		{"attempt", 256, "entries[0].attempt"}, {"do", "steal", "entries[0].do"}, {"at", "0001-01-01T00:00:00Z", "entries[0].at"}, {"at", "yesterday", "entries[0].at"}, {"code", "", "entries[0].code"},
		{"code", strings.Repeat("1", 65), "entries[0].code"}, {"sealed", "x", "entries[0].code"}, {"ticket", strings.Repeat("x", 201), "entries[0].ticket"},
		{"position", map[string]any{"lat": 91, "lon": 0, "accuracy": 1}, "entries[0].position"}, {"position", map[string]any{"lat": 0, "lon": 0, "accuracy": -1}, "entries[0].position"},
		{"reason", "Nobody!", "entries[0].reason"}, {"channel", "sms; drop", "entries[0].channel"}, {"weak", "a b", "entries[0].weak"}, {"note", strings.Repeat("ä", maxNote+1), "entries[0].note"},
		{"who", "me", "entries[0].who"},
	} {
		entry := map[string]any{c.field: c.value}
		for name, value := range good {
			if name != c.field {
				entry[name] = value
			}
		}
		body, err := json.Marshal(map[string]any{"entries": []any{entry}})
		if err != nil {
			t.Fatal(err)
		}
		res, text := told(p, "/courier/act", string(body), func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "__Host-courier", Value: "device-token"}) })
		var problem struct{ Field string }
		if err := json.Unmarshal([]byte(text), &problem); err != nil || res.StatusCode != http.StatusBadRequest || problem.Field != c.want {
			t.Errorf("%s = %v: %d %s", c.field, c.value, res.StatusCode, text)
		}
	}
	entry, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{
		`{"entries":[]}`: 400, `{}`: 400, `[]`: 400, ``: 400,
		`{"entries":[` + strings.Repeat(string(entry)+",", maxActEntries) + string(entry) + `]}`:                 400,
		`{"entries":[` + strings.TrimSuffix(strings.Repeat(string(entry)+",", maxActEntries), ",") + `]}`:        200,
		`{"entries":[` + strings.TrimSuffix(strings.Repeat(string(entry)+",", 2*maxActs/len(entry)), ",") + `]}`: 413,
	} {
		res, text := told(p, "/courier/act", body, func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "__Host-courier", Value: "device-token"}) })
		if res.StatusCode != want {
			t.Errorf("%.80s: %d %.200s", body, res.StatusCode, text)
		}
	}
	if res, _ := told(p, "/courier/act", "entries=x", func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }); res.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d", res.StatusCode)
	}
	if at := (&positionJSON{math.NaN(), 0, 1}); !at.wrong() {
		t.Error("not a number is a position")
	}
}

// The shell is the same for everybody. Its worker changes with each file that it keeps and with the language; the manifest is the service's.
func TestCourierShell(t *testing.T) {
	t.Parallel()
	p, _ := courierPages(t)
	body := func(path string, change func(*http.Request)) (*http.Response, string) {
		res := ask(p, "GET", path, change)
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", path, res.StatusCode, err)
		}
		return res, string(b)
	}
	german := func(r *http.Request) { r.Header.Set("Accept-Language", "de") }
	_, shell := body("/courier", nil)
	if !strings.Contains(shell, "courier-crypto.js") || strings.Contains(shell, "page.js") || regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]|<style|\son[a-z]+=|\sstyle=`).MatchString(shell) {
		t.Error("the shell has inline code, or not its own scripts")
	}
	res, worker := body("/courier/sw.js", nil)
	if res.Header.Get("Service-Worker-Allowed") != "/courier" || res.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/javascript") {
		t.Errorf("%v", res.Header)
	}
	list := regexp.MustCompile(`keep = (\[.*?\]);`).FindStringSubmatch(worker)
	var keep []string
	if err := json.Unmarshal([]byte(list[1]), &keep); err != nil {
		t.Fatal(err)
	}
	for _, path := range keep {
		if strings.Contains(path, "act") && !strings.HasPrefix(path, "/static/") || strings.Contains(path, "enrol") || strings.Contains(path, "round") {
			t.Errorf("the worker keeps %s", path)
		}
		if res, _ := body(path, nil); strings.HasPrefix(path, "/static/") && res.Header.Get("Cache-Control") != forever[0] {
			t.Errorf("%s isn't what the shell has", path)
		}
	}
	for _, m := range regexp.MustCompile(`(?:src|href|data-reader)="(/(?:static|brand)/[^"]+)"`).FindAllStringSubmatch(shell, -1) {
		if !slices.Contains(keep, m[1]) {
			t.Errorf("without signal the shell lacks %s", m[1])
		}
	}
	if _, again := body("/courier/sw.js", nil); again != worker {
		t.Error("the worker isn't the same twice")
	}
	if _, other := body("/courier/sw.js", german); other == worker {
		t.Error("the worker is the same in another language")
	}
	_, text := body("/courier/app.webmanifest", german)
	var manifest struct {
		Name  string `json:"name"`
		Start string `json:"start_url"`
		Lang  string
		Icons []struct{ Src, Sizes string }
	}
	if err := json.Unmarshal([]byte(text), &manifest); err != nil || manifest.Start != "/courier" || manifest.Lang != "de" || !strings.HasPrefix(manifest.Name, "Acme") {
		t.Fatalf("%s, %v", text, err)
	}
	for _, i := range manifest.Icons {
		_, picture := body(i.Src, nil)
		size, err := png.DecodeConfig(bytes.NewReader([]byte(picture)))
		if err != nil || fmt.Sprintf("%dx%d", size.Width, size.Height) != i.Sizes {
			t.Errorf("%s: %v, %v", i.Src, size, err)
		}
	}
	if res := ask(p, "GET", "/courier/icon/99999", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("an icon of any size: %d", res.StatusCode)
	}
	p.couriers = nil
	for _, path := range []string{"/courier", "/courier/sw.js", "/courier/app.webmanifest", "/courier/icon/192", "/courier/round"} {
		if res := ask(p, "GET", path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s of a server without couriers: %d", path, res.StatusCode)
		}
	}
}

// Every word that the page's scripts say is there, and none is there that they don't.
func TestCourierWords(t *testing.T) {
	t.Parallel()
	w, err := readWords()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("assets/courier.js")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for key := range w.byTag["en"] {
		if name, ok := strings.CutPrefix(base(key), "courier."); ok {
			have[name] = true
		}
	}
	said := map[string]bool{"title": true, "script": true}
	for _, m := range regexp.MustCompile(`"([a-z_]+\.[a-z_]+)"`).FindAllStringSubmatch(string(script), -1) {
		if group, _, _ := strings.Cut(m[1], "."); !have[m[1]] && slices.ContainsFunc(strings.Fields("status outside enrol ended list state parcel arrive code scan missing send weak give_up reason refuse over answer text more notice"), func(g string) bool { return g == group }) {
			t.Errorf("no word for %s", m[1])
		}
		said[m[1]] = true
	}
	for _, prefix := range []string{"state.", "over.", "answer.", "text.", "more.", "notice.", "send.", "weak.", "reason."} { // made of a result, a state, a choice
		if !strings.Contains(string(script), `"`+prefix+`"`) && prefix != "over." && prefix != "weak." && prefix != "reason." {
			t.Errorf("nothing is said of %s", prefix)
		}
		for name := range have {
			if strings.HasPrefix(name, prefix) {
				said[name] = true
			}
		}
	}
	for name := range have {
		if !said[name] {
			t.Errorf("nobody says %s", name)
		}
	}
	for _, state := range []string{"handed_over", "attempted", "refused", "returned", "expired", "canceled"} {
		if !have["state."+state] || !have["over."+state] {
			t.Errorf("no words for the state %s", state)
		}
	}
	for _, result := range strings.Fields("handed_over wrong unclear sign_in_code not_arrived stopped blocked exhausted not_yours other_parcel old_ticket bad_ticket other_device old_attempt over conflict expired not_allowed wait sends_used_up ticket_later not_known send_unknown") {
		if !have["answer."+result] {
			t.Errorf("no word for the answer %s", result)
		}
	}
}

// What the domain doesn't take of one entry is that entry's result; what all of them would meet is an error.
func TestCourierFaults(t *testing.T) {
	t.Parallel()
	for kind, want := range map[fault.Kind]string{fault.NotFound: "not_yours", fault.TooMany: "sends_used_up", fault.Invalid: "not_allowed", fault.Conflict: "not_allowed", fault.Unauthorized: "", fault.Unavailable: "", fault.Internal: ""} {
		r, err := refused(&resultJSON{Key: "k"}, fault.New(kind, "x", "X."))
		if want == "" {
			if fault.As(err).Kind != kind {
				t.Errorf("%s: %v, %v", kind, r, err)
			}
		} else if err != nil || r.Result != want || r.Key != "k" {
			t.Errorf("%s: %v, %v", kind, r, err)
		}
	}
	for _, c := range []struct {
		e    entryJSON
		want bool
	}{
		{entryJSON{Do: "give_up", Reason: "nobody_home"}, true}, {entryJSON{Do: "give_up", Reason: "day_over"}, false}, {entryJSON{Do: "weak", Weak: "photo"}, true},
		{entryJSON{Do: "weak", Weak: "second_person"}, false}, {entryJSON{Do: "weak", Weak: "code"}, false}, {entryJSON{Do: "arrive"}, true},
	} {
		if got := wordsOf(&c.e, &handover.Act{}); got != c.want {
			t.Errorf("%+v: %v", c.e, got)
		}
	}
	for _, do := range entryDoes {
		if doWords[do] == 0 {
			t.Errorf("%s is nothing that a courier does", do)
		}
	}
}
