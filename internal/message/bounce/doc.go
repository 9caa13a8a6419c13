// SPDX-License-Identifier: Apache-2.0

// Package bounce learns from mail servers which mails could not be delivered. Each mail goes out with a return address of
// its own ([Address], a variable envelope return path), so that whatever comes back names its message by where it
// comes to; a [Listener] takes it there, and [Parse] reads the delivery status notification (RFC 3464).
//
// It leaves to others what follows from a bounce, and it never sends or passes on a mail.
package bounce
