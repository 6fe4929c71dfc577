package proxy

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// cancelled is the answer to a cancel call.
type cancelled struct{ ID, Status string }

// cancelVia makes a cancel call of either form on a connection of its own and
// returns its status and answer.
func (r *rig) cancelVia(method, id string, headers ...string) (int, cancelled) {
	r.Helper()
	path := "/v1/requests/" + id
	if method == http.MethodPost {
		path += "/cancel"
	}
	c := r.dial()
	c.send(method, path, "", headers...)
	p := read(c.response())
	require.NoError(r, p.err)
	var answer cancelled
	require.NoError(r, json.Unmarshal(p.body, &answer), "%s", p.body)
	return p.status, answer
}

// cancel cancels an exchange and asserts that the call was the one that counted.
func (r *rig) cancel(id string) {
	r.Helper()
	status, answer := r.cancelVia(http.MethodPost, id)
	require.Equal(r, 200, status)
	require.Equal(r, cancelled{ID: id, Status: "cancelled"}, answer)
}

// Both forms of the cancel call close the upstream at once, and calling again, in
// flight or finished, gives the same answer.
// row A17
func TestCancelIsIdempotentInBothForms(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mayBillPartial)
			r.up.Handle(streamThenSilence(firstChunks...))
			c := r.dial()
			resp := c.post(streamBody, "X-Request-Id: job-1")
			r.inPhase(accounting.PhaseStreaming)

			for _, again := range []string{method, http.MethodPost, http.MethodDelete} {
				status, answer := r.cancelVia(again, "job-1")
				require.Equal(t, 200, status)
				require.Equal(t, cancelled{"job-1", "cancelled"}, answer)
			}
			requireClosed(t, r.up.WaitExchange(1).Conn)
			read(resp).requireWhole(t)
			rec := r.record("job-1")
			requireEnded(t, rec, accounting.OutcomeCancelled, accounting.PhaseStreaming, "cancelled")
			requireUsage(t, rec, accounting.SourceEstimated, accounting.MayBillPartial)
			require.NotNil(t, rec.CloseMicros)
			require.True(t, rec.Delivered)
			require.Len(t, r.up.Exchanges(), 1)

			status, answer := r.cancelVia(method, "job-1")
			require.Equal(t, 200, status)
			require.Equal(t, cancelled{"job-1", "cancelled"}, answer)
			require.Len(t, r.allEnded(), 1)
		})
	}
}

// Cancelling what has ended otherwise tells how it ended, and changes nothing.
// row A17
func TestCancelOfAFinishedExchangeTellsItsOutcome(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.askAs("well", streamBody)
	r.up.Handle(func(e *fakeprovider.Exchange) { e.JSON(500, fakeprovider.ErrorBody("no", "server_error", "")) })
	r.askAs("badly", wholeBody)

	for id, outcome := range map[string]string{"well": "completed", "badly": "upstream_error"} {
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			status, answer := r.cancelVia(method, id)
			require.Equal(t, 200, status)
			require.Equal(t, cancelled{id, outcome}, answer)
		}
		require.EqualValues(t, outcome, r.record(id).Outcome)
	}
}

// An id that nobody used is not found, and only the methods that mean something are
// allowed.
// row A17
func TestRequestsThatAreUnknownOrAskedForWrongly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := func(method, path string, status int, code, allow string) {
		t.Helper()
		c := r.dial()
		c.send(method, path, "")
		p := read(c.response())
		p.requireError(t, status, code)
		require.Equal(t, allow, p.header.Get("Allow"))
	}
	f("GET", "/v1/requests/nobody", 404, "not_found", "")
	f("DELETE", "/v1/requests/nobody", 404, "not_found", "")
	f("POST", "/v1/requests/nobody/cancel", 404, "not_found", "")
	f("POST", "/v1/requests/nobody/retry", 404, "not_found", "")
	f("POST", "/v1/requests/nobody/cancel/again", 404, "not_found", "")

	f("POST", "/v1/requests", 405, "method_not_allowed", "GET")
	f("POST", "/v1/requests/nobody", 405, "method_not_allowed", "GET, DELETE")
	f("GET", "/v1/requests/nobody/cancel", 405, "method_not_allowed", "POST")
	require.Empty(t, r.allEnded())
	require.Zero(t, r.up.Conns())
}

// The list shows what is in flight and how far it is; a single one is shown in
// flight and, with its record, afterwards.
func TestRequestsInFlightAreListedAndShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(streamThenSilence(firstChunks...))
	c := r.dial()
	resp := c.post(streamBody, "X-Request-Id: older")
	r.up.WaitExchange(1)
	r.until("the chunks are not counted", func() bool { return r.srv.running.get("older").last().live.chunks.Load() == 3 })
	r.up.Handle(silence)
	young := r.dial()
	young.send("POST", chatPath, wholeBody, "X-Request-Id: younger")
	r.up.WaitExchange(2)
	r.until("the second is not sent", func() bool {
		return r.srv.running.get("younger").phaseNow() == accounting.PhaseAwaitHeaders
	})

	type view struct {
		ID, Model, Target, Provider, Endpoint, Phase, Status string
		Stream                                               bool
		AgeMS                                                *int64 `json:"age_ms"`
		Chunks                                               int64
		Tokens                                               struct {
			Input, Output *int64
			Source        string
		}
	}
	var list struct {
		Object string
		Data   []view
	}
	require.Equal(t, 200, r.dial().get("/v1/requests", &list))
	require.Equal(t, "list", list.Object)
	require.Len(t, list.Data, 2)
	older, younger := list.Data[0], list.Data[1]
	if older.ID != "older" { // they may be of the same age
		older, younger = younger, older
	}
	require.Equal(t, "older", older.ID)
	require.Equal(t, "m", older.Model)
	require.Equal(t, "fake/m", older.Target)
	require.Equal(t, "fake", older.Provider)
	require.Equal(t, "chat/completions", older.Endpoint)
	require.Equal(t, "streaming", older.Phase)
	require.Equal(t, "running", older.Status)
	require.True(t, older.Stream)
	require.NotNil(t, older.AgeMS)
	require.EqualValues(t, 3, older.Chunks)
	require.Equal(t, "estimated", older.Tokens.Source)
	require.Positive(t, *older.Tokens.Output)
	require.Equal(t, "younger", younger.ID)
	require.Equal(t, "await_headers", younger.Phase)
	require.False(t, younger.Stream)

	var one view
	require.Equal(t, 200, r.dial().get("/v1/requests/younger", &one))
	require.Equal(t, "younger", one.ID)
	require.Equal(t, "running", one.Status)

	r.cancel("older")
	read(resp).requireWhole(t)
	var rec accounting.Record
	require.Equal(t, 200, r.dial().get("/v1/requests/older", &rec))
	require.Equal(t, accounting.OutcomeCancelled, rec.Outcome)
	require.Equal(t, 200, r.dial().get("/v1/requests", &list))
	require.Len(t, list.Data, 1)
	r.cancel("younger")
}

// The list counts tokens with the provider's running numbers where there are some.
func TestRunningUsageIsListed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(streamThenSilence(fakeprovider.ChatStream(fakeprovider.ChatOptions{RunningUsage: true})[:4]...))
	resp := r.dial().post(streamBody, "X-Request-Id: a")
	r.until("the usage is not counted", func() bool { return r.srv.running.get("a").last().live.liveOutput() == 3 })
	var one struct {
		Tokens struct {
			Input, Output int64
			Source        string
		}
	}
	require.Equal(t, 200, r.dial().get("/v1/requests/a", &one))
	require.Equal(t, "running", one.Tokens.Source)
	require.EqualValues(t, 10, one.Tokens.Input)
	require.EqualValues(t, 3, one.Tokens.Output)
	r.cancel("a")
	read(resp).requireWhole(t)
}

// An id names one exchange: a client that repeats one in flight gets another. One
// that has finished may be used again.
func TestRequestIDNamesOneExchangeAtATime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Handle(streamThenSilence(firstChunks...))
	first := r.dial().post(streamBody, "X-Request-Id: same")
	second := r.dial().post(streamBody, "X-Request-Id: same")
	require.Equal(t, "same", first.Header.Get("X-Request-Id"))
	other := second.Header.Get("X-Request-Id")
	require.NotEqual(t, "same", other)

	r.cancel("same")
	read(first).requireWhole(t)
	require.Equal(t, accounting.OutcomeCancelled, r.record("same").Outcome)
	require.NotNil(t, r.srv.running.get(other), "the cancel hit the wrong exchange")
	r.cancel(other)
	read(second).requireWhole(t)

	r.allEnded()
	r.up.Handle(fakeprovider.DefaultScript)
	p := r.ask(streamBody, "X-Request-Id: same")
	require.Equal(t, "same", p.header.Get("X-Request-Id"))
	r.until("the id has no new record", func() bool { return r.record("same").Outcome == accounting.OutcomeCompleted })
}

// Every response says under which id it can be found; one that is not fit for it is
// replaced.
func TestEveryResponseHasARequestID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := func(asked string, kept bool) {
		t.Helper()
		for _, path := range []string{chatPath, "/v1/requests/nobody/cancel", "/nothing"} {
			c := r.dial()
			got := c.askOn(path, wholeBody, "X-Request-Id: "+asked).header.Get("X-Request-Id")
			r.allEnded() // until its record is made, an exchange keeps its id
			require.NotEmpty(t, got)
			require.Equal(t, kept, got == asked, "asked for %q, got %q", asked, got)
		}
	}
	f("aB3-_.:z", true)
	f(strings.Repeat("x", 128), true)
	f("", false)
	f("a b", false)
	f("a/b", false)
	f("a%2Fb", false)
	f("é", false)
	f(strings.Repeat("x", 129), false)
}

// A cancel call is answered at once, and closes the upstream, though the client does
// not read.
// row A17
func TestCancelWhileAWriteToTheClientIsBlocked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var taken atomic.Int64
	r.up.Handle(endless(&taken))
	c := r.dialNarrow()
	c.send("POST", chatPath, streamBody, "X-Request-Id: a")
	r.blocked()
	r.cancel("a")

	requireClosed(t, r.up.WaitExchange(1).Conn)
	rec := r.record("a")
	requireEnded(t, rec, accounting.OutcomeCancelled, accounting.PhaseStreaming, "cancelled")
	require.False(t, rec.Delivered)
}

// sealed is a configuration with three keys: one each for two clients and one of an
// administrator. The secrets are the aliases with "sk-" in front.
func sealed(c *config.Config) {
	c.Keys = []config.Key{
		{Alias: "anna", SHA256: hashOf("sk-anna")},
		{Alias: "bert", SHA256: hashOf("sk-bert")},
		{Alias: "root", SHA256: hashOf("sk-root"), Admin: true},
	}
}

// Only the key that made a request, or an administrator's, can see and cancel it. For
// everyone else it does not exist.
// row A17
func TestRequestsBelongToTheirKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, sealed)
	const anna, bert, root = "Authorization: Bearer sk-anna", "X-Api-Key: sk-bert", "Authorization: Bearer sk-root"
	r.up.Handle(streamThenSilence(firstChunks...))
	c := r.dial()
	resp := c.post(streamBody, anna, "X-Request-Id: hers")
	r.inPhase(accounting.PhaseStreaming)

	listed := func(key string) (ids []string) {
		var list struct{ Data []struct{ ID, Key string } }
		require.Equal(t, 200, r.dial().get("/v1/requests", &list, key))
		for _, x := range list.Data {
			require.Equal(t, "anna", x.Key)
			ids = append(ids, x.ID)
		}
		return ids
	}
	require.Equal(t, []string{"hers"}, listed(anna))
	require.Empty(t, listed(bert))
	require.Equal(t, []string{"hers"}, listed(root))

	hidden := func() {
		t.Helper()
		for _, call := range [][2]string{{"GET", "/v1/requests/hers"}, {"DELETE", "/v1/requests/hers"}, {"POST", "/v1/requests/hers/cancel"}} {
			b := r.dial()
			b.send(call[0], call[1], "", bert)
			theirs := read(b.response())
			theirs.requireError(t, 404, "not_found")
			b.send(call[0], strings.Replace(call[1], "hers", "none", 1), "", bert)
			require.Equal(t, string(theirs.body), string(read(b.response()).body), "a foreign request can be told from none")
		}
	}
	hidden()
	b := r.dial()
	b.send("POST", "/v1/requests/hers/cancel", "")
	read(b.response()).requireError(t, 401, "invalid_api_key")
	require.Equal(t, accounting.PhaseStreaming, r.inPhase(accounting.PhaseStreaming).phaseNow())
	require.False(t, r.up.WaitExchange(1).IsGone())

	status, answer := r.cancelVia(http.MethodPost, "hers", root)
	require.Equal(t, 200, status)
	require.Equal(t, cancelled{"hers", "cancelled"}, answer)
	read(resp).requireWhole(t)
	require.Equal(t, "anna", r.record("hers").Key)
	hidden()
	for _, key := range []string{anna, root} {
		status, answer = r.cancelVia(http.MethodDelete, "hers", key)
		require.Equal(t, 200, status)
		require.Equal(t, cancelled{"hers", "cancelled"}, answer)
	}
	require.NotContains(t, r.logs.String(), "sk-")
}

// The key that made a request may cancel it itself.
// row A17
func TestCancelWithTheKeyOfTheRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, sealed)
	r.up.Handle(silence)
	c := r.dial()
	c.send("POST", chatPath, wholeBody, "Api-Key: sk-bert", "X-Request-Id: his")
	r.inPhase(accounting.PhaseAwaitHeaders)
	status, answer := r.cancelVia(http.MethodDelete, "his", "Authorization: Bearer sk-bert")
	require.Equal(t, 200, status)
	require.Equal(t, cancelled{"his", "cancelled"}, answer)
	read(c.response()).requireError(t, 499, "cancelled")
	requireClosed(t, r.up.WaitExchange(1).Conn)
}
