//go:build unix

package localserver

import (
	"fmt"
	"io"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
)

// process is a server's process. It ends with the process that started it, however that
// ends: a shell beside it waits for the end of its standard input.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	once  sync.Once
}

// guard runs a command until its standard input ends.
const guard = `"$@" & child=$!; read -r _; kill -KILL $child; wait $child`

// account is a user of the system; nil stands for the one we are.
type account struct{ uid, gid uint32 }

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// accountOf finds the first user of the system with one of the names.
func accountOf(names ...string) (*account, error) {
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("reading the id of the user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("reading the group of the user %s: %w", name, err)
		}
		return &account{uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("no user of %q", names)
}

// start runs a command as an account.
func start(as *account, command ...string) (*process, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", guard, "sh"}, command...)...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as.credential()}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", command[0], err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", command[0], err)
	}
	return &process{cmd: cmd, stdin: stdin}, nil
}

// kill ends the server at once and waits for its end.
func (p *process) kill() {
	p.once.Do(func() {
		_ = p.stdin.Close()
		_ = p.cmd.Wait() // it was killed
	})
}

// signal sends a signal to the server itself.
func (p *process) signal(s syscall.Signal) {
	_ = syscall.Kill(-p.cmd.Process.Pid, s) // the group: the shell holds it too
}
