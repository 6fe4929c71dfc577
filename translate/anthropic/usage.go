package anthropic

import (
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
)

// usage is what the provider has counted so far. Its counts are running totals, of
// which an event may repeat a few: what it leaves out, or null, stands.
type usage struct {
	input      tokens.Count // without what the cache gave or took
	cacheRead  tokens.Count
	cacheWrite tokens.Count
	output     tokens.Count // thoughts included
	thinking   tokens.Count
}

// read takes in a usage object and reports whether it had a count.
func (u *usage) read(v jsonview.Value) bool {
	found := false
	for name, count := range v.Members {
		switch name {
		case "input_tokens":
			found = replace(&u.input, count) || found
		case "cache_read_input_tokens":
			found = replace(&u.cacheRead, count) || found
		case "cache_creation_input_tokens":
			found = replace(&u.cacheWrite, count) || found
		case "output_tokens":
			found = replace(&u.output, count) || found
		case "output_tokens_details":
			found = replace(&u.thinking, count.Get("thinking_tokens")) || found
		}
	}
	return found
}

// readStart takes in the usage of message_start. Its output_tokens, a few, is counted
// before there is any output: were it taken, a stream that is cut would be accounted
// with it.
func (u *usage) readStart(v jsonview.Value) bool {
	output, thinking := u.output, u.thinking
	found := u.read(v)
	u.output, u.thinking = output, thinking
	return found
}

// readMetrics takes what Bedrock has counted itself and the model has not said. The
// two may differ; Anthropic's SDKs show the model's.
func (u *usage) readMetrics(v jsonview.Value) bool {
	found := false
	for name, count := range v.Members {
		var to *tokens.Count
		switch name {
		case "inputTokenCount":
			to = &u.input
		case "cacheReadInputTokenCount":
			to = &u.cacheRead
		case "cacheWriteInputTokenCount":
			to = &u.cacheWrite
		case "outputTokenCount":
			to = &u.output
		default:
			continue
		}
		found = !to.Known && replace(to, count) || found
	}
	return found
}

// maxCount keeps sums of counts from running over.
const maxCount = 1 << 53

func replace(to *tokens.Count, v jsonview.Value) bool {
	n, ok := v.Int()
	if !ok || n < 0 || n > maxCount {
		return false
	}
	to.Set(n)
	return true
}

// total is the usage in the hub's terms, where input is all of it.
func (u *usage) total() tokens.Usage {
	t := tokens.Usage{
		InputCached: u.cacheRead, InputCacheWrite: u.cacheWrite,
		Output: u.output, OutputReasoning: u.thinking,
	}
	if u.input.Known {
		t.Input = tokens.Known(u.input.N + u.cacheRead.N + u.cacheWrite.N)
	}
	return t
}
