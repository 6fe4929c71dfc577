package bedrock

import (
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// reportUsage reads a TokenUsage. inputTokens leaves out what was read from the cache
// and what was written to it.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
func reportUsage(to translate.Sink, v jsonview.Value) {
	if !v.IsObject() {
		return
	}
	var u tokens.Usage
	for name, n := range v.Members {
		switch name {
		case "inputTokens":
			setCount(&u.Input, n)
		case "outputTokens":
			setCount(&u.Output, n)
		case "cacheReadInputTokens":
			setCount(&u.InputCached, n)
		case "cacheWriteInputTokens":
			setCount(&u.InputCacheWrite, n)
		}
	}
	if u.Input.Known {
		u.Input.N += u.InputCached.N + u.InputCacheWrite.N
	}
	to.Usage(u, v.Raw)
}

// maxCount keeps sums of counts from running over.
const maxCount = 1 << 53

func setCount(to *tokens.Count, v jsonview.Value) {
	if n, ok := v.Int(); ok && n >= 0 && n <= maxCount {
		to.Set(n)
	}
}
