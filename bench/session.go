//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
)

var errInterrupted = errors.New("interrupted")

// session is one comparison: it starts mock, proxy and client for every
// measurement, and nothing of them outlives it.
type session struct {
	settings settings
	own      string // the path of this program
	dir      string // a temporary directory
	progress io.Writer
	lines    jsonLines

	subjects []subject
	absent   []string // what is not installed
	results  []measurement
}

// prepare builds and finds what is to be measured.
func (s *session) prepare(ctx context.Context) error {
	for _, name := range s.settings.proxies {
		one, err := prepareSubject(ctx, name, s.own, s.dir)
		if errors.Is(err, errAbsent) {
			s.absent = append(s.absent, name)
			s.say("%s is not installed: skipped\n", name)
			continue
		}
		if err != nil {
			return err
		}
		s.subjects = append(s.subjects, one)
	}
	return nil
}

func (s *session) say(format string, values ...any) {
	_, _ = fmt.Fprintf(s.progress, format, values...)
}

// run measures everything. A measurement that fails does not keep the others from
// being made; its error is among those returned.
func (s *session) run(ctx context.Context) error {
	var failures []error
	for _, t := range trialsOf(s.settings) {
		s.say("%s\n", t.title())
		for run := 1; run <= s.settings.runs; run++ {
			for _, one := range s.order(run) {
				if !t.with(one) {
					continue
				}
				if err := s.one(ctx, t, one, run); err != nil {
					if ctx.Err() != nil {
						return errors.Join(append(failures, errInterrupted)...)
					}
					s.say("  run %d  %-18s %v\n", run, one.title, err)
					failures = append(failures, err)
				}
			}
		}
	}
	return errors.Join(failures...)
}

// order is the order of the subjects in a run. The one without a proxy comes first,
// because added latencies refer to it; the others change places from run to run, so
// that a machine that grows slower does not always meet the same one last.
func (s *session) order(run int) []subject {
	all := slices.Clone(s.subjects)
	if run%2 == 0 {
		slices.Reverse(all)
	}
	slices.SortStableFunc(all, func(a, b subject) int {
		switch {
		case a.name == subjectDirect:
			return -1
		case b.name == subjectDirect:
			return 1
		}
		return 0
	})
	return all
}

// one makes one measurement and keeps it.
func (s *session) one(ctx context.Context, t trial, one subject, run int) error {
	done, err := s.measure(ctx, t, one)
	if err != nil {
		return fmt.Errorf("measuring %s, %s: %w", one.name, t.scenario, err)
	}
	if t.scenario == scenarioPaced && one.name != subjectDirect {
		deriveAdded(done.Figures, s.direct(t, run))
	}
	m := measurement{
		Kind: "measurement", Scenario: t.scenario, AskedStreams: t.streams,
		Subject: one.name, Title: one.title, Run: run, report: done,
	}
	if t.scenario != scenarioCancel {
		m.Seconds = s.settings.duration.Seconds()
	}
	s.results = append(s.results, m)
	s.say("  run %d  %-18s %s\n", run, one.title, summary(m))
	return s.lines.write(m)
}

// direct returns the figures that the same run had without a proxy.
func (s *session) direct(t trial, run int) map[string]float64 {
	for _, m := range s.results {
		if m.trial() == t && m.Run == run && m.Subject == subjectDirect {
			return m.Figures
		}
	}
	return nil
}

// measure starts what a measurement needs, makes it, and stops everything again.
func (s *session) measure(ctx context.Context, t trial, one subject) (report, error) {
	mock, at, err := s.startMock(ctx)
	if err != nil {
		return report{}, err
	}
	defer mock.stop()
	p := plan{
		Scenario: t.scenario, Address: at.API, Journal: at.Journal,
		Window: s.settings.duration, Streams: t.streams, Departures: s.settings.departures,
	}
	if one.command != nil {
		proxy, address, err := s.startProxy(ctx, t, one, at.API)
		if err != nil {
			return report{}, err
		}
		defer proxy.stop()
		p.Address, p.Process = address, proxy.cmd.Process.Pid
	}
	return s.runClient(ctx, p)
}

func (s *session) startMock(ctx context.Context) (*process, addresses, error) {
	cmd := exec.CommandContext(ctx, s.own, subcommandUpstream)
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, addresses{}, fmt.Errorf("starting the mock: %w", err)
	}
	mock, err := start("the mock", cmd)
	if err != nil {
		return nil, addresses{}, err
	}
	var at addresses
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		mock.stop()
		return nil, addresses{}, fmt.Errorf("reading the mock's addresses: %w: %s", err, mock.output)
	}
	return mock, at, nil
}

func (s *session) startProxy(ctx context.Context, t trial, one subject, upstream string) (*process, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	dir, err := os.MkdirTemp(s.dir, one.name+"-")
	if err != nil {
		return nil, "", fmt.Errorf("making a directory for %s: %w", one.name, err)
	}
	cmd, err := one.command(ctx, place{listen: address, upstream: upstream, dir: dir, streams: max(t.streams, 1024)})
	if err != nil {
		return nil, "", err
	}
	proxy, err := start(one.name, cmd)
	if err != nil {
		return nil, "", err
	}
	if err := proxy.ready(ctx, address); err != nil {
		proxy.stop()
		return nil, "", err
	}
	return proxy, address, nil
}

// runClient carries out a plan in a process of its own.
func (s *session) runClient(ctx context.Context, p plan) (report, error) {
	orders, err := json.Marshal(p)
	if err != nil {
		return report{}, fmt.Errorf("writing the plan: %w", err)
	}
	var printed bytes.Buffer
	cmd := exec.CommandContext(ctx, s.own, subcommandClient)
	cmd.Stdin, cmd.Stdout = bytes.NewReader(orders), &printed
	client, err := start("the client", cmd)
	if err != nil {
		return report{}, err
	}
	<-client.ended
	if ctx.Err() != nil {
		return report{}, ctx.Err()
	}
	var done report
	if err := json.Unmarshal(printed.Bytes(), &done); err != nil {
		return report{}, fmt.Errorf("the client failed: %s", client.output)
	}
	return done, nil
}
