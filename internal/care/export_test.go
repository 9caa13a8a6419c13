// SPDX-License-Identifier: Apache-2.0

package care

import "github.com/countersign/countersign/internal/authentic"

// For tests from outside.
var (
	Clean     = clean
	DomainsOf = func(text string, urls []string) []string { return authentic.Domains(text, urls, maxDomains) }
)
