package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// maxSegment is the size from which on a new file is begun, so that the room of what has
// been taken is free soon.
const maxSegment = 4 << 20

// Spool is the spool of one process: a folder of files. There is nothing on the disk
// before the first entry. Append belongs to one goroutine; the other methods are safe for
// concurrent use and never wait for it. Only Append and Close write to the disk.
type Spool struct {
	folder string // empty: there is none
	lock   *flock.Flock
	create func(path string) (file, error)

	mu       sync.Mutex
	writing  *writing   // the file that is written, while nobody writes
	segments []*Segment // the others, oldest first
	next     int        // number of the next file
	size     int64
	made     bool
}

// file is what is needed of an *os.File.
type file interface {
	io.WriteCloser
	Sync() error
}

// writing is a file that is being written.
type writing struct {
	file    file
	segment *Segment
}

// ErrNoFolder is what Append returns in a spool without a folder.
var ErrNoFolder = errors.New("the spool has no folder")

// New returns the empty spool of a process, in a folder of that name inside dir. The name
// must be one that no other process has, ever. Without dir nothing can be appended.
func New(dir, name string) *Spool {
	s := &Spool{create: createFile}
	if dir != "" {
		s.folder = filepath.Join(dir, name)
		s.lock = flock.New(lockOf(s.folder))
	}
	return s
}

// lockOf is the file whose lock says that the process of a folder lives.
func lockOf(folder string) string { return folder + ".lock" }

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// Append keeps entries. They are on the disk when it returns nil. last is a number that
// grows from call to call. After an error nothing is known of the entries: they may be
// found later all the same. The file is never written again then: what a failed write
// leaves in it is undefined, and the next Append begins another one.
func (s *Spool) Append(last uint64, entries [][]byte) error {
	w, err := s.take()
	if err != nil {
		return err
	}
	size := 0
	for _, entry := range entries {
		size += frameHeader + len(entry)
	}
	buf := make([]byte, 0, size)
	for _, entry := range entries {
		buf = appendFrame(buf, entry)
	}
	if _, err = w.file.Write(buf); err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		s.put(w, false)
		return fmt.Errorf("writing the spool: %w", bare(err))
	}
	w.segment.last = last
	w.segment.size += int64(size)
	s.mu.Lock()
	s.size += int64(size)
	s.mu.Unlock()
	s.put(w, w.segment.size < maxSegment)
	return nil
}

// take returns the file to write to and begins it if there is none.
func (s *Spool) take() (*writing, error) {
	s.mu.Lock()
	w, number := s.writing, s.next
	s.writing = nil
	if w == nil {
		s.next++
	}
	s.mu.Unlock()
	if w != nil {
		return w, nil
	}
	return s.begin(number)
}

// put returns the file, which can be written further or not.
func (s *Spool) put(w *writing, further bool) {
	if !further {
		_ = w.file.Close()
	}
	s.mu.Lock()
	empty := false
	switch {
	case further:
		s.writing = w
	case w.segment.size > int64(len(magic)):
		s.segments = append(s.segments, w.segment)
	default:
		empty = true
		s.size -= w.segment.size
	}
	s.mu.Unlock()
	if empty { // outside of the lock: nobody waits for the disk
		_ = os.Remove(w.segment.path)
	}
}

// begin makes a file, and the folder if it is the first one.
func (s *Spool) begin(number int) (*writing, error) {
	if err := s.makeFolder(); err != nil {
		return nil, err
	}
	segment := &Segment{path: filepath.Join(s.folder, fmt.Sprintf("%08d%s", number, suffix)), number: number}
	f, err := s.create(segment.path)
	if err != nil {
		return nil, fmt.Errorf("beginning a file of the spool: %w", bare(err))
	}
	w := &writing{file: f, segment: segment}
	if _, err = io.WriteString(f, magic); err == nil {
		err = syncFolder(s.folder)
	}
	if err != nil {
		s.put(w, false)
		return nil, fmt.Errorf("beginning a file of the spool: %w", bare(err))
	}
	segment.size = int64(len(magic))
	s.mu.Lock()
	s.size += segment.size
	s.mu.Unlock()
	return w, nil
}

// errLocked cannot happen with names that are unique.
var errLocked = errors.New("the spool belongs to another process")

// makeFolder takes the lock first: a folder whose lock is free belongs to a dead process.
func (s *Spool) makeFolder() error {
	if s.made {
		return nil
	}
	if s.folder == "" {
		return ErrNoFolder
	}
	if err := os.MkdirAll(filepath.Dir(s.folder), 0o700); err != nil {
		return fmt.Errorf("making the folder of the spool: %w", bare(err))
	}
	locked, err := s.lock.TryLock()
	if err != nil {
		return fmt.Errorf("locking the spool: %w", bare(err))
	}
	if !locked {
		return errLocked
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return fmt.Errorf("making the folder of the spool: %w", bare(err))
	}
	if err := syncFolder(filepath.Dir(s.folder)); err != nil {
		return fmt.Errorf("making the folder of the spool: %w", bare(err))
	}
	s.made = true
	return nil
}

// Seal ends the file that is written, unless Append is at work on it, so that Segments has
// it.
func (s *Spool) Seal() {
	s.mu.Lock()
	w := s.writing
	s.writing = nil
	s.mu.Unlock()
	if w != nil {
		s.put(w, false)
	}
}

// Segments are the files that are written no more, oldest first.
func (s *Spool) Segments() []*Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Segment(nil), s.segments...)
}

// Drop takes a file off the list, because its entries are needed no more. Delete is to
// follow.
func (s *Spool) Drop(segment *Segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.segments {
		if other == segment {
			s.segments = append(s.segments[:i], s.segments[i+1:]...)
			s.size -= segment.size
			return
		}
	}
}

// Size is the room that the files take, in bytes.
func (s *Spool) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Close ends the spool, while nobody appends. The files that are left are found by
// Abandoned; when there are none, nothing stays on the disk.
func (s *Spool) Close() error {
	s.Seal()
	if !s.made {
		return nil
	}
	if len(s.Segments()) == 0 {
		_ = os.RemoveAll(s.folder)
		_ = os.Remove(s.lock.Path())
	}
	if err := s.lock.Unlock(); err != nil {
		return fmt.Errorf("unlocking the spool: %w", bare(err))
	}
	return nil
}
