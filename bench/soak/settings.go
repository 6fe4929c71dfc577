//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"time"
)

// shortDuration is that of the form for continuous integration.
const shortDuration = 2 * time.Minute

// settings are the flags.
type settings struct {
	sluice                  string
	duration, warmUp        time.Duration
	streams, targets        int
	aborts, faults, cancels float64
	reload, settle          time.Duration
	slack                   int // MiB
	seed                    uint64
}

func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	short := false
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.sluice, "sluice", "", "path of the program (default: it is built)")
	flags.DurationVar(&s.duration, "duration", 20*time.Minute, "how long it goes on, after the warm-up")
	flags.BoolVar(&short, "short", false, fmt.Sprintf("go on for %v", shortDuration))
	flags.DurationVar(&s.warmUp, "warm-up", 0, "load before the state is taken that it must come back to (default: a tenth of the duration, 10 s to 1 min)")
	flags.IntVar(&s.streams, "streams", 100*runtime.NumCPU(), "requests at the same time (default: 100 for each processor)")
	flags.IntVar(&s.targets, "targets", 2, "targets of a model; 1: nobody takes over when one fails")
	flags.Float64Var(&s.aborts, "aborts", 0.2, "share of requests whose client leaves")
	flags.Float64Var(&s.faults, "faults", 0.05, "share of upstream calls that go wrong")
	flags.Float64Var(&s.cancels, "cancels", 0.03, "share of requests that are cancelled")
	flags.DurationVar(&s.reload, "reload", time.Second, "time from one reload of the configuration to the next; 0: never")
	flags.DurationVar(&s.settle, "settle", 150*time.Second, "how long it may take in the end until the process is as it was; Go returns memory slowly")
	flags.IntVar(&s.slack, "slack", 16, "MiB that it may have more in the end than after the warm-up")
	flags.Uint64Var(&s.seed, "seed", 0, "seed of everything that is random (default: a random one)")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if short {
		s.duration = shortDuration
	}
	if s.warmUp == 0 {
		s.warmUp = min(max(s.duration/10, 10*time.Second), time.Minute)
	}
	if s.seed == 0 {
		s.seed = rand.Uint64() | 1
	}
	return s, s.check()
}

func (s *settings) check() error {
	switch {
	case s.duration <= 0 || s.warmUp < 0 || s.reload < 0 || s.settle <= 0:
		return errors.New("-duration and -settle must be more than 0, -warm-up and -reload not less")
	case s.streams < 1 || s.streams > 20_000:
		return errors.New("-streams must be between 1 and 20000")
	case s.targets != 1 && s.targets != 2:
		return errors.New("-targets must be 1 or 2")
	case s.faults < 0 || s.faults > 1 || s.aborts < 0 || s.cancels < 0 || s.aborts+s.cancels > 1:
		return errors.New("-aborts, -cancels and -faults are shares")
	case s.slack < 0:
		return errors.New("-slack must not be negative")
	}
	return nil
}
