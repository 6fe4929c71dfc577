package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Getenv looks a variable up and reports whether it is set, as os.LookupEnv does.
type Getenv func(name string) (string, bool)

// maxFile bounds a configuration; larger input is a mistaken path.
const maxFile = 4 << 20

// Load reads the configuration file at path, or standard input when path is
// "-". The error is a *Problems that holds every problem of the file.
func Load(path string, getenv Getenv) (*Config, error) {
	if path == "-" {
		return Read(os.Stdin, "standard input", getenv)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, &Problems{Name: path, List: []Problem{{Message: "cannot be read: " + reason(err)}}}
	}
	defer func() { _ = file.Close() }()
	return Read(file, path, getenv)
}

// Read reads a configuration from r, as Load does from a file. The name is used
// in problems only.
func Read(r io.Reader, name string, getenv Getenv) (*Config, error) {
	src, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, &Problems{Name: name, List: []Problem{{Message: "cannot be read: " + reason(err)}}}
	}
	if len(src) > maxFile {
		return nil, &Problems{Name: name, List: []Problem{{Message: fmt.Sprintf("is larger than %s", Size(maxFile))}}}
	}
	return Parse(src, name, getenv)
}

// reason names the cause of a file error without repeating the path.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
