//go:build unix

package localserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Postgres is a PostgreSQL server.
type Postgres struct {
	// Address is its host and port.
	Address string

	folder, bin string
	as          *account
	port        int
	run         *process
	databases   atomic.Int64
}

// StartPostgres starts a server, which the caller ends with Close. It takes about a second.
func StartPostgres() (*Postgres, error) {
	p := &Postgres{bin: postgresPrograms()}
	if p.bin == "" {
		return nil, fmt.Errorf("postgresql: %w", ErrNotInstalled)
	}
	var err error
	if p.port, err = freePort(); err != nil {
		return nil, err
	}
	p.Address = loopback(p.port)
	if syscall.Getuid() == 0 { // which it refuses to run as
		if p.as, err = accountOf("postgres", "nobody"); err != nil {
			return nil, err
		}
	}
	if err := p.initialize(); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.Start(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// postgresPrograms is the folder with the server's programs; Debian keeps them off the path.
func postgresPrograms() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	sort.Strings(found)
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

// initialize makes the folder of the databases.
func (p *Postgres) initialize() (err error) {
	if p.folder, err = os.MkdirTemp("", "sluice-postgres-"); err != nil {
		return fmt.Errorf("making the folder of PostgreSQL: %w", err)
	}
	if p.as != nil {
		if err := os.Chown(p.folder, int(p.as.uid), int(p.as.gid)); err != nil {
			return fmt.Errorf("making the folder of PostgreSQL: %w", err)
		}
	}
	cmd := exec.Command(filepath.Join(p.bin, "initdb"), "-D", filepath.Join(p.folder, "data"), "-A", "trust", "-U", "sluice", "--no-sync")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as.credential()}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w\n%s", err, out)
	}
	return nil
}

// Start starts the server again after Kill, with what was committed.
func (p *Postgres) Start() (err error) {
	p.run, err = start(p.as, filepath.Join(p.bin, "postgres"), "-D", filepath.Join(p.folder, "data"),
		"-p", strconv.Itoa(p.port), "-k", p.folder, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300")
	if err != nil {
		return err
	}
	db, err := sql.Open("pgx", p.url("postgres"))
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	defer func() { _ = db.Close() }()
	err = await(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return db.PingContext(ctx)
	})
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return nil
}

// Close ends the server and removes its folder.
func (p *Postgres) Close() {
	if p.run != nil {
		p.Kill()
	}
	_ = os.RemoveAll(p.folder)
}

// Kill ends the server at once; its next start recovers.
func (p *Postgres) Kill() {
	leader := p.leader()
	if leader != 0 { // which must not begin others while they are listed
		_ = syscall.Kill(leader, syscall.SIGSTOP)
	}
	children := childrenOf(leader)
	p.signalAll(syscall.SIGKILL)
	p.run.kill()
	for _, child := range children { // they hold the memory that the next start wants to make
		_ = syscall.Kill(child, syscall.SIGKILL)
		_ = await(func() error {
			if alive(child) {
				return errStillThere
			}
			return nil
		})
	}
	_ = os.Remove(filepath.Join(p.folder, "data", "postmaster.pid"))
}

// Stall stops the server and all its processes where they stand.
func (p *Postgres) Stall() { p.signalAll(syscall.SIGSTOP) }

// Resume lets a stalled server go on.
func (p *Postgres) Resume() { p.signalAll(syscall.SIGCONT) }

// signalAll reaches the processes of the connections too, which lead groups of their own.
func (p *Postgres) signalAll(s syscall.Signal) {
	leader := p.leader()
	if leader == 0 {
		return
	}
	for _, child := range childrenOf(leader) {
		_ = syscall.Kill(child, s)
	}
	_ = syscall.Kill(leader, s)
}

// leader is the server's main process, 0 if there is none.
func (p *Postgres) leader() (pid int) {
	out, err := os.ReadFile(filepath.Join(p.folder, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscanf(string(out), "%d", &pid); err != nil {
		return 0
	}
	return pid
}

var errStillThere = errors.New("a process of the server has not ended")

// alive reports whether a process runs; one that waits to be collected does not.
func alive(pid int) bool {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	var of int
	var name, state string
	_, err = fmt.Sscanf(string(content), "%d %s %s", &of, &name, &state)
	return err == nil && state != "Z" && state != "X"
}

// childrenOf lists the children of a process by /proc.
func childrenOf(parent int) []int {
	if parent == 0 {
		return nil
	}
	var out []int
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var pid, ppid int
		var name, state string
		if _, err := fmt.Sscanf(string(content), "%d %s %s %d", &pid, &name, &state, &ppid); err == nil && ppid == parent {
			out = append(out, pid)
		}
	}
	return out
}

func (p *Postgres) url(database string) string {
	return fmt.Sprintf("postgres://sluice@%s/%s?sslmode=disable", p.Address, database)
}

// Database makes an empty database and returns its URL.
func (p *Postgres) Database() (string, error) {
	name := fmt.Sprintf("sluice_%d", p.databases.Add(1))
	db, err := sql.Open("pgx", p.url("postgres"))
	if err != nil {
		return "", fmt.Errorf("making a database: %w", err)
	}
	defer func() { _ = db.Close() }()
	if _, err = db.Exec("CREATE DATABASE " + name); err != nil {
		return "", fmt.Errorf("making a database: %w", err)
	}
	return p.url(name), nil
}
