// SPDX-License-Identifier: Apache-2.0

package care

import (
	_ "embed" // the table
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/countersign/internal/fault"
)

// Place is an authority or carrier that takes reports.
type Place struct {
	Country string   `json:"country"` // ISO 3166-1 alpha-2
	Takes   []string `json:"takes"`   // sms, email, call, web: what it takes
	Name    string   `json:"name"`
	How     string   `json:"how"` // in English: what to send and to where
	Number  string   `json:"number,omitempty"`
	Email   string   `json:"email,omitempty"`
	URL     string   `json:"url,omitempty"` // https://
}

// Places says by country where else to report.
type Places struct{ all []Place }

// Bounds of a file of places.
const (
	maxPlacesFile = 1 << 20 // bytes
	maxPlaces     = 2000
	maxPlaceText  = 300 // bytes
)

//go:embed places.json
var placesFile []byte

func builtIn() *Places {
	p, err := parsePlaces(placesFile)
	if err != nil {
		panic(err) // a test reads the table
	}
	return p
}

// OpenPlaces reads a file of places, a JSON list of [Place], which replaces those that are built in; an empty path gives the latter.
//
// Faults: Invalid, naming the option report-places-file.
func OpenPlaces(path string) (*Places, error) {
	if path == "" {
		return builtIn(), nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxPlacesFile {
		err = fmt.Errorf("it has more than %d bytes", maxPlacesFile)
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(path)
	}
	var p *Places
	if err == nil {
		p, err = parsePlaces(content)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "invalid_report_places", fmt.Sprintf("report-places-file: %v. Give a JSON list of places, or leave it out.", err)).WithField("report-places-file")
	}
	return p, nil
}

func parsePlaces(content []byte) (*Places, error) {
	var p Places
	if err := json.Unmarshal(content, &p.all); err != nil {
		return nil, err
	}
	if len(p.all) > maxPlaces {
		return nil, fmt.Errorf("it has more than %d places", maxPlaces)
	}
	for i := range p.all {
		if err := p.all[i].check(); err != nil {
			return nil, fmt.Errorf("place %d: %w", i+1, err)
		}
	}
	return &p, nil
}

func (p *Place) check() error {
	for _, s := range []string{p.Name, p.How, p.Number, p.Email, p.URL} {
		if len(s) > maxPlaceText || !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\t\x00") {
			return fmt.Errorf("its texts are one line of at most %d bytes each", maxPlaceText)
		}
	}
	switch {
	case !isCountry(p.Country):
		return fmt.Errorf("country must be two capital letters")
	case p.Name == "" || p.How == "":
		return fmt.Errorf("name and how must be given")
	case len(p.Takes) == 0 || slices.ContainsFunc(p.Takes, func(c string) bool { return !slices.Contains(reportChannels, c) }):
		return fmt.Errorf("takes must list some of %s", strings.Join(reportChannels, ", "))
	case p.Number == "" && p.Email == "" && p.URL == "":
		return fmt.Errorf("number, email or url must be given")
	case p.URL != "" && !strings.HasPrefix(p.URL, "https://"):
		return fmt.Errorf("url must begin with https://")
	}
	return nil
}

// In gives the places of a country, in the order of the table; none for one that the table doesn't have.
func (p *Places) In(country string) []Place {
	var out []Place
	for _, one := range p.all {
		if one.Country == country {
			out = append(out, one)
		}
	}
	return out
}

// Countries lists those that have a place.
func (p *Places) Countries() []string {
	var out []string
	for _, one := range p.all {
		if !slices.Contains(out, one.Country) {
			out = append(out, one.Country)
		}
	}
	slices.Sort(out)
	return out
}
