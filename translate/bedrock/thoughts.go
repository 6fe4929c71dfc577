package bedrock

// maxThoughts bounds the thoughts of one answer that are kept to be carried, in bytes.
// Of larger ones nothing is carried, for they count only as a whole.
const maxThoughts = 256 << 10

// thoughts puts together what is carried of an answer's reasoning: an object as
// restoreThoughts reads it.
type thoughts struct {
	out       []byte
	begun     int  // where in out the current block begins
	open      bool // there is a current block
	block     int64
	signature []byte // of the current block, escaped
	lost      bool
}

const thoughtsHead = `{"` + thoughtBlocks + `":[`

// at makes block the current one.
func (t *thoughts) at(block int64) {
	if t.open && t.block == block {
		return
	}
	t.close()
	t.begin()
	t.open, t.block = true, block
	t.add(`{"text":"`)
}

// begin begins a block.
func (t *thoughts) begin() {
	if len(t.out) == 0 {
		t.add(thoughtsHead)
	}
	t.begun = len(t.out)
	if t.begun > len(thoughtsHead) {
		t.add(",")
	}
}

func (t *thoughts) add(s string) {
	if t.lost = t.lost || len(t.out)+len(s) > maxThoughts; t.lost {
		t.out, t.signature = nil, nil
		return
	}
	t.out = append(t.out, s...)
}

// text adds a piece of a block's text, escaped.
func (t *thoughts) text(block int64, escaped string) {
	t.at(block)
	t.add(escaped)
}

// sign adds a piece of a block's signature, escaped.
func (t *thoughts) sign(block int64, escaped string) {
	t.at(block)
	if t.lost = t.lost || len(t.signature)+len(escaped) > maxThoughts; !t.lost {
		t.signature = append(t.signature, escaped...)
	}
}

// redacted adds a block that only the model can read, as base64.
func (t *thoughts) redacted(escaped string) {
	t.close()
	t.begin()
	t.add(`{"redacted":"`)
	t.add(escaped)
	t.add(`"}`)
}

// close ends the current block. One without a signature is forgotten.
func (t *thoughts) close() {
	if !t.open {
		return
	}
	t.open = false
	if len(t.signature) > 0 {
		t.add(`","signature":"`)
		t.add(string(t.signature))
		t.add(`"}`)
		t.signature = t.signature[:0]
	} else if !t.lost {
		t.out = t.out[:t.begun]
	}
}

// take returns the object, "" if there is nothing to carry, and forgets it.
func (t *thoughts) take() string {
	t.close()
	if !t.lost && len(t.out) > len(thoughtsHead) {
		t.add("]}")
		if !t.lost {
			raw := string(t.out)
			*t = thoughts{}
			return raw
		}
	}
	*t = thoughts{}
	return ""
}
