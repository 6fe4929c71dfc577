package downstream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnusualButValidRequestsAreServed(t *testing.T) {
	chunked := "Transfer-Encoding: chunked"
	cases := map[string]struct{ raw, body string }{
		"empty line in front":        {"\r\n" + get("/x"), ""},
		"HTTP/1.0 without Host":      {"GET /x HTTP/1.0\r\n\r\n", ""},
		"no space behind the colon":  {"GET /x HTTP/1.1\r\nHost:h\r\nA:b\r\n\r\n", ""},
		"space around a value":       {"GET /x HTTP/1.1\r\nHost: \t h \t \r\n\r\n", ""},
		"high bytes in a value":      {"GET /x HTTP/1.1\r\nHost: h\r\nA: \xc3\xa4\r\n\r\n", ""},
		"empty value":                {"GET /x HTTP/1.1\r\nHost: h\r\nA:\r\n\r\n", ""},
		"colon in a value":           {"GET /x HTTP/1.1\r\nHost: h\r\nA: b: c\r\n\r\n", ""},
		"odd name":                   {"GET /x HTTP/1.1\r\nHost: h\r\n!#$%&'*+-.^_`|~09azAZ: c\r\n\r\n", ""},
		"underscore in a name":       {"GET /x HTTP/1.1\r\nHost: h\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n", ""},
		"a name that begins alike":   {"GET /x HTTP/1.1\r\nHost: h\r\nContent-Lengths: 5\r\nX-Transfer-Encoding: chunked\r\n\r\n", ""},
		"the same field twice":       {"GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\nA: c\r\n\r\n", ""},
		"IPv6 Host":                  {"GET /x HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", ""},
		"Host of a container":        {"GET /x HTTP/1.1\r\nHost: my_service.default.svc:8080\r\n\r\n", ""},
		"odd case":                   {"GET /x HTTP/1.1\r\nhOST: h\r\ncOnTent-lEngth: 0\r\n\r\n", ""},
		"absolute form of localhost": {"GET http://localhost:80/x HTTP/1.1\r\nHost: LOCALHOST:80\r\n\r\n", ""},
		"absolute form of address":   {"GET http://127.0.0.1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", ""},
		"absolute form of own name":  {"GET HTTP://Api.Example:1/x HTTP/1.1\r\nHost: api.example:1\r\n\r\n", ""},
		"absolute form in TLS":       {"GET https://localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n", ""},
		"absolute form in HTTP/1.0":  {"GET http://localhost/x HTTP/1.0\r\n\r\n", ""},
		"body of GET":                {"GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "hello"},
		"chunked body of GET":        {"GET /x HTTP/1.1\r\nHost: h\r\n" + chunked + "\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"},
		"body of DELETE":             {"DELETE /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "hello"},
		"POST without a body":        {"POST /x HTTP/1.1\r\nHost: h\r\n\r\n", ""},
		"body that is a request":     {post("/x", "GET / HTTP", "Content-Length: 10"), "GET / HTTP"},
		"body with every line end":   {post("/x", "\r\n\r\n\n\r\x00", "Content-Length: 7"), "\r\n\r\n\n\r\x00"},
		"leading zeros in a length":  {post("/x", "hello", "Content-Length: 0005"), "hello"},
		"space around a length":      {post("/x", "hello", "Content-Length: \t 5 \t"), "hello"},
		"coding in odd case":         {post("/x", "5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: Chunked"), "hello"},
		"space around a coding":      {post("/x", "5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding:\t chunked \t"), "hello"},
		"upper-case hex":             {post("/x", "00A\r\n0123456789\r\n000\r\n\r\n", chunked), "0123456789"},
		"sixteen digits":             {post("/x", "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", chunked), "hello"},
		"chunk extension":            {post("/x", "5;a=\"b\";c\r\nhello\r\n0;d\r\n\r\n", chunked), "hello"},
		"chunk with line ends":       {post("/x", "5\r\n\r\n0\r\n\r\n0\r\n\r\n", chunked), "\r\n0\r\n"},
		"trailers":                   {post("/x", "5\r\nhello\r\n0\r\nA: b\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n", chunked), "hello"},
		"announced trailers":         {post("/x", "5\r\nhello\r\n0\r\nA: b\r\n\r\n", chunked, "TE: trailers", "Trailer: A"), "hello"},
		"one-byte chunks":            {post("/x", strings.Repeat("1\r\na\r\n", 1000)+"0\r\n\r\n", chunked), strings.Repeat("a", 1000)},
		"empty chunked body":         {post("/x", "0\r\n\r\n", chunked), ""},
		"multipart":                  {post("/x", "--b--\r\n", "Content-Type: multipart/form-data; boundary=b", "Content-Length: 7"), "--b--\r\n"},
		"form":                       {post("/x", "a=b&c=d", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 7"), "a=b&c=d"},
		"encoded content":            {post("/x", "hello", "Content-Encoding: gzip", "Content-Length: 5"), "hello"},
		"as many fields as allowed":  {"GET /x HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", maxFields-1) + "\r\n", ""},
		"expectation without a body": {"GET /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", ""},
		"expectation in HTTP/1.0":    {"POST /x HTTP/1.0\r\nA: b\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "hello"},
		"an offer to upgrade":        {"GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", ""},
	}
	var w witness
	r := newRig(t, withConfig(func(cfg *Config) { cfg.Hosts = []string{"API.example"} }), withHandler(w.handle))
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for pieces := 1; pieces <= 3; pieces++ {
				c := r.dial(t)
				for i := range pieces {
					c.send(tc.raw[i*len(tc.raw)/pieces : (i+1)*len(tc.raw)/pieces])
				}
				status, _ := c.receive()
				require.Equal(t, 200, status)
				seen := w.take()
				require.Len(t, seen, 1)
				require.Equal(t, tc.body, seen[0].body)
				if !strings.Contains(tc.raw, "HTTP/1.0") {
					c.send(get("/next"))
					c.receive()
					require.Equal(t, []served{{"/next", ""}}, w.take())
				}
			}
		})
	}
	t.Run("asterisk for OPTIONS", func(t *testing.T) {
		c := r.dial(t)
		c.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
		status, _ := c.receive()
		require.Equal(t, 200, status)
	})
}

// The heads are those that the clients of these names send.
func TestRequestsOfWellKnownClientsAreServed(t *testing.T) {
	const length, chunked = "5", ""
	cases := map[string]struct{ fields, framing string }{
		"curl":            {"Host: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nAuthorization: Bearer sk-x\r\nContent-Type: application/json\r\n", length},
		"curl, large":     {"Host: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nExpect: 100-continue\r\n", length},
		"python-httpx":    {"Host: localhost:8080\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nAccept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 1.50.0\r\nX-Stainless-Lang: python\r\nX-Stainless-Retry-Count: 0\r\n", length},
		"python-requests": {"Host: localhost:8080\r\nUser-Agent: python-requests/2.32.3\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n", chunked},
		"aiohttp":         {"Host: localhost:8080\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: Python/3.12 aiohttp/3.10.5\r\n", chunked},
		"node undici":     {"host: localhost:8080\r\nconnection: keep-alive\r\naccept: application/json\r\ncontent-type: application/json\r\nuser-agent: OpenAI/JS 4.60.0\r\naccept-language: *\r\nsec-fetch-mode: cors\r\naccept-encoding: gzip, deflate\r\n", length},
		"node http":       {"Host: localhost:8080\r\nConnection: keep-alive\r\n", chunked},
		"Go":              {"Host: localhost:8080\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n", chunked},
		"Java":            {"Connection: Upgrade, HTTP2-Settings\r\nHost: localhost:8080\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\nUser-Agent: Java-http-client/21.0.4\r\n", length},
		"okhttp":          {"Host: localhost:8080\r\nConnection: Keep-Alive\r\nAccept-Encoding: gzip\r\nUser-Agent: okhttp/4.12.0\r\n", length},
		".NET":            {"Host: localhost:8080\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\nContent-Type: application/json; charset=utf-8\r\n", chunked},
		"Ruby":            {"Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\r\nAccept: */*\r\nUser-Agent: Ruby\r\nHost: localhost:8080\r\n", length},
		"a browser":       {"Host: localhost:8080\r\nConnection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nOrigin: http://localhost:3000\r\nReferer: http://localhost:3000/a?b=c\r\nCookie: a=\"b c\"; d=%20e; f={}\r\n", length},
		"nginx":           {"Host: sluice\r\nX-Real-IP: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nX-Forwarded-Proto: https\r\nForwarded: for=\"[2001:db8::1]\";proto=https\r\n", length},
	}
	r := newRig(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := r.dial(t)
			for range 2 {
				head := "POST /v1/chat/completions HTTP/1.1\r\n" + tc.fields
				expects := strings.Contains(head, "Expect:")
				if tc.framing == length {
					c.send(head + "Content-Length: 5\r\n\r\n")
					if expects {
						c.expectContinue()
					}
					c.send("hello")
				} else {
					c.send(head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
				}
				status, body := c.receive()
				require.Equal(t, 200, status)
				require.Equal(t, "/v1/chat/completions hello", body)
			}
		})
	}
}
