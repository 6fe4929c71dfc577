package accounting

import (
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// otherLabel stands for every value that is not from a closed or configured list.
const otherLabel = "other"

const (
	// maxSeries bounds the series of one family, whatever is configured.
	maxSeries = 1000
	// reservedSeries is kept for provider="other", model="other", whose
	// further labels come from closed lists: 11 outcomes by 23 statuses, each
	// with "other", are 288.
	reservedSeries = 300
	// maxRejectedCodes is well above the number of codes that sluice has.
	maxRejectedCodes = 100
)

// label returns name if it is configured, else "other".
func label(name string, known func(string) bool) string {
	if name == "" || known == nil || !known(name) {
		return otherLabel
	}
	return name
}

// modelLabel returns the label of the model that a name stands for, or "other".
func modelLabel(name string, of func(string) (string, bool)) string {
	if name == "" || of == nil {
		return otherLabel
	}
	if label, ok := of(name); ok {
		return label
	}
	return otherLabel
}

// keyLabel tells requests without a key, where none is asked for, from those of a key
// that is no longer configured.
func keyLabel(alias string, known func(string) bool) string {
	if alias == "" {
		return "none"
	}
	return label(alias, known)
}

func outcomeLabel(o Outcome) string {
	if o.Valid() {
		return string(o)
	}
	return otherLabel
}

func sourceLabel(s Source) string {
	switch s {
	case SourceReported, SourceRunning, SourceEstimated, SourceNone:
		return string(s)
	default:
		return otherLabel
	}
}

func kindLabel(kind string) string {
	switch kind {
	case AttemptFirst, AttemptRetry, AttemptFallback, AttemptHedge:
		return kind
	default:
		return otherLabel
	}
}

// statusLabel returns the HTTP status that went downstream. A client that left
// before there was one is a 499, as in the access log.
func statusLabel(r *Record) string {
	status := r.StatusDownstream
	if status == 0 && (r.Outcome == OutcomeClientGone || r.Outcome == OutcomeClientStalled) {
		status = 499
	}
	switch status {
	case 200, 201, 202, 204, 400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 422, 429, 499,
		500, 501, 502, 503, 504, 529:
		return strconv.Itoa(status)
	default:
		return otherLabel
	}
}

// codeLabel returns code if it looks like one of ours: snake_case and short.
func codeLabel(code string) string {
	if code == "" || len(code) > 64 {
		return otherLabel
	}
	for i := range len(code) {
		if c := code[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return otherLabel
		}
	}
	return code
}

func boolLabel(b bool) string { return strconv.FormatBool(b) }

// boundedSet admits the first few names it sees and calls all others "other".
type boundedSet struct {
	mu    sync.Mutex
	room  int
	names map[string]struct{}
}

func newBoundedSet(size int) *boundedSet {
	return &boundedSet{room: size, names: make(map[string]struct{})}
}

func (s *boundedSet) admit(name string) string {
	if name == otherLabel {
		return name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.names[name]; ok {
		return name
	}
	if s.room == 0 {
		return otherLabel
	}
	s.room--
	s.names[strings.Clone(name)] = struct{}{}
	return name
}

// cappedCounter is a family whose first two labels are provider and model. It
// stops making new series for names when it holds maxSeries less the reserve;
// what comes after is counted under provider="other", model="other", so that
// sums stay right.
type cappedCounter struct {
	vec  *prometheus.CounterVec
	mu   sync.Mutex
	seen map[seriesKey]struct{}
}

type seriesKey [4]string

func newCappedCounter(opts prometheus.CounterOpts, labels ...string) *cappedCounter {
	return &cappedCounter{
		vec:  prometheus.NewCounterVec(opts, labels),
		seen: make(map[seriesKey]struct{}),
	}
}

// add adds v to the series of the labels. All but the first two must come from
// closed lists.
func (c *cappedCounter) add(v float64, labels ...string) {
	if !c.admit(labels) {
		labels = append([]string{otherLabel, otherLabel}, labels[2:]...)
	}
	c.vec.WithLabelValues(labels...).Add(v)
}

func (c *cappedCounter) admit(labels []string) bool {
	if labels[0] == otherLabel && labels[1] == otherLabel {
		return true
	}
	var key seriesKey
	copy(key[:], labels)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.seen[key]; ok {
		return true
	}
	if len(c.seen) >= maxSeries-reservedSeries {
		return false
	}
	c.seen[key] = struct{}{}
	return true
}
