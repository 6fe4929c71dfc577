package fakeprovider

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// dial opens a raw connection that the test closes.
func dial(t *testing.T, p *Provider) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(Patience)))
	return conn.(*net.TCPConn)
}

func send(t *testing.T, conn io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

func post(body string) string {
	return fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: fake\r\nx-Odd-Case: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func readResponse(t *testing.T, br *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(br, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

func TestDefaultScriptAnswersStreamWholeAndModelsOnOneConnection(t *testing.T) {
	p := New(t)
	conn := dial(t, p)
	br := bufio.NewReader(conn)

	send(t, conn, post(`{"model":"m","stream":true,"stream_options":{"include_usage":true}}`))
	res, body := readResponse(t, br)
	require.Equal(t, "text/event-stream; charset=utf-8", res.Header.Get("Content-Type"))
	require.Equal(t, string(SSE(ChatStream(ChatOptions{Model: "m", IncludeUsage: true}), "\n")), body)

	send(t, conn, post(`{"model":"m"}`))
	_, body = readResponse(t, br)
	require.JSONEq(t, ChatAnswer(ChatOptions{Model: "m"}), body)

	send(t, conn, "GET /v1/models HTTP/1.1\r\nHost: fake\r\n\r\n")
	res, _ = readResponse(t, br)
	require.Equal(t, 200, res.StatusCode)

	send(t, conn, "GET /other HTTP/1.1\r\nHost: fake\r\n\r\n")
	res, _ = readResponse(t, br)
	require.Equal(t, 404, res.StatusCode)

	require.Equal(t, 1, p.Conns())
	require.Equal(t, 1, p.OpenConns())
	require.Equal(t, 4, p.WaitExchange(4).N)
	require.Equal(t, 1, p.WaitExchange(4).ConnID())
}

func TestRequestIsKeptAsItCame(t *testing.T) {
	p := New(t)
	conn := dial(t, p)
	send(t, conn, post(`{"a":1}`))
	e := p.WaitExchange(1)
	require.Equal(t, "POST", e.Request.Method)
	require.Equal(t, "/v1/chat/completions", e.Request.Target)
	require.Equal(t, Field{"x-Odd-Case", "a"}, e.Request.Fields[1])
	require.Equal(t, "a", e.Request.Get("X-ODD-CASE"))
	require.JSONEq(t, `{"a":1}`, string(e.Request.Body))
	require.True(t, strings.HasSuffix(string(e.Request.Head), "\r\n\r\n"))
}

func TestChunkedRequestBodyAndContinue(t *testing.T) {
	p := New(t)
	conn := dial(t, p)
	br := bufio.NewReader(conn)
	send(t, conn, "POST /x HTTP/1.1\r\nHost: fake\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
	line, err := br.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	send(t, conn, "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: z\r\n\r\n")
	require.Equal(t, "abcde", string(p.WaitExchange(1).Request.Body))
}

func TestMalformedAndCutRequestsAreCountedAndNotScripted(t *testing.T) {
	for _, text := range []string{
		"nonsense\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nshort",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "POST / HTT",
	} {
		p := New(t)
		conn := dial(t, p)
		send(t, conn, text)
		require.NoError(t, conn.CloseWrite())
		require.Eventually(t, func() bool { return p.BadRequests() == 1 }, Patience, time.Millisecond, "%q", text)
		require.Empty(t, p.Exchanges())
	}
}

func TestGoneSaysHowThePeerLeft(t *testing.T) {
	for _, c := range []struct {
		how   string
		leave func(t *testing.T, conn *net.TCPConn)
	}{
		{GoneEOF, func(t *testing.T, conn *net.TCPConn) { require.NoError(t, conn.Close()) }},
		{GoneEOF, func(t *testing.T, conn *net.TCPConn) { require.NoError(t, conn.CloseWrite()) }},
		{GoneReset, func(t *testing.T, conn *net.TCPConn) {
			require.NoError(t, conn.SetLinger(0))
			require.NoError(t, conn.Close())
		}},
		// The bytes of a next request must not hide the FIN behind them.
		{GoneEOF, func(t *testing.T, conn *net.TCPConn) {
			send(t, conn, post(`{}`))
			require.NoError(t, conn.CloseWrite())
		}},
	} {
		p := New(t)
		held := make(chan Gone, 2)
		p.Handle(func(e *Exchange) { held <- e.Hold() })
		conn := dial(t, p)
		send(t, conn, post(`{}`))
		e := p.WaitExchange(1)
		require.False(t, e.IsGone())
		early := e.Gone()
		before := time.Now()
		c.leave(t, conn)
		gone := e.WaitGone(Patience)
		require.Equal(t, c.how, gone.How)
		require.False(t, gone.At.Before(before))
		require.Equal(t, gone, <-early)
		require.Equal(t, gone, <-e.Gone())
		require.Equal(t, gone, <-held)
	}
}

func TestResetCutAndHalfCloseAsThePeerSeesThem(t *testing.T) {
	f := func(end func(e *Exchange), want error) {
		t.Helper()
		p := New(t)
		p.Handle(func(e *Exchange) {
			e.StreamHead()
			e.Event("{}")
			end(e)
		})
		conn := dial(t, p)
		send(t, conn, post(`{}`))
		_, err := io.ReadAll(conn)
		require.ErrorIs(t, err, want)
		_ = conn.Close()
		<-p.WaitExchange(1).Ended()
	}
	f(func(e *Exchange) { e.Reset() }, syscall.ECONNRESET)
	f(func(e *Exchange) { e.Close() }, nil)
	f(func(e *Exchange) { e.Cut() }, nil)
	f(func(e *Exchange) { e.CloseWrite(); e.Hold() }, nil)
	// A stream without its last chunk is cut by a FIN when the script returns.
	f(func(*Exchange) {}, nil)
}

func TestAnswerFramingDecidesReuse(t *testing.T) {
	f := func(script Script, reused bool) {
		t.Helper()
		p := New(t)
		p.Handle(script)
		conn := dial(t, p)
		send(t, conn, post(`{}`)+post(`{}`))
		if !reused {
			_, err := io.ReadAll(conn)
			require.True(t, err == nil || errors.Is(err, syscall.ECONNRESET), "%v", err)
			require.Len(t, p.Exchanges(), 1)
			return
		}
		require.Equal(t, 1, p.WaitExchange(2).ConnID())
	}
	f(func(e *Exchange) { e.JSON(200, `{}`) }, true)
	f(func(e *Exchange) { e.StreamHead(); e.Done(); e.EndChunks() }, true)
	f(func(e *Exchange) { e.Head(204) }, true)
	f(func(e *Exchange) { e.Head(103, "Link: <x>"); e.JSON(200, `{}`) }, true)
	f(func(e *Exchange) { e.Raw(Response(200, "text/plain", ContentLength, []byte("x"))); e.KeepAlive() }, true)

	f(func(e *Exchange) { e.JSON(200, `{}`, "Connection: close") }, false)
	f(func(e *Exchange) { e.Head(200, "Content-Length: 5"); e.Body([]byte("four")) }, false)
	f(func(e *Exchange) { e.StreamHead(); e.Done() }, false)
	f(func(e *Exchange) { e.Head(200); e.Event("{}"); e.EndChunks() }, false)
	f(func(e *Exchange) { e.Raw([]byte("garbage")) }, false)
	f(func(*Exchange) {}, false)
}

func TestSplitKeepsEveryByte(t *testing.T) {
	want := Response(200, "text/event-stream", Chunked, Events(ChatStream(ChatOptions{Choices: 3}))...)
	for seed := range int64(5) {
		p := New(t)
		p.Handle(func(e *Exchange) { e.Split(seed, want) })
		conn := dial(t, p)
		send(t, conn, post(`{}`))
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
}

func TestLateBytesOnAnIdleConnection(t *testing.T) {
	p := New(t)
	p.Handle(func(e *Exchange) { e.JSON(200, `{"n":1}`) })
	conn := dial(t, p)
	br := bufio.NewReader(conn)
	send(t, conn, post(`{}`))
	readResponse(t, br)
	<-p.WaitExchange(1).Ended()
	require.True(t, p.WaitConn(1).Raw(Response(200, "application/json", ContentLength, []byte(`{"n":2}`))))
	_, body := readResponse(t, br)
	require.JSONEq(t, `{"n":2}`, body)
	p.WaitConn(1).Close()
	_, err := br.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, GoneSelf, p.WaitConn(1).WaitGone(Patience).How)
}

func TestAcceptThenSilentStillSeesThePeerLeave(t *testing.T) {
	p := New(t)
	p.AcceptThenSilent()
	conn := dial(t, p)
	send(t, conn, post(`{}`))
	c := p.WaitConn(1)
	require.NoError(t, conn.Close())
	require.Equal(t, GoneEOF, c.WaitGone(Patience).How)
	require.Empty(t, p.Exchanges())
}

func TestRefuseAllAndClosedPort(t *testing.T) {
	p := New(t)
	p.RefuseAll()
	for _, addr := range []string{p.Addr(), ClosedPort(t)} {
		_, err := net.Dial("tcp", addr)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
}

func TestBlackholeNeverCompletesAConnection(t *testing.T) {
	_, err := net.DialTimeout("tcp", Blackhole(t), 300*time.Millisecond)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
}

func TestCloseEndsScriptsThatWait(t *testing.T) {
	p := New(t)
	p.Handle(func(e *Exchange) {
		e.StreamHead()
		for e.Chunk(make([]byte, 1<<20)) { // blocks: the peer does not read
		}
		e.Hold()
	})
	conn := dial(t, p)
	send(t, conn, post(`{}`))
	e := p.WaitExchange(1)
	p.Close()
	<-e.Ended()
	require.Equal(t, GoneSelf, e.WaitGone(Patience).How)
}

func TestReadSlowlyGetsTheWholeRequest(t *testing.T) {
	p := New(t)
	p.ReadSlowly(50, time.Millisecond)
	conn := dial(t, p)
	body := strings.Repeat("x", 400)
	send(t, conn, post(body))
	require.Equal(t, body, string(p.WaitExchange(1).Request.Body))
}

func TestChatPayloadsAreJSON(t *testing.T) {
	payloads := ChatStream(ChatOptions{
		Reasoning: []string{"hm"}, Texts: []string{"a", "b"}, Choices: 2, IncludeUsage: true, Usage: &Usage{Prompt: 3, Completion: 4, Cached: 1, Reasoning: 2},
		ToolCalls: []ToolCall{{ID: "call_1", Name: "f", Arguments: []string{`{"a"`, `:1}`}}},
	})
	require.Equal(t, "[DONE]", payloads[len(payloads)-1])
	for _, p := range payloads[:len(payloads)-1] {
		require.True(t, json.Valid([]byte(p)), p)
	}
	require.Contains(t, payloads[len(payloads)-2], `"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7`)
	require.True(t, json.Valid([]byte(ChatAnswer(ChatOptions{Texts: []string{}, ToolCalls: []ToolCall{{Name: "f"}}}))))
	require.JSONEq(t, `{"error":{"message":"m","type":"t","param":null,"code":"c"}}`, ErrorBody("m", "t", "c"))
	require.Len(t, ChatStream(ChatOptions{Texts: []string{"x"}, NoFinish: true, NoDone: true}), 2)
}

func TestCapturesAreLoadedByFormat(t *testing.T) {
	cases := Captures(t, "../../../shared/captures", "openai-chat", "openai-completions")
	require.NotEmpty(t, cases)
	for _, c := range cases {
		require.Contains(t, []string{"openai-chat", "openai-completions"}, c.Meta.API)
		require.NotEmpty(t, c.Response, c.Path)
		require.NotEmpty(t, c.Provider)
	}
}
