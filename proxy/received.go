package proxy

import (
	"crypto/sha256"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/proxy/access"
)

// received is what attempts need of the client's request. It shares nothing with
// fasthttp's request context.
type received struct {
	http11 bool
	path   string // below /v1
	query  string // with its question mark
	fields headFields
	// remembered tells whose thoughts are remembered for the request.
	remembered string

	mu   sync.Mutex
	body []byte
}

// bytes is the body, nil once it has been let go.
func (r *received) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.body
}

func (r *received) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.body = nil
}

// receive takes what attempts need out of a request, its body included.
func (s *Server) receive(c call, r *received) {
	r.http11 = c.rc.Request.Header.IsHTTP11()
	r.path, r.query = c.path, query(c.rc)
	r.fields = copyFields(&c.rc.Request.Header)
	r.remembered = s.memoryOwner(c)
	r.body = c.rc.Request.SwapBody(nil)
}

// memoryOwner tells whose thoughts are remembered for a request: those of the owner of
// its key. Where no keys are issued, clients are told apart by what they send as theirs.
func (s *Server) memoryOwner(c call) string {
	if c.caller.Alias != "" {
		return c.caller.Alias
	}
	sum := sha256.Sum256(access.KeyOf(&c.rc.Request.Header))
	return string(sum[:])
}

// headField is a header field of a request.
type headField struct{ name, value string }

// headFields are the fields of a request in their order, with the client's key.
type headFields struct {
	list []headField
	key  string
}

// copyFields copies the fields of a head.
func copyFields(h *fasthttp.RequestHeader) headFields {
	size, n := 0, 0
	for k, v := range h.All() {
		size += len(k) + len(v)
		n++
	}
	var text strings.Builder
	text.Grow(size)
	out := headFields{list: make([]headField, 0, n)}
	take := func(b []byte) string {
		from := text.Len()
		_, _ = text.Write(b) // it never fails
		return text.String()[from:]
	}
	for k, v := range h.All() {
		out.list = append(out.list, headField{take(k), take(v)})
	}
	out.key = string(access.KeyOf(h))
	return out
}

// get is the value of the first field of a name, in whatever case.
func (h *headFields) get(name string) string {
	for _, f := range h.list {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}
