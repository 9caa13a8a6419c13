// SPDX-License-Identifier: Apache-2.0

// Package authentic takes apart a message that somebody doubts: is it one of ours, and what in it is what frauds are made of?
//
// It owns the rules, each with a name, and the forms in which texts are compared. It decides from the text and from what a service says is its own; it
// asks nobody, keeps nothing, and never says that a message is harmless (S23): true codes are triggered by attackers, and words can be copied.
package authentic

import (
	_ "embed" // the words
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/countersign/countersign/internal/fault"
)

// Rule names what was found. The names are stable.
type Rule string

// The rules.
const (
	Link          Rule = "link"                   // it has a link; a message of ours with a code has none
	ForeignDomain Rule = "foreign_domain"         // to a domain that isn't ours
	Lookalike     Rule = "lookalike_domain"       // which looks like ours
	OursAsPart    Rule = "our_domain_as_part"     // whose name begins with ours: acme.example.evil.test
	Shortener     Rule = "shortener"              // which hides where it leads
	AddressLink   Rule = "ip_address_link"        // which has no name at all
	UserinfoLink  Rule = "userinfo_link"          // which shows another name before an @
	MixedLetters  Rule = "mixed_letters"          // letters of several scripts in one word, so that it looks like another
	Invisible     Rule = "invisible_characters"   // between letters
	AsksCode      Rule = "asks_for_code"          //
	AsksPassword  Rule = "asks_for_password"      //
	AsksCard      Rule = "asks_for_card"          //
	AsksPayment   Rule = "asks_for_payment"       //
	AsksRemote    Rule = "asks_for_remote_access" // or to install something
	Urgency       Rule = "urgency"                //
	Threat        Rule = "threat"                 // of what happens otherwise
	Prize         Rule = "prize"                  //
	ForeignNumber Rule = "foreign_phone_number"   // to call, which isn't ours
	OtherSender   Rule = "sender_not_ours"        //
	strongest          = 2
)

// weights say how much a rule alone weighs: 2 is enough to be suspicious, 1 needs company, 0 is told and weighs nothing.
var weights = map[Rule]int{
	Link: 0, ForeignDomain: 1, Lookalike: strongest, OursAsPart: strongest, Shortener: 1, AddressLink: strongest, UserinfoLink: strongest, MixedLetters: strongest, Invisible: 1,
	AsksCode: strongest, AsksPassword: strongest, AsksCard: strongest, AsksPayment: 1, AsksRemote: strongest, Urgency: 1, Threat: 1, Prize: 1, ForeignNumber: 1,
	OtherSender: 1,
}

// Rules lists all rules.
func Rules() []Rule {
	return []Rule{
		Link, ForeignDomain, Lookalike, OursAsPart, Shortener, AddressLink, UserinfoLink, MixedLetters, Invisible, AsksCode, AsksPassword, AsksCard, AsksPayment,
		AsksRemote, Urgency, Threat, Prize, ForeignNumber, OtherSender,
	}
}

// Ours is what a service says is its own.
type Ours struct {
	Name    string
	Domains []string // of its pages; what lies below them is ours, too
	Numbers []string // to call back, E.164
	Senders []string // names and numbers that messages come from
	Mail    []string // addresses that mails come from
}

// Finding is one thing that was noticed.
type Finding struct {
	Rule  Rule
	Words string // of the message, blanked, at most 60 characters; may be empty
}

// MaxText is how many characters of a message are taken.
const MaxText = 4000

// maxExcerpt bounds what is quoted of a message, in characters.
const maxExcerpt = 60

// Check refuses what can't be a message.
//
// Faults: Invalid (text_missing, text_too_long).
func Check(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return fault.New(fault.Invalid, "text_missing", "Paste the message.").WithField("text")
	case utf8.RuneCountInString(text) > MaxText:
		return fault.New(fault.Invalid, "text_too_long", fmt.Sprintf("This may have at most %d characters. Paste only the message.", MaxText)).WithField("text")
	}
	return nil
}

// Suspicious tells whether findings are enough to call a message that. If not, nothing follows: least of all that it is harmless.
func Suspicious(all []Finding) bool {
	sum := 0
	seen := map[Rule]bool{}
	for _, f := range all {
		if !seen[f.Rule] {
			seen[f.Rule] = true
			sum += weights[f.Rule]
		}
	}
	return sum >= strongest
}

// Examine says what is in a text, which is blanked first, and of its sender (empty: not known). The same rule comes once for each thing that it found.
func Examine(text, sender string, ours *Ours) []Finding {
	text = Blank(strings.ToValidUTF8(text, ""))
	var all []Finding
	add := func(r Rule, words string) {
		f := Finding{r, excerpt(words)}
		if !slices.Contains(all, f) && len(all) < maxFindings {
			all = append(all, f)
		}
	}
	examineLinks(text, ours, add)
	examineLetters(text, add)
	for _, s := range sentences(text) {
		examineSentence(s, add)
	}
	for _, n := range phoneForm.FindAllString(text, -1) {
		if e164 := phone(n); e164 != "" && !slices.Contains(ours.Numbers, e164) && !slices.Contains(ours.Senders, e164) {
			add(ForeignNumber, n)
		}
	}
	if sender != "" && !ours.sends(sender) {
		add(OtherSender, Blank(sender))
	}
	return all
}

const maxFindings = 30

// sends tells whether a sender is one of ours, however it is written.
func (o *Ours) sends(sender string) bool {
	plain := func(s string) string {
		if i := strings.LastIndexByte(s, '<'); i >= 0 {
			s = strings.Trim(s[i:], "<>")
		}
		if e164 := phone(strings.TrimSpace(s)); e164 != "" {
			return e164
		}
		return strings.ToLower(strings.Join(strings.Fields(norm.NFKC.String(s)), " "))
	}
	want := plain(sender)
	for _, s := range slices.Concat(o.Senders, o.Mail, o.Numbers) {
		if plain(s) == want {
			return true
		}
	}
	return false
}

func excerpt(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, s)), " ")
	if utf8.RuneCountInString(s) <= maxExcerpt {
		return s
	}
	return string([]rune(s)[:maxExcerpt-1]) + "…"
}

// language is the words by which a language asks, hurries and threatens.
type language struct {
	Not      []string `json:"not"`      // a sentence with one of them asks for nothing
	Ask      []string `json:"ask"`      // send, tell, give: what nobody honest has done with a code
	Do       []string `json:"do"`       // enter, confirm, update: what frauds have done with passwords and cards
	Code     []string `json:"code"`     //
	Password []string `json:"password"` //
	Card     []string `json:"card"`     //
	Pay      []string `json:"pay"`      // complete phrases: "pay the fee"
	Remote   []string `json:"remote"`   // complete phrases: "install anydesk"
	Urgent   []string `json:"urgent"`   //
	Threat   []string `json:"threat"`   //
	Prize    []string `json:"prize"`    //
	Door     []string `json:"door"`     // who brings a parcel: a delivery code is said to them
}

//go:embed words.json
var wordsFile []byte

var languages = func() map[string]*language {
	all := map[string]*language{}
	if err := json.Unmarshal(wordsFile, &all); err != nil {
		panic(err) // a test reads the words
	}
	for _, l := range all {
		for _, list := range []*[]string{&l.Not, &l.Ask, &l.Do, &l.Code, &l.Password, &l.Card, &l.Pay, &l.Remote, &l.Urgent, &l.Threat, &l.Prize, &l.Door} {
			for i, w := range *list {
				(*list)[i] = plainWords(w)
			}
		}
	}
	return all
}()

// plainWords is a text in small letters, its marks and the space around it made alike: " send me the code ".
func plainWords(s string) string {
	var out strings.Builder
	out.WriteByte(' ')
	space := true
	for _, r := range strings.ToLower(norm.NFKC.String(s)) {
		switch {
		case unicode.Is(unicode.Cf, r):
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			out.WriteRune(r)
			space = false
		case r == '\'' || r == '’':
		case !space:
			out.WriteByte(' ')
			space = true
		}
	}
	if !space {
		out.WriteByte(' ')
	}
	return out.String()
}

// has tells whether a sentence has one of some words, as whole words where the script has spaces between them.
func has(sentence string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool {
		if unspaced(w) {
			w = strings.TrimSpace(w)
		}
		return w != "" && strings.Contains(sentence, w)
	})
}

// hasWord is has for words that must stand alone wherever a script has spaces.
func hasWord(sentence string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool {
		return strings.Contains(sentence, w) || unspaced(w) && !arabic(w) && strings.Contains(sentence, strings.TrimSpace(w))
	})
}

func arabic(w string) bool {
	return strings.ContainsFunc(w, func(r rune) bool { return unicode.Is(unicode.Arabic, r) })
}

// unspaced tells scripts that write words without spaces; Arabic words begin with articles and prepositions that are written with them.
func unspaced(w string) bool {
	return strings.ContainsFunc(w, func(r rune) bool {
		return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Arabic)
	})
}

// sentences cuts a text where one ends. A link is no end.
func sentences(text string) []string {
	var all []string
	begin := 0
	for i, r := range text {
		next, _ := utf8.DecodeRuneInString(text[i+utf8.RuneLen(r):])
		if r == '\n' || strings.ContainsRune("!?。！？।؟", r) || r == '.' && (unicode.IsSpace(next) || i+1 == len(text)) {
			all = append(all, text[begin:i])
			begin = i + utf8.RuneLen(r)
		}
	}
	return append(all, text[begin:])
}

func examineSentence(s string, add func(Rule, string)) {
	plain := plainWords(s)
	for _, l := range languages {
		asks := !hasWord(plain, l.Not)
		ask, do := asks && has(plain, l.Ask), asks && has(plain, l.Do)
		if ask && has(plain, l.Code) && !has(plain, l.Door) {
			add(AsksCode, s)
		}
		for rule, words := range map[Rule][]string{AsksPassword: l.Password, AsksCard: l.Card} {
			if (ask || do) && has(plain, words) {
				add(rule, s)
			}
		}
		for rule, words := range map[Rule][]string{AsksPayment: l.Pay, AsksRemote: l.Remote} {
			if asks && has(plain, words) {
				add(rule, s)
			}
		}
		for rule, words := range map[Rule][]string{Urgency: l.Urgent, Threat: l.Threat, Prize: l.Prize} {
			if has(plain, words) {
				add(rule, s)
			}
		}
	}
}

// examineLetters finds words whose letters are of several scripts, and characters that can't be seen inside words.
func examineLetters(text string, add func(Rule, string)) {
	for _, w := range strings.Fields(text) {
		latin, other := false, false
		var before rune
		for i, r := range w {
			switch {
			case unicode.Is(unicode.Latin, r):
				latin = true
			case unicode.In(r, unicode.Cyrillic, unicode.Greek):
				other = true
			case unicode.Is(unicode.Cf, r) && r != '\u200e' && r != '\u200f' && unicode.Is(unicode.Latin, before) && i+utf8.RuneLen(r) < len(w):
				add(Invisible, w)
			}
			before = r
		}
		if latin && other {
			add(MixedLetters, w)
		}
	}
}
