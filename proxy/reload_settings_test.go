package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// The size that a body may have, and the memory for all of them, are those of the last
// reload, on connections that are open too.
// row D10
func TestLimitsOfBodiesAreReloaded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.dial()
	require.Equal(t, 200, c.askOn(chatPath, wholeBody).status)
	memory := r.srv.memory.Limit()

	r.reload(func(c *config.Config) { c.Limits.MaxBody, c.Limits.Bodies = 64, 1<<20 })
	p := c.askOn(chatPath, wholeBody)
	p.requireError(t, 413, "body_too_large")
	_, err := c.r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.EqualValues(t, 1<<20, r.srv.memory.Limit())

	r.reload(func(c *config.Config) { c.Limits = r.cfg.Limits })
	require.Equal(t, 200, r.ask(wholeBody).status)
	require.Equal(t, memory, r.srv.memory.Limit())
}

// The number of connections that a client may have is that of the last reload. Those that it
// has stay.
// rows C23, D10
func TestLimitsOfConnectionsAreReloaded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := r.dial(), r.dial()
	require.Equal(t, 200, first.askOn(chatPath, wholeBody).status)
	require.Equal(t, 200, second.askOn(chatPath, wholeBody).status)

	r.reload(func(c *config.Config) { c.Limits.ConnectionsPerIP = 2 })
	for range 3 {
		_, err := r.dial().r.ReadByte()
		require.Error(t, err, "a connection too many was let in")
	}
	require.Equal(t, 200, first.askOn(chatPath, wholeBody).status)
	require.Equal(t, 200, second.askOn(chatPath, wholeBody).status)
	require.NoError(t, second.Close())
	r.until("its place stays taken", func() bool {
		c, err := net.Dial("tcp", r.addr)
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(c, "GET /v1/requests HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if err != nil {
			return false
		}
		answer, _ := io.ReadAll(c)
		return strings.HasPrefix(string(answer), "HTTP/1.1 200")
	})
	r.reload(func(c *config.Config) { c.Limits.ConnectionsPerIP = 0 })
	for range 3 {
		require.Equal(t, 200, r.dial().askOn(chatPath, wholeBody).status)
	}
}

// What a request costs, may use and is called goes by the configuration that it began with.
// row D10
func TestPricesNamesAndQuotasAreReloaded(t *testing.T) {
	t.Parallel()
	priced := func(nano config.Rate) func(*config.Config) {
		return func(c *config.Config) {
			c.Prices.Overrides = []config.Price{{Model: "old-model", Input: nano, Output: nano}}
		}
	}
	r := newRig(t, beforeReload(), priced(config.USD))
	goOn := make(chan struct{})
	r.up.Handle(heldBack(goOn, fakeprovider.ChatStream(fakeprovider.ChatOptions{Model: "old-model", IncludeUsage: true})))
	streams := make([]*client, 2)
	for i := range streams {
		streams[i] = r.dial()
		streams[i].send("POST", chatPath, fastStream, "X-Request-Id: old-"+string(rune('0'+i)))
		r.up.WaitExchange(i + 1)
	}
	r.until("not both stream", func() bool { return r.srv.running.phases()[accounting.PhaseStreaming] == 2 })

	bounded := func(streams int) func(*config.Config) {
		return fastAt("old-model", func(m *config.Model, _ *config.Target) { m.Limits.Streams = streams })
	}
	r.reload(priced(3*config.USD), bounded(2), func(c *config.Config) { c.ResponseModel = config.ResponseModelUpstream })
	close(goOn)
	for i, c := range streams {
		p := read(c.response())
		p.requireWhole(t)
		require.Contains(t, string(p.body), `"model":"fast"`)
		rec := r.record("old-" + string(rune('0'+i)))
		require.EqualValues(t, 14_000, *rec.CostNanoUSD, "14 tokens at a dollar for a million")
	}
	p, rec := r.askAs("new", fastStream)
	p.requireWhole(t)
	require.Contains(t, string(p.body), `"model":"old-model"`)
	require.EqualValues(t, 42_000, *rec.CostNanoUSD)

	// A lower number of streams counts what runs already.
	r.up.Handle(streamThenSilence(firstChunks...))
	running := make([]*client, 2)
	for i := range running {
		running[i] = r.dial()
		running[i].post(fastStream)
	}
	r.reload(bounded(1))
	refused := r.ask(fastStream)
	refused.requireError(t, 429, "too_many_streams")
	require.NotEmpty(t, refused.header.Get("Retry-After"))
	require.NoError(t, running[0].Close())
	r.until("it still runs", func() bool { return len(r.srv.running.all()) == 1 })
	r.ask(fastStream).requireError(t, 429, "too_many_streams")
	require.NoError(t, running[1].Close())
	r.allEnded()
	r.up.Handle(fakeprovider.DefaultScript)
	require.Equal(t, 200, r.ask(fastStream).status)
}

// Extra members in answers are there or not as the last reload says.
// row D10
func TestExtensionsAreReloaded(t *testing.T) {
	t.Parallel()
	voice := fakeprovider.Voices()[0]
	for _, v := range fakeprovider.Voices() {
		if v.Dialect == config.DialectAnthropic && !v.Enveloped {
			voice = v
		}
	}
	r := newRig(t, speaking(voice))
	r.up.Handle(saying(voice))
	with := r.ask(wholeWithTool)
	r.reload(func(c *config.Config) { c.Extensions = false })
	without := r.ask(wholeWithTool)
	require.Contains(t, string(with.body), "native_finish_reason")
	require.NotContains(t, string(without.body), "native_finish_reason")
}

// What a scrape shows of targets is what the configuration has.
// row D10
func TestMetricsOfRemovedTargetsVanish(t *testing.T) {
	t.Parallel()
	r := newRig(t, beforeReload(), func(c *config.Config) {
		second := c.Providers[0]
		second.Name = "second"
		c.Providers = append(c.Providers, second)
		c.Models[0].Targets = append(c.Models[0].Targets, config.Target{Provider: "second", Model: "second-model", Weight: 1, Priority: 2})
	})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		if e.Asked().Model == "old-model" {
			e.JSON(503, fakeprovider.ErrorBody("down", "server_error", ""))
			return
		}
		fakeprovider.DefaultScript(e)
	})
	require.Equal(t, 200, r.ask(fastStream).status)
	r.allEnded()
	ofTargets := func() string {
		var out []string
		for _, s := range r.series() {
			if strings.HasPrefix(s, "sluice_target_") || strings.HasPrefix(s, "sluice_retries_") {
				out = append(out, s)
			}
		}
		return strings.Join(out, "\n")
	}
	before := ofTargets()
	for _, name := range []string{"model=old-model", "provider=second", "model=second-model", "sluice_retries_total"} {
		require.Contains(t, before, name)
	}
	r.reload(fastAt("new-model"), func(c *config.Config) { c.Providers = c.Providers[:1] })
	after := ofTargets()
	for _, name := range []string{"model=old-model", "second", "sluice_retries_total"} {
		require.NotContains(t, after, name)
	}
	require.Contains(t, after, "model=new-model")
	names := []string{}
	for _, target := range r.srv.Targets() {
		names = append(names, target.Provider+"/"+target.Model)
	}
	require.ElementsMatch(t, []string{"fake/new-model", "fake/"}, names)
}

// A certificate that is replaced on the disk is that of the next handshake, without a reload.
// row D10
func TestCertificateOfTheListenerFollowsItsFiles(t *testing.T) {
	t.Parallel()
	r, ca := newTLSRig(t)
	old, _ := r.dialTLS(ca)
	require.Equal(t, 200, old.askOn(chatPath, wholeBody).status)
	resp := old.post(streamBody)

	fresh := fakeprovider.CA(t)
	cert := fresh.Good()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{
		r.cfg.TLS.KeyFile:  {Type: "PRIVATE KEY", Bytes: key},
		r.cfg.TLS.CertFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
	} {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	r.until("the old certificate is still served", func() bool {
		c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: fresh.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12})
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	read(resp).requireWhole(t)
	require.Equal(t, 200, old.askOn(chatPath, wholeBody).status, "a connection that is open stays")
	c, _ := r.dialTLS(fresh)
	require.Equal(t, 200, c.askOn(chatPath, wholeBody).status)
}
