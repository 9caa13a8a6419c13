// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every secret prints as, whatever the verb.
const redacted = "[secret]"

var errMarshal = errors.New("a secret can't be marshaled")

// Text is a secret string. It can't be printed, logged, marshaled or compared with ==. The value sits in a
// closure because fmt, loggers and encoders reach unexported fields by reflection (they call no
// String method there), but nothing sees into a function; and functions can't be compared.
// The zero Text is the empty string. A Text is safe for concurrent use.
type Text struct{ reveal func() string }

// NewText makes a secret of s.
func NewText(s string) Text { return Text{func() string { return s }} }

// Reveal returns the value. Each call is a place to look at in a review.
func (t Text) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// Equal compares in a time that depends on the lengths only, not on the contents.
func (t Text) Equal(other Text) bool { return equal([]byte(t.Reveal()), []byte(other.Reveal())) }

// String returns "[secret]".
func (Text) String() string { return redacted }

// Format prints "[secret]" for every verb and flag.
func (Text) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue is "[secret]".
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails: a secret is written by a line that says Reveal.
func (Text) MarshalText() ([]byte, error) { return nil, errMarshal }

// MarshalBinary always fails.
func (Text) MarshalBinary() ([]byte, error) { return nil, errMarshal }

// Bytes is a secret byte string; see [Text].
type Bytes struct{ reveal func() []byte }

// NewBytes makes a secret of a copy of b.
func NewBytes(b []byte) Bytes {
	b = append([]byte(nil), b...)
	return Bytes{func() []byte { return b }}
}

// Reveal returns a copy of the value.
func (b Bytes) Reveal() []byte {
	if b.reveal == nil {
		return nil
	}
	return append([]byte(nil), b.reveal()...)
}

// Equal compares in a time that depends on the lengths only, not on the contents.
func (b Bytes) Equal(other Bytes) bool { return equal(b.Reveal(), other.Reveal()) }

// String returns "[secret]".
func (Bytes) String() string { return redacted }

// Format prints "[secret]" for every verb and flag.
func (Bytes) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue is "[secret]".
func (Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails: a secret is written by a line that says Reveal.
func (Bytes) MarshalText() ([]byte, error) { return nil, errMarshal }

// MarshalBinary always fails.
func (Bytes) MarshalBinary() ([]byte, error) { return nil, errMarshal }

// equal compares digests, so that not even a difference in length ends it early.
func equal(a, b []byte) bool {
	x, y := sha256.Sum256(a), sha256.Sum256(b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
