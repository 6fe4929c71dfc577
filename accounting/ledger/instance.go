package ledger

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// maxInstance bounds the part of an instance's name that was given.
const maxInstance = 64

// newInstance is a name for this process that no other has, ever. It may be the name of
// a file.
func newInstance(given string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, given)
	var suffix [6]byte
	_, _ = rand.Read(suffix[:]) // it never fails
	if len(plain) > maxInstance {
		plain = plain[:maxInstance]
	}
	if plain == "" {
		plain = "sluice"
	}
	return plain + "-" + hex.EncodeToString(suffix[:])
}

// locks are the files beside a SQLite file whose locks say which of the processes that
// share it live: the system lets go of the lock of a process that is dead, however it died.
type locks struct{ folder string }

func locksOf(path string) locks { return locks{folder: path + "-locks"} }

func (l locks) file(instance string) string { return filepath.Join(l.folder, instance+".lock") }

// hold takes the lock of an instance that lives in this process.
func (l locks) hold(instance string) (*flock.Flock, error) {
	if err := os.MkdirAll(l.folder, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the locks: %w", err)
	}
	lock := flock.New(l.file(instance))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	if !locked {
		return nil, errors.New("the name of the instance is taken")
	}
	return lock, nil
}

// inherit takes the lock of an instance if its process is dead. Without the file it is
// dead too: the file is made before anything else and removed last. Whoever gets nil does
// not have it. release ends it.
func (l locks) inherit(instance string) (release func(), err error) {
	if _, err := os.Stat(l.file(instance)); errors.Is(err, os.ErrNotExist) {
		return func() {}, nil
	}
	lock := flock.New(l.file(instance))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	if !locked {
		return nil, nil
	}
	return func() { l.release(lock) }, nil
}

// release removes a lock and its file.
func (l locks) release(lock *flock.Flock) {
	_ = os.Remove(lock.Path())
	_ = lock.Unlock()
}

// turn is the lock that whoever writes holds meanwhile.
func (l locks) turn() *flock.Flock { return flock.New(filepath.Join(l.folder, "turn")) }
