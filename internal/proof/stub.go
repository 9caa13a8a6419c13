// SPDX-License-Identifier: Apache-2.0

// Package proof stub.
package proof

import ("time";"errors")

type Set struct{}
type Ticket struct{ Handover [16]byte; Attempt, Generation, Pass uint8; Device [8]byte; Until time.Time }
type Signer struct{}
func (*Signer) Set() Set { return Set{} }
func (*Signer) Ticket(Ticket) string { return "" }
func (*Signer) Sign(string, []byte) (string, error) { return "", nil }
func VerifyTicket(string, Set) (Ticket, error) { return Ticket{}, errors.New("x") }
