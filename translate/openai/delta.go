package openai

import (
	"github.com/sluicehq/sluice/internal/jsonview"
)

// delta writes the mended delta of a choice on the bench, and tells whether there is
// anything in it. last says that the choice ends with it.
func (r *Repair) delta(w *bench, to *choice, v jsonview.Value, last bool) (something bool) {
	w.rounds = w.rounds[:0]
	if !v.IsObject() {
		v = jsonview.Value{Raw: "{}"}
	}
	var role, content, calls jsonview.Value
	reasons := false
	for name, m := range v.Members {
		switch name {
		case "role":
			role = m
		case "content":
			content = m
		case "tool_calls":
			calls = m
		case "reasoning_content", "reasoning":
			reasons = reasons || !isNothing(m)
		}
	}
	own := content.IsArray() || r.splits(to) && !reasons // reasoning_content may be written here
	c := copyObject(w.delta[:0], v)
	if !to.spoken {
		to.spoken, r.moved, something = true, true, true
		if !role.Exists() {
			c.add("role", `"assistant"`)
		}
		if isEmpty(role) || !role.IsString() {
			role = jsonview.Value{Raw: `"assistant"`, At: role.At}
		}
	} else {
		role.Raw = ""
	}
	for name, m := range v.Members {
		switch {
		case name == "role":
			r.role(&c, m, role)
		case name == "content" && m.At == content.At:
			something = r.content(w, &c, to, m, reasons, last) || something
		case name == "tool_calls" && m.At == calls.At && m.IsArray() && m.Len() > 0:
			something = r.toolCalls(w, &c, to, m) || something
		case name == "content", name == "tool_calls" && m.At != calls.At:
			c.drop(m)
		case name == "function_call":
			to.legacy = to.legacy || !isNothing(m)
			something = something || !isNothing(m)
			c.keep(m)
		case name == "reasoning_content" && isNothing(m) && own:
			c.drop(m)
		case (name == "reasoning_content" || name == "reasoning" || name == "refusal") && m.IsString() && !isEmpty(m):
			something = true
			c.open(m)
			w.note(m, len(c.out), inDelta, true)
			c.out = append(c.out, m.Raw...)
		case m.IsArray() && !isNothing(m):
			something = true
			r.listed(w, &c, to, name, m)
		default:
			something = something || !isNothing(m)
			c.keep(m)
		}
	}
	if last {
		something = r.flush(&c, to, reasons) || something
	}
	w.delta = c.close()
	return something
}

// role copies the member role: want is what to write, of no text if the role has been
// sent. null is as good as nothing to every SDK, "" is no role.
func (r *Repair) role(c *copier, m, want jsonview.Value) {
	switch {
	case want.Raw != "" && m.At == want.At:
		c.put(m, want.Raw)
	case want.Raw == "" && m.IsNull():
		c.keep(m)
	default:
		c.drop(m)
	}
}
