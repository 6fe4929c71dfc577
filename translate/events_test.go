package translate_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
)

// checkOwnEvents writes every kind of event that sluice makes with the same texts in it,
// behind an event of a provider, and reads them back.
func checkOwnEvents(t *testing.T, message, code, model string, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	e := &translate.Error{Status: 500 + int(seed%30), Message: message, Type: model, Param: code, Code: code}
	head := translate.Head{ID: code, Created: int64(seed >> 1), Model: model}
	usage := &tokens.Usage{Input: tokens.Known(1)}
	before := []byte("data: {\"choices\":[]}\n\n")

	out := translate.AppendErrorEvent(before, e, seed&1 != 0)
	requireEvents(t, out, []string{`{"choices":[]}`, string(e.AppendJSON(nil))}, random)
	require.True(t, utf8.Valid(out))
	requireOwnError(t, e, e.AppendJSON(nil))

	var ev sse.Event
	var scanner sse.Scanner
	scanner.Feed(translate.AppendResponsesError(nil, e))
	require.True(t, scanner.Next(&ev))
	require.Equal(t, "error", string(ev.Name))
	require.Equal(t, "event: error\ndata: "+string(ev.Data)+"\n\n", string(ev.Raw))
	requireOwnError(t, e, ev.Data)
	require.False(t, scanner.Next(&ev))
	require.False(t, scanner.Flush(&ev))

	scanner = sse.Scanner{}
	scanner.Feed(translate.AppendCancelEnding(nil, head, translate.ChatChunk, []int{0, 1}, usage, message, code))
	for range 3 {
		require.True(t, scanner.Next(&ev))
		require.Equal(t, "data: "+string(ev.Data)+"\n\n", string(ev.Raw))
		var chunk struct {
			ID, Model string
			Sluice    struct {
				Outcome string
				Source  string `json:"usage_source"`
			}
		}
		require.NoError(t, json.Unmarshal(ev.Data, &chunk))
		require.Equal(t, []string{valid(code), valid(model), valid(message), valid(code)},
			[]string{chunk.ID, chunk.Model, chunk.Sluice.Outcome, chunk.Sluice.Source})
	}
	require.True(t, scanner.Next(&ev))
	require.True(t, sse.IsDone(ev.Data))
	require.False(t, scanner.Next(&ev))
	require.False(t, scanner.Flush(&ev))

	checkOwnChunks(t, message, code, head, random)
}

func requireOwnError(t *testing.T, e *translate.Error, data []byte) {
	t.Helper()
	for _, c := range data {
		require.True(t, c >= ' ' && c != 0x7f, "%q", data)
	}
	var parsed struct {
		Error struct{ Message, Type, Param, Code string }
	}
	require.NoError(t, json.Unmarshal(data, &parsed))
	kind := e.Type
	if kind == "" {
		kind = translate.TypeOfStatus(e.Status)
	}
	require.Equal(t, []string{valid(e.Message), valid(kind), valid(e.Param), valid(e.Code)},
		[]string{parsed.Error.Message, parsed.Error.Type, parsed.Error.Param, parsed.Error.Code})
}

// checkOwnChunks writes an answer of which every string is hostile.
func checkOwnChunks(t *testing.T, text, id string, head translate.Head, random *rand.Rand) {
	t.Helper()
	inside := spell(text, 0)
	object := `{"a":"` + inside + `"}`
	w := translate.NewChunkWriter(head, translate.WriterOptions{Extensions: true, IncludeUsage: true})
	w.Lend(nil)
	w.Head(id, head.Model, 1)
	w.Reasoning(0, inside)
	w.Text(0, inside)
	w.Refusal(0, inside)
	w.Image(0, inside)
	call := w.Call(0, translate.Call{ID: id, Name: text, Vendor: "v", Carry: object})
	w.Arguments(0, call, inside)
	w.ArgumentsJSON(0, call, object)
	w.Carry(0, "v", object)
	w.Finish(0, translate.FinishStop, text)
	out := w.Take()
	var meant []string
	for data := range w.Events(out, 0) {
		meant = append(meant, string(data))
	}
	requireEvents(t, w.AppendTail(out), meant, random)
	require.True(t, utf8.Valid(out))
}

// row C18
func TestTextsCannotBreakTheEventsThatSluiceMakes(t *testing.T) {
	for i, a := range hostile {
		for j, b := range hostile {
			checkOwnEvents(t, a, b, hostile[(i+j)%len(hostile)], uint64(i*100+j))
		}
	}
}

func FuzzOwnEvents(f *testing.F) {
	for i, text := range hostile {
		f.Add(text, "code", "model", uint64(i))
		f.Add("message", text, text, uint64(i))
	}
	f.Fuzz(checkOwnEvents)
}
