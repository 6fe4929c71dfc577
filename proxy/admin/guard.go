package admin

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/translate"
)

// guard keeps web pages away that no operator has allowed. A browser sends what a page of
// anybody tells it to send, also to the loopback address. It tells where the page is from in
// Origin; it does not for what it takes for harmless, as images. A page can also have the
// name of its own server resolve to our address: then all looks well but the Host.
type guard struct {
	needsKey bool
	origins  []string
	anyone   bool // * stands for all origins
	hosts    []string
}

func newGuard(o Options) guard {
	g := guard{needsKey: o.NeedsKey, anyone: slices.Contains(o.Origins, "*")}
	for _, origin := range o.Origins {
		g.origins = append(g.origins, strings.ToLower(strings.TrimSuffix(origin, "/")))
	}
	for _, host := range o.Hosts {
		g.hosts = append(g.hosts, strings.ToLower(host))
	}
	return g
}

// standing is that of the page that a request comes from.
type standing int

const (
	stranger standing = iota
	// reader is one of any origin, where all are allowed.
	reader
	// named is of an origin that is allowed by name.
	named
	// noPage tells that the request names no origin, or ours.
	noPage
)

// admitOrigin finds where a request comes from, and lets a page that is allowed read the
// answer. Credentials of the browser are never among what is allowed.
func (g *guard) admitOrigin(rc *fasthttp.RequestCtx) standing {
	if len(g.origins) > 0 && !g.anyone {
		rc.Response.Header.Set("Vary", "Origin")
	}
	origin := rc.Request.Header.Peek("Origin")
	switch {
	case len(origin) == 0:
		return noPage
	case slices.Contains(g.origins, string(bytes.ToLower(origin))):
		rc.Response.Header.SetBytesV("Access-Control-Allow-Origin", origin)
		return named
	case g.anyone:
		rc.Response.Header.Set("Access-Control-Allow-Origin", "*")
		return reader
	case bytes.EqualFold(origin, append([]byte("http://"), rc.Request.Header.Host()...)):
		return noPage
	}
	return stranger
}

// check refuses what a web page may have sent that is not allowed to. changes tells that the
// request is to change something.
func (g *guard) check(rc *fasthttp.RequestCtx, from standing, changes bool) *translate.Error {
	if from == stranger {
		return translate.NewError(translate.CodeOriginNotAllowed)
	}
	if g.needsKey {
		return nil // a page has no key, unless somebody has given it one
	}
	if !g.knowsHost(rc) {
		e := translate.NewError(translate.CodeMisdirected)
		e.Message = "Call this listener by its address or as localhost, or let it ask for a key (admin.auth)."
		return e
	}
	preflight := rc.IsOptions()
	if changes && !preflight && (from == reader || from == noPage && navigates(rc)) {
		return translate.NewError(translate.CodeOriginNotAllowed)
	}
	return nil
}

// navigates tells that a browser sends a request without telling which page has made it do
// so, as it does for images and links. Our own page would name itself.
func navigates(rc *fasthttp.RequestCtx) bool {
	h := &rc.Request.Header
	return len(h.Peek("Origin")) == 0 &&
		(len(h.Peek("Sec-Fetch-Site")) > 0 || bytes.HasPrefix(h.UserAgent(), []byte("Mozilla/")))
}

// knowsHost tells whether the Host is one that a page of somebody else cannot have. Such a
// page has a name that its owner can make resolve to any address. Addresses are no names.
// Whoever could answer for a name without a dot is in the network of a listener that is open
// to it, and needs no browser.
func (g *guard) knowsHost(rc *fasthttp.RequestCtx) bool {
	host := strings.ToLower(string(rc.Request.Header.Host()))
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
	tcp, ok := rc.LocalAddr().(*net.TCPAddr)
	if !ok || host == "" { // no browser calls a Unix socket, or leaves the Host out
		return true
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(g.hosts, host) {
		return true
	}
	local := tcp.AddrPort().Addr().Unmap()
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback() || ip.Unmap() == local || !local.IsLoopback()
	}
	return !local.IsLoopback() && !strings.Contains(host, ".")
}

// preflight answers the question of a browser whether a page may send a request, and tells
// whether it was one.
func preflight(rc *fasthttp.RequestCtx, from standing) bool {
	h := &rc.Request.Header
	if !rc.IsOptions() || from == noPage || len(h.Peek("Access-Control-Request-Method")) == 0 {
		return false
	}
	to := &rc.Response.Header
	to.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH")
	to.Set("Access-Control-Allow-Headers", "Authorization, X-Api-Key, Api-Key, Content-Type")
	to.Set("Access-Control-Max-Age", "600")
	rc.SetStatusCode(http.StatusNoContent)
	return true
}
