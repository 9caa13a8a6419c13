// SPDX-License-Identifier: Apache-2.0

// Package message carries codes and notices to people: it puts a message into words ([Renderer]) and hands it to
// providers, one after the other until one takes it ([Dispatcher]).
//
// It owns the words in all languages, what fits a text message, the order and health of providers,
// timeouts, and when to try again. It leaves to others when a message is due and where it is kept
// (an [Outbox]), and how one provider is spoken to (the sub-packages, one a kind of provider).
package message
