package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluicehq/sluice/accounting/ledger"
)

// writeUsageTable writes rows for people: sums below, numbers to the right, and no column
// that has nothing to say.
func writeUsageTable(w io.Writer, by []ledger.Dimension, rows []ledger.Usage) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(w, "no exchanges")
		return err
	}
	total := sumUsage(rows)
	t := usageTable{left: len(by), decimals: decimalsOf(rows, total), abandoned: total.Abandoned > 0, ranges: hasRanges(rows)}
	t.addHeader(by, total)
	for i := range rows {
		var names []string
		for _, d := range by {
			names = append(names, readable(dimensionOf(&rows[i], d)))
		}
		t.addRow(names, &rows[i], total)
	}
	if len(rows) > 1 {
		names := make([]string, len(by))
		names[0] = "total"
		t.addRow(names, total, total)
	}
	if err := t.write(w); err != nil {
		return err
	}
	if total.Unpriced == 0 {
		return nil
	}
	noun := "exchange"
	if total.Abandoned > 0 {
		noun = "call" // of an exchange in the end, or one that was abandoned
	}
	_, err := fmt.Fprintf(w, "\n+ %s without a known price, which are not in the cost\n", plural(total.Unpriced, noun))
	return err
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

func sumUsage(rows []ledger.Usage) *ledger.Usage {
	var total ledger.Usage
	for i := range rows {
		for _, c := range usageCounts {
			*c.of(&total) += *c.of(&rows[i])
		}
	}
	return &total
}

// usageTable is a table whose first columns stand to the left and the others to the right.
type usageTable struct {
	left      int
	decimals  int
	abandoned bool // there are abandoned attempts
	ranges    bool
	lines     [][]string
}

// shown reports whether a column of the table is worth its place. The wholes always are.
func shown(title string, sum int64) bool {
	switch title {
	case "":
		return false
	case "EXCHANGES", "INPUT", "OUTPUT":
		return true
	}
	return sum != 0
}

func (t *usageTable) addHeader(by []ledger.Dimension, total *ledger.Usage) {
	var line []string
	for _, d := range by {
		line = append(line, strings.ToUpper(strings.ReplaceAll(string(d), "_", " ")))
	}
	for _, c := range usageCounts {
		if shown(c.title, *c.of(total)) {
			line = append(line, c.title)
		}
	}
	line = append(line, "COST USD")
	if t.abandoned {
		line = append(line, "OF IT ABANDONED")
	}
	if t.ranges {
		line = append(line, "MAY BE")
	}
	t.lines = append(t.lines, line)
}

func (t *usageTable) addRow(names []string, u, total *ledger.Usage) {
	line := names
	for _, c := range usageCounts {
		if shown(c.title, *c.of(total)) {
			line = append(line, thousands(*c.of(u)))
		}
	}
	line = append(line, t.cost(u, total.Unpriced > 0))
	if t.abandoned {
		line = append(line, dollars(u.AbandonedCostNanoUSD, t.decimals))
	}
	if t.ranges {
		line = append(line, t.mayBe(u))
	}
	t.lines = append(t.lines, line)
}

// cost is the cost of a row. One that lacks something has a plus behind it, and the others a
// space if any row has one.
func (t *usageTable) cost(u *ledger.Usage, plus bool) string {
	cost := dollars(u.CostNanoUSD, t.decimals)
	switch {
	case u.Unpriced > 0 && u.Unpriced == u.Exchanges+u.Abandoned:
		return "unknown+"
	case u.Unpriced > 0:
		return cost + "+"
	case plus:
		return cost + " "
	}
	return cost
}

// mayBe is what providers may charge, where that is not the cost.
func (t *usageTable) mayBe(u *ledger.Usage) string {
	if !hasRange(u) {
		return ""
	}
	if u.Unbounded > 0 {
		return dollars(u.CostLowNanoUSD, t.decimals) + " or more"
	}
	return dollars(u.CostLowNanoUSD, t.decimals) + " to " + dollars(u.CostHighNanoUSD, t.decimals)
}

func hasRange(u *ledger.Usage) bool {
	return u.CostLowNanoUSD != u.CostNanoUSD || u.CostHighNanoUSD != u.CostNanoUSD || u.Unbounded > 0
}

func hasRanges(rows []ledger.Usage) bool {
	for i := range rows {
		if hasRange(&rows[i]) {
			return true
		}
	}
	return false
}

func (t *usageTable) write(w io.Writer) error {
	widths := make([]int, len(t.lines[0]))
	for _, line := range t.lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for _, line := range t.lines {
		var text strings.Builder
		for i, cell := range line {
			if i > 0 {
				text.WriteString("  ")
			}
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < t.left {
				text.WriteString(cell + padding)
			} else {
				text.WriteString(padding + cell)
			}
		}
		out.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// readable is a name as a terminal may show it: names may come from clients.
func readable(name string) string {
	if name == "" {
		return "(none)"
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return strconv.Quote(name)
		}
	}
	return name
}

// thousands writes a number with commas between groups of three digits.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

const (
	nanosPerDollar = 1_000_000_000
	minDecimals    = 2
)

// dollars writes an amount in units of 1e-9 USD with so many decimals, which must be as
// many as it has.
func dollars(nanos int64, decimals int) string {
	sign := ""
	if nanos < 0 {
		sign, nanos = "-", -nanos
	}
	fraction := fmt.Sprintf("%09d", nanos%nanosPerDollar)
	return sign + thousands(nanos/nanosPerDollar) + "." + fraction[:decimals]
}

// decimalsOf is how many decimals the amounts of a table need, two at the least.
func decimalsOf(rows []ledger.Usage, total *ledger.Usage) int {
	decimals := minDecimals
	need := func(u *ledger.Usage) {
		for _, nanos := range []int64{u.CostNanoUSD, u.CostLowNanoUSD, u.CostHighNanoUSD, u.AbandonedCostNanoUSD} {
			fraction := strings.TrimRight(fmt.Sprintf("%09d", max(nanos, -nanos)%nanosPerDollar), "0")
			decimals = max(decimals, len(fraction))
		}
	}
	for i := range rows {
		need(&rows[i])
	}
	need(total)
	return decimals
}
