// SPDX-License-Identifier: Apache-2.0

// Package otp makes one-time codes, reads what people type, and compares the two.
//
// It owns the derivation of codes that are stored nowhere, the reading of typed and pasted text, how a
// wrong code was wrong, and the codes of authenticator apps: HOTP (RFC 4226) and TOTP (RFC 6238). It is
// pure: no clock, no store, no policy. Counting tries, expiry, which steps and counters were accepted, and
// keeping secrets sealed are left to its callers.
//
// All functions may be called concurrently.
package otp
