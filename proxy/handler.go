package proxy

import (
	"bytes"
	"context"
	"runtime/debug"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/proxy/downstream"
	"github.com/sluicehq/sluice/translate"
)

// handle answers one request of the API listener, or makes an exchange of it.
func (s *Server) handle(rc *fasthttp.RequestCtx) {
	id := s.requestID(rc)
	defer func() {
		if recover() != nil {
			s.log.Error("panic in the handler", "id", id, "stack", string(debug.Stack()))
			rc.Response.Reset()
			s.refuse(rc, id, translate.NewError(translate.CodeInternal))
		}
	}()
	path, who, err := s.admit(rc)
	if err != nil {
		s.turnAway(rc, id, err)
		return
	}
	c := call{rc: rc, id: id, caller: who, path: path.below, versioned: path.versioned}
	switch first, _, _ := strings.Cut(path.below, "/"); first {
	case "models":
		s.models(c)
	case "requests":
		s.requests(c)
	default:
		s.proxy(c)
	}
}

// admit tells by the head of a request where it goes and who has sent it.
func (s *Server) admit(rc *fasthttp.RequestCtx) (apiPathParts, *access.Caller, *translate.Error) {
	path, ok := apiPath(rc)
	if !ok {
		return path, nil, translate.NewError(translate.CodeNotFound)
	}
	who, known := s.identify(&rc.Request.Header)
	if !known {
		return path, nil, translate.NewError(translate.CodeInvalidAPIKey)
	}
	return path, who, nil
}

// expected answers a client that waits to be told that it may send its body: it may if
// the handler will want it. Otherwise it is told why not, and the connection ends.
func (s *Server) expected(rc *fasthttp.RequestCtx) (status int) {
	_, _, err := s.admit(rc)
	if err == nil {
		return fasthttp.StatusContinue
	}
	s.refuse(rc, s.requestID(rc), err)
	return err.Status
}

// call is one request of the API listener while its handler runs.
type call struct {
	rc        *fasthttp.RequestCtx
	id        string
	caller    *access.Caller
	path      string // below /v1, without slashes at its ends
	versioned bool   // it came with /v1
}

func (c call) method() string { return string(c.rc.Method()) }

type apiPathParts struct {
	below     string
	versioned bool
}

// apiPath takes the path of a request apart. Paths are matched as they stand on
// the wire: dot segments, empty segments and encoded characters have no meaning
// here and are not found, so that no two readers can disagree about one.
func apiPath(rc *fasthttp.RequestCtx) (apiPathParts, bool) {
	raw := rc.Request.Header.RequestURI()
	if i := bytes.IndexByte(raw, '?'); i >= 0 {
		raw = raw[:i]
	}
	if i := bytes.Index(raw, []byte("://")); i >= 0 { // absolute form
		raw = raw[i+3:]
		j := bytes.IndexByte(raw, '/')
		if j < 0 {
			return apiPathParts{}, false
		}
		raw = raw[j:]
	}
	p := strings.TrimSuffix(strings.TrimPrefix(string(raw), "/"), "/")
	below, versioned := strings.CutPrefix(p, "v1/")
	if versioned && strings.HasPrefix(below, "models/") || strings.HasPrefix(p, "models/") {
		below = strings.NewReplacer("%2F", "/", "%2f", "/").Replace(below)
	}
	if below == "" || below == "v1" || strings.HasPrefix(below, "v1/") || strings.ContainsAny(below, "%\\;") {
		return apiPathParts{}, false
	}
	for segment := range strings.SplitSeq(below, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return apiPathParts{}, false
		}
	}
	return apiPathParts{below: below, versioned: versioned}, true
}

// requestID is the client's own X-Request-Id if it is valid and not in use, else a
// new one.
func (s *Server) requestID(rc *fasthttp.RequestCtx) string {
	if id := rc.Request.Header.Peek("X-Request-Id"); validRequestID(id) && s.running.get(string(id)) == nil {
		return string(id)
	}
	return newRequestID()
}

// known endpoints may be called with and without /v1; others only with it.
var unversioned = map[string]bool{
	string(translate.ChatCompletions): true, string(translate.Completions): true,
	string(translate.Embeddings): true, string(translate.Responses): true,
}

// proxy makes an exchange of a request for a provider.
func (s *Server) proxy(c call) {
	endpoint := translate.Endpoint(c.path)
	if !c.versioned && !unversioned[c.path] {
		s.turnAway(c.rc, c.id, translate.NewError(translate.CodeNotFound))
		return
	}
	if unversioned[c.path] && !c.rc.IsPost() {
		c.rc.Response.Header.Set("Allow", fasthttp.MethodPost)
		s.refuse(c.rc, c.id, translate.NewError(translate.CodeMethodNotAllowed))
		return
	}
	x, err := s.newExchange(c, endpoint)
	if err != nil {
		if err.Status == fasthttp.StatusBadRequest {
			s.turnAway(c.rc, c.id, err)
		} else {
			s.refuse(c.rc, c.id, err)
		}
		return
	}
	if !s.running.add(x) { // the same id came twice at the same moment
		x.id = newRequestID()
		s.running.add(x)
	}
	detached := false
	defer func() {
		if !detached { // refused now, or a panic: there will be no exchange
			x.endCtx()
			s.running.remove(x)
			close(x.recorded)
		}
	}()
	// Asked only now, so that a shutdown either waits for this exchange or is seen.
	if s.draining.Load() {
		s.refuse(c.rc, c.id, translate.NewError(translate.CodeShuttingDown))
		return
	}
	x.tap = x.newTap(x.prompt.bytes())
	x.overhead = time.Since(c.rc.Time())
	x.down.Detach(c.rc, x.run)
	detached = true
}

// query returns the query of a request with its question mark. The HTTP reader in
// front has refused anything but visible ASCII in it.
func query(rc *fasthttp.RequestCtx) string {
	raw := rc.Request.Header.RequestURI()
	if i := bytes.IndexByte(raw, '?'); i >= 0 && i+1 < len(raw) {
		return string(raw[i:])
	}
	return ""
}

// newExchange reads the request and finds its route. It takes the body over from
// the request context.
func (s *Server) newExchange(c call, endpoint translate.Endpoint) (*exchange, *translate.Error) {
	x := &exchange{
		srv: s, gen: s.current(), uid: accounting.NewUID(), id: c.id, owner: c.caller,
		endpoint: endpoint, shape: shapeOf(endpoint), method: c.method(), recorded: make(chan struct{}),
	}
	// The connection must be known before anyone else can end the exchange.
	x.down = downstream.FromContext(c.rc)
	x.start = x.down.RequestStart()
	x.quota.grant = unbounded
	s.receive(c, &x.received)
	if err := x.findRoute(c); err != nil {
		return nil, err
	}
	x.ctx, x.endCtx = context.WithCancel(context.Background())
	x.valve.onEnd = x.onEnd
	x.valve.bind(closeFunc(x.stop))
	return x, nil
}

// findRoute reads what of the request says where it is to go.
func (x *exchange) findRoute(c call) *translate.Error {
	body := x.received.body
	// Some SDKs declare JSON where there is no body.
	bodiless := len(body) == 0 && !c.rc.IsPost()
	if x.passthrough() && (bodiless || !jsonRequest(c.rc)) {
		return x.routeToFallback()
	}
	request, err := translate.ParseRequest(x.endpoint, body)
	switch {
	case err == nil:
	case err.Code == translate.CodeMissingModel && x.passthrough():
		x.prompt.set(body)
		return x.routeToFallback()
	default:
		return err
	}
	to, ok := x.gen.routes.find(request.Model)
	if !ok || !c.caller.MayAsk(request.Model) && (to.model == nil || !c.caller.MayAsk(to.model.Name)) {
		return translate.ModelNotFound(request.Model)
	}
	x.request, x.asked, x.route = request, request.Model, to
	x.prompt.set(body)
	return nil
}

// routeToFallback sends a request that names no model where such requests go.
func (x *exchange) routeToFallback() *translate.Error {
	if !x.owner.MayAsk("") {
		return translate.NewError(translate.CodeMissingModel)
	}
	x.route = x.gen.routes.fallback()
	if x.route.targets[0].provider.dialect != nil {
		return translate.NewError(translate.CodeUnsupportedEndpoint)
	}
	return nil
}

// stickTo is what requests that go to the same target of a route have in common; empty
// where nothing does.
func (x *exchange) stickTo(to route) string {
	if to.model == nil {
		return ""
	}
	switch sticky := to.model.Sticky; sticky {
	case "":
		return ""
	case config.StickyKey:
		if x.srv.keys.Open() && x.received.fields.key == "" {
			return "" // nothing tells those apart who have no key
		}
		return x.received.remembered
	default:
		return x.received.fields.get(sticky)
	}
}

// jsonRequest tells whether the request has a JSON body.
func jsonRequest(rc *fasthttp.RequestCtx) bool {
	media, _, _ := bytes.Cut(rc.Request.Header.ContentType(), []byte{';'})
	return bytes.EqualFold(bytes.TrimSpace(media), []byte("application/json"))
}

func shapeOf(e translate.Endpoint) accounting.Shape {
	switch e {
	case translate.ChatCompletions:
		return accounting.ShapeChat
	case translate.Completions:
		return accounting.ShapeCompletion
	case translate.Responses:
		return accounting.ShapeResponses
	default:
		return accounting.ShapeGeneric
	}
}

// dialectOpenAI is the dialect of the API listener.
const dialectOpenAI = "openai"

// statusClientClosedRequest is what the log calls a request whose client left.
const statusClientClosedRequest = translate.StatusCancelled

// refuse answers a request that never reaches a provider. Such requests have no
// record; they are counted by their code.
func (s *Server) refuse(rc *fasthttp.RequestCtx, id string, e *translate.Error) {
	s.metrics.Rejected(e.Code)
	writeError(rc, id, e)
}

// turnAway refuses a request whose sender is not what it should be, or speaks of what is not
// here, and has its connection end.
func (s *Server) turnAway(rc *fasthttp.RequestCtx, id string, e *translate.Error) {
	s.refuse(rc, id, e)
	rc.SetConnectionClose()
}

func writeError(rc *fasthttp.RequestCtx, id string, e *translate.Error) {
	if id != "" {
		rc.Response.Header.Set("X-Request-Id", id)
	}
	if e.RetryAfter > 0 {
		rc.Response.Header.Set("Retry-After", retrySeconds(e.RetryAfter))
	}
	if e.NoRetry {
		rc.Response.Header.Set("X-Should-Retry", "false")
	}
	rc.SetStatusCode(e.Status)
	rc.SetContentType("application/json")
	rc.SetBody(e.AppendJSON(nil))
}
