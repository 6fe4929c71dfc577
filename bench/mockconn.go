//go:build linux

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// mockConn is one connection of the mock upstream. One goroutine does nothing but
// read, so that a close is stamped when the kernel reports it and not when the
// next write fails; another one answers.
type mockConn struct {
	conn    net.Conn
	log     *journal
	asks    chan ask
	gone    chan struct{} // closed when the connection has ended
	current atomic.Pointer[string]
	timer   *time.Timer
}

// ask is one request.
type ask struct {
	recipe recipe
	valid  bool
}

func newMockConn(conn net.Conn, log *journal) *mockConn {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &mockConn{conn: conn, log: log, asks: make(chan ask), gone: make(chan struct{}), timer: timer}
}

// serve answers requests until the connection ends.
func (m *mockConn) serve() {
	go m.read()
	for a := range m.asks {
		if !a.valid {
			_, _ = io.WriteString(m.conn, refusal)
			break
		}
		if !m.answer(a.recipe) {
			break
		}
	}
	_ = m.conn.Close()
	for range m.asks {
		// Lets the reader come to its end if it holds one more request.
	}
}

// read takes requests, and notes the end of the connection.
func (m *mockConn) read() {
	defer close(m.asks)
	input := bufio.NewReader(m.conn)
	for {
		a, err := readAsk(input)
		if err != nil {
			now := time.Now().UnixNano()
			if name := m.current.Load(); name != nil {
				m.log.add(noteGone, *name, now)
			}
			close(m.gone)
			return
		}
		if a.recipe.ID != "" {
			m.log.add(noteAsked, a.recipe.ID, time.Now().UnixNano())
			m.current.Store(&a.recipe.ID)
		}
		m.asks <- a
	}
}

func readAsk(input *bufio.Reader) (ask, error) {
	request, err := http.ReadRequest(input)
	if err != nil {
		return ask{}, err
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return ask{}, err
	}
	r, err := readRecipe(body)
	return ask{recipe: r, valid: err == nil}, nil
}

// answer sends one stream and reports whether the connection can go on.
func (m *mockConn) answer(r recipe) bool {
	if !m.wait(r.Head) {
		return false
	}
	if _, err := io.WriteString(m.conn, answerHead); err != nil {
		return false
	}
	if r.ID != "" {
		m.log.add(noteHeaded, r.ID, time.Now().UnixNano())
	}
	sent, ok := m.deltas(r)
	if !ok {
		return false
	}
	m.current.Store(nil)
	_, err := m.conn.Write(ending(sent))
	return err == nil
}

// deltas sends the content and returns how many deltas there were.
func (m *mockConn) deltas(r recipe) (sent int, ok bool) {
	if !m.wait(r.First) {
		return 0, false
	}
	event := newFrame(true)
	due := time.Now()
	for sent = 0; r.Chunks == 0 && sent < maxChunks || sent < r.Chunks; sent++ {
		switch {
		case sent == 0:
		case sent == r.QuietAfter:
			if !m.wait(r.Quiet) {
				return sent, false
			}
			due = time.Now()
		case r.Every > 0:
			due = due.Add(r.Every)
			if !m.wait(time.Until(due)) {
				return sent, false
			}
		}
		if r.Chunks == 0 && m.toldToFinish() {
			return sent, true
		}
		if _, err := m.conn.Write(event.stamped(sent, time.Now().UnixNano())); err != nil {
			return sent, false
		}
		if sent == 0 {
			event = newFrame(false)
		}
	}
	return sent, true
}

func (m *mockConn) toldToFinish() bool {
	select {
	case <-m.log.finish:
		return true
	default:
		return false
	}
}

// wait sleeps, but not beyond the end of the connection.
func (m *mockConn) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	m.timer.Reset(d)
	select {
	case <-m.timer.C:
		return true
	case <-m.gone:
		m.timer.Stop()
		return false
	}
}
