// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/httpx"
)

// The couriers' page is a shell that a service worker keeps, so that it opens without signal, and three calls in JSON. What the page knows of
// a round it keeps itself.

// courierRoutes are the couriers' page.
func courierRoutes() []route {
	return []route{
		{"GET /courier", anybody, (*Pages).courier},
		{"GET /courier/sw.js", anybody, (*Pages).courierWorker},
		{"GET /courier/app.webmanifest", anybody, (*Pages).courierManifest},
		{"GET /courier/icon/{size}", anybody, (*Pages).courierIcon},
		{"POST /courier/enrol", anybody, (*Pages).courierEnrol},
		{"GET /courier/round", anybody, (*Pages).courierRound},
		{"POST /courier/act", anybody, (*Pages).courierAct},
	}
}

// Bounds of what the couriers' page sends.
const (
	maxActs       = 128 << 10 // bytes of a hundred entries
	maxActEntries = 100
	maxNote       = handover.MaxHint
	maxTicket     = 200
	maxSealed     = 400
	maxTypedCode  = 64
)

// isCourier tells whether a path is the couriers' page or one of its calls.
func isCourier(at string) bool { return at == "/courier" || strings.HasPrefix(at, "/courier/") }

// courierCall tells whether a path is one of its calls, whose faults are problem documents.
func courierCall(at string) bool { return strings.HasPrefix(at, "/courier/") }

// secureCourier loosens what the couriers' page needs: the camera, the position, a service worker and a manifest of its own.
func secureCourier(h http.Header) {
	h["Content-Security-Policy"] = []string{policy + "; worker-src 'self'; manifest-src 'self'"}
	h["Permissions-Policy"] = []string{"camera=(self), geolocation=(self), microphone=()"}
}

// courierFiles are the assets of the page, in the order in which its scripts run.
var (
	courierStyles  = []string{"style.css", "courier.css"}
	courierScripts = []string{"courier-crypto.js", "courier-store.js", "courier-scan.js", "courier-answer.js", "courier.js"}
)

const courierReader = "qr.js" // loaded where the browser can't read QR codes itself

// courierData is what the shell's template gets.
type courierData struct {
	Styles, Scripts []string
	Reader          string
	Words           string
	Theme           [2]string // light, dark
}

// courier is the shell of the page: the same for every courier, and without anything of a round.
func (p *Pages) courier(v *visit) error {
	if p.couriers == nil {
		return errGone
	}
	pg := p.page(v, "courier.title")
	words := map[string]string{}
	for key, text := range p.words.byTag[v.lang.Tag] {
		if name, ok := strings.CutPrefix(key, "courier."); ok {
			words[name] = strings.ReplaceAll(text, "{service}", v.svc.Name)
		}
	}
	text, err := json.Marshal(words)
	if err != nil {
		return fault.As(fmt.Errorf("encode words: %w", err))
	}
	light, dark := v.svc.Brand.Accents()
	d := &courierData{Words: string(text), Reader: pg.Asset(courierReader), Theme: [2]string{light, dark}}
	for _, name := range courierStyles {
		d.Styles = append(d.Styles, pg.Asset(name))
	}
	for _, name := range courierScripts {
		d.Scripts = append(d.Scripts, pg.Asset(name))
	}
	pg.Data = d
	return p.show(v, http.StatusOK, "courier.html", pg)
}

// courierWorker is the service worker with the list of what it keeps. Its text, and so its version, changes with each of these and with the
// language.
func (p *Pages) courierWorker(v *visit) error {
	if p.couriers == nil {
		return errGone
	}
	v.Quiet()
	pg := &page{pages: p, Service: v.svc, Lang: v.lang}
	keep := []string{"/courier", pg.Brand(), pg.Asset(courierReader)}
	if pg.HasLogo() {
		keep = append(keep, "/logo")
	}
	for _, name := range slices.Concat(courierStyles, courierScripts) {
		keep = append(keep, pg.Asset(name))
	}
	script := p.assets["courier-worker.js"].content
	sum := sha256.New()
	fmt.Fprint(sum, v.lang.Tag, v.svc.Name, keep, p.words.byTag[v.lang.Tag]["courier.title"])
	for key, text := range sorted(p.words.byTag[v.lang.Tag], "courier.") {
		fmt.Fprintln(sum, key, text)
	}
	sum.Write(script)
	list, err := json.Marshal(keep)
	if err != nil {
		return fault.As(fmt.Errorf("encode a list: %w", err))
	}
	v.Header()["Content-Type"] = []string{"text/javascript; charset=utf-8"}
	v.Header()["Service-Worker-Allowed"] = []string{"/courier"}
	body := fmt.Sprintf("\"use strict\";\nconst version = %q, keep = %s;\n%s", hex.EncodeToString(sum.Sum(nil)[:8]), list, script)
	return send(v, http.StatusOK, []byte(body))
}

// sorted yields the entries of a map whose keys begin with something, in order.
func sorted(all map[string]string, prefix string) func(func(string, string) bool) {
	return func(yield func(string, string) bool) {
		var keys []string
		for key := range all {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			if !yield(key, all[key]) {
				return
			}
		}
	}
}

// courierManifest makes the page one that can be installed (W3C, Web Application Manifest).
func (p *Pages) courierManifest(v *visit) error {
	if p.couriers == nil {
		return errGone
	}
	v.Quiet()
	light, _ := v.svc.Brand.Accents()
	type icon struct {
		Src     string `json:"src"`
		Sizes   string `json:"sizes"`
		Type    string `json:"type"`
		Purpose string `json:"purpose"`
	}
	var icons []icon
	for _, size := range iconSizes {
		n := strconv.Itoa(size)
		for _, purpose := range []string{"any", "maskable"} {
			icons = append(icons, icon{"/courier/icon/" + n, n + "x" + n, "image/png", purpose})
		}
	}
	pg := &page{pages: p, Service: v.svc, Lang: v.lang}
	body, err := json.Marshal(map[string]any{
		"id": "/courier", "start_url": "/courier", "scope": "/courier", "display": "standalone", "lang": v.lang.Tag, "dir": v.lang.Dir,
		"name": v.svc.Name + ": " + pg.T("courier.title"), "short_name": v.svc.Name, "theme_color": light, "background_color": light, "icons": icons,
	})
	if err != nil {
		return fault.As(fmt.Errorf("encode a manifest: %w", err))
	}
	v.Header()["Content-Type"] = []string{"application/manifest+json"}
	return send(v, http.StatusOK, body)
}

var iconSizes = []int{192, 512}

// courierIcon is a parcel in the service's colours. It fills the square, and what matters is within the safe zone of masks.
func (p *Pages) courierIcon(v *visit) error {
	v.Quiet()
	size, err := strconv.Atoi(v.Request.PathValue("size"))
	if p.couriers == nil || err != nil || !slices.Contains(iconSizes, size) {
		return errGone
	}
	light, _ := v.svc.Brand.Accents()
	back, front := rgb(light), color.RGBA{0xff, 0xff, 0xff, 0xff}
	picture := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{back, front})
	box := func(x0, y0, x1, y1 int, c color.Color) { // in hundredths
		draw.Draw(picture, image.Rect(x0*size/100, y0*size/100, x1*size/100, y1*size/100), image.NewUniform(c), image.Point{}, draw.Src)
	}
	box(24, 28, 76, 76, front) // the box,
	box(24, 43, 76, 46, back)  // its lid,
	box(44, 28, 56, 43, back)  // and the tape on it
	box(46, 28, 54, 41, front)
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return fault.As(fmt.Errorf("draw an icon: %w", err))
	}
	v.Header()["Content-Type"] = []string{"image/png"}
	v.Header()["Cache-Control"] = []string{"public, max-age=3600"}
	return send(v, http.StatusOK, b.Bytes())
}

// rgb is a brand's colour, whose form was checked when it was set.
func rgb(hash string) color.RGBA {
	n, err := strconv.ParseUint(strings.TrimPrefix(hash, "#"), 16, 24)
	if err != nil {
		return color.RGBA{A: 0xff}
	}
	return color.RGBA{uint8(n >> 16 & 0xff), uint8(n >> 8 & 0xff), uint8(n & 0xff), 0xff}
}

// courierEnrol makes this browser the device of a shift.
func (p *Pages) courierEnrol(v *visit) error {
	if p.couriers == nil {
		return errGone
	}
	var in struct {
		Token string `json:"token"`
		Nonce string `json:"nonce"` // of the page's own making: with it the same browser can ask again when the answer is lost
	}
	if _, err := httpx.ReadJSON(v.Exchange, &in); err != nil {
		return err
	}
	shift, err := p.couriers.Enrol(v.Request.Context(), v.svc, in.Token, in.Nonce, v.visitor)
	if err != nil {
		return err
	}
	p.set(v, cookieCourier, shift.Device, max(time.Minute, shift.Until.Sub(p.Now())+courierGrace))
	return httpx.WriteJSON(v.Exchange, http.StatusOK, shift.Round)
}

// courierGrace is how much longer than its shift a device keeps its cookie: what it has kept without signal can still be sent.
const courierGrace = 24 * time.Hour

// courierRound says what there is to do.
func (p *Pages) courierRound(v *visit) error {
	if p.couriers == nil {
		return errGone
	}
	round, err := p.couriers.Round(v.Request.Context(), v.svc, p.cookie(v, cookieCourier), v.visitor)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(v.Exchange, http.StatusOK, round)
}

// courierAct takes what a courier did.
func (p *Pages) courierAct(v *visit) error {
	if p.couriers == nil {
		return errGone
	}
	var in struct {
		Courier string      `json:"courier"`
		Entries []entryJSON `json:"entries"`
	}
	if err := readActs(v.Exchange, &in); err != nil {
		return err
	}
	if n := len(in.Entries); n == 0 || n > maxActEntries {
		return fault.New(fault.Invalid, "invalid_entries", fmt.Sprintf("Send 1 to %d entries at a time.", maxActEntries)).WithField("entries")
	}
	for i := range in.Entries {
		if field := in.Entries[i].wrong(); field != "" {
			at := fmt.Sprintf("entries[%d].%s", i, field)
			return fault.New(fault.Invalid, "invalid_entry", at+" isn't what it should be.").WithField(at)
		}
		in.Entries[i].Position = in.Entries[i].Position.coarse()
	}
	results, err := p.couriers.Act(v.Request.Context(), v.svc, p.cookie(v, cookieCourier), in.Courier, in.Entries, v.visitor)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(v.Exchange, http.StatusOK, struct {
		Now     time.Time    `json:"now"`
		Results []resultJSON `json:"results"`
	}{p.Now().UTC(), results})
}

// readActs is [httpx.ReadJSON] with a larger limit.
func readActs(x *httpx.Exchange, in any) error {
	if kind := x.Request.Header.Get("Content-Type"); kind != "application/json" {
		return fault.New(fault.Unsupported, "not_json", "Send the body as JSON, with the header Content-Type: application/json.").WithField("Content-Type")
	}
	body, err := httpx.ReadUpTo(x, maxActs)
	if err != nil {
		return err
	}
	return httpx.Decode(body, in)
}

var (
	entryKey      = regexp.MustCompile(`^[0-9a-f]{32}$`)
	entryHandover = regexp.MustCompile(`^hnd_[0-9a-f]{32}$`)
	entryWord     = regexp.MustCompile(`^[a-z_]{0,20}$`)
	entryDoes     = []string{"arrive", "code", "ticket", "give_up", "refuse", "send", "weak", "sign_in_code"}
)

// wrong names the field of an entry that can't be right; "": none.
func (e *entryJSON) wrong() string {
	long := func(text string, most int) bool { return len(text) > most }
	switch {
	case !entryKey.MatchString(e.Key):
		return "key"
	case !entryHandover.MatchString(e.Handover):
		return "handover"
	case e.Attempt < 1 || e.Attempt > math.MaxUint8:
		return "attempt"
	case !slices.Contains(entryDoes, e.Do):
		return "do"
	case e.At.IsZero():
		return "at"
	case e.Position.wrong():
		return "position"
	case long(e.Code, maxTypedCode) || e.Code != "" && e.Sealed != "" || e.Do == "code" && e.Code == "" && e.Sealed == "":
		return "code"
	case long(e.Sealed, maxSealed):
		return "sealed"
	case long(e.Ticket, maxTicket) || e.Do == "ticket" && e.Ticket == "":
		return "ticket"
	case !entryWord.MatchString(e.Reason) || e.Do == "give_up" && e.Reason == "":
		return "reason"
	case !entryWord.MatchString(e.Channel) || e.Do == "send" && e.Channel == "":
		return "channel"
	case !entryWord.MatchString(e.Weak) || e.Do == "weak" && e.Weak == "":
		return "weak"
	case len([]rune(e.Note)) > maxNote:
		return "note"
	}
	return ""
}

func (at *positionJSON) wrong() bool {
	return at != nil && !(at.Lat >= -90 && at.Lat <= 90 && at.Lon >= -180 && at.Lon <= 180 && at.Accuracy >= 0)
}

// coarse is a position that nobody can find a door by, whatever the page sent.
func (at *positionJSON) coarse() *positionJSON {
	if at == nil {
		return nil
	}
	round := func(f float64) float64 { return math.Round(f*100) / 100 }
	return &positionJSON{round(at.Lat), round(at.Lon), math.Round(max(at.Accuracy, leastAccuracy))}
}

const leastAccuracy = 1000 // metres, which two decimals of a degree are about
