package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/proxy/manage"
)

func TestPagesOfTheListener(t *testing.T) {
	r := newRig(t, listening(t), nil)
	f := func(line string, status int, content string) {
		t.Helper()
		got := r.call(line)
		require.Equal(t, status, got.status, "%s: %s", line, got.body)
		require.Contains(t, got.body, content, line)
		require.Equal(t, "no-store", got.header.Get("Cache-Control"), line)
		require.Empty(t, got.header.Get("Access-Control-Allow-Origin"), line)
	}
	for _, path := range []string{"/livez", "/healthz", "/health/liveness", "/health/liveliness", "/readyz", "/health/readiness"} {
		f("GET "+path, 200, "ok\n")
		f("HEAD "+path, 200, "")
		f("POST "+path, 405, "method_not_allowed")
	}
	f("GET /metrics", 200, "sluice_up 0\n")
	f("HEAD /metrics", 200, "")
	f("POST /metrics", 405, "method_not_allowed")
	f("GET /v1/targets", 200, `{"data":[{"provider":"one","state":"closed"}],"object":"list"}`)
	f("PUT /v1/targets", 405, "method_not_allowed")
	f("GET /-/reload", 405, "method_not_allowed")
	f("POST /-/reload", 200, `{"status":"reloaded"}`)
	f("PUT /-/reload", 200, `{"status":"reloaded"}`)
	f("DELETE /-/drain", 405, "method_not_allowed")
	f("GET /v1/usage", 501, "no_ledger")
	f("GET /openapi.yaml", 200, "openapi: 3.1.0")
	f("GET /v1/keys", 403, "admin_required")
	for _, path := range []string{"/", "/-/", "/v1", "/v1/chat/completions", "/v1/models", "/v1/requests", "/debug/pprof/", "/-/quit"} {
		f("GET "+path, 404, "not_found")
		f("POST "+path, 404, "not_found")
	}
	require.Equal(t, "PUT", r.call("DELETE /-/reload").header.Get("Allow")[6:])
	reloads, drains := r.done()
	require.Equal(t, 2, reloads)
	require.Zero(t, drains)
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	r := newRig(t, listening(t), nil, func(o *Options) { *o = Options{Keys: o.Keys} })
	for _, line := range []string{
		"GET /metrics", "GET /v1/targets", "POST /-/reload", "GET /-/drain", "GET /v1/usage", "GET /v1/keys", "GET /openapi.yaml",
	} {
		require.Equal(t, 404, r.call(line).status, line)
	}
	require.Equal(t, 200, r.call("GET /readyz").status)
}

func TestReadinessSaysWhatIsMissing(t *testing.T) {
	r := newRig(t, listening(t), nil)
	r.say(&r.ready, errors.New("draining"))
	got := r.call("GET /readyz")
	require.Equal(t, 503, got.status)
	require.Equal(t, "draining\n", got.body)
	require.Equal(t, 503, r.call("GET /health/readiness").status)
	require.Equal(t, 200, r.call("GET /livez").status)
	require.Equal(t, 200, r.call("GET /healthz").status)
}

func TestKeyOfAnAdministratorIsNeededForAllButTheProbes(t *testing.T) {
	r := newRig(t, listening(t), twoKeys(), func(o *Options) { o.NeedsKey = true })
	for _, path := range []string{"/livez", "/healthz", "/readyz", "/health/readiness"} {
		require.Equal(t, 200, r.call("GET "+path).status, path)
	}
	for _, line := range []string{
		"GET /metrics", "HEAD /metrics", "GET /v1/targets", "POST /-/reload", "GET /-/drain", "POST /-/drain", "GET /v1/usage", "GET /v1/keys",
		"GET /openapi.yaml", "GET /nothing", "GET /livez/../metrics", "GET /%6detrics", "GET //metrics", "OPTIONS /metrics",
	} {
		f := func(status int, code string, headers ...string) {
			t.Helper()
			got := r.call(line, headers...)
			require.Equal(t, status, got.status, "%s %v", line, headers)
			if !strings.HasPrefix(line, "HEAD") {
				require.Equal(t, code, got.code(t), line)
			}
		}
		f(401, "invalid_api_key")
		f(401, "invalid_api_key", bearer("nobody's"))
		f(401, "invalid_api_key", "Authorization: Basic "+rootKey)
		f(401, "invalid_api_key", "Cookie: key="+rootKey)
		f(403, "admin_required", bearer(userKey))
		f(403, "admin_required", "X-Api-Key: "+userKey)
	}
	reloads, drains := r.done()
	require.Zero(t, reloads+drains)
	require.Equal(t, 200, r.call("GET /metrics", bearer(rootKey)).status)
	require.Equal(t, 200, r.call("GET /metrics", "authorization: bearer "+rootKey, "Host: sluice.example.com:9090").status)
	require.Equal(t, 200, r.call("GET /v1/targets", "X-Api-Key: "+rootKey).status)
	require.Equal(t, 200, r.call("GET /v1/keys", "Api-Key: "+rootKey).status)
	require.Equal(t, 404, r.call("GET /nothing", bearer(rootKey)).status)
	require.Equal(t, 200, r.call("POST /-/reload", bearer(rootKey)).status)
	require.Contains(t, r.logs.String(), `"msg":"a reload was asked for","key":"root"`)
	require.NotContains(t, r.logs.String(), rootKey)
}

// Without an administrator nobody comes in, though no key is asked for at the API then.
func TestListenerThatNeedsAKeyIsClosedUntilThereIsAnAdministrator(t *testing.T) {
	for _, keys := range []int{0, 1} {
		r := newRig(t, listening(t), twoKeys()[1:1+keys], func(o *Options) { o.NeedsKey = true })
		for _, header := range []string{"X-None: 1", bearer(rootKey), bearer(userKey)} {
			got := r.call("GET /metrics", header)
			require.Equal(t, 403, got.status)
			require.Equal(t, "admin_required", got.code(t))
			require.Contains(t, got.body, "sluice keys create")
		}
	}
	r := newRig(t, listening(t), nil, func(o *Options) { o.NeedsKey, o.Keys = true, nil })
	require.Equal(t, 403, r.call("GET /metrics").status)
}

func TestFailedReloadSaysWhy(t *testing.T) {
	r := newRig(t, listening(t), nil)
	r.say(&r.failure, errors.New("config.yaml:3:1: listen: is no address\nconfig.yaml:9:4: nonsense: unknown key"))
	got := r.call("POST /-/reload")
	require.Equal(t, 400, got.status)
	require.Equal(t, "reload_failed", got.code(t))
	require.Contains(t, got.body, `config.yaml:3:1: listen: is no address\nconfig.yaml:9:4: nonsense: unknown key`)

	r.say(&r.failure, &FixedError{Settings: []string{"listen", "tls"}})
	got = r.call("POST /-/reload")
	require.Equal(t, 409, got.status)
	require.Equal(t, "fixed_setting", got.code(t))
	require.Contains(t, got.body, "these settings need a restart: listen, tls")
}

func TestPanicOfACallIsAnAnswer(t *testing.T) {
	r := newRig(t, listening(t), nil, func(o *Options) {
		o.Reload = func(context.Context) error { panic("of the configuration") }
	})
	got := r.call("POST /-/reload")
	require.Equal(t, 500, got.status)
	require.Equal(t, "internal", got.code(t))
	require.Equal(t, 200, r.call("GET /livez").status)
}

// The listener reads HTTP as strictly as that of the API.
func TestMalformedRequestsAreRefused(t *testing.T) {
	r := newRig(t, listening(t), nil)
	host := "Host: " + r.host() + "\r\n"
	for _, raw := range []string{
		"POST /-/reload HTTP/1.1\r\n" + host + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /-/reload HTTP/1.1\r\n" + host + host + "\r\n",
		"POST /-/reload HTTP/1.1\r\n\r\n",
		"POST /-/reload HTTP/1.1\n" + host + "\r\n",
		"POST /-/reload HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
	} {
		got := <-r.send(raw)
		require.Equal(t, 400, got.status, "%q", raw)
	}
	got := <-r.send("POST /-/reload HTTP/1.1\r\n" + host + "Content-Length: 1000000\r\n\r\n")
	require.Equal(t, 413, got.status)
	reloads, _ := r.done()
	require.Zero(t, reloads)
}

func TestListenerOnAUnixSocket(t *testing.T) {
	r := newRig(t, unixListening(t), nil)
	for _, host := range []string{"localhost", "sluice", "admin.example.com"} {
		require.Equal(t, 200, r.call("GET /metrics", "Host: "+host).status)
		require.Equal(t, 200, r.call("POST /-/reload", "Host: "+host).status)
	}
	require.NoError(t, r.srv.Close())
	_, err := os.Stat(r.ln.Addr().String())
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestKeysAreThoseOfTheMoment(t *testing.T) {
	var ring *access.Keyring
	r := newRig(t, listening(t), twoKeys(), func(o *Options) { o.NeedsKey, ring = true, o.Keys })
	require.Equal(t, http.StatusOK, r.call("GET /metrics", bearer(rootKey)).status)
	keys := twoKeys()
	keys[0].SHA256 = access.Hash("another")
	require.NoError(t, ring.SetConfigured(keys))
	require.Equal(t, http.StatusUnauthorized, r.call("GET /metrics", bearer(rootKey)).status)
	require.Equal(t, http.StatusOK, r.call("GET /metrics", bearer("another")).status)
}

func TestServeTellsThatAListenerIsClosed(t *testing.T) {
	ln := listening(t)
	require.NoError(t, ln.Close())
	s := New(Options{})
	require.ErrorIs(t, s.Serve(ln), net.ErrClosed)
	require.NoError(t, s.Close())
}

func TestEveryPathIsInTheDescription(t *testing.T) {
	r := newRig(t, listening(t), nil)
	for path := range r.srv.routes {
		require.Contains(t, string(manage.OpenAPI), "\n  "+path+":\n")
	}
}
