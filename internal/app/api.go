// SPDX-License-Identifier: Apache-2.0

package app

import "net/http"

func (a *App) mountAPI(mux *http.ServeMux) {}
