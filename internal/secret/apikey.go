// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/countersign/countersign/internal/fault"
)

// An API key is 60 letters and digits: "CS", 12 of a public id, 40 of a secret (238 bits), and 6 of
// a CRC-32 over what is before, which tells a typing error from an unknown key without a look-up.
const (
	apiKeyPrefix = "CS"
	apiKeyID     = 12
	apiKeySecret = 40
	apiKeySum    = 6
	apiKeyBody   = len(apiKeyPrefix) + apiKeyID + apiKeySecret
	apiKeySize   = apiKeyBody + apiKeySum
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewAPIKey makes an API key from random, which is [crypto/rand.Reader] outside tests: its public
// id, its text, which is shown once, and the hash to store. A plain SHA-256 is enough for a secret
// of 238 random bits; a slow hash would only slow every request.
func NewAPIKey(random io.Reader) (id string, key Text, hash [32]byte, err error) {
	body := make([]byte, 0, apiKeySize)
	body = append(body, apiKeyPrefix...)
	for len(body) < apiKeyBody {
		var b [64]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", Text{}, [32]byte{}, fault.As(fmt.Errorf("make an API key: %w", err))
		}
		for _, c := range b {
			if c < 4*62 && len(body) < apiKeyBody { // the rest would favour the first characters
				body = append(body, base62[c%62])
			}
		}
	}
	hash = sha256.Sum256(body)
	id = string(body[len(apiKeyPrefix) : len(apiKeyPrefix)+apiKeyID])
	return id, NewText(string(appendAPIKeySum(body))), hash, nil
}

func appendAPIKeySum(body []byte) []byte {
	sum := crc32.ChecksumIEEE(body)
	var digits [apiKeySum]byte
	for i := apiKeySum - 1; i >= 0; i-- {
		digits[i] = base62[sum%62]
		sum /= 62
	}
	return append(body, digits[:]...)
}

// ParseAPIKey reads the text of an API key: its public id, to look it up by, and the hash to compare in
// constant time with the stored one. What can't be a key is Unauthorized, without a look-up; the
// fault never holds the text.
func ParseAPIKey(text string) (id string, hash [32]byte, err error) {
	if len(text) != apiKeySize || !strings.HasPrefix(text, apiKeyPrefix) || !isBase62(text) {
		return "", [32]byte{}, errAPIKey()
	}
	body := []byte(text[:apiKeyBody])
	hash = sha256.Sum256(body)
	if string(appendAPIKeySum(body)) != text {
		return "", [32]byte{}, errAPIKey()
	}
	return text[len(apiKeyPrefix) : len(apiKeyPrefix)+apiKeyID], hash, nil
}

func errAPIKey() *fault.Error {
	return fault.New(fault.Unauthorized, "api_key_malformed",
		"This is not an API key: it starts with CS and has 60 letters and digits. A character may be missing or mistyped; copy it again.")
}

func isBase62(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
