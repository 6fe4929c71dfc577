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
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/accounting/pricer"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/limits"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/proxy/downstream"
	"github.com/sluicehq/sluice/proxy/watch"
	"github.com/sluicehq/sluice/translate"
)

// Server is one running sluice: its API listener and everything behind it.
type Server struct {
	cfg         *config.Config
	log         *slog.Logger
	publicNames bool
	keys        *access.Keyring
	routes      *routes
	running     *registry
	ledger      accounting.Ledger
	metrics     *accounting.Metrics
	estimator   accounting.Estimator
	known       *modeldata.Table
	pricer      *pricer.Pricer
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
	// Simulator is the base URL of the built-in simulator, for the providers
	// whose dialect is sim.
	Simulator string
}

// New builds a server from a loaded configuration. It opens no connection yet.
func New(cfg *config.Config, o Options) (*Server, error) {
	s := &Server{
		cfg: cfg, log: o.Logger, publicNames: cfg.ResponseModel == config.ResponseModelPublic,
		running: newRegistry(), ledger: o.Ledger, started: time.Now(),
		listingTime: listingTime, capture: o.Capture, books: o.Books,
	}
	s.life, s.end = context.WithCancel(context.Background())
	var err error
	if s.known, err = loadModelData(cfg.ModelData); err != nil {
		return nil, fmt.Errorf("reading the model data: %w", err)
	}
	if s.keys = o.Keys; s.keys == nil {
		if s.keys, err = access.New(s.life, access.Options{Configured: cfg.Keys, Logger: s.log}); err != nil {
			return nil, fmt.Errorf("reading the keys: %w", err)
		}
	}
	if s.pricer = o.Pricer; s.pricer == nil {
		if s.pricer, err = pricer.New(cfg, s.known); err != nil {
			return nil, fmt.Errorf("reading the prices: %w", err)
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
	if err := s.open(o); err != nil {
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

// loadModelData is what is known of models, with the operator's file if there is one.
func loadModelData(path string) (*modeldata.Table, error) {
	if path == "" {
		return modeldata.Builtin(), nil
	}
	return modeldata.Load(path)
}

// open makes what uses the watcher.
func (s *Server) open(o Options) error {
	providers, err := openProviders(s.life, s.cfg, o.Simulator, s.watcher)
	if err != nil {
		return err
	}
	s.routes = newRoutes(s.cfg, providers)
	s.metrics = accounting.NewMetrics(accounting.MetricsOptions{
		Registry: o.Registry, Version: o.Version, InFlight: s.running.phases,
		Models:    func(name string) bool { _, ok := s.routes.models[name]; return ok },
		Providers: func(name string) bool { return s.routes.byName[name] != nil },
		Keys:      s.keys.Knows,
	})
	s.lookups = newLookups(s, s.metrics.Registry())
	s.down, err = s.newDownstream()
	return err
}

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

func (s *Server) newDownstream() (*downstream.Server, error) {
	var certs *tls.Config
	if t := s.cfg.TLS; t != nil {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("loading the certificate of the API listener: %w", err)
		}
		certs = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	return downstream.NewServer(downstream.Config{
		HalfCloseFinish: s.cfg.HalfClose == config.HalfCloseFinish,
		MaxHeaderBytes:  int(s.cfg.Limits.MaxHeader),
		MaxBodyBytes:    int64(s.cfg.Limits.MaxBody),
		HeaderTimeout:   orUnlimited(s.cfg.Timeouts.RequestHeaders.Std()),
		BodyTimeout:     orUnlimited(s.cfg.Timeouts.RequestBody.Std()),
		IdleTimeout:     orUnlimited(s.cfg.Timeouts.KeepAlive.Std()),
		TLS:             certs,
		Logger:          s.log,
		Watcher:         s.watcher,
		OnAbortedUpload: func() { s.metrics.Rejected("aborted_upload") },
	}, &fasthttp.Server{Handler: s.handle, ErrorHandler: s.malformed})
}

// malformed answers a request that could not be read.
func (s *Server) malformed(rc *fasthttp.RequestCtx, err error) {
	var bad *downstream.RequestError
	e := translate.NewError(translate.CodeMalformedRequest)
	if errors.As(err, &bad) {
		e = translate.ErrorOfStatus(bad.Status, bad.Code, bad.Message)
	}
	s.metrics.Rejected(e.Code)
	writeError(rc, newRequestID(), e)
	rc.SetConnectionClose()
}

// Serve answers requests on ln until Shutdown. It returns nil after it.
func (s *Server) Serve(ln net.Listener) error { return s.down.Serve(ln) }

// Ready tells whether the server takes new requests.
func (s *Server) Ready() bool { return !s.draining.Load() }

// shutdownTail bounds what follows the drain deadline: last words to clients, and
// the records.
const shutdownTail = 5 * time.Second

// Shutdown stops taking requests and lets the running exchanges go on until ctx
// ends. Then their valves shut, with the cause shutdown. It returns when all of
// them have their records.
func (s *Server) Shutdown(ctx context.Context) {
	s.draining.Store(true)
	s.down.Drain()
	select {
	case <-s.running.empty():
	case <-ctx.Done():
		for _, x := range s.running.all() {
			x.shut(ending{outcome: accounting.OutcomeShutdown, code: translate.CodeShuttingDown})
		}
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
	for _, p := range s.routes.providers {
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
