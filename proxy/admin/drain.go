package admin

import (
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/translate"
)

// drain begins the drain, and answers when no exchange is left or the time for it is over.
// With settle=5s it first goes on for that long while it is not ready any more, so that
// load balancers hear of it before the listener of the API closes.
func (s *Server) drain(rc *fasthttp.RequestCtx, by string) {
	settle, e := settleOf(rc)
	if e != nil {
		writeError(rc, e)
		return
	}
	s.leave(by)
	over := make(<-chan time.Time)
	if !s.drainEnd.IsZero() {
		timer := time.NewTimer(time.Until(s.drainEnd))
		defer timer.Stop()
		over = timer.C
	}
	status := "draining"
	if s.settle(settle, over) && until(s.empty(), over, s.closed) {
		status = "drained"
	}
	writeJSON(rc, map[string]string{"status": status})
}

// settle waits, and then has the drain begin, also when the time for it is over. It tells
// whether that is not so.
func (s *Server) settle(d time.Duration, over <-chan time.Time) bool {
	settled := time.NewTimer(d)
	defer settled.Stop()
	inTime := d == 0 || until(settled.C, over, s.closed)
	s.drainOnce.Do(s.Drain)
	return inTime
}

// settleOf reads the least time that a drain is to take.
func settleOf(rc *fasthttp.RequestCtx) (time.Duration, *translate.Error) {
	text := string(rc.QueryArgs().Peek("settle"))
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		e := translate.NewError(translate.CodeInvalidValue)
		e.Message, e.Param = "'settle' must be a duration such as 5s.", "settle"
		e.Status = http.StatusBadRequest
		return 0, e
	}
	return d, nil
}

// leave makes the probes say that this process is not ready any more, and begins the time for
// the drain.
func (s *Server) leave(by string) {
	s.leaveOnce.Do(func() {
		s.Logger.Info("a drain was asked for", "key", by)
		if s.DrainWait != nil {
			s.drainEnd = time.Now().Add(s.DrainWait())
		}
		if s.Leaving != nil {
			s.Leaving()
		}
		s.leaving.Store(true)
	})
}

// empty is closed while no exchange runs.
func (s *Server) empty() <-chan struct{} {
	if s.Drained == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	return s.Drained()
}

// until waits for what is good, and tells whether it came before one of the others.
func until[T any](good <-chan T, over <-chan time.Time, closed <-chan struct{}) bool {
	select {
	case <-good:
		return true
	case <-over:
	case <-closed:
	}
	select { // what is good at the same moment is good
	case <-good:
		return true
	default:
		return false
	}
}
