package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// vendor is a further provider of a rig, with a list of models.
type vendor struct {
	name   string
	voice  *fakeprovider.Voice
	up     *fakeprovider.Provider
	models []string
}

// vendors are one of each kind, as they would be configured.
func vendors(t *testing.T) []vendor {
	all := []vendor{
		{name: "oai", voice: &fakeprovider.Voice{Dialect: "openai"}, models: []string{"gpt-1", "org/tuned"}},
		{name: "claude", voice: &fakeprovider.Voice{Dialect: "anthropic"}, models: []string{"claude-1"}},
		{name: "google", voice: &fakeprovider.Voice{Dialect: "gemini"}, models: []string{"gemini-1"}},
		{name: "local", voice: &fakeprovider.Voice{Dialect: "ollama"}, models: []string{"llama3:8b", "hf.co/a/b:Q4"}},
		{name: "coral", voice: &fakeprovider.Voice{Dialect: "cohere"}},
		{name: "aws", voice: &fakeprovider.Voice{Dialect: "bedrock"}},
	}
	for i := range all {
		all[i].up = fakeprovider.New(t)
		all[i].serve()
	}
	return all
}

// serve lists the models of v and answers requests.
func (v vendor) serve() {
	v.up.Handle(func(e *fakeprovider.Exchange) {
		if e.Request.Method == http.MethodGet {
			e.JSON(200, v.voice.Models(v.models...))
			return
		}
		saying(v.voice)(e)
	})
}

// with makes vendors the providers of a rig, with keys of their own.
func with(all ...vendor) func(*config.Config) {
	return func(c *config.Config) {
		c.Providers = nil
		for _, v := range all {
			c.Providers = append(c.Providers, config.Provider{
				Name: v.name, Dialect: v.voice.Dialect, BaseURL: v.up.URL(), Region: "eu-test-1", APIKey: config.Secret("key-of-" + v.name),
			})
		}
	}
}

// listed are the ids that GET /v1/models shows.
func (r *rig) listed(headers ...string) (ids []string) {
	r.Helper()
	var list struct {
		Object string
		Data   []struct {
			ID, Object string
			Created    int64
			OwnedBy    string `json:"owned_by"`
		}
	}
	require.Equal(r, 200, r.dial().get("/v1/models", &list, headers...))
	require.Equal(r, "list", list.Object)
	for _, m := range list.Data {
		require.Equal(r, "model", m.Object)
		require.Positive(r, m.Created)
		require.NotEmpty(r, m.OwnedBy)
		ids = append(ids, m.ID)
	}
	return ids
}

// The list has what is configured and what the providers list, under names that work.
func TestModelsOfAllProvidersAreListedTogether(t *testing.T) {
	t.Parallel()
	all := vendors(t)
	r := newRig(t, with(all...), func(c *config.Config) {
		c.Models = []config.Model{{Name: "fast/one", Targets: []config.Target{{Provider: "claude", Model: "claude-1", Weight: 1}}}}
	})
	want := []string{"fast/one", "oai/gpt-1", "oai/org/tuned", "claude/claude-1", "google/gemini-1", "local/llama3:8b", "local/hf.co/a/b:Q4"}
	for range 3 {
		require.Equal(t, want, r.listed("Authorization: Bearer "+canaryClientKey))
	}
	paths := map[string]string{"oai": "/v1/models", "claude": "/v1/models?limit=1000", "google": "/v1beta/models?pageSize=1000", "local": "/api/tags"}
	for _, v := range all {
		if paths[v.name] == "" {
			require.Empty(t, v.up.Exchanges(), v.name)
			continue
		}
		require.Len(t, v.up.Exchanges(), 1, "a list is kept")
		request := v.up.WaitExchange(1).Request
		require.Equal(t, paths[v.name], request.Target)
		require.Contains(t, string(request.Head), "key-of-"+v.name)
		require.NotContains(t, string(request.Head), canaryClientKey)
	}

	for i, id := range want {
		for _, path := range []string{"/v1/models/" + id, "/models/" + id, "/v1/models/" + strings.ReplaceAll(id, "/", "%2F"), "/v1/models/" + strings.ReplaceAll(id, "/", "%2f")} {
			var m struct{ ID, Object string }
			require.Equal(t, 200, r.dial().get(path, &m), path)
			require.Equal(t, id, m.ID)
			require.Equal(t, "model", m.Object)
		}
		p, rec := r.askAs(fmt.Sprint("a", i), asking(id, chatWithTool))
		p.requireWhole(t)
		require.Equal(t, id, rec.ModelAsked)
		if id != "fast/one" {
			require.Equal(t, id, rec.Provider+"/"+rec.ModelServed)
		}
	}
	for _, id := range []string{"none", "claude/claude-2", "claude-1", "nobody/claude-1", "claude/", "google/models/gemini-1"} {
		c := r.dial()
		c.send("GET", "/v1/models/"+id, "")
		read(c.response()).requireError(t, 404, "model_not_found")
	}
	c := r.dial()
	c.send("POST", "/v1/models", "{}")
	read(c.response()).requireError(t, 405, "method_not_allowed")
	c = r.dial()
	_, err := io.WriteString(c, "HEAD /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	head, err := io.ReadAll(c.r)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(head), "HTTP/1.1 200 "))
	require.True(t, strings.HasSuffix(string(head), "\r\n\r\n"))
}

// A provider that fails is left out, and so is one that takes too long: its connection
// is closed. What is known of it from before is listed meanwhile.
func TestProvidersThatListNothing(t *testing.T) {
	t.Parallel()
	all := vendors(t)[:3]
	r := newRig(t, with(all...))
	r.srv.listingTime = time.Hour
	forget := func() {
		list := &r.srv.routes().byName["claude"].models
		list.mu.Lock()
		defer list.mu.Unlock()
		list.at = time.Time{}
	}
	others := []string{"oai/gpt-1", "oai/org/tuned", "google/gemini-1"}
	known := []string{"oai/gpt-1", "oai/org/tuned", "claude/claude-1", "google/gemini-1"}
	claude := all[1]
	good := claude.voice.Models("claude-1")
	bad := map[string]func(*fakeprovider.Exchange){
		"refused":  func(e *fakeprovider.Exchange) { e.JSON(500, good) },
		"redirect": func(e *fakeprovider.Exchange) { e.Head(302, "Location: /", "Content-Length: 0") },
		"page":     func(e *fakeprovider.Exchange) { e.Whole(200, "text/html", []byte("<html>claude-1</html>")) },
		"cut":      func(e *fakeprovider.Exchange) { e.Head(200, "Content-Length: 500"); e.Body([]byte(good)); e.Cut() },
		"cut late": func(e *fakeprovider.Exchange) { e.Head(200); e.Body([]byte(good[:len(good)-1])) },
		"reset":    func(e *fakeprovider.Exchange) { e.Reset() },
		"garbage":  func(e *fakeprovider.Exchange) { e.Raw([]byte(good)) },
		"packed": func(e *fakeprovider.Exchange) {
			e.Whole(200, "application/json", gzipped(t, []byte(good))[0], "Content-Encoding: gzip")
		},
		"endless": func(e *fakeprovider.Exchange) {
			e.Head(200, "Content-Type: application/json")
			for e.Body([]byte(strings.Repeat(" ", 1<<20))) {
			}
		},
	}
	for name, script := range bad {
		claude.up.Handle(script)
		require.Equal(t, others, r.listed(), name)
	}

	// The others are known by now, so however short the time is, it ends only one wait.
	claude.up.Handle(silence)
	r.srv.listingTime = 50 * time.Millisecond
	require.Equal(t, others, r.listed())
	requireClosed(t, claude.up.WaitExchange(len(bad)+1).Conn)

	r.srv.listingTime = time.Hour
	claude.serve()
	require.Equal(t, known, r.listed())
	for name, script := range bad {
		forget()
		claude.up.Handle(script)
		require.Equal(t, known, r.listed(), name)
	}
	forget()
	claude.up.Handle(silence)
	r.srv.listingTime = 50 * time.Millisecond
	require.Equal(t, known, r.listed())
	claude.up.RefuseAll()
	forget()
	require.Equal(t, known, r.listed())
	r.until("a connection for a list is still open", func() bool { return claude.up.OpenConns() == 0 })
}

// The client's own credential goes to the one provider that it can be for, whose list
// may depend on it and is asked for every time.
func TestCredentialsOfListings(t *testing.T) {
	t.Parallel()
	all := vendors(t)[:4]
	const key = "Authorization: Bearer " + canaryClientKey
	keyless := func(names ...string) func(*config.Config) {
		return func(c *config.Config) {
			for i := range c.Providers {
				for _, name := range names {
					if c.Providers[i].Name == name {
						c.Providers[i].APIKey = ""
					}
				}
			}
		}
	}
	got := func() (keys map[string]int) {
		keys = map[string]int{}
		for _, v := range all {
			for _, e := range v.up.Exchanges() {
				keys[v.name] += strings.Count(string(e.Request.Head), canaryClientKey)
			}
		}
		return keys
	}
	r := newRig(t, with(all...), keyless("claude"))
	for i := range 3 {
		require.Len(t, r.listed(key), 6)
		require.Equal(t, map[string]int{"oai": 0, "claude": i + 1, "google": 0, "local": 0}, got())
	}
	require.Equal(t, []string{canaryClientKey}, all[1].up.WaitExchange(1).Request.Header.Values("X-Api-Key"))

	before := got()
	r = newRig(t, with(all...), keyless("claude", "oai"))
	require.Len(t, r.listed(key), 6)
	require.Equal(t, before, got(), "nobody knows whose key it is")

	r = newRig(t, with(all...), keyless("claude"), func(c *config.Config) {
		c.Keys = []config.Key{{Alias: "team", SHA256: hashOf(canaryClientKey)}}
	})
	require.Len(t, r.listed(key), 6)
	require.Equal(t, before, got(), "a key that sluice issued leaves it")
	c := r.dial()
	c.send("GET", "/v1/models", "")
	read(c.response()).requireError(t, 401, "invalid_api_key")
	require.NotContains(t, r.logs.String(), canaryClientKey)
}

// The only provider lists its models under its own names, by which they can be asked
// for; one that speaks OpenAI's dialect answers itself.
func TestModelsOfTheOnlyProvider(t *testing.T) {
	t.Parallel()
	for _, v := range vendors(t) {
		r := newRig(t, with(v))
		if v.models == nil {
			require.Empty(t, r.listed())
			continue
		}
		require.Equal(t, v.models, r.listed(), v.name)
		if v.name == "oai" {
			var m any
			require.Equal(t, 200, r.dial().get("/v1/models/gpt-1", &m))
			require.Equal(t, "/v1/models/gpt-1", v.up.WaitExchange(2).Request.Target)
			continue
		}
		for i, id := range v.models {
			var m struct{ ID string }
			require.Equal(t, 200, r.dial().get("/v1/models/"+id, &m))
			require.Equal(t, id, m.ID)
			_, rec := r.askAs(fmt.Sprint("a", i), asking(id, chatWithTool))
			require.Equal(t, id, rec.ModelServed)
		}
	}
}

// A name that is a step of a path is no model: it would lead to another operation.
func TestNamesThatAreStepsOfAPath(t *testing.T) {
	t.Parallel()
	all := vendors(t)
	r := newRig(t, with(all...))
	for _, v := range all {
		for _, name := range []string{"..", ".", "a\\r\\nX: y", "a\\u0000"} {
			r.ask(asking(v.name+"/"+name, wholeBody)).requireError(t, 404, "model_not_found")
		}
		for i, name := range []string{"../../x", "a/../b", "a?b=c#d", "a b", "a%2e%2e", "a:b", "wörld"} {
			p := r.ask(asking(v.name+"/"+name, wholeBody))
			require.Equal(t, 200, p.status, "%s: %s", name, p.body)
			request := v.up.WaitExchange(i + 1).Request
			path, _, _ := strings.Cut(request.Target, "?")
			require.NotContains(t, "/"+path+"/", "/../", name)
			require.NotContains(t, request.Target, "?b=c")
		}
	}
	only := newRig(t, with(all[5]))
	only.ask(asking("..", wholeBody)).requireError(t, 404, "model_not_found")
}
