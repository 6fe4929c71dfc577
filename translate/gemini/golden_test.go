package gemini_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/gemini"
)

// A golden file states its rule, and then has sections that begin with "-- name --".
type golden struct {
	path, rule string
	names      []string
	sections   map[string]string
}

func readGolden(t *testing.T, path string) *golden {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	g := &golden{path: path, sections: make(map[string]string)}
	name := ""
	for line := range strings.Lines(string(data)) {
		if inner, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(inner, " --") {
			name = strings.TrimSuffix(inner, " --")
			g.names = append(g.names, name)
			g.sections[name] = ""
			continue
		}
		if name == "" {
			g.rule += line
		} else {
			g.sections[name] += line
		}
	}
	require.NotEmpty(t, strings.TrimSpace(g.rule), "a golden file says what rule it shows")
	return g
}

// check compares a section, or writes it.
func (g *golden) check(t *testing.T, name, got string) {
	t.Helper()
	if got != "" && !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	if !dialecttest.Update() {
		require.Equal(t, g.sections[name], got, "section %s", name)
		return
	}
	if _, has := g.sections[name]; !has && got != "" {
		g.names = append(g.names, name)
	}
	g.sections[name] = got
	var b bytes.Buffer
	b.WriteString(g.rule)
	for _, n := range g.names {
		if g.sections[n] != "" {
			b.WriteString("-- " + n + " --\n" + g.sections[n])
		}
	}
	require.NoError(t, os.WriteFile(g.path, b.Bytes(), 0o644))
}

func eachGolden(t *testing.T, dir string, run func(t *testing.T, g *golden)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { run(t, readGolden(t, path)) })
	}
}

// setting is what a golden file of a request says of its exchange.
type setting struct {
	Known   modeldata.Model   `json:"known"`
	Carried map[string]string `json:"carried"`
}

func TestRequest(t *testing.T) {
	eachGolden(t, "request", func(t *testing.T, g *golden) {
		var s setting
		if text := g.sections["context"]; text != "" {
			decoder := json.NewDecoder(strings.NewReader(text))
			decoder.DisallowUnknownFields()
			require.NoError(t, decoder.Decode(&s))
		}
		c := &translate.Context{Model: "gemini", Known: s.Known, N: 1}
		if s.Carried != nil {
			c.Carried = memory(s.Carried)
		}
		chat, e := translate.ParseChat([]byte(g.sections["chat"]))
		var body []byte
		if e == nil {
			body, e = gemini.Dialect{}.Request(c, chat)
		}
		refused := ""
		if e != nil {
			require.Nil(t, body)
			refused = string(e.AppendJSON(nil))
		}
		g.check(t, "request", indented(t, body))
		g.check(t, "error", refused)
		g.check(t, "warnings", strings.Join(c.Warnings, "\n"))
	})
}

// indented checks that body is compact and lays it out for people.
func indented(t *testing.T, body []byte) string {
	t.Helper()
	if body == nil {
		return ""
	}
	var compact, laidOut bytes.Buffer
	require.NoError(t, json.Compact(&compact, body))
	require.Equal(t, compact.String(), string(body), "the request is compact")
	require.NoError(t, json.Indent(&laidOut, body, "", " "))
	return laidOut.String()
}

func TestStream(t *testing.T) {
	eachGolden(t, "stream", func(t *testing.T, g *golden) {
		kept := memory{}
		c := &translate.Context{Carried: kept}
		var s transcript
		d := gemini.Dialect{}.Decoder(c)
		p := translate.More
		for line := range strings.Lines(g.sections["events"]) {
			data := []byte(strings.TrimSuffix(line, "\n"))
			p = d.Event(&s, nil, data)
			clobber(data)
			if p != translate.More {
				break
			}
		}
		if p == translate.More {
			p = d.End(&s)
		}
		s.add("%s", progress(p))
		for _, id := range sortedKeys(kept) {
			s.add("kept %s %s", id, kept[id])
		}
		g.check(t, "want", s.String())
	})
}

func sortedKeys(m memory) []string { return slices.Sorted(maps.Keys(m)) }

// clobber overwrites an event's memory, as the next read does.
func clobber(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

func TestAnswer(t *testing.T) {
	eachGolden(t, "answer", func(t *testing.T, g *golden) {
		var s transcript
		p := gemini.Dialect{}.Answer(&translate.Context{}, &s, []byte(g.sections["body"]))
		s.add("%s", progress(p))
		g.check(t, "want", s.String())
	})
}
