// SPDX-License-Identifier: Apache-2.0

package place_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"pgregory.net/rapid"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/place"
)

func names(list ...string) mmdbtype.Map {
	m := mmdbtype.Map{}
	for i := 0; i < len(list); i += 2 {
		m[mmdbtype.String(list[i])] = mmdbtype.String(list[i+1])
	}
	return mmdbtype.Map{"names": m}
}

func country(code string, list ...string) mmdbtype.Map {
	c := names(list...)
	c["iso_code"] = mmdbtype.String(code)
	return c
}

// write makes a database at path, of a kind and with the records of networks.
func write(t testing.TB, path, kind string, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: kind, RecordSize: 24, Languages: []string{"de", "en", "fr", "pt-BR"}, IncludeReservedNetworks: true,
	})
	must(t, err)
	for prefix, record := range records {
		_, network, err := net.ParseCIDR(prefix)
		must(t, err)
		must(t, tree.Insert(network, record))
	}
	var b bytes.Buffer
	_, err = tree.WriteTo(&b)
	must(t, err)
	must(t, os.WriteFile(path, b.Bytes(), 0o600))
	return b.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cities is a small database of the kind City, in networks for documentation.
func cities(t testing.TB, path string) []byte {
	t.Helper()
	france := country("FR", "en", "France", "de", "Frankreich", "pt-BR", "França")
	return write(t, path, "GeoLite2-City", map[string]mmdbtype.Map{
		"203.0.113.0/24": {
			"city": names("en", "Lyon"), "country": france, "location": mmdbtype.Map{"accuracy_radius": mmdbtype.Uint16(20)},
			"subdivisions": mmdbtype.Slice{names("en", "Auvergne-Rhône-Alpes")},
		},
		"198.51.100.0/24": {
			"city": names("en", "Paris"), "country": france, "location": mmdbtype.Map{"accuracy_radius": mmdbtype.Uint16(500)},
		},
		"2001:db8::/32": {"country": country("DE", "en", "Germany", "de", "Deutschland"), "subdivisions": mmdbtype.Slice{names("en", "Bavaria", "de", "Bayern")}},
		"192.0.2.0/24":  {"country": mmdbtype.Map{"iso_code": mmdbtype.String("XK")}},
		"9.9.9.0/24":    {"country": mmdbtype.String("of another shape")},
	})
}

func TestPlacesOfACityDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "city.mmdb")
	cities(t, path)
	f, err := place.Open(path)
	must(t, err)
	for _, c := range []struct{ ip, lang, words string }{
		{"203.0.113.7", "en", "near Lyon, France"},
		{"::ffff:203.0.113.7", "en-GB", "near Lyon, France"},
		{"203.0.113.7", "de-AT", "near Lyon, Frankreich"},
		{"203.0.113.7", "PT", "near Lyon, França"},
		{"203.0.113.7", "pt-br", "near Lyon, França"},
		{"203.0.113.7", "ja", "near Lyon, France"},
		{"203.0.113.7", "", "near Lyon, France"},
		{"198.51.100.1", "en", "in France"}, // the city is a guess over half the country
		{"2001:db8::1%eth0", "de", "in Bayern, Deutschland"},
		{"192.0.2.1", "en", "in XK"},
		{"9.9.9.9", "en", "the network 9.9.9.0/24"},
		{"8.8.8.8", "en", "the network 8.8.8.0/24"},
	} {
		if got := f.Find(c.ip, c.lang).String(); got != c.words {
			t.Errorf("%s in %q: %q, want %q", c.ip, c.lang, got, c.words)
		}
	}
	want := place.Place{City: "Lyon", Region: "Auvergne-Rhône-Alpes", Country: "FR", CountryName: "France", Network: "203.0.113.0/24"}
	if got := f.Find("203.0.113.7", "en"); got != want {
		t.Errorf("%+v", got)
	}
}

func TestPlacesWithoutADatabase(t *testing.T) {
	t.Parallel()
	f, err := place.Open("")
	must(t, err)
	must(t, f.Refresh(t.Context()))
	for ip, words := range map[string]string{
		"203.0.113.7": "the network 203.0.113.0/24", "2001:db8:1:2::3": "the network 2001:db8:1::/48",
		"127.0.0.1": "this machine", "::1": "this machine", "::ffff:127.1.2.3": "this machine",
		"10.1.2.3": "a private network", "192.168.0.1": "a private network", "100.64.0.1": "a private network",
		"fd00::1": "a private network", "fe80::1%eth0": "a private network", "169.254.1.1": "a private network",
		"": "", "garbage": "", "203.0.113": "", "203.0.113.7:80": "", "0.0.0.0": "", "224.0.0.1": "", "ff02::1": "", "255.255.255.255": "",
		" 203.0.113.7": "", "::1%" + strings.Repeat("x", 100): "",
	} {
		p := f.Find(ip, "en")
		if got := p.String(); got != words || words == "" && p != (place.Place{}) {
			t.Errorf("%q: %q, want %q", ip, got, words)
		}
	}
}

func TestACountryDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "country.mmdb")
	write(t, path, "DBIP-Country-Lite", map[string]mmdbtype.Map{"203.0.113.0/24": {"country": country("FR", "en", "France")}})
	f, err := place.Open(path)
	must(t, err)
	if got := f.Find("203.0.113.1", "en").String(); got != "in France" {
		t.Error(got)
	}
}

// A file that can't serve is told at the start, by name and with what to do.
func TestDatabasesThatAreRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	whole := cities(t, filepath.Join(folder, "city.mmdb"))
	write(t, filepath.Join(folder, "asn.mmdb"), "GeoLite2-ASN", map[string]mmdbtype.Map{"203.0.113.0/24": {}})
	must(t, os.WriteFile(filepath.Join(folder, "cut.mmdb"), whole[:len(whole)/2], 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "text.mmdb"), []byte("hello"), 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "empty.mmdb"), nil, 0o600))
	for name, why := range map[string]string{
		"missing.mmdb": "opened", "asn.mmdb": "GeoLite2-ASN", "cut.mmdb": "damaged", "text.mmdb": "damaged", "empty.mmdb": "damaged", "": "not a file",
	} {
		var problem *fault.Error
		_, err := place.Open(filepath.Join(folder, name))
		if !errors.As(err, &problem) || problem.Kind != fault.Invalid || problem.Field != "place-database" ||
			!strings.Contains(problem.Message, filepath.Join(folder, name)) || !strings.Contains(problem.Message, why) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A new file is taken up while others are asking, and a damaged one doesn't replace what is there.
func TestTheDatabaseIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "place.mmdb")
	put := func(city string, age time.Duration) {
		write(t, path, "City", map[string]mmdbtype.Map{"203.0.113.0/24": {"city": names("en", city)}})
		at := time.Now().Add(-age)
		must(t, os.Chtimes(path, at, at))
	}
	put("Lyon", time.Hour)
	f, err := place.Open(path)
	must(t, err)
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := f.Find("203.0.113.1", "en").City; got != "Lyon" && got != "Nice" {
					t.Errorf("in between: %q", got)
					return
				}
			}
		})
	}
	must(t, f.Refresh(t.Context()))
	put("Nice", time.Minute) // as long as the first: its time tells
	must(t, f.Refresh(t.Context()))
	if got := f.Find("203.0.113.1", "en").String(); got != "near Nice" {
		t.Errorf("after the change: %q", got)
	}
	must(t, os.WriteFile(path, []byte("hello"), 0o600))
	if err := f.Refresh(t.Context()); err == nil {
		t.Error("a damaged file is no fault")
	}
	must(t, os.Remove(path))
	if err := f.Refresh(t.Context()); err == nil {
		t.Error("a missing file is no fault")
	}
	if got := f.Find("203.0.113.1", "en").City; got != "Nice" {
		t.Errorf("what was there is lost: %q", got)
	}
	put("Lyon", 0)
	must(t, f.Refresh(t.Context()))
	close(stop)
	asking.Wait()
	if got := f.Find("203.0.113.1", "en").City; got != "Lyon" {
		t.Errorf("in the end: %q", got)
	}
}

// Every address has its own network, and no more of it is told.
func TestNetworksAreRough(t *testing.T) {
	t.Parallel()
	f, err := place.Open("")
	must(t, err)
	rapid.Check(t, func(t *rapid.T) {
		var addr netip.Addr
		if rapid.Bool().Draw(t, "four") {
			addr = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes")))
		} else {
			addr = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))).Unmap()
		}
		p := f.Find(addr.String(), "en")
		network, err := netip.ParsePrefix(p.Network)
		if err != nil {
			if p.Network != "" && p.Network != place.ThisMachine && p.Network != place.PrivateNetwork {
				t.Fatalf("%s: %+v", addr, p)
			}
			return
		}
		if !network.Contains(addr) || network != network.Masked() || addr.Is4() != (network.Bits() == 24) || addr.Is6() != (network.Bits() == 48) {
			t.Fatalf("%s is in %s", addr, network)
		}
	})
}

func FuzzFind(f *testing.F) {
	path := filepath.Join(f.TempDir(), "city.mmdb")
	cities(f, path)
	finder, err := place.Open(path)
	must(f, err)
	for _, ip := range []string{"203.0.113.7", "2001:db8::1%x", "::ffff:1.2.3.4", "999.1.1.1", ""} {
		f.Add(ip, "de-AT")
	}
	f.Fuzz(func(t *testing.T, ip, lang string) {
		p := finder.Find(ip, lang)
		if _, err := netip.ParseAddr(ip); err != nil && p != (place.Place{}) {
			t.Fatalf("%q, which is no address, is at %+v", ip, p)
		}
		if (p == place.Place{}) != (p.String() == "") {
			t.Fatalf("%+v is said as %q", p, p)
		}
	})
}

// However a database is damaged, asking it does no harm.
func FuzzDamage(f *testing.F) {
	whole := cities(f, filepath.Join(f.TempDir(), "city.mmdb"))
	f.Add(10, byte(1), 400, byte(255))
	f.Fuzz(func(t *testing.T, at int, with byte, at2 int, with2 byte) {
		damaged := bytes.Clone(whole)
		damaged[uint(at)%uint(len(damaged))] ^= with
		damaged[uint(at2)%uint(len(damaged))] ^= with2
		path := filepath.Join(t.TempDir(), "damaged.mmdb")
		must(t, os.WriteFile(path, damaged, 0o600))
		finder, err := place.Open(path)
		if err != nil {
			return
		}
		for _, ip := range []string{"203.0.113.7", "198.51.100.1", "2001:db8::1", "192.0.2.1"} {
			_ = finder.Find(ip, "de").String()
		}
	})
}

func TestDevicesInWords(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36":                                                 "Chrome on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0":                                   "Edge on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 OPR/125.0":                                       "Opera on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1":                         "Safari on iPhone",
		"Mozilla/5.0 (iPad; CPU OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/143.0 Mobile/15E148 Safari/604.1":                                   "Chrome on iPad",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148":                                                   "an app on iPhone",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Safari/605.1.15":                                           "Safari on Mac",
		"Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0":                                                                                          "Firefox on Linux",
		"Mozilla/5.0 (Android 16; Mobile; rv:146.0) Gecko/146.0 Firefox/146.0":                                                                                            "Firefox on Android",
		"Mozilla/5.0 (Linux; Android 16; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36":                      "Samsung Internet on Android",
		"Mozilla/5.0 (Linux; Android 16; Pixel 10; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/143.0.0.0 Mobile Safari/537.36":                          "an app on Android",
		"Mozilla/5.0 (Linux; U; Android 4.4.2; en-us) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30":                                            "a browser on Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36":                                                  "Chrome on ChromeOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 400.0.0.1 (iPhone17,1; iOS 19_1; de_DE)": "an app on iPhone",
		"Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2)":                                                                                                             "a browser on Windows",
		"Acme/3.2 CFNetwork/1500 Darwin/25.0.0": "an app", "okhttp/5.1.0": "an app", "curl/8.17.0": "an app", "Dalvik/2.1.0 (Linux; U; Android 16)": "an app on Android",
		"": "an unknown device", "   ": "an unknown device", "Mozilla/5.0": "an unknown device", "your account is locked": "an unknown device",
		strings.Repeat("x", 600) + " Firefox/146.0 (Windows": "an unknown device",
	} {
		if got := place.Device(agent); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
}

// Nothing of what a caller sends as its User-Agent comes back: all words are of our own few.
func FuzzDevice(f *testing.F) {
	f.Add("Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0")
	f.Add("call +1 415 555 0100 now! iPhone https://evil.example/")
	whats := []string{"Edge", "Opera", "Samsung Internet", "Vivaldi", "Yandex Browser", "DuckDuckGo", "UC Browser", "Firefox", "Chrome", "Safari", "an app", "a browser"}
	systems := []string{"iPhone", "iPad", "Android", "ChromeOS", "Windows", "Mac", "Linux"}
	ours := map[string]bool{"an unknown device": true}
	for _, w := range whats {
		ours[w] = w != "a browser"
		for _, s := range systems {
			ours[w+" on "+s] = true
		}
	}
	f.Fuzz(func(t *testing.T, agent string) {
		got := place.Device(agent)
		if !ours[got] || strings.ContainsFunc(got, func(r rune) bool { return r > unicode.MaxASCII }) {
			t.Fatalf("%q is %q", agent, got)
		}
	})
}
