// SPDX-License-Identifier: Apache-2.0

// Package verification is the engine: it begins verifications, judges checks, sends codes again,
// cancels, counts, and ends each one exactly once.
//
// Every change is one operation of a [ledger.Ledger]: a pure decision over locked rows. Codes are
// derived from the verification's id and its generation and are nowhere: not here, not in the
// database, not in the queue of unsent messages.
//
// It owns the status machine, tries, sends, generations, budgets, idempotency and what its
// rows hold. It leaves to others how codes are made and read (otp), how contacts are sealed and
// found (secret), how messages travel (message) and how people are answered (the surfaces).
package verification
