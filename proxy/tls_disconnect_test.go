package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// newTLSRig is newRig with an API listener that speaks TLS.
func newTLSRig(t testing.TB, changes ...func(*config.Config)) (*rig, *fakeprovider.Authority) {
	t.Helper()
	ca := fakeprovider.CA(t)
	cert := ca.Good()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	dir := t.TempDir()
	files := &config.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	for name, block := range map[string]*pem.Block{
		files.CertFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		files.KeyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(block), 0o600))
	}
	return newRig(t, append(changes, func(c *config.Config) { c.TLS = files })...), ca
}

// dialTLS connects and returns the socket below TLS too.
func (r *rig) dialTLS(ca *fakeprovider.Authority) (*client, *net.TCPConn) {
	r.Helper()
	raw := r.dial().Conn.(*net.TCPConn)
	c := tls.Client(raw, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12})
	require.NoError(r, c.Handshake())
	return &client{TB: r.TB, Conn: c, r: bufio.NewReader(c)}, raw
}

// A client's leaving is noticed through TLS, with its farewell and without.
// row A14
func TestClientGoneThroughTLS(t *testing.T) {
	t.Parallel()
	leavings := map[string]func(t *testing.T, c *client, raw *net.TCPConn){
		"close_notify and FIN": func(t *testing.T, c *client, _ *net.TCPConn) { require.NoError(t, c.Close()) },
		"FIN alone":            func(t *testing.T, _ *client, raw *net.TCPConn) { require.NoError(t, raw.CloseWrite()) },
		"RST": func(t *testing.T, _ *client, raw *net.TCPConn) {
			require.NoError(t, raw.SetLinger(0))
			require.NoError(t, raw.Close())
		},
		"FIN behind a request": func(t *testing.T, c *client, raw *net.TCPConn) {
			c.send("POST", chatPath, streamBody)
			require.NoError(t, raw.CloseWrite())
		},
	}
	for _, p := range departurePoints {
		for name, leave := range leavings {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				r, ca := newTLSRig(t)
				r.up.Handle(p.script)
				c, raw := r.dialTLS(ca)
				body := wholeBody
				if p.stream {
					body = streamBody
				}
				c.send("POST", chatPath, body)
				if p.events >= 0 {
					readEvents(t, c.response().Body, p.events)
				}
				r.inPhase(p.phase)
				leave(t, c, raw)

				requireClosed(t, r.up.WaitExchange(1).Conn)
				requireClientGone(t, r.onlyRecord(), p.phase)
				require.Len(t, r.up.Exchanges(), 1)
			})
		}
	}
}

// A farewell of TLS without FIN only ends what the client sends: it still gets its
// answer to the end.
// row A14
func TestTLSFarewellWithoutFINIsServedToTheEnd(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r, ca := newTLSRig(t)
			said := make(chan struct{})
			r.up.Handle(func(e *fakeprovider.Exchange) {
				<-said
				fakeprovider.DefaultScript(e)
			})
			c, _ := r.dialTLS(ca)
			c.send("POST", chatPath, body)
			r.inPhase(accounting.PhaseAwaitHeaders)
			require.NoError(t, c.Conn.(*tls.Conn).CloseWrite())
			close(said)

			p := read(c.response())
			require.NoError(t, p.err)
			require.Equal(t, 200, p.status)
			rec := r.onlyRecord()
			requireEnded(t, rec, accounting.OutcomeCompleted, accounting.PhaseTail, "")
			require.True(t, rec.Delivered)
		})
	}
}

// Over TLS too a connection serves one request after the other.
// row A16
func TestKeepAliveOverTLS(t *testing.T) {
	t.Parallel()
	r, ca := newTLSRig(t)
	c, _ := r.dialTLS(ca)
	for range 20 {
		c.askOn(chatPath, streamBody).requireWhole(t)
		p := c.askOn(chatPath, wholeBody)
		require.NoError(t, p.err)
		require.Equal(t, 200, p.status)
	}
	require.Len(t, r.allEnded(), 40)
}

// A handshake that never comes is not waited for, and is no request.
func TestTLSHandshakeThatNeverComes(t *testing.T) {
	t.Parallel()
	r, _ := newTLSRig(t, func(c *config.Config) { c.Timeouts.RequestHeaders = config.Duration(100 * time.Millisecond) })
	c := r.dial()
	_, err := c.r.ReadByte()
	require.Error(t, err)
	require.Empty(t, r.allEnded())
	require.Zero(t, r.up.Conns())
}
