//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// compare measures what the settings ask for, prints the tables, and replaces those
// of the page if every measurement was made.
func compare(ctx context.Context, s settings, stdout, stderr io.Writer) (err error) {
	// Children are told when the thread that started them ends; this one stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := checkPage(s.page); err != nil {
		return err
	}
	if err := allowFiles(max(slices.Max(s.streams), 1024)); err != nil {
		return err
	}
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("looking for this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return fmt.Errorf("making a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	session := session{settings: s, own: own, dir: dir, progress: stderr}
	if s.jsonFile != "" {
		file, err := os.Create(s.jsonFile)
		if err != nil {
			return fmt.Errorf("opening the file for JSON lines: %w", err)
		}
		defer func() { _ = file.Close() }()
		session.lines.w = file
	}
	here := thisMachine(time.Now())
	if err := session.lines.write(machineLine{Kind: "machine", machine: here}); err != nil {
		return err
	}
	if err := session.prepare(ctx); err != nil {
		return err
	}
	failure := session.run(ctx)
	tables, err := session.text(here)
	if err == nil && len(session.results) > 0 {
		_, err = stdout.Write(tables)
	}
	if failure == nil && err == nil && s.page != "" {
		err = writePage(s.page, tables)
	}
	return errors.Join(failure, err)
}

// text is what the comparison prints: the tables, and what they are about.
func (s *session) text(here machine) ([]byte, error) {
	var w bytes.Buffer
	if err := writeTables(&w, trialsOf(s.settings), s.subjects, s.results); err != nil {
		return nil, err
	}
	fmt.Fprintf(&w, "%s", here)
	if s.settings.runs > 1 {
		fmt.Fprintf(&w, " Cells hold the values of the %d runs; ratios are of their means.", s.settings.runs)
	}
	if len(s.absent) > 0 {
		fmt.Fprintf(&w, " Not installed there: %s.", strings.Join(s.absent, ", "))
	}
	w.WriteString("\n")
	return w.Bytes(), nil
}
