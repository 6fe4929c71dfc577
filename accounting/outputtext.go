package accounting

// OutputText is what a model produced, as far as it was kept, for counting
// tokens after the end. The fields hold the insides of JSON strings, still
// escaped as they were received, fragments joined.
type OutputText struct {
	Content   []byte
	Reasoning []byte
	Refusal   []byte
	// Tools holds names and arguments of tool calls, one after the other, and
	// what the model wrote for tools that the provider runs itself.
	Tools []byte
	// Calls is the number of tool calls that Tools is about.
	Calls int
	// Ended is the number of choices that the model ended by itself, and that no limit
	// has cut off.
	Ended int
	// Truncated says that more arrived than was kept.
	Truncated bool
	// TotalBytes is the size of everything that arrived, kept or not.
	TotalBytes int64

	// turns are the places in Content where another choice goes on: several answers
	// stream at once, a few words each in turn.
	turns []int
}

// eachContent hands over the text in the runs in which its choices came.
func (t *OutputText) eachContent(count func([]byte)) {
	from := 0
	for _, at := range t.turns {
		count(t.Content[from:at])
		from = at
	}
	count(t.Content[from:])
}

// maxText bounds the text kept of one exchange, all kinds together: some 30,000 tokens. The
// rest of a longer answer is taken to be of the same density.
const maxText = 128 << 10

// sink is a kind of output that a fragment of text belongs to.
type sink uint8

const (
	sinkContent sink = iota
	sinkReasoning
	sinkRefusal
	sinkServerTool // code, commands and arguments of tools that the provider runs
	textSinks
	sinkTool // arguments of a client tool call, kept in the tool table
)

// texts collects fragments per sink. Nothing is allocated before the first one,
// and buffers double, so a chunk does not cost an allocation of its own.
type texts struct {
	kept      [textSinks][]byte
	arrived   [textSinks]int64
	bytes     int
	truncated bool

	choice, last int64 // the choice that fragments belong to, and that of the last text
	turns        []int // see OutputText
}

// maxTurns bounds the changes between choices that are noted.
const maxTurns = 64 << 10

func (t *texts) add(to sink, fragment string) {
	t.arrived[to] += int64(len(fragment))
	if t.truncated || t.bytes+len(fragment) > maxText {
		// A later, smaller fragment must not close the gap.
		t.truncated = true
		return
	}
	t.bytes += len(fragment)
	if to == sinkContent && t.choice != t.last {
		if len(t.turns) < maxTurns {
			t.turns = append(t.turns, len(t.kept[to]))
		}
		t.last = t.choice
	}
	t.kept[to] = appendDoubling(t.kept[to], fragment)
}

// appendDoubling is append with a predictable growth: 128 bytes first, then twice as much.
func appendDoubling(dst []byte, src string) []byte {
	if need := len(dst) + len(src); need > cap(dst) {
		grown := make([]byte, len(dst), max(128, 2*cap(dst), need))
		copy(grown, dst)
		dst = grown
	}
	return append(dst, src...)
}

// maxPooledText is the largest buffer that a meter carries into its next exchange.
const maxPooledText = 4 << 10

func (t *texts) reset() {
	kept := t.kept
	*t = texts{}
	for i, b := range kept {
		t.kept[i] = emptied(b, maxPooledText)
	}
}

func emptied(b []byte, limit int) []byte {
	if cap(b) > limit {
		return nil
	}
	return b[:0]
}
