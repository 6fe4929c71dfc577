//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// What the journal says about a named stream.
const (
	noteAsked  = "asked"  // the request is there
	noteHeaded = "headed" // the response head was sent
	noteGone   = "gone"   // the connection was closed under the stream
)

// finishOrder is the line that makes the mock finish the streams that go on until
// they are told to.
const finishOrder = "finish"

// journalHello is the first line of the journal.
const journalHello = "journal"

// journal tells whoever is connected what happens to the named streams, one line
// for each note: note, name, UnixNano.
type journal struct {
	mu       sync.Mutex
	readers  map[net.Conn]struct{}
	finish   chan struct{}
	finished sync.Once
}

func newJournal() *journal {
	return &journal{readers: map[net.Conn]struct{}{}, finish: make(chan struct{})}
}

// serve takes connections until the listener closes.
func (j *journal) serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting a reader of the journal: %w", err)
		}
		go j.obey(conn)
	}
}

// obey reads the orders of one connection until it closes.
func (j *journal) obey(conn net.Conn) {
	j.mu.Lock()
	j.readers[conn] = struct{}{}
	// Whoever has read this line misses none that follows.
	_, _ = fmt.Fprintln(conn, journalHello)
	j.mu.Unlock()
	orders := bufio.NewScanner(conn)
	for orders.Scan() {
		if orders.Text() == finishOrder {
			j.finished.Do(func() { close(j.finish) })
		}
	}
	j.mu.Lock()
	delete(j.readers, conn)
	j.mu.Unlock()
	_ = conn.Close()
}

// add writes a note. A reader that cannot be written to finds out by itself.
func (j *journal) add(note, name string, at int64) {
	line := fmt.Appendf(nil, "%s %s %d\n", note, name, at)
	j.mu.Lock()
	defer j.mu.Unlock()
	for conn := range j.readers {
		_, _ = conn.Write(line)
	}
}

// follower is the other end of the journal.
type follower struct {
	conn     net.Conn
	mu       sync.Mutex
	passages map[string]*passage
	done     chan struct{}
}

var errNoJournal = errors.New("what answers is not the journal")

// follow connects to a journal, and returns when no note can be missed any more.
func follow(ctx context.Context, address string) (*follower, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to the journal: %w", err)
	}
	lines := bufio.NewScanner(conn)
	if !lines.Scan() || lines.Text() != journalHello {
		return nil, errors.Join(errNoJournal, conn.Close())
	}
	f := &follower{conn: conn, passages: map[string]*passage{}, done: make(chan struct{})}
	go f.read(lines)
	return f, nil
}

func (f *follower) read(lines *bufio.Scanner) {
	defer close(f.done)
	for lines.Scan() {
		var note, name string
		var at int64
		if _, err := fmt.Sscan(lines.Text(), &note, &name, &at); err == nil {
			f.of(name).take(note, at)
		}
	}
}

// of returns the passage with that name, whether or not the mock knows it yet.
func (f *follower) of(name string) *passage {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.passages[name]
	if p == nil {
		p = &passage{asked: make(chan struct{}), headed: make(chan struct{}), closed: make(chan struct{})}
		f.passages[name] = p
	}
	return p
}

// finish makes the mock finish its endless streams.
func (f *follower) finish() error {
	if _, err := fmt.Fprintln(f.conn, finishOrder); err != nil {
		return fmt.Errorf("telling the mock to finish: %w", err)
	}
	return nil
}

// close disconnects from the journal.
func (f *follower) close() {
	_ = f.conn.Close()
	<-f.done
}

// passage is what the journal says about one name. The channels close at the
// first note of their kind; a proxy that repeats a request adds further attempts.
type passage struct {
	asked, headed, closed chan struct{}

	mu       sync.Mutex
	attempts int
	headers  int
	gone     int
	lastGone int64
}

func (p *passage) take(note string, at int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch note {
	case noteAsked:
		if p.attempts++; p.attempts == 1 {
			close(p.asked)
		}
	case noteHeaded:
		if p.headers++; p.headers == 1 {
			close(p.headed)
		}
	case noteGone:
		if p.gone++; p.gone == 1 {
			close(p.closed)
		}
		p.lastGone = max(p.lastGone, at)
	}
}

// end tells when the last attempt was closed, in UnixNano; not ok while one is open.
func (p *passage) end() (at int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastGone, p.attempts > 0 && p.gone == p.attempts
}
