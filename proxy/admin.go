package proxy

import (
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/sluicehq/sluice/proxy/manage"
	"github.com/sluicehq/sluice/translate"
)

// Admin is the admin listener: metrics, probes, and the management of usage and keys.
type Admin struct {
	http *fasthttp.Server
}

// Bounds of the admin listener, whose requests are small and whose answers are not
// streamed.
const (
	adminTimeout = 30 * time.Second
	adminBody    = 64 << 10
)

// NewAdmin returns the admin listener's server.
func NewAdmin(s *Server) *Admin {
	metrics := fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(s.metrics.Registry(), promhttp.HandlerOpts{}))
	alive := func(rc *fasthttp.RequestCtx) { rc.SetBodyString("ok\n") }
	ready := func(rc *fasthttp.RequestCtx) {
		if s.Ready() {
			alive(rc)
			return
		}
		rc.SetStatusCode(fasthttp.StatusServiceUnavailable)
		rc.SetBodyString("draining\n")
	}
	pages := map[string]fasthttp.RequestHandler{
		"/metrics": metrics,
		"/livez":   alive, "/healthz": alive, "/health/liveness": alive, "/health/liveliness": alive,
		"/readyz": ready, "/health/readiness": ready,
	}
	api := manage.New(manage.Options{Books: s.books, Keys: s.keys, Changed: s.keysChanged, Logger: s.log})
	handle := func(rc *fasthttp.RequestCtx) {
		if api.Handle(rc) {
			return
		}
		page, ok := pages[string(rc.Path())]
		switch {
		case !ok:
			writeError(rc, "", translate.NewError(translate.CodeNotFound))
		case !rc.IsGet() && !rc.IsHead():
			rc.Response.Header.Set("Allow", "GET, HEAD")
			writeError(rc, "", translate.NewError(translate.CodeMethodNotAllowed))
		default:
			page(rc)
		}
	}
	return &Admin{http: &fasthttp.Server{
		Handler: handle, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout, IdleTimeout: adminTimeout,
		MaxRequestBodySize: adminBody, NoDefaultServerHeader: true, SecureErrorLogMessage: true,
		ReduceMemoryUsage: true, CloseOnShutdown: true,
	}}
}

// Serve answers on ln until Close.
func (a *Admin) Serve(ln net.Listener) error { return a.http.Serve(ln) }

// Close stops the listener and its idle connections.
func (a *Admin) Close() error { return a.http.Shutdown() }
