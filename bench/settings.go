//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are the flags of a comparison.
type settings struct {
	scenarios  []string
	proxies    []string
	duration   time.Duration
	runs       int
	streams    []int
	departures int
	jsonFile   string
	page       string
}

var scenarioNames = []string{scenarioPaced, scenarioSaturated, scenarioMemory, scenarioCancel}

const usageText = `Compares sluice with nginx and with Go's own reverse proxy, over loopback.

usage: go run ./bench [flags]

`

// parseSettings reads the command line. flag.ErrHelp means that help was asked for
// and written.
func parseSettings(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = io.WriteString(stderr, usageText)
		flags.PrintDefaults()
	}
	scenarios := flags.String("scenarios", strings.Join(scenarioNames, ","), "what to measure")
	proxies := flags.String("proxies", strings.Join(subjectNames(), ","), "what to measure it on; none is the mock without a proxy")
	streams := flags.String("streams", "1000", "open streams in the memory scenario; several numbers make several tables")
	flags.DurationVar(&s.duration, "duration", 10*time.Second, "measured time of every paced, saturated and memory measurement")
	flags.IntVar(&s.runs, "runs", 2, "how many times everything is measured")
	flags.IntVar(&s.departures, "departures", 100, "streams in every cell of the cancel scenario")
	flags.StringVar(&s.jsonFile, "json", "", "file for one JSON line per measurement")
	flags.StringVar(&s.page, "write", "", "Markdown page whose table is replaced, such as docs/performance.md")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	var problems []error
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	var err error
	s.scenarios, err = pick("--scenarios", *scenarios, scenarioNames)
	note(err)
	s.proxies, err = pick("--proxies", *proxies, subjectNames())
	note(err)
	s.streams, err = counts("--streams", *streams)
	note(err)
	note(s.validate(flags.Args()))
	return s, errors.Join(problems...)
}

func (s settings) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q is not a flag", rest[0])
	case s.duration < time.Second:
		return errors.New("--duration is less than 1s; processor time is counted in steps of 10 ms")
	case s.runs < 1 || s.departures < 1:
		return errors.New("--runs and --departures must be at least 1")
	}
	return nil
}

// pick splits a list of names, each of which must be known.
func pick(flagName, list string, known []string) (names []string, err error) {
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s: %q is none of %s", flagName, name, strings.Join(known, ", "))
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// counts splits a list of positive numbers.
func counts(flagName, list string) (numbers []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%s: %q is not a number of streams", flagName, text)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
