package dialecttest

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
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
//	request/*.txtar  request, known (optional)  ->  provider or error, warnings
//	stream/*.txtar   stream                     ->  sink
//	answer/*.txtar   answer                     ->  sink
//	error/*.txtar    status, type, body         ->  error
//
// With -update the sections to the right of the arrow are written anew.
func Golden(t *testing.T, d translate.Dialect, f translate.Framing) {
	t.Helper()
	each(t, "request", func(t *testing.T, g *file) { goldenRequest(t, d, g) })
	each(t, "stream", func(_ *testing.T, g *file) {
		r := &Recorder{}
		progress := Stream(d, r, f, []byte(g.get("stream")+"\n\n"), len(g.get("stream"))+2)
		g.expect("sink", strings.Join(append(r.Lines, "progress "+word(progress)), "\n"))
	})
	each(t, "answer", func(_ *testing.T, g *file) {
		r := &Recorder{}
		progress := d.Answer(&translate.Context{}, r, []byte(g.get("answer")))
		g.expect("sink", strings.Join(append(r.Lines, "progress "+word(progress)), "\n"))
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
	c := &translate.Context{Model: chat.Model, Stream: chat.Stream, N: chat.N}
	if known := g.get("known"); known != "" {
		require.NoError(t, json.Unmarshal([]byte(known), &c.Known))
	}
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
	decoder := d.Decoder(&translate.Context{Stream: true})
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
