package proxy

import (
	"github.com/sluicehq/sluice/proxy/upstream"
)

// sender writes a large request beside the goroutine that waits for the answer.
// It ends when everything is written or the connection is closed.
type sender struct {
	done chan struct{}
	err  error // valid after done
}

func startSender(conn *upstream.Conn, head, body []byte, sent func()) *sender {
	s := &sender{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		if _, s.err = conn.Write(head); s.err != nil {
			return
		}
		if _, s.err = conn.Write(body); s.err == nil {
			sent()
		}
	}()
	return s
}

func (s *sender) finished() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *sender) wait() { <-s.done }
