// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"github.com/countersign/countersign/internal/proof"
	"github.com/countersign/countersign/internal/service"
)

// proofRoutes are the keys that proofs of hand-overs are checked with.
func proofRoutes() []route {
	return []route{
		{"GET", "/v1/services/{slug}/proof-keys", open, nil, "The public keys that a service's proofs are checked with, those of before included (RFC 7517)", nil, proof.Set{}, 200, (*API).proofKeys},
		{
			"POST", "/v1/proof-keys", byKey, []service.Scope{service.ScopeManage},
			"Sign with a new key from now on, of which this takes some seconds to tell all nodes; what older keys signed stays valid", nil, proof.Set{}, 201, (*API).rotateProofKey,
		},
	}
}

func (a *API) proofKeys(c *call) error {
	svc, ok := a.Registry.BySlug(c.Request.PathValue("slug"))
	if !ok {
		return service.ErrNoService
	}
	c.Header().Set("Cache-Control", "public, max-age=300")
	return write(c, 200, svc.Signer().Set())
}

func (a *API) rotateProofKey(c *call) error {
	if _, err := a.Registry.RotateSigning(c.context(), c.svc, a.Now()); err != nil {
		return err
	}
	svc, ok := a.Registry.BySlug(c.svc.Slug)
	if !ok {
		return service.ErrNoService
	}
	return write(c, 201, svc.Signer().Set())
}
