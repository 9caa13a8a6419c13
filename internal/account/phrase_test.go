// SPDX-License-Identifier: Apache-2.0

package account

import (
	"slices"
	"strings"
	"testing"
)

// Properties that the words have.
const (
	leastWords    = 1024
	shortestWord  = 3
	longestWord   = 8
	leastDistance = 2 // letters that have to change to make one word another
)

// sameSound are words that sound like another one or are spelled in two ways, and so can't be told apart by ear or by eye.
var sameSound = strings.Fields(`air heir aisle isle allowed aloud altar alter arc ark ate eight ball bawl bare bear base bass bean been beach beech beat beet berry bury
	blew blue board bored boar bore bolder boulder bough bow boy buoy brake break bread bred bridal bridle broach brooch buy by caret carrot karat cell sell cellar seller
	cent scent sent cereal serial chews choose choir quire chord cord cite site sight coarse course colonel kernel complement compliment council counsel creak creek crews
	cruise cymbal symbol currant current dear deer desert dessert dew due die dye doe dough draft draught dual duel ewe you yew eye faint feint fair fare feat feet find
	fined fir fur flair flare flea flee flew flu flour flower for four foreword forward fort forth foul fowl frees freeze gait gate genes jeans gorilla guerrilla grate great
	groan grown guessed guest hail hale hair hare hall haul hart heart hay hey heal heel hear here heard herd hi high higher hire him hymn hoarse horse hole whole holy wholly
	hour our idle idol in inn jam jamb key quay knead need knew new knight night knot not know no lead led leak leek lessen lesson links lynx loan lone made maid mail male
	main mane maize maze mall maul marshal martial meat meet medal meddle metal mettle mist missed moose mousse morning mourning muscle mussel mustard mustered naval navel
	oar ore one won pail pale pain pane pair pare pear palate palette passed past patience patients pause paws peace piece peak peek peal peel pearl purl pedal peddle peer
	pier plain plane plum plumb pole poll poor pour pore praise prays presence presents pride pried prince prints principal principle profit prophet quarts quartz rain reign
	rein raise rays rap wrap read red real reel reed right rite write ring wring road rode role roll root route rose rows rough ruff rung wrung rye wry sail sale sauce source
	scene seen sea see seam seem sear seer serf surf sew so sow shake sheikh shear sheer shoe shoo slay sleigh soar sore sole soul some sum son sun stair stare stake steak
	stationary stationery steal steel step steppe stile style storey story straight strait suite sweet tacks tax tail tale tea tee team teem tear tier tern turn there their
	thrown throne threw through thyme time tide tied tire tyre to two too toad towed toe tow told tolled tough tuff vain vane vein vale veil vary very wail whale waist waste
	wait weight waive wave war wore ware wear warn worn watt what wax whacks way weigh weak week weather whether weave weir we witch which wood would yoke yolk gray grey
	color colour harbor harbour flavor flavour humor humour honor honour armor armour theater theatre center centre fiber fibre meter metre liter litre jewelry jewellery
	neighbor neighbour favorite favourite parlor parlour rumor rumour savory savoury vapor vapour aluminum aluminium mold mould plow plough donut doughnut pajama pyjama pajamas
	cosy cozy tire kerb curb disk disc yogurt yoghurt catalog catalogue dialog dialogue analog analogue analyze analyse program programme check cheque skeptic sceptic
	wagon waggon woolen woollen jeweler jeweller traveler traveller marvelous marvellous omelet omelette caliber calibre scepter sceptre somber sombre luster lustre
	whirled world censor sensor capital capitol bazaar bizarre bolder canvas canvass cannon canon cymbals lightning lightening liken lichen leaver lever leased least
	mustache moustache nave knave mince mints mode mowed overdue overdo patted padded pi pie pistil pistol rabbit rarebit rack wrack rest wrest review revue sachet satchel
	symbol sundae sunday tambour timber timbre tidal title troop troupe vial vile vice vise whine wine wheel weal whirl whorl wry`)

// unfit are words that frighten, insult or may be taken for something else, wherever they stand in a word.
var unfit = strings.Fields(`gun pistol cannon bomb knife kill dead death devil hell blood war siren vampire ghost phantom drug sex ass arse tit cock damn god jesus allah gospel
	church temple cathedral chapel code pass pin number pay cash money bank dollar credit police lawyer attorney jury judge fire tequila whisky vodka beer wine cocktail
	tobacco cigar nazi slave gypsy eskimo viper serpent spider tarantula snake python cobra scorpion torture prison jail corpse coffin grave tomb cancer virus spit
	nude naked kiss fat ugly stupid idiot crazy urine poo pee fart crap`)

// sounds is the Metaphone of a word (Lawrence Philips, "Hanging on the Metaphone", 1990): what is left of it when vowels inside and the ways to
// spell a sound are forgotten.
func sounds(word string) string {
	w := strings.ToUpper(word)
	at := func(i int) byte {
		if i < 0 || i >= len(w) {
			return 0
		}
		return w[i]
	}
	vowel := func(c byte) bool { return c != 0 && strings.IndexByte("AEIOU", c) >= 0 }
	front := func(c byte) bool { return c != 0 && strings.IndexByte("EIY", c) >= 0 }
	switch {
	case strings.HasPrefix(w, "KN"), strings.HasPrefix(w, "GN"), strings.HasPrefix(w, "PN"), strings.HasPrefix(w, "AE"), strings.HasPrefix(w, "WR"):
		w = w[1:]
	case strings.HasPrefix(w, "X"):
		w = "S" + w[1:]
	case strings.HasPrefix(w, "WH"):
		w = "W" + w[2:]
	}
	var out []byte
	for i := 0; i < len(w); i++ {
		c := w[i]
		if c == at(i-1) && c != 'C' {
			continue
		}
		switch c {
		case 'A', 'E', 'I', 'O', 'U':
			if i == 0 {
				out = append(out, c)
			}
		case 'B':
			if i != len(w)-1 || at(i-1) != 'M' {
				out = append(out, 'B')
			}
		case 'C':
			switch {
			case at(i-1) == 'S' && front(at(i+1)):
			case at(i+1) == 'I' && at(i+2) == 'A', at(i+1) == 'H' && at(i-1) != 'S':
				out = append(out, 'X')
			case front(at(i + 1)):
				out = append(out, 'S')
			default:
				out = append(out, 'K')
			}
		case 'D':
			if at(i+1) == 'G' && front(at(i+2)) {
				out = append(out, 'J')
			} else {
				out = append(out, 'T')
			}
		case 'G':
			switch {
			case at(i+1) == 'H' && i+2 < len(w) && !vowel(at(i+2)), at(i+1) == 'N' && (i+2 == len(w) || w[i+1:] == "NED"), at(i-1) == 'D' && front(at(i+1)):
			case front(at(i+1)) && at(i-1) != 'G':
				out = append(out, 'J')
			default:
				out = append(out, 'K')
			}
		case 'H':
			if vowel(at(i+1)) && strings.IndexByte("CSPTG", at(i-1)) < 0 || i == 0 {
				out = append(out, 'H')
			}
		case 'K':
			if at(i-1) != 'C' {
				out = append(out, 'K')
			}
		case 'P':
			if at(i+1) == 'H' {
				out = append(out, 'F')
			} else {
				out = append(out, 'P')
			}
		case 'Q':
			out = append(out, 'K')
		case 'S':
			if at(i+1) == 'H' || at(i+1) == 'I' && (at(i+2) == 'O' || at(i+2) == 'A') {
				out = append(out, 'X')
			} else {
				out = append(out, 'S')
			}
		case 'T':
			switch {
			case at(i+1) == 'I' && (at(i+2) == 'O' || at(i+2) == 'A'):
				out = append(out, 'X')
			case at(i+1) == 'H':
				out = append(out, '0')
			case at(i+1) == 'C' && at(i+2) == 'H':
			default:
				out = append(out, 'T')
			}
		case 'V':
			out = append(out, 'F')
		case 'W', 'Y':
			if vowel(at(i + 1)) {
				out = append(out, c)
			}
		case 'X':
			out = append(out, 'K', 'S')
		case 'Z':
			out = append(out, 'S')
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// blurred is what a bad line leaves of the sounds: voiced like unvoiced, any first vowel like another.
func blurred(word string) string {
	s := sounds(word)
	if strings.ContainsAny(s[:1], "EIOU") {
		s = "A" + s[1:]
	}
	return strings.NewReplacer("B", "P", "J", "X", "D", "T", "G", "K", "0", "T").Replace(s)
}

// distance is how many letters have to be put in, taken out or changed to make one word the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// The words are many, short, plain, and can't be taken for one another on the phone.
// Keeps: E.2
func TestWordsAreEasyToHear(t *testing.T) {
	t.Parallel()
	if len(phraseWords) < leastWords {
		t.Fatalf("%d words", len(phraseWords))
	}
	if !slices.IsSorted(phraseWords) {
		t.Error("the words are not in order")
	}
	heard := map[string]string{}
	for i, w := range phraseWords {
		if len(w) < shortestWord || len(w) > longestWord || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("%q isn't a short word of plain letters", w)
		}
		if slices.Contains(sameSound, w) {
			t.Errorf("%q sounds like another word or is spelled in two ways", w)
		}
		for _, u := range unfit {
			if strings.Contains(w, u) {
				t.Errorf("%q has %q in it", w, u)
			}
		}
		if o, ok := heard[blurred(w)]; ok {
			t.Errorf("%q sounds like %q", w, o)
		}
		heard[blurred(w)] = w
		for _, o := range phraseWords[:i] {
			if distance(w, o) < leastDistance || strings.HasPrefix(w, o) {
				t.Errorf("%q looks like %q", w, o)
			}
		}
	}
	for _, pair := range [][2]string{{"flour", "flair"}, {"knight", "night"}, {"write", "right"}, {"phone", "fone"}, {"bath", "path"}} { // what judges the list judges
		if blurred(pair[0]) != blurred(pair[1]) {
			t.Errorf("%v don't sound alike: %s, %s", pair, blurred(pair[0]), blurred(pair[1]))
		}
	}
	if distance("lantern", "lintern") != 1 || distance("", "abc") != 3 || distance("river", "copper") != 4 {
		t.Error("distances are wrong")
	}
}

// A phrase is three different words of the list, and draws of many are spread over all of it.
// Keeps: E.2
func TestPhrases(t *testing.T) {
	t.Parallel()
	const draws = 20_000
	seen := map[string]int{}
	for range draws {
		all := strings.Fields(newPhrase())
		if len(all) != wordsOfPhrase || all[0] == all[1] || all[1] == all[2] || all[0] == all[2] {
			t.Fatal(all)
		}
		for _, w := range all {
			if _, ok := slices.BinarySearch(phraseWords, w); !ok {
				t.Fatalf("%q is no word of the list", w)
			}
			seen[w]++
		}
	}
	mean := float64(draws*wordsOfPhrase) / float64(len(phraseWords))
	for _, w := range phraseWords {
		if n := float64(seen[w]); n < mean/3 || n > 2*mean { // eight standard deviations or so
			t.Errorf("%q came %v times, the others %v", w, n, mean)
		}
	}
}
