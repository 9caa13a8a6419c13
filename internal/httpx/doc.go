// SPDX-License-Identifier: Apache-2.0

// Package httpx owns what every HTTP surface does in the same way: handlers return errors; one
// wrapper writes the reply and one log line, stops panics, and gives each request an id; bodies are read
// within limits and JSON is read strictly; faults become problem documents (RFC 9457).
//
// It leaves to the surfaces which routes there are, who may use them and what they say.
package httpx
