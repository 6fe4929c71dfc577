//go:build unix

package localserver

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// Redis is a Redis or Valkey server that keeps nothing on disk.
type Redis struct {
	// URL is what clients dial, Address its host and port.
	URL, Address string

	port int
	path string
	run  *process
}

// StartRedis starts a server, which the caller ends with Kill.
func StartRedis() (*Redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if path, err = exec.LookPath("valkey-server"); err != nil {
			return nil, fmt.Errorf("redis-server: %w", ErrNotInstalled)
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	r := &Redis{port: port, path: path, Address: loopback(port), URL: fmt.Sprintf("redis://%s/0", loopback(port))}
	return r, r.Start()
}

// Start starts the server again after Kill, empty and at the same address.
func (r *Redis) Start() (err error) {
	r.run, err = start(nil, r.path, "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no")
	if err != nil {
		return err
	}
	err = await(func() error {
		conn, err := net.DialTimeout("tcp", r.Address, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		r.Kill()
		return fmt.Errorf("starting Redis: %w", err)
	}
	return nil
}

// Kill ends the server at once. Dialling it is refused from then on.
func (r *Redis) Kill() { r.run.kill() }

// Stall stops the server where it stands: connections are accepted by the kernel and
// nothing answers.
func (r *Redis) Stall() { r.run.signal(syscall.SIGSTOP) }

// Resume lets a stalled server go on.
func (r *Redis) Resume() { r.run.signal(syscall.SIGCONT) }
