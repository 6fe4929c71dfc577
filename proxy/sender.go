package proxy

import "github.com/sluicehq/sluice/accounting"

// sender writes a large request beside the goroutine that waits for the answer.
// It ends when everything is written or the connection is closed.
type sender struct {
	done chan struct{}
	err  error // valid after done
}

func (a *attempt) startSender() *sender {
	s := &sender{done: make(chan struct{})}
	conn, head, body := a.conn, a.head, a.body
	go func() {
		defer close(s.done)
		a.aside(func() {
			if _, s.err = conn.Write(head); s.err != nil {
				return
			}
			if _, s.err = conn.Write(body); s.err == nil {
				a.phase.CompareAndSwap(uint32(accounting.PhaseSending), uint32(accounting.PhaseAwaitHeaders))
			}
		})
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
