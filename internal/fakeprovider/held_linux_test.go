package fakeprovider

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeldBodyIsReadWhenAsked(t *testing.T) {
	p := New(t)
	p.HoldBody()
	p.ReceiveBuffer(4 << 10)
	body := strings.Repeat("b", 16<<20) // more than the kernel buffers on both sides
	begin := make(chan struct{})
	begins := sync.OnceFunc(func() { close(begin) })
	t.Cleanup(begins)
	p.Handle(func(e *Exchange) {
		<-begin
		got, err := e.ReadBody()
		e.JSON(200, fmt.Sprintf(`{"got":%d,"whole":%t}`, len(got), err == nil))
	})
	conn := dial(t, p)
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, post(body))
		written <- err
	}()
	require.Nil(t, p.WaitExchange(1).Request.Body)
	require.Empty(t, written)
	begins()
	require.NoError(t, <-written)
	_, answer := readResponse(t, bufio.NewReader(conn))
	require.JSONEq(t, fmt.Sprintf(`{"got":%d,"whole":true}`, len(body)), answer)
}

func TestPeerLeavingIsSeenWhileTheBodyIsHeld(t *testing.T) {
	for _, how := range []string{GoneEOF, GoneReset} {
		p := New(t)
		p.HoldBody()
		p.Handle(func(e *Exchange) { e.Hold() })
		conn := dial(t, p)
		send(t, conn, post(strings.Repeat("b", 1000)))
		e := p.WaitExchange(1)
		if how == GoneReset {
			require.NoError(t, conn.SetLinger(0))
		}
		require.NoError(t, conn.Close())
		require.Equal(t, how, e.WaitGone(Patience).How)
	}
}

func TestCutUploadIsSeenByTheHeldBody(t *testing.T) {
	p := New(t)
	p.HoldBody()
	failed := make(chan error, 1)
	p.Handle(func(e *Exchange) {
		_, err := e.ReadBody()
		failed <- err
	})
	conn := dial(t, p)
	send(t, conn, "POST / HTTP/1.1\r\nHost: fake\r\nContent-Length: 100\r\n\r\nonly this")
	require.NoError(t, conn.Close())
	require.ErrorIs(t, <-failed, io.ErrUnexpectedEOF)
}

func TestReplyBeforeTheBodyWasRead(t *testing.T) {
	p := New(t)
	p.HoldBody()
	p.Handle(func(e *Exchange) { e.JSON(413, `{}`) })
	conn := dial(t, p)
	send(t, conn, "POST / HTTP/1.1\r\nHost: fake\r\nContent-Length: 1000000\r\n\r\n")
	res, _ := readResponse(t, bufio.NewReader(conn))
	require.Equal(t, 413, res.StatusCode)
}
