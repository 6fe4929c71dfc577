package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// form is how an answer is written: as chat or as text completion.
type form interface {
	opening(option int) any // nil where the form has no opening chunk
	piece(option int, st step) any
	closing(option int) any
	totals() any // the usage-only chunk
	whole() any
}

// generate runs the answer at its pace. It reports false if the caller left, or if
// emit, which gets every token as it comes, failed.
func (a *answer) generate(ctx context.Context, emit func(option int, st step) bool) bool {
	next := time.Now().Add(a.silence)
	if !waitUntil(ctx, next) {
		return false
	}
	for k := 0; ; k++ {
		spoke := false
		for i, o := range a.options {
			if k >= len(o.steps) {
				continue
			}
			if !spoke && k > 0 {
				next = next.Add(a.interval)
				if !waitUntil(ctx, next) {
					return false
				}
			}
			spoke = true
			if !emit(i, o.steps[k]) {
				return false
			}
			a.sent++
		}
		if !spoke || (a.breaks != breaksNot && k+1 == breakAfter) {
			return ctx.Err() == nil
		}
	}
}

// waitUntil reports false if ctx ended first.
func waitUntil(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// respond generates the answer and writes it, streamed or whole. The record of the
// answer is written before the handler returns, whatever became of it.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, g *generation, a *answer, f form) {
	begun := time.Now()
	s.journal.begin()
	var ok bool
	if g.Stream {
		ok = s.stream(w, r, g, a, f)
	} else {
		ok = a.generate(r.Context(), func(int, step) bool { return true })
	}
	s.ended(a, begun, ok)
	if !ok {
		panic(http.ErrAbortHandler) // net/http closes the connection without a word
	}
	if !g.Stream {
		replyWhole(w, a, f)
	}
}

func replyWhole(w http.ResponseWriter, a *answer, f form) {
	body := encode(f.whole())
	switch a.breaks {
	case breaksWithError:
		fail(w, errBroken)
	case breaksOff:
		// Fewer bytes than announced: net/http closes the connection.
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		reply(w, http.StatusOK, body[:len(body)/2])
	default:
		reply(w, http.StatusOK, body)
	}
}

// stream writes the answer as events, one flush each, and reports whether the
// caller stayed until the end.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, g *generation, a *answer, f form) bool {
	e := &eventWriter{w: w, flush: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	if e.flush.Flush() != nil {
		return false
	}
	opened := make([]bool, len(a.options))
	ok := a.generate(r.Context(), func(i int, st step) bool {
		if !opened[i] {
			opened[i] = true
			if first := f.opening(i); first != nil && !e.event(encode(first)) {
				return false
			}
		}
		return e.event(encode(f.piece(i, st)))
	})
	switch {
	case !ok || a.breaks == breaksOff:
		return ok
	case a.breaks == breaksWithError:
		return e.event(errBroken.body())
	}
	return e.ending(g, a, f, opened)
}

// ending writes what follows the last token. Only an option without any token
// still needs its opening.
func (e *eventWriter) ending(g *generation, a *answer, f form, opened []bool) bool {
	for i := range a.options {
		if first := f.opening(i); !opened[i] && first != nil && !e.event(encode(first)) {
			return false
		}
		if !e.event(encode(f.closing(i))) {
			return false
		}
	}
	if g.includeUsage() && !e.event(encode(f.totals())) {
		return false
	}
	return e.event([]byte("[DONE]"))
}

type eventWriter struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	buf   []byte
}

func (e *eventWriter) event(data []byte) bool {
	e.buf = append(append(append(e.buf[:0], "data: "...), data...), "\n\n"...)
	_, err := e.w.Write(e.buf)
	return err == nil && e.flush.Flush() == nil
}

// encode is compact JSON that leaves <, > and & as they are, as OpenAI does.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("encoding an answer: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
