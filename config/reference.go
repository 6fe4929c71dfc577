package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// maxReferencedFile bounds what ${file:...} reads.
const maxReferencedFile = 64 << 10

// references replaces ${NAME}, ${NAME:-default} and ${file:/path} in a value.
// It works on single values after the YAML was parsed, so that a secret with a
// # or a : in it cannot bend the document. $${ stands for a plain ${. Without a getenv
// nothing is replaced.
type references struct{ getenv Getenv }

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

	errReferenceOpen = errors.New("a ${ is not closed; write $${ for a plain ${")
	errReferenceForm = errors.New("holds a malformed reference; write ${NAME}, ${NAME:-default}, ${file:/path}, or $${ for a plain ${")
)

// replace returns text with its references replaced, and whether there were any.
// Errors name variables and paths, never their content.
func (r references) replace(text string) (replaced string, referenced bool, err error) {
	if r.getenv == nil {
		return text, false, nil
	}
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), referenced, nil
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		inner, rest, closed := strings.Cut(text[i+2:], "}")
		if !closed {
			return "", true, errReferenceOpen
		}
		value, err := r.value(inner)
		if err != nil {
			return "", true, err
		}
		b.WriteString(value)
		text, referenced = rest, true
	}
}

// value resolves what stands between ${ and }.
func (r references) value(inner string) (string, error) {
	if path, ok := strings.CutPrefix(inner, "file:"); ok {
		return readReferenced(path)
	}
	name, fallback, hasFallback := strings.Cut(inner, ":-")
	if !variableName.MatchString(name) {
		return "", errReferenceForm
	}
	value, set := r.getenv(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !set:
		return "", fmt.Errorf("the environment variable %s is not set; ${%s:-default} would give a default", name, name)
	}
	return value, nil
}

// readReferenced returns the content of a file without the line ends that
// editors and secret stores leave behind it.
func readReferenced(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the file %s cannot be read: %s", path, reason(err))
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxReferencedFile+1))
	if err != nil {
		return "", fmt.Errorf("the file %s cannot be read: %s", path, reason(err))
	}
	if len(content) > maxReferencedFile {
		return "", fmt.Errorf("the file %s is larger than %s", path, Size(maxReferencedFile))
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}
