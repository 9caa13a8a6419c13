// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

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
	proxies, err := config.ParseNetworks(cfg.List("trusted-proxies"))
	if err != nil {
		return fault.As(err) // the option's own check has refused it before
	}
	handler, err := a.handler(proxies)
	if err != nil {
		return err
	}
	if len(proxies) > 0 {
		handler = onlyFrom(proxies, handler, a.opt.Log)
	}
	if a.opt.Dev {
		handler = onlyTo(handler)
	}
	a.server = httpx.NewServer(handler, a.opt.Log)
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

// onlyFrom serves requests whose connection comes from loopback or one of the proxies: nobody else may talk to us in the clear.
func onlyFrom(proxies []netip.Prefix, next http.Handler, log *slog.Logger) http.Handler {
	refuse := httpx.NewMux(log, time.Now, httpx.WriteProblem)
	refuse.Handle("/", func(*httpx.Exchange) error {
		return fault.New(fault.Forbidden, "not_the_proxy", "This address is for the proxy that ends TLS. Use the public one.")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		addr := from.Addr().Unmap()
		if err != nil || !httpx.Trusted(proxies, addr) {
			refuse.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// onlyTo serves requests that name this machine: a page of another site whose name was made to point here could
// otherwise read the inbox of `dev` (DNS rebinding).
func onlyTo(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if host != "localhost" && (err != nil || !addr.IsLoopback()) {
			http.Error(w, "This server is for this machine: open it as http://localhost.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
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
