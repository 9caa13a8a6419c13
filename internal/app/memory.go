// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"runtime/debug"
	"sync"
)

// The live heap is a few megabytes, so at the runtime's defaults it is collected many times a second. A collector that lets it grow to
// five times that costs some 40 MB and saves a sixth of the CPU of a request (docs/performance.md); the soft limit brings
// it back to its usual diligence where memory gets short. GOGC and GOMEMLIMIT in the environment win.
const (
	gcPercent   = 400
	memoryLimit = 512 << 20
)

var setMemory = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
})
