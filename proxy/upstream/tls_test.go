package upstream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key}
}

// file writes the authority's certificate to a PEM file.
func (a *authority) file(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	require.NoError(t, os.WriteFile(name, data, 0o600))
	return name
}

func serverTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "provider"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"provider.test"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// issue signs template; a nil authority lets it sign itself.
func (a *authority) issue(t testing.TB, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS serves with a good certificate; config may be nil.
func serveTLS(t testing.TB, a *authority, config *tls.Config, handle func(*tls.Conn)) *provider {
	t.Helper()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.Certificates == nil {
		config.Certificates = []tls.Certificate{a.issue(t, serverTemplate())}
	}
	return serve(t, func(c net.Conn) {
		session := tls.Server(c, config)
		if session.Handshake() == nil {
			handle(session)
		}
	})
}

func (p *provider) secureURL() string { return "https://" + p.Addr().String() }

// tlsPair returns a connection over TLS and the upstream's end of it.
func tlsPair(t testing.TB) (*Conn, net.Conn) {
	t.Helper()
	return byReadBody.tlsPair(t)
}

func (w way) tlsPair(t testing.TB) (*Conn, net.Conn) {
	t.Helper()
	o := w.options(t, Options{})
	ca := newAuthority(t)
	accepted := make(chan net.Conn, 1)
	closed := make(chan struct{})
	p := serveTLS(t, ca, nil, func(c *tls.Conn) {
		accepted <- c
		<-closed
	})
	t.Cleanup(func() { close(closed) })
	o.BaseURL, o.CAFile = p.secureURL(), ca.file(t)
	c := dial(t, openPool(t, o))
	select {
	case up := <-accepted:
		return c, up
	case <-time.After(patience):
		t.Fatal("nothing was accepted")
		return nil, nil
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	with := func(change func(*x509.Certificate)) *x509.Certificate {
		template := serverTemplate()
		change(template)
		return template
	}
	f := func(name string, config *tls.Config, detail string) {
		t.Run(name, func(t *testing.T) {
			p := serveTLS(t, ca, config, func(c *tls.Conn) { _, _ = io.Copy(io.Discard, c) })
			pool := openPool(t, Options{BaseURL: p.secureURL(), CAFile: ca.file(t)})
			c, err := pool.Dial(context.Background())
			if err == nil {
				c.Close()
			}
			if detail == "" {
				require.NoError(t, err)
				return
			}
			failed := failure(t, CodeTLS, err)
			require.Equal(t, "dialing upstream: "+detail, failed.Error())
			require.NoError(t, failed.Unwrap(), "the cause holds the certificate")
		})
	}
	one := func(c tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}
	}
	f("good", one(ca.issue(t, serverTemplate())), "")
	f("TLS 1.2", &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}, "")
	f("wrong host", one(ca.issue(t, with(func(c *x509.Certificate) { c.IPAddresses = nil }))),
		"the certificate is for another host")
	f("expired", one(ca.issue(t, with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))),
		"the certificate has expired or is not valid yet")
	f("not valid yet", one(ca.issue(t, with(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }))),
		"the certificate has expired or is not valid yet")
	f("unknown authority", one(stranger.issue(t, serverTemplate())),
		"the certificate is signed by an unknown authority")
	f("signed by itself", one((*authority)(nil).issue(t, serverTemplate())),
		"the certificate is signed by an unknown authority")
	f("for clients only", one(ca.issue(t, with(func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}))), "the certificate is not valid")
	f("TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, //nolint:gosec // what is to be refused
		"the other side refused: tls: protocol version not supported")
	f("no common protocol", &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"other"}},
		"the other side refused: tls: no application protocol")
}

func TestSystemAuthoritiesDoNotTrustTheTest(t *testing.T) {
	p := serveTLS(t, newAuthority(t), nil, func(*tls.Conn) {})
	_, err := openPool(t, Options{BaseURL: p.secureURL()}).Dial(context.Background())
	requireCode(t, CodeTLS, err)
}

func TestPlainServerIsNotTakenForTLS(t *testing.T) {
	p := serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request: secret\r\n\r\n") })
	_, err := openPool(t, Options{BaseURL: p.secureURL()}).Dial(context.Background())
	failed := failure(t, CodeTLS, err)
	require.NotContains(t, failed.Error(), "HTTP")
}

func TestCAFileMustHoldACertificate(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, name := range []string{empty, empty + ".absent"} {
		_, err := NewPool(Options{BaseURL: "https://provider.test", CAFile: name})
		require.ErrorContains(t, err, "ca_file")
	}
}

func TestRecordsThatArriveTogetherAreReadTogether(t *testing.T) {
	c, up := tlsPair(t)
	send(t, up, chunkedHead)
	var r Reader
	var h Head
	r.Reset(c)
	require.NoError(t, r.ReadHead(&h, "POST"))
	for range 20 { // one record each
		send(t, up, "2\r\nok\r\n")
	}
	send(t, up, "0\r\n\r\n")
	body, err := rest(&r)
	require.NoError(t, err)
	require.Len(t, body, 40)
	require.True(t, r.Reusable())
}

func TestLargeBodyOverTLS(t *testing.T) {
	c, up := tlsPair(t)
	want := make([]byte, 5<<20)
	_, _ = rand.Read(want)
	go func() {
		_, _ = io.WriteString(up, okHead+"Content-Length: 5242880\r\n\r\n")
		_, _ = up.Write(want)
	}()
	var r Reader
	var h Head
	r.Reset(c)
	got, err := readAll(&r, &h, "POST")
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.True(t, r.Reusable())
}

func TestTLSEndInsideARecordIsATruncation(t *testing.T) {
	ca := newAuthority(t)
	half := make(chan struct{})
	p := serve(t, func(raw net.Conn) {
		cut := &cutter{Conn: raw}
		session := tls.Server(cut, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, serverTemplate())}, MinVersion: tls.VersionTLS12})
		if session.Handshake() != nil {
			return
		}
		_, _ = io.WriteString(session, okHead+"\r\nfirst")
		<-half
		cut.left = 10
		_, _ = io.WriteString(session, "the second part of a body")
	})
	var r Reader
	var h Head
	r.Reset(dial(t, openPool(t, Options{BaseURL: p.secureURL(), CAFile: ca.file(t)})))
	require.NoError(t, r.ReadHead(&h, "POST"))
	b, err := r.ReadBody()
	require.NoError(t, err)
	require.Equal(t, "first", string(b))
	close(half)
	_, err = r.ReadBody()
	require.ErrorIs(t, err, ErrTruncated)
}

// cutter lets only some more bytes through, once told so.
type cutter struct {
	net.Conn
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.left > 0 && len(p) > c.left {
		_, _ = c.Conn.Write(p[:c.left])
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

func TestRecordLayerFollowsRecordsAcrossReads(t *testing.T) {
	wire := []byte{23, 3, 3, 0, 3, 'a', 'b', 'c', 22, 3, 3, 0, 0, 23, 3, 3, 1, 0}
	wire = append(wire, make([]byte, 256)...)
	for step := 1; step <= len(wire); step++ {
		var l recordLayer
		for i := 0; i < len(wire); i += step {
			l.observe(wire[i:min(i+step, len(wire))])
		}
		require.Equal(t, 3, l.whole)
		require.True(t, l.atBoundary())
		l.observe(wire[:1])
		require.False(t, l.atBoundary())
		l.observe(wire[1:7])
		require.False(t, l.atBoundary())
		l.observe(wire[7:8])
		require.True(t, l.atBoundary())
	}
}
