// SPDX-License-Identifier: Apache-2.0

// Package countersign is the root of a self-hosted two-step verification system that is one program,
// cmd/countersign. It holds no code, only the tests of the rules that the whole tree keeps: which
// package may import which, and how a file has to look.
package countersign
