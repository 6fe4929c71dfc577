package proxy

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// captured collects what a rig keeps of prompts and answers.
type captured struct {
	mu  sync.Mutex
	all map[string]ledger.Capture
}

func capturing(r *rig) *captured {
	c := &captured{all: map[string]ledger.Capture{}}
	r.srv.capture = func(one ledger.Capture) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all[one.ID] = one
	}
	return c
}

func (c *captured) of(id string) (ledger.Capture, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.all[id]
	return one, ok
}

// Prompts and answers are kept where a key or a model says so, as they were and within
// their bound, and nowhere else.
func TestContentIsKeptOnlyWhereItIsWanted(t *testing.T) {
	t.Parallel()
	r := newRig(t, limited(config.Quota{}), func(c *config.Config) {
		c.Keys[0].Capture = true
		c.Models = append(c.Models, config.Model{Name: "open", Capture: true, Targets: []config.Target{{Provider: "fake", Model: "open", Weight: 1}}})
		c.Capture.MaxBytes = 300
	})
	kept := capturing(r)
	ask := func(id, model, key string) reply {
		p := r.ask(strings.Replace(streamBody, `"m"`, `"`+model+`"`, 1), key, "X-Request-Id: "+id)
		require.Equal(t, 200, p.status)
		r.record(id)
		return p
	}
	p := ask("by-key", "m", asAlice)
	one, ok := kept.of("by-key")
	require.True(t, ok)
	require.Equal(t, streamBody, string(one.Request))
	require.False(t, one.RequestCut)
	require.Equal(t, string(p.body[:300]), string(one.Answer))
	require.True(t, one.AnswerCut)
	require.Equal(t, r.record("by-key").UID, one.UID)

	ask("by-model", "open", asBob)
	_, ok = kept.of("by-model")
	require.True(t, ok)
	ask("neither", "m", asBob)
	_, ok = kept.of("neither")
	require.False(t, ok)

	// A cut stream and a whole answer are kept as far as they came.
	r.up.Handle(streamThenSilence(firstChunks...))
	c := r.dial()
	c.send("POST", chatPath, streamBody, asAlice, "X-Request-Id: cut")
	resp := c.response()
	for range 2 * len(firstChunks) {
		b := make([]byte, 1)
		_, err := resp.Body.Read(b)
		require.NoError(t, err)
	}
	require.NoError(t, c.Close())
	r.record("cut")
	one, ok = kept.of("cut")
	require.True(t, ok)
	require.NotEmpty(t, one.Answer)
	r.up.Handle(fakeprovider.DefaultScript)
	whole := r.ask(wholeBody, asAlice, "X-Request-Id: whole")
	r.record("whole")
	one, _ = kept.of("whole")
	require.Equal(t, string(whole.body[:min(len(whole.body), 300)]), string(one.Answer))
}
