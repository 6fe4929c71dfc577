package ollama

import (
	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// metrics are the members of a last line that say what the answer cost. Durations are
// in nanoseconds.
var metrics = [...]string{
	"prompt_eval_count", "eval_count", "prompt_eval_cached_count",
	"total_duration", "load_duration", "prompt_eval_duration", "eval_duration",
}

// counts are the values of metrics, in their order.
type counts [len(metrics)]jsonview.Value

func (c *counts) take(name string, v jsonview.Value) {
	for i := range metrics {
		if metrics[i] == name && v.IsNumber() {
			c[i] = v
		}
	}
}

// report says what the line states. The cached tokens are among those of the prompt.
// Servers that do not count them have no prompt_eval_count where everything was cached:
// its tokens are unknown, not none.
func (c *counts) report(to translate.Sink) {
	u := tokens.Usage{Input: count(c[0]), Output: count(c[1]), InputCached: count(c[2])}
	if u.Any() {
		to.Usage(u, c.raw())
	}
}

// raw is an object of them.
func (c *counts) raw() string {
	raw := make([]byte, 0, 256)
	for i, v := range c {
		if v.Exists() {
			raw = append(raw, "{,"[min(len(raw), 1)], '"')
			raw = append(raw, metrics[i]...)
			raw = append(append(raw, `":`...), v.Raw...)
		}
	}
	return string(append(raw, '}'))
}

func count(v jsonview.Value) tokens.Count {
	if n, ok := v.Int(); ok && n >= 0 {
		return tokens.Known(n)
	}
	return tokens.Count{}
}
