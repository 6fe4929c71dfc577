package anthropic

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// Answer reads a whole message. It is read like a stream whose blocks come whole.
func (Dialect) Answer(c *translate.Context, to translate.Sink, body []byte) translate.Progress {
	root, ok := jsonview.Parse(body)
	if !ok || !root.IsObject() {
		return translate.Malformed
	}
	d := decoder{c: c}
	if fault := root.Get("error"); root.Get("type").Is("error") || fault.IsObject() {
		return d.fail(to, faultOf(0, fault))
	}
	return d.whole(to, root)
}

// whole takes in a message object that is complete. One that does not say why it
// stopped is not.
func (d *decoder) whole(to translate.Sink, m jsonview.Value) translate.Progress {
	used := m.Get("usage")
	d.count(to, used, d.usage.read(used))
	content := m.Get("content")
	if !content.IsArray() || m.Get("stop_reason").Text() == "" {
		return translate.Malformed
	}
	to.Head(m.Get("id").Text(), m.Get("model").Text(), 0)
	to.Open(0)
	d.content(to, content)
	d.ending(to, m)
	return d.finish(to)
}
