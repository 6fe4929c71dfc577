//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Programs that TestMain builds for all tests.
var (
	sluiceBinary   string
	goClientBinary string
)

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	folder, err := os.MkdirTemp("", "sluice-e2e")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(folder) }()

	sluiceBinary = filepath.Join(folder, "sluice")
	args := []string{"build", "-o", sluiceBinary}
	if os.Getenv("SLUICE_E2E_RACE") != "" {
		args = append(args, "-race")
	}
	if err := goTool("..", append(args, "./cmd/sluice")...); err != nil {
		return 0, err
	}
	goClientBinary = filepath.Join(folder, "client")
	if err := goTool(filepath.Join("sdk", "go"), "build", "-o", goClientBinary, "."); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func goTool(folder string, args ...string) error {
	build := exec.Command("go", args...)
	build.Dir = folder
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w\n%s", args, err, out)
	}
	return nil
}
