//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const absentCell = "–"

// writeTables writes a Markdown table for every trial that has results: a row for
// each figure, a column for each subject with the values of its runs, and the ratio
// of the means to nginx.
func writeTables(w io.Writer, trials []trial, subjects []subject, results []measurement) error {
	var text strings.Builder
	for _, t := range trials {
		writeTable(&text, tableOf(t, subjects, results))
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("writing the tables: %w", err)
	}
	return nil
}

// table is one trial with its results, by subject and in the order of the runs.
type table struct {
	trial   trial
	columns []subject
	ratios  []subject // those compared with nginx
	results map[string][]measurement
}

func tableOf(t trial, subjects []subject, results []measurement) table {
	all := table{trial: t, results: map[string][]measurement{}}
	for _, m := range results {
		if m.trial() == t {
			all.results[m.Subject] = append(all.results[m.Subject], m)
		}
	}
	for _, s := range subjects {
		if len(all.results[s.name]) == 0 {
			continue
		}
		all.columns = append(all.columns, s)
		if s.command != nil && s.name != subjectNginx && len(all.results[subjectNginx]) > 0 {
			all.ratios = append(all.ratios, s)
		}
	}
	return all
}

func writeTable(w *strings.Builder, t table) {
	if len(t.columns) == 0 {
		return
	}
	head := []string{"figure"}
	for _, s := range t.columns {
		head = append(head, s.title)
	}
	for _, s := range t.ratios {
		head = append(head, s.title+" ÷ nginx")
	}
	fmt.Fprintf(w, "### %s\n\n", t.trial.title())
	writeRow(w, head)
	writeRow(w, append([]string{"---"}, slices.Repeat([]string{"--:"}, len(head)-1)...))
	for _, f := range figuresOf(t.trial.scenario) {
		if t.has(f) {
			writeRow(w, t.row(f))
		}
	}
	writeRow(w, t.brokenRow())
	w.WriteString("\n")
}

func writeRow(w *strings.Builder, cells []string) {
	w.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// has tells whether any subject has that figure.
func (t table) has(f figure) bool {
	return slices.ContainsFunc(t.columns, func(s subject) bool { return len(t.values(s.name, f)) > 0 })
}

// values are those of a figure, in the order of the runs that have it.
func (t table) values(name string, f figure) (all []float64) {
	for _, m := range t.results[name] {
		if v, ok := m.Figures[f.key]; ok {
			all = append(all, v)
		}
	}
	return all
}

func (t table) row(f figure) []string {
	cells := []string{f.title}
	for _, s := range t.columns {
		cells = append(cells, valuesCell(t.values(s.name, f), f.digits))
	}
	for _, s := range t.ratios {
		cells = append(cells, ratioCell(f, t.values(s.name, f), t.values(subjectNginx, f)))
	}
	return cells
}

// brokenRow says how many of the checked streams were not what the mock sent.
func (t table) brokenRow() []string {
	cells := []string{"broken streams"}
	for _, s := range t.columns {
		broken, streams := 0, 0
		for _, m := range t.results[s.name] {
			broken += m.breaks()
			streams += m.Streams
		}
		cells = append(cells, fmt.Sprintf("%d of %s", broken, thousands(streams)))
	}
	for range t.ratios {
		cells = append(cells, absentCell)
	}
	return cells
}

func valuesCell(values []float64, digits int) string {
	if len(values) == 0 {
		return absentCell
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = strconv.FormatFloat(v, 'f', digits, 64)
	}
	return strings.Join(texts, " / ")
}

// ratioCell is the ratio of the means. Where nginx has nothing, or less, there is
// none.
func ratioCell(f figure, values, nginx []float64) string {
	if !f.ratio || len(values) == 0 || len(nginx) == 0 || mean(nginx) <= 0 || mean(values) < 0 {
		return absentCell
	}
	return strconv.FormatFloat(mean(values)/mean(nginx), 'f', 2, 64)
}

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}

// summary is the line that tells of a measurement as soon as it is made.
func summary(m measurement) string {
	var parts []string
	if m.Scenario == scenarioCancel {
		parts = append(parts, cancelSummary(m.Figures))
	} else {
		for _, f := range figuresOf(m.Scenario) {
			if v, ok := m.Figures[f.key]; ok {
				parts = append(parts, f.title+" "+strconv.FormatFloat(v, 'f', f.digits, 64))
			}
		}
	}
	parts = append(parts, fmt.Sprintf("broken %d of %d", m.breaks(), m.Streams))
	for _, kind := range slices.Sorted(maps.Keys(m.Broken)) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, m.Broken[kind]))
	}
	if m.Example != "" {
		parts = append(parts, "first: "+m.Example)
	}
	return strings.Join(parts, "; ")
}

// cancelSummary tells of the worst cell of the matrix in each respect.
func cancelSummary(figures map[string]float64) string {
	var slowest, longest float64
	fewest := 100.0
	for key, v := range figures {
		switch {
		case strings.HasSuffix(key, statP50):
			slowest = max(slowest, v)
		case strings.HasSuffix(key, statMax):
			longest = max(longest, v)
		case strings.HasSuffix(key, statClosed):
			fewest = min(fewest, v)
		}
	}
	return fmt.Sprintf("of all cells: p50 up to %.2f ms, max %.2f ms, closed at least %.0f %%", slowest, longest, fewest)
}
