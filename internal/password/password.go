// SPDX-License-Identifier: Apache-2.0

// Package password decides which passwords are good enough, and keeps and checks them as slow hashes.
//
// The rules are those of NIST SP 800-63B-4, section 3.1.1.2: length and a blocklist, any character, no rules of
// composition. New hashes are argon2id; those of other systems are understood, so that people who are moved here
// keep their passwords.
//
// It owns rules, blocklist and hash formats, and how many hashes are computed at once. Where hashes are kept, and
// how often somebody may try, is for others.
package password

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/secret"
)

// Limits of a password's length in characters (code points after normalisation).
const (
	MinAlone  = 15  // where it is all that protects an account
	MinSecond = 8   // together with a second step
	Max       = 256 // NIST asks for at least 64
)

// Rules say what a password must be.
type Rules struct {
	Min     int      // characters; MinSecond unless the password stands alone
	Context []string // words that are no secret here: the service's name and domain, the person's contacts
}

//go:embed blocklist.txt.gz
var blocklistFile []byte

// blocklist is all blocked passwords, read at first use.
var blocklist = sync.OnceValue(func() map[string]struct{} {
	z, err := gzip.NewReader(bytes.NewReader(blocklistFile))
	if err != nil {
		panic("password: the built-in blocklist is broken: " + err.Error())
	}
	text, err := io.ReadAll(z)
	if err != nil {
		panic("password: the built-in blocklist is broken: " + err.Error())
	}
	all := make(map[string]struct{}, 20_000)
	for line := range strings.Lines(string(text)) {
		all[strings.TrimSuffix(line, "\n")] = struct{}{}
	}
	return all
})

// Normalise brings a password into the one form in which it is counted and hashed: NFKC, so that the same password is the
// same on every keyboard (NIST SP 800-63B-4, 3.1.1.2).
func Normalise(typed string) secret.Text { return secret.NewText(norm.NFKC.String(typed)) }

// Check tells whether a password (normalised) is good enough.
//
// Faults, all of kind Invalid with the field "password": password_too_short, password_too_long, password_common,
// password_context (it is made of what everybody knows here), password_invalid (not text).
func Check(p secret.Text, rules Rules) error {
	text := p.Reveal()
	length := utf8.RuneCountInString(text)
	switch {
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return refuse("password_invalid", "This can't be read as text. Type the password again.")
	case length < rules.Min:
		return refuse("password_too_short", fmt.Sprintf("Use at least %d characters: a few words in a row are easy to remember. You typed %d.", rules.Min, length))
	case length > Max:
		return refuse("password_too_long", fmt.Sprintf("Use at most %d characters.", Max))
	}
	folded := strings.ToLower(text)
	if _, found := blocklist()[folded]; found || isRun(folded) {
		return refuse("password_common", "This password is among the first that anybody tries. Choose another.")
	}
	if slices.ContainsFunc(rules.Context, func(word string) bool { return madeOf(folded, strings.ToLower(word)) }) {
		return refuse("password_context", "This password is made of a name or an address that others know. Choose another.")
	}
	return nil
}

func refuse(code, message string) error {
	return fault.New(fault.Invalid, code, message).WithField("password")
}

// isRun tells a password that is one character, or a few, again and again, or a run of neighbours: aaaaaaaa, abcabcabc, 34567890.
func isRun(text string) bool {
	for period := 1; period <= 4 && 2*period <= len(text); period++ {
		if strings.Repeat(text[:period], len(text)/period+1)[:len(text)] == text {
			return true
		}
	}
	steps := map[int]bool{}
	for i := 1; i < len(text); i++ {
		step := int(text[i]) - int(text[i-1])
		if pair := text[i-1 : i+1]; pair == "90" || pair == "09" {
			step = step / -9 // as on the keyboard
		}
		steps[step] = true
	}
	return len(steps) == 1 && (steps[1] || steps[-1])
}

// madeOf tells a password that is a known word with no more than a few digits or signs around it.
func madeOf(text, word string) bool {
	if utf8.RuneCountInString(word) < 4 || !strings.Contains(text, word) {
		return false
	}
	rest := strings.Replace(text, word, "", 1)
	letters := strings.ContainsFunc(rest, unicode.IsLetter)
	return !letters && utf8.RuneCountInString(rest) <= 6 || rest == ""
}

// Strength is a hint from 0 (refused) to 4: how long somebody would have to try who has stolen the hash. It is no rule.
func Strength(p secret.Text, rules Rules) int {
	if Check(p, rules) != nil {
		return 0
	}
	text := p.Reveal()
	distinct := map[rune]bool{}
	for _, r := range text {
		distinct[r] = true
	}
	switch n := utf8.RuneCountInString(text); {
	case n >= 20 && len(distinct) >= 10:
		return 4
	case n >= 15 && len(distinct) >= 8:
		return 3
	case n >= 11 && len(distinct) >= 6:
		return 2
	}
	return 1
}
