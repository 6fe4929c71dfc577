package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Line and Column count from 1; both are 0 when there is no place to point
	// at, as for a missing file or a value from the environment.
	Line, Column int
	// Path is where the value belongs, as in providers[0].base_url. It is empty
	// for problems of the document as a whole.
	Path string
	// Message says what is wrong and what would be right. It holds no secret.
	Message string
}

// String returns "line:column: path: message" without the parts that are unknown.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, "%d:", p.Column)
		}
		b.WriteByte(' ')
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems is the error of a configuration that cannot be used. It holds every
// problem found, in the order of the file.
type Problems struct {
	// Name is the file the problems are in, empty when there is none.
	Name string
	List []Problem
}

// Error returns one line for each problem, "name:line:column: path: message".
func (p *Problems) Error() string {
	lines := make([]string, 0, len(p.List))
	for _, problem := range p.List {
		separator := ": "
		switch {
		case p.Name == "":
			separator = ""
		case problem.Line > 0:
			separator = ":"
		}
		lines = append(lines, p.Name+separator+problem.String())
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) add(at position, path, format string, args ...any) {
	p.List = append(p.List, Problem{Line: at.line, Column: at.column, Path: path, Message: fmt.Sprintf(format, args...)})
}

// err returns nil when no problem was found, and the sorted list otherwise.
func (p *Problems) err() error {
	if len(p.List) == 0 {
		return nil
	}
	slices.SortStableFunc(p.List, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return p
}

// position is a place in the file; zero when unknown.
type position struct{ line, column int }
