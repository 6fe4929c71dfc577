// Package proxy is sluice's core: it takes requests of the OpenAI dialect from
// downstream, opens one upstream call for each, forwards every event the moment it
// arrives, and shuts the upstream connection the moment nobody needs it any more.
//
// One request is an exchange. Its goroutine pumps bytes; its valve ends it, from
// any goroutine and for whatever cause came first; its record says what was used
// and how it ended. fasthttp parses requests and writes the small answers; from the
// moment a request goes upstream, its connection belongs to the exchange.
package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/accounting/pricer"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/limits"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/proxy/balance"
	"github.com/sluicehq/sluice/proxy/downstream"
	"github.com/sluicehq/sluice/proxy/watch"
	"github.com/sluicehq/sluice/translate"
)

// Server is one running sluice: its API listener and everything behind it.
type Server struct {
	generation  atomic.Pointer[generation]
	reloading   sync.Mutex
	log         *slog.Logger
	keys        *access.Keyring
	running     *registry
	ledger      accounting.Ledger
	metrics     *accounting.Metrics
	estimator   accounting.Estimator
	routing     *balance.Metrics
	limiter     *limits.Limiter
	ownLimiter  bool
	checkpoints *checkpoints
	lookups     *lookups
	background  background
	peers       Peers // nil without other replicas
	capture     func(ledger.Capture)
	books       *ledger.Books
	carried     *translate.Memory
	finisher    *accounting.Finisher
	down        *downstream.Server
	memory      *downstream.Memory // for the bodies of requests
	memoryLimit int64              // where the configuration sets none
	certificate *downstream.Certificate
	simulator   string
	watcher     *watch.Watcher // of all connections; nil where there is none
	started     time.Time
	draining    atomic.Bool
	listingTime time.Duration   // bounds the wait for the providers' lists of models
	life        context.Context // of what goes on beside the exchanges
	end         context.CancelFunc
	// onPhase is called by the goroutine of an exchange that enters a phase. It is
	// nil except in tests, which hold an exchange there or make it panic.
	onPhase func(*exchange, accounting.Phase)
}

// Options are what a Server needs besides its configuration.
type Options struct {
	Logger *slog.Logger
	// Ledger keeps the records; the caller closes it after Shutdown.
	Ledger accounting.Ledger
	// Version goes into sluice_build_info.
	Version string
	// Keys decide who may come in. Limiter and Pricer may be nil: then there are no
	// limits but those of a process, and no prices but the built-in ones.
	Keys    *access.Keyring
	Limiter *limits.Limiter
	Pricer  *pricer.Pricer
	// Books answer for the management API; nil where the ledger is in memory.
	Books *ledger.Books
	// Capture keeps prompts and answers; nil where there is no place for them.
	Capture func(ledger.Capture)
	// Registry takes the metrics; nil stands for a new one.
	Registry *prometheus.Registry
	// BodyMemory bounds the memory for the bodies of requests in bytes, where the
	// configuration does not; 0 stands for 1 GiB.
	BodyMemory int64
	// Simulator is the base URL of the built-in simulator, for the providers
	// whose dialect is sim.
	Simulator string
}

// New builds a server from a loaded configuration. It opens no connection yet.
func New(cfg *config.Config, o Options) (*Server, error) {
	s := &Server{
		log: o.Logger, running: newRegistry(), ledger: o.Ledger, started: time.Now(),
		listingTime: listingTime, capture: o.Capture, books: o.Books, simulator: o.Simulator, memoryLimit: o.BodyMemory,
	}
	s.life, s.end = context.WithCancel(context.Background())
	var err error
	if s.keys = o.Keys; s.keys == nil {
		if s.keys, err = access.New(s.life, access.Options{Configured: cfg.Keys, Logger: s.log}); err != nil {
			return nil, fmt.Errorf("reading the keys: %w", err)
		}
	}
	if s.limiter = o.Limiter; s.limiter == nil {
		s.limiter = limits.New(limits.Options{Logger: s.log})
		s.ownLimiter = true
	}
	s.checkpoints = newCheckpoints(s.running, s.ledger)
	s.carried = translate.NewMemory(int(cfg.ThoughtMemory))
	if s.watcher, err = watch.New(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	if err := s.open(cfg, o); err != nil {
		s.end()
		s.closeWatcher()
		return nil, err
	}
	go s.checkpoints.run(s.life)
	s.finisher = accounting.NewFinisher(0, 0, func(stack []byte) {
		s.log.Error("panic while recording an exchange", "stack", string(stack))
	})
	s.estimator.Waiting = s.finisher.Waiting
	return s, nil
}

// open makes what uses the watcher.
func (s *Server) open(cfg *config.Config, o Options) error {
	first, err := s.newGeneration(cfg, o.Pricer, nil)
	if err != nil {
		return err
	}
	s.generation.Store(first)
	s.metrics = accounting.NewMetrics(accounting.MetricsOptions{
		Registry: o.Registry, Version: o.Version, InFlight: s.running.phases,
		Models:    func(name string) (string, bool) { return s.routes().model(name).labelled() },
		Providers: func(name string) bool { return s.routes().byName[name] != nil },
		Keys:      s.keys.Knows,
	})
	s.routing = balance.NewMetrics(s.metrics.Registry(), func() []*balance.Target { return s.routes().targets })
	s.lookups = newLookups(s, s.metrics.Registry())
	s.down, err = s.newDownstream(cfg)
	return err
}

// Targets is how the targets are doing.
func (s *Server) Targets() []balance.State {
	out := []balance.State{}
	for _, t := range s.routes().targets {
		out = append(out, t.State())
	}
	return out
}

// Registry has the metrics.
func (s *Server) Registry() *prometheus.Registry { return s.metrics.Registry() }

func (s *Server) closeWatcher() {
	if s.watcher != nil {
		s.watcher.Close()
	}
}

// The configuration writes 0 for no limit and for keeping none, where upstream
// and downstream take it for their defaults.
const unlimited = 1000 * time.Hour

func orUnlimited(d time.Duration) time.Duration {
	if d == 0 {
		return unlimited
	}
	return d
}

func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func (s *Server) newDownstream(cfg *config.Config) (*downstream.Server, error) {
	var certs *tls.Config
	if t := cfg.TLS; t != nil {
		var err error
		if s.certificate, err = downstream.NewCertificate(t.CertFile, t.KeyFile, s.log); err != nil {
			return nil, fmt.Errorf("loading the certificate of the API listener: %w", err)
		}
		certs = &tls.Config{GetCertificate: s.certificate.Get, MinVersion: tls.VersionTLS12}
	}
	s.memory = downstream.NewMemory(s.bodyLimit(cfg))
	live := liveSettings(cfg)
	return downstream.NewServer(downstream.Config{
		HalfCloseFinish: cfg.HalfClose == config.HalfCloseFinish,
		MaxHeaderBytes:  live.MaxHeaderBytes,
		MaxBodyBytes:    live.MaxBodyBytes,
		HeaderTimeout:   live.HeaderTimeout,
		BodyTimeout:     live.BodyTimeout,
		IdleTimeout:     live.IdleTimeout,
		MaxConns:        live.MaxConns,
		MaxConnsPerIP:   live.MaxConnsPerIP,
		Memory:          s.memory,
		TLS:             certs,
		Logger:          s.log,
		Watcher:         s.watcher,
		OnAbortedUpload: func() { s.metrics.Rejected("aborted_upload") },
		OnRefusedConn:   s.metrics.Rejected,
	}, &fasthttp.Server{Handler: s.handle, ErrorHandler: s.malformed, ExpectHandler: s.expected})
}

// liveSettings are those of the API listener that a reload can change.
func liveSettings(cfg *config.Config) downstream.Live {
	return downstream.Live{
		MaxHeaderBytes: int(cfg.Limits.MaxHeader),
		MaxBodyBytes:   int64(cfg.Limits.MaxBody),
		HeaderTimeout:  orUnlimited(cfg.Timeouts.RequestHeaders.Std()),
		BodyTimeout:    orUnlimited(cfg.Timeouts.RequestBody.Std()),
		IdleTimeout:    orUnlimited(cfg.Timeouts.KeepAlive.Std()),
		MaxConns:       cfg.Limits.Connections,
		MaxConnsPerIP:  cfg.Limits.ConnectionsPerIP,
	}
}

// bodyMemory is the memory for the bodies of requests where nothing else is said.
const bodyMemory = 1 << 30

// bodyLimit is the memory for the bodies of all requests that are open.
func (s *Server) bodyLimit(cfg *config.Config) int64 {
	return cmp.Or(int64(cfg.Limits.Bodies), s.memoryLimit, bodyMemory)
}

// malformed answers a request that could not be read.
func (s *Server) malformed(rc *fasthttp.RequestCtx, err error) {
	var bad *downstream.RequestError
	e := translate.NewError(translate.CodeMalformedRequest)
	if errors.As(err, &bad) {
		e = translate.ErrorOfStatus(bad.Status, bad.Code, bad.Message)
		e.RetryAfter = bad.RetryAfter
	}
	s.metrics.Rejected(e.Code)
	writeError(rc, newRequestID(), e)
	rc.SetConnectionClose()
}

// Serve answers requests on ln until Shutdown. It returns nil after it.
func (s *Server) Serve(ln net.Listener) error { return s.down.Serve(ln) }

// Ready tells whether the server takes new requests.
func (s *Server) Ready() bool { return !s.draining.Load() }

// Drain stops taking requests; running exchanges go on. It may be called repeatedly.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.down.Drain()
}

// Empty is closed when no exchange runs.
func (s *Server) Empty() <-chan struct{} { return s.running.empty() }

// shutAll ends the running exchanges, those first that wait for a target: the ends of the
// others would let them have one.
func (s *Server) shutAll() {
	end := ending{outcome: accounting.OutcomeShutdown, code: translate.CodeShuttingDown}
	all := s.running.all()
	for _, x := range all {
		if x.phaseNow() == accounting.PhaseQueued {
			x.shut(end)
		}
	}
	for _, x := range all {
		x.shut(end)
	}
}

// shutdownTail bounds what follows the drain deadline: last words to clients, and
// the records.
const shutdownTail = 5 * time.Second

// Shutdown stops taking requests and lets the running exchanges go on until ctx
// ends. Then their valves shut, with the cause shutdown. It returns when all of
// them have their records.
func (s *Server) Shutdown(ctx context.Context) {
	s.Drain()
	select {
	case <-s.running.empty():
	case <-ctx.Done():
		s.shutAll()
	}
	tail, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTail)
	defer cancel()
	select {
	case <-s.running.empty():
	case <-tail.Done():
	}
	if err := s.down.Close(tail); err != nil {
		s.log.Warn("closing the API listener", "error", err)
	}
	s.finisher.Close()
	for _, p := range s.routes().providers {
		p.pool.CloseIdle()
	}
	s.end()
	<-s.checkpoints.ended
	s.background.close()
	if s.ownLimiter {
		s.limiter.Close()
	}
	s.closeWatcher() // after everything that it watches
}
