package proxy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/chatrules"
	"github.com/sluicehq/sluice/internal/fakeprovider"
	"github.com/sluicehq/sluice/internal/recordings"
)

// voiceOf is how the provider of a recording speaks.
func voiceOf(api string) *fakeprovider.Voice {
	switch api {
	case "anthropic-messages":
		return &fakeprovider.Voice{Dialect: config.DialectAnthropic}
	case "bedrock-invoke":
		return &fakeprovider.Voice{Dialect: config.DialectAnthropic, Enveloped: true}
	case "bedrock-converse", "bedrock-converse-json":
		return &fakeprovider.Voice{Dialect: config.DialectBedrock}
	case "gemini-generate":
		return &fakeprovider.Voice{Dialect: config.DialectGemini}
	case "cohere-v2":
		return &fakeprovider.Voice{Dialect: config.DialectCohere}
	case "ollama-chat":
		return &fakeprovider.Voice{Dialect: config.DialectOllama}
	}
	return &fakeprovider.Voice{Dialect: config.DialectOpenAI}
}

// eachRecording runs a test for each recorded answer that can be read.
func eachRecording(t *testing.T, test func(t *testing.T, r *rig, rec recordings.Recording, seed int64)) {
	for i, rec := range recordings.Load(t, captures) {
		if rec.Reading == nil {
			continue
		}
		t.Run(rec.Meta.API+"/"+rec.Name(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, speaking(voiceOf(rec.Meta.API)))
			for seed := range int64(2) {
				test(t, r, rec, seed+2*int64(i))
			}
		})
	}
}

// answerWith lets the fake provider send a recording, cut at random places.
func (r *rig) answerWith(rec recordings.Recording, seed int64) {
	r.up.Handle(func(e *fakeprovider.Exchange) {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		var fields []string
		for name, value := range rec.Meta.Headers {
			if name != "content-type" {
				fields = append(fields, name+": "+value)
			}
		}
		media := rec.ContentType()
		if !strings.Contains(media, "/") { // the recorder left it out
			media = voiceOf(rec.Meta.API).ContentType()
		}
		fields = append(fields, "Content-Type: "+media, "Transfer-Encoding: chunked")
		e.Head(rec.Meta.Status, fields...)
		for _, piece := range recordings.Chunks(rng, rec.Response) {
			e.Chunk(piece)
		}
		e.EndChunks()
	})
}

// Whatever provider a recording comes from and wherever the network cuts it, the client
// gets a stream that strict SDKs accept and that says what the recording says, and so
// does the record.
func TestRecordingsOfEveryDialectReachStrictClients(t *testing.T) {
	eachRecording(t, func(t *testing.T, r *rig, rec recordings.Recording, seed int64) {
		if rec.Reading.Status >= 400 {
			t.Skip("an error status")
		}
		want := rec.Reading
		r.answerWith(rec, seed)
		asked := seed%2 == 0
		body := fmt.Sprintf(`{"model":"m","stream":true,"stream_options":{"include_usage":%t},"messages":[{"role":"user","content":"x"}]}`, asked)
		p, record := r.askAs(fmt.Sprint("s", seed), body)
		require.Equal(t, 200, p.status, "%s", p.body)
		got := chatrules.CheckStream(t, p.body, chatrules.Options{
			IncludeUsage: asked, UsageUnstated: len(want.Usage) == 0,
			Unknown: rec.Meta.API == "openai-chat", Cut: !want.Whole,
		})
		answer := got.Answer
		if !asked && answer.Usage == nil {
			answer.Usage = want.Usage
		}
		require.Empty(t, want.Differences(&answer))

		switch {
		case want.Failed:
			require.Equal(t, accounting.OutcomeUpstreamError, record.Outcome)
			require.NotNil(t, got.Failure)
		case want.Whole:
			require.Equal(t, accounting.OutcomeCompleted, record.Outcome)
			require.True(t, got.Done)
		default:
			require.Equal(t, accounting.OutcomeUpstreamTruncated, record.Outcome)
		}
		requireStated(t, want, record)
	})
}

// requireStated asserts that a record has the usage that its provider stated.
func requireStated(t *testing.T, want *recordings.Reading, rec *accounting.Record) {
	t.Helper()
	if len(want.Usage) == 0 {
		require.NotEqual(t, accounting.SourceReported, rec.UsageSource)
		return
	}
	for name, got := range map[string]tokens.Count{
		"prompt": rec.Usage.Input, "cached": rec.Usage.InputCached, "cache_write": rec.Usage.InputCacheWrite,
		"completion": rec.Usage.Output, "reasoning": rec.Usage.OutputReasoning,
	} {
		n, stated := want.Usage[name]
		if name == "completion" && rec.OutputEstimated {
			continue
		}
		require.Equal(t, tokens.Count{N: n, Known: stated}, got, "%s in %s", name, rec.RawUsage)
	}
}

// A provider's error status keeps the provider's words, in OpenAI's form.
func TestRecordedErrorsOfEveryDialect(t *testing.T) {
	eachRecording(t, func(t *testing.T, r *rig, rec recordings.Recording, seed int64) {
		if rec.Reading.Status < 400 {
			t.Skip("no error status")
		}
		r.answerWith(rec, seed)
		p, record := r.askAs(fmt.Sprint("e", seed), streamBody)
		require.GreaterOrEqual(t, p.status, 400)
		failure := chatrules.CheckError(t, p.body, chatrules.Options{Unknown: rec.Meta.API == "openai-chat"})
		if rec.Reading.Message != "" {
			require.Contains(t, failure.Message, rec.Reading.Message)
		}
		require.Equal(t, rec.Reading.Status, record.StatusUpstream)
		require.Equal(t, accounting.OutcomeUpstreamError, record.Outcome)
		require.Equal(t, accounting.SourceNone, record.UsageSource)
	})
}
