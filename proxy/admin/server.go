// Package admin is the admin listener: metrics, probes, usage and keys, the health of the
// targets, reload and drain.
//
// It is a listener of its own, and nothing of it can be reached through that of the API.
// Where it is open to whoever reaches it, it still does nothing for a web page that happens to be
// open in an operator's browser; see guard.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/proxy/downstream"
	"github.com/sluicehq/sluice/proxy/manage"
	"github.com/sluicehq/sluice/translate"
)

// Options of a Server. What is nil is not there: the path answers 404, unless said otherwise.
type Options struct {
	// Registry is what /metrics shows.
	Registry prometheus.Gatherer
	// Ready is nil for always. Its error is shown to whoever asks, and must hold no secret.
	Ready func() error
	// API serves usage, keys and the description.
	API *manage.API
	// Targets returns the list of GET /v1/targets, something that becomes a JSON array.
	Targets func() any
	// Reload loads the configuration again. Its error is shown to whoever may ask for it; a
	// *FixedError names settings that need a restart. It may be called concurrently.
	Reload func(ctx context.Context) error
	// Drain begins the drain, and is called once at most. Leaving is called before, when it
	// is asked for; it may be nil. Drained returns a channel that is closed when no exchange
	// is left; nil counts as closed.
	Drain   func()
	Leaving func()
	Drained func() <-chan struct{}
	// DrainWait bounds how long the call for a drain waits for the exchanges, from the first
	// call on. It is asked then; nil waits until they have ended.
	DrainWait func() time.Duration
	// Keys tell who is an administrator.
	Keys *access.Keyring
	// NeedsKey asks for the key of an administrator everywhere but at the probes.
	NeedsKey bool
	// Origins are those of web pages that may use the listener, or * alone for all.
	Origins []string
	// Hosts are the names, without port, under which a listener that asks for no key may
	// be called, besides its address and localhost.
	Hosts []string
	// Logger is nil for none.
	Logger *slog.Logger
}

// Bounds of the listener, whose requests are small.
const (
	maxHead      = 16 << 10
	maxBody      = 64 << 10
	maxConns     = 256
	requestTime  = 10 * time.Second
	idleTime     = 60 * time.Second
	closeTime    = 5 * time.Second
	reloadTime   = 30 * time.Second
	probeAnswer  = "ok\n"
	contentPlain = "text/plain; charset=utf-8"
)

// Server is the admin listener. Its methods are safe for concurrent use.
type Server struct {
	Options
	guard  guard
	down   *downstream.Server
	broken error // why there is no down
	probes map[string]func(*fasthttp.RequestCtx)
	routes map[string]route

	leaveOnce sync.Once
	leaving   atomic.Bool
	drainEnd  time.Time // zero for never; after leaveOnce
	drainOnce sync.Once
	closeOnce sync.Once
	closed    chan struct{}
}

// route is what a path does.
type route struct {
	methods []string
	// changes tells that even a GET changes something.
	changes bool
	serve   func(rc *fasthttp.RequestCtx, by string)
}

// New returns a server. What it cannot have, Serve tells.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{Options: o, guard: newGuard(o), closed: make(chan struct{})}
	alive := func(rc *fasthttp.RequestCtx) { writeText(rc, http.StatusOK, probeAnswer) }
	s.probes = map[string]func(*fasthttp.RequestCtx){
		"/livez": alive, "/healthz": alive, "/health/liveness": alive, "/health/liveliness": alive,
		"/readyz": s.ready, "/health/readiness": s.ready,
	}
	s.routes = s.newRoutes()
	s.down, s.broken = downstream.NewServer(downstream.Config{
		MaxHeaderBytes: maxHead, MaxBodyBytes: maxBody,
		HeaderTimeout: requestTime, BodyTimeout: requestTime, IdleTimeout: idleTime, MaxConns: maxConns,
		Hosts: o.Hosts, Logger: o.Logger,
	}, &fasthttp.Server{Handler: s.handle, ErrorHandler: malformed})
	return s
}

func (s *Server) newRoutes() map[string]route {
	reads := []string{http.MethodGet, http.MethodHead}
	routes := map[string]route{}
	if s.Registry != nil {
		metrics := fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{}))
		routes["/metrics"] = route{methods: reads, serve: func(rc *fasthttp.RequestCtx, _ string) { metrics(rc) }}
	}
	if s.Targets != nil {
		routes["/v1/targets"] = route{methods: reads, serve: s.targets}
	}
	if s.Reload != nil {
		routes["/-/reload"] = route{methods: []string{http.MethodPost, http.MethodPut}, changes: true, serve: s.reload}
	}
	if s.Drain != nil {
		// Hooks of Kubernetes can only send GET.
		routes["/-/drain"] = route{methods: []string{http.MethodGet, http.MethodPost}, changes: true, serve: s.drain}
	}
	return routes
}

// Serve answers on ln until Close, and returns nil then.
func (s *Server) Serve(ln net.Listener) error {
	if s.broken != nil {
		_ = ln.Close()
		return s.broken
	}
	return s.down.Serve(ln)
}

// Close stops the listener, lets calls that wait for a drain return, and the others end.
func (s *Server) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	if s.down == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return s.down.Close(ctx)
}

// handle answers one request.
func (s *Server) handle(rc *fasthttp.RequestCtx) {
	h := &rc.Response.Header
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	path := rc.Path()
	allowed := s.guard.admitOrigin(rc)
	if probe, ok := s.probes[string(path)]; ok {
		if wrongMethod(rc, http.MethodGet, http.MethodHead) {
			return
		}
		probe(rc)
		return
	}
	to, known := s.routes[string(path)]
	changes := to.changes || !rc.IsGet() && !rc.IsHead()
	if e := s.guard.check(rc, allowed, changes); e != nil {
		writeError(rc, e)
		return
	}
	if preflight(rc, allowed) {
		return
	}
	by, e := s.administrator(rc)
	if e != nil {
		writeError(rc, e)
		return
	}
	switch {
	case known && wrongMethod(rc, to.methods...):
	case known:
		to.serve(rc, by)
	case s.API != nil && s.API.Handle(rc):
	default:
		writeError(rc, translate.NewError(translate.CodeNotFound))
	}
}

// noAdmin tells how the first key of an administrator is made.
const noAdmin = "This listener asks for the key of an administrator, and there is none yet. " +
	"Make one where sluice runs: sluice keys create --alias NAME --admin"

// administrator finds who asks, by the alias of the key, and refuses everybody but
// administrators if they are asked for a key.
func (s *Server) administrator(rc *fasthttp.RequestCtx) (alias string, e *translate.Error) {
	if !s.NeedsKey {
		return "", nil
	}
	if s.Keys == nil {
		return "", translate.NewError(translate.CodeAdminRequired)
	}
	who, known := s.Keys.Identify(access.KeyOf(&rc.Request.Header))
	switch {
	case !s.Keys.HasAdmin():
		e := translate.NewError(translate.CodeAdminRequired)
		e.Message = noAdmin
		return "", e
	case !known:
		return "", translate.NewError(translate.CodeInvalidAPIKey)
	case !who.Admin || who.Alias == "":
		return "", translate.NewError(translate.CodeAdminRequired)
	}
	return who.Alias, nil
}

func (s *Server) ready(rc *fasthttp.RequestCtx) {
	if s.leaving.Load() {
		writeText(rc, http.StatusServiceUnavailable, "draining\n")
		return
	}
	if s.Ready != nil {
		if err := s.Ready(); err != nil {
			writeText(rc, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
	}
	writeText(rc, http.StatusOK, probeAnswer)
}

func (s *Server) targets(rc *fasthttp.RequestCtx, _ string) {
	writeJSON(rc, map[string]any{"object": "list", "data": s.Targets()})
}

// malformed answers a request that could not be read.
func malformed(rc *fasthttp.RequestCtx, err error) {
	var bad *downstream.RequestError
	e := translate.NewError(translate.CodeMalformedRequest)
	if errors.As(err, &bad) {
		e = translate.ErrorOfStatus(bad.Status, bad.Code, bad.Message)
	}
	writeError(rc, e)
	rc.SetConnectionClose()
}

// wrongMethod refuses a request whose method is none of those, and tells whether it has.
func wrongMethod(rc *fasthttp.RequestCtx, methods ...string) bool {
	for _, method := range methods {
		if string(rc.Method()) == method {
			return false
		}
	}
	rc.Response.Header.Set("Allow", strings.Join(methods, ", "))
	writeError(rc, translate.NewError(translate.CodeMethodNotAllowed))
	return true
}

func writeError(rc *fasthttp.RequestCtx, e *translate.Error) {
	if e.RetryAfter > 0 {
		rc.Response.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	rc.SetStatusCode(e.Status)
	rc.SetContentType("application/json")
	rc.SetBody(e.AppendJSON(nil))
}

func writeText(rc *fasthttp.RequestCtx, status int, text string) {
	rc.SetStatusCode(status)
	rc.SetContentType(contentPlain)
	rc.SetBodyString(text)
}

// writeJSON answers with a value.
func writeJSON(rc *fasthttp.RequestCtx, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		writeError(rc, translate.NewError(translate.CodeInternal))
		return
	}
	rc.SetContentType("application/json")
	rc.SetBody(body)
}
