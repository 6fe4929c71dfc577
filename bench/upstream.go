//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
)

// addresses is the one line that the mock prints when it is ready.
type addresses struct {
	API     string `json:"api"`
	Journal string `json:"journal"`
}

// runUpstream is the subcommand that serves the mock until ctx ends.
func runUpstream(ctx context.Context, stdout io.Writer) error {
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening the mock's listener: %w", err)
	}
	notes, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening the journal's listener: %w", err)
	}
	stop := context.AfterFunc(ctx, func() {
		_ = api.Close()
		_ = notes.Close()
	})
	defer stop()
	if err := json.NewEncoder(stdout).Encode(addresses{API: api.Addr().String(), Journal: notes.Addr().String()}); err != nil {
		return fmt.Errorf("printing the addresses: %w", err)
	}
	log := newJournal()
	failed := make(chan error, 2)
	go func() { failed <- log.serve(notes) }()
	go func() { failed <- serveMock(api, log) }()
	return errors.Join(<-failed, <-failed)
}

// serveMock takes connections until the listener closes.
func serveMock(listener net.Listener, log *journal) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting a connection of the proxy: %w", err)
		}
		go newMockConn(conn, log).serve()
	}
}
