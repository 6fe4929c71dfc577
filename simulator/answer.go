package simulator

import (
	"strings"
	"time"
)

// stepKind says what a token belongs to.
type stepKind int

const (
	stepText stepKind = iota
	stepReasoning
	stepCall     // a tool call begins; the token is its name
	stepArgument // a piece of the open call's arguments
)

// step is one token.
type step struct {
	kind stepKind
	text string
	call int // index of the tool call
	id   string
}

// option is one of the n alternatives of an answer.
type option struct {
	steps  []step
	finish string
}

// answer is all that will be said to one request, and how far it got.
type answer struct {
	id, model    string
	created      int64
	promptTokens int
	options      []option
	total        int           // tokens of all options
	sent         int           // tokens generated so far
	silence      time.Duration // before the first token
	interval     time.Duration // between tokens
	breaks       breakage
}

// breakAfter is how many tokens a failing answer gets out, if it has that many.
const breakAfter = 7

func (s *Server) newAnswer(id string, g *generation, m behaviour) *answer {
	a := &answer{
		id: newID(id), model: g.Model, created: time.Now().Unix(), interval: s.interval,
		breaks: m.breaks, options: make([]option, 0, g.choices()),
	}
	if m.long {
		a.interval *= 2
	}
	if m.slow {
		a.silence = slowIntervals * s.interval
	}
	return a
}

// add appends one option, cut to the limit (0 is none).
func (a *answer) add(o option, limit int) {
	if limit > 0 && len(o.steps) > limit {
		o.steps, o.finish = o.steps[:limit], "length"
	}
	a.options = append(a.options, o)
	a.total += len(o.steps)
}

// planChat decides what a chat answer says.
func (s *Server) planChat(q *chatRequest, m behaviour) *answer {
	a := s.newAnswer("chatcmpl-", &q.generation, m)
	a.promptTokens = q.promptTokens()
	called := q.calledTools(m.calls)
	for i := range q.choices() {
		var o option
		if len(called) > 0 {
			o = callOption(called)
		} else {
			if m.reasons {
				o.steps = steps(stepReasoning, reasoningText)
			}
			o.steps = append(o.steps, steps(stepText, cutAtStop(q.words(m, i), q.Stop))...)
			o.finish = "stop"
		}
		a.add(o, q.limit())
	}
	return a
}

// words is the text of the i-th option of a chat answer.
func (q *chatRequest) words(m behaviour, i int) string {
	switch f := q.ResponseFormat; {
	case f != nil && f.Type == "json_schema":
		return string(instance(f.JSONSchema.Schema))
	case f != nil && f.Type == "json_object":
		return string(mustJSON(object{{"answer", mustJSON(plainWords(behaviour{}, q.lastUserText(), i))}, {"simulated", []byte("true")}}))
	case q.hasFreshToolResult():
		return afterToolText
	}
	return plainWords(m, q.lastUserText(), i)
}

// plainWords is a text without any format; the prompt chooses, and is not repeated.
func plainWords(m behaviour, prompt string, i int) string {
	if m.long {
		return longAnswer
	}
	return shortAnswers[(pick(prompt, len(shortAnswers))+i)%len(shortAnswers)]
}

func callOption(called []function) option {
	o := option{finish: "tool_calls"}
	for i, f := range called {
		o.steps = append(o.steps, step{kind: stepCall, text: f.Name, call: i, id: newID("call_")})
		arguments := "{}"
		if len(f.Parameters) > 0 {
			arguments = string(instance(f.Parameters))
		}
		for _, piece := range steps(stepArgument, arguments) {
			piece.call = i
			o.steps = append(o.steps, piece)
		}
	}
	return o
}

func steps(kind stepKind, text string) []step {
	tokens := tokenize(text)
	out := make([]step, len(tokens))
	for i, t := range tokens {
		out[i] = step{kind: kind, text: t}
	}
	return out
}

// cutAtStop ends the text before the first stop sequence in it.
func cutAtStop(text string, stops []string) string {
	for _, stop := range stops {
		if stop == "" {
			continue
		}
		text, _, _ = strings.Cut(text, stop)
	}
	return text
}

// usage is the usage object of the answer, counting what was planned.
func (a *answer) usage() usage {
	reasoning := 0
	for _, o := range a.options {
		for _, st := range o.steps {
			if st.kind == stepReasoning {
				reasoning++
			}
		}
	}
	u := usage{Prompt: a.promptTokens, Completion: a.total, Total: a.promptTokens + a.total}
	u.CompletionDetails.Reasoning = reasoning
	return u
}

type usage struct {
	Prompt        int `json:"prompt_tokens"`
	Completion    int `json:"completion_tokens"`
	Total         int `json:"total_tokens"`
	PromptDetails struct {
		Cached int `json:"cached_tokens"`
		Audio  int `json:"audio_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning          int `json:"reasoning_tokens"`
		Audio              int `json:"audio_tokens"`
		AcceptedPrediction int `json:"accepted_prediction_tokens"`
		RejectedPrediction int `json:"rejected_prediction_tokens"`
	} `json:"completion_tokens_details"`
}
