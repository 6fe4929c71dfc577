package openai_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/translate/openai"
)

var update = flag.Bool("update", false, "rewrite the expectations in golden files")

// golden is a file that begins with the rule that it shows, followed by sections under
// lines "-- name --".
type golden struct {
	names    []string
	sections map[string]string
}

func parseGolden(text string) *golden {
	g := &golden{sections: map[string]string{}}
	name := "rule"
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

func (g *golden) String() string {
	var b strings.Builder
	for _, name := range g.names {
		if name != "rule" {
			b.WriteString("-- " + name + " --\n")
		}
		if text := g.sections[name]; text != "" {
			b.WriteString(text + "\n")
		}
	}
	return b.String()
}

// eachGolden runs a subtest for each file of a folder. run fills in what a section has to be.
func eachGolden(t *testing.T, folder string, run func(t *testing.T, g *golden, expect func(section, got string))) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			g := parseGolden(string(text))
			require.NotEmpty(t, g.sections["rule"], "the file does not say what rule it shows")
			run(t, g, func(section, got string) {
				if !*update {
					require.Equal(t, g.sections[section], got, section)
					return
				}
				if _, there := g.sections[section]; !there {
					g.names = append(g.names, section)
				}
				g.sections[section] = got
			})
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(g.String()), 0o644)) //nolint:gosec // a test's own file
			}
		})
	}
}

func (g *golden) options(t *testing.T) openai.Options {
	o := openai.Options{ChatID: "chatcmpl-1", Created: 1700000000, Asked: "asked", Extensions: true}
	if text := g.sections["options"]; text != "" {
		require.NoError(t, json.Unmarshal([]byte(text), &o))
	}
	return o
}

// Each line of the section stream is the data of an event. In the section client a line
// "=" stands for an event that passed untouched, "-" for one that was dropped; a line
// that begins with "+" is one more event in place of the same. What stands behind "end"
// is what was added at the end.
func TestGoldenStreams(t *testing.T) {
	eachGolden(t, "stream", func(t *testing.T, g *golden, expect func(section, got string)) {
		o := g.options(t)
		var r openai.Repair
		r.Reset(o)
		var lines []string
		var stream []byte
		replaced := func(out []byte) {
			stream = append(stream, out...)
			sign := "> "
			for _, data := range payloads(out) {
				lines = append(lines, sign+data)
				sign = "+ "
			}
		}
		for data := range strings.Lines(g.sections["stream"]) {
			data = strings.TrimSuffix(data, "\n")
			require.True(t, json.Valid([]byte(data)), data)
			out, verdict := r.Event(nil, []byte(data))
			switch {
			case verdict == openai.Untouched:
				require.Empty(t, out)
				lines = append(lines, "=")
				stream = append(stream, "data: "+data+"\n\n"...)
			case len(out) == 0:
				lines = append(lines, "-")
			default:
				replaced(out)
			}
		}
		lines = append(lines, "end")
		replaced(r.Done(nil))
		expect("client", strings.Join(lines, "\n"))
		accept(t, append(stream, "data: [DONE]\n\n"...), o.HideUsage)
		require.Empty(t, r.Done(nil), "the end comes once")
	})
}

func TestGoldenAnswers(t *testing.T) {
	eachGolden(t, "answer", func(t *testing.T, g *golden, expect func(section, got string)) {
		o := g.options(t)
		body := []byte(g.sections["answer"])
		got := openai.RepairAnswer(nil, body, o)
		require.Equal(t, g.sections["answer"], string(body), "the body is not written to")
		if string(got) == string(body) {
			require.Same(t, &body[0], &got[0])
			expect("client", "same")
		} else {
			require.True(t, json.Valid(got), "%s", got)
			expect("client", string(got))
			again := openai.RepairAnswer(nil, got, o)
			require.Equal(t, string(got), string(again), "a mended answer needs no mending")
		}
	})
}
