//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// seen is what a script reports of one answer.
type seen struct {
	Text      string `json:"text"`
	ToolCalls []struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"tool_calls"`
	FinishReason string `json:"finish_reason"`
	Usage        *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
	UsageMembers int      `json:"usage_members"` // chunks that had a usage member, null or not
	Chunks       int      `json:"chunks"`
	Models       []string `json:"models"`
	RequestID    string   `json:"request_id"`
	Error        *struct {
		Class      string `json:"class"`
		Status     int    `json:"status"`
		Code       string `json:"code"`
		Message    string `json:"message"`
		RetryAfter string `json:"retry_after"`
	} `json:"error"`
}

// sdk is a client library in one of its forms, and the script that uses it.
type sdk struct {
	name    string
	command func(testing.TB) []string
	// Classes of the errors that the library raises.
	rateLimited, failed string
	// abortWaiting is the class raised when the caller gives up waiting.
	abortWaiting string
}

var sdks = []sdk{
	{name: "python", command: python("openai_sync.py"), rateLimited: "RateLimitError", failed: "APIError", abortWaiting: "APITimeoutError"},
	{name: "python-asyncio", command: python("openai_async.py"), rateLimited: "RateLimitError", failed: "APIError", abortWaiting: "CancelledError"},
	{name: "node", command: script("openai.mjs"), rateLimited: "RateLimitError", failed: "APIError", abortWaiting: "APIUserAbortError"},
	{name: "go", command: func(testing.TB) []string { return []string{goClientBinary} }, rateLimited: "Error", failed: "*ssestream.StreamError", abortWaiting: "Canceled"},
}

// python returns the command that runs a script with the packages of the SDK folder.
func python(script string) func(testing.TB) []string {
	return func(tb testing.TB) []string {
		return []string{installed(tb, "sdk/python/.venv/bin/python"), installed(tb, "sdk/python/"+script)}
	}
}

// script returns the command that runs a script for Node.
func script(name string) func(testing.TB) []string {
	return func(tb testing.TB) []string {
		installed(tb, "sdk/node/node_modules/openai")
		return []string{"node", installed(tb, "sdk/node/"+name)}
	}
}

// installed returns the absolute path of a file of this folder.
func installed(tb testing.TB, path string) string {
	tb.Helper()
	absolute, err := filepath.Abs(path)
	require.NoError(tb, err)
	_, err = os.Stat(absolute)
	require.NoError(tb, err, "the package comment says how to install what the scripts import")
	return absolute
}

// client is a running script.
type client struct {
	tb      testing.TB
	cmd     *exec.Cmd
	input   io.WriteCloser
	reports chan []byte // one report, or closed without
	output  transcript
	ended   chan struct{}
}

// run starts a scenario of the SDK's script against a sluice, with further variables in
// its environment. The process lives until end, or until the test is over.
func (k sdk) run(s *sluice, scenario string, env ...string) *client {
	s.tb.Helper()
	return runScript(s, append(k.command(s.tb), scenario), env...)
}

// runScript starts a script against a sluice.
func runScript(s *sluice, command []string, env ...string) *client {
	s.tb.Helper()
	return startScript(s, command, append([]string{"MODEL=" + s.model}, env...)...)
}

func startScript(s *sluice, command []string, env ...string) *client {
	s.tb.Helper()
	return startClient(s.tb, command, append([]string{"OPENAI_BASE_URL=" + s.api + "/v1", "OPENAI_API_KEY=" + clientKey}, env...)...)
}

func startClient(tb testing.TB, command []string, env ...string) *client {
	tb.Helper()
	c := &client{tb: tb, cmd: exec.Command(command[0], command[1:]...), reports: make(chan []byte, 1), ended: make(chan struct{})}
	c.cmd.Env = append(append(os.Environ(), "NO_PROXY=127.0.0.1,localhost"), env...)
	c.cmd.Stderr = &c.output
	var err error
	c.input, err = c.cmd.StdinPipe()
	require.NoError(c.tb, err)
	reports, err := c.cmd.StdoutPipe()
	require.NoError(c.tb, err)
	require.NoError(c.tb, c.cmd.Start())
	c.tb.Cleanup(c.end)
	go c.read(reports)
	return c
}

// read passes the report on and then waits for the process.
func (c *client) read(reports io.Reader) {
	defer close(c.ended)
	lines := bufio.NewReader(reports)
	line, err := lines.ReadBytes('\n')
	if err == nil && json.Valid(line) {
		c.reports <- line
	}
	close(c.reports)
	_, _ = io.Copy(io.Discard, lines)
	_ = c.cmd.Wait() // the exit code is read from the process state
}

// goAhead tells a script that waits for the test to go on.
func (c *client) goAhead() {
	c.tb.Helper()
	_, err := io.WriteString(c.input, "\n")
	require.NoError(c.tb, err)
}

// clientPatience bounds the wait for a report: starting an interpreter and its imports
// takes its time on a busy machine.
const clientPatience = time.Minute

// seen waits for the script's report. The process is still alive after it.
func (c *client) seen() seen {
	c.tb.Helper()
	var report seen
	require.NoError(c.tb, json.Unmarshal(c.report(clientPatience), &report))
	return report
}

// report waits for the JSON that the script prints.
func (c *client) report(patience time.Duration) []byte {
	c.tb.Helper()
	select {
	case report, ok := <-c.reports:
		require.True(c.tb, ok, "the script ended without a report:\n%s", &c.output)
		return report
	case <-time.After(patience):
		require.Fail(c.tb, "the script did not report", "%s", &c.output)
		return nil
	}
}

// end lets the script end. The script must do so by itself and without complaint.
func (c *client) end() {
	_ = c.input.Close()
	select {
	case <-c.ended:
		if code := c.cmd.ProcessState.ExitCode(); code != 0 {
			c.tb.Errorf("the script ended with exit code %d:\n%s", code, &c.output)
		}
	case <-time.After(patience):
		c.tb.Errorf("the script did not end:\n%s", &c.output)
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
}
