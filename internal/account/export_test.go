// SPDX-License-Identifier: Apache-2.0

package account

// DrawPhrases makes the words of calls come from a test.
func (a *Accounts) DrawPhrases(draw func() string) { a.phrase = draw }
