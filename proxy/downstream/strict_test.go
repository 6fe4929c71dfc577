package downstream

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// smuggled follows every refused request: it must never be executed.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

const (
	postHead    = "POST /x HTTP/1.1\r\nHost: h\r\n"
	chunkedHead = postHead + "Transfer-Encoding: chunked\r\n\r\n"
)

// refusal is a request that must be answered with status, once, and be the last of
// its connection.
type refusal struct {
	name   string
	raw    string
	status int
}

// expectRefusals sends each request whole and in two pieces, with another behind it.
func expectRefusals(t *testing.T, cases []refusal) {
	t.Helper()
	r := newRig(t)
	for _, tc := range cases {
		for _, pieces := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", tc.name, pieces), func(t *testing.T) {
				c := r.dial(t)
				raw := tc.raw + smuggled
				go func() { // a large one is refused while it is sent
					for i := range pieces {
						_, _ = io.WriteString(c, raw[i*len(raw)/pieces:(i+1)*len(raw)/pieces])
					}
				}()
				res, body := c.response()
				require.Equal(t, tc.status, res.StatusCode, body)
				require.True(t, res.Close, "the answer announces the end of the connection")
				require.Empty(t, c.expectEnd())
				require.Zero(t, r.handled.Load(), "no handler ran")
			})
		}
	}
}

// row C5
func TestHeadsAreLimited(t *testing.T) {
	r := newRig(t)
	limit := r.live.Load().MaxHeaderBytes
	require.Equal(t, 32<<10, limit)
	fields := func(n int) string { return "GET /x HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", n-1) + "\r\n" }
	target := func(n int) string {
		const around = len("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		return "GET /" + strings.Repeat("a", n-around) + " HTTP/1.1\r\nHost: h\r\n\r\n"
	}
	many := func(n int) string { // few fields too many, and many bytes in them
		head := fields(100)
		return head[:len(head)-2] + "B: " + strings.Repeat("b", n-len(head)-len("B: \r\n")) + "\r\n\r\n"
	}
	expect := func(raw string, status int) {
		t.Helper()
		before := r.handled.Load()
		c := r.dial(t)
		go func() { _, _ = io.WriteString(c, raw) }()
		res, body := c.response()
		require.Equal(t, status, res.StatusCode, "%d bytes", len(raw))
		if status == 200 {
			return
		}
		require.Equal(t, codeHeadersTooLarge, body)
		require.True(t, res.Close)
		require.Empty(t, c.expectEnd())
		require.Equal(t, before, r.handled.Load())
	}
	for _, shape := range []func(int) string{headOf, target, many} {
		for n := limit - 8; n <= limit+8; n++ {
			raw := shape(n)
			require.Len(t, raw, n)
			expect(raw, okIf(n <= limit, 431))
			expect("\r\n"+raw, okIf(n <= limit, 431))
		}
		expect(shape(4*limit), 431)
	}
	for n := maxFields - 8; n <= maxFields+8; n++ {
		expect(fields(n), okIf(n <= maxFields, 431))
	}
	expect("GET /x HTTP/1.1\r\nHost: h\r\nA: "+strings.Repeat("a", 1<<20), 431) // has no end
	expect("GET /"+strings.Repeat("a", 1<<20), 431)
	expect("GET /x HTTP/1.1\r\nHost: h\r\n"+strings.Repeat("A:\r\n", 10_000), 431)
}

func okIf(ok bool, otherwise int) int {
	if ok {
		return 200
	}
	return otherwise
}

// row C4
func TestBodiesAreLimited(t *testing.T) {
	const limit = 1000
	r := newRig(t, withConfig(func(cfg *Config) { cfg.MaxBodyBytes = limit }))
	expect := func(raw string, status int) {
		t.Helper()
		c := r.dial(t)
		go func() { _, _ = io.WriteString(c, raw) }()
		res, _ := c.response()
		require.Equal(t, status, res.StatusCode)
		if status != 200 {
			require.True(t, res.Close)
			require.Empty(t, c.expectEnd())
		}
	}
	for size := limit - 3; size <= limit+3; size++ {
		want := okIf(size <= limit, 413)
		expect(sized("/x", size), want)
		expect(chunkedBody("/x", size/2, size-size/2)+"0\r\n\r\n", want)
		expect(chunkedBody("/x", size)+"0\r\n\r\n", want)
		ones := make([]int, size)
		for i := range ones {
			ones[i] = 1
		}
		expect(chunkedBody("/x", ones...)+"0\r\n\r\n", want)
	}
	expect(sized("/x", 500_000), 413)
	expect(post("/x", "", "Content-Length: 10000000000"), 413) // before a byte of it
	expect(post("/x", "3e9\r\n", "Transfer-Encoding: chunked"), 413)
	expect(post("/x", strings.Repeat("1\r\nx\r\n", 100_000), "Transfer-Encoding: chunked"), 413) // has no end
}

// row C13
func TestContinueIsSentWhenTheHeadIsAccepted(t *testing.T) {
	for _, value := range []string{"100-continue", "100-Continue"} {
		for _, path := range []string{"/x", "/run"} {
			for _, chunked := range []bool{false, true} {
				r := newRig(t)
				c := r.dial(t)
				if chunked {
					c.send(post(path, "", "Expect: "+value, "Transfer-Encoding: chunked"))
				} else {
					c.send(post(path, "", "Content-Length: 5", "Expect: "+value))
				}
				c.expectContinue()
				if chunked {
					c.send("5\r\nhello\r\n0\r\n\r\n")
				} else {
					c.send("hello")
				}
				c.send(get("/next"))
				status, _ := c.receive()
				require.Equal(t, 200, status)
				_, body := c.receive()
				require.Equal(t, "/next ", body)
			}
		}
	}
}

func (c *client) expectContinue() {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	require.NoError(c.t, err)
	require.Equal(c.t, "HTTP/1.1 100 Continue\r\n", line)
	_, err = c.in.ReadString('\n')
	require.NoError(c.t, err)
}

// An application that looks at credentials does so in fasthttp's ExpectHandler, before
// the client is told to go on.
//
// row C13
func TestContinueIsNotSentWhenTheApplicationRefuses(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	r := newRigOn(t, ln)
	r.live.Load().engine.http.ExpectHandler = func(rc *fasthttp.RequestCtx) int {
		if string(rc.Request.Header.Peek("Authorization")) != "Bearer good" {
			rc.SetBodyString("no")
			return 401
		}
		return 100
	}
	c := r.dial(t)
	c.send(post("/x", "", "Expect: 100-continue", "Content-Length: 5", "Authorization: Bearer good"))
	c.expectContinue()
	c.send("hello")
	status, _ := c.receive()
	require.Equal(t, 200, status)

	c.send(post("/x", "hello", "Expect: 100-continue", "Content-Length: 5") + smuggled)
	res, _ := c.response()
	require.Equal(t, 401, res.StatusCode)
	require.True(t, res.Close)
	require.Empty(t, c.expectEnd())
	require.EqualValues(t, 1, r.handled.Load())
}

// row C12
func TestNothingBehindAnErrorIsExecuted(t *testing.T) {
	for name, bad := range map[string]string{
		"head":         "GET /x HTTP/1.1\r\nHost : h\r\n\r\n",
		"length":       post("/x", strings.Repeat("x", 8<<10), "Content-Length: 33554433"),
		"chunk":        post("/x", "2\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
		"expectation":  post("/x", "hello", "Expect: x", "Content-Length: 5"),
		"method":       "TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n",
		"foreign host": "GET http://evil.example/x HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"panic":        get("/panic"),
		"last request": "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"HTTP/1.0":     "GET /last HTTP/1.0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var w witness
			r := newRig(t, withHandler(w.handle))
			c := r.dial(t)
			c.send(get("/1") + post("/2", "hello", "Content-Length: 5") + bad + strings.Repeat(smuggled, 50))
			for range 2 {
				status, _ := c.receive()
				require.Equal(t, 200, status)
			}
			res, _ := c.response()
			require.True(t, res.Close)
			require.Empty(t, c.expectEnd())
			seen := w.take()
			require.Equal(t, []served{{"/1", ""}, {"/2", "hello"}}, seen[:2])
			require.LessOrEqual(t, len(seen), 3)
			require.NotContains(t, seen, served{"/smuggled", ""})
		})
	}
}

// row C11
func TestCloseIsHonouredInEveryForm(t *testing.T) {
	head := "GET /x HTTP/1.1\r\nHost: h\r\n"
	r := newRig(t)
	for fields, closes := range map[string]bool{
		"Connection: close":                           true,
		"Connection: Close":                           true,
		"CONNECTION: CLOSE":                           true,
		"connection:close":                            true,
		"Connection: close, x":                        true,
		"Connection: x,close":                         true,
		"Connection: x , \tCLOSE\t , y":               true,
		"Connection: keep-alive, close":               true,
		"Connection: close, keep-alive":               true,
		"Connection: ,,close":                         true,
		"Connection: keep-alive\r\nConnection: close": true,
		"Connection: close\r\nConnection: keep-alive": true,
		"Connection: keep-alive":                      false,
		"Connection: Keep-Alive, TE":                  false,
		"Connection: closed":                          false,
		"Connection: no close":                        false,
		"Connection: \"close\"":                       false,
		"Connection:":                                 false,
		"Connection: upgrade\r\nUpgrade: h2c":         false,
		"Proxy-Connection: close":                     false,
		"X-Connection: close":                         false,
	} {
		t.Run(fields, func(t *testing.T) {
			for _, path := range []string{"/x", "/run"} {
				c := r.dial(t)
				c.send(strings.Replace(head, "/x", path, 1) + fields + "\r\n\r\n")
				res, _ := c.response()
				require.Equal(t, 200, res.StatusCode)
				if path == "/x" {
					require.Equal(t, closes, res.Close)
				}
				if closes {
					require.Empty(t, c.expectEnd())
					continue
				}
				c.send(get("/next"))
				_, body := c.receive()
				require.Equal(t, "/next ", body)
			}
		})
	}
	t.Run("HTTP/1.0", func(t *testing.T) {
		for _, fields := range []string{"", "Connection: keep-alive\r\n", "Connection: close\r\n"} {
			c := r.dial(t)
			c.send("GET /x HTTP/1.0\r\n" + fields + "\r\n")
			res, _ := c.response()
			require.True(t, res.Close)
			require.Empty(t, c.expectEnd())
		}
	})
}

// What a path means is for the application to judge, so it gets the bytes.
//
// row C15
func TestTargetsReachTheHandlerUnchanged(t *testing.T) {
	var w witness
	r := newRig(t, withHandler(w.handle))
	for _, target := range []string{
		"/v1/../admin", "/..", "/../../etc/passwd", "/v1/%2e%2e/admin", "/v1/%2E%2e%2Fadmin", "/v1%2fmodels",
		"/v1/%252e%252e/admin", "/v1//models", "//evil.example/x", "/v1/./models", "/v1/models/", "/v1/models;x=y",
		"/v1/models%00", "/v1/models%zz", "/v1/models%", "/v1\\models", "/v1/models?a=../b&c=%2f", "/?", "/*", "/a|b[c]{d}^`\"<>",
		"/%c3%a4",
	} {
		c := r.dial(t)
		c.send("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")
		res, _ := c.response()
		require.Equal(t, 200, res.StatusCode, target)
		require.Equal(t, []served{{target, ""}}, w.take())
	}
}

// row C10
func TestRefusedRequestMayComeByteByByte(t *testing.T) {
	r := newRig(t)
	for _, raw := range []string{
		"GET /x HTTP/1.1\r\nHost : h\r\n\r\n", postHead + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		chunkedHead + "3 \r\nabc\r\n0\r\n\r\n",
	} {
		c := r.dial(t)
		require.NoError(t, c.Conn.(*net.TCPConn).SetNoDelay(true))
		for i := range len(raw) {
			if _, err := io.WriteString(c, raw[i:i+1]); err != nil {
				break // it need not be read to its end
			}
		}
		status, _ := c.receive()
		require.Equal(t, 400, status)
		require.Zero(t, r.handled.Load())
	}
}
