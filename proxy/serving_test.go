package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// play makes the fake provider answer every request with these events.
func (r *rig) play(payloads []string) {
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		e.Play(payloads)
	})
}

func TestStreamPassesUnchangedWhenTheClientAsksForUsageItself(t *testing.T) {
	r := newRig(t)
	want := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	r.play(want)

	resp := r.dial().post(streamBody, "X-Request-Id: mine-1")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "mine-1", resp.Header.Get("X-Request-Id"))
	require.True(t, strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream"))
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, string(fakeprovider.SSE(want, "\n")), string(body))

	rec := r.record("mine-1")
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	require.Equal(t, accounting.PhaseTail, rec.Phase)
	require.Equal(t, accounting.SourceReported, rec.UsageSource)
	require.Equal(t, tokens.Known(10), rec.Usage.Input)
	require.Equal(t, tokens.Known(4), rec.Usage.Output)
	require.Equal(t, []string{"stop"}, rec.FinishReasons)
	require.EqualValues(t, len(want), rec.Chunks)
	require.EqualValues(t, len(body), rec.BytesDelivered)
	require.True(t, rec.Delivered)
	require.Nil(t, rec.CloseMicros)
}

func TestUsageThatOnlySluiceAskedForIsHidden(t *testing.T) {
	r := newRig(t)
	r.play(fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true}))

	resp := r.dial().post(`{"model":"m","stream":true,"messages":[]}`, "X-Request-Id: a")
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, string(fakeprovider.SSE(fakeprovider.ChatStream(fakeprovider.ChatOptions{}), "\n")), string(body))

	require.True(t, r.up.WaitExchange(1).Asked().StreamOptions.IncludeUsage)
	rec := r.record("a")
	require.Equal(t, accounting.SourceReported, rec.UsageSource)
	require.Equal(t, tokens.Known(4), rec.Usage.Output)
}

func TestUsageVolunteeredBesideChoicesStays(t *testing.T) {
	r := newRig(t)
	want := fakeprovider.ChatStream(fakeprovider.ChatOptions{FinishUsage: true})
	r.play(want)
	resp := r.dial().post(`{"model":"m","stream":true,"messages":[]}`)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, string(fakeprovider.SSE(want, "\n")), string(body))
}

func TestClientSeesTheModelNameItAskedFor(t *testing.T) {
	r := newRig(t, func(c *config.Config) {
		c.Models = []config.Model{{Name: "fast", Targets: []config.Target{{Provider: "fake", Model: "vendor-model-1", Weight: 1}}}}
	})
	r.play(fakeprovider.ChatStream(fakeprovider.ChatOptions{Model: "vendor-model-1-2026", IncludeUsage: true}))
	resp := r.dial().post(strings.Replace(streamBody, `"m"`, `"fast"`, 1), "X-Request-Id: a")
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, string(fakeprovider.SSE(fakeprovider.ChatStream(fakeprovider.ChatOptions{Model: "fast", IncludeUsage: true}), "\n")), string(body))
	require.Equal(t, "vendor-model-1", r.up.WaitExchange(1).Asked().Model)

	rec := r.record("a")
	require.Equal(t, "fast", rec.ModelAsked)
	require.Equal(t, "vendor-model-1", rec.ModelServed)
	require.Equal(t, "fake/vendor-model-1", rec.Target)
}

func TestWholeAnswerIsForwardedAndCounted(t *testing.T) {
	r := newRig(t)
	want := fakeprovider.ChatAnswer(fakeprovider.ChatOptions{Usage: &fakeprovider.Usage{Prompt: 7, Completion: 5, Reasoning: 2}})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.JSON(200, want, "X-RateLimit-Remaining-Requests: 9", "Set-Cookie: a=b", "OpenAI-Organization: org", "X-Request-Id: up-1")
	})
	resp := r.dial().post(wholeBody, "X-Request-Id: a")
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, want, string(body))
	require.Equal(t, "9", resp.Header.Get("X-RateLimit-Remaining-Requests"))
	require.Equal(t, "up-1", resp.Header.Get("X-Sluice-Upstream-Request-Id"))
	require.Empty(t, resp.Header.Get("Set-Cookie"))
	require.Empty(t, resp.Header.Get("OpenAI-Organization"))

	rec := r.record("a")
	require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
	require.Equal(t, accounting.SourceReported, rec.UsageSource)
	require.Equal(t, tokens.Known(7), rec.Usage.Input)
	require.Equal(t, tokens.Known(2), rec.Usage.OutputReasoning)
	require.Equal(t, tokens.Count{}, rec.Usage.InputCached)
	require.Equal(t, "up-1", rec.UpstreamRequestID)
}

func TestKeepAliveServesManyExchangesOnOneConnectionEachSide(t *testing.T) {
	r := newRig(t)
	stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
	wire := fakeprovider.Response(200, "text/event-stream", fakeprovider.Chunked, fakeprovider.Events(stream)...)
	r.up.Handle(func(e *fakeprovider.Exchange) {
		if !e.Asked().Stream {
			fakeprovider.DefaultScript(e)
			return
		}
		e.Raw(wire) // its end comes with its last event, so there is nothing to wait for
		e.KeepAlive()
	})
	c := r.dial()
	for i := range 50 {
		id := fmt.Sprint("stream-", i)
		data, err := events(c.post(streamBody, "X-Request-Id: "+id))
		require.NoError(t, err)
		require.Equal(t, "[DONE]", data[len(data)-1])
		r.record(id) // by then its upstream connection is free

		id = fmt.Sprint("whole-", i)
		_, err = io.ReadAll(c.post(wholeBody, "X-Request-Id: "+id).Body)
		require.NoError(t, err)
		r.record(id)
	}
	require.Equal(t, 1, r.up.Conns())
}

func TestUnknownModelIsNotFoundWhenModelsAreConfigured(t *testing.T) {
	r := newRig(t, func(c *config.Config) {
		c.Models = []config.Model{{Name: "fast", Targets: []config.Target{{Provider: "fake", Model: "x", Weight: 1}}}}
	})
	resp := r.dial().post(wholeBody)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, 404, resp.StatusCode)
	require.Equal(t, "model_not_found", errorOf(t, body))
	require.Zero(t, r.up.Conns())

	resp = r.dial().post(strings.Replace(wholeBody, `"m"`, `"fake/other"`, 1))
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "other", r.up.WaitExchange(1).Asked().Model)
}

func TestPathsWithAndWithoutVersion(t *testing.T) {
	r := newRig(t)
	for path, status := range map[string]int{
		"/v1/chat/completions": 200, "/chat/completions": 200, "/v1/chat/completions/": 200,
		"/v1/v1/chat/completions": 404, "/v1/../v1/chat/completions": 404, "/v1//chat/completions": 404,
		"/v1/chat%2fcompletions": 404, "/": 404, "/nothing": 404, "/v1": 404,
	} {
		c := r.dial()
		c.send(http.MethodPost, path, wholeBody)
		require.Equal(t, status, c.response().StatusCode, path)
	}
	c := r.dial()
	c.send(http.MethodGet, chatPath, "")
	resp := c.response()
	require.Equal(t, 405, resp.StatusCode)
	require.Equal(t, "POST", resp.Header.Get("Allow"))
}

func TestCredentialIsReplacedOrPassedThrough(t *testing.T) {
	r := newRig(t)
	_ = r.dial().post(wholeBody, "Authorization: Bearer mine", "OpenAI-Organization: org-1", "Cookie: c=1", "X-Forwarded-For: 1.2.3.4", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	got := r.up.WaitExchange(1).Request
	require.Equal(t, "Bearer mine", got.Get("Authorization"))
	require.Equal(t, "org-1", got.Get("OpenAI-Organization"))
	require.NotEmpty(t, got.Get("Traceparent"))
	require.Equal(t, "identity", got.Get("Accept-Encoding"))
	require.Empty(t, got.Get("Cookie"))
	require.Empty(t, got.Get("X-Forwarded-For"))

	r = newRig(t, func(c *config.Config) { c.Providers[0].APIKey = "ours" })
	_ = r.dial().post(wholeBody, "Authorization: Bearer mine", "X-Api-Key: mine", "OpenAI-Organization: org-1")
	got = r.up.WaitExchange(1).Request
	require.Equal(t, "Bearer ours", got.Get("Authorization"))
	require.Empty(t, got.Get("X-Api-Key"))
	require.Empty(t, got.Get("OpenAI-Organization"))
}

func TestConfiguredModelsAreListed(t *testing.T) {
	r := newRig(t, func(c *config.Config) {
		c.Models = []config.Model{
			{Name: "fast", Targets: []config.Target{{Provider: "fake", Model: "x", Weight: 1}}},
			{Name: "team/smart", Targets: []config.Target{{Provider: "fake", Model: "y", Weight: 1}}},
		}
	})
	var list struct{ Data []struct{ ID string } }
	require.Equal(t, 200, r.dial().get("/v1/models", &list))
	require.Equal(t, []struct{ ID string }{{"fast"}, {"team/smart"}, {"fake/fake-model"}}, list.Data)
	var one struct{ ID string }
	require.Equal(t, 200, r.dial().get("/v1/models/team%2Fsmart", &one))
	require.Equal(t, "team/smart", one.ID)
	var failed json.RawMessage
	require.Equal(t, 404, r.dial().get("/v1/models/none", &failed))
}
