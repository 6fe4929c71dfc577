package admin

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a page of somebody else makes a browser send does nothing here, by whatever name it
// has come.
func TestHostsThatAPageOfSomebodyElseCouldHaveAreRefused(t *testing.T) {
	r := newRig(t, listening(t), nil, func(o *Options) { o.Hosts = []string{"Ops.example.com"} })
	_, port, err := net.SplitHostPort(r.ln.Addr().String())
	require.NoError(t, err)
	f := func(host string, ok bool) {
		t.Helper()
		for _, line := range []string{"GET /metrics", "GET /v1/targets", "POST /-/reload", "GET /v1/usage", "GET /nothing", "OPTIONS /metrics"} {
			got := r.call(line, "Host: "+host)
			if ok {
				require.NotEqual(t, 421, got.status, "%s %s", line, host)
				continue
			}
			require.Equal(t, 421, got.status, "%s %s", line, host)
			require.Equal(t, "misdirected_request", got.code(t))
		}
		require.Equal(t, 200, r.call("GET /livez", "Host: "+host).status, host)
	}
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1:" + port, "127.0.0.1:1", "127.1.2.3", "localhost", "LOCALHOST:" + port, "localhost.", "[::1]:" + port,
		"sluice.localhost", "ops.example.com", "OPS.example.com:" + port,
	} {
		f(host, true)
	}
	reloads, _ := r.done()
	require.Equal(t, 11, reloads)
	for _, host := range []string{
		"evil.example", "evil.example:" + port, "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost", "sluice",
		"10.0.0.1", "0.0.0.0", "[fd00::1]:9090", "127.0.0.1.nip.io", "xops.example.com", "2130706433",
	} {
		f(host, false)
	}
	reloads, _ = r.done()
	require.Equal(t, 11, reloads)
	got := <-r.send("GET /metrics HTTP/1.0\r\n\r\n") // which no browser sends
	require.Equal(t, 200, got.status)
}

// A listener that the operator has opened to a network is called by its addresses and by
// names that are only there in that network.
func TestHostsOfAnOpenListener(t *testing.T) {
	outside := ownAddress(t)
	ln, err := net.Listen("tcp", net.JoinHostPort(outside, "0"))
	require.NoError(t, err)
	r := newRig(t, ln, nil)
	for host, status := range map[string]int{
		outside: 200, ln.Addr().String(): 200, "10.1.2.3:9090": 200, "sluice:9090": 200, "localhost": 200, "[2001:db8::1]": 200,
		"evil.example": 421, "sluice.evil.example:9090": 421,
	} {
		require.Equal(t, status, r.call("GET /metrics", "Host: "+host).status, host)
	}
}

// ownAddress is an address of this machine that is not its loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	t.Skip("this machine has no address but its loopback")
	return ""
}

// acao is the header that lets a page read an answer.
func (a answer) acao() string { return a.header.Get("Access-Control-Allow-Origin") }

func TestPagesOfOtherOriginsAreRefused(t *testing.T) {
	for _, needsKey := range []bool{false, true} {
		r := newRig(t, listening(t), twoKeys(), func(o *Options) { o.NeedsKey = needsKey })
		key := bearer(rootKey)
		for _, origin := range []string{"https://evil.example", "http://127.0.0.1", "http://localhost:3000", "null", "https://" + r.host(), "http://" + r.host() + ".evil.example"} {
			for _, line := range []string{"GET /metrics", "POST /-/reload", "GET /-/drain", "POST /-/drain", "GET /v1/usage", "POST /v1/keys", "OPTIONS /-/reload"} {
				got := r.call(line, "Origin: "+origin, key, "Access-Control-Request-Method: POST")
				require.Equal(t, 403, got.status, "%s %s", line, origin)
				require.Equal(t, "origin_not_allowed", got.code(t))
				require.Empty(t, got.acao())
				require.Empty(t, got.header.Get("Access-Control-Allow-Methods"))
			}
		}
		// A page that we have served ourselves, and a probe, which tells nothing.
		require.Equal(t, 200, r.call("POST /-/reload", "Origin: http://"+r.host(), key).status)
		require.Equal(t, 200, r.call("GET /livez", "Origin: https://evil.example").status)
		reloads, drains := r.done()
		require.Equal(t, 1, reloads)
		require.Zero(t, drains)
	}
}

// Images, links and forms come without an Origin in some browsers.
func TestBrowserChangesNothingUnasked(t *testing.T) {
	r := newRig(t, listening(t), twoKeys())
	const agent = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	for _, line := range []string{"GET /-/drain", "POST /-/drain", "POST /-/reload", "PUT /-/reload"} {
		for _, header := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: none", agent} {
			got := r.call(line, header)
			require.Equal(t, 403, got.status, "%s %s", line, header)
			require.Equal(t, "origin_not_allowed", got.code(t))
		}
	}
	require.Equal(t, 200, r.call("GET /metrics", agent, "Sec-Fetch-Site: none").status)
	reloads, drains := r.done()
	require.Zero(t, reloads+drains)
}

func TestNamedOriginsMayUseTheListener(t *testing.T) {
	const dash, other = "https://dash.example.com", "http://localhost:3000"
	for _, needsKey := range []bool{false, true} {
		r := newRig(t, listening(t), twoKeys(), func(o *Options) {
			o.NeedsKey, o.Origins = needsKey, []string{dash, other}
		})
		for _, origin := range []string{dash, other} {
			for _, line := range []string{"GET /metrics", "POST /-/reload", "GET /readyz", "GET /nothing"} {
				got := r.call(line, "Origin: "+origin, bearer(rootKey))
				require.NotEqual(t, 403, got.status, line)
				require.Equal(t, origin, got.acao(), line)
				require.Equal(t, "Origin", got.header.Get("Vary"))
				require.Empty(t, got.header.Get("Access-Control-Allow-Credentials"))
			}
			got := r.call("OPTIONS /-/reload", "Origin: "+origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
			require.Equal(t, 204, got.status)
			require.Empty(t, got.body)
			require.Equal(t, origin, got.acao())
			require.Contains(t, got.header.Get("Access-Control-Allow-Methods"), "POST")
			require.Contains(t, got.header.Get("Access-Control-Allow-Headers"), "Authorization")
		}
		got := r.call("GET /metrics", bearer(rootKey))
		require.Equal(t, 200, got.status)
		require.Equal(t, "Origin", got.header.Get("Vary"), "also where it is not asked for, for caches")
		require.Empty(t, got.acao())
		for _, origin := range []string{"https://dash.example.com.evil.example", "https://dash.example.com:444", "http://dash.example.com", "https://xdash.example.com"} {
			got := r.call("GET /metrics", "Origin: "+origin, bearer(rootKey))
			require.Equal(t, 403, got.status, origin)
			require.Empty(t, got.acao())
		}
		if needsKey { // an allowed page still needs a key
			got := r.call("GET /metrics", "Origin: "+dash)
			require.Equal(t, 401, got.status)
			require.Equal(t, dash, got.acao())
		}
	}
}

func TestAnyOriginMayReadButNotChange(t *testing.T) {
	r := newRig(t, listening(t), twoKeys(), func(o *Options) { o.Origins = []string{"*"} })
	for _, origin := range []string{"https://a.example", "null"} {
		got := r.call("GET /metrics", "Origin: "+origin)
		require.Equal(t, 200, got.status)
		require.Equal(t, "*", got.acao())
		require.Empty(t, got.header.Get("Access-Control-Allow-Credentials"))
		for _, line := range []string{"POST /-/reload", "GET /-/drain"} {
			require.Equal(t, "origin_not_allowed", r.call(line, "Origin: "+origin).code(t))
		}
	}
	keyed := newRig(t, listening(t), twoKeys(), func(o *Options) { o.Origins, o.NeedsKey = []string{"*"}, true })
	require.Equal(t, 200, keyed.call("POST /-/reload", "Origin: https://a.example", bearer(rootKey)).status)
	require.Equal(t, 401, keyed.call("POST /-/reload", "Origin: https://a.example").status)
}

// An answer to a refused request holds nothing of what was sent.
func TestRefusalsDoNotEcho(t *testing.T) {
	r := newRig(t, listening(t), nil)
	for _, header := range []string{"Host: canary.example", "Origin: https://canary.example"} {
		got := r.call("GET /metrics?canary", header)
		require.NotContains(t, strings.ToLower(got.body), "canary")
	}
	require.NotContains(t, r.logs.String(), "canary")
}
