package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// targets returns the request lines that a provider has seen.
func (r *rig) targets() (lines []string) {
	for _, e := range r.up.Exchanges() {
		line, _, _ := strings.Cut(string(e.Request.Head), "\r\n")
		lines = append(lines, line)
	}
	return lines
}

// raw sends bytes as they are, on a connection of its own.
func (r *rig) raw(text string) *client {
	r.Helper()
	c := r.dial()
	_, err := io.WriteString(c, text)
	require.NoError(r, err)
	return c
}

// requireRefused asserts that a raw request is answered with one of some statuses, that the
// connection ends behind it, and that nothing came of it.
func (r *rig) requireRefused(t testing.TB, text string, statuses ...int) {
	t.Helper()
	before := len(r.up.Exchanges())
	c := r.raw(text)
	resp, err := http.ReadResponse(c.r, nil)
	require.NoError(t, err, "%q", text)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, statuses, resp.StatusCode, "%q: %s", text, body)
	require.NotEmpty(t, errorOf(t, body))
	require.True(t, resp.Close, "%q: the connection would serve on", text)
	_, err = c.r.ReadByte()
	require.Error(t, err, "%q", text)
	require.Len(t, r.up.Exchanges(), before, "%q", text)
}

// Only paths as they are written lead anywhere: what a reader could take for another path
// is not found, and reaches nobody.
// row C15
func TestPathsLeadNowhereElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) { c.Providers[0].BaseURL += "/base/v7" })
	body := fmt.Sprintf("Host: "+r.addr+"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(wholeBody), wholeBody)
	for _, path := range []string{
		"/v1/../v1/chat/completions", "/v1/./chat/completions", "/v1/chat/../chat/completions", "/../v1/chat/completions", "/v1/chat/completions/..",
		"/v1/chat/completions/.", "/v1/files/../../../../etc/passwd", "/v1/..", "/v1/.", "/..", "/.",
		"/v1/%2e%2e/chat/completions", "/v1/%2E%2E/admin", "/v1/%2e/chat/completions", "/v1/.%2e/chat/completions", "/v1/%2e./chat/completions",
		"/v1/chat%2fcompletions", "/v1/chat%2Fcompletions", "/v1%2fchat%2fcompletions", "/%2fv1/chat/completions", "/v1/chat/completions%2f",
		"/v1/chat%5ccompletions", `/v1/chat\completions`, `/v1\chat\completions`, `/v1/..\..\admin`, `/v1/chat/completions\..\..`,
		"/v1/%252e%252e/chat/completions", "/v1/%252fchat", "/v1/chat%252fcompletions", "/v1/%25", "/v1/%", "/v1/%zz", "/v1/chat/completions%00", "/v1/chat/completions%0d%0aX:%201", "/v1/%c0%ae%c0%ae/chat/completions", "/v1/%u002e%u002e/chat",
		"//v1/chat/completions", "/v1//chat/completions", "/v1/chat//completions", "/v1/chat/completions//", "///", "//evil.test/v1/chat/completions",
		"/v1/chat;a=b/completions", "/v1/chat/completions;jsessionid=1", "/v1;/chat/completions", "/;/v1/chat/completions", "/v1/..;/admin",
		"/v1/v1/chat/completions", "/v1/v1", "/v1", "/v1/", "/", "/v1?", "/?path=/v1/chat/completions",
		"/chat%2Fcompletions", "/files/x", "/CHAT/COMPLETIONS", "/V1/chat/completions", "/v2/chat/completions", "/api/v1/chat/completions", "/v1beta/models/x:generateContent",
		"/v1/models/..%2f..%2fadmin", "/v1/models/%2e%2e", "/v1/models/..%2F", "/v1/models/a%2F%2Fb", "/v1/models/%2f", "/models/..%2f..%2fx", "/v1/models/a%252fb", "/v1/models/.", "/v1/models//x",
		"/v1/chat/completions#x", "/v1/files/#/../x", "#", "/#/v1/chat/completions",
		"http://" + r.addr + "/v1/../chat/completions", "http://" + r.addr + "//v1/chat/completions", "http://" + r.addr + "/v1/%2e%2e/x", "http://" + r.addr, "http://" + r.addr + "?x=/v1/chat/completions",
	} {
		r.requireRefused(t, "POST "+path+" HTTP/1.1\r\n"+body, 400, 404)
		r.requireRefused(t, "POST "+path+"?x=1 HTTP/1.1\r\n"+body, 400, 404)
	}
	require.Empty(t, r.targets())
	require.Zero(t, r.up.Conns())
	require.Zero(t, r.ledger.Len())

	r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(200, fakeprovider.ChatAnswer(fakeprovider.ChatOptions{})) })
	// What is found goes below the path that is configured, whatever stands in front of it.
	for path, want := range map[string]string{
		"/v1/chat/completions": "chat/completions", "/chat/completions/": "chat/completions", "/v1/chat/completions/": "chat/completions",
		"http://" + r.addr + "/v1/chat/completions": "chat/completions", "http://" + r.addr + "/chat/completions?a=/../b": "chat/completions?a=/../b",
		"/v1/chat/completions?base_url=http://evil.test&x=%2e%2e/": "chat/completions?base_url=http://evil.test&x=%2e%2e/",
		"/v1/images/generations":                                   "images/generations", "/v1/...": "...", "/v1/a..b/c.": "a..b/c.", "/v1/chat/completions/x": "chat/completions/x",
	} {
		before := len(r.up.Exchanges())
		require.Equal(t, 200, r.raw("POST "+path+" HTTP/1.1\r\n"+body).response().StatusCode, path)
		require.Equal(t, "POST /base/v7/"+want+" HTTP/1.1", r.targets()[before], path)
	}
	for path, want := range map[string]string{"/v1/models/a%2Fb": "models/a/b", "/models/a%2fb": "models/a/b", "/v1/models": "models"} {
		before := len(r.up.Exchanges())
		require.Equal(t, 200, r.raw("GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n").response().StatusCode, path)
		require.Equal(t, "GET /base/v7/"+want+" HTTP/1.1", r.targets()[before], path)
	}
}

// Nothing of the admin listener is reachable through the API listener, by whatever name,
// method or form of address, with whatever key.
// row C15
func TestAdminRoutesAreNotOnTheAPIListener(t *testing.T) {
	t.Parallel()
	paths := []string{
		"/metrics", "/livez", "/readyz", "/healthz", "/health", "/health/liveness", "/health/liveliness", "/health/readiness",
		"/-/reload", "/-/drain", "/-/drain?settle=1s", "/openapi.yaml", "/dashboard", "/dashboard/", "/targets", "/usage", "/keys", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars",
		"/metrics/", "/-/", "/-", "/v1/-/reload/..", "/v1/../metrics", "/v1/%2e%2e/metrics", "//metrics", "/%6detrics", "/v1/../-/reload", "/;/-/reload", `/\metrics`, "/metrics?x=/v1/chat/completions",
	}
	r := newRig(t, func(c *config.Config) {
		c.Keys = []config.Key{{Alias: "root", SHA256: hashOf("sk-root"), Admin: true}}
		c.Models = []config.Model{{Name: "m", Targets: []config.Target{{Provider: "fake", Model: "m", Weight: 1}}}}
	})
	before := r.srv.current()
	for _, key := range []string{"sk-root", "sk-wrong"} {
		for _, path := range paths {
			for _, method := range []string{"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"} {
				for _, host := range []string{"sluice.test", "127.0.0.1:9090", "localhost:9090"} {
					for _, target := range []string{path, "http://" + host + path} {
						c := r.raw(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + key + "\r\nX-Forwarded-Host: 127.0.0.1:9090\r\nX-Original-URL: /metrics\r\nX-Rewrite-URL: /metrics\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
						resp, err := http.ReadResponse(bufio.NewReader(c.r), &http.Request{Method: method})
						require.NoError(t, err)
						body, err := io.ReadAll(resp.Body)
						require.NoError(t, err)
						statuses := []int{404, 401}
						if target != path { // addressed to another host
							statuses = append(statuses, 421)
						}
						require.Contains(t, statuses, resp.StatusCode, "%s %s: %s", method, target, body)
						require.NotContains(t, string(body), "sluice_")
					}
				}
			}
		}
	}
	require.Same(t, before, r.srv.current())
	require.True(t, r.srv.Ready())
	require.Zero(t, r.up.Conns())
	require.Empty(t, r.ledger.Recent(0))
}

// Below /v1 the names of the admin listener are those of a provider, as any other: what
// answers is the provider, and without one that takes such requests, nobody.
// row C15
func TestNamesOfTheAdminListenerBelowV1AreNotSpecial(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, path := range []string{"/v1/targets", "/v1/usage", "/v1/keys", "/v1/keys/a", "/v1/metrics", "/v1/-/reload"} {
		before := len(r.up.Exchanges())
		resp := r.raw("GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").response()
		_, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "GET "+path+" HTTP/1.1", r.targets()[before])
	}
	for _, rec := range r.allEnded() {
		require.NotEqual(t, accounting.OutcomeInternal, rec.Outcome)
	}
}
