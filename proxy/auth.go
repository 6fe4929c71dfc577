package proxy

import (
	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/proxy/access"
)

// anyone is who sent a request where no key is asked for. Such a caller may do what an
// administrator may.
var anyone = &access.Caller{Admin: true}

// identify finds the caller behind the credential of a request.
func (s *Server) identify(h *fasthttp.RequestHeader) (*access.Caller, bool) {
	if s.keys.Open() {
		return anyone, true
	}
	return s.keys.Identify(access.KeyOf(h))
}
