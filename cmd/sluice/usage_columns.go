package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"

	"github.com/sluicehq/sluice/accounting/ledger"
)

// usageCounts are the numbers of a row of usage, under their names in JSON and, for those
// that it has columns for, in the table.
var usageCounts = []struct {
	name, title string
	of          func(*ledger.Usage) *int64
}{
	{"exchanges", "EXCHANGES", func(u *ledger.Usage) *int64 { return &u.Exchanges }},
	{"input", "INPUT", func(u *ledger.Usage) *int64 { return &u.Input }},
	{"input_cached", "CACHED", func(u *ledger.Usage) *int64 { return &u.InputCached }},
	{"input_cache_write", "CACHE WRITE", func(u *ledger.Usage) *int64 { return &u.InputCacheWrite }},
	{"input_audio", "AUDIO IN", func(u *ledger.Usage) *int64 { return &u.InputAudio }},
	{"output", "OUTPUT", func(u *ledger.Usage) *int64 { return &u.Output }},
	{"output_reasoning", "REASONING", func(u *ledger.Usage) *int64 { return &u.OutputReasoning }},
	{"output_audio", "AUDIO OUT", func(u *ledger.Usage) *int64 { return &u.OutputAudio }},
	{"cost_nano_usd", "", func(u *ledger.Usage) *int64 { return &u.CostNanoUSD }},
	{"cost_low_nano_usd", "", func(u *ledger.Usage) *int64 { return &u.CostLowNanoUSD }},
	{"cost_high_nano_usd", "", func(u *ledger.Usage) *int64 { return &u.CostHighNanoUSD }},
	{"unpriced", "", func(u *ledger.Usage) *int64 { return &u.Unpriced }},
	{"unbounded", "", func(u *ledger.Usage) *int64 { return &u.Unbounded }},
	{"abandoned", "ABANDONED", func(u *ledger.Usage) *int64 { return &u.Abandoned }},
	{"abandoned_cost_nano_usd", "", func(u *ledger.Usage) *int64 { return &u.AbandonedCostNanoUSD }},
}

// dimensionOf is the value of a dimension that was asked for.
func dimensionOf(u *ledger.Usage, d ledger.Dimension) string {
	var value *string
	switch d {
	case ledger.ByDay:
		value = u.Day
	case ledger.ByKey:
		value = u.Key
	case ledger.ByModel:
		value = u.Model
	case ledger.ByProvider:
		value = u.Provider
	case ledger.ByOutcome:
		value = u.Outcome
	case ledger.BySource:
		value = u.Source
	}
	if value == nil {
		return ""
	}
	return *value
}

// writeUsageJSON writes one array, with a line for each row.
func writeUsageJSON(w io.Writer, rows []ledger.Usage) error {
	var out bytes.Buffer
	out.WriteByte('[')
	for i := range rows {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
		row, err := json.Marshal(&rows[i])
		if err != nil {
			return err
		}
		out.Write(row)
	}
	if len(rows) > 0 {
		out.WriteByte('\n')
	}
	out.WriteString("]\n")
	_, err := out.WriteTo(w)
	return err
}

// writeUsageCSV writes a header with the names of the JSON form, and a line for each row.
func writeUsageCSV(w io.Writer, by []ledger.Dimension, rows []ledger.Usage) error {
	out := csv.NewWriter(w)
	var line []string
	for _, d := range by {
		line = append(line, string(d))
	}
	for _, c := range usageCounts {
		line = append(line, c.name)
	}
	_ = out.Write(line)
	for i := range rows {
		line = line[:0]
		for _, d := range by {
			line = append(line, dimensionOf(&rows[i], d))
		}
		for _, c := range usageCounts {
			line = append(line, strconv.FormatInt(*c.of(&rows[i]), 10))
		}
		_ = out.Write(line)
	}
	out.Flush()
	return out.Error() // also of the lines before
}
