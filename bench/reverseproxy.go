//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// runReverseProxy is the subcommand that serves the standard library's reverse
// proxy until ctx ends. It flushes after every write and keeps as many upstream
// connections as there are streams.
func runReverseProxy(ctx context.Context, listen, upstream string) error {
	target := &url.URL{Scheme: "http", Host: upstream}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server := &http.Server{
		Addr:              listen,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          quiet,
		Handler: &httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
			FlushInterval: -1,
			ErrorLog:      quiet,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the reverse proxy: %w", err)
	}
	return nil
}
