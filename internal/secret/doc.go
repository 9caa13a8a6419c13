// SPDX-License-Identifier: Apache-2.0

// Package secret owns everything that is done under a key: the master key and the data keys that it
// wraps, sealing and opening columns, blind indexes, MACs, API keys, the texts of tokens, and the
// types of values that can't print themselves.
//
// A master key (from a file, the environment or a KMS behind [Master]) wraps one 256-bit data key
// per service and key id. [Keys] derives from a data key one sub-key per use with HKDF-SHA-256, so
// that no use can be turned against another. A [Ring] holds all key ids of a service: one makes
// what is new, all read what is old; every sealed value, id and token names its key id.
//
// It leaves to others where keys are stored, what is sealed, and what a MAC is compared with. The
// formats are frozen by known-answer tests; docs/decisions/0002-keys-and-sealing.md says why they
// are as they are.
package secret
