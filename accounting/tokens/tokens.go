// Package tokens is the vocabulary of counts: how many tokens, and whether anybody said.
package tokens

import "strconv"

// Count is a number of tokens that may be absent. Absent is not zero: a
// provider that says nothing about cached tokens has not said "none".
// In JSON an absent count is null.
type Count struct {
	N     int64
	Known bool
}

// Known returns a count that is present.
func Known(n int64) Count { return Count{N: n, Known: true} }

// Set makes the count present with the value n.
func (c *Count) Set(n int64) { *c = Known(n) }

// Or returns c if it is present, else other.
func (c Count) Or(other Count) Count {
	if c.Known {
		return c
	}
	return other
}

// String returns the number in decimal, or "-" when absent.
func (c Count) String() string {
	if !c.Known {
		return "-"
	}
	return strconv.FormatInt(c.N, 10)
}

// MarshalJSON writes the number, or null when absent.
func (c Count) MarshalJSON() ([]byte, error) {
	if !c.Known {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, c.N, 10), nil
}

// UnmarshalJSON reads a number; null makes the count absent.
func (c *Count) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*c = Count{}
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return strconv.ErrSyntax
	}
	c.Set(n)
	return nil
}

// IsZero reports an absent count, so that the omitzero tag leaves it out.
func (c Count) IsZero() bool { return !c.Known }

// Usage is what one exchange consumed, in tokens. Input and Output are wholes;
// the other fields are parts of them and are never added to them.
type Usage struct {
	Input           Count `json:"input"`
	InputCached     Count `json:"input_cached"`
	InputCacheWrite Count `json:"input_cache_write"`
	InputAudio      Count `json:"input_audio"`
	Output          Count `json:"output"`
	OutputReasoning Count `json:"output_reasoning"`
	OutputAudio     Count `json:"output_audio"`
}

// Any reports whether at least one count is present.
func (u Usage) Any() bool { return u != Usage{} }

// Merge returns the counts of next, and those of prev where next has none:
// providers repeat running totals, so a later number replaces an earlier one.
func Merge(prev, next Usage) Usage {
	return Usage{
		Input:           next.Input.Or(prev.Input),
		InputCached:     next.InputCached.Or(prev.InputCached),
		InputCacheWrite: next.InputCacheWrite.Or(prev.InputCacheWrite),
		InputAudio:      next.InputAudio.Or(prev.InputAudio),
		Output:          next.Output.Or(prev.Output),
		OutputReasoning: next.OutputReasoning.Or(prev.OutputReasoning),
		OutputAudio:     next.OutputAudio.Or(prev.OutputAudio),
	}
}
