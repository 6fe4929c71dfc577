package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"sync"

	"github.com/sluicehq/sluice/accounting"
)

// registry holds the exchanges that have no record yet: those in flight and
// those whose last accounting is still being done.
type registry struct {
	mu sync.Mutex
	by map[string]*exchange
	// idle is closed and replaced whenever the last exchange leaves.
	idle chan struct{}
}

func newRegistry() *registry {
	return &registry{by: make(map[string]*exchange), idle: make(chan struct{})}
}

// add registers x under its id. It reports false when that id is taken.
func (r *registry) add(x *exchange) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.by[x.id]; taken {
		return false
	}
	r.by[x.id] = x
	return true
}

func (r *registry) remove(x *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, x.id)
	if len(r.by) == 0 {
		close(r.idle)
		r.idle = make(chan struct{})
	}
}

func (r *registry) get(id string) *exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.by[id]
}

// all returns the registered exchanges in no particular order.
func (r *registry) all() []*exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*exchange, 0, len(r.by))
	for _, x := range r.by {
		out = append(out, x)
	}
	return out
}

// empty returns a channel that is closed as soon as no exchange is registered.
func (r *registry) empty() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.by) == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	return r.idle
}

// phases counts the exchanges in flight by phase, for the gauge of the metrics.
func (r *registry) phases() map[accounting.Phase]int {
	out := make(map[accounting.Phase]int)
	for _, x := range r.all() {
		if _, over := x.valve.ended(); !over {
			out[x.phaseNow()]++
		}
	}
	return out
}

const maxRequestID = 128

// validRequestID tells whether a client's X-Request-Id may name an exchange: it
// is used in a path, a header and a log line.
func validRequestID(id []byte) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for _, c := range id {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return "req-" + hex.EncodeToString(b[:])
}
