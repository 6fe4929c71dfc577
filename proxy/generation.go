package proxy

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/sluicehq/sluice/accounting/pricer"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/modeldata"
)

// generation is one configuration with what is made of it. It does not change: a reload
// makes another, and exchanges keep the one that they began with.
type generation struct {
	cfg         *config.Config
	publicNames bool
	known       *modeldata.Table
	pricer      *pricer.Pricer
	routes      *routes
}

// newGeneration makes the generation of a configuration. Providers that are the same as
// before keep their connections. prices may be nil: then only the built-in ones are known.
func (s *Server) newGeneration(cfg *config.Config, prices *pricer.Pricer, before *generation) (*generation, error) {
	g := &generation{cfg: cfg, publicNames: cfg.ResponseModel == config.ResponseModelPublic, pricer: prices}
	var err error
	if g.known, err = loadModelData(cfg.ModelData); err != nil {
		return nil, fmt.Errorf("reading the model data: %w", err)
	}
	if g.pricer == nil {
		if g.pricer, err = pricer.New(cfg, g.known); err != nil {
			return nil, fmt.Errorf("reading the prices: %w", err)
		}
	}
	var earlier *routes
	if before != nil {
		earlier = before.routes
	}
	providers, err := s.openProviders(cfg, before)
	if err != nil {
		return nil, err
	}
	g.routes = newRoutes(cfg, providers, earlier)
	return g, nil
}

// loadModelData is what is known of models, with the operator's file if there is one.
func loadModelData(path string) (*modeldata.Table, error) {
	if path == "" {
		return modeldata.Builtin(), nil
	}
	return modeldata.Load(path)
}

// current is the generation that new exchanges begin with.
func (s *Server) current() *generation { return s.generation.Load() }

func (s *Server) routes() *routes { return s.current().routes }

// Reload makes new exchanges go by cfg, with its prices. Running ones keep what they began
// with. What cannot change while the server runs must be as before; the caller sees to
// that. After an error nothing has changed.
func (s *Server) Reload(cfg *config.Config, prices *pricer.Pricer) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.life.Err() != nil {
		return context.Canceled
	}
	before := s.current()
	next, err := s.nextGeneration(cfg, prices, before)
	if err != nil {
		return err
	}
	s.generation.Store(next)
	s.down.Configure(liveSettings(cfg))
	s.memory.SetLimit(s.bodyLimit(cfg))
	if s.certificate != nil { // a bad one leaves the old, and is logged
		_ = s.certificate.Reload()
	}
	retire(before.routes.providers, next.routes.providers)
	return nil
}

var errReloadPanic = errors.New("an internal error occurred: the log has the stack")

// nextGeneration is newGeneration without its panics. What a half-made one has set in the
// targets, which both share, is set back.
func (s *Server) nextGeneration(cfg *config.Config, prices *pricer.Pricer, before *generation) (next *generation, err error) {
	defer func() {
		if recover() != nil { // its value may quote a secret
			s.log.Error("panic in a reload", "stack", string(debug.Stack()))
			newRoutes(before.cfg, before.routes.providers, before.routes)
			err = errReloadPanic
		}
	}()
	return s.newGeneration(cfg, prices, before)
}

// retire closes what connections are left of the providers that are not used any more.
func retire(before, next []*provider) {
	used := make(map[*provider]bool, len(next))
	for _, p := range next {
		used[p] = true
	}
	for _, p := range before {
		if !used[p] {
			p.pool.Retire()
		}
	}
}
