package ledger

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/tokens"
)

// group is the key of a row of usage_daily.
type group struct {
	day                                   int64
	key, model, provider, outcome, source string
}

// totals are the numbers of a row of usage_daily.
type totals struct {
	exchanges                                       int64
	input, inputCached, inputCacheWrite, inputAudio int64
	output, outputReasoning, outputAudio            int64
	cost, costLow, costHigh                         int64
	unpriced, unbounded                             int64
	abandoned, abandonedCost                        int64
}

// dailyTable has the columns of groupRow.
var dailyTable = &table{name: "usage_daily", columns: append([]column{
	{"day", "integer"}, {"key", "text"}, {"model", "text"}, {"provider", "text"}, {"outcome", "text"}, {"usage_source", "text"},
}, sumColumns...)}

var sumColumns = []column{
	{"exchanges", "bigint"},
	{"input", "bigint"},
	{"input_cached", "bigint"},
	{"input_cache_write", "bigint"},
	{"input_audio", "bigint"},
	{"output", "bigint"},
	{"output_reasoning", "bigint"},
	{"output_audio", "bigint"},
	{"cost_nano_usd", "bigint"},
	{"cost_low_nano_usd", "bigint"},
	{"cost_high_nano_usd", "bigint"},
	{"unpriced", "bigint"},
	{"unbounded", "bigint"},
	{"abandoned", "bigint"},
	{"abandoned_cost_nano_usd", "bigint"},
}

// groupColumns are the columns of usage_daily that make its key.
const groupColumns = "day, key, model, provider, outcome, usage_source"

// exchangeSums and abandonedSums are, in the order of sumColumns, the totals of rows of
// exchanges and of those of abandonedCalls, so that what usage_daily keeps can be had of the
// records alike.
const (
	exchangeSums  = "COUNT(*), " + usedSums + ", 0, 0"
	abandonedSums = "0, " + usedSums + ", COUNT(*), CAST(COALESCE(SUM(cost_nano_usd), 0) AS BIGINT)"

	usedSums = `CAST(COALESCE(SUM(input), 0) AS BIGINT), CAST(COALESCE(SUM(input_cached), 0) AS BIGINT),
CAST(COALESCE(SUM(input_cache_write), 0) AS BIGINT), CAST(COALESCE(SUM(input_audio), 0) AS BIGINT),
CAST(COALESCE(SUM(output), 0) AS BIGINT), CAST(COALESCE(SUM(output_reasoning), 0) AS BIGINT),
CAST(COALESCE(SUM(output_audio), 0) AS BIGINT),
CAST(COALESCE(SUM(cost_nano_usd), 0) AS BIGINT),
CAST(COALESCE(SUM(COALESCE(cost_low_nano_usd, cost_nano_usd)), 0) AS BIGINT),
CAST(COALESCE(SUM(COALESCE(cost_high_nano_usd, cost_nano_usd)), 0) AS BIGINT),
COUNT(*) - COUNT(cost_nano_usd),
COUNT(CASE WHEN cost_high_nano_usd IS NULL THEN cost_nano_usd END)`
)

// abandonedCalls are the attempts that count beside the final ones, with the columns that
// usage is grouped by: their own provider and source, and all else of their exchange.
const abandonedCalls = `(SELECT exchanges.day, exchanges.key, exchanges.model, attempts.provider, exchanges.outcome, attempts.usage_source,
attempts.counts_at, attempts.input, attempts.input_cached, attempts.input_cache_write, attempts.input_audio,
attempts.output, attempts.output_reasoning, attempts.output_audio,
attempts.cost_nano_usd, attempts.cost_low_nano_usd, attempts.cost_high_nano_usd
FROM attempts JOIN exchanges ON exchanges.uid = attempts.uid) AS abandoned`

// dailyUpsert adds totals to those that are there.
var dailyUpsert = func() *command {
	set := make([]string, len(sumColumns))
	for i, c := range sumColumns {
		set[i] = c.name + " = usage_daily." + c.name + " + excluded." + c.name
	}
	return insertInto(dailyTable, "ON CONFLICT ("+groupColumns+") DO UPDATE SET "+strings.Join(set, ", "))
}()

// dailyPrune removes the groups of which nothing is left.
var dailyPrune = deleteFrom("usage_daily", dailyTable.columns[:6], "exchanges = 0 AND abandoned = 0", "")

// totalsOf is what an exchange adds by its final attempt, and to which group.
func totalsOf(r *accounting.Record) (group, totals) {
	g := group{
		day: dayOf(micros(r.Start)), key: name(r.Key), model: name(r.ModelAsked), provider: name(r.Provider),
		outcome: name(string(r.Outcome)), source: name(string(r.UsageSource)),
	}
	s := totals{exchanges: 1}
	s.use(&r.Usage)
	s.price(boundedCost(r.CostNanoUSD), boundedCost(r.CostLowNanoUSD), boundedCost(r.CostHighNanoUSD))
	return g, s
}

// abandonedTotals is what an abandoned attempt adds, and to which group, if its exchange is
// in the given one.
func abandonedTotals(g group, a *accounting.Attempt) (group, totals) {
	g.provider, g.source = name(a.Provider), name(string(a.UsageSource))
	s := totals{abandoned: 1}
	s.use(&a.Usage)
	s.price(boundedCost(a.CostNanoUSD), boundedCost(a.CostLowNanoUSD), boundedCost(a.CostHighNanoUSD))
	s.abandonedCost = s.cost
	return g, s
}

// use puts what one call has used into its totals.
func (s *totals) use(u *tokens.Usage) {
	s.input, s.inputCached = known(u.Input), known(u.InputCached)
	s.inputCacheWrite, s.inputAudio = known(u.InputCacheWrite), known(u.InputAudio)
	s.output, s.outputReasoning, s.outputAudio = known(u.Output), known(u.OutputReasoning), known(u.OutputAudio)
}

// price puts the cost of one call into its totals.
func (s *totals) price(cost, low, high *int64) {
	if cost == nil {
		s.unpriced = 1
		low, high = cmp.Or(low, new(int64)), cmp.Or(high, new(int64))
		s.costLow, s.costHigh = *low, *high
		return
	}
	if high == nil {
		s.unbounded = 1
	}
	s.cost, s.costLow, s.costHigh = *cost, *cmp.Or(low, cost), *cmp.Or(high, cost)
}

func known(c tokens.Count) int64 {
	if !c.Known {
		return 0
	}
	return bounded(c)
}

// add adds other times sign, which is 1 or -1.
func (s *totals) add(other totals, sign int64) {
	s.exchanges += sign * other.exchanges
	s.input += sign * other.input
	s.inputCached += sign * other.inputCached
	s.inputCacheWrite += sign * other.inputCacheWrite
	s.inputAudio += sign * other.inputAudio
	s.output += sign * other.output
	s.outputReasoning += sign * other.outputReasoning
	s.outputAudio += sign * other.outputAudio
	s.cost += sign * other.cost
	s.costLow += sign * other.costLow
	s.costHigh += sign * other.costHigh
	s.unpriced += sign * other.unpriced
	s.unbounded += sign * other.unbounded
	s.abandoned += sign * other.abandoned
	s.abandonedCost += sign * other.abandonedCost
}

// changes are what a transaction adds to usage_daily.
type changes map[group]totals

// add counts an exchange with all its attempts.
func (c changes) add(r *accounting.Record) { c.countAll(r, 1) }

// subtract takes off what an exchange had added.
func (c changes) subtract(r *accounting.Record) { c.countAll(r, -1) }

func (c changes) countAll(r *accounting.Record, sign int64) {
	g, t := totalsOf(r)
	c.count(g, t, sign)
	for i := range r.Attempts {
		if a := &r.Attempts[i]; a.Abandoned() {
			g, t := abandonedTotals(g, a)
			c.count(g, t, sign)
		}
	}
}

// count adds totals to a group times sign, which is 1 or -1.
func (c changes) count(g group, t totals, sign int64) {
	s := c[g]
	s.add(t, sign)
	c[g] = s
}

// rows are the changes as rows of usage_daily. They come in the order of the key: two
// replicas that write at the same time must not wait for each other in a circle.
func (c changes) rows() [][]any {
	groups := make([]group, 0, len(c))
	for g, s := range c {
		if s != (totals{}) {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, compareGroups)
	rows := make([][]any, len(groups))
	for i, g := range groups {
		s := c[g]
		rows[i] = append(g.row(),
			s.exchanges, s.input, s.inputCached, s.inputCacheWrite, s.inputAudio,
			s.output, s.outputReasoning, s.outputAudio,
			s.cost, s.costLow, s.costHigh, s.unpriced, s.unbounded, s.abandoned, s.abandonedCost)
	}
	return rows
}

// shrunk are the keys of the groups that have lost something and may be empty now.
func (c changes) shrunk() [][]any {
	var rows [][]any
	for g, s := range c {
		if s.exchanges < 0 || s.abandoned < 0 {
			rows = append(rows, g.row())
		}
	}
	return rows
}

func (g group) row() []any { return []any{g.day, g.key, g.model, g.provider, g.outcome, g.source} }

func compareGroups(a, b group) int {
	return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.key, b.key), cmp.Compare(a.model, b.model),
		cmp.Compare(a.provider, b.provider), cmp.Compare(a.outcome, b.outcome), cmp.Compare(a.source, b.source))
}
