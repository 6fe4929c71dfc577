package servers

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Link is the way to a server, with faults on demand.
type Link struct {
	// Address is what clients dial instead of the server's.
	Address string

	server string
	done   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while it refuses
	conns    map[net.Conn]struct{}
	flowing  chan struct{} // closed while bytes may pass
	stalled  bool
	closed   bool
}

// StartLink begins to relay connections to a server until the test ends.
func StartLink(tb testing.TB, server string) *Link {
	tb.Helper()
	l := &Link{server: server, conns: make(map[net.Conn]struct{}), flowing: make(chan struct{}), Address: "127.0.0.1:0"}
	close(l.flowing)
	l.Accept(tb)
	l.Address = l.listener.Addr().String()
	tb.Cleanup(l.close)
	return l
}

// Stall lets no byte pass any more, in either direction. Connections stay open and new
// ones are accepted.
func (l *Link) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stalled {
		l.stalled, l.flowing = true, make(chan struct{})
	}
}

// Resume ends Stall; what was held back passes.
func (l *Link) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stalled {
		l.stalled = false
		close(l.flowing)
	}
}

// Reset resets all connections there are. New ones are accepted.
func (l *Link) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reset()
}

func (l *Link) reset() {
	for conn := range l.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	clear(l.conns)
}

// Refuse resets all connections there are and refuses new ones.
func (l *Link) Refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse()
}

func (l *Link) refuse() {
	if l.listener != nil {
		_ = l.listener.Close()
		l.listener = nil
	}
	l.reset()
}

// Accept ends Refuse.
func (l *Link) Accept(tb testing.TB) {
	tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		return
	}
	listener, err := net.Listen("tcp", l.Address)
	require.NoError(tb, err)
	l.listener = listener
	l.done.Go(func() { l.serve(listener) })
}

// close leaves nothing behind.
func (l *Link) close() {
	l.mu.Lock()
	l.closed = true
	l.refuse()
	l.mu.Unlock()
	l.Resume()
	l.done.Wait()
}

func (l *Link) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		if !l.keep(client) {
			continue
		}
		l.done.Go(func() { l.relay(client) })
	}
}

// keep notes a connection so that it can be reset. After the end it is closed instead.
func (l *Link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.listener == nil {
		_ = conn.Close()
		return false
	}
	l.conns[conn] = struct{}{}
	return true
}

func (l *Link) relay(client net.Conn) {
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		l.drop(client)
		return
	}
	if !l.keep(server) {
		l.drop(client)
		return
	}
	l.done.Go(func() { l.copy(server, client) })
	l.copy(client, server)
}

// copy moves bytes until one of the connections ends, and then ends both.
func (l *Link) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		l.awaitFlow()
		if n > 0 {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	l.drop(from)
	l.drop(to)
}

func (l *Link) awaitFlow() {
	l.mu.Lock()
	flowing := l.flowing
	l.mu.Unlock()
	<-flowing
}

func (l *Link) drop(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
	_ = conn.Close()
}
