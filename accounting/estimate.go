package accounting

import (
	"math"

	"github.com/tidwall/gjson"
	"github.com/tiktoken-go/tokenizer"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// Estimator counts tokens where no provider has counted them. Its numbers are
// estimates: exact for plain text of OpenAI's models, close for their tools and
// images, and only near for models with vocabularies of their own.
//
// The zero value is ready. All methods are safe for concurrent use; they take
// about 0.15 ms per KiB of text and belong off the forwarding path, on a
// Finisher. Nothing they are given is changed or kept.
type Estimator struct {
	o200k, cl100k lazyCodec
}

func (e *Estimator) counter(model string) *tokenCounter {
	name := encodingOf(model)
	if name == tokenizer.Cl100kBase {
		return &tokenCounter{codec: e.cl100k.get(name)}
	}
	return &tokenCounter{codec: e.o200k.get(name)}
}

// Text returns the tokens of a plain text.
func (e *Estimator) Text(model, text string) int64 {
	c := e.counter(model)
	c.text(text)
	return c.total()
}

// outputCallOverhead is what a tool call takes in a model's own notation on top
// of its name and its arguments, the middle of what OpenAI's models report.
const outputCallOverhead = 10

// Output returns the tokens of the answer seen so far: text, reasoning,
// refusal, tool names and arguments. Where the text kept is only the front of
// what came (Truncated), the rest is taken to have the same density.
func (e *Estimator) Output(model string, text OutputText) int64 {
	total, _ := e.output(model, text)
	return total
}

// output returns the tokens of the whole answer and of its reasoning.
func (e *Estimator) output(model string, text OutputText) (total, reasoning int64) {
	kept := int64(len(text.Content) + len(text.Reasoning) + len(text.Refusal) + len(text.Tools))
	if kept == 0 && text.TotalBytes <= 0 && text.Calls == 0 {
		return 0, 0
	}
	c := e.counter(model)
	c.escaped(text.Reasoning)
	reasoning = c.total()
	c.escaped(text.Content)
	c.escaped(text.Refusal)
	c.escaped(text.Tools)
	total = c.total()
	if text.Truncated {
		if kept == 0 {
			total = text.TotalBytes / fallbackBytesPerToken
		}
		missing := text.TotalBytes - kept
		reasoning += scaleUp(reasoning, missing, kept)
		total += scaleUp(total, missing, kept)
	}
	total += int64(text.Calls) * outputCallOverhead
	return total, min(reasoning, total)
}

// OutputLimit returns the most tokens that a request lets the answer have, all
// its choices together, and whether it sets a limit at all: the first of
// max_completion_tokens, max_output_tokens and max_tokens, for each of n (or
// best_of) choices. See the OpenAI API reference, "Create chat completion".
func OutputLimit(requestBody []byte) (limit int64, ok bool) {
	for _, name := range []string{"max_completion_tokens", "max_output_tokens", "max_tokens"} {
		value := gjson.GetBytes(requestBody, name)
		if value.Type != gjson.Number || value.Num < 1 || value.Num > math.MaxInt32 {
			continue
		}
		limit = int64(value.Num)
		choices := max(gjson.GetBytes(requestBody, "n").Int(), gjson.GetBytes(requestBody, "best_of").Int(), 1)
		return limit * min(choices, math.MaxInt32), true
	}
	return 0, false
}

// Estimate counts a whole exchange: the prompt from the request, the output
// from what came of the answer, never above what the request allows. Output is
// absent when nothing of the answer was seen, for then nobody can tell how much
// of it had been made.
func (e *Estimator) Estimate(model, endpoint string, requestBody []byte, text OutputText) tokens.Usage {
	var u tokens.Usage
	u.Input = tokens.Count{N: e.Prompt(model, endpoint, requestBody), Known: true}
	output, reasoning := e.output(model, text)
	if output == 0 {
		return u
	}
	if limit, ok := OutputLimit(requestBody); ok {
		output = min(output, limit)
		reasoning = min(reasoning, limit)
	}
	u.Output = tokens.Count{N: output, Known: true}
	if reasoning > 0 {
		u.OutputReasoning = tokens.Count{N: reasoning, Known: true}
	}
	return u
}
