// SPDX-License-Identifier: Apache-2.0

package message

import (
	"errors"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/service"
)

// Notice is what a message tells of when it carries no code: something that happened to an account. When it happened
// is Outgoing.QueuedAt, from where is Outgoing.Asked.
type Notice struct {
	Kind    NoticeKind
	What    string    // the factor's name, a masked contact or a device, in words; may be empty
	Until   time.Time // until when it can be undone or stopped; zero: not
	Address string    // where to go, as words without a scheme ("acme.example/undo"); empty: the service's domain
	Link    string    // of a mail: where to go, with a token in it; may be empty
	Key     string    // what to type at Address, for texts and for mails without Link; may be empty
}

// NoticeKind is what has happened. The numbers are stored and never change their meaning.
type NoticeKind uint8

// The kinds.
const (
	SignUpTaken      NoticeKind = iota + 1 // somebody signed up with a contact that has an account
	NewDevice                              // a sign-in from a device that was never seen
	SecondStepFailed                       // the right password, then a wrong second step
	TwoStepOn                              // two-step verification was turned on
	TwoStepOff                             // and off
	FactorAdded                            // a second step was added
	FactorRemoved                          // and removed
	RecoveryCodesNew                       // new recovery codes were made; the old ones are void
	RecoveryCodeUsed                       // one of them was used
	PasswordChanged                        // by somebody who was signed in
	PasswordReset                          // by somebody who wasn't
	ContactAdded                           // a phone number or address was added
	ContactChanged                         // another took the place of this one; told to the old one
	ContactRemoved                         // a phone number or address was removed
	DeviceRevoked                          // an old secret of a trusted device was used; it is trusted no more
	RecoveryStarted                        // somebody began to recover the account
	RecoveryWaiting                        // half of the waiting time is over
	RecoveryDone                           // the account was recovered
	RecoveryStopped                        // somebody stopped the recovery
	Undone                                 // a change was undone
	ContactConfirm                         // yearly: is this contact still yours?
	ContactBounced                         // messages to a contact come back
	AccountClosed                          // the account was closed
	NotMe                                  // somebody marked activity as not theirs; everything was signed out
	HelpAsked                              // the answer to a text of HELP
	CaseAnswered                           // support answered a case; the notice holds nothing of the answer
)

// notices says of each kind its stable name, which of the catalogue's deeds a person may do about it, and whether that
// is for those only who didn't do it themselves.
var notices = [...]struct {
	name, do string
	ask      bool
}{
	SignUpTaken:      {"sign_up_taken", "sign_in", false},
	NewDevice:        {"new_device", "secure", true},
	SecondStepFailed: {"second_step_failed", "secure", true},
	TwoStepOn:        {"two_step_on", "undo", true},
	TwoStepOff:       {"two_step_off", "undo", true},
	FactorAdded:      {"factor_added", "undo", true},
	FactorRemoved:    {"factor_removed", "undo", true},
	RecoveryCodesNew: {"recovery_codes_new", "undo", true},
	RecoveryCodeUsed: {"recovery_code_used", "secure", true},
	PasswordChanged:  {"password_changed", "undo", true},
	PasswordReset:    {"password_reset", "undo", true},
	ContactAdded:     {"contact_added", "undo", true},
	ContactChanged:   {"contact_changed", "undo", true},
	ContactRemoved:   {"contact_removed", "undo", true},
	DeviceRevoked:    {"device_revoked", "secure", false},
	RecoveryStarted:  {"recovery_started", "stop", true},
	RecoveryWaiting:  {"recovery_waiting", "stop", true},
	RecoveryDone:     {"recovery_done", "secure", true},
	RecoveryStopped:  {"recovery_stopped", "look", false},
	Undone:           {"undone", "look", false},
	ContactConfirm:   {"contact_confirm", "confirm", false},
	ContactBounced:   {"contact_bounced", "change", false},
	AccountClosed:    {"account_closed", "undo", true},
	NotMe:            {"not_me", "secure", false},
	HelpAsked:        {"help_asked", "look", false},
	CaseAnswered:     {"case_answered", "sign_in", false},
}

// NoticeKinds lists all kinds in the order of their numbers.
func NoticeKinds() []NoticeKind {
	var all []NoticeKind
	for k := SignUpTaken; k.known(); k++ {
		all = append(all, k)
	}
	return all
}

func (k NoticeKind) known() bool { return k > 0 && int(k) < len(notices) }

// String is the stable name; empty for a number that is no kind.
func (k NoticeKind) String() string {
	if !k.known() {
		return ""
	}
	return notices[k].name
}

// noticeWords are a catalogue's sentences about notices.
type noticeWords struct {
	events, more map[NoticeKind]sentence // what happened, without a full stop; what that means
	deeds        map[string]string
	lines        map[string]sentence
	account      string // where to go when there is no address
}

// noticeLines are the lines that every catalogue has to have for notices.
func noticeLines() []string {
	return []string{
		"subject", "said", "said_what", "head", "head_what", "head_short", "when", "from", "question", "until", "at", "at_key", "link", "link_note",
	}
}

var errNotice = errors.New("message: a notice must be of a known kind, by text or mail, and hold no code and no link but its own")

// checkNotice refuses what no caller of ours makes: it would be a message with both a code and a link, or with a link of another kind.
func checkNotice(o *Outgoing) error {
	n := o.Notice
	web := strings.HasPrefix(n.Link, "https://") || strings.HasPrefix(n.Link, "http://") // the latter under `dev`
	switch {
	case !n.Kind.known(), o.Code.Len() > 0, o.Channel != service.SMS && o.Channel != service.Email,
		n.Link != "" && !web, strings.Contains(n.Address+n.Key, "://"),
		oneLine(n.Link+n.Address+n.Key) != n.Link+n.Address+n.Key, strings.ContainsAny(n.Link, " \"<>"):
		return errNotice
	}
	return nil
}

// addNotice completes the values of a message with those of its notice.
func (v *values) addNotice(o *Outgoing, c *catalog) {
	n, how := o.Notice, notices[o.Notice.Kind]
	v.event, v.do = c.notices.events[n.Kind].fill(v), c.notices.deeds[how.do]
	v.what, v.until, v.key, v.link = noLink(oneLine(n.What)), n.Until, n.Key, n.Link
	switch {
	case n.Address != "":
		v.place = n.Address
	case v.domain != "":
		v.place = v.domain
	default:
		v.place = c.notices.account
	}
}

// at says where to go, and what to type there.
func (c *catalog) at(v *values) sentence {
	if v.key != "" {
		return c.notices.lines["at_key"]
	}
	return c.notices.lines["at"]
}

// noticeSMS is a notice in one segment. What doesn't fit is dropped: from where it was done, until when it can be
// undone, what exactly it was, and in the end when. Where to go and what to type there stay: with these, a text that isn't
// written in the GSM alphabet may take two.
func (c *catalog) noticeSMS(o *Outgoing, v *values) string {
	lines, how := c.notices.lines, notices[o.Notice.Kind]
	v.what = strings.ReplaceAll(v.what, "\u2022", "*") // the dots of a masked number are in no text's first alphabet
	text := func(head string, asked, until, act bool) string {
		var parts []string
		say := func(wanted bool, s sentence) {
			if wanted {
				parts = append(parts, s.fill(v))
			}
		}
		say(true, lines[head])
		say(asked && v.asked != "", lines["from"])
		say(act && how.ask, lines["question"])
		say(until && !v.until.IsZero(), lines["until"])
		say(act, c.at(v))
		return strings.Join(parts, c.between)
	}
	head := "head"
	if v.what != "" {
		head = "head_what"
	}
	tries := []string{text(head, true, true, true), text(head, false, true, true), text(head, false, false, true), text("head", false, false, true)}
	led := o.Notice.Address != "" || v.key != ""
	for most := 1; most <= 2; most++ {
		for _, try := range tries {
			if size := SizeOf(try); size.Segments <= most && (most == 1 || led && size.Alphabet == UCS2) {
				return try
			}
		}
	}
	last := text("head_short", false, false, true)
	if !led && Segments(last) > 1 {
		return text("head_short", false, false, false)
	}
	return last
}

// noticeMail writes both parts of a notice.
func (c *catalog) noticeMail(o *Outgoing, v *values, title string) (plain, markup string) {
	lines, how := c.notices.lines, notices[o.Notice.Kind]
	m := c.newMail(title, v)
	if v.what == "" {
		m.say(lines["said"])
	} else {
		m.say(lines["said_what"])
	}
	m.say(c.notices.more[o.Notice.Kind])
	m.say(lines["when"])
	if v.asked != "" {
		m.say(lines["from"])
	}
	if how.ask {
		m.say(lines["question"])
	}
	if !v.until.IsZero() {
		m.say(lines["until"])
	}
	if v.link == "" {
		m.say(c.at(v))
	} else {
		m.link(lines["link"])
		m.say(lines["link_note"])
	}
	return m.done()
}
