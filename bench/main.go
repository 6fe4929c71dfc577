//go:build linux

// Command bench compares sluice with nginx and with Go's own reverse proxy on
// streams of chat completions, over loopback: processor time per forwarded chunk,
// added latency, memory per open stream, and how soon the upstream learns that the
// client has left. Every stream is checked in full.
//
// It starts everything that it needs, its mock upstream and its client as processes
// of their own, and stops it again. It reads /proc and therefore needs Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The subcommands under which the program starts itself.
const (
	subcommandUpstream     = "upstream"
	subcommandClient       = "client"
	subcommandReverseProxy = "reverseproxy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdin, stdout, stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintf(stderr, "bench: %v\n", err)
	return 1
}

func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if isSubcommand(args) {
		return subcommand(ctx, args, stdin, stdout)
	}
	s, err := parseSettings(args, stderr)
	if err != nil {
		return err
	}
	return compare(ctx, s, stdout, stderr)
}

func isSubcommand(args []string) bool {
	return len(args) > 0 && (args[0] == subcommandUpstream || args[0] == subcommandClient || args[0] == subcommandReverseProxy)
}

func subcommand(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	switch {
	case args[0] == subcommandUpstream && len(args) == 1:
		return runUpstream(ctx, stdout)
	case args[0] == subcommandClient && len(args) == 1:
		return runClient(ctx, stdin, stdout)
	case args[0] == subcommandReverseProxy && len(args) == 3:
		return runReverseProxy(ctx, args[1], args[2])
	}
	return fmt.Errorf("the subcommand %s is for this program itself", args[0])
}
