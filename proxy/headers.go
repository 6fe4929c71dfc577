package proxy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/proxy/upstream"
)

// droppedRequestHeaders never go upstream as the client sent them: they belong
// to one connection (RFC 9110, section 7.6.1), are set by us, or name the client
// to a provider that has no business knowing it.
var droppedRequestHeaders = map[string]bool{
	"connection": true, "keep-alive": true, "proxy-connection": true, "te": true,
	"trailer": true, "transfer-encoding": true, "upgrade": true, "proxy-authorization": true,
	"proxy-authenticate": true, "expect": true, "host": true, "content-length": true,
	"accept-encoding": true, "authorization": true, "x-api-key": true, "api-key": true, "x-goog-api-key": true,
	"cookie": true, "forwarded": true, "via": true, "x-request-id": true, "x-real-ip": true,
}

// accountRequestHeaders name an account at the provider. They only make sense
// beside the client's own credential.
var accountRequestHeaders = map[string]bool{
	"openai-organization": true, "openai-project": true,
}

// credentialHeaders carry the client's key in the forms that SDKs use.
var credentialHeaders = []string{"Authorization", "X-Api-Key", "Api-Key"}

// requestHead builds the head of the upstream request from the client's. It
// refers to nothing of the client's request afterwards.
type requestHead struct {
	client *headFields
	to     *provider
	method string
	// path is the request's path and query below the provider's base URL.
	path string
	id   string
	// passCredential sends the client's own key to a provider without one.
	passCredential bool
	bodySize       int
	// foreign: the request was translated to another dialect, stream: for a stream.
	foreign, stream bool
}

// append appends the head without the blank line at its end: what authenticates the
// request is added when it is sent.
func (r requestHead) append(dst []byte) []byte {
	dst = append(dst, r.method...)
	dst = append(dst, ' ')
	dst = append(dst, r.to.pool.RequestTarget(r.path)...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	dst = appendField(dst, "Host", r.to.pool.Host())

	var named map[string]bool
	for _, f := range r.client.list {
		named = addConnectionTokens(named, f.name, f.value)
	}
	for _, f := range r.client.list {
		name := strings.ToLower(f.name)
		switch {
		case droppedRequestHeaders[name], strings.Contains(name, "_"):
		case strings.HasPrefix(name, "x-forwarded-"), strings.HasPrefix(name, "x-sluice-"):
		case accountRequestHeaders[name] && !r.passCredential:
		case named[name]:
		case r.to.replaces(name):
		case r.foreign && !foreignHeader(name, r.to):
		default:
			dst = appendField(dst, f.name, f.value)
		}
	}
	if r.foreign {
		dst = r.to.appendOwn(dst, r.stream)
	}
	dst = r.appendCredential(dst)
	if auth := r.to.pool.ProxyAuthorization(); auth != "" {
		dst = appendField(dst, "Proxy-Authorization", auth)
	}
	for k, v := range r.to.Headers {
		dst = appendField(dst, k, string(v))
	}
	dst = appendField(dst, "X-Request-Id", r.id)
	dst = appendField(dst, "Accept-Encoding", "identity")
	if r.bodySize > 0 || r.method == fasthttp.MethodPost || r.method == fasthttp.MethodPut || r.method == fasthttp.MethodPatch {
		dst = appendField(dst, "Content-Length", strconv.Itoa(r.bodySize))
	}
	return dst
}

// appendCredential passes the client's own key on, in the form that the provider wants.
func (r requestHead) appendCredential(dst []byte) []byte {
	if !r.passCredential {
		return dst
	}
	if name := r.to.KeyHeader(); r.foreign || name != credentialHeaders[0] {
		switch key := r.client.key; {
		case key == "":
			return dst
		case name == credentialHeaders[0]:
			return appendField(dst, name, "Bearer "+key)
		default:
			return appendField(dst, name, key)
		}
	}
	for _, name := range credentialHeaders {
		if v := r.client.get(name); v != "" {
			dst = appendField(dst, name, v)
		}
	}
	return dst
}

// keptResponseHeaders reach the client as the provider sent them. Everything
// else of the provider's head stays behind: cookies and the account's names are
// not the client's business, and the rest belongs to the other connection.
var keptResponseHeaders = map[string]bool{
	"date": true, "content-type": true, "content-language": true, "content-disposition": true,
	"retry-after": true, "retry-after-ms": true, "x-should-retry": true,
	"openai-processing-ms": true, "openai-version": true, "openai-model": true,
	"traceresponse": true, "server-timing": true, "deprecation": true, "sunset": true, "warning": true,
}

var keptResponsePrefixes = []string{"x-ratelimit-", "ratelimit-", "ratelimitbysize-", "x-ratelimitbysize-"}

func keepResponseHeader(name string) bool {
	if keptResponseHeaders[name] {
		return true
	}
	for _, p := range keptResponsePrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// upstreamRequestID is the provider's name for the call, if it gave one.
func upstreamRequestID(h *upstream.Head) string {
	for _, name := range [...]string{"x-request-id", "request-id", "x-amzn-requestid"} {
		if id := h.Get(name); id != "" {
			return id
		}
	}
	return ""
}

// appendKept appends the fields of h that the client gets to see, but for those
// named, in lower case, and those that the provider declares to belong to its own
// connection.
func appendKept(dst []byte, h *upstream.Head, except ...string) []byte {
	var named map[string]bool
	for _, f := range h.Fields {
		named = addConnectionTokens(named, f.Name, f.Value)
	}
	for _, f := range h.Fields {
		name := strings.ToLower(f.Name)
		if keepResponseHeader(name) && !named[name] && !slices.Contains(except, name) {
			dst = appendField(dst, f.Name, f.Value)
		}
	}
	if id := upstreamRequestID(h); id != "" {
		dst = appendField(dst, "X-Sluice-Upstream-Request-Id", id)
	}
	return dst
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// addConnectionTokens adds to named the names, in lower case, of the fields that a
// Connection field declares to belong to its connection only. Other fields add
// nothing.
func addConnectionTokens(named map[string]bool, field, value string) map[string]bool {
	if !strings.EqualFold(field, fasthttp.HeaderConnection) {
		return named
	}
	if named == nil {
		named = make(map[string]bool)
	}
	for token := range strings.SplitSeq(value, ",") {
		named[strings.ToLower(strings.TrimSpace(token))] = true
	}
	return named
}
