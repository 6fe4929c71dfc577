package main

import (
	"context"
)

// serve loads the configuration and serves until ctx ends or a signal stops the
// program.
func (p *program) serve(ctx context.Context) error {
	cfg, err := p.load("")
	if err != nil {
		return err
	}
	logger := newLogger(p.stderr, cfg.Log)
	if err := serve(ctx, cfg, logger, p.stdout); err != nil {
		return failure{err}
	}
	return nil
}
