package dialecttest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting/tokens"
	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/framing"
)

// Event is an event of a stream, its framing removed.
type Event struct{ Name, Data string }

// Events cuts a body into its events.
func Events(f translate.Framing, body []byte) (events []Event) {
	split := framing.New(f, 0)
	split.Feed(body)
	for ev := (sse.Event{}); split.Next(&ev) || split.Flush(&ev); {
		if ev.Data != nil {
			events = append(events, Event{string(ev.Name), string(ev.Data)})
		}
	}
	return events
}

// exact is a Recorder that notes every value it is given.
type exact struct{ Recorder }

func (e *exact) Text(choice int, escaped string) {
	e.note("of choice %d", choice)
	e.Recorder.Text(choice, escaped)
}

func (e *exact) Reasoning(choice int, escaped string) {
	e.note("of choice %d", choice)
	e.Recorder.Reasoning(choice, escaped)
}

func (e *exact) Arguments(choice, call int, escaped string) {
	e.note("of choice %d", choice)
	e.Recorder.Arguments(choice, call, escaped)
}

func (e *exact) Usage(u tokens.Usage, raw string) {
	e.note("%+v of %s", u, raw)
	e.Recorder.Usage(u, raw)
}

// Repetition checks that a decoder says the same of a stream whether it recognises
// events that repeat or reads every one, and returns how many it has recognised. of is
// where it keeps what it recognises.
func Repetition(t *testing.T, decoder func() translate.Decoder, of func(translate.Decoder) *translate.Repeats, events []Event) (recognised int) {
	t.Helper()
	var got, want exact
	knowing, reading := decoder(), decoder()
	for _, ev := range events {
		data := []byte(ev.Data)
		probe := *of(knowing)
		if _, _, ok := probe.Match(data); ok {
			recognised++
		}
		of(reading).Forget()
		expected := reading.Event(&want, []byte(ev.Name), []byte(ev.Data))
		progress := knowing.Event(&got, []byte(ev.Name), data)
		clear(data) // nothing may look at it any more
		require.Equal(t, expected, progress, "%q", ev)
		if !slices.Equal(want.Lines, got.Lines) {
			require.Equal(t, want.Lines, got.Lines, "%q", ev)
		}
		if progress != translate.More {
			return recognised
		}
		want.Lines, got.Lines = want.Lines[:0], got.Lines[:0]
	}
	require.Equal(t, reading.End(&want), knowing.End(&got))
	require.Equal(t, want, got)
	return recognised
}

// Repetitions runs Repetition on a stream, and on what comes of it by disturbing it.
func Repetitions(t *testing.T, decoder func() translate.Decoder, of func(translate.Decoder) *translate.Repeats, events []Event) (recognised int) {
	t.Helper()
	recognised = Repetition(t, decoder, of, events)
	for seed := range uint64(100) {
		Repetition(t, decoder, of, Disturbed(rand.New(rand.NewPCG(seed, 1)), events))
	}
	return recognised
}

// Disturbed is a stream whose events are repeated and changed in ways that real ones
// are, and in others.
func Disturbed(r *rand.Rand, events []Event) (disturbed []Event) {
	for _, ev := range events {
		for range 1 + r.IntN(3) {
			disturbed = append(disturbed, ev)
			if r.IntN(3) > 0 {
				ev.Data = changed(r, ev.Data)
			}
			if r.IntN(20) == 0 {
				ev = events[r.IntN(len(events))]
			}
		}
	}
	return disturbed
}

// bits are what strings, counts and padding are made of, and what ends them.
var bits = []string{
	"a", " word", "0", "7", "12", `\n`, `\"`, `\\`, `\u00e9`, "é", "  ", "", "-", ".5", "e3", `"`, `\`, `\x`, "\n", "}", ",", "\x00",
}

// changed puts a bit into data, or in the place of a digit, letter or blank.
func changed(r *rand.Rand, data string) string {
	if data == "" {
		return data
	}
	at := r.IntN(len(data))
	if r.IntN(2) == 0 { // where a value is likely
		if ends := strings.IndexAny(data[at:], `"}`); ends >= 0 {
			at += ends
		}
	}
	bit := bits[r.IntN(len(bits))]
	if r.IntN(4) > 0 {
		bit = bits[r.IntN(11)]
	}
	if strings.IndexByte("0123456789abcdefghijklmnopqrstuvwxyz ", data[at]) >= 0 && r.IntN(2) == 0 {
		return data[:at] + bit + data[at+1:]
	}
	return data[:at] + bit + data[at:]
}

// FuzzRepetition runs Repetition on streams of an event on each line, with its name in
// front of the object that it is, and on what comes of them by disturbing them.
func FuzzRepetition(f *testing.F, decoder func() translate.Decoder, of func(translate.Decoder) *translate.Repeats, seeds ...string) {
	f.Helper()
	for _, seed := range seeds {
		f.Add(seed, uint64(1))
	}
	f.Fuzz(func(t *testing.T, lines string, seed uint64) {
		var events []Event
		for line := range strings.Lines(lines) {
			line = strings.TrimSpace(line)
			at := max(strings.IndexByte(line, '{'), 0)
			events = append(events, Event{line[:at], line[at:]})
		}
		Repetition(t, decoder, of, events)
		Repetition(t, decoder, of, Disturbed(rand.New(rand.NewPCG(seed, 1)), events))
	})
}
