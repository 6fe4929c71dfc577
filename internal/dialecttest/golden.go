package dialecttest

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/framing"
)

var update = flag.Bool("update", false, "rewrite the expectations in golden files")

// Update tells whether golden files are to be rewritten.
func Update() bool { return *update }

// Golden runs a dialect over the files of its testdata folder. Each file begins with the
// rule it shows, followed by sections under lines "-- name --":
//
//	request/*.txtar  request             ->  provider or error, warnings
//	stream/*.txtar   stream              ->  sink
//	answer/*.txtar   answer              ->  sink
//	error/*.txtar    status, type, body  ->  error
//
// What is known of the model may stand in a section known, the platform in platform, and
// what the memory has in carried, an object; where that is there, what an answer has added
// to it is compared with a section kept. With -update the sections to the right of the
// arrow are written anew.
func Golden(t *testing.T, d translate.Dialect, f translate.Framing) {
	t.Helper()
	each(t, "request", func(t *testing.T, g *file) { goldenRequest(t, d, g) })
	each(t, "stream", func(t *testing.T, g *file) {
		r, c := &Recorder{}, g.context(t, nil)
		body := []byte(g.get("stream") + "\n\n")
		g.expectAnswer(r, c, feed(d.Decoder(c), r, f, body, len(body)))
	})
	each(t, "answer", func(t *testing.T, g *file) {
		r, c := &Recorder{}, g.context(t, nil)
		g.expectAnswer(r, c, d.Answer(c, r, []byte(g.get("answer"))))
	})
	each(t, "error", func(t *testing.T, g *file) {
		status, err := strconv.Atoi(g.get("status"))
		require.NoError(t, err)
		g.expect("error", ErrorLine(d.Error(status, g.get("type"), []byte(g.get("body")))))
	})
}

func goldenRequest(t *testing.T, d translate.Dialect, g *file) {
	t.Helper()
	chat, failed := translate.ParseChat([]byte(g.get("request")))
	require.Nil(t, failed, "the request itself must be valid")
	c := g.context(t, chat)
	out, failed := d.Request(c, chat)
	if failed != nil {
		require.Nil(t, out)
		g.expect("error", failed.Error()+": "+failed.Message)
		return
	}
	require.True(t, json.Valid(out), "%s", out)
	g.expect("provider", string(out))
	g.expect("warnings", strings.Join(c.Warnings, "\n"))
}

// Stream feeds a body in pieces of the given size to a new decoder, and returns what
// came of it at the end.
func Stream(d translate.Dialect, to translate.Sink, f translate.Framing, body []byte, size int) translate.Progress {
	return feed(d.Decoder(&translate.Context{Stream: true}), to, f, body, size)
}

func feed(decoder translate.Decoder, to translate.Sink, f translate.Framing, body []byte, size int) translate.Progress {
	split := framing.New(f, 0)
	var ev sse.Event
	event := func() translate.Progress {
		if ev.Data == nil {
			return translate.More
		}
		return decoder.Event(to, ev.Name, ev.Data)
	}
	for len(body) > 0 {
		n := min(size, len(body))
		split.Feed(body[:n:n])
		body = body[n:]
		for split.Next(&ev) {
			if p := event(); p != translate.More {
				return p
			}
		}
	}
	for split.Flush(&ev) {
		if p := event(); p != translate.More {
			return p
		}
	}
	return decoder.End(to)
}

// context is that of the exchange that a golden file is about; chat is nil for an answer.
func (g *file) context(t *testing.T, chat *translate.Chat) *translate.Context {
	t.Helper()
	c := &translate.Context{Platform: translate.Platform{Platform: g.get("platform")}}
	if chat != nil {
		c.Model, c.Stream, c.N = chat.Model, chat.Stream, chat.N
	}
	if known := g.get("known"); known != "" {
		d := json.NewDecoder(strings.NewReader(known))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&c.Known))
	}
	if carried := g.get("carried"); carried != "" {
		kept := memory{}
		require.NoError(t, json.Unmarshal([]byte(carried), &kept))
		c.Carried = kept
	}
	return c
}

// expectAnswer compares what has come of an answer.
func (g *file) expectAnswer(r *Recorder, c *translate.Context, progress translate.Progress) {
	g.t.Helper()
	g.expect("sink", strings.Join(append(r.Lines, "progress "+word(progress)), "\n"))
	var lines []string
	kept, _ := c.Carried.(memory)
	for _, id := range slices.Sorted(maps.Keys(kept)) {
		lines = append(lines, id+" "+kept[id])
	}
	g.expect("kept", strings.Join(lines, "\n"))
}

// memory is a Carried that is just a map.
type memory map[string]string

func (m memory) Keep(callID, raw string)   { m[callID] = strings.Clone(raw) }
func (m memory) Find(callID string) string { return m[callID] }

func word(p translate.Progress) string {
	return [...]string{"more", "complete", "failed", "malformed"}[p]
}

// file is a golden file.
type file struct {
	t        *testing.T
	names    []string
	sections map[string]string
}

const ruleSection = ""

func each(t *testing.T, folder string, run func(t *testing.T, g *file)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, paths, folder)
	for _, path := range paths {
		t.Run(folder+"/"+strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			g := parse(t, string(text))
			require.NotEmpty(t, strings.TrimSpace(g.get(ruleSection)), "the file does not say what rule it shows")
			run(t, g)
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(g.String()), 0o644)) //nolint:gosec // a test's own file
			}
		})
	}
}

func parse(t *testing.T, text string) *file {
	g := &file{t: t, sections: map[string]string{}}
	name := ruleSection
	var lines []string
	finish := func() {
		g.names = append(g.names, name)
		g.sections[name] = strings.Join(lines, "\n")
		lines = nil
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if rest, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(rest, " --") {
			finish()
			name = strings.TrimSuffix(rest, " --")
			continue
		}
		lines = append(lines, line)
	}
	finish()
	return g
}

func (g *file) get(name string) string { return g.sections[name] }

// expect compares a section with what it should be; an empty one may be left out.
func (g *file) expect(name, got string) {
	g.t.Helper()
	if !*update {
		require.Equal(g.t, g.sections[name], got, "section %s", name)
		return
	}
	if _, there := g.sections[name]; !there && got != "" {
		g.names = append(g.names, name)
	}
	g.sections[name] = got
}

func (g *file) String() string {
	var b strings.Builder
	for _, name := range g.names {
		if name != ruleSection {
			b.WriteString("-- " + name + " --\n")
		}
		if g.sections[name] != "" {
			b.WriteString(g.sections[name] + "\n")
		}
	}
	return b.String()
}
