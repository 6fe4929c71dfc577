package translate

import (
	"cmp"
	"slices"
)

// Ask says what sluice changes in a request on its own account: which usage it asks the
// upstream for, and what the upstream's quirks call for.
type Ask struct {
	// IncludeUsage asks for the final usage of a stream (stream_options.include_usage).
	IncludeUsage bool
	// ContinuousUsage asks for running usage in every chunk, which vLLM and SGLang
	// offer (stream_options.continuous_usage_stats). It implies IncludeUsage, without
	// which those servers ignore it.
	ContinuousUsage bool
	// Quirks of the server; see their constants.
	Quirks Quirks
}

// Prepare appends to dst the body to send upstream: the model is replaced where it
// differs from upstreamModel (empty keeps it), a stream is made to report the usage
// that ask names, and the upstream's quirks are heeded. Other members of stream_options
// and all other bytes stay as they are, tool-call ids of any length and alphabet too:
// OpenAI itself takes up to 64 characters, and the ids that sluice mints are shorter.
//
// body must be the bytes that ParseRequest read. If nothing has to change, body
// itself is returned and dst is not used; otherwise the result is in dst's memory or
// newly allocated, and shares nothing with body.
func (r *Request) Prepare(dst, body []byte, upstreamModel string, ask Ask) []byte {
	var held [4]edit
	edits := held[:0]
	if upstreamModel != "" && upstreamModel != r.Model {
		edits = append(edits, edit{r.model, AppendQuoted(nil, upstreamModel)})
	}
	edits = r.appendAsk(edits, ask)
	edits = r.appendQuirks(edits, body, ask.Quirks)
	if len(edits) == 0 {
		return body
	}
	slices.SortFunc(edits, func(a, b edit) int { // an insertion before what is cut at the same place
		return cmp.Or(a.at.start-b.at.start, a.at.end-b.at.end)
	})
	return splice(dst, body, edits)
}

// HideUsage tells whether ask makes the upstream send what the client did not ask
// for: the chunk that holds nothing but usage, and "usage":null in all the others.
func (r *Request) HideUsage(ask Ask) bool {
	include, _ := r.missing(ask)
	return include
}

// HideRunningUsage tells whether ask makes the upstream put running usage beside the
// choices of every chunk although the client did not ask for it there.
func (r *Request) HideRunningUsage(ask Ask) bool {
	_, continuous := r.missing(ask)
	return continuous
}

// missing tells what of ask the client did not ask for itself.
func (r *Request) missing(ask Ask) (include, continuous bool) {
	if !r.Stream || !r.Endpoint.hasStreamOptions() {
		return false, false
	}
	include = (ask.IncludeUsage || ask.ContinuousUsage) && !r.IncludeUsage
	continuous = ask.ContinuousUsage && !r.ContinuousUsage
	return include, continuous
}

const (
	includeUsageMember    = `"include_usage":true`
	continuousUsageMember = `"continuous_usage_stats":true`
)

// appendAsk adds the edits that make stream_options ask for usage.
func (r *Request) appendAsk(edits []edit, ask Ask) []edit {
	include, continuous := r.missing(ask)
	var absent []byte
	require := func(wanted bool, at span, member string) {
		switch {
		case !wanted:
		case at.end != 0:
			edits = append(edits, edit{at, []byte("true")})
		case len(absent) > 0:
			absent = append(append(absent, ','), member...)
		default:
			absent = append(absent, member...)
		}
	}
	require(include, r.options.includeUsage, includeUsageMember)
	require(continuous, r.options.continuousUsage, continuousUsageMember)
	if len(absent) == 0 {
		return edits
	}
	return append(edits, r.insertOptions(absent))
}

// insertOptions is the edit that adds members to stream_options, or adds
// stream_options itself right behind stream.
func (r *Request) insertOptions(members []byte) edit {
	object := slices.Concat([]byte{'{'}, members, []byte{'}'})
	switch {
	case r.seen&seenStreamOptions == 0:
		at := span{r.stream.end, r.stream.end}
		return edit{at, append([]byte(`,"stream_options":`), object...)}
	case r.options.members == 0: // null or {}
		return edit{r.streamOptions, object}
	default:
		inside := r.streamOptions.start + 1
		return edit{span{inside, inside}, append(members, ',')}
	}
}
