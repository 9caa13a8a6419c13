// SPDX-License-Identifier: Apache-2.0

// Package place says in words where and with what somebody asks: the rough place of an IP address and the device of a
// User-Agent.
//
// It owns the reading of the operator's database of places, and the words. Nothing leaves the machine for them, and both are
// guesses for people to read: nothing is decided by them.
package place

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/countersign/countersign/internal/fault"
)

// Place is roughly where an address is. Names are in the language that was asked for, where the database has it, else in
// English. What isn't known is empty; of an address that is none, everything is.
type Place struct {
	City        string
	Region      string
	Country     string // ISO 3166-1 alpha-2
	CountryName string
	Network     string // 203.0.113.0/24, or ThisMachine or PrivateNetwork
}

// What Place.Network says of addresses that aren't on the Internet.
const (
	ThisMachine    = "this machine"
	PrivateNetwork = "a private network"
)

// String says the place in English: "near Lyon, France", "in France", "the network 203.0.113.0/24", "this machine". The zero
// Place is an empty text.
func (p Place) String() string {
	country := p.CountryName
	if country == "" {
		country = p.Country
	}
	join := func(words ...string) string {
		return strings.Join(filter(words), ", ")
	}
	switch {
	case p.City != "":
		return "near " + join(p.City, country)
	case p.Region != "" || country != "":
		return "in " + join(p.Region, country)
	case p.Network == "" || p.Network == ThisMachine || p.Network == PrivateNetwork:
		return p.Network
	}
	return "the network " + p.Network
}

func filter(words []string) []string {
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

// Bounds of what is believed.
const (
	maxFile   = 1 << 30 // bytes of a database: it is read into memory
	maxRadius = 200     // km: a city that may be farther away than that isn't named
	maxIP     = 64      // bytes of an address as text
)

// Finder finds places. Any number of goroutines may use it.
type Finder struct {
	path    string
	current atomic.Pointer[database] // nil: there is none
	refresh sync.Mutex
}

type database struct {
	reader   *maxminddb.Reader
	modified time.Time
	size     int64
}

// Open returns a finder with the database at path, a file in MaxMind's format (.mmdb) of the kind City or Country. With an
// empty path, it knows networks only.
//
// Faults: Invalid (place_database_unreadable).
func Open(path string) (*Finder, error) {
	f := &Finder{path: path}
	if path == "" {
		return f, nil
	}
	d, err := read(path)
	if err != nil {
		return nil, err
	}
	f.current.Store(d)
	return f, nil
}

func unreadable(path, why string) *fault.Error {
	return fault.New(fault.Invalid, "place_database_unreadable",
		fmt.Sprintf("place-database: %s %s. Give a file in MaxMind's format (.mmdb) of the kind City or Country, or leave it out.", path, why)).WithField("place-database")
}

// read takes the whole file into memory: one that is overwritten where it stands can't break what is being read.
func read(path string) (*database, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, unreadable(path, "can't be opened").WithCause(err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, unreadable(path, "can't be read").WithCause(err)
	case !info.Mode().IsRegular():
		return nil, unreadable(path, "is not a file")
	case info.Size() > maxFile:
		return nil, unreadable(path, fmt.Sprintf("has more than %d MB", maxFile>>20))
	}
	content := make([]byte, info.Size())
	if _, err := io.ReadFull(file, content); err != nil {
		return nil, unreadable(path, "can't be read").WithCause(err)
	}
	reader, err := maxminddb.OpenBytes(content)
	if err != nil {
		return nil, unreadable(path, "is not such a database, or is damaged").WithCause(err)
	}
	if kind := reader.Metadata.DatabaseType; !strings.Contains(kind, "City") && !strings.Contains(kind, "Country") {
		return nil, unreadable(path, fmt.Sprintf("is a database of the kind %q", kind))
	}
	return &database{reader: reader, modified: info.ModTime(), size: info.Size()}, nil
}

// Refresh reads the file again if it has changed. A file that is gone or damaged is a fault, and the database that was read
// before stays in use. It is for a job: Find never waits for it.
//
// Faults: Invalid (place_database_unreadable), Canceled.
func (f *Finder) Refresh(ctx context.Context) error {
	if err := ctx.Err(); err != nil || f.path == "" {
		return err
	}
	f.refresh.Lock()
	defer f.refresh.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return unreadable(f.path, "is gone; what was read before stays in use").WithCause(err)
	}
	if d := f.current.Load(); d != nil && d.modified.Equal(info.ModTime()) && d.size == info.Size() {
		return nil
	}
	d, err := read(f.path)
	if err != nil {
		return err
	}
	f.current.Store(d)
	return nil
}

// Find says where ip is, in the language lang (BCP 47). A text that is no address of one machine gives the zero Place.
func (f *Finder) Find(ip, lang string) Place {
	if len(ip) > maxIP {
		return Place{}
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return Place{}
	}
	addr = addr.Unmap().WithZone("")
	switch {
	case addr.IsLoopback():
		return Place{Network: ThisMachine}
	case addr.IsPrivate(), addr.IsLinkLocalUnicast(), shared.Contains(addr):
		return Place{Network: PrivateNetwork}
	case !addr.IsGlobalUnicast():
		return Place{}
	}
	p := Place{Network: network(addr)}
	if d := f.current.Load(); d != nil {
		d.fill(&p, addr, lang)
	}
	return p
}

// shared is what carriers number their customers from (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

func network(addr netip.Addr) string {
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}

// fill adds the names that the database has. What can't be read there stays unknown.
func (d *database) fill(p *Place, addr netip.Addr, lang string) {
	if addr.Is6() && d.reader.Metadata.IPVersion == 4 {
		return
	}
	found := d.reader.Lookup(addr)
	if !found.Found() {
		return
	}
	lang = d.language(lang)
	text := func(path ...any) (s string) {
		if found.DecodePath(&s, path...) != nil {
			return ""
		}
		return s
	}
	name := func(path ...any) string {
		if s := text(append(path, "names", lang)...); s != "" {
			return s
		}
		return text(append(path, "names", english)...)
	}
	p.Country, p.CountryName = text("country", "iso_code"), name("country")
	p.Region = name("subdivisions", 0)
	var radius uint16
	if err := found.DecodePath(&radius, "location", "accuracy_radius"); err == nil && radius <= maxRadius {
		p.City = name("city")
	}
}

const english = "en"

// language is the database's language that is nearest to lang: the same, its language without the country, or with another.
func (d *database) language(lang string) string {
	best, rank := english, 0
	base, _, _ := strings.Cut(lang, "-")
	for _, have := range d.reader.Metadata.Languages {
		general, _, _ := strings.Cut(have, "-")
		r := 0
		switch {
		case strings.EqualFold(have, lang):
			r = 3
		case strings.EqualFold(have, base):
			r = 2
		case strings.EqualFold(general, base):
			r = 1
		}
		if r > rank {
			best, rank = have, r
		}
	}
	return best
}
