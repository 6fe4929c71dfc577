package translate_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/translate"
)

// FuzzDialectStream decodes any body, and golden streams with any text in any of their
// strings, in any division.
func FuzzDialectStream(f *testing.F) {
	for i, s := range subjects {
		streams := recorded(f, s.name)
		for j, text := range hostile {
			f.Add(uint8(i), uint16(j), []byte(text), uint64(j))
		}
		for j := range min(len(streams), 8) {
			f.Add(uint8(i), uint16(0xffff), s.body(streams[j]), uint64(j))
		}
	}
	streams := map[string][][]event{}
	for _, s := range subjects {
		streams[s.name] = recorded(f, s.name)
	}
	f.Fuzz(func(t *testing.T, which uint8, stream uint16, text []byte, seed uint64) {
		s := subjects[int(which)%len(subjects)]
		if stream < 0x8000 {
			known := streams[s.name]
			checkHostile(t, s, known[int(stream)%len(known)], string(text), seed)
			return
		}
		random := rand.New(rand.NewPCG(seed, 1))
		out, meant := relay(t, s, text, random)
		requireEvents(t, out, meant, random)
		again, same := relay(t, s, text, rand.New(rand.NewPCG(seed, 2)))
		requireEvents(t, again, same, random)
		require.Equal(t, len(meant) > 0, len(same) > 0)
	})
}

// FuzzDialectAnswer reads any whole answer, and any body of an error.
func FuzzDialectAnswer(f *testing.F) {
	for i, s := range subjects {
		paths, err := filepath.Glob(filepath.Join(s.name, "testdata", "answer", "*.txtar"))
		require.NoError(f, err)
		for _, path := range paths {
			content, err := os.ReadFile(path)
			require.NoError(f, err)
			for line := range strings.Lines(string(content)) {
				if strings.HasPrefix(line, "{") {
					f.Add(uint8(i), 200, "application/json", []byte(line))
				}
			}
		}
		for _, text := range hostile {
			f.Add(uint8(i), 400, "text/plain", []byte(text))
			f.Add(uint8(i), 429, "application/json", []byte(`{"error":{"message":"`+spell(text, 0)+`","type":"`+spell(text, 2)+`","code":"`+spell(text, 3)+`"}}`))
			f.Add(uint8(i), 529, "text/event-stream", []byte("data: {\"message\":\""+spell(text, 1)+"\",\"__type\":\""+spell(text, 0)+"\"}\n\n"))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, status int, contentType string, body []byte) {
		s := subjects[int(which)%len(subjects)]
		random := rand.New(rand.NewPCG(uint64(len(body)), 1))
		w := translate.NewAnswerWriter(translate.Head{ID: "id"}, translate.WriterOptions{Extensions: true})
		switch progress := s.dialect.Answer(s.context(), w, slices.Clone(body)); progress {
		case translate.Complete:
			require.True(t, json.Valid(w.Append(nil)), "%q", w.Append(nil))
		case translate.Failed:
			requireErrorEvent(t, w.Failure(), random)
		default:
			require.Equal(t, translate.Malformed, progress)
		}
		if status >= 100 && status <= 999 {
			requireErrorEvent(t, s.dialect.Error(status, contentType, slices.Clone(body)), random)
		}
	})
}

// requireErrorEvent checks that an error reaches the client as one event that says it.
func requireErrorEvent(t *testing.T, e *translate.Error, random *rand.Rand) {
	t.Helper()
	require.NotNil(t, e)
	require.NotEmpty(t, e.Message)
	require.GreaterOrEqual(t, e.Status, 100)
	e = e.InOpenAIsWords()
	kind := e.Kind()
	require.Equal(t, kind, e.InOpenAIsWords().Kind())
	out := translate.AppendErrorEvent(nil, e, false)
	requireEvents(t, out, []string{string(e.AppendJSON(nil))}, random)
	require.True(t, utf8.Valid(out))
	require.NotContains(t, string(out), "\u2028")
	var parsed struct {
		Error struct{ Message, Type, Param, Code string }
	}
	require.NoError(t, json.Unmarshal(out[len("data: "):], &parsed))
	require.Equal(t, [...]string{valid(e.Message), valid(e.Param), valid(e.Code)}, [...]string{parsed.Error.Message, parsed.Error.Param, parsed.Error.Code})
}

// valid is a text as it arrives: each byte that is no UTF-8 becomes U+FFFD.
func valid(s string) string { return string([]rune(s)) }

// FuzzDialectRequest writes any request that can be parsed: as JSON, with warnings that fit
// into a header, to a path that is one.
func FuzzDialectRequest(f *testing.F) {
	for i, s := range subjects {
		paths, err := filepath.Glob(filepath.Join(s.name, "testdata", "request", "*.txtar"))
		require.NoError(f, err)
		for _, path := range paths {
			content, err := os.ReadFile(path)
			require.NoError(f, err)
			for line := range strings.Lines(string(content)) {
				if strings.HasPrefix(line, "{") && json.Valid([]byte(line)) {
					f.Add(uint8(i), "model", []byte(line))
					break
				}
			}
		}
		for _, text := range hostile {
			inside := spell(text, 0)
			f.Add(uint8(i), text, []byte(`{"model":"m","messages":[{"role":"user","content":"`+inside+`","`+inside+`":1,"name":"`+inside+`"}],"user":"`+inside+`","x`+inside+`":"`+inside+`"}`))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, model string, body []byte) {
		s := subjects[int(which)%len(subjects)]
		c := s.context()
		c.Model, c.Project, c.Region = model, "p", "r"
		path := s.dialect.Path(c)
		for i := range len(path) {
			require.True(t, path[i] > ' ' && path[i] <= '~', "%q", path)
		}
		address, err := url.ParseRequestURI(path)
		require.NoError(t, err)
		require.Empty(t, address.Fragment)
		if _, failed := translate.ParseRequest(translate.ChatCompletions, body); failed != nil {
			return
		}
		chat, failed := translate.ParseChat(body)
		if failed != nil {
			require.True(t, json.Valid(failed.AppendJSON(nil)))
			return
		}
		out, failed := s.dialect.Request(c, chat)
		require.True(t, failed != nil || json.Valid(out), "%s", out)
		requireWarnings(t, c)
	})
}
