// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/countersign/countersign/internal/fault"
)

// proofKeys gives the public keys that the service's proofs are checked with: a proof names this host, so whoever has one finds them.
func (*Pages) proofKeys(v *visit) error {
	body, err := json.Marshal(v.svc.Signer().Set())
	if err != nil {
		return fault.As(fmt.Errorf("encode the keys of proofs: %w", err))
	}
	v.Header()["Content-Type"] = []string{"application/json"}
	v.Header()["Cache-Control"] = []string{"public, max-age=300"}
	return send(v, http.StatusOK, body)
}
