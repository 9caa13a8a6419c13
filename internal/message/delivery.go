// SPDX-License-Identifier: Apache-2.0

package message

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/service"
)

// Delivery is what a message about a parcel says. One with a code has no link, and one with a link no code (S28).
type Delivery struct {
	Kind        DeliveryKind
	Letter      string         // before the code's digits, and the look by which a delivery code is told
	Items       string         // what comes, in words; may be empty
	Name        string         // of the neighbour, for DeliveryByPass
	From, Until time.Time      // of the window
	Zone        *time.Location // of the clock at the door
	Link        string         // of DeliveryLink: the tracking page
}

// DeliveryKind is what a message about a parcel is. The numbers are stored and never change their meaning.
type DeliveryKind uint8

// The kinds.
const (
	DeliveryLink     DeliveryKind = iota + 1 // the parcel is announced, with the link to its page
	DeliveryCode                             // its code
	DeliveryArrived                          // the courier says that they are at the door
	DeliveryNewCode                          // another code takes the place of the one before
	DeliveryAsked                            // what looks like a code for signing in was typed at the door
	DeliveryBlocked                          // six wrong codes were typed
	DeliveryMissed                           // an attempt is over without success
	DeliveryReleased                         // it was handed over without its code
	DeliveryByPass                           // a neighbour has taken it in
	DeliveryOver                             // it was handed over; by mail
)

var deliveryNames = [...]string{"", "link", "code", "arrived", "new_code", "asked", "blocked", "missed", "released", "by_pass", "over"}

// DeliveryKinds lists all kinds in the order of their numbers.
func DeliveryKinds() []DeliveryKind {
	var all []DeliveryKind
	for k := DeliveryLink; k.known(); k++ {
		all = append(all, k)
	}
	return all
}

func (k DeliveryKind) known() bool { return k > 0 && int(k) < len(deliveryNames) }

// String is the stable name; empty for a number that is no kind.
func (k DeliveryKind) String() string {
	if !k.known() {
		return ""
	}
	return deliveryNames[k]
}

// Coded tells whether a message of this kind carries the code.
func (k DeliveryKind) Coded() bool { return k == DeliveryCode || k == DeliveryNewCode }

// deliveryWords are a catalogue's sentences about parcels, by kind: as a text, the same shorter, a mail's subject, what a mail says, what a mail adds
// and, of those with a code, what a call says.
type deliveryWords struct {
	sms, short, subject, mail, more, voice map[DeliveryKind]sentence
	follow                                 sentence // what to do with a link
}

var errDelivery = errors.New("message: a message about a parcel must be of a known kind, with a code or a link where its kind has one and nowhere else")

// checkDelivery refuses what no caller of ours makes.
func checkDelivery(o *Outgoing) error {
	d := o.Delivery
	web := strings.HasPrefix(d.Link, "https://") || strings.HasPrefix(d.Link, "http://") // the latter under `dev`
	switch {
	case !d.Kind.known(), d.Kind.Coded() != (o.Code.Len() > 0), (d.Kind == DeliveryLink) != (d.Link != ""), d.Link != "" && !web,
		oneLine(d.Link) != d.Link, strings.ContainsAny(d.Link, " \"<>"), len(d.Letter) != 1 || d.Letter < "A" || d.Letter > "Z", o.Channel == service.Voice && !d.Kind.Coded():
		return errDelivery
	}
	return nil
}

// Bounds of what others supply, in characters.
const (
	maxItemsSaid = 40
	maxNameSaid  = 30
)

// addDelivery completes the values of a message with those of a parcel.
func (v *values) addDelivery(o *Outgoing) {
	d := o.Delivery
	v.letter, v.link = d.Letter, d.Link
	if v.code != "" {
		v.code = d.Letter + "-" + v.code
	}
	v.items, v.name, v.window = cutWords(noLink(oneLine(d.Items)), maxItemsSaid), cutWords(noLink(oneLine(d.Name)), maxNameSaid), windowOf(d)
	v.day = v.window[:len(time.DateOnly)]
}

// cutWords bounds what others supply in characters, with an ellipsis of the first alphabet.
func cutWords(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:most-3])) + "..."
}

// windowOf is when a parcel comes, by the clock at the door: year first, as all our times.
func windowOf(d *Delivery) string {
	zone := d.Zone
	if zone == nil {
		zone = time.UTC
	}
	from, until := d.From.In(zone), d.Until.In(zone)
	if from.Format(time.DateOnly) == until.Format(time.DateOnly) {
		return from.Format("2006-01-02 15:04") + "-" + until.Format("15:04")
	}
	return from.Format("2006-01-02 15:04") + " - " + until.Format("2006-01-02 15:04")
}

// delivery is Render for a message about a parcel.
func (c *catalog) delivery(o *Outgoing, v *values, t Text) (Text, error) {
	if err := checkDelivery(o); err != nil {
		return Text{}, err
	}
	v.addDelivery(o)
	k, w := o.Delivery.Kind, &c.deliveries
	switch o.Channel {
	case service.SMS:
		t.Body = w.text(k, v)
	case service.Voice:
		t.Body = w.voice[k].fill(v)
	default:
		t.Subject = w.subject[k].fill(v)
		t.Body, t.HTML = c.deliveryMail(k, v, t.Subject)
	}
	return t, nil
}

// text is a text message: with a code it fits one segment in every language, without one two. What doesn't fit is dropped: first what comes, then
// until when. A link stays whole, however long.
func (w *deliveryWords) text(k DeliveryKind, v *values) string {
	most := 2
	if k.Coded() {
		most = 1
	}
	full := w.sms[k].fill(v)
	if Segments(full) <= most && (k != DeliveryLink || v.items != "") {
		return full
	}
	short := w.short[k].fill(v)
	if k == DeliveryLink && Segments(short) > most {
		v.window = v.day
		return w.short[k].fill(v)
	}
	return short
}

// deliveryMail writes both parts of a mail. One with a code has no link.
func (c *catalog) deliveryMail(k DeliveryKind, v *values, title string) (plain, markup string) {
	m, w := c.newMail(title, v), &c.deliveries
	m.say(w.mail[k])
	if k.Coded() {
		m.code()
	}
	if k == DeliveryLink {
		m.link(w.follow)
	}
	m.say(w.more[k])
	return m.done()
}

// deliverySection is the part of a catalogue's file about parcels.
type deliverySection struct {
	SMS     map[string]string `json:"sms"`
	Short   map[string]string `json:"short"`
	Subject map[string]string `json:"subject"`
	Mail    map[string]string `json:"mail"`
	More    map[string]string `json:"more"`
	Voice   map[string]string `json:"voice"`
	Follow  string            `json:"follow"` // what to do with a link
}

func readDeliveries(f *deliverySection) (w deliveryWords, err error) {
	for _, part := range []struct {
		to    *map[DeliveryKind]sentence
		texts map[string]string
		coded bool
	}{{&w.sms, f.SMS, false}, {&w.short, f.Short, false}, {&w.subject, f.Subject, false}, {&w.mail, f.Mail, false}, {&w.more, f.More, false}, {&w.voice, f.Voice, true}} {
		*part.to = map[DeliveryKind]sentence{}
		for _, k := range DeliveryKinds() {
			if part.coded && !k.Coded() {
				continue
			}
			if (*part.to)[k], err = compileOne(part.texts, k.String()); err != nil {
				return w, err
			}
		}
	}
	w.follow, err = compile(f.Follow)
	return w, err
}
