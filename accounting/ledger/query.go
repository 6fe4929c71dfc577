package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Dimension is what usage can be grouped by.
type Dimension string

// The dimensions.
const (
	ByKey      Dimension = "key"
	ByModel    Dimension = "model" // as asked for
	ByProvider Dimension = "provider"
	ByDay      Dimension = "day" // of the start, in UTC
	ByOutcome  Dimension = "outcome"
	BySource   Dimension = "usage_source"
)

var dimensions = []Dimension{ByDay, ByKey, ByModel, ByProvider, ByOutcome, BySource}

// Dimensions lists them all. The caller owns the slice.
func Dimensions() []Dimension { return slices.Clone(dimensions) }

// ParseDimension reads the name of a dimension. Its error lists the names there are, and
// is an ErrBadQuery.
func ParseDimension(s string) (Dimension, error) {
	if d := Dimension(s); slices.Contains(dimensions, d) {
		return d, nil
	}
	names := make([]string, len(dimensions))
	for i, d := range dimensions {
		names[i] = string(d)
	}
	return "", badQuery(fmt.Sprintf("%q is not one of %s", s, strings.Join(names, ", ")))
}

// The errors of a query that cannot be answered, whatever the books hold.
var (
	ErrBadQuery  = errors.New("the query cannot be answered")
	ErrBadCursor = errors.New("the cursor is not one of an answer to this query")
)

// badQuery is an ErrBadQuery that says what is wrong.
type badQuery string

func (e badQuery) Error() string { return string(e) }

func (badQuery) Is(target error) bool { return target == ErrBadQuery }

// Query asks what was used.
type Query struct {
	// Since and Until bound the start of the exchanges: from Since on, before Until. The
	// zero time bounds nothing. Whole days in UTC are answered from their sums, which are
	// kept for ever. Parts of days are answered from the records, and lack those that
	// retention has removed: Page.Incomplete.
	Since, Until time.Time
	// By are the dimensions, each at most once. The rows are in their order: days by time,
	// names by their bytes. None gives one row of sums.
	By []Dimension
	// Keys, Models, Providers and Outcomes keep only exchanges with one of the names;
	// empty keeps all.
	Keys, Models, Providers, Outcomes []string
	// Limit bounds the rows of the answer, zero or less does not; After is the Next of
	// the answer before, whose By must have been the same.
	Limit int
	After string
}

// Usage is what a group of exchanges has used. The dimensions that were not asked for are
// nil. Counts that a provider did not state add nothing to the sums.
//
// What the abandoned attempts of an exchange have used is in the sums of their own provider
// and source, and else of the key, the model, the day and the outcome of the exchange. The
// exchange itself is counted once, with its final attempt.
type Usage struct {
	Day      *string `json:"day,omitempty"` // as 2006-01-02
	Key      *string `json:"key,omitempty"` // empty where no key was asked for
	Model    *string `json:"model,omitempty"`
	Provider *string `json:"provider,omitempty"`
	Outcome  *string `json:"outcome,omitempty"`
	Source   *string `json:"usage_source,omitempty"`

	Exchanges       int64 `json:"exchanges"`
	Input           int64 `json:"input"`
	InputCached     int64 `json:"input_cached"`
	InputCacheWrite int64 `json:"input_cache_write"`
	InputAudio      int64 `json:"input_audio"`
	Output          int64 `json:"output"`
	OutputReasoning int64 `json:"output_reasoning"`
	OutputAudio     int64 `json:"output_audio"`
	// The cost covers the exchanges and abandoned attempts that have one; Unpriced counts
	// those that have none. Low and High are what providers may charge for cut answers at
	// the least and at the most; Unbounded counts what has a cost that nothing bounds, which
	// is in High with its cost.
	CostNanoUSD     int64 `json:"cost_nano_usd"`
	CostLowNanoUSD  int64 `json:"cost_low_nano_usd"`
	CostHighNanoUSD int64 `json:"cost_high_nano_usd"`
	Unpriced        int64 `json:"unpriced"`
	Unbounded       int64 `json:"unbounded"`
	// Abandoned counts the abandoned attempts in the sums, and AbandonedCostNanoUSD is what
	// of the cost is theirs: the price of failover and hedging.
	Abandoned            int64 `json:"abandoned"`
	AbandonedCostNanoUSD int64 `json:"abandoned_cost_nano_usd"`
}

// Page is a part of the answer to a Query.
type Page struct {
	Rows []Usage
	// Next is empty when there is no more.
	Next string
	// Incomplete are the days, as 2006-01-02, at the edges of the time that was asked for,
	// of which only a part was asked for and only a part of the records is left: the rows
	// may lack exchanges of that part. Whole days are always complete.
	Incomplete []string
}

// maxNames bounds each list of names of a query.
const maxNames = 1000

func (q Query) validate() error {
	for i, d := range q.By {
		if !slices.Contains(dimensions, d) {
			_, err := ParseDimension(string(d))
			return err
		}
		if slices.Contains(q.By[:i], d) {
			return badQuery(string(d) + " is asked for twice")
		}
	}
	for _, f := range q.filters() {
		if len(f.names) > maxNames {
			return badQuery(fmt.Sprintf("more than %d names of one kind", maxNames))
		}
		for _, name := range f.names {
			if !isText(name) {
				return badQuery("a name is not text")
			}
		}
	}
	return nil
}

// isText reports what both engines can keep: PostgreSQL refuses everything else.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// filter keeps the rows whose column has one of the names.
type filter struct {
	column string
	names  []string
}

// filters are those that keep not everything.
func (q Query) filters() []filter {
	all := []filter{{"key", q.Keys}, {"model", q.Models}, {"provider", q.Providers}, {"outcome", q.Outcomes}}
	return slices.DeleteFunc(all, func(f filter) bool { return len(f.names) == 0 })
}
