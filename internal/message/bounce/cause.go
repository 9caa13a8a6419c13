// SPDX-License-Identifier: Apache-2.0

package bounce

import (
	"strings"

	"github.com/countersign/countersign/internal/message"
)

// Cause says what a mail server's refusal for good means: its reply code (RFC 5321 4.2, 0: none) and its enhanced status
// ("5.1.1", RFC 3463 and its registry; empty: none). A status that says next to nothing (5.0.0, 5.5.0) leaves it to the code.
func Cause(reply int, status string) message.Outcome {
	_, status, _ = strings.Cut(status, ".") // the class is the caller's business
	subject, detail, _ := strings.Cut(status, ".")
	switch subject {
	case "1": // the address
		if detail == "7" || detail == "8" {
			return message.Misconfigured // the sender's, which is ours
		}
		return message.Unreachable
	case "2": // the mailbox
		if detail == "1" {
			return message.Unreachable // disabled
		}
		return message.TryOther // full, or the mail is too long for it
	case "4": // the way there
		if detail == "1" || detail == "4" {
			return message.Unreachable // no such host; Exchange says so of unknown mailboxes, too
		}
		return message.TryOther
	case "7": // a policy
		if len(detail) == 2 && detail[0] == '2' {
			return message.Misconfigured // SPF, DKIM, DMARC or reverse DNS of the sender (RFC 7372, 7505)
		}
		return message.Blocked
	case "3", "5", "6": // the system, the protocol, the content
		if detail != "0" {
			return message.TryOther
		}
	}
	switch reply {
	case 550, 551, 553, 521, 556: // the last two: the host takes no mail (RFC 7504)
		return message.Unreachable
	case 554:
		return message.Blocked
	default:
		return message.TryOther
	}
}
