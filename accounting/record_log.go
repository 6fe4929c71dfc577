package accounting

import (
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/accounting/tokens"
)

// LogValue is the record as one log line shows it, under the names of its JSON form.
// What is absent is left out, as is the raw usage, which the API and the ledger have.
// Attempts are counted; where there are several, one text says what became of each.
func (r *Record) LogValue() slog.Value {
	var l logLine
	l.text("id", r.ID)
	if !r.UID.IsZero() {
		l.text("uid", r.UID.String())
	}
	l.text("outcome", string(r.Outcome))
	l.text("phase", r.Phase.String())
	l.text("code", r.Code)
	l.number("status_downstream", int64(r.StatusDownstream))
	l.number("status_upstream", int64(r.StatusUpstream))
	l.text("key", r.Key)
	l.text("endpoint", r.Endpoint)
	l.add(slog.Bool("stream", r.Stream))
	l.text("model_asked", r.ModelAsked)
	l.text("target", r.Target)
	l.millis("to_headers_ms", r.ToHeaders)
	l.millis("to_first_token_ms", r.ToFirstToken)
	l.millis("total_ms", r.Total)
	l.add(slog.Int64("chunks", r.Chunks), slog.Int64("bytes_delivered", r.BytesDelivered), slog.Bool("delivered", r.Delivered))
	l.text("usage_source", string(r.UsageSource))
	l.usage(r.Usage)
	if r.OutputEstimated {
		l.add(slog.Bool("output_estimated", true))
	}
	l.text("may_bill", r.MayBill)
	if r.CostNanoUSD != nil {
		l.add(slog.Int64("cost_nano_usd", *r.CostNanoUSD))
	}
	if r.CloseMicros != nil {
		l.add(slog.Int64("close_us", *r.CloseMicros))
	}
	l.attempts(r)
	l.number("tool_calls", int64(len(r.ToolCalls)))
	l.number("bad_events", r.BadEvents)
	if r.AccountingDegraded {
		l.add(slog.Bool("accounting_degraded", true))
	}
	l.text("upstream_request_id", r.UpstreamRequestID)
	return slog.GroupValue(l...)
}

// attempts adds how many there were, and what became of each where there were several.
func (l *logLine) attempts(r *Record) {
	l.number("attempts", int64(len(r.Attempts)))
	if len(r.Attempts) < 2 {
		return
	}
	var list strings.Builder
	for i := range r.Attempts {
		if i > 0 {
			list.WriteString(", ")
		}
		r.Attempts[i].describe(&list)
	}
	l.text("attempt_list", list.String())
	l.number("abandoned_cost_nano_usd", r.AbandonedCost())
}

// describe writes an attempt as "retry openai/gpt-4o upstream_error upstream_rate_limited 429".
func (a *Attempt) describe(to *strings.Builder) {
	target := strings.Trim(a.Provider+"/"+a.Model, "/")
	status := ""
	if a.Status != 0 {
		status = strconv.Itoa(a.Status)
	}
	code := a.Code
	if code == string(a.Outcome) {
		code = ""
	}
	first := true
	for _, word := range []string{a.Kind, target, string(a.Outcome), code, status} {
		if word == "" {
			continue
		}
		if !first {
			to.WriteByte(' ')
		}
		first = false
		to.WriteString(word)
	}
}

type logLine []slog.Attr

func (l *logLine) add(attrs ...slog.Attr) { *l = append(*l, attrs...) }

func (l *logLine) text(name, value string) {
	if value != "" {
		l.add(slog.String(name, value))
	}
}

func (l *logLine) number(name string, value int64) {
	if value != 0 {
		l.add(slog.Int64(name, value))
	}
}

func (l *logLine) millis(name string, d time.Duration) {
	if d != 0 {
		l.add(slog.Float64(name, float64(d.Microseconds())/1000))
	}
}

func (l *logLine) usage(u tokens.Usage) {
	for _, c := range []struct {
		name string
		n    tokens.Count
	}{
		{"input", u.Input},
		{"input_cached", u.InputCached},
		{"input_cache_write", u.InputCacheWrite},
		{"input_audio", u.InputAudio},
		{"output", u.Output},
		{"output_reasoning", u.OutputReasoning},
		{"output_audio", u.OutputAudio},
	} {
		if c.n.Known {
			l.add(slog.Int64(c.name, c.n.N))
		}
	}
}
