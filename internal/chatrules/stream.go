package chatrules

import (
	"maps"
	"slices"
)

// stream is a stream that is being read.
type stream struct {
	findings
	o        Options
	out      *Stream
	choices  []*choice
	counted  bool // the usage chunk is here, after which nothing may come
	overshot bool // something came after the end, and has been complained of
}

// ReadStream reads the body of an answer of type text/event-stream and returns it with
// what is wrong with it.
func ReadStream(body []byte, o Options) (*Stream, []string) {
	s := &stream{o: o, out: &Stream{}}
	for _, e := range s.splitEvents(body) {
		s.event(e)
	}
	s.end()
	for _, c := range s.choices {
		s.out.Choices = append(s.out.Choices, c.result())
	}
	return s.out, s.violations
}

func (s *stream) event(e event) {
	if s.out.Done || s.out.Failure != nil && e.data != "[DONE]" {
		s.overshoot("after its end")
	}
	if e.data == "[DONE]" {
		s.out.Done = true
		return
	}
	v, err := decode([]byte(e.data))
	if err != nil {
		s.add("json: %v in %s", err, excerpt(e.data, 200))
		return
	}
	if _, is := object(v)["error"]; is {
		s.failure(e, v)
		return
	}
	if e.name != "" {
		s.add("framing: a chunk named %q", e.name)
	}
	s.chunk(v)
}

func (s *stream) overshoot(where string) {
	if !s.overshot {
		s.add("order: the stream goes on %s", where)
	}
	s.overshot = true
}

// failure reads an error event: openai-go takes any top-level error for one, the others
// any that is not null or empty.
func (s *stream) failure(e event, v any) {
	if e.name != "" && e.name != "error" {
		s.add("framing: an error named %q", e.name)
	}
	if object(v, "error") == nil {
		s.add("error: a chunk with the member error, which openai-go takes for a failure: %s", excerpt(e.data, 200))
		return
	}
	s.out.Failure = s.readFailure(v, s.o)
}

// chunk reads one chat.completion.chunk.
func (s *stream) chunk(v any) {
	if s.o.Unknown && s.out.Chunks == 0 && text(v, "id") == "" && len(list(v, "choices")) == 0 {
		return // the verdict on the prompt that Azure sends ahead
	}
	s.checkSchema("chunk", v, s.o)
	s.out.Chunks++
	// OpenAI itself sends the results of moderation, if asked for them, at the very end.
	moderation := object(v, "moderation") != nil
	if s.counted && !moderation {
		s.overshoot("after the usage chunk, and openai-python forgets the usage")
	}
	s.head(v)
	s.usage(v)
	if sluice := object(v, "sluice"); sluice != nil {
		s.out.Outcome, s.out.UsageSource = later(s.out.Outcome, text(sluice, "outcome")), later(s.out.UsageSource, text(sluice, "usage_source"))
	}
	choices := list(v, "choices")
	for _, c := range choices {
		s.choice(c, len(choices), text(v, "sluice", "native_finish_reason"))
	}
}

func later(was, is string) string {
	if is != "" {
		return is
	}
	return was
}

// head checks that all chunks call the answer the same. openai-go refuses a chunk whose
// id differs from the first.
func (s *stream) head(v any) {
	id, model := text(v, "id"), text(v, "model")
	created, _ := number(v, "created")
	if s.out.Chunks == 1 {
		s.out.ID, s.out.Model, s.out.Created = id, model, created
		if s.o.Model != "" && model != s.o.Model {
			s.add("head: the model is %q and not %q", model, s.o.Model)
		}
		return
	}
	if id != s.out.ID {
		s.add("head: the id changes from %q to %q", s.out.ID, id)
	}
	if model != s.out.Model {
		s.add("head: the model changes from %q to %q", s.out.Model, model)
	}
	if created != s.out.Created {
		s.add("head: created changes from %d to %d", s.out.Created, created)
	}
}

// usage checks the member usage: with include_usage it is null in every chunk but one
// after all choices, else it is not there. openai-go adds up what it finds, and
// openai-python believes the last chunk.
func (s *stream) usage(v any) {
	value, there := object(v)["usage"]
	empty := len(list(v, "choices")) == 0
	first := s.out.Usage == nil
	if value != nil {
		s.out.Usage, s.out.RawUsage = usageOf(value), object(value)
		s.checkUsage(value, s.o)
	}
	switch {
	case there && !s.o.IncludeUsage && s.o.Unknown && first && endsAChoice(v): // the provider has volunteered it
		s.counted = true
		return
	case there && !s.o.IncludeUsage:
		s.add("usage: not asked for, and there is %v", value)
	case !there && s.o.IncludeUsage && !s.o.Unknown:
		s.add("usage: asked for, and a chunk has no such member")
	}
	if value == nil {
		if empty && !s.o.Unknown && object(v, "moderation") == nil {
			s.add("usage: a chunk with neither choices nor usage")
		}
		return
	}
	s.counted = true
	switch {
	case !first:
		s.add("usage: in more than one chunk, and openai-go adds them up")
	case !empty:
		s.add("usage: in a chunk that has choices")
	case slices.ContainsFunc(s.choices, func(c *choice) bool { return c.finish == "" }):
		s.add("usage: before the choices have ended")
	}
}

// end checks how the stream ended: all of it and [DONE], or an error.
func (s *stream) end() {
	open := slices.ContainsFunc(s.choices, func(c *choice) bool { return c.finish == "" })
	calling := slices.ContainsFunc(s.choices, func(c *choice) bool { return c.finish == "" && len(list(c.message, "tool_calls")) > 0 })
	switch {
	case s.out.Failure != nil && s.out.Done && !calling:
		s.add("end: [DONE] after an error, which lets a cut answer pass for a whole one")
	case s.out.Failure != nil, s.o.Cut:
	case !s.out.Done:
		s.add("end: neither [DONE] nor an error")
	case len(s.choices) == 0:
		s.add("end: [DONE] without any choice")
	case open:
		s.add("end: [DONE] and a choice without a finish reason")
	case s.o.IncludeUsage && s.out.Usage == nil && !s.o.UsageUnstated:
		s.add("usage: asked for, and there is none")
	}
	for _, c := range s.choices {
		s.checkMessage(c.message, c.finish, c.label(), s.o)
	}
}

// known are the members of a delta that are accumulated where others may be there.
func known(delta map[string]any) map[string]any {
	names := []string{"role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "extra_content", "images"}
	return maps.Collect(func(yield func(string, any) bool) {
		for _, name := range names {
			if v, ok := delta[name]; ok && !yield(name, v) {
				return
			}
		}
	})
}

// endsAChoice tells whether a chunk has a finish reason.
func endsAChoice(chunk any) bool {
	for _, c := range list(chunk, "choices") {
		if object(c)["finish_reason"] != nil {
			return true
		}
	}
	return false
}
