//go:build linux

package child

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
)

const sluicePackage = "github.com/sluicehq/sluice/cmd/sluice"

// Program is the absolute path of the program at path, or of one that it builds in folder
// from the module that this one belongs to if path is empty.
func Program(ctx context.Context, path, folder string) (string, error) {
	if path == "" {
		path = filepath.Join(folder, "sluice")
		if printed, err := exec.CommandContext(ctx, "go", "build", "-o", path, sluicePackage).CombinedOutput(); err != nil {
			return "", fmt.Errorf("building sluice: %w\n%s", err, strings.TrimSpace(string(printed)))
		}
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding sluice: %w", err)
	}
	return absolute, nil
}

// Digest is what the configuration has of a key.
func Digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// nextPort is below the ports that systems give to outgoing connections: one of those
// could take the address of a sluice that is about to start again.
var nextPort atomic.Int32

func init() { nextPort.Store(17000 + int32(os.Getpid()%4000)) }

// FreeAddress returns an address of loopback on which nothing listens, each once.
func FreeAddress() (string, error) {
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		if listener, err := net.Listen("tcp", address); err == nil {
			return address, listener.Close()
		}
	}
	return "", errors.New("all ports are in use")
}
