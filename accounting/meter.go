package accounting

import (
	"slices"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/internal/jsonview"
)

// Shape is the kind of answer a meter reads.
type Shape uint8

const (
	// ShapeChat is chat.completion and its chunks.
	ShapeChat Shape = iota
	// ShapeCompletion is text_completion.
	ShapeCompletion
	// ShapeResponses is the event stream or body of the Responses API.
	ShapeResponses
	// ShapeGeneric is any other JSON that may carry usage, such as embeddings.
	ShapeGeneric
)

// ChunkKind says what an event is to a relay.
type ChunkKind uint8

const (
	// KindContent is an ordinary event.
	KindContent ChunkKind = iota
	// KindDone ends the stream: [DONE], or the last event of a Responses stream.
	KindDone
	// KindError carries an error of the provider.
	KindError
	// KindUsageOnly has no choices and a usage object: the chunk that stream_options.include_usage adds.
	KindUsageOnly
	// KindUnparsed is not understood: no JSON object, or none that is well formed.
	KindUnparsed
)

// Span is a half-open range of offsets in the data given to Observe. The zero Span means "none".
type Span struct{ Start, End int }

// spanOf is where a value stands.
func spanOf(v jsonview.Value) Span { return Span{v.At, v.At + len(v.Raw)} }

// Chunk is what Observe found out about an event.
type Chunk struct {
	Kind ChunkKind
	// Model is the value of the model member, quotes included: the top-level
	// one, for Responses that of the response object.
	Model Span
	// NullUsage is a top-level "usage":null with exactly one adjoining comma;
	// data without it is still valid JSON.
	NullUsage Span
	// Usage is a top-level usage object together with its name, cut like NullUsage.
	Usage Span
}

// Stats counts what went through a meter. Bytes are those of JSON strings as
// they arrived, escapes included.
type Stats struct {
	Events         int64
	BadEvents      int64 // events that were no well-formed JSON object
	TextBytes      int64
	ReasoningBytes int64
	RefusalBytes   int64
	ToolBytes      int64
	// Degraded says that something was not taken into account: too many calls
	// or choices, arguments over the bound, a count that cannot be true, an event too large.
	Degraded bool
	// FirstToken says that the model has produced something.
	FirstToken bool
}

const (
	maxChoices  = 128
	maxRawUsage = 16 << 10
	// maxPooledUsage is the largest usage object whose memory a meter carries into its
	// next exchange.
	maxPooledUsage = 2 << 10
	maxLabel       = 256
)

// choice is what is known of one choice of an answer.
type choice struct {
	index  int64
	finish string
	tool   bool // a tool call has begun in it
}

// Meter reads the events of one exchange and knows at every instant what it has
// used and produced. It belongs to one goroutine and must not be copied.
// It borrows event data only for the length of a call.
type Meter struct {
	shape    Shape
	done     bool // [DONE] was seen
	ended    bool // the answer said by itself that it is over
	degraded bool
	produced bool
	final    bool // usage arrived at a place where it is final
	strayed  bool // a tool call began in a choice that is not tracked

	events, bad, toolBytes int64
	tmpl                   template
	texts                  texts
	usage                  tokens.Usage
	rawUsage               []byte
	choices                []choice
	tools                  *toolTable
	code                   string
	id, model, tier        string
	created                int64
}

// Reset prepares the meter for an exchange. Small buffers are kept.
func (m *Meter) Reset(shape Shape) {
	frame, raw, choices, texts := m.tmpl.frame, m.rawUsage, m.choices, m.texts
	texts.reset()
	frame.Forget()
	*m = Meter{shape: shape, texts: texts, tmpl: template{frame: frame}}
	m.rawUsage = emptied(raw, maxPooledUsage)
	if cap(choices) <= 8 {
		m.choices = choices[:0]
	}
}

// Observe reads the name and the data of one event. Data is never changed.
func (m *Meter) Observe(name, data []byte) Chunk {
	m.events++
	if string(name) != "error" && (m.tmpl.sink != sinkTool || m.tmpl.version == m.toolVersion()) {
		if fragment := m.tmpl.match(data); fragment != "" {
			m.texts.choice = m.tmpl.choice
			m.append(m.tmpl.sink, m.tmpl.call, fragment)
			return m.tmpl.chunk()
		}
	}
	return m.observe(name, data)
}

// append adds a fragment of output, which makes a usage seen before it a running one.
func (m *Meter) append(to sink, call int, fragment string) {
	m.final = false
	m.produced = true
	if to == sinkTool {
		m.toolBytes += int64(len(fragment))
		m.tools.appendArguments(call, fragment)
		return
	}
	m.texts.add(to, fragment)
}

func (m *Meter) toolVersion() uint32 {
	if m.tools == nil {
		return 0
	}
	return m.tools.version
}

// ObserveOversized notes an event that was too large to be read.
func (m *Meter) ObserveOversized() {
	m.events++
	m.degraded = true
}

// Usage returns the best numbers so far. Its source is that of a stream that is
// cut now; Source tells it for a known end.
func (m *Meter) Usage() (tokens.Usage, Source) { return m.usage, m.Source(false) }

// Source says where the numbers of Usage come from. Usage is reported when it
// came at the end of the answer, or when the answer ended well after it; in a
// stream that was cut before that it is running.
func (m *Meter) Source(endedWell bool) Source {
	switch {
	case !m.usage.Any():
		return SourceNone
	case m.final || endedWell:
		return SourceReported
	}
	return SourceRunning
}

// RawUsage returns the last usage object as it was received, nil if there was
// none or it is larger than 16 KiB. It belongs to the meter.
func (m *Meter) RawUsage() []byte {
	if len(m.rawUsage) == 0 {
		return nil
	}
	return m.rawUsage
}

// Complete reports whether the answer is whole: its end sentinel came, or every
// choice seen has a finish reason, or, for Responses, its last event came.
func (m *Meter) Complete() bool {
	return m.done || m.ended || m.finished()
}

// finished reports whether there are choices and all of them have a finish reason.
func (m *Meter) finished() bool {
	for i := range m.choices {
		if m.choices[i].finish == "" {
			return false
		}
	}
	return len(m.choices) > 0
}

// SawDone reports whether [DONE] came.
func (m *Meter) SawDone() bool { return m.done }

// OpenToolCall reports whether a tool call has begun in a choice that has no
// finish reason yet, or in a Responses answer that is not over.
func (m *Meter) OpenToolCall() bool {
	if m.ended {
		return false
	}
	if m.strayed || m.shape == ShapeResponses && m.tools != nil && (len(m.tools.calls) > 0 || m.tools.gaveUp) {
		return true
	}
	return slices.ContainsFunc(m.choices, func(c choice) bool { return c.tool && c.finish == "" })
}

// ToolCalls returns the calls seen so far, in order of appearance. Arguments are copies.
func (m *Meter) ToolCalls() []ToolCall {
	if m.tools == nil || len(m.tools.calls) == 0 {
		return nil
	}
	calls := make([]ToolCall, len(m.tools.calls))
	for i := range m.tools.calls {
		c := &m.tools.calls[i]
		calls[i] = c.call(c.sealed || m.finishedWell(c.choice))
	}
	return calls
}

// finishedWell reports whether a choice ended by its own will: what a limit or a
// filter cut off is not a whole call even if its arguments happen to parse.
func (m *Meter) finishedWell(index int64) bool {
	for i := range m.choices {
		if c := &m.choices[i]; c.index == index {
			switch c.finish {
			case "", "length", "content_filter", "error":
				return false
			}
			return m.shape != ShapeResponses || c.finish == "completed"
		}
	}
	return false
}

// endedWell returns the number of choices that the model ended by itself. Where [DONE]
// came and a choice has no finish reason, its server gives none.
func (m *Meter) endedWell() (n int) {
	for i := range m.choices {
		if m.finishedWell(m.choices[i].index) || m.done && m.choices[i].finish == "" {
			n++
		}
	}
	return n
}

// FinishReasons returns the finish reason of every choice seen, in order of
// choice index, "" for a choice that has none. For Responses it is the status,
// or the reason why the answer is incomplete.
func (m *Meter) FinishReasons() []string {
	ordered := slices.Clone(m.choices)
	slices.SortFunc(ordered, func(a, b choice) int { return int(min(max(a.index-b.index, -1), 1)) })
	var reasons []string
	for _, c := range ordered {
		reasons = append(reasons, c.finish)
	}
	return reasons
}

// ErrorCode returns the code, else the type, of the first error event: at most
// 64 of the characters a-z 0-9 _ . -, "" if the provider gave nothing of that
// form. The message is never kept.
func (m *Meter) ErrorCode() string { return m.code }

// Head returns the first id, creation time (seconds since 1970) and model that
// were not empty: what every later chunk of the stream has to repeat.
func (m *Meter) Head() (id string, created int64, model string) {
	return m.id, m.created, m.model
}

// ServiceTier is what the provider says of how it serves the request, in lower case;
// empty where it says nothing.
func (m *Meter) ServiceTier() string { return m.tier }

// Stats returns the counters.
func (m *Meter) Stats() Stats {
	return Stats{
		Events:         m.events,
		BadEvents:      m.bad,
		TextBytes:      m.texts.arrived[sinkContent],
		ReasoningBytes: m.texts.arrived[sinkReasoning],
		RefusalBytes:   m.texts.arrived[sinkRefusal],
		ToolBytes:      m.toolBytes + m.texts.arrived[sinkServerTool],
		Degraded:       m.degraded || m.tools != nil && m.tools.gaveUp,
		FirstToken:     m.produced,
	}
}

// Text returns the output for an estimate. The slices belong to the meter and
// change with the next event; Tools is a copy.
func (m *Meter) Text() OutputText {
	t := OutputText{
		Content:   m.texts.kept[sinkContent],
		Reasoning: m.texts.kept[sinkReasoning],
		Refusal:   m.texts.kept[sinkRefusal],
		Truncated: m.texts.truncated,
		Ended:     m.endedWell(),
		turns:     m.texts.turns,
	}
	for _, n := range m.texts.arrived {
		t.TotalBytes += n
	}
	t.TotalBytes += m.toolBytes
	room := maxText - m.texts.bytes
	tools := slices.Clone(m.texts.kept[sinkServerTool])
	if m.tools != nil {
		t.Calls = len(m.tools.calls)
		t.Truncated = t.Truncated || m.tools.gaveUp
		for i := range m.tools.calls {
			c := &m.tools.calls[i]
			t.TotalBytes += int64(len(c.name))
			if room -= len(c.name) + len(c.args); room < 0 {
				t.Truncated = true
				continue
			}
			tools = append(appendEscaped(tools, c.name), c.args...)
		}
	}
	t.Tools = tools
	return t
}
