// SPDX-License-Identifier: Apache-2.0

package care

// For tests from outside.
var (
	Clean     = clean
	DomainsOf = domainsOf
)
