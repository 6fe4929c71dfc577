package accounting

import (
	"math"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
)

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
func ParseUsage(raw []byte) (u tokens.Usage, ok bool) {
	root, ok := jsonview.Parse(raw)
	if !ok {
		return tokens.Usage{}, false
	}
	u, refused := readUsage(root)
	return u, !refused && u.Any()
}

// usageReader collects the members of one usage object. Several names exist for
// the same count; the first of each list in its preferred order wins.
type usageReader struct {
	refused bool

	prompt, input                    tokens.Count
	completion, output               tokens.Count
	total                            tokens.Count
	cachedDetail, cacheHit           tokens.Count
	cachedTop, cacheRead             tokens.Count
	writeDetail, cacheCreation       tokens.Count
	inputAudio, outputAudio          tokens.Count
	reasoningDetail, reasoningTokens tokens.Count
}

// readUsage reads a usage object. refused reports a count that was present but
// not believable.
func readUsage(usage jsonview.Value) (u tokens.Usage, refused bool) {
	var r usageReader
	for name, v := range usage.Members {
		r.member(name, v)
	}
	return r.usage(), r.refused
}

func (r *usageReader) member(name string, v jsonview.Value) {
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
		v.Members(r.inputDetail)
	case "completion_tokens_details", "output_tokens_details", "output_token_details":
		v.Members(r.outputDetail)
	}
}

func (r *usageReader) inputDetail(name string, v jsonview.Value) bool {
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

func (r *usageReader) outputDetail(name string, v jsonview.Value) bool {
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
func (r *usageReader) count(to *tokens.Count, v jsonview.Value) {
	if v.IsNull() {
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
func wholeTokens(v jsonview.Value) (int64, bool) {
	if n, ok := v.Digits(); ok {
		return n, n >= 0 && n <= maxCount
	}
	if v.IsString() || !strings.ContainsAny(v.Raw, ".eE") {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.Raw, 64)
	if err != nil || f != math.Trunc(f) || f < 0 || f > maxCount {
		return 0, false
	}
	return int64(f), true
}

func (r *usageReader) usage() tokens.Usage {
	u := tokens.Usage{
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
