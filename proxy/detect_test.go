package proxy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// unsaid leaves open whether the provider is asked for running usage.
func unsaid(c *config.Config) { c.Providers[0].ContinuousUsage = nil }

func modelList(owners ...string) string {
	var models []string
	for _, owner := range owners {
		models = append(models, `{"id":"m","object":"model","created":1700000000,"owned_by":"`+owner+`","root":"m"}`)
	}
	return `{"object":"list","data":[` + strings.Join(models, ",") + `]}`
}

// listing makes the provider list models as answer does, and answer chats as a server that
// tells the running usage if it is asked for.
func (r *rig) listing(answer func(e *fakeprovider.Exchange)) {
	r.up.Handle(func(e *fakeprovider.Exchange) {
		if e.Request.Method == http.MethodGet {
			answer(e)
			return
		}
		asked := e.Asked()
		o := fakeprovider.ChatOptions{IncludeUsage: asked.StreamOptions.IncludeUsage, RunningUsage: asked.StreamOptions.ContinuousUsageStats}
		if !asked.Stream {
			e.JSON(200, fakeprovider.ChatAnswer(o))
			return
		}
		e.StreamHead()
		e.Play(fakeprovider.ChatStream(o))
	})
}

// asksFor reads off the requests for streams whether they ask for running usage.
func (r *rig) asksFor() (asked []bool) {
	for _, e := range r.up.Exchanges() {
		if e.Request.Method == http.MethodPost {
			asked = append(asked, e.Asked().StreamOptions.ContinuousUsageStats)
		}
	}
	return asked
}

// lists are the requests for the list of models.
func (r *rig) lists() (requests []*fakeprovider.Request) {
	for _, e := range r.up.Exchanges() {
		if e.Request.Method == http.MethodGet {
			requests = append(requests, e.Request)
		}
	}
	return requests
}

// idle waits until nothing goes on in the background. More may begin.
func (r *rig) idle() {
	r.srv.background.waiting.Wait()
}

const plainBody = `{"model":"m","stream":true,"messages":[]}`

// A server that says that it is vLLM or SGLang is asked for running usage from then on, and
// the client sees nothing of it.
func TestServersThatTellRunningUsageAreDetected(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"vllm", "sglang"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, unsaid, func(c *config.Config) { c.Providers[0].APIKey = canaryProviderKey })
			r.listing(func(e *fakeprovider.Exchange) { e.JSON(200, modelList(name, name)) })
			require.Equal(t, 200, r.ask(wholeBody).status)
			first := r.ask(plainBody, "Authorization: Bearer "+canaryClientKey)
			first.requireWhole(t)
			r.until("it is not detected", func() bool { return r.srv.routes().providers[0].runningUsage.Load() })
			second, rec := r.askAs("a", plainBody)
			second.requireWhole(t)
			require.Equal(t, string(first.body), string(second.body))
			require.NotContains(t, string(second.body), "usage")
			require.Equal(t, accounting.SourceReported, rec.UsageSource)
			third := r.ask(`{"model":"m","stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true},"messages":[]}`)
			require.Greater(t, strings.Count(string(third.body), `"usage":{`), 3, "who asks for it gets it")
			require.Equal(t, []bool{false, false, true, true}, r.asksFor())

			r.allEnded()
			r.idle()
			lists := r.lists()
			require.Len(t, lists, 1)
			require.Equal(t, "/v1/models", lists[0].Target)
			require.Equal(t, "Bearer "+canaryProviderKey, lists[0].Get("Authorization"))
			require.NotContains(t, string(lists[0].Head), canaryClientKey)
			require.Equal(t, 1, strings.Count(r.logs.String(), `"server":"`+name+`"`))
			requireNoCanary(t, r, second, rec)
		})
	}
}

// With running usage a stream that is cut has the server's own numbers.
func TestCutStreamOfADetectedServerHasItsNumbers(t *testing.T) {
	t.Parallel()
	r := newRig(t, unsaid)
	r.listing(func(e *fakeprovider.Exchange) { e.JSON(200, modelList("vllm")) })
	r.ask(plainBody).requireWhole(t)
	r.until("it is not detected", func() bool { return r.srv.routes().providers[0].runningUsage.Load() })
	chunks := fakeprovider.ChatStream(fakeprovider.ChatOptions{RunningUsage: true})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		e.StreamHead()
		for _, c := range chunks[:3] {
			e.Event(c)
		}
		e.Cut()
	})
	_, rec := r.askAs("a", plainBody)
	require.Equal(t, accounting.SourceRunning, rec.UsageSource)
	require.Equal(t, tokens.Known(10), rec.Usage.Input)
	require.Equal(t, tokens.Known(2), rec.Usage.Output)
}

// Every other server is asked what it is at most once, and never for running usage.
func TestOtherServersAreNotAskedForRunningUsage(t *testing.T) {
	t.Parallel()
	answers := func(status int, body string) func(e *fakeprovider.Exchange) {
		return func(e *fakeprovider.Exchange) { e.JSON(status, body) }
	}
	for name, c := range map[string]struct {
		change func(*config.Config)
		answer func(e *fakeprovider.Exchange)
		asked  int
	}{
		"another server":   {unsaid, answers(200, modelList("openai")), 1},
		"several owners":   {unsaid, answers(200, modelList("vllm", "openai")), 1},
		"several servers":  {unsaid, answers(200, modelList("vllm", "sglang")), 1},
		"no owner":         {unsaid, answers(200, `{"data":[{"id":"m"},{"id":"vllm"}]}`), 1},
		"no models":        {unsaid, answers(200, `{"data":[]}`), 1},
		"no list":          {unsaid, answers(200, `"vllm"`), 1},
		"no JSON":          {unsaid, answers(200, "vllm"), 1},
		"no such path":     {unsaid, answers(404, modelList("vllm")), 1},
		"who are you":      {unsaid, answers(401, modelList("vllm")), 1},
		"busy":             {unsaid, answers(503, modelList("vllm")), 1},
		"no answer":        {unsaid, func(e *fakeprovider.Exchange) { e.Reset() }, 1},
		"turned off":       {func(c *config.Config) { c.Providers[0].ContinuousUsage = no }, answers(200, modelList("vllm")), 0},
		"no usage at all":  {func(c *config.Config) { unsaid(c); c.Providers[0].IncludeUsage = no }, answers(200, modelList("vllm")), 0},
		"answers slowly":   {unsaid, func(e *fakeprovider.Exchange) { e.Hold() }, 1},
		"a known vendor's": {func(c *config.Config) { unsaid(c); c.Providers[0].Dialect = config.DialectAzure }, answers(200, modelList("vllm")), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, c.change)
			r.listing(c.answer)
			for range 5 {
				r.ask(plainBody, "Authorization: Bearer "+canaryClientKey).requireWhole(t)
			}
			r.allEnded()
			r.idle()
			r.ask(plainBody).requireWhole(t)
			r.allEnded()
			r.idle()
			require.NotContains(t, r.asksFor(), true)
			require.Len(t, r.lists(), c.asked)
			for _, request := range r.lists() {
				require.NotContains(t, string(request.Head), canaryClientKey)
			}
			require.NotContains(t, r.logs.String(), "canary")
		})
	}
}

// A server that could not be asked is asked again after an hour, one that has answered is
// not, and of many who want to know one asks.
func TestDetectionIsDue(t *testing.T) {
	t.Parallel()
	d := detection{wanted: true}
	require.True(t, d.due(time.Minute))
	require.False(t, d.due(time.Minute))
	require.False(t, d.due(time.Minute+detectAgain-1))
	require.True(t, d.due(time.Minute+detectAgain))
	require.False(t, d.due(time.Minute+detectAgain))
	d.over.Store(true)
	require.False(t, d.due(time.Minute+3*detectAgain))
	require.False(t, (&detection{}).due(time.Minute))

	d = detection{wanted: true}
	due := make(chan bool, 100)
	for range cap(due) {
		go func() { due <- d.due(time.Second) }()
	}
	count := 0
	for range cap(due) {
		if <-due {
			count++
		}
	}
	require.Equal(t, 1, count)
}

// A server that refuses to be asked is left alone from then on.
func TestServerThatRefusesIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	const forbidden = `{"object":"error","message":"[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options', 'continuous_usage_stats')}]","code":400}`
	r := newRig(t, unsaid)
	r.listing(func(e *fakeprovider.Exchange) { e.JSON(200, modelList("vllm")) })
	r.ask(plainBody).requireWhole(t)
	p := r.srv.routes().providers[0]
	r.until("it is not detected", p.runningUsage.Load)

	refuse := func(status int, body string) {
		r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(status, body) })
		require.Equal(t, status, r.ask(plainBody).status)
		r.allEnded()
	}
	refuse(400, fakeprovider.ErrorBody("too long", "t", "c"))
	refuse(500, forbidden)
	require.True(t, p.runningUsage.Load(), "that had other reasons")
	refuse(400, forbidden)
	require.False(t, p.runningUsage.Load())
	r.listing(func(e *fakeprovider.Exchange) { e.JSON(200, modelList("vllm")) })
	r.ask(plainBody).requireWhole(t)
	require.Equal(t, []bool{false, true, true, true, false}, r.asksFor())
	require.Len(t, r.lists(), 1)
	require.Equal(t, 1, strings.Count(r.logs.String(), "is not asked any more"))
}

// What changes while an exchange runs changes nothing for it: usage that sluice has not
// asked for there is the client's.
func TestDetectionChangesNothingForRunningStreams(t *testing.T) {
	t.Parallel()
	r := newRig(t, unsaid)
	chunks := fakeprovider.ChatStream(fakeprovider.ChatOptions{FinishUsage: true})
	asked, detected := make(chan struct{}), make(chan struct{})
	r.up.Handle(func(e *fakeprovider.Exchange) {
		if e.Request.Method == http.MethodGet {
			e.JSON(200, modelList("vllm"))
			return
		}
		close(asked)
		<-detected
		e.StreamHead()
		e.Play(chunks)
	})
	c := r.dial()
	c.send("POST", chatPath, plainBody)
	<-asked
	r.srv.routes().providers[0].runningUsage.Store(true)
	close(detected)
	got := read(c.response())
	got.requireWhole(t)
	require.Equal(t, chatText(chunks), string(got.body))
	r.allEnded()
	r.idle()
}
