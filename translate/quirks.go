package translate

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// Quirks are ways in which a server that speaks OpenAI's chat API differs from it, as far
// as nothing in an answer would tell. Only requests for chat completions are changed.
type Quirks uint8

const (
	// ShortCallIDs means that ids of tool calls have to be nine letters and digits (Mistral).
	ShortCallIDs Quirks = 1 << iota
	// NoDeveloperRole means that the role developer is unknown; its elder name is system.
	NoDeveloperRole
	// OnlyMaxTokens means that max_completion_tokens is unknown or refused.
	OnlyMaxTokens
	// OnlyMaxCompletionTokens means that max_tokens is unknown or refused.
	OnlyMaxCompletionTokens
	// DropReasoning means that an assistant message that brings its reasoning back is refused.
	DropReasoning
	// DropExtras means that what sluice attached to an earlier answer for its provider is
	// no business of this one: extra_content, in messages and their tool calls.
	DropExtras
)

// QuirkNames are the names of the quirks that can be configured, in the order of their
// constants.
var QuirkNames = []string{
	"short_call_ids", "no_developer_role", "max_tokens", "max_completion_tokens", "drop_reasoning",
}

// ParseQuirks reads names of quirks.
func ParseQuirks(names []string) (Quirks, error) {
	var q Quirks
	for _, name := range names {
		i := slices.Index(QuirkNames, name)
		if i < 0 {
			return 0, fmt.Errorf("unknown quirk %q, the quirks are %s", name, strings.Join(QuirkNames, ", "))
		}
		q |= 1 << i
	}
	if q&OnlyMaxTokens != 0 && q&OnlyMaxCompletionTokens != 0 {
		return 0, fmt.Errorf("the quirks max_tokens and max_completion_tokens exclude each other")
	}
	return q, nil
}

func (q Quirks) has(one Quirks) bool { return q&one != 0 }

// appendQuirks adds the edits that a server's quirks call for.
func (r *Request) appendQuirks(edits []edit, body []byte, q Quirks) []edit {
	if q == 0 || r.Endpoint != ChatCompletions {
		return edits
	}
	text := jsonview.View(body)
	start := skipSpace(body, 0)
	root := jsonview.Value{Raw: strings.TrimRight(text[start:], " \t\r\n"), At: start}
	switch {
	case q.has(OnlyMaxTokens):
		edits = appendRename(edits, root, "max_completion_tokens", "max_tokens")
	case q.has(OnlyMaxCompletionTokens):
		edits = appendRename(edits, root, "max_tokens", "max_completion_tokens")
	}
	if !bytes.Contains(body, []byte(extraContent)) { // as in nearly all requests
		q &^= DropExtras
	}
	if !q.has(ShortCallIDs | NoDeveloperRole | DropReasoning | DropExtras) {
		return edits
	}
	for name, messages := range root.Members {
		if name != "messages" {
			continue
		}
		for _, message := range messages.Elements {
			edits = appendMessageQuirks(edits, message, q)
		}
	}
	return edits
}

// appendRename makes the bound on the output have the name that the server knows. Of two
// bounds max_completion_tokens is the one that counts, as it is the newer.
func appendRename(edits []edit, root jsonview.Value, from, to string) []edit {
	old, known := root.Get(from), root.Get(to)
	switch {
	case !old.Exists():
		return edits
	case !known.Exists():
		for m := range members(root) {
			if m.name == from {
				edits = append(edits, edit{m.key, AppendQuoted(nil, to)})
			}
		}
		return edits
	case !old.IsNull() && (known.IsNull() || from == "max_completion_tokens"):
		edits = append(edits, edit{spanOf(known), []byte(old.Raw)})
	}
	return appendRemoval(edits, root, func(name string) bool { return name == from })
}

func appendMessageQuirks(edits []edit, message jsonview.Value, q Quirks) []edit {
	assistant := false
	for name, m := range message.Members {
		switch name {
		case "role":
			assistant = m.Is("assistant")
			if q.has(NoDeveloperRole) && m.Is("developer") {
				edits = append(edits, edit{spanOf(m), []byte(`"system"`)})
			}
		case "tool_call_id":
			edits = appendShortID(edits, m, q)
		case "tool_calls":
			for _, call := range m.Elements {
				for name, id := range call.Members {
					if name == "id" {
						edits = appendShortID(edits, id, q)
					}
				}
				if q.has(DropExtras) {
					edits = appendRemoval(edits, call, func(name string) bool { return name == extraContent })
				}
			}
		}
	}
	if !q.has(DropReasoning|DropExtras) || !assistant {
		return edits
	}
	return appendRemoval(edits, message, func(name string) bool {
		switch name {
		case "reasoning_content", "reasoning", "reasoning_details":
			return q.has(DropReasoning)
		}
		return name == extraContent && q.has(DropExtras)
	})
}

// extraContent is the member in which Sink.Carry attaches data to an answer.
const extraContent = "extra_content"

// shortID is the length of a call's id at Mistral.
const shortID = 9

// appendShortID replaces an id that is no short one. The result depends on the id alone,
// so that the call and its answer stay together over all turns; ids that the server
// itself has made fit.
func appendShortID(edits []edit, id jsonview.Value, q Quirks) []edit {
	text := id.Text()
	unfit := func(c rune) bool { return c >= 0x80 || !IsAlnum(byte(c)) }
	if !q.has(ShortCallIDs) || text == "" || len(text) == shortID && !strings.ContainsFunc(text, unfit) {
		return edits
	}
	return append(edits, edit{spanOf(id), AppendQuoted(nil, digest(text, shortID))})
}

func spanOf(v jsonview.Value) span { return span{v.At, v.At + len(v.Raw)} }

// placedMember is a member of an object with the place of its quoted name.
type placedMember struct {
	name  string
	key   span
	value jsonview.Value
}

// members iterates over an object with the places of its names.
func members(object jsonview.Value) func(yield func(m placedMember) bool) {
	return func(yield func(m placedMember) bool) {
		from := 1
		for name, value := range object.Members {
			start := value.At - object.At
			quote := from + strings.IndexByte(object.Raw[from:start], '"')
			end := stringEnd([]byte(object.Raw[quote:start]), 0)
			if !yield(placedMember{name, span{object.At + quote, object.At + quote + end}, value}) {
				return
			}
			from = start + len(value.Raw)
		}
	}
}

// appendRemoval takes members out of an object, each run of them with as many commas.
func appendRemoval(edits []edit, object jsonview.Value, remove func(name string) bool) []edit {
	kept := -1 // where the last member ends that stays
	run := span{}
	for m := range members(object) {
		if remove(m.name) {
			if run.end == 0 {
				run.start = m.key.start
			}
			run.end = spanOf(m.value).end
			continue
		}
		switch {
		case run.end == 0:
		case kept < 0:
			edits = append(edits, edit{at: span{run.start, m.key.start}})
		default:
			edits = append(edits, edit{at: span{kept, run.end}})
		}
		run = span{}
		kept = spanOf(m.value).end
	}
	switch {
	case run.end == 0:
		return edits
	case kept < 0:
		return append(edits, edit{at: run})
	}
	return append(edits, edit{at: span{kept, run.end}})
}
