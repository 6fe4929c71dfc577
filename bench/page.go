//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// The comments of a Markdown page between which the tables stand.
const (
	tablesBegin = "<!-- bench:begin -->"
	tablesEnd   = "<!-- bench:end -->"
)

var errNoMarkers = errors.New("the page has no " + tablesBegin + " with a " + tablesEnd + " behind it")

// replaceTables puts tables between the comments of a page.
func replaceTables(page, tables []byte) ([]byte, error) {
	before, rest, found := bytes.Cut(page, []byte(tablesBegin))
	if !found {
		return nil, errNoMarkers
	}
	_, after, found := bytes.Cut(rest, []byte(tablesEnd))
	if !found {
		return nil, errNoMarkers
	}
	var w bytes.Buffer
	fmt.Fprintf(&w, "%s%s\n\n%s\n\n%s%s", before, tablesBegin, bytes.TrimSpace(tables), tablesEnd, after)
	return w.Bytes(), nil
}

// checkPage finds out early whether a page can be written.
func checkPage(path string) error {
	if path == "" {
		return nil
	}
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	_, err = replaceTables(page, nil)
	return err
}

// writePage replaces the tables of the page at path.
func writePage(path string, tables []byte) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	if page, err = replaceTables(page, tables); err != nil {
		return err
	}
	if err := os.WriteFile(path, page, 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
