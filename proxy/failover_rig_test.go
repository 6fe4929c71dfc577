package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/proxy/upstream"
)

// failoverRig is a sluice in front of several fake providers, called a, b and so on.
// Until a test says otherwise, each of them serves every request with its own words.
type failoverRig struct {
	*rig
	ups []*fakeprovider.Provider
}

// newFailoverRig starts a sluice with one provider for each voice. Its configuration has
// no models; see offering.
func newFailoverRig(tb testing.TB, voices []*fakeprovider.Voice, changes ...func(*config.Config)) *failoverRig {
	tb.Helper()
	f := &failoverRig{}
	providers := func(cfg *config.Config) {
		first := cfg.Providers[0]
		for i, v := range voices {
			p := first
			if i > 0 {
				f.ups = append(f.ups, fakeprovider.New(tb))
				p.BaseURL = f.ups[i-1].URL()
			}
			p.Name, p.Dialect, p.MayBill, p.IdleConn = nameOf(i), v.Dialect, config.MayBillPartial, config.Duration(time.Minute)
			if v.Dialect != config.DialectOpenAI {
				p.APIKey, p.Region, p.ContinuousUsage = "secret", "eu-test-1", nil
			}
			if v.Enveloped {
				p.Platform = "bedrock"
			}
			cfg.Providers = append(cfg.Providers[:i], p)
		}
		cfg.ResponseModel = config.ResponseModelUpstream // so that a relay changes nothing
	}
	f.rig = newRig(tb, append([]func(*config.Config){providers}, changes...)...)
	f.ups = append([]*fakeprovider.Provider{f.up}, f.ups...)
	for i, v := range voices {
		f.ups[i].Handle(tellingAs(v, nonceOf(i)))
	}
	return f
}

func nameOf(i int) string { return string(rune('a' + i)) }

// nonceOf is in everything that a healthy provider says, and nobody else does.
func nonceOf(i int) string { return "words-of-" + nameOf(i) }

// openAIs are the voices of so many providers that speak the client's dialect.
func openAIs(n int) []*fakeprovider.Voice {
	return slices.Repeat([]*fakeprovider.Voice{{Dialect: config.DialectOpenAI}}, n)
}

// offering adds a model whose targets are these providers, to be asked in this order. It
// has the same name everywhere.
func offering(name string, providers string, changes ...func(*config.Model)) func(*config.Config) {
	return func(cfg *config.Config) {
		m := config.Model{Name: name, Balance: config.BalanceWeight, FirstTokenFailover: true}
		for i, p := range providers {
			m.Targets = append(m.Targets, config.Target{Provider: string(p), Model: name, Weight: 1, Priority: i + 1})
		}
		for _, change := range changes {
			change(&m)
		}
		cfg.Models = append(cfg.Models, m)
	}
}

func maybeRan(m *config.Model) { m.RetryMaybeRan = true }

func noFirstToken(m *config.Model) { m.FirstTokenFailover = false }

func firstTokenWithin(d time.Duration) func(*config.Model) {
	return func(m *config.Model) { m.FirstToken = config.Duration(d) }
}

// forModel is a request for another model than m.
func forModel(name, body string) string {
	return strings.Replace(body, `"model":"m"`, fmt.Sprintf(`"model":%q`, name), 1)
}

// told is what a healthy provider says.
func told(nonce string) fakeprovider.ChatOptions {
	return fakeprovider.ChatOptions{ID: "chatcmpl-" + nonce, Model: nonce, Texts: []string{nonce, " is ", "here."}, IncludeUsage: true}
}

// telling answers every request well, with nonce.
func telling(nonce string) fakeprovider.Script {
	return func(e *fakeprovider.Exchange) {
		if !e.Asked().Stream {
			e.JSON(200, fakeprovider.ChatAnswer(told(nonce)))
			return
		}
		e.StreamHead()
		e.Play(fakeprovider.ChatStream(told(nonce)))
	}
}

// tellingAs is telling in the words of v.
func tellingAs(v *fakeprovider.Voice, nonce string) fakeprovider.Script {
	if v.Dialect == config.DialectOpenAI {
		return telling(nonce)
	}
	return func(e *fakeprovider.Exchange) {
		v := v.Fresh()
		if !wantsStream(e) {
			e.JSON(200, v.Answer(fakeprovider.Said{Texts: told(nonce).Texts}))
			return
		}
		say(e, v, v.Start(), v.Text(nonce), v.Text(" is "), v.Text("here."), v.End(false))
		e.EndChunks()
	}
}

// toldIn is the exact body that a client gets of telling.
func toldIn(kind, nonce string) string {
	if kind == "whole" {
		return fakeprovider.ChatAnswer(told(nonce))
	}
	return chatText(fakeprovider.ChatStream(told(nonce)))
}

// requireTold asserts that the client has got all that provider i says, and nothing else.
func (f *failoverRig) requireTold(t testing.TB, kind string, i int, p reply) {
	t.Helper()
	require.NoError(t, p.err)
	require.Equal(t, 200, p.status, "%s", p.body)
	require.Empty(t, p.header.Get("X-Should-Retry"))
	require.Empty(t, p.header.Get("Retry-After"))
	if f.cfg.Providers[i].Dialect == config.DialectOpenAI {
		require.Equal(t, toldIn(kind, nonceOf(i)), string(p.body))
		return
	}
	require.Equal(t, nonceOf(i)+" is here.", contentOf(kind, p))
	if kind == "stream" {
		p.requireWhole(t)
	}
}

// contentOf is the text of an answer in either form.
func contentOf(kind string, p reply) (text string) {
	if kind == "whole" {
		return gjson.GetBytes(p.body, "choices.0.message.content").Str
	}
	for _, data := range p.data() {
		text += gjson.Get(data, "choices.0.delta.content").Str
	}
	return text
}

// repointed gives provider i another way to its upstream.
func (f *failoverRig) repointed(i int, o upstream.Options) {
	f.Helper()
	pool, err := upstream.NewPool(o)
	require.NoError(f, err)
	f.srv.routes().providers[i].pool = pool
}

// calls counts the requests that the providers have seen.
func (f *failoverRig) calls() []int {
	out := make([]int, len(f.ups))
	for i, up := range f.ups {
		out[i] = len(up.Exchanges())
	}
	return out
}

// requireNothingLeft asserts that nothing runs at any target any more, and that no
// connection is open but those that can serve again.
func (f *failoverRig) requireNothingLeft(t testing.TB) {
	t.Helper()
	f.allEnded()
	for _, s := range f.srv.Targets() {
		require.Zero(t, s.Running, "%s/%s", s.Provider, s.Model)
		require.Zero(t, s.Queued, "%s/%s", s.Provider, s.Model)
	}
	for _, p := range f.srv.routes().providers {
		p.pool.CloseIdle()
	}
	for _, up := range f.ups {
		f.until("an upstream connection is still open", func() bool { return up.OpenConns() == 0 })
	}
}

// row is what the books say of one attempt.
type row struct {
	provider, kind string
	outcome        accounting.Outcome
	phase          accounting.Phase
	code           string
	status         int
	source         accounting.Source
	mayBill        string
}

// served is the row of an attempt at provider i that has served its client.
func served(i int, kind string) row {
	return row{
		provider: nameOf(i), kind: kind, outcome: accounting.OutcomeCompleted, phase: accounting.PhaseTail,
		status: 200, source: accounting.SourceReported, mayBill: accounting.MayBillFull,
	}
}

// by is the row of an attempt at provider i.
func (r row) by(i int, kind string) row {
	r.provider, r.kind = nameOf(i), kind
	return r
}

// requireBooked asserts what the books say of an exchange: these attempts, of which the last
// is the one that the record is about.
func requireBooked(t testing.TB, rec *accounting.Record, want ...row) {
	t.Helper()
	require.Len(t, rec.Attempts, len(want), "%+v", rec.Attempts)
	for i := range want {
		a := &rec.Attempts[i]
		got := row{
			provider: a.Provider, kind: a.Kind, outcome: a.Outcome, phase: a.Phase, code: a.Code, status: a.Status,
			source: a.UsageSource, mayBill: a.MayBill,
		}
		usage, last := a.Usage, i == len(want)-1
		require.Equal(t, last, a.Final, "attempt %d", i+1)
		if last {
			require.Empty(t, a.UsageSource, "it is in the record")
			require.False(t, a.Usage.Any())
			got.source, got.mayBill, usage = rec.UsageSource, rec.MayBill, rec.Usage
			require.Equal(t, a.Provider, rec.Provider)
			require.Equal(t, a.Status, rec.StatusUpstream)
		}
		require.Equal(t, want[i], got, "attempt %d", i+1)
		require.Equal(t, want[i].source != accounting.SourceNone, usage.Any())
		require.Equal(t, fmt.Sprintf("%s-%d", rec.ID, i+1), a.ID)
		require.Positive(t, a.Duration)
		if i > 0 {
			before := rec.Attempts[i-1]
			require.False(t, a.Start.Before(before.Start.Add(before.Duration)), "the attempts overlap")
		}
	}
}

// requireAs asserts that a record ends as the attempt that it is about.
func requireAs(t testing.TB, rec *accounting.Record, want row) {
	t.Helper()
	require.Equal(t, want.outcome, rec.Outcome)
	require.Equal(t, want.phase, rec.Phase)
	require.Equal(t, want.code, rec.Code)
}
