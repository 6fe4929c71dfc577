package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/sluicehq/sluice/config"
)

// localConfig is read when no file is named and it is there.
const localConfig = "config.yaml"

// source names the configuration to use: the given path, --config, SLUICE_CONFIG
// or ./config.yaml; "" when there is none of them.
func (p *program) source(path string) string {
	if path != "" {
		return path
	}
	if p.configPath != "" {
		return p.configPath
	}
	if path, _ := p.getenv("SLUICE_CONFIG"); path != "" {
		return path
	}
	// A file that is there but cannot be read must be reported, not passed over.
	if _, err := os.Stat(localConfig); !errors.Is(err, fs.ErrNotExist) {
		return localConfig
	}
	return ""
}

// standardInput is the source that cannot be read twice.
const standardInput = "-"

// load reads the configuration that source names.
func (p *program) load(path string) (*config.Config, error) { return p.loadFrom(p.source(path)) }

// loadFrom reads the configuration of a source.
func (p *program) loadFrom(source string) (*config.Config, error) {
	switch source {
	case "":
		return config.FromEnvironment(p.getenv)
	case standardInput:
		return config.Read(p.stdin, "standard input", p.getenv)
	default:
		return config.Load(source, p.getenv)
	}
}

// errReadOnce means that there is nothing to reload from.
var errReadOnce = errors.New("the configuration came from standard input, which cannot be read again: name a file to be able to reload")

// loadAgain reads the configuration of a source that has been read before.
func (p *program) loadAgain(source string) (*config.Config, error) {
	if source == standardInput {
		return nil, errReadOnce
	}
	return p.loadFrom(source)
}
