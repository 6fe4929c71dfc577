//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// The modes.
const (
	modeCrash    = "crash"
	modeAborts   = "aborts"
	modeReplicas = "replicas"
)

// The engines of the ledger.
const (
	engineSQLite   = "sqlite"
	enginePostgres = "postgres"
)

// settings are the flags.
type settings struct {
	mode, engine    string
	sluice          string
	postgres, redis string
	kills, requests int
	streams         int
	aborts, cancels float64
	every           time.Duration
	settle          time.Duration
	seed            uint64
}

// processes is how many sluices run.
func (s *settings) processes() int {
	if s.mode == modeReplicas {
		return 3
	}
	return 1
}

func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	flags := flag.NewFlagSet("storm", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.mode, "mode", modeCrash, "crash: kill one sluice again and again; aborts: kill nobody, but let clients leave; replicas: three that share PostgreSQL and Redis, and are killed")
	flags.StringVar(&s.engine, "engine", "", "ledger: sqlite or postgres (default sqlite; replicas need postgres)")
	flags.StringVar(&s.sluice, "sluice", "", "path of the program (default: it is built)")
	flags.StringVar(&s.postgres, "postgres", "", "URL of an empty PostgreSQL database (default: a server is started)")
	flags.StringVar(&s.redis, "redis", "", "URL of a Redis or Valkey server for replicas (default: a server is started)")
	flags.IntVar(&s.kills, "kills", 0, "number of SIGKILLs (default 300, with replicas 1000)")
	flags.IntVar(&s.requests, "requests", 100_000, "number of requests, where nobody is killed")
	flags.IntVar(&s.streams, "streams", 64, "requests at the same time")
	flags.Float64Var(&s.aborts, "aborts", 0.3, "share of requests whose client leaves")
	flags.Float64Var(&s.cancels, "cancels", 0.1, "share of requests that are cancelled")
	flags.DurationVar(&s.every, "every", time.Second, "mean time from one kill to the next, beside the restart")
	flags.DurationVar(&s.settle, "settle", 90*time.Second, "how long it may take after the storm until nothing is open or held")
	flags.Uint64Var(&s.seed, "seed", 0, "seed of everything that is random (default: a random one)")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	s.setDefaults()
	return s, s.check()
}

func (s *settings) setDefaults() {
	if s.engine == "" {
		s.engine = engineSQLite
		if s.mode == modeReplicas {
			s.engine = enginePostgres
		}
	}
	if s.kills == 0 {
		s.kills = 300
		if s.mode == modeReplicas {
			s.kills = 1000
		}
	}
	if s.mode == modeAborts {
		s.kills = 0
	}
	if s.seed == 0 {
		s.seed = rand.Uint64() | 1
	}
}

func (s *settings) check() error {
	switch {
	case !slices.Contains([]string{modeCrash, modeAborts, modeReplicas}, s.mode):
		return fmt.Errorf("-mode: %q is none of crash, aborts, replicas", s.mode)
	case s.engine != engineSQLite && s.engine != enginePostgres:
		return fmt.Errorf("-engine: %q is neither sqlite nor postgres", s.engine)
	case s.mode == modeReplicas && s.engine != enginePostgres:
		return errors.New("-engine: replicas share a ledger, which is postgres")
	case s.kills < 0 || s.requests < 1 || s.streams < 1 || s.streams > largestStreams:
		return fmt.Errorf("-kills, -requests and -streams must not be negative, and -streams at most %d", largestStreams)
	case s.aborts < 0 || s.cancels < 0 || s.aborts+s.cancels > 1:
		return errors.New("-aborts and -cancels are shares of all requests")
	}
	return nil
}
