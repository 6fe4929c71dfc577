package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/simulator"
)

func (p *program) simCommand() *cobra.Command {
	var listen string
	options := simulator.Options{}
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Serve the simulated provider alone",
		Long: `Serve the simulated provider on its own listener, as a stand-in for a vendor in
tests and demonstrations. GET /stats tells how many answers were finished and how
many were given up because the caller left.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if options.TokenInterval < 0 {
				return errors.New("--token-interval must not be negative")
			}
			if options.TokenInterval == 0 {
				options.TokenInterval = -1 // no pause, where 0 stands for the default
			}
			if err := p.simulate(cmd.Context(), listen, options); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:9001", "address to listen on")
	cmd.Flags().DurationVar(&options.TokenInterval, "token-interval", simulator.DefaultTokenInterval, "time between two tokens of an answer")
	return cmd
}

// simulate serves the simulator until ctx ends or a signal comes.
func (p *program) simulate(ctx context.Context, listen string, options simulator.Options) error {
	stop := notifyShutdown(ctx)
	defer stop.release()
	network, address := "tcp", listen
	if n, a := dialTarget(listen); n == "unix" {
		network, address = n, a
	}
	ln, err := new(net.ListenConfig).Listen(ctx, network, address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	options.Logger, _ = newLogger(p.stderr, config.Default().Log)
	server := simulator.New(options)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()

	shown := ln.Addr().String()
	if network == "unix" {
		shown = "unix:" + shown
	}
	at := reachable(shown, false)
	_, _ = fmt.Fprintf(p.stdout, "simulator at %s\n\n# what it has generated\n%s\n", at.shown("/v1"), at.curl("-s", "/stats"))

	select {
	case err = <-served:
		_ = server.Close()
	case <-stop.drain.Done():
		err = errors.Join(server.Close(), <-served)
	}
	if err != nil {
		return fmt.Errorf("serving the simulator: %w", err)
	}
	return nil
}
