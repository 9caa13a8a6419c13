// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/countersign/countersign/internal/locale"
	"github.com/countersign/countersign/internal/service"
)

// helpTopic is a question that customers ask, and what they can do about it: its words are help.NAME.title and help.NAME.text.
type helpTopic struct {
	name   string
	action string   // the primary button
	more   []string // links below it
}

// helpTopics are ours, in the order of the list. An operator's text may take the place of one.
var helpTopics = []helpTopic{
	{"what-is-a-code", "two_step", []string{"ours"}},
	{"how-to-use-it", "step", nil},
	{"is-it-legitimate", "check", []string{"ours"}},
	{"code-not-requested", "review", []string{"report"}},
	{"suspicious-call", "call", []string{"report"}},
	{"after-receiving-a-code", "review", []string{"check"}},
	{"delivery-codes", "check", []string{"report"}},
	{"code-not-received", "step", []string{"contacts"}},
	{"code-not-working", "step", nil},
	{"turn-it-off", "off", nil},
	{"change-phone-number", "contacts", []string{"recover"}},
	{"lost-everything", "recover", nil},
}

// helpPaths are the pages that topics lead to; the words of each are help.act.NAME.
var helpPaths = map[string]string{
	"check": "/check", "call": "/call", "review": "/review", "report": "/report", "ours": "/ours",
	"step": "/step", "sign_in": "/signin", "recover": "/recover",
	"two_step": "/security/two-step", "off": "/security/two-step/off", "contacts": "/security/contacts",
}

// helpLink leads from a topic on to where something is done.
type helpLink struct{ Path, Words string }

// helpText is a topic in one language, with places for facts.
type helpText struct {
	title  string
	blocks []block
	action *helpLink // an operator's own; nil: the topic's
}

// help are the texts of all topics.
type help struct {
	ours map[string]map[string]*helpText            // by topic and language
	own  map[string]map[string]map[string]*helpText // by service, topic and language: the operator's
}

// readHelp reads our own texts from the words, and the operator's from folder, if there is one.
func readHelp(w *words, folder string) (*help, error) {
	h := &help{ours: map[string]map[string]*helpText{}}
	for _, topic := range helpTopics {
		h.ours[topic.name] = map[string]*helpText{}
		for _, l := range locale.All() {
			text, err := readTopic("# " + w.say(l.Tag, "help."+topic.name+".title") + "\n\n" + w.say(l.Tag, "help."+topic.name+".text"))
			if err != nil {
				return nil, fmt.Errorf("web: the help on %s in %s %w", topic.name, l.Tag, err)
			}
			h.ours[topic.name][l.Tag] = text
		}
	}
	var err error
	h.own, err = readHelpFolder(folder)
	return h, err
}

// find gives a topic's text for a visitor, and its language. An operator's text goes before ours; in a language that it lacks, it is shown
// in the service's, else in the first of our list that it has.
func (h *help) find(svc *service.Service, topic, tag string) (text *helpText, in string) {
	if own := h.own[svc.Slug][topic]; own != nil {
		tags := []string{tag, locale.Match(svc.Locale).Tag}
		for _, l := range locale.All() {
			tags = append(tags, l.Tag)
		}
		for _, tag := range tags {
			if own[tag] != nil {
				return own[tag], tag
			}
		}
	}
	return h.ours[topic][tag], tag
}

// topics lists the names of all topics of a service: ours, then the operator's own by name.
func (h *help) topics(svc *service.Service) []string {
	var all, own []string
	for _, t := range helpTopics {
		all = append(all, t.name)
	}
	for name := range h.own[svc.Slug] {
		if !slices.Contains(all, name) {
			own = append(own, name)
		}
	}
	slices.Sort(own)
	return append(all, own...)
}

var factForm = regexp.MustCompile(`\{(\w+)\}`)

// helpFacts are the names of what a text can say of the service; see facts.
var helpFacts = []string{"service", "digits", "life", "tries", "channels", "email", "off", "wait", "support"}

// facts is what the service's policy says, in the words of a language. Those that are sentences are empty where there is nothing to say.
func (pg *page) facts(tag string) map[string]string {
	w, p, name := pg.pages.words, &pg.Service.Policy, pg.Service.Name
	facts := map[string]string{
		"service": name, "digits": w.count(tag, "help.digits", p.CodeLength), "tries": w.count(tag, "help.tries", p.MaxTries),
		"life": w.wait(tag, time.Duration(p.Lifetime)*time.Second), "wait": w.wait(tag, time.Duration(p.Recovery)*time.Hour),
	}
	var ways []string
	for _, c := range p.Channels {
		ways = append(ways, w.say(tag, "help.by."+string(c)))
	}
	facts["channels"] = w.list(tag, ways)
	if slices.Contains(p.Channels, service.Email) {
		key := map[bool]string{true: "help.email_counts", false: "help.email_counts_not"}[p.EmailIsSecondStep]
		facts["email"] = w.say(tag, key, "service", name)
	}
	facts["off"] = w.say(tag, "help.optional")
	if p.SecondStep == service.SecondStepRequired {
		facts["off"] = w.say(tag, "help.required", "service", name)
	}
	var reached []string
	for _, way := range []string{pg.Service.Brand.SupportPhone, pg.Service.Brand.SupportEmail, pg.Service.Brand.SupportURL} {
		if way != "" {
			reached = append(reached, leftToRight+way+isolated)
		}
	}
	if len(reached) > 0 {
		facts["support"] = w.say(tag, "help.support", "service", name, "ways", w.list(tag, reached))
	}
	return facts
}

// What stands between these is read from left to right, also within Arabic (UAX #9, 2.4).
const (
	leftToRight = "\u2066"
	isolated    = "\u2069"
)

// list joins the parts of a list: "a, b or c".
func (w *words) list(tag string, parts []string) string {
	text := ""
	for i, part := range parts {
		switch {
		case i == 0:
			text = part
		case i < len(parts)-1:
			text = w.say(tag, "help.comma", "a", text, "b", part)
		default:
			text = w.say(tag, "help.or", "a", text, "b", part)
		}
	}
	return text
}

// helpData is the page of a topic.
type helpData struct {
	Lang   *locale.Locale // of the text, where it isn't the page's
	Blocks []block
	Action *helpLink
	More   []helpLink
}

func (p *Pages) helpIndex(v *visit) error {
	pg := p.page(v, "help.index")
	pg.Wide = true
	type link struct {
		helpLink
		Lang locale.Locale
	}
	var links []link
	fillers := map[string]func(string) string{}
	for _, name := range p.help.topics(v.svc) {
		text, tag := p.help.find(v.svc, name, v.lang.Tag)
		if fillers[tag] == nil {
			fillers[tag] = filler(pg.facts(tag))
		}
		links = append(links, link{helpLink{"/help/" + name, fillers[tag](text.title)}, locale.Match(tag)})
	}
	pg.Data = links
	return p.show(v, http.StatusOK, "helpindex.html", pg)
}

func (p *Pages) helpTopic(v *visit) error {
	name := v.Request.PathValue("topic")
	text, tag := p.help.find(v.svc, name, v.lang.Tag)
	if text == nil {
		return errGone
	}
	pg := p.page(v, "help.title")
	put := filler(pg.facts(tag))
	pg.Title, pg.Wide, pg.Back = put(text.title), true, "/help/"+name
	d := &helpData{Blocks: fill(text.blocks, put), Action: text.action}
	if tag != v.lang.Tag {
		in := locale.Match(tag)
		d.Lang = &in
	}
	if i := slices.IndexFunc(helpTopics, func(t helpTopic) bool { return t.name == name }); i >= 0 {
		if d.Action == nil {
			d.Action = pg.helpLink(helpTopics[i].action, tag)
		}
		for _, more := range helpTopics[i].more {
			d.More = append(d.More, *pg.helpLink(more, v.lang.Tag))
		}
	}
	pg.Data = d
	return p.show(v, http.StatusOK, "help.html", pg)
}

// helpLink is an action in the words of a language, where it can be done: without a flow there is no step to go on with, and a second step that everybody must have
// can't be turned off.
func (pg *page) helpLink(action, tag string) *helpLink {
	switch {
	case action == "step" && pg.pages.cookie(pg.visit, cookieFlow) == "":
		action = "sign_in"
	case action == "off" && pg.Service.Policy.SecondStep == service.SecondStepRequired:
		action = "two_step"
	}
	return &helpLink{helpPaths[action], pg.pages.words.say(tag, "help.act."+action)}
}

// filler puts facts into a text.
func filler(facts map[string]string) func(string) string {
	return func(text string) string {
		return factForm.ReplaceAllStringFunc(text, func(place string) string { return facts[strings.Trim(place, "{}")] })
	}
}

// oursData is the page of what is the service's own.
type oursData struct {
	service.Ours
	Complete bool     // what isn't listed isn't the service's: there is a sender for each kind of message that it sends
	Asks     []string // what nobody from it ever asks
}

func (p *Pages) ours(v *visit) error {
	pg := p.page(v, "ours.title")
	d := &oursData{Ours: v.svc.Ours(), Complete: true}
	for _, c := range v.svc.Policy.Channels {
		d.Complete = d.Complete && len(map[bool][]string{true: d.Mail, false: d.Senders}[c == service.Email]) > 0
	}
	for _, what := range []string{"code", "password", "card", "remote", "money", "install"} {
		d.Asks = append(d.Asks, pg.T("ours.asks."+what))
	}
	pg.Data, pg.Wide = d, true
	return p.show(v, http.StatusOK, "ours.html", pg)
}
