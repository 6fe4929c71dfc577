package downstream

import (
	"math"
	"reflect"
	"time"

	"github.com/valyala/fasthttp"
)

// Live holds the settings that can change while the server runs. Each has the
// meaning of the field of the same name in Config: zero is its default, and a
// negative duration or number of connections switches the option off.
type Live struct {
	MaxHeaderBytes int
	MaxBodyBytes   int64
	HeaderTimeout  time.Duration
	BodyTimeout    time.Duration
	IdleTimeout    time.Duration
	MaxConns       int
	MaxConnsPerIP  int
}

func (l Live) withDefaults() Live {
	orDefault(&l.MaxHeaderBytes, 32<<10)
	orDefault(&l.MaxBodyBytes, 32<<20)
	orDefault(&l.HeaderTimeout, 10*time.Second)
	orDefault(&l.BodyTimeout, 30*time.Second)
	orDefault(&l.IdleTimeout, 60*time.Second)
	orDefault(&l.MaxConns, connsForDescriptors(maxDescriptors()))
	l.MaxHeaderBytes = max(l.MaxHeaderBytes, smallInbox)
	l.MaxBodyBytes = min(max(l.MaxBodyBytes, 1), math.MaxInt/4) // it is doubled, and has to fit an int
	return l
}

// bounds are the live settings as a request meets them. They are never changed,
// only replaced.
type bounds struct {
	Live
	engine *engine
}

// engine is a fasthttp.Server whose read buffers hold a head of up to maxHeader
// bytes. fasthttp fixes their size with its first connection, so a larger limit
// needs another server; requests on connections of the old one move to it.
type engine struct {
	http      *fasthttp.Server
	maxHeader int
}

// Configure replaces the live settings. A request whose first byte has been read,
// and a connection that waits for one, keep the time limits they began with;
// connections beyond a lowered limit stay. Configure is safe for concurrent use
// with everything but itself.
func (s *Server) Configure(l Live) {
	l = l.withDefaults()
	e := s.live.Load().engine
	if e.maxHeader < l.MaxHeaderBytes {
		e = newEngine(copyOf(e.http), l.MaxHeaderBytes)
	}
	s.live.Store(&bounds{Live: l, engine: e})
}

// newEngine leaves all deadlines and the size of bodies to the session, and every
// buffer to the time a request is really being read.
func newEngine(h *fasthttp.Server, maxHeader int) *engine {
	h.ReadTimeout, h.WriteTimeout, h.IdleTimeout = 0, 0, 0
	h.ReadBufferSize = maxHeader + smallInbox
	h.MaxRequestBodySize = math.MaxInt
	h.Concurrency = 1 << 30 // the census limits connections
	h.ReduceMemoryUsage = true
	h.NoDefaultServerHeader = true
	h.SecureErrorLogMessage = true
	h.DisablePreParseMultipartForm = true
	h.StreamRequestBody = false
	h.KeepHijackedConns = false
	h.DisableKeepalive = false
	return &engine{http: h, maxHeader: maxHeader}
}

// copyOf makes an unused server with the settings of h, which are all of its
// exported fields.
func copyOf(h *fasthttp.Server) *fasthttp.Server {
	fresh := &fasthttp.Server{}
	from, to := reflect.ValueOf(h).Elem(), reflect.ValueOf(fresh).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return fresh
}
