package fakeprovider

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	askStream = `{"model":"m","stream":true}`
	askWhole  = `{"model":"m"}`
)

// asked is what a peer reads until its connection ends.
func asked(t *testing.T, p *Provider, body string) ([]byte, error) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	send(t, conn, post(body))
	return io.ReadAll(conn)
}

func TestRefusingProviderAcceptsAgain(t *testing.T) {
	p := New(t)
	address := p.Addr()
	for range 3 {
		p.RefuseAll()
		_, err := net.Dial("tcp", address)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		p.AcceptAgain()
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		send(t, conn, post(`{}`))
		res, _ := readResponse(t, bufio.NewReader(conn))
		require.Equal(t, 200, res.StatusCode)
		require.NoError(t, conn.Close())
	}
	require.Equal(t, "http://"+address, p.URL())
	require.Len(t, p.Exchanges(), 3)
}

func TestHandshakeBreaks(t *testing.T) {
	ca := CA(t)
	for how, want := range map[Handshake]func(error) bool{
		HandshakeClosed: func(err error) bool { return errors.Is(err, io.EOF) },
		HandshakeReset:  func(err error) bool { return errors.Is(err, syscall.ECONNRESET) },
		HandshakeAlert:  func(err error) bool { return strings.Contains(err.Error(), "internal error") },
		HandshakeHTTP: func(err error) bool {
			var notTLS tls.RecordHeaderError
			return errors.As(err, &notTLS)
		},
	} {
		p := New(t)
		p.TLS(ca.Good())
		p.BreakHandshake(how)
		require.Contains(t, p.URL(), "https://")
		_, err := tls.Dial("tcp", p.Addr(), &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12})
		require.Error(t, err)
		require.True(t, want(err), "%d: %v", how, err)
		require.Equal(t, 1, p.RefusedHandshakes())
		require.NotEqual(t, Gone{}, p.WaitConn(1).WaitGone(Patience))

		p.BreakHandshake(Finished)
		conn, err := tls.Dial("tcp", p.Addr(), &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12})
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
}

func TestCallsToSeveralProvidersAreInOrder(t *testing.T) {
	a, b := New(t), New(t)
	var want []*Provider
	for _, p := range []*Provider{b, a, a, b} {
		want = append(want, p)
		p.Handle(NoHTTP)
		_, err := asked(t, p, askWhole)
		require.NoError(t, err)
	}
	var got []*Provider
	for _, e := range CallsTo(a, b) {
		got = append(got, e.Provider())
	}
	require.Equal(t, want, got)
	require.Empty(t, CallsTo())
}

func TestScriptsTakeTurns(t *testing.T) {
	p := New(t)
	p.Handle(InTurn(Refusal(429), Refusal(503, "Retry-After: 1"), DefaultScript))
	conn, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for _, want := range []int{429, 503, 200, 200} {
		send(t, conn, post(askWhole))
		res, body := readResponse(t, in)
		require.Equal(t, want, res.StatusCode)
		require.True(t, json.Valid([]byte(body)), body)
	}
}

func TestFailuresAreWhatTheySay(t *testing.T) {
	f := func(script Script, body, want string) {
		t.Helper()
		p := New(t)
		p.Handle(script)
		got, err := asked(t, p, body)
		require.NoError(t, err)
		require.Regexp(t, want, string(got))
	}
	f(NoHTTP, askWhole, "^220 ")
	f(Cut(0, EndClosed), askWhole, "^$")
	f(Cut(20, EndClosed), askStream, "^HTTP/1.1 200 OK\r\nCon$")
	f(Cut(1<<20, EndClosed), askStream, "(?s)^HTTP/1.1 200 OK\r\n.*\\[DONE\\]\n\n\r\n0\r\n\r\n$")
	f(Cut(1<<20, EndClosed), askWhole, `(?s)^HTTP/1.1 200 OK\r\n.*"object":"chat.completion"`)
	f(Late(time.Millisecond, NoHTTP), askWhole, "^220 ")
}

func TestFailuresThatLeaveTheConnectionOpen(t *testing.T) {
	f := func(script Script, body string, check func(res *http.Response, body string)) {
		t.Helper()
		p := New(t)
		p.Handle(script)
		conn, err := net.Dial("tcp", p.Addr())
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		send(t, conn, post(body))
		res, got := readResponse(t, bufio.NewReader(conn))
		check(res, got)
	}
	f(Page, askStream, func(res *http.Response, body string) {
		require.Equal(t, 200, res.StatusCode)
		require.Contains(t, res.Header.Get("Content-Type"), "text/html")
		require.Contains(t, body, "<title>")
	})
	f(WrongJSON, askWhole, func(res *http.Response, body string) {
		require.Equal(t, "application/json", res.Header.Get("Content-Type"))
		require.False(t, json.Valid([]byte(body)))
	})
	for events := range 3 {
		f(Failing(events), askStream, func(_ *http.Response, body string) {
			require.Equal(t, events+1, strings.Count(body, "data: "))
			require.Contains(t, body[strings.LastIndex(body, "data: "):], `"error"`)
		})
	}
	f(Unsolicited([]byte("HTTP/1.1 200 OK\r\n\r\n")), askStream, func(_ *http.Response, body string) {
		require.True(t, strings.HasSuffix(body, "data: [DONE]\n\n"))
	})
}

func TestStallsAndResets(t *testing.T) {
	for want, script := range map[string]Script{
		"":                    Silent,
		"HTTP/1.1 200 OK\r\n": Stalled(0),
		"HTTP/1.1 2":          Cut(10, EndSilent),
	} {
		p := New(t)
		p.Handle(script)
		conn, err := net.Dial("tcp", p.Addr())
		require.NoError(t, err)
		send(t, conn, post(askStream))
		got := make([]byte, len(want))
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		require.False(t, p.WaitExchange(1).IsGone())
		require.NoError(t, conn.Close())
		require.NotEqual(t, GoneSelf, p.WaitExchange(1).WaitGone(Patience).How)
	}
	p := New(t)
	p.Handle(Cut(0, EndReset))
	_, err := asked(t, p, askStream)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestRetryAfterFormsReachTheWire(t *testing.T) {
	for _, form := range RetryAfterForms() {
		p := New(t)
		p.Handle(Refusal(529, form.Fields...))
		conn, err := net.Dial("tcp", p.Addr())
		require.NoError(t, err)
		send(t, conn, post(askWhole))
		var seen bytes.Buffer
		res, _ := readResponse(t, bufio.NewReader(io.TeeReader(conn, &seen)))
		require.Equal(t, 529, res.StatusCode, form.Name)
		for _, field := range form.Fields {
			require.Contains(t, seen.String(), field+"\r\n", form.Name)
		}
		require.NoError(t, conn.Close())
	}
}
