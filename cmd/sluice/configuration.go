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

// load reads the configuration that source names.
func (p *program) load(path string) (*config.Config, error) {
	switch source := p.source(path); source {
	case "":
		return config.FromEnvironment(p.getenv)
	case "-":
		return config.Read(p.stdin, "standard input", p.getenv)
	default:
		return config.Load(source, p.getenv)
	}
}
