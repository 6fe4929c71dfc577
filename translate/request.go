package translate

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Endpoint is the path of an API operation below the base URL, without slashes at its
// ends. Names other than the constants pass through with model and stream understood.
type Endpoint string

// The endpoints whose bodies are understood beyond model and stream.
const (
	ChatCompletions Endpoint = "chat/completions"
	Completions     Endpoint = "completions"
	Embeddings      Endpoint = "embeddings"
	Responses       Endpoint = "responses"
)

// hasStreamOptions tells whether a stream of this endpoint reports usage only when
// stream_options asks for it. Responses always reports it; others do not stream text.
func (e Endpoint) hasStreamOptions() bool { return e == ChatCompletions || e == Completions }

// maxModelLength bounds a model's name in bytes: names go into records and headers.
const maxModelLength = 512

var byteOrderMark = []byte("\xef\xbb\xbf")

// Request is what sluice has to know of a client's request. It shares no memory with
// the body it was read from, but Prepare needs the very same bytes again.
type Request struct {
	Endpoint Endpoint
	Model    string // as the client wrote it, decoded; never empty
	Stream   bool

	IncludeUsage    bool // the client asked with stream_options.include_usage
	ContinuousUsage bool // the client asked with stream_options.continuous_usage_stats

	N         int   // choices asked for, at least 1
	MaxTokens int64 // most output tokens a choice may have, 0 if the client set no bound

	seen          seen
	folded        seen // in another letter case
	model         span // the value, quotes included
	stream        span // the value
	streamOptions span // the value: an object, null, or nothing
	options       optionSpans
}

// optionSpans locates what Prepare may change inside a stream_options object.
type optionSpans struct {
	members                       int
	includeUsage, continuousUsage span
}

// seen notes the members that must not appear twice.
type seen uint8

const (
	seenModel seen = 1 << iota
	seenStream
	seenStreamOptions
	seenN
	seenMaxTokens
	seenMaxCompletionTokens
	seenMaxOutputTokens
)

// ParseRequest reads a request body. The body must be one JSON object without a byte
// order mark, nested at most 128 deep (RFC 8259).
//
// A member that sluice acts on must not appear twice, in whatever spelling: parsers
// differ in which of two they believe, and what is checked here must be what the
// upstream reads. For the same reason no name may differ from theirs by letter case
// alone: encoding/json and others take it for the same, most parsers for another one.
// Members that are null count as absent, as they do at OpenAI. All else in the body is
// left to the upstream to judge.
func ParseRequest(ep Endpoint, body []byte) (*Request, *Error) {
	if bytes.HasPrefix(body, byteOrderMark) {
		return nil, InvalidJSON("The request body must not begin with a byte order mark.")
	}
	// The bytes are walked once before they are validated, because validation recurses
	// and must not meet a level too many; what is read of a broken body is dropped.
	r := &Request{Endpoint: ep, N: 1}
	var failed *Error
	end := walkObject(body, 0, maxDepth, func(key, value span) {
		if failed == nil {
			failed = r.member(body, key, value)
		}
	})
	if err := checkJSON(body, end); err != nil {
		return nil, err
	}
	if failed == nil {
		failed = r.checkFolded()
	}
	if failed == nil {
		failed = r.checkModel()
	}
	if failed != nil {
		return nil, failed
	}
	return r, nil
}

// checkJSON tells what is wrong with a body as such; end is what walking it gave.
func checkJSON(body []byte, end int) *Error {
	if end == broken { // or no object at all
		end = valueEnd(body, skipSpace(body, 0), maxDepth)
	}
	switch {
	case end == tooDeep:
		return NewError(CodeJSONTooDeep)
	case end == broken || !gjson.ValidBytes(body):
		return NewError(CodeInvalidJSON)
	case body[skipSpace(body, 0)] != '{':
		return InvalidJSON("The request body must be a JSON object.")
	}
	return nil
}

// checkFolded refuses what only some servers would take for a member that is known.
func (r *Request) checkFolded() *Error {
	for _, k := range knownKeys {
		switch {
		case r.folded&k.seen == 0:
		case r.seen&k.seen != 0:
			return DuplicateKey(k.name)
		default:
			return AmbiguousKey(k.name)
		}
	}
	return nil
}

func (r *Request) checkModel() *Error {
	switch {
	case r.Model == "":
		return NewError(CodeMissingModel)
	case len(r.Model) > maxModelLength || strings.ContainsFunc(r.Model, unfitForName):
		return ModelNotFound("")
	}
	return nil
}

// unfitForName tells whether no model can have this character in its name. Broken
// UTF-8 and lone surrogates are read differently by different parsers; control
// characters would end up in logs.
func unfitForName(c rune) bool { return c == utf8.RuneError || unicode.IsControl(c) }

// member takes in one top-level member of the body.
func (r *Request) member(body []byte, key, value span) *Error {
	known, exact := knownKey(keyText(key.of(body)))
	switch {
	case known == nil:
		return nil
	case !exact:
		r.folded |= known.seen
		return nil
	case r.seen&known.seen != 0:
		return DuplicateKey(known.name)
	}
	r.seen |= known.seen
	switch known.seen {
	case seenModel:
		return r.setModel(body, value)
	case seenStream:
		return r.setStream(body, value)
	case seenStreamOptions:
		return r.setStreamOptions(body, value)
	case seenN:
		return r.setN(value.of(body))
	}
	return r.setMaxTokens(known.name, value.of(body))
}

// known is a member that sluice acts on.
type known struct {
	name string
	seen seen
}

var knownKeys = [...]known{
	{"model", seenModel},
	{"stream", seenStream},
	{"stream_options", seenStreamOptions},
	{"n", seenN},
	{"max_tokens", seenMaxTokens},
	{"max_completion_tokens", seenMaxCompletionTokens},
	{"max_output_tokens", seenMaxOutputTokens},
}

// knownKey is the member that sluice acts on under this key, or nil, and whether the key
// is spelled in its letter case.
func knownKey(key string) (k *known, exact bool) {
	for i := range knownKeys {
		if same, exact := keyMeans(key, knownKeys[i].name); same {
			return &knownKeys[i], exact
		}
	}
	return nil, false
}

func (r *Request) setModel(body []byte, value span) *Error {
	switch raw := value.of(body); {
	case isNull(raw):
		return nil
	case raw[0] != '"':
		return InvalidType("model", "a string")
	case len(raw) > 6*maxModelLength+2:
		return ModelNotFound("")
	default:
		r.Model = stringValue(raw)
	}
	r.model = value
	return nil
}

func (r *Request) setStream(body []byte, value span) *Error {
	on, ok := boolValue(value.of(body))
	if !ok {
		return InvalidType("stream", "a boolean")
	}
	r.Stream, r.stream = on, value
	return nil
}

func (r *Request) setStreamOptions(body []byte, value span) *Error {
	r.streamOptions = value
	raw := value.of(body)
	if isNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return InvalidType("stream_options", "an object")
	}
	options := [...]option{
		{name: "include_usage", on: &r.IncludeUsage, at: &r.options.includeUsage},
		{name: "continuous_usage_stats", on: &r.ContinuousUsage, at: &r.options.continuousUsage},
	}
	var failed *Error
	walkObject(body, value.start, maxDepth, func(key, value span) {
		r.options.members++
		name := keyText(key.of(body))
		for i := range options {
			if failed == nil {
				failed = options[i].take(body, name, value)
			}
		}
	})
	for i := range options {
		if failed == nil {
			failed = options[i].checkFolded()
		}
	}
	return failed
}

// option is a member of stream_options that sluice acts on.
type option struct {
	name   string
	on     *bool
	at     *span
	folded bool // it is there in another letter case
}

func (o *option) param() string { return "stream_options." + o.name }

// take takes in a member of stream_options if it is this one.
func (o *option) take(body []byte, key string, value span) *Error {
	same, exact := keyMeans(key, o.name)
	switch {
	case !same:
		return nil
	case !exact:
		o.folded = true
		return nil
	case o.at.end != 0:
		return DuplicateKey(o.param())
	}
	*o.at = value
	var ok bool
	if *o.on, ok = boolValue(value.of(body)); !ok {
		return InvalidType(o.param(), "a boolean")
	}
	return nil
}

func (o *option) checkFolded() *Error {
	switch {
	case !o.folded:
		return nil
	case o.at.end != 0:
		return DuplicateKey(o.param())
	}
	return AmbiguousKey(o.param())
}

func (r *Request) setN(raw []byte) *Error {
	n, ok := intValue(raw)
	if !ok {
		return InvalidType("n", "an integer")
	}
	// Whether 0 or a million choices may be asked for is the upstream's to say.
	r.N = int(min(max(n, 1), math.MaxInt32))
	return nil
}

// setMaxTokens keeps the largest bound: servers differ in which of the names they
// honour, and the number is used as what the output can never exceed. Some servers
// write "no bound" as -1.
func (r *Request) setMaxTokens(name string, raw []byte) *Error {
	n, ok := intValue(raw)
	if !ok {
		return InvalidType(name, "an integer")
	}
	r.MaxTokens = max(r.MaxTokens, n)
	return nil
}

func isNull(raw []byte) bool { return raw[0] == 'n' }

// boolValue reads true, false, or null as false.
func boolValue(raw []byte) (on, ok bool) {
	return raw[0] == 't', raw[0] == 't' || raw[0] == 'f' || isNull(raw)
}

// maxNumberLength is ample for any integer a client means, however it spells it.
const maxNumberLength = 64

// intValue reads a number without a fraction in any spelling (100, 1e2, 100.0), or
// null as 0.
func intValue(raw []byte) (int64, bool) {
	if isNull(raw) {
		return 0, true
	}
	if (raw[0] != '-' && (raw[0] < '0' || raw[0] > '9')) || len(raw) > maxNumberLength {
		return 0, false
	}
	text := string(raw)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}
