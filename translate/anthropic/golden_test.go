package anthropic

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/internal/dialecttest"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
)

// goldenFile is a file of sections, each under a line "-- name --", behind the rule it
// shows.
type goldenFile struct {
	path, rule string
	names      []string
	text       map[string]string
}

func eachGolden(t *testing.T, folder string, run func(t *testing.T, g *goldenFile)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			g := &goldenFile{path: path, text: map[string]string{}}
			name := ""
			for line := range strings.Lines(string(content)) {
				if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(rest, " --") {
					name = strings.TrimSuffix(rest, " --")
					g.names = append(g.names, name)
				} else if name == "" {
					g.rule += line
				} else {
					g.text[name] += line
				}
			}
			require.NotEmpty(t, g.rule, "the rule that the case shows")
			run(t, g)
		})
	}
}

// expect compares a section with what came out.
func (g *goldenFile) expect(t *testing.T, section, got string) {
	t.Helper()
	want := strings.TrimSpace(g.text[section])
	got = strings.TrimSpace(got)
	if !dialecttest.Update() {
		require.Equal(t, want, got, "%s of %s", section, g.path)
		return
	}
	if got == want {
		return
	}
	if g.text[section] == "" {
		g.names = append(g.names, section)
	}
	g.text[section] = got + "\n"
	var out strings.Builder
	out.WriteString(g.rule)
	for _, name := range g.names {
		if g.text[name] != "" {
			fmt.Fprintf(&out, "-- %s --\n%s", name, g.text[name])
		}
	}
	require.NoError(t, os.WriteFile(g.path, []byte(out.String()), 0o644))
}

// memory is what is carried, by the id of the call.
type memory map[string]string

func (m memory) Keep(id, raw string)   { m[id] = strings.Clone(raw) }
func (m memory) Find(id string) string { return m[id] }

// context reads lines of "name value".
func (g *goldenFile) context(t *testing.T) *translate.Context {
	t.Helper()
	c := &translate.Context{Model: "claude-next", N: 1}
	kept := memory{}
	for line := range strings.Lines(g.text["context"]) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "model":
			c.Model = value
		case "platform":
			c.Platform = translate.Platform{Platform: value, Project: "my project", Region: "europe-west1"}
		case "stream":
			c.Stream = true
		case "answer_tool":
			c.AnswerTool = value
		case "known":
			c.Known = modeldata.Model{}
			require.NoError(t, json.Unmarshal([]byte(value), &c.Known))
		case "kept":
			id, raw, _ := strings.Cut(value, " ")
			kept[id] = raw
		default:
			t.Fatalf("unknown name %q", name)
		}
	}
	c.Carried = kept
	return c
}

func TestRequests(t *testing.T) {
	eachGolden(t, "request", func(t *testing.T, g *goldenFile) {
		c := g.context(t)
		var body []byte
		chat, failed := translate.ParseChat([]byte(g.text["chat"]))
		if failed == nil {
			body, failed = Dialect{}.Request(c, chat)
		}
		if failed != nil {
			require.Nil(t, body)
			g.expect(t, "error", failed.Error()+"\n"+failed.Message)
		} else {
			g.expect(t, "want", lines(t, body))
			again, _ := Dialect{}.Request(g.context(t), chat)
			require.Equal(t, string(body), string(again))
		}
		g.expect(t, "warnings", strings.Join(c.Warnings, "\n"))
		if c.AnswerTool != "" {
			g.expect(t, "answer tool", c.AnswerTool)
		}
	})
}

// lines puts each member of an object, and each message in it, on a line of its own.
func lines(t *testing.T, body []byte) string {
	t.Helper()
	require.True(t, json.Valid(body), "%s", body)
	var compact strings.Builder
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		c := body[i]
		compact.WriteByte(c)
		switch {
		case inString && c == '\\':
			i++
			compact.WriteByte(body[i])
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 1:
			compact.WriteByte('\n')
		case c == ',' && depth == 2 && body[i+1] == '{':
			compact.WriteString("\n  ")
		case c == ' ' || c == '\n' || c == '\t':
			t.Fatalf("not compact: %s", body)
		}
	}
	return compact.String()
}

var progress = map[translate.Progress]string{
	translate.More: "more", translate.Complete: "complete", translate.Failed: "failed", translate.Malformed: "malformed",
}

func TestStreams(t *testing.T) {
	eachGolden(t, "stream", func(t *testing.T, g *goldenFile) {
		c := g.context(t)
		to := &trace{}
		d := Dialect{}.Decoder(c)
		p := translate.More
		frames := []byte(g.text["frames"])
		each := func(name, data []byte) {
			if p == translate.More {
				p = d.Event(to, name, data)
			}
		}
		if len(frames) > 0 { // "name data" on each line, data wrapped if name is chunk
			for line := range strings.Lines(string(frames)) {
				name, data, _ := strings.Cut(strings.TrimSpace(line), "\t")
				if name == "chunk" && strings.HasPrefix(data, "{") {
					data = wrap(data)
				}
				each([]byte(name), []byte(data))
			}
		} else {
			scan([]byte(g.text["events"]), nil, each)
		}
		if p == translate.More {
			p = d.End(to)
			to.add("end", progress[p])
		} else {
			to.add(progress[p])
		}
		g.expect(t, "want", to.String())
		var kept []string
		for id, raw := range c.Carried.(memory) {
			kept = append(kept, id+" "+raw)
		}
		g.expect(t, "kept", strings.Join(kept, "\n"))
	})
}

// scan feeds a stream to a scanner, cut at the given places.
func scan(stream []byte, cuts []int, each func(name, data []byte)) {
	var s sse.Scanner
	var ev sse.Event
	drain := func() {
		for s.Next(&ev) {
			each(ev.Name, ev.Data)
		}
	}
	at := 0
	for _, cut := range append(cuts, len(stream)) {
		s.Feed(append([]byte(nil), stream[at:cut]...))
		drain()
		at = cut
	}
	if s.Flush(&ev) {
		each(ev.Name, ev.Data)
	}
}

func TestAnswers(t *testing.T) {
	eachGolden(t, "answer", func(t *testing.T, g *goldenFile) {
		to := &trace{}
		p := Dialect{}.Answer(g.context(t), to, []byte(g.text["body"]))
		to.add(progress[p])
		g.expect(t, "want", to.String())
	})
}

func TestErrors(t *testing.T) {
	eachGolden(t, "error", func(t *testing.T, g *goldenFile) {
		var status int
		var contentType string
		_, _ = fmt.Sscan(g.text["status"], &status, &contentType)
		e := Dialect{}.Error(status, contentType, []byte(strings.TrimSpace(g.text["body"])))
		g.expect(t, "want", string(e.AppendJSON([]byte(fmt.Sprintf("%d ", e.Status)))))
	})
}
