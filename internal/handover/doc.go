// SPDX-License-Identifier: Apache-2.0

// Package handover owns parcels that change hands against a delivery code: the hand-overs and their life, the codes, the couriers with
// their rounds and tries, what a recipient and a depot can do about them, and the signed proof that is left.
//
// A hand-over is not a verification: its code has a look and a key space of its own, is good for a delivery day instead of minutes, is typed by
// somebody else than the one who got it, and counts only after the courier has said "I'm at the door", of which the recipient is told.
//
// Where it stands is in the clear in its row, so that a code is judged without opening anything; all that may be personal is sealed. Codes
// are derived and stored nowhere. Every change is one operation of the ledger on the hand-over's row and the courier's, so
// tries and limits hold whatever comes at once, on any number of nodes.
//
// It leaves to message how things are said, to proof how they are signed, to surfaces who may call what.
package handover
