package accounting

import (
	"math"

	"github.com/tidwall/gjson"
)

// OutputLimit returns the most tokens that a request lets the answer have, all
// its choices together, and whether it sets a limit at all: the first of
// max_completion_tokens, max_output_tokens and max_tokens, for each of n (or
// best_of) choices. See the OpenAI API reference, "Create chat completion".
func OutputLimit(requestBody []byte) (limit int64, ok bool) {
	body := membersOf(requestBody)
	limit = body.outputLimit() * body.choices()
	return limit, limit > 0
}

// outputLimit is the limit of one choice, 0 for none.
func (m members) outputLimit() int64 {
	for _, name := range []string{"max_completion_tokens", "max_output_tokens", "max_tokens"} {
		if value := m[name]; value.Type == gjson.Number && value.Num >= 1 && value.Num <= math.MaxInt32 {
			return int64(value.Num)
		}
	}
	return 0
}

// choices is how many answers a request wants.
func (m members) choices() int64 {
	return min(max(m["n"].Int(), m["best_of"].Int(), 1), math.MaxInt32)
}
