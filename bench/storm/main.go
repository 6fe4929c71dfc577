//go:build linux

// Command storm proves the books of sluice: that every exchange has exactly one record and
// that nothing stays held, whatever happens. It starts sluice in front of an upstream of
// its own, puts load on it, kills it with SIGKILL or lets clients leave, and then compares
// what the upstream saw with what the ledger has.
//
//	go run ./bench/storm                              # 300 kills, SQLite
//	go run ./bench/storm -engine postgres             # 300 kills, PostgreSQL
//	go run ./bench/storm -mode aborts                 # 100,000 requests, 30 % aborts
//	go run ./bench/storm -mode replicas               # three processes, 1,000 kills
//
// It prints one line of JSON and one to read, and ends with 1 when the books are wrong. It
// starts PostgreSQL and Redis itself where it needs them, from the packages of the system,
// unless it is given a URL.
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

// errWrong says that the books are wrong. What is wrong is printed.
var errWrong = errors.New("the books are wrong")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errWrong):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	f, err := s.storm(ctx, stderr)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(f); err != nil {
		return fmt.Errorf("printing the figures: %w", err)
	}
	if _, err := fmt.Fprintln(stdout, f); err != nil {
		return fmt.Errorf("printing the figures: %w", err)
	}
	if len(f.Wrong) > 0 {
		return errWrong
	}
	return nil
}
