// SPDX-License-Identifier: Apache-2.0

package locale_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/countersign/countersign/internal/locale"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for want, wishes := range map[string][][]string{
		"en": {
			{}, {""}, {"*"}, {"!?"}, {"en-GB"}, {"is"}, {"fr;q=0"}, {"fr;q=x"}, {"en;q=0.9, fr;q=0.8"}, {"", "en", "fr"}, {strings.Repeat("x,", 1000) + "fr"},
		},
		"de":      {{"de"}, {"de-AT"}, {"de_CH"}, {"gsw"}, {"", "de"}, {"zz", "de"}, {"nonsense here, de"}, {"de", "en"}, {"*", "de"}},
		"fr":      {{"fr-CA,fr;q=0.9,en;q=0.8"}, {"en;q=0.1,fr;q=0.2"}, {"fr;q=0.5;x=y, fr"}},
		"es":      {{"es-419"}, {"es-MX"}},
		"pt":      {{"pt-BR"}, {"pt-PT"}, {"PT"}},
		"hi":      {{"hi-IN"}, {"hi-Deva"}},
		"ar":      {{"ar-EG"}, {"ar-SA,en"}},
		"ja":      {{"ja-JP"}, {"ja-JP-u-ca-japanese"}},
		"zh-Hans": {{"zh"}, {"zh-CN"}, {"zh-SG"}, {"zh-Hans-CN"}, {"zh-TW"}, {"zh-CN,zh;q=0.9,en;q=0.8"}},
	} {
		for _, w := range wishes {
			if got := locale.Match(w...); got.Tag != want {
				t.Errorf("%q: %s, want %s", w, got.Tag, want)
			}
		}
	}
}

// Names and directions are those of CLDR and Unicode.
func TestAll(t *testing.T) {
	t.Parallel()
	all := locale.All()
	if all[0].Tag != "en" || len(all) != 9 {
		t.Fatalf("%v", all)
	}
	for _, l := range all {
		tag := language.MustParse(l.Tag)
		if l.Tag != tag.String() || locale.Match(l.Tag) != l {
			t.Errorf("%+v is not its own match", l)
		}
		if name := display.Self.Name(tag); !strings.EqualFold(name, l.Name) {
			t.Errorf("%s calls itself %q, not %q", l.Tag, name, l.Name)
		}
		script, _ := tag.Script()
		if rtl := slices.Contains([]string{"Arab", "Hebr", "Thaa", "Syrc"}, script.String()); rtl != (l.Dir == "rtl") || !rtl && l.Dir != "ltr" {
			t.Errorf("%s is written %s", l.Tag, l.Dir)
		}
	}
	all[0].Tag = "xx"
	if locale.All()[0].Tag != "en" {
		t.Error("the list was changed from outside")
	}
}

func FuzzMatch(f *testing.F) {
	for _, s := range []string{"", "*", "de-AT", "fr-CA,fr;q=0.9", "en;q=1.5", "zh-Hant-TW;q=0", strings.Repeat("a-", 600), "x-", "\xff"} {
		f.Add(s, "de")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		if got := locale.Match(first, second); !slices.Contains(locale.All(), got) {
			t.Fatalf("%+v is none of ours", got)
		}
	})
}
