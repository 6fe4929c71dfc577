package accounting

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mixedPrompt is a chat of about size bytes in which prose, source code and numbers take
// turns, as in what agents send.
func mixedPrompt(size int, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 3))
	kinds := []func() string{
		func() string { return prose(120, random.Uint64()) },
		func() string {
			return strings.Repeat("	if err := s.ledger.Finish(record); err != nil {\n\t\treturn fmt.Errorf(\"closing: %w\", err)\n\t}\n", 6)
		},
		func() string {
			var b strings.Builder
			for range 60 {
				b.WriteString(string(json.Number("0." + strings.Repeat("37", 3))))
				b.WriteString(", ")
			}
			return b.String()
		},
		func() string { return strings.Repeat("The committee met on Tuesday and agreed to nothing. ", 12) },
	}
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	var messages []message
	for total := 0; total < size; {
		text := kinds[random.IntN(len(kinds))]()
		total += len(text)
		messages = append(messages, message{"user", text})
	}
	body, err := json.Marshal(map[string]any{"messages": messages, "max_tokens": 50})
	if err != nil {
		panic(err)
	}
	return body
}

func TestSketchOfASmallRequestEstimatesLikeTheRequest(t *testing.T) {
	var e Estimator
	text := OutputText{Content: []byte("hello world"), TotalBytes: 11, Ended: 1}
	for _, model := range []string{"gpt-4o", "claude-sonnet-4-5", "qwen3", "unheard-of"} {
		for endpoint, body := range map[string]string{
			"chat":        `{"max_tokens":7,"messages":` + weatherMessages + `,"tools":[{"type":"function","function":` + weatherFunction + `}]}`,
			"responses":   `{"input":"hello world"}`,
			"completions": `{"prompt":["hello world",[1,2,3]]}`,
			"embeddings":  `not json`,
		} {
			want := e.Estimate(model, endpoint, []byte(body), text, Bounds{})
			got := e.EstimateSketch(e.Sketch(model, endpoint, []byte(body)), text, Bounds{})
			require.Equal(t, want, got, "%s %s", model, endpoint)
		}
	}
}

func TestSketchOfALargeRequestIsSmallAndNear(t *testing.T) {
	var e Estimator
	body := mixedPrompt(1<<20, 1)
	whole := e.counter("gpt-4o")
	p := readPrompt(whole, "gpt-4o", "chat", body)
	want := whole.total() + p.extra

	s := e.Sketch("gpt-4o", "chat", body)
	kept := 0
	for _, place := range s.places {
		kept += len(place)
	}
	require.LessOrEqual(t, kept, keptOfPrompt+sampledPieceBytes)
	require.InEpsilon(t, want, e.EstimateSketch(s, OutputText{}, Bounds{}).Input.N, 0.05)
	require.InEpsilon(t, want, e.Prompt("gpt-4o", "chat", body), 0.05)
}

func TestPicturesDoNotCrowdOutTheTextOfASketch(t *testing.T) {
	var e Estimator
	picture := `{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("QUJD", 1<<20) + `"}}`
	text := strings.TrimSpace(strings.Repeat("hello world ", 4000))
	body := []byte(`{"messages":[{"role":"user","content":[{"type":"text","text":"` + text + `"},` + picture + `]}]}`)
	words := e.Text("gpt-4o", text)
	without := e.Prompt("gpt-4o", "chat", []byte(`{"messages":[{"role":"user","content":[{"type":"text","text":""},`+picture+`]}]}`))
	require.Equal(t, words+without, e.Prompt("gpt-4o", "chat", body))
	require.Equal(t, words+without, e.EstimateSketch(e.Sketch("gpt-4o", "chat", body), OutputText{}, Bounds{}).Input.N)
}

func TestSketchKeepsNothingOfTheRequest(t *testing.T) {
	var e Estimator
	body := []byte(`{"messages":[{"role":"user","content":"hello world"}]}`)
	s := e.Sketch("gpt-4o", "chat", body)
	clear(body)
	require.EqualValues(t, 9, e.EstimateSketch(s, OutputText{}, Bounds{}).Input.N)
}

func TestEstimateStaysWithinTheModelsLimits(t *testing.T) {
	var e Estimator
	long := OutputText{Content: []byte(strings.Repeat(" word", 500)), TotalBytes: 2500}
	f := func(body string, known Bounds, input, output int64) {
		t.Helper()
		for _, u := range []any{
			e.Estimate("gpt-4o", "chat", []byte(body), long, known),
			e.EstimateSketch(e.Sketch("gpt-4o", "chat", []byte(body)), long, known),
		} {
			require.JSONEq(t, usageJSON(input, output), toJSON(t, u))
		}
	}
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	f(`{`+hi+`}`, Bounds{}, 8, 500)
	f(`{`+hi+`}`, Bounds{MaxOutput: 100}, 8, 100)
	f(`{`+hi+`,"n":2}`, Bounds{MaxOutput: 100}, 8, 200)
	f(`{`+hi+`,"max_tokens":30}`, Bounds{MaxOutput: 100}, 8, 30)
	f(`{`+hi+`}`, Bounds{Context: 208}, 8, 200)
	f(`{`+hi+`}`, Bounds{MaxOutput: 100, Context: 50}, 8, 42)
	f(`{`+hi+`}`, Bounds{MaxOutput: 1000, Context: 8000}, 8, 500)
	f(`{"messages":[{"role":"user","content":"`+strings.Repeat("word ", 300)+`"}]}`, Bounds{Context: 200}, 200, 500)
}

func usageJSON(input, output int64) string {
	b, _ := json.Marshal(map[string]int64{"input": input, "output": output})
	return string(b)
}

// toJSON leaves out what is absent.
func toJSON(t *testing.T, usage any) string {
	t.Helper()
	b, err := json.Marshal(usage)
	require.NoError(t, err)
	var all map[string]*int64
	require.NoError(t, json.Unmarshal(b, &all))
	for name, n := range all {
		if n == nil {
			delete(all, name)
		}
	}
	b, err = json.Marshal(all)
	require.NoError(t, err)
	return string(b)
}

func TestManyWaitingJobsMakeEstimatesShort(t *testing.T) {
	waiting := 0
	e := Estimator{Waiting: func() int { return waiting }}
	f := func(jobs int, want int64) {
		t.Helper()
		waiting = jobs
		require.Equal(t, want, e.budget())
	}
	f(0, mostTokenised)
	f(calmQueue, mostTokenised/2)
	f(7*calmQueue, mostTokenised/8)
	f(1000, leastTokenised)
	f(-1, mostTokenised)

	body := mixedPrompt(1<<20, 1)
	waiting = 0
	calm := e.Prompt("gpt-4o", "chat", body)
	waiting = 1000
	require.InEpsilon(t, calm, e.Prompt("gpt-4o", "chat", body), 0.1)
}

func TestOnlyTextIsTakenForText(t *testing.T) {
	f := func(body string, want int64) {
		t.Helper()
		require.Equal(t, want, textBytes([]byte(body)))
	}
	f("", 0)
	f(`{"a":"b"}`, 5) // without the quotes
	f(`"`+strings.Repeat("QUJD", 1000)+`"`, 0)
	f(`"`+strings.Repeat("hey ", 1000)+`"`, 4000)
	f(`"`+strings.Repeat("東京", 1000)+`"`, 6000)
	f(`"`+strings.Repeat("QUJD", 200)+`"`, 800)
}
