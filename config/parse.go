package config

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Parse reads a configuration from src. The name is used in problems only. The
// error is a *Problems that holds every problem found. A file that names no
// providers takes them from the environment; without any there, that is a
// problem, because a file is a sign that the simulator is not what is wanted.
func Parse(src []byte, name string, getenv Getenv) (*Config, error) {
	problems := &Problems{Name: name}
	c := Default()
	d := newDecoder(problems, getenv)
	root := document(src, problems)
	if len(problems.List) > 0 {
		return nil, problems.err()
	}
	if root != nil {
		d.value(root, reflect.ValueOf(c).Elem(), "", rule{})
		if target(root).Kind != yaml.MappingNode && !isNull(root) {
			return nil, problems.err()
		}
	}
	from := &loader{getenv, d.positions, d.referenced, map[string]string{}}
	if _, given := d.positions["providers"]; !given {
		c.Providers = from.vendorProviders()
		c.Origin = OriginEnvironment
	}
	from.completePlatforms(c.Providers)
	if c.Ledger+":" == LedgerMemory {
		c.Ledger = LedgerMemory // as in memory: without the quotes that YAML wants
	}
	check(c, problems, from)
	if err := problems.err(); err != nil {
		return nil, err
	}
	c.resolve(getenv)
	return c, nil
}

// resolve fills what follows from other values once they are known to be good.
func (c *Config) resolve(getenv Getenv) {
	c.StateFolder = stateFolder(getenv, systemState)
	for i := range c.Providers {
		if p := &c.Providers[i]; !dialects[p.Dialect].chat {
			p.IncludeUsage = nil
		}
	}
	for i := range c.Models {
		model := &c.Models[i]
		for j := range model.Targets {
			model.Targets[j].Model = model.Targets[j].upstream(*model)
		}
	}
}

// document returns the root node of the only document in src; nil when src holds
// nothing but comments.
func document(src []byte, problems *Problems) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, next yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		addSyntax(problems, err)
		return nil
	}
	switch err := dec.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		addSyntax(problems, err)
		return nil
	default:
		problems.add(position{next.Line, next.Column}, "", "a second YAML document begins here; only one is allowed")
		return nil
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

var (
	syntaxPosition = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	quotedText     = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// addSyntax reports what the YAML scanner refused. Quoted parts may come from
// the file, and so from a secret in it: only short punctuation is kept.
func addSyntax(problems *Problems, err error) {
	text := err.Error()
	var at position
	if m := syntaxPosition.FindStringSubmatch(text); m != nil {
		at.line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	text = quotedText.ReplaceAllStringFunc(text, func(quoted string) string {
		if len(quoted) <= len(`'::'`) {
			return quoted
		}
		return "this text"
	})
	problems.add(at, "", "not valid YAML: %s", text)
}
