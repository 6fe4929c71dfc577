package wire

import (
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// MaxThoughts bounds in bytes the thoughts of one answer that are carried to the next
// turn. Of larger ones nothing is carried: models take a turn without its thoughts.
const MaxThoughts = 256 << 10

// Thoughts collects Claude's thoughts of one answer with their signatures, exactly as they
// have to be sent back: {"thinking_blocks":[…]}, with the blocks that the Messages API has.
//
// A signature holds for a thought at its place only. Where a thought came behind text or
// calls, the list says of those too how long or how many they were; Replay puts them back
// in the same order.
type Thoughts struct {
	raw       []byte // the object so far
	entries   int
	thoughts  int
	open      bool
	mark      int // where the open thought begins in raw
	signature []byte
	said      int    // bytes of text since the last entry
	between   []byte // the entries for what came since the last thought
	barred    bool   // something came that is not sent back, so that what follows it cannot be
	full      bool
}

const (
	thoughtBlocks = "thinking_blocks"
	thoughtPrefix = "prefix"
	thoughtsHead  = `{"` + thoughtBlocks + `":[`
)

// Begin opens a thought.
func (t *Thoughts) Begin() {
	t.End()
	if t.barred {
		return
	}
	t.place()
	t.mark, t.open = len(t.raw), true
	t.entry(`{"type":"thinking","thinking":"`)
}

// Open tells whether a thought has begun and not ended.
func (t *Thoughts) Open() bool { return t.open }

// Text adds to the open thought; escaped is the inside of a JSON string.
func (t *Thoughts) Text(escaped string) {
	if t.open {
		t.add(escaped)
	}
}

// Sign gives the open thought its signature, in place of what it had.
func (t *Thoughts) Sign(escaped string) {
	t.signature = t.signature[:0]
	t.SignMore(escaped)
}

// SignMore adds to the signature of the open thought.
func (t *Thoughts) SignMore(escaped string) {
	if t.open && !t.full && len(t.signature)+len(escaped) <= MaxThoughts {
		t.signature = append(t.signature, escaped...)
	}
}

// End closes the open thought. One without a signature would be refused, so it is left out.
func (t *Thoughts) End() {
	if !t.open {
		return
	}
	t.open = false
	if len(t.signature) == 0 {
		t.raw = t.raw[:min(t.mark, len(t.raw))]
		t.entries--
		t.barred = true
		return
	}
	t.add(`","signature":"`)
	t.add(jsonview.View(t.signature))
	t.add(`"}`)
	t.thoughts++
	t.signature = t.signature[:0]
}

// Redacted adds a thought that is encrypted; escaped is the inside of a JSON string.
func (t *Thoughts) Redacted(escaped string) {
	t.End()
	if escaped == "" || t.barred {
		return
	}
	t.place()
	t.entry(`{"type":"redacted_thinking","data":"`)
	t.add(escaped)
	t.add(`"}`)
	t.thoughts++
}

// Said notes a piece of the answer's text; escaped is the inside of a JSON string.
func (t *Thoughts) Said(escaped string) { t.said += textLen(escaped) }

// Called notes a call of the client's tools.
func (t *Thoughts) Called() {
	t.End()
	t.pause()
	t.next(`{"type":"tool_use"}`)
}

// Other notes a block that is not sent back.
func (t *Thoughts) Other() {
	t.End()
	t.barred = true
}

// pause notes the text that has come.
func (t *Thoughts) pause() {
	if t.said > 0 {
		t.next(`{"type":"text","bytes":` + strconv.Itoa(t.said) + `}`)
		t.said = 0
	}
}

func (t *Thoughts) next(entry string) {
	if len(t.between)+len(entry) > MaxThoughts {
		t.barred = true
	}
	if t.barred {
		return
	}
	if len(t.between) > 0 {
		t.between = append(t.between, ',')
	}
	t.between = append(t.between, entry...)
}

// place adds the entries for what stands in front of a thought.
func (t *Thoughts) place() {
	t.pause()
	if len(t.between) > 0 {
		t.entry(jsonview.View(t.between))
		t.between = t.between[:0]
	}
}

// entry begins an entry of the list.
func (t *Thoughts) entry(text string) {
	if t.entries == 0 {
		t.add(thoughtsHead)
	} else {
		t.add(",")
	}
	t.entries++
	t.add(text)
}

func (t *Thoughts) add(text string) {
	if t.full || len(t.raw)+len(text) > MaxThoughts {
		t.full, t.raw = true, nil
		return
	}
	t.raw = append(t.raw, text...)
}

// Take ends the object and returns it, "" if there is nothing to carry. prefix is the
// digest of the conversation that the thoughts belong to, empty for none. The result is
// a view that is valid until t is used again.
func (t *Thoughts) Take(prefix string) string {
	t.End()
	if t.full || t.thoughts == 0 {
		return ""
	}
	t.raw = append(t.raw, ']')
	if prefix != "" {
		t.raw = append(t.raw, `,"`+thoughtPrefix+`":`...)
		t.raw = translate.AppendQuoted(t.raw, prefix)
	}
	t.raw = append(t.raw, '}')
	t.thoughts = 0 // nothing is left
	return jsonview.View(t.raw)
}

// Carried is what an earlier answer gave to be carried: it comes back with its message,
// or is remembered for the first of its calls.
func Carried(c *translate.Context, m *translate.Message, vendor string) jsonview.Value {
	if back := m.Extra.Get(vendor); back.IsObject() || len(m.Calls) == 0 || c.Carried == nil {
		return back
	}
	kept, _ := jsonview.Parse([]byte(c.Carried.Find(m.Calls[0].ID)))
	return kept
}

// isSignature reports base64, which the signatures of thoughts are. Other providers'
// escape words and ids mostly are not, and a foreign signature fails the whole request.
func isSignature(v jsonview.Value) bool {
	text := v.Text()
	return text != "" && strings.IndexFunc(text, func(c rune) bool {
		return c >= 0x80 || !translate.IsAlnum(byte(c)) && c != '+' && c != '/' && c != '='
	}) < 0
}
