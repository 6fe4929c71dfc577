package proxy

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// These tests need a network of their own, in which a client's address can be taken
// away: no FIN and no RST ever says that it is gone. They run in a second process of
// this test binary, in a network namespace without privileges. Being about the
// kernel's default patience, they last half a minute, nearly all of it waiting.

const (
	inNamespace = "SLUICE_TEST_NAMESPACE"
	// vanishPatience is above the 20 s and 30 s after which a silent peer is given up.
	vanishPatience = 60 * time.Second

	serverAddress = "10.77.0.1"
	flowingClient = "10.77.0.2"
	silentClient  = "10.77.0.3"
)

// A client whose machine is gone is given up by the kernel, with data in flight and
// without, though nothing arrives that says so.
// rows A12, A13
func TestClientGoneWithoutAFarewell(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waiting for the kernel to give up a peer takes half a minute")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the ip command of iproute2 is needed to take an address away")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestVanishedPeers$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Skipf("this system lets no test have a network namespace: %v", err)
	}
	require.NoError(t, err, "%s", out)
	if bytes.Contains(out, []byte("--- SKIP: TestVanishedPeers")) {
		t.Skipf("the namespace has no such network: %s", out)
	}
	require.Contains(t, string(out), "--- PASS: TestVanishedPeers")
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "noticed after") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// TestVanishedPeers is the part of TestClientGoneWithoutAFarewell that runs in the
// namespace.
func TestVanishedPeers(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		t.Skip("runs only in the namespace made by TestClientGoneWithoutAFarewell")
	}
	ip := func(arguments ...string) {
		if out, err := ip(arguments...); err != nil {
			t.Skipf("ip %v: %v: %s", arguments, err, out)
		}
	}
	// A packet to a client without an address leaves through one end of the pair
	// and is for nobody at the other: it is lost without a word.
	ip("link", "set", "lo", "up")
	ip("link", "add", "here", "type", "veth", "peer", "name", "there")
	ip("link", "set", "there", "up")
	ip("link", "set", "here", "up")
	ip("address", "add", serverAddress+"/24", "dev", "here")
	for _, client := range []string{flowingClient, silentClient} {
		ip("address", "add", client+"/32", "dev", "lo")
		ip("neighbour", "add", client, "lladdr", "02:00:00:00:77:02", "dev", "here")
	}

	t.Run("data in flight", func(t *testing.T) { // row A12
		t.Parallel()
		vanish(t, flowingClient, func(e *fakeprovider.Exchange) {
			e.StreamHead()
			for ok := true; ok; ok = e.Event(firstChunks[1]) && e.Pause(50*time.Millisecond) {
			}
			e.Hold()
		})
	})
	t.Run("silent", func(t *testing.T) { // row A13
		t.Parallel()
		vanish(t, silentClient, streamThenSilence(firstChunks[1]))
	})
}

// vanish takes the address of a client away in the middle of its stream.
func vanish(t *testing.T, address string, script func(*fakeprovider.Exchange)) {
	r := newRig(t, mayBillPartial, func(c *config.Config) {
		c.Listen = serverAddress + ":0"
		c.KeepAlive = 0
		c.Timeouts.ClientStall = config.Duration(2 * vanishPatience)
	})
	r.up.Handle(script)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := d.Dial("tcp", r.addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	c := &client{TB: t, Conn: conn, r: bufio.NewReader(conn)}
	readEvents(t, c.post(streamBody).Body, 1)
	r.inPhase(accounting.PhaseStreaming)

	out, err := ip("address", "del", address+"/32", "dev", "lo")
	require.NoError(t, err, "%s", out)
	began := time.Now()
	r.up.WaitExchange(1).WaitGone(vanishPatience)
	t.Logf("noticed after %v", time.Since(began).Round(100*time.Millisecond))
	rec := r.onlyRecord()
	requireClientGone(t, rec, accounting.PhaseStreaming)
	require.False(t, rec.HalfClosed)
	requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
}

func ip(arguments ...string) ([]byte, error) {
	return exec.Command("ip", arguments...).CombinedOutput()
}
