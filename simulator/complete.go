package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
)

// legacyMaxTokens is what /v1/completions allows when the request says nothing.
const legacyMaxTokens = 16

type textRequest struct {
	generation
	Prompt prompts `json:"prompt"`
	Echo   bool    `json:"echo"`
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	var q textRequest
	if f := readJSON(w, r, &q); f != nil {
		fail(w, f)
		return
	}
	m, f := findModel(q.Model, false)
	if f == nil {
		f = q.check()
	}
	if f != nil {
		fail(w, f)
		return
	}
	a := s.planText(&q, m)
	s.respond(w, r, &q.generation, a, &textForm{a: a, nulls: q.includeUsage()})
}

func (q *textRequest) check() *failure {
	switch {
	case q.Echo:
		return invalid("echo", "The simulator does not repeat prompts.")
	case len(q.Prompt)*q.choices() > maxChoices:
		return invalid("prompt", "Too many prompts.")
	}
	return q.generation.check()
}

func (s *Server) planText(q *textRequest, m behaviour) *answer {
	a := s.newAnswer("cmpl-", &q.generation, m)
	limit := legacyMaxTokens
	if q.MaxTokens != nil {
		limit = *q.MaxTokens
	}
	if len(q.Prompt) == 0 {
		q.Prompt = prompts{{}}
	}
	for _, p := range q.Prompt {
		a.promptTokens += p.tokens
		for i := range q.choices() {
			text := cutAtStop(plainWords(m, p.text, i), q.Stop)
			a.add(option{steps: steps(stepText, text), finish: "stop"}, limit)
		}
	}
	return a
}

// prompt is one text, or one list of token numbers, of which only the length counts.
type prompt struct {
	text   string
	tokens int
}

// prompts is a text, a list of token numbers, or a list of either.
type prompts []prompt

func (p *prompts) UnmarshalJSON(raw []byte) error {
	var list texts
	if json.Unmarshal(raw, &list) == nil {
		for _, t := range list {
			*p = append(*p, prompt{t, countTokens(t)})
		}
		return nil
	}
	var numbers []int
	if json.Unmarshal(raw, &numbers) == nil {
		*p = prompts{{tokens: len(numbers)}}
		return nil
	}
	var lists [][]int
	if json.Unmarshal(raw, &lists) != nil {
		return errNotTexts
	}
	for _, l := range lists {
		*p = append(*p, prompt{tokens: len(l)})
	}
	return nil
}

// textForm writes text_completion objects.
type textForm struct {
	a     *answer
	nulls bool
}

type textAnswer struct {
	ID          string          `json:"id"`
	Object      string          `json:"object"`
	Created     int64           `json:"created"`
	Model       string          `json:"model"`
	Choices     []textChoice    `json:"choices"`
	Usage       json.RawMessage `json:"usage,omitempty"`
	Fingerprint string          `json:"system_fingerprint"`
}

type textChoice struct {
	Text     string          `json:"text"`
	Index    int             `json:"index"`
	Logprobs json.RawMessage `json:"logprobs"`
	Finish   *string         `json:"finish_reason"`
}

func (f *textForm) answer(usage json.RawMessage, choices ...textChoice) *textAnswer {
	return &textAnswer{
		ID: f.a.id, Object: "text_completion", Created: f.a.created, Model: f.a.model,
		Choices: choices, Usage: usage, Fingerprint: fingerprint,
	}
}

func (f *textForm) besideChoices() json.RawMessage {
	if f.nulls {
		return jsonNull
	}
	return nil
}

func (*textForm) opening(int) any { return nil }

func (f *textForm) piece(i int, st step) any {
	return f.answer(f.besideChoices(), textChoice{Text: st.text, Index: i, Logprobs: jsonNull})
}

func (f *textForm) closing(i int) any {
	return f.answer(f.besideChoices(), textChoice{Index: i, Logprobs: jsonNull, Finish: &f.a.options[i].finish})
}

func (f *textForm) totals() any { return f.answer(encode(f.a.usage()), []textChoice{}...) }

func (f *textForm) whole() any {
	choices := make([]textChoice, len(f.a.options))
	for i, o := range f.a.options {
		var text strings.Builder
		for _, st := range o.steps {
			text.WriteString(st.text)
		}
		choices[i] = textChoice{Text: text.String(), Index: i, Logprobs: jsonNull, Finish: &f.a.options[i].finish}
	}
	return f.answer(encode(f.a.usage()), choices...)
}
