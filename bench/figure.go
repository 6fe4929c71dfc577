//go:build linux

package main

import "strings"

// The keys of the figures, in reports and in JSON.
const (
	figureCPU       = "cpu_us_per_chunk"
	figureRate      = "chunks_per_s"
	figureP50       = "latency_p50_us"
	figureP99       = "latency_p99_us"
	figureAddedP50  = "added_latency_p50_us"
	figureAddedP99  = "added_latency_p99_us"
	figureOpen      = "open_streams"
	figureBefore    = "rss_before_mib"
	figureDuring    = "rss_open_mib"
	figurePerStream = "kib_per_stream"
)

// The statistics of a cell of the cancel matrix.
const (
	statP50    = "p50_ms"
	statP99    = "p99_ms"
	statMax    = "max_ms"
	statClosed = "closed_percent"
)

// figure describes one row of a table.
type figure struct {
	key, title string
	digits     int  // behind the decimal point
	ratio      bool // whether a ratio to nginx means anything
}

var (
	pacedFigures = []figure{
		{figureCPU, "CPU per chunk, µs", 2, true},
		{figureP50, "one-way latency p50, µs", 0, true},
		{figureP99, "one-way latency p99, µs", 0, true},
		{figureAddedP50, "added latency p50, µs", 0, true},
		{figureAddedP99, "added latency p99, µs", 0, true},
	}
	saturatedFigures = []figure{
		{figureCPU, "CPU per chunk, µs", 2, true},
		{figureRate, "chunks per second", 0, true},
	}
	memoryFigures = []figure{
		{figurePerStream, "memory per open stream, KiB", 1, true},
		{figureBefore, "RSS before, MiB", 1, false},
		{figureDuring, "RSS with the streams open (mean), MiB", 1, false},
		{figureOpen, "streams open", 0, false},
	}
)

// figuresOf lists the rows of a scenario's table.
func figuresOf(scenario string) []figure {
	switch scenario {
	case scenarioPaced:
		return pacedFigures
	case scenarioSaturated:
		return saturatedFigures
	case scenarioMemory:
		return memoryFigures
	case scenarioCancel:
		return cancelFigures()
	}
	return nil
}

func cancelFigures() (all []figure) {
	for _, m := range moments {
		for _, way := range ways {
			title := m.title + ", " + strings.ToUpper(way) + ": "
			all = append(all,
				figure{cellKey(m.key, way, statP50), title + "p50, ms", 2, true},
				figure{cellKey(m.key, way, statP99), title + "p99, ms", 2, true},
				figure{cellKey(m.key, way, statMax), title + "max, ms", 2, true},
				figure{cellKey(m.key, way, statClosed), title + "closed, %", 0, false},
			)
		}
	}
	return all
}

// cellKey is the key of one statistic in one cell of the cancel matrix.
func cellKey(moment, way, stat string) string { return moment + "_" + way + "_" + stat }

// deriveAdded puts the latency that a proxy adds beside its one-way latency: the
// difference to what was measured in the same run without a proxy.
func deriveAdded(figures, direct map[string]float64) {
	for _, pair := range [][2]string{{figureAddedP50, figureP50}, {figureAddedP99, figureP99}} {
		with, ok := figures[pair[1]]
		without, known := direct[pair[1]]
		if ok && known {
			figures[pair[0]] = with - without
		}
	}
}
