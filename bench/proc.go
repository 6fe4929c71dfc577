//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// userHz is the unit of the times in /proc/PID/stat: 100 on every architecture of
// Linux that Go runs on.
const userHz = 100

// processStat is what is read of /proc/PID/stat (proc_pid_stat(5)).
type processStat struct {
	parent int
	cpu    time.Duration // utime + stime
}

var errStatForm = errors.New("a line that is not one of /proc")

// parseStat reads /proc/PID/stat. The name of the program stands in parentheses
// and may itself hold spaces and parentheses.
func parseStat(line []byte) (processStat, error) {
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) < 13 {
		return processStat{}, errStatForm
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return processStat{}, errStatForm
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return processStat{}, errStatForm
		}
		ticks += n
	}
	return processStat{parent: parent, cpu: time.Duration(ticks) * time.Second / userHz}, nil
}

// parseStatm reads the resident pages from /proc/PID/statm.
func parseStatm(line []byte) (pages int64, err error) {
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return 0, errStatForm
	}
	if pages, err = strconv.ParseInt(string(fields[1]), 10, 64); err != nil {
		return 0, errStatForm
	}
	return pages, nil
}

// processes are the process ids of one proxy: what was started and its workers.
type processes []int

// family finds root and all its descendants; none for a root of 0.
func family(root int) (processes, error) {
	if root == 0 {
		return nil, nil
	}
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	children := map[int][]int{}
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended since
		}
		stat, err := parseStat(line)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		children[stat.parent] = append(children[stat.parent], pid)
	}
	all := processes{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// cpu is the processor time that the processes have used so far.
func (p processes) cpu() (sum time.Duration, err error) {
	for _, pid := range p {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("reading the processor time of the proxy: %w", err)
		}
		stat, err := parseStat(line)
		if err != nil {
			return 0, fmt.Errorf("reading the processor time of the proxy: %w", err)
		}
		sum += stat.cpu
	}
	return sum, nil
}

// rss is the resident memory of the processes, in bytes. Pages that they share
// count once for each, so for several processes only differences mean anything.
func (p processes) rss() (sum int64, err error) {
	for _, pid := range p {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, fmt.Errorf("reading the memory of the proxy: %w", err)
		}
		pages, err := parseStatm(line)
		if err != nil {
			return 0, fmt.Errorf("reading the memory of the proxy: %w", err)
		}
		sum += pages * int64(os.Getpagesize())
	}
	return sum, nil
}
