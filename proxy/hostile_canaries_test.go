package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// canaries is a rig in which one client says canaries, and everything that others can see
// is collected.
type canaries struct {
	*rig
	t      *testing.T
	second *fakeprovider.Provider
	asked  int

	mu   sync.Mutex
	seen map[string]string // what somebody else could read, by where
}

// newCanaries starts a sluice with two providers, each with a key of its own, and the model
// m at both, the model slow that is hedged, and the model long with a fallback.
func newCanaries(t *testing.T) *canaries {
	c := &canaries{t: t, second: fakeprovider.New(t), seen: map[string]string{}}
	c.rig = newRig(t, func(cfg *config.Config) {
		cfg.Providers[0].APIKey = canaryProviderKey
		cfg.Providers[0].Headers = map[string]config.Secret{"X-Extra": canaryProviderKey + "-extra"}
		other := cfg.Providers[0]
		other.Name, other.BaseURL, other.APIKey = "second", c.second.URL(), canaryProviderKey+"-second"
		cfg.Providers = append(cfg.Providers, other)
		both := []config.Target{{Provider: "fake", Model: "m", Weight: 1, Priority: 1}, {Provider: "second", Model: "m", Weight: 1, Priority: 2}}
		cfg.Models = []config.Model{
			{Name: "m", Targets: both, FirstTokenFailover: true, RetryMaybeRan: true},
			{Name: "slow", Targets: both, HedgeAfter: config.Duration(20 * time.Millisecond)},
			{Name: "long", Targets: both[:1], Fallback: "short"},
			{Name: "short", Targets: both[1:]},
			{Name: "alone", Targets: both[:1]},
		}
		cfg.Keys = []config.Key{
			{Alias: "anna", SHA256: hashOf(canaryClientKey)}, {Alias: "bert", SHA256: hashOf("sk-bert")}, {Alias: "root", SHA256: hashOf("sk-root"), Admin: true},
		}
		cfg.Retry.Backoff, cfg.Retry.SameTarget = config.Duration(time.Millisecond), 1
		cfg.Breaker.Failures = 1_000_000
		cfg.Timeouts.FirstToken, cfg.Timeouts.Idle = short, short
	})
	return c
}

// note keeps what somebody other than the client could read.
func (c *canaries) note(where string, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[where] += text
}

// echo is all that a provider knows of a request, as it may stand in its answer.
func echoOf(e *fakeprovider.Exchange) string {
	return strings.NewReplacer("\r", " ", "\n", " ", `"`, "'", `\`, "/").Replace(string(e.Request.Head) + string(e.Request.Body))
}

// canaryFaults are what a provider does with such a request.
var canaryFaults = map[string]fakeprovider.Script{
	"fine": func(e *fakeprovider.Exchange) {
		if !e.Asked().Stream {
			e.JSON(200, fakeprovider.ChatAnswer(fakeprovider.ChatOptions{Texts: []string{canaryAnswer}, Reasoning: []string{canaryAnswer}}))
			return
		}
		e.StreamHead()
		e.Play(fakeprovider.ChatStream(fakeprovider.ChatOptions{
			Texts: []string{canaryAnswer}, Reasoning: []string{canaryAnswer}, IncludeUsage: true,
			ToolCalls: []fakeprovider.ToolCall{{ID: "call_1", Name: "look", Arguments: []string{`{"at":"`, canaryArguments, `"}`}}},
		}))
	},
	"400": quoting(400), "401": quoting(401), "403": quoting(403), "404": quoting(404), "429": quoting(429), "500": quoting(500), "503": quoting(503), "529": quoting(529),
	"plain": func(e *fakeprovider.Exchange) { e.Whole(500, "text/plain", []byte(echoOf(e))) },
	"page":  func(e *fakeprovider.Exchange) { e.Whole(200, "text/html", []byte(echoOf(e))) },
	"headers": func(e *fakeprovider.Exchange) {
		e.JSON(500, `{}`, "Set-Cookie: "+echoOf(e), "WWW-Authenticate: "+echoOf(e), "X-Echo: "+echoOf(e), "Server: "+echoOf(e))
	},
	"reason": func(e *fakeprovider.Exchange) {
		e.Raw([]byte("HTTP/1.1 500 " + echoOf(e) + "\r\nContent-Length: 0\r\n\r\n"))
	},
	"redirect": func(e *fakeprovider.Exchange) {
		e.Head(302, "Location: http://127.0.0.1:1/"+canaryPrompt, "Content-Length: 0")
	},
	"interim": func(e *fakeprovider.Exchange) { e.Head(101, "X-Echo: "+echoOf(e)) },
	"encoding": func(e *fakeprovider.Exchange) {
		e.Whole(200, "application/json", []byte(echoOf(e)), "Content-Encoding: "+canaryPrompt)
	},
	"no gzip": func(e *fakeprovider.Exchange) {
		e.Whole(200, "application/json", []byte(echoOf(e)), "Content-Encoding: gzip")
	},
	"garbage":   func(e *fakeprovider.Exchange) { e.Raw([]byte(echoOf(e) + "\r\n\r\n")) },
	"bad field": func(e *fakeprovider.Exchange) { e.Raw([]byte("HTTP/1.1 200 OK\r\n" + canaryPrompt + "\r\n\r\n")) },
	"bad chunk": func(e *fakeprovider.Exchange) { e.StreamHead(); e.Raw([]byte(canaryPrompt + "\r\n" + echoOf(e))) },
	"bad JSON":  func(e *fakeprovider.Exchange) { e.StreamHead(); e.Event("{" + canaryAnswer); e.EndChunks() },
	"failure": func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Event(firstChunks[0])
		e.Event(fakeprovider.ErrorBody(echoOf(e), canaryPrompt+" of a type", canaryPrompt+" of a code"))
	},
	"failed": func(e *fakeprovider.Exchange) {
		e.JSON(200, fakeprovider.ErrorBody(echoOf(e), canaryPrompt+" of a type", canaryPrompt+" of a code"))
	},
	"reset":  func(e *fakeprovider.Exchange) { e.Reset() },
	"closed": func(e *fakeprovider.Exchange) { e.Close() },
	"cut": func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Event(firstChunks[0])
		e.Event(`{"choices":[{"index":0,"delta":{"content":"` + canaryAnswer + `"}}]}`)
		e.Cut()
	},
	"late": func(e *fakeprovider.Exchange) { e.Hold() },
	"stalled": func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Event(`{"choices":[{"index":0,"delta":{"content":"` + canaryAnswer + `"}}]}`)
		e.Hold()
	},
	"too long": func(e *fakeprovider.Exchange) {
		e.JSON(400, fakeprovider.ErrorBody("maximum context length "+echoOf(e), "invalid_request_error", "context_length_exceeded"))
	},
}

func quoting(status int) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		e.JSON(status, fakeprovider.ErrorBody("Incorrect API key provided: "+echoOf(e), canaryPrompt+" of a type", canaryPrompt+" of a code"), "Retry-After: 0")
	}
}

// body asks for a model with canaries in everything that a person or a tool may say.
func (c *canaries) body(model string, stream bool) string {
	return fmt.Sprintf(`{"model":%q,"stream":%v,"user":"%s","metadata":{"a":"%[3]s"},"stop":"%[3]s","messages":[{"role":"system","content":"%[3]s"},{"role":"user","content":"%[3]s"},`+
		`{"role":"assistant","content":null,"tool_calls":[{"id":"call_0","type":"function","function":{"name":"look","arguments":"{\"at\":\"%s\"}"}}]},{"role":"tool","tool_call_id":"call_0","content":"%[4]s"}],`+
		`"tools":[{"type":"function","function":{"name":"look","description":"%[3]s","parameters":{"type":"object"}}}]}`, model, stream, canaryPrompt, canaryArguments)
}

const asAnna = "Authorization: Bearer " + canaryClientKey

// ask makes a request with canaries, while another client looks around.
func (c *canaries) ask(id, body string, headers ...string) {
	c.t.Helper()
	p := c.rig.ask(body, append(headers, asAnna, "X-Request-Id: "+id)...)
	require.NotContains(c.t, string(p.body)+fmt.Sprint(p.header), canaryProviderKey, "%s: the client got the provider's key: %s", id, p.body)
	require.NotContains(c.t, fmt.Sprint(p.header), "canary", "%s", id)
	if c.asked++; c.asked%3 == 0 {
		c.others(id)
	}
}

// others notes what other clients get meanwhile.
func (c *canaries) others(id string) {
	for _, request := range []string{
		"GET /v1/requests HTTP/1.1\r\nX-Api-Key: sk-root", "GET /v1/requests/" + id + " HTTP/1.1\r\nX-Api-Key: sk-root", "GET /v1/requests HTTP/1.1\r\nX-Api-Key: sk-bert",
		"GET /v1/requests/" + id + " HTTP/1.1\r\nX-Api-Key: sk-bert", "GET /v1/models/" + id + " HTTP/1.1\r\nX-Api-Key: sk-bert", "GET /nothing HTTP/1.1\r\nX-Api-Key: sk-bert", "GET /v1/requests HTTP/1.1",
	} {
		answer, err := io.ReadAll(c.raw(request + "\r\nHost: h\r\nConnection: close\r\n\r\n"))
		require.NoError(c.t, err)
		c.note(request, string(answer))
	}
}

// profiles notes what profiles of the process show.
func (c *canaries) profiles() {
	for _, name := range []string{"goroutine", "heap", "allocs", "block", "mutex", "threadcreate"} {
		for debug := range 3 {
			var b bytes.Buffer
			require.NoError(c.t, pprof.Lookup(name).WriteTo(&b, debug))
			c.note("profile "+name, b.String())
		}
	}
}

// requireSilence asserts that no canary sings anywhere.
func (c *canaries) requireSilence() {
	c.t.Helper()
	written, err := json.Marshal(c.allEnded())
	require.NoError(c.t, err)
	c.note("records", string(written))
	metrics := c.scraper(c.t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(metrics.url)
	require.NoError(c.t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	require.NoError(c.t, resp.Body.Close())
	c.note("metrics", string(text))
	c.note("log", c.logs.String())
	c.note("targets", fmt.Sprint(c.srv.Targets()))
	for where, text := range c.seen {
		for _, canary := range []string{canaryPrompt, canaryAnswer, canaryArguments, canaryClientKey, canaryProviderKey} {
			at := strings.Index(strings.ToLower(text), canary)
			require.Negative(c.t, at, "%s in %s: %s", canary, where, text[max(0, at-200):min(len(text), max(at, 0)+200)])
		}
	}
}

// Whatever goes wrong with a request, and whatever its provider says of it, no word of it and
// no key is in anything that is written down or that anybody else can see.
// rows C19, C20
func TestCanariesOfFaults(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	c.second.Handle(canaryFaults["fine"])
	n := 0
	for name, script := range canaryFaults {
		for _, model := range []string{"m", "slow", "long", "alone"} {
			for _, stream := range []bool{true, false} {
				c.up.Handle(script)
				n++
				c.ask(fmt.Sprintf("%s-%s-%d", strings.ReplaceAll(name, " ", ""), model, n), c.body(model, stream))
			}
		}
	}
	kinds := map[string]int{}
	for _, rec := range c.allEnded() {
		for _, a := range rec.Attempts {
			kinds[a.Kind]++
		}
	}
	for _, kind := range []string{accounting.AttemptFirst, accounting.AttemptRetry, accounting.AttemptFallback, accounting.AttemptHedge} {
		require.Positive(t, kinds[kind], kind)
	}
	c.requireSilence()
}

// Nor do panics tell, in whatever phase, nor departures, cancels, reloads that fail, or
// requests that are refused.
// rows C19, C20
func TestCanariesOfEndings(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	c.second.Handle(canaryFaults["fine"])
	c.srv.onPhase = func(x *exchange, p accounting.Phase) {
		if strings.HasPrefix(x.id, "panic-"+p.String()) {
			panic(fmt.Sprint(string(x.prompt.bytes()), canaryClientKey, canaryProviderKey, x))
		}
	}
	c.up.Handle(canaryFaults["fine"])
	for _, phase := range accounting.Phases() {
		for i, stream := range []bool{true, false} {
			c.ask(fmt.Sprintf("panic-%s-%d", phase, i), c.body("m", stream))
		}
	}
	require.Contains(t, c.logs.String(), "panic in an exchange")

	c.up.Handle(canaryFaults["stalled"])
	leave := []func(x *client, id string){
		func(x *client, _ string) { x.reset() }, func(x *client, _ string) { require.NoError(t, x.Close()) },
		func(_ *client, id string) { c.cancelVia("POST", id, asAnna) },
		func(*client, string) { c.profiles() },
	}
	for i, end := range leave {
		x, id := c.dial(), fmt.Sprint("leaves-", i)
		x.send("POST", chatPath, c.body("alone", true), asAnna, "X-Request-Id: "+id)
		c.inPhase(accounting.PhaseStreaming)
		c.others(id)
		end(x, id)
		c.allEnded()
	}

	for name, bad := range badConfigurations(t) {
		err := c.srv.Reload(c.next(bad), nil)
		require.Error(t, err)
		c.note("reload "+name, err.Error())
	}
	for i, body := range []string{"{" + canaryPrompt, `{"model":"` + canaryPrompt + `"}`, `{"model":"m","` + canaryPrompt + `":1`, `{"model":7,"user":"` + canaryPrompt + `"}`, `{"model":"m","model":"` + canaryPrompt + `"}`} {
		x := c.dial()
		x.send("POST", chatPath, body, asAnna, "X-Request-Id: "+fmt.Sprint("bad-", i))
		read(x.response())
	}
	for _, raw := range []string{
		"POST " + chatPath + "?key=" + canaryClientKey + "&prompt=" + canaryPrompt + " HTTP/1.1\r\nHost: h\r\n" + asAnna + "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"GET /v1/files?key=" + canaryClientKey + " HTTP/1.1\r\nHost: h\r\n" + asAnna + "\r\n\r\n",
		"POST /v1/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer wrong-" + canaryClientKey + "\r\nContent-Length: 0\r\n\r\n",
		"POST /v1/x HTTP/1.1\r\nHost: h\r\n" + asAnna + "\r\n" + canaryPrompt + "\r\n\r\n", canaryClientKey + " " + canaryPrompt + "\r\n\r\n",
		"POST " + chatPath + " HTTP/1.1\r\nHost: h\r\n" + asAnna + "\r\nTransfer-Encoding: chunked\r\n\r\n" + canaryPrompt + "\r\n",
		"POST " + chatPath + " HTTP/1.1\r\nHost: h\r\n" + asAnna + "\r\nContent-Length: 5000\r\n\r\n" + canaryPrompt,
	} {
		x := c.raw(raw)
		require.NoError(t, x.Conn.(interface{ CloseWrite() error }).CloseWrite())
		_, _ = io.ReadAll(x)
	}
	c.up.Handle(canaryFaults["fine"])
	c.ask("after", c.body("m", true))
	c.requireSilence()
}

// Nor do books that cannot be kept.
// rows C19, C20
func TestCanariesWithoutBooks(t *testing.T) {
	t.Parallel()
	for _, begin := range []bool{true, false} {
		c := newCanaries(t)
		c.srv.ledger = &brokenLedger{Memory: c.ledger, begin: begin, finish: !begin}
		c.up.Handle(canaryFaults["fine"])
		for i, stream := range []bool{true, false} {
			c.ask(fmt.Sprint("nobooks-", i), c.body("m", stream))
		}
		c.requireSilence()
	}
}
