package fakeprovider

import (
	"bufio"
	"crypto/tls"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTLSCertificatesAreWhatTheySay(t *testing.T) {
	ca := CA(t)
	pem, err := os.ReadFile(ca.PEMFile())
	require.NoError(t, err)
	require.Contains(t, string(pem), "BEGIN CERTIFICATE")

	f := func(cert tls.Certificate, good bool) {
		t.Helper()
		p := New(t)
		p.TLS(cert)
		require.Contains(t, p.URL(), "https://127.0.0.1:")
		conn, err := tls.Dial("tcp", p.Addr(), &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
		if !good {
			var refused *tls.CertificateVerificationError
			require.ErrorAs(t, err, &refused)
			require.Eventually(t, func() bool { return p.RefusedHandshakes() == 1 }, Patience, time.Millisecond)
			return
		}
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		send(t, conn, post(`{}`))
		res, _ := readResponse(t, bufio.NewReader(conn))
		require.Equal(t, 200, res.StatusCode)
	}
	f(ca.Good(), true)
	f(ca.Expired(), false)
	f(ca.NotYetValid(), false)
	f(ca.WrongHost(), false)
	f(ca.SelfSigned(), false)
}

func TestTLSGoneIsTheSocketNotTheAlert(t *testing.T) {
	ca := CA(t)
	for _, polite := range []bool{true, false} {
		p := New(t)
		p.TLS(ca.Good())
		p.Handle(func(e *Exchange) { e.Hold() })
		conn, err := tls.Dial("tcp", p.Addr(), &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12})
		require.NoError(t, err)
		send(t, conn, post(`{}`))
		e := p.WaitExchange(1)
		if polite {
			require.NoError(t, conn.CloseWrite())
			require.False(t, e.IsGone())
		}
		require.NoError(t, conn.NetConn().Close())
		require.Equal(t, GoneEOF, e.WaitGone(Patience).How)
		_ = conn.Close()
	}
}

func TestNeverHandshakeLeavesTheClientHelloUnanswered(t *testing.T) {
	p := New(t)
	p.NeverHandshake()
	raw, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	conn := tls.Client(raw, &tls.Config{ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	require.NoError(t, conn.SetDeadline(time.Now().Add(200*time.Millisecond)))
	require.ErrorIs(t, conn.Handshake(), os.ErrDeadlineExceeded)
	require.NoError(t, raw.Close())
	require.Equal(t, GoneEOF, p.WaitConn(1).WaitGone(Patience).How)
}
