//go:build linux

// Command soak proves that sluice can be lived with: that nothing leaks, nothing is mixed
// up and every failure has a reason, for as long as one likes. It starts sluice in front of
// upstreams of its own, which refuse, stall, reset, lie and cut, and asks through many
// clients, of which some leave at any moment, some cancel and some are over their limits.
// Meanwhile the configuration is loaded again every second. In the end it holds what
// clients, upstreams and the ledger have seen against each other, and looks whether the
// process is as it was after the warm-up.
//
//	go run ./bench/soak                 # 20 minutes
//	go run ./bench/soak -short          # 2 minutes
//	go run ./bench/soak -duration 24h -streams 5000
//
// It prints one line of JSON and a table to read, and ends with 1 when something is wrong.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// errWrong says that something is wrong. What it is has been printed.
var errWrong = errors.New("something is wrong")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errWrong):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	f, err := s.soak(ctx, stderr)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(f); err != nil {
		return fmt.Errorf("printing the figures: %w", err)
	}
	if err := f.print(stdout); err != nil {
		return fmt.Errorf("printing the figures: %w", err)
	}
	if len(f.Wrong) > 0 {
		return errWrong
	}
	return nil
}
