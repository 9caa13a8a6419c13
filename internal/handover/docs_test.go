// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The guide draws the life of a hand-over as it is, and names every event, result and certainty.
func TestTheGuideDrawsTheLife(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/handover.md")
	if err != nil {
		t.Fatal(err)
	}
	var drawn, real []string
	for _, m := range regexp.MustCompile(`(?m)^    (\w+ --> \w+) : `).FindAllStringSubmatch(string(text), -1) {
		drawn = append(drawn, m[1])
	}
	for from, all := range next {
		for _, to := range all {
			real = append(real, from.String()+" --> "+to.String())
		}
	}
	slices.Sort(drawn)
	slices.Sort(real)
	if !slices.Equal(drawn, real) {
		t.Errorf("drawn: %s\nreal: %s", strings.Join(drawn, ", "), strings.Join(real, ", "))
	}
	for _, name := range slices.Concat(eventNames[1:], resultNames[1:], certaintyNames[1:]) {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("the guide doesn't say what %s is", name)
		}
	}
}
