package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/proxy/upstream"
)

// requireNeverSent asserts the record of an exchange whose request cannot have run.
func requireNeverSent(t testing.TB, rec *accounting.Record, outcome accounting.Outcome, code string) {
	t.Helper()
	requireEnded(t, rec, outcome, accounting.PhaseConnect, code)
	requireUsage(t, rec, accounting.SourceNone, accounting.MayBillNone)
	require.Zero(t, rec.StatusUpstream)
	require.Zero(t, rec.ToHeaders)
	require.Zero(t, rec.ToFirstToken)
	require.Empty(t, rec.FinishReasons)
	require.True(t, rec.Delivered)
	require.False(t, rec.Attempts[0].Reused)
}

// row B1
func TestRefusedConnectionIsBadGatewayAndNothingIsBilled(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		r := newRig(t, mayBillPartial, func(c *config.Config) { c.Providers[0].BaseURL = "http://" + fakeprovider.ClosedPort(t) })
		p, rec := r.askAs(kind, body)
		p.requireError(t, 502, "upstream_connect_failed")
		require.Empty(t, p.header.Get("X-Should-Retry"), "nothing was sent, so a repeat is safe")
		requireNeverSent(t, rec, accounting.OutcomeUpstreamError, "upstream_connect_failed")
		require.Equal(t, 502, rec.StatusDownstream)
		require.Nil(t, rec.CloseMicros)
	}
}

// row B1
func TestClientConnectionServesOnAfterAFailedConnect(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *config.Config) { c.Providers[0].BaseURL = "http://" + fakeprovider.ClosedPort(t) })
	c := r.dial()
	for range 3 {
		read(c.post(streamBody)).requireError(t, 502, "upstream_connect_failed")
	}
}

// row B2
func TestConnectThatTakesTooLongIsGatewayTimeout(t *testing.T) {
	t.Parallel()
	for kind, body := range bothKinds {
		r := newRig(t, mayBillPartial, func(c *config.Config) { c.Timeouts.Connect = config.Duration(50 * time.Millisecond) })
		r.up.NeverHandshake()
		r.repoint(t, upstream.Options{BaseURL: r.up.URL(), ConnectTimeout: 50 * time.Millisecond})
		p, rec := r.askAs(kind, body)
		p.requireError(t, 504, "upstream_connect_timeout")
		require.Empty(t, p.header.Get("X-Should-Retry"))
		requireNeverSent(t, rec, accounting.OutcomeUpstreamTimeout, "upstream_connect_timeout")
		require.Equal(t, 504, rec.StatusDownstream)
		requireClosed(t, r.up.WaitConn(1))
		require.Equal(t, 1, r.up.Conns(), "nothing is tried twice")
	}
}

// repoint gives the rig's provider another way to its upstream.
func (r *rig) repoint(t testing.TB, o upstream.Options) {
	t.Helper()
	pool, err := upstream.NewPool(o)
	require.NoError(t, err)
	r.srv.routes().providers[0].pool = pool
}

// row B3
func TestUnresolvableHostIsBadGateway(t *testing.T) {
	t.Parallel()
	errDown := errors.New("the resolver is down")
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errDown }}
	for kind, body := range bothKinds {
		r := newRig(t, mayBillPartial)
		r.repoint(t, upstream.Options{BaseURL: "http://provider.invalid", Resolver: resolver})
		p, rec := r.askAs(kind, body)
		p.requireError(t, 502, "upstream_dns")
		require.NotContains(t, string(p.body), "provider.invalid")
		requireNeverSent(t, rec, accounting.OutcomeUpstreamError, "upstream_dns")
		require.Zero(t, r.up.Conns())
	}
}

// row B4
func TestCertificatesThatCannotBeVerifiedAreRefused(t *testing.T) {
	t.Parallel()
	ca, stranger := fakeprovider.CA(t), fakeprovider.CA(t)
	old := &tls.Config{Certificates: []tls.Certificate{ca.Good()}, MaxVersion: tls.VersionTLS11} //nolint:gosec // what is refused here
	for name, setUp := range map[string]func(up *fakeprovider.Provider){
		"wrong host":    func(up *fakeprovider.Provider) { up.TLS(ca.WrongHost()) },
		"expired":       func(up *fakeprovider.Provider) { up.TLS(ca.Expired()) },
		"not yet valid": func(up *fakeprovider.Provider) { up.TLS(ca.NotYetValid()) },
		"self-signed":   func(up *fakeprovider.Provider) { up.TLS(ca.SelfSigned()) },
		"unknown CA":    func(up *fakeprovider.Provider) { up.TLS(stranger.Good()) },
		"old version":   func(up *fakeprovider.Provider) { up.TLSConfig(old) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			setUp(r.up)
			r.repoint(t, upstream.Options{BaseURL: r.up.URL(), CAFile: ca.PEMFile()})
			p, rec := r.askAs("a", streamBody, "Authorization: Bearer very-secret")
			p.requireError(t, 502, "upstream_tls")
			require.Empty(t, p.header.Get("X-Should-Retry"))
			for _, told := range []string{"x509", "certificate", "elsewhere.invalid", "127.0.0.1"} {
				require.NotContains(t, string(p.body), told)
			}
			requireNeverSent(t, rec, accounting.OutcomeUpstreamError, "upstream_tls")
			requireClosed(t, r.up.WaitConn(1))
			require.Empty(t, r.up.Exchanges(), "no key may reach an unknown server")
		})
	}
}

// row B4
func TestVerifiedProviderIsServedOverTLS(t *testing.T) {
	t.Parallel()
	ca := fakeprovider.CA(t)
	r := newRig(t)
	r.up.TLS(ca.Good())
	r.repoint(t, upstream.Options{BaseURL: r.up.URL() + "/v1", CAFile: ca.PEMFile()})
	for _, id := range []string{"a", "b", "c"} {
		p, _ := r.askAs(id, wholeBody)
		require.Equal(t, 200, p.status)
	}
	require.Equal(t, 1, r.up.Conns(), "an answer that ends with its last byte leaves its connection to the next")

	want := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	r.play(want)
	p, _ := r.askAs("stream", streamBody)
	p.requireWhole(t)
	require.Equal(t, chatText(want), string(p.body))
	r.srv.routes().providers[0].pool.CloseIdle()
}
