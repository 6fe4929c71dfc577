package downstream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// smuggled follows every refused request: it must never be executed.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

func TestRefusedRequestsAreAnsweredOnceAndClose(t *testing.T) {
	line := "POST /x HTTP/1.1\r\nHost: h\r\n"
	chunked := line + "Transfer-Encoding: chunked\r\n\r\n"
	cases := []struct {
		name   string
		raw    string
		status int
	}{
		{"length and coding", line + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding and length", line + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
		{"coding twice", line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding listed twice", line + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding gzip, chunked", line + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding identity", line + "Transfer-Encoding: identity\r\n\r\n", 400},
		{"coding identity with length", line + "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", 400},
		{"coding xchunked", line + "Transfer-Encoding: xchunked\r\n\r\n", 400},
		{"coding quoted", line + "Transfer-Encoding: \"chunked\"\r\n\r\n", 400},
		{"coding with parameter", line + "Transfer-Encoding: chunked;q=1\r\n\r\n", 400},
		{"coding empty", line + "Transfer-Encoding:\r\n\r\n", 400},
		{"coding behind vertical tab", line + "Transfer-Encoding: \vchunked\r\n\r\n", 400},
		{"coding folded", line + "Transfer-Encoding:\r\n chunked\r\n\r\n", 400},
		{"coding in HTTP/1.0", "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"length twice", line + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
		{"length twice alike", line + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
		{"length list", line + "Content-Length: 5, 5\r\n\r\nhello", 400},
		{"length signed", line + "Content-Length: +5\r\n\r\nhello", 400},
		{"length negative", line + "Content-Length: -5\r\n\r\nhello", 400},
		{"length hex", line + "Content-Length: 0x5\r\n\r\nhello", 400},
		{"length empty", line + "Content-Length: \r\n\r\n", 400},
		{"length with space inside", line + "Content-Length: 5 5\r\n\r\nhello", 400},
		{"length overflowing", line + "Content-Length: 99999999999999999999\r\n\r\n", 400},
		{"length above the limit", line + "Content-Length: 10000000000\r\n\r\n", 413},
		{"bare LF at the request line", "GET /x HTTP/1.1\nHost: h\r\n\r\n", 400},
		{"bare LF at a field", "GET /x HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400},
		{"bare LF at the end", "GET /x HTTP/1.1\r\nHost: h\r\n\n", 400},
		{"bare CR in a value", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", 400},
		{"bare CR in the request line", "GET /x\r HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"NUL in a value", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n", 400},
		{"NUL in the target", "GET /x\x00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"control character in a value", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\x01c\r\n\r\n", 400},
		{"delete character in a value", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\x7fc\r\n\r\n", 400},
		{"obsolete fold", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400},
		{"obsolete fold with tab", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n", 400},
		{"space in front of the first field", "GET /x HTTP/1.1\r\n Host: h\r\n\r\n", 400},
		{"space before the colon", "GET /x HTTP/1.1\r\nHost : h\r\n\r\n", 400},
		{"tab before the colon", "GET /x HTTP/1.1\r\nHost\t: h\r\n\r\n", 400},
		{"space inside a name", "GET /x HTTP/1.1\r\nHost: h\r\nA B: c\r\n\r\n", 400},
		{"empty name", "GET /x HTTP/1.1\r\nHost: h\r\n: c\r\n\r\n", 400},
		{"no colon", "GET /x HTTP/1.1\r\nHost: h\r\nabc\r\n\r\n", 400},
		{"high byte in a name", "GET /x HTTP/1.1\r\nHost: h\r\n\xc3\xa4: c\r\n\r\n", 400},
		{"brackets in a name", "GET /x HTTP/1.1\r\nHost: h\r\nA(b): c\r\n\r\n", 400},
		{"HTTP/1.2", "GET /x HTTP/1.2\r\nHost: h\r\n\r\n", 400},
		{"HTTP/2.0", "GET /x HTTP/2.0\r\nHost: h\r\n\r\n", 400},
		{"HTTP/0.9", "GET /x HTTP/0.9\r\nHost: h\r\n\r\n", 400},
		{"HTTP/1.10", "GET /x HTTP/1.10\r\nHost: h\r\n\r\n", 400},
		{"lower-case version", "GET /x http/1.1\r\nHost: h\r\n\r\n", 400},
		{"no version", "GET /x\r\nHost: h\r\n\r\n", 400},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		{"two spaces", "GET  /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"space in the target", "GET /x y HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"trailing space", "GET /x HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
		{"leading space", " GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"tab as separator", "GET\t/x\tHTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"two empty lines in front", "\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"bare LF in front", "\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"TLS to a plain port", "\x16\x03\x01\x00\x05\r\n\r\n", 400},
		{"no Host", "GET /x HTTP/1.1\r\nA: b\r\n\r\n", 400},
		{"two Hosts", "GET /x HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400},
		{"two Hosts in HTTP/1.0", "GET /x HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n", 400},
		{"empty Host", "GET /x HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"Host with a path", "GET /x HTTP/1.1\r\nHost: h/x\r\n\r\n", 400},
		{"Host with a user", "GET /x HTTP/1.1\r\nHost: a@h\r\n\r\n", 400},
		{"Host with a space", "GET /x HTTP/1.1\r\nHost: h i\r\n\r\n", 400},
		{"fragment", "GET /x#y HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"high byte in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"target without a slash", "GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"asterisk for GET", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"asterisk and more", "OPTIONS *x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 405},
		{"TRACE", "TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"unknown method", "BREW /x HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"lower-case method", "get /x HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"method that is no token", "G(T /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"absolute form of another host", "GET http://evil.example/x HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421},
		{"absolute form unlike Host", "GET http://localhost/x HTTP/1.1\r\nHost: h\r\n\r\n", 421},
		{"absolute form with a user", "GET http://a@localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"absolute form of another scheme", "GET ftp://localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"unknown expectation", line + "Expect: 200-maybe\r\nContent-Length: 5\r\n\r\nhello", 417},
		{"expectation twice", line + "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", 417},
		{"chunk size with a space", chunked + "3 \r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size behind a space", chunked + " 3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size with 0x", chunked + "0x3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size signed", chunked + "+3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size negative", chunked + "-3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size empty", chunked + "\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size not hex", chunked + "g\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size with bare LF", chunked + "3\nabc\r\n0\r\n\r\n", 400},
		{"chunk size overflowing", chunked + "ffffffffffffffff3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size of 64 bits", chunked + "ffffffffffffffff\r\nabc", 400},
		{"chunk size above the limit", chunked + "ffffffff\r\nabc", 413},
		{"chunk longer than its size", chunked + "2\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk ended by bare LF", chunked + "3\r\nabc\n0\r\n\r\n", 400},
		{"chunk extension with bare LF", chunked + "3;a\nabc\r\n0\r\n\r\n", 400},
		{"chunk extension with NUL", chunked + "3;\x00\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk extension endless", chunked + "3;" + strings.Repeat("a", maxExtensionBytes+1), 400},
		{"trailer with a space in its name", chunked + "0\r\nA B: c\r\n\r\n", 400},
		{"trailer folded", chunked + "0\r\nA: b\r\n c\r\n\r\n", 400},
		{"trailer with bare LF", chunked + "0\r\nA: b\n\r\n", 400},
		{"trailer without a colon", chunked + "0\r\nabc\r\n\r\n", 400},
		{"trailer endless", chunked + "0\r\nA: " + strings.Repeat("a", maxTrailerBytes), 400},
		{"last chunk ended by bare LF", chunked + "0\r\n\n", 400},
	}
	require.GreaterOrEqual(t, len(cases), 60)
	r := newRig(t)
	for _, tc := range cases {
		for _, pieces := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", tc.name, pieces), func(t *testing.T) {
				before := r.handled.Load()
				c := r.dial(t)
				raw := tc.raw + smuggled
				for i := range pieces {
					c.send(raw[i*len(raw)/pieces : (i+1)*len(raw)/pieces])
				}
				res, body := c.response()
				require.Equal(t, tc.status, res.StatusCode, body)
				require.True(t, res.Close, "the answer announces the end of the connection")
				require.Empty(t, c.expectEnd())
				require.Equal(t, before, r.handled.Load(), "no handler ran")
			})
		}
	}
}

func TestUnusualButValidRequestsAreServed(t *testing.T) {
	cases := map[string]string{
		"empty line in front":        "\r\n" + get("/x"),
		"HTTP/1.0 without Host":      "GET /x HTTP/1.0\r\n\r\n",
		"no space behind the colon":  "GET /x HTTP/1.1\r\nHost:h\r\nA:b\r\n\r\n",
		"space around a value":       "GET /x HTTP/1.1\r\nHost: \t h \t \r\n\r\n",
		"high bytes in a value":      "GET /x HTTP/1.1\r\nHost: h\r\nA: \xc3\xa4\r\n\r\n",
		"empty value":                "GET /x HTTP/1.1\r\nHost: h\r\nA:\r\n\r\n",
		"IPv6 Host":                  "GET /x HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
		"odd case":                   "GET /x HTTP/1.1\r\nhOST: h\r\ncOnTent-lEngth: 0\r\n\r\n",
		"absolute form of localhost": "GET http://localhost:80/x HTTP/1.1\r\nHost: LOCALHOST:80\r\n\r\n",
		"absolute form of address":   "GET http://127.0.0.1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		"absolute form of own name":  "GET HTTP://Api.Example:1/x HTTP/1.1\r\nHost: api.example:1\r\n\r\n",
		"body of GET":                "GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
		"leading zeros in a length":  post("/x", "hello", "Content-Length: 0005"),
		"coding in odd case":         post("/x", "5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: Chunked"),
		"upper-case hex":             post("/x", "00A\r\n0123456789\r\n000\r\n\r\n", "Transfer-Encoding: chunked"),
		"chunk extension":            post("/x", "5;a=\"b\";c\r\nhello\r\n0;d\r\n\r\n", "Transfer-Encoding: chunked"),
		"trailers":                   post("/x", "5\r\nhello\r\n0\r\nA: b\r\nContent-Length: 9\r\n\r\n", "Transfer-Encoding: chunked"),
		"one-byte chunks":            post("/x", strings.Repeat("1\r\na\r\n", 1000)+"0\r\n\r\n", "Transfer-Encoding: chunked"),
		"empty chunked body":         post("/x", "0\r\n\r\n", "Transfer-Encoding: chunked"),
		"multipart":                  post("/x", "--b--\r\n", "Content-Type: multipart/form-data; boundary=b", "Content-Length: 7"),
		"as many fields as allowed":  "GET /x HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", maxFields-1) + "\r\n",
		"expectation without a body": "GET /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
		"expectation in HTTP/1.0":    "POST /x HTTP/1.0\r\nA: b\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
	}
	r := newRig(t, withConfig(func(cfg *Config) { cfg.Hosts = []string{"API.example"} }))
	for name, raw := range cases {
		t.Run(name, func(t *testing.T) {
			c := r.dial(t)
			c.send(raw)
			status, body := c.receive()
			require.Equal(t, 200, status, body)
			if !strings.Contains(raw, "HTTP/1.0") {
				c.send(get("/next"))
				_, body = c.receive()
				require.Equal(t, "/next ", body)
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

func TestHeadsAreLimited(t *testing.T) {
	r := newRig(t)
	sized := func(n int) string {
		head := "GET /x HTTP/1.1\r\nHost: h\r\nA: "
		return head + strings.Repeat("a", n-len(head)-4) + "\r\n\r\n"
	}
	limit := r.cfg.MaxHeaderBytes
	for _, tc := range []struct {
		raw    string
		status int
	}{
		{sized(limit - 1), 200},
		{sized(limit), 200},
		{sized(limit + 1), 431},
		{sized(limit + 2), 431},
		{sized(limit * 4), 431},
		{"\r\n" + sized(limit), 200},
		{"\r\n" + sized(limit+1), 431},
		{"GET /x HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", maxFields) + "\r\n", 431},
	} {
		c := r.dial(t)
		c.send(tc.raw)
		status, _ := c.receive()
		require.Equal(t, tc.status, status, "%d bytes", len(tc.raw))
	}
}

func TestBodiesAreLimited(t *testing.T) {
	r := newRig(t, withConfig(func(cfg *Config) { cfg.MaxBodyBytes = 1000 }))
	for _, tc := range []struct {
		size, status int
	}{{999, 200}, {1000, 200}, {1001, 413}, {500_000, 413}} {
		body := strings.Repeat("x", tc.size)
		c := r.dial(t)
		c.send(post("/x", body, fmt.Sprintf("Content-Length: %d", tc.size)))
		status, _ := c.receive()
		require.Equal(t, tc.status, status)

		c = r.dial(t)
		half := fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", tc.size/2, body[:tc.size/2], tc.size-tc.size/2, body[tc.size/2:])
		c.send(post("/x", half, "Transfer-Encoding: chunked"))
		status, _ = c.receive()
		require.Equal(t, tc.status, status)
	}
}

func TestContinueIsSentWhenTheHeadIsAccepted(t *testing.T) {
	for _, value := range []string{"100-continue", "100-Continue"} {
		for _, path := range []string{"/x", "/run"} {
			r := newRig(t)
			c := r.dial(t)
			c.send(post(path, "", "Expect: "+value, "Content-Length: 5"))
			line, err := c.in.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
			_, err = c.in.ReadString('\n')
			require.NoError(t, err)
			c.send("hello" + get("/next"))
			status, _ := c.receive()
			require.Equal(t, 200, status)
			_, body := c.receive()
			require.Equal(t, "/next ", body)
		}
	}
	t.Run("and not before", func(t *testing.T) {
		c := newRig(t).dial(t)
		c.send(post("/x", "", "Expect: 100-continue", "Content-Length: 10000000000"))
		status, _ := c.receive()
		require.Equal(t, 413, status)
	})
}
