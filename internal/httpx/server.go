// SPDX-License-Identifier: Apache-2.0

package httpx

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer returns a server with limits against slow and huge requests: 10 seconds for the header, 20 for
// header and body, 60 for the whole exchange (see [Exchange.Linger] for more), 2 minutes idle, and
// 32 KiB of header.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken handshakes and the like
	}
}
