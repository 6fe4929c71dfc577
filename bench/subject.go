//go:build linux

package main

import (
	"context"
	"errors"
	"os/exec"
)

// subject is something that is measured: a proxy, or nothing between client and mock.
type subject struct {
	// name is what the command line and the JSON lines call it.
	name string
	// title is the heading of its column.
	title string
	// command prepares the process; nil when there is none.
	command func(ctx context.Context, p place) (*exec.Cmd, error)
}

// place is where a proxy runs.
type place struct {
	listen   string // its own address, host:port
	upstream string // the mock's address, host:port
	dir      string // an empty directory for its files
	streams  int    // how many streams it must be able to carry
}

// The names of the subjects.
const (
	subjectSluice = "sluice"
	subjectNginx  = "nginx"
	subjectGo     = "go"
	subjectDirect = "none"
)

func subjectNames() []string { return []string{subjectSluice, subjectNginx, subjectGo, subjectDirect} }

// errAbsent means that a proxy is not installed.
var errAbsent = errors.New("not installed")

// prepareSubject makes a subject ready to be started; own is the path of this
// program, dir a directory for what has to be built.
func prepareSubject(ctx context.Context, name, own, dir string) (subject, error) {
	switch name {
	case subjectSluice:
		return prepareSluice(ctx, dir)
	case subjectNginx:
		return prepareNginx(ctx)
	case subjectGo:
		return subject{name: subjectGo, title: "Go ReverseProxy", command: func(ctx context.Context, p place) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, own, subcommandReverseProxy, p.listen, p.upstream), nil
		}}, nil
	}
	return subject{name: subjectDirect, title: "no proxy"}, nil
}
