package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

const (
	canaryPrompt      = "canary-prompt"
	canaryAnswer      = "canary-answer"
	canaryArguments   = "canary-arguments"
	canaryClientKey   = "canary-client-key"
	canaryProviderKey = "canary-provider-key"
)

// withCanaries puts canaries wherever a request has words of its user.
func withCanaries(body string) string {
	body = strings.Replace(body, "Say hello to the world.", canaryPrompt, 1)
	return strings.Replace(body, `"model":"m"`, `"model":"m","user":"`+canaryPrompt+`","metadata":{"a":"`+canaryPrompt+`"},"stop":"`+canaryPrompt+`"`, 1)
}

// canarySaid is an answer with canaries in it.
var canarySaid = fakeprovider.Said{
	Thinking: canaryAnswer, Signature: canarySignature, Texts: []string{canaryAnswer},
	Calls: []fakeprovider.ToolCall{{ID: "call_1", Name: "look", Arguments: []string{`{"at":"` + canaryArguments + `"}`}}},
}

// canarySignature is base64, as the providers' are.
const canarySignature = "canarysignature="

// requireNoCanary asserts that nothing that is written down has a canary in it, nor
// what a client gets that has no right to one.
func requireNoCanary(t testing.TB, r *rig, p reply, records ...*accounting.Record) {
	t.Helper()
	written, err := json.Marshal(records)
	require.NoError(t, err)
	families, err := r.srv.metrics.Registry().Gather()
	require.NoError(t, err)
	for name, text := range map[string]string{
		"log": r.logs.String(), "records": string(written), "metrics": fmt.Sprint(families), "head of the answer": fmt.Sprint(p.header),
	} {
		text = strings.ToLower(text)
		at := strings.Index(text, "canary")
		require.Negative(t, at, "a canary in the %s: %s", name, text[max(0, at-200):min(len(text), max(at, 0)+200)])
	}
	for _, key := range []string{canaryClientKey, canaryProviderKey, awsSecret, awsSession, awsKeyID, googleToken, refreshToken, clientSecret, serviceAnswer} {
		require.NotContains(t, string(p.body), key)
	}
}

// canaryRig is a rig whose provider has a key of its own and whose clients may have one.
func canaryRig(t *testing.T, v *fakeprovider.Voice, changes ...func(*config.Config)) *rig {
	t.Helper()
	return newRig(t, append([]func(*config.Config){speaking(v), func(c *config.Config) {
		c.Providers[0].APIKey = canaryProviderKey
		c.Providers[0].Headers = map[string]config.Secret{"X-Extra": canaryProviderKey}
	}}, changes...)...)
}

// Whatever happens to a request, nothing that is written down has a word of it, of its
// answer or of a key in it.
func TestNothingSaidIsWrittenDownInAnyDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		scripts := map[string]func(e *fakeprovider.Exchange){
			"fine": func(e *fakeprovider.Exchange) {
				if !wantsStream(e) {
					e.JSON(200, v.Answer(canarySaid))
					return
				}
				say(e, v, v.Fresh().Stream(canarySaid)...)
				e.EndChunks()
			},
			"cut": func(e *fakeprovider.Exchange) {
				all := v.Fresh().Stream(canarySaid)
				say(e, v, all[:len(all)-1]...)
			},
			"failure": func(e *fakeprovider.Exchange) {
				v := v.Fresh()
				say(e, v, v.Start(), v.Text(canaryAnswer), v.Failure(canaryAnswer))
			},
			"failed":  func(e *fakeprovider.Exchange) { e.JSON(200, v.FailedAnswer(canaryAnswer)) },
			"refused": func(e *fakeprovider.Exchange) { v.Refuse(e, 400, canaryAnswer+" "+canaryPrompt) },
			"busy":    func(e *fakeprovider.Exchange) { v.Refuse(e, 429, canaryAnswer) },
			"page":    func(e *fakeprovider.Exchange) { e.Whole(200, "text/html", []byte(canaryAnswer)) },
			"garbage": func(e *fakeprovider.Exchange) { e.Raw([]byte(canaryAnswer + "\r\n\r\n")) },
			"broken": func(e *fakeprovider.Exchange) {
				say(e, v, []byte("data: "+canaryAnswer+strings.Repeat("\n", 20)))
			},
			"headers": func(e *fakeprovider.Exchange) {
				e.JSON(500, `{"error":{"message":"`+canaryAnswer+`","code":"`+canaryAnswer+` of a code","type":"`+canaryAnswer+` of a type"}}`,
					"Set-Cookie: "+canaryAnswer, "X-Internal: "+canaryAnswer, "WWW-Authenticate: "+canaryAnswer)
			},
			"gone": func(e *fakeprovider.Exchange) { e.Reset() },
		}
		r := canaryRig(t, v)
		for name, script := range scripts {
			for kind, body := range map[string]string{"stream": chatWithTool, "whole": wholeWithTool} {
				r.up.Handle(script)
				p, rec := r.askAs(name+kind, withCanaries(body), "Authorization: Bearer "+canaryClientKey, "X-Api-Key: "+canaryClientKey)
				requireNoCanary(t, r, p, rec)
				request := r.up.Exchanges()[len(r.up.Exchanges())-1].Request
				require.NotContains(t, string(request.Head)+string(request.Body), canaryClientKey)
				require.Contains(t, string(request.Head), canaryProviderKey)
				if name == "fine" {
					require.Contains(t, string(p.body), canaryArguments)
					require.Equal(t, accounting.OutcomeCompleted, rec.Outcome, "%s", p.body)
				}
			}
		}
		var list any
		require.Equal(t, 200, r.dial().get("/v1/requests/finestream", &list))
		shown, err := json.Marshal(list)
		require.NoError(t, err)
		require.NotContains(t, string(shown), "canary")
	})
}

// A request that is refused is not written down either: its error quotes no value.
func TestRefusedRequestsAreNotWrittenDownInAnyDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		if v.Dialect == config.DialectOpenAI {
			t.Skip("the provider refuses itself")
		}
		r := canaryRig(t, v)
		for _, members := range []string{
			`"web_search_options":{"a":"canary"}`, `"messages":[{"role":"canary","content":"x"}]`, `"messages":[{"role":"user","content":7}]`,
			`"messages":[{"role":"user","content":[{"type":"canary"}]}]`, `"messages":"canary"`, `"tools":[{"type":"canary"}]`,
			`"tool_choice":"canary"`, `"response_format":{"type":"canary"}`, `"reasoning_effort":{"canary":1}`, `"stop":[["canary"]]`,
			`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"canary:x"}}]}]`,
			`"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"x","format":"canary"}}]}]`,
			`"modalities":["canary"]`, `"n":"canary"`, `"max_tokens":"canary"`, `"temperature":"canary"`,
		} {
			body := `{"model":"m",` + members
			if !strings.Contains(members, `"messages"`) {
				body += `,"messages":[{"role":"user","content":"canary"}]`
			}
			r.up.Handle(saying(v))
			before := len(r.up.Exchanges())
			p := r.ask(body+"}", "Authorization: Bearer "+canaryClientKey)
			if len(r.up.Exchanges()) == before {
				require.Equal(t, 400, p.status, "%s: %s", members, p.body)
				require.NotContains(t, string(p.body), "canary", members)
			}
			requireNoCanary(t, r, p, r.allEnded()...)
		}
	})
}

// A panic while a request is translated, or its answer, is logged without them.
func TestPanicsSayNothingInAnyDialect(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := canaryRig(t, v)
		r.up.Handle(func(e *fakeprovider.Exchange) {
			say(e, v, v.Fresh().Stream(canarySaid)...)
			e.EndChunks()
		})
		r.srv.onPhase = func(x *exchange, p accounting.Phase) {
			if p == accounting.PhaseStreaming {
				panic(fmt.Sprint(string(x.prompt.bytes()), x.last().foreign))
			}
		}
		p, rec := r.askAs("a", withCanaries(chatWithTool), "Authorization: Bearer "+canaryClientKey)
		require.Contains(t, string(p.body), `"code":"internal"`)
		require.NotContains(t, string(p.body), "[DONE]")
		require.Equal(t, accounting.OutcomeInternal, rec.Outcome)
		require.Contains(t, r.logs.String(), "panic in an exchange")
		requireNoCanary(t, r, p, rec)
		requireClosed(t, r.up.WaitConn(1))
	})
}

// Which credential a provider gets, in which header, with and without keys of sluice's.
func TestCredentialsOfEveryDialect(t *testing.T) {
	headers := map[string]string{"anthropic": "X-Api-Key", "gemini": "X-Goog-Api-Key"}
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		header, form := headers[v.Dialect], "%s"
		if header == "" || v.Enveloped {
			header, form = "Authorization", "Bearer %s"
		}
		for _, sent := range []string{"Authorization: Bearer ", "X-Api-Key: ", "Api-Key: "} {
			for _, c := range []struct {
				key, want string
				keys      bool
			}{{canaryProviderKey, canaryProviderKey, false}, {canaryProviderKey, canaryProviderKey, true}, {"", canaryClientKey, false}, {"", "", true}} {
				if c.key == "" && (v.Dialect == config.DialectBedrock || v.Enveloped) {
					continue // it is called with the credentials of the machine
				}
				r := canaryRig(t, v, func(cfg *config.Config) {
					cfg.Providers[0].APIKey, cfg.Providers[0].Headers = config.Secret(c.key), nil
					if c.keys {
						cfg.Keys = []config.Key{{Alias: "team", SHA256: hashOf(canaryClientKey)}}
					}
				})
				r.up.Handle(saying(v))
				p := r.ask(wholeWithTool, sent+canaryClientKey, "X-Goog-Api-Key: "+canaryClientKey, "Cookie: "+canaryClientKey)
				require.Equal(t, 200, p.status)
				request := r.up.WaitExchange(1).Request
				if c.want != canaryClientKey {
					require.NotContains(t, string(request.Head), canaryClientKey)
				}
				if c.want == "" {
					require.Empty(t, request.Get(header))
					continue
				}
				if v.Dialect == config.DialectOpenAI && c.key == "" { // it comes in the header it came in
					require.Equal(t, 1, strings.Count(string(request.Head), canaryClientKey))
					continue
				}
				require.Equal(t, []string{fmt.Sprintf(form, c.want)}, request.Header.Values(header))
				require.Equal(t, 1, strings.Count(string(request.Head), c.want))
			}
		}
	})
}

// AWS's signature covers the request as it is sent.
func TestSignedRequestsToBedrock(t *testing.T) {
	cloud := newCloud(t, "aws")
	cloud.answers <- http.StatusOK
	for i, v := range cloud.voices() {
		if i > 0 {
			cloud.answers <- http.StatusOK
		}
		r := newRig(t, cloud.using(v))
		r.up.Handle(saying(v))
		p, rec := r.askAs("a", asking("anthropic.claude:0", chatWithTool), "Authorization: Bearer "+canaryClientKey)
		require.Equal(t, 200, p.status)
		require.Equal(t, accounting.OutcomeCompleted, rec.Outcome)
		request := r.up.WaitExchange(1).Request
		require.Contains(t, request.Target, "/model/anthropic.claude%3A0/")
		require.Regexp(t, `^AWS4-HMAC-SHA256 Credential=`+awsKeyID+`/\d{8}/eu-test-1/bedrock/aws4_request, SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, Signature=[0-9a-f]{64}$`, request.Get("Authorization"))
		require.NotContains(t, string(request.Head), awsSecret)
		require.NotContains(t, string(request.Head), canaryClientKey)
		requireNoCanary(t, r, p, rec)
	}
}

// A provider that quotes the key that it does not accept does not tell it to the client, in
// whatever form it says so.
// row C19
func TestProvidersOwnKeyIsBlottedOutOfItsErrors(t *testing.T) {
	inEveryDialect(t, func(t *testing.T, v *fakeprovider.Voice) {
		r := canaryRig(t, v)
		const quoted = "Incorrect API key: " + canaryProviderKey + ", " + canaryProviderKey + "!"
		want := strings.ReplaceAll(quoted, canaryProviderKey, strings.Repeat("*", len(canaryProviderKey)))
		for name, script := range map[string]func(e *fakeprovider.Exchange){
			"refused": func(e *fakeprovider.Exchange) { v.Refuse(e, 401, quoted) },
			"text":    func(e *fakeprovider.Exchange) { e.Whole(403, "text/plain", []byte(quoted)) },
			"failed":  func(e *fakeprovider.Exchange) { e.JSON(200, v.FailedAnswer(quoted)) },
			"failure": func(e *fakeprovider.Exchange) {
				v := v.Fresh()
				say(e, v, v.Start(), v.Failure(quoted))
			},
		} {
			for kind, body := range map[string]string{"stream": chatWithTool, "whole": wholeWithTool} {
				r.up.Handle(script)
				p := r.ask(body)
				require.NotContains(t, string(p.body), canaryProviderKey, "%s/%s", name, kind)
				if strings.Contains(string(p.body), "Incorrect") {
					require.Contains(t, string(p.body), want, "%s/%s", name, kind)
				}
			}
		}
	})
}
