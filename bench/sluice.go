//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const sluicePackage = "github.com/sluicehq/sluice/cmd/sluice"

// sluiceConfig is the default configuration but for the provider, and for logs and
// the admin listener, which nginx and the Go proxy do not have either.
const sluiceConfig = `listen: "%s"
admin: {listen: "off"}
providers:
  - {name: mock, dialect: openai, base_url: "http://%s/v1"}
log: {level: warn}
`

// prepareSluice builds sluice from the module that this program belongs to, as the
// released image does.
func prepareSluice(ctx context.Context, dir string) (subject, error) {
	path := filepath.Join(dir, "sluice")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, sluicePackage)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if printed, err := build.CombinedOutput(); err != nil {
		return subject{}, fmt.Errorf("building sluice: %w\n%s", err, strings.TrimSpace(string(printed)))
	}
	return subject{name: subjectSluice, title: "sluice", command: func(ctx context.Context, p place) (*exec.Cmd, error) {
		file := filepath.Join(p.dir, "config.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, sluiceConfig, p.listen, p.upstream), 0o600); err != nil {
			return nil, fmt.Errorf("writing the configuration of sluice: %w", err)
		}
		cmd := exec.CommandContext(ctx, path, "--config", file)
		cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+p.dir) // the books of this trial
		return cmd, nil
	}}, nil
}
