// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"encoding/base32"
	"strings"

	"github.com/countersign/countersign/internal/fault"
)

// tokenEncoding is base32 (RFC 4648 section 6) in lower case without padding: letters and digits,
// so a double click selects it whole and no URL, shell or mail changes it.
var tokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// EncodeToken is the text of b: prefix ("flow_"), then lower-case letters and the digits 2 to 7.
func EncodeToken(prefix string, b []byte) string {
	out := make([]byte, len(prefix)+tokenEncoding.EncodedLen(len(b)))
	copy(out, prefix)
	tokenEncoding.Encode(out[len(prefix):], b)
	return string(out)
}

// DecodeToken reads what EncodeToken wrote with the same prefix, and nothing else: each b has
// exactly one text, so tokens may be compared and looked up as texts. The fault is Invalid and
// never holds the text.
func DecodeToken(prefix, text string) ([]byte, error) {
	body, ok := strings.CutPrefix(text, prefix)
	if !ok || len(body) > maxToken {
		return nil, errToken()
	}
	b, err := tokenEncoding.DecodeString(body)
	if err != nil || EncodeToken(prefix, b) != text { // the decoder skips line ends and loose last bits
		return nil, errToken()
	}
	return b, nil
}

const maxToken = 1024 // characters after the prefix; ours have fewer than 100

func errToken() *fault.Error {
	return fault.New(fault.Invalid, "token_malformed",
		"This text isn't whole or was changed. Copy it again.")
}
