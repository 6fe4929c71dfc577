package anthropic

import "github.com/sluicehq/sluice/internal/jsonview"

// What an answer's thoughts are called in the message that a client sends back.
const (
	vendor         = "anthropic"
	thinkingBlocks = "thinking_blocks"
)

// maxThoughts bounds in bytes the thoughts of one answer that are carried to the next
// turn. Larger ones are not carried at all: the API accepts a turn without thoughts.
const maxThoughts = 256 << 10

// thoughts collects the blocks of thinking of an answer with their signatures, exactly
// as they have to be sent back.
type thoughts struct {
	raw       []byte // {"thinking_blocks":[ and the blocks so far
	blocks    int
	open      bool
	mark      int // where the open block begins in raw
	signature []byte
	full      bool
}

// begin opens a block of thinking.
func (t *thoughts) begin() {
	t.end()
	t.mark, t.open = len(t.raw), true
	t.next()
	t.add(`{"type":"thinking","thinking":"`)
}

// next makes room for a block.
func (t *thoughts) next() {
	if t.blocks == 0 {
		t.add(`{"` + thinkingBlocks + `":[`)
	} else {
		t.add(",")
	}
}

// text adds to the open block; escaped is the inside of a JSON string.
func (t *thoughts) text(escaped string) {
	if t.open {
		t.add(escaped)
	}
}

// sign gives the open block its signature, which comes whole.
func (t *thoughts) sign(escaped string) {
	if t.open && !t.full && len(escaped) <= maxThoughts {
		t.signature = append(t.signature[:0], escaped...)
	}
}

// end closes the open block. One without a signature would be refused, so it is dropped.
func (t *thoughts) end() {
	if !t.open {
		return
	}
	t.open = false
	if len(t.signature) == 0 {
		t.raw = t.raw[:min(t.mark, len(t.raw))]
		return
	}
	t.add(`","signature":"`)
	t.add(jsonview.View(t.signature))
	t.add(`"}`)
	t.blocks++
	t.signature = t.signature[:0]
}

// redacted adds a block whose text is encrypted; data is a JSON string.
func (t *thoughts) redacted(data jsonview.Value) {
	if data.Inside() == "" {
		return
	}
	t.end()
	t.next()
	t.add(`{"type":"redacted_thinking","data":`)
	t.add(data.Raw)
	t.add("}")
	t.blocks++
}

func (t *thoughts) add(text string) {
	if t.full || len(t.raw)+len(text) > maxThoughts {
		t.full, t.raw = true, nil
		return
	}
	t.raw = append(t.raw, text...)
}

// done closes the object and returns it, "" if there is nothing to carry.
func (t *thoughts) done() string {
	t.end()
	if t.full || t.blocks == 0 {
		return ""
	}
	t.raw = append(t.raw, `]}`...)
	return jsonview.View(t.raw)
}
