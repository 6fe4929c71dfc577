package main

import (
	"context"

	"github.com/sluicehq/sluice/config"
)

// serve loads the configuration and serves until ctx ends or a signal stops the
// program.
func (p *program) serve(ctx context.Context) error {
	from := p.source("")
	cfg, err := p.loadFrom(from)
	if err != nil {
		return err
	}
	logger, level := newLogger(p.stderr, cfg.Log)
	s := newService(cfg, logger)
	s.level, s.stdout = level, p.stdout
	s.reload = newReloader(cfg, func() (*config.Config, error) { return p.loadAgain(from) }, logger, s.registry)
	if err := s.serve(ctx); err != nil {
		return failure{err}
	}
	return nil
}
