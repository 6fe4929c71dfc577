package wire

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// Prefix is a digest of a conversation as far as it has been written. Newer models of
// Anthropic refuse a thought if anything in front of it has changed since they had it; a
// client that shortens its history does not know of the thoughts that come back with it.
// What is marked for caching does not count.
//
// https://platform.claude.com/docs/en/build-with-claude/preserved-thinking/prefix-checks
//
// A nil *Prefix is for models that do not look; it finds nothing changed.
type Prefix struct {
	sum     hash.Hash
	out     *bufio.Writer // in front of sum
	changed bool
}

// NewPrefix begins with the tools that are declared and the system's messages, which
// stand in front of all others. A Claude of which nothing is known may be one that looks.
func NewPrefix(c *translate.Context, chat *translate.Chat, tools []translate.Tool) *Prefix {
	mayLook := !IsKnown(c.Known) && strings.Contains(strings.ToLower(c.Model), "claude")
	if !mayLook && !c.Known.Has(modeldata.TraitBoundThoughts) {
		return nil
	}
	sum := sha256.New()
	p := &Prefix{sum: sum, out: bufio.NewWriterSize(sum, 512)}
	p.add(c.AnswerTool, true)
	if c.AnswerTool != "" {
		p.values(chat.Format.Schema, chat.Format.Description)
	}
	for i := range tools {
		t := &tools[i]
		p.add(t.Name, true)
		p.values(t.Description, t.Parameters, t.Strict)
	}
	for i := range chat.Messages {
		if m := &chat.Messages[i]; m.Role == translate.RoleSystem {
			p.message(m)
		}
	}
	return p
}

// Add takes in a message that is written next.
func (p *Prefix) Add(m *translate.Message) {
	if p != nil && m.Role != translate.RoleSystem {
		p.message(m)
	}
}

// Thoughts takes in thoughts that are written next.
func (p *Prefix) Thoughts(steps []Step) {
	if p == nil {
		return
	}
	for _, s := range steps {
		p.add("step", s.Kind == StepThought)
		p.values(s.Text, s.Signature)
	}
}

// Fits tells whether carried thoughts belong behind what has been taken in. If they do
// not, no later ones do.
func (p *Prefix) Fits(carried jsonview.Value) bool {
	if p == nil {
		return true
	}
	if had := carried.Get(thoughtPrefix); had.IsString() && !had.Is(p.Text()) {
		p.changed = true
	}
	return !p.changed
}

// Text is the digest of what has been taken in, empty for a nil Prefix.
func (p *Prefix) Text() string {
	if p == nil {
		return ""
	}
	_ = p.out.Flush() // a digest takes everything
	return base64.RawURLEncoding.EncodeToString(p.sum.Sum(nil)[:16])
}

func (p *Prefix) message(m *translate.Message) {
	p.add(string(m.Role), true)
	p.add(m.CallID, len(m.Calls) > 0)
	for i := range m.Parts {
		part := &m.Parts[i]
		p.add(part.URL, part.Kind == translate.PartText)
		p.add(part.Media, true)
		p.add(part.Data, true)
		p.add(part.FileID, true)
		p.add(part.FileName, true)
		p.values(part.Text)
	}
	for i := range m.Calls {
		call := &m.Calls[i]
		p.add(call.ID, true)
		p.add(call.Name, true)
		p.add(call.Arguments, true)
	}
}

func (p *Prefix) values(all ...jsonview.Value) {
	for _, v := range all {
		p.add(v.Raw, v.Exists())
	}
}

// add takes in a text with its length, so that no two sequences of texts are alike.
func (p *Prefix) add(text string, flag bool) {
	n := uint64(len(text)) << 1
	if flag {
		n++
	}
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], n)
	_, _ = p.out.Write(size[:])
	_, _ = p.out.WriteString(text)
}
