package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// answerHeaders are header lines of an upstream answer, with what becomes of them.
var keptAnswerHeaders = []string{
	"Retry-After: 7", "Retry-After-Ms: 7000", "X-Should-Retry: true",
	"X-RateLimit-Limit-Requests: 10", "x-ratelimit-remaining-tokens: 99", "RateLimit-Reset: 5", "ratelimitbysize-limit: 3",
	"OpenAI-Processing-Ms: 12", "openai-version: 2020-10-01", "Content-Language: en", "Server-Timing: a;dur=1",
}

var droppedAnswerHeaders = []string{
	"Set-Cookie: session=secret", "OpenAI-Organization: org-secret", "openai-project: proj-secret", "Server: nginx",
	"Date: Mon, 01 Jan 2024 00:00:00 GMT", "Via: 1.1 edge", "Alt-Svc: h3=\":443\"", "CF-Ray: 1234", "X-Request-Id: up-7",
	"Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Proxy-Connection: keep-alive", "Trailer: X-Sum", "Upgrade: h2c",
	"TE: trailers", "Strict-Transport-Security: max-age=1", "Access-Control-Allow-Origin: *", "X-Internal-Host: 10.0.0.1",
	"Link: <https://x>; rel=next", "ETag: abc", "WWW-Authenticate: Bearer", "X-Sluice-Anything: forged", "Content-Encoding: identity",
}

// frameHeaders are those that sluice writes itself.
var frameHeaders = []string{"Content-Type", "Content-Length", "Cache-Control", "X-Accel-Buffering", "X-Request-Id", "X-Sluice-Upstream-Request-Id", "Date", "Server"}

// What a client gets to see of an upstream's head is a list of names; the rest stays
// behind, and so does what the upstream declares to belong to its connection.
// row B32
func TestAnswerHeadersAreFiltered(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		for _, status := range []int{200, 429} {
			t.Run(fmt.Sprint(kind, " ", status), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.up.Handle(func(e *fakeprovider.Exchange) {
					fields := slices.Concat(keptAnswerHeaders, droppedAnswerHeaders, []string{
						"Connection: X-RateLimit-Limit-Tokens", "X-RateLimit-Limit-Tokens: 5",
						"Connection: keep-alive, x-ratelimit-reset-tokens", "X-RateLimit-Reset-Tokens: 1s",
					})
					if kind == "stream" && status == 200 {
						e.StreamHead(fields...)
						e.Play(fakeprovider.ChatStream(fakeprovider.ChatOptions{}))
						return
					}
					e.JSON(status, `{"error":{"message":"no","type":"t","param":null,"code":null}}`, fields...)
				})
				p := r.ask(body, "X-Request-Id: mine")
				require.NoError(t, p.err)
				require.Equal(t, status, p.status)
				want := http.Header{}
				for _, line := range keptAnswerHeaders {
					name, value, _ := strings.Cut(line, ": ")
					want.Add(name, value)
				}
				got := p.header.Clone()
				for _, name := range frameHeaders {
					got.Del(name)
				}
				require.Equal(t, want, got)
				require.Equal(t, []string{"mine"}, p.header.Values("X-Request-Id"))
				require.Equal(t, []string{"up-7"}, p.header.Values("X-Sluice-Upstream-Request-Id"))
				require.Len(t, p.header.Values("Content-Type"), 1)
				require.NotContains(t, fmt.Sprint(p.header), "secret")
				require.NotEqual(t, []string{"nginx"}, p.header.Values("Server"))
			})
		}
	}
}

// row B32
func TestLargeAndManyAnswerHeaders(t *testing.T) {
	t.Parallel()
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("X-RateLimit-Limit-%d: %d", i, i)
	}
	for name, c := range map[string]struct {
		fields []string
		fine   bool
	}{
		"5 KiB":         {[]string{"X-RateLimit-Limit: " + strings.Repeat("v", 5<<10)}, true},
		"60 KiB":        {[]string{"X-RateLimit-Limit: " + strings.Repeat("v", 60<<10)}, true},
		"over 64 KiB":   {[]string{"X-RateLimit-Limit: " + strings.Repeat("v", 64<<10)}, false},
		"over 1 MiB":    {[]string{"X-RateLimit-Limit: " + strings.Repeat("v", 1<<20)}, false},
		"a long name":   {[]string{strings.Repeat("n", 70<<10) + ": v"}, false},
		"200 fields":    {many[:200], true},
		"1 000 fields":  {many, false},
		"empty values":  {[]string{"X-RateLimit-Limit:", "Retry-After:   "}, true},
		"bytes over 7f": {[]string{"X-RateLimit-Limit: caf\u00e9"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.up.Handle(func(e *fakeprovider.Exchange) {
				e.StreamHead(c.fields...)
				e.Play(fakeprovider.ChatStream(fakeprovider.ChatOptions{}))
			})
			p, rec := r.askAs("a", streamBody)
			if !c.fine {
				requireRefusedAnswer(t, p, rec, "upstream_bad_response")
				r.up.WaitConn(1).WaitGone(patience)
				return
			}
			p.requireWhole(t)
			for _, line := range c.fields {
				name, value, _ := strings.Cut(line, ":")
				require.Equal(t, strings.TrimSpace(value), p.header.Get(name))
			}
		})
	}
}

// What a client sends reaches the provider, except what belongs to the client's own
// connection, what names the client, and what sluice sets itself.
// row B32
func TestRequestHeadersAreFiltered(t *testing.T) {
	t.Parallel()
	sent := []string{
		"Connection: keep-alive, X-Mine", "X-Mine: dropped", "Connection: X-Second", "X-Second: dropped",
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic secret", "TE: trailers",
		"Upgrade: h2c", "X-Forwarded-For: 10.1.2.3", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https", "Forwarded: for=10.1.2.3",
		"X-Real-IP: 10.1.2.3", "Via: 1.1 client", "Cookie: session=secret", "X_Under_Score: dropped",
		"Accept-Encoding: gzip, br", "X-Api-Key: secret", "Api-Key: secret", "Authorization: Bearer secret",
		"OpenAI-Organization: org-secret", "OpenAI-Project: proj-secret",
		"Accept: text/event-stream", "User-Agent: test/1", "OpenAI-Beta: assistants=v2", "X-Stainless-Lang: go",
		"Idempotency-Key: k1", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Custom: kept",
	}
	r := newRig(t, func(c *config.Config) {
		c.Providers[0].APIKey = "ours"
		c.Providers[0].Headers = map[string]config.Secret{"X-Ours": "v", "X-Custom-Two": "ours"}
	})
	c := r.dial()
	c.send(http.MethodPost, chatPath, streamBody, append(sent, "X-Request-Id: mine", "X-Custom-Two: theirs")...)
	read(c.response()).requireWhole(t)

	got := r.up.WaitExchange(1).Request
	want := http.Header{
		"Host": {r.up.Addr()}, "Content-Type": {"application/json"}, "Content-Length": {got.Get("Content-Length")},
		"Accept": {"text/event-stream"}, "User-Agent": {"test/1"}, "Openai-Beta": {"assistants=v2"}, "X-Stainless-Lang": {"go"},
		"Idempotency-Key": {"k1"}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "X-Custom": {"kept"},
		"Authorization": {"Bearer ours"}, "X-Ours": {"v"}, "X-Custom-Two": {"ours"},
		"X-Request-Id": {"mine"}, "Accept-Encoding": {"identity"},
	}
	require.Equal(t, want, got.Header)
	require.NotContains(t, string(got.Head), "secret")
	require.Equal(t, "POST /v1/chat/completions HTTP/1.1", strings.SplitN(string(got.Head), "\r\n", 2)[0])
}

// What a client declares to belong to its connection stays there, in whatever form it says
// so; what sluice sets itself cannot be taken away like that.
// row C17
func TestConnectionFieldsOfTheClientStayBehind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		connection []string
		named      []string // of X-A, X-B and X-C
	}{
		{nil, nil},
		{[]string{"X-A"}, []string{"X-A"}},
		{[]string{"x-a,X-b"}, []string{"X-A", "X-B"}},
		{[]string{"X-A", "X-B, X-C"}, []string{"X-A", "X-B", "X-C"}},
		{[]string{" , ,X-A , ", "keep-alive"}, []string{"X-A"}},
		{[]string{""}, nil},
		{[]string{","}, nil},
		{[]string{"X-A;q=1"}, nil},
		{[]string{"X A"}, nil},
		{[]string{"\"X-A\""}, nil},
		{[]string{"*"}, nil},
		{[]string{"keep-alive, TE, Upgrade, X-C"}, []string{"X-C"}},
		{[]string{"Host, Content-Length, Content-Type, Authorization, X-Request-Id, Accept-Encoding, X-Ours, Connection"}, nil},
	} {
		t.Run(fmt.Sprint(c.connection), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *config.Config) {
				c.Providers[0].APIKey = "ours"
				c.Providers[0].Headers = map[string]config.Secret{"X-Ours": "v"}
			})
			sent := []string{"X-A: a", "X-B: b", "X-C: c", "TE: trailers", "Upgrade: h2c", "Keep-Alive: timeout=1", "X-Request-Id: mine"}
			for _, value := range c.connection {
				sent = append(sent, "Connection: "+value)
			}
			require.Equal(t, 200, r.ask(wholeBody, sent...).status)
			got := r.up.WaitExchange(1).Request
			for _, name := range []string{"X-A", "X-B", "X-C"} {
				require.Equal(t, !slices.Contains(c.named, name), got.Get(name) != "", name)
			}
			for name, want := range map[string]string{
				"Host": r.up.Addr(), "Authorization": "Bearer ours", "X-Ours": "v", "X-Request-Id": "mine", "Accept-Encoding": "identity",
				"Content-Length": fmt.Sprint(len(got.Body)), "Connection": "", "Te": "", "Upgrade": "", "Keep-Alive": "",
			} {
				require.Equal(t, want, got.Get(name), name)
			}
			require.JSONEq(t, wholeBody, string(got.Body))
		})
	}
}

// Names that some servers read as others, what says where a request is from, and what only
// sluice says, never come from a client, whatever the provider's dialect.
// row C17
func TestSpoofedHeadersStayBehindInEveryDialect(t *testing.T) {
	t.Parallel()
	sent := []string{
		"X_Forwarded_For: 10.9.9.9", "x_real_ip: 10.9.9.9", "X-Forwarded_For: 10.9.9.9", "_host: 10.9.9.9", "Content_Length: 999", "Transfer_Encoding: chunked",
		"Authorization_: Bearer 10.9.9.9", "X_Api_Key: 10.9.9.9", "x-api_key: 10.9.9.9", "anthropic_version: 10.9.9.9",
		"X-Forwarded-For: 10.9.9.9", "X-Forwarded-Host: 10.9.9.9", "X-Forwarded-Port: 10.9.9.9", "X-Forwarded-Anything: 10.9.9.9", "x-forwarded-: 10.9.9.9",
		"Forwarded: for=10.9.9.9", "X-Real-IP: 10.9.9.9", "Via: 1.1 10.9.9.9", "Cookie: a=10.9.9.9", "Proxy-Authorization: Basic 10.9.9.9", "Proxy-Authenticate: 10.9.9.9",
		"X-Sluice-Upstream-Request-Id: 10.9.9.9", "X-Sluice-Key: 10.9.9.9", "X-Sluice-Warning: 10.9.9.9",
		"X-Goog-Api-Key: 10.9.9.9", "Api-Key: 10.9.9.9", "X-Api-Key: 10.9.9.9", "Authorization: Bearer 10.9.9.9", "OpenAI-Organization: 10.9.9.9",
	}
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := newRig(t, speaking(v)) // with a key of its own
		r.up.Handle(saying(v))
		p := r.ask(wholeWithTool, sent...)
		require.Equal(t, 200, p.status, "%s", p.body)
		require.NotContains(t, string(r.up.WaitExchange(1).Request.Head), "10.9.9.9")
		require.NotContains(t, strings.ToLower(string(r.up.WaitExchange(1).Request.Head)), "\r\nx-forwarded-")
		require.NotContains(t, fmt.Sprint(p.header), "10.9.9.9")
	})
}

// Fields behind the body belong to the connection that they come on.
// row C17
func TestTrailersOfTheUpstreamStayBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead("Trailer: X-RateLimit-Limit-Requests, X-Sum")
		for _, p := range fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true}) {
			e.Event(p)
		}
		e.Raw([]byte("0\r\nX-RateLimit-Limit-Requests: 7\r\nX-Sum: 10.9.9.9\r\n\r\n"))
		e.KeepAlive()
	})
	for range 2 {
		resp := r.dial().post(streamBody)
		p := read(resp)
		p.requireWhole(t)
		require.Empty(t, resp.Trailer)
		require.Empty(t, p.header.Get("Trailer"))
		require.Empty(t, p.header.Get("X-RateLimit-Limit-Requests"))
	}
}
