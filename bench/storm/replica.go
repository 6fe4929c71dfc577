//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluicehq/sluice/bench/internal/child"
)

const (
	clientKey = "sk-storm-client"
	adminKey  = "sk-storm-admin"
	// largestStreams is the limit of requests at the same time of the client's key, for all
	// replicas together.
	largestStreams = 500
)

// newReplica writes the configuration of one; extra are further lines of it.
func newReplica(name, program, folder, upstream, ledger, extra string) (*child.Sluice, error) {
	listen, err := child.FreeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := child.FreeAddress()
	if err != nil {
		return nil, err
	}
	r := &child.Sluice{
		Name: name, Program: program, Config: filepath.Join(folder, name+".yaml"),
		API: "http://" + listen, Admin: "http://" + admin,
	}
	text := fmt.Sprintf(`listen: %q
admin: {listen: %q}
ledger: %q
spool_dir: %q
providers:
  - {name: mock, dialect: openai, base_url: %q}
models:
  - name: storm
    targets: [{provider: mock, model: storm}]
keys:
  - alias: storm
    sha256: %q
    limits: {streams: %d, tokens_per_minute: 1000000000, budgets: [{usd: 1000000, per: day, hard: true}]}
  - {alias: operator, sha256: %q, admin: true}
prices:
  overrides: [{model: storm, input: 1, output: 2}]
timeouts: {drain: 5s}
log: {level: warn, format: json}
%s`, listen, admin, ledger, filepath.Join(folder, name+"-spool"), upstream, child.Digest(clientKey), largestStreams, child.Digest(adminKey), extra)
	if err := os.WriteFile(r.Config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration of sluice: %w", err)
	}
	return r, nil
}
