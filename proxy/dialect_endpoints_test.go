package proxy

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// Only chat completions are translated. Everything else is refused before anyone is
// called, and has no record.
func TestOtherEndpointsOfEveryDialect(t *testing.T) {
	const notFound, notAllowed, unsupported = "not_found", "method_not_allowed", "unsupported_endpoint"
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		if v.Dialect == config.DialectOpenAI {
			t.Skip("a relay passes them")
		}
		r := newRig(t, speaking(v))
		for _, c := range []struct {
			method, path, body, media, code string
			status                          int
		}{
			{"POST", "/v1/embeddings", `{"model":"m","input":"x"}`, "application/json", unsupported, 404},
			{"POST", "/embeddings", `{"model":"m","input":"x"}`, "application/json", unsupported, 404},
			{"POST", "/v1/completions", `{"model":"m","prompt":"x"}`, "application/json", unsupported, 404},
			{"POST", "/v1/completions", `{"model":"m","prompt":"x","stream":true}`, "application/json", unsupported, 404},
			{"POST", "/v1/responses", `{"model":"m","input":"x"}`, "application/json", unsupported, 404},
			{"POST", "/responses", `{"model":"m","input":"x","stream":true}`, "application/json", unsupported, 404},
			{"POST", "/v1/audio/speech", `{"model":"m","input":"x"}`, "application/json", unsupported, 404},
			{"POST", "/v1/images/generations", `{"prompt":"x"}`, "application/json", unsupported, 404},
			{"POST", "/v1/audio/transcriptions", "--b\r\n\r\n--b--", "multipart/form-data; boundary=b", unsupported, 404},
			{"POST", "/v1/files", "x", "application/octet-stream", unsupported, 404},
			{"GET", "/v1/files", "", "", unsupported, 404},
			{"GET", "/v1/batches/b1", "", "application/json", unsupported, 404},
			{"DELETE", "/v1/files/f1", "", "", unsupported, 404},
			{"POST", "/v1/messages", `{"model":"m","max_tokens":1,"messages":[]}`, "application/json", unsupported, 404},
			{"POST", "/v1/chat/completions/x", `{"model":"m"}`, "application/json", unsupported, 404},
			{"GET", "/v1/chat/completions", "", "", notAllowed, 405},
			{"HEAD", "/v1/chat/completions", "", "", "", 405},
			{"PUT", "/chat/completions", chatWithTool, "application/json", notAllowed, 405},
			{"GET", "/v1/embeddings", "", "", notAllowed, 405},
			{"POST", "/files", "{}", "application/json", notFound, 404},
			{"POST", chatPath, `{"messages":[]}`, "application/json", "missing_model", 400},
			{"POST", chatPath, ``, "application/json", "invalid_json", 400},
			{"POST", chatPath, `{"model":"m"}`, "application/json", "", 400},
			{"POST", chatPath, `{"model":"m","messages":[{"role":"user","content":"x"}],"stream":"yes"}`, "application/json", "invalid_type", 400},
			{"POST", chatPath, `{"model":"m","model":"n","messages":[]}`, "application/json", "duplicate_key", 400},
		} {
			name := fmt.Sprint(c.method, " ", c.path, " ", c.body)
			conn := r.dial()
			_, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", c.method, c.path, c.media, len(c.body), c.body)
			require.NoError(t, err)
			resp, err := http.ReadResponse(conn.r, &http.Request{Method: c.method})
			require.NoError(t, err)
			p := read(resp)
			require.Equal(t, c.status, p.status, "%s: %s", name, p.body)
			require.NotEmpty(t, p.header.Get("X-Request-Id"))
			if c.status == http.StatusMethodNotAllowed {
				require.Equal(t, http.MethodPost, p.header.Get("Allow"))
			}
			if c.code != "" {
				p.requireError(t, c.status, c.code)
				require.Positive(t, r.rejected(c.code), name)
			}
		}
		require.Zero(t, r.up.Conns(), "a provider was called")
		require.Empty(t, r.allEnded())
	})
}

// rejected counts requests that were refused with a code.
func (r *rig) rejected(code string) float64 {
	return r.metric("sluice_rejected_total", "code="+code)
}

// The two forms of Azure's API have their own paths. A version in the client's query
// gives way to the configured one, and the rest of the query stays.
func TestPathsOfAzure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version, base, path, body, want string
	}{
		{"", "", "/v1/chat/completions", wholeBody, "/openai/v1/chat/completions"},
		{"", "", "/v1/chat/completions?api-version=preview", wholeBody, "/openai/v1/chat/completions?api-version=preview"},
		{"", "", "/v1/responses", `{"model":"m","input":"x"}`, "/openai/v1/responses"},
		{"", "/mine", "/v1/chat/completions", wholeBody, "/mine/chat/completions"},
		{"2024-10-21", "", "/v1/chat/completions", wholeBody, "/openai/deployments/m/chat/completions?api-version=2024-10-21"},
		{"2024-10-21", "", "/chat/completions?a=b&api-version=1999&c=", wholeBody, "/openai/deployments/m/chat/completions?a=b&c=&api-version=2024-10-21"},
		{"2024-10-21", "", "/v1/chat/completions?API-Version=1999&", wholeBody, "/openai/deployments/m/chat/completions?api-version=2024-10-21"},
		{"2024-10-21", "", "/v1/embeddings", `{"model":"a b/c","input":"x"}`, "/openai/deployments/a%20b%2Fc/embeddings?api-version=2024-10-21"},
		{"2024-10-21", "", "/v1/completions", `{"model":"m","prompt":"x"}`, "/openai/deployments/m/completions?api-version=2024-10-21"},
		{"2024-10-21", "", "/v1/audio/speech", `{"model":"m","input":"x"}`, "/openai/deployments/m/audio/speech?api-version=2024-10-21"},
		{"2025-04-01-preview", "", "/v1/responses", `{"model":"m","input":"x"}`, "/openai/responses?api-version=2025-04-01-preview"},
		{"2024-10-21", "/base", "/v1/batches", `{"model":"m"}`, "/base/batches?api-version=2024-10-21"},
	} {
		r := newRig(t, func(cfg *config.Config) {
			p := &cfg.Providers[0]
			p.Dialect, p.APIKey, p.APIVersion = config.DialectAzure, "key-of-azure", c.version
			p.BaseURL += c.base
		})
		r.up.Handle(func(e *fakeprovider.Exchange) {
			e.JSON(200, fakeprovider.ChatAnswer(fakeprovider.ChatOptions{}), "apim-request-id: a")
		})
		p := r.dial().askOn(c.path, c.body, "Authorization: Bearer client", "Api-Key: client", "X-Api-Key: client")
		require.Equal(t, 200, p.status, "%s: %s", c.path, p.body)
		request := r.up.WaitExchange(1).Request
		require.Equal(t, c.want, request.Target)
		require.Equal(t, []string{"key-of-azure"}, request.Header.Values("Api-Key"))
		require.Empty(t, request.Get("Authorization"))
		require.NotContains(t, string(request.Head), "client")
	}
}

// Azure is relayed like OpenAI itself, whole and as a stream, and its record says so.
func TestAnswersOfAzureAreRelayed(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"", "2024-10-21"} {
		r := newRig(t, func(c *config.Config) {
			c.Providers[0].Dialect, c.Providers[0].APIVersion = config.DialectAzure, version
		})
		stream := fakeprovider.ChatStream(fakeprovider.ChatOptions{IncludeUsage: true})
		r.play(stream)
		p, rec := r.askAs("stream", streamBody, "Authorization: Bearer of-the-client")
		p.requireWhole(t)
		require.Equal(t, chatText(stream), string(p.body))
		require.Equal(t, config.DialectAzure, rec.DialectOut)
		require.Equal(t, []string{"of-the-client"}, r.up.WaitExchange(1).Request.Header.Values("Api-Key"))

		r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(200, fakeprovider.ChatAnswer(fakeprovider.ChatOptions{})) })
		p, rec = r.askAs("whole", wholeBody)
		require.Equal(t, fakeprovider.ChatAnswer(fakeprovider.ChatOptions{}), string(p.body))
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		var list struct{ Data []any }
		r.up.Handle(fakeprovider.DefaultScript)
		require.Equal(t, 200, r.dial().get("/v1/models", &list))
		want := "/openai/v1/models"
		if version != "" {
			want = "/openai/models?api-version=" + version
		}
		require.Equal(t, want, r.up.WaitExchange(3).Request.Target)
	}
}

// The simulator is neither Azure nor foreign: its path and headers stay as they are.
func TestTheSimulatorIsRelayed(t *testing.T) {
	t.Parallel()
	p := &provider{Provider: config.Provider{Name: "sim", Dialect: config.DialectSim, APIVersion: "ignored"}}
	require.Equal(t, "/chat/completions?a=b", p.relayPath("chat/completions", "m", "?a=b"))
	require.False(t, p.passesCredential())
	require.Nil(t, dialects[config.DialectSim])
}
