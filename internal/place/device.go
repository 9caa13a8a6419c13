// SPDX-License-Identifier: Apache-2.0

package place

import "strings"

// maxAgent is how much of a User-Agent is looked at, in bytes.
const maxAgent = 512

// rule says a word for a User-Agent that has a sign. The first rule that fits counts.
type rule struct{ sign, word string }

// What calls itself by several names stands before those whose names it borrows.
var (
	browsers = []rule{
		{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"Edge/", "Edge"},
		{"OPR/", "Opera"}, {"OPT/", "Opera"}, {"OPiOS/", "Opera"}, {"Opera", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"}, {"YaBrowser/", "Yandex Browser"},
		{"DuckDuckGo/", "DuckDuckGo"}, {"Ddg/", "DuckDuckGo"}, {"UCBrowser/", "UC Browser"},
		{"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"}, {"Focus/", "Firefox"},
		{"; wv)", app}, {"FBAN/", app}, {"FBAV/", app}, {"FB_IAB/", app}, {"Instagram ", app}, {"MicroMessenger/", app}, {"GSA/", app},
		{"CriOS/", "Chrome"}, {"Chromium/", "Chrome"}, {"Chrome/", "Chrome"},
		{"Version/", "Safari"},
		{"Mozilla/", browser},
	}
	systems = []rule{
		{"iPhone", "iPhone"}, {"iPod", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS ", "ChromeOS"},
		{"Windows", "Windows"}, {"Macintosh", "Mac"}, {"Mac OS X", "Mac"}, {"Linux", "Linux"}, {"X11;", "Linux"},
	}
)

const (
	app     = "an app"
	browser = "a browser"
	unknown = "an unknown device"
)

// Device says in English which browser and system a User-Agent claims: "Chrome on Windows", "Safari on iPhone", "an app on
// Android", "an app", "an unknown device". Each word is from a table of ours, never from the text.
func Device(userAgent string) string {
	agent := userAgent[:min(len(userAgent), maxAgent)]
	what, system := first(browsers, agent), first(systems, agent)
	apple := system == "iPhone" || system == "iPad" || system == "Mac"
	product, _, _ := strings.Cut(agent, " ")
	switch {
	case what == "Safari" && (!apple || !strings.Contains(agent, "Safari/")):
		what = browser // others give a version in the same way
	case what == browser && apple && strings.Contains(agent, "AppleWebKit/"):
		what = app // a page inside an app: it says neither Safari nor its own name
	case what == "" && (system != "" || strings.Contains(product, "/")):
		what = app // every browser begins with Mozilla
	}
	switch {
	case what == "" || what == browser && system == "":
		return unknown
	case system == "":
		return what
	}
	return what + " on " + system
}

func first(rules []rule, agent string) string {
	for _, r := range rules {
		if strings.Contains(agent, r.sign) {
			return r.word
		}
	}
	return ""
}
