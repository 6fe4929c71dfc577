package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Abandoned returns the spools inside dir that dead processes have left. They belong to
// the caller, who closes them; nothing can be appended to them. It is no error that there
// is no such folder.
func Abandoned(dir string) ([]*Spool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || dir == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for spools: %w", bare(err))
	}
	var found []*Spool
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		s, err := adopt(filepath.Join(dir, entry.Name()))
		if err != nil {
			for _, other := range found {
				_ = other.Close()
			}
			return nil, err
		}
		if s != nil {
			found = append(found, s)
		}
	}
	return found, nil
}

// adopt returns the spool in a folder, or nil if its process lives or it is none.
func adopt(folder string) (*Spool, error) {
	if _, err := os.Stat(lockOf(folder)); err != nil {
		return nil, nil // a folder without a lock is somebody else's
	}
	lock := flock.New(lockOf(folder))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking a spool: %w", bare(err))
	}
	if !locked {
		return nil, nil
	}
	segments, err := readSegments(folder)
	if err != nil {
		_ = lock.Unlock()
		if errors.Is(err, fs.ErrNotExist) { // another process has just taken it in
			return nil, nil
		}
		return nil, err
	}
	s := &Spool{folder: folder, lock: lock, segments: segments, made: true, create: createFile}
	for _, segment := range segments {
		s.size += segment.size
	}
	return s, nil
}
