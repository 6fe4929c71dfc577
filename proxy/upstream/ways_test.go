package upstream

import (
	"errors"
	"io"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/proxy/watch"
)

// way is a way to read a body.
type way struct {
	name          string
	each, watched bool
}

var (
	byReadBody    = way{name: "ReadBody"}
	byEach        = way{name: "Each", each: true}
	byEachWatched = way{name: "Each, watched", each: true, watched: true}
)

// ways runs a test with every way to read a body.
func ways(t *testing.T, f func(t *testing.T, w way)) {
	for _, w := range []way{byReadBody, byEach, byEachWatched} {
		t.Run(w.name, func(t *testing.T) { f(t, w) })
	}
}

// options are o with what the way needs.
func (w way) options(t testing.TB, o Options) Options {
	if w.watched {
		o.Watcher = newWatcher(t)
	}
	return o
}

// newWatcher makes a watcher that outlives the connections made after it.
func newWatcher(t testing.TB) *watch.Watcher {
	t.Helper()
	w, err := watch.New()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("connections are not watched on this system")
	}
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w
}

type bodySource interface{ ReadBody() ([]byte, error) }

// body reads the body of r in this way. Between two calls of its ReadBody the function
// given to Each has not returned, unless the last result was an error that stays.
func (w way) body(t testing.TB, r *Reader) bodySource {
	if !w.each {
		return r
	}
	e := &pulled{r: r}
	t.Cleanup(e.leave)
	return e
}

// pulled asks Each for one piece at a time.
type pulled struct {
	r    *Reader
	next func() ([]byte, error, bool)
	stop func()
}

func (e *pulled) ReadBody() ([]byte, error) {
	if e.next == nil {
		e.next, e.stop = iter.Pull2(func(yield func([]byte, error) bool) { e.r.Each(yield) })
	}
	b, err, more := e.next()
	if !more {
		panic("Each ended before the body")
	}
	if err != nil && !errors.Is(err, ErrInterrupted) {
		e.leave()
	}
	return b, err
}

func (e *pulled) leave() {
	if e.next != nil {
		e.stop()
		e.next = nil
	}
}

// whole reads a body to its end, or to the first error.
func whole(s bodySource) (body []byte, err error) {
	for {
		b, err := s.ReadBody()
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return body, err
		}
		body = append(body, b...)
	}
}

// rest reads on to the end of the body through all interrupts.
func rest(s bodySource) (body []byte, err error) {
	for {
		b, err := s.ReadBody()
		switch {
		case err == nil, errors.Is(err, ErrInterrupted):
			body = append(body, b...)
		case errors.Is(err, io.EOF):
			return body, nil
		default:
			return body, err
		}
	}
}

// readAll reads a response to its end.
func (w way) readAll(t testing.TB, r *Reader, h *Head, method string) (body []byte, err error) {
	if err := r.ReadHead(h, method); err != nil {
		return nil, err
	}
	return whole(w.body(t, r))
}
