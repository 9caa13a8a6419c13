// SPDX-License-Identifier: Apache-2.0

package account

import (
	"crypto/rand"
	_ "embed"
	"math/big"
	"strings"
)

// words.txt is the project's own list of English words that are easy to say and to hear over a phone: none sounds like another one of the
// list or is spelled in two ways, and none is rude or frightening. A test holds it to that.
//
//go:embed words.txt
var wordList string

var phraseWords = strings.Fields(wordList)

// wordsOfPhrase times ten bits (there are at least 1,024 words) is what a caller who doesn't know the words has against them: one guess, said
// aloud, in a thousand million.
const wordsOfPhrase = 3

// newPhrase draws the words of a call, each as likely as any other, and none twice, so that nobody asks whether they heard right.
func newPhrase() string {
	var all []string
	for len(all) < wordsOfPhrase {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(phraseWords))))
		if err != nil {
			panic(err) // crypto/rand never fails: it ends the program instead
		}
		word := phraseWords[n.Int64()]
		if !strings.Contains(strings.Join(all, " "), word) {
			all = append(all, word)
		}
	}
	return strings.Join(all, " ")
}
