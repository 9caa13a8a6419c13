// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/countersign/countersign/internal/config"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
)

// listen opens the port and sets up TLS. Plain HTTP is for loopback addresses and for a declared proxy
// that ends TLS.
func (a *App) listen() error {
	cfg := a.opt.Config
	a.server = httpx.NewServer(a.handler(), a.opt.Log)
	var err error
	if a.server.TLSConfig, err = tlsConfig(cfg); err != nil {
		return err
	}
	if a.listener, err = net.Listen("tcp", cfg.Get("listen")); err != nil {
		return fault.New(fault.Invalid, "cannot_listen", fmt.Sprintf("The address %s can't be listened on: %v", cfg.Get("listen"), err)).WithField("listen")
	}
	loopback := isLoopback(a.listener.Addr())
	switch {
	case a.opt.Dev && !loopback:
		err = fault.New(fault.Invalid, "dev_is_public", "`dev` shows codes to everybody who can open its inbox, so it listens on loopback addresses only.").WithField("listen")
	case a.server.TLSConfig == nil && !loopback && len(cfg.List("trusted-proxies")) == 0:
		err = fault.New(fault.Invalid, "plain_http", "Beyond loopback there is no plain HTTP: give tls-certificate and tls-key, or acme-domains, or name the proxy that ends TLS in trusted-proxies.").WithField("listen")
	}
	if err != nil {
		_ = a.listener.Close()
	}
	return err
}

func isLoopback(addr net.Addr) bool {
	ap, err := netip.ParseAddrPort(addr.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

func tlsConfig(cfg *config.Config) (*tls.Config, error) {
	certificate, key, domains := cfg.Get("tls-certificate"), cfg.Get("tls-key"), cfg.List("acme-domains")
	switch {
	case len(domains) > 0:
		m := &autocert.Manager{
			Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(domains...), Cache: autocert.DirCache(cfg.Get("acme-folder")),
			Client: &acme.Client{DirectoryURL: cfg.Get("acme-directory")},
		}
		return m.TLSConfig(), nil
	case certificate != "" && key != "":
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fault.New(fault.Invalid, "invalid_certificate", fmt.Sprintf("The certificate can't be used: %v", err)).WithField("tls-certificate")
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
	case certificate != "" || key != "":
		return nil, fault.New(fault.Invalid, "incomplete_certificate", "tls-certificate and tls-key belong together.").WithField("tls-certificate")
	}
	return nil, nil
}
