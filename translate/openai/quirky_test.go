package openai_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/translate/openai"
)

// quirky is a server that speaks OpenAI's API in a way of its own, which the seed
// decides, and what a client has to understand in the end.
type quirky struct {
	r       *rand.Rand
	lines   []string
	choices []quirkyChoice
	usage   string // as it is said last

	head, role, finish, usageAt, index, labels, arguments, content int
	spaced, done                                                   bool
	counter, events                                                int
}

type quirkyChoice struct {
	text, reasoning, finish string
	calls                   []plainCall
	begun                   bool
	script                  []quirkyStep
}

// quirkyStep is one thing that a model does.
type quirkyStep struct {
	kind string // text, reasoning, open, arguments, finish
	text string
	call int
}

var syllables = []string{"a", "é", `\n`, `\"`, `\\`, " ", "<", "{", "}", `\u00e9`, `\ud83d\ude00`, "word", ",", "[DONE]", "data: "}

func (q *quirky) syllable() string { return syllables[q.r.IntN(len(syllables))] }

func newQuirky(seed uint64) *quirky {
	q := &quirky{r: rand.New(rand.NewPCG(seed, 9))}
	pick := func(n int) int { return max(q.r.IntN(n+2)-2, 0) } // the usual way is likely
	q.head, q.role, q.finish, q.usageAt = pick(5), pick(5), pick(6), pick(7)
	q.index, q.labels, q.arguments, q.content = pick(4), pick(5), pick(4), pick(3)
	q.spaced, q.done = q.r.IntN(4) == 0, q.r.IntN(4) > 0
	q.choices = make([]quirkyChoice, 1+pick(3))
	for i := range q.choices {
		q.write(&q.choices[i])
	}
	for q.step() {
	}
	return q
}

// write makes up what one choice says.
func (q *quirky) write(c *quirkyChoice) {
	say := func(kind string, n int) {
		for range n {
			c.script = append(c.script, quirkyStep{kind: kind, text: q.syllable() + q.syllable()})
		}
	}
	say("reasoning", q.r.IntN(4))
	say("text", 1+q.r.IntN(6))
	for k := range max(q.r.IntN(6)-2, 0) {
		c.script = append(c.script, quirkyStep{kind: "open", call: k})
		if q.arguments == 0 || q.arguments == 3 && q.r.IntN(2) == 0 {
			for _, piece := range []string{`{\"a\"`, `:[`, fmt.Sprint(k), `]}`} {
				c.script = append(c.script, quirkyStep{kind: "arguments", text: piece, call: k})
			}
		}
	}
	c.script = append(c.script, quirkyStep{kind: "finish"})
}

// step writes the event for the next thing that a choice does.
func (q *quirky) step() bool {
	var open []int
	for i := range q.choices {
		if len(q.choices[i].script) > 0 {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		q.end()
		return false
	}
	index := open[q.r.IntN(len(open))]
	if q.r.IntN(3) > 0 {
		index = open[0]
	}
	c := &q.choices[index]
	step := c.script[0]
	c.script = c.script[1:]
	if step.kind == "finish" {
		q.finishChoice(c, index, nil)
		return true
	}
	delta := q.delta(c, step)
	if q.finish == 4 && len(c.script) == 1 { // the end comes with the last of the content
		c.script = nil
		q.finishChoice(c, index, delta)
		return true
	}
	q.event(c, index, delta, "", "")
	return true
}

func (q *quirky) delta(c *quirkyChoice, step quirkyStep) (members []string) {
	decoded := func(escaped string) (s string) {
		if err := json.Unmarshal([]byte(`"`+escaped+`"`), &s); err != nil {
			panic(err)
		}
		return s
	}
	switch step.kind {
	case "text":
		c.text += decoded(step.text)
		if q.content == 2 {
			return []string{`"content":[{"type":"text","text":"` + step.text + `"}]`}
		}
		return []string{`"content":"` + step.text + `"`}
	case "reasoning":
		c.reasoning += decoded(step.text)
		switch q.content {
		case 1:
			return []string{`"content":""`, `"reasoning":"` + step.text + `"`}
		case 2:
			return []string{`"content":[{"type":"thinking","thinking":[{"type":"text","text":"` + step.text + `"}]}]`}
		}
		return []string{`"reasoning_content":"` + step.text + `"`, `"content":null`}
	case "open":
		q.counter++
		call := plainCall{id: fmt.Sprintf("call_%d", q.counter), name: fmt.Sprintf("f%d", step.call%2)}
		arguments := `""`
		switch q.arguments {
		case 1:
			arguments, call.arguments = `"{\"x\":1}"`, `{"x":1}`
		case 2:
			arguments, call.arguments = `{ "x" : 1 }`, `{"x":1}`
		case 3:
			arguments = "null"
		}
		members := []string{`"id":"` + call.id + `"`, `"type":"function"`, `"function":{"name":"` + call.name + `","arguments":` + arguments + `}`}
		if q.labels == 4 && q.index == 0 {
			members, call.id = members[2:], ""
		}
		c.calls = append(c.calls, call)
		return q.call(members, step.call)
	}
	c.calls[step.call].arguments += decoded(step.text)
	members = []string{`"function":{"arguments":"` + step.text + `"}`}
	call := c.calls[step.call]
	switch q.labels {
	case 1:
		members = []string{`"id":""`, `"type":""`, `"function":{"name":"","arguments":"` + step.text + `"}`}
	case 2:
		members = []string{`"id":null`, `"type":null`, `"function":{"name":null,"arguments":"` + step.text + `"}`}
	case 3:
		members = []string{`"id":"` + call.id + `"`, `"type":"function"`, `"function":{"name":"` + call.name + `","arguments":"` + step.text + `"}`}
	}
	return q.call(members, step.call)
}

func (q *quirky) call(members []string, k int) []string {
	switch q.index {
	case 0:
		members = append(members, fmt.Sprintf(`"index":%d`, k))
	case 1: // none
	case 2:
		members = append(members, `"index":0`)
	case 3:
		members = append(members, fmt.Sprintf(`"index":%d`, 2*k+1))
	}
	q.r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return []string{`"tool_calls":[{` + strings.Join(members, ",") + `}]`}
}

func (q *quirky) finishChoice(c *quirkyChoice, index int, delta []string) {
	c.finish = "stop"
	native := c.finish
	if len(c.calls) > 0 {
		c.finish = "tool_calls"
		if q.finish != 1 {
			native = "tool_calls"
		}
	} else if q.r.IntN(4) == 0 && q.finish != 5 {
		c.finish, native = "length", "length"
	}
	usage := ""
	if q.usageAt == 1 || q.usageAt == 5 {
		usage = q.count(1)
	}
	if q.finish == 5 { // no end at all
		if len(delta) > 0 || usage != "" {
			q.event(c, index, delta, "", usage)
		}
		return
	}
	q.event(c, index, delta, native, usage)
	if q.finish == 2 { // and again
		q.event(c, index, []string{`"content":""`}, native, q.count(2))
	}
	if q.finish == 3 { // something behind the end
		q.event(c, index, []string{`"content":"late"`}, "", "")
	}
}

// count is usage that grows.
func (q *quirky) count(n int) string {
	q.usage = fmt.Sprintf(`{"prompt_tokens":3,"completion_tokens":%d,"total_tokens":%d,"extra":{"n":1.50}}`, q.events+n, q.events+n+3)
	return q.usage
}

func (q *quirky) event(c *quirkyChoice, index int, delta []string, finish, usage string) {
	role := `"role":"assistant"`
	switch {
	case !c.begun && q.role == 3:
		delta = append(delta, `"role":null`)
	case q.role == 2, c.begun && (q.role == 0 || q.role == 3):
	case c.begun && q.role == 4:
		delta = append(delta, `"role":""`)
	default:
		delta = append(delta, role)
	}
	c.begun = true
	q.r.Shuffle(len(delta), func(i, j int) { delta[i], delta[j] = delta[j], delta[i] })
	choice := []string{fmt.Sprintf(`"index":%d`, index), `"delta":{` + strings.Join(delta, ",") + `}`}
	switch {
	case finish != "":
		choice = append(choice, `"finish_reason":"`+finish+`"`)
	case q.finish == 1:
	case q.finish == 2:
		choice = append(choice, `"finish_reason":""`)
	default:
		choice = append(choice, `"finish_reason":null`)
	}
	top := []string{`"choices":[{` + strings.Join(choice, ",") + `}]`}
	switch {
	case q.usageAt == 2:
		top = append(top, `"usage":`+q.count(0))
	case usage != "" && q.usageAt == 5:
		top = append(top, `"x_groq":{"id":"r","usage":`+usage+`}`)
	case usage != "":
		top = append(top, `"usage":`+usage)
	case q.usageAt == 3:
		top = append(top, `"usage":null`)
	}
	q.line(top)
}

// line writes an event with a head.
func (q *quirky) line(top []string) {
	q.events++
	id, created, object := `"id":"c1"`, `"created":5`, `"object":"chat.completion.chunk"`
	switch q.head {
	case 1:
		id, created = fmt.Sprintf(`"id":"c%d"`, q.events), fmt.Sprintf(`"created":%d.5`, q.events)
	case 2:
		id, created, object = `"id":""`, `"created":0`, `"object":"chat.completion"`
	case 3:
		id, created, object = `"obfuscation":"`+strings.Repeat("x", q.r.IntN(5))+`"`, `"error":null`, `"provider":"p"`
	case 4:
		if q.events == 1 {
			q.lines = append(q.lines, `{"id":"","created":0,"object":"","model":"","choices":[],"prompt_filter_results":[]}`)
		}
	}
	top = append(top, id, created, object, `"model":"m"`)
	text := "{" + strings.Join(top, ",") + "}"
	if q.spaced {
		text = "{ " + strings.Join(top, " , ") + " }"
	}
	q.lines = append(q.lines, text)
}

func (q *quirky) end() {
	if q.usageAt == 3 || q.usageAt == 4 {
		q.line([]string{`"choices":[]`, `"usage":` + q.count(1)})
	}
	if q.usageAt == 4 {
		q.line([]string{`"choices":[]`, `"usage":` + q.usage})
	}
}

func (q *quirky) stream() []byte {
	var b strings.Builder
	for _, line := range q.lines {
		b.WriteString("data: " + line + "\n\n")
	}
	if q.done || q.finish == 5 {
		b.WriteString("data: [DONE]\n\n")
	}
	return []byte(b.String())
}

func checkQuirky(t *testing.T, seed uint64) {
	t.Helper()
	q := newQuirky(seed)
	o := standIn
	o.N = len(q.choices)
	o.HideUsage = seed%3 == 0
	if seed%5 == 0 {
		o.Model = "public"
	}
	got := relay(t, o, q.stream(), seed)
	require.True(t, got.endedWell)
	s := accept(t, got.out, o.HideUsage)
	require.Len(t, s.choices, len(q.choices))
	for i, want := range q.choices {
		c := s.choices[i]
		require.Equal(t, want.text, c.text)
		require.Equal(t, want.reasoning, c.reasoning+c.thoughts)
		require.Equal(t, want.finish, c.finish)
		require.Len(t, c.calls, len(want.calls))
		for k, call := range want.calls {
			require.Equal(t, call.name, c.calls[k].name)
			if call.id != "" {
				require.Equal(t, call.id, c.calls[k].id)
			}
			if call.arguments == "" && want.finish == "tool_calls" {
				call.arguments = "{}"
			}
			require.Equal(t, call.arguments, c.calls[k].arguments)
		}
	}
	if q.usage != "" && !o.HideUsage {
		usage, err := json.Marshal(s.usage)
		require.NoError(t, err)
		require.JSONEq(t, q.usage, string(usage))
	} else {
		require.Nil(t, s.usage)
	}
	requireSteady(t, o, got.out)
}

// Made-up servers with several quirks at once.
func TestStreamsOfQuirkyServers(t *testing.T) {
	for seed := range uint64(800) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { checkQuirky(t, seed) }) {
			for _, line := range newQuirky(seed).lines {
				t.Log(line)
			}
			return
		}
	}
}

func FuzzQuirkyServers(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(checkQuirky)
}

// Whatever well-formed JSON comes: what is written is well formed and on one line, and
// what was recognised as a repetition is treated as if it had been read.
func FuzzEvents(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(strings.Join(newQuirky(seed).lines, "\n"), byte(seed))
	}
	f.Add(`{"choices":[null,1,[],{"delta":[]},{"delta":{"tool_calls":[1,{}],"content":{}},"index":"x","finish_reason":1}],"usage":[]}`, byte(7))
	f.Add(`{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f"}},null,7,[],"x"]},"logprobs":[]}]}`, byte(0))
	f.Add(`{"choices":[{"message":{"tool_calls":[{"id":"a"},null,7,[],"x"],"content":[1,"a",null]},"finish_reason":"odd"}]}`, byte(4))
	f.Add(`{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":[[]]}}]}}],"id":7,"created":-1e400,"model":[],"x_groq":{"usage":{"total_tokens":1}}}`, byte(6))
	f.Fuzz(func(t *testing.T, text string, options byte) {
		o := openai.Options{
			HideUsage: options&1 != 0, ThinkTags: options&2 != 0, Extensions: options&4 != 0,
			ChatID: "c", Created: 1, N: int(options >> 6),
		}
		if options&8 != 0 {
			o.Model = "public"
		}
		var read, recognised openai.Repair
		read.Reset(o)
		recognised.Reset(o)
		for line := range strings.SplitSeq(text, "\n") {
			if !json.Valid([]byte(line)) {
				continue
			}
			read.Forget()
			want, wantVerdict := read.Event(nil, []byte(line))
			got, verdict := recognised.Event([]byte("x"), []byte(line))
			require.Equal(t, "x"+string(want), string(got))
			require.Equal(t, wantVerdict, verdict)
			requireEvents(t, want)
			answer := openai.RepairAnswer(nil, []byte(line), o)
			require.True(t, json.Valid(answer), "%s", answer)
		}
		require.Equal(t, read.Finished(), recognised.Finished())
		want := read.Done(nil)
		require.Equal(t, string(want), string(recognised.Done(nil)))
		requireEvents(t, want)
	})
}

func requireEvents(t *testing.T, out []byte) {
	t.Helper()
	for event := range strings.SplitAfterSeq(string(out), "\n\n") {
		if event == "" {
			continue
		}
		data, ok := strings.CutPrefix(strings.TrimSuffix(event, "\n\n"), "data: ")
		require.True(t, ok, "%q", event)
		require.True(t, json.Valid([]byte(data)) || data == "[DONE]", "%s", data)
		require.NotContains(t, data, "\n")
		require.NotContains(t, data, "\r")
	}
}
