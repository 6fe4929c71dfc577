package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// suffix ends the name of each file, which is its number.
const suffix = ".spool"

// Segment is a file of a spool that is written no more.
type Segment struct {
	path   string
	number int
	size   int64
	last   uint64
}

// Size is that of the file, in bytes.
func (s *Segment) Size() int64 { return s.size }

// Last is the number that the last entry was appended with; 0 in a spool of another
// process.
func (s *Segment) Last() uint64 { return s.last }

// Open returns a reader of the entries, which the caller closes.
func (s *Segment) Open() (*Reader, error) {
	file, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("opening the spool: %w", bare(err))
	}
	r := NewReader(file)
	r.closer = file
	return r, nil
}

// Delete removes the file from the disk.
func (s *Segment) Delete() error {
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a file of the spool: %w", bare(err))
	}
	return nil
}

// readSegments finds the files of a folder in the order in which they were written.
func readSegments(folder string) ([]*Segment, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("reading the spool: %w", bare(err))
	}
	var segments []*Segment
	for _, entry := range entries {
		digits, ok := strings.CutSuffix(entry.Name(), suffix)
		number, err := strconv.Atoi(digits)
		if !ok || err != nil {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, fmt.Errorf("reading the spool: %w", bare(err))
		}
		segments = append(segments, &Segment{path: filepath.Join(folder, entry.Name()), number: number, size: info.Size()})
	}
	slices.SortFunc(segments, func(a, b *Segment) int { return a.number - b.number })
	return segments, nil
}

// bare is an error without the path.
func bare(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
