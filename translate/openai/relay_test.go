package openai_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate/openai"
)

// relayed is what a relay makes of a stream.
type relayed struct {
	out       []byte
	touched   int // events that were replaced
	events    int
	failed    bool // the provider reported an error
	endedWell bool
}

// relay forwards a stream as the proxy does: cut into random pieces, each event judged.
func relay(t testing.TB, o openai.Options, stream []byte, seed uint64) relayed {
	t.Helper()
	var r openai.Repair
	r.Reset(o)
	var got relayed
	random := rand.New(rand.NewPCG(seed, 1))
	var scan sse.Scanner
	var ev sse.Event
	done := func() {
		got.out = r.Done(got.out)
		got.endedWell = true
	}
	event := func() bool {
		switch {
		case ev.Data == nil:
			got.out = append(got.out, ev.Raw...)
			return true
		case sse.IsDone(ev.Data):
			done()
			got.out = append(got.out, ev.Raw...)
			return false
		case isFailure(ev.Data):
			got.out = append(got.out, ev.Raw...)
			got.failed = true
			return false
		}
		got.events++
		before := bytes.Clone(ev.Data)
		out, verdict := r.Event(got.out, ev.Data)
		require.Equal(t, string(before), string(ev.Data), "events are not written to")
		if verdict == openai.Untouched {
			require.Len(t, out, len(got.out))
			got.out = append(out, ev.Raw...)
			return true
		}
		got.out = out
		got.touched++
		return true
	}
	for rest := stream; len(rest) > 0; {
		n := min(1+random.IntN(400), len(rest))
		piece := bytes.Clone(rest[:n])
		rest = rest[n:]
		scan.Feed(piece)
		for scan.Next(&ev) {
			if !event() {
				return got
			}
		}
	}
	if scan.Flush(&ev) && ev.Data != nil && (sse.IsDone(ev.Data) || json.Valid(ev.Data)) {
		ev.Raw = append(bytes.TrimRight(ev.Raw, "\r\n"), "\n\n"...)
		if !event() {
			return got
		}
	}
	if r.Finished() {
		done()
		got.out = append(got.out, "data: [DONE]\n\n"...)
	}
	return got
}

func isFailure(data []byte) bool {
	var v struct{ Error json.RawMessage }
	_ = json.Unmarshal(data, &v)
	text := string(v.Error)
	return text != "" && text != "null" && text != "false" && text != `""` && text != "{}"
}

// payloads reads the data of all events in the plainest way there is.
func payloads(stream []byte) (all []string) {
	for line := range strings.Lines(string(stream)) {
		if data, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "data:"); ok {
			all = append(all, strings.TrimSpace(data))
		}
	}
	return all
}

// accept reads a stream as a strict client.
func accept(t testing.TB, stream []byte, hidden bool) *strict {
	t.Helper()
	s := &strict{hidden: hidden}
	for _, data := range payloads(stream) {
		if data == "[DONE]" {
			require.NoError(t, s.end())
			return s
		}
		if isFailure([]byte(data)) {
			return s
		}
		require.NoError(t, s.read([]byte(data)), "%s", data)
	}
	return s
}
