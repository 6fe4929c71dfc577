package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/proxy/upstream"
)

// dials notes the addresses that a provider is dialled at.
type dials struct {
	mu   sync.Mutex
	seen map[string]int
}

// watched gives the rig's provider a way to its upstream on which every dial is noted.
func (r *rig) watched(t testing.TB) *dials {
	t.Helper()
	d := &dials{seen: map[string]int{}}
	r.repoint(t, upstream.Options{BaseURL: r.up.URL() + "/v1", Control: func(_, address string, _ syscall.RawConn) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.seen[address]++
		return nil
	}})
	return d
}

func (d *dials) addresses() (all []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for address := range d.seen {
		all = append(all, address)
	}
	return all
}

// Nothing that a client writes decides where sluice connects to, or whom it calls by which
// name: only the configuration does.
// row C16
func TestClientsDoNotChooseTheUpstream(t *testing.T) {
	t.Parallel()
	evil := fakeprovider.New(t)
	at, host := evil.URL(), evil.Addr()
	member := func(name, value string) string {
		return fmt.Sprintf(`{"model":"m",%q:%s,"messages":[{"role":"user","content":"hi"}]}`, name, value)
	}
	bodies := map[string]string{}
	for _, name := range []string{
		"api_base", "base_url", "baseURL", "baseUrl", "apiBase", "endpoint", "url", "host", "proxy", "proxies", "target", "upstream", "provider", "callback", "webhook_url", "api_host", "azure_endpoint", "openai_api_base", "custom_llm_provider", "deployment_id", "region",
	} {
		bodies[name] = member(name, `"`+at+`"`)
	}
	for _, name := range []string{"litellm_params", "extra_body", "extra_headers", "metadata", "provider", "fallbacks", "router", "transforms", "route", "headers"} {
		bodies[name+" object"] = member(name, fmt.Sprintf(`{"api_base":%q,"base_url":%q,"Host":%q,"fallbacks":[{"model":"x","api_base":%q}]}`, at, at, host, at))
	}
	for i, model := range []string{
		at, at + "/v1", "http://" + host, "https://" + host, "//" + host, `\\` + host, "fake@" + host, "fake:" + host, "fake#" + host, "fake?" + host, "fake/../" + at,
		"fake/" + at, "fake/" + "//" + host, "fake/../../" + host, "fake/..", "fake/.", "../x", "..", ".", "openai/" + at, "http:/" + host, "file:///etc/passwd", "gopher://" + host,
		"fake/x HTTP/1.1\r\nHost: " + host, "x\r\n\r\nGET / HTTP/1.1\r\nHost: " + host, "x\x00" + host, "x%0d%0aHost:" + host, "m@" + host + "/", "169.254.169.254/latest",
	} {
		bodies[fmt.Sprintf("model %d", i)] = fmt.Sprintf(`{"model":%s,"messages":[{"role":"user","content":"hi"}]}`, asJSON(model))
	}
	headers := []string{
		"X-Api-Base: " + at, "X-Base-Url: " + at, "X-Upstream-Url: " + at, "X-Target-Url: " + at, "X-OpenAI-Base-Url: " + at, "X-Forwarded-Host: " + host, "X-Forwarded-Server: " + host,
		"X-Host: " + host, "X-Original-Host: " + host, "X-Original-Url: " + at, "X-Rewrite-Url: " + at, "X-Http-Host-Override: " + host, "Forwarded: host=" + host, "X-Real-Ip: " + host,
		"Proxy: " + at, "Http-Proxy: " + at, "Proxy-Connection: keep-alive", "Origin: " + at, "Referer: " + at, "Location: " + at, "Destination: " + at, "X-Portkey-Custom-Host: " + at, "Helicone-Target-Url: " + at, "Cf-Aig-Custom-Url: " + at,
		"X-Sluice-Target: " + at, "X-Sluice-Provider: " + at, "Alt-Used: " + host, "Upgrade: h2c",
	}
	for _, v := range fakeprovider.Voices() {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, speaking(v))
			d := r.watched(t)
			r.up.Handle(saying(v))
			for name, body := range bodies {
				before := len(r.up.Exchanges())
				p := r.ask(body, headers...)
				for _, e := range r.up.Exchanges()[before:] {
					require.Equal(t, r.up.Addr(), e.Request.Get("Host"), name)
					require.Len(t, e.Request.Header.Values("Host"), 1)
					require.True(t, strings.HasPrefix(e.Request.Target, "/v1/"), "%s: %q", name, e.Request.Target)
					path, _, _ := strings.Cut(e.Request.Target, "?")
					for step := range strings.SplitSeq(path, "/") {
						require.NotContains(t, []string{".", ".."}, step, "%s: %q", name, path)
					}
					require.Empty(t, e.Request.Get("X-Sluice-Target"))
				}
				require.Contains(t, []int{200, 400, 404}, p.status, "%s: %s", name, p.body)
			}
			require.Equal(t, []string{r.up.Addr()}, d.addresses())
			require.Zero(t, evil.Conns())
			require.Zero(t, r.up.BadRequests())
		})
	}
	t.Run("the address of the request", func(t *testing.T) {
		r := newRig(t)
		d := r.watched(t)
		for _, head := range []string{
			"POST http://" + host + chatPath + " HTTP/1.1\r\nHost: " + host, "POST " + chatPath + " HTTP/1.1\r\nHost: " + host, "POST " + at + chatPath + " HTTP/1.1\r\nHost: sluice.test",
			"POST //" + host + chatPath + " HTTP/1.1\r\nHost: h", "POST @" + host + chatPath + " HTTP/1.1\r\nHost: h", "CONNECT " + host + " HTTP/1.1\r\nHost: " + host,
			"POST " + chatPath + "?base_url=" + at + " HTTP/1.1\r\nHost: h", "POST " + chatPath + " HTTP/1.1\r\nHost: " + host + "@h", "GET /v1/models HTTP/1.1\r\nHost: " + host,
		} {
			c := r.raw(head + "\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(wholeBody)) + "\r\n\r\n" + wholeBody)
			require.NotEmpty(t, c.response().StatusCode)
		}
		require.Equal(t, []string{r.up.Addr()}, d.addresses())
		require.Zero(t, evil.Conns())
	})
}

// A provider that must not be at a private address is not connected to at one, whatever its
// name says, and the client learns nothing of it.
// row C16
func TestPrivateAddressesAreRefusedWhenDialling(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial, func(c *config.Config) {
				p := &c.Providers[0]
				p.BaseURL, p.DenyPrivate = strings.Replace(p.BaseURL, "127.0.0.1", at, 1), true
			})
			for kind, body := range bothKinds {
				p, rec := r.askAs(kind, body)
				p.requireError(t, 502, "upstream_connect_failed")
				require.NotContains(t, string(p.body), "127.0.0.1")
				require.NotContains(t, string(p.body), "private")
				requireNeverSent(t, rec, accounting.OutcomeUpstreamError, "upstream_connect_failed")
			}
			require.Zero(t, r.up.Conns())
			r.reload(func(c *config.Config) { c.Providers[0].BaseURL, c.Providers[0].DenyPrivate = r.up.URL(), false })
			require.Equal(t, 200, r.ask(wholeBody).status)
		})
	}
}

// asJSON is a string as it stands in JSON.
func asJSON(s string) string {
	out, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(out)
}
