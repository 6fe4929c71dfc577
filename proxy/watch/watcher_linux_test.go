package watch

import (
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds waits that end at once unless something is broken.
const patience = 10 * time.Second

func newWatcher(t testing.TB) *Watcher {
	t.Helper()
	w, err := New()
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w
}

// pair returns the two ends of a connection.
func pair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	n, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	f, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = n.Close()
		_ = f.Close()
	})
	return n.(*net.TCPConn), f.(*net.TCPConn)
}

func rawOf(t testing.TB, c *net.TCPConn) syscall.RawConn {
	t.Helper()
	rc, err := c.SyscallConn()
	require.NoError(t, err)
	return rc
}

// watched adds c and returns its events.
func watched(t testing.TB, w *Watcher, c *net.TCPConn) (Registration, <-chan Event) {
	t.Helper()
	events := make(chan Event, 16)
	r, err := w.Add(rawOf(t, c), func(e Event) { events <- e })
	require.NoError(t, err)
	return r, events
}

func await(t testing.TB, events <-chan Event) Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("nothing was noticed")
		return 0
	}
}

func reset(t testing.TB, c *net.TCPConn) {
	t.Helper()
	require.NoError(t, c.SetLinger(0))
	require.NoError(t, c.Close())
}

func TestEndIsNoticedBehindUnreadBytes(t *testing.T) {
	for _, unread := range []string{"", "not read by anyone"} {
		w := newWatcher(t)
		near, far := pair(t)
		_, events := watched(t, w, near)
		_, err := io.WriteString(far, unread)
		require.NoError(t, err)
		require.NoError(t, far.CloseWrite())
		require.Equal(t, HalfClosed, await(t, events))

		_, other := watched(t, w, far)
		require.NoError(t, near.Close())
		require.Equal(t, Lost, await(t, other), "both sides have ended")
	}
}

func TestResetIsNoticed(t *testing.T) {
	w := newWatcher(t)
	near, far := pair(t)
	_, events := watched(t, w, near)
	reset(t, far)
	require.Equal(t, Lost, await(t, events))
}

func TestResetBehindAHalfCloseIsNoticed(t *testing.T) {
	w := newWatcher(t)
	near, far := pair(t)
	_, events := watched(t, w, near)
	require.NoError(t, far.CloseWrite())
	require.Equal(t, HalfClosed, await(t, events))
	reset(t, far)
	require.Equal(t, Lost, await(t, events))
}

func TestEndBeforeAddIsNoticed(t *testing.T) {
	w := newWatcher(t)
	near, far := pair(t)
	require.NoError(t, far.CloseWrite())
	_, err := near.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	_, events := watched(t, w, near)
	require.Equal(t, HalfClosed, await(t, events))
}

func TestBytesAreNoEvent(t *testing.T) {
	w := newWatcher(t)
	near, far := pair(t)
	_, events := watched(t, w, near)
	for range 100 {
		_, err := io.WriteString(far, "data")
		require.NoError(t, err)
	}
	_, err := io.ReadFull(near, make([]byte, 400))
	require.NoError(t, err)
	require.NoError(t, far.CloseWrite())
	require.Equal(t, HalfClosed, await(t, events), "the first event is the end")
	require.Empty(t, events)
}

func TestNothingIsToldAfterRemove(t *testing.T) {
	w := newWatcher(t)
	near, far := pair(t)
	r, events := watched(t, w, near)
	marker, end := pair(t)
	_, marked := watched(t, w, marker)
	w.Remove(r)
	w.Remove(r)
	w.Remove(Registration{})
	reset(t, far)
	reset(t, end)
	await(t, marked) // whatever was before it has been delivered
	require.Empty(t, events)
	require.Len(t, w.watched, 1)
}

func TestEventOfAClosedDescriptorDoesNotReachItsSuccessor(t *testing.T) {
	w := newWatcher(t)
	near, far := pair(t)
	old, _ := watched(t, w, near)
	w.Remove(old)
	// The descriptor now belongs to another connection.
	var told []Event
	successor := w.enter(old.fd, func(e Event) { told = append(told, e) })
	w.Remove(old) // too late: it is not its own any more
	require.Len(t, w.watched, 1)
	marker, end := pair(t)
	_, marked := watched(t, w, marker)
	reset(t, far) // an event with the old generation
	reset(t, end)
	await(t, marked)
	require.Empty(t, told)
	w.Remove(successor)
}

func TestAddFailsWhereNothingCanBeWatched(t *testing.T) {
	w := newWatcher(t)
	near, _ := pair(t)
	rc := rawOf(t, near)
	_, err := w.Add(rc, func(Event) {})
	require.NoError(t, err)
	_, err = w.Add(rc, func(Event) {}) // one descriptor cannot be watched twice
	require.Error(t, err)

	closed, _ := pair(t)
	rc = rawOf(t, closed)
	require.NoError(t, closed.Close())
	_, err = w.Add(rc, func(Event) {})
	require.ErrorIs(t, err, net.ErrClosed)

	w.Close()
	w.Close()
	other, _ := pair(t)
	_, err = w.Add(rawOf(t, other), func(Event) {})
	require.Error(t, err)
	w.Remove(Registration{})
}

func TestNotificationsMayUseTheWatcher(t *testing.T) {
	w := newWatcher(t)
	near, far := pair(t)
	second, _ := pair(t)
	secondRaw := rawOf(t, second)
	added := make(chan error, 1)
	_, err := w.Add(rawOf(t, near), func(Event) {
		r, err := w.Add(secondRaw, func(Event) {})
		w.Remove(r)
		added <- err
	})
	require.NoError(t, err)
	require.NoError(t, far.CloseWrite())
	require.NoError(t, <-added)
}

func TestManyConnectionsComeAndGo(t *testing.T) {
	w := newWatcher(t)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := range 100 {
				near, far := pair(t)
				r, events := watched(t, w, near)
				if i%2 == 0 {
					_ = far.Close()
					await(t, events)
				} else {
					reset(t, far)
				}
				w.Remove(r)
				_ = near.Close()
			}
		})
	}
	workers.Wait()
	require.Empty(t, w.watched)
}
