//go:build e2e

package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// behind starts an upstream with a script and a sluice in front of it.
func behind(tb testing.TB, script fakeprovider.Script) (*fakeprovider.Provider, *sluice) {
	tb.Helper()
	upstream := fakeprovider.New(tb)
	upstream.Handle(script)
	return upstream, start(tb, upstream.URL())
}

// endless streams two words and then nothing, until its peer leaves.
func endless(e *fakeprovider.Exchange) {
	unfinished(e, fakeprovider.ChatOptions{Texts: []string{"Rain", " and"}})
	e.Hold()
}

// unfinished streams what o says without its end.
func unfinished(e *fakeprovider.Exchange, o fakeprovider.ChatOptions) {
	o.NoFinish, o.NoDone = true, true
	e.StreamHead()
	for _, payload := range fakeprovider.ChatStream(o) {
		e.Event(payload)
	}
}

// silent takes the request and never answers.
func silent(e *fakeprovider.Exchange) { e.Hold() }

// weatherCall is a tool call whose arguments come in fragments that are cut inside
// words and escapes.
var weatherCall = fakeprovider.ToolCall{
	ID: "call_1", Name: "get_weather", Arguments: []string{"{\"ci", "ty\": \"", "Os", "lo", "\"}"},
}

// callingTool answers with the tool call, as a stream or whole.
func callingTool(e *fakeprovider.Exchange) {
	asked := e.Asked()
	o := fakeprovider.ChatOptions{Model: asked.Model, ToolCalls: []fakeprovider.ToolCall{weatherCall}, IncludeUsage: asked.StreamOptions.IncludeUsage}
	if !asked.Stream {
		e.JSON(http.StatusOK, fakeprovider.ChatAnswer(o))
		return
	}
	e.StreamHead()
	e.Play(fakeprovider.ChatStream(o))
}

// closedWithin is how soon after a client left its upstream connection must be gone.
// Sluice needs well under a millisecond; the rest is for a busy machine.
const closedWithin = 5 * time.Second

// requireGone checks that sluice closed the upstream connection of the only request.
func requireGone(tb testing.TB, upstream *fakeprovider.Provider) {
	tb.Helper()
	gone := upstream.WaitExchange(1).WaitGone(closedWithin)
	require.NotEqual(tb, fakeprovider.GoneSelf, gone.How)
	require.Len(tb, upstream.Exchanges(), 1, "a client that left is no reason to ask again")
}
