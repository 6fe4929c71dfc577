package prices

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

var (
	errJSON  = errors.New("reading prices: not valid JSON")
	errShape = errors.New("reading prices: neither in the form of LiteLLM's table nor in that of models.dev")
	errEmpty = errors.New("reading prices: no model in it has a price")
)

// Read takes in a table in the form of LiteLLM's model_prices_and_context_window.json or
// of models.dev's api.json, which it tells apart by what is in it. Models that are not
// charged by the token are left out, and those whose input and output cost 0: that is what
// such tables say of models whose price they do not know. A file with a number that
// cannot be a price is refused as a whole; the error names the entries.
func Read(data []byte) ([]Price, error) {
	if !json.Valid(data) { // unlike gjson's, it bounds the depth
		return nil, errJSON
	}
	root := gjson.ParseBytes(data)
	read := readerOf(root)
	if read == nil {
		return nil, errShape
	}
	var r reader
	root.ForEach(func(name, entry gjson.Result) bool {
		if entry.IsObject() {
			read(&r, name.String(), entry)
		}
		return true
	})
	if err := r.err(); err != nil {
		return nil, err
	}
	if len(r.prices) == 0 {
		return nil, errEmpty
	}
	return r.prices, nil
}

// readerOf tells a table's form by the first entry that shows it.
func readerOf(root gjson.Result) func(r *reader, name string, entry gjson.Result) {
	var read func(*reader, string, gjson.Result)
	if !root.IsObject() {
		return nil
	}
	root.ForEach(func(_, entry gjson.Result) bool {
		switch {
		case !entry.IsObject():
		case member(entry, "models").IsObject():
			read = (*reader).modelsDevProvider
		case member(entry, "litellm_provider").Exists(), member(entry, "input_cost_per_token").Exists():
			read = (*reader).liteLLM
		}
		return read == nil
	})
	return read
}

// member is a member of an object by its name, in which no character has a meaning.
func member(object gjson.Result, name string) gjson.Result {
	var found gjson.Result
	object.ForEach(func(key, value gjson.Result) bool {
		if key.Str == name {
			found = value
		}
		return key.Str != name
	})
	return found
}

// text is a member if it is a string.
func text(object gjson.Result, name string) string {
	return member(object, name).Str
}

// reader collects what a table says.
type reader struct {
	prices   []Price
	problems []string
	more     int // problems that are not listed
}

// maxProblems is how many problems of a table are told.
const maxProblems = 10

func (r *reader) problem(entry, name, format string, args ...any) {
	if len(r.problems) == maxProblems {
		r.more++
		return
	}
	r.problems = append(r.problems, fmt.Sprintf("%q: %q ", short(entry), short(name))+fmt.Sprintf(format, args...))
}

// short keeps what somebody else has written short enough for a message.
func short(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

func (r *reader) err() error {
	if r.problems == nil {
		return nil
	}
	if r.more > 0 {
		r.problems = append(r.problems, fmt.Sprintf("and %d more", r.more))
	}
	return fmt.Errorf("reading prices: %s", strings.Join(r.problems, "; "))
}

// perToken and perMillion are how many of a Rate a price is that a table states as 1.
const (
	perToken   = float64(usd) * million
	perMillion = float64(usd)
)

// maxRate is the largest rate that is believed, a dollar a token.
const maxRate = million * usd

// rate reads a price. It is nil where the table has none, or none that is a price, which
// is a problem.
func (r *reader) rate(entry, name string, v gjson.Result, unit float64) *Rate {
	if !v.Exists() || v.Type == gjson.Null {
		return nil
	}
	if v.Type != gjson.Number {
		r.problem(entry, name, "must be a number, not %s", kind(v))
		return nil
	}
	f, err := strconv.ParseFloat(v.Raw, 64)
	// What a price in a table has of digits is far less than what a float64 can tell
	// apart, so that rounding undoes what its binary form has done to it.
	f = math.Round(f * unit)
	switch {
	case err != nil || f > float64(maxRate):
		r.problem(entry, name, "is more than a dollar a token")
	case f < 0:
		r.problem(entry, name, "is negative")
	default:
		rate := Rate(f)
		return &rate
	}
	return nil
}

func kind(v gjson.Result) string {
	switch {
	case v.Type == gjson.String:
		return "a string"
	case v.IsBool():
		return "a boolean"
	case v.IsArray():
		return "an array"
	}
	return "an object"
}

// rates are the prices that a table states for one way to be charged. Those it does not
// state are nil.
type rates struct {
	input, output                      *Rate
	cached, cacheWrite, cacheLong      *Rate
	inputAudio, reasoning, outputAudio *Rate
}

func (r *rates) parts() []**Rate {
	return []**Rate{&r.cached, &r.cacheWrite, &r.cacheLong, &r.inputAudio, &r.reasoning, &r.outputAudio}
}

// fill gives a dearer or cheaper way to be charged what it does not state: the same share
// of its input, or output, that base has.
func (r *rates) fill(base rates) {
	if r.input == nil {
		r.input = base.input
	}
	if r.output == nil {
		r.output = base.output
	}
	from := base.parts()
	for i, to := range r.parts() {
		whole, of := r.input, base.input
		if to == &r.reasoning || to == &r.outputAudio {
			whole, of = r.output, base.output
		}
		if *to == nil && *from[i] != nil && *of > 0 {
			share := Rate(ratio(int64(**from[i]), int64(*whole), int64(*of)))
			*to = &share
		}
	}
}

// known reports that both wholes have a price, and not both 0.
func (r *rates) known() bool {
	return r.input != nil && r.output != nil && (*r.input != 0 || *r.output != 0)
}

func (r *rates) price(p Price) Price {
	p.Input, p.Output = *r.input, *r.output
	p.InputCached, p.InputCacheWrite, p.InputCacheWriteLong = r.cached, r.cacheWrite, r.cacheLong
	p.InputAudio, p.OutputReasoning, p.OutputAudio = r.inputAudio, r.reasoning, r.outputAudio
	return p
}

// way is how a request is charged.
type way struct {
	tier       string
	aboveInput int64
}

// add takes in the ways that an entry of a table has, of which the normal one must be
// known. Each of the others has from the normal one, or from its own tier's for short
// requests, what it does not state.
func (r *reader) add(p Price, ways map[way]*rates) {
	base, ok := ways[way{}]
	if !ok || !base.known() {
		return
	}
	for _, w := range ordered(ways) {
		stated := ways[w]
		if w != (way{}) {
			if tier, ok := ways[way{tier: w.tier}]; ok && w.aboveInput > 0 && w.tier != "" {
				stated.fill(*tier) // filled before: a tier's own price comes first
			}
			stated.fill(*base)
		}
		if !stated.known() {
			continue
		}
		p.ServiceTier, p.AboveInput = w.tier, w.aboveInput
		r.prices = append(r.prices, stated.price(p))
	}
}
