// SPDX-License-Identifier: Apache-2.0

package otp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Hash is the hash function of an authenticator app's codes (RFC 6238 1.2).
type Hash uint8

// The hashes. The zero value is what every app understands.
const (
	SHA1 Hash = iota
	SHA256
	SHA512
)

func (h Hash) new() func() hash.Hash {
	switch h {
	case SHA256:
		return sha256.New
	case SHA512:
		return sha512.New
	default:
		return sha1.New
	}
}

// String is the name in an otpauth URI.
func (h Hash) String() string { return [...]string{"SHA1", "SHA256", "SHA512"}[h] }

// HOTP is the code of a counter (RFC 4226 5.3). digits is 6 to 8.
func HOTP(secret []byte, counter uint64, digits int, h Hash) Code {
	mac := hmac.New(h.new(), secret)
	var c [8]byte
	binary.BigEndian.PutUint64(c[:], counter)
	mac.Write(c[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0x0f
	return decimal(0, uint64(binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff), digits)
}

// TOTP is what an authenticator app and we agree on.
type TOTP struct {
	Secret []byte
	Digits int           // 6 to 8; 0: 6
	Period time.Duration // 0: 30 s (RFC 6238 5.2)
	Hash   Hash
	Window int // steps of drift accepted either way; RFC 6238 5.2 recommends 1
}

func (t *TOTP) digits() int {
	if t.Digits == 0 {
		return 6
	}
	return t.Digits
}

// Step is the number of the time step at a time (RFC 6238 4.2).
func (t *TOTP) Step(at time.Time) int64 {
	period := t.Period
	if period == 0 {
		period = 30 * time.Second
	}
	return at.Unix() / int64(period/time.Second)
}

// At is the code of a time.
func (t *TOTP) At(at time.Time) Code {
	return HOTP(t.Secret, uint64(t.Step(at)), t.digits(), t.Hash)
}

// Match finds the step whose code was typed, around the time at as the app's clock shows it (drift is how many steps
// that was off when it was last seen). Only steps after the last accepted one count: each is accepted once
// (RFC 6238 5.2). It looks at the whole window whatever it finds.
//
// The caller must store step as the last one in the same transaction, and may store drift.
func (t *TOTP) Match(typed Code, at time.Time, last, drift int64) (step, newDrift int64, ok bool) {
	now := t.Step(at)
	for d := drift - int64(t.Window); d <= drift+int64(t.Window); d++ {
		s := now + d
		if s >= 0 && s > last && typed.Equal(HOTP(t.Secret, uint64(s), t.digits(), t.Hash)) && !ok {
			step, newDrift, ok = s, d, true
		}
	}
	return step, newDrift, ok
}

// MaxLookAhead bounds how many counters MatchHOTP tries (RFC 4226 7.4).
const MaxLookAhead = 50

// MatchHOTP finds the counter whose code was typed, from next on; the caller stores found+1 as the
// next one.
func MatchHOTP(secret []byte, typed Code, next uint64, lookAhead, digits int, h Hash) (found uint64, ok bool) {
	for i := range uint64(min(max(lookAhead, 0), MaxLookAhead)) + 1 {
		if typed.Equal(HOTP(secret, next+i, digits, h)) && !ok {
			found, ok = next+i, true
		}
	}
	return found, ok
}

// NewSecret makes a secret of the length that RFC 4226 4 recommends: 160 bits.
func NewSecret(random io.Reader) ([]byte, error) {
	b := make([]byte, 20)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	return b, nil
}

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

// ErrSecret is a typed secret that isn't one.
var ErrSecret = errors.New("otp: a secret is 16 to 200 letters A to Z and digits 2 to 7")

// ParseSecret reads a secret as people type it: base32 in any case, with spaces, dashes and padding.
func ParseSecret(text string) ([]byte, error) {
	text = strings.TrimRight(strings.ToUpper(strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) { // the decoder would skip line ends, and count them
			return -1
		}
		return r
	}, text)), "=")
	b, err := base32Plain.DecodeString(text)
	if err != nil || len(text) < 16 || len(text) > 200 {
		return nil, ErrSecret
	}
	return b, nil
}

// FormatSecret is the text that people type into their app.
func FormatSecret(secret []byte) string { return base32Plain.EncodeToString(secret) }

// URI is what a QR code shows to an authenticator app (the otpauth form of Google Authenticator's Key URI Format).
func (t *TOTP) URI(issuer, account string) string {
	period := t.Period
	if period == 0 {
		period = 30 * time.Second
	}
	q := url.Values{
		"secret": {FormatSecret(t.Secret)}, "issuer": {issuer}, "algorithm": {t.Hash.String()},
		"digits": {strconv.Itoa(t.digits())}, "period": {strconv.Itoa(int(period / time.Second))},
	}
	// Apps take "+" literally: spaces are written as %20.
	return "otpauth://totp/" + url.PathEscape(issuer+":"+account) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}
