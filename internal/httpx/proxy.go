// SPDX-License-Identifier: Apache-2.0

package httpx

import (
	"net/netip"
	"slices"
)

// Trusted tells whether a peer is one of the proxies that end TLS before us: what the configuration names, and this machine.
func Trusted(proxies []netip.Prefix, peer netip.Addr) bool {
	return peer.IsLoopback() || slices.ContainsFunc(proxies, func(n netip.Prefix) bool { return n.Contains(peer) })
}
