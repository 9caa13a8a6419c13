// SPDX-License-Identifier: Apache-2.0

package care

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/countersign/countersign/internal/authentic"
	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// Reports are alike when they have a sender, a domain or the words of the text in common. Each of these is a clue; its cluster's id is a keyed hash
// of it.
const (
	clueSender = "sender"
	clueDomain = "domain"
	clueText   = "text"
)

// The alarm: at least risingLeast reports by different people within risingHours, and at least risingTimes as many an hour as in the
// calmHours before.
const (
	risingLeast = 5
	risingHours = 6
	risingTimes = 3
	calmHours   = 24
	keptHours   = 48
)

const (
	maxClueDomains = 3
	maxLabel       = 80 // characters
	maxReporters   = 64 // that a cluster remembers of the last hours
	leastWords     = 4  // of a text that is told apart by its words
)

// clue is what reports may have in common.
type clue struct {
	id    ledger.ID
	kind  string
	label string
}

// cluesOf finds what a report may have in common with others.
func cluesOf(svc *service.Service, b *reportBody) []clue {
	var all []clue
	add := func(kind, value, label string) {
		if value != "" {
			all = append(all, clue{derived(svc, "cluster", []byte(kind), []byte(value)), kind, cut(label, maxLabel)})
		}
	}
	add(clueSender, senderKey(b.Sender, b.Country), b.Sender)
	seen := map[string]bool{}
	for _, d := range b.Domains {
		if r := authentic.Registrable(d); !seen[r] && len(seen) < maxClueDomains {
			seen[r] = true
			add(clueDomain, r, r)
		}
	}
	add(clueText, textKey(b.Text), strings.Join(strings.Fields(b.Text), " "))
	return all
}

// senderKey is a sender however it is written: a number in its international form, an address or a name in small letters.
func senderKey(sender, country string) string {
	if c, err := contact.Parse(sender, country); err == nil {
		return c.Reveal() // to be hashed
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '@' {
			return unicode.ToLower(r)
		}
		return -1
	}, sender)
}

// textKey are the words of a text without those that differ from person to person: numbers and links. Order and repetition don't count. A text
// of few words has no key: too many different ones would share it.
func textKey(text string) string {
	var words []string
	for _, w := range strings.Fields(strings.ToLower(text)) {
		if strings.ContainsRune(w, authentic.Blanked) || strings.ContainsAny(w, "/@") || strings.ContainsFunc(w, unicode.IsDigit) || authentic.HostOf(w) != "" {
			continue
		}
		if w = strings.TrimFunc(w, func(r rune) bool { return !unicode.IsLetter(r) }); w != "" {
			words = append(words, w)
		}
	}
	slices.Sort(words)
	words = slices.Compact(words)
	// Scripts without spaces have whole sentences for words.
	if len(words) < leastWords && len([]rune(strings.Join(words, ""))) < 6*leastWords {
		return ""
	}
	return strings.Join(words, " ")
}

type clusterBody struct {
	Kind      string         `cbor:"1,keyasint"`
	Label     string         `cbor:"2,keyasint"`
	FirstAt   int64          `cbor:"3,keyasint"`
	LastAt    int64          `cbor:"4,keyasint"`
	Total     uint32         `cbor:"5,keyasint"`
	Hours     []hourCount    `cbor:"6,keyasint,omitempty"` // of the last 48, the oldest first; each reporter counts once in six
	Reporters []reporterSeen `cbor:"7,keyasint,omitempty"` // of the last six hours
	AlarmDay  int64          `cbor:"8,keyasint,omitempty"` // when it was last told that it rises
}

type hourCount struct {
	Hour  int64  `cbor:"1,keyasint"`
	Count uint32 `cbor:"2,keyasint"`
}

type reporterSeen struct {
	Hour int64   `cbor:"1,keyasint"`
	Who  [8]byte `cbor:"2,keyasint"`
}

// count adds a report to its cluster and tells whether that has just begun to rise, which it says once a day.
func (cl *clue) count(tx *ledger.Tx, svc *service.Service, who [8]byte, at int64) (bool, error) {
	key := keyOf(ledger.KindReport, svc, cl.id)
	b := &clusterBody{Kind: cl.kind, Label: cl.label, FirstAt: at}
	if _, err := open(svc, key, tx.Get(key), b); err != nil {
		return false, err
	}
	b.add(who, at)
	alarm := false
	if today := at / day; b.rising(at) && b.AlarmDay < today {
		b.AlarmDay, alarm = today, true
		tx.Event(event(key, EventRising, at))
	}
	tx.Put(key, seal(svc, key, b, at, true))
	return alarm, nil
}

func (b *clusterBody) add(who [8]byte, at int64) {
	now := at / hour
	b.LastAt = at
	b.Total++
	b.Hours = slices.DeleteFunc(b.Hours, func(h hourCount) bool { return h.Hour <= now-keptHours })
	b.Reporters = slices.DeleteFunc(b.Reporters, func(r reporterSeen) bool { return r.Hour <= now-risingHours })
	if slices.ContainsFunc(b.Reporters, func(r reporterSeen) bool { return r.Who == who }) {
		return
	}
	b.Reporters = append(b.Reporters[max(0, len(b.Reporters)-maxReporters+1):], reporterSeen{now, who})
	if n := len(b.Hours); n > 0 && b.Hours[n-1].Hour >= now {
		b.Hours[n-1].Count++
		return
	}
	b.Hours = append(b.Hours, hourCount{now, 1})
}

// in counts the reports of the hours after from up to and with to.
func (b *clusterBody) in(from, to int64) (n uint32) {
	for _, h := range b.Hours {
		if h.Hour > from && h.Hour <= to {
			n += h.Count
		}
	}
	return n
}

func (b *clusterBody) rising(at int64) bool {
	now := at / hour
	recent, calm := b.in(now-risingHours, now), b.in(now-risingHours-calmHours, now-risingHours)
	return recent >= risingLeast && recent*calmHours >= risingTimes*calm*risingHours
}

// Cluster is what like reports have in common, and how many there are.
type Cluster struct {
	ID      ledger.ID
	Kind    string // sender, domain or text
	Label   string // the sender, the domain, or how the first text began
	FirstAt time.Time
	LastAt  time.Time
	Total   int // reports ever
	Recent  int // of different reporters, in the last six hours
	Rising  bool
}

// Clusters gives the clusters of the reports of the last 48 hours (of the latest 2,000 of them), those that rise first, then by how many
// reports there were lately; at most 100.
//
// Faults: Unavailable.
func (c *Care) Clusters(ctx context.Context, svc *service.Service) ([]Cluster, error) {
	now := c.Ledger.Now()
	count := map[ledger.ID]int{}
	_, err := c.reports(ctx, svc, Filter{Since: now.Add(-keptHours * time.Hour)}, ledger.ID{}, maxScanned, func(r *Report) bool {
		for _, id := range r.Clusters {
			count[id]++
		}
		return false
	})
	if err != nil {
		return nil, err
	}
	ids := make([]ledger.ID, 0, len(count))
	for id := range count {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ledger.ID) int { return cmp.Or(count[b]-count[a], strings.Compare(a.String(), b.String())) })
	var out []Cluster
	for _, id := range ids[:min(len(ids), maxPage)] {
		one, err := c.cluster(ctx, svc, id, now)
		if err != nil {
			return nil, err
		}
		out = append(out, *one)
	}
	slices.SortStableFunc(out, func(a, b Cluster) int {
		if a.Rising != b.Rising {
			if a.Rising {
				return -1
			}
			return 1
		}
		return b.Recent - a.Recent
	})
	return out, nil
}

// Cluster returns one cluster.
//
// Faults: NotFound, Unavailable.
func (c *Care) Cluster(ctx context.Context, svc *service.Service, id ledger.ID) (*Cluster, error) {
	return c.cluster(ctx, svc, id, c.Ledger.Now())
}

func (c *Care) cluster(ctx context.Context, svc *service.Service, id ledger.ID, now time.Time) (*Cluster, error) {
	key := keyOf(ledger.KindReport, svc, id)
	v, err := c.Ledger.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	b := new(clusterBody)
	there, err := open(svc, key, v, b)
	if err != nil || !there || b.Kind != clueSender && b.Kind != clueDomain && b.Kind != clueText {
		return nil, orMissing(err, errNoCluster)
	}
	at := now.UnixMilli()
	return &Cluster{
		ID: id, Kind: b.Kind, Label: b.Label, FirstAt: moment(b.FirstAt), LastAt: moment(b.LastAt), Total: int(b.Total),
		Recent: int(b.in(at/hour-risingHours, at/hour)), Rising: b.rising(at),
	}, nil
}
