package accounting

import (
	"math"
	"strconv"
	"strings"
)

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

// Source says where a Usage comes from.
type Source string

const (
	// SourceReported is the provider's own final usage.
	SourceReported Source = "reported"
	// SourceRunning is the last usage the provider sent before the stream was cut: exact up to that event.
	SourceRunning Source = "running"
	// SourceEstimated was counted here from the request and the output received.
	SourceEstimated Source = "estimated"
	// SourceNone means there are no numbers.
	SourceNone Source = "none"
)

// maxCount is the largest count believed, about 10^12 tokens. No request comes
// near it, and sums and costs of counts below it cannot overflow an int64.
const maxCount = 1 << 40

// ParseUsage reads a usage object of any OpenAI-style API (chat completions,
// completions, embeddings, responses, and their compatible servers). Nulls and
// unknown members are skipped. Negative, fractional, non-numeric and absurdly
// large counts are refused: they stay absent and ok is false, while the valid
// rest is still returned. ok is also false when raw is not a JSON object or has
// no count at all.
func ParseUsage(raw []byte) (u Usage, ok bool) {
	root, ok := parse(raw)
	if !ok {
		return Usage{}, false
	}
	u, refused := readUsage(root)
	return u, !refused && u.Any()
}

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

// usageReader collects the members of one usage object. Several names exist for
// the same count; the first of each list in its preferred order wins.
type usageReader struct {
	refused bool

	prompt, input                    Count
	completion, output               Count
	total                            Count
	cachedDetail, cacheHit           Count
	cachedTop, cacheRead             Count
	writeDetail, cacheCreation       Count
	inputAudio, outputAudio          Count
	reasoningDetail, reasoningTokens Count
}

// readUsage reads a usage object. refused reports a count that was present but
// not believable.
func readUsage(usage value) (u Usage, refused bool) {
	var r usageReader
	for name, v := range usage.members {
		r.member(name, v)
	}
	return r.usage(), r.refused
}

func (r *usageReader) member(name string, v value) {
	switch name {
	case "prompt_tokens":
		r.count(&r.prompt, v)
	case "input_tokens":
		r.count(&r.input, v)
	case "completion_tokens":
		r.count(&r.completion, v)
	case "output_tokens":
		r.count(&r.output, v)
	case "total_tokens":
		r.count(&r.total, v)
	case "prompt_cache_hit_tokens":
		r.count(&r.cacheHit, v)
	case "cached_tokens":
		r.count(&r.cachedTop, v)
	case "cache_read_input_tokens":
		r.count(&r.cacheRead, v)
	case "cache_creation_input_tokens":
		r.count(&r.cacheCreation, v)
	case "reasoning_tokens":
		r.count(&r.reasoningTokens, v)
	case "prompt_tokens_details", "input_tokens_details", "input_token_details":
		v.members(r.inputDetail)
	case "completion_tokens_details", "output_tokens_details", "output_token_details":
		v.members(r.outputDetail)
	}
}

func (r *usageReader) inputDetail(name string, v value) bool {
	switch name {
	case "cached_tokens":
		r.count(&r.cachedDetail, v)
	case "cache_write_tokens":
		r.count(&r.writeDetail, v)
	case "audio_tokens":
		r.count(&r.inputAudio, v)
	}
	return true
}

func (r *usageReader) outputDetail(name string, v value) bool {
	switch name {
	case "reasoning_tokens":
		r.count(&r.reasoningDetail, v)
	case "audio_tokens":
		r.count(&r.outputAudio, v)
	}
	return true
}

// count stores the number at v. null leaves the count as it is, because some
// servers send null while a number is not known yet.
func (r *usageReader) count(to *Count, v value) {
	if v.is('n') {
		return
	}
	n, ok := wholeTokens(v)
	if !ok {
		r.refused = true
		return
	}
	to.Set(n)
}

// wholeTokens reads a JSON number as a believable token count. 12.0 and 1e3 are
// whole numbers to JSON, so they are taken.
func wholeTokens(v value) (int64, bool) {
	if n, ok := v.integer(); ok {
		return n, n >= 0 && n <= maxCount
	}
	if v.is('"') || !strings.ContainsAny(v.raw, ".eE") {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.raw, 64)
	if err != nil || f != math.Trunc(f) || f < 0 || f > maxCount {
		return 0, false
	}
	return int64(f), true
}

func (r *usageReader) usage() Usage {
	u := Usage{
		Input:           r.prompt.Or(r.input),
		InputCached:     r.cachedDetail.Or(r.cacheHit).Or(r.cachedTop).Or(r.cacheRead),
		InputCacheWrite: r.writeDetail.Or(r.cacheCreation),
		InputAudio:      r.inputAudio,
		Output:          r.completion.Or(r.output),
		OutputReasoning: r.reasoningDetail.Or(r.reasoningTokens),
		OutputAudio:     r.outputAudio,
	}
	// xAI's chat API leaves reasoning out of completion_tokens and says so only
	// through the total. Everyone else includes it, some with parts larger than
	// the whole, so nothing else is corrected.
	if u.OutputReasoning.N > 0 && u.Input.Known && u.Output.Known && r.total.Known &&
		r.total.N == u.Input.N+u.Output.N+u.OutputReasoning.N {
		u.Output.Set(u.Output.N + u.OutputReasoning.N)
	}
	return u
}
