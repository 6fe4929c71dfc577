package proxy

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// wild are the faults that providers have in a storm, as functions of what an answer says.
var wild = []func(e *fakeprovider.Exchange, o fakeprovider.ChatOptions){
	func(e *fakeprovider.Exchange, _ fakeprovider.ChatOptions) {
		fakeprovider.Refusal(429, "Retry-After: 0")(e)
	},
	func(e *fakeprovider.Exchange, _ fakeprovider.ChatOptions) {
		fakeprovider.Refusal(503, "retry-after-ms: 5")(e)
	},
	func(e *fakeprovider.Exchange, _ fakeprovider.ChatOptions) { fakeprovider.Refusal(529)(e) },
	func(e *fakeprovider.Exchange, _ fakeprovider.ChatOptions) { fakeprovider.Refusal(500)(e) },
	func(e *fakeprovider.Exchange, _ fakeprovider.ChatOptions) { fakeprovider.Refusal(401)(e) },
	func(e *fakeprovider.Exchange, _ fakeprovider.ChatOptions) { fakeprovider.Page(e) },
	func(e *fakeprovider.Exchange, _ fakeprovider.ChatOptions) { e.Close() },
	func(e *fakeprovider.Exchange, _ fakeprovider.ChatOptions) { e.Reset() },
	func(e *fakeprovider.Exchange, _ fakeprovider.ChatOptions) { e.Hold() },
	func(e *fakeprovider.Exchange, o fakeprovider.ChatOptions) { storms(e, o, 0).Close() },
	func(e *fakeprovider.Exchange, o fakeprovider.ChatOptions) { storms(e, o, 0).Hold() },
	func(e *fakeprovider.Exchange, o fakeprovider.ChatOptions) { storms(e, o, 1).Event(fellOver) },
	func(e *fakeprovider.Exchange, o fakeprovider.ChatOptions) { storms(e, o, 1).EndChunks() },
	func(e *fakeprovider.Exchange, o fakeprovider.ChatOptions) { storms(e, o, 1).Hold() },
	func(e *fakeprovider.Exchange, o fakeprovider.ChatOptions) { storms(e, o, 2).Reset() },
	func(e *fakeprovider.Exchange, o fakeprovider.ChatOptions) { storms(e, o, 3).Event(fellOver) },
	func(e *fakeprovider.Exchange, o fakeprovider.ChatOptions) { storms(e, o, 3).EndChunks() },
	func(e *fakeprovider.Exchange, o fakeprovider.ChatOptions) { storms(e, o, 4).Hold() },
}

// storms begins an answer with so many events, or an equal part of a whole one.
func storms(e *fakeprovider.Exchange, o fakeprovider.ChatOptions, events int) *fakeprovider.Exchange {
	if e.Asked().Stream {
		e.StreamHead()
		sendEvents(e, fakeprovider.ChatStream(o)[:events])
		return e
	}
	answer := []byte(fakeprovider.ChatAnswer(o))
	e.Head(200, "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(answer)))
	e.Body(answer[:len(answer)/8*events])
	return e
}

// goesWild answers well about every other time, in words that name provider i and the
// request.
func goesWild(i int) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		o := told(nonceOf(i) + "-" + e.Request.Get("X-Request-Id"))
		if n := rand.IntN(2 * len(wild)); n < len(wild) {
			wild[n](e, o)
			return
		}
		if e.Asked().Stream {
			e.StreamHead()
			e.Play(fakeprovider.ChatStream(o))
			return
		}
		e.JSON(200, fakeprovider.ChatAnswer(o))
	}
}

// wordsIn are all names of a provider and a request in a text, each once.
func wordsIn(text []byte) []string {
	var out []string
	for _, w := range stormWords.FindAll(text, -1) {
		out = append(out, string(w))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var stormWords = regexp.MustCompile(`words-of-[abc]-\d{2}-\d{3}`)

// stormed is what a client of the storm has seen.
type stormed struct {
	id, model, kind string
	stayed          bool
	reply           // as far as it was read
}

// wildStorm is a crowd of clients, of which some leave, before models whose targets fail in
// all ways.
type wildStorm struct {
	*failoverRig
	clients, rounds int
	mu              sync.Mutex
	seen            []stormed
}

var wildModels = []func(*config.Config){
	offering("plain", "abc"), offering("risky", "abc", maybeRan), offering("strict", "abc", noFirstToken),
	offering("hedged", "abc", func(m *config.Model) { m.HedgeAfter = config.Duration(5 * time.Millisecond) }),
	offering("narrow", "abc", maybeRan, func(m *config.Model) {
		for i := range m.Targets {
			m.Targets[i].MaxConcurrent, m.Targets[i].Priority = 1, 1
		}
	}),
}

func newWildStorm(t testing.TB, clients, rounds int) *wildStorm {
	settings := func(cfg *config.Config) {
		for i := range cfg.Models {
			cfg.Models[i].FirstToken = config.Duration(50 * time.Millisecond)
		}
		cfg.Timeouts.Idle = config.Duration(50 * time.Millisecond)
		cfg.Retry = config.Retry{
			Attempts: 4, SameTarget: 1, Within: config.Duration(patience), Backoff: config.Duration(5 * time.Millisecond),
			MaxRetryAfter: config.Duration(time.Second), Budget: 100,
		}
		cfg.Breaker = config.Breaker{Failures: 4, Open: config.Duration(10 * time.Millisecond)}
	}
	s := &wildStorm{failoverRig: newFailoverRig(t, openAIs(3), append(slices.Clone(wildModels), settings)...), clients: clients, rounds: rounds}
	for i, up := range s.ups {
		up.Handle(goesWild(i))
	}
	return s
}

func (s *wildStorm) run() {
	var wg sync.WaitGroup
	for n := range s.clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 7))
			for i := range s.rounds {
				s.ask(rng, fmt.Sprintf("%02d-%03d", n, i))
			}
		})
	}
	wg.Wait()
}

// ask makes one request on a connection of its own, and may leave at any moment.
func (s *wildStorm) ask(rng *rand.Rand, id string) {
	model := s.cfg.Models[rng.IntN(len(s.cfg.Models))].Name
	got := stormed{id: id, model: model, kind: "stream", stayed: rng.IntN(4) > 0}
	body := streamBody
	if rng.IntN(3) == 0 {
		got.kind, body = "whole", wholeBody
	}
	body = forModel(model, body)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		got.err = err
	} else {
		_ = conn.SetDeadline(time.Now().Add(2 * patience))
		_, got.err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: sluice.test\r\nConnection: close\r\nContent-Type: application/json\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s",
			chatPath, id, len(body), body)
		if got.stayed && got.err == nil {
			var resp *http.Response
			if resp, got.err = http.ReadResponse(bufio.NewReader(conn), nil); got.err == nil {
				got.reply = read(resp)
			}
		} else {
			got.body = s.leaves(conn, rng)
		}
		_ = conn.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, got)
}

// leaves reads for a while and returns what came.
func (s *wildStorm) leaves(conn net.Conn, rng *rand.Rand) (got []byte) {
	if rng.IntN(2) == 0 {
		_ = conn.SetReadDeadline(time.Now().Add(time.Duration(rng.IntN(60)) * time.Millisecond))
		got, _ = io.ReadAll(conn)
	} else {
		got, _ = io.ReadAll(io.LimitReader(conn, 1+rng.Int64N(1<<10)))
	}
	if rng.IntN(2) == 0 {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	return got
}

// callsByID counts the calls for each request that each provider has seen.
func (s *wildStorm) callsByID() map[string]map[string]int {
	out := make(map[string]map[string]int)
	for i, up := range s.ups {
		for _, e := range up.Exchanges() {
			id := e.Request.Get("X-Request-Id")
			if out[id] == nil {
				out[id] = make(map[string]int)
			}
			out[id][nameOf(i)]++
		}
	}
	return out
}

// Whatever happens at once: the books have a row for each call that a provider has seen and
// one record for each request, no answer has words of two providers or of another request,
// and nothing is left.
// rows A18, A19
func TestStormOfFaultsKeepsTheBooksAndTheAnswers(t *testing.T) { // not parallel: it counts what the process holds
	newWildStorm(t, 4, 10).run() // whatever is made once
	goroutines := runtime.NumGoroutine()
	s := newWildStorm(t, 12, 100)
	within := runtime.NumGoroutine() - goroutines // of the server itself
	s.run()

	records := make(map[string]*accounting.Record)
	for _, rec := range s.allEnded() {
		require.NotContains(t, records, rec.ID, "a request has two records")
		records[rec.ID] = rec
	}
	s.requireNothingLeft(t)
	calls := s.callsByID()
	for id := range calls {
		require.Contains(t, records, id, "a call was made that is in no record")
	}
	outcomes := make(map[string]int)
	for i := range s.seen {
		got := &s.seen[i]
		rec := records[got.id]
		s.requireOneVoice(t, got, rec)
		if rec == nil {
			require.True(t, !got.stayed || got.status == 503, "%s: status %d and no record", got.id, got.status)
			continue
		}
		requireEveryCall(t, rec, calls[got.id])
		if got.model != "hedged" { // whose calls go on beside each other
			requireAllowed(t, got, rec)
		}
		outcomes[fmt.Sprintf("%s in %d calls", rec.Outcome, len(rec.Attempts))]++
	}
	t.Log(outcomes)
	s.until("goroutines are left", func() bool { return runtime.NumGoroutine() <= goroutines+within+2 })
	require.NotContains(t, s.logs.String(), "panic")
	require.NotContains(t, s.logs.String(), "the ledger refused")
}

// requireOneVoice asserts that what a client got is of one provider, and fits its record.
func (s *wildStorm) requireOneVoice(t testing.TB, got *stormed, rec *accounting.Record) {
	t.Helper()
	said := wordsIn(got.body)
	require.LessOrEqual(t, len(said), 1, "%s", got.body)
	if len(said) == 1 {
		require.NotNil(t, rec)
		require.Equal(t, "words-of-"+rec.Provider+"-"+got.id, said[0], "%+v", rec.Attempts)
	}
	if !got.stayed || rec == nil {
		return
	}
	require.Equal(t, got.status, rec.StatusDownstream, got.id)
	require.EqualValues(t, len(got.body), rec.BytesDelivered, got.id)
	require.Equal(t, got.err == nil, rec.Delivered, got.id)
	if rec.Outcome != accounting.OutcomeCompleted {
		require.NotContains(t, string(got.body), "[DONE]")
		return
	}
	require.Equal(t, 200, got.status)
	require.Equal(t, toldIn(got.kind, "words-of-"+rec.Provider+"-"+got.id)[20:], string(got.body)[20:], got.id)
}

// requireEveryCall asserts that a record has a row for each call that a provider has seen,
// and that the provider has seen each call whose request was sent.
func requireEveryCall(t testing.TB, rec *accounting.Record, calls map[string]int) {
	t.Helper()
	sent, underWay, final, hedges := map[string]int{}, map[string]int{}, 0, 0
	for i := range rec.Attempts {
		a := &rec.Attempts[i]
		switch {
		case a.Phase >= accounting.PhaseAwaitHeaders:
			sent[a.Provider]++
		case a.Phase == accounting.PhaseSending:
			underWay[a.Provider]++ // it was cut at the moment of being sent
		}
		if a.Kind == accounting.AttemptHedge {
			hedges++
		}
		if a.Final {
			final++
			require.Equal(t, rec.Provider, a.Provider)
		}
		require.True(t, a.Outcome.Valid())
		require.Equal(t, fmt.Sprintf("%s-%d", rec.ID, i+1), a.ID)
	}
	require.Equal(t, 1, final, "%+v", rec.Attempts)
	require.LessOrEqual(t, hedges, 1)
	require.LessOrEqual(t, len(rec.Attempts), 4)
	for _, p := range []string{"a", "b", "c"} {
		require.LessOrEqual(t, sent[p], calls[p], "%s: %+v", p, rec.Attempts)
		require.GreaterOrEqual(t, sent[p]+underWay[p], calls[p], "%s: %+v", p, rec.Attempts)
	}
}

// requireAllowed asserts that each further call of a request was safe, or allowed by its
// model, after the one before.
func requireAllowed(t testing.TB, got *stormed, rec *accounting.Record) {
	t.Helper()
	risky, unbegun := got.model == "risky" || got.model == "narrow", got.model != "strict"
	for i := range rec.Attempts[1:] {
		before, allowed := &rec.Attempts[i], false
		switch before.Status {
		case 429, 503, 529:
			allowed = true
		case 0:
			allowed = risky || before.Phase <= accounting.PhaseSending
		case 200:
			page := before.Code == "upstream_bad_content_type"
			allowed = page || risky && got.kind == "whole" || got.kind == "stream" && before.Phase < accounting.PhaseStreaming && (risky || unbegun)
		case 500:
			allowed = risky
		}
		require.True(t, allowed, "%s request for %s: %+v", got.kind, got.model, rec.Attempts)
		require.Equal(t, accounting.AttemptRetry, rec.Attempts[i+1].Kind)
	}
}
